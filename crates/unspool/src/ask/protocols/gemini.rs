//! The Gemini API of Google ([ai.google.dev,
//! "GenerateContentResponse"](https://ai.google.dev/api/generate-content)).
//!
//! *Ends when*: a `finishReason` with or behind the last content, and the end of the body.
//! There is no other end mark, and servers have been seen that put a `finishReason` into
//! each event: so both are needed, and from those an end that is more than that of the
//! connection.
//! *Auth*: `x-goog-api-key`.

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
use crate::ask::prompt::{Message, Prompt, Tool};
use crate::ask::report::reported;
use crate::ask::text::{Joined, Piece};

/// The Gemini API of Google.
pub const GEMINI: Provider = Provider(&ProviderEntry {
    name: "gemini",
    about: "Google Gemini",
    base: "https://generativelanguage.googleapis.com",
    base_variables: &["GEMINI_BASE_URL"],
    keys: &[
        ("GEMINI_API_KEY", Key::Header("x-goog-api-key")),
        ("GOOGLE_API_KEY", Key::Header("x-goog-api-key")),
    ],
    is_open: false,
    serves: |model| {
        let model = model.strip_prefix("models/").unwrap_or(model);
        model.starts_with("gemini") || model.starts_with("gemma-")
    },
    request,
    read,
});

fn request(prompt: &Prompt, base: Url) -> Asked {
    let (system, messages) = prompt.system_apart();
    let contents: Vec<Value> = messages.into_iter().map(content).collect();
    let tool = |tool: &Tool| {
        json!({
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        })
    };
    let tools = prompt.tools_as(tool);
    let mut config = json!({
        "maxOutputTokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "stopSequences": (!prompt.stop_sequences.is_empty()).then_some(&prompt.stop_sequences),
    });
    if let Value::Object(config) = &mut config {
        config.retain(|_, value| !value.is_null());
    }
    let model = prompt.model.strip_prefix("models/");
    let model = model.unwrap_or(&prompt.model);
    let path = ["models", &format!("{model}:streamGenerateContent")];
    let mut url = below(base, "v1beta", &path);
    url.query_pairs_mut().append_pair("alt", "sse");
    Asked {
        url,
        body: prompt.body(json!({
            "contents": contents,
            "systemInstruction": system.map(|text| json!({"parts": [{"text": text}]})),
            "tools": tools.map(|tools| json!([{"functionDeclarations": tools}])),
            "generationConfig": config,
        })),
        headers: Vec::new(),
    }
}

/// A message in the words of this protocol.
fn content(message: &Message) -> Value {
    let role = match message.role.as_str() {
        "assistant" => "model",
        role => role,
    };
    let parts = match &message.content {
        Value::Array(parts) => json!(parts),
        Value::String(text) => json!([{"text": text}]),
        part => json!([part]),
    };
    json!({"role": role, "parts": parts})
}

fn read(mut frames: Frames) -> Reader {
    Box::pin(generator! {
        let mut text = Joined::default();
        let mut thinking = Joined::default();
        let mut tools = ToolCalls::default();
        let mut calls = 0;
        let mut is_begun = false;
        let mut ended: Option<(Stop, String)> = None;
        let mut is_behind_end = false;
        while let Some(frame) = frames.next().await? {
            // What proxies add that know another protocol proves nothing here.
            if frame.data.starts_with("[DONE]") {
                continue;
            }
            let response: Response<'_> = frames.parse(&frame)?;
            if let Some(error) = response.error {
                Err(reported(&json!({"error": error})))?;
            }
            let (id, model) = (response.response_id, response.model_version);
            if !is_begun && (id.is_some() || model.is_some()) {
                is_begun = true;
                yield Event::Start { id, model };
            }
            if let Some(reason) = response.prompt_feedback.and_then(|feedback| feedback.block_reason) {
                ended = Some((Stop::ContentFilter, reason));
            }
            // Of several answers to one question, the first.
            for candidate in response.candidates.into_iter().flatten().filter(|candidate| candidate.index == 0) {
                let parts = candidate.content.and_then(|content| content.parts);
                for part_json in parts.into_iter().flatten() {
                    let part: Part<'_> = serde_json::from_str(part_json.get())
                        .map_err(|error| frames.unfit(&frame, &error.to_string()))?;
                    // What ended before this did not end.
                    if part.has_content() {
                        is_behind_end |= ended.is_some();
                        ended = None;
                    }
                    if let Some(call) = part.function_call {
                        // Calls come whole.
                        yield tools.start(calls, call.id, call.name);
                        let arguments = call.args.map(|json| json.get().to_owned());
                        if let Some(event) = tools.finish(calls, arguments) {
                            yield event;
                        }
                        calls += 1;
                    } else if let Some(piece) = part.text {
                        let (joined, is_thought) = match part.thought {
                            true => (&mut thinking, true),
                            false => (&mut text, false),
                        };
                        let piece = joined.add(piece);
                        if !piece.is_empty() {
                            yield match is_thought {
                                true => Event::Thinking { text: piece },
                                false => Event::Text { text: piece },
                            };
                        }
                    } else {
                        yield other("part", part_json.get())?;
                    }
                }
                for citation in candidate.citation_metadata.into_iter().flat_map(Citations::sources) {
                    yield Event::Citation { citation: raw(citation.get())? };
                }
                if let Some(grounding) = candidate.grounding_metadata {
                    yield other("groundingMetadata", grounding.get())?;
                }
                if let Some(reason) = candidate.finish_reason.filter(|reason| is_stated(reason)) {
                    ended = Some((stop(&reason, tools.any), reason));
                }
            }
            if let Some(usage) = response.usage_metadata {
                yield Event::Usage(usage.into());
            }
        }
        let Some((stop, reason)) = ended else {
            return Err(frames.truncated("a `finishReason`"));
        };
        if is_behind_end && frames.ends_with_connection() {
            return Err(frames.truncated("a stated end, though with a `finishReason` before the last content"));
        }
        if let Some(text) = text.end() {
            yield Event::Text { text };
        }
        tools.check(stop)?;
        yield Event::Stop { stop, reason: Some(reason), sequence: None };
        Ok(())
    })
}

fn is_stated(reason: &str) -> bool {
    !reason.is_empty() && reason != "FINISH_REASON_UNSPECIFIED"
}

fn stop(reason: &str, has_calls: bool) -> Stop {
    match reason {
        "STOP" | "FUNCTION_CALL" if has_calls => Stop::ToolUse,
        "STOP" => Stop::End,
        "MAX_TOKENS" => Stop::MaxTokens,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => Stop::ContentFilter,
        _ => Stop::Other,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    #[serde(borrow)]
    candidates: Option<Vec<Candidate<'a>>>,
    prompt_feedback: Option<Feedback>,
    usage_metadata: Option<Counts>,
    model_version: Option<String>,
    response_id: Option<String>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(default)]
    index: u64,
    #[serde(borrow)]
    content: Option<Content<'a>>,
    finish_reason: Option<String>,
    #[serde(borrow)]
    citation_metadata: Option<Citations<'a>>,
    #[serde(borrow)]
    grounding_metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    parts: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    text: Option<Piece>,
    #[serde(default)]
    thought: bool,
    #[serde(borrow)]
    function_call: Option<FunctionCall<'a>>,
}

impl Part<'_> {
    fn has_content(&self) -> bool {
        self.function_call.is_some() || self.text.as_ref().is_some_and(|text| !text.is_empty())
    }
}

#[derive(Deserialize)]
struct FunctionCall<'a> {
    id: Option<String>,
    name: String,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Citations<'a> {
    #[serde(borrow, alias = "citations")]
    citation_sources: Option<Vec<&'a RawValue>>,
}

impl<'a> Citations<'a> {
    fn sources(self) -> impl Iterator<Item = &'a RawValue> {
        self.citation_sources.into_iter().flatten()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    prompt_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
}

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Self {
        Usage {
            input_tokens: counts.prompt_token_count,
            output_tokens: counts.candidates_token_count,
            cache_read_tokens: counts.cached_content_token_count,
            cache_write_tokens: None,
            reasoning_tokens: counts.thoughts_token_count,
        }
    }
}
