use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::account::Doubt;
use super::event::{Event, LineForm, LineWriter};
use super::position::{self, Stands};
use super::progress::{Feeds, Listener};
use super::seen::Stood;
use super::source::{Plan, follow, merged};
use super::transports::{
    Asking, SocketForm, TRANSPORTS, TransportEntry, WEBSOCKET, by_scheme, named,
};
use super::until::Until;
use super::{Events, delays};
use crate::error::Error;
use crate::http::{Call, ClientCredentials, Credentials, Http, HttpOptions, Rate};
use crate::item::RawItem;
use crate::json::Pointer;
use crate::position::Position;
use crate::sinks::Identity;
use crate::source::SourceGenerator;

/// The largest event by default: 16 MiB.
const MAX_ITEM: usize = 16 << 20;

/// How often in a row a connection is made again that comes to nothing.
const RECONNECTS: usize = 20;

/// What to ask a live feed for. Made by [`events`](super::events()).
///
/// ```no_run
/// use futures_util::TryStreamExt;
///
/// # async fn example() -> Result<(), unspool::Error> {
/// use std::time::Duration;
///
/// let mut changes = unspool::events("https://stream.example.com/changes")
///     .stop_after(Duration::from_secs(60))
///     .events();
/// while let Some(change) = changes.try_next().await? {
///     println!("{} {}: {}", change.id, change.name, change.data);
/// }
/// println!("{} events so far", changes.account().items);
/// # Ok(())
/// # }
/// ```
#[must_use = "a request does nothing until its events are asked for"]
pub struct Request {
    urls: Vec<String>,
    data: Option<Value>,
    http: HttpOptions,
    transport: Option<&'static TransportEntry>,
    every: Option<Duration>,
    cursor: Option<Pointer>,
    id: Option<Pointer>,
    items_at: Option<Pointer>,
    socket: SocketForm,
    position: Option<Pointer>,
    resume_as: Option<ResumeAs>,
    is_ordered: bool,
    gap_events: Vec<String>,
    is_once: bool,
    awaits_durable: bool,
    until: Option<Until>,
    stop_after: Option<Duration>,
    idle: Option<Duration>,
    reconnects: usize,
    max_item: usize,
    form: LineForm,
    listener: Option<Listener>,
    from: Option<Box<Position>>,
}

/// How a feed is carried. `"sse".parse()` reads one.
///
/// ```
/// use unspool::events::Transport;
///
/// let feed = unspool::events("https://example.com/log").transport("sse".parse::<Transport>()?);
/// assert!("carrier-pigeon".parse::<Transport>().is_err());
/// # drop(feed);
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Transport(&'static TransportEntry);

/// Where the position goes in the request that goes on after it.
///
/// ```
/// use unspool::events::ResumeAs;
///
/// assert_eq!("since".parse::<ResumeAs>()?, ResumeAs::Query("since".to_owned()));
/// assert_eq!("seq+1".parse::<ResumeAs>()?, ResumeAs::QueryAfter("seq".to_owned()));
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResumeAs {
    /// A header with this name: `header:NAME` as text.
    Header(String),
    /// A parameter of the query with this name: `NAME` as text.
    Query(String),
    /// The same with the number after the position, which is a number: `NAME+1` as text.
    QueryAfter(String),
}

impl Request {
    pub(super) fn new(url: String) -> Self {
        Request {
            urls: vec![url],
            data: None,
            http: HttpOptions::default(),
            transport: None,
            every: None,
            cursor: None,
            id: None,
            items_at: None,
            socket: SocketForm::default(),
            position: None,
            resume_as: None,
            is_ordered: false,
            gap_events: Vec::new(),
            is_once: false,
            awaits_durable: false,
            until: None,
            stop_after: None,
            idle: None,
            reconnects: RECONNECTS,
            max_item: MAX_ITEM,
            form: LineForm::default(),
            listener: None,
            from: None,
        }
    }

    /// A further feed, whose events come between those of the others, each feed in its turn.
    /// What is said here holds for all; credentials go to the origin of the first one only.
    pub fn and(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// How the feed is carried; by default its address and its answer tell.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = Some(transport.0);
        self
    }

    /// A JSON document to send, which makes the requests `POST`s. It is sent again with each
    /// connection.
    pub fn data(mut self, body: Value) -> Self {
        self.data = Some(body);
        self
    }

    /// Asks for the same document so often, or as seldom as the upstream says
    /// (`X-Poll-Interval`), and hands out what is new in it, the oldest first.
    ///
    /// What is new is told by the [id](Request::id), or else by all of an item. That nothing
    /// is left of what was there before is a [doubt](Doubt::NoOverlap).
    pub fn every(mut self, interval: Duration) -> Self {
        self.every = Some(interval);
        self
    }

    /// Asks again with what stands there in the answer before, once its items have been
    /// taken: the next request may tell the upstream to forget them.
    /// [`resume_as`](Request::resume_as) says where it goes.
    pub fn cursor(mut self, pointer: Pointer) -> Self {
        self.cursor = Some(pointer);
        self
    }

    /// Where in an item its id is, such as `/id`, for a feed that is asked
    /// [every](Request::every) so often.
    pub fn id(mut self, pointer: Pointer) -> Self {
        self.id = Some(pointer);
        self
    }

    /// Where in an answer the array of items is, for a feed that is asked again and again.
    /// By default the answer is that array, or the only item.
    pub fn items_at(mut self, pointer: Pointer) -> Self {
        self.items_at = Some(pointer);
        self
    }

    /// A message to send first, with each connection of a WebSocket.
    pub fn send(mut self, message: impl Into<String>) -> Self {
        self.socket.first.push(message.into());
        self
    }

    /// A subprotocol to offer in the handshake of a WebSocket.
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.socket.protocols.push(name.into());
        self
    }

    /// Where in an item its position is, such as `/seq`, for feeds of JSON; it is the id of
    /// the event. [`resume_as`](Request::resume_as) says where it goes in the next request.
    pub fn position(mut self, pointer: Pointer) -> Self {
        self.position = Some(pointer);
        self
    }

    /// Where the position goes in the request that goes on after it; by default in the
    /// header `Last-Event-ID`, for server-sent events.
    pub fn resume_as(mut self, resume_as: ResumeAs) -> Self {
        self.resume_as = Some(resume_as);
        self
    }

    /// The feed promises that its ids are numbers that only grow: what comes after a
    /// reconnect with an id that is not above the last one came before.
    ///
    /// Otherwise the last thousand events are known again by their ids and what they say.
    pub fn ordered_ids(mut self) -> Self {
        self.is_ordered = true;
        self
    }

    /// The name of an event with which the feed says that others are missing: that is a
    /// [doubt](Doubt::Announced). There may be several.
    pub fn gap_event(mut self, name: impl Into<String>) -> Self {
        self.gap_events.push(name.into());
        self
    }

    /// The end of the body is the end of the feed. By default it is the end of a connection,
    /// and the next one is made.
    pub fn once(mut self) -> Self {
        self.is_once = true;
        self
    }

    /// Sends a [cursor](Request::cursor) only after
    /// [`acknowledge`](crate::Source::acknowledge) has said that the items before it are
    /// durable: an upstream may forget them then.
    ///
    /// For [`pull`](crate::pull()) into a sink that keeps a state. Whoever takes the items
    /// without acknowledging them gets those of one answer only.
    pub fn await_durable(mut self) -> Self {
        self.awaits_durable = true;
        self
    }

    /// The event that is to be the last.
    pub fn until(mut self, until: Until) -> Self {
        self.until = Some(until);
        self
    }

    /// How long to follow the feed.
    pub fn stop_after(mut self, time: Duration) -> Self {
        self.stop_after = Some(time);
        self
    }

    /// The longest silence of a connection, comments included, before another one is made.
    ///
    /// By default three times the longest pause that the feed has made, and at least a
    /// minute; a feed that has not made one may be silent for as long as the system holds
    /// the connection for alive.
    pub fn idle(mut self, limit: Duration) -> Self {
        self.idle = Some(limit);
        self
    }

    /// How often in a row the connection is made again if nothing comes of it; 20 by
    /// default. The waits in between double from a tenth of a second, or what the feed says,
    /// to half a minute.
    pub fn reconnects(mut self, reconnects: usize) -> Self {
        self.reconnects = reconnects;
        self
    }

    /// The wait before a connection is made again, which doubles from there; 100 ms by
    /// default. A feed may ask for longer ones.
    pub fn first_wait(mut self, wait: Duration) -> Self {
        self.http.settings.first_wait = Some(wait);
        self
    }

    /// How often the first connection is tried again that was not made; 5 by default. What
    /// an upstream answers to it with a status is final.
    pub fn retries(mut self, retries: usize) -> Self {
        self.http.settings.retries = Some(retries);
        self
    }

    /// The longest silence of the upstream before it answers; 30 seconds by default.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.http.settings.timeout = Some(limit);
        self
    }

    /// The largest event, in bytes, its lines together; 16 MiB by default.
    pub fn max_item(mut self, bytes: usize) -> Self {
        self.max_item = bytes;
        self
    }

    /// In [`raw`](Request::raw), data that is JSON stands there as JSON, and not as a text
    /// that holds it.
    pub fn parse_data(mut self) -> Self {
        self.form.parses = true;
        self
    }

    /// In [`raw`](Request::raw), there is also the address of the feed and the time when the
    /// event came.
    pub fn with_meta(mut self) -> Self {
        self.form.has_meta = true;
        self
    }

    /// What makes this request the same as an earlier one, whose events go on where those
    /// ended: the addresses, what is sent to them, how they are carried, what ends them, and
    /// how an event is written; without credentials, limits and rates.
    ///
    /// # Errors
    ///
    /// An address is not a URL.
    pub fn identity(&self) -> Result<Identity, Error> {
        let urls = (self.urls.iter())
            .map(|url| Ok(position::origin(&self.call(url)?.0).url.to_string()))
            .collect::<Result<Vec<String>, Error>>()?;
        let pointer = |pointer: &Option<Pointer>| pointer.as_ref().map(ToString::to_string);
        Ok(Identity::new(position::SOURCE)
            .with("urls", urls)
            .with_text("data", self.data.as_ref().map(Value::to_string).as_deref())
            .with("as", self.transport.map(|entry| entry.name))
            .with("every", self.every.map(|every| every.as_secs_f64()))
            .with("cursor", pointer(&self.cursor))
            .with("id", pointer(&self.id))
            .with("items", pointer(&self.items_at))
            .with("position", pointer(&self.position))
            .with(
                "resume as",
                self.resume_as.as_ref().map(ToString::to_string),
            )
            .with("once", self.is_once.then_some(true))
            .with("until", self.until.as_ref().map(ToString::to_string))
            .with("parse", self.form.parses.then_some(true))
            .with("meta", self.form.has_meta.then_some(true)))
    }

    /// Calls this with each doubt when it comes up, and not only at the end.
    pub fn on_doubt(mut self, listener: impl Fn(&Doubt) + Send + Sync + 'static) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Goes on after a position of the same request.
    pub fn from(mut self, position: Position) -> Self {
        self.from = Some(Box::new(position));
        self
    }

    /// A header to send to the origin of the URL, and to no other.
    pub fn header(self, name: HeaderName, value: HeaderValue) -> Self {
        self.credentials(|credentials| credentials.header(name, value))
    }

    /// User and password (RFC 7617), for the origin of the URL.
    pub fn basic_auth(self, user: &str, password: &str) -> Self {
        self.credentials(|credentials| credentials.basic_auth(user, password))
    }

    /// A token (RFC 6750), for the origin of the URL: `Authorization: Bearer …`.
    pub fn bearer_auth(self, token: &str) -> Self {
        self.credentials(|credentials| credentials.bearer_auth(token))
    }

    /// A key in a header, for the origin of the URL: `X-Api-Key` and the like.
    pub fn api_key_header(self, name: &str, key: &str) -> Self {
        self.credentials(|credentials| credentials.api_key_header(name, key))
    }

    /// A key in the query, for the origin of the URL: `?api_key=…`.
    pub fn api_key_query(self, name: &str, key: &str) -> Self {
        self.credentials(|credentials| credentials.api_key_query(name, key))
    }

    /// Tokens from an authorization server (OAuth 2.0, RFC 6749, section 4.4), for the
    /// origin of the URL.
    pub fn oauth2(self, client: ClientCredentials) -> Self {
        self.credentials(|credentials| credentials.oauth2(client))
    }

    /// Another name of the same server, which gets the credentials, too.
    pub fn also_origin(self, url: &str) -> Self {
        self.credentials(|credentials| credentials.also_origin(url))
    }

    /// A cookie, for the origin of the URL, until the server replaces it.
    pub fn cookie(self, name: &str, value: &str) -> Self {
        self.credentials(|credentials| credentials.cookie(name, value))
    }

    /// How fast requests may follow each other, from start to start; by default as fast as
    /// the upstream allows.
    pub fn rate(mut self, rate: Rate) -> Self {
        self.http.rate = Some(rate);
        self
    }

    /// The client that this feed shares with other sources: its connections, pace and
    /// cookies, and its credentials.
    pub fn http(mut self, http: &Http) -> Self {
        self.http.http = Some(http.clone());
        self
    }

    /// A client of your own; what [`pages`](crate::pages::Request::client) says of it holds
    /// here, too.
    pub fn client(mut self, client: reqwest::Client) -> Self {
        self.http.client = Some(client);
        self
    }

    /// Further credentials, for the origin of the URL.
    pub(super) fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.http.credentials = credentials;
        self
    }

    fn credentials(mut self, add: impl FnOnce(Credentials) -> Credentials) -> Self {
        self.http.credentials = add(self.http.credentials);
        self
    }

    /// The events.
    pub fn events(self) -> Events<Event> {
        self.taken(|| Ok)
    }

    /// The data of the events, as values of a type of yours.
    pub fn items<T>(self) -> Events<T>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.taken(|| {
            |event: Event| {
                event.parse().map_err(|error| {
                    Error::content(format!("the data of an event cannot be read: {error}"))
                        .with_source(error)
                })
            }
        })
    }

    /// The events as JSON objects with the members `event`, `id` and `data`.
    pub fn raw(self) -> Events<RawItem> {
        let form = self.form;
        self.taken(move || {
            let mut writer = LineWriter::new(form);
            move |event: Event| Ok(writer.line(&event))
        })
    }

    fn taken<T, F>(mut self, take: impl Fn() -> F) -> Events<T>
    where
        T: Send + 'static,
        F: FnMut(Event) -> Result<T, Error> + Send + 'static,
    {
        let count = self.urls.len();
        let feeds = Arc::new(Feeds::new(count, self.listener.take()));
        let mut generators: Vec<SourceGenerator<T, Feeds>> = Vec::with_capacity(count);
        match self.plans() {
            Ok(plans) => generators.extend(plans.into_iter().map(|plan| {
                let generator = follow(Ok(plan), Arc::clone(&feeds), take());
                Box::pin(generator) as SourceGenerator<T, Feeds>
            })),
            Err(error) => {
                generators.push(Box::pin(follow(Err(error), Arc::clone(&feeds), take())));
            }
        }
        let generator = match generators.len() {
            1 => generators.remove(0),
            _ => Box::pin(merged(generators)),
        };
        Events::new(generator, feeds)
    }

    /// How the feed is asked again and again, if it is.
    fn asking(&self) -> Result<Option<Asking>, Error> {
        let name = self.transport.map(|entry| entry.name);
        match (self.every, &self.cursor, name) {
            (Some(_), Some(_), _) => Err(Error::request(
                "a feed is asked every so often, or with a cursor, but not both",
            )),
            (Some(every), None, None | Some("poll")) => {
                Ok(Some(Asking::Every(every, self.id.clone())))
            }
            (None, Some(_), None | Some("long-poll")) if self.resume_as.is_none() => Err(
                Error::request("where the cursor goes in the next request has to be said"),
            ),
            (None, Some(pointer), None | Some("long-poll")) => {
                Ok(Some(Asking::Cursor(pointer.clone())))
            }
            (None, None, Some("poll")) => {
                Err(Error::request("how often the feed is asked has to be said"))
            }
            (None, None, Some("long-poll")) => match &self.position {
                Some(pointer) if self.resume_as.is_some() => {
                    Ok(Some(Asking::Position(pointer.clone())))
                }
                Some(_) => Err(Error::request(
                    "where the position goes in the next request has to be said",
                )),
                None => Ok(Some(Asking::Validators)),
            },
            (None, None, _) => Ok(None),
            (.., Some(name)) => Err(Error::request(format!(
                "a feed that is asked again and again is not read as `{name}`"
            ))),
        }
    }

    /// The request for a feed, and whether it is a WebSocket.
    fn call(&self, url: &str) -> Result<(Call, bool), Error> {
        let (url, has_scheme) = address(url)?;
        if let Some((entry, own)) = by_scheme(url.scheme()) {
            self.check_own(entry)?;
            (own.check)(&url)?;
            return Ok((Call::get(url), false));
        }
        let name = self.transport.map(|entry| entry.name);
        let is_socket = has_scheme || name == Some(WEBSOCKET);
        let is_asked = self.every.is_some() || self.cursor.is_some() || name == Some("long-poll");
        if is_socket && (self.data.is_some() || is_asked) {
            return Err(Error::request(
                "a WebSocket is not asked with a document, nor again and again: `send` is what it \
                 is told",
            ));
        }
        if has_scheme && name.is_some_and(|name| name != WEBSOCKET) {
            return Err(Error::request(
                "expected an `http:` address, found one of a WebSocket",
            ));
        }
        let call = Call {
            body: self.data.clone(),
            ..Call::get(url)
        };
        Ok((call, is_socket))
    }

    /// That nothing is asked for that a feed with a protocol of its own does not have.
    fn check_own(&self, entry: &TransportEntry) -> Result<(), Error> {
        let of_requests = [
            (self.data.is_some(), "a document to send"),
            (self.every.is_some(), "a time to ask again"),
            (self.cursor.is_some(), "a cursor"),
            (self.position.is_some(), "a place of the position"),
            (self.resume_as.is_some(), "a place for the position"),
            (self.is_once, "an end of the body"),
            (self.is_ordered, "an order of the ids"),
        ];
        if let Some((_, what)) = of_requests.iter().find(|(is_set, _)| *is_set) {
            return Err(Error::request(format!(
                "a feed of the kind `{}` has its own: {what} is for feeds over HTTP",
                entry.name
            )));
        }
        match self.transport {
            Some(pinned) if pinned.name != entry.name => Err(Error::request(format!(
                "the address is one of the kind `{}`, and not `{}`",
                entry.name, pinned.name
            ))),
            _ => Ok(()),
        }
    }

    /// That nothing is said that means something to none of the feeds: it would be left out in
    /// silence.
    fn check_used(
        &self,
        calls: &[Call],
        sockets: &[bool],
        asking: Option<&Asking>,
    ) -> Result<(), Error> {
        let is_own = |call: &Call| by_scheme(call.url.scheme()).is_some();
        let has_socket_words = !self.socket.first.is_empty() || !self.socket.protocols.is_empty();
        let is_wrong = [
            (
                has_socket_words && !sockets.contains(&true),
                "a message to send first and a subprotocol are for a WebSocket: `ws:`",
            ),
            (
                self.items_at.is_some() && asking.is_none(),
                "the place of the items in an answer is for feeds that are asked again and again: \
                 every so often, with a cursor, or as `long-poll`",
            ),
            (
                self.id.is_some() && self.every.is_none(),
                "the place of the id in an item is for feeds that are asked every so often",
            ),
            (
                self.position.is_some() && self.every.is_some(),
                "what is new in a document that is asked for every so often is told by the id of \
                 an item, and not by its position",
            ),
            (
                calls.first().is_some_and(is_own) && !self.http.credentials.is_empty(),
                "headers and credentials of HTTP are not sent to such a feed: user and password \
                 go into its address",
            ),
        ];
        match is_wrong.iter().find(|(is_set, _)| *is_set) {
            Some((_, message)) => Err(Error::request(*message)),
            None => Ok(()),
        }
    }

    /// A plan for each feed.
    fn plans(self) -> Result<Vec<Plan>, Error> {
        let (calls, sockets): (Vec<Call>, Vec<bool>) = (self.urls.iter())
            .map(|url| self.call(url))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .unzip();
        let origins: Vec<Call> = calls.iter().map(position::origin).collect();
        let stands = match &self.from {
            Some(position) => Stands::read(position, &origins)?,
            None => Stands::default(),
        };
        let (transport, asking) = (self.transport, self.asking()?);
        self.check_used(&calls, &sockets, asking.as_ref())?;
        let home = calls.first().map(|call| call.url.origin());
        let shared = self.http.http.clone().unwrap_or_default();
        let mut plans = Vec::with_capacity(calls.len());
        for (number, (mut call, origin)) in calls.into_iter().zip(&origins).enumerate() {
            let own = by_scheme(call.url.scheme()).map(|(entry, own)| {
                // Credentials go no further than to the one who connects.
                let address = std::mem::replace(&mut call.url, origin.url.clone());
                (entry, own, address)
            });
            let stand = stands.feeds.iter().find(|stand| stand.origin == *origin);
            let stood = stand.map_or_else(|| Ok(Stood::default()), |stand| stand.stood())?;
            let mut http = HttpOptions {
                http: Some(shared.clone()),
                ..self.http.clone()
            };
            if Some(call.url.origin()) != home {
                http.credentials = Credentials::new();
            }
            plans.push(Plan {
                number,
                call,
                stood,
                transport,
                asking: asking.clone(),
                own,
                is_resumed: stand.is_some(),
                socket: sockets[number].then(|| self.socket.clone()),
                items_at: self.items_at.clone(),
                position: self.position.clone(),
                resume_as: self.resume_as.clone(),
                is_ordered: self.is_ordered,
                gap_events: self.gap_events.clone(),
                is_once: self.is_once,
                awaits_durable: self.awaits_durable,
                until: self.until.clone(),
                stop_after: self.stop_after,
                idle: self.idle,
                reconnects: self.reconnects,
                first_wait: (self.http.settings.first_wait).unwrap_or(delays::SHORTEST),
                max_item: self.max_item,
                http,
            });
        }
        Ok(plans)
    }
}

/// The address of a feed, and whether it is a WebSocket, whose handshake is one of HTTP.
fn address(url: &str) -> Result<(Url, bool), Error> {
    let mut url = Url::parse(url)
        .map_err(|error| Error::request(format!("expected a URL: {error}")).with_source(error))?;
    let handshake = match url.scheme() {
        "ws" => "http",
        "wss" => "https",
        "http" | "https" => return Ok((url, false)),
        scheme if by_scheme(scheme).is_some() => return Ok((url, false)),
        scheme => {
            let own = TRANSPORTS.iter().filter_map(|entry| entry.own.as_ref());
            let own: Vec<&str> = own.flat_map(|own| own.schemes.iter().copied()).collect();
            return Err(Error::request(format!(
                "expected the address of a feed (`http:`, `https:`, `ws:`, `wss:`, `{}:`), found \
                 the scheme `{scheme}:`",
                own.join(":`, `")
            )));
        }
    };
    url.set_scheme(handshake)
        .map_err(|()| Error::request("expected an address of a WebSocket"))?;
    Ok((url, true))
}

impl Transport {
    /// All transports: their names, and what they are.
    pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
        TRANSPORTS.iter().map(|entry| (entry.name, entry.about))
    }
}

impl FromStr for Transport {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        named(name).map(Transport)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transport").field(&self.0.name).finish()
    }
}

impl ResumeAs {
    /// Puts a position into a request.
    pub(super) fn put(&self, call: &mut Call, position: &str) {
        match self {
            ResumeAs::Header(name) => {
                call.fields.insert(name.clone(), position.to_owned());
            }
            ResumeAs::Query(name) => {
                call.url = position::with_parameter(&call.url, name, position);
            }
            ResumeAs::QueryAfter(name) => {
                // What is no number has none after it.
                let next = (position.parse::<i128>().ok()).and_then(|number| number.checked_add(1));
                let next = next.map_or_else(|| position.to_owned(), |next| next.to_string());
                call.url = position::with_parameter(&call.url, name, &next);
            }
        }
    }
}

impl FromStr for ResumeAs {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::request(format!(
                "expected the name of a parameter, `NAME+1`, or `header:NAME`; found `{text}`"
            ))
        };
        match text.split_once(':') {
            None => match text.strip_suffix("+1").unwrap_or(text) {
                "" => Err(wrong()),
                name if name == text => Ok(ResumeAs::Query(text.to_owned())),
                name => Ok(ResumeAs::QueryAfter(name.to_owned())),
            },
            Some(("header", name)) => {
                let name: HeaderName = name.parse().map_err(|_| wrong())?;
                Ok(ResumeAs::Header(name.to_string()))
            }
            Some(_) => Err(wrong()),
        }
    }
}

impl fmt::Display for ResumeAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResumeAs::Header(name) => write!(f, "header:{name}"),
            ResumeAs::Query(name) => f.write_str(name),
            ResumeAs::QueryAfter(name) => write!(f, "{name}+1"),
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls: Vec<Result<String, Error>> = (self.urls.iter())
            .map(|url| self.call(url).map(|(call, _)| call.redacted()))
            .collect();
        f.debug_struct("Request")
            .field("calls", &calls)
            .field("resume_as", &self.resume_as)
            .finish_non_exhaustive()
    }
}
