//! Where a feed ends.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use serde_json::json;
use test_servers::Reply;
use unspool::events::{Doubt, Ended};
use unspool::{Source, Verdict};

use super::{
    Server, check_whole, cut, data, drain, events, feed, items, numbered, serving, stream,
};

#[tokio::test]
async fn once_is_to_the_end_of_the_body() {
    let server = serving(|connection, _| match connection {
        // Cut, it is no end.
        0 => cut(&numbered(1..=2)),
        // Nor is it inside of an event.
        1 => events(&format!("{}data: it", numbered(3..=3))),
        _ => events(&numbered(4..=5)),
    });
    let found = drain(feed(&server).once().events()).await;
    check_whole(&found, &items(1..=5));
    assert_eq!(found.1.unwrap().ended, Ended::EndOfBody);
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_is_not_proved_whole() {
    let server = serving(|_, _| {
        Reply::status(200)
            .header("content-type", "text/event-stream")
            .until_close(numbered(1..=2))
    });
    let (found, account) = drain(feed(&server).once().events()).await;
    assert_eq!(data(&found), items(1..=2));
    let account = account.unwrap();
    assert_eq!(account.doubts, [Doubt::EndNotStated]);
    assert_eq!(account.verdict(), Verdict::NotProved);
}

#[tokio::test]
async fn until_hands_out_the_event_and_ends() {
    let body = "data: {\"status\": \"running\"}\n\ndata: {\"status\": \"done\"}\n\ndata: late\n\n";
    let server = serving(move |_, _| stream().chunk(body).until_gone().0);
    let request = feed(&server).until("/status=done".parse().unwrap());
    let (found, account) = drain(request.events()).await;
    assert_eq!(found.len(), 2);
    let account = account.unwrap();
    assert_eq!(
        (account.ended, account.verdict()),
        (Ended::Until, Verdict::Asked)
    );
    assert!(account.complete);
}

#[tokio::test]
async fn the_time_is_up_wherever_the_feed_is() {
    let quiet = serving(|_, _| stream().chunk(numbered(1..=1)).until_gone().0);
    let silent = Server::start(|_| Reply::silence());
    let broken = serving(|_, _| cut(&numbered(1..=1)));
    for (server, count) in [(&quiet, 1), (&silent, 0), (&broken, 1)] {
        let request = unspool::events(server.url("/"))
            .first_wait(Duration::from_secs(20))
            .stop_after(Duration::from_millis(100));
        let (found, account) = drain(request.events()).await;
        assert_eq!(found.len(), count);
        let account = account.unwrap();
        assert_eq!(
            (account.ended, account.verdict()),
            (Ended::TimeUp, Verdict::Asked)
        );
    }
}

#[tokio::test]
async fn a_wait_says_what_is_waited_for() {
    let server = serving(|_, _| cut(&numbered(1..=1)));
    let mut feed = unspool::events(server.url("/"))
        .first_wait(Duration::from_secs(20))
        .reconnects(7)
        .events();
    feed.next().await.unwrap().unwrap();
    let words = tokio::select! {
        _ = feed.next() => None,
        () = tokio::time::sleep(Duration::from_millis(100)) => Some(()),
    };
    assert!(words.is_some());
    let waiting = feed.waiting().unwrap();
    assert!(
        waiting.contains("to connect again (1 of 7): the body stopped"),
        "{waiting}"
    );
}

#[tokio::test]
async fn a_feed_may_be_asked_for_with_a_document() {
    let server = serving(|_, _| events(&numbered(1..=2)));
    let request = feed(&server).data(json!({"topic": "a"})).once();
    check_whole(&drain(request.events()).await, &items(1..=2));
    let asked = &server.requests()[0];
    assert_eq!(asked.method, "POST");
    assert_eq!(asked.body, br#"{"topic":"a"}"#);
    assert!(
        asked
            .header("accept")
            .unwrap()
            .starts_with("text/event-stream, ")
    );
}

#[tokio::test]
async fn events_come_as_lines_or_as_values_of_a_type() {
    let body = "event: tick\nid: 1\ndata: {\"n\":\ndata: 1}\n\ndata: {\"n\": 2}\n\n";
    let server = serving(move |_, _| events(body));
    let lines: Vec<String> = (feed(&server).once().raw())
        .map_ok(|line| line.to_string())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(
        lines,
        [
            r#"{"event":"tick","id":"1","data":"{\"n\":\n1}"}"#,
            r#"{"event":"message","id":"1","data":"{\"n\": 2}"}"#,
        ]
    );
    let lines: Vec<String> = (feed(&server).once().parse_data().raw())
        .map_ok(|line| line.to_string())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(lines[0], r#"{"event":"tick","id":"1","data":{"n":1}}"#);
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Number {
        n: u32,
    }
    let numbers: Vec<Number> = feed(&server).once().items().try_collect().await.unwrap();
    assert_eq!(numbers, [Number { n: 1 }, Number { n: 2 }]);
    let wrong: Result<Vec<String>, _> = feed(&server).once().items().try_collect().await;
    assert!(wrong.unwrap_err().to_string().contains("cannot be read"));
}

#[tokio::test]
async fn a_feed_is_a_source_like_the_others() {
    let server = serving(|_, _| events(&numbered(1..=2)));
    let mut described = unspool::events::Description::new(server.url("/feed"));
    described.once = true;
    let text = serde_json::to_string(&unspool::Description::try_from(&described).unwrap());
    let text = text.unwrap();
    let description: unspool::Description = serde_json::from_str(&text).unwrap();
    let mut source = description.open(None).unwrap();
    source.try_next().await.unwrap().unwrap();
    let position = source.position().unwrap();
    assert_eq!(source.name(), "events");
    let resumed = description.open(Some(&position)).unwrap();
    drop(resumed.collect::<Vec<_>>().await);
    assert_eq!(server.requests()[1].header("last-event-id"), Some("1"));
}
