//! `unspool events` as its users run it.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;
use test_servers::Reply;

use crate::server::Server;
use crate::{run, unspool};

/// A feed of so many numbered events, two a connection.
fn feed(count: u64) -> Server {
    Server::start(move |request| {
        let after: u64 = (request.header("last-event-id")).map_or(0, |id| id.parse().unwrap());
        let events: String = (after + 1..=count.min(after + 2))
            .map(|id| format!("event: tick\nid: {id}\ndata: {{\"n\": {id}}}\n\n"))
            .collect();
        if after < count {
            stream().chunk(events).close()
        } else {
            Reply::status(204)
        }
    })
}

fn stream() -> Reply {
    Reply::status(200)
        .header("content-type", "text/event-stream")
        .chunked()
}

#[test]
fn events_are_lines_and_a_feed_that_ends_is_complete() {
    let server = feed(3);
    let (code, lines, words) = run(&["events", &server.url("/feed")]);
    assert_eq!(code, 0, "{words}");
    assert_eq!(
        lines,
        [
            r#"{"event":"tick","id":"1","data":"{\"n\": 1}"}"#,
            r#"{"event":"tick","id":"2","data":"{\"n\": 2}"}"#,
            r#"{"event":"tick","id":"3","data":"{\"n\": 3}"}"#,
        ]
    );
    assert!(words.contains("complete: 3 events, "), "{words}");
    assert!(words.contains("2 connections"), "{words}");
}

#[test]
fn data_is_embedded_and_meta_is_added_when_asked_for() {
    let server = feed(2);
    let (code, lines, _) = run(&["events", &server.url("/feed"), "--parse", "--meta", "-q"]);
    assert_eq!(code, 0);
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["data"]["n"], 1);
    assert_eq!(line["source"], server.url("/feed"));
    let received = line["received"].as_str().unwrap();
    assert!(
        received.starts_with("20") && received.ends_with('Z'),
        "{received}"
    );
}

#[test]
fn it_stops_where_it_is_told_to() {
    let server = feed(9);
    let url = server.url("/feed");
    for (flags, count) in [
        (vec!["--take", "3"], 3),
        (vec!["--until", "/n=4"], 4),
        (vec!["--for", "60s"], 9),
    ] {
        let (code, lines, words) = run(&[&["events", &url], &flags[..]].concat());
        assert_eq!((code, lines.len()), (0, count), "{flags:?}: {words}");
    }
    let quiet = Server::start(|_| stream().chunk("data: a\n\n").until_gone().0);
    let (code, lines, words) = run(&["events", &quiet.url("/"), "--for", "200ms"]);
    assert_eq!((code, lines.len()), (0, 1), "{words}");
    assert!(words.contains("the time was up"), "{words}");
}

#[test]
fn a_gap_is_said_when_it_happens_and_ends_with_code_3() {
    let server = Server::start(|request| match request.header("last-event-id") {
        None => stream()
            .chunk("id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: c\n\n")
            .close(),
        Some(_) => stream().chunk("id: 9\ndata: d\n\n").until_gone().0,
    });
    let mut child = unspool(&["events", &server.url("/"), "--take", "5", "--for", "600s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The feed goes on: what is said has been said by then.
    let mut words = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    words.read_line(&mut line).unwrap();
    assert!(
        line.contains("doubt: after a reconnect the ids go on with `9`"),
        "{line}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    let (code, lines, words) = run(&["events", &server.url("/"), "--take", "4"]);
    assert_eq!((code, lines.len()), (3, 4), "{words}");
    assert!(words.contains("not proved complete"), "{words}");
}

#[test]
fn a_page_in_the_place_of_a_feed_is_an_error_and_never_items() {
    let server = Server::start(|_| {
        Reply::status(200)
            .header("content-type", "text/html")
            .body("<h1>Log in</h1>")
    });
    let (code, lines, words) = run(&["events", &server.url("/")]);
    assert_eq!((code, lines.len()), (1, 0));
    assert!(
        words.contains("found `text/html`: <h1>Log in</h1>"),
        "{words}"
    );
}

#[test]
fn feeds_of_json_go_on_after_their_position() {
    let server = Server::start(|request| {
        let since: u64 = request
            .query("since")
            .map_or(0, |since| since.parse().unwrap());
        let lines: String = (since + 1..=4.min(since + 2))
            .map(|seq| format!("{{\"seq\":{seq}}}\n"))
            .collect();
        match since {
            4 => Reply::status(204),
            _ => Reply::status(200)
                .header("content-type", "application/x-ndjson")
                .chunked()
                .chunk(lines)
                .close(),
        }
    });
    let url = server.url("/changes");
    let (code, lines, words) = run(&[
        "events",
        &url,
        "--position",
        "/seq",
        "--resume-as",
        "since",
        "--parse",
    ]);
    assert_eq!((code, lines.len()), (0, 4), "{words}");
    assert_eq!(lines[3], r#"{"event":"message","id":"4","data":{"seq":4}}"#);
}

#[test]
fn credentials_and_documents_are_sent() {
    let server = feed(1);
    let (code, _, words) = run(&[
        "events",
        &server.url("/feed"),
        "--bearer",
        "a-secret",
        "--data",
        r#"{"topic":"a"}"#,
        "-H",
        "X-Tenant: blue",
    ]);
    assert_eq!(code, 0, "{words}");
    let request = &server.requests()[0];
    assert_eq!(request.method, "POST");
    assert_eq!(request.header("authorization"), Some("Bearer a-secret"));
    assert_eq!(request.header("x-tenant"), Some("blue"));
    assert!(!words.contains("a-secret"));
}

#[test]
fn several_feeds_are_one_stream() {
    let (a, b) = (feed(3), feed(4));
    let (code, lines, words) = run(&["events", &a.url("/a"), &b.url("/b")]);
    assert_eq!((code, lines.len()), (0, 7), "{words}");
}

/// The same command three times, and how many requests there were by then.
fn thrice(server: &Server, flags: &[&str]) -> [(i32, String, usize); 3] {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("items.jsonl");
    let url = server.url("/feed");
    let args = ["events", &url, "--to", to.to_str().unwrap(), "--resume"];
    let args = [&args, flags].concat();
    [(); 3].map(|()| {
        let (code, _, words) = run(&args);
        (code, words, server.requests().len())
    })
}

#[test]
fn a_feed_whose_time_was_up_goes_on_by_the_same_command() {
    let server = Server::start(|request| {
        let after: u64 = (request.header("last-event-id")).map_or(0, |id| id.parse().unwrap());
        let event = format!("id: {0}\ndata: {0}\n\n", after + 1);
        stream().chunk(event).until_gone().0
    });
    let runs = thrice(&server, &["--for", "500ms"]);
    for ((code, words, requests), count) in runs.into_iter().zip(1..) {
        assert_eq!((code, requests), (0, count), "{words}");
        assert!(words.contains("the time was up"), "{words}");
        let held = format!("{count} item");
        assert!(words.contains(&held), "{words}");
    }
}

#[test]
fn a_feed_that_came_to_its_last_event_is_complete_for_the_same_command() {
    for flags in [&["--until", "/n=4"][..], &[]] {
        let server = feed(5);
        let [(code, words, requests), again, _] = thrice(&server, flags);
        assert_eq!(code, 0, "{flags:?}: {words}");
        assert_eq!((again.0, again.2), (0, requests), "{flags:?}: {}", again.1);
        assert!(again.1.contains("complete already"), "{}", again.1);
    }
}

#[test]
fn another_end_or_address_is_refused_by_its_name_and_no_password_is_said() {
    let server = feed(9);
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("items.jsonl");
    let to = ["--to", to.to_str().unwrap(), "--resume"];
    let url = server.url("/feed");
    let (code, _, words) = run(&[&["events", &url, "--until", "/n=4"], &to[..]].concat());
    assert_eq!(code, 0, "{words}");
    let (code, _, words) = run(&[&["events", &url, "--until", "/n=6"], &to[..]].concat());
    assert_eq!(code, 2, "{words}");
    assert!(
        words.contains("`until` is `/n=6` and was `/n=4`"),
        "{words}"
    );
    let other = "http://me:hush@127.0.0.1:1/other?token=hush";
    let (code, _, words) = run(&[&["events", other, "--until", "/n=4"], &to[..]].concat());
    assert_eq!(code, 2, "{words}");
    assert!(words.contains("`urls` is"), "{words}");
    assert!(!words.contains("hush"), "{words}");
}

#[test]
fn a_cursor_is_sent_once_its_items_are_durable_also_into_a_new_table() {
    let server = Server::start(|request| {
        let since: u64 = (request.query("since")).map_or(0, |since| since.parse().unwrap());
        Reply::json(format!(
            r#"{{"items": [{{"n": {}}}], "next": {}}}"#,
            since + 1,
            since + 1
        ))
    });
    let folder = tempfile::tempdir().unwrap();
    let url = server.url("/feed");
    for to in ["sqlite:items.db#items", "items.jsonl", "items.csv"] {
        let path = folder.path().join(to.trim_start_matches("sqlite:"));
        let path = path.to_str().unwrap();
        let is_table = to.starts_with("sqlite:");
        let to = if is_table {
            format!("sqlite:{path}")
        } else {
            path.to_owned()
        };
        let args = [
            "events",
            &url,
            "--cursor",
            "/next",
            "--resume-as",
            "since",
            "--items",
        ];
        let more = [
            "/items",
            "--until",
            "/n=5",
            "--checkpoint",
            "60s",
            "--to",
            &to,
        ];
        let state: &[&str] = if is_table { &[] } else { &["--resume"] };
        let account = folder.path().join("account");
        let last = ["--account", account.to_str().unwrap()];
        let (code, _, words) = run(&[&args[..], &more, state, &last].concat());
        assert_eq!(code, 0, "{to}: {words}");
        let account: Value = serde_json::from_slice(&std::fs::read(&account).unwrap()).unwrap();
        assert_eq!(account["sink"]["items"], 5, "{account}");
        // Nothing waits for a checkpoint to be due, which would be a minute.
        assert!(account["took"].as_f64().unwrap() < 50.0, "{to}: {account}");
        if to.ends_with("jsonl") {
            // One before each of the four requests with a cursor, and one at the end.
            assert_eq!(account["sink"]["checkpoints"], 5, "{account}");
        }
    }
}

#[test]
fn a_flag_that_means_nothing_to_the_feed_is_refused_before_anything_is_sent() {
    let server = feed(3);
    let url = server.url("/feed");
    let redis = "redis://127.0.0.1:1?stream=s";
    let nats = "tls://127.0.0.1:1?stream=s";
    for (url, flags, said) in [
        (&*url, &["--items", "/items"][..], "asked again and again"),
        (&url, &["--send", "hello"], "for a WebSocket: `ws:`"),
        (&url, &["--subprotocol", "mqtt"], "for a WebSocket: `ws:`"),
        (
            &url,
            &["--every", "1s", "--position", "/n"],
            "by the id of an item",
        ),
        (redis, &["-H", "X-Tenant: blue"], "go into its address"),
        (redis, &["--bearer", "a-secret"], "go into its address"),
        (nats, &["-u", "me:a-secret"], "go into its address"),
        (redis, &["--once"], "for feeds over HTTP"),
        (nats, &["--cacert", "ca.pem"], "SSL_CERT_FILE"),
        (
            redis,
            &["--insecure"],
            "`--insecure` is for feeds over HTTP",
        ),
        (
            redis,
            &["--proxy", "http://127.0.0.1:1"],
            "`--proxy` is for feeds over HTTP",
        ),
        (
            "kafka://127.0.0.1/topic",
            &[],
            "`redis:`, `rediss:`, `nats:`, `tls:`), found the scheme `kafka:`",
        ),
    ] {
        let (code, lines, words) = run(&[&["events", url, "--retries", "0"], flags].concat());
        assert_eq!((code, lines.len()), (2, 0), "{flags:?}: {words}");
        assert!(
            words.contains(said) && !words.contains("a-secret"),
            "{flags:?}: {words}"
        );
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_doubt_is_said_once() {
    let server = Server::start(|request| match request.header("last-event-id") {
        None => stream()
            .chunk("id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: c\n\n")
            .close(),
        Some(_) => stream().chunk("id: 9\ndata: d\n\n").until_gone().0,
    });
    for flags in [&[][..], &["--quiet"]] {
        let url = server.url("/");
        let args = [&["events", &url, "--take", "4"], flags].concat();
        let (code, _, words) = run(&args);
        assert_eq!(code, 3, "{words}");
        assert_eq!(words.matches("doubt: ").count(), 1, "{words}");
    }
}

#[test]
fn what_is_no_feed_is_said_with_what_to_do() {
    let answer = |media: &'static str, body: &'static str| {
        let server =
            Server::start(move |_| Reply::status(200).header("content-type", media).body(body));
        let (code, _, words) = run(&["events", &server.url("/")]);
        assert!([1, 3].contains(&code), "{words}");
        words
    };
    let words = answer("text/html", "<h1>Log in</h1>");
    assert!(words.contains("may be one to log in"), "{words}");
    assert!(!words.contains("unspool pages"), "{words}");
    let words = answer("text/csv", "a,b");
    assert!(words.contains("`unspool pages URL`"), "{words}");
    let words = answer("application/json", "{\"items\":[]}");
    assert!(words.contains("GET http://127.0.0.1:"), "{words}");
    assert!(
        words.contains("--position POINTER --resume-as NAME"),
        "{words}"
    );
}
