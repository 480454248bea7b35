//! `bench events [GROUP]...`: what it costs to follow live feeds, beside what people use today.
//!
//! The figures are of whole processes, start-up included; of several runs the best one by CPU
//! time counts. The servers run in this process.

mod client;
mod memory;
mod servers;

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use test_servers::{Reply, Server};

pub(crate) use client::answer;

use crate::figures::{megabytes, print_target, ratio};
use crate::process::{Cost, measure, peak_of};
use crate::programs::{self, Program, target};

/// Events of the feed, of 118 bytes each.
const EVENTS: usize = 200_000;

const RUNS: usize = 5;

/// The most that we may take of what httpx-sse takes.
const TARGET: f64 = 0.1;

/// Messages of the WebSocket, of 101 bytes each, and how many a second of CPU time must take.
const MESSAGES: usize = 2_000_000;
const MESSAGE_TARGET: f64 = 1e6;

/// Feeds that are open at once, and what each may take.
const FEEDS: usize = 5_000;
const FEED_TARGET: u64 = 12 << 10;

/// The limit of an event by default.
const LIMIT: u64 = 16 << 20;

/// Prints the figures of a group.
type Group = fn() -> Result<(), Box<dyn Error>>;

/// What the groups measure.
const GROUPS: &[(&str, Group)] = &[
    // First, as the kernel counts the peak of a child from before its program.
    ("large", large),
    ("idle", idle),
    ("sockets", sockets),
    ("feed", feed),
];

/// A client: its name, its program, and its arguments before the address and after it.
type Client = (&'static str, Program, Vec<&'static str>, Vec<&'static str>);

/// Prints the figures.
///
/// # Errors
///
/// A client fails or does not take all events, or a server cannot be started.
pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let names: Vec<&str> = GROUPS.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = arguments
        .iter()
        .find(|name| !names.contains(&name.as_str()))
    {
        return Err(format!("no group `{unknown}`; there are {names:?}").into());
    }
    for (name, group) in GROUPS {
        if arguments.is_empty() || arguments.iter().any(|wanted| wanted == name) {
            group()?;
            println!();
        }
    }
    Ok(())
}

/// Server-sent events to lines of JSON.
fn feed() -> Result<(), Box<dyn Error>> {
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

/// Messages of a WebSocket, before they are written anywhere.
fn sockets() -> Result<(), Box<dyn Error>> {
    let url = servers::sockets(MESSAGES)?;
    let costs: Result<Vec<Cost>, Box<dyn Error>> = (0..RUNS)
        .map(|_| {
            Ok(measure(
                &mut itself("drain", &url, MESSAGES)?,
                "/dev/null".as_ref(),
            )?)
        })
        .collect();
    let cost = Cost::best(&costs?).ok_or("there was no run")?;
    let rate = MESSAGES as f64 / cost.cpu.as_secs_f64();
    println!("## {MESSAGES} text messages of a WebSocket, 101 bytes each\n");
    println!("| client | CPU s | k messages / CPU s | peak MB |\n|---|---|---|---|");
    let (cpu, peak) = (cost.cpu.as_secs_f64(), megabytes(cost.peak));
    println!(
        "| unspool::events | {cpu:.3} | {:.0} | {peak:.1} |\n",
        rate / 1e3
    );
    let text = format!("{:.2} M messages per CPU second", rate / 1e6);
    print_target(&text, rate >= MESSAGE_TARGET);
    Ok(())
}

/// Feeds that are open and say nothing.
fn idle() -> Result<(), Box<dyn Error>> {
    let url = servers::quiet()?;
    let output = itself("idle", &url, FEEDS)?
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let figures: Vec<u64> = (text.split_whitespace())
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [each, all, peak] = figures[..] else {
        return Err(format!("the client ended with {}: {text}", output.status).into());
    };
    println!("## {FEEDS} feeds of one event, open and idle\n");
    println!("| client | bytes a feed | MB | peak MB |\n|---|---|---|---|");
    let (all, peak) = (megabytes(all), megabytes(peak));
    println!("| unspool::events | {each} | {all:.1} | {peak:.1} |\n");
    print_target(&format!("{each} bytes a feed"), each <= FEED_TARGET);
    Ok(())
}

/// A line that never ends, and an event of 100 MB: refused at the limit, or taken where it is
/// raised.
fn large() -> Result<(), Box<dyn Error>> {
    const SIZE: usize = 100_000_000;
    println!("## The peak of `unspool events` where an event is large\n");
    println!("| upstream | `--max-item` | peak MB | of the limit |\n|---|---|---|---|");
    let endless = servers::large(5 * SIZE, "")?;
    let event = servers::large(SIZE, "\n\n")?;
    let mut is_met = true;
    for (name, url, limit) in [
        ("a line of 500 MB that does not end", &endless, LIMIT),
        ("an event of 100 MB", &event, LIMIT),
        ("an event of 100 MB", &event, 128 << 20),
    ] {
        let Ok(program) = programs::unspool()? else {
            return Err("`unspool` was not built".into());
        };
        let mut command = Command::new(program);
        command.args(["events", url, "--once", "--quiet", "--max-item"]);
        let (peak, is_whole) = peak_of(command.arg(limit.to_string()))?;
        let part = peak as f64 / limit as f64;
        let is_taken = name.contains("event") && limit > SIZE as u64;
        if is_whole != is_taken {
            return Err(format!("{name}, limit {limit}: taken: {is_whole}").into());
        }
        is_met &= part < 2.0;
        let (limit, peak) = (megabytes(limit), megabytes(peak));
        println!("| {name} | {limit:.1} MB | {peak:.1} | {part:.2}x |");
    }
    println!();
    print_target("below twice the limit", is_met);
    Ok(())
}

/// This program as a client.
fn itself(what: &str, url: &str, count: usize) -> Result<Command, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["event-client", what, url, &count.to_string()]);
    Ok(command)
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
