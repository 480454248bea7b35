//! What the value that a body returns means to those who poll it.

/// Splits the output of a body into a last item and a return value.
pub trait Ending<Y, Output> {
    /// What is kept for [`AsyncGenerator::take_return`](crate::AsyncGenerator::take_return).
    type Return;

    /// The last item, if the output holds one, and the return value.
    fn end(output: Output) -> (Option<Y>, Self::Return);
}

/// The output is the return value: `stream!`, `generator!`.
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

impl<T, E> Ending<Result<T, E>, Result<(), E>> for YieldsError {
    type Return = ();

    #[inline(always)]
    fn end(output: Result<(), E>) -> (Option<Result<T, E>>, ()) {
        (output.err().map(Err), ())
    }
}
