use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::server::{Reply, Server, linked_page, numbers};
use crate::{run, unspool};

#[test]
fn items_are_lines_of_json_and_words_go_to_standard_error() {
    let server = Server::start(|_| Reply::json("[{\"a\":\n  1}, \"two\", null]"));
    let (code, lines, words) = run(&["pages", &server.url("/")]);
    assert_eq!(code, 0, "{words}");
    assert_eq!(lines, ["{\"a\":1}", "\"two\"", "null"]);
    assert!(
        words.starts_with("unspool: complete: 3 items from 1 page in 1 request, 25 B, "),
        "{words}"
    );
}

#[test]
fn quiet_says_nothing_when_all_is_well() {
    let server = Server::linked_pages(2, 2);
    let (code, lines, words) = run(&["pages", "--quiet", &server.url("/")]);
    assert_eq!((code, lines.len(), words.as_str()), (0, 4, ""));
}

#[test]
fn take_makes_only_the_requests_that_it_needs() {
    let server = Server::linked_pages(9, 2);
    for (take, requests) in [("0", 0), ("1", 1), ("2", 1), ("3", 2)] {
        let before = server.targets().len();
        let (code, lines, words) = run(&["pages", "--take", take, &server.url("/")]);
        assert_eq!(code, 0, "{words}");
        assert_eq!(lines.len().to_string(), take);
        assert_eq!(server.targets().len() - before, requests, "--take {take}");
        assert!(words.contains("stopped as asked"), "{words}");
    }
}

#[test]
fn flags_reach_the_request() {
    let server = Server::start(|request| match request.header("x-key") {
        Some("a: b") if request.header("authorization") == Some("Basic YWRhOnB3") => {
            Reply::json(format!(
                "{{\"x\": {{\"y\": {}}}, \"data\": [0]}}",
                numbers([request.query("p").unwrap().parse().unwrap()])
            ))
        }
        _ => Reply::status(401).body("who are you?"),
    });
    let url = server.url("/");
    let flags = [
        "-H",
        "X-Key: a: b",
        "-u",
        "ada:pw",
        "--items",
        "/x/y",
        "--paginate",
        "page:p,first=3,last=5",
    ];
    let (code, lines, words) = run(&[&["pages", &url], &flags[..]].concat());
    assert_eq!(code, 0, "{words}");
    assert_eq!(lines, ["3", "4", "5"]);

    let (code, _, words) = run(&["pages", &url]);
    assert_eq!(code, 1);
    assert!(
        words.contains("answered 401 Unauthorized: who are you?"),
        "{words}"
    );
    assert!(words.contains("hint: `--bearer '${TOKEN}'`"), "{words}");
}

#[test]
fn each_way_to_end_has_its_code() {
    let server = Server::start(|request| match request.path() {
        "/complete" => Reply::json("[1]"),
        "/cut" => Reply::status(200).cut("[1,2,", 100),
        "/circle" => Reply::json("{\"items\": [1], \"next\": \"/circle\"}"),
        "/differs" => Reply::json("{\"items\": [1], \"total\": 2}"),
        "/more" => Reply::json("{\"items\": [1], \"has_more\": true}"),
        "/html" => Reply::status(200)
            .header("content-type", "text/html")
            .body("<html>"),
        "/large" => Reply::json(format!("[1,\"{}\"]", "x".repeat(2000))),
        "/silent" => Reply::silence(),
        _ => Reply::status(404).body("nothing here"),
    });
    for (path, code, lines, words) in [
        ("/complete", 0, 1, "complete: 1 item"),
        ("/cut", 3, 2, "error: GET http://127.0.0.1"),
        ("/cut", 3, 2, "/cut: truncated: "),
        ("/circle", 3, 1, "the same request as page 1"),
        (
            "/differs",
            3,
            1,
            "doubt: the upstream states 2 items, but 1 came",
        ),
        ("/more", 3, 1, "hint: `--paginate KIND`"),
        ("/html", 1, 0, "the answer says that it is `text/html`"),
        (
            "/large",
            1,
            1,
            "item 2, at byte 3, is over the limit of 1024 bytes",
        ),
        ("/large", 1, 1, "hint: `--max-item SIZE` raises the limit"),
        ("/silent", 1, 0, "no answer within 200ms"),
        ("/none", 1, 0, "answered 404 Not Found: nothing here"),
    ] {
        let url = server.url(path);
        let flags = ["--retries", "0", "--timeout", "200ms", "--max-item", "1K"];
        let result = run(&[&["pages", &url], &flags[..]].concat());
        assert_eq!(
            (result.0, result.1.len()),
            (code, lines),
            "{path}: {}",
            result.2
        );
        assert!(result.2.contains(words), "{path}: {}", result.2);
    }
}

#[test]
fn a_wrong_request_is_refused_before_anything_is_sent() {
    for (args, words) in [
        (&["pages"][..], "<URL>"),
        (&["pages", "nonsense"], "expected a URL"),
        (&["pages", "file:///etc/passwd"], "found the scheme `file:`"),
        (
            &["pages", "http://127.0.0.1:9/", "--paginate", "sideways"],
            "found `sideways`",
        ),
        (
            &["pages", "http://127.0.0.1:9/", "--items", "data"],
            "expected a JSON pointer",
        ),
        (&["pages", "http://127.0.0.1:9/", "--take", "x"], "--take"),
        (
            &["pages", "http://127.0.0.1:9/", "-H", "no colon"],
            "expected `Name: value`",
        ),
        (
            &["pages", "http://127.0.0.1:9/", "--rate", "10"],
            "expected a rate such as `10/s`",
        ),
        (
            &["pages", "http://127.0.0.1:9/", "--rate", "0/s"],
            "expected a rate such as `10/s`",
        ),
        (
            &["pages", "http://127.0.0.1:9/", "--timeout", "soon"],
            "expected seconds",
        ),
        (
            &[
                "pages",
                "http://127.0.0.1:9/",
                "--account",
                "/no/such/folder/x",
            ],
            "cannot write the account",
        ),
        (&["pages", "http://127.0.0.1:9/", "--wrong"], "--wrong"),
        (
            &["pages", "http://127.0.0.1:9/", "--data", "{"],
            "expected JSON",
        ),
        (
            &["pages", "http://127.0.0.1:9/", "--in-flight", "0"],
            "--in-flight",
        ),
        (
            &["pages", "http://127.0.0.1:9/", "--paginate", "cursor:/next"],
            "expected `to`",
        ),
        (&["page"], "unrecognized subcommand"),
    ] {
        let result = run(args);
        assert_eq!((result.0, result.1.len()), (2, 0), "{args:?}: {}", result.2);
        assert!(result.2.contains(words), "{args:?}: {}", result.2);
    }
}

#[test]
fn the_account_is_written_as_json_however_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("account.json");
    let server = Server::start(|request| match request.page() {
        3 => Reply::status(200).cut("[7,", 9),
        _ => linked_page(request, 3, 2),
    });
    let (code, ..) = run(&[
        "pages",
        &server.url("/"),
        "--retries",
        "0",
        "--account",
        file.to_str().unwrap(),
    ]);
    assert_eq!(code, 3);
    let account: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    for (key, value) in [
        ("items", 5),
        ("pages", 2),
        ("requests", 3),
        ("retries", 0),
        ("bytes", 13),
    ] {
        assert_eq!(account[key], value, "{account}");
    }
    assert_eq!(account["complete"], false);
    assert_eq!(account["ended"]["why"], "failed");
    assert!(
        account["error"].as_str().unwrap().contains("truncated"),
        "{account}"
    );

    // `-` keeps standard output for the items.
    let server = Server::linked_pages(2, 2);
    let (code, lines, words) = run(&["pages", &server.url("/"), "--quiet", "--account", "-"]);
    assert_eq!((code, lines.len()), (0, 4));
    let account: serde_json::Value = serde_json::from_str(&words).unwrap();
    assert_eq!(account["ended"]["why"], "no-next");
    assert_eq!(account["error"], serde_json::Value::Null);
}

#[test]
fn a_proxy_from_the_environment_is_used() {
    let proxy = Server::start(|_| Reply::json("[1]"));
    let result = unspool(&["pages", "http://api.invalid/things?x=1"])
        .env("HTTP_PROXY", proxy.url("/"))
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    assert_eq!(result.stdout, b"1\n");
    assert_eq!(proxy.targets(), ["http://api.invalid/things?x=1"]);
}

#[test]
fn a_closed_pipe_is_a_normal_stop_that_asks_for_no_more() {
    let server = Server::linked_pages(1000, 100);
    let mut child = unspool(&["pages", &server.url("/")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for number in 0..3 {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), number.to_string());
    }
    drop(stdout);
    let mut words = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut words)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{words}");
    assert!(words.contains("the reader closed the pipe"), "{words}");
    // The reader went away while the first page was in its hands, or on a slow
    // machine a moment later; there are a thousand.
    assert!(server.targets().len() <= 3, "{}", server.targets().len());
}

#[test]
fn a_pipe_that_is_closed_while_the_upstream_is_slow_ends_the_wait() {
    let server = Server::start(|request| match request.page() {
        1 => linked_page(request, 2, 1),
        _ => Reply::silence(),
    });
    let mut child = unspool(&["pages", &server.url("/"), "--timeout", "10m"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    while server.targets().len() < 2 {
        std::thread::yield_now();
    }
    drop(stdout);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_full_disk_is_an_error() {
    let server = Server::linked_pages(2, 2);
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let result = unspool(&["pages", &server.url("/")])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(result.status.code(), Some(1));
    let words = String::from_utf8(result.stderr).unwrap();
    assert!(
        words.contains("error: cannot write the items: No space left"),
        "{words}"
    );
}

#[test]
fn a_reader_of_a_pipe_sees_items_while_their_page_is_still_coming() {
    let (reply, open) = Reply::status(200)
        .header("content-length", 6)
        .send("[1,")
        .gate();
    let replies = std::sync::Mutex::new(vec![reply.send("2]\n")]);
    let server = Server::start(move |_| replies.lock().unwrap().pop().unwrap());
    let mut child = unspool(&["pages", &server.url("/"), "-q"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "1");
    open.send(()).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "2");
    assert!(lines.next().is_none());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn secrets_are_in_no_message_and_no_account() {
    let server = Server::start(|_| Reply::status(500).body("hunter2 is wrong"));
    let url = server
        .url("/?api_key=hunter2")
        .replace("http://", "http://ada:hunter2@");
    let (code, _, words) = run(&[
        "pages",
        &url,
        "-H",
        "X-Token: hunter2",
        "--retries",
        "0",
        "--account",
        "-",
    ]);
    assert_eq!(code, 1);
    assert!(!words.contains("hunter2"), "{words}");
}

#[test]
fn a_token_is_found_and_the_flags_that_pin_it_are_printed() {
    let server = Server::start(|request| match request.query("cursor") {
        None => Reply::json(r#"{"list": [{"id": 1}], "meta": {"next_cursor": "a b"}}"#),
        Some("a+b") => Reply::json(r#"{"list": [{"id": 2}], "meta": {"next_cursor": null}}"#),
        Some(other) => panic!("{other}"),
    });
    let (code, items, words) = run(&["pages", &server.url("/"), "--explain"]);
    assert_eq!((code, items.len()), (0, 2), "{words}");
    let pinned = "--paginate cursor:/meta/next_cursor,to=cursor --items /list";
    assert!(words.contains(&format!("found: {pinned}")), "{words}");
    assert!(
        words.contains("as `/meta/next_cursor` holds a token: proved"),
        "{words}"
    );
    let flags: Vec<&str> = pinned.split(' ').collect();
    let (code, items, words) = run(&[&["pages", &server.url("/")], &flags[..]].concat());
    assert_eq!((code, items.len()), (0, 2), "{words}");
    assert!(!words.contains("found:"), "{words}");
}

#[test]
fn a_document_to_send_makes_the_requests_posts() {
    let server = Server::start(|request| {
        assert_eq!(request.method, "POST");
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        match body["after"].as_u64() {
            None => Reply::json(r#"{"rows": [1], "next": 7}"#),
            Some(7) => Reply::json(r#"{"rows": [2]}"#),
            Some(other) => panic!("{other}"),
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("query.json");
    std::fs::write(&file, r#"{"q": "x"}"#).unwrap();
    let data = format!("@{}", file.display());
    let (code, items, words) = run(&[
        "pages",
        &server.url("/"),
        "--data",
        &data,
        "--paginate",
        "cursor:/next,to=body:/after",
    ]);
    assert_eq!((code, items.len()), (0, 2), "{words}");
}

#[test]
fn repeated_items_are_counted_or_left_out() {
    let server = Server::start(|request| match request.page() {
        1 => Reply::json(r#"{"pages": 2, "rows": [{"id": 1}, {"id": 2}]}"#),
        _ => Reply::json(r#"{"pages": 2, "rows": [{"id": 2}, {"id": 3}]}"#),
    });
    let url = server.url("/");
    let args = ["pages", &url, "--paginate", "page"];
    let (code, items, words) = run(&args);
    assert_eq!((code, items.len()), (3, 4), "{words}");
    assert!(words.contains("1 item came more than once"), "{words}");
    let (code, items, words) = run(&[&args[..], &["--unique", "/id", "--in-flight", "2"]].concat());
    assert_eq!((code, items.len()), (3, 3), "{words}");
    assert!(words.contains("1 repeated item left out"), "{words}");
    assert!(words.contains("as many others may be missing"), "{words}");
}

#[test]
fn a_rate_is_kept() {
    let server = Server::linked_pages(4, 1);
    let begin = Instant::now();
    let (code, lines, words) = run(&["pages", &server.url("/"), "--rate", "20/s"]);
    assert_eq!((code, lines.len()), (0, 4), "{words}");
    assert!(begin.elapsed() >= Duration::from_millis(150));

    let server = Server::start(|_| Reply::status(429).body("slow down"));
    let (code, _, words) = run(&["pages", &server.url("/"), "--retries", "0"]);
    assert_eq!(code, 1);
    assert!(words.contains("hint: `--rate N/UNIT`"), "{words}");
}

#[test]
fn what_was_tried_in_vain_is_said_with_the_doubt() {
    let server = Server::start(|_| {
        Reply::json(r#"{"list": [{"id": 1}, {"id": 2}], "next_token": "x", "total": 9}"#)
    });
    let (code, items, words) = run(&["pages", &server.url("/")]);
    assert_eq!((code, items.len()), (3, 2), "{words}");
    assert!(
        words.contains("doubt: this looks like one page of many"),
        "{words}"
    );
    let begin = "tried in vain: cursor:/next_token,to=next_token ";
    assert!(words.contains(begin), "{words}");
    for way in [" page:page ", " offset:offset "] {
        assert!(words.contains(way), "{words}");
    }
}

#[test]
fn the_members_of_an_object_are_items_with_their_keys() {
    let server = Server::start(|_| Reply::json(r#"{"users": {"u1": {"a": 1}, "u2": {"a": 2}}}"#));
    let url = server.url("/");
    let (code, lines, words) = run(&["pages", &url, "--items-of-object", "--paginate", "single"]);
    assert_eq!((code, lines.len()), (0, 2), "{words}");
    assert_eq!(lines[0], r#"{"key":"u1","a": 1}"#);
    let flags = ["--items-of-object=name", "--items", "/users"];
    let (code, lines, words) = run(&[&["pages", &url][..], &flags].concat());
    assert_eq!(code, 0, "{words}");
    assert_eq!(
        lines,
        [r#"{"name":"u1","a": 1}"#, r#"{"name":"u2","a": 2}"#]
    );
    assert!(
        words.contains("--items /users --items-of-object=name"),
        "{words}"
    );
    let (code, _, words) = run(&["pages", &url]);
    assert_eq!(code, 1, "{words}");
    assert!(words.contains("`--items-of-object`"), "{words}");
}
