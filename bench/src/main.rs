//! The command behind every figure in the docs: one word per group of them.
//!
//! ```text
//! bench ask [GROUP]
//! bench events [GROUP]...
//! bench generators [--wall] [ROW | COLUMN]...
//! bench pages [GROUP]
//! bench rows [memory | stop] [DATABASE]...
//! bench sinks [SINK]...
//! bench splitter [ENGINE]...
//! bench sse
//! ```
//!
//! Exits with 2 if the figures could not be taken, or an answer was wrong.
#![forbid(unsafe_code)]

mod ask;
mod events;
mod figures;
mod generators;
mod pages;
mod process;
mod programs;
mod rows;
mod sinks;
mod splitter;
mod sse;

use std::env;
use std::process::ExitCode;

const COMMANDS: &str =
    "`ask`, `events`, `generators`, `pages`, `rows`, `sinks`, `splitter` and `sse`";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // It fails only where there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = match arguments.split_first() {
        Some((command, rest)) => match command.as_str() {
            "ask" => ask::run(rest),
            "events" => events::run(rest),
            // What `events` starts itself with, once per run.
            "event-client" => events::answer(rest),
            "generators" => generators::run(rest),
            "pages" => pages::run(rest),
            "rows" => rows::run(rest),
            "sinks" => sinks::run(rest),
            // What `sinks` starts itself with, once per run.
            "sink" => sinks::answer(rest),
            "splitter" => splitter::run(rest),
            "sse" => sse::run(rest),
            // What `generators` starts itself with, once per cell.
            "run" => generators::answer(rest),
            _ => Err(format!("no command `{command}`; there are {COMMANDS}").into()),
        },
        None => Err(format!("a command is missing; there are {COMMANDS}").into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(2)
        }
    }
}
