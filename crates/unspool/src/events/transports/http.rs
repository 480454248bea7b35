//! A feed in the body of one answer.

use std::time::Duration;

use bytestring::ByteString;
use reqwest::header::CONTENT_TYPE;
use tokio::time::Instant;

use super::json::JsonReader;
use super::sse::SseReader;
use super::{Arrival, Over, TRANSPORTS, TransportEntry};
use crate::error::{Error, Kind};
use crate::events::rhythm::Rhythm;
use crate::http::{Answer, Body, shortened};
use crate::json::Pointer;

/// How much of the begin of a wrong body is shown.
const EXCERPT: usize = 120;

/// How long the begin of a wrong body is waited for.
const GRACE: Duration = Duration::from_secs(1);

/// A feed whose events come in a body.
pub(in crate::events) struct HttpFeed {
    body: Body,
    reader: Reader,
    ends_with_connection: bool,
}

pub(super) enum Reader {
    Sse(Box<SseReader>),
    Json(Box<JsonReader>),
}

/// What a reader needs to know.
pub(in crate::events) struct Reading {
    /// The id that the connection goes on after.
    pub(in crate::events) after: ByteString,
    /// Where the position is in an item.
    pub(in crate::events) position: Option<Pointer>,
    pub(in crate::events) max_item: usize,
}

impl HttpFeed {
    /// The feed that an answer is.
    ///
    /// # Errors
    ///
    /// It is none: a page to log in, perhaps.
    pub(in crate::events) async fn of(
        mut answer: Answer,
        pinned: Option<&'static TransportEntry>,
        reading: Reading,
    ) -> Result<(Self, &'static TransportEntry), Error> {
        let media = media_type(&answer);
        let entry = match pinned {
            Some(entry) => Some(entry).filter(|entry| (entry.may_be)(&media)),
            None => TRANSPORTS.iter().find(|entry| (entry.is_type)(&media)),
        };
        let Some((entry, reader)) = entry.and_then(|entry| Some((entry, entry.reader?))) else {
            let request = answer.call.redacted();
            let error = wrong_type(&mut answer, &media, pinned).await;
            return Err(error.at_request(request));
        };
        let feed = HttpFeed {
            ends_with_connection: answer.ends_with_connection,
            body: answer.body,
            reader: reader(reading),
        };
        Ok((feed, entry))
    }

    pub(super) async fn hear(
        &mut self,
        rhythm: &mut Rhythm,
        arrivals: &mut Vec<Arrival>,
    ) -> Result<(), Over> {
        let limit = rhythm.limit();
        self.body.wait_for_next(limit);
        let begin = Instant::now();
        let chunk = match self.body.chunk().await {
            Err(error) if error.is_timeout() => {
                rhythm.paused(limit);
                let silence = format!("no byte for {} s", limit.as_secs_f64());
                return Err(Error::new(Kind::Timeout, silence).into());
            }
            chunk => chunk?,
        };
        let Some(chunk) = chunk else {
            return Err(Over::Body {
                with_connection: self.ends_with_connection,
                is_inside: self.is_inside(),
            });
        };
        rhythm.paused(begin.elapsed());
        match &mut self.reader {
            Reader::Sse(reader) => reader.read(chunk, arrivals)?,
            Reader::Json(reader) => reader.read(chunk, arrivals)?,
        }
        Ok(())
    }

    /// Whether the body may not end here.
    fn is_inside(&self) -> bool {
        match &self.reader {
            Reader::Sse(reader) => reader.is_inside(),
            Reader::Json(reader) => reader.is_inside(),
        }
    }

    pub(super) fn retry(&self) -> Option<Duration> {
        match &self.reader {
            Reader::Sse(reader) => reader.retry(),
            Reader::Json(_) => None,
        }
    }
}

/// The media type of an answer, without parameters, in small letters.
fn media_type(answer: &Answer) -> String {
    let value = answer.headers.get(CONTENT_TYPE);
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let media = text.split(';').next().unwrap_or_default();
    media.trim().to_ascii_lowercase()
}

/// The error for an answer that is not the feed.
async fn wrong_type(
    answer: &mut Answer,
    media: &str,
    pinned: Option<&'static TransportEntry>,
) -> Error {
    let expected = match pinned {
        Some(entry) => entry.about.to_owned(),
        None => "a feed, such as `text/event-stream`".to_owned(),
    };
    let found = match media {
        "" => "an answer without a content type".to_owned(),
        media => format!("`{media}`"),
    };
    answer.body.wait_for_next(GRACE);
    let begin = match answer.body.chunk().await {
        Ok(Some(chunk)) => shortened(&String::from_utf8_lossy(&chunk), EXCERPT),
        _ => String::new(),
    };
    let error = match begin.as_str() {
        "" => format!("expected {expected}; found {found}"),
        begin => format!("expected {expected}; found {found}: {begin}"),
    };
    Error::content(error)
}
