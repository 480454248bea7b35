//! The Messages API of Anthropic ([platform.claude.com, "Streaming
//! messages"](https://platform.claude.com/docs/en/build-with-claude/streaming)).
//!
//! *Ends when*: `message_stop`. *Auth*: `x-api-key`, or a bearer token.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use unspool_core::generator;
use url::Url;

use super::tools::ToolCalls;
use super::{Asked, Key, Provider, ProviderEntry, Reader, below, other, raw};
use crate::ask::event::Event;
use crate::ask::frames::Frames;
use crate::ask::outcome::{Stop, Usage};
use crate::ask::prompt::{Prompt, Tool};
use crate::ask::report::{reported, reported_in};
use crate::ask::text::{Joined, Piece, Word};
use crate::error::Error;

/// The Messages API of Anthropic, and servers that are compatible with it.
pub const ANTHROPIC: Provider = Provider(&ProviderEntry {
    name: "anthropic",
    about: "Anthropic Messages",
    base: "https://api.anthropic.com",
    base_variables: &["ANTHROPIC_BASE_URL"],
    keys: &[
        ("ANTHROPIC_API_KEY", Key::Header("x-api-key")),
        ("ANTHROPIC_AUTH_TOKEN", Key::Bearer),
    ],
    is_open: false,
    serves: |model| model.starts_with("claude"),
    request,
    read,
});

/// What a request has to have.
const MAX_TOKENS: u64 = 1024;

/// The newest version of the API, which knows no temperature, and the one before it.
const VERSION: &str = "2026-10-21";
const VERSION_WITH_SAMPLING: &str = "2023-06-01";

fn request(prompt: &Prompt, base: Url) -> Asked {
    let (system, messages) = prompt.system_apart();
    let tool = |tool: &Tool| {
        json!({
            "name": tool.name,
            "description": tool.description,
            "input_schema": tool.parameters,
        })
    };
    let body = prompt.body(json!({
        "model": prompt.model,
        "max_tokens": prompt.max_tokens.unwrap_or(MAX_TOKENS),
        "system": system,
        "messages": messages,
        "tools": prompt.tools_as(tool),
        "temperature": prompt.temperature,
        "stop_sequences": (!prompt.stop_sequences.is_empty()).then_some(&prompt.stop_sequences),
        "stream": true,
    }));
    let has_sampling = ["temperature", "top_p", "top_k"]
        .iter()
        .any(|name| body.get(name).is_some());
    let version = match has_sampling {
        true => VERSION_WITH_SAMPLING,
        false => VERSION,
    };
    Asked {
        url: below(base, "v1", &["messages"]),
        body,
        headers: vec![("anthropic-version", version.to_owned())],
    }
}

fn read(mut frames: Frames) -> Reader {
    Box::pin(generator! {
        let mut text = Joined::default();
        let mut thinking = Joined::default();
        let mut tools = ToolCalls::default();
        let mut ended = Ended::default();
        let mut is_begun = false;
        while let Some(frame) = frames.next().await? {
            // What proxies add that know another protocol proves nothing here.
            if frame.data.starts_with("[DONE]") {
                continue;
            }
            if &*frame.name == "error" {
                Err(reported_in(&frame))?;
            }
            let Some(event) = frames.parse_known::<Message<'_>>(&frame, is_known)? else {
                yield other(&frame.name, &frame.data)?;
                continue;
            };
            match event.kind.as_deref().unwrap_or(&frame.name) {
                "content_block_delta" => {
                    let Some(delta) = event.delta else { continue };
                    match delta.kind.as_deref() {
                        Some("text_delta") => {
                            let text = text.add(delta.text.unwrap_or_default());
                            if !text.is_empty() {
                                yield Event::Text { text };
                            }
                        }
                        Some("thinking_delta") => {
                            let text = thinking.add(delta.thinking.unwrap_or_default());
                            if !text.is_empty() {
                                yield Event::Thinking { text };
                            }
                        }
                        Some("input_json_delta") if tools.is_open(event.index) => {
                            let piece = delta.partial_json.unwrap_or_default();
                            if let Some(event) = tools.delta(event.index, piece)? {
                                yield event;
                            }
                        }
                        Some("citations_delta") if let Some(citation) = delta.citation => {
                            yield Event::Citation { citation: raw(citation.get())? };
                        }
                        _ => yield other("content_block_delta", &frame.data)?,
                    }
                }
                "content_block_start" => {
                    let Some(block) = event.content_block else { continue };
                    let (events, is_known) = begin(*block, event.index, &mut tools, &mut text, &mut thinking)?;
                    for event in events {
                        yield event;
                    }
                    if !is_known {
                        yield other("content_block_start", &frame.data)?;
                    }
                }
                "content_block_stop" => {
                    if let Some(event) = tools.finish(event.index, None) {
                        yield event;
                    }
                }
                "message_start" => {
                    // A proxy that starts over behind the client's back would have its text
                    // come twice.
                    if is_begun {
                        Err(Error::content("the answer begins a second time"))?;
                    }
                    is_begun = true;
                    let message = event.message.unwrap_or_default();
                    yield Event::Start { id: message.id, model: message.model };
                    if let Some(usage) = message.usage {
                        yield Event::Usage(usage.into());
                    }
                }
                "message_delta" => {
                    if let Some(usage) = event.usage {
                        yield Event::Usage((*usage).into());
                    }
                    let delta = event.delta.unwrap_or_default();
                    ended.take(delta.stop_reason, delta.stop_sequence);
                }
                "message_stop" => {
                    for event in ended.events(&mut tools, &mut text)? {
                        yield event;
                    }
                    return Ok(());
                }
                // The message as a whole: a server that does not stream. That is also what an
                // event without a name is called.
                "message" if event.kind.is_some() => {
                    yield Event::Start { id: event.id, model: event.model };
                    for (index, block) in event.content.into_iter().flatten().enumerate() {
                        let index = index as u64;
                        let whole: Block<'_> = serde_json::from_str(block.get())
                            .map_err(|error| frames.unfit(&frame, &error.to_string()))?;
                        let (events, is_known) = begin(whole, index, &mut tools, &mut text, &mut thinking)?;
                        for event in events {
                            yield event;
                        }
                        if let Some(event) = tools.finish(index, None) {
                            yield event;
                        }
                        if !is_known {
                            yield other("content_block", block.get())?;
                        }
                    }
                    if let Some(usage) = event.usage {
                        yield Event::Usage((*usage).into());
                    }
                    ended.take(event.stop_reason, event.stop_sequence);
                    for event in ended.events(&mut tools, &mut text)? {
                        yield event;
                    }
                    return Ok(());
                }
                "ping" => {}
                "error" => Err(reported_in(&frame))?,
                _ if let Some(error) = event.error => Err(reported(&json!({"error": error})))?,
                name => yield other(name, &frame.data)?,
            }
        }
        Err(frames.truncated("`message_stop`"))
    })
}

/// Whether an event of this name is read here.
fn is_known(name: &str) -> bool {
    const READ: &[&str] = &[
        "content_block_delta",
        "content_block_start",
        "content_block_stop",
        "message_start",
        "message_delta",
        "message_stop",
        "message",
        "error",
    ];
    READ.contains(&name)
}

/// The events of the begin of a block, and whether it is one of those that have events.
fn begin(
    block: Block<'_>,
    index: u64,
    tools: &mut ToolCalls,
    text: &mut Joined,
    thinking: &mut Joined,
) -> Result<(Vec<Event>, bool), Error> {
    let mut events = Vec::new();
    match block.kind.as_deref() {
        Some("text") => {
            let text = text.add(block.text.unwrap_or_default());
            if !text.is_empty() {
                events.push(Event::Text { text });
            }
            for citation in block.citations.into_iter().flatten() {
                events.push(Event::Citation {
                    citation: raw(citation.get())?,
                });
            }
        }
        Some("thinking") => {
            let text = thinking.add(block.thinking.unwrap_or_default());
            if !text.is_empty() {
                events.push(Event::Thinking { text });
            }
        }
        Some("tool_use") => {
            events.push(tools.start(index, block.id, block.name.unwrap_or_default()));
            // Streamed, this is an empty object, and the arguments follow.
            let input = block.input.map(RawValue::get).unwrap_or_default();
            let input = match input.trim() {
                "{}" | "null" => "",
                input => input,
            };
            events.extend(tools.delta(index, input.to_owned())?);
        }
        _ => return Ok((events, false)),
    }
    Ok((events, true))
}

/// Why the answer ended, as it is stated before the end mark.
#[derive(Default)]
struct Ended {
    reason: Option<String>,
    sequence: Option<String>,
}

impl Ended {
    fn take(&mut self, reason: Option<String>, sequence: Option<String>) {
        self.reason = reason.or(self.reason.take());
        self.sequence = sequence.or(self.sequence.take());
    }

    /// The last events.
    fn events(&mut self, tools: &mut ToolCalls, text: &mut Joined) -> Result<Vec<Event>, Error> {
        let stop = match self.reason.as_deref() {
            Some("end_turn") => Stop::End,
            Some("stop_sequence") => Stop::StopSequence,
            Some("tool_use") => Stop::ToolUse,
            Some("max_tokens") => Stop::MaxTokens,
            Some("model_context_window_exceeded") => Stop::ContextWindow,
            Some("refusal") => Stop::Refusal,
            // Compatible servers have it from other protocols.
            Some("content_filter") => Stop::ContentFilter,
            Some("pause_turn") => Stop::Pause,
            Some(_) => Stop::Other,
            None => Stop::Unstated,
        };
        let mut events = tools.finish_all();
        events.extend(text.end().map(|text| Event::Text { text }));
        tools.check(stop)?;
        events.push(Event::Stop {
            stop,
            reason: self.reason.take(),
            sequence: self.sequence.take(),
        });
        Ok(events)
    }
}

/// Any event of the stream, or a message as a whole. Nearly all are a piece of text: what
/// those do not have is in boxes, so that little is moved for each.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Word<'a>>,
    index: u64,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    content_block: Option<Box<Block<'a>>>,
    message: Option<Box<Begin>>,
    usage: Option<Box<Counts>>,
    error: Option<Box<Value>>,
    id: Option<String>,
    model: Option<String>,
    #[serde(borrow)]
    content: Option<Vec<&'a RawValue>>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Word<'a>>,
    text: Option<Piece>,
    thinking: Option<Piece>,
    partial_json: Option<String>,
    #[serde(borrow)]
    citation: Option<&'a RawValue>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Block<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Word<'a>>,
    id: Option<String>,
    name: Option<String>,
    text: Option<Piece>,
    thinking: Option<Piece>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    citations: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Begin {
    id: Option<String>,
    model: Option<String>,
    usage: Option<Counts>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    output_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    thinking_tokens: Option<u64>,
}

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Self {
        Usage {
            input_tokens: counts.input_tokens,
            output_tokens: counts.output_tokens,
            cache_read_tokens: counts.cache_read_input_tokens,
            cache_write_tokens: counts.cache_creation_input_tokens,
            reasoning_tokens: (counts.output_tokens_details)
                .and_then(|details| details.thinking_tokens),
        }
    }
}
