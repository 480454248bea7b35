//! `unspool ask`, against a server that answers as a test tells it to.

use std::io::{Read, Write};
use std::process::{Output, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::server::{Reply, Server};
use crate::{run, unspool};

/// An answer over Anthropic's protocol, up to its first piece of text.
fn begin() -> String {
    event(&json!({
        "type": "message_start",
        "message": {"id": "msg_1", "model": "test-1", "usage": {"input_tokens": 7, "output_tokens": 1}},
    })) + &event(&json!({
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    }))
}

fn text(text: &str) -> String {
    let delta = json!({"type": "text_delta", "text": text});
    event(&json!({"type": "content_block_delta", "index": 0, "delta": delta}))
}

fn end(reason: &str) -> String {
    event(&json!({"type": "content_block_stop", "index": 0}))
        + &event(&json!({
            "type": "message_delta",
            "delta": {"stop_reason": reason},
            "usage": {"output_tokens": 3},
        }))
        + &event(&json!({"type": "message_stop"}))
}

fn event(data: &Value) -> String {
    let name = data["type"].as_str().unwrap();
    format!("event: {name}\ndata: {data}\n\n")
}

fn stream() -> Reply {
    Reply::status(200).header("content-type", "text/event-stream")
}

/// A server that always answers with this body.
fn server(body: String) -> Server {
    Server::start(move |_| stream().until_close(body.clone()))
}

fn answer(reason: &str) -> Server {
    server(begin() + &text("Grüß ") + &text("dich 😀") + &end(reason))
}

/// A server that waits after its first words, and then ends its answer; the sender lets
/// it go on.
fn gated(rest: String) -> (Server, Sender<()>) {
    let (reply, gate) = stream()
        .header("connection", "close")
        .send(begin() + &text("first words"))
        .gate();
    let reply = Mutex::new(Some(reply.send(rest)));
    let server = Server::start(move |_| reply.lock().unwrap().take().unwrap());
    (server, gate)
}

/// Whole standard output, as it is.
fn ask(server: &Server, args: &[&str]) -> (i32, String, String) {
    let output = command(server, args).output().unwrap();
    parts(output)
}

fn command(server: &Server, args: &[&str]) -> std::process::Command {
    unspool(&[&["ask", "--base-url", &server.url("")], args].concat())
}

fn parts(output: Output) -> (i32, String, String) {
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn the_text_goes_out_as_it_is_and_words_about_it_beside() {
    let (code, answer, words) = ask(&answer("end_turn"), &["Say hello"]);
    assert_eq!((code, answer.as_str()), (0, "Grüß dich 😀"), "{words}");
    assert!(
        words.starts_with("unspool: complete: 3 tokens (7 in), the first after "),
        "{words}"
    );
    assert!(words.ends_with("the model came to its end\n"), "{words}");
}

#[test]
fn the_code_says_how_the_answer_ended() {
    for (reason, expected, verdict) in [
        ("end_turn", 0, "complete: "),
        ("stop_sequence", 0, "complete: "),
        ("max_tokens", 4, "not complete: "),
        ("refusal", 4, "not complete: "),
        ("pause_turn", 4, "not complete: "),
        ("something_new", 4, "not complete: "),
    ] {
        let (code, answer, words) = ask(&answer(reason), &["-q", "hi"]);
        assert_eq!(
            (code, answer.as_str()),
            (expected, "Grüß dich 😀"),
            "{reason}: {words}"
        );
        // Who wants it quiet still wants to know that the answer is not whole.
        assert_eq!(words.is_empty(), expected == 0, "{reason}: {words}");
        let (_, _, words) = ask(&self::answer(reason), &["hi"]);
        assert!(words.contains(verdict), "{reason}: {words}");
    }
    // A call that is spoken of and does not come is lost.
    let (code, _, words) = ask(&answer("tool_use"), &["-q", "hi"]);
    assert_eq!(code, 3, "{words}");
    assert!(words.contains("no call came"), "{words}");
    let (_, _, words) = ask(&answer("max_tokens"), &["hi"]);
    assert!(
        words.contains("hint: `--max-tokens N` raises the limit"),
        "{words}"
    );
}

#[test]
fn an_answer_without_its_end_mark_is_never_taken_for_a_whole_one() {
    let (code, text, words) = ask(&server(begin() + &text("half")), &["hi"]);
    assert_eq!((code, text.as_str()), (3, "half"));
    assert!(words.contains("error: POST http://127.0.0.1:"), "{words}");
    assert!(
        words.contains("truncated: the answer ended after 3 events, without `message_stop`"),
        "{words}"
    );
    assert!(
        words.contains("what came before is a part of the answer"),
        "{words}"
    );
    let without_reason = begin() + &self::text("a") + &event(&json!({"type": "message_stop"}));
    let (code, text, words) = ask(&server(without_reason), &["hi"]);
    assert_eq!((code, text.as_str()), (3, "a"));
    assert!(words.contains("not proved complete: "), "{words}");
}

#[test]
fn an_error_of_the_upstream_is_shown_in_its_words() {
    let error =
        json!({"type": "error", "error": {"type": "not_found_error", "message": "model: x"}});
    let server = Server::start(move |_| Reply::status(404).body(error.to_string()));
    let (code, text, words) = ask(&server, &["hi"]);
    assert_eq!((code, text.as_str()), (1, ""));
    assert!(
        words.contains("answered 404 Not Found: not_found_error: model: x"),
        "{words}"
    );
    assert!(words.contains("hint: `--base-url` is where"), "{words}");
}

#[test]
fn a_wrong_request_sends_nothing() {
    let server = answer("end_turn");
    for (args, expected) in [
        (&["ask"][..], "there is nothing to ask"),
        (
            &["ask", "hi"],
            "no key for `anthropic`: neither given, nor in `ANTHROPIC_API_KEY`",
        ),
        (&["ask", "hi", "--model", "who"], "whose model is `who`?"),
        (
            &["ask", "hi", "--provider", "who"],
            "no provider `who`; there are `anthropic`, `openai`",
        ),
        (&["ask", "hi", "--provider", "groq"], "no model is named"),
        (
            &["ask", "hi", "--api-key", ""],
            "--api-key: the value is empty",
        ),
        (&["ask", "@/no/such"], "cannot read `/no/such`"),
        (
            &["ask", "hi", "--attach", "/no/such"],
            "--attach: cannot read `/no/such`",
        ),
        (
            &["ask", "hi", "--attach", "Cargo.toml"],
            "is text: put it into the prompt",
        ),
        (
            &["ask", "hi", "--schema", "Cargo.toml"],
            "--schema: expected a JSON schema in `Cargo.toml`",
        ),
        (
            &[
                "ask",
                "hi",
                "--provider",
                "responses",
                "--model",
                "m",
                "--stop",
                "x",
            ],
            "no stop sequences",
        ),
        (
            &["ask", "hi", "--stop-at", "("],
            "cannot stop at `(`: unclosed group",
        ),
        (&["ask", "hi", "--stop-at", "x*"], "matches the empty text"),
        (&["ask", "hi", "--items", "x"], "--items"),
        (
            &["ask", "hi", "--events", "--items", "/x"],
            "cannot be used with",
        ),
        (
            &["ask", "hi", "--tools", "{}"],
            "--tools: expected an array",
        ),
        (
            &["ask", "hi", "--extra", "[]"],
            "--extra: expected an object",
        ),
        (&["ask", "hi", "--extra", "{"], "expected JSON"),
        (
            &["ask", "hi", "--messages", "/no/such"],
            "cannot read `/no/such`",
        ),
        (
            &["ask", "hi", "--api-key", "${NOT_SET}"],
            "the variable `NOT_SET`",
        ),
        (
            &["ask", "hi", "-H", "x"],
            "--header: expected `Name: value`",
        ),
        (&["ask", "hi", "--base-url", "ftp://h"], "the scheme `ftp:`"),
        (
            &["ask", "hi", "--account", "/no/such/file"],
            "cannot write the account",
        ),
        (&["ask", "hi", "--max-tokens", "many"], "--max-tokens"),
    ] {
        let url = server.url("");
        let base = ["--base-url", url.as_str()];
        let has_base = expected.contains("no key")
            || expected.contains("whose")
            || args.contains(&"--base-url");
        let base = if has_base { &[][..] } else { &base[..] };
        let (code, lines, words) = run(&[args, base].concat());
        assert_eq!((code, lines.len()), (2, 0), "{args:?}: {words}");
        assert!(words.contains(expected), "{args:?}: {words}");
    }
    assert!(server.targets().is_empty());
}

#[test]
fn events_are_lines_of_json_of_which_the_last_says_why_it_stopped() {
    let (code, lines, _) = {
        let server = answer("max_tokens");
        run(&["ask", "hi", "--events", "--base-url", &server.url("")])
    };
    assert_eq!(code, 4);
    let events: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kinds: Vec<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["start", "usage", "text", "text", "usage", "stop"]);
    assert_eq!(events[2], json!({"type": "text", "text": "Grüß "}));
    assert_eq!(events[4], json!({"type": "usage", "output_tokens": 3}));
    assert_eq!(
        events[5],
        json!({"type": "stop", "stop": "max-tokens", "reason": "max_tokens"})
    );
}

#[test]
fn items_of_an_array_in_the_answer_are_lines_before_the_answer_is_whole() {
    let rest = text("]}\n```") + &end("end_turn");
    let (reply, gate) = stream()
        .header("connection", "close")
        .send(begin() + &text("Here:\n```json\n{\"items\": [{\"a\": 1},\n {\"a\":") + &text(" 2}"))
        .gate();
    let reply = Mutex::new(Some(reply.send(rest)));
    let server = Server::start(move |_| reply.lock().unwrap().take().unwrap());
    let mut child = command(&server, &["--items", "/items", "hi"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let expected = "{\"a\": 1}\n{\"a\": 2}\n";
    let mut came = vec![0; expected.len()];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut came)
        .unwrap();
    assert_eq!(String::from_utf8(came).unwrap(), expected);
    gate.send(()).unwrap();
    let (code, rest, words) = parts(child.wait_with_output().unwrap());
    assert_eq!((code, rest.as_str()), (0, ""), "{words}");
}

#[test]
fn the_prompt_comes_from_the_argument_from_a_pipe_or_from_both() {
    for (argument, input, expected) in [
        (&["What is it?"][..], "", "What is it?"),
        (&["What is it?"], "a file\n", "a file\n\nWhat is it?"),
        (&[], "a question\n", "a question"),
        (&["-"], "a question\n", "a question"),
    ] {
        let server = answer("end_turn");
        let mut child = command(&server, argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let (code, _, words) = parts(child.wait_with_output().unwrap());
        assert_eq!(code, 0, "{words}");
        let sent: Value = serde_json::from_slice(&server.requests()[0].body).unwrap();
        assert_eq!(
            sent["messages"],
            json!([{"role": "user", "content": expected}])
        );
        assert_eq!(sent["model"], "claude-sonnet-4-6");
        assert_eq!(sent["max_tokens"], 1024);
    }
}

#[test]
fn input_that_does_not_end_is_refused() {
    let server = answer("end_turn");
    let zeros = std::fs::File::open("/dev/zero").unwrap();
    let (code, _, words) = parts(command(&server, &["-"]).stdin(zeros).output().unwrap());
    assert_eq!(code, 2);
    assert!(
        words.contains("standard input has over 16777216 bytes"),
        "{words}"
    );
    assert!(server.targets().is_empty());
}

#[test]
fn the_prompt_and_what_goes_with_it_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let prompt = format!("@{}", file("prompt.txt", b"What is it?\n"));
    let image = file("a.gif", b"GIF89a1");
    let schema = file("schema.json", br#"{"type": "string"}"#);
    let server = answer("end_turn");
    let (code, text, words) = ask(&server, &[&prompt, "--attach", &image, "--schema", &schema]);
    // The text comes as it is; that it does not match is the code.
    assert_eq!((code, text.as_str()), (3, "Grüß dich 😀"), "{words}");
    assert!(
        words.contains("does not match the schema: the text is not JSON"),
        "{words}"
    );
    let sent: Value = serde_json::from_slice(&server.requests()[0].body).unwrap();
    let content = &sent["messages"][0]["content"];
    assert_eq!(content[0]["source"]["media_type"], "image/gif");
    assert_eq!(content[1], json!({"type": "text", "text": "What is it?"}));
    assert_eq!(
        sent["output_config"]["format"]["schema"],
        json!({"type": "string"})
    );
    // Nothing is said of a number of tokens that nobody asked for.
    let sent = |args: &[&str]| {
        let server = Server::start(|_| Reply::status(400).body("{}"));
        let provider = ["hi", "--provider", "openai", "--model", "m"];
        ask(&server, &[&provider, args].concat());
        let body: Value = serde_json::from_slice(&server.requests()[0].body).unwrap();
        body
    };
    assert!(sent(&[]).get("max_tokens").is_none());
    assert_eq!(sent(&["--max-tokens", "9"])["max_tokens"], 9);
}

#[test]
fn flags_become_fields_of_the_request() {
    let server = answer("end_turn");
    let folder = tempfile::tempdir().unwrap();
    let messages = folder.path().join("messages.json");
    std::fs::write(
        &messages,
        r#"[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]"#,
    )
    .unwrap();
    let system = folder.path().join("system.txt");
    std::fs::write(&system, "Be brief.\n").unwrap();
    let (code, _, words) = ask(
        &server,
        &[
            "c",
            "--messages",
            messages.to_str().unwrap(),
            "--system",
            &format!("@{}", system.display()),
            "--model",
            "claude-x",
            "--max-tokens",
            "9",
            "--temperature",
            "0.5",
            "--stop",
            "END",
            "--tools",
            r#"[{"name": "t", "description": "d", "parameters": {"type": "object"}}]"#,
            "--extra",
            r#"{"top_k": 3, "stop_sequences": null}"#,
            "-H",
            "X-Test: yes",
        ],
    );
    assert_eq!(code, 0, "{words}");
    let request = &server.requests()[0];
    assert_eq!(request.target, "/v1/messages");
    assert_eq!(request.header("x-test"), Some("yes"));
    let sent: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        sent,
        json!({
            "model": "claude-x",
            "max_tokens": 9,
            "system": "Be brief.",
            "temperature": 0.5,
            "top_k": 3,
            "stream": true,
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "b"},
                {"role": "user", "content": "c"},
            ],
            "tools": [{"name": "t", "description": "d", "input_schema": {"type": "object"}}],
        })
    );
}

#[test]
fn a_key_goes_to_the_upstream_and_into_no_word() {
    const KEY: &str = "sk-very-secret";
    // A server that gives back what it was sent.
    let server = Server::start(|request| {
        Reply::status(400)
            .body(json!({"error": {"message": format!("{:?}", request.headers)}}).to_string())
    });
    let bearer = format!("Bearer {KEY}");
    for (variable, args, header, value) in [
        (
            "ANTHROPIC_API_KEY",
            &["--account", "-"][..],
            "x-api-key",
            KEY,
        ),
        ("ANTHROPIC_AUTH_TOKEN", &[], "authorization", &bearer),
        (
            "OPENAI_API_KEY",
            &["--model", "gpt-5.1"],
            "authorization",
            &bearer,
        ),
        (
            "OPENAI_API_KEY",
            &["--model", "m", "--provider", "responses"],
            "authorization",
            &bearer,
        ),
        (
            "OLLAMA_API_KEY",
            &["--model", "a:b"],
            "authorization",
            &bearer,
        ),
        (
            "GEMINI_API_KEY",
            &["--model", "gemini-3"],
            "x-goog-api-key",
            KEY,
        ),
        ("MINE", &["--api-key", "${MINE}"], "x-api-key", KEY),
        ("MINE", &["-H", "X-Api-Key: ${MINE}"], "x-api-key", KEY),
    ] {
        let args = [&["hi"], args].concat();
        let output = command(&server, &args).env(variable, KEY).output();
        let (code, text, words) = parts(output.unwrap());
        assert_eq!((code, text.as_str()), (1, ""), "{words}");
        assert!(words.contains("answered 400"), "{words}");
        assert!(!words.contains(KEY), "{words}");
        let request = server.requests().pop().unwrap();
        assert_eq!(request.header(header), Some(value), "{variable}");
    }
}

#[test]
fn words_go_through_a_pipe_as_soon_as_they_come() {
    let (server, gate) = gated(text(", last words") + &end("end_turn"));
    let mut child = command(&server, &["hi"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut came = [0; 11];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut came)
        .unwrap();
    assert_eq!(&came, b"first words");
    gate.send(()).unwrap();
    let (code, rest, words) = parts(child.wait_with_output().unwrap());
    assert_eq!((code, rest.as_str()), (0, ", last words"), "{words}");
}

/// A server that sends words without end, and the number of bytes that it got rid of once
/// the client is gone.
fn endless() -> (Server, Receiver<u64>) {
    let (reply, sent) = stream()
        .header("connection", "close")
        .send(begin())
        .repeating(text("word ").into_bytes());
    let reply = Mutex::new(Some(reply));
    let server = Server::start(move |_| reply.lock().unwrap().take().unwrap());
    (server, sent)
}

#[test]
fn who_has_enough_closes_the_connection() {
    let reads = |args: &[&str]| {
        let (server, sent) = endless();
        let (code, text, words) = ask(&server, args);
        assert_eq!(code, 0, "{words}");
        sent.recv_timeout(Duration::from_secs(10)).unwrap();
        (text, words)
    };
    let (text, words) = reads(&["--take", "3", "hi"]);
    assert_eq!(text, "word word word ");
    assert!(words.contains("stopped as asked: "), "{words}");
    let (text, words) = reads(&["--stop-at", "d w", "hi"]);
    assert_eq!(text, "word w");
    assert!(
        words.contains("the text came to where it should stop"),
        "{words}"
    );
}

#[test]
fn a_closed_pipe_is_a_normal_stop() {
    let (server, sent) = endless();
    let mut child = command(&server, &["hi"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut came = [0; 5];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut came)
        .unwrap();
    drop(child.stdout.take());
    let (code, _, words) = parts(child.wait_with_output().unwrap());
    assert_eq!(code, 0, "{words}");
    assert!(words.contains("the reader closed the pipe"), "{words}");
    sent.recv_timeout(Duration::from_secs(10)).unwrap();
}

#[test]
fn ctrl_c_writes_what_came_and_exits_130() {
    let (server, _gate) = gated(String::new());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text");
    let account = folder.path().join("account");
    let mut child = command(&server, &["hi", "--account", account.to_str().unwrap()])
        .stdout(std::fs::File::create(&file).unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A file gets its words, too, while the answer is on its way.
    let begin = Instant::now();
    while std::fs::read_to_string(&file).unwrap() != "first words" {
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "nothing is written"
        );
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut words = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut words)
        .unwrap();
    assert!(words.contains("interrupted: 11 B of text"), "{words}");
    let account: Value = serde_json::from_slice(&std::fs::read(&account).unwrap()).unwrap();
    assert_eq!(
        (&account["stop"], &account["complete"]),
        (&json!("stopped"), &json!(false))
    );
}

#[test]
fn the_account_says_how_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("account.json");
    let read = || -> Value { serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap() };
    let (_, _, words) = ask(
        &answer("end_turn"),
        &["hi", "--account", file.to_str().unwrap()],
    );
    let account = read();
    assert_eq!(account["complete"], true, "{words}");
    assert_eq!(
        account["usage"],
        json!({"input_tokens": 7, "output_tokens": 3})
    );
    for (name, expected) in [
        ("stop", json!("end")),
        ("reason", json!("end_turn")),
        ("provider", json!("anthropic")),
        ("model", json!("test-1")),
        ("id", json!("msg_1")),
        ("requests", json!(1)),
        ("deltas", json!(2)),
        ("text_bytes", json!("Grüß dich 😀".len())),
        ("error", Value::Null),
    ] {
        assert_eq!(account[name], expected, "{name}");
    }
    ask(
        &server(begin() + &text("a")),
        &["hi", "--account", file.to_str().unwrap()],
    );
    let account = read();
    assert_eq!(
        (&account["complete"], &account["stop"]),
        (&json!(false), &json!("failed"))
    );
    assert!(account["error"].as_str().unwrap().contains("truncated"));
}
