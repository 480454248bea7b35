//! How one cell is measured: an engine makes a stream, a loop polls it to its
//! end and checks the sum.
//!
//! The nightly crate includes this file too.

use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use futures_core::Stream;

use super::case::{Case, Item, Refused, Words};

/// A way to write streams: a row of the table.
pub(crate) trait Engine {
    /// Yields the items `0..count`.
    fn items<T: Item + From<u64>>(count: u64) -> impl Stream<Item = T> + 'static;

    /// Naps before each item.
    fn naps(count: u64) -> impl Stream<Item = u64>;

    /// Yields what [`admit`](super::case::admit) gives for 0, 1, …, its first
    /// error last; `None` where the engine has no place for `?`.
    fn tries(limit: u64) -> Option<impl Stream<Item = Result<u64, Refused>>>;

    /// Loops over a stream and yields its items on.
    fn over(inner: impl Stream<Item = u64> + 'static) -> impl Stream<Item = u64> + 'static;
}

/// A cell, and what is asked of it: `sum generators/ready/stream 10000`.
pub(crate) struct Question<'a> {
    pub(crate) probe: Probe,
    pub(crate) case: Case,
    pub(crate) engine: &'a str,
    pub(crate) count: u64,
}

impl<'a> Question<'a> {
    pub(crate) fn parse(words: &'a [String]) -> Option<Self> {
        let [probe, name, count] = words else {
            return None;
        };
        let (case, engine) = name.strip_prefix("generators/")?.split_once('/')?;
        Some(Question {
            probe: Probe::ALL.into_iter().find(|known| known.name() == probe)?,
            case: Case::ALL.into_iter().find(|known| known.name() == case)?,
            engine,
            count: count.parse().ok()?,
        })
    }
}

/// What is asked of a cell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// The sum of one run, for a tool that counts what the run costs.
    Sum,
    /// Nanoseconds of wall time per item, the least of five runs.
    Wall,
    /// Bytes of the stream's value; what it allocates is not in it.
    Size,
}

impl Probe {
    const ALL: [Probe; 3] = [Probe::Sum, Probe::Wall, Probe::Size];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Probe::Sum => "sum",
            Probe::Wall => "wall",
            Probe::Size => "size",
        }
    }

    /// The answer of one cell; `None` where the engine cannot express the case.
    pub(crate) fn ask<E: Engine>(self, case: Case, count: u64) -> Option<f64> {
        let d4 = || E::over(E::over(E::over(E::over(E::items::<u64>(count)))));
        let d8 = || E::over(E::over(E::over(E::over(d4()))));
        match case {
            Case::D8 => self.measure(count, || Some(d8())),
            _ => self.ask_shallow::<E>(case, count),
        }
    }

    /// The same, but for eight of them in each other, which may take the compiler minutes.
    pub(crate) fn ask_shallow<E: Engine>(self, case: Case, count: u64) -> Option<f64> {
        let d1 = || E::over(E::items::<u64>(count));
        let d4 = || E::over(E::over(E::over(d1())));
        match case {
            Case::Ready => self.measure(count, || Some(E::items::<u64>(count))),
            Case::Pending => self.measure(count, || Some(E::naps(count))),
            Case::Try => self.measure(count, || E::tries(count - 1)),
            Case::B64 => self.measure(count, || Some(E::items::<Words<8>>(count))),
            Case::B256 => self.measure(count, || Some(E::items::<Words<32>>(count))),
            Case::D1 => self.measure(count, || Some(d1())),
            Case::D4 => self.measure(count, || Some(d4())),
            Case::D8 => None,
        }
    }

    fn measure<S: Stream<Item: Item>>(
        self,
        count: u64,
        make: impl Fn() -> Option<S>,
    ) -> Option<f64> {
        Some(match self {
            Probe::Sum => drain(make()?, count) as f64,
            Probe::Size => size_of_val(&make()?) as f64,
            Probe::Wall => {
                let mut least = f64::INFINITY;
                for _ in 0..5 {
                    let stream = make()?;
                    let start = Instant::now();
                    drain(stream, count);
                    least = least.min(start.elapsed().as_nanos() as f64);
                }
                least / count as f64
            }
        })
    }
}

/// Prints an answer; `-` is that there is none.
pub(crate) fn print(answer: Option<f64>) {
    match answer {
        Some(number) => println!("{number}"),
        None => println!("-"),
    }
}

/// Polls a stream to its end.
///
/// # Panics
///
/// Panics unless the weights of its items sum up to that of `0..count`.
#[inline(never)]
fn drain<S: Stream<Item: Item>>(stream: S, count: u64) -> u64 {
    let mut stream = pin!(stream);
    let mut context = Context::from_waker(black_box(Waker::noop()));
    let mut sum = 0;
    loop {
        match &poll(stream.as_mut(), &mut context) {
            Poll::Ready(Some(item)) => sum += black_box(item).weight(),
            Poll::Ready(None) => break,
            Poll::Pending => {}
        }
    }
    assert_eq!(sum, count * (count - 1) / 2, "sum of {count} items");
    sum
}

/// The call that a task makes for an item: not inlined, so that the compiler
/// cannot build the item where it is used, nor see which waker it wakes.
#[inline(never)]
fn poll<S: Stream>(stream: Pin<&mut S>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
    stream.poll_next(context)
}
