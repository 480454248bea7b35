use core::future::poll_fn;
use core::pin::Pin;

use futures_core::Stream;

/// The next item of a pinned stream: one turn of a `for await` loop.
#[doc(hidden)]
pub async fn next<S: Stream>(stream: &mut Pin<&mut S>) -> Option<S::Item> {
    poll_fn(|cx| stream.as_mut().poll_next(cx)).await
}
