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
//! 2. **A yielder stays in its own body.** The constructor takes a [`Promise`]
//!    that only the macros give, in an `unsafe` block of its own; the name that they bind the yielder to cannot be
//!    written by a user (mixed-site hygiene), and each `yield` carries a `break`
//!    to a label of the body, which does not compile in a closure, an async
//!    block or an item nested in the body. So a `yield` runs only while the body
//!    itself is being polled, and [`Generator::poll_body`] is all that polls it.
//!    (What this does not cover: a `yield` among the arguments of another macro is
//!    expanded there, and a macro written to take that expansion apart token by
//!    token could put the parts together otherwise.)
//!    In the function form a [`Yields`] takes the place of the yielder: its
//!    lifetime is one that the body has to accept whatever it is, so that neither
//!    it nor a future made with it can be kept by anybody but that body.
//! 3. **The slot is empty while the body runs.** (A [`Yields`] does not rely on
//!    that, but looks.) A `yield` suspends the body
//!    right after it has filled the slot, and the poll that it was in takes the
//!    item out before it returns. So no item is overwritten, and no two accesses
//!    to the slot overlap.
//! 4. **Types agree.** `Generator`, `Slot` and `Yielder` share the parameters `Y`
//!    and `P`, and all three are invariant in them, so that neither another type
//!    nor a shorter lifetime can be smuggled through.
//! 5. **The slot is reached from one thread at a time.** The body reaches it while
//!    it is polled, which takes a `Pin<&mut Generator>`; everybody else needs such a
//!    reference, too. A `&Generator` leads to it for reading only.

use core::cell::Cell;
use core::convert::Infallible;
use core::fmt;
use core::future::Future;
use core::marker::{PhantomData, PhantomPinned};
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_core::FusedStream;

use crate::ending::{Ending, Returns, Silent, YieldsError};
use crate::port::{Mode, Port, Sends, Throws};

/// A body, the slot that it yields into, and what its end means.
///
/// `P` is the port through which values go into the body; `()` where none do.
pub struct Generator<Y, P, F, B, E>
where
    B: Future,
    E: Ending<Y, B::Output>,
{
    state: State<F, B, E::Return>,
    slot: Slot<Y, P>,
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

/// Where an item lies between the `yield` and the end of the poll, and what goes
/// the other way.
struct Slot<Y, P> {
    item: Cell<Option<Y>>,
    port: P,
}

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
    /// that future must use it only as fact 2 of this module says: every
    /// [`Yielder::put`] directly in its own body, awaited at once.
    #[inline(always)]
    pub unsafe fn new() -> Self {
        Promise(())
    }
}

/// What a body yields through; the macros keep it out of the user's reach.
pub struct Yielder<Y, P = ()> {
    slot: *const Slot<Y, P>,
}

// SAFETY: a `&Slot` is of no use to a thread that has no `Pin<&mut Generator>`
// (fact 5).
unsafe impl<Y, P> Sync for Slot<Y, P> {}
// SAFETY: a yielder moves only within its body, which moves only within its
// generator, which brings the slot along (facts 1 and 2).
unsafe impl<Y: Send, P: Send> Send for Yielder<Y, P> {}
// SAFETY: a `&Yielder` is used only by the body that owns it (fact 2), while that
// body is polled through a `Pin<&mut _>`.
unsafe impl<Y, P> Sync for Yielder<Y, P> {}

impl<Y, P, F, B, E> Generator<Y, P, F, B, E>
where
    F: FnOnce(Yielder<Y, P>) -> B,
    B: Future,
    E: Ending<Y, B::Output>,
{
    /// Wraps a body that is not built before the first poll.
    #[inline]
    fn new(make_body: F, port: P, _: Promise) -> Self {
        Generator {
            state: State::Unstarted(make_body),
            slot: Slot {
                item: Cell::new(None),
                port,
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

    /// Runs the body to its next item, its next wait, or its end.
    #[inline]
    pub(crate) fn poll_body(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Y>> {
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

    /// Drops the body where it stands: the generator has ended.
    pub(crate) fn end(self: Pin<&mut Self>) {
        // SAFETY: the body is dropped in place.
        let this = unsafe { self.get_unchecked_mut() };
        if !matches!(this.state, State::Ended(_)) {
            this.state = State::Ended(None);
        }
    }

    /// Takes what the body returned.
    #[inline]
    pub(crate) fn take_output(self: Pin<&mut Self>) -> Option<E::Return> {
        // SAFETY: only the return value is moved out, which is never pinned.
        match unsafe { &mut self.get_unchecked_mut().state } {
            State::Ended(returned) => returned.take(),
            State::Unstarted(_) | State::Running(_) => None,
        }
    }

    /// The port, for whoever could also poll the body (fact 5).
    #[inline]
    pub(crate) fn port(self: Pin<&mut Self>) -> &P {
        &self.into_ref().get_ref().slot.port
    }
}

impl<Y, P, F, B, E> Generator<Y, P, F, B, E>
where
    B: Future,
    E: Ending<Y, B::Output>,
{
    /// The port, for reading (fact 5).
    #[inline]
    pub(crate) fn peek(&self) -> &P {
        &self.slot.port
    }

    #[inline]
    pub(crate) fn is_unstarted(&self) -> bool {
        matches!(self.state, State::Unstarted(_))
    }

    #[inline]
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }
}

impl<Y, P, F, B, E> fmt::Debug for Generator<Y, P, F, B, E>
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

impl<Y, P> Yielder<Y, P> {
    /// Hands `item` to the poller and gives the future that suspends the body.
    ///
    /// # Safety
    ///
    /// To be called only by the body that this yielder was made for, while it is
    /// polled, with the returned future awaited at once.
    #[inline(always)]
    pub unsafe fn put(&self, item: Y) -> Suspend {
        // SAFETY: by facts 1 and 2 the slot is there and this thread is inside
        // `poll_body`, which does not touch the slot meanwhile; the type is right
        // by fact 4. By fact 3 there is nothing in the slot that needs a drop.
        unsafe { (*self.slot).item.as_ptr().write(Some(item)) };
        Suspend { resumed: false }
    }

    /// What goes into the body.
    ///
    /// # Safety
    ///
    /// As for [`put`](Yielder::put); the reference must not be kept beyond the
    /// expression that it is used in.
    #[inline(always)]
    pub unsafe fn port(&self) -> &P {
        // SAFETY: by facts 1 and 2 the slot is there, and by fact 5 no other
        // thread reaches it meanwhile.
        unsafe { &(*self.slot).port }
    }
}

impl<Y, M: Mode> Yielder<Y, Port<M>> {
    /// A wait inside of `try`: over when `future` is, or when the body is to close.
    ///
    /// # Safety
    ///
    /// As for [`put`](Yielder::put).
    #[inline(always)]
    pub unsafe fn until_closed<'b, F>(
        &'b self,
        future: Pin<&'b mut F>,
    ) -> UntilClosed<'b, Y, M, F> {
        UntilClosed {
            yielder: self,
            future,
        }
    }
}

/// A wait that ends when its future does, with its value, or when the body is to
/// close, with none.
#[must_use = "futures do nothing unless awaited"]
pub struct UntilClosed<'b, Y, M: Mode, F> {
    yielder: &'b Yielder<Y, Port<M>>,
    future: Pin<&'b mut F>,
}

impl<Y, M: Mode, F: Future> Future for UntilClosed<'_, Y, M, F> {
    type Output = Option<F::Output>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        // SAFETY: the body awaits this where it was made, so that it is polled
        // only while the body is (fact 2).
        if unsafe { self.yielder.port() }.take_closing() {
            return Poll::Ready(None);
        }
        self.future.as_mut().poll(cx).map(Some)
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

/// A generator as a stream. Made by
/// [`AsyncGenerator::into_stream`](crate::AsyncGenerator::into_stream).
#[derive(Debug)]
#[must_use = "a stream does nothing until it is polled"]
pub struct IntoStream<G, S = (), T = Infallible> {
    generator: G,
    input: PhantomData<fn(S, T)>,
}

impl<G, S, T> IntoStream<G, S, T> {
    pub(crate) fn new(generator: G) -> Self {
        IntoStream {
            generator,
            input: PhantomData,
        }
    }

    /// The generator: to take its return value, or to close it.
    pub fn generator(self: Pin<&mut Self>) -> Pin<&mut G> {
        // SAFETY: the generator is pinned whenever the stream is: it is reached
        // only here, this struct has no destructor, and it is `Unpin` only if the
        // generator is.
        unsafe { self.map_unchecked_mut(|stream| &mut stream.generator) }
    }

    pub(crate) fn get(&self) -> &G {
        &self.generator
    }
}

/// The way out for the items of a [`stream_fn`](crate::stream_fn).
///
/// It belongs to the one body that it was given to: the lifetime is not known
/// outside of it, so that it can neither leave it nor be exchanged for another.
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

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        // SAFETY: the lifetimes see to it that this is polled by the body that the
        // `Yields` was given to, while that is polled: the slot is there (fact 1)
        // and nobody else reaches it (fact 5).
        let slot = unsafe { &(*self.slot).item };
        // There may be the item of a future that was dropped after its poll.
        if let Some(before) = slot.take() {
            slot.set(Some(before));
            return Poll::Pending;
        }
        match self.item.take() {
            None => Poll::Ready(()),
            item => {
                slot.set(item);
                Poll::Pending
            }
        }
    }
}

/// The stream of [`stream_fn`](crate::stream_fn).
pub(crate) fn stream_of<Y, F>(body: F) -> impl FusedStream<Item = Y>
where
    F: for<'b> AsyncFnOnce(Yields<'b, Y>),
{
    // SAFETY: the yielder goes only into `call`.
    let promise = unsafe { Promise::new() };
    let run = move |yielder: Yielder<Y>| async move {
        // SAFETY: it is awaited directly in the body that the yielder is for.
        unsafe { call(yielder, body) }.await
    };
    stream(run, promise)
}

/// The stream of [`try_stream_fn`](crate::try_stream_fn).
pub(crate) fn try_stream_of<T, E, F>(body: F) -> impl FusedStream<Item = Result<T, E>>
where
    F: for<'b> AsyncFnOnce(Yields<'b, Result<T, E>>) -> Result<(), E>,
{
    // SAFETY: the yielder goes only into `call`.
    let promise = unsafe { Promise::new() };
    let run = move |yielder| async move {
        // SAFETY: it is awaited directly in the body that the yielder is for.
        unsafe { call(yielder, body) }.await
    };
    try_stream(run, promise)
}

/// Runs the closure of a function form.
///
/// # Safety
///
/// `yielder` is that of the body which awaits this at once.
async unsafe fn call<Y, F, R>(yielder: Yielder<Y>, body: F) -> R
where
    F: for<'b> AsyncFnOnce(Yields<'b, Y>) -> R,
{
    // An item may be left in the end whose future was dropped after its poll.
    let left = YieldItem {
        slot: yielder.slot,
        item: None,
        body: PhantomData,
    };
    let returned = body(Yields {
        slot: yielder.slot,
        body: PhantomData,
    })
    .await;
    left.await;
    returned
}

/// The constructor behind `stream!`.
#[inline]
pub fn stream<Y, F, B>(make_body: F, promise: Promise) -> Generator<Y, (), F, B, Silent>
where
    F: FnOnce(Yielder<Y>) -> B,
    B: Future<Output = ()>,
{
    Generator::new(make_body, (), promise)
}

/// The constructor behind `try_stream!`, and behind a `stream!` that uses `?`.
#[inline]
pub fn try_stream<T, E, F, B>(
    make_body: F,
    promise: Promise,
) -> Generator<Result<T, E>, (), F, B, YieldsError>
where
    F: FnOnce(Yielder<Result<T, E>>) -> B,
    B: Future<Output = Result<(), E>>,
{
    Generator::new(make_body, (), promise)
}

/// The constructor behind `generator!`.
#[inline]
pub fn generator<Y, F, B>(make_body: F, promise: Promise) -> Generator<Y, (), F, B, Returns>
where
    F: FnOnce(Yielder<Y>) -> B,
    B: Future,
{
    Generator::new(make_body, (), promise)
}

/// The constructor behind a `generator!` that is sent values.
#[inline]
pub fn duplex<Y, S, F, B>(
    make_body: F,
    promise: Promise,
) -> Generator<Y, Port<Sends<S>>, F, B, Returns>
where
    F: FnOnce(Yielder<Y, Port<Sends<S>>>) -> B,
    B: Future,
{
    Generator::new(make_body, Port::default(), promise)
}

/// The constructor behind a `generator!` into which errors can be thrown.
#[inline]
pub fn duplex_throws<Y, S, T, F, B>(
    make_body: F,
    promise: Promise,
) -> Generator<Y, Port<Throws<S, T>>, F, B, Returns>
where
    F: FnOnce(Yielder<Y, Port<Throws<S, T>>>) -> B,
    B: Future,
{
    Generator::new(make_body, Port::default(), promise)
}
