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
mod each;
mod events;
mod help;
mod interrupts;
mod kills;
mod large_events;
mod limits;
mod mistakes;
mod pages;
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

/// Runs to the end: exit code, lines on standard output, text on standard error.
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
    (
        status.code().unwrap(),
        lines,
        String::from_utf8(stderr).unwrap(),
    )
}
