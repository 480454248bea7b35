//! What an answer promises beyond what every source does, and what is told of it.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, future::join_all};
use unspool::ask;
use unspool::ask::{Event, Stop};

use super::dialect::{PIECES, PROTOCOLS, Protocol, Reason, TEXT};
use super::{drain, question};
use crate::server::{Reply, Server};

fn good(protocol: Protocol) -> Server {
    Server::start(move |_| protocol.good())
}

#[tokio::test]
async fn events_and_the_whole_answer_ask_nothing_before_the_first_poll() {
    for protocol in PROTOCOLS {
        let server = good(protocol);
        let request = question(protocol, &server);
        let events = request.clone().events();
        let whole = request.into_future();
        drop((events, whole));
        assert!(server.requests().is_empty(), "{protocol:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_before_anything_is_asked() {
    let server = good(Protocol::Chat);
    let request = || question(Protocol::Chat, &server);
    for (wrong, says) in [
        (request().stop_at("("), "cannot stop at"),
        (request().stop_at("x*"), "matches the empty text"),
        (request().header("a b", "c"), "a header"),
        (request().api_key("a\nb"), "the key holds characters"),
        (request().base_url("ftp://h"), "found the scheme `ftp:`"),
        (request().base_url("nowhere"), "is not an address"),
        (
            ask::conversation([]).model("m").base_url(server.url("")),
            "nothing to ask",
        ),
    ] {
        let (pieces, end) = drain(wrong.text()).await;
        let error = end.unwrap_err();
        assert!(pieces.is_empty() && error.is_request() && !error.is_retryable());
        assert!(error.to_string().contains(says), "{error}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_piece_is_there_before_the_server_sends_the_next() {
    for protocol in PROTOCOLS {
        let (script, first) = protocol.script().begin().gate();
        let (script, second) = script.text(PIECES[0]).gate();
        let (script, third) = script.text(PIECES[1]).gate();
        let script = script.text(PIECES[2]).reason(Reason::End).mark(Reason::End);
        let reply = std::sync::Mutex::new(Some(script.end()));
        let server = Server::start(move |_| reply.lock().unwrap().take().unwrap());
        let mut answer = question(protocol, &server).text();
        for (piece, gate) in PIECES.iter().zip([first, second, third]) {
            gate.send(()).unwrap();
            assert_eq!(answer.try_next().await.unwrap().as_deref(), Some(*piece));
        }
        assert!(answer.try_next().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn events_and_the_whole_answer_are_send() {
    for protocol in PROTOCOLS {
        let server = good(protocol);
        let request = question(protocol, &server);
        let events = tokio::spawn(drain(request.clone().events()));
        let whole = tokio::spawn(request.into_future());
        events.await.unwrap().1.unwrap();
        assert_eq!(whole.await.unwrap().unwrap().text, TEXT);
    }
}

#[tokio::test]
async fn the_outcome_tells_what_the_server_stated() {
    for protocol in PROTOCOLS {
        let server = good(protocol);
        let (pieces, outcome) = drain(question(protocol, &server).text()).await;
        let outcome = outcome.unwrap();
        assert_eq!(pieces, PIECES);
        assert_eq!(
            (outcome.usage.input_tokens, outcome.usage.output_tokens),
            (Some(9), Some(7))
        );
        assert_eq!(outcome.provider.as_deref(), Some(protocol.provider()));
        assert_eq!(outcome.model.as_deref(), Some("m-1"));
        assert_eq!(outcome.request_id.as_deref(), Some("req_1"));
        assert_eq!((outcome.deltas, outcome.text_bytes), (3, TEXT.len() as u64));
        assert_eq!((outcome.requests, outcome.retries), (1, 0));
        assert!(outcome.first_token.unwrap() <= outcome.took);
        assert!(outcome.bytes > 0 && outcome.reason.is_some());
    }
}

#[tokio::test]
async fn the_last_event_is_the_stop() {
    for protocol in PROTOCOLS {
        let server = Server::start(move |_| {
            let script = protocol
                .script()
                .told()
                .parts(&protocol.call("{\"city\":\"Ulm\"}"));
            script.reason(Reason::ToolUse).mark(Reason::ToolUse).end()
        });
        let (events, outcome) = drain(question(protocol, &server).events()).await;
        assert_eq!(outcome.unwrap().stop, Stop::ToolUse, "{protocol:?}");
        assert!(
            matches!(events.first(), Some(Event::Start { .. })),
            "{events:?}"
        );
        assert!(
            matches!(events.last(), Some(Event::Stop { .. })),
            "{events:?}"
        );
        let calls = events.iter().filter_map(|event| match event {
            Event::ToolCall {
                name, arguments, ..
            } => Some((name.as_str(), arguments.get())),
            _ => None,
        });
        assert_eq!(
            calls.collect::<Vec<_>>(),
            [("look", "{\"city\":\"Ulm\"}")],
            "{protocol:?}"
        );
    }
}

#[tokio::test]
async fn the_whole_answer_has_the_text_so_far_in_its_error() {
    for protocol in PROTOCOLS {
        let server = Server::start(move |_| protocol.script().begun().end());
        let error = question(protocol, &server).await.unwrap_err();
        assert!(error.is_truncated());
        assert_eq!(error.partial_text(), Some(PIECES[0]));
    }
}

#[tokio::test]
async fn an_answer_stops_at_the_first_match_however_it_is_cut() {
    for protocol in PROTOCOLS {
        for (pattern, expected) in [("o, w", "Hello, w"), ("[öß]", "Hello, wö"), ("!", TEXT)] {
            let server = good(protocol);
            let answer = question(protocol, &server).stop_at(pattern).text();
            let (pieces, outcome) = drain(answer).await;
            let outcome = outcome.unwrap();
            assert_eq!(pieces.concat(), expected, "{protocol:?}, {pattern}");
            assert_eq!((outcome.stop, outcome.complete), (Stop::Asked, true));
        }
        let server = good(protocol);
        let (pieces, outcome) = drain(question(protocol, &server).stop_at("never").text()).await;
        assert_eq!(
            (pieces.concat().as_str(), outcome.unwrap().stop),
            (TEXT, Stop::End)
        );
    }
}

/// A refusal with these headers once, and then the answer: how long that takes.
async fn waits(protocol: Protocol, headers: &'static [(&'static str, &'static str)]) -> Duration {
    let number = AtomicUsize::new(0);
    let server = Server::start(move |_| match number.fetch_add(1, SeqCst) {
        0 => {
            let reply = Reply::status(429);
            let add = |reply: Reply, (name, value): &(&str, &str)| reply.header(name, value);
            headers
                .iter()
                .fold(reply, add)
                .body(protocol.error_body("rate_limit_error", "slow"))
        }
        _ => protocol.good(),
    });
    let begin = Instant::now();
    let (pieces, outcome) = drain(question(protocol, &server).text()).await;
    let outcome = outcome.unwrap();
    assert_eq!((pieces.concat().as_str(), outcome.retries), (TEXT, 1));
    begin.elapsed()
}

#[tokio::test]
async fn the_waits_that_a_server_asks_for_are_kept() {
    for (headers, least) in [
        (&[("retry-after-ms", "300")][..], Duration::from_millis(300)),
        (&[("retry-after", "0.4")], Duration::from_millis(400)),
        (
            &[("retry-after", "60"), ("retry-after-ms", "200")],
            Duration::from_millis(200),
        ),
    ] {
        let waited = join_all(PROTOCOLS.map(|protocol| waits(protocol, headers))).await;
        for (protocol, waited) in PROTOCOLS.iter().zip(waited) {
            assert!(waited >= least, "{protocol:?} waits {waited:?}");
            assert!(
                waited < Duration::from_secs(30),
                "{protocol:?} waits {waited:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_ends_with_it_and_says_what_failed() {
    for protocol in PROTOCOLS {
        let server = Server::start(move |_| {
            let body = protocol.error_body("overloaded", "come back tomorrow");
            Reply::status(503).header("retry-after", 60).body(body)
        });
        let request = question(protocol, &server).deadline(Duration::from_millis(300));
        let mut answer = request.text();
        let error = answer.next().await.unwrap().unwrap_err();
        assert!(error.is_timeout() && !error.is_retryable());
        assert!(error.to_string().contains("come back tomorrow"), "{error}");
        assert!(error.to_string().contains("deadline"), "{error}");
    }
}

#[tokio::test]
async fn a_wait_of_hours_fails_at_once_and_is_said() {
    for protocol in PROTOCOLS {
        let server = Server::start(move |_| {
            let body = protocol.error_body("overloaded", "come back tomorrow");
            Reply::status(429).header("retry-after", 7200).body(body)
        });
        let begin = Instant::now();
        let (_, end) = drain(question(protocol, &server).text()).await;
        let error = end.unwrap_err();
        assert!(begin.elapsed() < Duration::from_secs(20));
        assert_eq!(server.requests().len(), 1, "{protocol:?}");
        let shown = error.to_string();
        assert!(
            shown.contains("come back tomorrow"),
            "{protocol:?}: {shown}"
        );
        assert!(shown.contains("a wait of 2 h,"), "{protocol:?}: {shown}");
    }
}

#[tokio::test]
async fn what_is_waited_for_is_told() {
    let server = Server::start(|_| {
        Reply::status(503)
            .header("retry-after", 60)
            .body("{\"error\":\"busy\"}")
    });
    let mut answer = question(Protocol::Ollama, &server).text();
    let waiting = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let polled = tokio::time::timeout(Duration::from_millis(20), answer.next()).await;
            assert!(polled.is_err());
            if let Some(waiting) = answer.waiting() {
                return waiting;
            }
        }
    });
    let waiting = waiting.await.unwrap();
    assert!(waiting.contains("(1 of 2): answered 503"), "{waiting}");
}

#[tokio::test]
async fn limits_may_be_longer_than_any_clock() {
    for protocol in PROTOCOLS {
        let (script, gate) = protocol.script().begun().gate();
        let script = script.text(PIECES[1]).text(PIECES[2]);
        let reply = script.reason(Reason::End).mark(Reason::End).end();
        let reply = std::sync::Mutex::new(Some(reply));
        let server = Server::start(move |_| reply.lock().unwrap().take().unwrap());
        let request = question(protocol, &server)
            .first_byte(Duration::MAX)
            .idle(Duration::MAX)
            .deadline(Duration::MAX);
        let mut answer = request.text();
        assert_eq!(answer.try_next().await.unwrap().as_deref(), Some(PIECES[0]));
        let waits = tokio::time::timeout(Duration::from_millis(10), answer.next()).await;
        assert!(waits.is_err());
        gate.send(()).unwrap();
        let (pieces, outcome) = drain(answer).await;
        assert_eq!(pieces, PIECES[1..]);
        assert!(outcome.unwrap().complete);
    }
}

#[tokio::test]
async fn no_retries_are_none() {
    for protocol in PROTOCOLS {
        let server = Server::start(|_| Reply::status(503).body("down"));
        let (_, end) = drain(question(protocol, &server).retries(0).text()).await;
        assert_eq!(end.unwrap_err().status(), Some(503));
        assert_eq!(server.requests().len(), 1);
    }
}

/// Thoughts, the begin and usage may be told again; what has been handed out may not.
#[tokio::test]
async fn what_no_reader_has_seen_may_be_asked_again() {
    let number = AtomicUsize::new(0);
    let server = Server::start(move |_| {
        let thought =
            r#"{"message":{"role":"assistant","content":"","thinking":"Hm. "},"done":false}"#;
        let script = Protocol::Ollama.script().bytes(format!("{thought}\n"));
        match number.fetch_add(1, SeqCst) {
            0 => script.cut(),
            _ => script.parts(&Protocol::Ollama.answer()).end(),
        }
    });
    let request = question(Protocol::Ollama, &server);
    let (pieces, outcome) = drain(request.clone().text()).await;
    assert_eq!(
        (pieces.concat().as_str(), outcome.unwrap().requests),
        (TEXT, 2)
    );

    let server = Server::start(move |_| {
        let thought =
            r#"{"message":{"role":"assistant","content":"","thinking":"Hm. "},"done":false}"#;
        Protocol::Ollama
            .script()
            .bytes(format!("{thought}\n"))
            .cut()
    });
    let (events, end) = drain(question(Protocol::Ollama, &server).events()).await;
    let thoughts = events
        .iter()
        .filter(|event| matches!(event, Event::Thinking { .. }));
    assert_eq!(thoughts.count(), 1);
    assert!(end.unwrap_err().is_truncated());
    assert_eq!(server.requests().len(), 1);
}
