//! What a body does with its generator: hands out items, takes values, runs the blocks of
//! its `try … finally`.

use core::convert::Infallible;
use core::future::{Future, Pending, pending};
use core::pin::Pin;
use core::task::{Context, Poll};

use super::slot::{Slot, Stand, Tag};
use crate::port::{Exit, Extra, Guard, Mode, Port, TryBlock, Way};

/// What a body yields through; the macros keep it out of the user's reach.
///
/// Its methods are safe to call, since whoever has it has promised to use it well: a
/// [`Promise`] is what it takes to get one.
pub struct Yielder<Y, P: Way = ()> {
    pub(super) slot: *const Slot<Y, P>,
}

// SAFETY: a yielder moves only within its body, which moves only within its
// generator, which brings the slot along (facts 1 and 2).
unsafe impl<Y: Send, P: Way<Value: Send> + Send> Send for Yielder<Y, P> {}
// SAFETY: a `&Yielder` is used only by the body that owns it (fact 2), while that
// body is polled through a `Pin<&mut _>`.
unsafe impl<Y, P: Way> Sync for Yielder<Y, P> {}

/// The promise that a body keeps to fact 2.
///
/// A value, so that the `unsafe` block that gives it need not be around the body,
/// where it would let a user do what is unsafe without saying so.
pub struct Promise(());

impl Promise {
    /// Promises it for the one closure that is passed along with this.
    ///
    /// # Safety
    ///
    /// The closure must only move its yielder into the future that it returns, and
    /// that future must use it only as fact 2 of this module says: directly in its own
    /// body; whatever future a method of the yielder gives awaited at once, and after
    /// [`Yielder::put`], with nothing in between, `received` or `received_or_close`, if
    /// there is one.
    #[inline(always)]
    pub unsafe fn new() -> Self {
        Promise(())
    }
}

impl<Y, P: Way> Yielder<Y, P> {
    /// For the body that whoever has the slot is about to build.
    #[inline(always)]
    pub(super) fn new(slot: *const Slot<Y, P>) -> Self {
        Yielder { slot }
    }

    /// Hands `item` to the poller and gives the future that suspends the body.
    #[inline(always)]
    pub fn put(&self, item: Y) -> Suspend {
        // SAFETY: this thread is inside `Generator::run`, which does not touch the slot
        // meanwhile (fact 2); the type is right by fact 4.
        unsafe { self.slot().put(item) };
        Suspend { is_resumed: false }
    }

    /// The slot, for as long as one expression of the body takes.
    #[inline(always)]
    pub(super) fn slot(&self) -> &Slot<Y, P> {
        // SAFETY: by facts 1 and 2 the slot is there, and by fact 5 no other
        // thread reaches it meanwhile.
        unsafe { &*self.slot }
    }
}

impl<Y, M: Mode, X: Extra> Yielder<Y, Port<M, X>> {
    /// What a `yield` gives, in a body that has nothing to do when it is closed.
    #[inline(always)]
    pub fn received(&self) -> M::Value {
        // SAFETY: the body stood at a `yield` (fact 2), and was resumed with a value
        // (fact 3).
        unsafe { self.slot().take_value() }
    }
}

impl<Y, M: Mode, X: Extra<Guard = Guard>> Yielder<Y, Port<M, X>> {
    /// What a `yield` gives; none if the body is to close.
    #[inline(always)]
    pub fn received_or_close(&self) -> Option<M::Value> {
        let slot = self.slot();
        match slot.stand.get() {
            Tag::Close => {
                slot.stand.set(Tag::Running);
                None
            }
            // SAFETY: the body stood at a `yield` (fact 2), and was resumed with a value,
            // since the tag does not say otherwise (fact 3).
            _ => Some(unsafe { slot.take_value() }),
        }
    }

    /// Runs the block of a `try`: over when `block` is, or when the body is to close in
    /// a wait there; then its `finally` runs.
    #[inline]
    pub fn run_try<F>(&self, block: F) -> RunTry<'_, Y, M, X, F> {
        RunTry {
            innermost: self.guard().enter_try(),
            yielder: self,
            block,
        }
    }

    /// Runs the block of a `finally`, to its end.
    #[inline]
    pub fn run_finally<F>(&self, block: F) -> RunFinally<'_, Y, M, X, F> {
        RunFinally {
            yielder: self,
            block,
        }
    }

    /// The body has closed and wants to be dropped.
    pub fn done(&self) -> Pending<Infallible> {
        self.slot().stand.set(Tag::Done);
        pending()
    }

    #[inline(always)]
    fn guard(&self) -> &Guard {
        &self.slot().guard
    }
}

/// Pending once, then ready: gives control back to the poller.
#[must_use = "a body that does not await it goes on without handing out its item"]
pub struct Suspend {
    is_resumed: bool,
}

impl Future for Suspend {
    type Output = ();

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.is_resumed {
            return Poll::Ready(());
        }
        self.is_resumed = true;
        Poll::Pending
    }
}

/// The block of a `try`, which is given up where it waits if the body is to close.
#[must_use = "futures do nothing unless awaited"]
pub struct RunTry<'b, Y, M: Mode, X: Extra, F> {
    yielder: &'b Yielder<Y, Port<M, X>>,
    innermost: TryBlock,
    block: F,
}

impl<Y, M: Mode, X: Extra<Guard = Guard>, V, R, F> Future for RunTry<'_, Y, M, X, F>
where
    F: Future<Output = Exit<V, R>>,
{
    type Output = Exit<V, R>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Exit<V, R>> {
        // A shared reference to all of this would claim the block's memory, in which the
        // block may have borrowed from itself; one to a field claims the field.
        // SAFETY: nothing is moved out of this.
        let this = unsafe { self.get_unchecked_mut() };
        let guard = this.yielder.guard();
        // The body awaits this where it was made, so that it is polled only while the
        // body is (fact 2).
        let polled = if guard.take_closing(&this.innermost) {
            Poll::Ready(Exit::Close)
        } else {
            // SAFETY: the block is pinned with this, which has no destructor, and is
            // `Unpin` only if the block is.
            unsafe { Pin::new_unchecked(&mut this.block) }.poll(cx)
        };
        if polled.is_ready() {
            guard.enter_finally();
        }
        polled
    }
}

/// The block of a `finally`.
#[must_use = "futures do nothing unless awaited"]
pub struct RunFinally<'b, Y, M: Mode, X: Extra, F> {
    yielder: &'b Yielder<Y, Port<M, X>>,
    block: F,
}

impl<Y, M: Mode, X: Extra<Guard = Guard>, R, F> Future for RunFinally<'_, Y, M, X, F>
where
    F: Future<Output = Exit<(), R>>,
{
    type Output = Exit<(), R>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Exit<(), R>> {
        // SAFETY: as for `RunTry`.
        let this = unsafe { self.get_unchecked_mut() };
        let guard = this.yielder.guard();
        // SAFETY: as for `RunTry`.
        let block = unsafe { Pin::new_unchecked(&mut this.block) };
        block.poll(cx).map(|exit| {
            match (guard.leave_finally(), exit) {
                (true, Exit::Value(())) => Exit::Close,
                // It has been left in a way of its own.
                (_, exit) => exit,
            }
        })
    }
}
