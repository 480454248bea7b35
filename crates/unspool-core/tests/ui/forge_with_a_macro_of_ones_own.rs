//! A macro of the caller's own in the place of the public one.
#![forbid(unsafe_code)]

mod own {
    pub mod __private {
        pub use unspool_core::__private::*;

        pub fn stream<F>(_: F, promise: Promise) -> Promise {
            promise
        }
    }
}

macro_rules! stream {
    ($($body:tt)*) => {
        unspool_core::__private::stream_inner!(
            ($crate::own)
            { unsafe { unspool_core::__private::Promise::new() } }
            $($body)*
        )
    };
}

/// The promise of a public macro is for the body that this was called with.
macro_rules! redirect {
    ($($inner:tt)*) => {
        unspool_core::stream! { ($crate::own) { $($inner)* } }
    };
}

fn main() {
    let _ = stream! { yield 1u8; };
    let _ = redirect! { yield 1u8; };
}
