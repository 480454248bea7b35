//! Each request of a walk in turn goes wrong in each way that there is: the items are
//! those of a walk without faults, or the walk says that they are not.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use unspool::pages::{Cursor, LastKey, LinkHeader, NextUrl, Offset, PageNumber, Paginate, Request};

use crate::server::{Reply, Request as Asked, Server, numbers};

const PAGES: u64 = 5;
const SIZE: u64 = 4;

/// Its name, what is answered in the place of a body, and whether the walk is whole.
type Fault = (&'static str, fn(&str) -> Reply, bool);

/// What can happen to a request, and whether the walk is to be whole after it.
const FAULTS: &[Fault] = &[
    ("dropped", |_| Reply::drop_connection(), true),
    (
        "cut in the head",
        |_| Reply::bytes("HTTP/1.1 200 OK\r\nconte"),
        true,
    ),
    ("cut in an item", |body| cut(body, body.len() / 2), true),
    (
        "cut before the last byte",
        |body| cut(body, body.len() - 1),
        true,
    ),
    (
        "429",
        |_| Reply::status(429).header("retry-after", 0).body("slow"),
        true,
    ),
    ("500", |_| Reply::status(500).body("oops"), true),
    ("503", |_| Reply::status(503).body(""), true),
    (
        "HTML",
        |_| {
            Reply::status(200)
                .header("content-type", "text/html")
                .body("<html>busy</html>")
        },
        false,
    ),
    ("an empty body", |_| Reply::status(200).body(""), true),
    (
        "an error in the place of the items",
        |_| Reply::json(r#"{"errors": [{"message": "busy"}], "data": []}"#),
        true,
    ),
    ("403", |_| Reply::status(403).body("no"), false),
];

fn cut(body: &str, length: usize) -> Reply {
    Reply::status(200).cut(&body.as_bytes()[..length], body.len())
}

/// A page in the form that the kind wants, with a `Link` for those who follow that.
fn good(asked: &Asked) -> Reply {
    let (body, end) = page_and_end(asked);
    let reply = match end < PAGES * SIZE {
        true => Reply::status(200).header("link", format!("<?offset={end}>; rel=next")),
        false => Reply::status(200),
    };
    reply.body(body)
}

fn page(asked: &Asked) -> String {
    page_and_end(asked).0
}

/// The body of a page, and the number after its last item.
fn page_and_end(asked: &Asked) -> (String, u64) {
    let number = |name: &str| asked.query(name).and_then(|text| text.parse::<u64>().ok());
    let begin = (number("offset"))
        .or(number("token"))
        .or(number("key").map(|key| key + 1))
        .unwrap_or_else(|| (asked.page() - 1) * SIZE);
    let end = (begin + SIZE).min(PAGES * SIZE);
    let items = numbers(begin.min(end)..end);
    let (next, url) = match end < PAGES * SIZE {
        true => (format!(r#""{end}""#), format!(r#""?offset={end}""#)),
        false => ("null".to_owned(), "null".to_owned()),
    };
    let body = format!(
        r#"{{"data": {items}, "next": {next}, "next_url": {url}, "total": {}}}"#,
        PAGES * SIZE
    );
    (body, end)
}

/// A kind of pagination, by name.
type Named = (&'static str, fn() -> Paginate);

fn kinds() -> Vec<Named> {
    vec![
        ("page", || PageNumber::new("page").into()),
        ("offset", || Offset::new("offset").into()),
        ("cursor", || {
            Cursor::new("/next".parse::<unspool::Pointer>().unwrap(), "token").into()
        }),
        ("link", || LinkHeader::new().into()),
        ("next", || {
            NextUrl::at("/next_url".parse::<unspool::Pointer>().unwrap()).into()
        }),
        ("last", || {
            LastKey::new(unspool::Pointer::default(), "key").into()
        }),
    ]
}

fn request(server: &Server, kind: fn() -> Paginate, in_flight: usize) -> Request {
    unspool::pages(server.url("/"))
        .paginate(kind())
        .first_wait(Duration::from_millis(1))
        .timeout(Duration::from_secs(5))
        .in_flight(in_flight)
}

/// The items of a walk, which goes on from its position where it fails, and whether it
/// was complete in the end.
async fn walk(make: impl Fn() -> Request, goes_on: bool) -> (Vec<String>, bool) {
    let mut items = Vec::new();
    let mut position = None;
    for _ in 0..10 {
        let request = match position.take() {
            None => make(),
            Some(position) => make().from(position),
        };
        let mut pages = request.raw();
        let mut has_failed = false;
        while let Some(item) = pages.next().await {
            match item {
                Ok(item) => items.push(item.as_str().to_owned()),
                Err(_) => has_failed = true,
            }
        }
        position = pages.position();
        if !has_failed || !goes_on {
            return (items, pages.account().complete);
        }
    }
    panic!("the walk does not get on: {position:?}");
}

#[tokio::test]
async fn a_fault_of_any_request_is_made_good_or_said() {
    let expected: Vec<String> = (0..PAGES * SIZE).map(|number| number.to_string()).collect();
    for (kind, make) in kinds() {
        for in_flight in [1, 3] {
            for (fault, reply, is_made_good) in FAULTS {
                for faulty in 0..PAGES as usize {
                    let count = Arc::new(AtomicUsize::new(0));
                    let asked = Arc::clone(&count);
                    let server = Server::start(move |request| {
                        let body = page(request);
                        match asked.fetch_add(1, SeqCst) == faulty {
                            true => reply(&body),
                            false => good(request),
                        }
                    });
                    let name = format!("{kind}, {in_flight} in flight, {fault} at {faulty}");
                    let (items, is_complete) =
                        walk(|| request(&server, make, in_flight), false).await;
                    assert_eq!(is_complete, *is_made_good, "{name}");
                    assert_eq!(items, expected[..items.len()], "{name}");
                    if *is_made_good {
                        assert_eq!(items.len(), expected.len(), "{name}");
                    }
                    // The same fault, and then on from where the walk stood.
                    count.store(0, SeqCst);
                    let (items, is_complete) =
                        walk(|| request(&server, make, in_flight), true).await;
                    assert!(is_complete, "{name}");
                    assert_eq!(items, expected, "{name}");
                }
            }
        }
    }
}

/// Pages that are wrong in themselves: what came is not what there is, which is seen.
#[tokio::test]
async fn a_page_that_comes_twice_or_empty_is_seen() {
    for (kind, make) in kinds() {
        for in_flight in [1, 3] {
            for faulty in 1..PAGES as usize {
                for fault in ["first page again", "empty"] {
                    let count = AtomicUsize::new(0);
                    let server = Server::start(move |request| {
                        let is_faulty = count.fetch_add(1, SeqCst) == faulty;
                        match (is_faulty, fault) {
                            (false, _) => good(request),
                            (true, "empty") => {
                                Reply::json(r#"{"data": [], "next": null, "total": 20}"#)
                            }
                            (true, _) => {
                                let next = r#""next": "4", "next_url": "?offset=4""#;
                                Reply::status(200)
                                    .header("link", "<?offset=4>; rel=next")
                                    .body(format!(r#"{{"data": [0,1,2,3], {next}, "total": 20}}"#))
                            }
                        }
                    });
                    let (items, is_complete) =
                        walk(|| request(&server, make, in_flight), false).await;
                    let name = format!("{kind}, {in_flight} in flight, {fault} at {faulty}");
                    let distinct: std::collections::BTreeSet<&String> = items.iter().collect();
                    let is_whole = items.len() == 20 && distinct.len() == 20;
                    assert!(is_whole || !is_complete, "{name}: {} items", items.len());
                }
            }
        }
    }
}

/// Longer than anyone waits, once for each request.
#[tokio::test]
async fn an_answer_that_does_not_come_is_asked_for_again() {
    let expected: Vec<String> = (0..PAGES * SIZE).map(|number| number.to_string()).collect();
    for (kind, make) in kinds() {
        for in_flight in [1, 3] {
            let asked: Mutex<HashSet<String>> = Mutex::default();
            let server = Server::start(move |request| {
                let is_first = asked.lock().unwrap().insert(request.target.clone());
                match is_first {
                    true => Reply::silence(),
                    false => good(request),
                }
            });
            let patience = Duration::from_millis(250);
            let (items, is_complete) = walk(
                || request(&server, make, in_flight).timeout(patience),
                false,
            )
            .await;
            assert!(is_complete, "{kind}, {in_flight} in flight");
            assert_eq!(items, expected, "{kind}, {in_flight} in flight");
        }
    }
}
