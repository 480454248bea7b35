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

/// An address at which nobody listens.
fn unused() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// How long it took to fail, and the error.
async fn failure(url: &str) -> (Duration, unspool::Error, u64) {
    let begin = Instant::now();
    let mut pages = unspool::pages(url).raw();
    let error = futures_util::TryStreamExt::try_next(&mut pages)
        .await
        .unwrap_err();
    (begin.elapsed(), error, pages.account().retries)
}

#[tokio::test]
async fn a_refused_connection_is_tried_once_more() {
    let (took, error, retries) = failure(&format!("http://{}/", unused())).await;
    assert!(error.is_retryable() && error.is_unreachable());
    assert!(error.to_string().contains("cannot connect"), "{error}");
    assert_eq!(retries, 1);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_refused_connection_of_one_who_was_there_is_retried_as_anything_else() {
    // The server is gone after its first answer, as during a restart.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut connection, _) = listener.accept().unwrap();
        drop(listener);
        let _ = connection.read(&mut [0; 4096]);
        let head = "HTTP/1.1 200 OK\r\nlink: </?page=2>; rel=next\r\nconnection: close\r\n";
        let _ = write!(connection, "{head}content-length: 3\r\n\r\n[1]");
    });
    let request = hasty(unspool::pages(&url)).retries(3);
    let mut pages = request.raw();
    assert!(
        futures_util::TryStreamExt::try_next(&mut pages)
            .await
            .is_ok()
    );
    let error = futures_util::TryStreamExt::try_next(&mut pages)
        .await
        .unwrap_err();
    assert!(error.is_retryable() && !error.is_unreachable(), "{error:?}");
    assert_eq!(pages.account().retries, 3);
}

#[tokio::test]
async fn a_host_that_is_not_known_is_final() {
    for host in [
        "no-such-host.invalid",
        "a..b.invalid",
        "xn--nothing-.invalid",
    ] {
        let (_, error, retries) = failure(&format!("http://{host}/")).await;
        assert!(retries <= 1, "{host}: {error}");
        // Without a network the resolver calls all names temporarily unknown.
        let is_final = !error.is_retryable() || error.to_string().contains("emporary");
        assert!(
            error.is_request() || error.is_unreachable() && is_final,
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn https_where_http_is_spoken_is_a_wrong_request() {
    // What web servers say to what they cannot read.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for mut connection in listener.incoming().flatten() {
            let _ = connection.read(&mut [0; 4096]);
            let _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let (_, error, retries) = failure(&url).await;
    assert!(
        error.is_request() && error.to_string().contains("`http:`"),
        "{error:?}"
    );
    assert_eq!(retries, 0);
}

#[tokio::test]
async fn http_where_tls_is_spoken_is_a_wrong_request() {
    // An alert: an unexpected message, a decoding error, a protocol version.
    for description in [10, 50, 70] {
        let alert = vec![0x15, 3, 1, 0, 2, 2, description];
        let server = Server::start(move |_| Reply::bytes(alert.clone()));
        let (_, error, retries) = failure(&server.url("/")).await;
        assert!(
            error.is_request() && error.to_string().contains("`https:`"),
            "{error:?}"
        );
        assert_eq!(retries, 0);
    }
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_said_at_once() {
    for (field, value, words) in [
        ("retry-after", "86400", "a wait of 1 d,"),
        ("retry-after-ms", "7200000", "a wait of 2 h,"),
        ("retry-after", "Fri, 31 Dec 2027 23:59:59 GMT", "a wait of "),
    ] {
        let server = Server::start(move |_| {
            Reply::status(429)
                .header("date", "Fri, 31 Dec 2027 22:00:00 GMT")
                .header(field, value)
                .body("slow down")
        });
        let (took, error, retries) = failure(&server.url("/")).await;
        assert!(took < Duration::from_secs(5));
        assert_eq!((error.status(), retries), (Some(429), 0));
        let shown = error.to_string();
        assert!(
            shown.contains(words) && shown.contains("slow down"),
            "{shown}"
        );
        assert!(error.retry_after().unwrap() > Duration::from_secs(3600));
    }
    // What has been used up is not asked for, and the items before it are there.
    let server = Server::start(|request| linked_page(request, 3, 1));
    complete(unspool::pages(server.url("/")).raw()).await;
    let server = Server::start(|_| {
        Reply::status(200)
            .header("link", "</?page=2>; rel=next")
            .header("x-ratelimit-remaining", 0)
            .header("x-ratelimit-reset", 3600)
            .body("[0]")
    });
    let (items, account) = drain(unspool::pages(server.url("/")).raw()).await;
    let error = account.unwrap_err();
    assert_eq!(items, ["0"]);
    assert!(error.to_string().contains("a wait of 1 h 1 s"), "{error}");
    assert!(error.is_retryable() && !error.is_request());
    assert_eq!(server.targets().len(), 1);
}

/// Each would have been waited for, or have been counted with, for ever.
#[tokio::test]
async fn numbers_that_are_none_change_nothing() {
    for reset in [
        "inf",
        "Infinity",
        "-inf",
        "nan",
        "1e400",
        "1e308",
        "18446744073709551616",
        "2026-01-01T00:00:00+019223372036854775807",
    ] {
        let server = Server::start(move |request| {
            let reply = match request.page() {
                1 => Reply::status(200).header("link", "</?page=2>; rel=next"),
                _ => Reply::status(200),
            };
            ["x-ratelimit", "x-rate-limit", "ratelimit"]
                .into_iter()
                .fold(reply, |reply, name| {
                    reply
                        .header(&format!("{name}-remaining"), 0)
                        .header(&format!("{name}-reset"), reset)
                })
                .header("ratelimit-policy", format!("\"x\";q=9;w=-{reset}"))
                .header("ratelimit", format!("\"x\";r=0;t=-{reset}"))
                .header("retry-after", reset)
                .header("set-cookie", format!("a=b; max-age={reset}"))
                .body(numbers([request.page()]))
        });
        let walk = complete(unspool::pages(server.url("/")).raw());
        let walked = tokio::time::timeout(Duration::from_secs(20), walk).await;
        assert_eq!(walked.expect(reset).0, ["1", "2"]);
    }
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

/// Four pages of two items, of which the third is this until it has been asked for so often.
fn soft_failure(body: &'static str, times: usize) -> Server {
    let count = AtomicUsize::new(0);
    Server::start(move |request| {
        let page = request.page();
        if page == 3 && count.fetch_add(1, Relaxed) < times {
            return Reply::json(body);
        }
        let items = numbers((page - 1) * 2..(page * 2).min(8));
        let next = if page < 4 {
            format!("\"?page={}\"", page + 1)
        } else {
            "null".to_owned()
        };
        Reply::json(format!(
            r#"{{"code": 0, "msg": "ok", "items": {items}, "next": {next}}}"#
        ))
    })
}

/// How answers of status 200 that may pass say that they are none.
const SOFT: &[&str] = &[
    r#"{"code": 429, "msg": "too many", "items": [], "next": null}"#,
    r#"{"code": 0, "msg": "please wait", "items": [], "next": null}"#,
    r#"{"code": 0, "msg": "ok", "items": [], "next": null, "errorMessage": "busy"}"#,
    r#"{"error": "busy"}"#,
    r#"{"code": 99, "msg": "frequency limit"}"#,
    r#"{"msg": "ok", "result": {"rows": []}}"#,
];

#[tokio::test]
async fn a_page_that_says_that_it_is_an_error_is_asked_for_again() {
    for body in SOFT {
        for (kind, in_flight) in [
            ("next:/next", 1),
            ("next:/next", 3),
            ("page", 1),
            ("page", 3),
        ] {
            let kind: unspool::pages::Paginate = kind.parse().unwrap();
            let name = format!("{body} by {kind}, {in_flight} in flight");
            let server = soft_failure(body, 2);
            let request = hasty(unspool::pages(server.url("/"))).paginate(kind);
            let (items, account) = complete(request.in_flight(in_flight).raw()).await;
            assert_eq!(items, ["0", "1", "2", "3", "4", "5", "6", "7"], "{name}");
            assert_eq!(account.retries, 2, "{name}");
        }
    }
}

#[tokio::test]
async fn a_page_that_stays_an_error_is_quoted() {
    for (body, words) in SOFT.iter().zip([
        "`/code` is `429`",
        "`/msg` is `\"please wait\"`",
        "busy",
        "busy",
        "frequency limit",
        "found an object without it",
    ]) {
        let server = soft_failure(body, usize::MAX);
        let request = hasty(unspool::pages(server.url("/"))).retries(2);
        let (items, account) = drain(request.raw()).await;
        let error = account.unwrap_err();
        assert_eq!(items, ["0", "1", "2", "3"]);
        assert!(error.to_string().contains(words), "{body}: {error}");
        assert_eq!(server.targets().len(), 5, "{body}");
    }
}

#[tokio::test]
async fn an_error_that_will_not_pass_is_not_asked_for_again() {
    for body in [
        r#"{"code": 403, "msg": "permission denied", "items": []}"#,
        r#"{"code": 0, "msg": "ok", "items": [], "error": "token expired"}"#,
        r#"{"error": {"code": 7, "message": "no such account"}}"#,
    ] {
        let server = soft_failure(body, usize::MAX);
        let (_, account) = drain(hasty(unspool::pages(server.url("/"))).raw()).await;
        account.unwrap_err();
        assert_eq!(server.targets().len(), 3, "{body}");
    }
}

/// A first page has nothing to be compared with: only plain words count.
#[tokio::test]
async fn a_first_page_that_is_plainly_an_error_is_one() {
    for body in [
        r#"{"code": 429, "message": "Too many requests", "items": []}"#,
        r#"{"message": "The server is busy, try again", "items": []}"#,
        r#"{"code": 503}"#,
    ] {
        let count = AtomicUsize::new(0);
        let server = Server::start(move |_| match count.fetch_add(1, Relaxed) {
            0 => Reply::json(body),
            _ => Reply::json(r#"{"code": 0, "items": [1]}"#),
        });
        let (items, account) = complete(hasty(unspool::pages(server.url("/"))).raw()).await;
        assert_eq!((items.len(), account.retries), (1, 1), "{body}");
    }
    for body in [
        r#"{"code": 200, "message": "OK", "items": []}"#,
        r#"{"code": 1, "message": "No results found", "items": []}"#,
        r#"{"status": "active", "state": "DONE", "detail": "full", "items": []}"#,
        r#"{"count": 404, "limit": 500, "items": []}"#,
    ] {
        let server = Server::start(move |_| Reply::json(body));
        let request = unspool::pages(server.url("/")).paginate(unspool::pages::Single::new());
        drain(request.raw()).await.1.unwrap();
        assert_eq!(server.targets().len(), 1, "{body}");
    }
}

#[tokio::test]
async fn a_wait_that_stands_in_a_sentence_is_waited_for() {
    let server = faulty(vec![
        || Reply::status(429).body(r#"{"detail": "Expected available in 300 ms."}"#),
        || Reply::json(r#"{"code": 429, "message": "retry after 0.3 seconds"}"#),
    ]);
    let begin = Instant::now();
    complete(hasty(unspool::pages(server.url("/"))).raw()).await;
    assert!(begin.elapsed() >= Duration::from_millis(600));
}

#[tokio::test]
async fn a_wait_in_a_sentence_that_is_too_long_is_said_at_once() {
    let server = Server::start(|_| Reply::status(503).body("down: try again in 2 hours"));
    let (_, account) = drain(unspool::pages(server.url("/")).raw()).await;
    let error = account.unwrap_err().to_string();
    assert!(error.contains("try again in 2 hours"), "{error}");
    assert!(error.contains("asks for a wait of 2 h"), "{error}");
    assert_eq!(server.targets().len(), 1);
}
