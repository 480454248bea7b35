use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use url::Url;

use crate::error::Error;
use crate::http::Call;
use crate::pages::kinds::{Kind, Next, PageEnd, Paginate, auto::Auto};
use crate::pages::stated::Stated;

/// A first page: up to an empty line the path and query of its request and header
/// fields, one a line, then the text around its items.
///
/// # Panics
///
/// The description of a candidate does not make it again, it asks for something that
/// cannot be asked for, or it asks for the page that it comes from.
pub fn check_detection(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (head, body) = text.split_once("\n\n").unwrap_or(("", &text));
    let Ok(envelope) = serde_json::from_str::<Value>(body) else {
        return;
    };
    let mut lines = head.lines();
    let base =
        Url::parse("http://api.test/v1").and_then(|url| url.join(lines.next().unwrap_or("")));
    let Some(url) = base.ok().filter(|url| url.scheme() == "http") else {
        return;
    };
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let name: HeaderName = name.trim().parse().ok()?;
        Some((name, HeaderValue::from_str(value.trim()).ok()?))
    };
    let headers: HeaderMap = lines.filter_map(field).collect();
    let call = Call {
        body: envelope
            .get("body")
            .filter(|body| body.is_object())
            .cloned(),
        ..Call::get(url)
    };
    for items in [0, 3, 10] {
        check(&call, &headers, &envelope, items);
    }
}

fn check(call: &Call, headers: &HeaderMap, envelope: &Value, items: u64) {
    let page = PageEnd {
        call: call.clone(),
        is_partial: false,
        is_resource: false,
        is_left_out: false,
        headers: headers.clone(),
        envelope: envelope.clone(),
        stated: Stated::read(headers, envelope),
        items,
        fresh: items,
        received: items,
        distinct: items,
        last: (items > 0).then(|| Bytes::from_static(br#"{"id": 7, "sort": [1]}"#)),
    };
    let mut auto = Auto::default();
    let candidates = match auto.begin(call.clone()).and_then(|_| auto.after(&page)) {
        Ok(Next::Prove(candidates)) => candidates,
        other => panic!("expected candidates, found {other:?}"),
    };
    for mut candidate in candidates {
        let next = candidate.kind.after(&page);
        let described = candidate.kind.describe();
        match described.parse::<Paginate>() {
            Ok(again) => check_same(again, &described, call, &page, &next),
            Err(error) => panic!("{described}: {error}"),
        }
        if let Ok(Next::Call(next)) = next {
            assert!(matches!(next.url.scheme(), "http" | "https"), "{described}");
            assert_eq!(next.body.is_some(), call.body.is_some(), "{described}");
        }
        if let Some(control) = &candidate.control {
            assert_eq!(control.url.origin(), call.url.origin(), "{described}");
        }
    }
}

/// A kind that was made from its description asks for the same.
fn check_same(
    again: Paginate,
    described: &str,
    call: &Call,
    page: &PageEnd,
    next: &Result<Next, Error>,
) {
    assert_eq!(again.to_string(), described);
    let mut kind = again.into_kind();
    if kind.begin(call.clone()).is_ok() {
        let same = kind.after(page);
        assert_eq!(format!("{same:?}"), format!("{next:?}"), "{described}");
    }
}

#[cfg(test)]
#[test]
fn random_first_pages_hold_the_properties_that_are_fuzzed() {
    let parts: &[&[u8]] = &[
        b"?page=1\nLink: </b>; rel=next\n\n",
        b"\n\n",
        b"X-Next-Page: 2\n",
        b"{",
        b"}",
        b"\"next\": ",
        b"\"next_cursor\": \"a\"",
        b"\"has_more\": true",
        b"\"total\": 99",
        b"\"page\": 0",
        b"\"offset\": 0",
        b"\"links\": {\"next\": \"/b\"}",
        b"\"continue\": {\"a\": \"b\"}",
        b"\"body\": {\"limit\": 10}",
        b"{\"pageInfo\": {\"hasNextPage\": true, \"endCursor\": \"x\"}}",
        b"null",
        b"2",
        b", ",
    ];
    super::check_random(parts, check_detection);
    let whole = br#"{"next": null, "meta": {"next_cursor": "a", "has_more": true}, "total": 99}"#;
    check_detection(whole);
}
