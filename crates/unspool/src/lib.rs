//! Data out of asynchronous sources, one item at a time, in constant memory, and
//! never silently short.
// But for one way into vector instructions each, in `json/blocks/instructions.rs`.
#![deny(unsafe_code)]

mod account;
#[cfg(feature = "ask")]
pub mod ask;
mod boxed;
mod description;
mod error;
pub mod events;
mod http;
#[cfg(any(test, feature = "internals"))]
#[doc(hidden)]
pub mod internals;
mod item;
mod json;
mod lines;
mod merge;
pub mod pages;
mod position;
mod pull;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub mod rows;
mod secret;
pub mod sinks;
mod source;
mod spans;
mod split;
pub mod sse;
mod xml;

pub use account::{Account, Details, Stated, Verdict};
#[cfg(feature = "ask")]
#[doc(inline)]
pub use ask::ask;
pub use boxed::{BoxGenerator, Generators, Shutdown};
pub use description::{AnySource, Description, HttpDescription, OAuth2Description};
pub use error::{Error, ErrorKind};
#[doc(inline)]
pub use events::events;
#[doc(hidden)]
pub use http::Secrets;
pub use http::{ClientCredentials, Credentials, Http, HttpBuilder, Rate};
pub use item::RawItem;
pub use json::Pointer;
pub use merge::{Merge, merge};
#[doc(inline)]
pub use pages::pages;
pub use position::Position;
pub use pull::{Deliverable, Pulled, pull};
/// The version of the HTTP client that [`Request::client`](pages::Request::client) takes.
pub use reqwest;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
#[doc(inline)]
pub use rows::rows;
pub use secret::Secret;
pub use source::{Source, SourceExt, SourceKind, SourceStream};
pub use unspool_core::{
    AnextExt, AsyncGenerator, AsyncIterator, TryAsyncIterator, aiter, from_stream, generator,
    stream, stream_fn, try_aiter, try_stream, try_stream_fn,
};

/// The examples of the README and of the page for Python programmers, which run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
#[doc = include_str!("../README.md")]
#[cfg_attr(feature = "sqlite", doc = include_str!("../../../docs/from-python.md"))]
#[doc = include_str!("../../../docs/sinks.md")]
struct Pages;
