//! The command-line tool of unspool.

fn main() {}
