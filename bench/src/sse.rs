//! `bench sse`: what it costs to decode server-sent events in memory, beside its floor
//! and what people use today.
//!
//! Every figure is the best of several runs by the CPU time of its thread, the engines in
//! turn. Each run is checked: it finds all events and all bytes of their data. Events are
//! owned, as whoever takes them across an `await` needs them, but in the rows that say
//! otherwise.
//!
//! Measured on two cores (MB/s):
//!
//! | engine | chunks of one event | 1-16384 bytes | 1-64 bytes |
//! |---|---|---|---|
//! | memchr, newlines | 7444 | 18268 | 1134 |
//! | unspool | 689 | 863 | 331 |
//! | unspool, the text by serde | 375 | 410 | 228 |
//! | sse-stream 0.3.0 | 960 | 1118 | 416 |
//! | sseer 0.3.1 | 676 | 645 | 328 |
//! | eventsource-stream 0.2.3 | 338 | 219 | 132 |
//!
//! That is from before two empty ids were no longer compared, which took half of the time: the
//! same loop by itself, in chunks of 1 to 16384 bytes, went from 743 to 1739.

mod corpus;

use std::borrow::Cow;
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use unspool::sse::Decoder;

use corpus::{Cut, EVENTS, data_bytes, stream};
pub(crate) use corpus::{WORDS, word};

use crate::figures::print_target;
use crate::process::cpu_time;
use crate::programs;

const RUNS: usize = 7;

/// Megabytes a second of owned events in random chunks.
const TARGET: f64 = 1000.0;

const OURS: &str = "unspool";
const FLOOR: &str = "memchr, newlines";

/// What an engine finds: events and bytes.
type Found = (usize, usize);

/// Reads a stream in chunks of these lengths.
type Engine = fn(&Bytes, &[usize]) -> Result<Found, Box<dyn Error>>;

const ENGINES: [(&str, Engine); 3] = [
    (FLOOR, |stream, lengths| {
        let newlines: usize = chunks(stream, lengths)
            .map(|chunk| memchr::memchr_iter(b'\n', &chunk).count())
            .sum();
        Ok((newlines / 3, data_bytes()))
    }),
    (OURS, |stream, lengths| {
        decode(stream, lengths, |data| Ok(data.len()))
    }),
    ("unspool, the text by serde", |stream, lengths| {
        let (events, bytes) = decode(stream, lengths, |data| Ok(text(data)?.len()))?;
        match bytes == text_bytes(EVENTS) {
            true => Ok((events, data_bytes())),
            false => Err(format!("the texts have {bytes} bytes together").into()),
        }
    }),
];

/// The engines of `rust-peers`, by the names that its program has for them.
const PEERS: [&str; 3] = [
    "sse-stream 0.3.0",
    "sseer 0.3.1",
    "eventsource-stream 0.2.3",
];

/// Measures all engines and prints the table.
///
/// # Errors
///
/// There are arguments, or an engine gives a wrong answer.
pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    if !arguments.is_empty() {
        return Err("`bench sse` takes no arguments".into());
    }
    let whole = Bytes::from(stream());
    let peers = programs::rust_peers()?;
    let mut best = [[Duration::MAX; Cut::ALL.len()]; ENGINES.len() + PEERS.len()];
    for (column, cut) in Cut::ALL.into_iter().enumerate() {
        let lengths = cut.lengths();
        for _ in 0..RUNS {
            for (row, (name, engine)) in ENGINES.iter().enumerate() {
                let begin = cpu_time()?;
                let found = engine(&whole, &lengths)?;
                best[row][column] = best[row][column].min(cpu_time()? - begin);
                check(name, cut, found)?;
            }
            for (row, name) in PEERS.iter().enumerate() {
                if let Ok(programs) = &peers {
                    let best = &mut best[ENGINES.len() + row][column];
                    *best = (*best).min(peer(programs, name, column)?);
                }
            }
        }
    }
    print(&best, whole.len(), peers.err());
    Ok(())
}

/// The text of a delta, as a part of its JSON where it can be.
pub(crate) fn text(data: &str) -> serde_json::Result<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        delta: Option<Delta<'a>>,
    }
    #[derive(Deserialize)]
    struct Delta<'a> {
        #[serde(borrow)]
        text: Option<Cow<'a, str>>,
    }
    let event: Event<'_> = serde_json::from_str(data)?;
    let text = event.delta.and_then(|delta| delta.text);
    Ok(text.unwrap_or_default())
}

/// Bytes of the text of so many deltas.
pub(crate) fn text_bytes(deltas: usize) -> usize {
    let lengths = WORDS.map(|word| {
        let text: String = serde_json::from_str(&format!("\"{word}\"")).unwrap_or_default();
        (word, text.len())
    });
    (0..deltas)
        .map(|number| {
            let found = lengths.iter().find(|(known, _)| *known == word(number));
            found.map_or(0, |(_, length)| *length)
        })
        .sum()
}

fn chunks(stream: &Bytes, lengths: &[usize]) -> impl Iterator<Item = Bytes> {
    lengths.iter().scan(0, |at, length| {
        let begin = *at;
        *at += length;
        Some(stream.slice(begin..*at))
    })
}

/// Events by the decoder of the library; `bytes` says how many of them count.
fn decode(
    stream: &Bytes,
    lengths: &[usize],
    bytes: impl Fn(&str) -> serde_json::Result<usize>,
) -> Result<Found, Box<dyn Error>> {
    let mut decoder = Decoder::new();
    let mut found = (0, 0);
    for chunk in chunks(stream, lengths) {
        decoder.push(chunk);
        while let Some(event) = decoder.next_event()? {
            found.0 += 1;
            found.1 += bytes(&event.data)?;
            black_box(event);
        }
    }
    Ok(found)
}

/// The best of the runs of a peer, which prints what it found and its nanoseconds.
fn peer(programs: &Path, name: &str, column: usize) -> Result<Duration, Box<dyn Error>> {
    let output = Command::new(programs.join("sse_decoders"))
        .args([name, &column.to_string()])
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let mut numbers = printed.split_whitespace().map(str::parse);
    let (Some(Ok(events)), Some(Ok(bytes)), Some(Ok(nanoseconds))) =
        (numbers.next(), numbers.next(), numbers.next())
    else {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name}: {}", said.trim()).into());
    };
    check(name, Cut::ALL[column], (events, bytes))?;
    Ok(Duration::from_nanos(nanoseconds as u64))
}

fn check(name: &str, cut: Cut, found: Found) -> Result<(), Box<dyn Error>> {
    match found == (EVENTS, data_bytes()) {
        true => Ok(()),
        false => Err(format!(
            "`{name}` found {} of {EVENTS} events with {} of {} bytes in chunks of {}",
            found.0,
            found.1,
            data_bytes(),
            cut.name()
        )
        .into()),
    }
}

fn print(best: &[[Duration; Cut::ALL.len()]], bytes: usize, missing: Option<String>) {
    println!(
        "## {EVENTS} events, {} MB, {} bytes an event: MB/s, best of {RUNS} by CPU time\n",
        bytes / 1_000_000,
        bytes / EVENTS
    );
    println!(
        "| engine | chunks of {} |",
        Cut::ALL.map(Cut::name).join(" | ")
    );
    println!("|---|---|---|---|");
    let speed = |took: Duration| bytes as f64 / 1e6 / took.as_secs_f64();
    let names = ENGINES.iter().map(|(name, _)| *name).chain(PEERS);
    for (name, row) in names.zip(best) {
        match (row[0], &missing) {
            (Duration::MAX, reason) => {
                let reason = reason.as_deref().unwrap_or_default();
                println!("| {name} | skipped: {reason} | | |");
            }
            _ => {
                let speeds = row.map(|took| format!("{:.0}", speed(took)));
                println!("| {name} | {} |", speeds.join(" | "));
            }
        }
    }
    println!();
    let own = ENGINES.iter().position(|(name, _)| *name == OURS);
    for (cut, took) in Cut::ALL.iter().zip(best[own.unwrap_or_default()]).skip(1) {
        let text = format!(
            "owned events in chunks of {} at {TARGET} MB/s or better: {:.0} MB/s",
            cut.name(),
            speed(took)
        );
        print_target(&text, speed(took) >= TARGET);
    }
}
