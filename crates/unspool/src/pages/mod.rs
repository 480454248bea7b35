//! Paginated HTTP APIs.
//!
//! *Upstream*: an HTTP API that answers `GET`, or `POST` of a JSON document, with
//! pages. *Order*: as the server gives them. *Ends when*: the upstream says so (see
//! [`Paginate`]); a body or a walk that stops otherwise is an error or a doubt.
//! *Resumes from*: any item (see [`Position`]). *Cost*: one request a page, made when
//! its first item is asked for, and what it takes to prove how to get to the second;
//! memory for one item and the text around the items, and up to 8 MiB for [pages in
//! flight](Request::in_flight). *Auth*: headers, user and password, tokens, keys and
//! cookies, given to the origin of the first URL only.

mod account;
mod ahead;
mod fetch;
pub(crate) mod kinds;
mod page;
mod place;
mod position;
mod prove;
mod seen;
pub(crate) mod stated;
mod trail;
mod walk;

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::{FusedStream, Stream};
use reqwest::header::{HeaderName, HeaderValue};
use serde::de::{DeserializeOwned, Error as _};
use serde_json::Value;
use unspool_core::{AsyncGenerator, Resume};
use url::Url;

pub use crate::item::RawItem;
pub use account::{Account, Doubt, Ended, Try};
pub use kinds::{
    Cursor, LastKey, LinkHeader, NextUrl, Offset, PageNumber, PageRequest, PageView, Paginate,
    Relay, Single,
};
pub use place::{At, To};
pub use position::Position;

use crate::error::Error;
use crate::http::{Call, ClientCredentials, Credentials, Http, HttpOptions, Meter, Rate};
use crate::json::{Check, Place, Pointer};
use kinds::Custom;
use position::{Course, Taken};
use walk::{Placed, Plan, walk};

/// The largest item by default: 16 MiB.
const MAX_ITEM: usize = 16 << 20;

/// Starts the description of a walk over a paginated API.
///
/// Nothing is sent, or even checked, before the first item is asked for.
///
/// ```no_run
/// use futures_util::TryStreamExt;
///
/// #[derive(serde::Deserialize)]
/// struct Post {
///     title: String,
/// }
///
/// # async fn example() -> Result<(), unspool::Error> {
/// let mut posts = unspool::pages("https://api.example.com/posts").items::<Post>();
/// while let Some(post) = posts.try_next().await? {
///     println!("{}", post.title);
/// }
/// println!("{} items, and that was all: {}", posts.account().items, posts.account().complete);
/// # Ok(())
/// # }
/// ```
pub fn pages(url: impl AsRef<str>) -> Request {
    let text = url.as_ref();
    Request {
        call: Url::parse(text)
            .map(Call::get)
            .map_err(|error| Error::request(format!("expected a URL: {error}")).with_source(error)),
        http: HttpOptions::default(),
        paginate: Paginate::default(),
        place: Place::Auto,
        max_item: MAX_ITEM,
        in_flight: 1,
        unique: None,
        from: None,
    }
}

/// What to ask a paginated API for. Made by [`pages`].
#[must_use = "a request does nothing until its items are asked for"]
pub struct Request {
    call: Result<Call, Error>,
    http: HttpOptions,
    paginate: Paginate,
    place: Place,
    max_item: usize,
    in_flight: usize,
    unique: Option<Pointer>,
    from: Option<Box<Position>>,
}

impl Request {
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
    /// together at most.
    ///
    /// Needs the runtime of tokio, where it spawns a task for each page; they end with
    /// the stream.
    pub fn in_flight(mut self, pages: usize) -> Self {
        self.in_flight = pages;
        self
    }

    /// Leaves out items whose value at `key` has come before, as happens where items
    /// are added in front during the walk. The last million keys are remembered,
    /// which takes up to 40 MB.
    pub fn unique(mut self, key: Pointer) -> Self {
        self.unique = Some(key);
        self
    }

    /// Goes on behind a position of the same request.
    ///
    /// The page of the position is asked for again, and its items up to the position
    /// are passed over. If the last of them is another one now, that is a
    /// [doubt](Doubt::Shifted).
    pub fn from(mut self, position: Position) -> Self {
        self.from = Some(Box::new(position));
        self
    }

    /// Where in a page the array of items is.
    ///
    /// By default it is found: the document itself, else the array under a usual
    /// name (`data`, `items`, `results`, …), else the only array that there is.
    pub fn items_at(mut self, pointer: Pointer) -> Self {
        self.place = Place::At(pointer);
        self
    }

    /// A header to send to the origin of the URL. Another origin, behind a
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
    /// page; 16 MiB by default.
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
        let meter = Arc::new(Meter::default());
        let course = Arc::new(Mutex::new(Course::default()));
        let plan = Plan {
            call: self.call,
            http: self.http,
            kind: self.paginate.into_kind(),
            place: self.place,
            check,
            max_item: self.max_item,
            in_flight: self.in_flight,
            unique: self.unique,
            from: self.from,
        };
        Pages {
            walk: Box::pin(walk(plan, Arc::clone(&meter), Arc::clone(&course), decode)),
            meter,
            course,
            taken: None,
            end: None,
        }
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

type Walk<T> =
    Pin<Box<dyn AsyncGenerator<Yield = Placed<T>, Return = Result<Account, Error>> + Send>>;

/// The items of a paginated API, page after page. Made by [`Request::items`] and
/// [`Request::raw`].
///
/// An error is the last thing that the stream gives.
///
/// # Dropping
///
/// Closes the connection of a page that is being read; sends nothing more.
#[must_use = "a stream does nothing until it is polled"]
pub struct Pages<T> {
    walk: Walk<T>,
    meter: Arc<Meter>,
    course: Arc<Mutex<Course>>,
    taken: Option<Taken>,
    /// The account, or that there was an error.
    end: Option<Result<Account, ()>>,
}

impl<T> Pages<T> {
    /// What the walk has done so far; once the stream has ended, also how.
    #[must_use]
    pub fn account(&self) -> Account {
        match &self.end {
            Some(Ok(account)) => account.clone(),
            Some(Err(())) => self.account_so_far(Ended::Failed),
            None => self.account_so_far(Ended::Stopped),
        }
    }

    fn account_so_far(&self, ended: Ended) -> Account {
        let course = (self.course.lock()).unwrap_or_else(PoisonError::into_inner);
        Account::new(&self.meter.read(), &course, ended, Vec::new())
    }

    /// Where the walk stands, behind the last item that was taken: to go on from
    /// there with [`Request::from`]. None before the first poll.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        position::position(&self.course, self.taken)
    }

    /// What the walk waits for before its next request, if it does.
    #[must_use]
    pub fn waiting(&self) -> Option<String> {
        self.meter.read().waiting
    }
}

impl<T> Stream for Pages<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(placed) = ready!(
            self.walk
                .as_mut()
                .poll_resume(cx, &mut Some(Resume::Send(())))
        ) {
            self.taken = Some(placed.at);
            return Poll::Ready(Some(Ok(placed.item)));
        }
        match self.walk.as_mut().take_return() {
            Some(Ok(account)) => {
                self.end = Some(Ok(account));
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                self.end = Some(Err(()));
                let course = (self.course.lock()).unwrap_or_else(PoisonError::into_inner);
                let error = error.without_secrets(&course.secrets());
                drop(course);
                Poll::Ready(Some(Err(error)))
            }
            None => Poll::Ready(None),
        }
    }
}

impl<T> FusedStream for Pages<T> {
    fn is_terminated(&self) -> bool {
        self.end.is_some()
    }
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("account", &self.account())
            .finish_non_exhaustive()
    }
}
