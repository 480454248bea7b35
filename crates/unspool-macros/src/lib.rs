//! The procedural macros of `unspool-core`: use them from there.
//!
//! Each takes a group with the path of the crate that exports the public macro,
//! so that a re-export works, and then the body.

mod expand;
mod parse;
mod recover;
mod tokens;

use proc_macro::TokenStream;

use crate::expand::Form;

/// The expansion of `stream!`.
#[doc(hidden)]
#[proc_macro]
pub fn stream_inner(input: TokenStream) -> TokenStream {
    expand::body(input.into(), Form::Stream).into()
}

/// The expansion of `try_stream!`.
#[doc(hidden)]
#[proc_macro]
pub fn try_stream_inner(input: TokenStream) -> TokenStream {
    expand::body(input.into(), Form::TryStream).into()
}

/// The expansion of `generator!`.
#[doc(hidden)]
#[proc_macro]
pub fn generator_inner(input: TokenStream) -> TokenStream {
    expand::body(input.into(), Form::Generator).into()
}
