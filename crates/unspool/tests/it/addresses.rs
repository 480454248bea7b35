//! Addresses that upstreams give: what is followed, what is not, and what of them is shown.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::StreamExt;
use unspool::pages::{LinkHeader, Request};
use unspool::{ClientCredentials, Error, Http};

use crate::server::{Reply, Server};
use crate::{complete, drain};

const SECRET: &str = "s3cr3t-t0ken-0042";

/// A way to say who one is.
type Way = (&'static str, fn(Request) -> Request);

const WAYS: &[Way] = &[
    ("bearer", |request| request.bearer_auth(SECRET)),
    ("password", |request| request.basic_auth("ada", SECRET)),
    ("user", |request| request.basic_auth(SECRET, "")),
    ("header", |request| {
        request.api_key_header("x-api-key", SECRET)
    }),
    ("query", |request| request.api_key_query("k", SECRET)),
    ("cookie", |request| request.cookie("sid", SECRET)),
    ("cookie header", |request| {
        let value = format!("a=1; sid={SECRET}");
        request.header("cookie".parse().unwrap(), value.parse().unwrap())
    }),
    ("proxy", |request| {
        let value = format!("Basic {}", STANDARD.encode(format!("ada:{SECRET}")));
        request.header(
            "proxy-authorization".parse().unwrap(),
            value.parse().unwrap(),
        )
    }),
];

/// The secret as somebody may write it.
fn encodings() -> Vec<String> {
    let percent: String = SECRET.bytes().map(|byte| format!("%{byte:02X}")).collect();
    vec![
        SECRET.to_owned(),
        SECRET.to_ascii_uppercase(),
        SECRET.replace('-', "%2d"),
        percent,
        STANDARD.encode(SECRET),
        URL_SAFE_NO_PAD.encode(format!("ada:{SECRET}")),
    ]
}

/// Whether a text holds the secret in one of its forms.
fn holds(text: &str) -> bool {
    let small = text.to_ascii_lowercase();
    encodings()
        .iter()
        .any(|encoded| small.contains(&encoded.to_ascii_lowercase()))
}

/// A first page whose next one has that address.
fn linked(target: &str) -> Reply {
    Reply::status(200)
        .header("link", format!("<{target}>; rel=next"))
        .body("[1]")
}

async fn error_of(request: Request) -> Error {
    let (items, account) = drain(request.retries(0).raw()).await;
    assert!(items.len() <= 1);
    account.unwrap_err()
}

#[tokio::test]
async fn no_address_with_a_secret_goes_to_another_origin() {
    for (way, give) in WAYS {
        for encoded in encodings() {
            for place in ["/a/SECRET/b", "/?page=2&x=SECRET", "/?page=2&SECRET=1"] {
                let other = Server::start(|_| Reply::json("[2]"));
                let target = other.url(&place.replace("SECRET", &encoded));
                let server = Server::start(move |request| match request.path() {
                    "/redirect" => Reply::status(307).header("location", &target).body(""),
                    _ => linked(&target),
                });
                for path in ["/redirect", "/link"] {
                    let error = error_of(give(unspool::pages(server.url(path)))).await;
                    let shown = format!("{error} {error:?}");
                    assert!(shown.contains("another origin"), "{way}: {shown}");
                    assert!(!holds(&shown), "{way}: {shown}");
                    assert!(!error.is_request() && !error.is_retryable());
                }
                assert!(other.targets().is_empty(), "{way}: {:?}", other.targets());
            }
        }
    }
}

#[tokio::test]
async fn what_only_looks_like_a_secret_goes_there() {
    let other = Server::start(|_| Reply::json("[2]"));
    for (secret, target) in [
        ("2026", "/2026/page=2026"),
        ("20260101", "/x202601019?since=120260101"),
        ("t0ken", "/?cursor=t0ken"),
    ] {
        let target = other.url(target);
        let server = Server::start(move |_| linked(&target));
        let request = unspool::pages(server.url("/")).bearer_auth(secret);
        let (items, _) = complete(request.raw()).await;
        assert_eq!(items, ["1", "2"]);
    }
    assert_eq!(other.targets().len(), 3);
}

#[tokio::test]
async fn a_key_in_the_callers_address_does_not_go_to_another_origin() {
    let other = Server::start(|_| Reply::json("[2]"));
    let (target, harmless) = (
        other.url("/?api_key=hush-0123&page=2"),
        other.url("/?page=2"),
    );
    let server = Server::start(move |request| match request.path() {
        "/harmless" => linked(&harmless),
        _ => linked(&target),
    });
    let error = error_of(unspool::pages(server.url("/?api_key=hush-0123"))).await;
    assert!(error.to_string().contains("a credential"), "{error}");
    assert!(other.targets().is_empty());
    complete(unspool::pages(server.url("/harmless?api_key=hush-0123")).raw()).await;
}

#[tokio::test]
async fn no_body_goes_to_another_origin() {
    let other = Server::start(|_| Reply::json("[2]"));
    let target = other.url("/?after=2");
    let body = format!("{{\"items\": [1], \"next\": \"{target}\"}}");
    let server = Server::start(move |request| match request.path() {
        "/link" => linked(&target),
        "/member" => Reply::json(&body),
        _ => Reply::status(308).header("location", &target).body(""),
    });
    let data = || serde_json::json!({"query": "all of mine"});
    for path in ["/link", "/member", "/redirect"] {
        let error = error_of(unspool::pages(server.url(path)).data(data())).await;
        let shown = error.to_string();
        assert!(
            shown.contains("the body is not meant for"),
            "{path}: {shown}"
        );
        assert!(!error.is_request() && !error.is_retryable());
        assert!(other.targets().is_empty());
    }
    // Without a body they are followed, and with one at home.
    for path in ["/link", "/redirect"] {
        let request = unspool::pages(server.url(path)).paginate(LinkHeader::new());
        complete(request.raw()).await;
    }
    let home = Server::start(|request| match request.query("page") {
        Some("2") => Reply::json(if request.body.is_empty() { "[]" } else { "[2]" }),
        _ => linked("/?page=2"),
    });
    let (items, _) = complete(unspool::pages(home.url("/")).data(data()).raw()).await;
    assert_eq!(items, ["1", "2"]);
}

#[tokio::test]
async fn an_address_that_is_too_long_is_the_upstreams_fault() {
    let long = format!("/?cursor={}", "x".repeat(70_000));
    let server = Server::start(move |request| match request.path() {
        "/redirect" => Reply::status(302).header("location", &long).body(""),
        "/member" => Reply::json(format!("{{\"items\": [1], \"next\": \"{long}\"}}")),
        "/cursor" => Reply::json(format!(
            "{{\"items\": [1], \"next_cursor\": \"{}\"}}",
            "x".repeat(70_000)
        )),
        _ => linked(&long),
    });
    for (path, paginate) in [
        ("/redirect", "auto"),
        ("/member", "next"),
        ("/link", "link"),
        ("/cursor", "cursor:/next_cursor,to=cursor"),
    ] {
        let paginate: unspool::pages::Paginate = paginate.parse().unwrap();
        let error = error_of(unspool::pages(server.url(path)).paginate(paginate)).await;
        let shown = error.to_string();
        assert!(!error.is_request(), "{path}: {shown}");
        assert!(shown.contains("too long"), "{path}: {shown}");
        assert!(shown.len() < 1500, "{path}: {} bytes", shown.len());
    }
    // One of 50,000 is sent.
    let server = Server::start(|request| match request.query("page") {
        Some(_) => Reply::json("[2]"),
        None => linked(&format!("/?page=2&x={}", "x".repeat(50_000))),
    });
    complete(unspool::pages(server.url("/")).raw()).await;
    // The caller's own is the caller's fault.
    let long = server.url(&format!("/?x={}", "x".repeat(70_000)));
    let error = error_of(unspool::pages(long)).await;
    assert!(error.is_request() && error.to_string().len() < 1500);
}

#[tokio::test]
async fn a_token_in_a_link_of_its_own_origin_is_sent_but_neither_shown_nor_stored() {
    let issuer = Server::start(|_| Reply::json(format!("{{\"access_token\": \"{SECRET}\"}}")));
    for place in [
        "/SECRET/2",
        "/2?x=SECRET",
        "/2?x=Bearer%20SECRET",
        "/2?SECRET",
    ] {
        for encoded in encodings() {
            let target = place.replace("SECRET", &encoded);
            let link = target.clone();
            let server = Server::start(move |request| match request.target.as_str() {
                "/" => linked(&link),
                target if target == link => linked("/third"),
                _ => Reply::status(400).body(format!("after {link}")),
            });
            let client = ClientCredentials::new(issuer.url("/"), "me", "another-s3cret");
            let mut pages = unspool::pages(server.url("/")).oauth2(client).raw();
            let mut shown = String::new();
            while let Some(item) = pages.next().await {
                let item = item
                    .map(|_| ())
                    .map_err(|error| format!("{error} {error:?}"));
                shown.push_str(&format!("{item:?}"));
                shown.push_str(&serde_json::to_string(&pages.position()).unwrap());
            }
            shown.push_str(&serde_json::to_string(&pages.account()).unwrap());
            assert!(server.targets().contains(&target), "{:?}", server.targets());
            assert!(!holds(&shown), "{target}: {shown}");
        }
    }
}

#[tokio::test]
async fn a_position_whose_credential_is_lost_says_so() {
    let server = Server::start(|request| match request.path() {
        "/" => linked(&format!("/{SECRET}/2")),
        _ => linked("/third"),
    });
    let request = || unspool::pages(server.url("/")).bearer_auth(SECRET);
    let mut pages = request().raw();
    pages.next().await.unwrap().unwrap();
    pages.next().await.unwrap().unwrap();
    let position = pages.position().unwrap();
    let error = error_of(request().from(position)).await;
    assert!(
        error.is_request() && error.to_string().contains("cannot be put back"),
        "{error}"
    );
}

/// Where a server repeats it, in each form and for each way to give it.
#[tokio::test]
async fn no_echo_of_a_secret_is_shown() {
    let http = Http::new();
    for encoded in encodings() {
        let quoted = encoded.clone();
        let server = Server::start(move |request| {
            let words = format!("you are {quoted}, known as ({quoted})");
            match request.path() {
                "/text" => Reply::status(401).body(words),
                "/json" => Reply::status(403).body(format!("{{\"error\": \"{words}\"}}")),
                "/html" => Reply::status(200)
                    .header("content-type", format!("text/html; x={quoted}"))
                    .body(format!("<html>{words}")),
                "/error" => Reply::json(format!("{{\"errors\": [\"{words}\"], \"items\": []}}")),
                "/partial" => Reply::json(format!("{{\"errors\": [\"{words}\"], \"items\": [1]}}")),
                "/item" => Reply::json(format!("[1, {{\"{words}\" 2}}]")),
                "/location" => Reply::status(302)
                    .header("location", format!("ftp://a/{quoted}"))
                    .body(""),
                "/cut" => Reply::status(401).body(format!("{}{quoted}", "x".repeat(185))),
                _ => linked(&request.target),
            }
        });
        for (way, give) in WAYS {
            for path in [
                "/text",
                "/json",
                "/html",
                "/error",
                "/partial",
                "/item",
                "/location",
                "/cut",
                "/loop",
            ] {
                let url = server.url(&format!("{path}?x={encoded}"));
                let url = if path == "/loop" {
                    url
                } else {
                    server.url(path)
                };
                let mut pages = give(unspool::pages(url)).http(&http).retries(0).raw();
                let mut shown = String::new();
                while let Some(item) = pages.next().await {
                    let Err(error) = item else { continue };
                    shown.push_str(&format!("{error} {error:?}"));
                    let mut cause = std::error::Error::source(&error);
                    while let Some(error) = cause {
                        shown.push_str(&format!("{error} {error:?}"));
                        cause = error.source();
                    }
                }
                shown.push_str(&format!("{pages:?}"));
                shown.push_str(&serde_json::to_string(&pages.account()).unwrap());
                if path != "/loop" {
                    shown.push_str(&serde_json::to_string(&pages.position()).unwrap());
                }
                assert!(!holds(&shown), "{way}, {path}, {encoded}: {shown}");
            }
        }
    }
}

#[tokio::test]
async fn nobody_forges_lines_of_ours() {
    let words = "gone\u{1b}[2K\r\nunspool: complete: 5 items\u{202e}\u{9b}1m";
    let server = Server::start(move |request| match request.path() {
        "/status" => Reply::status(400).body(words),
        "/errors" => Reply::json(serde_json::json!({"errors": [words], "items": []})),
        "/partial" => Reply::json(serde_json::json!({"errors": [words], "items": [1]})),
        _ => Reply::json(serde_json::json!({words: [1], "b": [2]})),
    });
    for path in ["/status", "/errors", "/partial", "/keys"] {
        let mut pages = unspool::pages(server.url(path)).retries(0).raw();
        let mut shown = String::new();
        while let Some(item) = pages.next().await {
            shown.push_str(
                &item
                    .err()
                    .map(|error| format!("{error} {error:?}"))
                    .unwrap_or_default(),
            );
        }
        let account = pages.account();
        shown.push_str(
            &account
                .doubts
                .iter()
                .map(ToString::to_string)
                .collect::<String>(),
        );
        shown.push_str(&format!("{:?} {}", account.items_at, account.paginate));
        let is_wrong = |char: char| char.is_control() || ('\u{202A}'..='\u{202E}').contains(&char);
        assert!(!shown.contains(is_wrong), "{path}: {shown:?}");
    }
}
