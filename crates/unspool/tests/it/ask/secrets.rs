//! A key is seen by the server that it is for, and by nobody else.

use std::error::Error as _;
use std::fmt::Write;

use serde_json::json;
use unspool::ask::Request;

use super::dialect::{PROTOCOLS, Part, Protocol, elsewhere};
use super::{drain, question, question_without_key};
use crate::server::{Reply, Request as Asked, Server};

/// What every secret of these tests holds.
const SECRET: &str = "HUSH";

/// The ways to give a key.
type Way = (&'static str, fn(Request, &str) -> Request);

const WAYS: &[Way] = &[
    ("api_key", |request, _| {
        request.api_key("sk-HUSH-0123456789")
    }),
    ("bearer", |request, _| {
        request.header("authorization", "Bearer sk-HUSH-0123456789")
    }),
    ("x-api-key", |request, _| {
        request.header("x-api-key", "sk-HUSH-0123456789")
    }),
    ("a header of a gateway", |request, _| {
        request.header("x-gateway-key", "gw HUSH+/==")
    }),
    ("user and password", |request, url| {
        // In Base64 that is `YWRhOkhVU0gtcHc=`.
        request.base_url(url.replace("://", "://ada:HUSH-pw@"))
    }),
    ("in the query", |request, url| {
        request.base_url(format!("{url}/?api_key=HUSH-0123"))
    }),
];

/// All that the server was sent, as a server may show it.
fn echo(asked: &Asked) -> String {
    let mut text = format!("you sent {}", asked.target);
    for (name, value) in &asked.headers {
        // Writing to a string does not fail.
        let _ = write!(text, " {name}: {value}");
        if let Some(value) = value.strip_prefix("Basic ") {
            assert_eq!(value, "YWRhOkhVU0gtcHc=");
            text.push_str(" that is ada:HUSH-pw");
        }
    }
    text
}

/// What is echoed, and where.
type Fault = (&'static str, fn(Protocol, &Asked) -> Reply);

const FAULTS: &[Fault] = &[
    ("401 as JSON", |protocol, asked| {
        Reply::status(401).body(protocol.error_body("authentication_error", &echo(asked)))
    }),
    ("400 as a code", |protocol, asked| {
        Reply::status(400).body(protocol.error_body(&echo(asked), "no"))
    }),
    ("500 as text", |_, asked| {
        Reply::status(500).body(echo(asked))
    }),
    ("403 as HTML", |_, asked| {
        Reply::status(403).body(format!("<html>{}", echo(asked)))
    }),
    ("HTML with 200", |_, asked| {
        let reply = Reply::status(200).header("content-type", "text/html");
        // The key stands where the excerpt ends, wherever that is.
        let keys = format!("{} ", echo(asked)).repeat(20);
        reply.body(format!("<html>{keys}"))
    }),
    ("an error event", |protocol, asked| {
        protocol
            .script()
            .parts(&[protocol.error("overloaded_error", &echo(asked))])
            .end()
    }),
    ("an error event with a code", |protocol, asked| {
        protocol
            .script()
            .parts(&[protocol.error(&echo(asked), "busy")])
            .end()
    }),
    ("an error event after the first delta", |protocol, asked| {
        let error = protocol.error("invalid_request_error", &echo(asked));
        protocol.script().begun().parts(&[error]).end()
    }),
    ("an error event in an unknown form", |protocol, asked| {
        let error = Part {
            name: "error",
            data: json!({"error": [echo(asked)]}).to_string(),
        };
        protocol.script().begun().parts(&[error]).end()
    }),
    ("an event that is no JSON", |protocol, asked| {
        let keys = format!("{} ", echo(asked)).repeat(20);
        let broken = Part {
            name: "",
            data: format!("{{\"error\" {keys}"),
        };
        protocol.script().begun().parts(&[broken]).end()
    }),
    ("an event of a wrong type", |protocol, asked| {
        let keys = echo(asked);
        let wrong = json!({"type": "content_block_delta", "delta": keys, "choices": keys,
            "candidates": keys, "message": keys, "response": keys});
        let wrong = Part {
            name: "response.completed",
            data: wrong.to_string(),
        };
        let wrong = match protocol {
            Protocol::Responses => Part {
                data: wrong
                    .data
                    .replace("content_block_delta", "response.completed"),
                ..wrong
            },
            _ => wrong,
        };
        protocol.script().begun().parts(&[wrong]).end()
    }),
    ("the name of a tool", |protocol, asked| {
        let mut call = protocol.call("{\"city\": ");
        for part in &mut call {
            let name = json!(echo(asked)).to_string();
            part.data = part.data.replace("\"look\"", &name);
        }
        use super::dialect::Reason::ToolUse;
        protocol
            .script()
            .begun()
            .parts(&call)
            .reason(ToolUse)
            .mark(ToolUse)
            .end()
    }),
    ("names in the account", |protocol, asked| {
        let name = json!(echo(asked)).to_string();
        let answer = protocol.answer().into_iter().map(|part| {
            let data = [
                "\"m-1\"",
                "\"msg_1\"",
                "\"chatcmpl-1\"",
                "\"resp_1\"",
                "\"end_turn\"",
                "\"stop\"",
                "\"STOP\"",
            ];
            let data = data
                .iter()
                .fold(part.data, |data, word| data.replace(word, &name));
            Part { data, ..part }
        });
        let bytes = protocol.encode_all(&answer.collect::<Vec<_>>(), super::dialect::USUAL);
        Reply::status(200)
            .header("content-type", protocol.content_type())
            .header("request-id", echo(asked))
            .body(bytes)
    }),
    ("a redirect to another origin", |_, asked| {
        let mut location: reqwest::Url = elsewhere(asked).parse().unwrap();
        for (_, value) in &asked.headers {
            location.path_segments_mut().unwrap().push(value);
            location.query_pairs_mut().append_pair("seen", value);
        }
        Reply::status(307).header("location", location).body("")
    }),
    ("a redirect in a circle", |_, asked| {
        Reply::status(307)
            .header("location", &asked.target)
            .body("")
    }),
    ("no answer", |_, _| Reply::drop_connection()),
    ("a broken head", |_, asked| {
        Reply::bytes(format!("HTTP/1.1 2x0 {}\r\n\r\n", echo(asked)))
    }),
    ("a broken body", |protocol, asked| {
        Reply::status(200)
            .header("content-type", protocol.content_type())
            .header("transfer-encoding", "chunked")
            .send(echo(asked))
            .close()
    }),
    ("a broken compression", |protocol, asked| {
        Reply::status(200)
            .header("content-type", protocol.content_type())
            .header("content-encoding", "gzip")
            .body(echo(asked))
    }),
];

/// All that is shown of one answer.
async fn shown(request: Request) -> String {
    let mut shown = format!("{request:?}\n");
    let mut events = request.clone().events();
    let mut add = |text: String| shown.push_str(&format!("{text}\n"));
    use futures_util::StreamExt;
    while let Some(event) = events.next().await {
        if let Err(error) = event {
            add(format!("{error} {error:#} {error:?} {:?}", error.code()));
            let mut source = error.source();
            while let Some(cause) = source {
                add(format!("{cause} {cause:?}"));
                source = cause.source();
            }
        }
    }
    let outcome = events.outcome();
    add(format!(
        "{outcome:?} {} {events:?}",
        serde_json::to_string(&outcome).unwrap()
    ));
    if let Err(error) = request.await {
        add(format!("{error} {error:?}"));
    }
    shown
}

#[tokio::test]
async fn no_key_is_shown_whatever_the_server_repeats() {
    for protocol in PROTOCOLS {
        for (fault, reply) in FAULTS {
            for (way, give) in WAYS {
                let server = Server::start(move |asked| reply(protocol, asked));
                let request = question_without_key(protocol, &server).retries(1);
                let shown = shown(give(request, &server.url(""))).await;
                let name = format!("{protocol:?}, {fault}, {way}");
                assert!(!server.requests().is_empty(), "{name}");
                let sent = server
                    .requests()
                    .iter()
                    .any(|asked| echo(asked).contains(SECRET));
                assert!(sent, "{name}: the key was not sent");
                let is_shown = [SECRET, "YWRhOkhVU0g", "0123456789"]
                    .iter()
                    .any(|secret| shown.contains(secret));
                assert!(!is_shown, "{name}: {shown}");
            }
        }
    }
}

#[tokio::test]
async fn a_key_does_not_go_to_another_origin() {
    for protocol in PROTOCOLS {
        for status in [301, 302, 303, 307, 308] {
            let other = Server::start(move |_| protocol.good());
            let target = other.url("/");
            let server =
                Server::start(move |_| Reply::status(status).header("location", &target).body(""));
            let (_, _) = drain(question(protocol, &server).text()).await;
            for asked in other.requests() {
                let names: Vec<&String> = asked.headers.iter().map(|(name, _)| name).collect();
                for secret in ["authorization", "x-api-key", "x-goog-api-key"] {
                    assert_eq!(
                        asked.header(secret),
                        None,
                        "{protocol:?}, {status}: {names:?}"
                    );
                }
                assert!(asked.body.is_empty(), "{protocol:?}, {status}");
            }
        }
    }
}

/// What a terminal would obey, and what would fill it.
#[tokio::test]
async fn the_words_of_a_server_are_shortened_to_one_line() {
    for protocol in PROTOCOLS {
        for is_status in [true, false] {
            let server = Server::start(move |_| {
                let words = format!("no\u{1b}[2J\n\rmore {}", "word ".repeat(10_000));
                match is_status {
                    true => Reply::status(400).body(protocol.error_body("wrong", &words)),
                    false => protocol
                        .script()
                        .begun()
                        .parts(&[protocol.error("wrong", &words)])
                        .end(),
                }
            });
            let (pieces, end) = drain(question(protocol, &server).text()).await;
            let shown = end.unwrap_err().to_string();
            assert!(shown.len() < 2000, "{protocol:?}: {} bytes", shown.len());
            assert!(shown.contains("no[2J more word"), "{protocol:?}: {shown}");
            assert!(
                !shown.contains(|char: char| char.is_control()),
                "{protocol:?}: {shown:?}"
            );
            assert_eq!(pieces.is_empty(), is_status);
        }
    }
}

/// The versions of a protocol are no secret.
#[tokio::test]
async fn what_is_no_key_may_be_shown() {
    let server = Server::start(|asked| {
        let version = asked.header("anthropic-version").unwrap();
        let body = Protocol::Anthropic
            .error_body("invalid_request_error", &format!("no version {version}"));
        Reply::status(400).body(body)
    });
    let (pieces, end) = drain(question(Protocol::Anthropic, &server).text()).await;
    let error = end.unwrap_err().to_string();
    assert!(
        pieces.is_empty() && error.contains("no version 2026-10-21"),
        "{error}"
    );
}
