//! What the value that a body returns means to those who poll it.

/// Splits the output of a body into a last item and a return value.
pub trait Ending<Y, Output> {
    /// What is kept for [`AsyncGenerator::take_return`](crate::AsyncGenerator::take_return).
    type Return;

    /// The last item, if the output holds one, and the return value.
    fn end(output: Output) -> (Option<Y>, Self::Return);
}

/// A body of a stream, which has nothing to return.
pub trait StreamEnding {}

/// There is nothing behind the last item: `stream!`.
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
