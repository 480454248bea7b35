//! What goes into a body: sent values, thrown errors, and that it is to close.

use core::cell::Cell;
use core::convert::Infallible;
use core::marker::PhantomData;

use crate::raw::{Links, Narrow, Stand, Tag, Wide};

/// What a slot has besides an item.
pub trait Way {
    /// What a `yield` gives to the body.
    type Value;
    /// Whether anything goes into the body, so that it matters where it stands.
    const IS_TWO_WAY: bool;
    /// How the tag is kept.
    type Stand: Stand;
    /// What is kept of the blocks that run.
    type Guard: Blocks;
}

/// Nothing goes in.
impl Way for () {
    type Value = ();
    const IS_TWO_WAY: bool = false;
    type Stand = Wide;
    type Guard = ();
}

/// The way into a body: the kind of values, and what it needs on top of them.
pub struct Port<M, X> {
    pub(crate) extra: X,
    mode: PhantomData<M>,
}

impl<M, X: Default> Default for Port<M, X> {
    fn default() -> Self {
        Port {
            extra: X::default(),
            mode: PhantomData,
        }
    }
}

impl<M: Mode, X: Extra> Way for Port<M, X> {
    type Value = M::Value;
    const IS_TWO_WAY: bool = true;
    type Stand = Narrow;
    type Guard = X::Guard;
}

/// What a `yield` of a body gives.
pub trait Mode {
    type Send;
    type Throw;
    type Value;

    fn sent(value: Self::Send) -> Self::Value;
    fn thrown(error: Self::Throw) -> Self::Value;
}

/// `yield` gives what was sent.
pub struct Sends<S>(PhantomData<S>, Infallible);

impl<S> Mode for Sends<S> {
    type Send = S;
    type Throw = Infallible;
    type Value = S;

    #[inline(always)]
    fn sent(value: S) -> S {
        value
    }

    fn thrown(error: Infallible) -> S {
        match error {}
    }
}

/// `yield` gives what was sent, or the error that was thrown.
pub struct Throws<S, T>(PhantomData<(S, T)>, Infallible);

impl<S, T> Mode for Throws<S, T> {
    type Send = S;
    type Throw = T;
    type Value = Result<S, T>;

    #[inline(always)]
    fn sent(value: S) -> Result<S, T> {
        Ok(value)
    }

    #[inline(always)]
    fn thrown(error: T) -> Result<S, T> {
        Err(error)
    }
}

/// What a port has on top of values: each body has only what it needs.
pub trait Extra: Default {
    /// What is kept of the blocks that run: a field of the slot, where there is room for
    /// it beside the tag.
    type Guard: Blocks;
}

/// There is neither a `finally` nor a `yield in`.
impl Extra for () {
    type Guard = ();
}

/// There is a `finally`.
#[derive(Default)]
pub struct Guarded;

impl Extra for Guarded {
    type Guard = Guard;
}

/// There is a `yield in`.
impl<Y, S, T> Extra for Links<Y, S, T> {
    type Guard = Guard;
}

/// How the generators are reached that a body yields from.
pub trait Delegates<Y, S, T> {
    /// For a body that yields from other generators.
    fn links(&self) -> Option<&Links<Y, S, T>>;
}

impl<Y, S, T> Delegates<Y, S, T> for () {
    #[inline(always)]
    fn links(&self) -> Option<&Links<Y, S, T>> {
        None
    }
}

impl<Y, S, T> Delegates<Y, S, T> for Guarded {
    #[inline(always)]
    fn links(&self) -> Option<&Links<Y, S, T>> {
        None
    }
}

impl<Y, S, T> Delegates<Y, S, T> for Links<Y, S, T> {
    #[inline(always)]
    fn links(&self) -> Option<&Links<Y, S, T>> {
        Some(self)
    }
}

/// What is kept of the blocks that run, if there is anything.
pub trait Blocks: Default {
    /// For a body that has something to do when it is closed.
    fn guard(&self) -> Option<&Guard>;
}

impl Blocks for () {
    #[inline(always)]
    fn guard(&self) -> Option<&Guard> {
        None
    }
}

impl Blocks for Guard {
    #[inline(always)]
    fn guard(&self) -> Option<&Guard> {
        Some(self)
    }
}

/// Which `try` and `finally` blocks run, and what closing means for them.
///
/// One word with the tag of the slot.
pub struct Guard {
    /// The blocks, innermost in the lowest bit, which is set for a `finally`; above
    /// them all there is one more set bit. The two highest bits are flags.
    bits: Cell<u32>,
}

/// A `try` block that runs: the blocks up to it.
pub(crate) struct TryBlock(u32);

/// The wait in which the body stands is to be given up.
const IS_CLOSING: u32 = 1 << 31;
/// The body is to close when the `finally` that runs has ended.
const CLOSES_LATER: u32 = 1 << 30;
const FLAGS: u32 = IS_CLOSING | CLOSES_LATER;

impl Default for Guard {
    fn default() -> Self {
        Guard { bits: Cell::new(1) }
    }
}

impl Guard {
    /// Asks the body to close. Whether there is anything for it to do.
    pub(crate) fn close(&self, stand: &Narrow) -> bool {
        let blocks = self.bits.get() & !FLAGS;
        if stand.get() == Tag::Panicked {
            return true;
        }
        if blocks == 1 {
            return false;
        }
        let is_in_finally = blocks & 1 == 1;
        match (stand.is_at_yield(), is_in_finally) {
            (true, _) => stand.set(Tag::Close),
            (_, true) => self.bits.set(self.bits.get() | CLOSES_LATER),
            (_, false) => self.bits.set(self.bits.get() | IS_CLOSING),
        }
        true
    }

    /// A `try` block begins. Gives what tells it from the others.
    pub(crate) fn enter_try(&self) -> TryBlock {
        let blocks = (self.bits.get() & !FLAGS) << 1;
        self.set_blocks(blocks);
        TryBlock(blocks)
    }

    /// The innermost `try` block has been left for its `finally`.
    pub(crate) fn enter_finally(&self) {
        self.bits.set(self.bits.get() | 1);
    }

    /// The innermost `finally` has been left; whether the body is to close now.
    pub(crate) fn leave_finally(&self) -> bool {
        self.set_blocks((self.bits.get() & !FLAGS) >> 1);
        self.take(CLOSES_LATER)
    }

    /// Whether a wait in this block, and in none within it, is to be given up now.
    #[inline(always)]
    pub(crate) fn take_closing(&self, block: &TryBlock) -> bool {
        if self.bits.get() & !CLOSES_LATER != block.0 | IS_CLOSING {
            return false;
        }
        self.take(IS_CLOSING)
    }

    #[inline(always)]
    pub(crate) fn take_closes_later(&self) -> bool {
        self.take(CLOSES_LATER)
    }

    fn set_blocks(&self, blocks: u32) {
        self.bits.set(self.bits.get() & FLAGS | blocks & !FLAGS);
    }

    #[inline(always)]
    fn take(&self, flag: u32) -> bool {
        let bits = self.bits.get();
        self.bits.set(bits & !flag);
        bits & flag != 0
    }
}

/// How a `try` block was left.
pub enum Exit<V, R> {
    /// At its end.
    Value(V),
    /// By `return` or `?`.
    Return(R),
    /// By the `break` or `continue` of this number, which is made after the `finally`.
    Jump(u32),
    /// Because the generator is being closed.
    Close,
}
