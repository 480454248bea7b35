//! What a whole process costs, start-up included, and what a part of this one does.

use std::error::Error;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
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

    /// The run with the least CPU time.
    pub(crate) fn best(costs: &[Cost]) -> Option<Cost> {
        costs.iter().min_by_key(|cost| cost.cpu).copied()
    }
}

/// The CPU time of this thread so far.
pub(crate) fn cpu_time() -> Result<Duration, Box<dyn Error>> {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Ok(Duration::new(
        time.tv_sec.try_into()?,
        time.tv_nsec.try_into()?,
    ))
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

/// The peak memory of a command that is ended after a time, if it has not ended by then.
///
/// # Errors
/// It cannot be started.
pub(crate) fn peak_until(command: &mut Command, limit: Duration) -> io::Result<u64> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    thread::sleep(limit);
    child.kill()?;
    Ok(child.wait4()?.rusage.maxrss)
}

/// The peak memory of a command, and whether it ended with status 0.
///
/// # Errors
/// It cannot be started.
pub(crate) fn peak_of(command: &mut Command) -> io::Result<(u64, bool)> {
    let command = (command.stdin(Stdio::null()).stdout(Stdio::null())).stderr(Stdio::null());
    let used = command.spawn()?.wait4()?;
    Ok((used.rusage.maxrss, used.status.success()))
}

/// Instructions of a whole process outside of the kernel.
///
/// # Errors
/// There is no valgrind, or the command fails.
pub(crate) fn instructions(command: &Command) -> Result<f64, Box<dyn Error>> {
    let mut counted = Command::new("valgrind");
    counted
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(command.get_program())
        .args(command.get_args())
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdin(Stdio::null());
    if let Some(directory) = command.get_current_dir() {
        counted.current_dir(directory);
    }
    let output = counted
        .output()
        .map_err(|error| format!("counting instructions needs `valgrind`: {error}"))?;
    let report = String::from_utf8_lossy(&output.stderr);
    report
        .lines()
        .filter(|_| output.status.success())
        .find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
        .ok_or_else(|| format!("callgrind did not count {command:?}: {}", report.trim()).into())
}
