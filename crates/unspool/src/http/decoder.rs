//! What undoes the compression of a body.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyDataStream, BodyExt as _, combinators::MapErr};
use reqwest::Response;
use tokio::io::AsyncBufRead;
use tokio_util::io::{StreamReader, poll_read_buf};

use super::coding::Coding;
use super::failure::{corrupt, cut};
use crate::error::Error;

/// How much is decompressed at a time.
const CHUNK: usize = 32 << 10;

/// Less room than this is not worth a chunk.
const LEAST: usize = 4 << 10;

/// The largest window that a decoder has to keep, as a power of two: 8 MiB (RFC 9659).
const ZSTD_WINDOW: u32 = 23;

/// A body that is decompressed as it arrives.
pub(super) struct Compressed {
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

impl Compressed {
    /// What undoes the coding of an answer's body.
    pub(super) fn new(coding: Coding, response: Response) -> Self {
        Compressed {
            decoder: Decoder::new(coding, reader(response)),
            buffer: BytesMut::new(),
        }
    }

    /// The next chunk, decompressed; none at the end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let chunk = self.decompressed().await;
        chunk.map_err(|error| match error.downcast::<reqwest::Error>() {
            Ok(error) => cut(error),
            Err(error) => corrupt(error),
        })
    }

    async fn decompressed(&mut self) -> io::Result<Option<Bytes>> {
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
    fn new(coding: Coding, reader: Reader) -> Self {
        match coding {
            Coding::Gzip => {
                let mut decoder = GzipDecoder::new(reader);
                decoder.multiple_members(true);
                Decoder::Gzip(decoder)
            }
            Coding::Brotli => Decoder::Brotli(BrotliDecoder::new(reader)),
            Coding::Zstd => {
                let window = DParameter::window_log_max(ZSTD_WINDOW);
                let mut decoder = ZstdDecoder::with_params(reader, &[window]);
                decoder.multiple_members(true);
                Decoder::Zstd(decoder)
            }
        }
    }

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

fn reader(response: Response) -> Reader {
    let to_io: fn(reqwest::Error) -> io::Error = io::Error::other;
    StreamReader::new(BodyDataStream::new(
        reqwest::Body::from(response).map_err(to_io),
    ))
}
