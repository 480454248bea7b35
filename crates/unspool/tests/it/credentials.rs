//! Credentials go to the origin that they were given for, and into no message.

use futures_util::StreamExt;
use unspool::pages::Request;
use unspool::reqwest;

use crate::server::{Reply, Server, linked_page, numbers};
use crate::{complete, drain};

const SECRET: &str = "s3cr3t-t0ken";

fn with_credentials(url: String) -> unspool::pages::Request {
    unspool::pages(url)
        .header("x-api-key".parse().unwrap(), SECRET.parse().unwrap())
        .header(
            "authorization".parse().unwrap(),
            format!("Bearer {SECRET}").parse().unwrap(),
        )
        .header("accept-language".parse().unwrap(), "fr".parse().unwrap())
}

#[track_caller]
fn check_clean(server: &Server) {
    let requests = server.requests();
    assert!(!requests.is_empty());
    for request in requests {
        assert_eq!(request.header("x-api-key"), None);
        assert_eq!(request.header("authorization"), None);
        assert_eq!(request.header("accept-language"), Some("fr"));
        assert_eq!(
            request.header("accept"),
            Some("application/json, */*;q=0.5")
        );
    }
}

#[tokio::test]
async fn a_next_link_to_another_origin_gets_no_credentials() {
    let other = Server::start(|_| Reply::json("[2]"));
    let target = other.url("/?page=2");
    let server = Server::start(move |_| {
        Reply::status(200)
            .header("link", format!("<{target}>; rel=next"))
            .body("[1]")
    });
    let (items, _) = complete(with_credentials(server.url("/")).raw()).await;
    assert_eq!(items, ["1", "2"]);
    assert_eq!(server.requests()[0].header("x-api-key"), Some(SECRET));
    check_clean(&other);
}

#[tokio::test]
async fn a_redirect_to_another_origin_gets_no_credentials_but_one_at_home_does() {
    let other = Server::start(|_| Reply::json("[1]"));
    let target = other.url("/there");
    let server = Server::start(move |request| match request.path() {
        "/" => Reply::status(307).header("location", "/moved").body(""),
        _ => Reply::status(302).header("location", &target).body(""),
    });
    let (items, account) = complete(with_credentials(server.url("/")).raw()).await;
    assert_eq!(items, ["1"]);
    assert_eq!(account.requests, 3);
    assert_eq!(server.targets(), ["/", "/moved"]);
    assert_eq!(server.requests()[1].header("x-api-key"), Some(SECRET));
    check_clean(&other);
}

/// A way to say who one is.
type Kind = (&'static str, fn(Request) -> Request);

fn kinds() -> Vec<Kind> {
    vec![
        ("bearer", |request| request.bearer_auth(SECRET)),
        ("basic", |request| request.basic_auth("ada", SECRET)),
        ("header", |request| {
            request.api_key_header("X-Api-Key", SECRET)
        }),
        ("query", |request| request.api_key_query("k", SECRET)),
        ("cookie", |request| request.cookie("session", SECRET)),
    ]
}

/// Whether the secret came with a request, in clear or in `Authorization`.
fn knows(request: &crate::server::Request) -> bool {
    request.target.contains(SECRET)
        || (request.headers.iter())
            .any(|(name, value)| value.contains(SECRET) || name == "authorization")
}

#[tokio::test]
async fn no_kind_of_credential_goes_to_another_origin() {
    for (name, with) in kinds() {
        let other = Server::start(|request| match request.page() {
            2 => Reply::status(302).header("location", "/?page=3").body(""),
            _ => Reply::json("[3]"),
        });
        // The server repeats what it was sent, in a redirect and in a link.
        let there = other.url("/?page=2");
        let server = Server::start(move |request| {
            let query = request
                .target
                .split_once('?')
                .map_or("", |(_, query)| query);
            match request.path() {
                "/" => Reply::status(307)
                    .header("location", format!("/one?{query}"))
                    .body(""),
                "/one" => Reply::status(200)
                    .header("link", format!("</two?{query}>; rel=next"))
                    .body("[1]"),
                "/two" => Reply::status(200)
                    .header("link", format!("<{there}&{query}>; rel=next"))
                    .body("[2]"),
                _ => Reply::status(404).body(""),
            }
        });
        let mut pages = with(unspool::pages(server.url("/"))).raw();
        let mut items = Vec::new();
        while let Some(item) = pages.next().await {
            items.push(item.unwrap().as_str().to_owned());
            let position = serde_json::to_string(&pages.position()).unwrap();
            assert!(!position.contains(SECRET), "{name}: {position}");
        }
        assert_eq!(items, ["1", "2", "3"], "{name}");
        assert_eq!(server.requests().len(), 3);
        assert_eq!(other.requests().len(), 2);
        for request in server.requests() {
            assert!(knows(&request), "{name}: {request:?}");
            assert!(request.target.matches(SECRET).count() <= 1, "{request:?}");
        }
        for request in other.requests() {
            assert!(!knows(&request), "{name}: {request:?}");
        }

        // A redirect or a link at once.
        for path in ["/redirect", "/link"] {
            let target = other.url(path);
            let server = Server::start(move |request| {
                let query = request
                    .target
                    .split_once('?')
                    .map_or("", |(_, query)| query);
                match request.path() {
                    "/redirect" => Reply::status(307)
                        .header("location", format!("{target}?{query}"))
                        .body(""),
                    _ => Reply::status(200)
                        .header("link", format!("<{target}?{query}>; rel=next"))
                        .body("[1]"),
                }
            });
            complete(with(unspool::pages(server.url(path))).raw()).await;
            assert!(knows(&server.requests()[0]), "{name}");
            let request = other.requests().pop().unwrap();
            assert_eq!(request.path(), path);
            assert!(!knows(&request), "{name}: {request:?}");
        }
    }
}

#[tokio::test]
async fn no_kind_of_credential_is_shown() {
    let server = Server::start(|request| match request.query("to") {
        Some("401") => Reply::status(401).body(format!("{request:?}")),
        Some("circle") => Reply::status(302)
            .header("location", &request.target)
            .body(""),
        _ => Reply::status(200)
            .header("link", format!("<{}>; rel=next", request.target))
            .body("[1]"),
    });
    for (name, with) in kinds() {
        for to in ["401", "circle", "loop"] {
            let url = server.url(&format!("/?to={to}"));
            let request = with(unspool::pages(url));
            let mut texts = vec![format!("{request:?}")];
            let mut pages = request.raw();
            let mut last = pages.next().await;
            while let Some(Ok(_)) = last {
                texts.push(serde_json::to_string(&pages.position()).unwrap());
                last = pages.next().await;
            }
            let error = last.unwrap().unwrap_err();
            texts.extend([
                error.to_string(),
                format!("{error:?}"),
                format!("{pages:?}"),
            ]);
            texts.push(serde_json::to_string(&pages.account()).unwrap());
            for text in texts {
                assert!(!text.contains(SECRET), "{name}, {to}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn a_key_in_the_query_leaves_the_rest_of_it_as_it_is() {
    let server = Server::start(|request| match request.query("p") {
        None => Reply::status(200)
            .header("link", "</?p=2&q=a+b%2f&k=hidden&&flag>; rel=next")
            .body("[1]"),
        _ => Reply::json("[2]"),
    });
    let request = unspool::pages(server.url("/?q=a+b%2f")).api_key_query("k", "x y&z=");
    complete(request.raw()).await;
    assert_eq!(
        server.targets(),
        [
            "/?q=a+b%2f&k=x+y%26z%3D",
            "/?p=2&q=a+b%2f&&flag&k=x+y%26z%3D"
        ]
    );
}

#[tokio::test]
async fn what_cannot_be_sent_is_a_wrong_request() {
    let request = || unspool::pages("http://127.0.0.1:9/");
    for (wrong, words) in [
        (request().bearer_auth("a\nb"), "expected a token"),
        (request().api_key_header("a b", "x"), "the name of a header"),
        (request().api_key_header("a", "x\n"), "expected a key"),
        (request().cookie("a;b", "x"), "expected a cookie"),
        (request().cookie("a", "x; y"), "expected a cookie"),
        (request().cookie("", "x"), "expected a cookie"),
    ] {
        let (_, account) = drain(wrong.raw()).await;
        let error = account.unwrap_err();
        assert!(error.is_request(), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn cookies_that_a_server_sets_go_back_to_it() {
    let server = Server::start(|request| {
        let reply = match request.page() {
            1 => Reply::status(302)
                .header("location", "/?page=2")
                .header("set-cookie", "sid=31d4; Path=/; HttpOnly"),
            2 => Reply::status(200)
                .header("set-cookie", "own=new")
                .header("link", "</?page=3>; rel=next"),
            _ => Reply::status(200).header("set-cookie", "sid=; Max-Age=0"),
        };
        reply.body(numbers([request.page()]))
    });
    let request = unspool::pages(server.url("/")).cookie("own", "old");
    let header = ("cookie".parse().unwrap(), "a=1".parse().unwrap());
    complete(request.header(header.0, header.1).raw()).await;
    let cookies: Vec<_> = (server.requests().iter())
        .map(|request| request.header("cookie").unwrap().to_owned())
        .collect();
    assert_eq!(
        cookies,
        [
            "a=1; own=old",
            "a=1; own=old; sid=31d4",
            "a=1; own=new; sid=31d4"
        ]
    );
}

#[tokio::test]
async fn a_client_of_ones_own_is_used_as_it_is() {
    let server = Server::start(|request| match request.path() {
        "/" => Reply::status(302).header("location", "/moved").body(""),
        _ => linked_page(request, 2, 1),
    });
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent("mine/1")
        .build()
        .unwrap();
    let request = with_credentials(server.url("/")).client(client);
    let (items, account) = complete(request.raw()).await;
    assert_eq!((items.len(), account.requests), (2, 3));
    for request in server.requests() {
        assert_eq!(request.header("user-agent"), Some("mine/1"));
        assert_eq!(
            request.header("accept"),
            Some("application/json, */*;q=0.5")
        );
        assert_eq!(request.header("x-api-key"), Some(SECRET));
    }
}

#[tokio::test]
async fn a_client_that_follows_redirects_must_not_take_keys_along() {
    let other = Server::start(|request| linked_page(request, 2, 1));
    let target = other.url("/there");
    let server = Server::start(move |request| match request.path() {
        "/home" => linked_page(request, 1, 1),
        "/" => Reply::status(302).header("location", "/home").body(""),
        _ => Reply::status(302).header("location", &target).body(""),
    });
    let request = |path| unspool::pages(server.url(path)).client(reqwest::Client::new());
    complete(request("/").api_key_header("x-api-key", SECRET).raw()).await;

    // The links are relative to where the client has been led, and it leaves behind
    // what every client does.
    let (items, _) = complete(request("/away").bearer_auth(SECRET).raw()).await;
    assert_eq!(items, ["0", "1"]);
    assert_eq!(other.targets(), ["/there", "/there?page=2"]);
    assert!(!other.requests().iter().any(knows));

    let (_, account) = drain(request("/away").api_key_header("x-api-key", SECRET).raw()).await;
    let text = account.unwrap_err().to_string();
    assert!(text.contains("redirect::Policy::none()"), "{text}");
}

#[tokio::test]
async fn links_are_relative_to_where_a_redirect_led() {
    let server = Server::start(|request| match request.target.as_str() {
        "/" => Reply::status(301)
            .header("location", "/deep/down/")
            .body(""),
        "/deep/down/" => Reply::status(200)
            .header("link", "<two>; rel=next")
            .body("[1]"),
        "/deep/down/two" => Reply::json("[2]"),
        _ => Reply::status(404).body(""),
    });
    let (items, _) = complete(unspool::pages(server.url("/")).raw()).await;
    assert_eq!(items, ["1", "2"]);
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let server = Server::start(|_| Reply::status(302).header("location", "/").body(""));
    let (_, account) = drain(unspool::pages(server.url("/")).raw()).await;
    assert!(
        account
            .unwrap_err()
            .to_string()
            .contains("more than 10 redirects")
    );
}

#[tokio::test]
async fn user_and_password_of_the_url_become_a_header() {
    let server = Server::start(|_| Reply::json(numbers(0..2)));
    let url = server
        .url("/")
        .replace("http://", "http://ada:love%20lace@");
    complete(unspool::pages(&url).raw()).await;
    complete(
        unspool::pages(server.url("/"))
            .basic_auth("ada", "love lace")
            .raw(),
    )
    .await;
    for request in server.requests() {
        assert_eq!(
            request.header("authorization"),
            Some("Basic YWRhOmxvdmUgbGFjZQ==")
        );
    }
}

#[tokio::test]
async fn a_password_that_is_echoed_is_not_shown() {
    let server = Server::start(|_| Reply::status(403).body("no entry for ada with love+lace"));
    let (_, account) = drain(
        unspool::pages(server.url("/"))
            .basic_auth("ada", "love+lace")
            .raw(),
    )
    .await;
    let text = account.unwrap_err().to_string();
    assert!(
        text.ends_with("answered 403 Forbidden: no entry for ada with …"),
        "{text}"
    );
}

#[tokio::test]
async fn no_error_and_no_account_holds_a_credential() {
    let server = Server::start(|request| {
        let echo = format!(
            "key {} auth {}",
            request.header("x-api-key").unwrap(),
            request.header("authorization").unwrap()
        );
        Reply::status(401).body(echo)
    });
    let url = server
        .url(&format!("/?access_token={SECRET}&q=1"))
        .replace("http://", &format!("http://ada:{SECRET}@"));
    let request = with_credentials(url);
    assert!(!format!("{request:?}").contains(SECRET), "{request:?}");
    let mut pages = request.raw();
    let error = futures_util::TryStreamExt::try_next(&mut pages)
        .await
        .unwrap_err();
    for text in [
        format!("{error}"),
        format!("{error:?}"),
        format!("{pages:?}"),
    ] {
        assert!(!text.contains(SECRET), "{text}");
    }
    assert!(error.to_string().contains("?access_token=…&q=1"), "{error}");
}

/// Two servers, of which the first gives links to the second, that want to know who asks.
fn two_names() -> (Server, Server) {
    let is_known = |request: &crate::server::Request| {
        request.header("x-api-key") == Some(SECRET) && request.query("k") == Some("q-key")
    };
    let other = Server::start(move |request| {
        if is_known(request) {
            Reply::json(r#"{"items": [2], "next": null}"#)
        } else {
            Reply::status(401).body("who are you?")
        }
    });
    let target = other.url("/?page=2");
    let server = Server::start(move |request| {
        assert!(is_known(request));
        Reply::json(format!(r#"{{"items": [1], "next": "{target}"}}"#))
    });
    (server, other)
}

#[tokio::test]
async fn another_name_of_the_same_server_gets_the_credentials_and_the_body() {
    let (server, other) = two_names();
    let request = || {
        unspool::pages(server.url("/"))
            .api_key_header("x-api-key", SECRET)
            .api_key_query("k", "q-key")
            .also_origin(&other.url("/anything?page=9"))
    };
    for request in [request(), request().data(serde_json::json!({"n": 1}))] {
        let (items, _) = complete(request.raw()).await;
        assert_eq!(items, ["1", "2"]);
    }
    assert_eq!(other.requests()[1].body, b"{\"n\":1}");
    // A third one still gets nothing.
    let third = Server::start(|_| Reply::status(403).body("no"));
    let target = third.url("/");
    let server = Server::start(move |_| Reply::status(302).header("location", &target).body(""));
    let request = unspool::pages(server.url("/"))
        .api_key_header("x-api-key", SECRET)
        .also_origin(&other.url("/"));
    drain(request.raw()).await.1.unwrap_err();
    assert_eq!(third.requests()[0].header("x-api-key"), None);
}

#[tokio::test]
async fn a_refusal_says_that_the_credentials_were_not_sent_there() {
    let (server, other) = two_names();
    let request = unspool::pages(server.url("/"))
        .api_key_header("x-api-key", SECRET)
        .api_key_query("k", "q-key");
    let error = drain(request.raw()).await.1.unwrap_err();
    let origin = other.url("");
    let said = format!("the credentials were not sent to {origin}");
    assert!(error.to_string().contains(&said), "{error}");
    assert_eq!(error.withheld_from(), Some(&*origin));
    // Where there are none, or they were sent, there is nothing to say.
    for request in [
        unspool::pages(other.url("/")),
        unspool::pages(other.url("/")).bearer_auth(SECRET),
        unspool::pages(other.url("/"))
            .header("accept-language".parse().unwrap(), "fr".parse().unwrap()),
    ] {
        let error = drain(request.raw()).await.1.unwrap_err();
        assert!(!error.to_string().contains("not sent"), "{error}");
        assert_eq!(error.withheld_from(), None);
    }
}

#[tokio::test]
async fn another_name_has_to_be_a_url() {
    for wrong in ["api.example.com", "ftp://a.test/", ""] {
        let request = unspool::pages("http://127.0.0.1:1/").also_origin(wrong);
        let error = drain(request.raw()).await.1.unwrap_err();
        assert!(error.is_request(), "{wrong}: {error}");
    }
}
