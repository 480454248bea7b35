//! The command-line tool of unspool: items of asynchronous sources as lines.
#![forbid(unsafe_code)]

mod account;
mod addresses;
mod args;
mod ask;
mod credentials;
mod demo;
mod destination;
mod events;
mod exit;
mod expand;
mod flags;
mod habits;
mod help;
mod netrc;
mod network;
mod output;
mod pages;
mod progress;
mod pull;
mod pulls;
mod report;
mod rows;
mod schema;
mod shell;
mod signals;
mod stdin;
mod system;
mod verbose;
mod visible;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use addresses::Kind;
use exit::Exit;
use output::Output;

/// Data out of asynchronous sources, one item at a time, in constant memory, and
/// never silently short.
#[derive(Parser)]
#[command(
    name = "unspool",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
#[command(after_help = exit::HELP, after_long_help = format!("{}\n\n{}", help::listed(), exit::HELP))]
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
    /// The pulls that stand in a file, one after the other.
    Run(pulls::run::Args),
    /// The other commands at work, against servers that this one starts on loopback.
    Demo,
    /// What a shell completes, for it to read.
    ///
    /// Such as `unspool completions bash > /etc/bash_completion.d/unspool`.
    Completions(shell::Completions),
    /// Manual pages, one for each command.
    Man(shell::Man),
    /// The help of a command, or of a topic such as `auth`.
    Help(help::Args),
}

impl Command {
    /// The name under which it is to be written down, if it is.
    fn save(&self) -> Option<&str> {
        let common = match self {
            Command::Pages(args) => &args.common,
            Command::Ask(args) => &args.common,
            Command::Events(args) => &args.common,
            Command::Rows(args) => &args.common,
            _ => return None,
        };
        common.save.as_deref()
    }
}

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let implied = (args.get(1).and_then(|arg| arg.to_str())).and_then(addresses::kind);
    let (cli, matches) = parsed(&args, implied);
    let in_flight = match &cli.command {
        Command::Pages(args) | Command::Schema(args) => args.in_flight(),
        _ => 1,
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
        match (cli.command, implied) {
            (Command::Pages(pages), Some(_)) if pages.is_feed().await => {
                let (cli, matches) = parsed(&args, Some(Kind::Feed));
                run(cli.command, true, &matches).await
            }
            (command, implied) => run(command, implied.is_some(), &matches).await,
        }
    });
    // Whatever still runs, a write to a full pipe perhaps, ends with the process.
    runtime.shutdown_background();
    exit.into()
}

/// What the command line says, with the command that an address without one has; also as it
/// was written.
fn parsed(args: &[OsString], implied: Option<Kind>) -> (Cli, ArgMatches) {
    let parse = |args: &[OsString]| {
        let matches = Cli::command().try_get_matches_from(args)?;
        Ok((Cli::from_arg_matches(&matches)?, matches))
    };
    let with = |kind: Kind| {
        let mut args = args.to_vec();
        args.insert(1, kind.command().into());
        parse(&args)
    };
    let parsed = match implied {
        None => parse(args),
        // The flags may be those of a feed.
        Some(Kind::Web) => with(Kind::Web).or_else(|error| with(Kind::Feed).map_err(|_| error)),
        Some(kind) => with(kind),
    };
    parsed.unwrap_or_else(|error| habits::explained(error).exit())
}

/// Runs a command, or writes down what it would run; one that was not written is said.
async fn run(command: Command, is_implied: bool, matches: &ArgMatches) -> Exit {
    if let (Some(name), Some((own, matches))) = (command.save(), matches.subcommand()) {
        return pulls::save::save(name, own, matches);
    }
    match &command {
        Command::Pages(args) if is_implied => read_by("pages", &args.common),
        Command::Events(args) if is_implied => read_by("events", &args.common),
        Command::Rows(args) if is_implied => read_by("rows", &args.common),
        _ => {}
    }
    match command {
        Command::Pages(args) => pages::run(*args, &mut Output::stdout()).await,
        Command::Ask(args) => ask::run(*args, Output::stdout()).await,
        Command::Schema(args) => schema::run(*args, &mut Output::stdout()).await,
        Command::Events(args) => events::run(*args, &mut Output::stdout()).await,
        Command::Rows(args) => rows::run(*args, &mut Output::stdout()).await,
        Command::Run(args) => pulls::run::run(args).await,
        Command::Demo => demo::run().await,
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
        Command::Help(args) => help::run(&args),
    }
}

fn read_by(name: &str, common: &args::Common) {
    if !common.quiet {
        report::problem(&format!("read by `unspool {name}`"));
    }
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
