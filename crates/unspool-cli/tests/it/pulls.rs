//! Pulls that stand in a file, and the flags that write them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::server::{Reply, Server, linked_page};
use crate::unspool;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs there, with a secret in the environment: exit code and text on both outputs.
    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let Output {
            status,
            stdout,
            stderr,
        } = unspool(args)
            .current_dir(self.0.path())
            .env("PULL_TOKEN", "hush-hush")
            .output()
            .unwrap();
        (
            status.code().unwrap(),
            String::from_utf8(stdout).unwrap(),
            String::from_utf8(stderr).unwrap(),
        )
    }

    fn written(&self) -> toml::Table {
        let text = fs::read_to_string(self.path("pulls.toml")).unwrap();
        assert!(!text.contains("hush-hush"), "{text}");
        text.parse().unwrap()
    }
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap().lines().count()
}

/// Pages for whoever has the token, and rows.
fn server() -> Server {
    Server::start(|request| match request.header("authorization") {
        Some("Bearer hush-hush") => linked_page(request, 3, 100),
        _ => Reply::status(401).body("who are you?"),
    })
}

#[test]
fn several_pulls_have_one_account_and_one_that_fails_holds_up_none() {
    let server = server();
    let gone = Server::start(|_| Reply::status(404).body("gone"));
    let folder = Folder::new();
    fs::write(
        folder.path("nightly.toml"),
        format!(
            r#"
                [posts]
                to = "posts.jsonl"
                resume = true
                from = {{ source = "pages", url = "{}", http.bearer = "${{PULL_TOKEN}}" }}

                [gone]
                from = {{ source = "pages", url = "{}", http.retries = 0 }}

                [few]
                take = 7
                to = "sqlite:few.db#few"
                [few.from]
                source = "pages"
                url = "{}"
                http.bearer = "${{PULL_TOKEN}}"
            "#,
            server.url("/"),
            gone.url("/"),
            server.url("/"),
        ),
    )
    .unwrap();
    let (code, out, words) = folder.run(&["run", "nightly.toml", "--account", "account"]);
    assert_eq!((code, out.as_str()), (1, ""), "{words}");
    assert!(
        words.contains("2 of 3 pulls complete; not `gone`"),
        "{words}"
    );
    assert_eq!(lines(&folder.path("posts.jsonl")), 300);
    let account = fs::read_to_string(folder.path("account")).unwrap();
    assert!(!account.contains("hush-hush") && !words.contains("hush-hush"));
    let account: Value = serde_json::from_str(&account).unwrap();
    let pulls = &account["pulls"];
    assert_eq!(pulls["posts"]["items"], 300);
    assert_eq!(pulls["few"]["sink"]["items"], 7);
    assert!(pulls["gone"]["error"].as_str().unwrap().contains("404"));

    // What is complete stays so; a name runs that pull only.
    let (code, _, words) = folder.run(&["run", "nightly.toml", "posts"]);
    assert_eq!(code, 0, "{words}");
    assert!(words.contains("complete already: 300 items"), "{words}");
    assert!(words.contains("1 of 1 pull complete"), "{words}");
    let (code, _, words) = folder.run(&["run", "nightly.toml", "posts", "--overwrite", "-q"]);
    assert_eq!((code, words.as_str()), (0, ""));
    assert_eq!(lines(&folder.path("posts.jsonl")), 300);
}

#[test]
fn flags_are_written_as_a_pull_that_does_the_same() {
    let server = server();
    let folder = Folder::new();
    let address = server.url("/");
    #[rustfmt::skip]
    let flags = [
        address.as_str(), "--bearer", "${PULL_TOKEN}", "-H", "Accept: application/json",
        "--query", "page_size=100", "--in-flight", "2", "--rate", "1000/s", "--timeout", "20s",
        "--max-item", "1M", "--to", "posts.jsonl", "--resume", "--checkpoint", "500ms",
    ];
    let (code, out, words) =
        folder.run(&[&["pages", "--save", "posts"], flags.as_slice()].concat());
    assert_eq!((code, out.as_str()), (0, ""), "{words}");
    assert!(words.contains("`unspool run pulls.toml posts`"), "{words}");
    assert_eq!(server.requests().len(), 0, "nothing is sent");
    // An address without a command is that of one.
    let (code, _, words) = folder.run(&[&address, "--save", "other"]);
    assert_eq!(code, 0, "{words}");

    let written = folder.written();
    let expected = format!(
        r#"
            to = "posts.jsonl"
            resume = true
            checkpoint = 0.5
            [from]
            source = "pages"
            url = "{address}?page_size=100"
            in_flight = 2
            max_item = 1048576
            [from.http]
            bearer = "${{PULL_TOKEN}}"
            rate = "1000/s"
            timeout = 20.0
            headers.Accept = "application/json"
        "#
    );
    let expected: toml::Table = expected.parse().unwrap();
    assert_eq!(written["posts"], toml::Value::Table(expected));
    assert_eq!(written.keys().collect::<Vec<_>>(), ["posts", "other"]);

    let (code, _, words) = folder.run(&["run", "pulls.toml", "posts"]);
    assert_eq!(code, 0, "{words}");
    assert_eq!(lines(&folder.path("posts.jsonl")), 300);
    // The same target goes on from the command line, too.
    let (code, _, words) = folder.run(&[&["pages"], flags.as_slice()].concat());
    assert_eq!(code, 0, "{words}");
    assert!(words.contains("complete already"), "{words}");
}

#[test]
fn every_source_is_written_with_what_it_alone_has() {
    let folder = Folder::new();
    fs::write(folder.path("schema.json"), r#"{"type": "object"}"#).unwrap();
    #[rustfmt::skip]
    let commands: [&[&str]; 4] = [
        &[
            "rows", "postgres://ada:${PULL_TOKEN}@localhost/shop", "--table", "users", "--key",
            "day,id", "--since", "2026-01-01", "--overlap", "1 hour", "--partitions", "4",
            "--upsert", "--to", "sqlite:users.db#users", "--timeout", "5", "--save", "users",
        ],
        &[
            "events", "https://stream.example.com/a", "https://stream.example.com/b", "--as",
            "ndjson", "--position", "/seq", "--resume-as", "since", "--for", "10m", "--until",
            "/status=done", "--send", "hello", "--gap-event", "lost", "--save", "feed",
        ],
        &[
            "ask", "Ten points", "--model", "claude-x", "--api-key", "${PULL_TOKEN}", "--items",
            "/items", "--temperature", "0.5", "--stop", "END", "--extra", r#"{"top_k": 4}"#,
            "--schema", "schema.json", "--save", "points",
        ],
        &[
            "ask", "--each", "posts.ndjson", "--template", "Classify: {title}", "--in-flight", "8",
            "--max-cost", "2.5", "--price", "3/15", "--to", "classes.jsonl", "--resume", "--save",
            "classes",
        ],
    ];
    for command in commands {
        let (code, _, words) = folder.run(command);
        assert_eq!(code, 0, "{command:?}: {words}");
    }
    let expected: toml::Table = r#"
        [users]
        to = "sqlite:users.db#users"
        key = ["day", "id"]
        [users.from]
        source = "rows"
        dsn = "postgres://ada:${PULL_TOKEN}@localhost/shop"
        table = "users"
        key = ["day", "id"]
        since = "2026-01-01"
        overlap = "1 hour"
        partitions = 4
        timeout = 5.0

        [feed.from]
        source = "events"
        url = "https://stream.example.com/a"
        and = ["https://stream.example.com/b"]
        transport = "ndjson"
        position = "/seq"
        resume_as = "since"
        stop_after = 600.0
        until = "/status=done"
        send = ["hello"]
        gap_events = ["lost"]

        [points.from]
        source = "ask"
        prompt = "Ten points"
        model = "claude-x"
        api_key = "${PULL_TOKEN}"
        items = "/items"
        temperature = 0.5
        stop = ["END"]
        extra = { top_k = 4 }
        schema = { type = "object" }

        [classes]
        to = "classes.jsonl"
        resume = true
        [classes.from]
        source = "ask"
        each.file = "posts.ndjson"
        each.template = "Classify: {title}"
        each.in_flight = 8
        each.max_cost = 2.5
        each.price = "3/15"
    "#
    .parse()
    .unwrap();
    assert_eq!(folder.written(), expected);
}

#[test]
fn what_a_file_cannot_hold_is_refused_and_nothing_is_written() {
    let url = "https://api.example.com/posts";
    for (flags, words) in [
        (&["--bearer", "hush-hush"][..], "name it as `${NAME}`"),
        (&["-H", "X-Api-Key: hush-hush"], "name it as `${NAME}`"),
        (&["--query", "token=hush-hush"], "looks like a credential"),
        (&["--insecure"], "nothing for `--insecure`"),
        (&["--netrc"], "nothing for `--netrc`"),
        (&["--account", "a"], "nothing for `--account`"),
        (&["-H", "@headers"], "not a file of them"),
        (&["-H", "Accept: a", "-H", "Accept: b"], "only once"),
        (
            &["--data", r#"{"after": null}"#],
            "cannot be written as TOML",
        ),
        (&["--query", "a=${A}"], "put a value that is looked up"),
    ] {
        let folder = Folder::new();
        let (code, _, said) = folder.run(&[&["pages", url, "--save", "posts"], flags].concat());
        assert_eq!(code, 2, "{flags:?}: {said}");
        assert!(said.contains(words), "{flags:?}: {said}");
        assert!(!said.contains("hush-hush"), "{said}");
        assert!(!folder.path("pulls.toml").exists(), "{flags:?}");
    }
}

#[test]
fn a_name_that_is_taken_and_a_file_that_is_broken_stay_as_they_are() {
    let folder = Folder::new();
    let save = ["pages", "https://api.example.com/posts", "--save", "posts"];
    assert_eq!(folder.run(&save).0, 0);
    let before = fs::read(folder.path("pulls.toml")).unwrap();
    let (code, _, words) = folder.run(&save);
    assert_eq!(code, 2);
    assert!(words.contains("has a pull `posts` already"), "{words}");
    assert_eq!(fs::read(folder.path("pulls.toml")).unwrap(), before);

    for (text, expected) in [
        ("# none yet\n", "there is no pull"),
        ("[a\n", "TOML parse error at line 1"),
        (
            "[a]\nfrom.source = \"page\"\n",
            "expected a source, one of `pages`",
        ),
        ("[a]\nfrom.source = \"pages\"\n", "missing field `url`"),
        (
            "[a]\nfrom = { source = \"pages\", url = \"http://localhost\", urls = 1 }\n",
            "unknown field `urls`",
        ),
        (
            "[a]\nresume = true\nfrom = { source = \"pages\", url = \"http://localhost\" }\n",
            "`resume` needs a target",
        ),
        (
            "[a]\nfrom = { source = \"pages\", url = \"http://localhost/${NOT_SET}\" }\n",
            "the variable `NOT_SET`",
        ),
    ] {
        fs::write(folder.path("pulls.toml"), text).unwrap();
        let (code, _, words) = folder.run(&["run"]);
        assert_eq!(code, 2, "{text}: {words}");
        assert!(words.contains(expected), "{text}: {words}");
    }
    let (code, _, words) = folder.run(&["run", "no.toml"]);
    assert_eq!(code, 2);
    assert!(words.contains("cannot read `no.toml`"), "{words}");
}
