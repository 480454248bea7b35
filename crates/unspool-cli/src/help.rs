//! `unspool help`: of a command, or of what several commands have in common.

use std::io::Write;

use clap::CommandFactory;
use unspool::pages::Paginate;

use crate::exit::{self, Exit};
use crate::{Cli, credentials, destination, report};

/// The name of a topic, a line about it, and the text.
type Topic = (&'static str, &'static str, fn() -> String);

/// What is explained beside the commands. To add one: a line here.
const TOPICS: &[Topic] = &[
    (
        "pagination",
        "How `pages` gets from page to page",
        pagination,
    ),
    ("auth", "How to say who you are", auth),
    ("sinks", "Where items can be written to", destination::help),
    ("state", "How a run that was ended resumes", || {
        STATE.to_owned()
    }),
    ("exit-codes", "What the exit code says", || {
        exit::HELP.to_owned()
    }),
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A command or a topic; without it both are listed.
    topic: Option<String>,
}

/// Prints the help of a command or of a topic.
pub(crate) fn run(args: &Args) -> Exit {
    let mut cli = Cli::command();
    let Some(name) = &args.topic else {
        return print(&cli.render_long_help().to_string());
    };
    if let Some((_, _, text)) = TOPICS.iter().find(|(topic, ..)| topic == name) {
        return print(&text());
    }
    cli.build();
    match cli.find_subcommand_mut(name) {
        Some(command) => print(&command.render_long_help().to_string()),
        None => {
            report::problem(&format!("there is no help for `{name}`\n{}", listed()));
            Exit::WrongRequest
        }
    }
}

/// The topics, a line each.
pub(crate) fn listed() -> String {
    let lines: Vec<String> = TOPICS
        .iter()
        .map(|(name, about, _)| format!("  {name:<11} {about}"))
        .collect();
    format!("Topics of `unspool help TOPIC`:\n{}", lines.join("\n"))
}

fn print(text: &str) -> Exit {
    // Whoever closes the pipe has read enough.
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
    Exit::Complete
}

/// The kinds of pagination, from the library's own table.
pub(crate) fn pagination() -> String {
    let kinds: Vec<String> = Paginate::kinds()
        .map(|(syntax, about)| format!("  {syntax}\n          {about}"))
        .collect();
    format!("Kinds of pagination:\n{}", kinds.join("\n"))
}

fn auth() -> String {
    format!("{}\n\n{AUTH}", credentials::HELP)
}

const AUTH: &str = "\x20\x20--bearer '${TOKEN}'           Authorization: Bearer …
  -u 'ada:${PASSWORD}'          user and password; `-n` takes them from ~/.netrc
  -H @headers.txt               headers, one a line
  --api-key 'X-Api-Key=${KEY}'  a key in a header; `--api-key-query` in the query
  -b 'session=${SESSION}'       cookies
  --oauth2-token-url URL        tokens of OAuth 2.0 (client credentials), renewed in time

Models take their keys from the environment, as `ANTHROPIC_API_KEY`; `unspool ask --help` has the
names. Databases have the ways of their own tools: `PGPASSWORD`, `~/.pgpass`, `MYSQL_PWD`.";

const STATE: &str = "\
With `--to TARGET` the same command again resumes after what is durable, however the one before
ended: Ctrl-C, a failure, a full disk, SIGKILL, a power cut.

  --to posts.jsonl --resume          how far it is stands beside the file, in posts.jsonl.state
  --to posts.jsonl --state FILE      the same in FILE
  --to sqlite:posts.db#posts         tables keep it themselves
  --to postgres://…#posts

What came is made durable every second (`--checkpoint TIME`), first the items, then how far they
are, then the source is told. A command that differs in what it asks for is refused with what
differs; `--overwrite` starts over. A second run into the same target is told who the first is.";
