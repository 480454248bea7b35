//! Async generators on stable Rust: functions that `yield`, as Python's `async def` has
//! them.
//!
//! A generator is a value that runs a body until that has an item, hands the item out,
//! and goes on from there when it is asked for the next one. Nothing runs before the
//! first one is asked for, and nothing beyond the one in demand. It allocates nothing
//! and needs neither `std` nor a runtime; it is [`Send`] and [`Sync`] if what its body
//! holds is; to drop it drops the body where it stands.
//!
//! # A stream
//!
//! ```
//! use futures_core::Stream;
//! use unspool_core::stream;
//!
//! fn countdown(from: u32) -> impl Stream<Item = u32> {
//!     stream! {
//!         for number in (1..=from).rev() {
//!             yield number;
//!         }
//!     }
//! }
//! # use futures_util::StreamExt;
//! # let items = futures_util::FutureExt::now_or_never(countdown(3).collect::<Vec<_>>());
//! # assert_eq!(items, Some(vec![3, 2, 1]));
//! ```
//!
//! [`stream!`] and [`try_stream!`] take what the macros of async-stream 0.3 take: to
//! migrate a program, change the import. In their bodies:
//!
//! - `yield item` hands out an item and suspends. It is an expression of type `()`,
//!   and `yield` alone hands out `()`.
//! - `return` ends the stream.
//! - `?` hands out the error as the last item, converted with [`From`]; in a
//!   [`stream!`] as well, if its items are results.
//! - `for await pattern in stream { … }` loops over a stream, with labels, `break`
//!   and `continue`.
//! - All of this works in the arguments of other macros too, such as the arms of
//!   `select!`.
//!
//! # Values in both directions
//!
//! [`generator!`] makes an [`AsyncGenerator`]: it can be sent values, it returns one
//! when it ends, and its `finally` blocks run when it is closed.
//!
//! ```
//! use std::pin::pin;
//! use unspool_core::{AsyncGenerator, generator};
//!
//! async fn unsubscribe() {}
//!
//! fn scaled(numbers: Vec<i64>) -> impl AsyncGenerator<i64, Yield = i64, Return = usize> {
//!     generator! {
//!         let mut factor = 1;
//!         let count = numbers.len();
//!         try {
//!             for number in numbers {
//!                 factor = yield number * factor;
//!             }
//!         } finally {
//!             unsubscribe().await;
//!         }
//!         count
//!     }
//! }
//!
//! # futures_util::FutureExt::now_or_never(async {
//! let mut all = pin!(scaled(vec![1, 2]));
//! assert_eq!(all.start().await?, Some(1));
//! assert_eq!(all.asend(10).await, Ok(Some(20)));
//! assert_eq!(all.asend(0).await, Ok(None));
//! assert_eq!(all.as_mut().take_return(), Some(2));
//!
//! let mut some = pin!(scaled(vec![1, 2]));
//! assert_eq!(some.start().await?, Some(1));
//! assert_eq!(some.aclose().await, Ok(()));
//! # Ok::<(), unspool_core::Rejected<()>>(())
//! # }).unwrap().unwrap();
//! ```
//!
//! # Generators made of generators
//!
//! `yield in` yields all that another generator yields. What is sent and thrown goes
//! there, and closing closes it; its return value is the expression's. An item costs
//! the same however deep the generators stand in each other: each node of this tree
//! is one.
//!
//! ```
//! use std::pin::Pin;
//! use unspool_core::{AsyncGenerator, generator};
//!
//! struct Node {
//!     name: &'static str,
//!     children: Vec<Node>,
//! }
//!
//! type Names<'n> = Pin<Box<dyn AsyncGenerator<Yield = &'static str, Return = usize> + 'n>>;
//!
//! /// Yields the names of a node and of all below it; returns how many there are.
//! fn names(node: &Node) -> Names<'_> {
//!     Box::pin(generator! {
//!         yield node.name;
//!         let mut count = 1;
//!         for child in &node.children {
//!             count += yield in names(child);
//!         }
//!         count
//!     })
//! }
//!
//! # futures_util::FutureExt::now_or_never(async {
//! let leaf = |name| Node { name, children: vec![] };
//! let tree = Node { name: "root", children: vec![leaf("left"), leaf("right")] };
//! let mut walk = names(&tree);
//! let mut seen = vec![];
//! while let Some(name) = walk.anext().await {
//!     seen.push(name);
//! }
//! assert_eq!(seen, ["root", "left", "right"]);
//! assert_eq!(walk.as_mut().take_return(), Some(3));
//! # }).unwrap();
//! ```
//!
//! # From Python
//!
//! | Python | here |
//! |---|---|
//! | `async def` + `yield` | [`stream!`], [`try_stream!`], [`generator!`]; [`stream_fn`] without a macro |
//! | `AsyncGenerator[Yield, Send]` | [`AsyncGenerator<Send, Throw, Yield = …, Return = …>`](AsyncGenerator) |
//! | `AsyncIterator[T]` | `Stream<Item = T>` |
//! | a class with `__anext__` | [`AsyncIterator`], which [`aiter`] makes a stream |
//! | `async for x in xs:` | `for await x in xs { … }` in a body; `while let Some(x) = xs.anext().await` elsewhere |
//! | `async for x in g:`, which raises what `g` raises | `while let Some(x) = g.try_anext().await? { … }` |
//! | `anext(g)`, `g.asend(v)`, `g.athrow(e)`, `g.aclose()` | [`anext`](AsyncGenerator::anext), [`asend`](AsyncGenerator::asend), [`athrow`](AsyncGenerator::athrow), [`aclose`](AsyncGenerator::aclose) |
//! | `StopAsyncIteration` | [`None`] |
//! | `try: … finally: …` | `try { … } finally { … }` in [`generator!`] |
//! | `yield from inner` (in synchronous generators) | `yield in inner`; `yield in from_stream(items)` for a stream |
//! | `sys.set_asyncgen_hooks`, `loop.shutdown_asyncgens()` | `Generators` of the crate `unspool` |
//!
//! # What it does not do, and why
//!
//! - **Wait in a drop.** Rust has no asynchronous drop: a future that is dropped is
//!   not polled again, so no `finally` can run that has to wait. Close a generator with
//!   [`aclose`](AsyncGenerator::aclose), or have it closed by a runtime: `Generators` of
//!   the crate `unspool` does that.
//! - **Catch panics.** No `finally` runs when a body panics.
//! - **`yield` in a closure, an async block or a function inside of the body.** Those
//!   may run when the body is not being polled. It does not compile:
//!
//!   ```compile_fail
//!   # use unspool_core::stream;
//!   let doubled = stream! {
//!       [1, 2].map(|number| yield 2 * number);
//!   };
//!   ```
//! - **Be [`Send`] though the body is not.** If that holds something that is not while
//!   it waits, neither is the generator:
//!
//!   ```compile_fail,E0277
//!   # use unspool_core::stream;
//!   fn assert_send(_: impl Send) {}
//!
//!   let shared = std::rc::Rc::new(1);
//!   assert_send(stream! {
//!       yield 1;
//!       drop(shared);
//!   });
//!   ```
//!
//! # Features
//!
//! `alloc`, which is on by default: a `Pin<Box<_>>` of a generator is one too.
#![no_std]
#![deny(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod ending;
mod for_await;
mod functions;
mod generator;
#[expect(
    unsafe_code,
    reason = "in what the macros of this crate expand to, and nowhere else"
)]
mod iterators;
mod looped_over;
mod port;
#[expect(
    unsafe_code,
    reason = "the one module that may; its documentation has the argument"
)]
mod raw;

pub use functions::{stream_fn, try_stream_fn};
pub use generator::{
    Aclose, Anext, AsyncGenerator, GeneratorState, IgnoredClose, Rejected, Resume, Resumed,
    TryAnext,
};

pub use iterators::{AnextExt, AsyncIterator, TryAsyncIterator, aiter, from_stream, try_aiter};
pub use raw::{IntoStream, TryIntoStream, YieldItem, Yields};

/// Makes a stream of a body that yields.
///
/// The items are what the body yields, in its order; the stream ends when the body
/// does. See the [crate documentation](crate) for what a body may hold.
///
/// ```
/// use unspool_core::stream;
///
/// let words = stream! {
///     yield "hello";
///     for word in ["dear", "world"] {
///         yield word;
///     }
/// };
/// # let words = futures_util::FutureExt::now_or_never(futures_util::StreamExt::collect::<Vec<_>>(words));
/// # assert_eq!(words, Some(vec!["hello", "dear", "world"]));
/// ```
///
/// # Dropping
///
/// Drops the body where it stands, and what it holds.
#[macro_export]
macro_rules! stream {
    ($($body:tt)*) => {
        // SAFETY: the expansion uses this once, for the closure that it makes of the body;
        // how it keeps the promise stands in `raw`.
        $crate::__private::stream_inner!(
            ($crate)
            { unsafe { $crate::__private::Promise::new() } }
            $($body)*
        )
    };
}

/// Makes a stream of results of a body that yields values and may fail with `?`.
///
/// What the body yields comes as `Ok`. An error comes as the last item, as `Err`,
/// and by then the body has been dropped.
///
/// ```
/// use futures_core::Stream;
/// use std::num::ParseIntError;
/// use unspool_core::try_stream;
///
/// fn numbers(words: &[&str]) -> impl Stream<Item = Result<i32, ParseIntError>> {
///     try_stream! {
///         for word in words {
///             yield word.parse()?;
///         }
///     }
/// }
/// # let items = futures_util::StreamExt::collect::<Vec<_>>(numbers(&["1", "x", "3"]));
/// # let items = futures_util::FutureExt::now_or_never(items).unwrap_or_default();
/// # assert!(matches!(items[..], [Ok(1), Err(_)]));
/// ```
#[macro_export]
macro_rules! try_stream {
    ($($body:tt)*) => {
        // SAFETY: the expansion uses this once, for the closure that it makes of the body;
        // how it keeps the promise stands in `raw`.
        $crate::__private::try_stream_inner!(
            ($crate)
            { unsafe { $crate::__private::Promise::new() } }
            $($body)*
        )
    };
}

/// Makes a generator of a body that yields, is sent values, and returns one.
///
/// On top of what a [`stream!`] can do:
///
/// - `return value`, or the value at the end of the body, is the generator's return
///   value, which [`AsyncGenerator::take_return`] gives. `?` returns, as in a
///   function; [`AsyncGenerator::try_anext`] gives the error to whoever loops.
/// - `let sent = yield item;` gets what [`asend`](AsyncGenerator::asend) sends. A `yield`
///   at the end of the body is a statement, with or without a `;`: to return what is
///   sent, write `return yield item`.
/// - `try { … } finally { … }`: the second block runs once however the first one is
///   left: at its end, by `return`, `?`, `break` or `continue`, or because the generator is
///   [closed](AsyncGenerator::aclose). It may wait. Blocks nest.
/// - `#![throws(Error)]` at the beginning of the body makes a `yield` give a
///   `Result<_, Error>`: `Err` is what [`athrow`](AsyncGenerator::athrow) throws.
///   `match` catches it; `(yield item)?` lets it end the body.
///
/// - `let value = yield in inner;` yields all that another generator yields, which
///   gets what is sent and thrown, and is closed with this one; its return value is
///   the value. It panics if that generator has been started before.
///
/// ```
/// use std::pin::pin;
/// use unspool_core::{AsyncGenerator, generator};
///
/// fn running_sum() -> impl AsyncGenerator<i64, Yield = i64, Return = i64> {
///     generator! {
///         let mut sum = 0;
///         while sum < 10 {
///             let number: i64 = yield sum;
///             sum += number;
///         }
///         sum
///     }
/// }
///
/// # futures_util::FutureExt::now_or_never(async {
/// let mut sums = pin!(running_sum());
/// assert_eq!(sums.start().await?, Some(0));
/// assert_eq!(sums.asend(4).await, Ok(Some(4)));
/// assert_eq!(sums.asend(9).await, Ok(None));
/// assert_eq!(sums.as_mut().take_return(), Some(13));
/// # Ok::<(), unspool_core::Rejected<()>>(())
/// # }).unwrap().unwrap();
/// ```
///
/// # Dropping
///
/// Drops the body where it stands; no `finally` runs. See
/// [`aclose`](AsyncGenerator::aclose).
#[macro_export]
macro_rules! generator {
    ($($body:tt)*) => {
        // SAFETY: the expansion uses this once, for the closure that it makes of the body;
        // how it keeps the promise stands in `raw`.
        $crate::__private::generator_inner!(
            ($crate)
            { unsafe { $crate::__private::Promise::new() } }
            $($body)*
        )
    };
}

/// What the macros expand to. Not for direct use; may change in any release.
#[doc(hidden)]
pub mod __private {
    pub use crate::for_await::next;
    pub use crate::looped_over::{ByAnext, ByTryAnext, LoopedOver};
    pub use crate::port::{Exit, Guarded, Port, Sends, Throws};
    pub use crate::raw::{
        Chain, Generator, Links, Promise, Yielder, duplex, duplex_throws, generator, stream,
        try_stream,
    };
    pub use unspool_macros::{generator_inner, stream_inner, try_stream_inner};
}

/// The example of the README, which compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
