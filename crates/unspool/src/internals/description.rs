use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::http::Call;
use crate::json::Pointer;
use crate::pages::kinds::{PageEnd, Paginate};
use crate::pages::stated::Stated;

/// A line with the text of `--paginate`, and after it a page to try it on.
///
/// # Panics
///
/// The description of a kind is refused, is described as something else, or makes a kind that
/// asks for another page; or a pointer is not read as it is written.
pub fn check_description(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (text, page) = text.split_once('\n').unwrap_or((&text, "{}"));
    if let Ok(pointer) = text.parse::<Pointer>() {
        assert_eq!(pointer.to_string().parse().ok(), Some(pointer), "`{text}`");
    }
    let Ok(paginate) = text.parse::<Paginate>() else {
        return;
    };
    let described = paginate.to_string();
    let again = match described.parse::<Paginate>() {
        Ok(again) => again,
        Err(error) => panic!("`{text}` is described as `{described}`, which is refused: {error}"),
    };
    assert_eq!(again.to_string(), described, "from `{text}`");
    assert_eq!(
        format!("{again:?}"),
        format!("{paginate:?}"),
        "from `{text}`"
    );
    if let Ok(envelope) = serde_json::from_str(page) {
        assert_eq!(
            after(again, &envelope),
            after(paginate, &envelope),
            "of `{described}`"
        );
    }
}

/// What a kind asks for after a page, and what it describes itself as then.
fn after(paginate: Paginate, envelope: &Value) -> String {
    let call = match "http://api.test/v1?page=1&limit=2&offset=0".parse() {
        Ok(url) => Call {
            body: envelope
                .get("body")
                .filter(|body| body.is_object())
                .cloned(),
            ..Call::get(url)
        },
        Err(error) => panic!("{error}"),
    };
    let mut kind = paginate.into_kind();
    let call = match kind.begin(call) {
        Ok(call) => call,
        Err(error) => return error.to_string(),
    };
    let headers = HeaderMap::new();
    let page = PageEnd {
        call,
        is_partial: false,
        is_resource: false,
        is_left_out: false,
        stated: Stated::read(&headers, envelope),
        headers,
        envelope: envelope.clone(),
        items: 2,
        fresh: 2,
        received: 2,
        distinct: 2,
        last: Some(Bytes::from_static(br#"{"id": 7, "sort": [1]}"#)),
    };
    let next = format!("{:?}", kind.after(&page));
    let settled = kind.describe();
    if let Ok(again) = settled.parse::<Paginate>() {
        assert_eq!(again.to_string(), settled);
    }
    format!("{next} {:?} {settled}", kind.ahead(2))
}

#[cfg(test)]
#[test]
fn random_descriptions_hold_the_properties_that_are_fuzzed() {
    let kinds: Vec<String> = Paginate::kinds()
        .map(|(syntax, _)| syntax.split([':', '[', ',']).next().unwrap().to_owned())
        .collect();
    let others = [
        ":",
        ",",
        "=",
        "\"",
        "\"\"",
        "\n",
        "/",
        "/next",
        "/meta/next",
        "~1",
        "~0",
        "$.next",
        "$..next",
        "$['it\\'s']",
        "$[\"a\"]",
        "$[?@.rel=='next'].href",
        "[",
        "]",
        "1",
        "0",
        "18446744073709551615",
        "-1",
        "page",
        "offset",
        "limit",
        "size=",
        "last=",
        "to=",
        "more=",
        "end=",
        "first=",
        "drop=",
        "header:",
        "body:",
        "query:",
        "{\"next\": \"/b\"}",
        "{\"next\": 7, \"more\": true}",
        " ",
        "é",
    ];
    let parts: Vec<&[u8]> = kinds
        .iter()
        .map(String::as_str)
        .chain(others)
        .map(str::as_bytes)
        .collect();
    super::check_random(&parts, |data| check_description(&data[2..]));
}
