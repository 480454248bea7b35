//! Iterators of your own, and the next item of any stream.

use core::future::{Future, poll_fn};
use core::pin::Pin;

use futures_core::{FusedStream, Stream};

use crate::AsyncGenerator;

/// A type with one method that fetches the next item: Python's class with
/// `__anext__`. [`aiter`] makes a stream of it.
///
/// ```
/// use unspool_core::{AnextExt, AsyncIterator, aiter};
///
/// struct Countdown(u32);
///
/// impl AsyncIterator for Countdown {
///     type Item = u32;
///
///     async fn anext(&mut self) -> Option<u32> {
///         self.0 = self.0.checked_sub(1)?;
///         Some(self.0)
///     }
/// }
///
/// # futures_util::FutureExt::now_or_never(async {
/// let mut countdown = std::pin::pin!(aiter(Countdown(2)));
/// assert_eq!(countdown.anext().await, Some(1));
/// assert_eq!(countdown.anext().await, Some(0));
/// assert_eq!(countdown.anext().await, None);
/// # }).unwrap();
/// ```
pub trait AsyncIterator {
    /// What comes out.
    type Item;

    /// Fetches the next item; `None` at the end, after which it is not called again.
    #[expect(
        async_fn_in_trait,
        reason = "whether the future is `Send` follows from the type, and so for the stream"
    )]
    async fn anext(&mut self) -> Option<Self::Item>;
}

/// An [`AsyncIterator`] that may fail. [`try_aiter`] makes a stream of it.
///
/// ```
/// use std::pin::pin;
/// use unspool_core::{AnextExt, TryAsyncIterator, try_aiter};
///
/// /// The numbers in a text, up to what is none.
/// struct Numbers<'t>(std::str::Split<'t, char>);
///
/// impl TryAsyncIterator for Numbers<'_> {
///     type Item = u32;
///     type Error = std::num::ParseIntError;
///
///     async fn anext(&mut self) -> Result<Option<u32>, Self::Error> {
///         self.0.next().map(str::parse).transpose()
///     }
/// }
///
/// # futures_util::FutureExt::now_or_never(async {
/// let mut numbers = pin!(try_aiter(Numbers("1,x,3".split(','))));
/// assert_eq!(numbers.anext().await, Some(Ok(1)));
/// assert!(numbers.anext().await.unwrap().is_err());
/// assert_eq!(numbers.anext().await, None);
/// # }).unwrap();
/// ```
pub trait TryAsyncIterator {
    /// What comes out.
    type Item;
    /// Why no more comes.
    type Error;

    /// Fetches the next item; `None` at the end. It is not called again after the end or
    /// after an error.
    ///
    /// # Errors
    ///
    /// If the next item cannot be fetched.
    #[expect(
        async_fn_in_trait,
        reason = "whether the future is `Send` follows from the type, and so for the stream"
    )]
    async fn anext(&mut self) -> Result<Option<Self::Item>, Self::Error>;
}

/// A stream of what an iterator of yours fetches, one call an item.
///
/// Nothing is fetched before it is asked for, and nothing is allocated.
///
/// It is in the example of [`AsyncIterator`].
///
/// # Dropping
///
/// Drops the call that is under way, if there is one, and the iterator.
pub fn aiter<I: AsyncIterator>(mut iterator: I) -> impl FusedStream<Item = I::Item> {
    crate::stream! {
        while let Some(item) = iterator.anext().await {
            yield item;
        }
    }
}

/// A stream of what a fallible iterator of yours fetches; an error is its last item.
///
/// It is in the example of [`TryAsyncIterator`].
///
/// # Dropping
///
/// As for [`aiter`].
pub fn try_aiter<I: TryAsyncIterator>(
    mut iterator: I,
) -> impl FusedStream<Item = Result<I::Item, I::Error>> {
    crate::try_stream! {
        while let Some(item) = iterator.anext().await? {
            yield item;
        }
    }
}

/// A stream as a generator, so that another one can yield from it.
///
/// What is sent is dropped, as a stream has no use for it. What is thrown ends it, and
/// is what it returns.
///
/// ```
/// use unspool_core::{AsyncGenerator, from_stream, generator};
///
/// fn numbers() -> impl AsyncGenerator<Yield = i32> {
///     generator! {
///         yield 0;
///         yield in from_stream(futures_util::stream::iter([1, 2]));
///     }
/// }
///
/// # futures_util::FutureExt::now_or_never(async {
/// let mut numbers = std::pin::pin!(numbers());
/// assert_eq!(numbers.anext().await, Some(0));
/// assert_eq!(numbers.anext().await, Some(1));
/// assert_eq!(numbers.anext().await, Some(2));
/// assert_eq!(numbers.anext().await, None);
/// # }).unwrap();
/// ```
///
/// # Dropping
///
/// Drops the stream, and so does to [close](AsyncGenerator::aclose) it.
pub fn from_stream<I, S, T>(
    stream: I,
) -> impl AsyncGenerator<S, T, Yield = I::Item, Return = Result<(), T>>
where
    I: Stream,
{
    crate::generator! {
        #![throws(T)]
        for await item in stream {
            let _: S = (yield item)?;
        }
        Ok(())
    }
}

/// `anext` for every stream: Python's `await anext(iterator)`.
///
/// ```
/// use std::pin::pin;
/// use unspool_core::{AnextExt, stream};
///
/// # futures_util::FutureExt::now_or_never(async {
/// let mut words = pin!(stream! {
///     yield "hello";
///     yield "world";
/// });
/// while let Some(word) = words.anext().await {
///     println!("{word}");
/// }
/// # }).unwrap();
/// ```
pub trait AnextExt: Stream {
    /// The next item; `None` after the last one.
    ///
    /// # Cancel safety
    ///
    /// An item that has not come is not lost: the stream stays where it waits.
    fn anext(&mut self) -> impl Future<Output = Option<Self::Item>>
    where
        Self: Unpin,
    {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx))
    }
}

impl<S: Stream + ?Sized> AnextExt for S {}
