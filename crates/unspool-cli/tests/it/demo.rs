use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{run, unspool};

#[test]
fn the_demo_shows_the_main_job_and_checks_it() {
    let (code, lines, words) = run(&["demo"]);
    assert_eq!(code, 0, "{words}");
    // Eleven items, two feeds, rows, a poem, its first line, and a line and a half of it.
    assert_eq!(lines.len(), 11 + 12 + 6 + 3 + 5 + 9 + 1 + 2);
    for part in [
        "$ unspool pages http://127.0.0.1:",
        "complete: 5,000 items from 50 pages in 52 requests (2 repeated)",
        "5000 posts.ndjson",
        "--resume --checkpoint 50ms & sleep 1; kill -KILL $!",
        " of them from earlier runs",
        "5000 posts.jsonl",
        "gives the first page again",
        "found: --paginate cursor:/paging/next_token,to=after --items /notes",
        "truncated: ",
        "$ echo $?\n3",
        "$ unspool ask 'Write a poem about loops' --base-url http://127.0.0.1:",
        "2 requests (1 repeated); the model came to its end",
        "not complete: 9 tokens (14 in)",
        "$ echo $?\n4",
        "$ unspool events http://127.0.0.1:",
        "complete: 12 events, ",
        "doubt: after a reconnect the ids go on with `11`, and the last one was `4`",
        "truncated: the answer ended after 14 events, without `message_stop`",
        "no such column: amuont",
        "unspool: mode `keyset`, as there is a key: ",
    ] {
        assert!(words.contains(part), "{part} in {words}");
    }
}

#[test]
fn the_demo_serves_until_ctrl_c() {
    let mut child = unspool(&["demo", "--serve"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let found: Vec<Value> = lines
        .take(4)
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    let text = |index: usize, name: &str| found[index][name].as_str().unwrap().to_owned();

    let (code, items, words) = run(&["pages", &text(0, "url")]);
    assert_eq!((code, items.len()), (0, 5000), "{words}");
    let base = text(1, "base_url");
    let ask = ["ask", "a poem", "--provider", "anthropic", "--base-url"];
    let (code, poem, words) = run(&[&ask[..], &[&base]].concat());
    assert_eq!((code, poem.len()), (0, 9), "{words}");
    let (code, events, words) = run(&["events", &text(2, "url")]);
    assert_eq!((code, events.len()), (0, 12), "{words}");
    let (code, rows, words) = run(&["rows", &text(3, "dsn"), "--table", &text(3, "table")]);
    assert_eq!((code, rows.len()), (0, 100_000), "{words}");

    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut words = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut words).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{words}");
    assert!(
        words.contains("$ unspool pages http://127.0.0.1:"),
        "{words}"
    );
    let file = text(3, "dsn");
    let file = std::path::Path::new(file.strip_prefix("sqlite:").unwrap());
    assert!(!file.exists() && !file.parent().unwrap().exists());
}
