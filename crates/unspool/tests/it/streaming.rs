//! Items come out while their page arrives, typed or raw.

use std::sync::Mutex;

use futures_util::{FutureExt, StreamExt, TryStreamExt};
use serde::Deserialize;
use unspool::Pointer;
use unspool::pages::PageNumber;

use crate::server::{Reply, Server};
use crate::{complete, drain};

#[tokio::test]
async fn an_item_is_handed_out_before_the_rest_of_its_page_has_come() {
    let (reply, open) = Reply::status(200)
        .header("content-length", 17)
        .send(r#"{"items": [1,"#)
        .gate();
    let replies = Mutex::new(vec![reply.send("2]}\n")]);
    let server = Server::start(move |_| replies.lock().unwrap().pop().unwrap());
    let mut pages = unspool::pages(server.url("/")).raw();
    assert_eq!(pages.try_next().await.unwrap().unwrap().as_str(), "1");
    open.send(()).unwrap();
    assert_eq!(pages.try_next().await.unwrap().unwrap().as_str(), "2");
    assert!(pages.try_next().await.unwrap().is_none());
    assert_eq!(pages.account().bytes, 17);
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
async fn items_can_be_values_of_a_type() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Post {
        id: u64,
        title: String,
    }

    let server = Server::start(|request| {
        let page = request.page();
        Reply::json(format!(
            r#"{{"posts": [{{"id": {page}, "title": "No. {page}", "more": [1]}}]}}"#
        ))
    });
    let posts: Vec<Post> = unspool::pages(server.url("/posts"))
        .paginate(PageNumber::new("page").last(2))
        .items()
        .try_collect()
        .await
        .unwrap();
    let titles: Vec<_> = posts.iter().map(|post| post.title.as_str()).collect();
    assert_eq!(titles, ["No. 1", "No. 2"]);
    assert_eq!(server.targets(), ["/posts?page=1", "/posts?page=2"]);
}

#[tokio::test]
async fn an_item_of_another_type_is_named() {
    let server = Server::start(|_| Reply::json("[1, 2,\n \"x\"]"));
    let error = unspool::pages(server.url("/"))
        .items::<u8>()
        .try_collect::<Vec<_>>()
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("item 3, at byte 8, is not of the expected type"),
        "{text}"
    );
    assert!(text.starts_with("GET http://127.0.0.1:"), "{text}");
}

#[tokio::test]
async fn items_are_found_by_pointer_or_by_themselves() {
    for (body, pointer) in [
        ("[1,2]", None),
        ("[1,2]", Some("")),
        (r#"{"total": 2, "results": [1,2], "next": null}"#, None),
        (r#"{"data": {"items": [1,2]}}"#, None),
        (r#"{"_embedded": {"things": [1,2]}}"#, None),
        (r#"{"page": 1, "posts": [1,2]}"#, None),
        (
            r#"{"data": [9], "other": {"list": [[], [1,2]]}}"#,
            Some("/other/list/1"),
        ),
        (r#"{"a/b": {"\u0063": [1,2]}}"#, Some("/a~1b/c")),
    ] {
        let server = Server::start(move |_| Reply::json(body));
        let mut request = unspool::pages(server.url("/"));
        if let Some(pointer) = pointer {
            request = request.items_at(pointer.parse::<Pointer>().unwrap());
        }
        let (items, _) = complete(request.raw()).await;
        assert_eq!(items, ["1", "2"], "{body} at {pointer:?}");
    }
}

#[tokio::test]
async fn a_page_of_chunks_of_any_size_gives_the_same_items() {
    let body = r#"{"n":1,"items":[{"a":"\"]},\\"},"é\n",[[]],-1.5e3,null],"next":null}"#;
    let expected = [r#"{"a":"\"]},\\"}"#, r#""é\n""#, "[[]]", "-1.5e3", "null"];
    let server = Server::start(move |request| {
        let size: usize = request.query("size").unwrap().parse().unwrap();
        let reply = Reply::status(200).chunked();
        let chunks = body.as_bytes().chunks(size);
        chunks.fold(reply, Reply::chunk).last_chunk()
    });
    for size in 1..=body.len() {
        let (items, _) = drain(unspool::pages(server.url(&format!("/?size={size}"))).raw()).await;
        assert_eq!(items, expected, "{size}");
    }
}
