//! A connection that bytes are read from and written to, with TLS or without.

#[cfg(any(test, feature = "internals"))]
use std::pin::Pin;
use std::sync::Arc;
#[cfg(any(test, feature = "internals"))]
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::error::{Error, Kind};
use crate::http::Meter;

/// The longest line of a protocol.
const LONGEST_LINE: usize = 1 << 20;

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection, and what has been read of it.
pub(super) struct Wire {
    stream: Box<dyn Duplex>,
    buffer: BytesMut,
    meter: Arc<Meter>,
    /// How long it may be silent where something is expected.
    silence: Duration,
    host: String,
}

impl Wire {
    /// Connects to the host of an address.
    pub(super) async fn connect(
        url: &Url,
        usual_port: u16,
        limit: Duration,
        meter: Arc<Meter>,
    ) -> Result<Self, Error> {
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.unwrap_or("localhost").trim_matches(['[', ']']);
        let port = url.port().unwrap_or(usual_port);
        let unreachable = |why: &dyn std::fmt::Display| {
            Error::new(
                Kind::Unreachable,
                format!("no connection to `{host}:{port}`: {why}"),
            )
        };
        let stream = match timeout(limit, TcpStream::connect((host, port))).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unreachable(&error).with_source(error)),
            Err(_) => return Err(unreachable(&format!("no answer for {limit:?}"))),
        };
        // What is asked is small, and waited for.
        let _ = stream.set_nodelay(true);
        Ok(Wire {
            stream: Box::new(stream),
            buffer: BytesMut::new(),
            meter,
            silence: limit,
            host: host.to_owned(),
        })
    }

    /// The same connection with TLS, and a certificate for its host.
    pub(super) async fn with_tls(mut self) -> Result<Self, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::request(format!("no TLS: {error}"));
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(self.host.clone()).map_err(|error| failed(&error))?;
        let connector = TlsConnector::from(Arc::new(config));
        let stream = timeout(self.silence, connector.connect(name, self.stream));
        self.stream = match stream.await {
            Ok(Ok(stream)) => Box::new(stream),
            Ok(Err(error)) => return Err(failed(&error)),
            Err(_) => return Err(silent(self.silence)),
        };
        Ok(self)
    }

    /// How long it may be silent from here on where something is expected.
    pub(super) fn expect_within(&mut self, silence: Duration) {
        self.silence = silence;
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match timeout(self.silence, written).await {
            Ok(written) => written.map_err(broken),
            Err(_) => Err(silent(self.silence)),
        }
    }

    /// Whether something has been read that is not taken yet.
    #[cfg(feature = "nats")]
    pub(super) fn has_more(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next line, without its end (`\r\n`).
    pub(super) async fn line(&mut self) -> Result<Bytes, Error> {
        let mut looked = 0_usize;
        loop {
            let from = looked.saturating_sub(1);
            if let Some(at) = memmem::find(&self.buffer[from..], b"\r\n") {
                let line = self.buffer.split_to(from + at).freeze();
                self.buffer.advance(2);
                return Ok(line);
            }
            looked = self.buffer.len();
            if looked > LONGEST_LINE {
                return Err(Error::content("a line of the protocol does not end"));
            }
            self.fill().await?;
        }
    }

    /// The next so many bytes, and the end of the line after them.
    pub(super) async fn block(&mut self, size: usize) -> Result<Bytes, Error> {
        self.buffer
            .reserve((size + 2).saturating_sub(self.buffer.len()));
        while self.buffer.len() < size + 2 {
            self.fill().await?;
        }
        let block = self.buffer.split_to(size).freeze();
        if !self.buffer.starts_with(b"\r\n") {
            return Err(Error::content("a value of the protocol has no end"));
        }
        self.buffer.advance(2);
        Ok(block)
    }

    /// Reads more; nothing is lost where that is not waited for.
    async fn fill(&mut self) -> Result<(), Error> {
        self.buffer.reserve(8 << 10);
        match timeout(self.silence, self.stream.read_buf(&mut self.buffer)).await {
            Err(_) => Err(silent(self.silence)),
            Ok(Err(error)) => Err(broken(error)),
            Ok(Ok(0)) => Err(Error::new(
                Kind::Truncated,
                "the server closed the connection",
            )),
            Ok(Ok(count)) => {
                self.meter.bytes(count);
                Ok(())
            }
        }
    }
}

fn broken(error: std::io::Error) -> Error {
    Error::new(Kind::Connection, format!("the connection broke: {error}")).with_source(error)
}

fn silent(limit: Duration) -> Error {
    Error::new(
        Kind::Timeout,
        format!("no byte for {} s", limit.as_secs_f64()),
    )
}

#[cfg(any(test, feature = "internals"))]
impl Wire {
    /// A connection on which these chunks come, and then its end.
    pub(super) fn over(chunks: std::collections::VecDeque<Bytes>) -> Self {
        Wire {
            stream: Box::new(Chunks(chunks)),
            buffer: BytesMut::new(),
            meter: Arc::default(),
            silence: Duration::from_secs(600),
            host: String::new(),
        }
    }
}

/// What comes chunk by chunk, and takes whatever is written.
#[cfg(any(test, feature = "internals"))]
struct Chunks(std::collections::VecDeque<Bytes>);

#[cfg(any(test, feature = "internals"))]
impl AsyncRead for Chunks {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let chunks = &mut self.get_mut().0;
        while chunks.front().is_some_and(Bytes::is_empty) {
            chunks.pop_front();
        }
        if let Some(chunk) = chunks.front_mut() {
            let count = chunk.len().min(buffer.remaining());
            buffer.put_slice(&chunk.split_to(count));
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(any(test, feature = "internals"))]
impl AsyncWrite for Chunks {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
