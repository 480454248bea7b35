//! How feeds are carried: one file for each transport, and the table of all.

#[cfg(any(test, feature = "internals"))]
pub(crate) mod checked;
mod http;
mod json;
#[cfg(feature = "postgres")]
mod listen;
#[cfg(feature = "nats")]
mod nats;
#[cfg_attr(
    not(all(feature = "postgres", feature = "redis", feature = "nats")),
    allow(dead_code, reason = "what one of them needs is there for all")
)]
mod own;
mod poll;
#[cfg(feature = "redis")]
mod redis;
mod sse;
mod websocket;
#[cfg(any(feature = "redis", feature = "nats"))]
mod wire;

use std::time::Duration;

use bytestring::ByteString;

use http::Reader;
pub(super) use http::{HttpFeed, Reading};
use json::JsonReader;
use own::OwnFeed;
pub(super) use own::{Opened, Opening, Own, Settled, Taken};
pub(super) use poll::{Asked, Asking, PollFeed};
use sse::SseReader;
pub(super) use websocket::{SocketFeed, SocketForm};

use super::account::Ended;
use super::rhythm::Rhythm;
use crate::error::Error;

/// How a feed is carried. To add one: its file, a line here, and an arm of [`Connection`].
pub(super) static TRANSPORTS: &[TransportEntry] = &[
    TransportEntry {
        name: "sse",
        about: "server-sent events: `text/event-stream`",
        accept: "text/event-stream",
        is_type: is_event_stream,
        may_be: is_event_stream,
        resumes_by_itself: true,
        reader: Some(|reading| {
            Reader::Sse(Box::new(SseReader::new(reading.after, reading.max_item)))
        }),
        own: None,
    },
    TransportEntry {
        name: "ndjson",
        about: "JSON texts that follow each other, on lines or not: `application/x-ndjson`, \
                `application/json-seq`",
        accept: "application/x-ndjson, application/json-seq, application/json",
        is_type: is_json,
        may_be: |media| {
            is_json(media) || matches!(media, "" | "text/plain" | "application/octet-stream")
        },
        resumes_by_itself: false,
        reader: Some(|reading| {
            Reader::Json(Box::new(JsonReader::new(
                reading.position,
                reading.max_item,
            )))
        }),
        own: None,
    },
    TransportEntry {
        name: "poll",
        about: "a document that is asked for every so often (`--every`)",
        ..ASKED
    },
    TransportEntry {
        name: "long-poll",
        about: "answers with a cursor for the next request (`--cursor`)",
        ..ASKED
    },
    TransportEntry {
        name: WEBSOCKET,
        about: "messages of a WebSocket: `ws:`, `wss:`",
        resumes_by_itself: false,
        ..ASKED
    },
    #[cfg(feature = "postgres")]
    TransportEntry {
        name: "listen",
        about: "notifications of PostgreSQL: `postgres://host/database?channel=NAME`",
        own: Some(listen::OWN),
        ..ASKED
    },
    #[cfg(feature = "redis")]
    TransportEntry {
        name: "redis",
        about: "a Redis stream: `redis://host/database?stream=NAME`, with `&group=NAME` as a \
                consumer of a group",
        own: Some(redis::OWN),
        ..ASKED
    },
    #[cfg(feature = "nats")]
    TransportEntry {
        name: "nats",
        about: "a stream of NATS JetStream: `nats://host?stream=NAME`, with `&consumer=NAME` as a \
                durable consumer",
        own: Some(nats::OWN),
        ..ASKED
    },
];

/// The name of what addresses with a scheme of their own are.
pub(super) const WEBSOCKET: &str = "ws";

/// What is asked for again and again, or is no body, has no media type of its own.
const ASKED: TransportEntry = TransportEntry {
    name: "",
    about: "",
    accept: "application/json",
    is_type: |_| false,
    may_be: |_| false,
    resumes_by_itself: true,
    reader: None,
    own: None,
};

/// A transport by its name.
pub(super) struct TransportEntry {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// What is asked for.
    pub(super) accept: &'static str,
    /// Whether an answer of this media type is one of this transport.
    is_type: fn(&str) -> bool,
    /// The same, where the caller says that it is this transport.
    may_be: fn(&str) -> bool,
    /// Whether its events have positions, and a request a place for them.
    pub(super) resumes_by_itself: bool,
    /// What reads a body of it, where that is one.
    reader: Option<fn(Reading) -> Reader>,
    /// What its addresses are, and how it is connected, where it is no answer to a request.
    pub(super) own: Option<Own>,
}

fn is_event_stream(media: &str) -> bool {
    media == "text/event-stream"
}

fn is_json(media: &str) -> bool {
    let name = media.strip_prefix("application/").unwrap_or_default();
    let name = name.strip_prefix("x-").unwrap_or(name);
    matches!(
        name,
        "ndjson" | "jsonl" | "jsonlines" | "json-lines" | "json" | "json-seq" | "stream+json"
    ) || name.ends_with("+json")
        || name.ends_with("+json-seq")
}

/// An event as it came, and the position after it.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) name: ByteString,
    pub(super) id: ByteString,
    pub(super) data: ByteString,
    /// What the feed is asked to go on after; empty where there is none.
    pub(super) position: ByteString,
}

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Over {
    /// The feed has no more.
    Ended(Ended),
    /// The body ended, which says nothing of the feed.
    Body {
        /// Whether only the connection says so.
        with_connection: bool,
        /// Whether an event had begun.
        is_inside: bool,
    },
    /// It failed.
    Broken(Error),
}

/// A feed that is connected.
pub(super) enum Connection {
    Http(Box<HttpFeed>),
    Poll(PollFeed),
    Socket(SocketFeed),
    Own(Box<dyn OwnFeed>),
}

/// What of a feed outlives its connections.
pub(super) struct Memory {
    pub(super) rhythm: Rhythm,
    pub(super) asked: Asked,
}

impl Connection {
    /// Waits for the next bytes, and adds the events that they complete; or says how the
    /// connection ended.
    pub(super) async fn hear(
        &mut self,
        memory: &mut Memory,
        arrivals: &mut Vec<Arrival>,
    ) -> Result<(), Over> {
        match self {
            Connection::Http(feed) => feed.hear(&mut memory.rhythm, arrivals).await,
            // On the heap: a request takes more room than any other feed needs to wait.
            Connection::Poll(feed) => Box::pin(feed.hear(&mut memory.asked, arrivals)).await,
            Connection::Socket(feed) => feed.hear(arrivals).await,
            Connection::Own(feed) => feed.hear(arrivals).await,
        }
    }

    /// How long to wait before a new connection, if the feed has said so.
    pub(super) fn retry(&self) -> Option<Duration> {
        match self {
            Connection::Http(feed) => feed.retry(),
            Connection::Poll(_) | Connection::Socket(_) | Connection::Own(_) => None,
        }
    }
}

impl From<Error> for Over {
    fn from(error: Error) -> Self {
        Over::Broken(error)
    }
}

/// The transport whose addresses have this scheme.
pub(super) fn by_scheme(scheme: &str) -> Option<(&'static TransportEntry, &'static Own)> {
    TRANSPORTS.iter().find_map(|entry| {
        let own = entry.own.as_ref()?;
        own.schemes.contains(&scheme).then_some((entry, own))
    })
}

/// The transport with this name.
///
/// # Errors
///
/// There is none.
pub(super) fn named(name: &str) -> Result<&'static TransportEntry, Error> {
    (TRANSPORTS.iter())
        .find(|entry| entry.name == name)
        .ok_or_else(|| {
            let names: Vec<_> = TRANSPORTS.iter().map(|entry| entry.name).collect();
            let names = names.join("`, `");
            Error::request(format!(
                "expected a transport, one of `{names}`; found `{name}`"
            ))
        })
}
