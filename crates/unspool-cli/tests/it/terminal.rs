//! The progress line, on a pseudo-terminal.

use std::fs::File;
use std::io::Read;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::server::{Reply, Server, linked_page};
use crate::unspool;

/// What a terminal shows as standard error of a run that ends.
fn screen(args: &[&str], stdout: impl FnOnce(&File) -> Stdio) -> String {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let path = ptsname(&controller, Vec::new()).unwrap();
    let terminal = File::options()
        .read(true)
        .write(true)
        .open(path.to_str().unwrap())
        .unwrap();
    let mut child = unspool(args)
        .env("TERM", "xterm")
        .stdout(stdout(&terminal))
        .stderr(terminal.try_clone().unwrap())
        .spawn()
        .unwrap();
    drop(terminal);
    let reader = std::thread::spawn(move || {
        let mut shown = Vec::new();
        // A terminal that nobody has open any more reads as an error.
        let _ = File::from(controller).read_to_end(&mut shown);
        String::from_utf8_lossy(&shown).into_owned()
    });
    assert_eq!(child.wait().unwrap().code(), Some(0));
    reader.join().unwrap()
}

fn slow() -> Server {
    let count = std::sync::atomic::AtomicUsize::new(0);
    Server::start(
        move |request| match count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            1 => Reply::status(429)
                .header("retry-after", 1)
                .body("slow down"),
            _ => linked_page(request, 2, 2),
        },
    )
}

#[test]
fn a_terminal_shows_progress_and_what_is_waited_for() {
    let shown = screen(&["pages", &slow().url("/")], |_| Stdio::null());
    assert!(shown.contains("2 items, 1 pages"), "{shown}");
    assert!(
        shown.contains("waiting 1.0 s to try again (1 of 5): answered 429"),
        "{shown}"
    );
    assert!(
        shown.ends_with("the last page names no next one\r\n"),
        "{shown}"
    );
}

#[test]
fn no_progress_is_drawn_between_items_or_when_quiet() {
    let shown = screen(&["pages", &slow().url("/")], |terminal| {
        terminal.try_clone().unwrap().into()
    });
    // The line that says what is waited for is gone before the first item.
    let (_, shown) = shown.rsplit_once("\u{1b}[2K").unwrap();
    assert!(
        shown.starts_with(
            "0\r\n1\r\n2\r\n3\r\nunspool: found: --paginate link --items ''\r\nunspool: complete"
        ),
        "{shown}"
    );
    let shown = screen(&["pages", "--quiet", &slow().url("/")], |_| Stdio::null());
    assert_eq!(shown, "");
}

#[test]
fn an_answer_on_a_terminal_has_its_words_at_once_and_a_line_of_its_own() {
    let event = |data: &str| format!("data: {data}\n\n");
    let text = |text: &str| {
        event(&format!(
            "{{\"type\":\"content_block_delta\",\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}"
        ))
    };
    let end = event("{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}")
        + &event("{\"type\":\"message_stop\"}");
    let body = text("one ") + &text("two") + &end;
    let server = Server::start(move |_| {
        Reply::status(200)
            .header("content-type", "text/event-stream")
            .until_close(body.clone())
    });
    let shown = screen(&["ask", "hi", "--base-url", &server.url("")], |terminal| {
        terminal.try_clone().unwrap().into()
    });
    let (before, after) = shown.split_once("one two\r\n").unwrap();
    // The progress line is gone before the first word is there.
    assert!(!before.contains("complete"), "{shown}");
    assert!(
        after.starts_with("unspool: complete: 7 B of text"),
        "{shown}"
    );
}

#[test]
fn what_a_terminal_would_obey_is_shown_to_it_and_sent_as_it_is_to_others() {
    let hostile = "\u{1b}]0;title\u{7}\u{1b}[2Ja\u{202e}b\u{9b}1m\r\nc\rd";
    let quoted = serde_json::json!(hostile);
    let event = |data: &str| format!("data: {data}\n\n");
    let begin = "{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":";
    let body = event(&format!("{begin}{quoted}}}}}"))
        + &event("{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}")
        + &event("{\"type\":\"message_stop\"}");
    let server = Server::start(move |request| match request.path() {
        "/items" => Reply::json("[\"a\u{202e}\u{9b}1m\u{7f}\\u001b\", \r\"\\r\"]"),
        _ => Reply::status(200)
            .header("content-type", "text/event-stream")
            .body(body.clone()),
    });
    let on_terminal = |terminal: &File| terminal.try_clone().unwrap().into();
    let base = server.url("");
    let ask = ["ask", "hi", "--quiet", "--base-url", &base];
    // The terminal itself begins each line at the left.
    let expected = "\\u001b]0;title\\u0007\\u001b[2Ja\\u202eb\\u009b1m\r\nc\\u000dd\r\n";
    assert_eq!(screen(&ask, on_terminal), expected);
    let output = unspool(&ask).output().unwrap();
    assert_eq!(output.stdout, hostile.as_bytes());

    let items = server.url("/items");
    let pages = ["pages", "--quiet", "--paginate", "single", &items];
    let expected = "\"a\\u202e\\u009b1m\\u007f\\u001b\"\r\n\"\\r\"\r\n";
    assert_eq!(screen(&pages, on_terminal), expected);
    let output = unspool(&pages).output().unwrap();
    assert_eq!(
        output.stdout,
        "\"a\u{202e}\u{9b}1m\u{7f}\\u001b\"\n\"\\r\"\n".as_bytes()
    );
}

#[test]
fn a_question_for_each_record_shows_a_bar_with_the_tokens_and_the_time_that_is_left() {
    let server = Server::start(|request| {
        let text = crate::each::prompt(request);
        crate::each::answer(&text, std::time::Duration::from_millis(400))
    });
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.ndjson");
    std::fs::write(&input, "1\n2\n3\n4\n").unwrap();
    let (url, input) = (server.url(""), input.to_str().unwrap());
    let args = ["ask", "--base-url", &url, "--each", input, "--template"];
    let args = [&args[..], &["{}", "--price", "1000/1000"]].concat();
    let shown = screen(&args, |_| Stdio::null());
    assert!(shown.contains("25%, "), "{shown}");
    let line = "left: 1 record, 16 tokens (9 in), 0.0160 in cost";
    assert!(shown.contains(line), "{shown}");
}
