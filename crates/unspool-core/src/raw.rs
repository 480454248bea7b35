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
//! What `yield in` needs on top of them is in [`chain`].

mod chain;
mod functions;

use core::cell::{Cell, UnsafeCell};
use core::convert::Infallible;
use core::fmt;
use core::future::{Future, Pending, pending};
use core::marker::{PhantomData, PhantomPinned};
use core::mem::{ManuallyDrop, MaybeUninit};
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::ending::{Ending, Returns, Silent, YieldsError};
use crate::port::{
    Blocks, Delegates, Exit, Extra, Guard, Mode, Port, Sends, Throws, TryBlock, Way,
};
use crate::{GeneratorState, Resume};

pub use chain::{Chain, Links};
pub use functions::{YieldItem, Yields};
pub(crate) use functions::{stream_of, try_stream_of};

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

/// Where the body stands, what there is of it, and what there is in the slot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// In a wait, or being polled.
    Running = 0,
    /// At a `yield`.
    AtYield = 1,
    /// Told to close, at a `yield`.
    Close,
    /// Done with all that it has to do before it is dropped.
    Done,
    /// Broken: another generator panicked that this one was yielding from.
    Panicked,
    /// Before its begin.
    Unstarted,
    /// After its end, with its output.
    Ended,
    /// After its end, with its output, and with its last item in the slot.
    EndedWithItem,
    /// After its end.
    Empty,
}

/// How a slot keeps its tag.
pub trait Stand {
    /// For a body that has not begun.
    fn new() -> Self;
    fn get(&self) -> Tag;
    fn set(&self, tag: Tag);
    /// From `Running` to `AtYield`.
    fn arrive(&self);
    /// From `AtYield` to `Running`.
    fn leave(&self);
    /// Whether it is `Running`, where it is not `AtYield`.
    fn is_running(&self) -> bool;
    fn is_at_yield(&self) -> bool;

    /// Whether it is `AtYield`.
    ///
    /// # Safety
    ///
    /// It must be that or `Running`.
    unsafe fn bit(&self) -> Bit;
}

/// The two tags that a body leaves behind into which nothing goes, as what the
/// compiler knows how to compute with.
#[derive(Clone, Copy)]
#[repr(u64)]
pub enum Bit {
    No = Tag::Running as u64,
    Yes = Tag::AtYield as u64,
}

/// Where nothing goes in: a whole word, as wide as the part of a small result that
/// says what it is.
pub struct Wide(Cell<u64>);

/// Where values go in: a byte, and a flag of its own for what is asked twice a step.
/// There is room in the word for what a port has on top of values.
pub struct Narrow {
    tag: Cell<Tag>,
    is_at_yield: Cell<bool>,
}

impl Stand for Wide {
    #[inline(always)]
    fn new() -> Self {
        Wide(Cell::new(Tag::Unstarted as u64))
    }

    #[inline(always)]
    fn get(&self) -> Tag {
        const TAGS: [Tag; 8] = [
            Tag::Running,
            Tag::AtYield,
            Tag::Close,
            Tag::Done,
            Tag::Panicked,
            Tag::Unstarted,
            Tag::Ended,
            Tag::EndedWithItem,
        ];
        let number = self.0.get() as usize;
        TAGS.get(number).copied().unwrap_or(Tag::Empty)
    }

    #[inline(always)]
    fn set(&self, tag: Tag) {
        self.0.set(tag as u64);
    }

    #[inline(always)]
    fn arrive(&self) {
        self.set(Tag::AtYield);
    }

    #[inline(always)]
    fn leave(&self) {
        self.set(Tag::Running);
    }

    #[inline(always)]
    fn is_running(&self) -> bool {
        self.0.get() == Tag::Running as u64
    }

    #[inline(always)]
    fn is_at_yield(&self) -> bool {
        self.0.get() == Tag::AtYield as u64
    }

    #[inline(always)]
    unsafe fn bit(&self) -> Bit {
        // SAFETY: so says the caller.
        unsafe { self.0.as_ptr().cast::<Bit>().read() }
    }
}

impl Stand for Narrow {
    #[inline(always)]
    fn new() -> Self {
        Narrow {
            tag: Cell::new(Tag::Unstarted),
            is_at_yield: Cell::new(false),
        }
    }

    #[inline(always)]
    fn get(&self) -> Tag {
        match self.is_at_yield.get() {
            true => Tag::AtYield,
            false => self.tag.get(),
        }
    }

    #[inline(always)]
    fn set(&self, tag: Tag) {
        self.is_at_yield.set(false);
        self.tag.set(tag);
    }

    #[inline(always)]
    fn arrive(&self) {
        self.is_at_yield.set(true);
    }

    #[inline(always)]
    fn leave(&self) {
        self.is_at_yield.set(false);
    }

    #[inline(always)]
    fn is_running(&self) -> bool {
        self.tag.get() == Tag::Running
    }

    #[inline(always)]
    fn is_at_yield(&self) -> bool {
        self.is_at_yield.get()
    }

    unsafe fn bit(&self) -> Bit {
        match self.is_at_yield() {
            true => Bit::Yes,
            false => Bit::No,
        }
    }
}

/// Where an item lies between the `yield` and the end of the poll, and what goes
/// the other way.
struct Slot<Y, P: Way> {
    load: UnsafeCell<Load<Y, P::Value>>,
    stand: P::Stand,
    guard: P::Guard,
    port: P,
}

/// An item on its way out, or a value on its way in: never both.
#[repr(C)]
union Load<Y, V> {
    item: ManuallyDrop<Y>,
    value: ManuallyDrop<V>,
    empty: (),
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
    /// that future must use it only as fact 2 of this module says: directly in its own
    /// body; whatever future a method of the yielder gives awaited at once, and behind
    /// [`Yielder::put`], with nothing in between, `received` or `received_or_close`, if
    /// there is one.
    #[inline(always)]
    pub unsafe fn new() -> Self {
        Promise(())
    }
}

/// What a body yields through; the macros keep it out of the user's reach.
///
/// Its methods are safe to call, since whoever has it has promised to use it well: a
/// [`Promise`] is what it takes to get one.
pub struct Yielder<Y, P: Way = ()> {
    slot: *const Slot<Y, P>,
}

// SAFETY: a `&Slot` is of no use to a thread that has no `Pin<&mut Generator>`
// (fact 5).
unsafe impl<Y, P: Way> Sync for Slot<Y, P> {}
// SAFETY: a yielder moves only within its body, which moves only within its
// generator, which brings the slot along (facts 1 and 2).
unsafe impl<Y: Send, P: Way<Value: Send> + Send> Send for Yielder<Y, P> {}
// SAFETY: a `&Yielder` is used only by the body that owns it (fact 2), while that
// body is polled through a `Pin<&mut _>`.
unsafe impl<Y, P: Way> Sync for Yielder<Y, P> {}

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
            slot: Slot {
                load: UnsafeCell::new(Load { empty: () }),
                stand: P::Stand::new(),
                guard: P::Guard::default(),
                port,
            },
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
        self.stage.0.get_mut().running = ManuallyDrop::new(make_body(Yielder { slot }));
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
    ) -> Result<(&'s mut Self, &'c mut Context<'w>), &'s mut Self> {
        if self.prepare() {
            Ok((self, cx))
        } else {
            Err(self)
        }
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
            if Slot::<Y, P>::IS_BRANCHLESS {
                if !this.prepare() {
                    return Poll::Ready(this.take_last());
                }
            } else {
                match this.prepare_and_return(cx) {
                    Ok(prepared) => (this, cx) = prepared,
                    Err(this) => return Poll::Ready(this.take_last()),
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

    /// Takes what the body returned.
    #[inline]
    pub(crate) fn take_output(self: Pin<&mut Self>) -> Option<E::Return> {
        // SAFETY: only the return value is moved out, which is never pinned.
        let this = unsafe { self.get_unchecked_mut() };
        if this.slot.stand.get() != Tag::Ended {
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

impl<Y, P: Way> Slot<Y, P> {
    /// Whether the compiler is led to make a result of tag and item without a branch:
    /// where both go into registers.
    const IS_BRANCHLESS: bool = !P::IS_TWO_WAY && size_of::<Y>() <= 8;

    /// Lays an item down.
    ///
    /// # Safety
    ///
    /// To be called by the body while it is polled (facts 2 and 5).
    #[inline(always)]
    unsafe fn put(&self, item: Y) {
        // SAFETY: nobody else reaches the slot meanwhile, and by fact 3 there is
        // nothing in it that needs a drop.
        unsafe { (*self.load.get()).item = ManuallyDrop::new(item) };
        self.stand.arrive();
    }

    /// Takes the item, if the body has just yielded one.
    ///
    /// # Safety
    ///
    /// Nobody else may reach the slot meanwhile, and an item may be taken only once.
    #[inline(always)]
    unsafe fn take(&self) -> Option<Y> {
        if !Self::IS_BRANCHLESS {
            let is_at_yield = self.stand.is_at_yield();
            if !P::IS_TWO_WAY {
                self.stand.leave();
            }
            // SAFETY: there is one (fact 3).
            return is_at_yield.then(|| unsafe { self.take_item() });
        }
        // Before the tag is reset, and so whatever that says.
        //
        // SAFETY: it may be anything.
        let item = unsafe { self.load.get().cast::<MaybeUninit<Y>>().read() };
        // SAFETY: a body into which nothing goes knows no other tags (fact 3).
        let bit = unsafe { self.stand.bit() };
        self.stand.leave();
        match bit {
            // SAFETY: there is one (fact 3).
            Bit::Yes => Some(unsafe { item.assume_init() }),
            Bit::No => None,
        }
    }

    /// Takes the item.
    ///
    /// # Safety
    ///
    /// There must be one (fact 3), and nobody else may reach the slot meanwhile.
    #[inline(always)]
    unsafe fn take_item(&self) -> Y {
        // SAFETY: so says the caller.
        unsafe { ManuallyDrop::take(&mut (*self.load.get()).item) }
    }

    /// Takes the value.
    ///
    /// # Safety
    ///
    /// As for [`take_item`](Slot::take_item).
    #[inline(always)]
    unsafe fn take_value(&self) -> P::Value {
        // SAFETY: so says the caller.
        unsafe { ManuallyDrop::take(&mut (*self.load.get()).value) }
    }
}

impl<Y, P: Way> Yielder<Y, P> {
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
    fn slot(&self) -> &Slot<Y, P> {
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
        let guard = self.yielder.guard();
        // The body awaits this where it was made, so that it is polled only while the
        // body is (fact 2).
        let polled = if guard.take_closing(&self.innermost) {
            Poll::Ready(Exit::Close)
        } else {
            // SAFETY: the block is pinned with this, which has no destructor, and is
            // `Unpin` only if the block is.
            unsafe { self.map_unchecked_mut(|this| &mut this.block) }.poll(cx)
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
        let guard = self.yielder.guard();
        // SAFETY: as for `RunTry`.
        let block = unsafe { self.map_unchecked_mut(|this| &mut this.block) };
        block.poll(cx).map(|exit| {
            match (guard.leave_finally(), exit) {
                (true, Exit::Value(())) => Exit::Close,
                // It has been left in a way of its own.
                (_, exit) => exit,
            }
        })
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

#[cold]
fn panicked_before() -> ! {
    panic!("a generator was resumed after one that it yielded from had panicked")
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

/// The constructor behind a `generator!` into which errors can be thrown.
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
