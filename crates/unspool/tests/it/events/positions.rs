//! Where a feed stands, and how it goes on there.

use futures_util::StreamExt;
use unspool::Position;
use unspool::events::Doubt;

use super::{asked_after, cut, data, drain, events, feed, items, no_more, numbered, serving};

fn stored(position: &Position) -> Position {
    serde_json::from_str(&serde_json::to_string(position).unwrap()).unwrap()
}

#[tokio::test]
async fn a_feed_goes_on_after_the_event_that_was_taken_last() {
    let server = serving(|_, after| {
        let after = after.map_or(0, |after| after.parse().unwrap());
        events(&numbered(after + 1..=5))
    });
    for count in 0..=5 {
        let mut first = feed(&server).once().events();
        for _ in 0..count {
            first.next().await.unwrap().unwrap();
        }
        let Some(position) = first.position() else {
            assert_eq!(count, 0);
            continue;
        };
        let rest = feed(&server).once().from(stored(&position));
        let (found, account) = drain(rest.events()).await;
        assert_eq!(data(&found), items(count + 1..=5));
        assert!(account.unwrap().complete);
    }
}

#[tokio::test]
async fn events_without_an_id_of_their_own_are_passed_over_after_a_resume() {
    let body = "id: 3\ndata: c\n\ndata: x\n\ndata: y\n\nid: 4\ndata: d\n\n";
    let after_3 = "data: x\n\ndata: y\n\nid: 4\ndata: d\n\n";
    let server = serving(move |_, after| events(if after.is_some() { after_3 } else { body }));
    let all = ["c", "x", "y", "d"];
    for count in 1..=3 {
        let mut first = feed(&server).once().events();
        for _ in 0..count {
            first.next().await.unwrap().unwrap();
        }
        let position = stored(&first.position().unwrap());
        let (found, _) = drain(feed(&server).once().from(position).events()).await;
        assert_eq!(data(&found), all[count..]);
    }
}

#[tokio::test]
async fn a_gap_is_seen_across_processes_where_the_ids_count() {
    let server = serving(|connection, _| match connection {
        0 => cut(&numbered(1..=4)),
        _ => events(&numbered(9..=9)),
    });
    let mut first = feed(&server).events();
    for _ in 0..4 {
        first.next().await.unwrap().unwrap();
    }
    let position = stored(&first.position().unwrap());
    drop(first);
    let (_, account) = drain(feed(&server).once().from(position).events()).await;
    let doubts = account.unwrap().doubts.clone();
    assert!(matches!(&doubts[..], [Doubt::Gap { .. }]), "{doubts:?}");
}

#[tokio::test]
async fn a_position_that_is_refused_at_the_begin_is_a_doubt_as_well() {
    let server = serving(|_, after| match after {
        Some(_) => test_servers::Reply::status(410).body("gone"),
        None => events(&numbered(1..=1)),
    });
    let mut first = feed(&server).once().events();
    first.next().await.unwrap().unwrap();
    let position = first.position().unwrap();
    let (found, account) = drain(feed(&server).once().from(position).events()).await;
    assert_eq!(data(&found), ["item 1"]);
    assert_eq!(
        account.unwrap().doubts,
        [Doubt::PositionRefused { status: 410 }]
    );
}

#[tokio::test]
async fn an_id_may_hold_anything_but_a_line_break() {
    let id = r#"[{"topic":"eqiad.änderung","partition":0,"timestamp":1700000000001}]"#;
    let body = format!("id: {id}\ndata: a\n\n");
    let server = serving(move |connection, _| match connection {
        0 => cut(&body),
        _ => no_more(),
    });
    drain(feed(&server).events()).await.1.unwrap();
    // The server of these tests reads headers as text in UTF-8.
    assert_eq!(asked_after(&server)[1].as_deref(), Some(id));
}

#[tokio::test]
async fn the_position_goes_where_the_feed_wants_it() {
    let server = serving(|connection, _| match connection {
        0 => cut(&numbered(1..=2)),
        _ => no_more(),
    });
    let request = feed(&server).resume_as("since".parse().unwrap());
    drain(request.events()).await.1.unwrap();
    assert_eq!(server.targets(), ["/feed", "/feed?since=2"]);
    let server = serving(|connection, _| match connection {
        0 => cut(&numbered(1..=2)),
        _ => no_more(),
    });
    let request = feed(&server).resume_as("header:X-Since".parse().unwrap());
    drain(request.events()).await.1.unwrap();
    assert_eq!(server.requests()[1].header("x-since"), Some("2"));
}
