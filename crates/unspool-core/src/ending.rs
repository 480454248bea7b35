//! What the value that a body returns means to those who poll it.

use core::marker::PhantomData;

/// Splits the output of a body into a last item and a return value.
pub trait Ending<Y, Output> {
    /// What is kept for [`AsyncGenerator::take_return`](crate::AsyncGenerator::take_return).
    type Return;

    /// Whether the body may end with an item in the slot: one whose future was dropped
    /// after its poll, in the function form.
    const MAY_LEAVE_ITEM: bool = false;

    /// The last item, if the output holds one, and the return value.
    fn end(output: Output) -> (Option<Y>, Self::Return);
}

/// A body of a stream, which has nothing to return.
pub trait StreamEnding {}

/// Nothing comes after the last item: `stream!`.
pub enum Silent {}

impl StreamEnding for Silent {}

impl<Y> Ending<Y, ()> for Silent {
    type Return = ();

    #[inline(always)]
    fn end((): ()) -> (Option<Y>, ()) {
        (None, ())
    }
}

/// The output is the return value: `generator!`.
pub enum Returns {}

impl<Y, R> Ending<Y, R> for Returns {
    type Return = R;

    #[inline(always)]
    fn end(output: R) -> (Option<Y>, R) {
        (None, output)
    }
}

/// An error is the last item: `try_stream!`.
pub enum YieldsError {}

impl StreamEnding for YieldsError {}

impl<T, E> Ending<Result<T, E>, Result<(), E>> for YieldsError {
    type Return = ();

    #[inline(always)]
    fn end(output: Result<(), E>) -> (Option<Result<T, E>>, ()) {
        (output.err().map(Err), ())
    }
}

/// The ending of a function form, which is otherwise an `E`.
pub(crate) struct MayLeaveItem<E>(PhantomData<E>);

impl<E: StreamEnding> StreamEnding for MayLeaveItem<E> {}

impl<Y, Output, E: Ending<Y, Output>> Ending<Y, Output> for MayLeaveItem<E> {
    type Return = E::Return;
    const MAY_LEAVE_ITEM: bool = true;

    #[inline(always)]
    fn end(output: Output) -> (Option<Y>, E::Return) {
        E::end(output)
    }
}
