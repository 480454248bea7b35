//! Live feeds: what a connection's end means, and what is said when events may be missing.

mod cells;
mod ends;
mod faults;
mod json;
#[cfg(all(feature = "postgres", unix))]
mod listen;
#[cfg(all(feature = "nats", unix))]
mod nats;
#[cfg(unix)]
mod nchan;
#[cfg(all(feature = "nats", unix))]
mod nkeys;
mod polls;
mod positions;
#[cfg(all(feature = "redis", unix))]
mod redis;
mod several;
pub(crate) mod sockets;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::StreamExt;
use unspool::Error;
use unspool::events::{Account, Event, Events, Request};

use crate::server::{Reply, Server};

/// How long a feed may take that a test follows: it fails where that is over.
#[cfg_attr(
    not(feature = "redis"),
    allow(dead_code, reason = "some transports alone need it")
)]
#[cfg(unix)]
const LONG: Duration = Duration::from_secs(120);

/// A server that has to be there in CI, and whose tests are skipped elsewhere without it.
#[cfg(unix)]
#[cfg_attr(
    not(feature = "redis"),
    allow(dead_code, reason = "some transports alone need it")
)]
fn installed<T>(started: Result<T, String>) -> Option<T> {
    match started {
        Ok(server) => Some(server),
        Err(why) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: {why}");
            None
        }
        Err(why) => panic!("{why}"),
    }
}

/// What one connection does, by its number from 0, and by the id that it goes on after.
type Serve = dyn Fn(usize, Option<&str>) -> Reply + Send + Sync;

/// A server whose connections do this.
fn serving(serve: impl Fn(usize, Option<&str>) -> Reply + Send + Sync + 'static) -> Server {
    let serve: Box<Serve> = Box::new(serve);
    let count = AtomicUsize::new(0);
    Server::start(move |request| {
        let number = count.fetch_add(1, Relaxed);
        serve(number, request.header("last-event-id"))
    })
}

/// The feed of a server, whose connections are made again at once.
fn feed(server: &Server) -> Request {
    unspool::events(server.url("/feed"))
        .first_wait(Duration::from_millis(1))
        .reconnects(5)
}

/// The head of an event stream in chunks.
fn stream() -> Reply {
    Reply::status(200)
        .header("content-type", "text/event-stream; charset=utf-8")
        .chunked()
}

/// Such events, and then an end of the body.
fn events(events: &str) -> Reply {
    stream().chunk(events).last_chunk()
}

/// Such events, and then a broken connection.
fn cut(events: &str) -> Reply {
    stream().chunk(events).close()
}

/// The end of a feed.
fn no_more() -> Reply {
    Reply::status(204)
}

/// Events with these ids, whose data is `item N`.
fn numbered(ids: impl IntoIterator<Item = u64>) -> String {
    (ids.into_iter())
        .map(|id| format!("id: {id}\ndata: item {id}\n\n"))
        .collect()
}

fn items(ids: impl IntoIterator<Item = u64>) -> Vec<String> {
    ids.into_iter().map(|id| format!("item {id}")).collect()
}

/// All events, and the account or the error at their end. Doubts are in the account.
async fn drain(feed: Events<Event>) -> (Vec<Event>, Result<Account, Error>) {
    let mut feed = feed.allow_doubts();
    let mut events = Vec::new();
    while let Some(event) = feed.next().await {
        match event {
            Ok(event) => events.push(event),
            Err(error) => return (events, Err(error)),
        }
    }
    (events, Ok(feed.account()))
}

fn data(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| &*event.data).collect()
}

/// The ids that the requests asked to go on after.
fn asked_after(server: &Server) -> Vec<Option<String>> {
    (server.requests().iter())
        .map(|request| request.header("last-event-id").map(str::to_owned))
        .collect()
}

/// A feed that must be whole: these texts, without a doubt.
#[track_caller]
fn check_whole(found: &(Vec<Event>, Result<Account, Error>), texts: &[String]) {
    let (events, account) = found;
    assert_eq!(data(events), texts);
    let account = account.as_ref().unwrap();
    assert!(account.complete && account.doubts.is_empty(), "{account:?}");
}
