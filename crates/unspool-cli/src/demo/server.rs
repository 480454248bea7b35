//! What the servers of the demo stand on: connections on loopback, and answers.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::Stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::http::response::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

pub(super) type Reply = Response<BoxBody<Bytes, io::Error>>;

/// Answers the requests to a free port of loopback for as long as the runtime lives; an
/// error drops the connection.
pub(super) async fn listen<F>(
    reply: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
) -> io::Result<SocketAddr>
where
    F: Future<Output = io::Result<Reply>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let serving = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(connection), service_fn(reply.clone()));
            // An error is a connection that was dropped, by the client or on purpose.
            tokio::spawn(async move { drop(serving.await) });
        }
    });
    Ok(address)
}

/// An answer whose body is there.
pub(super) fn whole(reply: Builder, body: impl Into<Bytes>) -> io::Result<Reply> {
    let body = Full::new(body.into()).map_err(|never: Infallible| match never {});
    reply.body(body.boxed()).map_err(io::Error::other)
}

/// An answer whose body comes in pieces.
pub(super) fn streamed(
    reply: Builder,
    pieces: impl Stream<Item = io::Result<Frame<Bytes>>> + Send + Sync + 'static,
) -> io::Result<Reply> {
    let body = BoxBody::new(StreamBody::new(pieces));
    reply.body(body).map_err(io::Error::other)
}
