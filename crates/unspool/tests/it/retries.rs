//! What is tried again, and what is not.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use unspool::pages::{PageNumber, Request};

use crate::server::{Reply, Server, linked_page, numbers};
use crate::{complete, drain};

fn hasty(request: Request) -> Request {
    request.first_wait(Duration::from_millis(1))
}

/// Replies with each fault in turn, then with pages.
fn faulty(faults: Vec<fn() -> Reply>) -> Server {
    let count = AtomicUsize::new(0);
    Server::start(
        move |request| match faults.get(count.fetch_add(1, Relaxed)) {
            Some(fault) => fault(),
            None => linked_page(request, 2, 2),
        },
    )
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let server = faulty(vec![
        || Reply::status(500).body("oops"),
        || {
            Reply::status(429)
                .header("retry-after", 0)
                .body("slow down")
        },
        || Reply::status(408).body(""),
        Reply::drop_connection,
        || Reply::status(200).cut("[", 100),
    ]);
    let (items, account) = complete(hasty(unspool::pages(server.url("/"))).raw()).await;
    assert_eq!(items, ["0", "1", "2", "3"]);
    assert_eq!(
        (account.requests, account.retries, account.pages),
        (7, 5, 2)
    );
}

#[tokio::test]
async fn tries_end() {
    let server = Server::start(|_| Reply::status(503).body("down"));
    let (_, account) = drain(hasty(unspool::pages(server.url("/"))).retries(2).raw()).await;
    let error = account.unwrap_err();
    assert_eq!(error.status(), Some(503));
    assert!(error.is_retryable());
    assert_eq!(server.targets().len(), 3);
}

#[tokio::test]
async fn a_page_that_was_cut_goes_on_behind_the_items_that_were_handed_out() {
    let server = faulty(vec![
        || Reply::status(200).cut(r#"{"items": [1, 2, 3"#, 100),
        || Reply::status(502).body(""),
        || Reply::status(200).cut(r#"{"items": [1, 2, 3, 4"#, 100),
        || Reply::json(r#"{"items": [1, 2, 3, 4, 5]}"#),
    ]);
    let (items, account) = complete(hasty(unspool::pages(server.url("/"))).raw()).await;
    assert_eq!(items, ["1", "2", "3", "4", "5"]);
    assert_eq!((account.items, account.retries), (5, 3));
}

#[tokio::test]
async fn a_page_that_is_cut_at_one_place_for_ever_is_truncated() {
    let server = Server::start(|_| Reply::status(200).cut("[1, 2, 3", 100));
    let (items, account) = drain(hasty(unspool::pages(server.url("/"))).retries(3).raw()).await;
    assert_eq!(items, ["1", "2"]);
    assert!(account.unwrap_err().is_truncated());
    assert_eq!(server.targets().len(), 4);
}

#[tokio::test]
async fn a_page_that_is_another_one_after_it_was_cut_is_truncated() {
    for other in ["[0, 1, 2, 3]", "[1]"] {
        let count = AtomicUsize::new(0);
        let server = Server::start(move |_| match count.fetch_add(1, Relaxed) {
            0 => Reply::status(200).cut("[1, 2, 3", 100),
            _ => Reply::json(other),
        });
        let (items, account) = drain(hasty(unspool::pages(server.url("/"))).raw()).await;
        assert_eq!(items, ["1", "2"]);
        let error = account.unwrap_err();
        assert!(error.is_truncated(), "{error}");
        assert!(error.to_string().contains("cut after item 2"), "{error}");
    }
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let server = faulty(vec![|| {
        Reply::status(429).header("Retry-After", 1).body("")
    }]);
    let begin = Instant::now();
    complete(hasty(unspool::pages(server.url("/"))).raw()).await;
    assert!(begin.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_refused_connection_is_retryable() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    let (_, account) = drain(
        hasty(unspool::pages(format!("http://{address}/")))
            .retries(1)
            .raw(),
    )
    .await;
    let error = account.unwrap_err();
    assert!(error.is_retryable());
    assert!(error.to_string().contains("cannot connect"), "{error}");
}

#[tokio::test]
async fn each_page_has_its_own_tries() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |request| match count.fetch_add(1, Relaxed) % 2 {
        0 => Reply::status(502).body(""),
        _ => Reply::json(numbers([request.page()])),
    });
    let request = hasty(unspool::pages(server.url("/"))).paginate(PageNumber::new("page").last(4));
    let (items, account) = complete(request.retries(1).raw()).await;
    assert_eq!(items.len(), 4);
    assert_eq!(account.retries, 4);
}
