//! The one module with `unsafe` code: how a body hands an item to its caller.
//!
//! A [`Generator`] owns the async block that a macro made of a body, and a
//! [`Slot`] beside it. At the first poll, when the generator is pinned and can no
//! longer move, the body is built with a [`Yielder`], a pointer to that slot. A
//! `yield` writes its item there and suspends; the poll takes it out. One [`Tag`]
//! says where the body stands and what there is in the slot.
//!
//! # Why this is sound
//!
//! Everything rests on these facts. Each `SAFETY` comment quotes them by number.
//!
//! 1. **The slot outlives the yielder, at one address.** The body is built from
//!    a pinned generator and stored in it. A pinned value does not move before it is
//!    dropped, and the body is dropped with it or before it.
//! 2. **A yielder stays in its own body, and is used as a whole.** The constructor
//!    takes a [`Promise`] that only the public macros give, in an `unsafe` block that
//!    they write themselves: whoever calls the procedural macro under them, with a path
//!    of their own to constructors of their own, has to write one, too. In the body
//!    the name that the yielder is bound to cannot be written by a user (mixed-site
//!    hygiene), and all that is done with it, be it a `yield` or the run of a block of a
//!    `try … finally`, carries a `break` to a label of the body, which does not compile
//!    in a closure, an async block or an item nested in the body. So it is done only
//!    while the body itself is being polled, and [`Generator::run`] is all that polls it.
//!    A block of a `try … finally` is an async block that the macros make, and has a
//!    label of that kind of its own. It is awaited by the expression that makes it, so
//!    that it counts as a part of the body: nobody else gets hold of it.
//!    Among the arguments of another macro, which could take an expansion apart and put
//!    its parts together otherwise, there is only the name of a macro of the body's
//!    own; what that expands to nobody sees but the compiler. And the methods are
//!    called by their paths, so that no trait can come in between.
//!    In the function form a [`Yields`] takes the place of the yielder: its
//!    lifetime is one that the body has to accept whatever it is, so that neither
//!    it nor a future made with it can be kept by anybody but that body.
//! 3. **The tag tells what the slot holds.** A `yield` writes its item, goes from
//!    [`Tag::Running`] to [`Tag::AtYield`], and suspends the body at once; the poll
//!    that it was in moves the item out before it returns. Where values go in, the tag
//!    stays: it means from then on that the body stands there and that the slot is
//!    empty. Whoever resumes the body writes the value, sets [`Tag::Running`] and polls
//!    the body at once, which first of all reads the value. Where nothing goes in, the
//!    poll sets [`Tag::Running`] when it takes the item; and a body of that kind sets
//!    no others. (A [`Yields`] may leave an item for longer, and looks at the tag
//!    before it writes; so do the end of its body and the drop of the generator. An
//!    error after such an item waits in the slot: [`Tag::EndedWithItem`].)
//! 4. **Types agree.** `Generator`, `Slot` and `Yielder` share the parameters `Y`
//!    and `P`, and all three are invariant in them, so that neither another type
//!    nor a shorter lifetime can be smuggled through.
//! 5. **The slot is reached from one thread at a time.** The body reaches it while
//!    it is polled, which takes a `Pin<&mut Generator>`; everybody else needs such a
//!    reference, too. A `&Generator` leads to it for reading only.
//! 6. **The tag tells what the stage holds.** The closure before the start, the
//!    output after the end, nothing for [`Tag::Empty`], and otherwise the body.
//!    Where one is exchanged for another the tag is `Empty` in between, so that a
//!    panic leaves nothing to be dropped twice.
//!
//! What `yield in` needs on top of them is in [`yield_in`].

mod into_stream;
mod slot;
mod stream_fn;
mod yield_in;
mod yielder;

use core::cell::UnsafeCell;
use core::fmt;
use core::future::Future;
use core::marker::{PhantomData, PhantomPinned};
use core::mem::ManuallyDrop;
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::ending::{Ending, Returns, Silent, YieldsError};
use crate::port::{Blocks, Delegates, Extra, Mode, Port, Sends, Throws, Way};
use crate::{GeneratorState, Resume};

use self::slot::Slot;

pub use into_stream::{IntoStream, TryIntoStream};
pub(crate) use slot::{Narrow, Stand, Tag, Wide};
pub use stream_fn::{YieldItem, Yields};
pub(crate) use stream_fn::{stream_of, try_stream_of};
pub use yield_in::{Chain, Links};
pub use yielder::{Promise, Yielder};

/// A body, the slot that it yields into, and what its end means.
///
/// `P` is the port through which values go into the body; `()` where none do.
pub struct Generator<Y, P, F, B, E>
where
    P: Way,
    B: Future,
    E: Ending<Y, B::Output>,
{
    stage: Stirring<Stage<F, B, E::Return>>,
    slot: Slot<Y, P>,
    ending: PhantomData<fn() -> E>,
    // The body holds a pointer to `slot`: a reference to a generator must not
    // claim to be the only way to it, which is what `!Unpin` says today.
    _pinned: PhantomPinned,
}

/// What a shared reference says nothing about.
///
/// A body holds references to what is in itself. A `&Generator` must not claim that
/// nobody writes there as long as it lives, nor take away from those references what
/// they may do; `!Unpin` sees to the same for a `&mut Generator`.
struct Stirring<T>(UnsafeCell<T>);

// SAFETY: a shared reference to it has no use.
unsafe impl<T: Sync> Sync for Stirring<T> {}

/// What there is of the body. Which one it is, the tag of the slot says: a tag of
/// its own would take a word.
union Stage<F, B, R> {
    unstarted: ManuallyDrop<F>,
    running: ManuallyDrop<B>,
    ended: ManuallyDrop<R>,
}

impl<Y, P, F, B, E> Generator<Y, P, F, B, E>
where
    P: Way,
    F: FnOnce(Yielder<Y, P>) -> B,
    B: Future,
    E: Ending<Y, B::Output>,
{
    /// Wraps a body that is not built before the first poll.
    #[inline]
    fn new(make_body: F, port: P, _: Promise) -> Self {
        Generator {
            stage: Stirring(UnsafeCell::new(Stage {
                unstarted: ManuallyDrop::new(make_body),
            })),
            slot: Slot::new(port),
            ending: PhantomData,
            _pinned: PhantomPinned,
        }
    }

    /// What is not an ordinary step: builds the body if there was none yet. Whether
    /// there is one to run. The caller holds the generator pinned (fact 1).
    ///
    /// Out of line, so that what every poll runs through stays short.
    #[cold]
    #[inline(never)]
    fn prepare(&mut self) -> bool {
        match self.slot.stand.get() {
            Tag::Unstarted => {}
            Tag::Running | Tag::AtYield | Tag::Close => return true,
            Tag::Done | Tag::Ended | Tag::EndedWithItem | Tag::Empty => return false,
            Tag::Panicked => panicked_before(),
        }
        let slot = &raw const self.slot;
        self.slot.stand.set(Tag::Empty);
        // SAFETY: it was there (fact 6), and from now on is not.
        let make_body = unsafe { ManuallyDrop::take(&mut self.stage.0.get_mut().unstarted) };
        self.stage.0.get_mut().running = ManuallyDrop::new(make_body(Yielder::new(slot)));
        self.slot.stand.set(Tag::Running);
        true
    }

    /// The same; what goes in comes out, so that an ordinary step need not save it
    /// from this call.
    #[cold]
    #[inline(never)]
    fn prepare_and_return<'s, 'c, 'w>(
        &'s mut self,
        cx: &'c mut Context<'w>,
    ) -> Option<(&'s mut Self, &'c mut Context<'w>)> {
        self.prepare().then_some((self, cx))
    }

    /// Runs the body to its next item, its next wait, or its end. `is_ready` saves the
    /// question whether there is a body, where the answer is known.
    #[inline]
    pub(crate) fn run(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        is_ready: bool,
    ) -> Poll<Option<Y>> {
        // SAFETY: nothing is moved out of the pinned generator but the unstarted
        // closure and the return value, which are never pinned themselves.
        let this = unsafe { self.get_unchecked_mut() };
        let (mut this, mut cx) = (this, cx);
        if !is_ready && !this.slot.stand.is_running() {
            if Slot::<Y, P>::IS_BRANCHLESS || E::MAY_LEAVE_ITEM {
                if !this.prepare() {
                    return Poll::Ready(this.take_last());
                }
            } else {
                match this.prepare_and_return(cx) {
                    Some(prepared) => (this, cx) = prepared,
                    None => return Poll::Ready(None),
                }
            }
        }
        // SAFETY: it is there (fact 6). The body is a part of a pinned generator; it
        // is dropped in place, below or with the generator, and never moved.
        let body = unsafe { Pin::new_unchecked(&mut *this.stage.0.get_mut().running) };
        match body.poll(cx) {
            Poll::Pending => {
                // SAFETY: if it says so, the body has just laid it there (fact 3).
                match unsafe { this.slot.take() } {
                    Some(item) => Poll::Ready(Some(item)),
                    None if P::IS_TWO_WAY && this.slot.stand.get() == Tag::Done => {
                        this.finish();
                        Poll::Ready(None)
                    }
                    None => Poll::Pending,
                }
            }
            Poll::Ready(output) => Poll::Ready(this.end_with(output)),
        }
    }

    /// Drops the body, which has ended with this output. Gives the next item, if there is
    /// one.
    #[inline]
    fn end_with(&mut self, output: B::Output) -> Option<Y> {
        let is_left = E::MAY_LEAVE_ITEM && self.slot.stand.is_at_yield();
        // SAFETY: there is one (fact 3).
        let left = is_left.then(|| unsafe { self.slot.take_item() });
        if is_left {
            self.slot.stand.leave();
        }
        self.finish();
        let (last, returned) = E::end(output);
        self.stage.0.get_mut().ended = ManuallyDrop::new(returned);
        self.slot.stand.set(Tag::Ended);
        match (left, last) {
            (Some(left), Some(last)) => {
                self.slot.load.get_mut().item = ManuallyDrop::new(last);
                self.slot.stand.set(Tag::EndedWithItem);
                Some(left)
            }
            (left, last) => left.or(last),
        }
    }

    /// The item that was laid down when the body ended, if there is one.
    #[inline]
    fn take_last(&mut self) -> Option<Y> {
        if !E::MAY_LEAVE_ITEM || self.slot.stand.get() != Tag::EndedWithItem {
            return None;
        }
        self.slot.stand.set(Tag::Ended);
        // SAFETY: there is one (fact 3), and the tag no longer says so.
        Some(unsafe { self.slot.take_item() })
    }

    /// Drops the body where it stands: the generator has ended.
    #[cold]
    pub(crate) fn end(self: Pin<&mut Self>) {
        // SAFETY: what there is is dropped in place.
        let this = unsafe { self.get_unchecked_mut() };
        match this.slot.stand.get() {
            Tag::Ended | Tag::EndedWithItem | Tag::Empty => {}
            _ => this.finish(),
        }
    }

    /// Takes what the body returned, if it is such a value.
    #[inline]
    pub(crate) fn take_output_if(
        self: Pin<&mut Self>,
        is_wanted: fn(&E::Return) -> bool,
    ) -> Option<E::Return> {
        // SAFETY: only the return value is moved out, which is never pinned.
        let this = unsafe { self.get_unchecked_mut() };
        if this.slot.stand.get() != Tag::Ended {
            return None;
        }
        // SAFETY: it is there (fact 6).
        if !is_wanted(unsafe { &this.stage.0.get_mut().ended }) {
            return None;
        }
        this.slot.stand.set(Tag::Empty);
        // SAFETY: it was there (fact 6), and from now on is not.
        Some(unsafe { ManuallyDrop::take(&mut this.stage.0.get_mut().ended) })
    }
}

impl<Y, P, F, B, E> Generator<Y, P, F, B, E>
where
    P: Way,
    B: Future,
    E: Ending<Y, B::Output>,
{
    /// Drops what there is, in place.
    #[inline]
    fn finish(&mut self) {
        // SAFETY: it is there (fact 6), and not dropped twice, since the tag is
        // `Empty` before it is dropped. An item is one of a future of the function form:
        // left before its body panicked, or while that is dropped (fact 3).
        unsafe {
            let tag = self.slot.stand.get();
            self.slot.stand.set(Tag::Empty);
            match tag {
                Tag::Unstarted => ManuallyDrop::drop(&mut self.stage.0.get_mut().unstarted),
                Tag::Ended => ManuallyDrop::drop(&mut self.stage.0.get_mut().ended),
                Tag::EndedWithItem => {
                    drop(self.slot.take_item());
                    ManuallyDrop::drop(&mut self.stage.0.get_mut().ended);
                }
                Tag::Empty => {}
                Tag::AtYield if !P::IS_TWO_WAY => {
                    drop(self.slot.take_item());
                    self.drop_body();
                }
                Tag::Running | Tag::AtYield | Tag::Close | Tag::Done | Tag::Panicked => {
                    self.drop_body();
                }
            }
        }
    }

    /// Drops the body, and an item that it may lay down meanwhile: in the function form,
    /// what it holds can poll a future that does.
    ///
    /// # Safety
    ///
    /// It must be there.
    #[inline]
    unsafe fn drop_body(&mut self) {
        // SAFETY: so says the caller; the tag tells of the item (fact 3).
        unsafe {
            ManuallyDrop::drop(&mut self.stage.0.get_mut().running);
            if !P::IS_TWO_WAY && self.slot.stand.is_at_yield() {
                self.slot.stand.set(Tag::Empty);
                drop(self.slot.take_item());
            }
        }
    }

    /// Where the body stands.
    #[inline]
    pub(crate) fn tag(&self) -> Tag {
        self.slot.stand.get()
    }

    #[inline]
    pub(crate) fn is_at_yield(&self) -> bool {
        self.slot.stand.is_at_yield()
    }

    #[inline]
    pub(crate) fn is_unstarted(&self) -> bool {
        self.tag() == Tag::Unstarted
    }

    #[inline]
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.tag(), Tag::Ended | Tag::Empty)
    }
}

impl<Y, M, X, F, B, E> Generator<Y, Port<M, X>, F, B, E>
where
    M: Mode,
    X: Extra,
    B: Future,
    E: Ending<Y, B::Output>,
{
    /// Lays a value ready for the `yield` at which the body stands, which the caller
    /// polls at once.
    #[inline]
    pub(crate) fn send(self: Pin<&mut Self>, value: M::Value) {
        // A value that is not read is not dropped either (fact 3).
        let slot = &self.into_ref().get_ref().slot;
        // SAFETY: with a `Pin<&mut Self>` nobody else reaches the slot (fact 5).
        unsafe { (*slot.load.get()).value = ManuallyDrop::new(value) };
        slot.stand.leave();
    }

    /// What the port has on top of values, for reading (fact 5).
    #[inline]
    pub(crate) fn peek(&self) -> &X {
        &self.slot.port.extra
    }

    /// Asks the body to close. Whether there is anything for it to do.
    pub(crate) fn close(self: Pin<&mut Self>) -> bool {
        let guard = self.slot.guard.guard();
        guard.is_some_and(|guard| guard.close(&self.slot.stand))
    }

    /// Where the generator stands that the body yields from, if it depends on that.
    #[inline]
    pub(crate) fn state_of_inner(&self) -> Option<GeneratorState>
    where
        X: Delegates<Y, M::Send, M::Throw>,
    {
        let links = self.slot.port.extra.links()?;
        // SAFETY: it takes a `Pin<&mut Self>` to poll it.
        unsafe { links.state() }
    }

    /// Resumes the innermost of the generators that the body yields from; none if it
    /// is the body's turn.
    #[inline]
    pub(crate) fn resume_inner(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        input: &mut Option<Resume<M::Send, M::Throw>>,
    ) -> Option<Poll<Option<Y>>>
    where
        X: Delegates<Y, M::Send, M::Throw>,
    {
        let slot = &self.into_ref().get_ref().slot;
        let links = slot.port.extra.links().filter(|links| links.is_linked())?;
        // SAFETY: it is linked, and `self` was pinned and exclusive.
        unsafe { links.resume(&slot.stand, cx, input) }
    }
}

impl<Y, P, F, B, E> Drop for Generator<Y, P, F, B, E>
where
    P: Way,
    B: Future,
    E: Ending<Y, B::Output>,
{
    #[inline]
    fn drop(&mut self) {
        self.finish();
    }
}

impl<Y, P, F, B, E> fmt::Debug for Generator<Y, P, F, B, E>
where
    P: Way,
    B: Future,
    E: Ending<Y, B::Output>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.tag() {
            Tag::Unstarted => "unstarted",
            Tag::Ended | Tag::EndedWithItem | Tag::Empty => "ended",
            _ => "running",
        };
        f.debug_struct("Generator")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

#[cold]
fn panicked_before() -> ! {
    panic!("a generator was resumed after one that it yielded from had panicked")
}

/// The constructor that `stream!` calls.
#[inline]
pub fn stream<Y, F, B>(make_body: F, promise: Promise) -> Generator<Y, (), F, B, Silent>
where
    F: FnOnce(Yielder<Y>) -> B,
    B: Future<Output = ()>,
{
    Generator::new(make_body, (), promise)
}

/// The constructor that `try_stream!` calls, and a `stream!` that uses `?`.
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

/// The constructor that `generator!` calls.
#[inline]
pub fn generator<Y, F, B>(make_body: F, promise: Promise) -> Generator<Y, (), F, B, Returns>
where
    F: FnOnce(Yielder<Y>) -> B,
    B: Future,
{
    Generator::new(make_body, (), promise)
}

/// The constructor for a `generator!` that is sent values.
#[inline]
pub fn duplex<Y, S, X, F, B>(
    make_body: F,
    promise: Promise,
) -> Generator<Y, Port<Sends<S>, X>, F, B, Returns>
where
    X: Extra,
    F: FnOnce(Yielder<Y, Port<Sends<S>, X>>) -> B,
    B: Future,
{
    Generator::new(make_body, Port::default(), promise)
}

/// The constructor for a `generator!` into which errors can be thrown.
#[inline]
pub fn duplex_throws<Y, S, T, X, F, B>(
    make_body: F,
    promise: Promise,
) -> Generator<Y, Port<Throws<S, T>, X>, F, B, Returns>
where
    X: Extra,
    F: FnOnce(Yielder<Y, Port<Throws<S, T>, X>>) -> B,
    B: Future,
{
    Generator::new(make_body, Port::default(), promise)
}

#[cfg(test)]
mod tests {
    use core::convert::Infallible;

    use super::{Generator, Way};
    use crate::ending::Ending;
    use crate::{AsyncGenerator, generator, stream};

    /// How much larger a generator is than its body.
    fn more_than_body<Y, P, F, B, E>(_: &Generator<Y, P, F, B, E>) -> usize
    where
        P: Way,
        B: Future,
        E: Ending<Y, B::Output>,
    {
        size_of::<Generator<Y, P, F, B, E>>() - size_of::<B>()
    }

    const WORD: usize = size_of::<usize>();

    #[test]
    fn of_whatever_kind_it_is_at_most_an_item_a_value_and_two_words() {
        let inner = generator! { let () = yield 1u64; };
        // The compiler infers the type from this.
        let _: &dyn AsyncGenerator<(), Infallible, Yield = u64, Return = ()> = &inner;
        assert_eq!(more_than_body(&inner), WORD + WORD);
        let one_way = stream! { yield [0u64; 4]; };
        assert_eq!(more_than_body(&one_way), 4 * WORD + WORD);
        let guarded = generator! { try { yield 1u64; } finally { yield 2; } };
        let _: &dyn AsyncGenerator<(), Infallible, Yield = u64, Return = ()> = &guarded;
        assert_eq!(more_than_body(&guarded), WORD + WORD);
        let delegating = generator! { let () = yield in inner; };
        let _: &dyn AsyncGenerator<(), Infallible, Yield = u64, Return = ()> = &delegating;
        assert_eq!(more_than_body(&delegating), WORD + 2 * WORD);
    }
}
