//! What servers of events do that clients get wrong: each with the right answer.

use std::io::Write as _;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt;
use test_servers::Reply;
use unspool::ErrorKind;
use unspool::events::{Doubt, Ended};

use super::{
    Server, asked_after, check_whole, cut, data, drain, events, feed, items, no_more, numbered,
    serving, stream,
};

/// The last id that a request has, as a number.
fn number(id: Option<&str>) -> u64 {
    id.map_or(0, |id| id.parse().unwrap())
}

#[tokio::test]
async fn a_connection_that_breaks_is_made_again_after_the_last_event() {
    let server = serving(|_, after| match number(after) {
        15 => no_more(),
        after => cut(&numbered(after + 1..=after + 5)),
    });
    check_whole(&drain(feed(&server).events()).await, &items(1..=15));
    let asked = asked_after(&server);
    let asked: Vec<_> = asked.iter().map(Option::as_deref).collect();
    assert_eq!(asked, [None, Some("5"), Some("10"), Some("15")]);
}

#[tokio::test]
async fn an_id_on_every_third_event_is_enough() {
    // The server goes on after the last id, so that events without one come again.
    let all: Vec<u64> = (1..=12).collect();
    let written = |number: u64| match number % 3 {
        0 => format!("id: {number}\ndata: item {number}\n\n"),
        _ => format!("data: item {number}\n\n"),
    };
    let server = serving(move |connection, after| {
        let rest = all.iter().copied().filter(|item| *item > number(after));
        match connection {
            0 => cut(&rest.take(5).map(written).collect::<String>()),
            1 => cut(&rest.take(7).map(written).collect::<String>()),
            2 => cut(&rest.map(written).collect::<String>()),
            _ => no_more(),
        }
    });
    let found = drain(feed(&server).events()).await;
    check_whole(&found, &items(1..=12));
    let account = found.1.unwrap();
    assert_eq!((account.replayed, account.connections), (3, 3));
    // An event without an id has the one before it, also after a reconnect.
    let ids: Vec<&str> = found.0.iter().map(|event| &*event.id).collect();
    let expected = ["", "", "3", "3", "3", "6", "6", "6", "9", "9", "9", "12"];
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn an_empty_id_is_a_position_no_more() {
    let server = serving(|connection, _| match connection {
        0 => cut("id: 7\ndata: a\n\nid:\ndata: b\n\n"),
        1 => events("data: c\n\n"),
        _ => no_more(),
    });
    let (found, account) = drain(feed(&server).events()).await;
    assert_eq!(data(&found), ["a", "b", "c"]);
    assert_eq!(asked_after(&server), [None, None, None]);
    let doubts = account.unwrap().doubts.clone();
    assert!(
        matches!(&doubts[..], [Doubt::NoPosition { reason }] if reason.contains("stopped before its end")),
        "{doubts:?}"
    );
}

#[tokio::test]
async fn the_id_of_an_event_that_was_cut_does_not_count() {
    let server = serving(|connection, _| match connection {
        0 => cut("id: 1\ndata: item 1\n\nid: 2\ndata: item"),
        1 => cut("id: 2\ndata: item 2\n\nid: 3\n"),
        _ => no_more(),
    });
    check_whole(&drain(feed(&server).events()).await, &items(1..=2));
    let asked = asked_after(&server);
    let asked: Vec<_> = asked.iter().map(Option::as_deref).collect();
    assert_eq!(asked, [None, Some("1"), Some("2")]);
}

#[tokio::test]
async fn a_body_without_events_and_a_lone_retry_are_no_items() {
    let server = serving(|connection, _| match connection {
        0 => events(": hello\n\nretry: 1\n\nid: 4\n\n: ping\n\nevent: tick\n\n"),
        _ => no_more(),
    });
    check_whole(&drain(feed(&server).events()).await, &[]);
    assert_eq!(asked_after(&server)[1].as_deref(), None);
}

#[tokio::test]
async fn status_204_is_the_end() {
    let server = serving(|connection, _| match connection {
        0 => events(&numbered(1..=2)),
        _ => no_more(),
    });
    let found = drain(feed(&server).events()).await;
    check_whole(&found, &items(1..=2));
    assert_eq!(found.1.unwrap().ended, Ended::NoContent);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn another_content_type_is_an_error_and_never_items() {
    let text = "data: not an event\n\n";
    let server = serving(move |_, _| {
        Reply::status(200)
            .header("content-type", "text/plain")
            .body(text)
    });
    for request in [
        feed(&server),
        feed(&server).transport("sse".parse().unwrap()),
    ] {
        let (found, error) = drain(request.events()).await;
        let error = error.unwrap_err();
        assert!(
            found.is_empty() && error.kind() == ErrorKind::Content,
            "{error}"
        );
        assert!(
            error.to_string().contains("`text/plain`: data: not"),
            "{error}"
        );
    }
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_page_to_log_in_after_a_reconnect_is_an_error() {
    let server = serving(|connection, _| match connection {
        0 => cut(&numbered(1..=2)),
        _ => Reply::status(200)
            .header("content-type", "text/html")
            .body("<h1>Log in</h1>"),
    });
    let (found, error) = drain(feed(&server).events()).await;
    let error = error.unwrap_err();
    assert_eq!(data(&found), items(1..=2));
    assert!(
        error.to_string().contains("`text/html`: <h1>Log in"),
        "{error}"
    );
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_status_that_may_pass_is_an_error_at_first_and_waited_out_later() {
    for status in [429, 500, 502, 503] {
        let server = serving(move |_, _| Reply::status(status).body("busy"));
        let (_, error) = drain(feed(&server).events()).await;
        assert_eq!(error.unwrap_err().status(), Some(status));
        assert_eq!(server.requests().len(), 1);

        let server = serving(move |connection, _| match connection {
            0 => cut(&numbered(1..=2)),
            1..4 => Reply::status(status).body("busy"),
            4 => cut(&numbered(3..=4)),
            _ => no_more(),
        });
        check_whole(&drain(feed(&server).events()).await, &items(1..=4));
    }
}

#[tokio::test]
async fn retry_after_is_waited_for_and_one_that_is_too_long_is_not() {
    let busy = |seconds: u64| Reply::status(503).header("retry-after", seconds).body("");
    let server = serving(move |connection, _| match connection {
        0 => cut(&numbered(1..=1)),
        1 => busy(1),
        _ => no_more(),
    });
    let begin = Instant::now();
    check_whole(&drain(feed(&server).events()).await, &items(1..=1));
    assert!(begin.elapsed() >= Duration::from_secs(1));

    let server = serving(move |connection, _| match connection {
        0 => cut(&numbered(1..=1)),
        _ => busy(3600),
    });
    let (_, error) = drain(feed(&server).events()).await;
    assert_eq!(
        error.unwrap_err().retry_after(),
        Some(Duration::from_secs(3600))
    );
}

#[tokio::test]
async fn a_redirect_is_followed_each_time_from_the_first_address() {
    let server = Server::start(|request| {
        let after = number(request.header("last-event-id"));
        match request.path() {
            "/feed" => Reply::status(307)
                .header("location", format!("/at{after}"))
                .body(""),
            "/at4" => no_more(),
            _ => cut(&numbered(after + 1..=after + 2)),
        }
    });
    check_whole(&drain(feed(&server).events()).await, &items(1..=4));
    assert_eq!(
        server.targets(),
        ["/feed", "/at0", "/feed", "/at2", "/feed", "/at4"]
    );
}

#[tokio::test]
async fn a_socket_that_says_nothing_is_left_for_a_new_one() {
    let server = serving(|connection, after| match connection {
        0 => stream().chunk(numbered(1..=2)).until_gone().0,
        1 => stream().until_gone().0,
        2 => cut(&numbered(number(after) + 1..=4)),
        _ => no_more(),
    });
    let request = feed(&server).idle(Duration::from_millis(50));
    check_whole(&drain(request.events()).await, &items(1..=4));

    // That is said for what it is: the feed may be well, and only quiet.
    let server = serving(|_, _| stream().chunk(numbered(1..=1)).until_gone().0);
    let request = feed(&server).reconnects(0).idle(Duration::from_millis(50));
    let error = drain(request.events()).await.1.unwrap_err();
    assert!(
        error.is_timeout() && error.to_string().contains("no byte for 0.05 s"),
        "{error}"
    );
}

#[tokio::test]
async fn comments_are_signs_of_life() {
    let server = serving(|connection, _| match connection {
        0 => {
            let ping = |reply: Reply| reply.pause(Duration::from_millis(40)).chunk(": ping\n\n");
            let reply = (0..6).fold(stream(), |reply, _| ping(reply));
            reply.chunk(numbered(1..=1)).last_chunk()
        }
        _ => no_more(),
    });
    let request = feed(&server).idle(Duration::from_millis(200));
    check_whole(&drain(request.events()).await, &items(1..=1));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_first_connection_that_is_reset_is_tried_again() {
    let server = serving(|connection, _| match connection {
        0 => Reply::drop_connection(),
        1 => cut(&numbered(1..=2)),
        _ => no_more(),
    });
    check_whole(&drain(feed(&server).events()).await, &items(1..=2));
}

#[tokio::test]
async fn a_server_that_asks_for_no_wait_and_hangs_up_causes_no_storm() {
    let server = serving(|_, _| events("retry: 0\n\n"));
    let request = unspool::events(server.url("/")).stop_after(Duration::from_millis(750));
    let (found, account) = drain(request.events()).await;
    assert!(found.is_empty());
    assert_eq!(account.unwrap().ended, Ended::TimeUp);
    // At 0, and not before 0.1, 0.3 and 0.7 seconds.
    let requests = server.requests().len();
    assert!((2..=4).contains(&requests), "{requests}");
}

#[tokio::test]
async fn a_server_that_accepts_and_hangs_up_without_a_byte_is_given_up() {
    let server = serving(|_, _| stream().last_chunk());
    let (_, error) = drain(feed(&server).events()).await;
    let error = error.unwrap_err();
    assert!(
        error.is_truncated() && error.to_string().contains("5 times in a row"),
        "{error}"
    );
    assert_eq!(server.requests().len(), 6);
}

#[tokio::test]
async fn what_a_server_sends_again_is_not_handed_out_twice() {
    // It ignores the id, and begins at its first event each time.
    let server = serving(|connection, _| match connection {
        0..3 => cut(&numbered(1..=3 * (connection as u64 + 1))),
        _ => no_more(),
    });
    let found = drain(feed(&server).events()).await;
    check_whole(&found, &items(1..=9));
    assert_eq!(found.1.unwrap().replayed, 3 + 6);
}

#[tokio::test]
async fn a_gap_is_said_when_it_happens() {
    // It ignores the id, and goes on with what there is now.
    let server = serving(|connection, _| match connection {
        0 => cut(&numbered(1..=3)),
        1 => cut(&numbered(11..=13)),
        _ => no_more(),
    });
    let (sender, said) = std::sync::mpsc::channel();
    let request = feed(&server).on_doubt(move |doubt| sender.send(doubt.clone()).unwrap());
    let mut feed = request.events();
    for _ in 0..3 {
        feed.next().await.unwrap().unwrap();
    }
    assert!(said.try_recv().is_err());
    assert_eq!(&*feed.next().await.unwrap().unwrap().data, "item 11");
    let gap = Doubt::Gap {
        after: "3".to_owned(),
        next: "11".to_owned(),
    };
    assert_eq!(said.try_recv().unwrap(), gap);
    // Whoever stops here is told, too.
    let account = feed.account();
    assert_eq!((&account.doubts[..], account.gaps), (&[gap][..], 1));
    let rest: Vec<_> = feed.collect().await;
    assert!(rest.last().unwrap().as_ref().unwrap_err().is_incomplete());
}

#[tokio::test]
async fn a_feed_without_ids_has_a_doubt_for_each_reconnect() {
    let server = serving(|connection, _| match connection {
        0 => cut("data: a\n\n"),
        1 => events("data: a\n\n"),
        2 => events("data: b\n\n"),
        _ => no_more(),
    });
    let (found, account) = drain(feed(&server).events()).await;
    // Equal ones need not be the same one.
    assert_eq!(data(&found), ["a", "a", "b"]);
    let account = account.unwrap();
    assert!(!account.complete);
    assert_eq!(account.doubts.len(), 2);
}

#[tokio::test]
async fn a_refused_position_is_a_doubt_and_the_feed_goes_on_from_now() {
    for status in [400, 409, 410, 412, 416, 422] {
        let server = serving(move |connection, after| match (connection, after) {
            (0, _) => cut(&numbered(1..=2)),
            (_, Some(_)) if connection < 3 => Reply::status(status).body("gone"),
            (_, None) => cut("id: 70\ndata: item 70\n\n"),
            _ => no_more(),
        });
        let (found, account) = drain(feed(&server).events()).await;
        assert_eq!(data(&found), ["item 1", "item 2", "item 70"]);
        let doubts = account.unwrap().doubts.clone();
        assert_eq!(doubts, [Doubt::PositionRefused { status }]);
    }
    // Who may not have it at all has not been refused a position.
    let server = serving(move |connection, _| match connection {
        0 => cut(&numbered(1..=2)),
        _ => Reply::status(401).body(""),
    });
    let (_, error) = drain(feed(&server).events()).await;
    assert!(error.unwrap_err().is_unauthorized());
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn an_event_above_the_limit_is_an_error_however_its_lines_are() {
    let line = format!("data: {}\n", "x".repeat(1000));
    for (body, is_refused) in [
        (format!("{}\n", line.repeat(9)), false),
        (format!("{}\n", line.repeat(11)), true),
        (format!("data: {}\n\n", "x".repeat(11_000)), true),
    ] {
        let server = serving(move |connection, _| match connection {
            0 => events(&format!("{}{body}", numbered(1..=1))),
            _ => no_more(),
        });
        let (found, error) = drain(feed(&server).max_item(10_000).events()).await;
        assert_eq!(&*found[0].data, "item 1");
        assert_eq!(error.is_err_and(|error| error.is_too_large()), is_refused);
    }
}

#[tokio::test]
async fn a_line_that_never_ends_is_an_error_at_the_limit() {
    let (reply, sent) = Reply::status(200)
        .header("content-type", "text/event-stream")
        .header("connection", "close")
        .send("data: ")
        .endless();
    let reply = std::sync::Mutex::new(Some(reply));
    let server = serving(move |_, _| reply.lock().unwrap().take().unwrap());
    let (_, error) = drain(feed(&server).max_item(1 << 20).events()).await;
    assert!(error.unwrap_err().is_too_large());
    // What is beyond the limit is in the buffers of sockets.
    let sent = tokio::task::spawn_blocking(move || sent.recv().unwrap());
    assert!(sent.await.unwrap() < 16 << 20);
}

/// A feed that is compressed, and tells after how many bytes its client was gone.
fn compressed(begin: Vec<u8>, block: Vec<u8>) -> (Server, std::sync::mpsc::Receiver<u64>) {
    let (reply, sent) = Reply::status(200)
        .header("content-type", "text/event-stream")
        .header("content-encoding", "gzip")
        .header("connection", "close")
        .send(begin)
        .repeating(block);
    let reply = std::sync::Mutex::new(Some(reply));
    let server = serving(move |_, _| reply.lock().unwrap().take().unwrap());
    (server, sent)
}

#[tokio::test]
async fn a_feed_that_is_small_until_it_is_decompressed_has_the_same_limit() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(b"id: 1\ndata: item 1\n\ndata: ").unwrap();
    encoder.flush().unwrap();
    let begin = std::mem::take(encoder.get_mut());
    let zeros = vec![b'0'; 1 << 20];
    encoder.write_all(&zeros).unwrap();
    encoder.flush().unwrap();
    // From here on each block is the same: what it refers to is the one before.
    encoder.get_mut().clear();
    encoder.write_all(&zeros).unwrap();
    encoder.flush().unwrap();
    let block = std::mem::take(encoder.get_mut());
    assert!(block.len() < 3000, "{}", block.len());
    let (server, sent) = compressed(begin, block);
    let (found, error) = drain(feed(&server).max_item(64 << 20).events()).await;
    assert_eq!(data(&found), ["item 1"]);
    let error = error.unwrap_err();
    assert!(error.is_too_large(), "{error}");
    // 64 MB are 64 blocks.
    let sent = tokio::task::spawn_blocking(move || sent.recv().unwrap());
    assert!(sent.await.unwrap() < 16 << 20);
}

#[tokio::test]
async fn events_of_a_compressed_feed_come_when_they_are_sent() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut part = |text: &str| {
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.flush().unwrap();
        std::mem::take(encoder.get_mut())
    };
    let (first, second) = (part(&numbered(1..=1)), part(&numbered(2..=2)));
    let reply = Reply::status(200)
        .header("content-type", "text/event-stream")
        .header("content-encoding", "gzip")
        .chunked()
        .chunk(first);
    let (reply, gate) = reply.gate();
    let reply = reply.chunk(second).until_gone().0;
    let reply = std::sync::Mutex::new(Some(reply));
    let server = serving(move |_, _| reply.lock().unwrap().take().unwrap());
    let mut feed = feed(&server).events();
    assert_eq!(&*feed.next().await.unwrap().unwrap().data, "item 1");
    gate.send(()).unwrap();
    assert_eq!(&*feed.next().await.unwrap().unwrap().data, "item 2");
}

#[tokio::test]
async fn a_reader_that_pauses_holds_the_server_up() {
    let (reply, sent) = Reply::status(200)
        .header("content-type", "text/event-stream")
        .header("connection", "close")
        .repeating(format!("data: {}\n\n", "x".repeat(1000)).into_bytes());
    let reply = std::sync::Mutex::new(Some(reply));
    let server = serving(move |_, _| reply.lock().unwrap().take().unwrap());
    let mut feed = feed(&server).events();
    feed.next().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(feed);
    let sent = tokio::task::spawn_blocking(move || sent.recv().unwrap());
    assert!(sent.await.unwrap() < 16 << 20);
}

#[tokio::test]
async fn wherever_connections_break_nothing_is_lost_and_nothing_comes_twice() {
    const ALL: u64 = 100;
    // A comment at the begin, so that each connection says something.
    let server = serving(|connection, after| {
        let rest = numbered(number(after) + 1..=ALL);
        // The first one gets as far as an id.
        let length = (connection * 37 + 30) % 83;
        match (number(after), rest.get(..length)) {
            (ALL, _) => no_more(),
            (_, Some(part)) => cut(&format!(": hello\n\n{part}")),
            (_, None) => cut(&rest),
        }
    });
    let found = drain(feed(&server).events()).await;
    check_whole(&found, &items(1..=ALL));
    let account = found.1.unwrap();
    assert!(account.connections >= 50, "{account:?}");
}

#[tokio::test]
async fn a_hub_that_goes_on_after_another_event_says_so_in_its_answer() {
    // As Mercure does: `earliest` where it does not know the event any more.
    for (begun, is_gap) in [("earliest", true), ("urn:7", true), ("2", false)] {
        let server = serving(move |number, after| match (number, after) {
            (0, _) => cut(&numbered(1..=2)),
            (1, Some("2")) => Reply::status(200)
                .header("content-type", "text/event-stream")
                .header("last-event-id", begun)
                .chunked()
                .chunk("id: a\ndata: next\n\n")
                .close(),
            _ => no_more(),
        });
        let (found, account) = drain(feed(&server).events()).await;
        assert_eq!(data(&found), ["item 1", "item 2", "next"]);
        let doubts = account.unwrap().doubts;
        let doubt = Doubt::BegunElsewhere {
            after: "2".to_owned(),
            begun: begun.to_owned(),
        };
        assert_eq!(doubts, if is_gap { vec![doubt] } else { vec![] }, "{begun}");
    }
}

#[tokio::test]
async fn an_event_with_which_the_feed_says_that_others_are_missing_is_a_doubt() {
    let server = serving(|number, _| match number {
        0 => events("id: 1\ndata: a\n\nevent: reset\nid: 9\ndata: {}\n\n"),
        _ => no_more(),
    });
    let (found, account) = drain(feed(&server).gap_event("reset").events()).await;
    assert_eq!(data(&found), ["a", "{}"]);
    let name = "reset".to_owned();
    assert_eq!(account.unwrap().doubts, [Doubt::Announced { name }]);
}
