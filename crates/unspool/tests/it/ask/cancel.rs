//! Whoever stops reading closes the connection, at once.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt, TryStreamExt};
use unspool::ask::{Answer, Stop};

use super::dialect::{PIECES, PROTOCOLS, Protocol};
use super::question;
use crate::server::{Reply, Server};

/// How long it may take until the server sees the end.
const LIMIT: Duration = Duration::from_millis(50);

/// A server with one reply.
fn server(reply: Reply) -> Server {
    let reply = Mutex::new(Some(reply));
    Server::start(move |_| reply.lock().unwrap().take().unwrap())
}

/// A server that begins an answer and then waits until the client is gone.
fn begun(protocol: Protocol) -> (Server, Receiver<Instant>) {
    let (reply, gone) = protocol.script().begun().until_gone();
    (server(reply), gone)
}

/// When the server saw that the client is gone.
async fn gone_at(gone: Receiver<Instant>) -> Instant {
    let gone = tokio::task::spawn_blocking(move || gone.recv_timeout(Duration::from_secs(10)));
    match gone.await.unwrap() {
        Ok(at) => at,
        // The client was gone before the server could write what it began with.
        Err(RecvTimeoutError::Disconnected) => Instant::now(),
        Err(RecvTimeoutError::Timeout) => panic!("the connection stays open"),
    }
}

/// How long it took at best, for machines that have other things to do.
async fn check(name: &str, test: impl AsyncFn(Protocol) -> Duration) {
    for protocol in PROTOCOLS {
        let mut best = Duration::MAX;
        for _ in 0..5 {
            best = best.min(test(protocol).await);
            if best < LIMIT {
                break;
            }
        }
        assert!(best < LIMIT, "{name}, {protocol:?}: {best:?}");
    }
}

async fn first_piece(answer: &mut Answer<String>) {
    assert_eq!(answer.try_next().await.unwrap().unwrap(), PIECES[0]);
}

#[tokio::test]
async fn closing_an_answer_that_others_hold_closes_its_connection() {
    check("closed", async |protocol| {
        let (server, gone) = begun(protocol);
        let answer = Arc::new(tokio::sync::Mutex::new(question(protocol, &server).text()));
        let holder = Arc::clone(&answer);
        first_piece(&mut *answer.lock().await).await;
        let begin = Instant::now();
        answer.lock().await.close().await;
        let took = gone_at(gone).await - begin;
        let mut held = holder.lock().await;
        assert!(held.next().await.is_none());
        let outcome = held.outcome();
        assert_eq!((outcome.stop, outcome.complete), (Stop::Stopped, false));
        assert_eq!(server.requests().len(), 1);
        took
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_stops_where_asked_closes_its_connection() {
    check("stopped", async |protocol| {
        let (server, gone) = begun(protocol);
        let mut answer = question(protocol, &server).stop_at("ll").text();
        assert_eq!(answer.try_next().await.unwrap().unwrap(), "Hell");
        // It is closed already, though nobody has asked for the end.
        let begin = Instant::now();
        let took = gone_at(gone).await.saturating_duration_since(begin);
        assert!(answer.next().await.is_none());
        let outcome = answer.outcome();
        assert_eq!((outcome.stop, outcome.complete), (Stop::Asked, true));
        took
    })
    .await;
}

#[tokio::test]
async fn dropping_an_answer_that_has_not_begun_closes_its_connection() {
    for has_head in [false, true] {
        check("dropped before the first byte", async |protocol| {
            let (reply, gone) = match has_head {
                true => protocol.script().until_gone(),
                false => Reply::headless().until_gone(),
            };
            let server = server(reply);
            let mut answer = question(protocol, &server).text();
            while server.requests().is_empty() {
                assert!(answer.next().now_or_never().is_none());
                tokio::task::yield_now().await;
            }
            let begin = Instant::now();
            drop(answer);
            let took = gone_at(gone).await - begin;
            assert_eq!(server.requests().len(), 1);
            took
        })
        .await;
    }
}

#[tokio::test]
async fn dropping_the_whole_answer_closes_its_connection() {
    check("whole", async |protocol| {
        let (server, gone) = begun(protocol);
        let mut whole = question(protocol, &server).into_future();
        while server.requests().is_empty() {
            assert!((&mut whole).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        let begin = Instant::now();
        drop(whole);
        gone_at(gone).await - begin
    })
    .await;
}

#[tokio::test]
async fn an_end_mark_closes_a_connection_that_the_server_keeps_open() {
    use super::dialect::Reason::End;
    check("ended", async |protocol| {
        if protocol == Protocol::Gemini {
            // Its end mark is the end of the body.
            return Duration::ZERO;
        }
        let script = protocol.script().told().reason(End).mark(End);
        let (reply, gone) = script.until_gone();
        let server = server(reply);
        let answer = question(protocol, &server).text();
        let (pieces, outcome) = super::drain(answer).await;
        let begin = Instant::now();
        assert_eq!(pieces.concat(), super::dialect::TEXT);
        assert!(outcome.unwrap().complete);
        gone_at(gone).await.saturating_duration_since(begin)
    })
    .await;
}

#[tokio::test]
async fn an_error_closes_a_connection_that_the_server_keeps_open() {
    check("failed", async |protocol| {
        let error = protocol.error("overloaded_error", "busy");
        let (reply, gone) = protocol.script().begun().parts(&[error]).until_gone();
        let server = server(reply);
        let mut answer = question(protocol, &server).text();
        first_piece(&mut answer).await;
        answer.next().await.unwrap().unwrap_err();
        let begin = Instant::now();
        let took = gone_at(gone).await.saturating_duration_since(begin);
        assert!(answer.next().await.is_none());
        took
    })
    .await;
}

/// What the server could send into the buffers of the system and of one connection.
const BUFFERS: u64 = 24 << 20;

#[tokio::test]
async fn what_nobody_reads_is_not_read_from_the_server() {
    for protocol in PROTOCOLS {
        let event = protocol.encode(&protocol.text("and on "), super::dialect::USUAL);
        let (reply, sent) = protocol.script().begin().repeating(&event);
        let server = server(reply);
        let mut answer = question(protocol, &server).text();
        for _ in 0..50 {
            assert_eq!(answer.try_next().await.unwrap().unwrap(), "and on ");
            // The connection may do what it would do while the reader is busy.
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
        }
        drop(answer);
        let sent = tokio::task::spawn_blocking(move || sent.recv_timeout(Duration::from_secs(10)));
        let sent = sent.await.unwrap().unwrap();
        assert!(sent < BUFFERS, "{protocol:?}: {sent} bytes");
        assert_eq!(server.requests().len(), 1);
    }
}
