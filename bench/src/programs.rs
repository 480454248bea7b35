//! The programs that clients are: built and installed when they are asked for, so that
//! none from an earlier build gives a stale figure.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the scripts of the peers are, and where programs are started.
pub(crate) const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");

/// A program, or why it is not to be had.
pub(crate) type Program = Result<PathBuf, String>;

/// The command-line tool.
pub(crate) fn unspool() -> io::Result<Program> {
    let bench = env::current_exe()?;
    let build = build(&["--package=unspool-cli"], &target()?);
    Ok(build.map(|()| bench.with_file_name("unspool")))
}

/// Python, with the packages of the peers.
pub(crate) fn python() -> io::Result<Program> {
    python_in("peers", PEERS)
}

/// Python, with the clients of databases.
pub(crate) fn python_of_rows() -> io::Result<Program> {
    python_in(
        "peers-rows",
        concat!(env!("CARGO_MANIFEST_DIR"), "/peers/rows"),
    )
}

/// An environment of this name, with the packages that this folder asks for.
fn python_in(name: &str, folder: &str) -> io::Result<Program> {
    let environment = target()?.join(name);
    let install = format!("{PEERS}/../../crates/unspool-cli/tests/servers/install");
    let installed = succeed(&install, &[&environment.to_string_lossy(), folder]);
    Ok(installed.map(|()| environment.join("bin/python")))
}

/// The directory of the programs of `rust-peers`.
pub(crate) fn rust_peers() -> io::Result<Program> {
    let target = target()?.join("rust-peers");
    let manifest = format!("--manifest-path={PEERS}/../rust-peers/Cargo.toml");
    let built = build(&["--locked", &manifest], &target);
    Ok(built.map(|()| target.join("release")))
}

/// The target directory: this binary is in `release` there.
pub(crate) fn target() -> io::Result<PathBuf> {
    let binary = env::current_exe()?;
    binary
        .ancestors()
        .nth(2)
        .map(Path::to_owned)
        .ok_or_else(|| io::Error::other("no target directory"))
}

/// Runs a command for its success alone; an error is the last thing that it said.
pub(crate) fn succeed(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(PEERS)
        .output()
        .map_err(|error| format!("`{program}`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said
        .lines()
        .last()
        .unwrap_or("it failed without a word")
        .to_owned())
}

fn build(arguments: &[&str], target: &Path) -> Result<(), String> {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let into = format!("--target-dir={}", target.display());
    let build = ["build", "--quiet", "--release", &into];
    succeed(&cargo, &[&build, arguments].concat())
}
