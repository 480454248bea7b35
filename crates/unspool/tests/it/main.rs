//! The library against real connections on loopback, topic by topic.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "a helper of a test may fail it"
)]

mod addresses;
mod ask;
mod bad_input;
mod bounds;
mod boxed;
mod compressed;
mod contract;
mod corpus;
mod credentials;
mod custom;
mod descriptions;
mod detection;
mod ends;
mod events;
mod examples;
mod faults;
mod filler;
mod in_flight;
mod kinds;
mod listings;
mod macros;
mod members;
mod oauth;
mod observed;
mod pacing;
mod positions;
mod replay;
mod retries;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod rows;
mod shared;
mod sneaky;
mod streaming;
mod tables;

use futures_util::StreamExt;
use test_servers as server;
use unspool::Error;
use unspool::pages::{Account, Pages, RawItem};

/// All items up to the end or an error, and the account.
async fn drain(pages: Pages<RawItem>) -> (Vec<String>, Result<Account, Error>) {
    let mut pages = pages.allow_doubts();
    let mut items = Vec::new();
    while let Some(item) = pages.next().await {
        match item {
            Ok(item) => items.push(item.as_str().to_owned()),
            Err(error) => return (items, Err(error)),
        }
    }
    (items, Ok(pages.account()))
}

/// The items of a walk that must be complete.
async fn complete(pages: Pages<RawItem>) -> (Vec<String>, Account) {
    let (items, account) = drain(pages).await;
    let account = account.unwrap();
    assert!(account.complete, "{account:?}");
    (items, account)
}
