//! Several pages at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use unspool::pages::{Cursor, Offset, PageNumber, Request};

use crate::server::{Reply, Server, linked_page, numbers};
use crate::{complete, drain};

/// `pages` pages of three numbers, the later ones answered sooner; and the most
/// requests that were there at a time.
fn slow(pages: u64, envelope: fn(String) -> String) -> (Server, Arc<AtomicUsize>) {
    let (now, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let server = Server::start(move |request| {
        let page = match request.query("offset") {
            Some(offset) => offset.parse::<u64>().unwrap() / 3 + 1,
            None => request.page(),
        };
        most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
        std::thread::sleep(Duration::from_millis(if page % 2 == 1 { 30 } else { 10 }));
        now.fetch_sub(1, SeqCst);
        match page <= pages {
            true => Reply::json(envelope(numbers((page - 1) * 3..page * 3))),
            false => Reply::json(envelope("[]".to_owned())),
        }
    });
    (server, seen)
}

fn bare(items: String) -> String {
    items
}

fn counted(items: String) -> String {
    format!(r#"{{"total": 36, "data": {items}}}"#)
}

async fn check(server: &Server, request: Request, requests: std::ops::RangeInclusive<usize>) {
    let (items, account) = complete(request.raw()).await;
    let expected: Vec<String> = (0..36).map(|number| number.to_string()).collect();
    assert_eq!(items, expected, "in their order");
    assert_eq!(account.items, 36);
    let asked = server.targets().len();
    assert!(requests.contains(&asked), "{asked} requests");
}

#[tokio::test]
async fn pages_come_in_order_and_no_more_at_a_time_than_allowed() {
    let (server, most) = slow(12, counted);
    let request = unspool::pages(server.url("/")).paginate(PageNumber::new("page"));
    check(&server, request.in_flight(4), 12..=12).await;
    assert_eq!(most.load(SeqCst), 4);
}

#[tokio::test]
async fn an_unknown_end_is_passed_by_less_than_what_is_in_flight() {
    let (server, _) = slow(12, bare);
    let request = unspool::pages(server.url("/")).paginate(PageNumber::new("page"));
    // Two empty pages are the end; three more may be under way by then.
    check(&server, request.in_flight(4), 14..=17).await;
}

#[tokio::test]
async fn a_given_last_page_is_not_passed() {
    let (server, most) = slow(40, bare);
    let numbered = PageNumber::new("page").last(12);
    let request = unspool::pages(server.url("/")).paginate(numbered);
    check(&server, request.in_flight(5), 12..=12).await;
    assert_eq!(most.load(SeqCst), 5);
}

#[tokio::test]
async fn offsets_are_known_ahead_once_a_page_has_come() {
    let (server, most) = slow(12, counted);
    let request = unspool::pages(server.url("/")).paginate(Offset::new("offset"));
    check(&server, request.in_flight(3), 12..=12).await;
    assert_eq!(most.load(SeqCst), 3);
}

#[tokio::test]
async fn pages_of_uneven_size_are_read_from_where_the_last_one_ended() {
    // The server gives 3, then 2, then 3 items: what was sent ahead is of no use.
    let server = Server::start(|request| {
        let offset: u64 = request.query("offset").unwrap().parse().unwrap();
        let size = if offset == 3 { 2 } else { 3 };
        let items = numbers(offset..(offset + size).min(11));
        Reply::json(format!(r#"{{"total": 11, "data": {items}}}"#))
    });
    let request = unspool::pages(server.url("/")).paginate(Offset::new("offset"));
    let (items, _) = complete(request.in_flight(3).raw()).await;
    assert_eq!(items.len(), 11);
    let expected: Vec<String> = (0..11).map(|number| number.to_string()).collect();
    assert_eq!(items, expected);
}

#[tokio::test]
async fn a_chain_is_read_one_page_ahead() {
    let server = Server::start(|request| {
        let token: u64 = request.query("t").unwrap_or("0").parse().unwrap();
        let next = (token < 4).then(|| format!(r#""next": "{}", "#, token + 1));
        Reply::json(format!(
            r#"{{{}"data": {}}}"#,
            next.unwrap_or_default(),
            numbers(token * 3..token * 3 + 3)
        ))
    });
    let at = "/next".parse::<unspool::Pointer>().unwrap();
    let mut pages = unspool::pages(server.url("/"))
        .paginate(Cursor::new(at, "t"))
        .in_flight(4)
        .raw();
    let first = pages.try_next().await.unwrap().unwrap();
    assert_eq!(first.as_str(), "0");
    // The page has been read; the next demand finds that out and asks for another.
    pages.try_next().await.unwrap();
    for _ in 0..200 {
        if server.targets().len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(server.targets(), ["/", "/?t=1"], "one page ahead, not more");
    let rest: Vec<_> = pages.try_collect().await.unwrap();
    assert_eq!(rest.len(), 13);
}

#[tokio::test]
async fn an_error_of_a_page_comes_behind_the_items_before_it() {
    let server = Server::start(|request| match request.page() {
        3 => Reply::status(403).body("no"),
        page => Reply::json(numbers((page - 1) * 2..page * 2)),
    });
    let numbered = PageNumber::new("page").last(9);
    let (items, account) = drain(
        unspool::pages(server.url("/"))
            .paginate(numbered)
            .in_flight(6)
            .raw(),
    )
    .await;
    assert_eq!(items, ["0", "1", "2", "3"]);
    assert_eq!(account.unwrap_err().status(), Some(403));
}

#[tokio::test]
async fn links_go_with_pages_in_flight_too() {
    let server = Server::linked_pages(5, 4);
    let (items, account) = complete(unspool::pages(server.url("/")).in_flight(3).raw()).await;
    assert_eq!(items.len(), 20);
    assert_eq!(account.requests, 5);
}

#[tokio::test]
async fn dropping_the_stream_ends_all_that_is_in_flight() {
    let (server, _) = slow(1000, bare);
    let numbered = PageNumber::new("page").last(1000);
    let mut pages = unspool::pages(server.url("/"))
        .paginate(numbered)
        .in_flight(4)
        .raw();
    pages.next().await.unwrap().unwrap();
    drop(pages);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let asked = server.targets().len();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.targets().len(), asked);
    assert!(asked <= 5, "{asked} requests");
}

#[tokio::test]
async fn what_waits_is_bounded_in_bytes() {
    // Each page is endless: what comes is what somebody made room for.
    let (senders, taken) = std::sync::mpsc::channel();
    let senders = std::sync::Mutex::new(senders);
    let server = Server::start(move |request| match request.page() {
        1 => Reply::json(format!("[{}]", vec!["\"x\""; 1000].join(","))),
        _ => {
            let reply = Reply::status(200).send(*b"\r\n");
            let item = format!("\"{}\",", "y".repeat(4000));
            let (reply, count) = reply.send(b"[").repeating(item.into_bytes());
            senders.lock().unwrap().send(count).unwrap();
            reply
        }
    });
    let numbered = PageNumber::new("page").last(4);
    let mut pages = unspool::pages(server.url("/"))
        .paginate(numbered)
        .in_flight(4)
        .raw();
    pages.next().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let bytes = pages.account().bytes;
    assert!(bytes < 10 << 20, "{bytes} bytes were taken in");
    drop(pages);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(taken.iter().take(3).all(|count| count.recv().is_ok()));
}

#[tokio::test]
async fn a_walk_that_is_proved_goes_on_with_pages_in_flight() {
    let (server, most) = slow(12, counted);
    let request = unspool::pages(server.url("/")).in_flight(4);
    // One request more shows whether pages are counted from 0 or from 1.
    check(&server, request, 13..=13).await;
    assert_eq!(most.load(SeqCst), 4);
}

#[tokio::test]
async fn retries_go_on_in_flight() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |request| match count.fetch_add(1, SeqCst) % 3 {
        1 => Reply::status(503).body(""),
        _ => linked_page(request, 6, 2),
    });
    let request = unspool::pages(server.url("/")).first_wait(Duration::from_millis(1));
    let (items, _) = complete(request.in_flight(2).raw()).await;
    assert_eq!(items.len(), 12);
}

#[tokio::test]
async fn a_demand_that_is_known_sends_only_the_pages_that_it_needs() {
    for (demand, pages) in [(1, 1), (3, 1), (4, 2), (9, 3), (10, 4)] {
        let server = Server::start(|request| {
            let page = request.page();
            let items = numbers((page - 1) * 3..page * 3);
            Reply::json(format!(r#"{{"total": 300, "data": {items}}}"#))
        });
        let request = unspool::pages(server.url("/?page=1")).paginate(PageNumber::new("page"));
        let mut source = request.in_flight(8).demand(demand).raw();
        for _ in 0..demand {
            source.try_next().await.unwrap().unwrap();
        }
        // Whatever a task would send, it has the time to.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(server.targets().len(), pages, "{demand} items");
    }
}
