//! The command behind every figure in the docs.

fn main() {}
