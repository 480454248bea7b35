//! Tokens of the OAuth 2.0 client credentials grant.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use unspool::ClientCredentials;
use unspool::pages::PageNumber;

use crate::server::{Reply, Request, Server, linked_page, numbers};
use crate::{complete, drain};

const SECRET: &str = "s3cr3t+/=";

/// An authorization server whose tokens are `token-1`, `token-2`, …
fn issuer(expires_in: Option<u64>) -> Server {
    let count = AtomicU64::new(0);
    Server::start(move |_| {
        let number = count.fetch_add(1, Relaxed) + 1;
        let mut grant = serde_json::json!({
            "access_token": format!("token-{number}"),
            "token_type": "bearer",
        });
        if let Some(seconds) = expires_in {
            grant["expires_in"] = seconds.into();
        }
        Reply::json(grant)
    })
}

fn client(issuer: &Server) -> ClientCredentials {
    ClientCredentials::new(issuer.url("/token"), "reports:1", SECRET)
}

fn token(request: &Request) -> &str {
    request.header("authorization").unwrap()
}

#[tokio::test]
async fn one_token_serves_a_walk() {
    let issuer = issuer(Some(3600));
    let server = Server::linked_pages(3, 2);
    let client = client(&issuer)
        .scope("read:a read:b")
        .audience("https://api.test");
    let request = unspool::pages(server.url("/")).oauth2(client);
    assert!(!format!("{request:?}").contains(SECRET));
    let (items, account) = complete(request.raw()).await;
    assert_eq!((items.len(), account.requests), (6, 4));
    for request in server.requests() {
        assert_eq!(token(&request), "Bearer token-1");
    }
    let [request] = &issuer.requests()[..] else {
        panic!("{:?}", issuer.targets());
    };
    assert_eq!(
        (request.method.as_str(), request.path()),
        ("POST", "/token")
    );
    // `reports%3A1:s3cr3t%2B%2F%3D`: encoded as in a form before Base64.
    assert_eq!(token(request), "Basic cmVwb3J0cyUzQTE6czNjcjN0JTJCJTJGJTNE");
    assert_eq!(
        String::from_utf8_lossy(&request.body),
        "grant_type=client_credentials&scope=read%3Aa+read%3Ab&audience=https%3A%2F%2Fapi.test"
    );
    assert_eq!(
        request.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
}

#[tokio::test]
async fn the_secret_can_go_in_the_body() {
    let issuer = issuer(None);
    let server = Server::linked_pages(1, 1);
    let request = unspool::pages(server.url("/")).oauth2(client(&issuer).in_body());
    complete(request.raw()).await;
    let request = &issuer.requests()[0];
    assert_eq!(request.header("authorization"), None);
    assert_eq!(
        String::from_utf8_lossy(&request.body),
        "grant_type=client_credentials&client_id=reports%3A1&client_secret=s3cr3t%2B%2F%3D"
    );
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires() {
    let issuer = issuer(Some(1));
    let server = Server::start(|request| {
        if request.page() == 1 {
            std::thread::sleep(Duration::from_millis(950));
        }
        linked_page(request, 2, 1)
    });
    let request = unspool::pages(server.url("/")).oauth2(client(&issuer));
    complete(request.raw()).await;
    let requests = server.requests();
    assert_eq!(token(&requests[0]), "Bearer token-1");
    assert_eq!(token(&requests[1]), "Bearer token-2");
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_renewed_once() {
    let issuer = issuer(None);
    let server = Server::start(|request| match (request.page(), token(request)) {
        (2, "Bearer token-1") => Reply::status(401).body("expired"),
        (3, _) => Reply::status(401).body(format!("not with {}", token(request))),
        _ => linked_page(request, 4, 1),
    });
    let request = unspool::pages(server.url("/")).oauth2(client(&issuer));
    let (items, account) = drain(request.raw()).await;
    assert_eq!(items, ["0", "1"]);
    let error = account.unwrap_err();
    assert_eq!(error.status(), Some(401));
    assert!(error.is_unauthorized());
    assert!(error.to_string().ends_with("not with Bearer …"), "{error}");
    assert_eq!(server.targets().len(), 5);
    assert_eq!(issuer.targets().len(), 3);
}

#[tokio::test]
async fn requests_that_are_on_their_way_together_share_one_renewal() {
    let count = AtomicU64::new(0);
    let issuer = Server::start(move |_| {
        let number = count.fetch_add(1, Relaxed) + 1;
        // Long enough for all to see that the first token is not taken.
        std::thread::sleep(Duration::from_millis(100 * (number - 1)));
        Reply::json(format!(r#"{{"access_token": "token-{number}"}}"#))
    });
    let server = Server::start(|request| match (request.page(), token(request)) {
        (1, _) => Reply::json("[1]"),
        (page, "Bearer token-1") => {
            // One of them says so when the others have the second token already.
            let late = if page == 5 { 300 } else { 20 };
            std::thread::sleep(Duration::from_millis(late));
            Reply::status(401).body("withdrawn")
        }
        (page, _) => Reply::json(numbers([page])),
    });
    let request = unspool::pages(server.url("/"))
        .paginate(PageNumber::new("page").last(9))
        .in_flight(8)
        .oauth2(client(&issuer));
    let (items, _) = complete(request.raw()).await;
    assert_eq!(items.len(), 9);
    assert_eq!(issuer.targets().len(), 2);
}

#[tokio::test]
async fn the_token_goes_to_its_origin_and_the_secret_to_the_token_endpoint_only() {
    let issuer = issuer(None);
    let other = Server::start(|_| Reply::json("[9]"));
    let (link, redirect) = (other.url("/?page=2"), other.url("/there"));
    let server = Server::start(move |request| match request.path() {
        "/linked" => Reply::status(200)
            .header("link", format!("<{link}>; rel=next"))
            .body("[1]"),
        _ => Reply::status(307).header("location", &redirect).body(""),
    });
    for path in ["/linked", "/redirected"] {
        let request = unspool::pages(server.url(path)).oauth2(client(&issuer));
        complete(request.raw()).await;
    }
    for request in server.requests() {
        assert!(token(&request).starts_with("Bearer token-"));
    }
    assert_eq!(other.targets(), ["/?page=2", "/there"]);
    for request in other.requests() {
        assert_eq!(request.header("authorization"), None);
    }
}

#[tokio::test]
async fn a_token_endpoint_that_redirects_is_not_followed() {
    let other = issuer(None);
    let target = other.url("/token");
    let server = Server::linked_pages(1, 1);
    for status in [302, 307, 308] {
        let target = target.clone();
        let issuer =
            Server::start(move |_| Reply::status(status).header("location", &target).body(""));
        let request = unspool::pages(server.url("/")).oauth2(client(&issuer).in_body());
        let (_, account) = drain(request.raw()).await;
        let text = account.unwrap_err().to_string();
        assert!(text.contains("redirects are not followed"), "{text}");
    }
    assert_eq!(other.targets().len(), 0);
    assert_eq!(server.targets().len(), 0);
}

#[tokio::test]
async fn a_refusal_says_why_and_is_not_repeated() {
    for (status, body, words) in [
        (
            401,
            r#"{"error": "invalid_client", "error_description": "no client with s3cr3t+/="}"#,
            "/token: the token endpoint answered 401 Unauthorized: `invalid_client`, no client with …",
        ),
        (
            400,
            r#"{"error": "invalid_scope"}"#,
            "answered 400 Bad Request: `invalid_scope`",
        ),
        (
            404,
            "<h1>nothing here</h1>",
            "404 Not Found: <h1>nothing here",
        ),
        (200, "{}", "not with an `access_token` in JSON"),
        (
            200,
            r#"{"access_token": "t0ken", "token_type": "mac"}"#,
            "not of the type `Bearer`",
        ),
        (
            200,
            r#"{"access_token": "t0k\nen"}"#,
            "cannot be sent in a header",
        ),
    ] {
        let issuer = Server::start(move |_| Reply::status(status).body(body));
        let server = Server::linked_pages(1, 1);
        let (_, account) = drain(
            unspool::pages(server.url("/"))
                .oauth2(client(&issuer))
                .raw(),
        )
        .await;
        let error = account.unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("POST http://127.0.0.1:"), "{text}");
        assert!(text.contains(words), "{text}");
        assert!(error.is_unauthorized() && !error.is_retryable());
        // A 404 of this endpoint is not one of the API, which may end a walk.
        assert_eq!(error.status(), None);
        assert!(!format!("{error:?}").contains(SECRET));
        assert_eq!((issuer.targets().len(), server.targets().len()), (1, 0));
    }
}

#[tokio::test]
async fn a_token_endpoint_that_is_down_for_a_moment_is_asked_again() {
    let count = AtomicU64::new(0);
    let issuer = Server::start(move |_| match count.fetch_add(1, Relaxed) {
        0 => Reply::status(503).body(""),
        1 => Reply::drop_connection(),
        _ => Reply::json(r#"{"access_token": "t0ken", "expires_in": "3600"}"#),
    });
    let server = Server::linked_pages(1, 1);
    let request = unspool::pages(server.url("/"))
        .first_wait(Duration::from_millis(1))
        .oauth2(client(&issuer));
    let (_, account) = complete(request.raw()).await;
    assert_eq!((account.requests, account.retries), (4, 2));
    assert_eq!(token(&server.requests()[0]), "Bearer t0ken");
}

#[tokio::test]
async fn a_wrong_token_url_is_a_wrong_request() {
    for url in ["nonsense", "file:///token"] {
        let client = ClientCredentials::new(url, "a", "b");
        let (_, account) = drain(unspool::pages("http://127.0.0.1:9/").oauth2(client).raw()).await;
        assert!(account.unwrap_err().is_request());
    }
}
