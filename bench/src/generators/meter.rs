//! Measures one cell in a process of its own.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use super::probe::Probe;
use crate::process;

/// What the cells of a table hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meter {
    /// Instructions per item: what a second `COUNT` of items adds to the first,
    /// so that what a process does once is not in it.
    Instructions,
    /// Nanoseconds of wall time per item.
    Wall,
    /// Bytes of the stream's value.
    Size,
}

/// Items in a counted run: enough for what still differs between two processes
/// (a few hundred instructions) to vanish in the first decimal.
const COUNT: u64 = 10_000;

/// Items in a timed run.
const TIMED: u64 = 1_000_000;

impl Meter {
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Meter::Instructions => "Instructions per item",
            Meter::Wall => "Nanoseconds of wall time per item",
            Meter::Size => "Bytes of the stream's value, without what it allocates",
        }
    }

    /// Says why this machine cannot measure.
    pub(crate) fn check(self) -> Result<(), Box<dyn Error>> {
        if self == Meter::Instructions {
            Command::new("valgrind")
                .arg("--version")
                .output()
                .map_err(|error| {
                    format!("counting instructions needs `valgrind`: {error}; `--wall` does not")
                })?;
        }
        Ok(())
    }

    /// The number of one cell; `None` where the engine cannot express the case.
    pub(crate) fn read(self, program: &Path, name: &str) -> Result<Option<f64>, Box<dyn Error>> {
        match self {
            Meter::Wall => ask(program, Probe::Wall, name, TIMED),
            Meter::Size => ask(program, Probe::Size, name, 1),
            Meter::Instructions => {
                if ask(program, Probe::Sum, name, COUNT)?.is_none() {
                    return Ok(None);
                }
                let once = instructions(program, name, COUNT)?;
                let twice = instructions(program, name, 2 * COUNT)?;
                Ok(Some((twice - once) / COUNT as f64))
            }
        }
    }
}

/// Runs `program` for one answer.
fn ask(
    program: &Path,
    probe: Probe,
    name: &str,
    count: u64,
) -> Result<Option<f64>, Box<dyn Error>> {
    let output = Command::new(program)
        .args(["run", probe.name(), name, &count.to_string()])
        .output()?;
    let answer = String::from_utf8_lossy(&output.stdout);
    match answer.trim() {
        "-" => Ok(None),
        number => number.parse().map(Some).map_err(|_| {
            let reason = String::from_utf8_lossy(&output.stderr);
            format!("`{name}` gave no number: {}", reason.trim()).into()
        }),
    }
}

/// Instructions of a whole process that runs one cell.
fn instructions(program: &Path, name: &str, count: u64) -> Result<f64, Box<dyn Error>> {
    let mut command = Command::new(program);
    command.args(["run", Probe::Sum.name(), name, &count.to_string()]);
    process::instructions(&command)
}
