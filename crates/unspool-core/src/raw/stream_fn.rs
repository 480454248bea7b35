//! The form without a macro.

use core::future::Future;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_core::FusedStream;

use super::slot::{Slot, Stand};
use super::{Generator, Promise, Yielder};
use crate::ending::{MayLeaveItem, Silent, YieldsError};

/// The way out for the items of a [`stream_fn`](crate::stream_fn).
///
/// It belongs to the one body that it was given to: the lifetime is not known
/// outside of it, so that it can neither leave it nor be exchanged for another.
///
/// It is in the example of [`stream_fn`](crate::stream_fn).
#[derive(Debug)]
pub struct Yields<'b, Y> {
    slot: *const Slot<Y, ()>,
    body: PhantomData<fn(&'b ()) -> &'b ()>,
}

// SAFETY: as for a `Yielder`; it is used by whoever is polled by its body, on
// behalf of a poll that waits for it (fact 2, with the lifetime in the place of
// the label).
unsafe impl<Y: Send> Send for Yields<'_, Y> {}
// SAFETY: a `&Yields` has no use.
unsafe impl<Y> Sync for Yields<'_, Y> {}

impl<Y> Yields<'_, Y> {
    /// Hands out an item: to be awaited.
    ///
    /// Await it in the body itself, or where the body is polled along, such as in
    /// `select!` and `join!`; a set of futures that polls only those that were woken
    /// would wait for ever.
    ///
    /// # Cancel safety
    ///
    /// The item is handed out if the future was polled when there was room for it,
    /// which there is unless an item was left by a future that was dropped.
    #[inline]
    pub fn yield_item(&mut self, item: Y) -> YieldItem<'_, Y> {
        YieldItem {
            slot: self.slot,
            item: Some(item),
            body: PhantomData,
        }
    }
}

/// An item on its way out. Made by [`Yields::yield_item`].
#[derive(Debug)]
#[must_use = "an item that is not awaited is not handed out"]
pub struct YieldItem<'y, Y> {
    slot: *const Slot<Y, ()>,
    item: Option<Y>,
    body: PhantomData<&'y mut ()>,
}

// An item is never pinned.
impl<Y> Unpin for YieldItem<'_, Y> {}
// SAFETY: as for `Yields`.
unsafe impl<Y: Send> Send for YieldItem<'_, Y> {}
// SAFETY: as for `Yields`: a `&YieldItem` has no use.
unsafe impl<Y> Sync for YieldItem<'_, Y> {}

impl<Y> Future for YieldItem<'_, Y> {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        // SAFETY: the lifetimes see to it that this is polled by the body that the
        // `Yields` was given to, while that is polled: the slot is there (fact 1)
        // and nobody else reaches it (fact 5).
        let slot = unsafe { &*self.slot };
        // Asked before the slot is looked at: of a new future the compiler knows it.
        let is_laid_down = self.item.is_none();
        // Where it is full, this item is in it, or that of a future that was dropped after
        // its poll.
        if slot.stand.is_at_yield() {
            return Poll::Pending;
        }
        if is_laid_down {
            return Poll::Ready(());
        }
        if let Some(item) = self.item.take() {
            // SAFETY: as above, and there is none in the slot (fact 3).
            unsafe { slot.put(item) };
        }
        Poll::Pending
    }
}

/// The stream of [`stream_fn`](crate::stream_fn).
pub(crate) fn stream_of<Y, F>(body: F) -> impl FusedStream<Item = Y>
where
    F: for<'b> AsyncFnOnce(Yields<'b, Y>),
{
    // SAFETY: the yielder goes only into the `Yields` of the body that the closure
    // returns, which is used in the way that fact 2 describes for it.
    let promise = unsafe { Promise::new() };
    let call = move |yielder: Yielder<Y>| body(yielder.yields());
    Generator::<_, _, _, _, MayLeaveItem<Silent>>::new(call, (), promise)
}

/// The stream of [`try_stream_fn`](crate::try_stream_fn).
pub(crate) fn try_stream_of<T, E, F>(body: F) -> impl FusedStream<Item = Result<T, E>>
where
    F: for<'b> AsyncFnOnce(Yields<'b, Result<T, E>>) -> Result<(), E>,
{
    // SAFETY: as for `stream_of`.
    let promise = unsafe { Promise::new() };
    let call = move |yielder: Yielder<_>| body(yielder.yields());
    Generator::<_, _, _, _, MayLeaveItem<YieldsError>>::new(call, (), promise)
}

impl<Y> Yielder<Y> {
    /// What the closure of a function form is given.
    fn yields<'b>(self) -> Yields<'b, Y> {
        Yields {
            slot: self.slot,
            body: PhantomData,
        }
    }
}
