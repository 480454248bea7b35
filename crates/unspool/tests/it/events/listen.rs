//! PostgreSQL's `LISTEN`, against a real server that is killed and started again.

use futures_util::StreamExt;
use serde_json::json;
use unspool::events::{Doubt, Event, Events};

use super::{LONG, data};
use crate::server::Postgres;

fn server() -> Option<Postgres> {
    super::installed(Postgres::start())
}

fn listen(server: &Postgres, parameters: &str) -> unspool::events::Request {
    unspool::events(format!("{}?{parameters}", server.address("postgres")))
        .first_wait(std::time::Duration::from_millis(10))
        .stop_after(LONG)
}

/// Notifies until the feed gives one of these: nothing is kept for who does not listen yet.
async fn first_of(server: &Postgres, feed: &mut Events<Event>, payload: &str) -> Event {
    let sql = format!("notify orders, '{payload}'");
    let notified = async {
        loop {
            server.psql("postgres", &sql);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        event = feed.next() => event.unwrap().unwrap(),
        () = notified => unreachable!(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_are_events_named_after_their_channel() {
    let Some(server) = server() else { return };
    let mut feed = listen(&server, "channel=orders&channel=Odd%20%22one%22").events();
    let first = first_of(&server, &mut feed, "begin").await;
    assert_eq!(
        (&*first.name, &*first.id, &*first.data),
        ("orders", "", "begin")
    );
    let one = "notify \"Odd \"\"one\"\"\", '{\"a\": 1}'";
    server.psql("postgres", one);
    let event = loop {
        let event = feed.next().await.unwrap().unwrap();
        if event.data != "begin" {
            break event;
        }
    };
    assert_eq!((&*event.name, &*event.data), ("Odd \"one\"", "{\"a\": 1}"));
    assert_eq!(event.parse::<serde_json::Value>().unwrap(), json!({"a": 1}));
    let account = feed.account();
    assert_eq!(account.transport, Some("listen"));
    assert!(account.doubts.is_empty(), "{account:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_new_connection_of_listen_is_a_doubt() {
    let Some(server) = server() else { return };
    let mut feed = listen(&server, "channel=orders").events();
    first_of(&server, &mut feed, "before").await;
    server.crash();
    let event = loop {
        let event = first_of(&server, &mut feed, "after").await;
        if event.data != "before" {
            break event;
        }
    };
    assert_eq!(data(&[event]), ["after"]);
    let account = feed.account();
    assert_eq!((account.connections, account.gaps), (2, 1), "{account:?}");
    assert!(
        matches!(account.doubts[..], [Doubt::NoPosition { .. }]),
        "{account:?}"
    );
    // In another process as well: nothing was kept in between.
    let position = feed.position().unwrap();
    let again = listen(&server, "channel=orders").from(position);
    let mut feed = again.events();
    first_of(&server, &mut feed, "again").await;
    assert!(matches!(
        feed.account().doubts[..],
        [Doubt::NoPosition { .. }]
    ));
}

#[tokio::test]
async fn an_address_that_cannot_be_listened_to_is_refused_before_anything_is_sent() {
    for (address, said) in [
        ("postgres://127.0.0.1:1/db", "?channel=NAME"),
        ("postgres://127.0.0.1:1/db?channel=a&odd=1", "`odd`"),
    ] {
        let mut feed = unspool::events(address).events();
        let error = feed.next().await.unwrap().unwrap_err();
        assert!(
            error.is_request() && error.to_string().contains(said),
            "{error}"
        );
    }
    let mut feed = unspool::events("postgres://127.0.0.1:1/db?channel=a")
        .once()
        .events();
    let error = feed.next().await.unwrap().unwrap_err();
    assert!(
        error.is_request() && error.to_string().contains("over HTTP"),
        "{error}"
    );
}
