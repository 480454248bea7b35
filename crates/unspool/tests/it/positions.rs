//! Going on from where a walk stood.

use futures_util::TryStreamExt;
use unspool::pages::{Doubt, PageNumber, Position, Request};

use crate::complete;
use crate::server::{Reply, Server, linked_page, numbers};

/// A position as another process gets it.
fn stored(position: &Position) -> Position {
    let text = serde_json::to_string(position).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Walks with a stop after each number of items, and checks that what comes after is
/// exactly the rest.
async fn check_everywhere(total: usize, request: impl Fn() -> Request) {
    let (all, _) = complete(request().raw()).await;
    assert_eq!(all.len(), total);
    for stop in 0..=total {
        let mut pages = request().raw();
        for _ in 0..stop {
            pages.try_next().await.unwrap().unwrap();
        }
        let Some(position) = pages.position() else {
            assert_eq!(stop, 0);
            continue;
        };
        drop(pages);
        let (rest, account) = complete(request().from(stored(&position)).raw()).await;
        assert_eq!(rest, all[stop..], "after item {stop}");
        assert_eq!(account.items as usize, total - stop);
    }
}

#[tokio::test]
async fn a_walk_over_tokens_goes_on_without_detection() {
    let server = Server::start(|request| {
        let token: u64 = request.query("cursor").unwrap_or("0").parse().unwrap();
        let next = match token {
            3 => "null".to_owned(),
            token => format!("\"{}\"", token + 1),
        };
        Reply::json(format!(
            r#"{{"total": 8, "rows": {}, "next_cursor": {next}}}"#,
            numbers(token * 2..token * 2 + 2)
        ))
    });
    check_everywhere(8, || unspool::pages(server.url("/"))).await;
    let mut pages = unspool::pages(server.url("/")).raw();
    for _ in 0..5 {
        pages.try_next().await.unwrap().unwrap();
    }
    let position = pages.position().unwrap();
    let before = server.targets().len();
    complete(unspool::pages(server.url("/")).from(position).raw()).await;
    assert_eq!(server.targets()[before..], ["/?cursor=2", "/?cursor=3"]);
}

#[tokio::test]
async fn a_walk_over_numbers_goes_on_with_pages_in_flight() {
    let server = Server::start(|request| {
        let page = request.page();
        Reply::json(format!(
            r#"{{"total": 15, "data": {}}}"#,
            numbers((page - 1) * 3..page * 3)
        ))
    });
    check_everywhere(15, || {
        unspool::pages(server.url("/"))
            .paginate(PageNumber::new("page"))
            .in_flight(3)
    })
    .await;
}

#[tokio::test]
async fn a_walk_that_came_to_its_end_has_nothing_left() {
    let server = Server::linked_pages(2, 2);
    let mut pages = unspool::pages(server.url("/")).raw();
    while pages.try_next().await.unwrap().is_some() {}
    let position = stored(&pages.position().unwrap());
    let before = server.targets().len();
    let (items, _) = complete(unspool::pages(server.url("/")).from(position).raw()).await;
    assert_eq!((items.len(), server.targets().len()), (0, before));
}

#[tokio::test]
async fn a_position_of_another_request_is_refused_before_anything_is_sent() {
    let server = Server::linked_pages(2, 2);
    let mut pages = unspool::pages(server.url("/a")).raw();
    pages.try_next().await.unwrap();
    let position = pages.position().unwrap();
    let before = server.targets().len();
    for request in [
        unspool::pages(server.url("/b")),
        unspool::pages(server.url("/a?q=1")),
        unspool::pages(server.url("/a")).data(serde_json::json!({})),
    ] {
        let mut other = request.from(position.clone()).raw();
        let error = other.try_next().await.unwrap_err();
        assert!(error.is_request(), "{error}");
    }
    assert_eq!(server.targets().len(), before);
}

#[tokio::test]
async fn a_token_that_the_upstream_puts_into_its_links_is_in_no_position() {
    const TOKEN: &str = "a-very-secret-token";
    let server = Server::start(|request| match request.query("auth") {
        None => Reply::json(format!(
            r#"{{"items": [1, 2], "next": "/?page=2&auth={TOKEN}"}}"#
        )),
        Some(TOKEN) => Reply::json(r#"{"items": [3, 4], "next": null}"#),
        Some(_) => Reply::status(403),
    });
    let request = || unspool::pages(server.url("/")).bearer_auth(TOKEN);
    let mut pages = request().raw();
    for _ in 0..3 {
        pages.try_next().await.unwrap().unwrap();
    }
    let position = pages.position().unwrap();
    assert!(!serde_json::to_string(&position).unwrap().contains(TOKEN));
    let (rest, _) = complete(request().from(stored(&position)).raw()).await;
    assert_eq!(rest, ["4"]);
}

#[tokio::test]
async fn a_page_that_changed_since_is_a_doubt() {
    let server = Server::linked_pages(2, 3);
    let mut pages = unspool::pages(server.url("/")).raw();
    for _ in 0..2 {
        pages.try_next().await.unwrap();
    }
    let mut position = serde_json::to_value(pages.position().unwrap()).unwrap();
    position["last"] = "xxh3-64:0000000000000001".into();
    let position: Position = serde_json::from_value(position).unwrap();
    let mut pages = unspool::pages(server.url("/"))
        .from(position)
        .raw()
        .allow_doubts();
    while pages.try_next().await.unwrap().is_some() {}
    assert_eq!(pages.account().doubts, [Doubt::Shifted]);
}

#[tokio::test]
async fn after_a_failure_the_walk_goes_on_from_its_position() {
    // The third page fails once for good.
    let failed = std::sync::atomic::AtomicBool::new(false);
    let server = Server::start(move |request| match request.page() {
        3 if !failed.swap(true, std::sync::atomic::Ordering::SeqCst) => {
            Reply::status(200).cut("[6", 99)
        }
        _ => linked_page(request, 4, 3),
    });
    let mut pages = unspool::pages(server.url("/")).retries(0).raw();
    let mut items = Vec::new();
    let error = loop {
        match pages.try_next().await {
            Ok(item) => items.push(item.unwrap().as_str().to_owned()),
            Err(error) => break error,
        }
    };
    assert!(error.is_truncated(), "{error}");
    let position = stored(&pages.position().unwrap());
    let (rest, _) = complete(unspool::pages(server.url("/")).from(position).raw()).await;
    items.extend(rest);
    let expected: Vec<String> = (0..12).map(|number| number.to_string()).collect();
    assert_eq!(items, expected);
}

/// As one that a later version wrote, or one of a walk by a closure.
#[tokio::test]
async fn a_position_whose_way_cannot_be_read_is_refused() {
    let server = Server::linked_pages(3, 2);
    let mut pages = unspool::pages(server.url("/")).raw();
    pages.try_next().await.unwrap().unwrap();
    let position = pages.position().unwrap();
    drop(pages);
    for unreadable in ["zigzag:left", "next:$[", "cursor:/next", "custom"] {
        let mut stored = serde_json::to_value(&position).unwrap();
        stored["paginate"] = unreadable.into();
        let from: Position = serde_json::from_value(stored.clone()).unwrap();
        let mut pages = unspool::pages(server.url("/")).from(from.clone()).raw();
        let error = pages.try_next().await.unwrap_err();
        assert!(error.is_request(), "{error}");
        assert!(error.to_string().contains(unreadable), "{error}");
        if unreadable == "custom" {
            // Whoever brings the closure again goes on.
            let mut pages = unspool::pages(server.url("/"))
                .after(|_| Ok(None))
                .from(from)
                .raw();
            assert!(pages.try_next().await.unwrap().is_some());
        }
    }
}
