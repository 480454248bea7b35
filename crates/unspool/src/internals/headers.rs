use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::http::checked;

/// How many waits may come before a turn, whatever one answer says: what it asks for by
/// `Retry-After`, a window that ends, and a rest of it that is spread.
const MAX_WAITS: usize = 30;

/// Header fields of an answer, one a line; the first line is its status.
///
/// # Panics
///
/// A time is not one that can be waited for, the next request never gets its turn, or the
/// cookies are not what a field can hold.
pub fn check_headers(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let status = lines.next().unwrap_or_default();
    let status = std::str::from_utf8(status)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let headers: HeaderMap = lines.filter_map(field).collect();
    // 2013-08-20T14:50:41Z, and the begin of time.
    for now in [1_377_010_241, 0] {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
        checked::times(&headers, now);
        checked::cookies(&headers, now);
    }
    let waits = checked::waits(status.unwrap_or(200), &headers);
    assert!(
        waits <= MAX_WAITS,
        "{waits} waits before a turn: {headers:?}"
    );
}

fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = HeaderName::from_bytes(line[..colon].trim_ascii()).ok()?;
    Some((
        name,
        HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?,
    ))
}

#[cfg(test)]
#[test]
fn random_headers_hold_the_properties_that_are_fuzzed() {
    let parts: &[&[u8]] = &[
        b"429\n",
        b"200\n",
        b"\nx-ratelimit-remaining: 0\n",
        b"\nx-ratelimit-remaining: 3\nx-ratelimit-limit: 100\n",
        b"\nx-ratelimit-reset:",
        b"\nratelimit-remaining: 0\nratelimit-reset:",
        b"\nx-rate-limit-remaining: 0\nx-rate-limit-reset:",
        b"\nx-ratelimit-interval-seconds:",
        b"\nratelimit: \"a\";r=0;t=",
        b"\nratelimit-policy: \"a\";q=9;w=",
        b"\nratelimit: limit=9, remaining=0, reset=",
        b"\nx-shopify-shop-api-call-limit: 40/",
        b"\nretry-after:",
        b"\nretry-after-ms:",
        b"\ndate:",
        b"\nset-cookie: a=b; max-age=",
        b"\nset-cookie: a=b; expires=",
        b"inf",
        b"-inf",
        b"nan",
        b"1e400",
        b"1e308",
        b"1e18",
        b"1377010251",
        b"1377010251500",
        b"9223372036854775807",
        b"18446744073709551615",
        b"18446744073709551616",
        b"0",
        b"300",
        b"0.0000000001",
        b"-0",
        b"2013-08-20T14:51:00Z",
        b"2013-08-20T14:51:00+019223372036854775807",
        b"9999-12-31T23:59:60.999-23:59",
        b"1970-01-01T00:00:00+23:59",
        b"Tue, 20 Aug 2013 14:51:00 GMT",
        b"Fri, 31 Dec 9999 23:59:59 GMT",
        b"Thu, 01 Jan 1970 00:00:00 GMT",
        b" ",
        b";",
    ];
    super::check_random(parts, check_headers);
}
