//! Who writes a table at the moment, for whoever wants to write it as well.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::tables::failed;
use crate::error::Error;

/// A process that writes a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holder {
    pid: u32,
    host: String,
    /// Seconds since 1970, for people.
    since: u64,
    /// Which start of the machine, and which process of this number in it; empty where the
    /// system does not say.
    boot: String,
    started: String,
}

impl Holder {
    /// This process.
    pub(super) fn me() -> Self {
        let pid = std::process::id();
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Holder {
            pid,
            host: host(),
            since: since.map_or(0, |since| since.as_secs()),
            boot: boot(),
            started: started(pid),
        }
    }

    pub(super) fn text(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// Fails where the process that wrote this text is still at work.
    pub(super) fn refuse_if_alive(text: &str, target: &str) -> Result<(), Error> {
        match serde_json::from_str::<Holder>(text) {
            Ok(holder) if holder.is_alive() => Err(failed(format!(
                "`{target}` is being written by process {} on `{}`, since {} (seconds since 1970)",
                holder.pid, holder.host, holder.since
            ))),
            _ => Ok(()),
        }
    }

    /// Whether the process is still there, as far as can be seen from here. Of another
    /// machine nothing can be seen.
    fn is_alive(&self) -> bool {
        if self.host != host() {
            return true;
        }
        self.boot == boot() && !self.started.is_empty() && self.started == started(self.pid)
    }
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

fn boot() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    boot.trim().to_owned()
}

/// When a process began, in the system's ticks: numbers of processes are used again.
fn started(pid: u32) -> String {
    const FIELD: usize = 19;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name of the program may hold anything, and ends with the last parenthesis.
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    after_name
        .split(' ')
        .nth(FIELD)
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_gone_holds_nothing() {
        let me = Holder::me();
        let error = Holder::refuse_if_alive(&me.text(), "sqlite:a.db#b").unwrap_err();
        let words = format!("written by process {} on", std::process::id());
        assert!(error.to_string().contains(&words), "{error}");

        let mut gone = std::process::Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let other = Holder {
            pid: gone.id(),
            ..me.clone()
        };
        assert!(Holder::refuse_if_alive(&other.text(), "").is_ok());
        let before_restart = Holder {
            boot: "another".to_owned(),
            ..me
        };
        assert!(Holder::refuse_if_alive(&before_restart.text(), "").is_ok());
    }
}
