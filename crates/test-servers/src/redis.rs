//! A Redis server of a test's own: on a free port of 127.0.0.1, with its data in a temporary
//! folder.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::ports::free_port;

/// How long a server may take to start.
const LONGEST_START: Duration = Duration::from_secs(60);

/// A server at work, which keeps on its disk what it was told; it ends with this value.
pub struct Redis {
    folder: TempDir,
    port: u16,
    flags: Vec<String>,
    process: Mutex<Child>,
}

impl Redis {
    /// A new server.
    ///
    /// # Errors
    ///
    /// Says why there is none: it is not installed.
    pub fn start() -> Result<Self, String> {
        Redis::start_with(&[])
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
        Ok((Redis::start_with(&flags)?, port))
    }

    fn start_with(flags: &[&str]) -> Result<Self, String> {
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let port = free_port();
        let process = Mutex::new(spawn(&folder, port, &flags)?);
        let server = Redis {
            folder,
            port,
            flags,
            process,
        };
        server.wait();
        Ok(server)
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What `redis-cli` prints for a command.
    #[track_caller]
    pub fn cli(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string(), "-e"])
            .args(words)
            .output()
            .unwrap();
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
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string(), "-e"])
            .stdin(input)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{commands}: {errors}");
    }

    /// Kills the server, and starts it again with what it had on its disk.
    pub fn crash(&self) {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.kill().unwrap();
        process.wait().unwrap();
        *process = spawn(&self.folder, self.port, &self.flags).unwrap();
        drop(process);
        self.wait();
    }

    fn wait(&self) {
        let until = Instant::now() + LONGEST_START;
        loop {
            let ready = Command::new("redis-cli")
                .args(["-p", &self.port.to_string(), "ping"])
                .output()
                .unwrap();
            if ready.stdout.starts_with(b"PONG") {
                return;
            }
            assert!(Instant::now() < until, "redis-server does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let process = self
            .process
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let _ = process.kill();
        let _ = process.wait();
    }
}

fn spawn(folder: &TempDir, port: u16, flags: &[String]) -> Result<Child, String> {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--appendonly", "yes", "--appendfsync", "no", "--save", ""])
        .arg("--dir")
        .arg(folder.path())
        .args(flags)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("no redis-server (Debian has it in `redis-server`): {error}"))
}
