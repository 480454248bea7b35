//! What every source promises, whatever it pulls from.

use futures_util::{FutureExt, StreamExt, TryStreamExt};

use crate::drain;
use crate::server::{Reply, Server, linked_page};

#[tokio::test]
async fn nothing_happens_before_the_first_poll() {
    let server = Server::linked_pages(3, 2);
    let pages = unspool::pages(server.url("/")).raw();
    assert!(server.targets().is_empty());
    drop(pages);
    assert!(server.targets().is_empty());
}

#[tokio::test]
async fn a_demand_makes_only_the_requests_that_its_item_needs() {
    let server = Server::linked_pages(3, 2);
    let mut pages = unspool::pages(server.url("/")).raw();
    for (item, requests) in [("0", 1), ("1", 1), ("2", 2), ("3", 2), ("4", 3), ("5", 3)] {
        assert_eq!(pages.try_next().await.unwrap().unwrap().as_str(), item);
        assert_eq!(server.targets().len(), requests, "at item {item}");
    }
    assert!(pages.try_next().await.unwrap().is_none());
    assert_eq!(server.targets().len(), 3);
}

#[tokio::test]
async fn a_walk_can_be_dropped_between_two_pages() {
    let server = Server::linked_pages(3, 2);
    let mut pages = unspool::pages(server.url("/")).raw();
    for _ in 0..2 {
        pages.try_next().await.unwrap();
    }
    // The end of the page is read, but the next one is not asked for yet.
    assert!(pages.next().now_or_never().is_none());
    assert_eq!(pages.account().requests, 1);
    drop(pages);
    tokio::task::yield_now().await;
    assert_eq!(server.targets().len(), 1);
}

#[tokio::test]
async fn a_failed_page_ends_the_stream_with_one_error() {
    let server = Server::start(|request| match request.page() {
        2 => Reply::status(403).body("no"),
        _ => linked_page(request, 3, 2),
    });
    let mut pages = unspool::pages(server.url("/")).raw();
    assert_eq!(
        pages
            .by_ref()
            .take(2)
            .filter(|item| std::future::ready(item.is_ok()))
            .count()
            .await,
        2
    );
    assert_eq!(pages.next().await.unwrap().unwrap_err().status(), Some(403));
    assert!(pages.next().await.is_none());
    assert!(pages.next().await.is_none());
    let account = pages.account();
    assert!(!account.complete);
    assert_eq!((account.items, account.pages, account.requests), (2, 1, 2));
}

#[tokio::test]
async fn polling_after_the_end_stays_at_the_end() {
    let server = Server::linked_pages(1, 1);
    let mut pages = unspool::pages(server.url("/")).raw();
    assert!(pages.next().await.is_some());
    for _ in 0..3 {
        assert!(pages.next().await.is_none());
    }
    assert_eq!(server.targets().len(), 1);
}

#[tokio::test]
async fn dropping_half_way_closes_the_connection_and_sends_nothing_more() {
    let replies = std::sync::Mutex::new(Vec::new());
    let (reply, taken) = Reply::status(200).send("[1,").endless();
    replies.lock().unwrap().push(reply);
    let server = Server::start(move |_| replies.lock().unwrap().pop().unwrap());
    let mut pages = unspool::pages(server.url("/")).raw();
    assert_eq!(pages.try_next().await.unwrap().unwrap().as_str(), "1");
    drop(pages);
    // The connection's task sees the drop when the runtime gets to it.
    let taken =
        tokio::task::spawn_blocking(move || taken.recv_timeout(std::time::Duration::from_secs(10)));
    assert!(taken.await.unwrap().is_ok(), "the connection stays open");
    assert_eq!(server.targets().len(), 1);
}

#[tokio::test]
async fn the_stream_is_send() {
    let server = Server::linked_pages(2, 2);
    let pages = unspool::pages(server.url("/")).raw();
    let (items, _) = tokio::spawn(drain(pages)).await.unwrap();
    assert_eq!(items, ["0", "1", "2", "3"]);
}
