//! `yield in`: how the poller of a generator reaches the innermost one at once.
//!
//! While a body stands in a `yield in`, its inner generator is pinned in the
//! body's frame, or exclusively borrowed by it. So there is no need to resume the
//! body in order to resume the inner generator, and where that stands in a `yield
//! in` itself, the next one within, and so on: whoever polls the outermost one keeps
//! a pointer to the innermost, and an item costs the same at every depth.
//!
//! A [`YieldIn`] is the future in the frame. It has a [`Node`], which says where the
//! inner generator is and how it is resumed, and which [`Links`], in the slot of the
//! generator, point to: `top` to its own node. In that stands the innermost one, `leaf`.
//! From a node, `above` leads to the one around it, up to `top`.
//!
//! - An inner generator is resumed once by its `YieldIn`. Then it is asked for a
//!   [`Chain`], its own `top` and `leaf`, and the two are joined. From then on it is
//!   resumed through the chain, and asked each time whether it has grown.
//! - When it has ended, its node is marked, and the generator around it is resumed,
//!   which finds the mark and goes on with its body: that of the last one is in the
//!   caller's hands, the others are reached from the node above.
//! - To be closed, each generator gives up its part of the chain and is closed by the
//!   `YieldIn` around it: that is rare, and has an order of its own.
//!
//! # Why this is sound
//!
//! 7. **A node is where it was, and so is the generator that it leads to.** A node is
//!    pointed to only while its `YieldIn` is linked. It was pinned by the poll that
//!    linked it, and is unlinked by its drop at the latest; the generator is pinned
//!    for as long as the `YieldIn` lives. A body that is leaked keeps its memory, by
//!    the guarantee of `Pin`.
//! 8. **What a chain leads through, nobody else touches.** `leaf` belongs to one
//!    generator at a time: to ask for a chain forgets it on the other side. Between
//!    that generator and the leaf, each one is in the hands of the body before, which
//!    is not polled: the owner sets `leaf` back before it has any of them polled, and
//!    each `YieldIn` that is dropped forgets it. So when a generator is reached by
//!    another way (because it had only been borrowed, and the borrower is gone), then
//!    nobody has a pointer to what is below.
//! 9. **What may be sent may be sent with all that is below.** A body that holds a
//!    generator is `Send` only if that is, whether it is in its frame, in a
//!    `Pin<Box<_>>` or reached through a `Pin<&mut _>`. Those are the pointers that hand on a
//!    chain, and no others: one that is `Send` though its target is not would be
//!    led around. (So [`AsyncGenerator::chain`] is unsafe, and who does not know of
//!    it has none.)

use core::cell::Cell;
use core::future::Future;
use core::marker::{PhantomData, PhantomPinned};
use core::pin::Pin;
use core::ptr;
use core::task::{Context, Poll};

use super::Yielder;
use super::slot::{Narrow, Slot, Stand, Tag};
use crate::port::{Mode, Port};
use crate::{AsyncGenerator, GeneratorState, Resume};

/// What the slot of a generator has that yields from others.
pub struct Links<Y, S, T> {
    /// The node in its own body; null where that stands in no `yield in`.
    top: Cell<*const Node<Y, S, T>>,
}

/// An inner generator, as the one around it or its owner resumes it.
struct Node<Y, S, T> {
    inner: *mut (),
    step: Step<Y, S, T>,
    state: unsafe fn(*const ()) -> GeneratorState,
    /// The node around it, if the chain has been handed on to that.
    above: Cell<*const Node<Y, S, T>>,
    /// The innermost node; null where the chain has been handed on.
    leaf: Cell<*const Node<Y, S, T>>,
    has_ended: Cell<bool>,
}

/// Resumes the inner generator of a node, and joins its chain to the node: `leaf` is
/// set to the innermost one.
type Step<Y, S, T> = unsafe fn(
    *const Node<Y, S, T>,
    leaf: &Cell<*const Node<Y, S, T>>,
    &mut Context<'_>,
    &mut Option<Resume<S, T>>,
) -> Poll<Option<Y>>;

/// The nodes below a generator that stands in a `yield in`.
#[derive(Debug)]
pub struct Chain<Y, S, T> {
    top: *const Node<Y, S, T>,
    leaf: *const Node<Y, S, T>,
}

// SAFETY: the pointers lead into the body of the generator that these links are a
// part of, which is `Send` only if all that is (fact 9).
unsafe impl<Y, S, T> Send for Links<Y, S, T> {}

impl<Y, S, T> Default for Links<Y, S, T> {
    fn default() -> Self {
        Links {
            top: Cell::new(ptr::null()),
        }
    }
}

impl<Y, S, T> Links<Y, S, T> {
    /// Whether the body stands in a `yield in` that is not being closed.
    #[inline(always)]
    pub(crate) fn is_linked(&self) -> bool {
        !self.top.get().is_null()
    }

    /// Where the innermost generator stands, if the tag does not tell.
    ///
    /// # Safety
    ///
    /// The generator of these links must not be polled meanwhile.
    #[inline]
    pub(super) unsafe fn state(&self) -> Option<GeneratorState> {
        let top = self.top.get();
        // SAFETY: it is linked (fact 7), if it is not null.
        if top.is_null() || unsafe { !(*top).leaf.get().is_null() } {
            return None;
        }
        // SAFETY: it is linked (fact 7); nobody has a pointer to what is below
        // (fact 8). That the inner generator is looked at by this thread is fine, as
        // its body is `Sync` only if all that it holds is (fact 9).
        Some(unsafe { ((*top).state)((*top).inner) })
    }

    /// Resumes the innermost generator, and those around it as it ends. None if it
    /// is the turn of the body that these links belong to.
    ///
    /// # Safety
    ///
    /// It must be [linked](Links::is_linked); the caller must hold the generator of
    /// these links pinned and exclusively.
    #[inline]
    pub(super) unsafe fn resume(
        &self,
        stand: &Narrow,
        cx: &mut Context<'_>,
        input: &mut Option<Resume<S, T>>,
    ) -> Option<Poll<Option<Y>>> {
        let top = self.top.get();
        // SAFETY: it is linked (fact 7), and stays that until the body is polled.
        let leaf = unsafe { &(*top).leaf };
        let mut node = leaf.get();
        if node.is_null() {
            node = top;
            // SAFETY: it is linked (fact 7).
            if unsafe { (*top).has_ended.get() } {
                stand.leave();
                return None;
            }
        }
        if let Some(Resume::Close) = input {
            *input = None;
            leaf.set(ptr::null());
            stand.set(Tag::Close);
            return None;
        }
        let bomb = Bomb { links: self, stand };
        loop {
            leaf.set(node);
            // SAFETY: the node is linked, and leads to a generator that is there
            // (fact 7) and that only the owner of this chain reaches (fact 8). The
            // node above is read before the step, after which this one is still
            // there, since the body that it is in has not been polled.
            let (polled, above) = unsafe {
                let above = (*node).above.get();
                (((*node).step)(node, leaf, cx, input), above)
            };
            match polled {
                Poll::Ready(Some(item)) => {
                    stand.arrive();
                    core::mem::forget(bomb);
                    return Some(Poll::Ready(Some(item)));
                }
                Poll::Pending => {
                    stand.leave();
                    core::mem::forget(bomb);
                    return Some(Poll::Pending);
                }
                Poll::Ready(None) => {
                    // SAFETY: as above.
                    unsafe { (*node).has_ended.set(true) };
                    if node == top {
                        leaf.set(ptr::null());
                        stand.leave();
                        core::mem::forget(bomb);
                        return None;
                    }
                    node = above;
                }
            }
        }
    }

    /// Hands on the chain; none if the body stands in no `yield in`.
    #[inline]
    pub(crate) fn chain(&self) -> Option<Chain<Y, S, T>> {
        let top = self.top.get();
        if top.is_null() {
            return None;
        }
        // SAFETY: it is linked (fact 7).
        let leaf = unsafe { (*top).leaf.replace(ptr::null()) };
        // Where it is not known, it is found by the next step.
        let leaf = if leaf.is_null() { top } else { leaf };
        Some(Chain { top, leaf })
    }
}

/// Marks a generator when another one panics that it yields from: as if the panic
/// had gone through its body.
struct Bomb<'l, Y, S, T> {
    links: &'l Links<Y, S, T>,
    stand: &'l Narrow,
}

impl<Y, S, T> Drop for Bomb<'_, Y, S, T> {
    #[cold]
    fn drop(&mut self) {
        self.links.top.set(ptr::null());
        self.stand.set(Tag::Panicked);
    }
}

impl<Y, M: Mode> Yielder<Y, Port<M, Links<Y, M::Send, M::Throw>>> {
    /// Yields from another generator. Gives what it returns; none if the body is to
    /// close, after the inner one has.
    #[inline(always)]
    pub fn yield_in<'b, G>(&'b self, inner: Pin<&'b mut G>) -> YieldIn<'b, Y, M, G>
    where
        G: AsyncGenerator<M::Send, M::Throw, Yield = Y>,
    {
        // SAFETY: it is pinned again wherever it is used.
        let inner = unsafe { inner.get_unchecked_mut() };
        YieldIn {
            slot: self.slot,
            stage: Stage::First,
            node: Node {
                inner: ptr::from_mut(inner).cast(),
                step: step::<G, M::Send, M::Throw>,
                state: state::<G, M::Send, M::Throw>,
                above: Cell::new(ptr::null()),
                leaf: Cell::new(ptr::null()),
                has_ended: Cell::new(false),
            },
            inner: PhantomData,
            _pinned: PhantomPinned,
        }
    }
}

type LinkedSlot<Y, M> = Slot<Y, Port<M, Links<Y, <M as Mode>::Send, <M as Mode>::Throw>>>;

/// What a body awaits while it yields from another generator.
#[must_use = "futures do nothing unless awaited"]
pub struct YieldIn<'b, Y, M: Mode, G> {
    slot: *const LinkedSlot<Y, M>,
    stage: Stage,
    node: Node<Y, M::Send, M::Throw>,
    inner: PhantomData<Pin<&'b mut G>>,
    // Links point to the node.
    _pinned: PhantomPinned,
}

#[derive(Clone, Copy)]
enum Stage {
    /// The inner generator has not been resumed yet.
    First,
    /// It is resumed through the chain.
    Linked,
    /// It is being closed.
    Closing,
    /// It has yielded while being closed.
    Ignored,
}

// SAFETY: it is a `Pin<&mut G>` and a pointer into the slot of its own generator,
// which comes along (facts 1 and 9).
unsafe impl<Y: Send, M: Mode<Value: Send>, G: Send> Send for YieldIn<'_, Y, M, G> {}
// SAFETY: a `&YieldIn` has no use; the generator is looked at only where it is `Sync`.
unsafe impl<Y, M: Mode, G: Sync> Sync for YieldIn<'_, Y, M, G> {}

impl<Y, M: Mode, G> YieldIn<'_, Y, M, G> {
    fn slot(&self) -> &LinkedSlot<Y, M> {
        // SAFETY: this is used, and dropped, only by the body that the yielder was
        // made for (facts 1, 2 and 5).
        unsafe { &*self.slot }
    }

    fn links(&self) -> &Links<Y, M::Send, M::Throw> {
        &self.slot().port.extra
    }

    fn unlink(&mut self) {
        self.links().top.set(ptr::null());
    }
}

impl<Y, M: Mode, G> YieldIn<'_, Y, M, G>
where
    G: AsyncGenerator<M::Send, M::Throw, Yield = Y>,
{
    fn inner(&mut self) -> Pin<&mut G> {
        // SAFETY: it was given as a `Pin<&mut G>` that lives as long as this does,
        // and while the body is polled nobody reaches it through a chain (fact 8).
        unsafe { Pin::new_unchecked(&mut *self.node.inner.cast::<G>()) }
    }

    /// From now on the inner generator is resumed through the chain.
    ///
    /// # Safety
    ///
    /// This must be pinned.
    unsafe fn link(&mut self) {
        self.stage = Stage::Linked;
        let node = &raw const self.node;
        // SAFETY: the inner generator is not touched from now on but through the
        // chain, until that is given up (fact 8).
        let leaf = match unsafe { self.inner().chain() } {
            Some(chain) => {
                // SAFETY: it is linked (fact 7).
                unsafe { (*chain.top).above.set(node) };
                chain.leaf
            }
            None => node,
        };
        self.node.leaf.set(leaf);
        self.links().top.set(node);
    }

    /// Has the inner generator close. It is told so once for each time that it
    /// yields: what it is sent instead gets lost, as this does not change its mind.
    fn close(&mut self, cx: &mut Context<'_>, is_told: bool) -> Poll<Option<G::Return>> {
        self.stage = Stage::Closing;
        let mut input = is_told.then_some(Resume::Close);
        match self.inner().poll_resume(cx, &mut input) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(item)) => {
                self.stage = Stage::Ignored;
                // SAFETY: the body is being polled, and returns at once.
                unsafe { self.slot().put(item) };
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.slot().guard.leave_finally();
                Poll::Ready(None)
            }
        }
    }

    fn begin_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<G::Return>> {
        // A wait in there is one in a `finally`.
        self.slot().guard.enter_try();
        self.slot().guard.enter_finally();
        self.close(cx, true)
    }

    fn returned(&mut self) -> Poll<Option<G::Return>> {
        if self.slot().guard.take_closes_later() {
            return Poll::Ready(None);
        }
        match self.inner().take_return() {
            Some(value) => Poll::Ready(Some(value)),
            None => ended_before(),
        }
    }
}

impl<Y, M: Mode, G> Future for YieldIn<'_, Y, M, G>
where
    G: AsyncGenerator<M::Send, M::Throw, Yield = Y>,
{
    type Output = Option<G::Return>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<G::Return>> {
        // SAFETY: nothing is moved out of it.
        let this = unsafe { self.get_unchecked_mut() };
        match this.stage {
            Stage::First => match this.inner().poll_resume(cx, &mut None) {
                Poll::Ready(None) => this.returned(),
                Poll::Ready(Some(item)) => {
                    // SAFETY: this is pinned.
                    unsafe { this.link() };
                    // SAFETY: the body is being polled, and returns at once.
                    unsafe { this.slot().put(item) };
                    Poll::Pending
                }
                Poll::Pending => {
                    // SAFETY: this is pinned.
                    unsafe { this.link() };
                    Poll::Pending
                }
            },
            Stage::Linked if this.slot().stand.get() == Tag::Close => {
                this.slot().stand.set(Tag::Running);
                this.unlink();
                this.begin_close(cx)
            }
            Stage::Linked => {
                this.unlink();
                this.stage = Stage::First;
                this.returned()
            }
            Stage::Closing => this.close(cx, false),
            Stage::Ignored => {
                if this.slot().stand.get() == Tag::Close {
                    this.slot().stand.set(Tag::Running);
                } else {
                    // SAFETY: the body stood at an item, and was resumed with a
                    // value (fact 3).
                    drop(unsafe { this.slot().take_value() });
                }
                this.close(cx, true)
            }
        }
    }
}

impl<Y, M: Mode, G> Drop for YieldIn<'_, Y, M, G> {
    fn drop(&mut self) {
        // It is dropped with its body, or by a panic that goes through it.
        if let Stage::Linked = self.stage {
            self.unlink();
        }
    }
}

/// The step of a node whose inner generator is a `G`.
///
/// # Safety
///
/// The node must be linked, and be the leaf of a chain in the hands of the caller.
unsafe fn step<G, S, T>(
    node: *const Node<G::Yield, S, T>,
    leaf: &Cell<*const Node<G::Yield, S, T>>,
    cx: &mut Context<'_>,
    input: &mut Option<Resume<S, T>>,
) -> Poll<Option<G::Yield>>
where
    G: AsyncGenerator<S, T>,
{
    // SAFETY: by facts 7 and 8; the node was made for this type.
    let mut inner = unsafe { Pin::new_unchecked(&mut *(*node).inner.cast::<G>()) };
    let polled = inner.as_mut().poll_resume(cx, input);
    if let Poll::Ready(None) = polled {
        return polled;
    }
    // SAFETY: it is not touched again but through the chain (fact 8).
    if let Some(chain) = unsafe { inner.chain() } {
        // SAFETY: it is linked (fact 7).
        unsafe { (*chain.top).above.set(node) };
        leaf.set(chain.leaf);
    }
    polled
}

/// The state of a node's inner generator, which is a `G`.
///
/// # Safety
///
/// The node must be linked.
unsafe fn state<G, S, T>(inner: *const ()) -> GeneratorState
where
    G: AsyncGenerator<S, T>,
{
    // SAFETY: by facts 7 and 8; the node was made for this type.
    unsafe { &*inner.cast::<G>() }.state()
}

#[cold]
fn ended_before() -> ! {
    panic!("`yield in` a generator that had ended before")
}
