//! The command-line tool of unspool: items of asynchronous sources as lines.
#![forbid(unsafe_code)]

mod credentials;
mod demo;
mod exit;
mod expand;
mod flags;
mod netrc;
mod output;
mod pages;
mod report;
mod secrets;

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
    Pages(Box<pages::Args>),
    /// The other commands at work, against servers that this one starts on loopback.
    Demo,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            report::problem(&format!("cannot start: {error}"));
            return Exit::Failed.into();
        }
    };
    let exit = runtime.block_on(async {
        match cli.command {
            Command::Pages(args) => pages::run(*args, &mut Output::stdout()).await,
            Command::Demo => demo::run().await,
        }
    });
    // Whatever still runs, a write to a full pipe perhaps, ends with the process.
    runtime.shutdown_background();
    exit.into()
}
