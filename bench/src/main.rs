//! The command behind every figure in the docs: one word per group of them.
//!
//! ```text
//! bench generators [--wall] [ROW | COLUMN]...
//! bench pages [GROUP]
//! bench splitter [ENGINE]...
//! ```
//!
//! Exits with 2 if the figures could not be taken, or an answer was wrong.
#![forbid(unsafe_code)]

mod generators;
mod pages;
mod splitter;

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((command, rest)) => match command.as_str() {
            "generators" => generators::run(rest),
            "pages" => pages::run(rest),
            "splitter" => splitter::run(rest),
            // What `generators` starts itself with, once per cell.
            "run" => generators::answer(rest),
            _ => Err(format!(
                "no command `{command}`; there are `generators`, `pages` and `splitter`"
            )
            .into()),
        },
        None => Err("a command is missing: `generators`, `pages` or `splitter`".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(2)
        }
    }
}
