//! A program that serves on a free port of 127.0.0.1, with what it keeps in a temporary folder.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::ports::free_port;

/// How long a server may take to start.
const LONGEST_START: Duration = Duration::from_secs(60);

/// A server at work; it ends with this value, and with it goes what it kept.
pub(crate) struct Daemon {
    folder: TempDir,
    port: u16,
    program: Program,
    process: Mutex<Child>,
}

/// The command that runs a server in a folder, on a port.
type RunIn = dyn Fn(&Path, u16) -> Command + Send + Sync;

/// How a server is started.
pub(crate) struct Program {
    /// Its name, and the Debian package that has it.
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    pub(crate) command: Box<RunIn>,
    /// Whether the one on this port answers.
    pub(crate) is_up: fn(port: u16) -> bool,
}

impl Daemon {
    /// Starts one, and waits until it answers.
    ///
    /// # Errors
    ///
    /// Says why there is none: it is not installed.
    pub(crate) fn start(program: Program) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let port = free_port();
        let process = Mutex::new(program.spawn(folder.path(), port)?);
        let server = Daemon {
            folder,
            port,
            program,
            process,
        };
        server.wait();
        Ok(server)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Kills the server, and starts it again with what it had on its disk.
    pub(crate) fn crash(&self) {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        end(&mut process);
        *process = self.program.spawn(self.folder.path(), self.port).unwrap();
        drop(process);
        self.wait();
    }

    fn wait(&self) {
        let until = Instant::now() + LONGEST_START;
        while !(self.program.is_up)(self.port) {
            let words = fs::read_to_string(self.folder.path().join("words"));
            let name = self.program.name;
            let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
            let has_ended = process.try_wait().unwrap().is_some();
            assert!(
                !has_ended && Instant::now() < until,
                "{name} does not start: {words:?}"
            );
            drop(process);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Program {
    fn spawn(&self, folder: &Path, port: u16) -> Result<Child, String> {
        let words = fs::File::create(folder.join("words")).map_err(|error| error.to_string())?;
        let errors = words.try_clone().map_err(|error| error.to_string())?;
        let (name, package) = (self.name, self.package);
        (self.command)(folder, port)
            .stdin(Stdio::null())
            .stdout(words)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("no {name} (Debian has it in `{package}`): {error}"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let process = self
            .process
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        end(process);
    }
}

/// Kills a process, and its children, which would live on.
fn end(process: &mut Child) {
    let parent = process.id().to_string();
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    let _ = process.kill();
    let _ = process.wait();
    for child in children.unwrap_or_default().split_whitespace() {
        let _ = Command::new("kill").args(["-KILL", child]).status();
    }
}
