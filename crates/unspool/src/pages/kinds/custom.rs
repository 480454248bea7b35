use std::error::Error as StdError;
use std::fmt;

use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

use super::{Kind, Next, PageEnd};
use crate::error::Error;
use crate::http::Call;
use crate::item::RawItem;
use crate::pages::account::Ended;
use crate::pages::place::To;

/// What a closure decides that a page is followed by.
type Decide =
    dyn FnMut(&PageView<'_>) -> Result<Option<PageRequest>, Box<dyn StdError + Send + Sync>> + Send;

/// A kind that a closure makes.
pub(crate) struct Custom {
    decide: Box<Decide>,
}

impl Custom {
    pub(crate) fn new(
        decide: impl FnMut(
            &PageView<'_>,
        ) -> Result<Option<PageRequest>, Box<dyn StdError + Send + Sync>>
        + Send
        + 'static,
    ) -> Self {
        Custom {
            decide: Box::new(decide),
        }
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Custom")
    }
}

impl Kind for Custom {
    fn describe(&self) -> String {
        "custom".to_owned()
    }

    fn after(&mut self, page: &PageEnd) -> Result<Next, Error> {
        match (self.decide)(&PageView { page }) {
            Ok(Some(next)) => Ok(Next::Call(next.call)),
            Ok(None) => Ok(Next::End(Ended::NoNext)),
            Err(error) => Err(Error::content(format!("no way to the next page: {error}"))
                .with_source(error)
                .at_request(page.call.redacted())),
        }
    }

    fn repeats_calls(&self) -> bool {
        true
    }
}

/// A page that has been read to its end, as a closure sees it.
///
/// ```
/// use unspool::pages::To;
///
/// // An API whose next page has the time of the last item in a parameter.
/// let posts = unspool::pages("https://api.example.com/posts").after(|page| {
///     let Some(last) = page.last_item() else {
///         return Ok(None);
///     };
///     let last: serde_json::Value = last.parse().unwrap_or_default();
///     let since = To::query("since");
///     Ok(Some(page.request().with(&since, last["created_at"].clone())?))
/// });
/// # drop(posts);
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Debug)]
pub struct PageView<'p> {
    page: &'p PageEnd,
}

impl PageView<'_> {
    /// Where it came from, redirects included.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.page.call.url
    }

    /// The header fields of the answer.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.page.headers
    }

    /// The body, with an empty array in the place of the items.
    #[must_use]
    pub fn envelope(&self) -> &Value {
        &self.page.envelope
    }

    /// How many items the page held.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.page.items
    }

    /// How many items have come so far, with those of this page.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.page.received
    }

    /// The last item of the page.
    #[must_use]
    pub fn last_item(&self) -> Option<RawItem> {
        self.page.last.clone().map(RawItem::new)
    }

    /// The request for this page, to be changed into that for the next.
    #[must_use]
    pub fn request(&self) -> PageRequest {
        PageRequest {
            call: self.page.call.clone(),
        }
    }

    /// A request for an address that the page names, absolute or relative.
    ///
    /// # Errors
    ///
    /// If it is invalid, or not an HTTP URL.
    pub fn link(&self, target: &str) -> Result<PageRequest, Error> {
        Ok(PageRequest {
            call: self.page.resolve(target)?,
        })
    }
}

/// The request for a page. Made by [`PageView::request`] and [`PageView::link`].
///
/// It is in the example of [`PageView`].
#[derive(Clone, Debug)]
pub struct PageRequest {
    call: Call,
}

impl PageRequest {
    /// The request with a value in a place of it.
    ///
    /// # Errors
    ///
    /// If the request has no such place.
    pub fn with(self, to: &To, value: impl Into<Value>) -> Result<Self, Error> {
        Ok(PageRequest {
            call: to.set(&self.call, &value.into())?,
        })
    }
}
