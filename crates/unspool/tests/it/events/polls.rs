//! Feeds that are asked again and again.

use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use test_servers::Reply;
use unspool::events::{Doubt, Ended, Request};
use unspool::{Position, Source};

use super::{Server, data, drain, serving};

/// A server that answers each request so.
fn serving_path(
    reply: impl Fn(&crate::server::Request) -> Reply + Send + Sync + 'static,
) -> Server {
    Server::start(reply)
}

fn polled(server: &Server) -> Request {
    unspool::events(server.url("/feed"))
        .first_wait(Duration::from_millis(1))
        .reconnects(5)
        .every(Duration::from_millis(1))
}

/// A page of items with these ids.
fn page(ids: impl IntoIterator<Item = u64>) -> Reply {
    let items: Vec<String> = (ids.into_iter())
        .map(|id| format!("{{\"id\":{id}}}"))
        .collect();
    Reply::json(format!("[{}]", items.join(",")))
}

fn texts(ids: impl IntoIterator<Item = u64>) -> Vec<String> {
    ids.into_iter()
        .map(|id| format!("{{\"id\":{id}}}"))
        .collect()
}

#[tokio::test]
async fn what_is_new_is_handed_out_oldest_first() {
    for newest_first in [false, true] {
        let server = serving(move |connection, _| {
            let last = 3 + connection as u64;
            if newest_first {
                page((last - 2..=last).rev())
            } else {
                page(last - 2..=last)
            }
        });
        let request = polled(&server).id("/id".parse().unwrap());
        let (found, account) = drain(request.until("/id=9".parse().unwrap()).events()).await;
        let account = account.unwrap();
        assert!(account.complete && account.doubts.is_empty(), "{account:?}");
        assert_eq!(data(&found), texts(1..=9));
        // Without ids, the second page tells.
        let server = serving(move |connection, _| match (connection, newest_first) {
            (0, _) => page([1]),
            (_, true) => page([3, 2, 1]),
            (_, false) => page([1, 2, 3]),
        });
        let request = polled(&server).until("/id=3".parse().unwrap());
        let (found, _) = drain(request.events()).await;
        assert_eq!(data(&found), texts(1..=3));
    }
}

#[tokio::test]
async fn an_item_that_changes_is_the_same_by_its_id() {
    let server = serving(|connection, _| match connection {
        0..3 => Reply::json(format!(
            r#"{{"items": [{{"id": 1, "votes": {connection}}}]}}"#
        )),
        _ => Reply::json(r#"{"items": [{"id": 1, "votes": 9}, {"id": 2}]}"#),
    });
    let request = polled(&server).items_at("/items".parse().unwrap());
    let by_id = request
        .id("/id".parse().unwrap())
        .until("/id=2".parse().unwrap());
    let (found, _) = drain(by_id.events()).await;
    assert_eq!(data(&found), [r#"{"id": 1, "votes": 0}"#, r#"{"id": 2}"#]);
    assert_eq!(&*found[1].id, "2");
}

#[tokio::test]
async fn a_page_that_has_nothing_of_the_one_before_is_a_gap() {
    let server = serving(|connection, _| match connection {
        0 => page(1..=3),
        1 => page(3..=5),
        _ => page(7..=9),
    });
    let request = polled(&server).until("/id=9".parse().unwrap());
    let (found, account) = drain(request.events()).await;
    assert_eq!(data(&found), texts([1, 2, 3, 4, 5, 7, 8, 9]));
    assert_eq!(account.unwrap().doubts, [Doubt::NoOverlap]);
}

#[tokio::test]
async fn a_document_that_has_not_changed_is_not_sent_again() {
    let tagged = |tag: &str, body: &str| {
        Reply::status(200)
            .header("etag", tag)
            .header("last-modified", "then")
            .body(body)
    };
    let count = std::sync::atomic::AtomicU64::new(0);
    let server = Server::start(move |request| {
        match (
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
            request.header("if-none-match"),
        ) {
            (0, None) => tagged("\"a\"", "[1,2]"),
            (1..4, Some("\"a\"")) => Reply::status(304),
            (_, Some("\"a\"")) => tagged("\"b\"", "[2,3]"),
            _ => Reply::status(400).body("no"),
        }
    });
    let request = polled(&server).until("=3".parse().unwrap());
    let (found, account) = drain(request.events()).await;
    assert_eq!(data(&found), ["1", "2", "3"]);
    assert!(account.unwrap().doubts.is_empty());
    assert_eq!(
        server.requests()[1].header("if-modified-since"),
        Some("then")
    );
}

#[tokio::test]
async fn the_upstream_says_how_often_it_may_be_asked() {
    let server = serving(|connection, _| {
        Reply::status(200)
            .header("x-poll-interval", 1)
            .body(format!("[{connection}]"))
    });
    let begin = Instant::now();
    let mut feed = polled(&server).events();
    for _ in 0..2 {
        feed.next().await.unwrap().unwrap();
    }
    assert!(begin.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_failure_is_an_error_at_first_and_waited_out_later() {
    let server = serving(|_, _| Reply::status(503).body("busy"));
    let (_, error) = drain(polled(&server).events()).await;
    assert_eq!(error.unwrap_err().status(), Some(503));
    let server = serving(|connection, _| match connection {
        0 => page(1..=2),
        1 => Reply::status(503).body("busy"),
        2 => Reply::drop_connection(),
        _ => page(1..=3),
    });
    let request = polled(&server).until("/id=3".parse().unwrap());
    let (found, account) = drain(request.events()).await;
    assert_eq!(data(&found), texts(1..=3));
    assert!(account.unwrap().complete);
}

#[tokio::test]
async fn a_resumed_poll_hands_out_what_is_new_since() {
    let first = serving(|_, _| page(1..=3));
    let mut feed = polled(&first).events();
    for _ in 0..2 {
        feed.next().await.unwrap().unwrap();
    }
    let position = serde_json::to_value(feed.position().unwrap()).unwrap();
    drop(feed);
    let second = serving(|_, _| page(2..=5));
    let text = position
        .to_string()
        .replace(&first.url(""), &second.url(""));
    let position: Position = serde_json::from_str(&text).unwrap();
    let request = polled(&second)
        .from(position)
        .until("/id=5".parse().unwrap());
    let (found, _) = drain(request.events()).await;
    assert_eq!(data(&found), texts(3..=5));
}

/// A server that gives three items after its cursor, which is the last number, and keeps
/// none that it was told of.
fn cursors(count: u64) -> Server {
    Server::start(move |request| {
        let since: u64 = request
            .query("since")
            .map_or(0, |since| since.parse().unwrap());
        let last = count.min(since + 3);
        let items: Vec<u64> = (since + 1..=last).collect();
        Reply::json(format!(r#"{{"items": {items:?}, "next": "{last}"}}"#))
    })
}

fn long_polled(server: &Server) -> Request {
    unspool::events(server.url("/feed"))
        .first_wait(Duration::from_millis(1))
        .cursor("/next".parse().unwrap())
        .resume_as("since".parse().unwrap())
        .items_at("/items".parse().unwrap())
}

#[tokio::test]
async fn the_cursor_of_an_answer_is_sent_once_its_items_are_taken() {
    let server = cursors(9);
    let mut feed = long_polled(&server).events();
    for number in 1..=7_usize {
        let event = feed.next().await.unwrap().unwrap();
        assert_eq!(&*event.data, number.to_string());
        assert_eq!(server.requests().len(), number.div_ceil(3));
    }
    assert_eq!(
        server.targets(),
        ["/feed", "/feed?since=3", "/feed?since=6"]
    );
}

#[tokio::test]
async fn a_cursor_waits_until_all_items_before_it_are_acknowledged() {
    let server = cursors(9);
    let mut feed = long_polled(&server).await_durable().events();
    let mut positions = Vec::new();
    for _ in 0..3 {
        feed.next().await.unwrap().unwrap();
        positions.push(feed.position().unwrap());
    }
    for position in &positions[..2] {
        Pin::new(&mut feed).acknowledge(position);
        assert!(feed.next().now_or_never().is_none());
        assert!(feed.awaits_durable());
    }
    assert_eq!(server.requests().len(), 1);
    Pin::new(&mut feed).acknowledge(&positions[2]);
    assert!(!feed.awaits_durable());
    assert_eq!(&*feed.next().await.unwrap().unwrap().data, "4");
}

#[tokio::test]
async fn a_resumed_long_poll_asks_for_the_answer_of_its_last_item_again() {
    let server = cursors(9);
    for count in 1..=8 {
        let mut feed = long_polled(&server).events();
        for _ in 0..count {
            feed.next().await.unwrap().unwrap();
        }
        let position = feed.position().unwrap();
        drop(feed);
        let request = long_polled(&server)
            .from(position)
            .until("=9".parse().unwrap());
        let (found, account) = drain(request.events()).await;
        let rest: Vec<String> = (count + 1..=9)
            .map(|number: u64| number.to_string())
            .collect();
        assert_eq!(data(&found), rest, "after {count}");
        assert!(account.unwrap().doubts.is_empty());
    }
}

#[tokio::test]
async fn an_empty_answer_is_not_asked_for_in_a_storm() {
    let server = cursors(2);
    let request = long_polled(&server).stop_after(Duration::from_millis(350));
    let (found, _) = drain(request.events()).await;
    assert_eq!(found.len(), 2);
    assert!(server.requests().len() <= 6, "{}", server.requests().len());
}

#[tokio::test]
async fn what_does_not_fit_together_is_refused_before_anything_is_sent() {
    let server = serving(|_, _| page(1..=1));
    let requests = [
        polled(&server).cursor("/next".parse().unwrap()),
        polled(&server).transport("sse".parse().unwrap()),
        unspool::events(server.url("/")).transport("poll".parse().unwrap()),
        unspool::events(server.url("/")).cursor("/next".parse().unwrap()),
    ];
    for request in requests {
        let (_, error) = drain(request.events()).await;
        assert!(error.unwrap_err().is_request());
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn the_next_request_may_have_the_number_after_the_last_item() {
    // As Telegram has it: an offset tells it to forget the updates before.
    let server = serving_path(|request| {
        let offset: u64 = request
            .query("offset")
            .map_or(1, |offset| offset.parse().unwrap());
        let updates: Vec<String> = (offset..(offset + 2).min(6))
            .map(|id| format!("{{\"update_id\":{id}}}"))
            .collect();
        Reply::json(format!(
            "{{\"ok\":true,\"result\":[{}]}}",
            updates.join(",")
        ))
    });
    let request = || {
        unspool::events(server.url("/bot123:hush-hush/getUpdates"))
            .transport("long-poll".parse().unwrap())
            .items_at("/result".parse().unwrap())
            .position("/update_id".parse().unwrap())
            .resume_as("offset+1".parse().unwrap())
    };
    let mut feed = request().events();
    for id in 1..=3 {
        let event = feed.next().await.unwrap().unwrap();
        assert_eq!(event.id, id.to_string());
    }
    let offsets = |server: &Server| -> Vec<Option<String>> {
        let requests = server.requests().into_iter();
        requests
            .map(|request| request.query("offset").map(str::to_owned))
            .collect()
    };
    assert_eq!(offsets(&server), [None, Some("3".to_owned())]);
    let position = serde_json::to_string(&feed.position().unwrap()).unwrap();
    assert!(!position.contains("hush"), "{position}");
    let mut feed = request()
        .from(serde_json::from_str(&position).unwrap())
        .events();
    assert_eq!(feed.next().await.unwrap().unwrap().id, "4");
    assert_eq!(offsets(&server).last().unwrap().as_deref(), Some("4"));
    let without = request().position("/other".parse().unwrap());
    let (_, error) = drain(without.events()).await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("no position at `/other`"), "{text}");
    assert!(
        text.contains("getUpdates") && !text.contains("hush"),
        "{text}"
    );
}

#[tokio::test]
async fn an_answer_may_be_followed_by_what_it_says_of_itself() {
    let server = serving_path(|request| {
        let number = match (
            request.header("if-none-match"),
            request.header("if-modified-since"),
        ) {
            (None, None) => 1,
            (Some(tag), Some("Fri, 27 Nov 2026 00:00:00 GMT")) => tag.parse::<u64>().unwrap() + 1,
            other => panic!("{other:?}"),
        };
        if number > 3 {
            return Reply::status(304);
        }
        page(number..=number)
            .header("etag", number)
            .header("last-modified", "Fri, 27 Nov 2026 00:00:00 GMT")
    });
    let request = || unspool::events(server.url("/feed")).transport("long-poll".parse().unwrap());
    let mut feed = request().events();
    for number in 1..=2 {
        assert_eq!(
            *feed.next().await.unwrap().unwrap().data,
            texts([number])[0]
        );
    }
    let mut feed = request().from(feed.position().unwrap()).events();
    assert_eq!(*feed.next().await.unwrap().unwrap().data, texts([3])[0]);
    assert!(feed.account().doubts.is_empty());
}

#[tokio::test]
async fn once_is_one_answer() {
    let server = Server::start(|_| Reply::json("[1, 2]"));
    let polled = || unspool::events(server.url("/feed")).once();
    let cursor = || polled().cursor("/next".parse().unwrap());
    for request in [
        polled().every(Duration::from_millis(1)),
        polled().transport("long-poll".parse().unwrap()),
        cursor().resume_as("since".parse().unwrap()),
    ] {
        let (found, account) = drain(request.events()).await;
        assert_eq!(data(&found), ["1", "2"]);
        let account = account.unwrap();
        assert_eq!(account.ended, Ended::EndOfBody);
        assert!(account.complete && account.requests == 1, "{account:?}");
    }
    // Nothing new is an answer as well.
    let server = Server::start(|_| Reply::json("[]"));
    let request = unspool::events(server.url("/feed")).once();
    let (found, account) = drain(request.every(Duration::from_millis(1)).events()).await;
    assert_eq!((found.len(), account.unwrap().requests), (0, 1));
}
