//! Prints a table in Markdown, aligned, row by row as they are measured.

use super::case::Case;

const FIRST: usize = 22;
const OTHERS: usize = 8;

pub(crate) fn head(title: &str, cases: &[Case]) {
    columns(title, cases.iter().map(|case| case.name()));
}

pub(crate) fn columns<'a>(title: &str, names: impl Iterator<Item = &'a str>) {
    println!("\n{title}\n");
    let names: Vec<_> = names.collect();
    line("", names.iter().map(|name| (*name).into()));
    let rules = names.iter().map(|_| "-".repeat(OTHERS - 1) + ":");
    line(&"-".repeat(FIRST), rules);
}

pub(crate) fn row(name: &str, cells: &[Option<f64>], decimals: usize) {
    line(
        name,
        cells.iter().map(|cell| match cell {
            Some(number) => format!("{number:.decimals$}"),
            None => "-".into(),
        }),
    );
}

fn line(first: &str, others: impl Iterator<Item = String>) {
    let others: String = others.map(|cell| format!(" {cell:>OTHERS$} |")).collect();
    println!("| {first:<FIRST$} |{others}");
}
