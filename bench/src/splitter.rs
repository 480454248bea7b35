//! `bench splitter`: what it costs to cut the items out of a document in memory,
//! beside its floor and what people use today.
//!
//! Every figure is the best of several runs by the CPU time of its thread, the
//! engines in turn. Each run is checked: it finds all items.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use simd_json::prelude::*;
use test_servers::orders::Orders;
use unspool::internals::{Items, split};

use crate::process::cpu_time;

/// About 100 MB.
const ITEMS: usize = 245_000;

const RUNS: usize = 7;

/// Megabytes a second of checked items.
const TARGET: f64 = 800.0;

/// The engines of the table of kinds.
const COMPARED: [&str; 5] = [CHECKED, PEER, RAW, SONIC, SIMD];

const OURS: &str = "splitter/16 KB/unspool, checked";
const CHECKED: &str = "unspool, checked";
const PEER: &str = "serde_json, Vec<IgnoredAny>";
const RAW: &str = "serde_json, Vec<&RawValue>";
const SONIC: &str = "sonic-rs, to_array_iter";
const SIMD: &str = "simd-json, to_tape";
const FLOOR: &str = "splitter/16 KB/memchr, quotes";

/// The sizes that bodies arrive in: what one read of a socket gives at most, and
/// what a decoder gives.
const CHUNKS: [(&str, usize); 2] = [("16 KB", 16 << 10), ("64 KB", 64 << 10)];

/// Counts the items of the document in chunks of a size. The last argument is a copy of the
/// document, for those that overwrite what they read; that it is made is not measured.
type Engine = fn(&Document, usize, &mut [u8]) -> Result<u64, Box<dyn Error>>;

const ENGINES: &[(&str, Engine)] = &[
    ("memchr, quotes", |document, chunk, _| {
        let chunks = document.whole.chunks(chunk);
        black_box(
            chunks
                .map(|chunk| memchr::memchr_iter(b'"', chunk).count())
                .sum::<usize>(),
        );
        Ok(document.items.len() as u64)
    }),
    (CHECKED, |document, chunk, _| {
        own(document, chunk, Items::Checked)
    }),
    ("unspool, UTF-8 unchecked", |document, chunk, _| {
        own(document, chunk, Items::AnyEncoding)
    }),
    // Not in chunks: the next four need the whole document. Items as slices of it, checked to
    // be UTF-8: as much work as ours.
    (RAW, |document, _, _| {
        let items: Vec<&RawValue> = serde_json::from_slice(&document.whole)?;
        Ok(black_box(items).len() as u64)
    }),
    // Nothing is handed out, and strings are not checked to be UTF-8.
    (PEER, |document, _, _| {
        let items: Vec<IgnoredAny> = serde_json::from_slice(&document.whole)?;
        Ok(black_box(items).len() as u64)
    }),
    // Items as slices of the document, checked.
    (SONIC, |document, _, _| {
        let mut count = 0;
        for item in sonic_rs::to_array_iter(&document.whole) {
            black_box(item?);
            count += 1;
        }
        Ok(count)
    }),
    // A tape of all values: numbers read, strings without escape sequences.
    (SIMD, |_, _, copy| {
        let tape = simd_json::to_tape(copy)?;
        let items = tape.as_value();
        let items = items.as_array().ok_or("not an array")?;
        Ok(black_box(items).len() as u64)
    }),
    // Less work than ours: where the items are is known beforehand.
    ("serde_json, IgnoredAny an item", |document, _, _| {
        for item in &document.items {
            let text = std::str::from_utf8(item)?;
            black_box(serde_json::from_str::<IgnoredAny>(text)?);
        }
        Ok(document.items.len() as u64)
    }),
];

/// Measures all engines, or those that are named, and prints the table.
///
/// # Errors
///
/// An argument names nothing, or an engine gives a wrong answer.
pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let is_named = |name: &str| arguments.is_empty() || arguments.iter().any(|word| word == name);
    if let Some(unknown) =
        (arguments.iter()).find(|word| ENGINES.iter().all(|(name, _)| name != word))
    {
        let names: Vec<_> = ENGINES.iter().map(|(name, _)| *name).collect();
        return Err(format!("no `{unknown}` among `{}`", names.join("`, `")).into());
    }
    let document = Document::new();
    let mut rows: Vec<Row> = ENGINES
        .iter()
        .filter(|(name, _)| is_named(name))
        .flat_map(|(name, engine)| {
            CHUNKS.iter().map(move |(size, chunk)| Row {
                name: format!("splitter/{size}/{name}"),
                engine: *engine,
                chunk: *chunk,
                best: Duration::MAX,
            })
        })
        .collect();
    for _ in 0..RUNS {
        for row in &mut rows {
            row.measure(&document)?;
        }
    }
    print(&rows, document.whole.len());
    compare_kinds(is_named)
}

/// The same with items of other kinds, against what people use.
fn compare_kinds(is_named: impl Fn(&str) -> bool) -> Result<(), Box<dyn Error>> {
    println!("\n## Other items, 16 KB a chunk, best of {RUNS} by CPU time\n");
    println!("| items | engine | MB/s | unspool is |");
    println!("|---|---|---|---|");
    let engines = ENGINES.iter().filter(|(name, _)| COMPARED.contains(name));
    let engines: Vec<_> = engines.filter(|(name, _)| is_named(name)).collect();
    for (kind, append) in KINDS {
        let document = Document::of(KIND_ITEMS, *append);
        let mut rows: Vec<Row> = (engines.iter())
            .map(|(name, engine)| Row {
                name: (*name).to_owned(),
                engine: *engine,
                chunk: CHUNKS[0].1,
                best: Duration::MAX,
            })
            .collect();
        for _ in 0..RUNS {
            for row in &mut rows {
                row.measure(&document)?;
            }
        }
        let own = rows.iter().find(|row| row.name == CHECKED);
        let own = own.map(|row| row.best.as_secs_f64());
        for row in &rows {
            let speed = row.megabytes_a_second(document.whole.len());
            let times = own.map_or_else(String::new, |own| {
                format!("{:.2}x", row.best.as_secs_f64() / own)
            });
            println!("| {kind} | {} | {speed:.0} | {times} |", row.name);
        }
    }
    Ok(())
}

/// Writes one item.
type Append = fn(usize, &mut Vec<u8>);

/// How many items of each kind.
const KIND_ITEMS: usize = 10_000;

const KINDS: &[(&str, Append)] = &[
    ("numbers", |number, text| {
        text.extend_from_slice(format!("{{\"id\":{number},\"embedding\":[0").as_bytes());
        for at in 1..256 {
            let value = ((number * 7919 + at * 104_729) % 2_000_003) as f64 / 1_000_001.5 - 1.0;
            text.extend_from_slice(format!(",{value}").as_bytes());
        }
        text.extend_from_slice(b"]}");
    }),
    ("`\\u` text", |number, text| {
        append_text(number, "\\u0437\\u0434 ", text)
    }),
    ("non-ASCII", |number, text| {
        append_text(number, "Здравствуй, мир! ", text)
    }),
    ("long text", |number, text| {
        append_text(number, "The quick brown fox jumps over it. \\n", text);
    }),
    ("short items", |number, text| {
        text.extend_from_slice(format!("{{\"id\":{number}}}").as_bytes());
    }),
];

/// An item with this many times the same in a string.
fn append_text(number: usize, part: &str, text: &mut Vec<u8>) {
    text.extend_from_slice(format!("{{\"id\":{number},\"text\":\"").as_bytes());
    for _ in 0..100 {
        text.extend_from_slice(part.as_bytes());
    }
    text.extend_from_slice(b"\"}");
}

struct Row {
    name: String,
    engine: Engine,
    chunk: usize,
    best: Duration,
}

impl Row {
    fn measure(&mut self, document: &Document) -> Result<(), Box<dyn Error>> {
        let mut copy = document.whole.to_vec();
        let begin = cpu_time()?;
        let count = (self.engine)(document, self.chunk, &mut copy)?;
        let took = cpu_time()? - begin;
        let expected = document.items.len();
        if count != expected as u64 {
            return Err(format!("`{}` found {count} of {expected} items", self.name).into());
        }
        self.best = self.best.min(took);
        Ok(())
    }

    fn megabytes_a_second(&self, bytes: usize) -> f64 {
        bytes as f64 / 1e6 / self.best.as_secs_f64()
    }
}

fn print(rows: &[Row], bytes: usize) {
    let find = |name: &str| rows.iter().find(|row| row.name == name);
    println!(
        "## {ITEMS} items, {} MB, {} bytes an item, best of {RUNS} by CPU time\n",
        bytes / 1_000_000,
        bytes / ITEMS
    );
    println!("| engine | MB/s | of memchr's speed |");
    println!("|---|---|---|");
    let floor = find(FLOOR).map(|floor| floor.best.as_secs_f64());
    for row in rows {
        let part = floor.map_or_else(String::new, |floor| {
            format!("{:.2}x", floor / row.best.as_secs_f64())
        });
        let speed = row.megabytes_a_second(bytes);
        println!("| {} | {speed:.0} | {part} |", row.name);
    }
    if let Some(own) = find(OURS) {
        let speed = own.megabytes_a_second(bytes);
        let verdict = if speed >= TARGET { "met" } else { "MISSED" };
        println!("\ntarget: `{OURS}` at {TARGET} MB/s or better: {speed:.0} MB/s: {verdict}");
    }
}

/// The document, and where its items are.
struct Document {
    whole: Bytes,
    items: Vec<Bytes>,
}

impl Document {
    fn new() -> Document {
        let orders = Orders::default();
        Document::of(ITEMS, |number, text| orders.append(number, text))
    }

    fn of(items: usize, append: impl Fn(usize, &mut Vec<u8>)) -> Document {
        let mut text = vec![b'['];
        let mut places = Vec::with_capacity(items);
        for number in 0..items {
            let begin = text.len();
            append(number, &mut text);
            places.push(begin..text.len());
            text.push(if number + 1 < items { b',' } else { b']' });
        }
        let whole = Bytes::from(text);
        let items = places.into_iter().map(|place| whole.slice(place)).collect();
        Document { whole, items }
    }
}

fn own(document: &Document, chunk: usize, items: Items) -> Result<u64, Box<dyn Error>> {
    let size = document.whole.len();
    let chunks = (0..size)
        .step_by(chunk)
        .map(|begin| document.whole.slice(begin..size.min(begin + chunk)));
    let mut bytes = 0;
    let count = split(chunks, items, 1 << 20, |item| bytes += item.len())?;
    if bytes + document.items.len() + 1 != size {
        return Err(format!("the items have {bytes} bytes together").into());
    }
    Ok(count)
}
