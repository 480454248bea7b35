//! What errors of the server and of the connection mean.

use std::io;

use tokio_postgres::error::{DbError, ErrorPosition};

use super::tls::HandshakeFailed;
use crate::error::{Error, Kind};
use crate::rows::sql::SqlPosition;

/// An error while connecting.
pub(super) fn unconnected(error: tokio_postgres::Error) -> Error {
    if let Some(reported) = error.as_db_error() {
        return by_code(reported, None).with_source(error);
    }
    if chain(&error).contains("password missing") {
        return Error::new(
            Kind::Reported,
            "the server asks for a password, and none is known",
        )
        .with_retryable(Some(false))
        .with_code(Some("28P01".to_owned()))
        .with_source(error);
    }
    // What two ends show to each other is the same the next time.
    let is_lasting = handshake(&error).is_some_and(HandshakeFailed::is_lasting)
        || chain(&error).contains("channel binding")
        || chain(&error).contains("does not support TLS");
    if is_lasting {
        let message = format!("no connection: {}", chain(&error));
        return Error::new(Kind::Unreachable, message)
            .with_retryable(Some(false))
            .with_source(error);
    }
    let kind = match io_error(&error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof) => Kind::Connection,
        _ => Kind::Unreachable,
    };
    Error::new(kind, format!("no connection: {}", chain(&error))).with_source(error)
}

/// An error of a statement, which may be shown where it is the caller's own.
pub(crate) fn failed(error: tokio_postgres::Error, statement: Option<&str>) -> Error {
    match error.as_db_error() {
        Some(reported) => {
            let failed = by_code(reported, statement);
            // The place in the statement is the source already.
            if std::error::Error::source(&failed).is_some() {
                failed
            } else {
                failed.with_source(error)
            }
        }
        None if error.is_closed() || io_error(&error).is_some() => Error::new(
            Kind::Truncated,
            format!(
                "the connection broke before the end of the rows: {}",
                chain(&error)
            ),
        )
        .with_source(error),
        None => Error::content(format!(
            "the server's answer cannot be read: {}",
            chain(&error)
        ))
        .with_source(error),
    }
}

fn by_code(reported: &DbError, statement: Option<&str>) -> Error {
    let code = reported.code().code();
    let message = message(reported);
    let failed = match (&code[..2], code) {
        (_, "57P01" | "57P02") => Error::new(
            Kind::Truncated,
            format!("the server ended the connection: {message}"),
        ),
        (_, "57P03" | "53300") | ("08" | "40", _) => Error::new(Kind::Reported, message),
        ("42" | "0A" | "26", _) | (_, "22P02" | "25006" | "3D000") => {
            match (position(reported), statement) {
                (Some(characters), Some(sql)) => {
                    SqlPosition::at_character(sql, characters).error(message)
                }
                _ => Error::request(message),
            }
        }
        ("22", _) => Error::content(message),
        _ => Error::new(Kind::Reported, message).with_retryable(Some(false)),
    };
    failed.with_code(Some(code.to_owned()))
}

/// How many characters are before the place that it names.
fn position(reported: &DbError) -> Option<usize> {
    match reported.position()? {
        ErrorPosition::Original(number) => usize::try_from(*number).ok()?.checked_sub(1),
        ErrorPosition::Internal { .. } => None,
    }
}

fn message(reported: &DbError) -> String {
    let mut message = reported.message().to_owned();
    for more in [reported.detail(), reported.hint()].into_iter().flatten() {
        message = format!("{message}; {more}");
    }
    message
}

/// What went wrong between a connection and TLS over it.
pub(super) fn handshake(error: &tokio_postgres::Error) -> Option<&HandshakeFailed> {
    std::error::Error::source(error)?.downcast_ref()
}

fn io_error(error: &tokio_postgres::Error) -> Option<&io::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

/// The words of an error, and of what it came of.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = error.source();
    }
    words
}
