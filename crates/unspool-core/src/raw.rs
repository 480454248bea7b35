//! The one module with `unsafe` code: how a body hands an item to its caller.
//!
//! A [`Generator`] owns the async block that a macro made of a body, and a
//! [`Slot`] beside it. At the first poll, when the generator is pinned and can no
//! longer move, the body is built with a [`Yielder`], a pointer to that slot. A
//! `yield` writes its item there and suspends; `poll_next` takes it out.
//!
//! # Why this is sound
//!
//! Everything rests on four facts. Each `SAFETY` comment quotes them by number.
//!
//! 1. **The slot outlives the yielder, at one address.** The body is built from
//!    a pinned generator and stored in it. A pinned value does not move before it is
//!    dropped, and the body is dropped with it or before it.
//! 2. **A yielder stays in its own body.** The constructor is `unsafe` and only
//!    the macros call it; the name that they bind the yielder to cannot be
//!    written by a user (mixed-site hygiene), and each `yield` carries a `break`
//!    to a label of the body, which does not compile in a closure, an async
//!    block or an item nested in the body. So a `yield` runs only while the body
//!    itself is being polled, and [`Generator::poll_next`] is all that polls it.
//! 3. **The slot is empty while the body runs.** A `yield` suspends the body
//!    right after it has filled the slot, and the poll that it was in takes the
//!    item out before it returns. So no item is overwritten, and no two accesses
//!    to the slot overlap.
//! 4. **Item types agree.** `Generator`, `Slot` and `Yielder` share the parameter `Y`,
//!    and all three are invariant in it, so that neither another type nor a
//!    shorter lifetime can be smuggled through.

use core::cell::Cell;
use core::fmt;
use core::future::Future;
use core::marker::{PhantomData, PhantomPinned};
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_core::{FusedStream, Stream};

use crate::AsyncGenerator;
use crate::ending::{Ending, Returns, YieldsError};

/// A body, the slot that it yields into, and what its end means.
pub struct Generator<Y, F, B, E>
where
    B: Future,
    E: Ending<Y, B::Output>,
{
    state: State<F, B, E::Return>,
    slot: Slot<Y>,
    ending: PhantomData<fn() -> E>,
    // The body holds a pointer to `slot`: a reference to a generator must not
    // claim to be the only way to it, which is what `!Unpin` says today.
    _pinned: PhantomPinned,
}

enum State<F, B, R> {
    Unstarted(F),
    Running(B),
    Ended(Option<R>),
}

/// Where an item lies between the `yield` and the end of the poll.
struct Slot<Y> {
    item: Cell<Option<Y>>,
}

/// What a body yields through; the macros keep it out of the user's reach.
pub struct Yielder<Y> {
    slot: *const Slot<Y>,
}

// SAFETY: nothing in this module reaches the item through a `&Slot` that it did
// not get through a `Pin<&mut Generator>`.
unsafe impl<Y> Sync for Slot<Y> {}
// SAFETY: a yielder moves only within its body, which moves only within its
// generator, which brings the slot along (facts 1 and 2).
unsafe impl<Y: Send> Send for Yielder<Y> {}
// SAFETY: a `&Yielder` is used only by the body that owns it (fact 2), while that
// body is polled through a `Pin<&mut _>`.
unsafe impl<Y> Sync for Yielder<Y> {}

impl<Y, F, B, E> Generator<Y, F, B, E>
where
    F: FnOnce(Yielder<Y>) -> B,
    B: Future,
    E: Ending<Y, B::Output>,
{
    /// Wraps a body that is not built before the first poll.
    ///
    /// # Safety
    ///
    /// `make_body` must only move its yielder into the future that it returns,
    /// and that future must use it only as fact 2 of this module says: every
    /// [`Yielder::put`] directly in its own body, awaited at once.
    #[inline]
    pub unsafe fn new(make_body: F) -> Self {
        Generator {
            state: State::Unstarted(make_body),
            slot: Slot {
                item: Cell::new(None),
            },
            ending: PhantomData,
            _pinned: PhantomPinned,
        }
    }

    /// Builds the body if there was none yet; the caller holds the generator
    /// pinned (fact 1).
    ///
    /// Out of line, so that what every poll runs through stays short.
    #[cold]
    #[inline(never)]
    fn start(&mut self) {
        if !matches!(self.state, State::Unstarted(_)) {
            return;
        }
        let slot = &raw const self.slot;
        if let State::Unstarted(make_body) = core::mem::replace(&mut self.state, State::Ended(None))
        {
            self.state = State::Running(make_body(Yielder { slot }));
        }
    }
}

impl<Y, F, B, E> Stream for Generator<Y, F, B, E>
where
    F: FnOnce(Yielder<Y>) -> B,
    B: Future,
    E: Ending<Y, B::Output>,
{
    type Item = Y;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Y>> {
        // SAFETY: nothing is moved out of the pinned generator but the unstarted
        // closure and the return value, which are never pinned themselves.
        let this = unsafe { self.get_unchecked_mut() };
        if !matches!(this.state, State::Running(_)) {
            this.start();
        }
        let State::Running(body) = &mut this.state else {
            return Poll::Ready(None);
        };
        // SAFETY: the body is a part of a pinned generator; it is dropped in
        // place, below or with the generator, and never moved.
        match unsafe { Pin::new_unchecked(body) }.poll(cx) {
            Poll::Pending => match this.slot.item.take() {
                Some(item) => Poll::Ready(Some(item)),
                None => Poll::Pending,
            },
            Poll::Ready(output) => {
                let (last, returned) = E::end(output);
                this.state = State::Ended(Some(returned));
                Poll::Ready(last)
            }
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let at_most = match self.state {
            State::Ended(_) => Some(0),
            State::Unstarted(_) | State::Running(_) => None,
        };
        (0, at_most)
    }
}

impl<Y, F, B, E> FusedStream for Generator<Y, F, B, E>
where
    F: FnOnce(Yielder<Y>) -> B,
    B: Future,
    E: Ending<Y, B::Output>,
{
    #[inline]
    fn is_terminated(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }
}

impl<Y, F, B, E> AsyncGenerator for Generator<Y, F, B, E>
where
    F: FnOnce(Yielder<Y>) -> B,
    B: Future,
    E: Ending<Y, B::Output>,
{
    type Return = E::Return;

    #[inline]
    fn take_return(self: Pin<&mut Self>) -> Option<E::Return> {
        // SAFETY: only the return value is moved out, which is never pinned.
        match unsafe { &mut self.get_unchecked_mut().state } {
            State::Ended(returned) => returned.take(),
            State::Unstarted(_) | State::Running(_) => None,
        }
    }
}

impl<Y, F, B, E> fmt::Debug for Generator<Y, F, B, E>
where
    B: Future,
    E: Ending<Y, B::Output>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Unstarted(_) => "unstarted",
            State::Running(_) => "running",
            State::Ended(_) => "ended",
        };
        f.debug_struct("Generator")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

impl<Y> Yielder<Y> {
    /// Hands `item` to the poller and gives the future that suspends the body.
    ///
    /// # Safety
    ///
    /// To be called only by the body that this yielder was made for, while it is
    /// polled, with the returned future awaited at once.
    #[inline(always)]
    pub unsafe fn put(&self, item: Y) -> Suspend {
        // SAFETY: by facts 1 and 2 the slot is there and this thread is inside
        // `poll_next`, which does not touch the slot meanwhile; the type is right
        // by fact 4. By fact 3 there is nothing in the slot that needs a drop.
        unsafe { (*self.slot).item.as_ptr().write(Some(item)) };
        Suspend { resumed: false }
    }
}

/// Pending once, then ready: gives control back to the poller.
#[must_use = "a body that does not await it goes on without handing out its item"]
pub struct Suspend {
    resumed: bool,
}

impl Future for Suspend {
    type Output = ();

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.resumed {
            return Poll::Ready(());
        }
        self.resumed = true;
        Poll::Pending
    }
}

/// The constructor behind `stream!`.
///
/// # Safety
///
/// As for [`Generator::new`].
#[inline]
pub unsafe fn stream<Y, F, B>(make_body: F) -> Generator<Y, F, B, Returns>
where
    F: FnOnce(Yielder<Y>) -> B,
    B: Future<Output = ()>,
{
    // SAFETY: the caller promises what is asked for here.
    unsafe { Generator::new(make_body) }
}

/// The constructor behind `try_stream!`, and behind a `stream!` that uses `?`.
///
/// # Safety
///
/// As for [`Generator::new`].
#[inline]
pub unsafe fn try_stream<T, E, F, B>(make_body: F) -> Generator<Result<T, E>, F, B, YieldsError>
where
    F: FnOnce(Yielder<Result<T, E>>) -> B,
    B: Future<Output = Result<(), E>>,
{
    // SAFETY: the caller promises what is asked for here.
    unsafe { Generator::new(make_body) }
}

/// The constructor behind `generator!`.
///
/// # Safety
///
/// As for [`Generator::new`].
#[inline]
pub unsafe fn generator<Y, F, B>(make_body: F) -> Generator<Y, F, B, Returns>
where
    F: FnOnce(Yielder<Y>) -> B,
    B: Future,
{
    // SAFETY: the caller promises what is asked for here.
    unsafe { Generator::new(make_body) }
}
