//! What goes into a body: sent values, thrown errors, and that it is to close.

use core::cell::Cell;
use core::convert::Infallible;
use core::future::{Pending, pending};
use core::marker::PhantomData;

use crate::Resume;

/// What a `yield` of a body gives.
pub trait Mode {
    type Send;
    type Throw;
    type Value;

    fn sent(value: Self::Send) -> Self::Value;
    fn thrown(error: Self::Throw) -> Self::Value;
    /// What another generator is to be resumed with, for the same effect.
    fn hand_on(value: Self::Value) -> Resume<Self::Send, Self::Throw>;
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

    fn hand_on(value: S) -> Resume<S, Infallible> {
        Resume::Send(value)
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

    fn hand_on(value: Result<S, T>) -> Resume<S, T> {
        match value {
            Ok(value) => Resume::Send(value),
            Err(error) => Resume::Throw(error),
        }
    }
}

/// The way into a body.
pub struct Port<M: Mode> {
    /// For the `yield` at which the body stands; none if it is to close.
    value: Cell<Option<M::Value>>,
    /// Whether the body stands at a `yield`, and not in a wait.
    is_at_yield: Cell<bool>,
    /// Whether the wait in which the body stands is to be given up.
    is_closing: Cell<bool>,
    /// Whether the body is to close when the `finally` that runs has ended.
    closes_later: Cell<bool>,
    /// Whether the body has done all that it has to before it is dropped.
    is_done: Cell<bool>,
    /// The `try` and `finally` blocks that run, innermost in the lowest bit, which
    /// is set for a `finally`; above them all there is one more set bit.
    blocks: Cell<u32>,
}

impl<M: Mode> Default for Port<M> {
    fn default() -> Self {
        Port {
            value: Cell::new(None),
            is_at_yield: Cell::new(false),
            is_closing: Cell::new(false),
            closes_later: Cell::new(false),
            is_done: Cell::new(false),
            blocks: Cell::new(1),
        }
    }
}

/// The poller's side.
impl<M: Mode> Port<M> {
    #[inline(always)]
    pub(crate) fn is_at_yield(&self) -> bool {
        self.is_at_yield.get()
    }

    #[inline(always)]
    pub(crate) fn set_at_yield(&self) {
        self.is_at_yield.set(true);
    }

    /// Lays a value ready for the `yield` at which the body stands.
    #[inline(always)]
    pub(crate) fn resume(&self, value: M::Value) {
        self.value.set(Some(value));
        self.is_at_yield.set(false);
    }

    /// Asks the body to close. Whether there is anything for it to do.
    pub(crate) fn close(&self) -> bool {
        let is_at_yield = self.is_at_yield.replace(false);
        if self.blocks.get() == 1 {
            return false;
        }
        let is_in_finally = self.blocks.get() & 1 == 1;
        match (is_at_yield, is_in_finally) {
            // There is no value for it.
            (true, _) => {}
            (false, true) => self.closes_later.set(true),
            (false, false) => self.is_closing.set(true),
        }
        true
    }

    #[inline(always)]
    pub(crate) fn is_done(&self) -> bool {
        self.is_done.get()
    }
}

/// The body's side, for the macro.
impl<M: Mode> Port<M> {
    /// What a `yield` gives; none if the body is to close.
    #[inline(always)]
    pub fn receive(&self) -> Option<M::Value> {
        self.value.take()
    }

    /// What the generator that is yielded from is to be resumed with; none if the
    /// body is to close.
    pub fn receive_resume(&self) -> Option<Resume<M::Send, M::Throw>> {
        self.value.take().map(M::hand_on)
    }

    /// A `try` block begins.
    pub fn enter_try(&self) {
        self.blocks.set(self.blocks.get() << 1);
    }

    /// The innermost `try` block has been left for its `finally`.
    pub fn enter_finally(&self) {
        self.blocks.set(self.blocks.get() | 1);
    }

    /// The innermost `finally` has been left; whether the body is to close now.
    pub fn leave_finally(&self) -> bool {
        self.blocks.set(self.blocks.get() >> 1);
        self.closes_later.replace(false)
    }

    /// The body has closed and wants to be dropped.
    pub fn done(&self) -> Pending<Infallible> {
        self.is_done.set(true);
        pending()
    }

    #[inline(always)]
    pub(crate) fn take_closing(&self) -> bool {
        self.is_closing.replace(false)
    }
}

/// How a `try` block was left.
pub enum Exit<V, R> {
    /// At its end.
    Value(V),
    /// By `return` or `?`.
    Return(R),
    /// Because the generator is being closed.
    Close,
}
