//! Data out of asynchronous sources, one item at a time, in constant memory, and
//! never silently short.
//!
//! # A source
//!
//! [`pages`](pages()), [`ask`](ask()), [`events`](events()) and [`rows`](rows()) each begin the
//! description of a source; nothing is sent before its first item is asked for.
//!
//! ```no_run
//! use futures_util::TryStreamExt;
//!
//! #[derive(serde::Deserialize)]
//! struct Post {
//!     title: String,
//! }
//!
//! # async fn example() -> Result<(), unspool::Error> {
//! let posts = unspool::pages("https://api.example.com/posts").items::<Post>();
//! let mut posts = std::pin::pin!(posts);
//! while let Some(post) = posts.try_next().await? {
//!     println!("{}", post.title);
//! }
//! println!("all {} of them", posts.account().items);
//! # Ok(())
//! # }
//! ```
//!
//! From outside every source is a [`Source`]: a stream of items, as JSON text ([`RawItem`]), as
//! values of a type of yours or as Arrow batches, that also tells
//!
//! - how it ended: a source that ends but is not proved complete ends with an error, which
//!   carries its [`Account`]. So a list that was collected is a whole list;
//! - where it stands: a [`Position`] after any item, as plain data, from which another process
//!   goes on;
//! - what it waits for.
//!
//! A [`Description`] is a source as plain data, with [credentials by name](Secret). An [`Http`] is
//! what several sources share: connections, rates, [`Credentials`] by origin.
//!
//! # Into files and tables
//!
//! [`pull()`] runs a source into a [sink](sinks), exactly once: killed at any moment and started
//! again, it ends with the items of an undisturbed run.
//!
//! # Generators
//!
//! The sources are written with the macros that this crate gives to its users: [`stream!`],
//! [`try_stream!`] and [`generator!`], of the crate `unspool-core`. [`Generators`] closes those
//! that are dropped half-way.
//!
//! ```
//! use futures_util::TryStreamExt;
//! use unspool::{Error, try_stream};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let numbers = try_stream! {
//!     for word in ["1", "2", "3"] {
//!         yield word.parse::<u32>()?;
//!     }
//! };
//! let numbers: Result<Vec<u32>, std::num::ParseIntError> = numbers.try_collect().await;
//! assert_eq!(numbers, Ok(vec![1, 2, 3]));
//! # Ok(())
//! # }
//! ```
//!
//! # Seeing what is done
//!
//! Sources, pages, requests and sinks are spans of [`tracing`](https://docs.rs/tracing), with the
//! names that OpenTelemetry has for their fields: `docs/observability.md`.
//!
//! # Features
//!
//! | feature | default | what |
//! |---|---|---|
//! | `ask` | yes | [`ask`](mod@ask): answers of language models |
//! | `compression` | yes | bodies that come compressed, and files that are compressed as they are written; without it none is asked for, and one that comes is refused |
//! | `tls` | yes | `https:`; without it such an address is refused. Databases and brokers bring it |
//! | `sqlite`, `postgres`, `mysql` | no | [`rows`](mod@rows) of these databases; tables of the first two as sinks; `postgres` also `events` of its `LISTEN` |
//! | `redis`, `nats` | no | [`events`](mod@events) of Redis streams and of NATS JetStream |
//! | `arrow` | no | rows as Arrow batches |
//! | `parquet` | no | Parquet files as sinks; brings `arrow` |
//!
//! Without the first three there are 123 crates in the place of 162, and an optimised build takes
//! about half of the processor's time.
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
