//! Bytes that bring nothing.

use std::time::Duration;

use unspool::ErrorKind;

use crate::drain;
use crate::server::{Reply, Server};

#[tokio::test]
async fn white_space_without_end_is_no_progress() {
    for begin in ["", "[1,", "{\"items\": [1, 2", "{\"items\": [1], \"a\": "] {
        let server = Server::start(move |_| {
            let head = Reply::status(200).header("connection", "close");
            head.send(begin).repeating(vec![b' '; 1 << 16]).0
        });
        let pages = unspool::pages(server.url("/")).max_item(1000).raw();
        let (items, end) = drain(pages).await;
        let error = end.unwrap_err();
        assert!(error.is_too_large(), "{begin}: {error}");
        assert!(items.len() <= 2, "{begin}: {items:?}");
        assert_eq!(server.targets().len(), 1, "{begin}");
    }
}

#[tokio::test]
async fn a_byte_now_and_then_is_progress_only_so_long() {
    // Each pause is far below the longest silence.
    let server = Server::start(|_| {
        let begun = Reply::status(200)
            .header("content-length", 10_000)
            .send("[1,");
        let pause = Duration::from_millis(20);
        (0..10_000).fold(begun, |reply, _| reply.pause(pause).send(" "))
    });
    let limit = Duration::from_millis(200);
    let pages = unspool::pages(server.url("/")).timeout(limit).raw();
    let (items, end) = drain(pages).await;
    let error = end.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert_eq!(items, ["1"]);
    assert_eq!(server.targets().len(), 1, "{error}");
    let message = error.to_string();
    assert!(message.contains("no item, in "), "{message}");
    assert!(message.contains(" within 6s"), "{message}");
}

#[tokio::test]
async fn many_small_items_are_progress() {
    let items: Vec<String> = (0..2_500_000_u64)
        .map(|number| number.to_string())
        .collect();
    let body = format!("[{}]", items.join(","));
    assert!(body.len() > 17 << 20);
    let server = Server::start(move |_| Reply::json(&body));
    let pages = unspool::pages(server.url("/")).max_item(1000).raw();
    let (items, end) = drain(pages).await;
    end.unwrap();
    assert_eq!(items.len(), 2_500_000);
}
