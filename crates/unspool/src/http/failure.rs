//! Errors for what goes wrong with a request and with a body.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::time::Duration;

use reqwest::StatusCode;

use super::visible::shortened;
use crate::error::{Error, Kind};

/// How much of the body of a failed request goes into its error.
const EXCERPT: usize = 200;

/// The error for an upstream that says nothing.
pub(super) fn silence(limit: Duration, what: &str) -> Error {
    Error::new(Kind::Timeout, format!("{what} within {limit:?}"))
}

/// The error for a request that was not answered.
pub(super) fn no_answer(error: reqwest::Error) -> Error {
    let error = error.without_url();
    let message = if error.is_builder() {
        return Error::request(format!("cannot send this request: {}", root_cause(&error)));
    } else if error.is_connect() {
        "cannot connect"
    } else {
        "the connection broke before an answer came"
    };
    Error::new(
        Kind::Connection,
        format!("{message}: {}", root_cause(&error)),
    )
    .with_source(error)
}

/// The error for a body that could not be read to its end.
pub(super) fn cut(error: reqwest::Error) -> Error {
    let error = error.without_url();
    if let Some(error) = decoding(&error) {
        return corrupt(error);
    }
    Error::new(
        Kind::Truncated,
        format!("the body stopped before its end: {}", root_cause(&error)),
    )
    .with_source(error)
}

/// The error for a body that cannot be decompressed: it is another, or it stops.
pub(super) fn corrupt(error: io::Error) -> Error {
    let (kind, message) = match error.kind() {
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Other => {
            (Kind::Content, "the body cannot be decompressed")
        }
        _ => (Kind::Truncated, "the body stopped before its end"),
    };
    Error::new(kind, format!("{message}: {error}")).with_source(error)
}

/// What the decompressor of a client of the caller's says.
fn decoding(error: &reqwest::Error) -> Option<io::Error> {
    let cause = causes(error)
        .filter(|_| error.is_decode())
        .find_map(|cause| cause.downcast_ref::<io::Error>())?;
    Some(io::Error::new(cause.kind(), cause.to_string()))
}

fn causes<'e>(
    error: &'e (dyn StdError + 'static),
) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

fn root_cause(error: &reqwest::Error) -> String {
    causes(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// The begin of a body, on one line.
pub(super) fn excerpt(body: &[u8]) -> String {
    shortened(&String::from_utf8_lossy(body), EXCERPT)
}

/// Whether a status says that there is no such page.
pub(crate) fn is_not_found(error: &Error) -> bool {
    error.status() == Some(StatusCode::NOT_FOUND.as_u16())
}
