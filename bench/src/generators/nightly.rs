//! The program for the compiler's row, which only a nightly toolchain builds.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Builds it, or says why it is not there.
pub(crate) fn program() -> Result<PathBuf, String> {
    let target = env::current_exe()
        .map_err(|error| error.to_string())?
        .with_file_name("bench-nightly");
    let output = Command::new("cargo")
        .args(["+nightly", "build", "--release", "--quiet", "--locked"])
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/nightly/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        // Without the toolchain this must fail, not fetch one.
        .env("RUSTUP_AUTO_INSTALL", "0")
        .output()
        .map_err(|error| format!("`cargo` does not run: {error}"))?;
    if output.status.success() {
        return Ok(target.join("release/bench-nightly"));
    }
    let report = String::from_utf8_lossy(&output.stderr);
    let reason = report.lines().find(|line| line.starts_with("error"));
    Err(reason.unwrap_or("`cargo +nightly build` failed").into())
}
