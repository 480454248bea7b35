//! Answers of upstreams that mean harm, or are broken so that they do harm: what would hang a
//! client, fill its memory, keep its processor busy, or speak in its name.
//!
//! Each is a [`Reply`], so that a test lets it answer a page, a token or a model's answer.

use std::time::Duration;

use crate::{Reply, Request, Server};

/// What a terminal obeys, and a line that looks like one of the client's own.
pub const FORGERY: &str =
    "\u{1b}[2J\u{1b}]0;title\u{7}\r\nunspool: complete: 7 items\u{202e}\u{9b}1m\u{2028}";

/// Numbers that are not finite, out of range, or not what they look like.
pub const EXTREMES: &[&str] = &[
    "inf",
    "Infinity",
    "-inf",
    "NaN",
    "1e400",
    "-1e400",
    "1e308",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-1",
    "+019223372036854775807",
    "2026-01-01T00:00:00+019223372036854775807",
    "0x10",
    "",
];

/// The head of an answer whose connection ends with it.
fn begun(content_type: &str) -> Reply {
    Reply::status(200)
        .header("content-type", content_type)
        .header("connection", "close")
}

/// The same bytes one after the other, each after a pause, for as long as a test may take.
fn dripping(reply: Reply, drop: &[u8], pause: Duration) -> Reply {
    (0..20_000).fold(reply, |reply, _| reply.pause(pause).send(drop))
}

/// A head that comes byte by byte, and never ends.
pub fn dripping_head(pause: Duration) -> Reply {
    let begun = Reply::headless().send("HTTP/1.1 200 OK\r\nx-slow: ");
    dripping(begun, b"a", pause)
}

/// A body that begins so, and of which this comes now and then.
pub fn dripping_body(content_type: &str, begin: &str, drop: &str, pause: Duration) -> Reply {
    dripping(begun(content_type).send(begin), drop.as_bytes(), pause)
}

/// A chunk whose extension comes byte by byte.
pub fn dripping_chunk_extension(pause: Duration) -> Reply {
    let begun = Reply::status(200).chunked().send("3;a=");
    dripping(begun, b"b", pause)
}

/// A whole body, and fields after it that come without end.
pub fn dripping_trailers(body: &str, pause: Duration) -> Reply {
    let begun = Reply::status(200).chunked().chunk(body).send("0\r\n");
    dripping(begun, b"x-trailer: a\r\n", pause)
}

/// Interim answers without end, as fast as they are taken.
pub fn endless_early_hints() -> Reply {
    let hint = b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n";
    Reply::headless().repeating(hint.repeat(100)).0
}

/// Fields of a head without end.
pub fn endless_head() -> Reply {
    let begun = Reply::headless().send("HTTP/1.1 200 OK\r\n");
    begun.repeating(b"x-more: and more\r\n".repeat(200)).0
}

/// A body that begins so and goes on with this for ever.
pub fn endless_body(content_type: &str, begin: &str, more: &str) -> Reply {
    let more = more.repeat((1 << 16) / more.len() + 1);
    begun(content_type).send(begin).repeating(more.into()).0
}

/// A body that begins so and goes on with so many blocks of 128 KiB of one byte, in four bytes
/// each (RFC 8878).
pub fn bomb(begin: &str, byte: u8, blocks: usize) -> Reply {
    // A window of 128 KiB, no length, no checksum.
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0, 7 << 3];
    frame.extend(block(begin.len(), RAW));
    frame.extend_from_slice(begin.as_bytes());
    let repeated = [&block(128 << 10, REPEATED)[..], &[byte]].concat();
    frame.extend(repeated.repeat(blocks));
    Reply::status(200)
        .header("content-type", "application/json")
        .header("content-encoding", "zstd")
        .body(frame)
}

const RAW: usize = 0;
const REPEATED: usize = 1;

/// The header of a block that is not the last.
fn block(length: usize, kind: usize) -> [u8; 3] {
    let [first, second, third, ..] = (length << 3 | kind << 1).to_le_bytes();
    [first, second, third]
}

/// A page whose text around the items has so many objects in each other.
pub fn deep(depth: usize) -> String {
    format!("{{\"a\": {}", "{\"a\": [".repeat(depth))
}

/// A server that leads on with this reply to its first request, and answers all others with a
/// last page.
pub fn leading_on(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Server {
    let is_first = |request: &Request| request.target == "/";
    Server::start(move |request| {
        if is_first(request) {
            reply()
        } else {
            Reply::json("[3, 4]")
        }
    })
}

/// A text of so many bytes that no address, cursor or token is as long.
pub fn long(bytes: usize) -> String {
    "x".repeat(bytes)
}
