//! `bench generators`: what an item of `stream!` costs, beside its floors and
//! its peers.

mod case;
mod delegation;
mod engines;
mod layout;
mod meter;
mod nightly;
mod probe;

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};

use case::Case;
use engines::{COMPILER, Kind, ROWS, Row};
use meter::Meter;
use probe::Question;

/// The name of the table of delegation, among those of rows and columns.
const DELEGATION: &str = "delegation";

/// Measures and prints the tables. The arguments name rows and columns, all of
/// them where none is named; `--wall` measures time instead of instructions.
///
/// # Errors
///
/// An argument names nothing, a tool is missing, or a cell gives a wrong answer.
pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let (options, names): (Vec<_>, Vec<_>) =
        arguments.iter().partition(|word| word.starts_with("--"));
    let meter = match options[..] {
        [] => Meter::Instructions,
        [option] if option == "--wall" => Meter::Wall,
        _ => return Err("`bench generators` takes `--wall`, rows and columns".into()),
    };
    meter.check()?;
    let (rows, cases) = selection(&names)?;
    let programs = Programs::of(&rows)?;
    compare(meter, &rows, &cases, &programs)?;
    compare_sizes(&rows, &cases, &programs)?;
    if names.is_empty() || names.iter().any(|name| *name == DELEGATION) {
        delegation::compare(meter, &programs.this)?;
    }
    if let Some(Err(reason)) = &programs.nightly {
        println!("\n{COMPILER}: skipped: {reason}");
    }
    Ok(())
}

/// Answers for one cell, in the process that is measured.
///
/// # Errors
///
/// There is no such cell.
pub(crate) fn answer(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    if let [probe, name, count] = arguments
        && let Some(shape) = name.strip_prefix("delegation/")
    {
        let count = count.parse()?;
        probe::print(delegation::answer(probe, shape, count));
        return Ok(());
    }
    let question =
        Question::parse(arguments).ok_or("`bench run` takes a probe, a cell and a count")?;
    let row = ROWS
        .iter()
        .find(|row| row.name == question.engine)
        .ok_or("no such engine")?;
    probe::print((row.ask)(question.probe, question.case, question.count));
    Ok(())
}

/// The rows and columns that the names select.
fn selection(names: &[&String]) -> Result<(Vec<&'static Row>, Vec<Case>), String> {
    let rows = ROWS.iter().map(|row| row.name);
    let known: Vec<_> = (rows.chain(Case::ALL.map(Case::name)))
        .chain([DELEGATION])
        .collect();
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("no `{name}` among `{}`", known.join("`, `")));
    }
    let is_named = |name| names.iter().any(|word| *word == name);
    let mut rows: Vec<_> = ROWS.iter().filter(|row| is_named(row.name)).collect();
    if rows.is_empty() {
        rows.extend(&ROWS);
    }
    let mut cases = Case::ALL.to_vec();
    cases.retain(|case| is_named(case.name()));
    if cases.is_empty() {
        cases.extend(Case::ALL);
    }
    Ok((rows, cases))
}

/// The table of costs, and below it what `stream!` costs in terms of others.
fn compare(
    meter: Meter,
    rows: &[&Row],
    cases: &[Case],
    programs: &Programs,
) -> Result<(), Box<dyn Error>> {
    let mut measured = Vec::new();
    layout::head(meter.unit(), cases);
    for row in rows.iter().filter(|row| row.kind != Kind::Block) {
        if let Some(program) = programs.that_runs(row) {
            let cells = read(meter, program, row, cases)?;
            layout::row(row.name, &cells, 1);
            measured.push((row.kind, cells));
        }
    }
    for (name, kind) in [
        ("stream / best crate", Kind::Crate),
        ("stream / nightly", Kind::Compiler),
        ("stream / stream_fn", Kind::WithoutMacro),
    ] {
        if let Some(ratios) = ratios(&measured, kind) {
            layout::row(name, &ratios, 2);
        }
    }
    Ok(())
}

fn compare_sizes(rows: &[&Row], cases: &[Case], programs: &Programs) -> Result<(), Box<dyn Error>> {
    layout::head(Meter::Size.unit(), cases);
    for row in rows {
        if let Some(program) = programs.that_runs(row) {
            let cells = read(Meter::Size, program, row, cases)?;
            layout::row(row.name, &cells, 0);
        }
    }
    Ok(())
}

/// Where the rows run: each in this program, but for the compiler's own.
struct Programs {
    this: PathBuf,
    /// The reason is one for a reader: rows that this machine lacks are left out.
    nightly: Option<Result<PathBuf, String>>,
}

impl Programs {
    fn of(rows: &[&Row]) -> Result<Programs, Box<dyn Error>> {
        let needs_nightly = rows.iter().any(|row| row.kind == Kind::Compiler);
        Ok(Programs {
            this: env::current_exe()?,
            nightly: needs_nightly.then(nightly::program),
        })
    }

    fn that_runs(&self, row: &Row) -> Option<&Path> {
        match row.kind {
            Kind::Compiler => self.nightly.as_ref()?.as_deref().ok(),
            Kind::Ours
            | Kind::TwoWay
            | Kind::WithoutMacro
            | Kind::Floor
            | Kind::Crate
            | Kind::Block => Some(&self.this),
        }
    }
}

fn read(
    meter: Meter,
    program: &Path,
    row: &Row,
    cases: &[Case],
) -> Result<Vec<Option<f64>>, Box<dyn Error>> {
    cases
        .iter()
        .map(|case| {
            let name = format!("generators/{}/{}", case.name(), row.name);
            meter.read(program, &name)
        })
        .collect()
}

/// What `stream!` costs in terms of the best row of a kind, column by column.
fn ratios(measured: &[(Kind, Vec<Option<f64>>)], kind: Kind) -> Option<Vec<Option<f64>>> {
    let rows_of = |kind| measured.iter().filter(move |row| row.0 == kind);
    let (_, ours) = rows_of(Kind::Ours).next()?;
    rows_of(kind).next()?;
    let ratios = ours.iter().enumerate().map(|(column, ours)| {
        let best = rows_of(kind)
            .filter_map(|(_, cells)| cells[column])
            .min_by(f64::total_cmp)?;
        Some((*ours)? / best)
    });
    Some(ratios.collect())
}
