//! `bench ask`: what the answer of a language model costs, against the loops that people
//! write today.
//!
//! The figures are of whole processes, start-up included, each of which has to get all bytes
//! of the text; where several runs are made, the best one by CPU time counts. The server
//! runs in this process, on another core.
//!
//! Measured on two cores that others kept busy. `bench ask answer`, 100,000 deltas:
//!
//! | client | CPU s | peak MB | CPU to the bare decoder |
//! |---|---|---|---|
//! | reqwest, bytes only | 0.104 | 6.6 | 1/1.7 |
//! | reqwest, bare decoder, serde | 0.175 | 7.2 | 1.0x |
//! | unspool::ask | 0.259 | 8.4 | 1.5x |
//! | unspool::ask, chat | 0.329 | 8.2 | 1.9x |
//! | unspool ask | 0.322 | 9.9 | 1.8x |
//! | async-openai 0.43.0, chat | 0.374 | 5.1 | 2.1x |
//! | genai 0.7.2 | 0.407 | 5.5 | 2.3x |
//! | genai 0.7.2, chat | 0.896 | 5.7 | 5.1x |
//! | httpx-sse 0.4.3, chat | 6.460 | 31.7 | 36.9x |
//! | anthropic 2.12.0, raw events | 13.143 | 94.0 | 75.1x |
//! | openai 3.54.0, chat | 37.623 | 67.1 | 215.1x |
//! | anthropic 2.12.0, text_stream | 34.442 | 97.7 | 196.9x |
//!
//! The target of 1.3 times the bare decoder is missed; those against the peers are met.
//!
//! `bench ask many`, 256 answers of 500 deltas: 0.366 s of CPU with one client, 0.389 with
//! one each, 30.868 for `text_stream`. `bench ask slow`, a million deltas to a reader that
//! takes 20 a second: a peak of 6.8 MB and 3.9 MB taken, 1,550 and 245 MB for async-openai.
//! `bench ask start`, medians: the first character after 6.1 ms, and after 22.2 ms where the
//! answer goes on, as a pipe gets text every 16 ms; `unspool --version` in 2.6 ms.

mod client;
mod own;

use std::error::Error;
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use client::{
    ASYNC_OPENAI, COMMAND, Client, DECODER, GENAI, GENAI_CHAT, LIBRARY, LIBRARY_CHAT, Programs,
    TEXT_STREAM, run_all, rust_clients,
};
use test_servers::model::Server;

use crate::figures::{megabytes, print_target, ratio};
use crate::process::{Cost, instructions, peak_until};
use crate::sse::{WORDS, text_bytes, word};

/// Deltas of the one long answer.
const DELTAS: usize = 100_000;

/// Answers at a time, and the deltas of each.
const ANSWERS: usize = 256;
const DELTAS_EACH: usize = 500;

/// Deltas of an answer that nobody can read to its end in time, and how long is tried.
const ENDLESS: usize = 1_000_000;
const SLOW: Duration = Duration::from_secs(5);

/// Peak memory behind a slow reader, in bytes.
const PEAK_TARGET: u64 = 12_000_000;
/// What the kernel's buffers hold at most, in bytes.
const TAKEN_TARGET: u64 = 16_000_000;

const SHARED: &str = "unspool::ask, one client";
const PLAIN: &str = "unspool::ask, each its own client";
const VERSION: &str = "unspool --version";
const HELD: &str = "unspool ask, an answer that goes on";

type Done = Result<(), Box<dyn Error>>;

/// Prints the figures of a group, or of all.
///
/// # Errors
///
/// A client fails or gives a wrong answer, or the server cannot be started.
pub(crate) fn run(arguments: &[String]) -> Done {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let groups: &[Group] = match words[..] {
        ["client", ..] => return own::run(&arguments[1..]),
        [] => &[answer, counts, many, slow, start],
        ["answer"] => &[answer],
        ["counts"] => &[counts],
        ["many"] => &[many],
        ["slow"] => &[slow],
        ["start"] => &[start],
        _ => {
            let groups = "`answer`, `counts`, `many`, `slow` and `start`";
            return Err(format!("`bench ask` takes one group or none: {groups}").into());
        }
    };
    let words: Vec<&str> = (0..WORDS.len()).map(word).collect();
    let (server, programs) = (Server::start(&words)?, Programs::find()?);
    for group in groups {
        group(&server, &programs)?;
        println!();
    }
    Ok(())
}

type Group = fn(&Server, &Programs) -> Done;

/// One long answer.
fn answer(server: &Server, programs: &Programs) -> Done {
    println!(
        "## One answer of {DELTAS} deltas, {} MB\n",
        server.body_bytes(DELTAS) / 1_000_000
    );
    let url = &*server.url(DELTAS);
    let mut clients = rust_clients(programs, server, DELTAS, server.body_bytes(DELTAS));
    let script = "anthropic_text_stream.py";
    clients.extend(
        [
            programs.python("httpx-sse 0.4.3, chat", &["httpx_sse_chat.py", url, "text"]),
            programs.python("anthropic 2.12.0, raw events", &[script, url, "events"]),
            programs.python("openai 3.54.0, chat", &["openai_chat.py", url, "text"]),
            programs.python(TEXT_STREAM, &[script, url, "text"]),
        ]
        .map(|client| client.runs(1)),
    );
    run_all(&mut clients, text_bytes(DELTAS))?;
    print_costs(&clients, DECODER);
    for own in [LIBRARY, COMMAND] {
        print_times_target(&clients, own, DECODER, 1.3);
        print_part_target(&clients, own, TEXT_STREAM, 50);
    }
    for (own, other) in [
        (LIBRARY_CHAT, ASYNC_OPENAI),
        (LIBRARY_CHAT, GENAI_CHAT),
        (LIBRARY, GENAI),
    ] {
        print_times_target(&clients, own, other, 1.0);
    }
    Ok(())
}

/// The same without the noise: instructions outside of the kernel.
fn counts(server: &Server, programs: &Programs) -> Done {
    let (few, many) = (DELTAS / 10, DELTAS / 5);
    println!("## Instructions for each delta after the first {few}, by callgrind\n");
    println!("| client | instructions | to `{DECODER}` |\n|---|---|---|");
    let mut counted: Vec<(&str, f64)> = Vec::new();
    let clients = |deltas| rust_clients(programs, server, deltas, 0);
    for (short, long) in clients(few).iter().zip(clients(many)) {
        let (Some(begin), Some(all)) = (short.command(), long.command()) else {
            continue;
        };
        let added = instructions(&all)? - instructions(&begin)?;
        counted.push((short.name, added / (many - few) as f64));
    }
    let of = |name: &str| counted.iter().find(|(known, _)| *known == name);
    let floor = of(DECODER).map_or(f64::NAN, |(_, count)| *count);
    for (name, count) in &counted {
        println!("| {name} | {count:.0} | {:.2}x |", count / floor);
    }
    Ok(())
}

/// Many answers at a time on one thread.
fn many(server: &Server, programs: &Programs) -> Done {
    println!("## {ANSWERS} answers at a time, {DELTAS_EACH} deltas each, on one thread\n");
    let url = &*server.url(DELTAS_EACH);
    let count = &*ANSWERS.to_string();
    let script = ["anthropic_text_stream.py", url, "text"];
    let mut clients = vec![
        programs.own(DECODER, &["many", url, count, "decoder"]),
        programs.own(SHARED, &["many", url, count, "shared"]),
        programs.own(PLAIN, &["many", url, count, "plain"]),
        programs
            .python(
                TEXT_STREAM,
                &[&script[..], &["--concurrency", count]].concat(),
            )
            .runs(1),
    ];
    run_all(&mut clients, ANSWERS * text_bytes(DELTAS_EACH))?;
    print_costs(&clients, DECODER);
    for own in [SHARED, PLAIN] {
        print_part_target(&clients, own, TEXT_STREAM, 50);
    }
    Ok(())
}

/// Readers that take 20 deltas a second of an answer that comes much faster.
fn slow(server: &Server, programs: &Programs) -> Done {
    println!(
        "## {ENDLESS} deltas, {} MB, to a reader that takes 20 a second for {SLOW:?}\n",
        server.body_bytes(ENDLESS) / 1_000_000
    );
    println!("| client | peak MB | MB taken from the server |\n|---|---|---|");
    let url = &*server.url(ENDLESS);
    let script = "anthropic_text_stream.py";
    let clients = [
        programs.own(LIBRARY, &["slow", url, &ENDLESS.to_string()]),
        programs.rust(GENAI, "genai_anthropic", &[url, "slow"]),
        programs.rust(ASYNC_OPENAI, "async_openai_chat", &[url, "slow"]),
        programs.python(TEXT_STREAM, &[script, url, "slow"]),
    ];
    let mut own = None;
    for client in clients {
        let Some(mut command) = client.command() else {
            continue;
        };
        let before = server.sent();
        let peak = peak_until(&mut command, SLOW)?;
        let taken = server.sent() - before;
        println!(
            "| {} | {:.1} | {:.1} |",
            client.name,
            megabytes(peak),
            megabytes(taken)
        );
        if client.name == LIBRARY {
            own = Some((peak, taken));
        }
    }
    println!();
    if let Some((peak, taken)) = own {
        let text = format!(
            "peak below {} MB: {:.1} MB",
            megabytes(PEAK_TARGET),
            megabytes(peak)
        );
        print_target(&text, peak < PEAK_TARGET);
        let text = format!(
            "no more taken than buffers hold, {} MB: {:.1} MB",
            megabytes(TAKEN_TARGET),
            megabytes(taken)
        );
        print_target(&text, taken < TAKEN_TARGET);
    }
    Ok(())
}

/// From the start of a process to the first character that it prints.
fn start(server: &Server, programs: &Programs) -> Done {
    println!("## From the start of the process to its first character in a pipe\n");
    println!("| client | runs | ms, best | ms, median | instructions, millions |");
    println!("|---|---|---|---|---|");
    let (url, held) = (server.url(1), server.held_url());
    let script = "anthropic_text_stream.py";
    let clients = [
        (programs.unspool(VERSION, &["--version"]).runs(50), 10.0),
        (programs.ask(COMMAND, &url).runs(50), 50.0),
        (programs.ask(HELD, &held).runs(20), 50.0),
        (
            programs
                .python(TEXT_STREAM, &[script, &url, "text"])
                .runs(3),
            f64::NAN,
        ),
    ];
    let mut reached = Vec::new();
    for (client, target) in &clients {
        let Some(mut command) = client.command() else {
            continue;
        };
        let mut waits = Vec::new();
        for _ in 0..client.runs {
            waits.push(first_byte(&mut command)?.as_secs_f64() * 1e3);
        }
        waits.sort_by(f64::total_cmp);
        let (best, median) = (waits[0], waits[waits.len() / 2]);
        let count = match target.is_nan() {
            true => String::new(),
            false => format!("{:.1}", instructions(&command)? / 1e6),
        };
        println!(
            "| {} | {} | {best:.1} | {median:.1} | {count} |",
            client.name, client.runs
        );
        if !target.is_nan() {
            reached.push((client.name, *target, median));
        }
    }
    println!();
    for (name, target, median) in reached {
        let text = format!("`{name}` below {target} ms, median: {median:.1} ms");
        print_target(&text, median < target);
    }
    Ok(())
}

/// How long it takes until a command has printed something; it is ended then.
fn first_byte(command: &mut Command) -> Result<Duration, Box<dyn Error>> {
    let begin = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut output = child.stdout.take().ok_or("a child without its output")?;
    let mut byte = [0];
    let count = output.read(&mut byte)?;
    let took = begin.elapsed();
    child.kill()?;
    child.wait()?;
    // What it has left to the kernel is over soon.
    thread::sleep(Duration::from_millis(5));
    match count {
        0 => Err("it printed nothing".into()),
        _ => Ok(took),
    }
}

fn print_costs(clients: &[Client], reference: &str) {
    println!("| client | runs | CPU s | wall s | peak MB | CPU to `{reference}` |");
    println!("|---|---|---|---|---|---|");
    let reference = best(clients, reference);
    for client in clients {
        match (&client.program, client.best()) {
            (_, Some(Cost { cpu, wall, peak })) => println!(
                "| {} | {} | {:.3} | {:.2} | {:.1} | {} |",
                client.name,
                client.runs,
                cpu.as_secs_f64(),
                wall.as_secs_f64(),
                megabytes(peak),
                ratio(cpu, reference),
            ),
            (Err(reason), None) => println!("| {} | skipped: {reason} | | | | |", client.name),
            (Ok(_), None) => {}
        }
    }
    println!();
}

/// At most so many times the CPU time of another.
fn print_times_target(clients: &[Client], own: &str, other: &str, times: f64) {
    if let (Some(cpu), Some(reference)) = (best(clients, own), best(clients, other)) {
        let found = cpu.as_secs_f64() / reference.as_secs_f64();
        let text = format!("CPU of `{own}` at most {times} times `{other}`: {found:.2}");
        print_target(&text, found <= times);
    }
}

/// At most such a part of the CPU time of another.
fn print_part_target(clients: &[Client], own: &str, other: &str, part: u32) {
    if let (Some(cpu), Some(reference)) = (best(clients, own), best(clients, other)) {
        let found = ratio(cpu, Some(reference));
        let text = format!("CPU of `{own}` at most 1/{part} of `{other}`: {found}");
        print_target(&text, cpu * part <= reference);
    }
}

fn best(clients: &[Client], name: &str) -> Option<Duration> {
    let client = clients.iter().find(|client| client.name == name)?;
    client.best().map(|cost| cost.cpu)
}
