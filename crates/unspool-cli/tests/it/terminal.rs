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
