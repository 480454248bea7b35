//! Feeds of JSON texts over HTTP.

use std::time::Duration;

use test_servers::Reply;
use unspool::ErrorKind;
use unspool::events::{Doubt, Ended, Request};

use super::{Server, check_whole, data, drain};

/// The head of a feed of this media type, in chunks.
fn stream(media: &str) -> Reply {
    Reply::status(200).header("content-type", media).chunked()
}

fn lines(range: impl IntoIterator<Item = u64>) -> String {
    (range.into_iter())
        .map(|seq| format!("{{\"seq\":{seq}}}\n"))
        .collect()
}

fn texts(range: impl IntoIterator<Item = u64>) -> Vec<String> {
    range
        .into_iter()
        .map(|seq| format!("{{\"seq\":{seq}}}"))
        .collect()
}

/// A feed of numbers that goes on after `since`, with so many in all: each connection does
/// this with what comes after.
fn numbers(serve: impl Fn(u64) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |request| {
        serve(
            request
                .query("since")
                .map_or(0, |since| since.parse().unwrap()),
        )
    })
}

fn feed(server: &Server) -> Request {
    unspool::events(server.url("/feed"))
        .first_wait(Duration::from_millis(1))
        .reconnects(5)
}

fn with_position(server: &Server) -> Request {
    (feed(server).position("/seq".parse().unwrap())).resume_as("since".parse().unwrap())
}

#[tokio::test]
async fn values_may_follow_each_other_in_every_way() {
    let spaced = "{\"seq\":1}\n\n\r\n{\"seq\":2}\r\n   {\"seq\":3}";
    for (media, body) in [
        (
            "application/x-ndjson",
            "{\"seq\":1}\n{\"seq\":2}\n{\"seq\":3}\n",
        ),
        ("application/jsonl; charset=utf-8", spaced),
        ("application/json", "{\"seq\":1}{\"seq\":2}{\"seq\":3}"),
        (
            "application/stream+json",
            "{\"seq\":1} {\"seq\":2}\n{\"seq\":3}",
        ),
        (
            "application/json-seq",
            "\u{1e}{\"seq\":1}\n\u{1e}{\"seq\":2}\n\u{1e}{\"seq\":3}\n",
        ),
    ] {
        for size in [1, 7, 1000] {
            let server = Server::start(move |_| {
                let chunks = body.as_bytes().chunks(size);
                chunks
                    .fold(stream(media), |reply, chunk| reply.chunk(chunk))
                    .last_chunk()
            });
            let found = drain(feed(&server).once().events()).await;
            check_whole(&found, &texts(1..=3));
        }
    }
}

#[tokio::test]
async fn a_feed_goes_on_after_its_position_however_its_body_ended() {
    let server = numbers(|since| match since {
        0 => stream("application/x-ndjson")
            .chunk(lines(1..=3))
            .chunk("{\"se")
            .close(),
        3 => stream("application/x-ndjson")
            .chunk(lines(4..=6))
            .last_chunk(),
        6 => stream("application/x-ndjson").chunk("\n\n").close(),
        _ => Reply::status(204),
    });
    let request = with_position(&server).until("/seq=6".parse().unwrap());
    let found = drain(request.events()).await;
    check_whole(&found, &texts(1..=6));
    assert_eq!(&*found.0[2].id, "3");
    assert_eq!(server.targets(), ["/feed", "/feed?since=3"]);
}

#[tokio::test]
async fn a_body_that_ends_is_an_error_where_nothing_says_where_to_go_on() {
    let server = numbers(|_| {
        stream("application/x-ndjson")
            .chunk(lines(1..=2))
            .last_chunk()
    });
    let (found, error) = drain(feed(&server).events()).await;
    let error = error.unwrap_err();
    assert_eq!(data(&found), texts(1..=2));
    assert!(
        error.is_truncated() && error.to_string().contains("needs a position"),
        "{error}"
    );
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_connection_that_breaks_without_a_position_is_a_doubt() {
    let server = Server::start({
        let count = std::sync::atomic::AtomicU64::new(0);
        move |_| match count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => stream("application/x-ndjson").chunk(lines(1..=2)).close(),
            _ => stream("application/x-ndjson")
                .chunk(lines(5..=5))
                .last_chunk(),
        }
    });
    let (found, account) = drain(feed(&server).once().events()).await;
    assert_eq!(data(&found), ["{\"seq\":1}", "{\"seq\":2}", "{\"seq\":5}"]);
    let doubts = account.unwrap().doubts.clone();
    assert!(
        matches!(&doubts[..], [Doubt::NoPosition { .. }]),
        "{doubts:?}"
    );
}

#[tokio::test]
async fn blank_lines_are_signs_of_life() {
    let server = numbers(|_| {
        let beat = |reply: Reply, _| reply.pause(Duration::from_millis(40)).chunk("\n");
        let reply = (0..6).fold(stream("application/json"), beat);
        reply.chunk(lines(1..=1)).last_chunk()
    });
    let request = feed(&server).once().idle(Duration::from_millis(200));
    check_whole(&drain(request.events()).await, &texts(1..=1));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn the_last_line_of_couchdb_is_no_event() {
    let server = numbers(|since| {
        let last = "{\"last_seq\":2,\"pending\":0}\n";
        let body = if since == 0 {
            lines(1..=2)
        } else {
            String::new()
        };
        stream("application/json").chunk(body + last).last_chunk()
    });
    let found = drain(with_position(&server).once().events()).await;
    check_whole(&found, &texts(1..=2));
    assert_eq!(found.1.unwrap().ended, Ended::EndOfBody);
}

#[tokio::test]
async fn a_position_that_is_too_old_by_the_words_of_an_item_is_a_doubt() {
    let expired = "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410}}\n";
    let server = Server::start({
        let count = std::sync::atomic::AtomicU64::new(0);
        move |_| match count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => stream("application/json").chunk(lines(1..=2)).last_chunk(),
            1 => stream("application/json").chunk(expired).last_chunk(),
            _ => stream("application/json").chunk(lines(9..=9)).last_chunk(),
        }
    });
    let request = with_position(&server).until("/seq=9".parse().unwrap());
    let (found, account) = drain(request.events()).await;
    assert_eq!(data(&found), ["{\"seq\":1}", "{\"seq\":2}", "{\"seq\":9}"]);
    assert_eq!(server.targets(), ["/feed", "/feed?since=2", "/feed"]);
    let doubts = account.unwrap().doubts.clone();
    assert_eq!(doubts, [Doubt::PositionRefused { status: 410 }]);
}

#[tokio::test]
async fn a_boundary_that_comes_twice_is_handed_out_once() {
    let server = numbers(|since| {
        let begin = since.max(1);
        match since {
            5 => Reply::status(204),
            _ => stream("application/json")
                .chunk(lines(begin..=5.min(begin + 2)))
                .last_chunk(),
        }
    });
    let found = drain(with_position(&server).events()).await;
    check_whole(&found, &texts(1..=5));
}

#[tokio::test]
async fn what_is_no_json_is_an_error() {
    let server = numbers(|_| stream("text/plain").chunk("hello\n").last_chunk());
    let (_, error) = drain(feed(&server).events()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Content);
    let pinned = feed(&server).transport("ndjson".parse().unwrap());
    let (_, error) = drain(pinned.events()).await;
    let error = error.unwrap_err();
    assert!(
        error.to_string().contains("not JSON: expected a value"),
        "{error}"
    );
    assert_eq!(server.requests().len(), 2);
}
