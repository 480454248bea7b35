//! What an event that is too large costs, or a line that never ends: less than twice the limit.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::attacks::peak_of;

const LIMIT: u64 = 16 << 20;

/// How much each feed offers.
const OFFERED: usize = 100 << 20;

/// One of them at a time, for the sake of the tests beside them.
static ONE: Mutex<()> = Mutex::new(());

/// A feed that begins with one event of its own and goes on with a block again and again, until
/// this much has been sent; the end that comes then is not reached by who refuses it.
fn serve(head: &'static str, begin: Vec<u8>, block: Vec<u8>, times: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // Who has enough goes away.
            let _ = send(stream.unwrap(), head, &begin, &block, times);
        }
    });
    address
}

fn send(
    mut stream: TcpStream,
    head: &str,
    begin: &[u8],
    block: &[u8],
    times: usize,
) -> std::io::Result<()> {
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let key = (request.lines()).find_map(|line| line.strip_prefix("sec-websocket-key: "));
    let accept = key.map(|key| derive_accept_key(key.as_bytes()));
    let accept = accept.map(|accept| format!("Sec-WebSocket-Accept: {accept}\r\n"));
    write!(stream, "{head}{}\r\n", accept.unwrap_or_default())?;
    stream.write_all(begin)?;
    for _ in 0..times {
        stream.write_all(block)?;
    }
    Ok(())
}

/// The peak above that of a run which gets the first event only, and what is said in the end.
#[track_caller]
fn check(url: &str, flags: &[&str]) {
    let _turn = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let args = [&["events", url, "--once", "--parse"], flags].concat();
    let (usual, code, _) = peak_of(&[&args[..], &["--take", "1"]].concat());
    assert_eq!(code, 0);
    let (peak, code, words) = peak_of(&args);
    assert_eq!(code, 1, "{words}");
    assert!(words.contains("over the limit of 16777216"), "{words}");
    let above = peak.saturating_sub(usual);
    println!("{url} {flags:?}: {} KiB above {}", above >> 10, usual >> 10);
    assert!(above < 2 * LIMIT, "{above} bytes above {usual}");
}

const FEED: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\n";
const LINES: &str =
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/x-ndjson\r\n";
const PACKED: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\n\
                      Content-Encoding: gzip\r\n";
const SOCKET: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n";

/// As many blocks as are offered.
fn offered(head: &'static str, begin: &[u8], block: Vec<u8>) -> String {
    let times = OFFERED / block.len();
    serve(head, begin.to_vec(), block, times)
}

#[test]
fn a_line_that_never_ends() {
    let block = vec![b'x'; 1 << 16];
    let address = offered(FEED, b"data: 1\n\ndata: ", block.clone());
    check(&format!("http://{address}/"), &[]);
    // A comment is no event, and has the same limit.
    let address = offered(FEED, b"data: 1\n\n: ", block);
    check(&format!("http://{address}/"), &[]);
}

#[test]
fn an_event_of_many_lines() {
    let line = format!("data: {}\n", "x".repeat(1000));
    let address = offered(FEED, b"data: 1\n\n", line.repeat(60).into_bytes());
    check(&format!("http://{address}/"), &[]);
}

#[test]
fn an_item_of_json_that_does_not_end() {
    let address = offered(LINES, b"1\n[", b"1234567,".repeat(8192));
    check(&format!("http://{address}/"), &[]);
    let address = offered(LINES, b"1\n\"", vec![b'x'; 1 << 16]);
    check(&format!("http://{address}/"), &[]);
}

#[test]
fn an_answer_to_a_poll_that_does_not_end() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
    let address = offered(head, b"[1", b",1234567".repeat(8192));
    let _turn = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let url = format!("http://{address}/");
    let (peak, code, words) = peak_of(&["events", &url, "--every", "60s"]);
    assert_eq!(code, 1, "{words}");
    assert!(words.contains("over the limit of 16777216"), "{words}");
    // All of an answer is read before its first item is handed out.
    assert!(peak < 5 * LIMIT, "{peak}");
}

#[test]
fn messages_in_fragments_that_do_not_end() {
    let mut frame = vec![0, 127];
    frame.extend(65_536_u64.to_be_bytes());
    frame.extend(vec![b'x'; 65_536]);
    // `1`, and the first fragment of another one.
    let address = offered(SOCKET, &[0x81, 1, b'1', 1, 1, b'x'], frame);
    check(&format!("ws://{address}/"), &[]);
}

#[test]
fn what_is_small_until_it_is_decompressed() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let mut packed = |bytes: &[u8]| {
        encoder.write_all(bytes).unwrap();
        encoder.flush().unwrap();
        std::mem::take(encoder.get_mut())
    };
    let begin = [packed(b"data: 1\n\ndata: "), packed(&vec![b'0'; 1 << 20])].concat();
    let block = packed(&vec![b'0'; 1 << 20]);
    // 0.6 MB of 600 MB.
    let address = serve(PACKED, begin, block, 600);
    check(&format!("http://{address}/"), &[]);
}
