//! The API that the demo pulls: pages with `Link` headers, compressed, with faults.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LINK, RETRY_AFTER};
use hyper::{Request, Response, StatusCode};
use serde_json::json;

use super::server::{Reply, listen, streamed, whole};

pub(super) const ITEMS: usize = 5_000;
pub(super) const PAGES: usize = 50;
const PER_PAGE: usize = ITEMS / PAGES;

/// How long a page takes where they come slowly.
const PAUSE: Duration = Duration::from_millis(20);

/// The pages at which the API misbehaves, once each.
const SLOW_DOWN_AT: usize = 17;
const DROP_AT: usize = 33;

/// A server on loopback, for as long as the runtime lives.
pub(super) struct Api {
    address: SocketAddr,
}

#[derive(Default)]
struct Faults {
    slowed_down: AtomicBool,
    dropped: AtomicBool,
}

impl Api {
    pub(super) async fn start() -> io::Result<Self> {
        let faults = Arc::new(Faults::default());
        let address = listen(move |request| {
            let reply = reply(&request, &faults);
            let is_slow = request.uri().path() == "/slowly";
            async move {
                if is_slow {
                    tokio::time::sleep(PAUSE).await;
                }
                reply
            }
        })
        .await?;
        Ok(Api { address })
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// The answer to a request; an error drops the connection.
fn reply(request: &Request<Incoming>, faults: &Faults) -> io::Result<Reply> {
    let number = |query: &str| query.strip_prefix("page=")?.parse().ok();
    let page = request.uri().query().and_then(number).unwrap_or(1);
    match request.uri().path() {
        "/posts" if page == SLOW_DOWN_AT && !faults.slowed_down.swap(true, Relaxed) => {
            let reply = Response::builder()
                .status(StatusCode::TOO_MANY_REQUESTS)
                .header(RETRY_AFTER, 1);
            whole(reply, "slow down")
        }
        "/posts" if page == DROP_AT && !faults.dropped.swap(true, Relaxed) => {
            Err(io::ErrorKind::ConnectionReset.into())
        }
        "/posts" | "/slowly" if page > 0 => posts(page),
        "/notes" => notes(request.uri().query()),
        "/cut" => cut(),
        _ => whole(
            Response::builder().status(StatusCode::NOT_FOUND),
            "try /posts",
        ),
    }
}

/// A page; those after the last are empty, as they are with most APIs.
fn posts(page: usize) -> io::Result<Reply> {
    let before = (page - 1).min(PAGES) * PER_PAGE;
    let items: Vec<_> = (before + 1..=page.min(PAGES) * PER_PAGE)
        .map(post)
        .collect();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(json!(items).to_string().as_bytes())?;
    let mut reply = Response::builder()
        .header(CONTENT_TYPE, "application/json")
        .header(CONTENT_ENCODING, "gzip")
        .header("x-total-count", ITEMS);
    if page < PAGES {
        reply = reply.header(LINK, format!("<?page={}>; rel=\"next\"", page + 1));
    }
    whole(reply, gzip.finish()?)
}

/// Six notes, two a page, by a token in `after`.
fn notes(query: Option<&str>) -> io::Result<Reply> {
    const TOKENS: [&str; 2] = ["bm90ZTI", "bm90ZTQ"];
    let token = query.and_then(|query| query.strip_prefix("after="));
    let page = TOKENS.iter().position(|known| Some(*known) == token);
    let page = page.map_or(0, |index| index + 1);
    let notes = [2 * page + 1, 2 * page + 2].map(|id| json!({"id": id, "text": "remember"}));
    let body = json!({"notes": notes, "paging": {"next_token": TOKENS.get(page), "total": 6}});
    let reply = Response::builder().header(CONTENT_TYPE, "application/json");
    whole(reply, body.to_string())
}

fn post(id: usize) -> serde_json::Value {
    const AUTHORS: [&str; 4] = ["Ada", "Barbara", "Grace", "Radia"];
    const THINGS: [&str; 5] = [
        "loops",
        "engines",
        "spanning trees",
        "compilers",
        "abstractions",
    ];
    json!({
        "id": id,
        "author": AUTHORS[id % AUTHORS.len()],
        "title": format!("On {}, part {}", THINGS[id % THINGS.len()], id / THINGS.len() + 1),
        "words": 200 + id * 37 % 1000,
    })
}

/// A body that states a length and stops before it.
fn cut() -> io::Result<Reply> {
    let begin = format!("[{},{},{{\"id\": 3, \"aut", post(1), post(2));
    let pieces = unspool::stream! {
        yield Ok(Frame::data(Bytes::from(begin)));
        // While the body has nothing to send, what there is goes out.
        tokio::time::sleep(Duration::from_millis(20)).await;
        yield Err(io::ErrorKind::ConnectionReset.into());
    };
    let reply = Response::builder()
        .header(CONTENT_TYPE, "application/json")
        .header(CONTENT_LENGTH, 10_000);
    streamed(reply, pieces)
}
