use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_core::Stream;

/// The next item of a pinned stream: one turn of a `for await` loop.
///
/// A struct and not an `async fn`, which would keep a state of its own.
#[doc(hidden)]
#[must_use = "futures do nothing unless awaited"]
pub struct Next<'a, S> {
    stream: Pin<&'a mut S>,
}

#[doc(hidden)]
#[inline(always)]
pub fn next<S: Stream>(stream: Pin<&mut S>) -> Next<'_, S> {
    Next { stream }
}

impl<S: Stream> Future for Next<'_, S> {
    type Output = Option<S::Item>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.stream.as_mut().poll_next(cx)
    }
}
