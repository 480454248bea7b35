//! The command `unspool`, as a function.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the command with these arguments, the first of which is its name: the exit code.
///
/// It listens to signals by itself, after whoever did so before: a handler of Python's for Ctrl-C
/// has to be taken off first.
#[pyfunction]
pub(crate) fn main(py: Python<'_>, argv: Vec<OsString>) -> u8 {
    py.detach(|| unspool_cli::main(argv))
}
