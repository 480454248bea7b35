//! One [`Http`] for several sources: what they share, and what stays with each of them.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join;
use unspool::pages::{PageNumber, Request};
use unspool::{ClientCredentials, Credentials, Http};

use crate::server::{Reply, Server, linked_page, numbers};
use crate::{complete, drain};

/// A server that notes when each request came.
fn timed(
    answer: impl Fn(u64, &crate::server::Request) -> Reply + Send + Sync + 'static,
) -> (Server, Arc<Mutex<Vec<Instant>>>) {
    let times = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&times);
    let server = Server::start(move |request| {
        let mut times = log.lock().unwrap();
        times.push(Instant::now());
        let number = times.len() as u64;
        drop(times);
        answer(number, request)
    });
    (server, times)
}

fn counted(http: &Http, server: &Server, path: &str, pages: u64) -> Request {
    unspool::pages(server.url(path))
        .paginate(PageNumber::new("page").last(pages))
        .http(http)
}

#[tokio::test]
async fn two_sources_in_parallel_obey_one_rate() {
    let (server, times) = timed(|_, request| Reply::json(numbers([request.page()])));
    let http = Http::builder()
        .rate("25/s".parse().unwrap())
        .build()
        .unwrap();
    let one = complete(counted(&http, &server, "/one", 4).raw());
    let two = complete(counted(&http.clone(), &server, "/two", 4).raw());
    let ((_, one), (_, two)) = join(one, two).await;
    // Each has a meter of its own.
    assert_eq!((one.requests, two.requests), (4, 4));
    let times = times.lock().unwrap();
    let took = *times.last().unwrap() - times[0];
    assert!(took >= Duration::from_millis(7 * 40 - 20), "{took:?}");
}

#[tokio::test]
async fn two_sources_in_parallel_obey_one_retry_after() {
    let (server, times) = timed(|number, request| match number {
        1 => Reply::status(429).header("retry-after-ms", 400).body(""),
        _ => Reply::json(numbers([request.page()])),
    });
    let http = Http::builder()
        .first_wait(Duration::from_millis(1))
        .build()
        .unwrap();
    let mut first = counted(&http, &server, "/one", 1).raw();
    let second = async {
        // The answer that asks for quiet has come, and the first source waits.
        while times.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        complete(counted(&http, &server, "/two", 2).raw()).await
    };
    let (_, (_, second)) = join(first.next(), second).await;
    assert_eq!((second.requests, second.retries), (2, 0));
    let times = times.lock().unwrap();
    for time in &times[1..] {
        assert!(*time - times[0] >= Duration::from_millis(395), "{times:?}");
    }
}

#[tokio::test]
async fn two_sources_share_what_the_upstream_still_allows() {
    let window = Duration::from_millis(600);
    let (begin, refused) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let (count, used) = (Arc::clone(&refused), Mutex::new((0, 0)));
    let server = Server::start(move |request| {
        let mut used = used.lock().unwrap();
        let current = begin.elapsed().as_millis() / window.as_millis();
        if used.0 != current {
            *used = (current, 0);
        }
        used.1 += 1;
        if used.1 > 4 {
            count.fetch_add(1, Relaxed);
            return Reply::status(429).body("");
        }
        let left = window * (current as u32 + 1) - begin.elapsed();
        Reply::status(200)
            .header("x-ratelimit-limit", 4)
            .header("x-ratelimit-remaining", 4 - used.1)
            .header(
                "x-ratelimit-reset-after",
                format!("{:.3}", left.as_secs_f64() + 0.002),
            )
            .body(numbers([request.page()]))
    });
    let http = Http::new();
    // One answer has to say what is allowed before two may ask at a time.
    complete(counted(&http, &server, "/", 1).raw()).await;
    let one = complete(counted(&http, &server, "/one", 5).raw());
    let two = complete(counted(&http, &server, "/two", 5).raw());
    join(one, two).await;
    assert_eq!(refused.load(Relaxed), 0);
}

#[tokio::test]
async fn a_source_that_is_not_polled_keeps_no_other_from_its_turn() {
    let (server, _) = timed(|number, request| match number {
        1 => Reply::status(429).header("retry-after-ms", 200).body(""),
        _ => Reply::json(numbers([request.page()])),
    });
    let http = Http::new();
    let mut idle = counted(&http, &server, "/idle", 1).retries(1).raw();
    let mut waiting = counted(&http, &server, "/waiting", 1).raw();
    let limit = Duration::from_millis(50);
    assert!(tokio::time::timeout(limit, idle.next()).await.is_err());
    assert!(tokio::time::timeout(limit, waiting.next()).await.is_err());
    // Both are in the middle of a wait, and nobody looks after them.
    let (items, _) = complete(counted(&http, &server, "/busy", 2).raw()).await;
    assert_eq!(items, ["1", "2"]);
    drop((idle, waiting));
}

#[tokio::test]
async fn nor_one_that_asks_for_a_token() {
    let count = AtomicU64::new(0);
    let issuer = Server::start(move |_| match count.fetch_add(1, Relaxed) {
        0 => Reply::silence(),
        _ => Reply::json(r#"{"access_token": "token-2"}"#),
    });
    let server = Server::start(|request| linked_page(request, 1, 1));
    let client = ClientCredentials::new(issuer.url("/token"), "me", "s3cr3t");
    let http = Http::builder()
        .for_origin(server.url(""), Credentials::new().oauth2(client))
        .build()
        .unwrap();
    let limit = Duration::from_millis(200);
    let mut idle = unspool::pages(server.url("/")).http(&http).raw();
    assert!(tokio::time::timeout(limit, idle.next()).await.is_err());
    let busy = unspool::pages(server.url("/")).http(&http).timeout(limit);
    complete(busy.raw()).await;
    assert_eq!(
        server.requests()[0].header("authorization"),
        Some("Bearer token-2")
    );
    drop(idle);
}

#[tokio::test]
async fn a_rate_of_its_own_holds_for_one_source_alone() {
    let (server, times) = timed(|_, request| Reply::json(numbers([request.page()])));
    let http = Http::new();
    let slow = counted(&http, &server, "/slow", 3).rate("10/s".parse().unwrap());
    let begin = Instant::now();
    let ((), took) = join(
        async {
            complete(slow.raw()).await;
        },
        async {
            complete(counted(&http, &server, "/fast", 9).raw()).await;
            begin.elapsed()
        },
    )
    .await;
    assert!(begin.elapsed() >= Duration::from_millis(190));
    assert!(took < begin.elapsed(), "{took:?}");
    assert_eq!(times.lock().unwrap().len(), 12);
}

#[tokio::test]
async fn credentials_of_an_http_go_to_their_origins_only() {
    let other = Server::start(|request| linked_page(request, 1, 1));
    let third = Server::start(|request| linked_page(request, 1, 1));
    let (link, redirect) = (other.url("/"), third.url("/"));
    let server = Server::start(move |request| match request.path() {
        "/link" => Reply::status(200)
            .header("link", format!("<{link}>; rel=next"))
            .body("[7]"),
        _ => Reply::status(307).header("location", &redirect).body(""),
    });
    let http = Http::builder()
        .for_origin(
            server.url("/any/path"),
            Credentials::new().bearer_auth("for-server"),
        )
        .for_origin(
            other.url(""),
            Credentials::new().api_key_query("k", "for-other"),
        )
        .build()
        .unwrap();
    complete(unspool::pages(server.url("/link")).http(&http).raw()).await;
    complete(unspool::pages(server.url("/redirect")).http(&http).raw()).await;
    for request in server.requests() {
        assert_eq!(request.header("authorization"), Some("Bearer for-server"));
    }
    // The credentials of a second origin go there, also when another one leads there.
    assert_eq!(other.targets(), ["/?k=for-other"]);
    assert_eq!(other.requests()[0].header("authorization"), None);
    assert_eq!(third.requests()[0].header("authorization"), None);
}

#[tokio::test]
async fn what_a_source_is_given_is_laid_over_for_that_source_alone() {
    let server = Server::start(|request| linked_page(request, 1, 1));
    let shared = Credentials::new()
        .bearer_auth("shared")
        .api_key_header("x-tenant", "shared-tenant")
        .api_key_query("k", "shared-key")
        .cookie("c", "shared-cookie");
    let http = Http::builder()
        .for_origin(server.url(""), shared)
        .build()
        .unwrap();
    let request = || unspool::pages(server.url("/")).http(&http);
    complete(request().raw()).await;
    complete(request().basic_auth("ada", "pw").raw()).await;
    complete(request().api_key_query("k", "own").cookie("c", "own").raw()).await;
    complete(request().raw()).await;
    let seen: Vec<_> = (server.requests().iter())
        .map(|request| {
            let field = |name| request.header(name).unwrap_or_default().to_owned();
            let fields = [field("authorization"), field("x-tenant"), field("cookie")];
            (request.target.clone(), fields.join(", "))
        })
        .collect();
    let usual = (
        "/?k=shared-key",
        "Bearer shared, shared-tenant, c=shared-cookie",
    );
    let expected = [
        usual,
        (
            "/?k=shared-key",
            "Basic YWRhOnB3, shared-tenant, c=shared-cookie",
        ),
        ("/?k=own", "Bearer shared, shared-tenant, c=own"),
        usual,
    ];
    assert_eq!(
        seen,
        expected.map(|(target, fields)| (target.to_owned(), fields.to_owned()))
    );
}

#[tokio::test]
async fn cookies_are_shared_but_not_with_a_source_that_is_somebody_else() {
    let server = Server::start(|request| {
        let who = request.header("authorization").unwrap_or("nobody").len();
        Reply::status(200)
            .header("set-cookie", format!("sid={who}; Path=/"))
            .body("[1]")
    });
    let http = Http::new();
    let request = || unspool::pages(server.url("/")).http(&http);
    complete(request().raw()).await;
    complete(request().bearer_auth("ada's").raw()).await;
    complete(request().bearer_auth("bob's token").raw()).await;
    complete(request().raw()).await;
    let cookies: Vec<_> = (server.requests().iter())
        .map(|request| request.header("cookie").map(str::to_owned))
        .collect();
    assert_eq!(cookies, [None, None, None, Some("sid=6".to_owned())]);
}

#[tokio::test]
async fn sources_share_one_token() {
    let issuer = Server::start(|_| Reply::json(r#"{"access_token": "t0ken-1"}"#));
    let server = Server::start(|request| linked_page(request, 2, 1));
    let client = ClientCredentials::new(issuer.url("/token"), "me", "s3cr3t");
    let http = Http::builder()
        .for_origin(server.url(""), Credentials::new().oauth2(client))
        .build()
        .unwrap();
    let walk = || complete(unspool::pages(server.url("/")).http(&http).raw());
    join(walk(), walk()).await;
    walk().await;
    assert_eq!(issuer.targets().len(), 1);
    assert_eq!(server.targets().len(), 6);
}

#[tokio::test]
async fn connections_are_shared() {
    let server = Server::start(|request| linked_page(request, 1, 1));
    let http = Http::new();
    for _ in 0..3 {
        complete(unspool::pages(server.url("/")).http(&http).raw()).await;
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn times_and_tries_of_an_http_hold_where_a_source_says_nothing() {
    let server = Server::start(|_| Reply::status(503).body(""));
    let http = Http::builder()
        .retries(2)
        .first_wait(Duration::from_millis(1))
        .build()
        .unwrap();
    let (_, account) = drain(unspool::pages(server.url("/")).http(&http).raw()).await;
    assert_eq!(account.unwrap_err().status(), Some(503));
    assert_eq!(server.targets().len(), 3);
    let own = unspool::pages(server.url("/")).http(&http).retries(0);
    assert!(drain(own.raw()).await.1.is_err());
    assert_eq!(server.targets().len(), 4);
    let silent = Server::start(|_| Reply::silence());
    let http = Http::builder()
        .timeout(Duration::from_millis(20))
        .retries(0)
        .build()
        .unwrap();
    let (_, account) = drain(unspool::pages(silent.url("/")).http(&http).raw()).await;
    assert!(account.unwrap_err().is_timeout());
}

#[tokio::test]
async fn questions_take_an_http_as_well() {
    let server = Server::start(|_| {
        Reply::status(200)
            .header("content-type", "text/event-stream")
            .body(
                "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\n\
                 data: [DONE]\n\n",
            )
    });
    let own = Credentials::new().bearer_auth("shared-key");
    let http = Http::builder()
        .for_origin(server.url(""), own)
        .build()
        .unwrap();
    let question = || {
        unspool::ask("Hello?")
            .provider(unspool::ask::OPENAI)
            .model("any")
            .base_url(server.url("/v1"))
            .http(&http)
    };
    assert_eq!(question().await.unwrap().text, "Hi");
    question().api_key("own-key").await.unwrap();
    let keys: Vec<_> = (server.requests().iter())
        .map(|request| request.header("authorization").unwrap().to_owned())
        .collect();
    assert_eq!(keys, ["Bearer shared-key", "Bearer own-key"]);
}

#[test]
fn what_is_wrong_is_said_when_it_is_built() {
    let build = |url: &str, credentials| Http::builder().for_origin(url, credentials).build();
    for (url, credentials, words) in [
        ("nonsense", Credentials::new(), "a URL for credentials"),
        ("ftp://a.test", Credentials::new(), "the scheme `ftp:`"),
        (
            "http://a.test",
            Credentials::new().bearer_auth("a\nb"),
            "a token",
        ),
        (
            "http://a.test",
            Credentials::new().cookie("", "x"),
            "a cookie",
        ),
    ] {
        let error = build(url, credentials).unwrap_err();
        assert!(
            error.is_request() && error.to_string().contains(words),
            "{error}"
        );
    }
    let http = build(
        "http://ada:hush-hush@a.test",
        Credentials::new().bearer_auth("t0ken"),
    )
    .unwrap();
    let shown = format!("{http:?} {:?}", Http::builder());
    assert!(
        !shown.contains("hush") && !shown.contains("t0ken"),
        "{shown}"
    );
}
