//! The rows of the table, one file each.
//!
//! One crate is left out: of stream_generator 0.1, eight streams in each other take the
//! compiler minutes and gigabytes. So do, but for the gigabytes, eight of `stream_fn`: that
//! cell is left out.

mod async_fn_stream;
mod async_gen;
mod async_generator;
mod async_stream;
mod async_stream_lite;
mod asynk_strim;
mod block;
mod fauxgen;
mod genawaiter_rc;
mod genawaiter_sync;
mod generator;
mod hand;
mod stream_fn;
mod unfold;
mod unspool;

use super::case::Case;
use super::probe::{Engine, Probe};

/// What a row is there for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What this repository gives.
    Ours,
    /// What this repository gives for values in both directions.
    TwoWay,
    /// What this repository gives to those who want no macro.
    WithoutMacro,
    /// What it costs without a generator.
    Floor,
    /// A crate that writes streams as generators, on stable Rust.
    Crate,
    /// The compiler's own `async gen`, which runs in a program of its own.
    Compiler,
    /// A body alone, which has a size and nothing else to compare.
    Block,
}

/// An engine, and what it is called.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The answer of one cell; `None` where the engine cannot express the case.
    pub(crate) ask: fn(Probe, Case, u64) -> Option<f64>,
}

impl Row {
    const fn new<E: Engine>(name: &'static str, kind: Kind) -> Row {
        Row {
            name,
            kind,
            ask: |probe, case, count| probe.ask::<E>(case, count),
        }
    }
}

/// The row of the compiler's own `async gen`.
pub(crate) const COMPILER: &str = "nightly";

/// All rows, in the order in which the tables show them.
pub(crate) const ROWS: [Row; 16] = [
    Row::new::<block::Block>("async block", Kind::Block),
    Row::new::<hand::Hand>("hand", Kind::Floor),
    Row::new::<unspool::Unspool>("stream", Kind::Ours),
    Row {
        name: "stream_fn",
        kind: Kind::WithoutMacro,
        ask: |probe, case, count| probe.ask_shallow::<stream_fn::StreamFn>(case, count),
    },
    Row::new::<generator::Generator>("generator, sent", Kind::TwoWay),
    Row {
        name: COMPILER,
        kind: Kind::Compiler,
        ask: |_, _, _| None,
    },
    Row::new::<unfold::Unfold>("unfold", Kind::Floor),
    Row::new::<async_stream::AsyncStream>("async-stream", Kind::Crate),
    Row::new::<async_gen::AsyncGen>("async-gen", Kind::Crate),
    Row::new::<asynk_strim::AsynkStrim>("asynk-strim", Kind::Crate),
    Row::new::<genawaiter_rc::GenawaiterRc>("genawaiter-rc", Kind::Crate),
    Row::new::<genawaiter_sync::GenawaiterSync>("genawaiter-sync", Kind::Crate),
    Row::new::<fauxgen::Fauxgen>("fauxgen", Kind::Crate),
    Row::new::<async_fn_stream::AsyncFnStream>("async-fn-stream", Kind::Crate),
    Row::new::<async_stream_lite::AsyncStreamLite>("async-stream-lite", Kind::Crate),
    Row::new::<async_generator::AsyncGenerator>("async-generator", Kind::Crate),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_yields_every_item() {
        for row in ROWS.iter().filter(|row| row.kind != Kind::Block) {
            for case in Case::ALL {
                let sum = (row.ask)(Probe::Sum, case, 100);
                assert!(
                    matches!(sum, None | Some(4950.0)),
                    "{} {}",
                    row.name,
                    case.name()
                );
            }
        }
    }
}
