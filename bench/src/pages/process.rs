//! What a whole process costs, start-up included.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

/// What one run of a command took.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    /// User and system time, of its children too.
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
    /// Peak resident memory in bytes. The kernel counts from before `exec`, so
    /// that this is never less than what this process itself has used.
    pub(crate) peak: u64,
}

impl Cost {
    /// The median of each figure by itself.
    pub(crate) fn median(costs: &[Cost]) -> Option<Cost> {
        fn middle<T: Ord>(figures: impl Iterator<Item = T>) -> Option<T> {
            let mut sorted: Vec<T> = figures.collect();
            sorted.sort();
            let at = sorted.len() / 2;
            sorted.into_iter().nth(at)
        }
        Some(Cost {
            cpu: middle(costs.iter().map(|cost| cost.cpu))?,
            wall: middle(costs.iter().map(|cost| cost.wall))?,
            peak: middle(costs.iter().map(|cost| cost.peak))?,
        })
    }
}

/// Runs a command with its standard output in a file.
///
/// # Errors
/// It cannot be started, or ends with another status than 0.
pub(crate) fn measure(command: &mut Command, output: &Path) -> io::Result<Cost> {
    let command = command.stdin(Stdio::null()).stdout(File::create(output)?);
    let start = Instant::now();
    let used = command.spawn()?.wait4()?;
    let wall = start.elapsed();
    if !used.status.success() {
        return Err(io::Error::other(format!("it ended with {}", used.status)));
    }
    Ok(Cost {
        cpu: used.rusage.utime + used.rusage.stime,
        wall,
        peak: used.rusage.maxrss,
    })
}
