//! What the public macros expand to, called with a path of the caller's own, where
//! `Promise` is the true one and the constructor is not.
#![forbid(unsafe_code)]

mod own {
    pub mod __private {
        pub use unspool_core::__private::*;

        /// In place of the constructor: the promise goes with another closure.
        pub fn stream<F>(_: F, promise: Promise) -> Promise {
            promise
        }
    }
}

fn main() {
    let _ = unspool_core::__private::stream_inner!((crate::own) yield 1u8;);
    let _ = unspool_core::__private::stream_inner!((crate::own) {} yield 1u8;);
    let _ = unspool_core::__private::stream_inner!(
        (crate::own)
        { unsafe { unspool_core::__private::Promise::new() } }
        yield 1u8;
    );
}
