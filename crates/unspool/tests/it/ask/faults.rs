//! Each fault in each protocol: what is handed out, how it ends, and what was asked.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use unspool::ask::{Request, Stop};

use super::dialect::{
    PIECES, PROTOCOLS, Part, Protocol, Reason, Script, Style, TEXT, USUAL, elsewhere,
};
use super::table::{Expect, Kind, Row, complete, lasting, passing, second_try, whole};
use super::{drain, question};
use crate::server::{Reply, Server};

use Protocol::{Anthropic, Chat, Gemini, Ollama, Responses};

/// How long a server may be silent that is.
const SHORT: Duration = Duration::from_millis(300);

/// The same before the first byte, where the next try has the same limit.
const LONGER: Duration = Duration::from_millis(1500);

/// What a model may write, and a reader may take for an end.
const MARKS: &str = "\n\ndata: [DONE]\n\nevent: message_stop\ndata: {}\n\n{\"done\":true}\n";

/// The fault for the first request, and the answer for the others.
fn once(protocol: Protocol, number: usize, fault: impl FnOnce(Script) -> Reply) -> Reply {
    match number {
        0 => fault(protocol.script()),
        _ => protocol.good(),
    }
}

/// A refusal once, and then the answer.
fn refused_once(protocol: Protocol, number: usize, status: u16) -> Reply {
    match number {
        0 => Reply::status(status)
            .header("retry-after", 0)
            .body(protocol.error_body("try_later", "busy")),
        _ => protocol.good(),
    }
}

fn refused(protocol: Protocol, status: u16, code: &str, message: &str) -> Reply {
    Reply::status(status)
        .header("content-type", "application/json")
        .body(protocol.error_body(code, message))
}

fn styled(protocol: Protocol, style: Style) -> Reply {
    protocol
        .script()
        .bytes(protocol.encode_all(&protocol.answer(), style))
        .end()
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A reply of compressed bytes.
fn gzip(protocol: Protocol, bytes: Vec<u8>) -> Reply {
    Reply::status(200)
        .header("content-type", protocol.content_type())
        .header("content-encoding", "gzip")
        .body(bytes)
}

/// The begin of the answer, compressed, but without the end of the compression.
fn compressed_begin(protocol: Protocol) -> Vec<u8> {
    let mut parts = protocol.begin();
    parts.push(protocol.text(PIECES[0]));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder
        .write_all(&protocol.encode_all(&parts, USUAL))
        .unwrap();
    encoder.flush().unwrap();
    encoder.get_ref().clone()
}

/// The pieces of text, each with a reason to end beside it.
fn with_reasons(protocol: Protocol) -> Vec<Part> {
    let end = match protocol {
        Chat => ("\"finish_reason\":null", "\"finish_reason\":\"stop\""),
        _ => ("\"index\":0", "\"index\":0,\"finishReason\":\"STOP\""),
    };
    let parts = PIECES.map(|piece| protocol.text(piece));
    let parts = parts.into_iter().map(|part| Part {
        data: part.data.replace(end.0, end.1),
        ..part
    });
    parts.collect()
}

/// The text once more as a whole, where a protocol or servers of it have such a thing.
fn summed(protocol: Protocol) -> Vec<Part> {
    let (name, data) = match protocol {
        Anthropic => (
            "content_block_stop",
            json!({"type": "content_block_stop", "index": 0, "content_block": {"type": "text", "text": TEXT}}),
        ),
        Chat => (
            "",
            json!({"choices": [{"index": 0, "delta": {}, "message": {"role": "assistant", "content": TEXT}}]}),
        ),
        Responses => (
            "response.output_text.done",
            json!({"type": "response.output_text.done", "text": TEXT}),
        ),
        Ollama | Gemini => return Vec::new(),
    };
    let data = data.to_string();
    vec![Part { name, data }]
}

fn same(request: Request) -> Request {
    request
}

fn all(expect: Expect) -> Option<Expect> {
    Some(expect)
}

/// Ollama's errors have no code.
fn coded(protocol: Protocol, expect: Expect, code: &'static str) -> Option<Expect> {
    Some(match protocol {
        Ollama => expect,
        _ => expect.code(code),
    })
}

fn truncated_early() -> Expect {
    passing(Kind::Truncated, "", "truncated: ")
}

fn truncated() -> Expect {
    passing(Kind::Truncated, PIECES[0], "truncated: ")
}

/// Cut after all of the text.
fn truncated_late() -> Expect {
    passing(Kind::Truncated, TEXT, "truncated: ")
}

fn silent() -> Expect {
    passing(Kind::Timeout, PIECES[0], "within 300ms")
}

/// All that can go wrong, and what can seem to.
pub(super) const ROWS: &[Row] = &[
    // Unusual, but in order.
    Row {
        name: "nothing is wrong",
        reply: |protocol, _, _| protocol.good(),
        ask: same,
        expect: |_| all(complete()),
    },
    Row {
        name: "CRLF line ends",
        reply: |protocol, _, _| {
            styled(
                protocol,
                Style {
                    line_end: "\r\n",
                    ..USUAL
                },
            )
        },
        ask: same,
        expect: |_| all(complete()),
    },
    Row {
        name: "no space after `data:`",
        reply: |protocol, _, _| {
            styled(
                protocol,
                Style {
                    colon: ":",
                    ..USUAL
                },
            )
        },
        ask: same,
        expect: |protocol| protocol.is_sse().then(complete),
    },
    Row {
        name: "no `event:` lines",
        reply: |protocol, _, _| {
            styled(
                protocol,
                Style {
                    is_named: false,
                    ..USUAL
                },
            )
        },
        ask: same,
        expect: |protocol| protocol.is_sse().then(complete),
    },
    Row {
        name: "each byte in a chunk of its own",
        reply: |protocol, _, _| {
            let bytes = protocol.encode_all(&protocol.answer(), USUAL);
            let script = bytes
                .iter()
                .fold(protocol.script(), |script, byte| script.bytes([*byte]));
            script.end()
        },
        ask: same,
        expect: |_| all(complete()),
    },
    Row {
        name: "all in one chunk, without the last line end",
        reply: |protocol, _, _| {
            let mut bytes = protocol.encode_all(&protocol.answer(), USUAL);
            bytes.pop();
            Reply::status(200)
                .header("content-type", protocol.content_type())
                .body(bytes)
        },
        ask: same,
        // An event that no empty line ends is none.
        expect: |protocol| match protocol {
            Anthropic | Responses | Gemini => all(truncated_late()),
            Chat | Ollama => all(complete()),
        },
    },
    Row {
        name: "a character in two halves in two deltas (`\\ud83d`, `\\ude00`)",
        reply: |protocol, _, _| {
            let halves = [
                protocol.raw_text("\", wörld \\ud83d\""),
                protocol.raw_text("\"\\ude00!\""),
            ];
            let script = protocol.script().begun().parts(&halves);
            script.reason(Reason::End).mark(Reason::End).end()
        },
        ask: same,
        expect: |_| all(complete()),
    },
    Row {
        name: "events, deltas and fields that are in no reference",
        reply: |protocol, _, _| {
            let news = protocol.news();
            let script = protocol.script().begun().parts(&news);
            let script = script.text(PIECES[1]).parts(&news).text(PIECES[2]);
            script.reason(Reason::End).mark(Reason::End).end()
        },
        ask: same,
        expect: |_| all(complete()),
    },
    Row {
        name: "comments, pings and empty lines in between",
        reply: |protocol, _, _| {
            let life = protocol.sign_of_life();
            let mut script = protocol.script().bytes(&life);
            for part in protocol.answer() {
                script = script.parts(&[part]).bytes(&life);
            }
            script.end()
        },
        ask: same,
        expect: |_| all(complete()),
    },
    Row {
        name: "signs of life only, for longer than the limits",
        reply: |protocol, _, _| {
            let mut script = protocol.script();
            for _ in 0..10 {
                script = script
                    .bytes(protocol.sign_of_life())
                    .pause(Duration::from_millis(60));
            }
            script.parts(&protocol.answer()).end()
        },
        ask: |request| {
            let limit = Duration::from_millis(500);
            request.first_byte(limit).idle(limit)
        },
        expect: |_| all(complete()),
    },
    Row {
        name: "compressed with gzip",
        reply: |protocol, _, _| {
            let bytes = protocol.encode_all(&protocol.answer(), USUAL);
            gzip(protocol, compressed(&bytes))
        },
        ask: same,
        expect: |_| all(complete()),
    },
    Row {
        name: "a JSON body in the place of a stream",
        reply: |protocol, _, _| Reply::json(protocol.whole()),
        ask: same,
        expect: |_| all(complete()),
    },
    Row {
        name: "a JSON body over several lines",
        reply: |protocol, _, _| Reply::json(format!("{:#}\n", protocol.whole())),
        ask: same,
        expect: |_| all(complete()),
    },
    Row {
        name: "a JSON body in an array",
        reply: |protocol, _, _| Reply::json(format!("[{}]\n", protocol.whole())),
        ask: same,
        expect: |protocol| (protocol == Gemini).then(complete),
    },
    Row {
        name: "a JSON body without a reason",
        reply: |protocol, _, _| {
            let mut whole = protocol.whole();
            let place = match protocol {
                Anthropic | Responses | Ollama => &mut whole,
                Chat => &mut whole["choices"][0],
                Gemini => &mut whole["candidates"][0],
            };
            let fields = [
                "stop_reason",
                "finish_reason",
                "status",
                "done_reason",
                "finishReason",
            ];
            for field in fields {
                place.as_object_mut().unwrap().remove(field);
            }
            Reply::json(whole)
        },
        ask: same,
        expect: |protocol| match protocol {
            Gemini => all(truncated_late()),
            _ => all(whole(Stop::Unstated)),
        },
    },
    Row {
        name: "a JSON body that is labelled as a stream",
        reply: |protocol, _, _| {
            let reply = Reply::status(200).header("content-type", "text/event-stream");
            reply.body(format!("{:#}", protocol.whole()))
        },
        ask: same,
        expect: |_| all(complete()),
    },
    Row {
        name: "a stream that is labelled as JSON",
        reply: |protocol, _, _| {
            let bytes = protocol.encode_all(&protocol.answer(), USUAL);
            Reply::status(200)
                .header("content-type", "application/json")
                .body(bytes)
        },
        ask: same,
        expect: |_| all(complete()),
    },
    Row {
        name: "a redirect (307) to the same origin",
        reply: |protocol, number, _| match number {
            0 => Reply::status(307).header("location", "/there").body(""),
            _ => protocol.good(),
        },
        ask: same,
        expect: |_| all(complete().requests(2)),
    },
    // How the stream ends.
    Row {
        name: "the reason, but no end mark",
        reply: |protocol, _, _| protocol.script().told().reason(Reason::End).end(),
        ask: same,
        expect: |protocol| match protocol {
            Anthropic => all(truncated_late()),
            Chat | Gemini => all(complete()),
            Responses | Ollama => None,
        },
    },
    Row {
        name: "the end mark, but no reason",
        reply: |protocol, _, _| protocol.script().told().mark(Reason::None).end(),
        ask: same,
        expect: |protocol| match protocol {
            Anthropic | Chat | Ollama => all(whole(Stop::Unstated)),
            Responses => None,
            Gemini => None,
        },
    },
    Row {
        name: "an answer without text",
        reply: |protocol, _, _| {
            let script = protocol.script().begin();
            script.reason(Reason::End).mark(Reason::End).end()
        },
        ask: same,
        expect: |_| {
            all(Expect {
                text: "",
                ..complete()
            })
        },
    },
    Row {
        name: "a token limit",
        reply: |protocol, _, _| {
            let limit = Reason::TokenLimit;
            protocol.script().told().reason(limit).mark(limit).end()
        },
        ask: same,
        expect: |_| all(whole(Stop::MaxTokens)),
    },
    Row {
        name: "as many tokens as were allowed, in an answer that is called complete",
        reply: |protocol, _, _| protocol.good(),
        ask: |request| request.max_tokens(7),
        // A stated end counts more; only over Responses is that known to hide a limit.
        expect: |protocol| match protocol {
            Responses => all(whole(Stop::Doubtful)),
            _ => all(complete()),
        },
    },
    Row {
        name: "more tokens than were allowed, in an answer that is called complete",
        reply: |protocol, _, _| protocol.good(),
        ask: |request| request.max_tokens(5),
        expect: |_| all(complete()),
    },
    Row {
        name: "a refusal or a filter",
        reply: |protocol, _, _| {
            let filter = Reason::Filter;
            protocol.script().told().reason(filter).mark(filter).end()
        },
        ask: same,
        expect: |protocol| match protocol {
            Anthropic => all(whole(Stop::Refusal)),
            Chat | Responses | Gemini => all(whole(Stop::ContentFilter)),
            Ollama => None,
        },
    },
    Row {
        name: "a reason that is in no reference",
        reply: |protocol, _, _| {
            protocol
                .script()
                .told()
                .reason(Reason::New)
                .mark(Reason::New)
                .end()
        },
        ask: same,
        expect: |_| all(whole(Stop::Other)),
    },
    Row {
        name: "the body ends before the first delta, once",
        reply: |protocol, number, _| once(protocol, number, |script| script.begin().end()),
        ask: same,
        expect: |_| all(second_try()),
    },
    Row {
        name: "the body ends before the first delta, always",
        reply: |protocol, _, _| protocol.script().begin().end(),
        ask: same,
        expect: |_| all(truncated_early()),
    },
    Row {
        name: "the body ends after the first delta",
        reply: |protocol, _, _| protocol.script().begun().end(),
        ask: same,
        expect: |_| all(truncated()),
    },
    Row {
        name: "the body ends within an event",
        reply: |protocol, _, _| {
            let mut next = protocol.encode(&protocol.text(PIECES[1]), USUAL);
            next.truncate(next.len() / 2);
            protocol.script().begun().bytes(next).end()
        },
        ask: same,
        expect: |_| all(truncated()),
    },
    Row {
        name: "the body has no stated length, and ends after the first delta",
        reply: |protocol, _, _| {
            let mut parts = protocol.begin();
            parts.push(protocol.text(PIECES[0]));
            let bytes = protocol.encode_all(&parts, USUAL);
            Reply::status(200)
                .header("content-type", protocol.content_type())
                .until_close(bytes)
        },
        ask: same,
        expect: |_| all(truncated()),
    },
    Row {
        name: "the connection breaks before the first delta, once",
        reply: |protocol, number, _| once(protocol, number, |script| script.begin().cut()),
        ask: same,
        expect: |_| all(second_try()),
    },
    Row {
        name: "the connection breaks after the first delta",
        reply: |protocol, _, _| protocol.script().begun().cut(),
        ask: same,
        expect: |_| all(truncated()),
    },
    Row {
        name: "the connection breaks after the reason",
        reply: |protocol, _, _| protocol.script().told().reason(Reason::End).cut(),
        ask: same,
        expect: |protocol| match protocol {
            Chat => all(complete()),
            _ => all(truncated_late()),
        },
    },
    Row {
        name: "the connection breaks after the end mark",
        reply: |protocol, _, _| {
            protocol
                .script()
                .told()
                .reason(Reason::End)
                .mark(Reason::End)
                .cut()
        },
        ask: same,
        expect: |protocol| match protocol {
            Gemini => None,
            _ => all(complete()),
        },
    },
    Row {
        name: "the compressed body is cut after the first delta",
        reply: |protocol, _, _| gzip(protocol, compressed_begin(protocol)),
        ask: same,
        expect: |_| all(truncated()),
    },
    Row {
        name: "the body is shorter than its stated length",
        reply: |protocol, _, _| {
            let mut parts = protocol.begin();
            parts.push(protocol.text(PIECES[0]));
            let bytes = protocol.encode_all(&parts, USUAL);
            let stated = bytes.len() + 100;
            Reply::status(200)
                .header("content-type", protocol.content_type())
                .cut(bytes, stated)
        },
        ask: same,
        expect: |_| all(truncated()),
    },
    Row {
        name: "text that looks like end marks",
        reply: |protocol, _, _| protocol.script().begin().text(MARKS).end(),
        ask: same,
        expect: |_| all(passing(Kind::Truncated, MARKS, "truncated: ")),
    },
    Row {
        name: "`[DONE]` and nothing else after the text",
        reply: |protocol, _, _| protocol.script().told().bytes("data: [DONE]\n\n").end(),
        ask: same,
        expect: |protocol| match protocol {
            Chat => all(whole(Stop::Unstated)),
            Ollama => None,
            _ => all(truncated_late()),
        },
    },
    Row {
        name: "`[DONE]` after the end of the protocol",
        reply: |protocol, _, _| {
            let script = protocol
                .script()
                .told()
                .reason(Reason::End)
                .mark(Reason::End);
            script.bytes("data: [DONE]\n\n").end()
        },
        ask: same,
        expect: |protocol| protocol.is_sse().then(complete),
    },
    Row {
        name: "text after the end mark",
        reply: |protocol, _, _| {
            let script = protocol
                .script()
                .told()
                .reason(Reason::End)
                .mark(Reason::End);
            script.text("Not for you.").end()
        },
        ask: same,
        expect: |protocol| match protocol {
            Gemini => None,
            _ => all(complete()),
        },
    },
    Row {
        name: "the end mark says that it is not one (`incomplete`)",
        reply: |protocol, _, _| {
            let marks = protocol.mark(Reason::End);
            let marks = marks.into_iter().map(|mark| Part {
                data: mark.data.replace("\"completed\"", "\"incomplete\""),
                ..mark
            });
            protocol
                .script()
                .told()
                .parts(&marks.collect::<Vec<_>>())
                .end()
        },
        ask: same,
        expect: |protocol| (protocol == Responses).then(|| whole(Stop::Other)),
    },
    Row {
        name: "the last deltas are lost, but the text comes once more as a whole",
        reply: |protocol, _, _| {
            let script = protocol.script().begun().parts(&summed(protocol));
            script.reason(Reason::End).mark(Reason::End).end()
        },
        ask: same,
        expect: |protocol| matches!(protocol, Anthropic | Chat | Responses).then(complete),
    },
    Row {
        name: "a delta in the middle is lost, but the text comes once more as a whole",
        reply: |protocol, _, _| {
            let script = protocol.script().begun().text(PIECES[2]);
            let script = script.parts(&summed(protocol));
            script.reason(Reason::End).mark(Reason::End).end()
        },
        ask: same,
        expect: |protocol| {
            let is_summed = matches!(protocol, Anthropic | Chat | Responses);
            is_summed.then(|| passing(Kind::Truncated, "Hello😀!", "did not come"))
        },
    },
    Row {
        name: "no delta, but the text comes as a whole at the end",
        reply: |protocol, _, _| {
            let last = json!({"type": "response.completed", "response": protocol.whole()});
            let last = Part {
                name: "response.completed",
                data: last.to_string(),
            };
            protocol.script().begin().parts(&[last]).end()
        },
        ask: same,
        expect: |protocol| (protocol == Responses).then(complete),
    },
    Row {
        name: "each chunk has all of the message so far beside its delta",
        reply: |protocol, _, _| {
            let mut script = protocol.script();
            for (count, piece) in PIECES.iter().enumerate() {
                let so_far = PIECES[..=count].concat();
                let chunk = json!({"object": "chat.completion", "choices": [{"index": 0,
                    "message": {"role": "assistant", "content": so_far},
                    "delta": {"content": piece}, "finish_reason": null}]});
                script = script.parts(&[Part {
                    name: "",
                    data: chunk.to_string(),
                }]);
            }
            script.reason(Reason::End).mark(Reason::End).end()
        },
        ask: same,
        expect: |protocol| (protocol == Chat).then(complete),
    },
    Row {
        name: "more text after the reason, and then the end of the body",
        reply: |protocol, _, _| {
            let script = protocol.script().begun().reason(Reason::End);
            script.text(PIECES[1]).text(PIECES[2]).end()
        },
        ask: same,
        expect: |protocol| match protocol {
            Anthropic | Chat | Gemini => all(truncated_late()),
            Responses | Ollama => None,
        },
    },
    Row {
        name: "the reason in each event, and then the end of the body",
        reply: |protocol, _, _| {
            let script = protocol.script().parts(&with_reasons(protocol));
            script.end()
        },
        ask: same,
        expect: |protocol| match protocol {
            // Only `[DONE]` proves such an answer.
            Chat => all(truncated_late()),
            Gemini => all(complete()),
            _ => None,
        },
    },
    Row {
        name: "the reason in each event, in a body that has no stated length",
        reply: |protocol, _, _| {
            let bytes = protocol.encode_all(&with_reasons(protocol), USUAL);
            Reply::status(200)
                .header("content-type", protocol.content_type())
                .until_close(bytes)
        },
        ask: same,
        expect: |protocol| match protocol {
            Chat | Gemini => all(truncated_late()),
            _ => None,
        },
    },
    Row {
        name: "the reason in each event, and the connection breaks after the first",
        reply: |protocol, _, _| protocol.script().parts(&with_reasons(protocol)[..1]).cut(),
        ask: same,
        expect: |protocol| match protocol {
            Chat | Gemini => all(truncated()),
            _ => None,
        },
    },
    Row {
        name: "more text after the reason, and then a connection that stays open",
        reply: |protocol, _, _| {
            let script = protocol.script().begun().reason(Reason::End);
            script.text(PIECES[1]).text(PIECES[2]).silence()
        },
        ask: |request| request.idle(SHORT),
        expect: |protocol| match protocol {
            Anthropic | Chat | Gemini => all(passing(Kind::Timeout, TEXT, "within 300ms")),
            Responses | Ollama => None,
        },
    },
    Row {
        name: "signs of life without end after the reason",
        reply: |protocol, _, _| {
            let mut script = protocol.script().told().reason(Reason::End);
            for _ in 0..120 {
                script = script
                    .bytes(protocol.sign_of_life())
                    .pause(Duration::from_millis(50));
            }
            script.silence()
        },
        ask: |request| request.deadline(Duration::from_secs(4)),
        expect: |protocol| match protocol {
            Anthropic | Gemini => all(lasting(Kind::Timeout, TEXT, "the deadline")),
            // Nothing that is missing is waited for any longer.
            Chat => all(complete()),
            Responses | Ollama => None,
        },
    },
    Row {
        name: "the connection stays open after the end mark",
        reply: |protocol, _, _| {
            let script = protocol.script().told().reason(Reason::End);
            script.mark(Reason::End).silence()
        },
        ask: |request| request.idle(SHORT),
        expect: |protocol| match protocol {
            // Its end mark is the end of the body.
            Gemini => all(passing(Kind::Timeout, TEXT, "within 300ms")),
            _ => all(complete()),
        },
    },
    Row {
        name: "the connection stays open after the reason, without an end mark",
        reply: |protocol, _, _| protocol.script().told().reason(Reason::End).silence(),
        ask: |request| request.idle(SHORT),
        expect: |protocol| match protocol {
            Anthropic | Gemini => all(passing(Kind::Timeout, TEXT, "within 300ms")),
            Chat => all(complete()),
            Responses | Ollama => None,
        },
    },
    // Errors in an answer with HTTP 200.
    Row {
        name: "an error that may pass in the place of the answer, once",
        reply: |protocol, number, _| {
            once(protocol, number, |script| {
                script
                    .parts(&[protocol.error("overloaded_error", "busy")])
                    .end()
            })
        },
        ask: same,
        expect: |_| all(second_try()),
    },
    Row {
        name: "an error that may pass as a JSON body, once",
        reply: |protocol, number, _| match number {
            0 => Reply::json(protocol.error_body("overloaded_error", "busy")),
            _ => protocol.good(),
        },
        ask: same,
        expect: |_| all(second_try()),
    },
    Row {
        name: "an error that may pass before the first delta, once",
        reply: |protocol, number, _| {
            once(protocol, number, |script| {
                let error = protocol.error("overloaded_error", "busy");
                script.begin().parts(&[error]).end()
            })
        },
        ask: same,
        expect: |_| all(second_try()),
    },
    Row {
        name: "an error that may pass, always",
        reply: |protocol, _, _| {
            protocol
                .script()
                .parts(&[protocol.error("overloaded_error", "busy")])
                .end()
        },
        ask: same,
        expect: |protocol| {
            coded(
                protocol,
                passing(Kind::Reported, "", "busy"),
                "overloaded_error",
            )
        },
    },
    Row {
        name: "an error that does not pass",
        reply: |protocol, _, _| {
            let error = protocol.error("invalid_request_error", "no such tool");
            protocol.script().parts(&[error]).end()
        },
        ask: same,
        expect: |protocol| match protocol {
            // Its errors are words alone.
            Ollama => all(passing(Kind::Reported, "", "no such tool")),
            _ => all(lasting(Kind::Reported, "", "no such tool").code("invalid_request_error")),
        },
    },
    Row {
        name: "an error after the first delta",
        reply: |protocol, _, _| {
            let error = protocol.error("overloaded_error", "busy");
            protocol.script().begun().parts(&[error]).end()
        },
        ask: same,
        expect: |protocol| {
            let expect = passing(Kind::Reported, PIECES[0], "busy");
            coded(protocol, expect, "overloaded_error")
        },
    },
    Row {
        name: "an error after all of the text and the reason",
        reply: |protocol, _, _| {
            let error = protocol.error("overloaded_error", "busy");
            protocol
                .script()
                .told()
                .reason(Reason::End)
                .parts(&[error])
                .end()
        },
        ask: same,
        expect: |protocol| {
            let expect = passing(Kind::Reported, TEXT, "busy");
            coded(protocol, expect, "overloaded_error")
        },
    },
    // Other statuses.
    Row {
        name: "408 once",
        reply: |protocol, number, _| refused_once(protocol, number, 408),
        ask: same,
        expect: |_| all(second_try()),
    },
    Row {
        name: "409 once",
        reply: |protocol, number, _| refused_once(protocol, number, 409),
        ask: same,
        expect: |_| all(second_try()),
    },
    Row {
        name: "429 once",
        reply: |protocol, number, _| refused_once(protocol, number, 429),
        ask: same,
        expect: |_| all(second_try()),
    },
    Row {
        name: "500 once",
        reply: |protocol, number, _| refused_once(protocol, number, 500),
        ask: same,
        expect: |_| all(second_try()),
    },
    Row {
        name: "503 once",
        reply: |protocol, number, _| refused_once(protocol, number, 503),
        ask: same,
        expect: |_| all(second_try()),
    },
    Row {
        name: "529 once",
        reply: |protocol, number, _| refused_once(protocol, number, 529),
        ask: same,
        expect: |_| all(second_try()),
    },
    Row {
        name: "503 always",
        reply: |protocol, _, _| refused(protocol, 503, "overloaded", "come back later"),
        ask: same,
        expect: |protocol| {
            let expect = passing(Kind::Status(503), "", "answered 503");
            coded(protocol, expect, "overloaded")
        },
    },
    Row {
        name: "400",
        reply: |protocol, _, _| {
            refused(
                protocol,
                400,
                "invalid_request_error",
                "max_tokens: too many",
            )
        },
        ask: same,
        expect: |protocol| {
            let expect = lasting(Kind::Status(400), "", "max_tokens: too many");
            coded(protocol, expect, "invalid_request_error")
        },
    },
    Row {
        name: "401",
        reply: |protocol, _, _| refused(protocol, 401, "authentication_error", "invalid key"),
        ask: same,
        expect: |protocol| {
            let expect = lasting(Kind::Status(401), "", "invalid key");
            coded(protocol, expect, "authentication_error")
        },
    },
    Row {
        name: "404",
        reply: |protocol, _, _| refused(protocol, 404, "not_found_error", "model: m-1"),
        ask: same,
        expect: |protocol| {
            let expect = lasting(Kind::Status(404), "", "model: m-1");
            coded(protocol, expect, "not_found_error")
        },
    },
    Row {
        name: "429, and no quota",
        reply: |protocol, _, _| refused(protocol, 429, "insufficient_quota", "you have none left"),
        ask: same,
        expect: |protocol| match protocol {
            Ollama => None,
            _ => all(lasting(Kind::Status(429), "", "none left").code("insufficient_quota")),
        },
    },
    Row {
        name: "429, and a spend limit",
        reply: |_, _, _| {
            Reply::status(429).body(
                json!({"type": "error", "error": {"type": "rate_limit_error", "message": "the month",
                    "details": {"error_code": "enforced_spend_limit_reached"}}})
                .to_string(),
            )
        },
        ask: same,
        expect: |protocol| match protocol {
            Anthropic => {
                all(lasting(Kind::Status(429), "", "the month")
                    .code("enforced_spend_limit_reached"))
            }
            _ => None,
        },
    },
    Row {
        name: "503 with `x-should-retry: false`",
        reply: |protocol, _, _| {
            let body = protocol.error_body("overloaded", "no use");
            Reply::status(503)
                .header("x-should-retry", "false")
                .body(body)
        },
        ask: same,
        expect: |protocol| {
            coded(
                protocol,
                lasting(Kind::Status(503), "", "no use"),
                "overloaded",
            )
        },
    },
    Row {
        name: "400 with `x-should-retry: true`, once",
        reply: |protocol, number, _| match number {
            0 => {
                let body = protocol.error_body("invalid_request_error", "try again");
                Reply::status(400)
                    .header("x-should-retry", "true")
                    .body(body)
            }
            _ => protocol.good(),
        },
        ask: same,
        expect: |_| all(second_try()),
    },
    Row {
        name: "503 whose body does not come, once",
        reply: |protocol, number, _| match number {
            0 => {
                Reply::status(503)
                    .header("content-length", 100)
                    .send("bu")
                    .until_gone()
                    .0
            }
            _ => protocol.good(),
        },
        ask: |request| request.idle(SHORT),
        expect: |_| all(second_try()),
    },
    Row {
        name: "a redirect (307) to another origin",
        reply: |_, _, request| {
            Reply::status(307)
                .header("location", elsewhere(request))
                .body("")
        },
        ask: same,
        expect: |_| all(lasting(Kind::Content, "", "another origin")),
    },
    Row {
        name: "redirects in a circle",
        reply: |_, _, request| {
            Reply::status(307)
                .header("location", &request.target)
                .body("")
        },
        ask: same,
        expect: |_| all(lasting(Kind::Content, "", "more than 10 redirects").requests(11)),
    },
    Row {
        name: "no answer at all, once",
        reply: |protocol, number, _| match number {
            0 => Reply::drop_connection(),
            _ => protocol.good(),
        },
        ask: same,
        expect: |_| all(second_try()),
    },
    Row {
        name: "no answer at all, always",
        reply: |_, _, _| Reply::drop_connection(),
        ask: same,
        expect: |_| all(passing(Kind::Connection, "", "the connection broke")),
    },
    // Something else than an answer.
    Row {
        name: "an empty body, once",
        reply: |protocol, number, _| match number {
            0 => Reply::status(200)
                .header("content-type", protocol.content_type())
                .body(""),
            _ => protocol.good(),
        },
        ask: same,
        expect: |_| all(second_try()),
    },
    Row {
        name: "204",
        reply: |_, _, _| Reply::status(204),
        ask: same,
        expect: |_| all(truncated_early()),
    },
    Row {
        name: "HTML with 200",
        reply: |_, _, _| {
            let reply = Reply::status(200).header("content-type", "text/html");
            reply.body("<!doctype html>\n<title>Sign in</title>")
        },
        ask: same,
        expect: |_| all(lasting(Kind::Content, "", "<title>Sign in</title>")),
    },
    Row {
        name: "HTML with 200, labelled as a stream",
        reply: |_, _, _| {
            let reply = Reply::status(200).header("content-type", "text/event-stream");
            reply.body("<html>Sign in</html>")
        },
        ask: same,
        expect: |_| all(lasting(Kind::Content, "", "<html>Sign in</html>")),
    },
    Row {
        name: "plain words with 200",
        reply: |_, _, _| {
            Reply::status(200)
                .header("content-type", "text/plain")
                .body("upstream busy\n")
        },
        ask: same,
        expect: |_| all(truncated_early()),
    },
    Row {
        name: "JSON that is no answer",
        reply: |_, _, _| Reply::json(json!({"ok": true})),
        ask: same,
        expect: |_| all(truncated_early()),
    },
    Row {
        name: "a JSON body in the place of a stream that is cut",
        reply: |protocol, _, _| {
            let body = protocol.whole().to_string();
            Reply::json(&body[..body.len() - 30])
        },
        ask: same,
        expect: |_| all(truncated_early()),
    },
    Row {
        name: "an event that is no JSON, before the first delta",
        reply: |protocol, _, _| {
            let broken = Part {
                name: "",
                data: "{\"index\": 0, \"broken".to_owned(),
            };
            protocol.script().begin().parts(&[broken]).end()
        },
        ask: same,
        expect: |protocol| match protocol {
            // It may be the first line of one document.
            Ollama => all(truncated_early()),
            _ => all(lasting(Kind::Content, "", "cannot be read")),
        },
    },
    Row {
        name: "an event that is no JSON, after the first delta",
        reply: |protocol, _, _| {
            let broken = Part {
                name: "",
                data: "{\"index\": 0, \"broken".to_owned(),
            };
            let script = protocol.script().begun().parts(&[broken]);
            script
                .text(PIECES[1])
                .reason(Reason::End)
                .mark(Reason::End)
                .end()
        },
        ask: same,
        expect: |_| all(lasting(Kind::Content, PIECES[0], "cannot be read")),
    },
    Row {
        name: "an event of a new name whose JSON is broken",
        reply: |protocol, _, _| {
            let broken = Part {
                name: "something.new",
                data: "{\"index\": 0, \"br".to_owned(),
            };
            let script = protocol.script().begun().parts(&[broken]);
            script
                .text(PIECES[1])
                .reason(Reason::End)
                .mark(Reason::End)
                .end()
        },
        ask: same,
        expect: |protocol| match protocol.is_sse() {
            true => all(lasting(Kind::Content, PIECES[0], "cannot be read")),
            false => None,
        },
    },
    Row {
        name: "the arguments of a tool call that are no JSON",
        reply: |protocol, _, _| {
            let script = protocol
                .script()
                .told()
                .parts(&protocol.call("{\"city\": "));
            script.reason(Reason::ToolUse).mark(Reason::ToolUse).end()
        },
        ask: same,
        expect: |protocol| match protocol {
            // There they are a part of the event.
            Ollama | Gemini => all(lasting(Kind::Content, TEXT, "cannot be read")),
            _ => all(lasting(
                Kind::Content,
                TEXT,
                "the arguments of the call of `look`",
            )),
        },
    },
    Row {
        name: "such arguments at a token limit",
        reply: |protocol, _, _| {
            let script = protocol
                .script()
                .told()
                .parts(&protocol.call("{\"city\": "));
            script
                .reason(Reason::TokenLimit)
                .mark(Reason::TokenLimit)
                .end()
        },
        ask: same,
        expect: |protocol| match protocol {
            Ollama | Gemini => None,
            _ => all(whole(Stop::MaxTokens)),
        },
    },
    Row {
        name: "an event above the limit",
        reply: |protocol, _, _| {
            let script = protocol.script().begun().text(&"x".repeat(5000));
            script.reason(Reason::End).mark(Reason::End).end()
        },
        ask: |request| request.max_event(4096),
        expect: |_| all(lasting(Kind::TooLarge, PIECES[0], "4096 bytes")),
    },
    Row {
        name: "an event of many lines above the limit",
        reply: |protocol, _, _| {
            let mut script = protocol.script().begun();
            for _ in 0..100 {
                script = script.bytes(format!("data: {}\n", "x".repeat(100)));
            }
            script.silence()
        },
        ask: |request| request.max_event(4096),
        expect: |protocol| match protocol.is_sse() {
            true => all(lasting(Kind::TooLarge, PIECES[0], "4096 bytes")),
            false => None,
        },
    },
    Row {
        name: "a line without end",
        reply: |protocol, _, _| protocol.script().begun().endless(b"0123456789abcdef"),
        ask: |request| request.max_event(1 << 20),
        expect: |_| all(lasting(Kind::TooLarge, PIECES[0], "1048576 bytes")),
    },
    Row {
        name: "white space without end",
        reply: |protocol, _, _| Script::new(protocol, "text/plain").endless(b"                "),
        ask: |request| request.max_event(1 << 20),
        expect: |_| all(lasting(Kind::TooLarge, "", "1048576 bytes")),
    },
    // Silence.
    Row {
        name: "silence before the head, once",
        reply: |protocol, number, _| match number {
            0 => Reply::silence(),
            _ => protocol.good(),
        },
        ask: |request| request.first_byte(LONGER),
        expect: |_| all(second_try()),
    },
    Row {
        name: "silence before the first byte, once",
        reply: |protocol, number, _| once(protocol, number, Script::silence),
        ask: |request| request.first_byte(LONGER),
        expect: |_| all(second_try()),
    },
    Row {
        name: "silence before the first delta, once",
        reply: |protocol, number, _| {
            once(protocol, number, |script| {
                script.begin().bytes(protocol.sign_of_life()).silence()
            })
        },
        ask: |request| request.idle(SHORT),
        expect: |_| all(second_try()),
    },
    Row {
        name: "silence before the first byte, always",
        reply: |protocol, _, _| protocol.script().silence(),
        ask: |request| request.first_byte(LONGER),
        expect: |_| all(passing(Kind::Timeout, "", " within ")),
    },
    Row {
        name: "silence after the first delta",
        reply: |protocol, _, _| protocol.script().begun().silence(),
        ask: |request| request.idle(SHORT),
        expect: |_| all(silent()),
    },
    Row {
        name: "silence within an event",
        reply: |protocol, _, _| {
            let mut next = protocol.encode(&protocol.text(PIECES[1]), USUAL);
            next.truncate(next.len() / 2);
            protocol.script().begun().bytes(next).silence()
        },
        ask: |request| request.idle(SHORT),
        expect: |_| all(silent()),
    },
    Row {
        name: "a deadline before the first delta",
        reply: |protocol, _, _| protocol.script().begin().silence(),
        ask: |request| request.deadline(SHORT),
        expect: |_| all(lasting(Kind::Timeout, "", "within 300ms, the deadline")),
    },
    Row {
        name: "a deadline after the first delta",
        reply: |protocol, _, _| protocol.script().begun().silence(),
        ask: |request| request.deadline(Duration::from_millis(1500)),
        expect: |_| {
            all(lasting(
                Kind::Timeout,
                PIECES[0],
                "within 1.5s, the deadline",
            ))
        },
    },
];

/// Runs a row over a protocol, and says what is wrong.
async fn run(row: &'static Row, protocol: Protocol) -> Option<String> {
    let expect = (row.expect)(protocol)?;
    let number = AtomicUsize::new(0);
    let server =
        Server::start(move |request| (row.reply)(protocol, number.fetch_add(1, SeqCst), request));
    let request = (row.ask)(question(protocol, &server));
    let (pieces, end) = drain(request.text()).await;
    let wrong = expect
        .check(&pieces.concat(), &end, server.requests().len())
        .err()?;
    Some(format!("{}, {protocol:?}: {wrong}", row.name))
}

async fn check(protocol: Protocol) {
    let runs = ROWS.iter().map(|row| run(row, protocol));
    let wrong: Vec<String> = futures_util::stream::iter(runs)
        .buffered(8)
        .filter_map(std::future::ready)
        .collect()
        .await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn faults_of_anthropic_messages_end_as_the_table_says() {
    check(Anthropic).await;
}

#[tokio::test]
async fn faults_of_chat_completions_end_as_the_table_says() {
    check(Chat).await;
}

#[tokio::test]
async fn faults_of_responses_end_as_the_table_says() {
    check(Responses).await;
}

#[tokio::test]
async fn faults_of_ollama_end_as_the_table_says() {
    check(Ollama).await;
}

#[tokio::test]
async fn faults_of_gemini_end_as_the_table_says() {
    check(Gemini).await;
}

/// The table is in the document as it is tested here. `UPDATE=1` writes it there.
#[test]
fn the_document_has_the_table_of_faults() {
    const BEGIN: &str =
        "<!-- Written by UPDATE=1 cargo test -p unspool --test it the_document_has -->\n\n";
    const END: &str = "\n<!-- End of the table. -->";
    let mut table =
        "| fault | Anthropic | Chat | Responses | Ollama | Gemini |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for row in ROWS {
        let cells = PROTOCOLS.map(|protocol| {
            (row.expect)(protocol).map_or_else(|| "–".to_owned(), |expect| expect.to_string())
        });
        table.push_str(&format!("| {} | {} |\n", row.name, cells.join(" | ")));
    }
    check_part_of_document(BEGIN, &table, END);
}

/// The providers are in the document as the library's table has them.
#[test]
fn the_document_has_the_table_of_providers() {
    const BEGIN: &str = "<!-- Providers, written by UPDATE=1 cargo test -p unspool --test it the_document_has -->\n\n";
    const END: &str = "\n<!-- End of the providers. -->";
    let mut table = "| name | provider | where | variables for the key | variable for another address | default model |\n|---|---|---|---|---|---|\n".to_owned();
    let code = |words: Vec<&str>| match words.as_slice() {
        [] => "–".to_owned(),
        words => format!("`{}`", words.join("`, `")),
    };
    for provider in unspool::ask::Provider::all() {
        let keys: Vec<&str> = provider.key_variables().collect();
        let bases = provider.variables().filter(|name| !keys.contains(name));
        table.push_str(&format!(
            "| `{}` | {} | `{}` | {} | {} | {} |\n",
            provider.name(),
            provider.about(),
            provider.base_url(),
            code(keys.clone()),
            code(bases.collect()),
            code(provider.default_model().into_iter().collect()),
        ));
    }
    check_part_of_document(BEGIN, &table, END);
}

/// Both tables are parts of one document, which only one test at a time may write.
static DOCUMENT: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[track_caller]
fn check_part_of_document(begin: &str, table: &str, end: &str) {
    let _document = DOCUMENT.lock();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ask.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (before, rest) = document.split_once(begin).unwrap();
    let (found, after) = match rest.strip_prefix(end.trim_start()) {
        // It has never been written.
        Some(after) => ("", after),
        None => rest.split_once(end).unwrap(),
    };
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, format!("{before}{begin}{table}{end}{after}")).unwrap();
        return;
    }
    assert!(
        found == table,
        "a table of docs/ask.md is stale: run this test with UPDATE=1"
    );
}
