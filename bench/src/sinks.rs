//! `bench sinks`: what it costs to write 200,000 items of about 423 bytes, from a file of
//! lines into each sink, beside a bare loop for the same format ([`bare`]) in the same run:
//! items per CPU second of the whole process, and its peak memory.
//!
//! Each run is a process of its own. The two that are compared run one after the other, several
//! times, in changing order; the figures are medians, and a ratio is the median of the ratios of
//! the pairs, so that it holds on a machine that does something else as well. A sink runs as the
//! command runs it: with its state, checkpoints by time, and on a thread of its own.
//!
//! `bench sinks checkpoints` measures what checkpoints cost, `bench sinks memory` the peak at
//! many items.

mod bare;

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::Command;

use test_servers::Postgres;
use unspool::sinks::{self, Ended, Identity, Options, Writer};

use crate::figures::{megabytes, print_target};
use crate::process::{Cost, measure};

const ITEMS: usize = 200_000;

/// How many pairs of runs a figure is the median of.
const PAIRS: usize = 9;

/// How much of a bare loop is to be reached.
const TARGET: f64 = 0.9;

struct Case {
    name: &'static str,
    /// What `--to` would get; `{folder}` and `{postgres}` are replaced.
    to: &'static str,
    key: Option<&'static str>,
}

const CASES: &[Case] = &[
    case("NDJSON", "{folder}/a.jsonl"),
    case("NDJSON.zst", "{folder}/a.jsonl.zst"),
    case("NDJSON.gz", "{folder}/a.jsonl.gz"),
    case("CSV", "{folder}/a.csv"),
    case("Parquet", "{folder}/a.parquet"),
    case("SQLite", "sqlite:{folder}/a.db#a"),
    Case {
        key: Some("id"),
        ..case("SQLite, upsert", "sqlite:{folder}/b.db#a")
    },
    case("Postgres", "{postgres}#a"),
    Case {
        key: Some("id"),
        ..case("Postgres, upsert", "{postgres}#b")
    },
];

const fn case(name: &'static str, to: &'static str) -> Case {
    Case {
        name,
        to,
        key: None,
    }
}

impl Case {
    /// Whether its state is in a file beside it.
    fn is_file(&self) -> bool {
        self.to.starts_with("{folder}")
    }
}

/// Measures all sinks, or those that are named, and prints the table.
///
/// # Errors
///
/// An argument names nothing, or a run fails.
pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("unspool-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let result = match arguments.split_first() {
        Some((word, names)) if word == "checkpoints" => checkpoints(&folder, &named(names)?),
        Some((word, names)) if word == "memory" => memory(&folder, &named(names)?),
        _ => table(&folder, &named(arguments)?),
    };
    fs::remove_dir_all(&folder)?;
    result
}

/// The cases of these names; all where there is none.
fn named(names: &[String]) -> Result<Vec<&'static Case>, Box<dyn Error>> {
    if names.is_empty() {
        return Ok(CASES.iter().collect());
    }
    let find = |name: &String| CASES.iter().find(|case| case.name == name);
    let cases = names.iter().map(|name| find(name).ok_or("no such sink"));
    Ok(cases.collect::<Result<_, _>>()?)
}

/// Each sink beside the bare loop for its format.
fn table(folder: &Path, cases: &[&Case]) -> Result<(), Box<dyn Error>> {
    let bench = Bench::new(folder, ITEMS)?;
    println!("thousands of items per CPU second; peak in MB");
    println!(
        "| sink | unspool | bare loop | ratio | peak | bare loop's peak |\n|---|---|---|---|---|---|"
    );
    for name in ["lines", "split"] {
        let cost = bench.pairs(name, ["bare", "bare"])?.first;
        let peak = megabytes(cost.peak);
        println!("| {name} | | {:.0} | | | {peak:.0} |", bench.rate(&cost));
    }
    for case in cases {
        if let Some(why) = bench.skipped(case) {
            println!("| {} | skipped: {why} | | | | |", case.name);
            continue;
        }
        let pairs = bench.pairs(case.name, ["sink", "bare"])?;
        let (own, bare, ratio) = (pairs.first, pairs.second, pairs.ratio);
        println!(
            "| {} | {:.0} | {:.0} | {ratio:.2} | {:.0} | {:.0} |",
            case.name,
            bench.rate(&own),
            bench.rate(&bare),
            megabytes(own.peak),
            megabytes(bare.peak)
        );
        print_target(
            &format!("{} at {TARGET} of a bare loop", case.name),
            ratio >= TARGET,
        );
    }
    Ok(())
}

/// What checkpoints cost: by default, and none but that at the end.
fn checkpoints(folder: &Path, cases: &[&Case]) -> Result<(), Box<dyn Error>> {
    let bench = Bench::new(folder, 5 * ITEMS)?;
    println!("CPU seconds for {} items", bench.items);
    println!("| sink | no checkpoint | by default | more |\n|---|---|---|---|");
    for case in cases.iter().filter(|case| bench.skipped(case).is_none()) {
        let pairs = bench.pairs(case.name, ["once", "sink"])?;
        let seconds = |cost: Cost| cost.cpu.as_secs_f64();
        let (without, with) = (seconds(pairs.first), seconds(pairs.second));
        let more = 100.0 * (pairs.ratio - 1.0);
        println!("| {} | {without:.2} | {with:.2} | {more:.1} % |", case.name);
        print_target(&format!("{} below 5 %", case.name), more < 5.0);
    }
    Ok(())
}

/// The peak memory at many items.
fn memory(folder: &Path, cases: &[&Case]) -> Result<(), Box<dyn Error>> {
    const MANY: usize = 10_000_000;
    let bench = Bench::new(folder, MANY)?;
    println!("peak in MB at {MANY} items");
    println!("| sink | peak |\n|---|---|");
    for case in cases.iter().filter(|case| bench.skipped(case).is_none()) {
        let peak = megabytes(bench.cost("sink", case.name)?.peak);
        println!("| {} | {peak:.0} |", case.name);
        print_target(&format!("{} below 64 MB", case.name), peak < 64.0);
    }
    Ok(())
}

/// The input, and where everything is.
struct Bench<'f> {
    folder: &'f Path,
    items: usize,
    server: Result<Postgres, String>,
}

impl<'f> Bench<'f> {
    fn new(folder: &'f Path, items: usize) -> Result<Self, Box<dyn Error>> {
        write_input(&folder.join("input"))?;
        Ok(Bench {
            folder,
            items,
            server: Postgres::start(),
        })
    }

    fn skipped(&self, case: &Case) -> Option<&str> {
        let needs = case.to.contains("{postgres}");
        self.server
            .as_ref()
            .err()
            .filter(|_| needs)
            .map(String::as_str)
    }

    /// Thousands of items per CPU second.
    fn rate(&self, cost: &Cost) -> f64 {
        self.items as f64 / 1e3 / cost.cpu.as_secs_f64()
    }

    /// One run, in a process and a database of its own; what it wrote is gone after it.
    fn cost(&self, how: &str, name: &str) -> Result<Cost, Box<dyn Error>> {
        let out = self.folder.join("out");
        fs::create_dir_all(&out)?;
        let address = match &self.server {
            Ok(server) if name.starts_with("Postgres") => server.database(),
            _ => String::new(),
        };
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["sink", how, name, &address, &self.items.to_string()])
            .arg(self.folder.join("input"))
            .arg(&out);
        let cost = measure(&mut command, &self.folder.join("printed"))?;
        fs::remove_dir_all(&out)?;
        if let (Ok(server), Some((_, name))) = (&self.server, address.rsplit_once('/')) {
            server.psql("postgres", &format!("drop database {name} with (force)"));
        }
        Ok(cost)
    }

    /// Runs a case in two ways, in turns.
    fn pairs(&self, name: &str, [first, second]: [&str; 2]) -> Result<Pairs, Box<dyn Error>> {
        let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
        for pair in 0..PAIRS {
            // Whatever the one leaves to the other, such as what the disk still writes.
            if pair % 2 == 0 {
                firsts.push(self.cost(first, name)?);
                seconds.push(self.cost(second, name)?);
            } else {
                seconds.push(self.cost(second, name)?);
                firsts.push(self.cost(first, name)?);
            }
        }
        Pairs::new(&firsts, &seconds).ok_or_else(|| "no run".into())
    }
}

/// What two ways cost that ran in turns: medians.
struct Pairs {
    first: Cost,
    second: Cost,
    /// The CPU time of the second way for that of the first.
    ratio: f64,
}

impl Pairs {
    fn new(firsts: &[Cost], seconds: &[Cost]) -> Option<Self> {
        let seconds_of = |cost: &Cost| cost.cpu.as_secs_f64();
        let pairs = firsts.iter().zip(seconds);
        let mut ratios: Vec<f64> = pairs
            .map(|(first, second)| seconds_of(second) / seconds_of(first))
            .collect();
        ratios.sort_by(f64::total_cmp);
        Some(Pairs {
            first: Cost::median(firsts)?,
            second: Cost::median(seconds)?,
            ratio: ratios.get(ratios.len() / 2).copied()?,
        })
    }
}

/// What [`run`] starts itself with: one case, once.
pub(crate) fn answer(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [how, name, postgres, items, input, folder] = arguments else {
        return Err("expected how, a case, an address, a count, a file and a folder".into());
    };
    let (input, folder) = (Path::new(input), Path::new(folder));
    if how == "bare" {
        return bare::run(name, input, folder, postgres);
    }
    let case = named(std::slice::from_ref(name))?[0];
    let to = case
        .to
        .replace("{folder}", &folder.to_string_lossy())
        .replace("{postgres}", postgres);
    let mut options = Options::new(Identity::new("bench"));
    options.key = case.key.into_iter().map(str::to_owned).collect();
    options.state = case.is_file().then(|| folder.join("state"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let has_checkpoints = how == "sink";
    runtime.block_on(write(input, &to, options, items.parse()?, has_checkpoints))
}

async fn write(
    input: &Path,
    to: &str,
    options: Options,
    items: u64,
    has_checkpoints: bool,
) -> Result<(), Box<dyn Error>> {
    let mut writer = Writer::open(sinks::open(to, options)?).await?;
    let (mut lines, mut line) = (Lines::open(input)?, String::new());
    for number in 1..=items {
        if !lines.next(&mut line)? {
            lines = Lines::open(input)?;
            lines.next(&mut line)?;
        }
        writer.put(line.as_bytes()).await?;
        // As often as a source has to wait.
        if has_checkpoints && number % 100 == 0 {
            writer.checkpoint_if_due(|| None).await?;
        }
    }
    writer.end(None, Some(Ended::default())).await?;
    let written = writer.account().items;
    if written == items {
        Ok(())
    } else {
        Err(format!("{written} items were written").into())
    }
}

/// The lines of a file.
struct Lines(BufReader<File>);

impl Lines {
    fn open(path: &Path) -> Result<Self, Box<dyn Error>> {
        Ok(Lines(BufReader::with_capacity(1 << 20, File::open(path)?)))
    }

    /// The next line, without its line feed; whether there is one.
    fn next(&mut self, line: &mut String) -> Result<bool, Box<dyn Error>> {
        line.clear();
        let is_there = self.0.read_line(line)? > 0;
        line.truncate(line.trim_end().len());
        Ok(is_there)
    }
}

fn each(
    input: &Path,
    mut take: impl FnMut(&str) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let (mut lines, mut line) = (Lines::open(input)?, String::new());
    while lines.next(&mut line)? {
        take(&line)?;
    }
    Ok(())
}

/// Items of ten fields, with a list, an object and a text that has escapes.
fn write_input(path: &Path) -> Result<(), Box<dyn Error>> {
    let mut file = BufWriter::new(File::create(path)?);
    for id in 0..ITEMS {
        let words = [
            "quick", "brown", "fox", "jumps", "over", "lazy", "dogs", "often",
        ];
        let word = |n: usize| words[(id / (n + 1) + n) % words.len()];
        writeln!(
            file,
            r#"{{"id":{id},"name":"{} {} {id}","email":"user{id}@example.com","price":{}.{:02},"in_stock":{},"created_at":"2024-01-{:02}T10:{:02}:00Z","tags":["{}","{}","{}"],"owner":{{"id":{},"login":"{}-{}","admin":false}},"text":"He said \"{} {}\" and left.\nThen {} {} {} came back with the {} of {} and a {} that nobody had seen before.","parent":{}}}"#,
            word(0),
            word(1),
            id % 1000,
            id % 99 + 1,
            id % 3 > 0,
            id % 28 + 1,
            id % 60,
            word(2),
            word(3),
            word(4),
            id % 5000,
            word(5),
            word(6),
            word(1),
            word(2),
            word(3),
            word(4),
            word(5),
            word(6),
            word(7),
            word(0),
            if id % 4 == 0 {
                "null".to_owned()
            } else {
                (id / 4).to_string()
            },
        )?;
    }
    file.flush()?;
    Ok(())
}
