//! The most memory that a client takes for ten million rows, whose reader stops for a minute
//! after the first of them.

use std::error::Error;
use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use wait4::Wait4;

use super::{Bench, Database, MOST_MEMORY, Table};
use crate::figures::{megabytes, print_target};

const ROWS: usize = 10_000_000;
const PAUSE: Duration = Duration::from_secs(60);

pub(super) fn run(tables: &[&'static Table]) -> Result<(), Box<dyn Error>> {
    let bench = Bench::new()?;
    println!("{ROWS} rows; peak in MB, with a reader that stops for {PAUSE:?}");
    println!("| database | mode | peak |\n|---|---|---|");
    for table in tables {
        let database = Database::start(table.name, ROWS)?;
        for case in table.cases.iter().filter(|case| case.writes_lines()) {
            let (peak, lines) = peak(&mut bench.command(case, &database)?)?;
            if lines != ROWS {
                return Err(format!("`{}` gave {lines} rows", case.name).into());
            }
            let peak = megabytes(peak);
            println!("| {} | {} | {peak:.1} |", table.name, case.name);
            let text = format!("{} of {} in {MOST_MEMORY} MB", case.name, table.name);
            print_target(&text, peak <= MOST_MEMORY);
        }
    }
    Ok(())
}

/// The peak of a command, and how many lines it wrote.
fn peak(command: &mut Command) -> io::Result<(u64, usize)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut output = child
        .stdout
        .take()
        .ok_or_else(|| io::Error::other("no output"))?;
    let (mut buffer, mut lines) = (vec![0; 1 << 16], 0);
    let mut has_stopped = false;
    loop {
        let length = output.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        lines += memchr::memchr_iter(b'\n', &buffer[..length]).count();
        if !has_stopped && lines > 10_000 {
            thread::sleep(PAUSE);
            has_stopped = true;
        }
    }
    let used = child.wait4()?;
    if !used.status.success() {
        return Err(io::Error::other(format!("it ended with {}", used.status)));
    }
    Ok((used.rusage.maxrss, lines))
}
