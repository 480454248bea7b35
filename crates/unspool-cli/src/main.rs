//! The command `unspool`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    unspool_cli::main(std::env::args_os().collect()).into()
}
