//! A NATS server of a test's own, with JetStream: on a free port of 127.0.0.1, with its data in
//! a temporary folder; and the little of a client that tests need.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::ports::free_port;

/// How long a server may take to start.
const LONGEST_START: Duration = Duration::from_secs(60);

/// A server at work, which keeps on its disk what it was told; it ends with this value.
pub struct Nats {
    folder: TempDir,
    port: u16,
    process: Mutex<Child>,
}

impl Nats {
    /// A new server.
    ///
    /// # Errors
    ///
    /// Says why there is none: it is not installed.
    pub fn start() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let port = free_port();
        let process = Mutex::new(spawn(&folder, port)?);
        let server = Nats {
            folder,
            port,
            process,
        };
        server.wait();
        Ok(server)
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A request, and its answer as JSON.
    #[track_caller]
    pub fn request(&self, subject: &str, payload: &str) -> Value {
        let mut client = Client::connect(self.port).unwrap();
        let answer = client.request(subject, payload).unwrap();
        serde_json::from_slice(&answer).unwrap()
    }

    /// A request to the interface of JetStream, which has to succeed.
    #[track_caller]
    pub fn api(&self, subject: &str, payload: &str) -> Value {
        let answer = self.request(&format!("$JS.API.{subject}"), payload);
        assert!(answer["error"].is_null(), "{subject}: {answer}");
        answer
    }

    /// Publishes messages into a stream, and waits until it has the last one.
    #[track_caller]
    pub fn publish(&self, subject: &str, payloads: impl IntoIterator<Item = String>) {
        let mut client = Client::connect(self.port).unwrap();
        for payload in payloads {
            let answer = client.request(subject, &payload).unwrap();
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            assert!(answer["seq"].is_u64(), "{answer}");
        }
    }

    /// Kills the server, and starts it again with what it had on its disk.
    pub fn crash(&self) {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.kill().unwrap();
        process.wait().unwrap();
        *process = spawn(&self.folder, self.port).unwrap();
        drop(process);
        self.wait();
    }

    fn wait(&self) {
        let until = Instant::now() + LONGEST_START;
        loop {
            let client = Client::connect(self.port);
            if client.is_ok_and(|mut client| client.request("$JS.API.INFO", "").is_ok()) {
                return;
            }
            assert!(Instant::now() < until, "nats-server does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let process = self
            .process
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let _ = process.kill();
        let _ = process.wait();
    }
}

fn spawn(folder: &TempDir, port: u16) -> Result<Child, String> {
    Command::new("nats-server")
        .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("no nats-server (Debian has it in `nats-server`): {error}"))
}

struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    fn connect(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut client = Client {
            reader: BufReader::new(stream),
        };
        client.line()?;
        client.send(
            "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nSUB i 1\r\n",
        )?;
        Ok(client)
    }

    fn send(&mut self, text: &str) -> std::io::Result<()> {
        self.reader.get_mut().write_all(text.as_bytes())
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    fn request(&mut self, subject: &str, payload: &str) -> std::io::Result<Vec<u8>> {
        self.send(&format!(
            "PUB {subject} i {}\r\n{payload}\r\n",
            payload.len()
        ))?;
        loop {
            let line = self.line()?;
            if line.starts_with("MSG ") {
                let size: usize = line.rsplit(' ').next().unwrap().parse().unwrap();
                let mut payload = vec![0; size + 2];
                self.reader.read_exact(&mut payload)?;
                payload.truncate(size);
                return Ok(payload);
            }
            if line == "PING" {
                self.send("PONG\r\n")?;
            } else if line.is_empty() || line.starts_with("HMSG ") || line.starts_with('-') {
                return Err(std::io::Error::other(line));
            }
        }
    }
}
