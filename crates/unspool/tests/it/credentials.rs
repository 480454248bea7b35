//! Credentials go to the origin that they were given for, and into no message.

use crate::server::{Reply, Server, numbers};
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
        assert_eq!(request.header("accept"), Some("application/json"));
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
