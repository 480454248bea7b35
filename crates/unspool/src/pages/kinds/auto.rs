use serde_json::Value;

use super::{Entry, KINDS, Kind, Next, PageEnd};
use crate::error::Error;
use crate::pages::account::{Doubt, Ended};

pub(super) const ENTRY: Entry = Entry {
    name: "auto",
    syntax: "",
    about: "what the first page shows: a `Link` header or a next URL; else it is the only page",
    parse: |_| Ok(Box::new(Auto::default())),
    detect: |_| None,
};

/// Lets the first page decide.
#[derive(Debug, Default)]
pub(super) struct Auto {
    found: Option<Box<dyn Kind>>,
}

impl Kind for Auto {
    fn after(&mut self, page: &PageEnd) -> Result<Next, Error> {
        if self.found.is_none() {
            self.found = KINDS.iter().find_map(|entry| (entry.detect)(page));
        }
        match (&mut self.found, more_pages(page)) {
            (Some(kind), _) => kind.after(page),
            (None, None) => Ok(Next::End(Ended::OnlyPage)),
            (None, Some(evidence)) => Ok(Next::Doubtful(
                Ended::OnlyPage,
                Doubt::MorePages { evidence },
            )),
        }
    }

    fn end_by(&self, error: &Error) -> Option<Ended> {
        self.found.as_ref().and_then(|kind| kind.end_by(error))
    }
}

/// Keys that say whether there is more.
const MORE_KEYS: &[&str] = &[
    "has_more",
    "hasMore",
    "has_next",
    "hasNext",
    "has_next_page",
    "hasNextPage",
    "more",
    "is_truncated",
    "truncated",
    "isTruncated",
    "IsTruncated",
    "incomplete",
];

/// Objects around those keys.
const AROUND: &[&str] = &[
    "",
    "/meta",
    "/pagination",
    "/meta/pagination",
    "/page",
    "/paging",
    "/page_info",
    "/pageInfo",
    "/info",
    "/links",
    "/response_metadata",
    "/cursors",
    "/paging/cursors",
    "/data",
];

/// Query parameters with the place of one page of many, as a number.
const PAGE_PARAMETERS: &[&str] = &["page", "offset", "page[number]", "start"];

/// Query parameters with the token of one page of many.
const CURSOR_PARAMETERS: &[&str] = &["cursor", "pageToken", "page_token"];

/// What makes a page look like one of many.
fn more_pages(page: &PageEnd) -> Option<String> {
    let objects = || {
        AROUND
            .iter()
            .filter_map(|at| page.envelope.pointer(at)?.as_object())
    };
    let flag = objects().find_map(|object| {
        let key = MORE_KEYS
            .iter()
            .find(|key| object.get(**key) == Some(&Value::Bool(true)))?;
        Some(format!("`{key}` is true"))
    });
    let next = || {
        objects().find_map(|object| {
            let (key, _) = object.iter().find(|(key, value)| names_next(key, value))?;
            Some(format!("it has a `{key}`"))
        })
    };
    let header = || {
        let mut names = page.headers.iter().filter(|(_, value)| !value.is_empty());
        let (name, _) = names.find(|(name, _)| {
            ["x-next-page", "next-page", "x-next-cursor"].contains(&name.as_str())
        })?;
        Some(format!("it has a `{name}` header"))
    };
    let pages = || {
        let pages = page.stated.pages.filter(|pages| *pages > 1)?;
        Some(format!("it states {pages} pages"))
    };
    let parameter = || {
        // `start=2026-01-01` is no place in a list.
        let is_place = |value: &str| value.parse::<u64>().is_ok();
        let mut parameters = page.url.query_pairs().filter(|_| page.items > 0);
        let (name, _) = parameters.find(|(name, value)| {
            CURSOR_PARAMETERS.contains(&&**name)
                || PAGE_PARAMETERS.contains(&&**name) && is_place(value)
        })?;
        Some(format!("the request has a `{name}` parameter"))
    };
    flag.or_else(next)
        .or_else(header)
        .or_else(pages)
        .or_else(parameter)
}

/// Whether this is a token or a number for the next page.
fn names_next(key: &str, value: &Value) -> bool {
    let key = key.to_ascii_lowercase();
    let is_next = key.starts_with("next") || key == "after" || key == "continuation";
    match value {
        Value::String(text) => is_next && !text.is_empty(),
        Value::Number(_) => is_next,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::page;
    use super::*;
    use serde_json::json;

    fn after(envelope: Value) -> Next {
        let mut page = page(envelope, 3);
        page.url.set_query(None);
        Auto::default().after(&page).unwrap()
    }

    #[test]
    fn a_page_that_speaks_of_no_other_is_the_only_one() {
        for envelope in [
            json!([]),
            json!({"data": [], "has_more": false, "next_cursor": null}),
        ] {
            assert_eq!(after(envelope), Next::End(Ended::OnlyPage));
        }
    }

    #[test]
    fn a_page_that_looks_like_one_of_many_is_a_doubt() {
        for envelope in [
            json!({"data": [], "has_more": true}),
            json!({"data": [], "meta": {"next_token": "abc"}}),
            json!({"data": [], "total_pages": 3}),
            json!({"data": [], "pageInfo": {"hasNextPage": true}}),
        ] {
            let next = after(envelope);
            assert!(
                matches!(next, Next::Doubtful(Ended::OnlyPage, _)),
                "{next:?}"
            );
        }
    }

    #[test]
    fn a_request_for_one_page_of_many_is_a_doubt() {
        let next = Auto::default().after(&page(json!([]), 3)).unwrap();
        assert!(
            matches!(next, Next::Doubtful(Ended::OnlyPage, _)),
            "{next:?}"
        );
        let next = Auto::default().after(&page(json!([]), 0)).unwrap();
        assert_eq!(next, Next::End(Ended::OnlyPage));
        let mut since = page(json!([]), 3);
        since.url.set_query(Some("start=2026-01-01"));
        let next = Auto::default().after(&since).unwrap();
        assert_eq!(next, Next::End(Ended::OnlyPage));
    }
}
