//! A closure in the place of a kind, and what answers hold beside their items.

use unspool::pages::{Doubt, Ended, To};

use crate::server::{Reply, Server, numbers};
use crate::{complete, drain};

#[tokio::test]
async fn a_closure_says_what_comes_next() {
    let server = Server::start(|request| {
        let p: u64 = request.query("p").unwrap_or("1").parse().unwrap();
        let following = if p < 3 {
            (p + 1).to_string()
        } else {
            "null".to_owned()
        };
        Reply::json(format!(
            r#"{{"list": {}, "meta": {{"following": {following}}}}}"#,
            numbers(p * 10..p * 10 + 2)
        ))
    });
    let request = unspool::pages(server.url("/?q=a%20b")).after(|page| {
        assert_eq!(page.items(), 2);
        assert!(page.last_item().is_some());
        match page.envelope()["meta"]["following"].as_u64() {
            Some(number) => Ok(Some(page.request().with(&To::query("p"), number)?)),
            None => Ok(None),
        }
    });
    let (items, account) = complete(request.raw()).await;
    assert_eq!(items, ["10", "11", "20", "21", "30", "31"]);
    assert_eq!(
        (&account.ended, account.paginate.as_str()),
        (&Ended::NoNext, "custom")
    );
    assert_eq!(
        server.targets(),
        ["/?q=a%20b", "/?q=a%20b&p=2", "/?q=a%20b&p=3"]
    );
}

#[tokio::test]
async fn a_closure_follows_links_and_may_fail() {
    let server = Server::start(|_| Reply::json(r#"{"list": [1], "go": "/b"}"#));
    let request = unspool::pages(server.url("/a")).after(|page| {
        let target = page.envelope()["go"].as_str().ok_or("no `go`")?;
        match page.url().path() {
            "/a" => Ok(Some(page.link(target)?)),
            path => Err(format!("lost at {path}").into()),
        }
    });
    let (items, account) = drain(request.raw()).await;
    assert_eq!(items, ["1", "1"]);
    let error = account.unwrap_err();
    assert!(
        error.is_looped(),
        "the second page is the first again: {error}"
    );
    assert_eq!(server.targets(), ["/a", "/b"]);
}

#[tokio::test]
async fn an_error_of_a_closure_ends_the_walk_with_it() {
    let server = Server::linked_pages(2, 2);
    let request = unspool::pages(server.url("/")).after(|_| Err("no idea".into()));
    let (items, account) = drain(request.raw()).await;
    assert_eq!(items.len(), 2);
    let error = account.unwrap_err().to_string();
    assert!(
        error.contains("no way to the next page: no idea"),
        "{error}"
    );
}

#[tokio::test]
async fn errors_beside_items_are_a_doubt_and_in_their_place_a_failure() {
    let server = Server::start(|request| {
        let items = if request.path() == "/some" {
            "[1]"
        } else {
            "[]"
        };
        Reply::json(format!(
            r#"{{"data": {items}, "errors": [{{"message": "timed out"}}]}}"#
        ))
    });
    let (items, account) = drain(unspool::pages(server.url("/some")).raw()).await;
    let doubt = Doubt::PartialAnswer {
        error: "timed out".to_owned(),
    };
    assert_eq!((items.len(), account.unwrap().doubts), (1, vec![doubt]));
    let (_, account) = drain(unspool::pages(server.url("/none")).raw()).await;
    let error = account.unwrap_err().to_string();
    assert!(
        error.contains("answered with an error: timed out"),
        "{error}"
    );
}

#[tokio::test]
async fn an_item_that_ends_one_page_and_begins_the_next_is_given_once() {
    // As CouchDB's `startkey`, which the page begins with.
    let server = Server::start(|request| {
        let key: u64 = request.query("startkey").unwrap_or("0").parse().unwrap();
        Reply::json(format!(r#"{{"rows": {}}}"#, numbers(key..(key + 3).min(7))))
    });
    let kind = unspool::pages::LastKey::new(unspool::Pointer::default(), "startkey");
    let (items, account) = complete(unspool::pages(server.url("/")).paginate(kind).raw()).await;
    assert_eq!(items, ["0", "1", "2", "3", "4", "5", "6"]);
    assert_eq!(account.ended, Ended::NothingAfter);
}
