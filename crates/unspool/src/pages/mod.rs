//! Paginated HTTP APIs.
//!
//! *Upstream*: an HTTP API that answers `GET` with pages of JSON. *Order*: as the
//! server gives them. *Ends when*: the upstream says so (see [`Paginate`]); a body
//! or a walk that stops otherwise is an error or a doubt. *Resumes from*: nowhere
//! yet. *Cost*: one request a page, made when its first item is asked for; memory
//! for one item and the text around the items. *Auth*: headers or user and
//! password, given to the origin of the first URL only.

mod account;
mod item;
mod kinds;
mod open;
mod seen;
mod stated;
mod walk;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::{FusedStream, Stream};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde::de::{DeserializeOwned, Error as _};
use unspool_core::{AsyncGenerator, Resume};
use url::Url;

pub use account::{Account, Doubt, Ended};
pub use item::RawItem;
pub use kinds::{LinkHeader, NextUrl, PageNumber, Paginate, Single};

use crate::error::Error;
use crate::http::{Call, Meter, Options, basic_auth};
use crate::json::{Check, Place, Pointer};
use walk::{Plan, walk};

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
        url: Url::parse(text)
            .map_err(|error| Error::request(format!("expected a URL: {error}")).with_source(error)),
        http: Options::default(),
        paginate: Paginate::default(),
        place: Place::Auto,
        max_item: MAX_ITEM,
    }
}

/// What to ask a paginated API for. Made by [`pages`].
#[must_use = "a request does nothing until its items are asked for"]
pub struct Request {
    url: Result<Url, Error>,
    http: Options,
    paginate: Paginate,
    place: Place,
    max_item: usize,
}

impl Request {
    /// How to get from one page to the next; by default the first page decides.
    pub fn paginate(mut self, paginate: impl Into<Paginate>) -> Self {
        self.paginate = paginate.into();
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
    pub fn header(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.http.headers.append(name, value);
        self
    }

    /// User and password (RFC 7617), for the origin of the URL.
    pub fn basic_auth(mut self, user: &str, password: &str) -> Self {
        (self.http.headers).insert(AUTHORIZATION, basic_auth(user, password));
        self
    }

    /// How often a request is repeated that failed in a way that may pass; 5 by
    /// default. The waits in between double from a quarter of a second to half a
    /// minute, or are what `Retry-After` says, up to five minutes.
    pub fn retries(mut self, retries: usize) -> Self {
        self.http.retry.retries = retries;
        self
    }

    /// The wait before the first retry, which doubles from there; 250 ms by default.
    pub fn first_wait(mut self, wait: Duration) -> Self {
        self.http.retry.first_wait = wait;
        self
    }

    /// The longest silence of the upstream, before an answer and between two parts
    /// of a body; 30 seconds by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.http.timeout = timeout;
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
        let plan = Plan {
            url: self.url,
            http: self.http,
            kind: self.paginate.into_kind(),
            place: self.place,
            check,
            max_item: self.max_item,
        };
        Pages {
            walk: Box::pin(walk(plan, Arc::clone(&meter), decode)),
            meter,
            end: None,
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field(
                "url",
                &self.url.as_ref().map(|url| Call::get(url.clone()).shown()),
            )
            .field("paginate", &self.paginate)
            .finish_non_exhaustive()
    }
}

type Walk<T> = Pin<Box<dyn AsyncGenerator<Yield = T, Return = Result<Account, Error>> + Send>>;

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
    /// The account, or that there was an error.
    end: Option<Result<Account, ()>>,
}

impl<T> Pages<T> {
    /// What the walk has done so far; once the stream has ended, also how.
    #[must_use]
    pub fn account(&self) -> Account {
        match &self.end {
            Some(Ok(account)) => account.clone(),
            Some(Err(())) => Account::new(&self.meter.read(), Ended::Failed, Vec::new()),
            None => Account::new(&self.meter.read(), Ended::Stopped, Vec::new()),
        }
    }

    /// What the walk waits for before it tries again, if it does.
    #[must_use]
    pub fn waiting(&self) -> Option<String> {
        self.meter.read().waiting
    }
}

impl<T> Stream for Pages<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(item) = ready!(
            self.walk
                .as_mut()
                .poll_resume(cx, &mut Some(Resume::Send(())))
        ) {
            return Poll::Ready(Some(Ok(item)));
        }
        match self.walk.as_mut().take_return() {
            Some(Ok(account)) => {
                self.end = Some(Ok(account));
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                self.end = Some(Err(()));
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
