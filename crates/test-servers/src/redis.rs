//! A Redis server of a test's own: on a free port of 127.0.0.1, with its data in a temporary
//! folder.

use std::path::Path;
use std::process::Command;

use crate::daemon::{Daemon, Program};
use crate::ports::free_port;

/// A server at work, which keeps on its disk what it was told; it ends with this value.
pub struct Redis {
    daemon: Daemon,
}

impl Redis {
    /// A new server.
    ///
    /// # Errors
    ///
    /// Says why there is none: it is not installed.
    pub fn start() -> Result<Self, String> {
        Redis::start_with(vec![])
    }

    /// A new server that listens on another port as well, with TLS, with this certificate and
    /// key (files of PEM). Gives it with that port.
    ///
    /// # Errors
    ///
    /// As [`start`](Redis::start).
    pub fn start_with_tls(certificate: &Path, key: &Path) -> Result<(Self, u16), String> {
        let port = free_port();
        let (tls_port, text) = (port.to_string(), |path: &Path| path.display().to_string());
        let (certificate, key) = (text(certificate), text(key));
        let files = ["--tls-cert-file", &certificate, "--tls-key-file", &key];
        let flags = [
            &["--tls-port", &tls_port, "--tls-auth-clients", "no"][..],
            &files,
        ]
        .concat();
        let flags = flags.into_iter().map(str::to_owned).collect();
        Ok((Redis::start_with(flags)?, port))
    }

    fn start_with(flags: Vec<String>) -> Result<Self, String> {
        let command = move |folder: &Path, port: u16| {
            let mut command = Command::new("redis-server");
            command
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
                .args(["--appendonly", "yes", "--appendfsync", "no", "--save", ""])
                .arg("--dir")
                .arg(folder)
                .args(&flags);
            command
        };
        let daemon = Daemon::start(Program {
            name: "redis-server",
            package: "redis-server",
            command: Box::new(command),
            is_up: |port| {
                let asked = cli(port).arg("ping").output().unwrap();
                asked.stdout.starts_with(b"PONG")
            },
        });
        Ok(Redis { daemon: daemon? })
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.daemon.host()
    }

    /// Kills the server, and starts it again with what it had on its disk.
    pub fn crash(&self) {
        self.daemon.crash();
    }

    /// What `redis-cli` prints for a command.
    #[track_caller]
    pub fn cli(&self, words: &[&str]) -> String {
        let output = cli(self.daemon.port()).args(words).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {errors}");
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }

    /// Runs commands, a line each.
    #[track_caller]
    pub fn run(&self, commands: &str) {
        let input = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut &input, commands.as_bytes()).unwrap();
        std::io::Seek::rewind(&mut &input).unwrap();
        let output = cli(self.daemon.port()).stdin(input).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{commands}: {errors}");
    }
}

/// Redis' own client of the server on this port, which fails where a command does.
fn cli(port: u16) -> Command {
    let mut command = Command::new("redis-cli");
    command.args(["-p", &port.to_string(), "-e"]);
    command
}
