//! How the body of an answer is coded: what is asked for, and what has come.

use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue};

use crate::error::Error;

/// A coding of bodies that can be undone (RFC 9110, section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Brotli,
    Zstd,
}

impl Coding {
    /// Says in a request what the answer may be coded with, where the caller does not.
    pub(super) fn ask_for(headers: &mut HeaderMap) {
        const CODINGS: HeaderValue = HeaderValue::from_static("gzip, br, zstd");
        if cfg!(feature = "compression") {
            headers.entry(ACCEPT_ENCODING).or_insert(CODINGS);
        }
    }

    /// The coding of a body, if it has one.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, Error> {
        let mut fields = headers.get_all(CONTENT_ENCODING).into_iter();
        let (field, other) = (fields.next(), fields.next());
        let name = field.map_or("", |field| field.to_str().unwrap_or("?").trim());
        match name.to_ascii_lowercase().as_str() {
            "" | "identity" if other.is_none() => Ok(None),
            "gzip" | "x-gzip" if other.is_none() => Ok(Some(Coding::Gzip)),
            "br" if other.is_none() => Ok(Some(Coding::Brotli)),
            "zstd" if other.is_none() => Ok(Some(Coding::Zstd)),
            _ => Err(Error::content(format!(
                "the body is compressed as `{name}`, which was not asked for"
            ))),
        }
    }

    /// The error for a body that would have to be decompressed.
    #[cfg(not(feature = "compression"))]
    pub(super) fn not_undone(self) -> Error {
        let name = match self {
            Coding::Gzip => "gzip",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        };
        Error::content(format!(
            "the body is compressed as `{name}`, which was not asked for: this program was built \
             without the feature `compression` of `unspool`"
        ))
    }
}
