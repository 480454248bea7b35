//! Errors for what goes wrong with a request and with a body.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::time::Duration;

use reqwest::StatusCode;
use url::Url;

use super::visible::shortened;
use crate::error::{Error, Kind};

/// How much of the body of a failed request goes into its error.
const EXCERPT: usize = 200;

/// The error for an upstream that says nothing.
pub(super) fn silence(limit: Duration, what: &str) -> Error {
    Error::new(Kind::Timeout, format!("{what} within {limit:?}"))
}

/// The error for a request that was not answered; `is_known` if its origin has answered
/// before, so that it is there, and speaks HTTP.
pub(super) fn no_answer(error: reqwest::Error, url: &Url, is_known: bool) -> Error {
    let error = error.without_url();
    let cause = root_cause(&error);
    let origin = url.origin().ascii_serialization();
    if error.is_builder() {
        return Error::request(format!("cannot send this request: {cause}"));
    }
    if !error.is_connect() {
        if !is_known && is_other_protocol(&error) {
            return Error::request(format!(
                "what answers at {origin} does not speak HTTP{}: {cause}",
                if url.scheme() == "http" {
                    "; is its address `https:`?"
                } else {
                    ""
                }
            ))
            .with_source(error);
        }
        let message = format!("the connection broke before an answer came: {cause}");
        return Error::new(Kind::Connection, message).with_source(error);
    }
    if is_plain(&error) {
        return Error::request(format!(
            "what answers at {origin} does not speak TLS; is its address `http:`?"
        ))
        .with_source(error);
    }
    let (what, is_final) = if is_about_certificates(&error) {
        ("cannot connect", true)
    } else if let Some(is_final) = is_unknown_host(&error) {
        ("cannot find the host", is_final && !is_known)
    } else {
        ("cannot connect", false)
    };
    let kind = if is_known && !is_final {
        Kind::Connection
    } else {
        Kind::Unreachable
    };
    let error = Error::new(kind, format!("{what}: {cause}")).with_source(error);
    if is_final {
        error.with_retryable(Some(false))
    } else {
        error
    }
}

/// Whether TLS failed in a way that will stay: a certificate that is not trusted, a
/// version or a name that nobody has. A connection that broke is not one of them.
fn is_about_certificates(error: &reqwest::Error) -> bool {
    let mut causes = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|error| error.kind() == ErrorKind::InvalidData)
}

/// Whether what answers the begin of TLS does not speak TLS.
fn is_plain(error: &reqwest::Error) -> bool {
    is_about_certificates(error) && root_cause(error).contains("InvalidContentType")
}

/// Whether what answers does not speak HTTP.
fn is_other_protocol(error: &reqwest::Error) -> bool {
    root_cause(error).starts_with("invalid HTTP version")
}

/// Whether a name is none of a host, and whether that will stay; none if that is not what
/// went wrong. Neither the client nor the standard library has a kind for it.
fn is_unknown_host(error: &reqwest::Error) -> Option<bool> {
    let is_about_names = |cause: &(dyn StdError + 'static)| cause.to_string() == "dns error";
    let cause = root_cause(error).to_ascii_lowercase();
    let is_temporary = cause.contains("temporary") || cause.contains("try again");
    causes(error).any(is_about_names).then_some(!is_temporary)
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
        // `source` passes over what an error of `io` is made of.
        next = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
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
