//! What a newcomer gets wrong, and what the command says of it.

use test_servers::{Reply, Server};

use crate::{run, unspool};

/// What is written, and what the answer says beside exit code 2.
const MISTAKES: &[(&[&str], &str)] = &[
    (
        &["page", "http://localhost/"],
        "a similar subcommand exists: 'pages'",
    ),
    (&["pages"], "<URL>"),
    (
        &["pages", "api.example.com/posts"],
        "did you mean `https://api.example.com/…`?",
    ),
    (
        &["pages", "localhost:8000/posts"],
        "did you mean `http://localhost:8000/…`?",
    ),
    (
        &["pages", "htps://api.example.com"],
        "did you mean `https:`?",
    ),
    (
        &["pages", "ftp://api.example.com"],
        "found the scheme `ftp:`",
    ),
    (
        &["pages", "posts"],
        "such as `https://api.example.com/posts`",
    ),
    (
        &["pages", "postgres://ada@localhost/shop"],
        "`unspool rows` reads",
    ),
    (&["pages", "wss://localhost/"], "`unspool events` reads"),
    (
        &["pages", "https://localhost/${NOT_SET_AT_ALL}"],
        "`NOT_SET_AT_ALL`",
    ),
    (
        &["pages", "http://localhost/", "-X", "POST"],
        "`POST` with `--data`",
    ),
    (
        &["pages", "http://localhost/", "-L"],
        "redirects are followed",
    ),
    (&["pages", "http://localhost/", "-A", "me"], "User-Agent"),
    (
        &["pages", "http://localhost/", "--jq", ".id"],
        "pipe the lines into `jq`",
    ),
    (
        &["pages", "http://localhost/", "--per-page=100"],
        "--query per_page=100",
    ),
    (&["pages", "http://localhost/", "--token", "t"], "--bearer"),
    (
        &["pages", "http://localhost/", "--tkae", "3"],
        "a similar argument exists: '--take'",
    ),
    (
        &["pages", "http://localhost/", "--take", "three"],
        "invalid value 'three' for '--take <N>'",
    ),
    (
        &["pages", "http://localhost/", "--to", "posts.xls"],
        "expected a target",
    ),
    (
        &["pages", "http://localhost/", "--paginate", "pgae"],
        "pgae",
    ),
    (
        &["pages", "http://localhost/", "--query", "limit"],
        "--query: expected `NAME=VALUE`",
    ),
    (
        &["pages", "http://localhost/", "--cacert", "/no/such.pem"],
        "/no/such.pem",
    ),
    (
        &["pages", "http://localhost/", "--proxy", "::"],
        "expected the URL of a proxy",
    ),
    (&["pages", "http://localhost/", "-d", "{"], "expected JSON"),
    (
        &["rows", "postgress://localhost/shop", "select 1"],
        "such as `sqlite:users.db`",
    ),
    (
        &["pages", "http://localhost/", "-G"],
        "`--query NAME=VALUE` adds to the URL",
    ),
    (
        &["pages", "http://localhost/", "--verify=no"],
        "`--cacert FILE` trusts",
    ),
    (
        &["pages", "http://localhost/", "--no-paginate"],
        "`--paginate single`",
    ),
    (
        &["pages", "http://localhost/", "-w", "%{http_code}"],
        "`--account FILE`",
    ),
    (
        &["pages", "http://localhost/", "--cookie-jar", "jar"],
        "`--cookie` sends some",
    ),
    (&["pages", "http://localhost/", "-O"], "`--to posts.jsonl`"),
    (
        &["pages", "http://localhost/", "--noproxy", "*"],
        "`NO_PROXY`",
    ),
    (&["help", "everything"], "there is no help for `everything`"),
];

#[test]
fn a_mistake_is_answered_with_what_to_do_and_code_2() {
    for (args, words) in MISTAKES {
        let (code, lines, said) = run(args);
        assert_eq!((code, lines.len()), (2, 0), "{args:?}: {said}");
        assert!(said.contains(words), "{args:?}: {said}");
        assert!(!said.contains("as a value, use"), "{args:?}: {said}");
    }
}

#[test]
fn what_other_tools_call_it_works_as_well() {
    let server = Server::start(|request| match request.header("content-type") {
        None => Reply::json("[1,2,3]"),
        Some(_) => Reply::json(format!("[{}]", String::from_utf8_lossy(&request.body))),
    });
    let url = server.url("/");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("items.json");
    let (code, _, words) = run(&["pages", &url, "-o", file.to_str().unwrap(), "--silent"]);
    assert_eq!((code, words.as_str()), (0, ""));
    let text = std::fs::read_to_string(file).unwrap();
    assert_eq!(serde_json::from_str::<Vec<u8>>(&text).unwrap(), [1, 2, 3]);
    let limited = ["pages", &url, "--limit", "2", "--max-time", "30"];
    assert_eq!(run(&limited).1, ["1", "2"]);
    assert_eq!(run(&["pages", &url, "--data-raw", "7"]).1, ["7"]);
    run(&["pages", &server.url("/x?a=1"), "--query", "q=b&c"]);
    assert_eq!(server.targets().last().unwrap(), "/x?a=1&q=b%26c");
}

#[test]
fn an_address_without_a_command_is_read_by_the_right_one() {
    let server = Server::start(|request| match request.path() {
        "/feed" => Reply::status(200)
            .header("content-type", "text/event-stream")
            .header("content-length", 9)
            .send("data: 7\n\n"),
        _ => Reply::json("[1,2]"),
    });
    let (code, lines, words) = run(&[&server.url("/items")]);
    assert_eq!((code, lines.len()), (0, 2), "{words}");
    assert!(words.contains("read by `unspool pages`"), "{words}");
    for flags in [&["--take", "1"][..], &["--once"]] {
        let (code, lines, words) = run(&[&[server.url("/feed").as_str()], flags].concat());
        assert_eq!((code, lines.len()), (0, 1), "{words}");
        assert!(words.contains("read by `unspool events`"), "{words}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.db");
    rusqlite::Connection::open(&file).unwrap();
    let (code, lines, words) = run(&[file.to_str().unwrap(), "select 1 as one"]);
    assert_eq!(
        (code, lines.concat().as_str()),
        (0, r#"{"one":1}"#),
        "{words}"
    );
    assert!(words.contains("read by `unspool rows`"), "{words}");
}

#[test]
fn what_is_no_list_of_items_gets_a_sentence_that_helps() {
    for (media_type, body, words) in [
        (
            "text/html",
            "<!doctype html><p>Log in</p>",
            "unspool help auth",
        ),
        ("text/csv; charset=utf-8", "a,b\n1,2\n", "that is one table"),
        ("application/gzip", "\u{1f}x", "compressed file"),
        (
            "text/event-stream",
            "data: 1\n\n",
            "`unspool events URL` reads it",
        ),
        ("application/json", "{\"name\":1}", "`--items-of-object`"),
    ] {
        let server = Server::start(move |_| {
            Reply::status(200)
                .header("content-type", media_type)
                .send(body)
                .close()
        });
        let (code, lines, said) = run(&["pages", &server.url("/"), "--retries", "0"]);
        assert_eq!((code, lines.len()), (1, 0), "{media_type}: {said}");
        assert!(said.contains(words), "{media_type}: {said}");
    }
    let server = Server::start(|_| Reply::status(405).body("no"));
    let (_, _, said) = run(&["pages", &server.url("/")]);
    assert!(
        said.contains("`--data JSON` makes the requests `POST`s"),
        "{said}"
    );
}

#[test]
fn topics_have_help_and_shells_have_completions() {
    for (topic, words) in [
        ("pagination", "link"),
        ("auth", "--bearer"),
        ("sinks", "FILE.jsonl"),
        ("state", "--resume"),
        ("exit-codes", "130"),
        ("rows", "--param"),
    ] {
        let (code, lines, _) = run(&["help", topic]);
        assert_eq!(code, 0, "{topic}");
        assert!(lines.join("\n").contains(words), "{topic}: {lines:?}");
    }
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let (code, lines, _) = run(&["completions", shell]);
        assert!(code == 0 && lines.join("\n").contains("pages"), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    let (code, ..) = run(&["man", folder.path().to_str().unwrap()]);
    assert_eq!(code, 0);
    let page = std::fs::read_to_string(folder.path().join("unspool-pages.1")).unwrap();
    assert!(page.contains("in\\-flight"), "{page}");
}

#[test]
fn a_proxy_that_is_named_is_used_and_its_password_is_in_no_message() {
    let proxy = Server::start(|_| Reply::status(407).body("who is ada:s3cretpw?"));
    let address = proxy.url("/").replace("://", "://ada:s3cretpw@");
    let output = unspool(&["pages", "http://api.invalid/things", "--proxy", &address])
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(proxy.targets(), ["http://api.invalid/things"], "{words}");
    assert!(!words.contains("s3cretpw"), "{words}");
}

#[test]
fn a_dry_run_shows_the_first_request_and_sends_and_writes_nothing() {
    let server = Server::linked_pages(2, 2);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("items.jsonl");
    let url = server.url("/things?a=1");
    let secret = [
        "--bearer",
        "s3cret-token",
        "--api-key-query",
        "key=s3cret-key",
    ];
    let to = ["--to", file.to_str().unwrap(), "--resume", "--dry-run"];
    let (code, lines, words) = run(&[&["pages", url.as_str()], &secret[..], &to].concat());
    assert_eq!((code, lines.len()), (0, 0), "{words}");
    for part in [
        "would ask for: GET ",
        "/things?a=1: ",
        "authorization: …",
        "accept: ",
    ] {
        assert!(words.contains(part), "{part} in {words}");
    }
    assert!(!words.contains("s3cret"), "{words}");
    assert!(server.targets().is_empty() && !file.exists());

    let (code, _, words) = run(&["ask", "Hello", "--api-key", "s3cret", "--dry-run"]);
    assert_eq!(code, 0, "{words}");
    assert!(
        words.contains("POST https://") && words.contains("Hello"),
        "{words}"
    );
    assert!(!words.contains("s3cret"), "{words}");
}

#[test]
fn each_request_is_shown_as_it_is_answered_when_asked_for() {
    let server = Server::linked_pages(2, 2);
    let url = server.url("/things");
    let key = ["--api-key-query", "key=s3cret-key", "-vv", "-q"];
    let (code, lines, words) = run(&[&["pages", url.as_str()], &key[..]].concat());
    assert_eq!((code, lines.len()), (0, 4), "{words}");
    let shown: Vec<&str> = words.lines().collect();
    assert_eq!(shown.len(), 2, "{words}");
    for line in shown {
        assert!(
            line.contains("unspool: GET http") && line.contains(": 200 in "),
            "{line}"
        );
        assert!(!line.contains("s3cret"), "{line}");
    }
    let (_, _, words) = run(&["pages", &url, "-q"]);
    assert_eq!(words, "");
}
