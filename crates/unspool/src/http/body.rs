//! A body as it arrives, decompressed.
//!
//! The client of reqwest could do that, too. But it takes the first member of a gzip
//! for all of them and drops what is in the others, and it takes out of the head what
//! says how long the body is.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyDataStream, BodyExt as _, combinators::MapErr};
use reqwest::Response;
use reqwest::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};
use tokio::io::AsyncBufRead;
use tokio_util::io::{StreamReader, poll_read_buf};

use super::Meter;
use super::failure::{corrupt, cut, silence};
use super::idle::IdleTimer;
use crate::error::Error;

/// What a server may compress with.
pub(super) const ENCODINGS: HeaderValue = HeaderValue::from_static("gzip, br, zstd");

/// How much is decompressed at a time.
const CHUNK: usize = 32 << 10;

/// Less room than this is not worth a chunk.
const LEAST: usize = 4 << 10;

/// The largest window that a decoder has to keep, as a power of two: 8 MiB (RFC 9659).
const ZSTD_WINDOW: u32 = 23;

/// A body that arrives in chunks, decompressed.
pub(crate) struct Body {
    source: Source,
    timer: IdleTimer,
    /// The longest silence between two parts.
    idle: Duration,
    is_begun: bool,
    /// None where it is not a page that is read.
    meter: Option<Arc<Meter>>,
}

enum Source {
    Plain(Response),
    Compressed(Box<Compressed>),
}

struct Compressed {
    decoder: Decoder,
    buffer: BytesMut,
}

enum Decoder {
    Gzip(GzipDecoder<Reader>),
    Brotli(BrotliDecoder<Reader>),
    Zstd(ZstdDecoder<Reader>),
}

/// What arrives, to be read from.
type Reader =
    StreamReader<BodyDataStream<MapErr<reqwest::Body, fn(reqwest::Error) -> io::Error>>, Bytes>;

/// What undoes one kind of compression.
type Make = fn(Reader) -> Decoder;

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
        let source = match encoding(response.headers())? {
            None => Source::Plain(response),
            Some(make) => Source::Compressed(Box::new(Compressed {
                decoder: make(reader(response)),
                buffer: BytesMut::new(),
            })),
        };
        Ok(Body {
            source,
            timer: IdleTimer::new(idle),
            idle,
            is_begun: false,
            meter,
        })
    }

    /// The next chunk, or none at the proven end of the body.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let next = async {
            match &mut self.source {
                Source::Plain(response) => response.chunk().await.map_err(cut),
                Source::Compressed(body) => body.chunk().await.map_err(|error| match error
                    .downcast::<reqwest::Error>(
                ) {
                    Ok(error) => cut(error),
                    Err(error) => corrupt(error),
                }),
            }
        };
        let chunk = match self.timer.wait(next).await {
            Some(chunk) => chunk?,
            None if self.is_begun => return Err(silence(self.idle, "nothing more of the body")),
            None => return Err(silence(self.timer.limit(), "no byte of the body")),
        };
        self.timer.set_limit(self.idle);
        self.is_begun = true;
        if let (Some(meter), Some(chunk)) = (&self.meter, &chunk) {
            meter.bytes(chunk.len());
        }
        Ok(chunk)
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
        }
    }

    /// How long the next chunk may take, if that is another time than for those after it.
    pub(crate) fn wait_for_next(&mut self, limit: Duration) {
        self.timer.set_limit(limit);
    }

    /// Reads a body that is known to be small.
    pub(super) async fn small(mut self, limit: usize) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > limit {
                return Err(Error::content(format!("the body is over {limit} bytes")));
            }
        }
        Ok(body)
    }
}

impl Compressed {
    async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        if self.buffer.capacity() < LEAST {
            self.buffer.reserve(CHUNK);
        }
        let (decoder, buffer) = (&mut self.decoder, &mut self.buffer);
        let count = poll_fn(|cx| match decoder {
            Decoder::Gzip(decoder) => poll_read_buf(Pin::new(decoder), cx, buffer),
            Decoder::Brotli(decoder) => poll_read_buf(Pin::new(decoder), cx, buffer),
            Decoder::Zstd(decoder) => poll_read_buf(Pin::new(decoder), cx, buffer),
        })
        .await?;
        if count > 0 {
            return Ok(Some(self.buffer.split().freeze()));
        }
        // Whatever is after the end of the compressed data would be lost.
        match poll_fn(|cx| self.decoder.poll_rest(cx)).await? {
            0 => Ok(None),
            rest => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{rest} bytes or more follow the end of the compressed data"),
            )),
        }
    }
}

impl Decoder {
    /// How many bytes are there that were not decompressed.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let reader = match self {
            Decoder::Gzip(decoder) => decoder.get_mut(),
            Decoder::Brotli(decoder) => decoder.get_mut(),
            Decoder::Zstd(decoder) => decoder.get_mut(),
        };
        Pin::new(reader).poll_fill_buf(cx).map_ok(<[u8]>::len)
    }
}

/// How to undo the compression of a body, if it has one.
fn encoding(headers: &HeaderMap) -> Result<Option<Make>, Error> {
    let mut fields = headers.get_all(CONTENT_ENCODING).into_iter();
    let (field, other) = (fields.next(), fields.next());
    let name = field.map_or("", |field| field.to_str().unwrap_or("?").trim());
    match name.to_ascii_lowercase().as_str() {
        "" | "identity" if other.is_none() => Ok(None),
        "gzip" | "x-gzip" if other.is_none() => Ok(Some(|reader| {
            let mut decoder = GzipDecoder::new(reader);
            decoder.multiple_members(true);
            Decoder::Gzip(decoder)
        })),
        "br" if other.is_none() => Ok(Some(|reader| Decoder::Brotli(BrotliDecoder::new(reader)))),
        "zstd" if other.is_none() => Ok(Some(|reader| {
            let window = DParameter::window_log_max(ZSTD_WINDOW);
            let mut decoder = ZstdDecoder::with_params(reader, &[window]);
            decoder.multiple_members(true);
            Decoder::Zstd(decoder)
        })),
        _ => Err(Error::content(format!(
            "the body is compressed as `{name}`, which was not asked for"
        ))),
    }
}

fn reader(response: Response) -> Reader {
    let to_io: fn(reqwest::Error) -> io::Error = io::Error::other;
    StreamReader::new(BodyDataStream::new(
        reqwest::Body::from(response).map_err(to_io),
    ))
}
