//! `unspool demo`: what the other commands do, against servers on loopback.

mod api;
mod feed;
mod kill;
mod model;
mod rows;
mod serve;
mod server;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

use clap::Parser;

use crate::ask;
use crate::events;
use crate::exit::Exit;
use crate::output::Output;
use crate::pages;
use crate::report;
use api::{Api, ITEMS, PAGES};
use feed::{EVENTS, Feed};
use model::Model;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Keep the servers up until Ctrl-C and print where they are.
    ///
    /// Standard output has a line of JSON for each source, with its address.
    #[arg(long)]
    serve: bool,
}

/// Starts the servers, and either keeps them up or runs the commands that it prints and checks
/// what came.
pub(crate) async fn run(args: &Args) -> Exit {
    let folder = std::env::temp_dir().join(format!("unspool-demo-{}", std::process::id()));
    if args.serve {
        return serve::run(&folder).await;
    }
    let shown = async {
        show_pages(&folder.join("posts.ndjson")).await?;
        show_feed().await?;
        rows::show(&folder.join("shop.db")).await?;
        // The last answer ends in the middle of a line.
        show_answers().await
    };
    let shown = shown.await;
    // The folder is there only if the demo came that far.
    let _ = std::fs::remove_dir_all(&folder);
    match shown {
        Ok(()) => {
            say(
                "\nNow yours: `unspool pages URL`, `unspool ask PROMPT`, `unspool events URL`, `unspool rows DSN SQL`;\n\
                 each has `--help`. `unspool demo --serve` keeps these servers up.",
            );
            if cfg!(debug_assertions) {
                say(
                    "This build is not optimised; `cargo install --path crates/unspool-cli` makes one that is.",
                );
            }
            Exit::Complete
        }
        Err(error) => {
            report::problem(&format!("error: the demo did not go as it should: {error}"));
            Exit::Failed
        }
    }
}

async fn show_pages(file: &PathBuf) -> io::Result<()> {
    let api = Api::start().await?;
    let posts = api.url("/posts");
    say(&format!(
        "A small API now listens on {}: {ITEMS} posts on {PAGES} pages, compressed. Like real ones it\n\
         misbehaves: once it answers 429 with `Retry-After`, once it drops the connection.",
        api.url("/")
    ));

    say("\nThe first items, without asking for more than they need:");
    expect(
        &command(&[&posts, "--take", "3"], Output::stdout()).await,
        Exit::Complete,
    )?;

    say("\nAll of them, into a file:");
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let output = Output::to_file(File::create(file)?);
    say(&format!("\n$ unspool pages {posts} > posts.ndjson"));
    expect(&run_pages(&[&posts], output).await, Exit::Complete)?;
    let lines = BufReader::new(File::open(file)?).lines().count();
    say(&format!("\n$ wc -l posts.ndjson\n{lines} posts.ndjson"));
    if lines != ITEMS {
        return Err(io::Error::other(format!("expected {ITEMS} lines")));
    }

    if let Some(folder) = file.parent() {
        kill::show(&api, folder).await?;
    }

    say(
        "\nAn API that gives only a token, and not where it goes: what is guessed has to prove itself,\n\
         and can be pinned:",
    );
    let exit = command(&[&api.url("/notes"), "--explain"], Output::stdout()).await;
    expect(&exit, Exit::Complete)?;

    say("\nAn answer that is cut off half-way is never taken for a short one:");
    let exit = command(
        &[&api.url("/cut"), "--quiet", "--retries", "1"],
        Output::stdout(),
    )
    .await;
    say(&format!("\n$ echo $?\n{}", exit as u8));
    expect(&exit, Exit::NotProved)?;

    Ok(())
}

async fn show_answers() -> io::Result<()> {
    let model = Model::start().await?;
    let url = model.url();
    say(&format!(
        "\nA model that speaks the protocol of Anthropic now listens on {url}. At first it is\n\
         overloaded, and says so after a status of 200; nothing has come then, so it is asked again:"
    ));
    let exit = question(&["Write a poem about loops"], &url).await;
    expect(&exit, Exit::Complete)?;

    say("\nAn answer that came to the token limit is told from a whole one:");
    let exit = question(&["Write a poem about loops", "--max-tokens", "9"], &url).await;
    say(&format!("\n$ echo $?\n{}", exit as u8));
    expect(&exit, Exit::Incomplete)?;

    say("\nAnd so is one whose stream just ends:");
    let exit = question(&["Write a poem about loops, briefly", "--quiet"], &url).await;
    say(&format!("\n$ echo $?\n{}", exit as u8));
    expect(&exit, Exit::NotProved)?;

    Ok(())
}

async fn show_feed() -> io::Result<()> {
    let feed = Feed::start().await?;
    say(&format!(
        "\nA live feed of {EVENTS} events now listens on {}. It breaks each connection after a few;\n\
         each time, it is asked to go on after the last event:",
        feed.url("/")
    ));
    let exit = follow(&[&feed.url("/ticks"), "--parse"]).await;
    expect(&exit, Exit::Complete)?;

    say("\nOne that has lost some by then does not pass for whole:");
    let exit = follow(&[&feed.url("/forgetful"), "--parse", "--quiet"]).await;
    say(&format!("\n$ echo $?\n{}", exit as u8));
    expect(&exit, Exit::NotProved)?;

    Ok(())
}

/// Prints a command that follows a feed and runs it, through the code that `unspool` itself
/// runs.
async fn follow(args: &[&str]) -> Exit {
    say(&format!("\n$ unspool events {}", args.join(" ")));
    match events::Args::try_parse_from([&["events"], args].concat()) {
        Ok(args) => events::run(args, &mut Output::stdout()).await,
        Err(error) => {
            report::problem(&error.to_string());
            Exit::WrongRequest
        }
    }
}

/// Prints a question and asks it, through the code that `unspool` itself runs.
async fn question(args: &[&str], url: &str) -> Exit {
    say(&format!(
        "\n$ unspool ask '{}' {}",
        args[0],
        [&args[1..], &["--base-url", url]].concat().join(" ")
    ));
    let base = ["--provider", "anthropic", "--base-url", url];
    match ask::Args::try_parse_from([&["ask"], args, &base].concat()) {
        Ok(mut args) => {
            args.is_without_input = true;
            ask::run(args, Output::stdout()).await
        }
        Err(error) => {
            report::problem(&error.to_string());
            Exit::WrongRequest
        }
    }
}

/// Prints a command and runs it, through the code that `unspool` itself runs.
async fn command(args: &[&str], output: Output) -> Exit {
    say(&format!("\n$ unspool pages {}", args.join(" ")));
    run_pages(args, output).await
}

async fn run_pages(args: &[&str], mut output: Output) -> Exit {
    match pages::Args::try_parse_from([&["pages"], args].concat()) {
        Ok(args) => pages::run(args, &mut output).await,
        Err(error) => {
            report::problem(&error.to_string());
            Exit::WrongRequest
        }
    }
}

fn expect(exit: &Exit, expected: Exit) -> io::Result<()> {
    if *exit == expected {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "expected exit code {}",
            expected as u8
        )))
    }
}

/// Words are for people: they go where the items do not.
fn say(text: &str) {
    report::say(text);
}
