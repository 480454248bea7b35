//! What feeds with a protocol of their own share: they are no answers to HTTP requests.

use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use futures_util::future::BoxFuture;
use url::Url;

use super::{Arrival, Over};
use crate::error::Error;
use crate::events::account::Doubt;
use crate::events::progress::Feeds;
use crate::events::seen::Manner;
use crate::http::Meter;

/// A transport that its addresses tell.
pub(in crate::events) struct Own {
    /// The schemes of its addresses.
    pub(in crate::events) schemes: &'static [&'static str],
    /// Says what is wrong with an address, before anything is sent.
    pub(in crate::events) check: fn(&Url) -> Result<(), Error>,
    /// What the ids of its events are good for.
    pub(in crate::events) manner: fn(&Url) -> Manner,
    pub(in crate::events) open: fn(Opening) -> BoxFuture<'static, Result<Opened, Error>>,
}

/// What a connection is made with.
pub(in crate::events) struct Opening {
    /// The address, credentials included.
    pub(in crate::events) url: Url,
    /// The id to go on after; empty where there is none.
    pub(in crate::events) after: ByteString,
    pub(in crate::events) max_item: usize,
    /// How long an answer is waited for.
    pub(in crate::events) timeout: Duration,
    /// How long the connection may be silent.
    pub(in crate::events) idle: Option<Duration>,
    pub(in crate::events) meter: Arc<Meter>,
    pub(in crate::events) taken: Taken,
}

/// A connection.
pub(in crate::events) struct Opened {
    pub(in crate::events) feed: Box<dyn OwnFeed>,
    /// The id that it goes on after, where that is not the one that was asked for.
    pub(in crate::events) begun: Option<ByteString>,
}

/// A connected feed.
pub(in crate::events) trait OwnFeed: Send {
    /// Waits for the next events; or says how the connection ended.
    fn hear<'a>(&'a mut self, arrivals: &'a mut Vec<Arrival>) -> BoxFuture<'a, Result<(), Over>>;
}

/// What has become of the events of a feed that were handed out.
pub(in crate::events) struct Taken {
    pub(in crate::events) feeds: Arc<Feeds>,
    pub(in crate::events) number: usize,
    /// Whether only what is durable counts.
    pub(in crate::events) awaits_durable: bool,
}

/// Up to where events have been taken, or are durable.
pub(in crate::events) struct Settled {
    /// The id of the last one; empty where there is none.
    pub(in crate::events) id: ByteString,
    /// Whether that is the last one that was handed out.
    pub(in crate::events) is_all: bool,
}

impl Taken {
    pub(super) fn settled(&self) -> Settled {
        self.feeds.settled(self.number, self.awaits_durable)
    }

    /// Asks for what was handed out to be made durable soon.
    pub(super) fn hurry(&self) {
        if self.awaits_durable {
            self.feeds.hurry(self.number);
        }
    }

    /// An event came again that was handed out before.
    pub(super) fn replayed(&self) {
        self.feeds.replayed(1);
    }

    /// Waits until all that was handed out is durable, where only that counts.
    pub(super) async fn durable(&self) {
        if self.awaits_durable {
            self.feeds.durable(self.number).await;
        }
    }

    pub(super) fn doubt(&self, doubt: Doubt) {
        self.feeds.doubt(doubt);
    }
}

/// The value of a parameter of an address.
pub(super) fn parameter(url: &Url, name: &str) -> Option<String> {
    (url.query_pairs())
        .find(|(found, value)| found == name && !value.is_empty())
        .map(|(_, value)| value.into_owned())
}

/// That an address has no other parameters than these, and the first of them.
pub(super) fn check_parameters(url: &Url, known: &[&str]) -> Result<(), Error> {
    if let Some((name, _)) = (url.query_pairs()).find(|(name, _)| !known.contains(&&**name)) {
        return Err(Error::request(format!(
            "`{name}` is no parameter of such an address: `{}` are",
            known.join("`, `")
        )));
    }
    match known.first() {
        Some(name) if parameter(url, name).is_none() => Err(missing(name)),
        _ => Ok(()),
    }
}

/// That a parameter is missing, without which there is nothing to follow.
pub(super) fn missing(name: &str) -> Error {
    Error::request(format!("expected `?{name}=NAME` in the address"))
}

/// Whether a feed without a position begins with what comes from now on.
pub(super) fn begins_now(url: &Url) -> Result<bool, Error> {
    match parameter(url, "from").as_deref() {
        None | Some("first") => Ok(false),
        Some("now") => Ok(true),
        Some(other) => Err(Error::request(format!(
            "expected `from=first` or `from=now`; found `{other}`"
        ))),
    }
}
