//! What errors of the server and of the connection mean.

use mysql_async::{DriverError, Error as Failure, ServerError};

use crate::error::{Error, Kind};
use crate::rows::sql::SqlPosition;

/// An error while connecting.
pub(super) fn unconnected(error: Failure) -> Error {
    match &error {
        Failure::Server(reported) => by_code(reported, None),
        Failure::Url(_) => Error::request(error.to_string()),
        _ => Error::new(Kind::Unreachable, format!("no connection: {error}")),
    }
    .with_source(error)
}

/// An error of a statement, which is shown where it is the caller's own.
pub(super) fn failed(error: Failure, statement: Option<&str>) -> Error {
    match &error {
        Failure::Server(reported) => by_code(reported, statement),
        Failure::Io(_) | Failure::Driver(DriverError::ConnectionClosed) => Error::new(
            Kind::Truncated,
            format!("the connection broke before the end of the rows: {error}"),
        )
        .with_source(error),
        _ => Error::content(format!("the server's answer cannot be read: {error}"))
            .with_source(error),
    }
}

fn by_code(reported: &ServerError, statement: Option<&str>) -> Error {
    let message = &reported.message;
    let failed = match (reported.code, reported.state.as_str()) {
        // It is shut down, or the connection is killed.
        (1053 | 1077 | 1079 | 1927 | 3169, _) => Error::new(
            Kind::Truncated,
            format!("the server ended the connection: {message}"),
        ),
        // Too many connections, locks and deadlocks.
        (1040 | 1203 | 1205 | 1213, _) => Error::new(Kind::Reported, message.as_str()),
        (1792, _) => {
            return Error::request(message.as_str()).with_code(Some("read-only".to_owned()));
        }
        (1049 | 1295, _) | (_, "42000" | "42S02" | "42S22" | "HY093" | "21000") => {
            match statement.and_then(|sql| Some((sql, near(message, sql)?))) {
                Some((sql, offset)) => SqlPosition::at(sql, offset).error(message),
                None => Error::request(message.as_str()),
            }
        }
        (_, state) if state.starts_with("22") => Error::content(message.as_str()),
        _ => Error::new(Kind::Reported, message.as_str()).with_retryable(Some(false)),
    };
    failed.with_code(Some(reported.code.to_string()))
}

/// Where in a statement the text is that a message says something is near to.
fn near(message: &str, sql: &str) -> Option<usize> {
    let (_, rest) = message.split_once(" near '")?;
    let (text, _) = rest.rsplit_once("' at line")?;
    match text {
        "" => Some(sql.len()),
        text => sql.find(text),
    }
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn the_place_is_found_by_the_text_that_stands_there() {
        let sql = "select a,\n frm 'x' where";
        let says = |text: &str| {
            format!("You have an error; the right syntax to use near '{text}' at line 2")
        };
        assert_eq!(near(&says("frm 'x' where"), sql), Some(11));
        assert_eq!(near(&says(""), sql), Some(sql.len()));
        assert_eq!(near("Unknown column", sql), None);
    }
}
