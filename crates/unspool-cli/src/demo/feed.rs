//! The feed that the demo follows: it numbers its events, breaks its connections, and once
//! forgets some of what it was to send again.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Frame, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Response, StatusCode};

use super::server::{Reply, listen, streamed, whole};

/// How many events there are.
pub(super) const EVENTS: u64 = 12;

/// How many of them a connection lives for.
const STEP: u64 = 4;

/// Between two events.
const PAUSE: Duration = Duration::from_millis(20);

/// A server on loopback, for as long as the runtime lives.
pub(super) struct Feed {
    address: SocketAddr,
}

impl Feed {
    pub(super) async fn start() -> io::Result<Self> {
        let address = listen(reply).await?;
        Ok(Feed { address })
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

async fn reply(request: Request<Incoming>) -> io::Result<Reply> {
    let after = request.headers().get("last-event-id");
    let after = after.and_then(|id| id.to_str().ok()?.parse::<u64>().ok());
    let forgets = request.uri().path() == "/forgetful";
    let after = match after.unwrap_or(0) {
        after if forgets && after > 0 => after.max(EVENTS - STEP / 2),
        after => after,
    };
    if after >= EVENTS {
        let reply = Response::builder().status(StatusCode::NO_CONTENT);
        return whole(reply, Bytes::new());
    }
    let events = unspool::stream! {
        for id in after + 1..=EVENTS.min(after + STEP) {
            let event = format!("event: tick\nid: {id}\ndata: {{\"n\": {id}}}\n\n");
            yield Ok(Frame::data(event.into()));
            tokio::time::sleep(PAUSE).await;
        }
        yield Err(io::ErrorKind::ConnectionReset.into());
    };
    streamed(
        Response::builder().header(CONTENT_TYPE, "text/event-stream"),
        events,
    )
}
