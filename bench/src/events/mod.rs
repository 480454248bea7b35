//! `bench events`: what it costs to follow a live feed and write its events as lines,
//! beside what people use today.
//!
//! The figures are of whole processes, start-up included, each of which has to write every
//! event; of several runs the best one by CPU time counts. The server runs in this process.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Command;
use std::sync::Arc;

use test_servers::{Reply, Server};

use crate::figures::{megabytes, print_target, ratio};
use crate::process::{Cost, measure};
use crate::programs::{self, Program, target};

/// Events of the feed, of 118 bytes each.
const EVENTS: usize = 200_000;

const RUNS: usize = 5;

/// The most that we may take of what httpx-sse takes.
const TARGET: f64 = 0.1;

/// A client: its name, its program, and its arguments before the address and after it.
type Client = (&'static str, Program, Vec<&'static str>, Vec<&'static str>);

/// Prints the figures.
///
/// # Errors
///
/// A client fails or does not write all events, or the server cannot be started.
pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    if !arguments.is_empty() {
        return Err("`bench events` takes no arguments".into());
    }
    let body: Arc<Vec<u8>> = Arc::new((0..EVENTS).flat_map(event).collect());
    let served = Arc::clone(&body);
    let server = Server::start(move |_| {
        Reply::status(200)
            .header("content-type", "text/event-stream")
            .body(served.to_vec())
    });
    let url = server.url("/feed");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/httpx_sse_feed.py");
    let clients: [Client; 2] = [
        (
            "unspool events",
            programs::unspool()?,
            vec!["events"],
            vec!["--once", "--quiet"],
        ),
        ("httpx-sse 0.4.3", programs::python()?, vec![script], vec![]),
    ];
    println!(
        "## {EVENTS} events, {} MB, to lines of JSON\n",
        body.len() / 1_000_000
    );
    println!("| client | CPU s | peak MB |\n|---|---|---|");
    let mut best = Vec::new();
    for (name, program, before, after) in &clients {
        let Ok(program) = program else {
            println!("| {name} | not to be had | |");
            continue;
        };
        let mut costs = Vec::new();
        for _ in 0..RUNS {
            let mut command = Command::new(program);
            command.args(before).arg(&url).args(after);
            costs.push(followed(&mut command)?);
        }
        if let Some(cost) = Cost::best(&costs) {
            let (cpu, peak) = (cost.cpu.as_secs_f64(), megabytes(cost.peak));
            println!("| {name} | {cpu:.3} | {peak:.1} |");
            best.push(cost.cpu);
        }
    }
    if let [ours, theirs] = best[..] {
        println!();
        print_target(
            &format!("CPU to httpx-sse: {}", ratio(ours, Some(theirs))),
            ours.as_secs_f64() <= TARGET * theirs.as_secs_f64(),
        );
    }
    Ok(())
}

/// Runs a client, and checks that it wrote every event.
fn followed(command: &mut Command) -> Result<Cost, Box<dyn Error>> {
    let output = target()?.join("bench-events.ndjson");
    let cost = measure(command, &output)?;
    let lines = BufReader::new(fs::File::open(&output)?).lines().count();
    fs::remove_file(output)?;
    match lines {
        EVENTS => Ok(cost),
        lines => Err(format!("{command:?} wrote {lines} of {EVENTS} events").into()),
    }
}

fn event(number: usize) -> Vec<u8> {
    format!(
        "event: change\nid: {number}\ndata: {{\"number\":{number:06},\"title\":\"an event of a feed \
         that does not end\",\"bot\":false}}\n\n"
    )
    .into_bytes()
}
