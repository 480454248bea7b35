//! Feeds of nginx with nchan, a real server that is killed and started again in the middle.
//!
//! Its buffer goes with it, and it replays silently from the oldest message that it has where an
//! id is older: so each test takes all before it kills.

use std::time::Duration;

use futures_util::StreamExt;
use unspool::events::{Doubt, Event, Events, Request};

use super::LONG;
use crate::server::Nginx;

fn feed(address: String) -> Request {
    unspool::events(address)
        .first_wait(Duration::from_millis(10))
        .stop_after(LONG)
}

fn publish(server: &Nginx, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        server.publish(&format!("{{\"n\":{number}}}"));
    }
}

async fn take(feed: &mut Events<Event>, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        let event = feed.next().await.unwrap().unwrap();
        let data: serde_json::Value = event.parse().unwrap();
        numbers.push(data["n"].as_u64().unwrap());
    }
    numbers
}

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    range.collect()
}

async fn next_second() {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let rest = Duration::from_secs(1) - Duration::from_nanos(since.subsec_nanos().into());
    tokio::time::sleep(rest).await;
}

/// A feed with positions comes through a killed server, and goes on in another process.
async fn check_resumes(request: impl Fn(&Nginx) -> Request, transport: &str) {
    let Some(server) = super::installed(Nginx::start()) else {
        return;
    };
    publish(&server, 1..=50);
    let mut feed = request(&server).events();
    assert_eq!(take(&mut feed, 50).await, numbers(1..=50));
    server.crash();
    // Its ids are those of a second and a number in it: within the second of the last message,
    // a server that has forgotten it would count those numbers anew, below that of the last.
    next_second().await;
    publish(&server, 51..=80);
    assert_eq!(take(&mut feed, 20).await, numbers(51..=70));
    let account = feed.account();
    assert_eq!(account.transport, Some(transport));
    assert!(account.doubts.is_empty(), "{account:?}");
    let position = feed.position().unwrap();
    drop(feed);
    let mut feed = request(&server).from(position).events();
    assert_eq!(take(&mut feed, 10).await, numbers(71..=80));
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_of_nchan_come_through_a_killed_server() {
    check_resumes(
        |server| feed(format!("http://{}/sub", server.host())),
        "sse",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_polling_of_nchan_goes_on_by_what_an_answer_says_of_itself() {
    let polled = |server: &Nginx| {
        feed(format!("http://{}/sub", server.host())).transport("long-poll".parse().unwrap())
    };
    check_resumes(polled, "long-poll").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_socket_of_nchan_has_a_doubt_for_a_killed_server() {
    let Some(server) = super::installed(Nginx::start()) else {
        return;
    };
    publish(&server, 1..=5);
    let mut feed = feed(format!("ws://{}/sub", server.host())).events();
    assert_eq!(take(&mut feed, 5).await, numbers(1..=5));
    server.crash();
    publish(&server, 6..=8);
    assert_eq!(take(&mut feed, 3).await, numbers(6..=8));
    let doubts = feed.account().doubts;
    assert!(
        matches!(doubts[..], [Doubt::NoPosition { .. }]),
        "{doubts:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_and_json_without_lines_of_nchan_are_events() {
    let Some(server) = super::installed(Nginx::start()) else {
        return;
    };
    publish(&server, 1..=3);
    let json = |path: &str| {
        feed(format!("http://{}{path}", server.host())).transport("ndjson".parse().unwrap())
    };
    let mut lines = json("/raw").events();
    assert_eq!(take(&mut lines, 3).await, numbers(1..=3));
    // In chunks, nchan puts nothing in between.
    let mut chunks = json("/sub").header("te".parse().unwrap(), "chunked".parse().unwrap());
    chunks = chunks.stop_after(LONG);
    assert_eq!(take(&mut chunks.events(), 3).await, numbers(1..=3));
}
