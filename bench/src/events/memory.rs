//! The memory of this process, by the system's word.

use std::error::Error;
use std::fs;

/// Resident now, in bytes.
pub(super) fn resident() -> Result<u64, Box<dyn Error>> {
    size("VmRSS:")
}

/// The most that was resident so far, in bytes.
pub(super) fn peak() -> Result<u64, Box<dyn Error>> {
    size("VmHWM:")
}

fn size(name: &str) -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.ok_or("no such figure in /proc/self/status")?.trim();
    Ok(kilobytes.trim_end_matches(" kB").trim().parse::<u64>()? << 10)
}
