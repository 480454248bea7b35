//! What is said of a request in the place of sending it.

use reqwest::Request;
use reqwest::header::CONTENT_TYPE;

use crate::error::{Error, Kind};

/// What is shown in the place of a secret.
const HIDDEN: &str = "…";

/// The longest part of a body that is shown, in characters.
const LONGEST_BODY: usize = 4000;

/// The error in the place of an answer to a request that is only shown: what it would hold
/// beside method and URL, with which errors begin.
pub(super) fn not_sent(request: &Request) -> Error {
    let headers = request.headers().iter().map(|(name, value)| {
        let value = if value.is_sensitive() {
            HIDDEN
        } else {
            value.to_str().unwrap_or(HIDDEN)
        };
        format!("{name}: {value}")
    });
    let mut text = headers.collect::<Vec<_>>().join("; ");
    // A form is what asks for a token, with a secret in it.
    let is_form = (request.headers().get(CONTENT_TYPE))
        .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form"));
    let body = request.body().and_then(|body| body.as_bytes());
    if let Some(body) = body.filter(|_| !is_form) {
        let body = String::from_utf8_lossy(body);
        let shown = body.chars().take(LONGEST_BODY);
        text.push_str("; with the body ");
        text.extend(shown);
    }
    Error::new(Kind::NotSent, text)
}
