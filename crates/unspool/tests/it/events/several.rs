//! Several feeds as one.

use futures_util::StreamExt;
use futures_util::stream::FusedStream;
use test_servers::Reply;
use unspool::Source as _;

use super::{Server, cut, data, drain, feed, no_more, numbered, serving, stream};

/// A feed of events `NAME 1` and so on, so many a connection and so many in all.
fn named(name: &'static str, step: u64, count: u64) -> Server {
    serving(move |_, after| {
        let after: u64 = after.map_or(0, |after| after.parse().unwrap());
        let last = count.min(after + step);
        let events = (after + 1..=last).map(|id| format!("id: {id}\ndata: {name} {id}\n\n"));
        if after < count {
            cut(&events.collect::<String>())
        } else {
            no_more()
        }
    })
}

#[tokio::test]
async fn each_feed_has_its_own_connections_and_order() {
    let (a, b) = (named("a", 2, 9), named("b", 5, 7));
    let request = feed(&a).and(b.url("/feed"));
    let (found, account) = drain(request.events()).await;
    let account = account.unwrap();
    assert!(account.complete, "{account:?}");
    for (name, count) in [("a", 9), ("b", 7)] {
        let own: Vec<_> = (found.iter())
            .filter(|event| event.data.starts_with(name))
            .map(|event| event.data.to_string())
            .collect();
        let expected: Vec<_> = (1..=count).map(|id| format!("{name} {id}")).collect();
        assert_eq!(own, expected);
    }
    assert!(found.iter().all(|event| event.source.ends_with("/feed")));
}

#[tokio::test]
async fn a_busy_feed_leaves_the_others_their_turn() {
    let busy = Server::start(|_| {
        let body = "data: busy\n\n".repeat(1000);
        stream().repeating(test_chunk(&body)).0
    });
    let rare = serving(|_, _| stream().chunk(numbered(1..=1)).until_gone().0);
    let mut feed = feed(&busy).and(rare.url("/feed")).events();
    let mut waited = 0_u64;
    while &*feed.next().await.unwrap().unwrap().data != "item 1" {
        waited += 1;
        assert!(waited < 10_000_000, "the other one does not get its turn");
    }
}

/// A chunk of a body.
fn test_chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

#[tokio::test]
async fn a_position_has_that_of_each_feed() {
    for count in 1..14 {
        let (a, b) = (named("a", 2, 6), named("b", 3, 8));
        let request = || feed(&a).and(b.url("/feed"));
        let mut first = request().events();
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(first.next().await.unwrap().unwrap());
        }
        let position = first.position().unwrap();
        drop(first);
        let (rest, _) = drain(request().from(position).events()).await;
        all.extend(rest);
        let mut all = data(&all);
        all.sort_unstable();
        let mut expected: Vec<String> = (1..=6).map(|id| format!("a {id}")).collect();
        expected.extend((1..=8).map(|id| format!("b {id}")));
        assert_eq!(all, expected, "after {count}");
    }
}

#[tokio::test]
async fn credentials_go_to_the_origin_of_the_first_feed() {
    let (a, b) = (named("a", 9, 1), named("b", 9, 1));
    let request = feed(&a).and(b.url("/feed")).bearer_auth("a-secret");
    drain(request.events()).await.1.unwrap();
    assert!(a.requests()[0].header("authorization").is_some());
    assert!(b.requests()[0].header("authorization").is_none());
}

#[tokio::test]
async fn the_last_event_of_one_feed_ends_all() {
    let a = named("a", 9, 2);
    let endless = serving(|_, _| stream().chunk(numbered(1..=1)).until_gone().0);
    let request = feed(&a)
        .and(endless.url("/feed"))
        .until("=a 2".parse().unwrap());
    let (found, account) = drain(request.events()).await;
    assert!(data(&found).contains(&"a 2"));
    assert_eq!(account.unwrap().ended, unspool::events::Ended::Until);
}

#[tokio::test]
async fn sources_are_merged_each_in_its_turn_and_keep_their_positions() {
    let (one, two) = (named("one", 1, 200), named("two", 1, 3));
    let feeds = [&one, &two].map(|server| Box::pin(feed(server).events()));
    let mut merged = unspool::merge(feeds);
    let mut order = Vec::new();
    while let Some(event) = merged.next().await {
        order.push(event.unwrap().data.to_string());
    }
    assert_eq!(order.len(), 203);
    let last_of_two = order
        .iter()
        .rposition(|text| text.starts_with("two"))
        .unwrap();
    assert!(last_of_two < 200, "the short feed waited for the long one");
    assert!(merged.is_terminated() && merged.next().await.is_none());
    for (feed, count) in merged.into_sources().into_iter().zip([200, 3]) {
        assert_eq!(feed.account().items, count);
        assert!(feed.account().complete && feed.position().is_some());
    }
}

#[tokio::test]
async fn the_first_error_of_merged_sources_is_the_last_that_they_give() {
    let good = named("good", 1, 3);
    let bad = serving(|_, _| {
        Reply::status(200)
            .header("content-type", "text/html")
            .body("x")
    });
    let feeds = [&bad, &good].map(|server| Box::pin(feed(server).events()));
    let mut merged = unspool::merge(feeds);
    let mut errors = 0;
    while let Some(event) = merged.next().await {
        errors += usize::from(event.is_err());
    }
    assert_eq!(errors, 1);
    assert!(merged.next().await.is_none());
}
