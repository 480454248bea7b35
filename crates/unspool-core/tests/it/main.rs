//! What the macros promise, topic by topic.
#![forbid(unsafe_code)]

mod compile_fail;
mod conformance;
mod delegation;
mod for_await;
mod functions;
mod generator;
mod hidden_waits;
mod in_macros;
mod iterators;
mod poll;
mod stream;
mod stress;
mod try_stream;
