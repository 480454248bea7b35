use serde_json::Value;

use super::{Entry, Kind, Next, PageEnd, Paginate};
use crate::error::Error;
use crate::http::Call;
use crate::json::Pointer;
use crate::pages::account::Ended;

pub(super) const ENTRY: Entry = Entry {
    name: "next",
    syntax: "[:POINTER]",
    about: "the URL of the next page in the body, at a JSON pointer or under a usual name",
    parse: |options| {
        let at = options.unnamed().map(str::parse).transpose()?;
        Ok(Box::new(NextUrl { at }))
    },
    detect: |page| {
        let at = usual_place(&page.envelope, is_url)
            .or_else(|| usual_place(&page.envelope, Value::is_null))?;
        Some(Box::new(NextUrl { at: Some(at) }))
    },
};

/// Where APIs put the URL of the next page.
const PLACES: &[&str] = &[
    "/next",
    "/links/next",
    "/_links/next",
    "/next_url",
    "/nextUrl",
    "/next_page_url",
    "/nextPageUrl",
    "/next_page",
    "/nextPage",
    "/nextLink",
    "/@odata.nextLink",
    "/next_link",
    "/paging/next",
    "/pagination/next",
    "/pagination/next_url",
    "/meta/next",
    "/meta/next_url",
    "/meta/links/next",
    "/meta/pagination/next",
    "/meta/pagination/links/next",
    "/info/next",
    "/response/next",
    "/data/next",
    "/d/__next",
];

/// The URL of the next page in the body of each page, absolute or relative; a page
/// where it is missing, `null`, `false` or empty is the last.
#[derive(Clone, Debug, Default)]
pub struct NextUrl {
    at: Option<Pointer>,
}

impl NextUrl {
    /// The URL under one of the usual names: `next`, `links.next` and the like.
    #[must_use]
    pub fn new() -> Self {
        NextUrl::default()
    }

    /// The URL at this place.
    #[must_use]
    pub fn at(pointer: Pointer) -> Self {
        NextUrl { at: Some(pointer) }
    }
}

impl From<NextUrl> for Paginate {
    fn from(next: NextUrl) -> Self {
        Paginate::new(next)
    }
}

impl Kind for NextUrl {
    fn after(&mut self, page: &PageEnd) -> Result<Next, Error> {
        if self.at.is_none() {
            self.at = usual_place(&page.envelope, is_url)
                .or_else(|| usual_place(&page.envelope, |_| true));
        }
        let Some(pointer) = &self.at else {
            return Ok(Next::End(Ended::NoNext));
        };
        let value = pointer.find(&page.envelope).map_or(&Value::Null, target);
        match value {
            Value::Null | Value::Bool(false) => Ok(Next::End(Ended::NoNext)),
            Value::String(url) if url.is_empty() => Ok(Next::End(Ended::NoNext)),
            Value::String(url) => page.resolve(url).map(Next::Page),
            other => Err(Error::content(format!(
                "expected the URL of the next page at `{pointer}`, found `{other}`"
            ))
            .at_request(Call::get(page.url.clone()).shown())),
        }
    }
}

/// The first usual place whose value is fit.
fn usual_place(envelope: &Value, is_fit: impl Fn(&Value) -> bool) -> Option<Pointer> {
    let place = PLACES.iter().find(|place| {
        envelope
            .pointer(place)
            .is_some_and(|value| is_fit(target(value)))
    })?;
    place.parse().ok()
}

/// The URL itself, or the one in a link object: `{"href": …}`.
fn target(value: &Value) -> &Value {
    ["href", "url"]
        .iter()
        .find_map(|key| value.get(key))
        .unwrap_or(value)
}

/// Whether a text is meant as a URL and not as a token.
fn is_url(value: &Value) -> bool {
    value.as_str().is_some_and(|text| {
        ["http://", "https://", "/", "?"]
            .iter()
            .any(|begin| text.starts_with(begin))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::page;
    use super::*;
    use serde_json::json;

    fn next(kind: &mut dyn Kind, envelope: Value) -> Next {
        kind.after(&page(envelope, 3)).unwrap()
    }

    #[track_caller]
    fn check(envelope: Value, expected: &str) {
        let mut kind = (ENTRY.detect)(&page(envelope.clone(), 3)).unwrap();
        assert_eq!(
            next(&mut *kind, envelope),
            Next::Page(expected.parse().unwrap())
        );
    }

    #[test]
    fn urls_are_found_under_the_usual_names() {
        check(json!({"next": "http://api.test/b"}), "http://api.test/b");
        check(
            json!({"links": {"next": "/b?x=%20y"}}),
            "http://api.test/b?x=%20y",
        );
        check(
            json!({"_links": {"next": {"href": "?page=2"}}}),
            "http://api.test/v1/things?page=2",
        );
        check(
            json!({"next": null, "links": {"next": "/c"}}),
            "http://api.test/c",
        );
        check(
            json!({"@odata.nextLink": "https://api.test/o"}),
            "https://api.test/o",
        );
    }

    #[test]
    fn a_token_is_not_taken_for_a_url() {
        assert!((ENTRY.detect)(&page(json!({"next": "dXNlcjpXMDdRQ1JQQTQ"}), 3)).is_none());
        assert!((ENTRY.detect)(&page(json!({"next": 2}), 3)).is_none());
    }

    #[test]
    fn missing_null_false_and_empty_end_the_walk() {
        for end in [
            json!({}),
            json!({"next": null}),
            json!({"next": false}),
            json!({"next": ""}),
        ] {
            assert_eq!(next(&mut NextUrl::new(), end), Next::End(Ended::NoNext));
        }
    }

    #[test]
    fn something_else_in_its_place_is_an_error() {
        let error = NextUrl::new()
            .after(&page(json!({"next": 2}), 3))
            .unwrap_err();
        assert!(
            error.to_string().contains("at `/next`, found `2`"),
            "{error}"
        );
    }
}
