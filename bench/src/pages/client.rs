//! The clients: how each is started, run and checked.

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::Value;

use crate::process::{Cost, measure};
use crate::programs::{self, PEERS, Program, succeed, target};
use test_servers::orders::{FIRST_ID, Orders, Server};

pub(crate) const UNSPOOL: &str = "unspool pages";
pub(crate) const UNSPOOL_IN_FLIGHT: &str = "unspool pages, 8 in flight";
pub(crate) const HYPER: &str = "hyper, bytes only";

/// Stands for the address in a client's arguments.
const URL: &str = "URL";

/// One way to get the items, and what its runs took.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    arguments: Vec<&'static str>,
    /// The number that it prints, where it does not print the items.
    pub(crate) prints: Option<usize>,
    pub(crate) runs: usize,
    pub(crate) costs: Vec<Cost>,
}

impl Client {
    pub(crate) fn runs(self, runs: usize) -> Client {
        Client { runs, ..self }
    }

    pub(crate) fn prints(self, number: usize) -> Client {
        Client {
            prints: Some(number),
            ..self
        }
    }

    /// Nothing where its program is not to be had.
    pub(crate) fn command(&self, url: &str) -> Option<Command> {
        let mut command = Command::new(self.program.as_ref().ok()?);
        for &argument in &self.arguments {
            command.arg(if argument == URL { url } else { argument });
        }
        command.current_dir(PEERS).stdin(Stdio::null());
        Some(command)
    }
}

/// What clients are made of.
pub(crate) struct Programs {
    unspool: Program,
    python: Program,
    shell: Program,
    bench: Program,
}

impl Programs {
    /// Builds and installs what is missing.
    pub(crate) fn find() -> io::Result<Programs> {
        let shell = succeed("curl", &["--version"]).and_then(|()| succeed("jq", &["--version"]));
        Ok(Programs {
            unspool: programs::unspool()?,
            python: programs::python()?,
            shell: shell.map(|()| "bash".into()),
            bench: Ok(env::current_exe()?),
        })
    }

    pub(crate) fn unspool(&self) -> Client {
        client(UNSPOOL, &self.unspool, &["pages", URL, "--quiet"])
    }

    /// With this many pages in flight, of the number that there are.
    pub(crate) fn unspool_in_flight(&self, last_page: &'static str) -> Client {
        let flags = ["--paginate", last_page, "--in-flight", "8"];
        let arguments = [&["pages", URL, "--quiet"][..], &flags].concat();
        client(UNSPOOL_IN_FLIGHT, &self.unspool, &arguments)
    }

    pub(crate) fn python(&self, name: &'static str, script: &'static str) -> Client {
        client(name, &self.python, &[script, URL])
    }

    pub(crate) fn ijson_count(&self) -> Client {
        client(
            super::IJSON_COUNT,
            &self.python,
            &["httpx_ijson.py", URL, "count"],
        )
    }

    pub(crate) fn curl_jq(&self) -> Client {
        client("curl, jq", &self.shell, &["curl_jq.sh", URL])
    }

    /// This program itself, see [`super::floor`].
    pub(crate) fn hyper(&self) -> Client {
        client(HYPER, &self.bench, &["pages", "hyper", URL])
    }

    /// This program itself, see [`super::floor`].
    pub(crate) fn floor(&self) -> Client {
        client("reqwest, bytes only", &self.bench, &["pages", "floor", URL])
    }
}

fn client(name: &'static str, program: &Program, arguments: &[&'static str]) -> Client {
    Client {
        name,
        program: program.clone(),
        arguments: arguments.to_vec(),
        prints: None,
        runs: 5,
        costs: Vec::new(),
    }
}

/// Runs every client as often as it wants, in turns, so that a noisy minute hits them all.
pub(crate) fn measure_all(
    clients: &mut [Client],
    server: &Server,
    path: &str,
    items: usize,
) -> Result<(), Box<dyn Error>> {
    let output = target()?.join("bench-pages.ndjson");
    let rounds = clients.iter().map(|client| client.runs).max().unwrap_or(0);
    for round in 0..rounds {
        for client in clients.iter_mut().filter(|client| round < client.runs) {
            let Some(mut command) = client.command(&server.url(path)) else {
                continue;
            };
            let cost = measure(&mut command, &output)
                .map_err(Into::into)
                .and_then(|cost| check(client, &output, items, server.orders()).map(|()| cost))
                .map_err(|error: Box<dyn Error>| format!("{} at {path}: {error}", client.name))?;
            client.costs.push(cost);
        }
    }
    fs::remove_file(output)?;
    Ok(())
}

/// Sees to it that a client printed every item once, in order, as JSON.
fn check(
    client: &Client,
    output: &Path,
    items: usize,
    orders: &Orders,
) -> Result<(), Box<dyn Error>> {
    #[derive(Deserialize)]
    struct Line {
        id: usize,
    }
    if let Some(expected) = client.prints {
        let printed = fs::read_to_string(output)?;
        return if printed.trim() == expected.to_string() {
            Ok(())
        } else {
            Err(format!("it printed `{printed}` instead of `{expected}`").into())
        };
    }
    let mut lines = BufReader::new(File::open(output)?);
    let (mut line, mut item) = (Vec::new(), Vec::new());
    let mut count = 0;
    while lines.read_until(b'\n', &mut line)? > 0 {
        let id = serde_json::from_slice::<Line>(&line)?.id;
        if id != FIRST_ID + count {
            return Err(format!(
                "line {} has the id {id} instead of {}",
                count + 1,
                FIRST_ID + count
            )
            .into());
        }
        // Comparing them all would take longer than the runs.
        if count % 1000 == 0 {
            orders.append(count, &mut item);
            if serde_json::from_slice::<Value>(&line)? != serde_json::from_slice::<Value>(&item)? {
                return Err(format!("line {} is not the item that was sent", count + 1).into());
            }
            item.clear();
        }
        line.clear();
        count += 1;
    }
    if count == items {
        Ok(())
    } else {
        Err(format!("{count} items instead of {items}").into())
    }
}
