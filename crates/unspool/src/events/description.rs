//! Feeds as plain data.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::position::SOURCE as NAME;
use super::request::Request;
use crate::description::{self, HttpDescription, SourceEntry, from_seconds, to_seconds};
use crate::error::Error;
use crate::secret::Secret;

/// `events` among the sources.
pub(crate) const SOURCE: SourceEntry = SourceEntry {
    name: NAME,
    open: |members, from| {
        let description: Description = description::read(NAME, members)?;
        let mut request = description.request()?;
        if let Some(position) = from {
            request = request.from(position.clone());
        }
        Ok(Box::pin(request.raw()))
    },
    parts: None,
};

/// A live feed as plain data, with credentials by name.
///
/// ```
/// use unspool::events::Description;
///
/// let mut feed = Description::new("https://stream.example.com/changes");
/// feed.http.bearer = Some(unspool::Secret::new("${TOKEN}"));
/// println!("{}", serde_json::to_string(&feed).unwrap());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Description {
    /// Where the feed is; `${NAME}` in it stands for a variable of the environment.
    pub url: String,
    /// Further feeds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub and: Vec<String>,
    /// How it is carried, as `--as` takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// A JSON document to send, which makes the requests `POST`s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// How often the same document is asked for, in seconds.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "to_seconds",
        deserialize_with = "from_seconds"
    )]
    pub every: Option<Duration>,
    /// The JSON pointer of the cursor in an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The JSON pointer of the id in an item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The JSON pointer of the items in an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<String>,
    /// Messages to send first to a WebSocket.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub send: Vec<String>,
    /// Subprotocols to offer to a WebSocket.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subprotocols: Vec<String>,
    /// The JSON pointer of the position in an item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// Where the position goes in a request, as `--resume-as` takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_as: Option<String>,
    /// Whether ids are numbers that only grow.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ordered_ids: bool,
    /// The names of the events with which the feed says that others are missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gap_events: Vec<String>,
    /// Whether the end of the body is the end of the feed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
    /// The event that is to be the last, as `--until` takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// How long to follow the feed, in seconds.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "to_seconds",
        deserialize_with = "from_seconds"
    )]
    pub stop_after: Option<Duration>,
    /// The longest silence of a connection, in seconds.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "to_seconds",
        deserialize_with = "from_seconds"
    )]
    pub idle: Option<Duration>,
    /// How often in a row the connection is made again if nothing comes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconnects: Option<usize>,
    /// The largest event, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_item: Option<usize>,
    /// Whether data that is JSON stands in the items as JSON.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub parse: bool,
    /// Whether the items have the address of the feed and the time.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub meta: bool,
    /// How requests are sent.
    #[serde(skip_serializing_if = "is_default")]
    pub http: HttpDescription,
}

fn is_default(http: &HttpDescription) -> bool {
    *http == HttpDescription::default()
}

impl Description {
    /// A feed that is there, with nothing else said.
    pub fn new(url: impl Into<String>) -> Self {
        Description {
            url: url.into(),
            ..Description::default()
        }
    }

    /// The request that it describes, with the credentials looked up.
    ///
    /// # Errors
    ///
    /// A member is wrong, or a credential is not to be had.
    pub fn request(&self) -> Result<Request, Error> {
        if self.url.is_empty() {
            return Err(Error::request(
                "the description of `events` is wrong: missing field `url`",
            ));
        }
        let url = Secret::new(self.url.as_str()).resolve()?;
        let mut request = super::events(url).with_credentials(self.http.credentials()?);
        for url in &self.and {
            request = request.and(Secret::new(url.as_str()).resolve()?);
        }
        request = (self.send.iter()).fold(request, Request::send);
        request = (self.subprotocols.iter()).fold(request, Request::subprotocol);
        request = (self.gap_events.iter()).fold(request, Request::gap_event);
        request = given(request, self.data.clone(), Request::data);
        request = given(request, self.stop_after, Request::stop_after);
        request = given(request, self.idle, Request::idle);
        request = given(request, self.reconnects, Request::reconnects);
        request = given(request, self.max_item, Request::max_item);
        request = given(request, self.http.retries, Request::retries);
        request = given(request, self.http.timeout, Request::timeout);
        request = given(request, self.http.rate()?, Request::rate);
        request = given(request, parsed(&self.transport)?, Request::transport);
        request = given(request, self.every, Request::every);
        request = given(request, parsed(&self.cursor)?, Request::cursor);
        request = given(request, parsed(&self.id)?, Request::id);
        request = given(request, parsed(&self.items)?, Request::items_at);
        request = given(request, parsed(&self.position)?, Request::position);
        request = given(request, parsed(&self.resume_as)?, Request::resume_as);
        request = given(request, parsed(&self.until)?, Request::until);
        request = flagged(request, self.ordered_ids, Request::ordered_ids);
        request = flagged(request, self.once, Request::once);
        request = flagged(request, self.parse, Request::parse_data);
        request = flagged(request, self.meta, Request::with_meta);
        Ok(request)
    }
}

fn parsed<T: std::str::FromStr<Err = Error>>(text: &Option<String>) -> Result<Option<T>, Error> {
    text.as_deref().map(str::parse).transpose()
}

/// The request with something that may be given.
fn given<T>(
    request: Request,
    value: Option<T>,
    add: impl FnOnce(Request, T) -> Request,
) -> Request {
    match value {
        Some(value) => add(request, value),
        None => request,
    }
}

fn flagged(request: Request, is_set: bool, set: impl FnOnce(Request) -> Request) -> Request {
    if is_set { set(request) } else { request }
}

impl TryFrom<&Description> for crate::Description {
    type Error = Error;

    /// # Errors
    ///
    /// A credential is given as it is, and not by name.
    fn try_from(own: &Description) -> Result<Self, Error> {
        for url in [&own.url].into_iter().chain(&own.and) {
            description::check_url(url)?;
        }
        crate::Description::new(NAME, own)
    }
}
