//! The command-line tool of unspool: items of asynchronous sources as lines.
//!
//! A library only so that the Python package has the same command in its wheel; nothing in it is
//! meant for others.
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
mod trace;
mod visible;

use std::ffi::OsString;
use std::io::Write;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use addresses::Kind;
use exit::Exit;
use output::Output;
use trace::Trace;
use tracing::Instrument as _;

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
    Demo(demo::Args),
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
        match self {
            Command::Schema(_) => None,
            _ => self.common()?.save.as_deref(),
        }
    }

    /// The flags that all have that pull a source.
    fn common(&self) -> Option<&args::Common> {
        match self {
            Command::Pages(args) | Command::Schema(args) => Some(&args.common),
            Command::Ask(args) => Some(&args.common),
            Command::Events(args) => Some(&args.common),
            Command::Rows(args) => Some(&args.common),
            _ => None,
        }
    }

    /// Begins to show and to send what the flags ask for.
    fn trace(&self) -> Result<Trace, String> {
        let is_verbose = match self {
            Command::Pages(args) | Command::Schema(args) => args.http.network.verbose,
            Command::Ask(args) => args.http.network.verbose,
            Command::Events(args) => args.http.network.verbose,
            _ => false,
        };
        let to = match self {
            Command::Run(args) => args.trace_to.as_deref(),
            _ => (self.common()).and_then(|common| common.trace_to.as_deref()),
        };
        Trace::begin(is_verbose, to)
    }
}

/// Runs the command with these arguments, the first of which is its name: the exit code.
///
/// Signals are the process's, and are listened to from now on.
#[doc(hidden)]
pub fn main(args: Vec<OsString>) -> u8 {
    let exit = run(&args);
    // What is still in the buffer of the standard library would be lost where the process does not
    // end with a `main` of Rust's.
    let _ = std::io::stdout().flush();
    exit
}

fn run(args: &[OsString]) -> u8 {
    let implied = (args.get(1).and_then(|arg| arg.to_str())).and_then(addresses::kind);
    let (cli, matches) = match parsed(args, implied) {
        Ok(parsed) => parsed,
        Err(error) => return refused(error),
    };
    let in_flight = match &cli.command {
        Command::Pages(args) | Command::Schema(args) => args.in_flight(),
        _ => 1,
    };
    let started = signals::listen().and_then(|()| runtime(in_flight));
    let runtime = match started {
        Ok(runtime) => runtime,
        Err(error) => {
            report::problem(&format!("cannot start: {error}"));
            return Exit::Failed as u8;
        }
    };
    let exit = runtime.block_on(async {
        match (cli.command, implied) {
            (Command::Pages(pages), Some(_)) if pages.is_feed().await => {
                match parsed(args, Some(Kind::Feed)) {
                    Ok((cli, matches)) => perform(cli.command, true, &matches).await as u8,
                    Err(error) => refused(error),
                }
            }
            (command, implied) => perform(command, implied.is_some(), &matches).await as u8,
        }
    });
    // Whatever still runs, a write to a full pipe perhaps, ends with the process.
    runtime.shutdown_background();
    exit
}

/// Prints what clap has to say, which is also the help that was asked for.
fn refused(error: clap::Error) -> u8 {
    // Whoever closes the pipe has read enough.
    let _ = error.print();
    u8::try_from(error.exit_code()).unwrap_or(Exit::WrongRequest as u8)
}

/// What the command line says, with the command that an address without one has; also as it
/// was written.
fn parsed(args: &[OsString], implied: Option<Kind>) -> Result<(Cli, ArgMatches), clap::Error> {
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
    parsed.map_err(habits::explained)
}

/// Runs a command, or writes down what it would run; one that was not written is said.
async fn perform(command: Command, is_implied: bool, matches: &ArgMatches) -> Exit {
    if let (Some(name), Some((own, matches))) = (command.save(), matches.subcommand()) {
        return pulls::save::save(name, own, matches);
    }
    match &command {
        Command::Pages(args) if is_implied => read_by("pages", &args.common),
        Command::Events(args) if is_implied => read_by("events", &args.common),
        Command::Rows(args) if is_implied => read_by("rows", &args.common),
        _ => {}
    }
    let trace = match command.trace() {
        Ok(trace) => trace,
        Err(message) => {
            report::problem(&message);
            return Exit::WrongRequest;
        }
    };
    let span = trace.command(matches.subcommand_name().unwrap_or_default());
    let exit = carry_out(command).instrument(span).await;
    trace.end();
    exit
}

async fn carry_out(command: Command) -> Exit {
    match command {
        Command::Pages(args) => pages::run(*args, &mut Output::stdout()).await,
        Command::Ask(args) => ask::run(*args, Output::stdout()).await,
        Command::Schema(args) => schema::run(*args, &mut Output::stdout()).await,
        Command::Events(args) => events::run(*args, &mut Output::stdout()).await,
        Command::Rows(args) => rows::run(*args, &mut Output::stdout()).await,
        Command::Run(args) => pulls::run::run(args).await,
        Command::Demo(args) => demo::run(&args).await,
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
