//! The command-line tool of unspool: items of asynchronous sources as lines.
#![forbid(unsafe_code)]

mod account;
mod args;
mod ask;
mod credentials;
mod demo;
mod destination;
mod events;
mod exit;
mod expand;
mod flags;
mod netrc;
mod output;
mod pages;
mod progress;
mod pull;
mod report;
mod rows;
mod schema;
mod signals;
mod stdin;
mod system;
mod visible;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::Exit;
use output::Output;

/// Data out of asynchronous sources, one item at a time, in constant memory, and
/// never silently short.
#[derive(Parser)]
#[command(name = "unspool", version, max_term_width = 100, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Items of a paginated HTTP API.
    ///
    /// Each as a line of JSON, as it came; on a terminal, characters that it would obey are
    /// written as `\u001b`.
    Pages(Box<pages::Args>),
    /// The text of a language model's answer, as it arrives.
    ///
    /// Pipes and files get it as it came; on a terminal, characters that it would obey are
    /// written as `\u001b`.
    Ask(Box<ask::Args>),
    /// The columns that a table of the items of a paginated HTTP API would have.
    Schema(Box<pages::Args>),
    /// Messages of a live feed.
    Events(Box<events::Args>),
    /// Rows of a database query.
    Rows(Box<rows::Args>),
    /// The other commands at work, against servers that this one starts on loopback.
    Demo,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let in_flight = match &cli.command {
        Command::Pages(args) | Command::Schema(args) => args.in_flight(),
        Command::Ask(_) | Command::Events(_) | Command::Rows(_) | Command::Demo => 1,
    };
    let started = signals::listen().and_then(|()| runtime(in_flight));
    let runtime = match started {
        Ok(runtime) => runtime,
        Err(error) => {
            report::problem(&format!("cannot start: {error}"));
            return Exit::Failed.into();
        }
    };
    let exit = runtime.block_on(async {
        match cli.command {
            Command::Pages(args) => pages::run(*args, &mut Output::stdout()).await,
            Command::Ask(args) => ask::run(*args, Output::stdout()).await,
            Command::Schema(args) => schema::run(*args, &mut Output::stdout()).await,
            Command::Events(args) => events::run(*args, &mut Output::stdout()).await,
            Command::Rows(args) => rows::run(*args, &mut Output::stdout()).await,
            Command::Demo => demo::run().await,
        }
    });
    // Whatever still runs, a write to a full pipe perhaps, ends with the process.
    runtime.shutdown_background();
    exit.into()
}

/// One thread, or where several pages are in flight as many as there are cores for
/// them.
fn runtime(in_flight: usize) -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = match in_flight.min(cores) {
        1 => tokio::runtime::Builder::new_current_thread(),
        threads => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(threads);
            builder
        }
    };
    builder.enable_all().build()
}
