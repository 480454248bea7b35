//! One row of the table of `bench`: the compiler's own `async gen`.
#![feature(async_for_loop, async_iterator, gen_blocks)]

#[path = "../../src/generators/case.rs"]
mod case;
#[path = "../../src/generators/probe.rs"]
mod probe;

use std::async_iter::AsyncIterator;
use std::env;
use std::pin::Pin;
use std::process::ExitCode;
use std::task::{Context, Poll};

use futures_core::Stream;

use case::{Item, Refused, admit, nap};
use probe::{Engine, Question};

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(2).collect();
    match Question::parse(&words) {
        Some(question) if question.engine == "nightly" => {
            let Question {
                probe, case, count, ..
            } = question;
            probe::print(probe.ask::<Compiler>(case, count));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("expected `run`, a probe, a cell of `nightly` and a count");
            ExitCode::from(2)
        }
    }
}

struct Compiler;

impl Engine for Compiler {
    fn items<T: Item + From<u64>>(count: u64) -> impl Stream<Item = T> + 'static {
        AsStream(async gen move {
            for index in 0..count {
                yield T::from(index);
            }
        })
    }

    fn naps(count: u64) -> impl Stream<Item = u64> {
        AsStream(async gen move {
            for index in 0..count {
                nap().await;
                yield index;
            }
        })
    }

    /// The language has no `?` there yet.
    fn tries(limit: u64) -> Option<impl Stream<Item = Result<u64, Refused>>> {
        Some(AsStream(async gen move {
            for index in 0.. {
                match admit(index, limit) {
                    Ok(item) => yield Ok(item),
                    Err(error) => {
                        yield Err(error);
                        return;
                    }
                }
            }
        }))
    }

    fn over(inner: impl Stream<Item = u64> + 'static) -> impl Stream<Item = u64> + 'static {
        AsStream(async gen move {
            for await item in AsAsyncIterator(inner) {
                yield item;
            }
        })
    }
}

/// Lets the driver poll what the compiler makes; costs nothing.
struct AsStream<G>(G);

impl<G: AsyncIterator> Stream for AsStream<G> {
    type Item = G::Item;

    #[inline(always)]
    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<G::Item>> {
        // SAFETY: the generator is pinned as its only owner is.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll_next(context)
    }
}

/// Lets the compiler's loop poll what [`AsStream`] wraps; costs nothing.
struct AsAsyncIterator<S>(S);

impl<S: Stream> AsyncIterator for AsAsyncIterator<S> {
    type Item = S::Item;

    #[inline(always)]
    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        // SAFETY: the stream is pinned as its only owner is.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll_next(context)
    }
}
