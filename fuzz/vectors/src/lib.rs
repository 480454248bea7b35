//! `json::blocks` and what it is compared with, and nothing else of the library:
//! `cargo +nightly miri test --manifest-path fuzz/vectors/Cargo.toml --target TARGET`.
#![cfg(test)]
#![allow(dead_code, reason = "the rest of the library uses it")]

mod internals;
mod json;
