//! Async generators on stable Rust.
#![no_std]
#![deny(unsafe_code)]

mod ending;
mod for_await;
mod generator;
#[expect(
    unsafe_code,
    reason = "the one module that may; its doc has the argument"
)]
mod raw;

pub use generator::AsyncGenerator;

/// Makes a stream of a body that yields.
#[macro_export]
macro_rules! stream {
    ($($body:tt)*) => {
        $crate::__private::stream_inner!(($crate) $($body)*)
    };
}

/// Makes a stream of results of a body that yields and may fail.
#[macro_export]
macro_rules! try_stream {
    ($($body:tt)*) => {
        $crate::__private::try_stream_inner!(($crate) $($body)*)
    };
}

/// Makes a generator of a body that yields and returns.
#[macro_export]
macro_rules! generator {
    ($($body:tt)*) => {
        $crate::__private::generator_inner!(($crate) $($body)*)
    };
}

/// What the macros expand to. Not for direct use; may change in any release.
#[doc(hidden)]
pub mod __private {
    pub use crate::for_await::next;
    pub use crate::raw::{Generator, Yielder, generator, stream, try_stream};
    pub use unspool_macros::{generator_inner, stream_inner, try_stream_inner};
}
