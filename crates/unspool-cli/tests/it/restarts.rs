//! A feed whose server is killed and started again every 200 ms while it numbers its events, and
//! which we follow, killed as often: none is lost, and none comes twice.
//!
//! 5 times each; 50 times with `UNSPOOL_TEST_FULL`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::read_back::{self, Whole};
use crate::{read_tables, run, unspool};

const EVENTS: u64 = 20_000;

/// How long the server lives.
const LIFE: Duration = Duration::from_millis(200);

/// A server that dies again and again, and gives the last of its events only after it and its
/// client have died so often.
struct Mortal {
    port: u16,
    rounds: u64,
    deaths: AtomicU64,
    kills: AtomicU64,
    is_over: AtomicBool,
}

impl Mortal {
    fn start(rounds: u64) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Arc::new(Mortal {
            port: listener.local_addr().unwrap().port(),
            rounds,
            deaths: AtomicU64::new(0),
            kills: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        });
        let lives = Arc::clone(&server);
        thread::spawn(move || {
            lives.live(listener);
            while !lives.is_over.load(SeqCst) {
                // The port may be somebody's for a moment.
                match TcpListener::bind(("127.0.0.1", lives.port)) {
                    Ok(listener) => lives.live(listener),
                    Err(_) => thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        server
    }

    /// One life: its connections die with it.
    fn live(self: &Arc<Self>, listener: TcpListener) {
        let mut streams: Vec<TcpStream> = Vec::new();
        let end = Instant::now() + LIFE;
        listener.set_nonblocking(true).unwrap();
        while Instant::now() < end {
            let Ok((stream, _)) = listener.accept() else {
                thread::sleep(Duration::from_millis(1));
                continue;
            };
            stream.set_nonblocking(false).unwrap();
            streams.push(stream.try_clone().unwrap());
            let server = Arc::clone(self);
            thread::spawn(move || server.serve(stream));
        }
        drop(listener);
        for stream in streams {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.deaths.fetch_add(1, SeqCst);
    }

    /// The last event that there is so far.
    fn last(&self) -> u64 {
        let died = self.deaths.load(SeqCst).min(self.kills.load(SeqCst));
        EVENTS * (died.min(self.rounds) + 1) / (self.rounds + 1)
    }

    /// An answer; its end is that of the connection.
    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let id = head
            .lines()
            .find_map(|line| line.strip_prefix("last-event-id: "));
        let after: u64 = id.map_or(0, |id| id.parse().unwrap());
        if after == EVENTS {
            return stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok();
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).ok()?;
        for number in after + 1..=EVENTS {
            while number > self.last() {
                thread::sleep(Duration::from_millis(2));
                stream.write_all(b"2\r\n:\n\r\n").ok()?;
            }
            let event = format!("id: {number}\ndata: {{\"n\": {number}}}\n\n");
            write!(stream, "{:x}\r\n{event}\r\n", event.len()).ok()?;
        }
        // The end of the body.
        stream.write_all(b"0\r\n\r\n").ok()
    }
}

/// Follows the feed into a target, killed again and again, and then to its end.
fn follow(to: &str, flags: &[&str], read: impl Fn() -> Vec<Value>) {
    let is_full = std::env::var_os("UNSPOOL_TEST_FULL").is_some();
    let rounds = if is_full { 50 } else { 5 };
    let server = Mortal::start(rounds);
    let url = format!("http://127.0.0.1:{}/feed", server.port);
    let mut args = vec!["events", &url, "--to", to, "--checkpoint", "20ms"];
    args.extend(["--retries", "20", "--reconnects", "1000"]);
    args.extend(flags);
    for round in 0..rounds {
        let mut command = unspool(&args);
        let mut process = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(150 + 97 * round % 250));
        process.kill().unwrap();
        process.wait().unwrap();
        server.kills.fetch_add(1, SeqCst);
    }
    let words = (0..100).find_map(|_| {
        // Whoever comes while the server is down for longer gives up.
        let (code, _, words) = run(&args);
        assert!([0, 1].contains(&code), "{code}: {words}");
        (code == 0).then_some(words)
    });
    server.is_over.store(true, SeqCst);
    // None where the feed does not come to its end.
    let words = words.unwrap();
    assert!(words.contains("complete"), "{words}");
    let numbers: Vec<u64> = read().iter().map(number).collect();
    assert_eq!(numbers.len() as u64, EVENTS, "lost, or twice");
    assert!((1..=EVENTS).eq(numbers), "out of order");
    assert!(server.deaths.load(SeqCst) >= rounds);
}

fn number(event: &Value) -> u64 {
    let data: Value = serde_json::from_str(event["data"].as_str().unwrap()).unwrap();
    data["n"].as_u64().unwrap()
}

#[test]
fn none_is_lost_and_none_comes_twice_in_a_file_of_lines() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("events.jsonl");
    follow(target.to_str().unwrap(), &["--resume"], || {
        read_back::items(&target, Whole::Yes)
    });
}

#[test]
fn none_is_lost_and_none_comes_twice_in_a_table_of_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.db");
    let to = format!("sqlite:{}#items", file.display());
    follow(&to, &[], || read_tables::sqlite(&file));
}
