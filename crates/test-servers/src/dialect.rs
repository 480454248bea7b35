//! The same answer in the words of each protocol, so that a fault is written once.

use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{Reply, Request};

/// The text of the answer of which all tests are variations.
pub const TEXT: &str = "Hello, wörld 😀!";

/// The pieces that it comes in.
pub const PIECES: [&str; 3] = ["Hello", ", wörld ", "😀!"];

/// What models' servers speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The Messages API of Anthropic.
    Anthropic,
    /// The Chat Completions of OpenAI, and of many others.
    Chat,
    /// The Responses API of OpenAI.
    Responses,
    /// The chat API of Ollama.
    Ollama,
    /// The API of Gemini.
    Gemini,
}

use Protocol::{Anthropic, Chat, Gemini, Ollama, Responses};

/// All of them.
pub const PROTOCOLS: [Protocol; 5] = [Anthropic, Chat, Responses, Ollama, Gemini];

/// Why an answer ends, as the upstream states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The model has no more to say.
    End,
    /// It came to the token limit of the request.
    TokenLimit,
    /// A filter stopped it.
    Filter,
    /// It waits for the results of its tool calls.
    ToolUse,
    /// One that is in no reference.
    New,
    /// None where the protocol has a place for one.
    None,
}

/// One event: the name that it has as a server-sent event, and its data.
#[derive(Clone, Debug)]
pub struct Part {
    /// Empty where the protocol has no names.
    pub name: &'static str,
    /// JSON, but for the end mark of Chat Completions.
    pub data: String,
}

/// How events are written.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether there are `event:` lines.
    pub is_named: bool,
    /// What ends a line.
    pub line_end: &'static str,
    /// What stands between the name and the value of a field.
    pub colon: &'static str,
}

/// As the services write them.
pub const USUAL: Style = Style {
    is_named: true,
    line_end: "\n",
    colon: ": ",
};

fn part(name: &'static str, data: &Value) -> Part {
    Part {
        name,
        data: data.to_string(),
    }
}

/// A chunk of Chat Completions.
fn chunk(delta: &Value, finish_reason: &Value) -> Part {
    part(
        "",
        &json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m-1",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        }),
    )
}

/// A line of Ollama.
fn line(message: &Value) -> Part {
    part(
        "",
        &json!({"model": "m-1", "created_at": "2026-11-01T00:00:00Z", "message": message, "done": false}),
    )
}

/// A response of Gemini.
fn candidate(parts: &Value) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": parts}, "index": 0}], "modelVersion": "m-1"})
}

fn named(data: &Value) -> Part {
    let name = match data["type"].as_str().unwrap() {
        "content_block_delta" => "content_block_delta",
        "content_block_start" => "content_block_start",
        "content_block_stop" => "content_block_stop",
        "message_start" => "message_start",
        "message_delta" => "message_delta",
        "message_stop" => "message_stop",
        "response.created" => "response.created",
        "response.output_item.added" => "response.output_item.added",
        "response.output_item.done" => "response.output_item.done",
        "response.output_text.delta" => "response.output_text.delta",
        "response.output_text.done" => "response.output_text.done",
        "response.function_call_arguments.delta" => "response.function_call_arguments.delta",
        "response.completed" => "response.completed",
        "response.incomplete" => "response.incomplete",
        "ping" => "ping",
        "error" => "error",
        _ => "something.new",
    };
    part(name, data)
}

impl Protocol {
    /// The name that unspool has for whoever speaks it.
    pub fn provider(self) -> &'static str {
        match self {
            Anthropic => "anthropic",
            Chat => "openai",
            Responses => "responses",
            Ollama => "ollama",
            Gemini => "gemini",
        }
    }

    /// Whether its events are server-sent events, and not lines.
    pub fn is_sse(self) -> bool {
        self != Ollama
    }

    /// The content type of its streams.
    pub fn content_type(self) -> &'static str {
        match self.is_sse() {
            true => "text/event-stream; charset=utf-8",
            false => "application/x-ndjson",
        }
    }

    /// What comes before the first piece of text.
    pub fn begin(self) -> Vec<Part> {
        match self {
            Anthropic => vec![
                named(&json!({"type": "message_start", "message": {
                    "id": "msg_1", "type": "message", "role": "assistant", "model": "m-1",
                    "content": [], "stop_reason": null, "stop_sequence": null,
                    "usage": {"input_tokens": 9, "output_tokens": 1},
                }})),
                named(&json!({"type": "content_block_start", "index": 0,
                    "content_block": {"type": "text", "text": ""}})),
            ],
            Chat => vec![chunk(
                &json!({"role": "assistant", "content": ""}),
                &Value::Null,
            )],
            Responses => vec![
                named(&json!({"type": "response.created", "sequence_number": 0,
                    "response": {"id": "resp_1", "model": "m-1", "status": "in_progress", "output": []}})),
                named(
                    &json!({"type": "response.output_item.added", "sequence_number": 1,
                    "output_index": 0, "item": {"type": "message", "content": []}}),
                ),
            ],
            Ollama | Gemini => Vec::new(),
        }
    }

    /// A piece of text.
    pub fn text(self, piece: &str) -> Part {
        self.raw_text(&json!(piece).to_string())
    }

    /// A piece of text as a JSON string.
    pub fn raw_text(self, string: &str) -> Part {
        let mut part = match self {
            Anthropic => named(&json!({"type": "content_block_delta", "index": 0,
                "delta": {"type": "text_delta", "text": "TEXT"}})),
            Chat => chunk(&json!({"content": "TEXT"}), &Value::Null),
            Responses => named(
                &json!({"type": "response.output_text.delta", "sequence_number": 2,
                "output_index": 0, "content_index": 0, "delta": "TEXT"}),
            ),
            Ollama => line(&json!({"role": "assistant", "content": "TEXT"})),
            Gemini => part("", &candidate(&json!([{"text": "TEXT"}]))),
        };
        part.data = part.data.replace("\"TEXT\"", string);
        part
    }

    /// A call of a tool, with these bytes as its arguments.
    pub fn call(self, arguments: &str) -> Vec<Part> {
        match self {
            Anthropic => vec![
                named(&json!({"type": "content_block_start", "index": 1,
                    "content_block": {"type": "tool_use", "id": "t1", "name": "look", "input": {}}})),
                named(&json!({"type": "content_block_delta", "index": 1,
                    "delta": {"type": "input_json_delta", "partial_json": arguments}})),
                named(&json!({"type": "content_block_stop", "index": 1})),
            ],
            Chat => vec![chunk(
                &json!({"tool_calls": [{"index": 0, "id": "t1", "type": "function",
                    "function": {"name": "look", "arguments": arguments}}]}),
                &Value::Null,
            )],
            Responses => vec![
                named(
                    &json!({"type": "response.output_item.added", "output_index": 1,
                    "item": {"type": "function_call", "call_id": "t1", "name": "look", "arguments": ""}}),
                ),
                named(
                    &json!({"type": "response.function_call_arguments.delta", "output_index": 1,
                    "delta": arguments}),
                ),
                named(
                    &json!({"type": "response.output_item.done", "output_index": 1,
                    "item": {"type": "function_call", "call_id": "t1", "name": "look",
                        "arguments": arguments}}),
                ),
            ],
            Ollama => {
                let mut part = line(&json!({"role": "assistant", "content": "", "tool_calls": [
                    {"function": {"name": "look", "arguments": "ARGUMENTS"}}]}));
                part.data = part.data.replace("\"ARGUMENTS\"", arguments);
                vec![part]
            }
            Gemini => {
                let call =
                    candidate(&json!([{"functionCall": {"name": "look", "args": "ARGUMENTS"}}]));
                let mut part = part("", &call);
                part.data = part.data.replace("\"ARGUMENTS\"", arguments);
                vec![part]
            }
        }
    }

    /// The protocol's own word for a reason.
    fn word(self, reason: Reason) -> Value {
        let words = match reason {
            Reason::End => ["end_turn", "stop", "completed", "stop", "STOP"],
            Reason::TokenLimit => [
                "max_tokens",
                "length",
                "max_output_tokens",
                "length",
                "MAX_TOKENS",
            ],
            Reason::Filter => ["refusal", "content_filter", "content_filter", "", "SAFETY"],
            Reason::ToolUse => ["tool_use", "tool_calls", "completed", "stop", "STOP"],
            Reason::New => ["tea_break"; 5],
            Reason::None => return Value::Null,
        };
        json!(words[self as usize])
    }

    /// The events that state a reason, where they are not the end mark themselves.
    pub fn reason(self, reason: Reason) -> Vec<Part> {
        let word = self.word(reason);
        match self {
            Anthropic => vec![
                named(&json!({"type": "content_block_stop", "index": 0})),
                named(&json!({"type": "message_delta",
                    "delta": {"stop_reason": word, "stop_sequence": null},
                    "usage": {"output_tokens": 7}})),
            ],
            Chat => vec![chunk(&json!({}), &word)],
            Responses | Ollama => Vec::new(),
            Gemini => {
                let mut last = candidate(&json!([{"text": ""}]));
                last["candidates"][0]["finishReason"] = word;
                last["usageMetadata"] = json!({"promptTokenCount": 9, "candidatesTokenCount": 7});
                vec![part("", &last)]
            }
        }
    }

    /// The end mark, where it is an event.
    pub fn mark(self, reason: Reason) -> Vec<Part> {
        let word = self.word(reason);
        match self {
            Anthropic => vec![named(&json!({"type": "message_stop"}))],
            Chat => vec![
                part(
                    "",
                    &json!({"id": "chatcmpl-1", "object": "chat.completion.chunk",
                    "model": "m-1", "choices": [],
                    "usage": {"prompt_tokens": 9, "completion_tokens": 7}}),
                ),
                Part {
                    name: "",
                    data: "[DONE]".to_owned(),
                },
            ],
            Responses => {
                let is_complete = matches!(reason, Reason::End | Reason::ToolUse | Reason::None);
                let (name, status, details) = match is_complete {
                    true => ("response.completed", "completed", Value::Null),
                    false => ("response.incomplete", "incomplete", json!({"reason": word})),
                };
                vec![named(&json!({"type": name, "response": {
                    "id": "resp_1", "model": "m-1", "status": status,
                    "incomplete_details": details,
                    "usage": {"input_tokens": 9, "output_tokens": 7},
                }}))]
            }
            Ollama => {
                let mut last = json!({"model": "m-1", "message": {"role": "assistant", "content": ""},
                    "done": true, "prompt_eval_count": 9, "eval_count": 7});
                if !word.is_null() {
                    last["done_reason"] = word;
                }
                vec![part("", &last)]
            }
            Gemini => Vec::new(),
        }
    }

    /// An error as an event.
    pub fn error(self, code: &str, message: &str) -> Part {
        match self {
            Anthropic => named(&json!({"type": "error",
                "error": {"type": code, "message": message}})),
            Responses => named(&json!({"type": "error", "code": code, "message": message,
                "param": null, "sequence_number": 1})),
            // Ollama has no codes.
            Ollama => part("", &json!({"error": message})),
            Chat => part(
                "",
                &json!({"error": {"message": message, "type": code, "code": null}}),
            ),
            Gemini => part(
                "",
                &json!({"error": {"message": message, "status": code, "code": null}}),
            ),
        }
    }

    /// The body of an answer with another status than 200.
    pub fn error_body(self, code: &str, message: &str) -> String {
        match self {
            Ollama => json!({"error": message}),
            Anthropic => json!({"type": "error", "error": {"type": code, "message": message}}),
            Chat | Responses => {
                json!({"error": {"message": message, "type": code, "code": code, "param": null}})
            }
            Gemini => json!({"error": {"message": message, "status": code, "code": 1}}),
        }
        .to_string()
    }

    /// What no reference has.
    pub fn news(self) -> Vec<Part> {
        match self {
            Anthropic => vec![
                named(&json!({"type": "hologram", "frames": [1]})),
                named(&json!({"type": "content_block_delta", "index": 0,
                    "delta": {"type": "hologram_delta", "frame": 1}})),
                named(&json!({"type": "content_block_delta", "index": 0,
                    "delta": {"type": "citations_delta", "citation": {"type": "x"}}})),
                named(&json!({"type": "content_block_start", "index": 7,
                    "content_block": {"type": "hologram"}})),
                named(&json!({"type": "hologram", "index": "first", "delta": "x", "message": 7})),
                Part {
                    name: "heartbeat",
                    data: "no JSON".to_owned(),
                },
                // No type at all, and no name.
                part("", &json!({"padding": "xyz"})),
            ],
            Chat => vec![
                Part {
                    name: "hologram",
                    ..part("", &json!({"frames": [1]}))
                },
                chunk(&json!({"hologram": 1}), &Value::Null),
                part("", &json!({"object": "hologram", "choices": []})),
            ],
            Responses => vec![
                named(&json!({"type": "response.hologram.delta", "delta": "x"})),
                named(
                    &json!({"type": "response.output_item.added", "output_index": 3,
                    "item": {"type": "hologram"}}),
                ),
                named(&json!({"type": "response.hologram.done", "delta": {"x": 1}, "text": 7})),
                Part {
                    name: "heartbeat",
                    data: "no JSON".to_owned(),
                },
                part("", &json!({"padding": "xyz"})),
            ],
            Ollama => vec![
                part("", &json!({"hologram": [1]})),
                line(&json!({"role": "assistant", "content": "", "hologram": 1})),
            ],
            Gemini => vec![
                part("", &json!({"hologram": [1]})),
                part("", &candidate(&json!([{"hologram": 1}]))),
            ],
        }
    }

    /// The answer as one document, from a server that does not stream.
    pub fn whole(self) -> Value {
        match self {
            Anthropic => {
                json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m-1",
                "content": [{"type": "text", "text": TEXT}], "stop_reason": "end_turn",
                "usage": {"input_tokens": 9, "output_tokens": 7}})
            }
            Chat => json!({"id": "chatcmpl-1", "object": "chat.completion", "model": "m-1",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT},
                    "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 7}}),
            Responses => json!({"id": "resp_1", "object": "response", "model": "m-1",
                "status": "completed", "output": [{"type": "message", "role": "assistant",
                    "content": [{"type": "output_text", "text": TEXT, "annotations": []}]}],
                "usage": {"input_tokens": 9, "output_tokens": 7}}),
            Ollama => json!({"model": "m-1", "message": {"role": "assistant", "content": TEXT},
                "done": true, "done_reason": "stop", "prompt_eval_count": 9, "eval_count": 7}),
            Gemini => {
                json!({"candidates": [{"content": {"role": "model", "parts": [{"text": TEXT}]},
                "finishReason": "STOP", "index": 0}],
                "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 7}})
            }
        }
    }

    /// Something that is no event, but a sign of life.
    pub fn sign_of_life(self) -> Vec<u8> {
        match self {
            Anthropic => self.encode(&named(&json!({"type": "ping"})), USUAL),
            Ollama => b"\n".to_vec(),
            Chat | Responses | Gemini => b": keep-alive\n\n".to_vec(),
        }
    }

    /// One event as it is sent.
    pub fn encode(self, part: &Part, style: Style) -> Vec<u8> {
        let Style {
            is_named,
            line_end,
            colon,
        } = style;
        let data = &part.data;
        if !self.is_sse() {
            return format!("{data}{line_end}").into_bytes();
        }
        let name = match is_named && !part.name.is_empty() {
            true => format!("event{colon}{}{line_end}", part.name),
            false => String::new(),
        };
        format!("{name}data{colon}{data}{line_end}{line_end}").into_bytes()
    }

    /// Events as they are sent.
    pub fn encode_all(self, parts: &[Part], style: Style) -> Vec<u8> {
        parts
            .iter()
            .flat_map(|part| self.encode(part, style))
            .collect()
    }

    /// All events of the answer.
    pub fn answer(self) -> Vec<Part> {
        let mut parts = self.begin();
        parts.extend(PIECES.map(|piece| self.text(piece)));
        parts.extend(self.reason(Reason::End));
        parts.extend(self.mark(Reason::End));
        parts
    }

    /// A stream that is to be written.
    pub fn script(self) -> Script {
        Script::new(self, self.content_type())
    }

    /// The answer without a fault.
    pub fn good(self) -> Reply {
        self.script().parts(&self.answer()).end()
    }
}

/// A reply in chunks, one for each event.
pub struct Script {
    protocol: Protocol,
    reply: Reply,
}

impl Script {
    /// One with another content type than the protocol's own.
    pub fn new(protocol: Protocol, content_type: &str) -> Self {
        let reply = Reply::status(200)
            .header("content-type", content_type)
            .header("request-id", "req_1")
            .chunked();
        Script { protocol, reply }
    }

    /// A chunk with these bytes.
    pub fn bytes(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.reply = self.reply.chunk(bytes);
        self
    }

    /// A chunk for each of these events.
    pub fn parts(mut self, parts: &[Part]) -> Self {
        for part in parts {
            let bytes = self.protocol.encode(part, USUAL);
            self = self.bytes(bytes);
        }
        self
    }

    /// What comes before the text.
    pub fn begin(self) -> Self {
        let begin = self.protocol.begin();
        self.parts(&begin)
    }

    /// One more piece of text.
    pub fn text(self, piece: &str) -> Self {
        let part = self.protocol.text(piece);
        self.parts(&[part])
    }

    /// Begin and first piece of the text.
    pub fn begun(self) -> Self {
        self.begin().text(PIECES[0])
    }

    /// Begin and all of the text.
    pub fn told(self) -> Self {
        PIECES
            .iter()
            .fold(self.begin(), |script, piece| script.text(piece))
    }

    /// The reason, where it is not in the end mark.
    pub fn reason(self, reason: Reason) -> Self {
        let parts = self.protocol.reason(reason);
        self.parts(&parts)
    }

    /// The end mark.
    pub fn mark(self, reason: Reason) -> Self {
        let parts = self.protocol.mark(reason);
        self.parts(&parts)
    }

    /// Nothing for a while: only where a test is about time.
    pub fn pause(mut self, time: Duration) -> Self {
        self.reply = self.reply.pause(time);
        self
    }

    /// The end of the body.
    pub fn end(self) -> Reply {
        self.reply.last_chunk()
    }

    /// The connection breaks within a chunk.
    pub fn cut(self) -> Reply {
        self.reply.send("ff\r\n").close()
    }

    /// The connection stays open, and nothing more comes.
    pub fn silence(self) -> Reply {
        self.reply.until_gone().0
    }

    /// These bytes without end, in one chunk.
    pub fn endless(self, bytes: &[u8]) -> Reply {
        self.repeating(bytes).0
    }

    /// The same; the receiver gets the number of bytes that the client took.
    pub fn repeating(self, bytes: &[u8]) -> (Reply, Receiver<u64>) {
        let bytes = bytes.repeat(4096 / bytes.len());
        self.reply.send("fffffffffffff\r\n").repeating(bytes)
    }

    /// The connection stays open until the client closes it; the receiver gets when.
    pub fn until_gone(self) -> (Reply, Receiver<Instant>) {
        self.reply.until_gone()
    }

    /// Goes on when the sender sends.
    pub fn gate(self) -> (Self, Sender<()>) {
        let (reply, gate) = self.reply.gate();
        (Script { reply, ..self }, gate)
    }
}

/// The address of the same server by another name, which is another origin.
pub fn elsewhere(request: &Request) -> String {
    let host = request.header("host").unwrap();
    format!(
        "http://localhost:{}/stolen",
        host.rsplit_once(':').unwrap().1
    )
}
