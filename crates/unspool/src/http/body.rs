//! A body as it arrives, decompressed.
//!
//! The client of reqwest could do that, too. But it takes the first member of a gzip
//! for all of them and drops what is in the others, and it takes out of the head what
//! says how long the body is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use tokio::task::coop::consume_budget;

use super::Meter;
use super::coding::Coding;
#[cfg(feature = "compression")]
use super::decoder::Compressed;
use super::failure::{cut, silence};
use super::idle::IdleTimer;
use crate::error::{Error, Kind};

/// How many times the longest silence is waited for something useful, whatever else comes:
/// half an hour for a model that thinks and sends signs of life, a quarter for an item.
pub(crate) const MAX_SILENCES: u32 = 30;

/// How many times the limit of what is kept may come before something useful does. Only what
/// is not kept, such as white space and comments, can be so much.
const MAX_FILLER: usize = 4;

/// A chunk is counted before what is in it is looked at, so that this much is always taken.
const LEAST_FILLER: usize = 16 << 20;

/// How many bytes may come before something useful does, where so many are kept of one.
pub(crate) fn most_filler(max_bytes: usize) -> usize {
    max_bytes.saturating_mul(MAX_FILLER).max(LEAST_FILLER)
}

/// A body that arrives in chunks, decompressed.
///
/// Bytes alone are no progress: one a second, comments and white space may come for ever.
/// Whoever reads it says when they [brought something](Body::brought); until then they
/// come for so long and are so many, and no more.
pub(crate) struct Body {
    source: Source,
    timer: IdleTimer,
    /// The longest silence between two parts.
    idle: Duration,
    is_begun: bool,
    /// None where it is not a page that is read.
    meter: Option<Arc<Meter>>,
    /// The bytes that have come since something useful did.
    filler: usize,
    wanted: Wanted,
}

/// What a body is read for.
struct Wanted {
    /// Such as `item`.
    what: &'static str,
    /// How many bytes may come before one.
    within: usize,
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted {
            what: "end of the body",
            within: usize::MAX,
        }
    }
}

enum Source {
    Plain(Response),
    #[cfg(feature = "compression")]
    Compressed(Box<Compressed>),
}

impl Body {
    /// The body of an answer.
    ///
    /// # Errors
    ///
    /// It is compressed in a way that nobody asked for.
    pub(super) fn new(
        response: Response,
        idle: Duration,
        meter: Option<Arc<Meter>>,
    ) -> Result<Self, Error> {
        let source = match Coding::of(response.headers())? {
            None => Source::Plain(response),
            #[cfg(feature = "compression")]
            Some(coding) => Source::Compressed(Box::new(Compressed::new(coding, response))),
            #[cfg(not(feature = "compression"))]
            Some(coding) => return Err(coding.not_undone()),
        };
        Ok(Body {
            source,
            timer: IdleTimer::new(idle),
            idle,
            is_begun: false,
            meter,
            filler: 0,
            wanted: Wanted::default(),
        })
    }

    /// What the body is read for, and how many bytes may come before one of that.
    pub(crate) fn wants(&mut self, what: &'static str, within: usize) {
        self.wanted = Wanted { what, within };
    }

    /// Something that the body is read for has come.
    pub(crate) fn brought(&mut self) {
        self.filler = 0;
        self.timer.start_over();
    }

    /// The next chunk, or none at the proven end of the body.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let next = async {
            match &mut self.source {
                Source::Plain(response) => response.chunk().await.map_err(cut),
                #[cfg(feature = "compression")]
                Source::Compressed(body) => body.chunk().await,
            }
        };
        let chunk = match self.timer.wait(next).await {
            Some(chunk) => chunk?,
            None if self.is_begun => return Err(silence(self.idle, "nothing more of the body")),
            None => return Err(silence(self.timer.limit(), "no byte of the body")),
        };
        self.timer.set_limit(self.idle);
        self.is_begun = true;
        if let Some(chunk) = &chunk {
            if let Some(meter) = &self.meter {
                meter.bytes(chunk.len());
            }
            self.check_progress(chunk.len())?;
        }
        // What decompresses to a thousand times its size is at hand for long.
        consume_budget().await;
        Ok(chunk)
    }

    fn check_progress(&mut self, bytes: usize) -> Result<(), Error> {
        self.filler = self.filler.saturating_add(bytes);
        let (longest, Wanted { what, within }) =
            (self.idle.saturating_mul(MAX_SILENCES), &self.wanted);
        if self.timer.waited() > longest {
            let filler = self.filler;
            let error = silence(longest, &format!("no {what}, in {filler} bytes that came,"));
            return Err(error.with_retryable(Some(false)));
        }
        if self.filler > *within {
            let message = format!("no {what} in the last {within} bytes that came");
            return Err(Error::new(Kind::TooLarge, message));
        }
        Ok(())
    }

    /// A body that is here already.
    #[cfg(any(test, feature = "internals"))]
    pub(crate) fn of(response: Response) -> Self {
        let idle = Duration::from_secs(1);
        Body {
            source: Source::Plain(response),
            timer: IdleTimer::new(idle),
            idle,
            is_begun: false,
            meter: None,
            filler: 0,
            wanted: Wanted::default(),
        }
    }

    /// How long the next chunk may take, if that is another time than for those after it.
    pub(crate) fn wait_for_next(&mut self, limit: Duration) {
        self.timer.set_limit(limit);
    }

    /// Reads a body that is known to be small, and is here within one silence.
    pub(super) async fn small(mut self, limit: usize) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > limit {
                return Err(Error::content(format!("the body is over {limit} bytes")));
            }
            if self.timer.waited() > self.idle {
                return Err(silence(self.idle, "no end of the body"));
            }
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use unspool_core::stream;

    use super::*;

    /// A body that sends so many of these, one after each pause; the longest silence that it
    /// may make is one second.
    fn dripping(part: &'static [u8], count: u32, pause: Duration) -> Body {
        let chunks = stream! {
            for _ in 0..count {
                tokio::time::sleep(pause).await;
                yield Ok::<_, Infallible>(Frame::data(Bytes::from_static(part)));
            }
        };
        let body = reqwest::Body::wrap(StreamBody::new(chunks));
        Body::of(Response::from(hyper::Response::new(body)))
    }

    const ALMOST_SILENT: Duration = Duration::from_millis(900);

    #[tokio::test(start_paused = true)]
    async fn bytes_that_bring_nothing_are_waited_for_only_so_long() {
        let mut body = dripping(b" ", 1000, ALMOST_SILENT);
        body.wants("item", 1 << 20);
        let mut bytes = 0;
        let error = loop {
            match body.chunk().await {
                Ok(chunk) => bytes += chunk.unwrap().len(),
                Err(error) => break error,
            }
        };
        assert_eq!(bytes, 33);
        assert_eq!(
            error.to_string(),
            "no item, in 34 bytes that came, within 30s"
        );
        assert!(!error.is_retryable());
    }

    #[tokio::test(start_paused = true)]
    async fn what_brings_something_now_and_then_goes_on() {
        let mut body = dripping(b"bytes", 1000, ALMOST_SILENT);
        body.wants("item", 1000);
        let mut chunks = 0;
        while body.chunk().await.unwrap().is_some() {
            chunks += 1;
            if chunks % 30 == 0 {
                body.brought();
            }
        }
        assert_eq!(chunks, 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_bring_nothing_are_taken_only_up_to_a_limit() {
        let mut body = dripping(b"          ", 1000, Duration::ZERO);
        body.wants("item", 100);
        for _ in 0..10 {
            body.chunk().await.unwrap();
        }
        let error = body.chunk().await.unwrap_err();
        assert!(error.is_too_large());
        assert_eq!(error.to_string(), "no item in the last 100 bytes that came");
        assert_eq!(
            (most_filler(1), most_filler(usize::MAX)),
            (16 << 20, usize::MAX)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_body_comes_within_one_silence() {
        let body = dripping(b"{", 5, ALMOST_SILENT);
        let error = body.small(1000).await.unwrap_err();
        assert_eq!(error.to_string(), "no end of the body within 1s");
        let body = dripping(b"{", 5, Duration::from_millis(100));
        assert_eq!(body.small(1000).await.unwrap(), b"{{{{{");
    }
}
