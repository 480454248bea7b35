//! A macro that takes the expansion of a `try … finally` apart: its blocks must run
//! directly in the body, and what they yield must be yielded directly in them.
#![forbid(unsafe_code)]
use unspool_core::generator;

macro_rules! run_elsewhere {
    ({ let $tried:ident = $run:ident!($($names:ident)* $body:block); $($rest:tt)* }) => {
        async move { $run!($($names)* $body) }
    };
}

macro_rules! yield_elsewhere {
    ({ let $tried:ident = $run:ident!($put:ident $body:block); $($rest:tt)* }) => {
        $run!($put { async { $put!(2) } })
    };
}

macro_rules! yield_outside {
    ({ let $tried:ident = $run:ident!($put:ident $body:block); $($rest:tt)* }) => {
        $put!(3)
    };
}

fn main() {
    let _ = generator! {
        let kept = run_elsewhere!(try { yield 1; } finally {});
        kept
    };
    let _ = generator! {
        yield_elsewhere!(try { yield 1; } finally {})
    };
    let _ = generator! {
        yield_outside!(try { yield 1; } finally {})
    };
}
