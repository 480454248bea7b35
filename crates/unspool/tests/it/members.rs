//! Items that are the members of an object.

use std::sync::Mutex;

use futures_util::TryStreamExt;
use serde_json::Value;
use unspool::pages::{Description, Position, Request};

use crate::complete;
use crate::server::{Reply, Server};

/// Three pages of two members each, with this around them.
fn server() -> Server {
    Server::start(|request| {
        let page = request.page();
        let next = if page < 3 {
            format!("\"?page={}\"", page + 1)
        } else {
            "null".to_owned()
        };
        let user = |number: u64| format!("\"u{number}\": {{\"id\": {number}}}");
        let users = [2 * page - 1, 2 * page].map(user).join(",");
        Reply::json(format!(
            "{{\"next\": {next}, \"found\": {{\"users\": {{{users}}}}}}}"
        ))
    })
}

fn at_users(request: Request) -> Request {
    request.items_at("/found/users".parse().unwrap())
}

#[tokio::test]
async fn the_members_of_all_pages_are_items() {
    let server = server();
    for in_flight in [1, 3] {
        let request = || {
            unspool::pages(server.url("/"))
                .items_of_object("name")
                .in_flight(in_flight)
        };
        for request in [request(), at_users(request())] {
            let (items, account) = complete(request.raw()).await;
            assert_eq!(items[0], r#"{"name":"u1","id": 1}"#);
            assert_eq!((items.len(), account.pages), (6, 3));
            assert_eq!(account.items_at.as_deref(), Some("/found/users"));
        }
    }
}

#[tokio::test]
async fn a_member_is_handed_out_before_the_rest_of_its_page_has_come() {
    let (reply, open) = Reply::status(200)
        .header("content-length", 27)
        .send(r#"{"found":{"users":{"u1":1,"#)
        .gate();
    let replies = Mutex::new(vec![reply.send("}")]);
    let server = Server::start(move |_| replies.lock().unwrap().pop().unwrap());
    let request = unspool::pages(server.url("/")).items_of_object("key");
    let mut pages = at_users(request).retries(0).raw();
    let first = pages.try_next().await.unwrap().unwrap();
    assert_eq!(first.as_str(), r#"{"key":"u1","value":1}"#);
    open.send(()).unwrap();
    let error = pages.try_next().await.unwrap_err();
    assert!(error.to_string().contains("expected a key"), "{error}");
}

#[tokio::test]
async fn a_walk_over_members_resumes_after_any_of_them() {
    let server = server();
    for is_said in [false, true] {
        let request = || {
            let request = unspool::pages(server.url("/")).items_of_object("key");
            if is_said { at_users(request) } else { request }
        };
        let (all, _) = complete(request().raw()).await;
        for stop in 1..=6 {
            let mut pages = request().raw();
            for _ in 0..stop {
                pages.try_next().await.unwrap().unwrap();
            }
            let position = serde_json::to_string(&pages.position().unwrap()).unwrap();
            let position: Position = serde_json::from_str(&position).unwrap();
            let (rest, _) = complete(request().from(position).raw()).await;
            assert_eq!(rest, all[stop..], "after item {stop}");
        }
    }
}

#[tokio::test]
async fn keys_tell_items_apart_and_are_in_descriptions() {
    let server = Server::start(|request| {
        let page = request.page();
        Reply::json(format!(
            r#"{{"total_pages": 2, "total": 3, "users": {{"u{page}": 1, "u{}": 1}}}}"#,
            page + 1
        ))
    });
    let mut description = Description::new(server.url("/"));
    description.items_of_object = Some("key".to_owned());
    description.items = Some("/users".to_owned());
    description.paginate = Some("page".to_owned());
    description.unique = Some("/key".to_owned());
    let text = serde_json::to_string(&unspool::Description::try_from(&description).unwrap());
    let text: Value = serde_json::from_str(&text.unwrap()).unwrap();
    assert_eq!(text["items_of_object"], "key");
    let (items, _) = complete(description.request().unwrap().raw()).await;
    assert_eq!(items.len(), 3);
}

#[tokio::test]
async fn members_of_xml_are_refused() {
    let server = Server::start(|_| Reply::json("<a><b>1</b></a>"));
    let request = unspool::pages(server.url("/")).items_of_object("key");
    let error = request.raw().try_collect::<Vec<_>>().await.unwrap_err();
    assert!(error.to_string().contains("found XML"), "{error}");
}
