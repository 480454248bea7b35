//! The kinds of pagination. To add one: its file, a line in [`KINDS`].

mod auto;
mod link_header;
mod next_url;
mod page_number;
mod single;

use std::fmt;
use std::str::FromStr;

use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

pub use link_header::LinkHeader;
pub use next_url::NextUrl;
pub use page_number::PageNumber;
pub use single::Single;

use super::account::{Doubt, Ended};
use super::stated::Stated;
use crate::error::Error;
use crate::http::Call;

/// All kinds, in the order in which they are looked for on a first page.
static KINDS: &[Entry] = &[
    auto::ENTRY,
    link_header::ENTRY,
    next_url::ENTRY,
    page_number::ENTRY,
    single::ENTRY,
];

/// One kind of pagination: what it is called, and how it comes to be.
pub(crate) struct Entry {
    name: &'static str,
    /// What may follow the name, for the help text.
    syntax: &'static str,
    about: &'static str,
    /// Reads what follows the name.
    parse: fn(&mut Options<'_>) -> Result<Box<dyn Kind>, Error>,
    /// Recognises itself on a first page.
    detect: fn(&PageEnd) -> Option<Box<dyn Kind>>,
}

/// The walk's side of a kind.
pub(crate) trait Kind: fmt::Debug + Send {
    /// The first request, made of the caller's URL.
    fn begin(&mut self, url: Url) -> Url {
        url
    }

    /// What comes after a page.
    fn after(&mut self, page: &PageEnd) -> Result<Next, Error>;

    /// Whether a failed request is this API's way to end, after one page at least.
    fn end_by(&self, _error: &Error) -> Option<Ended> {
        None
    }
}

/// What comes after a page.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    Page(Url),
    End(Ended),
    /// The end, for all that is known, but something speaks against it.
    Doubtful(Ended, Doubt),
}

/// A page that has been read to its end.
#[derive(Debug)]
pub(crate) struct PageEnd {
    /// Where it came from, redirects included: what its links are relative to.
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    /// The body with an empty array in the place of the items.
    pub(crate) envelope: Value,
    pub(crate) stated: Stated,
    /// Items on this page, and on all so far.
    pub(crate) items: u64,
    pub(crate) received: u64,
}

impl PageEnd {
    /// The address that this page gives for the next one.
    fn resolve(&self, target: &str) -> Result<Url, Error> {
        let wrong = |what: &str| {
            Error::content(format!(
                "{what} as the address of the next page: `{target}`"
            ))
            .at_request(Call::get(self.url.clone()).shown())
        };
        let url = self.url.join(target).map_err(|_| wrong("found no URL"))?;
        match url.scheme() {
            "http" | "https" => Ok(url),
            _ => Err(wrong("found neither an `http:` nor an `https:` URL")),
        }
    }
}

/// How to get from one page to the next.
///
/// Made of a [`LinkHeader`], [`NextUrl`], [`PageNumber`] or [`Single`], or of the
/// text that `unspool pages --paginate` takes. By default the first page decides.
#[derive(Debug)]
pub struct Paginate {
    kind: Box<dyn Kind>,
}

impl Paginate {
    fn new(kind: impl Kind + 'static) -> Self {
        Paginate {
            kind: Box::new(kind),
        }
    }

    pub(crate) fn into_kind(self) -> Box<dyn Kind> {
        self.kind
    }

    /// The kinds that can be written as text: how, and what each is.
    pub fn kinds() -> impl Iterator<Item = (String, &'static str)> {
        KINDS
            .iter()
            .map(|entry| (format!("{}{}", entry.name, entry.syntax), entry.about))
    }
}

impl Default for Paginate {
    fn default() -> Self {
        Paginate::new(auto::Auto::default())
    }
}

impl FromStr for Paginate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, options) = text.split_once(':').unwrap_or((text, ""));
        let Some(entry) = KINDS.iter().find(|entry| entry.name == name) else {
            let names: Vec<_> = KINDS
                .iter()
                .map(|entry| format!("`{}`", entry.name))
                .collect();
            return Err(Error::request(format!(
                "expected a kind of pagination, one of {}; found `{name}`",
                names.join(", ")
            )));
        };
        let mut options = Options::new(options);
        let kind = (entry.parse)(&mut options)?;
        options.end(entry)?;
        Ok(Paginate { kind })
    }
}

/// What follows the name of a kind: `VALUE,name=value,…`, the first without a name.
pub(crate) struct Options<'t> {
    rest: Vec<&'t str>,
}

impl<'t> Options<'t> {
    fn new(text: &'t str) -> Self {
        let rest = text.split(',').filter(|option| !option.is_empty());
        Options {
            rest: rest.collect(),
        }
    }

    /// The option without a name.
    fn unnamed(&mut self) -> Option<&'t str> {
        let index = self.rest.iter().position(|option| !option.contains('='))?;
        Some(self.rest.remove(index))
    }

    /// A number under a name.
    fn number(&mut self, name: &str) -> Result<Option<u64>, Error> {
        let value = |option: &'t str| option.strip_prefix(name)?.strip_prefix('=');
        let Some(index) = self.rest.iter().position(|option| value(option).is_some()) else {
            return Ok(None);
        };
        let text = value(self.rest.remove(index)).unwrap_or_default();
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Error::request(format!(
                "expected a number for `{name}`, found `{text}`"
            ))),
        }
    }

    fn end(self, entry: &Entry) -> Result<(), Error> {
        match self.rest.first() {
            None => Ok(()),
            Some(option) => Err(Error::request(format!(
                "expected `{}{}`, found the option `{option}`",
                entry.name, entry.syntax
            ))),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// A page as a kind sees it.
    pub(crate) fn page(envelope: Value, items: u64) -> PageEnd {
        PageEnd {
            url: Url::parse("http://api.test/v1/things?page=1").unwrap(),
            headers: HeaderMap::new(),
            stated: Stated::read(&HeaderMap::new(), &envelope),
            envelope,
            items,
            received: items,
        }
    }

    #[track_caller]
    fn check_refused(text: &str, part: &str) {
        let error = text.parse::<Paginate>().unwrap_err();
        assert!(error.is_request());
        assert!(error.to_string().contains(part), "{error}");
    }

    #[test]
    fn every_kind_is_made_from_its_name() {
        for entry in KINDS {
            entry.name.parse::<Paginate>().unwrap();
        }
    }

    #[test]
    fn what_is_wrong_in_a_description_is_named() {
        check_refused("pages", "`page`");
        check_refused("page:last=x", "a number for `last`, found `x`");
        check_refused("link:first=1", "found the option `first=1`");
        check_refused("page:first=4,last=2", "`last`");
    }

    #[test]
    fn a_next_address_is_relative_to_its_page_and_must_be_http() {
        let page = page(json!({}), 0);
        assert_eq!(
            page.resolve("?page=2").unwrap().as_str(),
            "http://api.test/v1/things?page=2"
        );
        assert_eq!(
            page.resolve("../b%20c").unwrap().as_str(),
            "http://api.test/b%20c"
        );
        assert!(page.resolve("file:///etc/passwd").is_err());
        assert!(page.resolve("http://").is_err());
    }
}
