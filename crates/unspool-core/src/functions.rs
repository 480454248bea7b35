//! Streams as functions, without a macro: for those who want the formatter and
//! completion in the body.

use futures_core::FusedStream;

use crate::raw::{self, Yields};

/// Makes a stream of an async closure that is given a way out for its items.
///
/// It does what [`stream!`](crate::stream) does, with ordinary syntax: an item is
/// handed out by [`yield_item`](Yields::yield_item).
///
/// ```
/// use futures_core::Stream;
/// use unspool_core::stream_fn;
///
/// fn countdown(from: u32) -> impl Stream<Item = u32> {
///     stream_fn(async move |mut y| {
///         for number in (1..=from).rev() {
///             y.yield_item(number).await;
///         }
///     })
/// }
/// # let items = futures_util::StreamExt::collect::<Vec<_>>(countdown(2));
/// # assert_eq!(futures_util::FutureExt::now_or_never(items), Some(vec![2, 1]));
/// ```
///
/// The way out stays in its body: to keep it elsewhere does not compile.
///
/// ```compile_fail
/// # use unspool_core::stream_fn;
/// let mut kept = None;
/// let stream = stream_fn::<u32, _>(async |y| kept = Some(y));
/// ```
pub fn stream_fn<Y, F>(body: F) -> impl FusedStream<Item = Y>
where
    F: for<'b> AsyncFnOnce(Yields<'b, Y>),
{
    raw::stream_of(body)
}

/// Makes a stream of results of an async closure that may fail: its error is the
/// last item.
///
/// ```
/// use futures_core::Stream;
/// use std::num::ParseIntError;
/// use unspool_core::try_stream_fn;
///
/// fn numbers(words: &[&str]) -> impl Stream<Item = Result<i32, ParseIntError>> {
///     try_stream_fn(async move |mut y| {
///         for word in words {
///             y.yield_item(Ok(word.parse()?)).await;
///         }
///         Ok(())
///     })
/// }
/// # let items = futures_util::StreamExt::collect::<Vec<_>>(numbers(&["1", "x", "3"]));
/// # let items = futures_util::FutureExt::now_or_never(items).unwrap_or_default();
/// # assert!(matches!(items[..], [Ok(1), Err(_)]));
/// ```
pub fn try_stream_fn<T, E, F>(body: F) -> impl FusedStream<Item = Result<T, E>>
where
    F: for<'b> AsyncFnOnce(Yields<'b, Result<T, E>>) -> Result<(), E>,
{
    raw::try_stream_of(body)
}
