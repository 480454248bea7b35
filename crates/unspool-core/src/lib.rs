//! Async generators on stable Rust: streams written as functions that `yield`.
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
//! - [`stream!`] and [`try_stream!`] take what the macros of async-stream 0.3 take:
//!   to migrate a program, change the import.
//! - A generator allocates nothing and needs neither `std` nor a runtime. It is
//!   `Send` and `Sync` if what its body holds is, and it is fused.
//! - Nothing runs before the first poll, and nothing beyond the item in demand.
//! - Dropping a generator drops its body where it stands.
//!
//! # In a body
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
//! A `yield` must stand directly in the body: in a closure, an async block or a
//! function inside of it, it does not compile.
//!
//! ```compile_fail
//! # use unspool_core::stream;
//! let doubled = stream! {
//!     [1, 2].map(|number| yield 2 * number);
//! };
//! ```
//!
//! A body that holds something that is not `Send` while it waits makes a generator
//! that is not `Send`:
//!
//! ```compile_fail,E0277
//! # use unspool_core::stream;
//! fn assert_send(_: impl Send) {}
//!
//! let shared = std::rc::Rc::new(1);
//! assert_send(stream! {
//!     yield 1;
//!     drop(shared);
//! });
//! ```
#![no_std]
#![deny(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod ending;
mod for_await;
mod functions;
mod generator;
mod iterators;
mod port;
#[expect(
    unsafe_code,
    reason = "the one module that may; its documentation has the argument"
)]
mod raw;

pub use functions::{stream_fn, try_stream_fn};
pub use generator::{
    Aclose, Anext, AsyncGenerator, GeneratorState, IgnoredClose, Rejected, Resume, Resumed,
};

pub use iterators::{AnextExt, AsyncIterator, TryAsyncIterator, aiter, from_stream, try_aiter};
pub use raw::{IntoStream, YieldItem, Yields};

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
        $crate::__private::stream_inner!(($crate) $($body)*)
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
        $crate::__private::try_stream_inner!(($crate) $($body)*)
    };
}

/// Makes a generator of a body that yields, is sent values, and returns one.
///
/// On top of what a [`stream!`] can do:
///
/// - `return value`, or the value at the end of the body, is the generator's return
///   value, which [`AsyncGenerator::take_return`] gives. `?` returns, as in a
///   function.
/// - `let sent = yield item;` gets what [`asend`](AsyncGenerator::asend) sends.
/// - `try { … } finally { … }`: the second block runs once however the first one is
///   left: at its end, by `return` or `?`, or because the generator is
///   [closed](AsyncGenerator::aclose). It may wait. Blocks nest.
/// - `#![throws(Error)]` at the begin of the body makes a `yield` give a
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
        $crate::__private::generator_inner!(($crate) $($body)*)
    };
}

/// What the macros expand to. Not for direct use; may change in any release.
#[doc(hidden)]
pub mod __private {
    pub use crate::for_await::next;
    pub use crate::port::{Exit, Guard, Port, Sends, Throws};
    pub use crate::raw::{
        Chain, Generator, Links, Promise, Yielder, duplex, duplex_throws, generator, stream,
        try_stream,
    };
    pub use unspool_macros::{generator_inner, stream_inner, try_stream_inner};
}
