use url::Url;

use super::{Entry, Kind, Next, PageEnd, Paginate};
use crate::error::Error;
use crate::http::is_not_found;
use crate::pages::account::Ended;

pub(super) const ENTRY: Entry = Entry {
    name: "page",
    syntax: "[:PARAM][,first=N][,last=N]",
    about: "a page number in the query parameter PARAM (`page`), up to the last page that is \
            given or stated, or until pages are empty or missing",
    parse: |options| {
        let mut kind = PageNumber::new(options.unnamed().unwrap_or("page"));
        kind.first = options.number("first")?;
        kind.last = options.number("last")?;
        match (kind.first, kind.last) {
            (Some(first), Some(last)) if first > last => Err(Error::request(format!(
                "expected `last` to be {first} or more, found {last}"
            ))),
            _ => Ok(Box::new(kind)),
        }
    },
    detect: |_| None,
};

/// How many empty pages in a row are taken for the end where no last page is known.
const EMPTY_PAGES: u32 = 2;

/// A page number in a query parameter.
///
/// The walk ends at the last page, if one was given; at the number of pages or of
/// items that the upstream states; at a page that does not exist (404); or behind
/// two empty pages in a row. One empty page does not end it.
#[derive(Clone, Debug)]
pub struct PageNumber {
    parameter: String,
    first: Option<u64>,
    last: Option<u64>,
    url: Option<Url>,
    current: u64,
    empty: u32,
}

impl PageNumber {
    /// A number in this query parameter, from that in the URL or 1 on.
    pub fn new(parameter: impl Into<String>) -> Self {
        PageNumber {
            parameter: parameter.into(),
            first: None,
            last: None,
            url: None,
            current: 0,
            empty: 0,
        }
    }

    /// The number of the first page; some APIs count from 0.
    #[must_use]
    pub fn first(mut self, page: u64) -> Self {
        self.first = Some(page);
        self
    }

    /// The number of the last page.
    #[must_use]
    pub fn last(mut self, page: u64) -> Self {
        self.last = Some(page);
        self
    }

    fn request(&self, page: u64) -> Option<Url> {
        let url = self.url.as_ref()?;
        Some(with_parameter(url, &self.parameter, &page.to_string()))
    }

    /// How many pages have been asked for.
    fn asked(&self) -> u64 {
        self.current - self.first.unwrap_or(self.current) + 1
    }
}

impl From<PageNumber> for Paginate {
    fn from(number: PageNumber) -> Self {
        Paginate::new(number)
    }
}

impl Kind for PageNumber {
    fn begin(&mut self, url: Url) -> Url {
        let in_url = url
            .query_pairs()
            .find(|(name, _)| *name == self.parameter)
            .and_then(|(_, value)| value.parse().ok());
        self.current = *self.first.get_or_insert(in_url.unwrap_or(1));
        self.url = Some(url.clone());
        self.request(self.current).unwrap_or(url)
    }

    fn after(&mut self, page: &PageEnd) -> Result<Next, Error> {
        match self.last {
            Some(last) if self.current >= last => return Ok(Next::End(Ended::Asked)),
            Some(_) => {}
            None => {
                if page.stated.pages.is_some_and(|pages| self.asked() >= pages) {
                    return Ok(Next::End(Ended::LastPage { page: self.current }));
                }
                if page.stated.items == Some(page.received) {
                    return Ok(Next::End(Ended::AllItems));
                }
                self.empty = if page.items == 0 { self.empty + 1 } else { 0 };
                if self.empty == EMPTY_PAGES {
                    return Ok(Next::End(Ended::EmptyPages));
                }
            }
        }
        self.current += 1;
        match self.request(self.current) {
            Some(url) => Ok(Next::Page(url)),
            None => Ok(Next::End(Ended::Asked)),
        }
    }

    fn end_by(&self, error: &Error) -> Option<Ended> {
        (self.last.is_none() && is_not_found(error))
            .then_some(Ended::NoSuchPage { page: self.current })
    }
}

/// The URL with one parameter set; all others stay as they are written.
fn with_parameter(url: &Url, name: &str, value: &str) -> Url {
    let pair = url::form_urlencoded::Serializer::new(String::new())
        .append_pair(name, value)
        .finish();
    let is_same = |part: &str| {
        url::form_urlencoded::parse(part.as_bytes())
            .next()
            .is_some_and(|(found, _)| found == name)
    };
    let mut parts: Vec<&str> = Vec::new();
    let mut is_set = false;
    for part in url.query().into_iter().flat_map(|query| query.split('&')) {
        if !is_same(part) {
            parts.push(part);
        } else if !is_set {
            parts.push(&pair);
            is_set = true;
        }
    }
    if !is_set {
        parts.push(&pair);
    }
    let query = parts.join("&");
    let mut url = url.clone();
    url.set_query(Some(query.trim_start_matches('&')));
    url
}

#[cfg(test)]
mod tests {
    use super::super::tests::page;
    use super::*;
    use serde_json::json;

    const URL: &str = "http://api.test/v1?q=a%20b&page=1";

    fn started(mut kind: PageNumber) -> PageNumber {
        kind.begin(URL.parse().unwrap());
        kind
    }

    fn next_page(page: u64) -> Next {
        Next::Page(
            format!("http://api.test/v1?q=a%20b&page={page}")
                .parse()
                .unwrap(),
        )
    }

    #[track_caller]
    fn check_first(mut kind: PageNumber, url: &str, expected: &str) {
        assert_eq!(kind.begin(url.parse().unwrap()).as_str(), expected);
    }

    #[test]
    fn the_parameter_is_set_and_the_others_stay_as_written() {
        let url = "http://api.test/?a=%7E+b&p=7&c";
        check_first(PageNumber::new("p"), url, url);
        check_first(
            PageNumber::new("p").first(2),
            url,
            "http://api.test/?a=%7E+b&p=2&c",
        );
        check_first(
            PageNumber::new("p"),
            "http://api.test/",
            "http://api.test/?p=1",
        );
        check_first(
            PageNumber::new("p").first(0),
            "http://api.test/?",
            "http://api.test/?p=0",
        );
    }

    #[test]
    fn a_given_last_page_is_the_last_even_behind_empty_ones() {
        let mut kind = started(PageNumber::new("page").last(4));
        for expected in 2..=4 {
            assert_eq!(
                kind.after(&page(json!([]), 0)).unwrap(),
                next_page(expected)
            );
        }
        assert_eq!(
            kind.after(&page(json!([]), 5)).unwrap(),
            Next::End(Ended::Asked)
        );
    }

    #[test]
    fn an_empty_page_does_not_end_the_walk_but_two_do() {
        let mut kind = started(PageNumber::new("page"));
        for (items, expected) in [(3, 2), (0, 3), (3, 4), (0, 5)] {
            assert_eq!(
                kind.after(&page(json!([]), items)).unwrap(),
                next_page(expected)
            );
        }
        assert_eq!(
            kind.after(&page(json!([]), 0)).unwrap(),
            Next::End(Ended::EmptyPages)
        );
    }

    #[test]
    fn the_stated_number_of_pages_is_the_end_whatever_the_first_is_called() {
        for first in [0, 1] {
            let mut kind = started(PageNumber::new("page").first(first));
            let stated = || page(json!({"total_pages": 2, "data": []}), 3);
            assert_eq!(kind.after(&stated()).unwrap(), next_page(first + 1));
            assert_eq!(
                kind.after(&stated()).unwrap(),
                Next::End(Ended::LastPage { page: first + 1 })
            );
        }
    }

    #[test]
    fn the_stated_number_of_items_is_the_end() {
        let mut kind = started(PageNumber::new("page"));
        let mut stated = page(json!({"total": 6, "data": []}), 3);
        assert_eq!(kind.after(&stated).unwrap(), next_page(2));
        stated.received = 6;
        assert_eq!(kind.after(&stated).unwrap(), Next::End(Ended::AllItems));
    }

    #[test]
    fn a_count_that_may_be_of_the_page_does_not_end_the_walk() {
        let mut kind = started(PageNumber::new("page"));
        assert_eq!(
            kind.after(&page(json!({"count": 3, "data": []}), 3))
                .unwrap(),
            next_page(2)
        );
    }
}
