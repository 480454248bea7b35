//! The clients: how each is started, run and checked.

use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::process::{Cost, measure};
use crate::programs::{self, PEERS, Program, target};
use test_servers::model::Server;

pub(crate) const BYTES: &str = "reqwest, bytes only";
pub(crate) const DECODER: &str = "reqwest, bare decoder, serde";
pub(crate) const LIBRARY: &str = "unspool::ask";
pub(crate) const LIBRARY_CHAT: &str = "unspool::ask, chat";
pub(crate) const COMMAND: &str = "unspool ask";
pub(crate) const ASYNC_OPENAI: &str = "async-openai 0.43.0, chat";
pub(crate) const GENAI: &str = "genai 0.7.2";
pub(crate) const GENAI_CHAT: &str = "genai 0.7.2, chat";
pub(crate) const TEXT_STREAM: &str = "anthropic 2.12.0, text_stream";

/// What clients are made of.
pub(crate) struct Programs {
    bench: Program,
    unspool: Program,
    rust_peers: Program,
    python: Program,
}

/// One way to get an answer, and what its runs took.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    arguments: Vec<String>,
    /// Whether it prints the text, and not the number of its bytes.
    prints_text: bool,
    /// The number of bytes, where it is not that of the text.
    counts: Option<usize>,
    pub(crate) runs: usize,
    pub(crate) costs: Vec<Cost>,
}

impl Programs {
    /// Builds and installs what is missing.
    pub(crate) fn find() -> io::Result<Programs> {
        Ok(Programs {
            bench: Ok(env::current_exe()?),
            unspool: programs::unspool()?,
            rust_peers: programs::rust_peers()?,
            python: programs::python()?,
        })
    }

    /// This program itself, see [`super::own`].
    pub(crate) fn own(&self, name: &'static str, words: &[&str]) -> Client {
        client(name, &self.bench, &[&["ask", "client"], words].concat())
    }

    /// The command-line tool.
    pub(crate) fn unspool(&self, name: &'static str, words: &[&str]) -> Client {
        Client {
            prints_text: true,
            ..client(name, &self.unspool, words)
        }
    }

    /// `unspool ask`.
    pub(crate) fn ask(&self, name: &'static str, url: &str) -> Client {
        let words = ["ask", "A poem about rain, please.", "--quiet"];
        self.unspool(name, &[&words[..], &["--base-url", url]].concat())
    }

    pub(crate) fn rust(&self, name: &'static str, program: &str, words: &[&str]) -> Client {
        let programs = self.rust_peers.clone();
        client(name, &programs.map(|path| path.join(program)), words)
    }

    pub(crate) fn python(&self, name: &'static str, words: &[&str]) -> Client {
        client(name, &self.python, words)
    }
}

fn client(name: &'static str, program: &Program, words: &[&str]) -> Client {
    Client {
        name,
        program: program.clone(),
        arguments: words.iter().map(|word| (*word).to_owned()).collect(),
        prints_text: false,
        counts: None,
        runs: 7,
        costs: Vec::new(),
    }
}

impl Client {
    pub(crate) fn runs(self, runs: usize) -> Client {
        Client { runs, ..self }
    }

    /// It prints this number, and not that of the text's bytes.
    pub(crate) fn counts(self, bytes: usize) -> Client {
        Client {
            counts: Some(bytes),
            ..self
        }
    }

    /// Nothing where its program is not to be had.
    pub(crate) fn command(&self) -> Option<Command> {
        let mut command = Command::new(self.program.as_ref().ok()?);
        command
            .args(&self.arguments)
            .env("ANTHROPIC_API_KEY", "none")
            .current_dir(PEERS)
            .stdin(Stdio::null());
        Some(command)
    }

    /// Runs it once and checks how many bytes of text it got.
    pub(crate) fn run(&mut self, text_bytes: usize) -> Result<(), Box<dyn Error>> {
        let Some(mut command) = self.command() else {
            return Ok(());
        };
        let output = output()?;
        let cost = measure(&mut command, &output).map_err(|error| self.failed(error))?;
        let expected = self.counts.unwrap_or(text_bytes);
        let got = match self.prints_text {
            true => fs::metadata(&output)?.len().to_string(),
            false => fs::read_to_string(&output)?.trim().to_owned(),
        };
        fs::remove_file(output)?;
        if got != expected.to_string() {
            return Err(self.failed(format!("{got} bytes instead of {expected}")));
        }
        self.costs.push(cost);
        Ok(())
    }

    fn failed(&self, error: impl std::fmt::Display) -> Box<dyn Error> {
        format!("{}: {error}", self.name).into()
    }

    pub(crate) fn best(&self) -> Option<Cost> {
        Cost::best(&self.costs)
    }
}

/// Runs every client as often as it wants, in turns, so that a noisy minute hits them all.
pub(crate) fn run_all(clients: &mut [Client], text_bytes: usize) -> Result<(), Box<dyn Error>> {
    let rounds = clients.iter().map(|client| client.runs).max().unwrap_or(0);
    for round in 0..rounds {
        for client in clients.iter_mut().filter(|client| round < client.runs) {
            client.run(text_bytes)?;
        }
    }
    Ok(())
}

/// Those who get one answer of so many deltas, beside those of Python.
pub(crate) fn rust_clients(
    programs: &Programs,
    server: &Server,
    deltas: usize,
    body_bytes: usize,
) -> Vec<Client> {
    let url = &*server.url(deltas);
    vec![
        programs.own(BYTES, &["bytes", url]).counts(body_bytes),
        programs.own(DECODER, &["decoder", url]),
        programs.own(LIBRARY, &["library", url, "anthropic"]),
        programs.own(LIBRARY_CHAT, &["library", url, "openai"]),
        programs.ask(COMMAND, url),
        programs.rust(ASYNC_OPENAI, "async_openai_chat", &[url, "text"]),
        programs.rust(GENAI, "genai_anthropic", &[url, "text"]),
        programs.rust(GENAI_CHAT, "genai_chat", &[url, "text"]),
    ]
}

/// Where a client's standard output goes.
fn output() -> io::Result<PathBuf> {
    Ok(target()?.join("bench-ask.txt"))
}
