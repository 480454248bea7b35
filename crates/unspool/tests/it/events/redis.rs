//! Redis streams, against a real server that is killed and started again.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};
use unspool::Source as _;
use unspool::events::{Doubt, Event, Events, Request};

use super::LONG;
use crate::server::Redis;

fn server() -> Option<Redis> {
    super::installed(Redis::start())
}

fn stream(server: &Redis, parameters: &str) -> Request {
    unspool::events(format!("redis://{}?stream=s{parameters}", server.host()))
        .first_wait(Duration::from_millis(10))
        .stop_after(LONG)
}

/// Adds entries with these numbers, whose ids are `N-1`.
fn add(server: &Redis, numbers: impl IntoIterator<Item = u64>) {
    let line = |number| format!("XADD s {number}-1 n {number}\n");
    server.run(&numbers.into_iter().map(line).collect::<String>());
}

async fn take(feed: &mut Events<Event>, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        let event = feed.next().await.unwrap().unwrap();
        let data: Value = event.parse().unwrap();
        assert_eq!(event.id, format!("{}-1", data["n"].as_str().unwrap()));
        numbers.push(data["n"].as_str().unwrap().parse().unwrap());
    }
    numbers
}

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    range.collect()
}

#[tokio::test]
async fn entries_are_events_with_their_fields_as_json() {
    let Some(server) = server() else { return };
    server.cli(&["XADD", "s", "7-1", "name", "é \"q\"", "n", "1"]);
    server.run("XADD s 7-2 raw \"\\xff\\x00\"\n");
    let mut feed = stream(&server, "").events();
    let event = feed.next().await.unwrap().unwrap();
    assert_eq!((&*event.name, &*event.id), ("message", "7-1"));
    assert_eq!(
        event.parse::<Value>().unwrap(),
        json!({"name": "é \"q\"", "n": "1"})
    );
    let event = feed.next().await.unwrap().unwrap();
    assert_eq!(
        (&*event.name, &*event.data),
        ("binary", "{\"raw\":\"/wA=\"}")
    );
    assert_eq!(feed.account().transport, Some("redis"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_after_its_last_entry_when_the_server_was_killed() {
    let Some(server) = server() else { return };
    add(&server, 1..=2500);
    let mut feed = stream(&server, "").events();
    assert_eq!(take(&mut feed, 1200).await, numbers(1..=1200));
    server.crash();
    assert_eq!(take(&mut feed, 1300).await, numbers(1201..=2500));
    server.crash();
    add(&server, 2501..=2600);
    assert_eq!(take(&mut feed, 50).await, numbers(2501..=2550));
    let account = feed.account();
    assert!(account.doubts.is_empty(), "{account:?}");
    assert_eq!(account.connections, 3);
    // And in another process.
    let position = feed.position().unwrap();
    drop(feed);
    let mut feed = stream(&server, "").from(position).events();
    assert_eq!(take(&mut feed, 50).await, numbers(2551..=2600));
    assert!(feed.account().doubts.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_from_now_on_is_not_lost_before_the_first_entry() {
    let Some(server) = server() else { return };
    add(&server, 1..=5);
    let mut feed = stream(&server, "&from=now").events();
    let added = async {
        while feed_is_waiting(&server) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.crash();
        add(&server, 6..=8);
    };
    let (taken, ()) = tokio::join!(take(&mut feed, 3), added);
    assert_eq!(taken, numbers(6..=8));
    assert!(feed.account().doubts.is_empty(), "{:?}", feed.account());
}

/// How many clients wait for an entry.
fn feed_is_waiting(server: &Redis) -> u64 {
    let info = server.cli(&["INFO", "clients"]);
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("blocked_clients:"));
    line.unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn entries_that_were_trimmed_before_they_were_read_are_a_doubt() {
    let Some(server) = server() else { return };
    add(&server, 1..=20);
    let mut feed = stream(&server, "").events();
    assert_eq!(take(&mut feed, 5).await, numbers(1..=5));
    let position = feed.position().unwrap();
    drop(feed);
    // Up to the one that was read last: nothing is missing.
    server.cli(&["XTRIM", "s", "MINID", "5-1"]);
    let mut feed = stream(&server, "").from(position.clone()).events();
    assert_eq!(take(&mut feed, 5).await, numbers(6..=10));
    assert!(feed.account().doubts.is_empty());
    server.cli(&["XTRIM", "s", "MINID", "9-1"]);
    let mut feed = stream(&server, "").from(position).events();
    assert_eq!(take(&mut feed, 12).await, numbers(9..=20));
    let doubt = Doubt::Trimmed {
        after: "5-1".to_owned(),
        next: "9-1".to_owned(),
    };
    assert_eq!(feed.account().doubts, [doubt]);
    // All of it had been read: what is new is all there.
    let position = feed.position().unwrap();
    add(&server, 21..=21);
    let mut feed = stream(&server, "").from(position).events();
    assert_eq!(take(&mut feed, 1).await, [21]);
    assert!(feed.account().doubts.is_empty());
}

#[tokio::test]
async fn a_stream_that_was_made_anew_is_a_doubt() {
    let Some(server) = server() else { return };
    add(&server, 1..=9);
    let mut feed = stream(&server, "").events();
    take(&mut feed, 9).await;
    let position = feed.position().unwrap();
    drop(feed);
    server.cli(&["DEL", "s"]);
    add(&server, 1..=3);
    let mut feed = stream(&server, "").from(position).events();
    assert_eq!(take(&mut feed, 3).await, numbers(1..=3));
    let after = "9-1".to_owned();
    assert_eq!(feed.account().doubts, [Doubt::MadeAnew { after }]);
}

fn pending(server: &Redis) -> u64 {
    let summary = server.cli(&["XPENDING", "s", "g"]);
    summary.lines().next().unwrap().parse().unwrap()
}

/// Lets the feed run until that many entries are not acknowledged.
async fn run_until_pending(server: &Redis, feed: &mut Events<Event>, count: u64) {
    let reached = async {
        while pending(server) != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        event = feed.next() => panic!("{event:?}"),
        () = reached => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_of_a_group_acknowledges_what_is_durable_and_no_more() {
    let Some(server) = server() else { return };
    add(&server, 1..=10);
    let grouped = || stream(&server, "&group=g").await_durable();
    let mut feed = grouped().events();
    assert_eq!(take(&mut feed, 6).await, numbers(1..=6));
    let durable = feed.position().unwrap();
    assert_eq!(take(&mut feed, 4).await, numbers(7..=10));
    assert_eq!(pending(&server), 10);
    Pin::new(&mut feed).acknowledge(&durable);
    run_until_pending(&server, &mut feed, 4).await;
    // It is killed; what was durable and what was not is told apart by the position.
    drop(feed);
    let mut feed = grouped().from(durable).events();
    assert_eq!(take(&mut feed, 4).await, numbers(7..=10));
    let position = feed.position().unwrap();
    Pin::new(&mut feed).acknowledge(&position);
    run_until_pending(&server, &mut feed, 0).await;
    server.crash();
    add(&server, 11..=12);
    assert_eq!(take(&mut feed, 2).await, numbers(11..=12));
    assert!(feed.account().doubts.is_empty(), "{:?}", feed.account());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_keeps_no_state_acknowledges_what_was_taken() {
    let Some(server) = server() else { return };
    add(&server, 1..=3);
    let mut feed = stream(&server, "&group=g").events();
    assert_eq!(take(&mut feed, 3).await, numbers(1..=3));
    assert_eq!(pending(&server), 3);
    run_until_pending(&server, &mut feed, 0).await;
    // What it had not taken comes again.
    add(&server, 4..=6);
    assert_eq!(take(&mut feed, 1).await, [4]);
    drop(feed);
    let mut feed = stream(&server, "&group=g").events();
    assert_eq!(take(&mut feed, 3).await, numbers(4..=6));
}

/// Waits until the server has seen that a feed is gone: it gives entries to it until then.
async fn nobody_waits(server: &Redis) {
    while !server
        .cli(&["INFO", "clients"])
        .contains("blocked_clients:0")
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Lets another consumer have the first entries, which goes away without a word.
fn die_with(server: &Redis, count: u64) {
    server.cli(&["XGROUP", "CREATE", "s", "g", "0"]);
    server.run(&format!(
        "XREADGROUP GROUP g dead COUNT {count} STREAMS s >\n"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_a_dead_consumer_are_taken_over_after_a_time() {
    let Some(server) = server() else { return };
    add(&server, 1..=6);
    die_with(&server, 3);
    let mut feed = stream(&server, "&group=g&claim=300ms").events();
    let mut taken = take(&mut feed, 6).await;
    taken.sort_unstable();
    assert_eq!(taken, numbers(1..=6));
    run_until_pending(&server, &mut feed, 0).await;
    // While it runs, too.
    add(&server, 7..=8);
    server.run("XREADGROUP GROUP g dead COUNT 1 STREAMS s >\n");
    let mut taken = take(&mut feed, 2).await;
    taken.sort_unstable();
    assert_eq!(taken, [7, 8]);
    run_until_pending(&server, &mut feed, 0).await;
    assert!(feed.account().doubts.is_empty(), "{:?}", feed.account());
    // Without that they are left to the one who has them.
    drop(feed);
    nobody_waits(&server).await;
    add(&server, 9..=10);
    server.run("XREADGROUP GROUP g dead COUNT 1 STREAMS s >\n");
    let mut feed = stream(&server, "&group=g").events();
    assert_eq!(take(&mut feed, 1).await, [10]);
    run_until_pending(&server, &mut feed, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_before_the_position_are_handed_out_where_another_consumer_had_them() {
    let Some(server) = server() else { return };
    add(&server, 1..=6);
    die_with(&server, 3);
    let grouped = || stream(&server, "&group=g").await_durable();
    let mut feed = grouped().events();
    assert_eq!(take(&mut feed, 3).await, numbers(4..=6));
    // Durable, and killed before that was told to the server.
    let position = feed.position().unwrap();
    drop(feed);
    server.cli(&["XCLAIM", "s", "g", "unspool", "0", "1-1", "2-1", "3-1"]);
    let mut feed = grouped().from(position).events();
    assert_eq!(take(&mut feed, 3).await, numbers(1..=3));
    assert_eq!(pending(&server), 6);
    let position = feed.position().unwrap();
    Pin::new(&mut feed).acknowledge(&position);
    run_until_pending(&server, &mut feed, 0).await;
    let account = feed.account();
    assert!(
        account.replayed == 3 && account.doubts.is_empty(),
        "{account:?}"
    );
}

#[tokio::test]
async fn an_entry_that_was_deleted_while_a_dead_consumer_had_it_is_a_doubt() {
    let Some(server) = server() else { return };
    add(&server, 1..=4);
    die_with(&server, 3);
    server.cli(&["XDEL", "s", "2-1"]);
    let mut feed = stream(&server, "&group=g&claim=1ms").events();
    let mut taken = take(&mut feed, 3).await;
    taken.sort_unstable();
    assert_eq!(taken, [1, 3, 4]);
    let doubts = feed.account().doubts;
    assert!(
        matches!(&doubts[..], [Doubt::Trimmed { next, .. }] if next == "2-1"),
        "{doubts:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_entries_wait_for_their_acknowledgement_than_are_known_again() {
    let Some(server) = server() else { return };
    add(&server, 1..=2500);
    let grouped = || stream(&server, "&group=g").await_durable();
    let mut feed = grouped().events();
    assert_eq!(take(&mut feed, 1000).await, numbers(1..=1000));
    assert!(feed.next().now_or_never().is_none());
    assert_eq!(pending(&server), 1000);
    // It waits for that, and says so to whoever keeps the state.
    assert!(feed.awaits_durable());
    let position = feed.position().unwrap();
    Pin::new(&mut feed).acknowledge(&position);
    assert_eq!(take(&mut feed, 700).await, numbers(1001..=1700));
    // Killed, with the last of them durable and not acknowledged.
    let position = feed.position().unwrap();
    drop(feed);
    let mut feed = grouped().from(position).events();
    let (mut taken, mut left) = (Vec::new(), 800);
    while left > 0 {
        let count = left.min(100);
        taken.extend(take(&mut feed, count).await);
        let position = feed.position().unwrap();
        Pin::new(&mut feed).acknowledge(&position);
        left -= count;
    }
    assert_eq!(taken, numbers(1701..=2500));
    run_until_pending(&server, &mut feed, 0).await;
}

#[tokio::test]
async fn entries_that_were_trimmed_before_a_group_had_them_are_a_doubt() {
    let Some(server) = server() else { return };
    add(&server, 1..=20);
    server.cli(&["XGROUP", "CREATE", "s", "g", "0"]);
    server.run("XREADGROUP GROUP g other COUNT 3 STREAMS s >\nXTRIM s MINID 15-1\n");
    let mut feed = stream(&server, "&group=g").events();
    assert_eq!(take(&mut feed, 6).await, numbers(15..=20));
    let doubts = feed.account().doubts;
    assert!(matches!(doubts[..], [Doubt::Trimmed { .. }]), "{doubts:?}");
}

#[tokio::test]
async fn passwords_and_databases_are_used_and_not_shown() {
    let Some(server) = server() else { return };
    server.cli(&["ACL", "SETUSER", "ada", "on", ">hush/hush", "~*", "+@all"]);
    server.run("SELECT 3\nXADD s 1-1 n 1\n");
    let address = |password: &str| format!("redis://ada:{password}@{}/3?stream=s", server.host());
    let mut feed = unspool::events(address("hush%2Fhush")).events();
    assert_eq!(take(&mut feed, 1).await, [1]);
    let shown = format!("{:?} {:?}", feed.position(), feed.account());
    assert!(!shown.contains("hush"), "{shown}");
    let mut feed = unspool::events(address("wrong-word")).events();
    let error = feed.next().await.unwrap().unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(
        text.contains("WRONGPASS") && !text.contains("wrong-word"),
        "{text}"
    );
}

#[tokio::test]
async fn a_value_above_the_limit_and_wrong_addresses_are_errors() {
    let Some(server) = server() else { return };
    server.cli(&["XADD", "s", "1-1", "n", &"x".repeat(2000)]);
    let mut feed = stream(&server, "").max_item(1000).events();
    let error = feed.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), unspool::ErrorKind::TooLarge, "{error}");
    for (address, said) in [
        ("redis://h", "?stream=NAME"),
        ("redis://h/x?stream=s", "number of a database"),
        ("redis://h?stream=s&grop=g", "`grop`"),
        ("redis://h?stream=s&consumer=c", "&group=NAME"),
        ("redis://h?stream=s&from=then", "from=now"),
        ("redis://h?stream=s&claim=5s", "&group=NAME"),
        ("redis://h?stream=s&group=g&claim=5", "claim=60s"),
        ("redis://h?stream=s&group=g&claim=0s", "claim=60s"),
    ] {
        let error = unspool::events(address)
            .events()
            .next()
            .await
            .unwrap()
            .unwrap_err();
        assert!(
            error.is_request() && error.to_string().contains(said),
            "{error}"
        );
    }
}
