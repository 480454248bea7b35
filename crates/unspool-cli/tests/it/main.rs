//! The binary as its users run it.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "a helper of a test may fail it"
)]

mod ask;
mod attacks;
mod credentials;
mod demo;
mod docs;
mod each;
mod events;
mod help;
mod interrupts;
mod kills;
mod large_events;
mod limits;
mod mistakes;
mod pages;
mod pulls;
mod read_back;
mod read_tables;
mod readme;
mod real_models;
mod real_servers;
mod restarts;
mod rows;
mod schema;
mod sinks;
#[cfg(unix)]
mod streams;
mod terminal;
mod tls;
#[cfg(feature = "otlp")]
mod traces;

use std::process::{Command, Output, Stdio};

use test_servers as server;

/// The binary, with nothing of the environment that would change what it does.
fn unspool(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unspool"));
    command.args(args).stdin(Stdio::null());
    let proxies = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let models = unspool::ask::Provider::all().flat_map(unspool::ask::Provider::variables);
    for name in proxies.into_iter().chain(models) {
        command.env_remove(name);
    }
    command
}

/// Runs to the end: exit code, lines on standard output, text on standard error, in which no
/// credential stands.
fn run(args: &[&str]) -> (i32, Vec<String>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = unspool(args).output().unwrap();
    let lines = String::from_utf8(stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    let words = String::from_utf8(stderr).unwrap();
    check_hidden(args, &words);
    (status.code().unwrap(), lines, words)
}

/// What tests use for credentials.
const SECRETS: [&str; 5] = ["hush", "hunter2", "s3cret", "sesame", "sk-ant-"];

/// The flags whose values are credentials.
const OF_SECRETS: [&str; 7] = [
    "--bearer",
    "--user",
    "-u",
    "--api-key",
    "--api-key-query",
    "--cookie",
    "--oauth2-client-secret",
];

/// Fails if what a run says of itself, or its account, has a credential of these arguments or of
/// any test.
fn check_hidden(args: &[&str], words: &str) {
    let after = |flags: &[&str]| {
        let pairs = args.windows(2).filter(|pair| flags.contains(&pair[0]));
        pairs.map(|pair| pair[1]).collect::<Vec<_>>()
    };
    let values = after(&OF_SECRETS).into_iter();
    let values = values.flat_map(|value| value.split([':', '=', ';', ' ']));
    // Short ones are in words; the others name what they stand for.
    let own = values.filter(|value| value.len() > 5 && !value.contains(['$', '@', '/', '-']));
    let accounts = after(&["--account", "--state"]).into_iter();
    // Some are pipes, and devices without an end.
    let accounts = accounts.filter(|path| std::path::Path::new(path).is_file());
    let accounts = accounts.filter_map(|path| std::fs::read_to_string(path).ok());
    let said = accounts.fold(words.to_owned(), |said, account| said + &account);
    for secret in own.chain(SECRETS) {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}
