//! What upstreams send that they should not: each is a clear error, after the
//! items that came before it.

use std::time::Duration;

use unspool::{Error, Pointer};

use crate::drain;
use crate::server::{Reply, Server};

/// The items that come, and the error that follows.
async fn failure(reply: impl Fn() -> Reply + Send + Sync + 'static) -> (Vec<String>, Error) {
    let server = Server::start(move |_| reply());
    let request = unspool::pages(server.url("/x?page=7"))
        .retries(0)
        .timeout(Duration::from_secs(5));
    let (items, account) = drain(request.raw()).await;
    let error = account.unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("GET http://127.0.0.1:") && text.contains("/x?page=7: "),
        "{text}"
    );
    (items, error)
}

#[track_caller]
fn check(result: &(Vec<String>, Error), items: &[&str], message: &str) {
    assert_eq!(result.0, items);
    let text = result.1.to_string();
    assert!(text.contains(message), "{text}");
}

#[tokio::test]
async fn not_json() {
    let result = failure(|| Reply::json("nonsense")).await;
    check(
        &result,
        &[],
        "not JSON: expected a value before byte 8, found `nonsense`",
    );
    let result = failure(|| Reply::json("[1, []; 3]")).await;
    check(
        &result,
        &["1", "[]"],
        "expected `,` or `]` after 2 items, at byte 6; found `;`",
    );
    let result = failure(|| Reply::json("[{\"a\":1}, {\"a\" 2}]")).await;
    check(
        &result,
        &["{\"a\":1}"],
        "item 2, at byte 10, is not valid JSON: expected `:` at byte 15",
    );
    let result = failure(|| Reply::json("{\"a\" 1}")).await;
    check(&result, &[], "expected `:` at byte 5, found `1`");
    let result = failure(|| Reply::json("[1] [2]")).await;
    check(&result, &["1"], "expected nothing more at byte 4");
    let result = failure(|| Reply::json("[1, trve]")).await;
    check(&result, &["1"], "item 2, at byte 4, is not valid JSON");
}

#[tokio::test]
async fn html_with_status_200() {
    let result = failure(|| {
        Reply::status(200)
            .header("content-type", "text/html; charset=utf-8")
            .body("<!DOCTYPE html><p>Sign in")
    })
    .await;
    check(
        &result,
        &[],
        "found a document type (`<!…`) at byte 0, which is refused: this is a web page, or declares entities (the answer says that it is `text/html; charset=utf-8`)",
    );
    let result = failure(|| Reply::json("<html><ul><li>a</li><li>b</li></ul></html>")).await;
    check(&result, &[], "found a web page (`<html>`)");
}

#[tokio::test]
async fn a_scalar_or_an_object_without_an_array() {
    check(
        &failure(|| Reply::json("42")).await,
        &[],
        "expected an array of items, found a number",
    );
    check(
        &failure(|| Reply::json("null")).await,
        &[],
        "expected an array of items, found `null`",
    );
    let result = failure(|| Reply::json(r#"{"message": "no", "code": 3}"#)).await;
    check(
        &result,
        &[],
        "found an object without an array, with the keys `code`, `message`",
    );
    let result = failure(|| Reply::json(r#"{"cats": [1], "dogs": [2]}"#)).await;
    check(
        &result,
        &[],
        "found 2 arrays that could hold the items, such as `/cats` and `/dogs`",
    );
}

#[tokio::test]
async fn no_array_at_the_pointer() {
    for (body, message) in [
        (
            r#"{"a": {"b": {}}}"#,
            "expected an array at `/a/b`, found an object at byte 12",
        ),
        (
            r#"{"a": {"c": []}}"#,
            "expected an array at `/a/b`, found an object without it, with the keys `a`",
        ),
        ("[]", "expected an array at `/a/b`, found an array"),
    ] {
        let server = Server::start(move |_| Reply::json(body));
        let request = unspool::pages(server.url("/")).items_at("/a/b".parse::<Pointer>().unwrap());
        let error = drain(request.raw()).await.1.unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[tokio::test]
async fn an_item_of_100_megabytes() {
    let result = failure(|| {
        let reply = Reply::status(200)
            .header("content-length", 100 << 20)
            .send("[1, \"");
        reply.endless().0
    })
    .await;
    check(
        &result,
        &["1"],
        "item 2, at byte 4, is over the limit of 16777216 bytes",
    );
    assert!(result.1.is_too_large());
}

#[tokio::test]
async fn an_envelope_of_100_megabytes() {
    let result = failure(|| {
        let reply = Reply::status(200)
            .header("content-length", 100 << 20)
            .send("{\"items\": [1], \"x\": \"");
        reply.endless().0
    })
    .await;
    check(
        &result,
        &["1"],
        "what surrounds the items is over 16777216 bytes",
    );
}

#[tokio::test]
async fn invalid_utf_8() {
    let result = failure(|| Reply::status(200).body(b"[\"a\", \"b\xFF\"]".as_slice())).await;
    check(
        &result,
        &["\"a\""],
        "item 2, at byte 6, is not valid JSON: invalid unicode code point",
    );
    let result =
        failure(|| Reply::status(200).body(b"[{\"a\":1}, {\"b\":\"\xC3\"}]".as_slice())).await;
    check(
        &result,
        &["{\"a\":1}"],
        "item 2, at byte 10, is not valid JSON: invalid unicode code point",
    );
    let result =
        failure(|| Reply::status(200).body(b"{\"items\": [], \"b\":\"\xC3\"}".as_slice())).await;
    check(&result, &[], "not JSON: invalid unicode code point");
}

#[tokio::test]
async fn invalid_utf_8_in_a_field_that_nobody_reads() {
    #[derive(Debug, serde::Deserialize)]
    struct Post {
        #[expect(dead_code, reason = "only its presence counts")]
        id: u8,
    }

    let server =
        Server::start(|_| Reply::status(200).body(b"[{\"id\":1,\"b\":\"\xC3\"}]".as_slice()));
    let mut posts = unspool::pages(server.url("/")).items::<Post>();
    let error = futures_util::TryStreamExt::try_next(&mut posts)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("invalid utf-8"), "{error}");
}

#[tokio::test]
async fn depth_10_000() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let body = format!("[1, {deep}]");
    let result = failure(move || Reply::json(&body)).await;
    check(
        &result,
        &["1"],
        "item 2, at byte 4, nests more than 1024 deep",
    );
    let body = format!("{{\"x\": {deep}}}");
    let result = failure(move || Reply::json(&body)).await;
    check(
        &result,
        &[],
        "the document nests more than 1024 deep at byte",
    );
}

#[tokio::test]
async fn a_body_cut_anywhere() {
    for (body, items, place) in [
        ("", &[][..], "the body is empty"),
        ("[1, {\"a\": 2", &["1"], "inside of item 2"),
        ("[1, \"a\\", &["1"], "inside of item 2"),
        (
            "[1, 2,",
            &["1", "2"],
            "after 2 items and before the end of their array",
        ),
        (
            "{\"items\": [1], \"ne",
            &["1"],
            "before the end of its JSON",
        ),
    ] {
        // The body says itself where it ends, or the connection does.
        for reply in [
            (|body| Reply::status(200).body(body)) as fn(&'static str) -> Reply,
            |body| Reply::status(200).until_close(body),
        ] {
            let result = failure(move || reply(body)).await;
            check(&result, items, "truncated: ");
            check(&result, items, place);
            assert!(result.1.is_truncated());
        }
        let result = failure(move || Reply::status(200).cut(body, 1000)).await;
        check(&result, items, "truncated: the body stopped before its end");
        assert!(result.1.is_truncated());
    }
}

#[tokio::test]
async fn a_whole_document_in_a_body_cut_short_is_truncated_too() {
    let result = failure(|| Reply::status(200).cut("[1]", 10)).await;
    check(
        &result,
        &["1"],
        "truncated: the body stopped before its end",
    );
}

#[tokio::test]
async fn a_chunked_body_without_its_last_chunk() {
    let result = failure(|| {
        Reply::status(200)
            .header("transfer-encoding", "chunked")
            .until_close("3\r\n[1,\r\n3\r\n2,3\r\n")
    })
    .await;
    check(&result, &["1", "2"], "truncated: ");
}

#[tokio::test]
async fn status_404_with_a_long_body() {
    let result = failure(|| Reply::status(404).body("no such page\n".repeat(100_000))).await;
    check(
        &result,
        &[],
        "answered 404 Not Found: no such page no such page",
    );
    assert_eq!(result.1.status(), Some(404));
    assert!(result.1.to_string().len() < 400);
}

#[tokio::test]
async fn a_next_link_to_a_file() {
    let result = failure(|| {
        Reply::status(200)
            .header("link", "<file:///etc/passwd>; rel=next")
            .body("[1]")
    })
    .await;
    check(
        &result,
        &["1"],
        "found neither an `http:` nor an `https:` URL as the address of the next page: `file:///etc/passwd`",
    );
    let result = failure(|| {
        Reply::status(302)
            .header("location", "file:///etc/passwd")
            .body("")
    })
    .await;
    check(&result, &[], "redirects to");
    assert!(!result.1.is_request());
}

#[tokio::test]
async fn a_server_that_never_answers() {
    let server = Server::start(|_| Reply::silence());
    let request = unspool::pages(server.url("/"))
        .retries(1)
        .first_wait(Duration::from_millis(1));
    let (_, account) = drain(request.timeout(Duration::from_millis(50)).raw()).await;
    let error = account.unwrap_err();
    assert!(error.is_timeout());
    assert!(
        error.to_string().contains("no answer within 50ms"),
        "{error}"
    );
    assert_eq!(server.targets().len(), 2);
}

#[tokio::test]
async fn a_body_that_stalls() {
    let server = Server::start(|_| {
        let (reply, gate) = Reply::status(200)
            .header("content-length", 100)
            .send("[1,")
            .gate();
        std::mem::forget(gate);
        reply
    });
    let (items, account) = drain(
        unspool::pages(server.url("/"))
            .timeout(Duration::from_millis(50))
            .raw(),
    )
    .await;
    assert_eq!(items, ["1"]);
    let error = account.unwrap_err();
    assert!(error.is_timeout());
    assert!(
        error
            .to_string()
            .contains("nothing more of the body within 50ms"),
        "{error}"
    );
}

#[tokio::test]
async fn addresses_that_cannot_be_asked() {
    for (url, message) in [
        ("not a url", "expected a URL"),
        ("file:///etc/passwd", "found the scheme `file:`"),
        ("ftp://example.com/", "found the scheme `ftp:`"),
    ] {
        let error = drain(unspool::pages(url).raw()).await.1.unwrap_err();
        assert!(error.is_request());
        assert!(error.to_string().contains(message), "{error}");
    }
}
