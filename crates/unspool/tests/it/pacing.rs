//! How fast requests follow each other.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use unspool::pages::{PageNumber, Request};

use crate::complete;
use crate::server::{Reply, Server, linked_page, numbers};

/// An API with `limit` requests in each window, which refuses those above it, and
/// how often it had to.
fn limited(limit: u64, window: Duration) -> (Server, Arc<AtomicUsize>) {
    let refused = Arc::new(AtomicUsize::new(0));
    let (count, begin) = (Arc::clone(&refused), Instant::now());
    let state = Mutex::new((0, 0));
    let server = Server::start(move |request| {
        let elapsed = begin.elapsed();
        let current = elapsed.as_nanos() / window.as_nanos();
        let mut state = state.lock().unwrap();
        if state.0 != current {
            *state = (current, 0);
        }
        let left = window.as_secs_f64() * (current + 1) as f64 - elapsed.as_secs_f64();
        let is_refused = state.1 == limit;
        state.1 = (state.1 + 1).min(limit);
        let reply = match is_refused {
            true => {
                count.fetch_add(1, Relaxed);
                Reply::status(429)
            }
            false => Reply::status(200),
        };
        let remaining = limit - state.1;
        drop(state);
        // Answers take their time, and come in any order.
        std::thread::sleep(Duration::from_millis(request.page() * 7 % 20));
        reply
            .header("X-RateLimit-Limit", limit)
            .header("X-RateLimit-Remaining", remaining)
            .header("X-RateLimit-Reset-After", format!("{left:.3}"))
            .body(numbers([request.page()]))
    });
    (server, refused)
}

fn counted(server: &Server, pages: u64) -> Request {
    unspool::pages(server.url("/")).paginate(PageNumber::new("page").last(pages))
}

#[tokio::test]
async fn a_server_that_refuses_haste_never_has_to() {
    let (server, refused) = limited(4, Duration::from_millis(300));
    let (items, account) = complete(counted(&server, 13).raw()).await;
    assert_eq!(items.len(), 13);
    assert_eq!((account.requests, account.retries), (13, 0));
    assert_eq!(refused.load(Relaxed), 0);
}

#[tokio::test]
async fn nor_with_pages_in_flight() {
    let (server, refused) = limited(5, Duration::from_millis(300));
    let (items, account) = complete(counted(&server, 16).in_flight(4).raw()).await;
    assert_eq!(items.len(), 16);
    assert!(account.requests >= 16);
    assert_eq!((account.retries, refused.load(Relaxed)), (0, 0));
}

#[tokio::test]
async fn a_rate_holds_for_retries_and_redirects_too() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&times);
    let server = Server::start(move |request| {
        let mut times = log.lock().unwrap();
        times.push(Instant::now());
        match times.len() {
            1 => Reply::status(302).header("location", "/moved").body(""),
            2 => Reply::status(500).body(""),
            _ => linked_page(request, 3, 1),
        }
    });
    let request = unspool::pages(server.url("/")).first_wait(Duration::from_millis(1));
    let rate = "20/s".parse().unwrap();
    let (_, account) = complete(request.rate(rate).raw()).await;
    assert_eq!(account.requests, 5, "{:?}", server.targets());
    let times = times.lock().unwrap();
    let took = *times.last().unwrap() - times[0];
    // What is measured here are arrivals: only their sum is sure.
    assert!(took >= Duration::from_millis(4 * 50 - 20), "{took:?}");
}

#[tokio::test]
async fn a_403_of_one_who_was_too_fast_is_waited_for() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, Relaxed) {
        0 => Reply::status(403)
            .header("x-ratelimit-limit", 60)
            .header("x-ratelimit-remaining", 0)
            .header("x-ratelimit-reset-after", "0.25")
            .body("API rate limit exceeded"),
        _ => Reply::json("[1]"),
    });
    let begin = Instant::now();
    let request = unspool::pages(server.url("/")).first_wait(Duration::from_millis(1));
    let (items, account) = complete(request.raw()).await;
    assert_eq!((items.len(), account.retries), (1, 1));
    assert!(begin.elapsed() >= Duration::from_millis(250));
}

#[tokio::test]
async fn the_wait_is_said() {
    let server = Server::start(|_| {
        Reply::status(200)
            .header("link", "</?page=2>; rel=next")
            .header("ratelimit", "\"default\";r=0;t=59")
            .body("[0]")
    });
    let mut pages = unspool::pages(server.url("/")).raw();
    pages.next().await.unwrap().unwrap();
    let next = tokio::time::timeout(Duration::from_millis(200), pages.next());
    assert!(next.await.is_err());
    let waiting = pages.waiting().unwrap();
    assert!(waiting.starts_with("waiting 60.0 s: "), "{waiting}");
    assert!(
        waiting.ends_with("allows no more requests until then"),
        "{waiting}"
    );
    assert_eq!(server.targets().len(), 1);
}
