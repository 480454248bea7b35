//! What to ask for: the description of a walk.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderName, HeaderValue};
use serde::de::{DeserializeOwned, Error as _};
use serde_json::Value;
use url::Url;

use super::kinds::{Custom, PageRequest, PageView, Paginate};
use super::position::{SOURCE, without_own_credentials};
use super::progress::Walk;
use super::walk::{Plan, walk};
use super::{Pages, RawItem};
use crate::error::Error;
use crate::http::{Call, ClientCredentials, Credentials, Http, HttpOptions, Rate};
use crate::json::{Check, Place, Pointer};
use crate::position::Position;
use crate::sinks::Identity;

/// The largest item by default: 16 MiB.
const MAX_ITEM: usize = 16 << 20;

/// What to ask a paginated API for. Made by [`pages`](super::pages()).
#[must_use = "a request does nothing until its items are asked for"]
pub struct Request {
    call: Result<Call, Error>,
    http: HttpOptions,
    paginate: Paginate,
    place: Place,
    max_item: usize,
    in_flight: usize,
    demand: Option<u64>,
    unique: Option<Pointer>,
    from: Option<Box<Position>>,
}

impl Request {
    pub(super) fn new(url: &str) -> Self {
        Request {
            call: Url::parse(url).map(Call::get).map_err(|error| {
                Error::request(format!("expected a URL: {error}")).with_source(error)
            }),
            http: HttpOptions::default(),
            paginate: Paginate::default(),
            place: Place::Auto,
            max_item: MAX_ITEM,
            in_flight: 1,
            demand: None,
            unique: None,
            from: None,
        }
    }

    /// How to get from one page to the next; by default the first page decides.
    pub fn paginate(mut self, paginate: impl Into<Paginate>) -> Self {
        self.paginate = paginate.into();
        self
    }

    /// A way of your own to get from one page to the next: what the closure makes of
    /// a page is asked for next, and none is the end.
    ///
    /// ```no_run
    /// # use unspool::pages::To;
    /// let posts = unspool::pages("https://api.example.com/posts")
    ///     .after(|page| match page.envelope()["meta"]["following"].as_u64() {
    ///         Some(number) => Ok(Some(page.request().with(&To::query("p"), number)?)),
    ///         None => Ok(None),
    ///     })
    ///     .raw();
    /// ```
    pub fn after<F>(mut self, decide: F) -> Self
    where
        F: FnMut(&PageView<'_>) -> Result<Option<PageRequest>, Box<dyn StdError + Send + Sync>>
            + Send
            + 'static,
    {
        self.paginate = Paginate::new(Custom::new(decide));
        self
    }

    /// A JSON document to send, which makes the requests `POST`s. They are repeated
    /// as any other where they fail: they only ask.
    pub fn data(mut self, body: Value) -> Self {
        if let Ok(call) = &mut self.call {
            call.body = Some(body);
        }
        self
    }

    /// How many pages may be read at a time; 1 by default. Where the kind of
    /// pagination tells the requests before their pages have come (page numbers and
    /// offsets), that many are sent; otherwise the next page is asked for as soon as
    /// one has been read. The items come in their order. Pages that wait hold 8 MiB
    /// together at most, and there are no more than 256 at a time.
    ///
    /// Needs the runtime of tokio, where it spawns a task for each page; they end with
    /// the stream.
    pub fn in_flight(mut self, pages: usize) -> Self {
        self.in_flight = pages;
        self
    }

    /// How many items will be asked for, if that is known: with pages in flight, no more of
    /// them are sent than these need. The stream does not end there by itself.
    pub fn demand(mut self, items: u64) -> Self {
        self.demand = Some(items);
        self
    }

    /// Leaves out items whose value at `key` has come before, as happens where items
    /// are added in front during the walk. The last million keys are remembered,
    /// which takes up to 40 MB.
    pub fn unique(mut self, key: Pointer) -> Self {
        self.unique = Some(key);
        self
    }

    /// Goes on after a position of the same request.
    ///
    /// The page of the position is asked for again, and its items up to the position
    /// are passed over. If the last of them is another one now, that is a
    /// [doubt](super::Doubt::Shifted).
    pub fn from(mut self, position: Position) -> Self {
        self.from = Some(Box::new(position));
        self
    }

    /// The same, if there is such a position.
    pub fn resume(self, position: Option<Position>) -> Self {
        match position {
            Some(position) => self.from(position),
            None => self,
        }
    }

    /// What makes this request the same as an earlier one, whose items go on where those
    /// ended: the address and the body, the way from page to page, and which items of a page
    /// it takes; without credentials, limits and rates.
    ///
    /// # Errors
    ///
    /// The URL is none.
    pub fn identity(&self) -> Result<Identity, Error> {
        let call = self
            .call
            .as_ref()
            .map_err(|error| Error::request(error.message()))?;
        let call = without_own_credentials(call);
        let items = self.place.pointer().map(ToString::to_string);
        let key = match &self.place {
            Place::Members(members) => Some(members.key.to_string()),
            Place::Auto | Place::At(_) => None,
        };
        Ok(Identity::new(SOURCE)
            .with("url", call.url.as_str())
            .with("data", call.body.unwrap_or_default())
            .with("paginate", self.paginate.to_string())
            .with("items", items)
            .with("items of object", key)
            .with("unique", self.unique.as_ref().map(ToString::to_string)))
    }

    /// Where in a page the array of items is.
    ///
    /// By default it is found: the document itself, else the array under a usual
    /// name (`data`, `items`, `results`, …), else the only array that there is.
    pub fn items_at(mut self, pointer: Pointer) -> Self {
        self.place = self.place.at(pointer);
        self
    }

    /// The items are the members of an object, at [`items_at`](Request::items_at) or in the
    /// only object that it can be, and not the elements of an array: `{"u1": {…}, "u2": {…}}`.
    ///
    /// Each becomes an item as it arrives, with its key as a member of this name before its
    /// own: `{"key":"u1",…}`. A member that is not an object, or has a member of that name
    /// with another value, becomes `{"key":"u1","value":…}`. An array in the object's place is
    /// read as one, as PHP writes it where there is nothing in the object.
    ///
    /// Where the object is has to be said with [`items_at`](Request::items_at) for the first
    /// page to stream: to find it, that page is read whole.
    pub fn items_of_object(mut self, key: &str) -> Self {
        self.place = self.place.of_object(key);
        self
    }

    /// A header to send to the origin of the URL. Another origin, after a
    /// redirect or a next link, gets only `Accept`, `Accept-Language` and
    /// `User-Agent`.
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
    ///
    /// It is put into the address when the request is sent, and taken out of links
    /// and redirects in which the server repeats it: no error, account or position
    /// holds it.
    pub fn api_key_query(self, name: &str, key: &str) -> Self {
        self.credentials(|credentials| credentials.api_key_query(name, key))
    }

    /// Tokens from an authorization server (OAuth 2.0, RFC 6749, section 4.4), for
    /// the origin of the URL.
    pub fn oauth2(self, client: ClientCredentials) -> Self {
        self.credentials(|credentials| credentials.oauth2(client))
    }

    /// A cookie, for the origin of the URL, until the server replaces it.
    ///
    /// Cookies that a server sets are sent back to its origin until the walk ends,
    /// whether there is one of yours or not.
    pub fn cookie(self, name: &str, value: &str) -> Self {
        self.credentials(|credentials| credentials.cookie(name, value))
    }

    /// The origin (scheme, host and port) of another URL of the same server, whose rest does
    /// not matter: credentials, and a body, go there, too. Servers behind a proxy may give
    /// links with a name of their own.
    pub fn also_origin(self, url: &str) -> Self {
        self.credentials(|credentials| credentials.also_origin(url))
    }

    /// How fast requests may follow each other, from start to start, retries and
    /// redirects included; by default as fast as the upstream allows.
    ///
    /// What the upstream says is obeyed in any case: `Retry-After` stops all requests
    /// to its origin, and where it states how many more requests it allows
    /// (`X-RateLimit-Remaining`, `RateLimit` and their kin), none is made that it
    /// would refuse.
    ///
    /// ```no_run
    /// # fn example() -> Result<(), unspool::Error> {
    /// let posts = unspool::pages("https://api.example.com/posts")
    ///     .rate("600/m".parse()?)
    ///     .raw();
    /// # Ok(())
    /// # }
    /// ```
    pub fn rate(mut self, rate: Rate) -> Self {
        self.http.rate = Some(rate);
        self
    }

    /// The client that this walk shares with other sources: its connections, pace and
    /// cookies, and its credentials, over which those given here are laid for the origin
    /// of the URL.
    pub fn http(mut self, http: &Http) -> Self {
        self.http.http = Some(http.clone());
        self
    }

    /// A client of your own, with its proxies, certificates and timeouts, for all
    /// requests. [`unspool::reqwest`](crate::reqwest) is the version that it is of.
    ///
    /// Build it with [`redirect::Policy::none()`](reqwest::redirect::Policy::none):
    /// redirects are followed here, so that what you gave for one origin does not go
    /// to another. Where a client does that by itself and takes headers of yours to
    /// another origin, the walk fails. Its own default headers go to every origin,
    /// except `Accept`, in whose place JSON is asked for. It need not
    /// decompress bodies, and had better not: where reqwest does that, a gzip of
    /// several members loses all but the first.
    ///
    /// ```no_run
    /// use unspool::reqwest::{Client, redirect::Policy};
    ///
    /// # fn example() -> Result<(), unspool::reqwest::Error> {
    /// let client = Client::builder().redirect(Policy::none()).https_only(true).build()?;
    /// let posts = unspool::pages("https://api.example.com/posts").client(client).raw();
    /// # Ok(())
    /// # }
    /// ```
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

    /// How often a request is repeated that failed in a way that may pass; 5 by
    /// default. The waits in between double from a quarter of a second to half a
    /// minute, or are what `Retry-After` says. A wait of more than five minutes is not
    /// begun: the walk fails at once and says how long the upstream wants
    /// ([`Error::retry_after`]). A connection to an upstream that has never answered is
    /// tried once more only.
    pub fn retries(mut self, retries: usize) -> Self {
        self.http.settings.retries = Some(retries);
        self
    }

    /// The wait before the first retry, which doubles from there; 250 ms by default.
    pub fn first_wait(mut self, wait: Duration) -> Self {
        self.http.settings.first_wait = Some(wait);
        self
    }

    /// The longest silence of the upstream, before an answer and between two parts
    /// of a body; 30 seconds by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.http.settings.timeout = Some(timeout);
        self.http.settings.idle = Some(timeout);
        self
    }

    /// The largest item, in bytes, and the largest text around the items of one
    /// page; 16 MiB by default. That text may have one value for each 64 of them, and
    /// always 65,536.
    pub fn max_item(mut self, bytes: usize) -> Self {
        self.max_item = bytes;
        self
    }

    /// The items as values of a type of yours.
    pub fn items<T>(self) -> Pages<T>
    where
        T: DeserializeOwned + Send + 'static,
    {
        // Only the fields that the type has are read: the rest of the item is
        // checked here to be UTF-8, which the parser would pass over.
        self.decoded(Check::Nothing, |text: &Bytes| {
            let text = std::str::from_utf8(text).map_err(serde_json::Error::custom)?;
            serde_json::from_str(text)
        })
    }

    /// The items as the JSON text that the upstream wrote, checked to be valid.
    pub fn raw(self) -> Pages<RawItem> {
        self.decoded(Check::Valid, |text: &Bytes| Ok(RawItem::new(text.clone())))
    }

    fn decoded<T: Send + 'static>(
        self,
        check: Check,
        decode: fn(&Bytes) -> serde_json::Result<T>,
    ) -> Pages<T> {
        let plan = Plan {
            call: self.call,
            http: self.http,
            kind: self.paginate.into_kind(),
            place: self.place,
            check,
            max_item: self.max_item,
            in_flight: self.in_flight,
            demand: self.demand,
            from: self.from,
        };
        let state = Arc::new(Walk::new(self.unique));
        Pages::new(Box::pin(walk(plan, Arc::clone(&state), decode)), state)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("call", &self.call.as_ref().map(Call::redacted))
            .field("paginate", &self.paginate)
            .finish_non_exhaustive()
    }
}
