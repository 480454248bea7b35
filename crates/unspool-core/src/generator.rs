use core::pin::Pin;

use futures_core::FusedStream;

/// A stream whose end holds a value.
pub trait AsyncGenerator: FusedStream {
    /// What the body returns when it ends.
    type Return;

    /// Takes the value that the body returned: once, after the last item.
    fn take_return(self: Pin<&mut Self>) -> Option<Self::Return>;
}
