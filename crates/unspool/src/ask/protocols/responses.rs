//! The Responses API of OpenAI ([platform.openai.com, "Streaming
//! events"](https://platform.openai.com/docs/api-reference/responses-streaming)).
//!
//! *Ends when*: `response.completed`, `response.incomplete` or `response.failed`. *Auth*: a
//! bearer token.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use unspool_core::generator;
use url::Url;

use super::chat::{BASE, InputDetails, OutputDetails, address, headers, is_own};
use super::tools::ToolCalls;
use super::{Asked, Key, Provider, ProviderEntry, Reader, other, raw};
use crate::ask::event::Event;
use crate::ask::frames::{Frame, Frames};
use crate::ask::outcome::{Stop, Usage};
use crate::ask::prompt::{Prompt, Tool};
use crate::ask::report::{reported, reported_in};
use crate::ask::text::{Joined, Piece, Word};
use crate::error::Kind;

/// The Responses API of OpenAI, and servers that are compatible with it.
pub const RESPONSES: Provider = Provider(&ProviderEntry {
    name: "responses",
    about: "OpenAI Responses",
    base: BASE,
    base_variables: &["OPENAI_BASE_URL"],
    keys: &[("OPENAI_API_KEY", Key::Bearer)],
    is_open: false,
    // Its models are those of the Chat Completions, too.
    serves: |_| false,
    request,
    read,
});

/// Events that say nothing which others do not say.
const KNOWN: &[&str] = &[
    "keepalive",
    "response.queued",
    "response.in_progress",
    "response.content_part.added",
    "response.content_part.done",
    "response.refusal.done",
    "response.function_call_arguments.done",
    "response.reasoning_summary_part.added",
    "response.reasoning_summary_part.done",
    "response.reasoning_summary_text.done",
    "response.reasoning_text.done",
];

fn request(prompt: &Prompt, base: Url) -> Asked {
    let is_own = is_own(&base);
    let (system, messages) = prompt.system_apart();
    let tool = |tool: &Tool| {
        json!({
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        })
    };
    Asked {
        url: address(base, &["responses"]),
        body: prompt.body(json!({
            "model": prompt.model,
            "instructions": system,
            "input": messages,
            "tools": prompt.tools_as(tool),
            "max_output_tokens": prompt.max_tokens,
            "temperature": prompt.temperature,
            "stream": true,
            "stream_options": is_own.then(|| json!({"include_obfuscation": false})),
        })),
        headers: headers(),
    }
}

fn read(mut frames: Frames) -> Reader {
    Box::pin(generator! {
        let mut text = Joined::default();
        let mut thinking = Joined::default();
        let mut refusal = Joined::default();
        let mut has_refused = false;
        let mut tools = ToolCalls::default();
        // Bytes of text that came, and that came once more as a whole.
        let (mut told, mut retold) = (0, 0);
        let mut has_model = false;
        while let Some(frame) = frames.next().await? {
            // Compatible servers may end as the Chat Completions do.
            if frame.data.starts_with("[DONE]") {
                continue;
            }
            let Some(event) = frames.parse_known::<StreamEvent<'_>>(&frame, is_known)? else {
                yield other(&frame.name, &frame.data)?;
                continue;
            };
            let name = match event.kind.as_deref() {
                Some(name) => name,
                None if event.object.as_deref() == Some("response") => "response",
                None => &frame.name,
            };
            match name {
                "response.output_text.delta" => {
                    let text = text.add(event.delta.unwrap_or_default());
                    if !text.is_empty() {
                        told += text.len();
                        yield Event::Text { text };
                    }
                }
                // The text of a part as a whole: nothing of it may have been lost.
                "response.output_text.done" => {
                    let whole = text_of(event.text.and_then(|text| serde_json::from_str(text.get()).ok()));
                    retold += whole.len();
                    let missing = retold.saturating_sub(told);
                    if missing == whole.len() && missing > 0 {
                        told += whole.len();
                        yield Event::Text { text: whole };
                    } else if missing > 0 {
                        Err(lost(missing))?;
                    }
                }
                "response.reasoning_text.delta" | "response.reasoning_summary_text.delta" => {
                    let text = thinking.add(event.delta.unwrap_or_default());
                    if !text.is_empty() {
                        yield Event::Thinking { text };
                    }
                }
                "response.refusal.delta" => {
                    has_refused = true;
                    yield Event::Refusal { text: refusal.add(event.delta.unwrap_or_default()) };
                }
                "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                    let piece = text_of(event.delta);
                    if let Some(event) = tools.delta(event.output_index, piece)? {
                        yield event;
                    }
                }
                "response.output_text.annotation.added" => {
                    if let Some(citation) = event.annotation {
                        yield Event::Citation { citation: raw(citation.get())? };
                    }
                }
                "response.output_item.added" => {
                    let item = event.item.unwrap_or_default();
                    match item.kind.as_deref() {
                        Some("function_call") => {
                            yield tools.start(event.output_index, item.call_id.or(item.id), item.name.unwrap_or_default());
                        }
                        Some("custom_tool_call") => {
                            yield tools.start_text(event.output_index, item.call_id.or(item.id), item.name.unwrap_or_default());
                        }
                        Some("message" | "reasoning") => {}
                        _ => yield other(name, &frame.data)?,
                    }
                }
                "response.output_item.done" => {
                    let item = event.item.unwrap_or_default();
                    match item.kind.as_deref() {
                        Some("function_call" | "custom_tool_call") => {
                            if let Some(event) = tools.finish(event.output_index, item.arguments.or(item.input)) {
                                yield event;
                            }
                        }
                        Some("message" | "reasoning") => {}
                        _ => yield other(name, &frame.data)?,
                    }
                }
                "response.created" => {
                    let response = event.response.unwrap_or_default();
                    has_model = response.model.is_some();
                    yield Event::Start { id: response.id, model: response.model };
                }
                "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                    let response = event.response.unwrap_or_default();
                    if !has_model && response.model.is_some() {
                        yield Event::Start { id: response.id.clone(), model: response.model.clone() };
                    }
                    // From a server that streams nothing but this.
                    if told == 0 && !tools.any && !has_refused {
                        for event in response.events(&frames, &frame, &mut tools, &mut text, &mut has_refused)? {
                            yield event;
                        }
                    }
                    if let Some(text) = text.end() {
                        yield Event::Text { text };
                    }
                    for event in ended(name, response, has_refused, &mut tools)? {
                        yield event;
                    }
                    return Ok(());
                }
                // The response as a whole: a server that does not stream.
                "response" => {
                    let response: Response<'_> = frames.parse(&frame)?;
                    yield Event::Start { id: response.id.clone(), model: response.model.clone() };
                    for event in response.events(&frames, &frame, &mut tools, &mut text, &mut has_refused)? {
                        yield event;
                    }
                    for event in ended("response", response, has_refused, &mut tools)? {
                        yield event;
                    }
                    return Ok(());
                }
                "error" => Err(reported_in(&frame))?,
                _ if let Some(error) = event.error => Err(reported(&json!({"error": error})))?,
                name if KNOWN.contains(&name) => {}
                name => yield other(name, &frame.data)?,
            }
        }
        Err(frames.truncated("a terminal event such as `response.completed`"))
    })
}

/// Whether an event of this name is read here.
fn is_known(name: &str) -> bool {
    const READ: &[&str] = &[
        "error",
        "response",
        "response.output_text.delta",
        "response.output_text.done",
        "response.reasoning_text.delta",
        "response.reasoning_summary_text.delta",
        "response.refusal.delta",
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
        "response.output_text.annotation.added",
        "response.output_item.added",
        "response.output_item.done",
        "response.created",
        "response.completed",
        "response.incomplete",
        "response.failed",
        "response.cancelled",
    ];
    READ.contains(&name)
}

/// The error for text that was announced, but did not come.
fn lost(bytes: usize) -> crate::Error {
    crate::Error::new(
        Kind::Truncated,
        format!("{bytes} bytes of the text that the upstream sums up did not come"),
    )
}

/// How a response ended, by the name of the terminal event, and by itself: there are servers
/// that call all of them completed.
fn status<'s>(name: &'s str, response: &'s Response<'_>) -> &'s str {
    let details = response.incomplete_details.as_ref();
    match (name.trim_start_matches("response."), &response.status) {
        ("completed" | "response", Some(status)) if status != "completed" => status,
        ("completed" | "response", _)
            if details.is_some_and(|details| details.reason.is_some()) =>
        {
            "incomplete"
        }
        ("response", Some(status)) => status,
        (name, _) => name,
    }
}

/// The last events, by the name of the terminal one and the response in it.
fn ended(
    name: &str,
    response: Response<'_>,
    has_refused: bool,
    tools: &mut ToolCalls,
) -> Result<Vec<Event>, crate::Error> {
    let status = status(name, &response).to_owned();
    let details = response
        .incomplete_details
        .and_then(|details| details.reason);
    let (stop, reason) = match status.as_str() {
        "failed" => {
            return Err(reported(
                &json!({"error": response.error.unwrap_or_default()}),
            ));
        }
        "completed" if has_refused => (Stop::Refusal, "completed".to_owned()),
        "completed" if tools.any => (Stop::ToolUse, "completed".to_owned()),
        "completed" => (Stop::End, "completed".to_owned()),
        "incomplete" => {
            let stop = match details.as_deref() {
                Some("max_output_tokens" | "max_tokens") => Stop::MaxTokens,
                Some("content_filter") => Stop::ContentFilter,
                _ => Stop::Other,
            };
            (stop, details.unwrap_or_else(|| "incomplete".to_owned()))
        }
        // A response that does not say how it ended.
        "response" => (Stop::Unstated, String::new()),
        status => (Stop::Other, status.to_owned()),
    };
    let mut events = tools.finish_all();
    tools.check(stop)?;
    events.extend(response.usage.map(|usage| Event::Usage(usage.into())));
    events.push(Event::Stop {
        stop,
        reason: (!reason.is_empty()).then_some(reason),
        sequence: None,
    });
    Ok(events)
}

/// Any event of the stream.
#[derive(Deserialize)]
struct StreamEvent<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Word<'a>>,
    #[serde(borrow)]
    object: Option<Word<'a>>,
    #[serde(default)]
    output_index: u64,
    delta: Option<Piece>,
    /// In a response that is a whole, this is something else.
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    annotation: Option<&'a RawValue>,
    #[serde(borrow)]
    item: Option<Item<'a>>,
    #[serde(borrow)]
    response: Option<Response<'a>>,
    error: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Response<'a> {
    id: Option<String>,
    model: Option<String>,
    status: Option<String>,
    incomplete_details: Option<Details>,
    error: Option<Value>,
    usage: Option<Counts>,
    #[serde(borrow)]
    output: Option<Vec<&'a RawValue>>,
}

impl Response<'_> {
    /// The events of a response that came as a whole.
    fn events(
        &self,
        frames: &Frames,
        frame: &Frame,
        tools: &mut ToolCalls,
        text: &mut Joined,
        has_refused: &mut bool,
    ) -> Result<Vec<Event>, crate::Error> {
        let mut events = Vec::new();
        for (index, item) in self.output.iter().flatten().enumerate() {
            let item: Item<'_> = serde_json::from_str(item.get())
                .map_err(|error| frames.unfit(frame, &error.to_string()))?;
            let mut parts = item.content.iter().flatten();
            *has_refused |= parts.any(|part| part.refusal.is_some());
            events.extend(item.events(index as u64, tools, text)?);
        }
        Ok(events)
    }
}

#[derive(Deserialize)]
struct Details {
    reason: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Item<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Word<'a>>,
    id: Option<String>,
    call_id: Option<String>,
    name: Option<String>,
    arguments: Option<String>,
    input: Option<String>,
    #[serde(borrow)]
    content: Option<Vec<Part<'a>>>,
    #[serde(borrow)]
    summary: Option<Vec<Part<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Part<'a> {
    text: Option<Piece>,
    refusal: Option<Piece>,
    #[serde(borrow)]
    annotations: Option<Vec<&'a RawValue>>,
}

impl Item<'_> {
    /// The events of an item that came as a whole.
    fn events(
        self,
        index: u64,
        tools: &mut ToolCalls,
        text: &mut Joined,
    ) -> Result<Vec<Event>, crate::Error> {
        let mut events = Vec::new();
        match self.kind.as_deref() {
            Some("function_call") => {
                events.push(tools.start(
                    index,
                    self.call_id.or(self.id),
                    self.name.unwrap_or_default(),
                ));
                events.extend(tools.finish(index, self.arguments));
            }
            Some("custom_tool_call") => {
                events.push(tools.start_text(
                    index,
                    self.call_id.or(self.id),
                    self.name.unwrap_or_default(),
                ));
                events.extend(tools.finish(index, self.input));
            }
            Some("reasoning") => {
                let parts = self.summary.into_iter().chain(self.content).flatten();
                events.extend(
                    parts
                        .filter_map(|part| part.text)
                        .map(|piece| Event::Thinking {
                            text: text_of(Some(piece)),
                        }),
                );
            }
            Some("message") => {
                for part in self.content.into_iter().flatten() {
                    events.extend(part.text.map(|piece| Event::Text {
                        text: text.add(piece),
                    }));
                    events.extend(part.refusal.map(|piece| Event::Refusal {
                        text: text_of(Some(piece)),
                    }));
                    for citation in part.annotations.into_iter().flatten() {
                        events.push(Event::Citation {
                            citation: raw(citation.get())?,
                        });
                    }
                }
            }
            _ => {}
        }
        Ok(events)
    }
}

/// A piece that is a text of its own.
fn text_of(piece: Option<Piece>) -> String {
    Joined::default().add(piece.unwrap_or_default())
}

#[derive(Deserialize)]
struct Counts {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Self {
        let input = counts.input_tokens_details;
        let reasoning = counts.output_tokens_details;
        Usage {
            input_tokens: counts.input_tokens,
            output_tokens: counts.output_tokens,
            cache_read_tokens: input.as_ref().and_then(|details| details.cached_tokens),
            cache_write_tokens: input.and_then(|details| details.cache_write_tokens),
            reasoning_tokens: reasoning.and_then(|details| details.reasoning_tokens),
        }
    }
}
