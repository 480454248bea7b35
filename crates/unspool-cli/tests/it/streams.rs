//! Streams of Redis and of NATS JetStream whose server is killed and started again while they are
//! filled, and which we follow, killed as often: none is lost, and none comes twice.
//!
//! 5 times each; 50 times with `UNSPOOL_TEST_FULL`.

use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::read_back::{self, Whole};
use crate::server::{Nats, Redis};
use crate::{read_tables, run, unspool};

/// Events that are added between two deaths of the server, and how many at a time.
const ROUND: u64 = 400;
const CHUNK: u64 = 20;

/// What comes again comes within this time.
const AGAIN: &str = "2s";

/// A server with a stream `s`.
enum Server {
    Redis(Redis),
    Nats(Nats),
}

impl Server {
    /// Adds the events with the next numbers.
    fn add(&self, first: u64) {
        let events = (first..first + CHUNK).map(|number| json!({"n": number.to_string()}));
        match self {
            Server::Redis(server) => {
                let line = |event: Value| format!("XADD s * n {}\n", event["n"]);
                server.run(&events.map(line).collect::<String>());
            }
            Server::Nats(server) => server.publish("a", events.map(|event| event.to_string())),
        }
    }

    fn crash(&self) {
        match self {
            Server::Redis(server) => server.crash(),
            Server::Nats(server) => server.crash(),
        }
    }

    /// Adds all events, slowly, and dies after each round.
    fn live(&self, rounds: u64) {
        for round in 0..rounds {
            for chunk in 0..ROUND / CHUNK {
                self.add(round * ROUND + chunk * CHUNK + 1);
                thread::sleep(Duration::from_millis(10));
            }
            self.crash();
        }
    }
}

/// Whether what comes again comes in another order.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Kept,
    Mixed,
}

/// Follows what is added to a stream into a target, killed again and again, and then until all is
/// there; and once more, in which nothing may come.
fn follow(server: &Server, url: &str, to: &[&str], order: Order, read: impl Fn() -> Vec<Value>) {
    let is_full = std::env::var_os("UNSPOOL_TEST_FULL").is_some();
    let rounds = if is_full { 50 } else { 5 };
    let common = ["events", url, "--checkpoint", "20ms", "--retries", "20"];
    let args = [&common[..], &["--for", AGAIN], to].concat();
    let kill = |number: u64| {
        // A pipe that nobody reads would stop it, and it is killed whatever it says.
        let mut process = unspool(&[&common[..], to].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(200 + 97 * number % 250));
        process.kill().unwrap();
        process.wait().unwrap();
    };
    thread::scope(|scope| {
        let life = scope.spawn(|| server.live(rounds));
        (0..rounds).for_each(kill);
        (rounds..)
            .take_while(|_| !life.is_finished())
            .for_each(kill);
    });
    let all = rounds * ROUND;
    let mut words = String::new();
    for _ in 0..30 {
        let (code, _, said) = run(&args);
        assert_eq!(code, 0, "{said}");
        words += &said;
        if read().len() as u64 >= all {
            break;
        }
    }
    let (code, _, said) = run(&args);
    assert_eq!(code, 0, "{said}");
    let mut numbers: Vec<u64> = read().iter().map(number).collect();
    if order == Order::Mixed {
        numbers.sort_unstable();
    }
    let expected: Vec<u64> = (1..=all).collect();
    let lost = expected.iter().find(|number| !numbers.contains(number));
    assert!(
        numbers == expected,
        "{} instead of {all} events; lost: {lost:?}; {words}",
        numbers.len()
    );
    assert!(!words.contains("doubt"), "{words}");
}

fn number(event: &Value) -> u64 {
    let data: Value = serde_json::from_str(event["data"].as_str().unwrap()).unwrap();
    data["n"].as_str().unwrap().parse().unwrap()
}

fn into_lines(server: &Server, url: &str, order: Order) {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("events.jsonl");
    let to = ["--to", target.to_str().unwrap(), "--resume"];
    follow(server, url, &to, order, || lines(&target));
}

/// What is in the file, if there is one.
fn lines(target: &Path) -> Vec<Value> {
    match target.exists() {
        true => read_back::items(target, Whole::Yes),
        false => Vec::new(),
    }
}

fn into_sqlite(server: &Server, url: &str, order: Order) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.db");
    let to = format!("sqlite:{}#items", file.display());
    follow(server, url, &["--to", &to], order, || {
        read_tables::sqlite(&file)
    });
}

/// A server that has to be there in CI.
fn installed<T>(started: Result<T, String>) -> Option<T> {
    match started {
        Ok(server) => Some(server),
        Err(why) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: {why}");
            None
        }
        Err(why) => panic!("{why}"),
    }
}

fn redis() -> Option<(Server, String)> {
    let server = installed(Redis::start())?;
    let url = format!("redis://{}?stream=s", server.host());
    Some((Server::Redis(server), url))
}

/// A stream, and a durable consumer of it to whom soon comes again what is not acknowledged.
fn nats() -> Option<(Server, String)> {
    let server = installed(Nats::start())?;
    let config = r#"{"name":"s","subjects":["a"],"retention":"limits","storage":"file"}"#;
    server.api("STREAM.CREATE.s", config);
    let config = r#"{"stream_name":"s","config":{"durable_name":"c","ack_policy":"explicit",
        "deliver_policy":"all","ack_wait":500000000}}"#;
    server.api("CONSUMER.DURABLE.CREATE.s.c", config);
    let url = format!("nats://{}?stream=s", server.host());
    Some((Server::Nats(server), url))
}

#[test]
fn a_stream_of_redis_into_lines() {
    let Some((server, url)) = redis() else { return };
    into_lines(&server, &url, Order::Kept);
}

#[test]
fn a_stream_of_redis_into_sqlite() {
    let Some((server, url)) = redis() else { return };
    into_sqlite(&server, &url, Order::Kept);
}

#[test]
fn a_group_of_redis_into_lines() {
    let Some((server, url)) = redis() else { return };
    into_lines(&server, &format!("{url}&group=g"), Order::Kept);
}

#[test]
fn a_group_of_redis_into_sqlite() {
    let Some((server, url)) = redis() else { return };
    into_sqlite(&server, &format!("{url}&group=g"), Order::Kept);
}

#[test]
fn a_stream_of_nats_into_lines() {
    let Some((server, url)) = nats() else { return };
    into_lines(&server, &url, Order::Kept);
}

#[test]
fn a_stream_of_nats_into_sqlite() {
    let Some((server, url)) = nats() else { return };
    into_sqlite(&server, &url, Order::Kept);
}

#[test]
fn a_consumer_of_nats_into_lines() {
    let Some((server, url)) = nats() else { return };
    into_lines(&server, &format!("{url}&consumer=c"), Order::Mixed);
}

#[test]
fn a_consumer_of_nats_into_sqlite() {
    let Some((server, url)) = nats() else { return };
    into_sqlite(&server, &format!("{url}&consumer=c"), Order::Mixed);
}
