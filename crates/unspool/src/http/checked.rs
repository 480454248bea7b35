//! What is promised of whatever a server writes into header fields, for the fuzz target.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use tokio::time::Instant;
use url::Url;

use super::cookies::Jar;
use super::limits::{allowances, exhausted, in_range};
use super::pace::Pace;
use super::retry::{retry_after, wait_for};

/// Times are short enough to be waited for.
pub(crate) fn times(headers: &HeaderMap, now: SystemTime) {
    let resets = allowances(headers, now)
        .into_iter()
        .filter_map(|found| found.reset);
    let waits = [
        exhausted(headers, now),
        retry_after(headers),
        wait_for(StatusCode::TOO_MANY_REQUESTS, headers),
    ];
    for wait in resets.chain(waits.into_iter().flatten()) {
        assert!(in_range(wait).is_some(), "{wait:?}");
        assert!(now.checked_add(wait).is_some() && Instant::now().checked_add(wait).is_some());
    }
}

/// Cookies are few, and can be sent back.
pub(crate) fn cookies(headers: &HeaderMap, now: SystemTime) {
    let Ok(url) = Url::parse("https://api.test/v1/items") else {
        return;
    };
    let jar = Jar::default();
    jar.give(url.origin(), "mine", "given");
    for _ in 0..2 {
        jar.store(&url, headers, now);
    }
    let later = [now, now + Duration::from_secs(1)];
    for value in later
        .into_iter()
        .filter_map(|now| jar.header_for(&url, now))
    {
        assert!(value.is_sensitive() && value.len() < 300_000);
    }
}

/// How many waits come before the next request after an answer.
pub(crate) fn waits(status: u16, headers: &HeaderMap) -> usize {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    Pace::default().waits_after(status, headers)
}
