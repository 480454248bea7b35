//! A NATS server of a test's own, with JetStream: on a free port of 127.0.0.1, with its data in
//! a temporary folder; and the little of a client that tests need.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::daemon::{Daemon, Program};

/// A server at work, which keeps on its disk what it was told; it ends with this value.
pub struct Nats {
    daemon: Daemon,
}

impl Nats {
    /// A new server.
    ///
    /// # Errors
    ///
    /// Says why there is none: it is not installed.
    pub fn start() -> Result<Self, String> {
        Nats::start_with("")
    }

    /// A new server whose configuration has this as well. What is asked here is asked without a
    /// password and without TLS.
    ///
    /// # Errors
    ///
    /// As [`start`](Nats::start).
    pub fn start_with(config: &str) -> Result<Self, String> {
        let config = config.to_owned();
        let command = move |folder: &Path, port: u16| {
            let file = folder.join("nats.conf");
            let data = folder.join("data");
            let begin = format!("jetstream {{ store_dir: \"{}\" }}\n", data.display());
            std::fs::write(&file, begin + &config).unwrap();
            let mut command = Command::new("nats-server");
            command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-c"]);
            command.arg(file);
            command
        };
        let daemon = Daemon::start(Program {
            name: "nats-server",
            package: "nats-server",
            command: Box::new(command),
            is_up: |port| Client::connect(port).is_ok_and(|mut client| client.is_ready()),
        });
        Ok(Nats { daemon: daemon? })
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.daemon.host()
    }

    /// Kills the server, and starts it again with what it had on its disk.
    pub fn crash(&self) {
        self.daemon.crash();
    }

    /// A request, and its answer as JSON.
    #[track_caller]
    pub fn request(&self, subject: &str, payload: &str) -> Value {
        let mut client = Client::connect(self.daemon.port()).unwrap();
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
        let mut client = Client::connect(self.daemon.port()).unwrap();
        for payload in payloads {
            let answer = client.request(subject, &payload).unwrap();
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            assert!(answer["seq"].is_u64(), "{answer}");
        }
    }
}

struct Client {
    reader: BufReader<TcpStream>,
    /// What the server says of itself at first.
    info: String,
}

impl Client {
    fn connect(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut client = Client {
            reader: BufReader::new(stream),
            info: String::new(),
        };
        client.info = client.line()?;
        client.send(
            "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nSUB i 1\r\n",
        )?;
        Ok(client)
    }

    /// Whether the server is ready: it has JetStream, or wants to know first who asks.
    fn is_ready(&mut self) -> bool {
        let wants = |name: &str| self.info.contains(&format!("\"{name}\":true"));
        let is_closed = wants("tls_required") || wants("auth_required");
        is_closed || self.request("$JS.API.INFO", "").is_ok()
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
