//! Feeds over WebSocket, against a server that writes its frames byte by byte.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use futures_util::StreamExt;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use unspool::ErrorKind;
use unspool::events::{Doubt, Ended, Request};

use super::{data, drain};

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A server of WebSockets that runs until the process ends.
struct Sockets {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Sockets {
    /// Each connection, by its number from 0, is served so after its handshake.
    fn start(serve: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let (log, serve) = (Arc::clone(&heads), Arc::new(serve));
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (log, serve) = (Arc::clone(&log), Arc::clone(&serve));
                thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let head = read_head(&mut stream);
                    let key = header(&head, "sec-websocket-key").unwrap();
                    let protocol = header(&head, "sec-websocket-protocol");
                    let chosen = protocol.map_or(String::new(), |offered| {
                        let first = offered.split(',').next().unwrap();
                        format!("Sec-WebSocket-Protocol: {first}\r\n")
                    });
                    let accept = derive_accept_key(key.as_bytes());
                    log.lock().unwrap().push(head);
                    write!(
                        stream,
                        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                         Upgrade: websocket\r\n{chosen}Sec-WebSocket-Accept: {accept}\r\n\r\n"
                    )
                    .unwrap();
                    serve(number, stream);
                });
            }
        });
        Sockets { address, heads }
    }

    fn feed(&self) -> Request {
        unspool::events(format!("ws://{}/feed", self.address))
            .first_wait(Duration::from_millis(1))
            .reconnects(5)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn read_head(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.eq_ignore_ascii_case(name)).then(|| value.trim().to_owned())
    })
}

/// A frame as a server sends it.
fn frame(code: u8, is_last: bool, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![code | if is_last { 0x80 } else { 0 }];
    match payload.len() {
        length @ 0..126 => frame.push(length as u8),
        length @ 126..0x1_0000 => {
            frame.push(126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    frame(TEXT, true, text.as_bytes())
}

pub(crate) fn close(code: u16) -> Vec<u8> {
    frame(CLOSE, true, &[&code.to_be_bytes()[..], b"because"].concat())
}

/// The answer that agrees to a handshake; frames follow.
pub(crate) fn accepted(request: &test_servers::Request) -> test_servers::Reply {
    let key = request.header("sec-websocket-key").unwrap();
    test_servers::Reply::status(101)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", derive_accept_key(key.as_bytes()))
}

/// A frame of a client: what kind it is, and what it says.
fn read_frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).ok()?;
    assert!(head[1] & 0x80 != 0, "a client masks its frames");
    let length = usize::from(head[1] & 0x7f);
    assert!(length < 126, "these tests send short frames");
    let mut mask = [0; 4];
    stream.read_exact(&mut mask).ok()?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).ok()?;
    for (at, byte) in payload.iter_mut().enumerate() {
        *byte ^= mask[at % 4];
    }
    Some((head[0] & 15, payload))
}

/// Reads until the client is gone, or closes: who has been answered closes the connection.
fn until_gone(stream: &mut TcpStream) {
    while read_frame(stream).is_some_and(|(code, _)| code != CLOSE) {}
}

/// A server that sends these frames on each connection, and then waits.
fn sending(frames: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static) -> Sockets {
    Sockets::start(move |number, mut stream| {
        // The client may be gone before it has read all.
        let _ = stream.write_all(&frames(number));
        until_gone(&mut stream);
    })
}

#[tokio::test]
async fn text_and_binary_messages_are_events() {
    let server = sending(|_| {
        [
            text("{\"n\":1}"),
            frame(BINARY, true, &[0, 255]),
            close(1000),
        ]
        .concat()
    });
    let (found, account) = drain(server.feed().events()).await;
    assert!(found[0].source.starts_with("ws://127.0.0.1:"));
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|event| (&*event.name, &*event.data))
        .collect();
    assert_eq!(found, [("message", "{\"n\":1}"), ("binary", "AP8=")]);
    let account = account.unwrap();
    assert_eq!(
        (account.ended, account.transport),
        (Ended::Closed, Some("ws"))
    );
    assert!(account.complete && account.doubts.is_empty() && account.bytes == 9);
}

#[tokio::test]
async fn close_codes_are_told_apart() {
    for code in [1000, 1001] {
        let server = sending(move |_| [text("a"), close(code)].concat());
        let account = drain(server.feed().events()).await.1.unwrap();
        assert_eq!(account.ended, Ended::Closed, "{code}");
    }
    for code in [1011, 1012, 1013, 4000] {
        let server = sending(move |number| match number {
            0 => [text("a"), close(code)].concat(),
            _ => [text("b"), close(1000)].concat(),
        });
        let (found, account) = drain(server.feed().events()).await;
        assert_eq!(data(&found), ["a", "b"]);
        let doubts = account.unwrap().doubts.clone();
        let says = format!("code {code}: because");
        assert!(
            matches!(&doubts[..], [Doubt::NoPosition { reason }] if reason.contains(&says)),
            "{doubts:?}"
        );
    }
    for code in [1002, 1003, 1007, 1008, 1009] {
        let server = sending(move |_| [text("a"), close(code)].concat());
        let error = drain(server.feed().events()).await.1.unwrap_err();
        assert!(
            error.to_string().contains(&format!("code {code}")),
            "{error}"
        );
        assert_eq!(server.heads().len(), 1);
    }
}

#[tokio::test]
async fn a_server_that_does_not_close_is_waited_for_a_little() {
    let server = Sockets::start(|_, mut stream| {
        stream
            .write_all(&[text("a"), close(1000)].concat())
            .unwrap();
        while read_frame(&mut stream).is_some() {}
    });
    let begin = std::time::Instant::now();
    assert!(drain(server.feed().events()).await.1.unwrap().complete);
    assert!(begin.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn a_feed_that_closes_before_it_has_said_anything_has_not_ended() {
    let server = sending(|number| match number {
        0 => close(1000),
        _ => [text("a"), close(1000)].concat(),
    });
    let (found, _) = drain(server.feed().events()).await;
    assert_eq!(data(&found), ["a"]);
    let server = sending(|_| close(1000));
    assert!(
        drain(server.feed().once().events())
            .await
            .1
            .unwrap()
            .complete
    );
}

#[tokio::test]
async fn an_end_without_a_close_frame_is_no_end() {
    let server = Sockets::start(|number, mut stream| match number {
        0 => stream.write_all(&text("a")).unwrap(),
        _ => {
            stream
                .write_all(&[text("b"), close(1000)].concat())
                .unwrap();
            until_gone(&mut stream);
        }
    });
    let (found, account) = drain(server.feed().events()).await;
    assert_eq!(data(&found), ["a", "b"]);
    assert_eq!(account.unwrap().doubts.len(), 1);
}

#[tokio::test]
async fn a_position_goes_into_the_next_request() {
    let server = sending(|number| match number {
        0 => [text("{\"seq\":1}"), text("{\"seq\":2}"), close(1012)].concat(),
        _ => [text("{\"seq\":2}"), text("{\"seq\":3}"), close(1000)].concat(),
    });
    let request = server.feed().position("/seq".parse().unwrap());
    let (found, account) = drain(request.resume_as("cursor".parse().unwrap()).events()).await;
    assert_eq!(data(&found), ["{\"seq\":1}", "{\"seq\":2}", "{\"seq\":3}"]);
    let account = account.unwrap();
    assert!(account.doubts.is_empty() && account.replayed == 1);
    assert!(
        server.heads()[1].starts_with("GET /feed?cursor=2 "),
        "{:?}",
        server.heads()
    );
}

/// What the client sends on its first connection, after this.
fn answers(frames: Vec<u8>) -> (Sockets, Receiver<(u8, Vec<u8>)>) {
    let (sender, received) = channel();
    let sender = Mutex::new(sender);
    let server = Sockets::start(move |_, mut stream| {
        stream.write_all(&frames).unwrap();
        while let Some(frame) = read_frame(&mut stream) {
            let is_close = frame.0 == CLOSE;
            let _ = sender.lock().unwrap().send(frame);
            if is_close {
                return;
            }
        }
    });
    (server, received)
}

#[tokio::test]
async fn a_ping_between_fragments_is_answered() {
    let frames = [
        frame(TEXT, false, b"one "),
        frame(PING, true, b"hi"),
        frame(0, true, b"message"),
        close(1000),
    ];
    let (server, received) = answers(frames.concat());
    let (found, _) = drain(server.feed().events()).await;
    assert_eq!(data(&found), ["one message"]);
    assert_eq!(received.recv().unwrap(), (PONG, b"hi".to_vec()));
    assert_eq!(received.recv().unwrap().0, CLOSE);
}

#[tokio::test]
async fn a_ping_is_answered_while_the_reader_pauses() {
    let (server, received) = answers([text("a"), text("b"), frame(PING, true, b"hi")].concat());
    let mut feed = server.feed().events();
    feed.next().await.unwrap().unwrap();
    let pong = tokio::task::spawn_blocking(move || received.recv_timeout(Duration::from_secs(10)));
    assert_eq!(pong.await.unwrap().unwrap(), (PONG, b"hi".to_vec()));
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_left() {
    let server = Sockets::start(|number, mut stream| {
        stream.write_all(&text("a")).unwrap();
        match number {
            // It reads, and says nothing.
            0 => until_gone(&mut stream),
            _ => {
                stream.write_all(&close(1000)).unwrap();
                until_gone(&mut stream);
            }
        }
    });
    let request = server.feed().idle(Duration::from_millis(60));
    let (found, account) = drain(request.events()).await;
    assert_eq!(data(&found), ["a", "a"]);
    let doubts = account.unwrap().doubts.clone();
    assert!(
        matches!(&doubts[..], [Doubt::NoPosition { reason }] if reason.contains("no byte for 0.06 s")),
        "{doubts:?}"
    );
}

#[tokio::test]
async fn a_peer_that_answers_pings_may_be_quiet() {
    let server = Sockets::start(|_, mut stream| {
        let mut pings = 0;
        while let Some((code, payload)) = read_frame(&mut stream) {
            assert_eq!(code, PING);
            stream.write_all(&frame(PONG, true, &payload)).unwrap();
            pings += 1;
            if pings == 5 {
                stream
                    .write_all(&[text("late"), close(1000)].concat())
                    .unwrap();
                until_gone(&mut stream);
                return;
            }
        }
    });
    let request = server.feed().idle(Duration::from_millis(200));
    let (found, account) = drain(request.events()).await;
    assert_eq!(data(&found), ["late"]);
    assert!(account.unwrap().doubts.is_empty());
}

#[tokio::test]
async fn a_frame_that_breaks_the_rules_is_an_error() {
    let mut masked = text("abcd");
    masked[1] |= 0x80;
    let masked = [&masked[..2], &[0; 4], &masked[2..]].concat();
    for wrong in [
        masked,
        vec![0xf1, 0],
        frame(3, true, b""),
        frame(TEXT, true, &[0xff]),
    ] {
        let server = sending(move |_| [text("a"), wrong.clone()].concat());
        let (found, error) = drain(server.feed().events()).await;
        assert_eq!(data(&found), ["a"]);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Content);
        assert_eq!(server.heads().len(), 1);
    }
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_by_its_head() {
    let mut head = vec![0x81, 127];
    head.extend((200_u64 << 20).to_be_bytes());
    let fragments = [
        frame(TEXT, false, &[b'x'; 600]),
        frame(0, true, &[b'x'; 600]),
    ]
    .concat();
    for frames in [head, fragments, text(&"x".repeat(1001))] {
        let server = sending(move |_| frames.clone());
        let (_, error) = drain(server.feed().max_item(1000).events()).await;
        let error = error.unwrap_err();
        assert!(error.is_too_large(), "{error}");
    }
}

#[tokio::test]
async fn who_breaks_the_rules_is_told_which() {
    let mut masked = text("abcd");
    masked[1] |= 0x80;
    let masked = [&masked[..2], &[0; 4], &masked[2..]].concat();
    let mut large = vec![0x81, 127];
    large.extend((200_u64 << 20).to_be_bytes());
    for (wrong, code) in [
        (masked, 1002_u16),
        (frame(3, true, b""), 1002),
        (frame(TEXT, true, &[0xff]), 1007),
        (large, 1009),
    ] {
        let (server, received) = answers(wrong);
        drain(server.feed().events()).await.1.unwrap_err();
        let answer = tokio::task::spawn_blocking(move || received.recv().unwrap());
        assert_eq!(answer.await.unwrap(), (CLOSE, code.to_be_bytes().to_vec()));
    }
}

#[tokio::test]
async fn a_compression_that_was_not_offered_is_refused() {
    // Agreed to at the handshake.
    let server = test_servers::Server::start(|request| {
        accepted(request)
            .header("sec-websocket-extensions", "permessage-deflate")
            .until_gone()
            .0
    });
    let url = server.url("/feed").replace("http:", "ws:");
    let (_, error) = drain(unspool::events(url).events()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Content);
    assert!(
        error
            .to_string()
            .contains("not offered: `permessage-deflate`"),
        "{error}"
    );
    assert_eq!(server.requests().len(), 1);
    let offered = server.requests()[0]
        .header("sec-websocket-extensions")
        .map(str::to_owned);
    assert_eq!(offered, None);
    // Or in a frame: its first reserved bit says so.
    let server = sending(|_| [text("a"), vec![0xc1, 2, 0x4b, 0]].concat());
    let (found, error) = drain(server.feed().events()).await;
    assert_eq!(data(&found), ["a"]);
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Content);
}

#[tokio::test]
async fn a_reader_that_pauses_holds_the_server_up() {
    let (sender, sent) = channel();
    let sender = Mutex::new(sender);
    let server = Sockets::start(move |_, mut stream| {
        let (message, mut count) = (text(&"x".repeat(1000)), 0_u64);
        while stream.write_all(&message).is_ok() {
            count += message.len() as u64;
        }
        let _ = sender.lock().unwrap().send(count);
    });
    let mut feed = server.feed().events();
    feed.next().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(feed);
    let sent = tokio::task::spawn_blocking(move || sent.recv().unwrap())
        .await
        .unwrap();
    assert!(sent < 32 << 20, "{sent}");
}

#[tokio::test]
async fn first_messages_and_subprotocols_are_sent_with_each_connection() {
    let (sender, received) = channel();
    let sender = Mutex::new(sender);
    let server = Sockets::start(move |number, mut stream| {
        let frame = read_frame(&mut stream).unwrap();
        sender.lock().unwrap().send(frame).unwrap();
        let code = if number == 0 { 1012 } else { 1000 };
        stream
            .write_all(&[text("a"), close(code)].concat())
            .unwrap();
        until_gone(&mut stream);
    });
    let request = server
        .feed()
        .send("{\"op\":\"subscribe\"}")
        .subprotocol("graphql-ws");
    drain(request.events()).await.1.unwrap();
    for _ in 0..2 {
        assert_eq!(
            received.recv().unwrap(),
            (TEXT, b"{\"op\":\"subscribe\"}".to_vec())
        );
    }
    let offered = header(&server.heads()[0], "sec-websocket-protocol");
    assert_eq!(offered.as_deref(), Some("graphql-ws"));
}

#[tokio::test]
async fn a_refused_handshake_is_an_error_with_its_status() {
    let server = super::serving(|_, _| test_servers::Reply::status(503).body("busy"));
    let url = server.url("/feed").replace("http:", "ws:");
    let (_, error) = drain(unspool::events(&url).events()).await;
    assert_eq!(error.unwrap_err().status(), Some(503));
    let server = super::serving(|_, _| test_servers::Reply::json("[]"));
    let url = server.url("/feed").replace("http:", "ws:");
    let (_, error) = drain(unspool::events(&url).events()).await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("expected a WebSocket")
    );
    // A key that is not derived from ours is one of another protocol.
    let server = super::serving(|_, _| {
        test_servers::Reply::status(101)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-accept", "x")
            .until_gone()
            .0
    });
    let url = server.url("/feed").replace("http:", "ws:");
    let (_, error) = drain(unspool::events(&url).events()).await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("does not speak WebSocket")
    );
}

#[tokio::test]
async fn a_redirected_handshake_is_followed_from_the_first_address_each_time() {
    let target = sending(|number| match number {
        0 => [text("a"), close(1012)].concat(),
        _ => [text("b"), close(1000)].concat(),
    });
    let location = format!("http://{}/target", target.address);
    let server = super::serving(move |_, _| {
        test_servers::Reply::status(307)
            .header("location", &location)
            .body("")
    });
    let request = unspool::events(server.url("/feed").replace("http:", "ws:"))
        .first_wait(Duration::from_millis(1))
        .bearer_auth("a-secret");
    let (found, _) = drain(request.events()).await;
    assert_eq!(data(&found), ["a", "b"]);
    assert_eq!(server.requests().len(), 2);
    // Credentials stay with their origin.
    assert!(
        target
            .heads()
            .iter()
            .all(|head| header(head, "authorization").is_none())
    );
}
