//! Who the user is: flags, the environment, files.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::server::{Reply, Request, Server, linked_page};
use crate::{run, unspool};

const SECRET: &str = "hunter2+x/y";

/// Exit code and standard error of a command that has the secret in `TOKEN`.
fn outcome(command: &mut Command) -> (i32, String) {
    let Output { status, stderr, .. } = command.env("TOKEN", SECRET).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

/// The one request that these flags make.
#[track_caller]
fn request_of(flags: &[&str]) -> Request {
    let server = Server::start(|_| Reply::json("[1]"));
    let (code, words) = outcome(&mut unspool(
        &[&["pages", &server.url("/?a=1")], flags].concat(),
    ));
    assert_eq!(code, 0, "{flags:?}: {words}");
    server.requests().pop().unwrap()
}

#[test]
fn each_flag_reaches_the_request_from_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let token = file("token", &format!("{SECRET}\n"));
    let headers = file("headers", &format!("X-A: 1\r\n\nX-Key: {SECRET}\r\n"));
    let basic = "Basic YWRhOmh1bnRlcjIreC95";
    let bearer = format!("Bearer {SECRET}");
    for (flags, name, value) in [
        (&["--bearer", SECRET][..], "authorization", bearer.as_str()),
        (&["--bearer", "${TOKEN}"], "authorization", &bearer),
        (
            &["--bearer", &format!("@{token}")],
            "authorization",
            &bearer,
        ),
        (
            &["-H", "Authorization: Bearer ${TOKEN}"],
            "authorization",
            &bearer,
        ),
        (&["-H", &format!("@{headers}")], "x-key", SECRET),
        (&["-H", &format!("@{headers}")], "x-a", "1"),
        (&["-H", "X-Literal: $${TOKEN}"], "x-literal", "${TOKEN}"),
        (&["-u", "ada:${TOKEN}"], "authorization", basic),
        (&["--api-key", "X-Api-Key=${TOKEN}"], "x-api-key", SECRET),
        (
            &["--api-key", &format!("X-Api-Key=@{token}")],
            "x-api-key",
            SECRET,
        ),
        (
            &["-b", "sid=${TOKEN}; a=b=c", "--cookie", "d=1"],
            "cookie",
            &format!("sid={SECRET}; a=b=c; d=1"),
        ),
    ] {
        assert_eq!(request_of(flags).header(name), Some(value), "{flags:?}");
    }
    let query = request_of(&["--api-key-query", "k=${TOKEN}"]).target;
    assert_eq!(query, "/?a=1&k=hunter2%2Bx%2Fy");
}

#[test]
fn netrc_is_for_its_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".netrc");
    let text = format!("machine 127.0.0.1 login ada password {SECRET}\nmachine b.test login x");
    std::fs::write(&path, text).unwrap();
    let server = Server::start(|_| Reply::json("[1]"));
    let url = server.url("/");
    let path = path.to_str().unwrap();
    let run = |flags: &[&str], home: &str, netrc: &str| {
        outcome(
            unspool(&[&["pages", &url], flags].concat())
                .env("HOME", home)
                .env("NETRC", netrc),
        )
    };
    let home = folder.path().to_str().unwrap();
    for (flags, home, netrc) in [
        (&["--netrc"][..], home, ""),
        (&["-n"], "/nowhere", path),
        (&["--netrc-file", path], "/nowhere", "/nowhere"),
    ] {
        let (code, words) = run(flags, home, netrc);
        assert_eq!(code, 0, "{words}");
        assert_eq!(
            server.requests().pop().unwrap().header("authorization"),
            Some("Basic YWRhOmh1bnRlcjIreC95")
        );
    }
    let (code, words) = run(&["--netrc"], "/nowhere", "");
    assert_eq!(code, 2);
    assert!(words.contains("cannot read `/nowhere/.netrc`"), "{words}");
    let localhost = url.replace("127.0.0.1", "localhost");
    let (code, words) = outcome(&mut unspool(&["pages", &localhost, "--netrc-file", path]));
    assert_eq!(code, 2);
    assert!(words.contains("has no entry for `localhost`"), "{words}");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn tokens_are_got_with_client_credentials() {
    let issuer = Server::start(|request| match request.header("authorization") {
        Some("Basic cmVwb3J0czpodW50ZXIyJTJCeCUyRnk=") => {
            Reply::json(r#"{"access_token": "t0ken", "expires_in": 60}"#)
        }
        _ => Reply::status(401).body(r#"{"error": "invalid_client"}"#),
    });
    let server = Server::linked_pages(2, 1);
    let token_url = issuer.url("/token");
    let url = server.url("/");
    let with_secret = |secret| {
        let flags = [
            "pages",
            &url,
            "--oauth2-token-url",
            &token_url,
            "--oauth2-client-id",
            "reports",
            "--oauth2-scope",
            "a b",
            "--oauth2-param",
            "audience=api",
            "--oauth2-client-secret",
            secret,
        ];
        outcome(&mut unspool(&flags))
    };
    let (code, words) = with_secret("${TOKEN}");
    assert_eq!(code, 0, "{words}");
    assert_eq!(
        issuer.requests()[0].body,
        b"grant_type=client_credentials&scope=a+b&audience=api"
    );
    for request in server.requests() {
        assert_eq!(request.header("authorization"), Some("Bearer t0ken"));
    }
    let (code, words) = with_secret("wrong");
    assert_eq!(code, 1);
    assert!(
        words.contains("401 Unauthorized: `invalid_client`"),
        "{words}"
    );
    assert!(words.contains("hint: `--bearer '${TOKEN}'`"), "{words}");
}

#[test]
fn a_secret_of_the_environment_is_in_no_message_and_no_list_of_processes() {
    for flags in [
        &["--bearer", "${TOKEN}"][..],
        &["-u", "ada:${TOKEN}"],
        &["-H", "X-Key: ${TOKEN}"],
        &["-H", "Authorization: Token ${TOKEN}"],
        &["--api-key", "X-Key=${TOKEN}"],
        &["--api-key-query", "k=${TOKEN}"],
        &["-b", "a=${TOKEN}"],
        &[],
    ] {
        // The answer to the second page waits until this process has looked around.
        let (reply, go) = Reply::status(200)
            .header("link", "<?page=3>; rel=next")
            .gate();
        let gated = std::sync::Mutex::new(Some(reply.body("[1]")));
        let server = Server::start(move |request| match request.page() {
            1 => linked_page(request, 9, 1),
            2 => gated.lock().unwrap().take().unwrap(),
            _ => Reply::status(401).body(format!("{SECRET} hunter2%2Bx%2Fy")),
        });
        let url = match flags {
            [] => server.url("/bot${TOKEN}/?page=2&q=${TOKEN}"),
            _ => server.url("/"),
        };
        let child = unspool(&[&["pages", &url, "--account", "-"], flags].concat())
            .env("TOKEN", SECRET)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while !server.requests().iter().any(|request| request.page() == 2) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let line = std::fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert!(
            line.contains("${TOKEN}") && !line.contains(SECRET),
            "{line}"
        );
        go.send(()).unwrap();
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        let words = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{words}");
        assert!(words.contains("answered 401 Unauthorized"), "{words}");
        for secret in [SECRET, "hunter2"] {
            assert!(!words.contains(secret), "{flags:?}: {words}");
        }
    }
}

#[test]
fn a_variable_in_the_host_is_not_taken_for_a_secret() {
    let server = Server::start(|_| Reply::status(404).body("no"));
    let (code, words) = outcome(unspool(&["pages", "${BASE}/x"]).env("BASE", server.url("/v1")));
    assert_eq!(code, 1);
    assert!(
        words.contains(&format!("GET {}/x: answered 404", server.url("/v1"))),
        "{words}"
    );
}

#[test]
fn wrong_flags_are_a_wrong_request_that_shows_no_secret() {
    let url = "http://127.0.0.1:9/";
    for (flags, words) in [
        (
            &["--bearer", "${MISSING_TOKEN}"][..],
            "--bearer: the variable `MISSING_TOKEN`",
        ),
        (
            &["-H", "X-Key: ${MISSING_TOKEN}"],
            "the variable `MISSING_TOKEN`",
        ),
        (
            &["-u", "ada:${MISSING_TOKEN}"],
            "the variable `MISSING_TOKEN`",
        ),
        (
            &["--cookie", "a=${MISSING_TOKEN}"],
            "the variable `MISSING_TOKEN`",
        ),
        (
            &["--api-key", "X=${TOKEN"],
            "--api-key: expected the name of a variable",
        ),
        (
            &["--bearer", "@/no/such/file"],
            "--bearer: cannot read `/no/such/file`",
        ),
        (&["--bearer", "@/dev/null"], "`/dev/null` is empty"),
        (&["-H", "hunter2"], "--header: expected `Name: value`"),
        (
            &["--api-key", "hunter2"],
            "--api-key: expected `NAME=VALUE`",
        ),
        (
            &["--api-key", "=hunter2"],
            "--api-key: expected `NAME=VALUE`",
        ),
        (&["--api-key", "a b=hunter2"], "the name of a header"),
        (
            &["--api-key-query", "hunter2"],
            "--api-key-query: expected `NAME=VALUE`",
        ),
        (&["--cookie", "hunter2"], "--cookie: expected `NAME=VALUE`"),
        (&["--bearer", "hunter2\n"], "expected a token"),
        (
            &["--netrc-file", "/no/such/file"],
            "cannot read `/no/such/file`",
        ),
        (&["--bearer", "x", "-u", "a:hunter2"], "cannot be used with"),
        (&["--bearer", "x", "--netrc"], "cannot be used with"),
        (
            &["--oauth2-token-url", "http://a.test"],
            "--oauth2-client-id",
        ),
        (&["--oauth2-client-secret", "hunter2"], "--oauth2-token-url"),
        (
            &[
                "--oauth2-token-url",
                "x",
                "--oauth2-client-id",
                "a",
                "--oauth2-client-secret",
                "b",
            ],
            "expected a URL of a token endpoint",
        ),
    ] {
        let (code, lines, text) = run(&[&["pages", url], flags].concat());
        assert_eq!((code, lines.len()), (2, 0), "{flags:?}: {text}");
        assert!(text.contains(words), "{flags:?}: {text}");
        assert!(!text.contains("hunter2"), "{flags:?}: {text}");
    }
    let (code, _, text) = run(&["pages", "http://127.0.0.1:9/${MISSING_TOKEN}"]);
    assert_eq!(code, 2);
    assert!(text.contains("the variable `MISSING_TOKEN`"), "{text}");
}

#[test]
fn an_empty_credential_is_refused_before_anything_is_sent() {
    let server = Server::linked_pages(1, 1);
    for flags in [
        ["--bearer", ""],
        ["-u", ""],
        ["-u", ":"],
        ["--api-key", "X-Key="],
        ["--api-key-query", "key="],
        ["--cookie", " "],
    ] {
        let (code, lines, words) = run(&["pages", &server.url("/"), flags[0], flags[1]]);
        assert_eq!((code, lines.len()), (2, 0), "{flags:?}: {words}");
        assert!(words.contains("the value is empty"), "{words}");
    }
    assert!(server.targets().is_empty());
    // There are servers that know a key as a user without a password, or the other way round.
    for user in ["key:", ":token"] {
        let (code, _, words) = run(&["pages", &server.url("/"), "-u", user]);
        assert_eq!(code, 0, "{words}");
    }
}

#[test]
fn a_refusal_of_another_origin_names_the_flag_for_that() {
    let other = Server::start(|request| match request.header("authorization") {
        Some("Bearer key-of-mine") => Reply::json("[2]"),
        _ => Reply::status(401).body("who are you?"),
    });
    let target = other.url("/");
    let server = Server::start(move |_| {
        let link = format!("<{target}>; rel=next");
        Reply::status(200).header("link", link).body("[1]")
    });
    let flags = ["pages", &server.url("/"), "--bearer", "key-of-mine"];
    let (code, _, words) = run(&flags);
    assert_eq!(code, 1, "{words}");
    assert!(
        words.contains("were not sent to http://127.0.0.1"),
        "{words}"
    );
    assert!(
        words.contains("hint: if that is another name of the same server, `--also-origin URL`"),
        "{words}"
    );
    let (code, lines, words) = run(&[&flags[..], &["--also-origin", &other.url("/")]].concat());
    assert_eq!((code, lines.len()), (0, 2), "{words}");
}
