//! The Chat Completions API of OpenAI ([platform.openai.com, "The chat completion chunk
//! object"](https://platform.openai.com/docs/api-reference/chat-streaming)), which most
//! servers of models speak as well.
//!
//! *Ends when*: a `finish_reason`, behind which come at most the usage and `[DONE]`. One that
//! stands beside content needs a clean end of the body, and one that stands before it
//! needs `[DONE]`: there are servers that put one into each chunk. *Auth*: a bearer token.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use unspool_core::generator;
use url::Url;

use super::tools::ToolCalls;
use super::{Asked, Key, Provider, ProviderEntry, Reader, below, raw};
use crate::ask::event::Event;
use crate::ask::frames::Frames;
use crate::ask::outcome::{Stop, Usage};
use crate::ask::prompt::{Prompt, Tool};
use crate::ask::report::{reported, reported_in};
use crate::ask::text::{Joined, Piece, Word};

/// The Chat Completions API of OpenAI, and servers that are compatible with it.
pub const OPENAI: Provider = Provider(&ProviderEntry {
    name: "openai",
    about: "OpenAI Chat Completions, and what is compatible: vLLM, llama.cpp, Groq, OpenRouter, …",
    base: BASE,
    base_variables: &["OPENAI_BASE_URL"],
    keys: &[("OPENAI_API_KEY", Key::Bearer)],
    is_open: false,
    serves: is_of_openai,
    request,
    read,
});

pub(super) const BASE: &str = "https://api.openai.com/v1";

/// The names of OpenAI's own models.
pub(super) fn is_of_openai(model: &str) -> bool {
    let is_reasoner = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit());
    model.starts_with("gpt-")
        || model.starts_with("chatgpt-")
        || model.strip_prefix('o').is_some_and(is_reasoner)
}

/// Whether a base is OpenAI's own, and not that of a compatible server.
pub(super) fn is_own(base: &Url) -> bool {
    base.host_str() == Some("api.openai.com")
}

/// The headers that say for which organization and project a request is.
pub(super) fn headers() -> Vec<(&'static str, String)> {
    [
        ("OpenAI-Organization", "OPENAI_ORG_ID"),
        ("OpenAI-Project", "OPENAI_PROJECT_ID"),
    ]
    .into_iter()
    .filter_map(|(header, variable)| Some((header, std::env::var(variable).ok()?)))
    .filter(|(_, value)| !value.is_empty())
    .collect()
}

/// Where something is below a base. The version belongs to the base, as OpenAI's own
/// clients have it, but where that is a bare origin.
pub(super) fn address(base: Url, path: &[&str]) -> Url {
    match base.path() {
        "" | "/" => below(base, "v1", path),
        _ => {
            let mut url = base;
            // Cannot fail: an HTTP address has a path.
            if let Ok(mut segments) = url.path_segments_mut() {
                segments.pop_if_empty().extend(path);
            }
            url
        }
    }
}

/// A tool as this protocol and Ollama's have it.
pub(super) fn tool(tool: &Tool) -> Value {
    json!({
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        },
    })
}

fn request(prompt: &Prompt, base: Url) -> Asked {
    let is_own = is_own(&base);
    let mut fields = json!({
        "model": prompt.model,
        "messages": prompt.system_first(),
        "tools": prompt.tools_as(tool),
        "temperature": prompt.temperature,
        "stop": (!prompt.stop_sequences.is_empty()).then_some(&prompt.stop_sequences),
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    // OpenAI's own models take the newer name only, others often the older one only.
    let max_tokens = match is_own {
        true => "max_completion_tokens",
        false => "max_tokens",
    };
    fields[max_tokens] = json!(prompt.max_tokens);
    if is_own {
        fields["stream_options"]["include_obfuscation"] = json!(false);
    }
    Asked {
        url: address(base, &["chat", "completions"]),
        body: prompt.body(fields),
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
        let mut is_begun = false;
        let mut reason: Option<String> = None;
        let mut is_behind_reason = false;
        let mut is_over = false;
        while !is_over && let Some(frame) = frames.next().await? {
            if frame.data.starts_with("[DONE]") {
                is_over = true;
                continue;
            }
            if &*frame.name == "error" {
                Err(reported_in(&frame))?;
            }
            let chunk: Chunk<'_> = frames.parse(&frame)?;
            if let Some(error) = chunk.error {
                Err(reported(&json!({"error": error})))?;
            }
            // An older form of vLLM and its kin.
            if chunk.object.as_deref() == Some("error") {
                Err(reported_in(&frame))?;
            }
            let is_whole = chunk.choices.iter().flatten().any(Choice::is_whole);
            let id = chunk.id.filter(|id| !id.is_empty());
            let model = chunk.model.filter(|model| !model.is_empty());
            if !is_begun && (id.is_some() || model.is_some()) {
                is_begun = true;
                yield Event::Start { id: id.map(String::from), model: model.map(String::from) };
            }
            // Of several answers to one question, the first.
            for choice in chunk.choices.into_iter().flatten().filter(|choice| choice.index == 0) {
                if let Some(error) = choice.error {
                    Err(reported(&json!({"error": error})))?;
                }
                let delta = choice.delta.or(choice.message.map(|whole| *whole)).unwrap_or_default();
                let has_content = delta.has_content();
                if has_content && reason.is_some() {
                    is_behind_reason = true;
                    frames.end_is_open();
                }
                if let Some(piece) = delta.reasoning_content.or(delta.reasoning) {
                    let text = thinking.add(piece);
                    if !text.is_empty() {
                        yield Event::Thinking { text };
                    }
                }
                if let Some(piece) = delta.content {
                    let text = text.add(piece);
                    if !text.is_empty() {
                        yield Event::Text { text };
                    }
                }
                if let Some(piece) = delta.refusal.filter(|piece| !piece.is_empty()) {
                    has_refused = true;
                    yield Event::Refusal { text: refusal.add(piece) };
                }
                for citation in delta.annotations.into_iter().flatten() {
                    yield Event::Citation { citation: raw(citation.get())? };
                }
                // The older name has one call, without a number.
                let older = delta.function_call.map(|call| ToolPiece::of(*call));
                for call in delta.tool_calls.into_iter().flatten().chain(older) {
                    for event in call.events(&mut tools)? {
                        yield event;
                    }
                }
                if let Some(stated) = choice.finish_reason.filter(|reason| is_stated(reason)) {
                    reason = Some(stated);
                    if !has_content && !is_behind_reason {
                        frames.end_is_proved();
                    }
                }
            }
            if let Some(usage) = chunk.usage {
                yield Event::Usage((*usage).into());
            }
            is_over = is_whole;
        }
        if !is_over && reason.is_none() {
            Err(frames.truncated("a `finish_reason`"))?;
        }
        if !is_over && is_behind_reason {
            Err(frames.truncated("`[DONE]`, though there was content behind a `finish_reason`"))?;
        }
        for event in tools.finish_all() {
            yield event;
        }
        if let Some(text) = text.end() {
            yield Event::Text { text };
        }
        let stop = match stop(reason.as_deref()) {
            Stop::End if has_refused => Stop::Refusal,
            Stop::End if tools.any => Stop::ToolUse,
            stop => stop,
        };
        tools.check(stop)?;
        yield Event::Stop { stop, reason, sequence: None };
        Ok(())
    })
}

fn is_stated(reason: &str) -> bool {
    !matches!(reason, "" | "null")
}

/// What a `finish_reason` means, with those that compatible servers have beside
/// OpenAI's.
fn stop(reason: Option<&str>) -> Stop {
    match reason {
        Some("stop" | "eos" | "eos_token" | "end_turn") => Stop::End,
        Some("stop_sequence") => Stop::StopSequence,
        Some("tool_calls" | "function_call" | "tool_use") => Stop::ToolUse,
        Some("length" | "max_tokens" | "model_length") => Stop::MaxTokens,
        Some("content_filter") => Stop::ContentFilter,
        Some(_) => Stop::Other,
        None => Stop::Unstated,
    }
}

/// Nearly all are a piece of text: what those do not have is in boxes, so that little is moved
/// for each.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    id: Option<Word<'a>>,
    #[serde(borrow)]
    model: Option<Word<'a>>,
    #[serde(borrow)]
    object: Option<Word<'a>>,
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    usage: Option<Box<Counts>>,
    error: Option<Box<Value>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u64,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    /// In the place of the delta, where the server does not stream.
    #[serde(borrow)]
    message: Option<Box<Delta<'a>>>,
    finish_reason: Option<String>,
    error: Option<Box<Value>>,
}

#[derive(Default, Deserialize)]
struct Delta<'a> {
    content: Option<Piece>,
    refusal: Option<Piece>,
    reasoning_content: Option<Piece>,
    reasoning: Option<Piece>,
    tool_calls: Option<Vec<ToolPiece>>,
    function_call: Option<Box<Function>>,
    #[serde(borrow)]
    annotations: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct ToolPiece {
    index: Option<u64>,
    id: Option<String>,
    function: Option<Function>,
}

#[derive(Default, Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<String>,
}

impl Choice<'_> {
    /// Whether this is all of the answer. Some servers call each chunk a `chat.completion`,
    /// and put the message so far beside the delta.
    fn is_whole(&self) -> bool {
        self.message.is_some() && self.delta.is_none()
    }
}

impl Delta<'_> {
    fn has_content(&self) -> bool {
        let pieces = [
            &self.content,
            &self.refusal,
            &self.reasoning_content,
            &self.reasoning,
        ];
        pieces.into_iter().flatten().any(|piece| !piece.is_empty())
            || self
                .tool_calls
                .as_ref()
                .is_some_and(|calls| !calls.is_empty())
            || self.function_call.is_some()
    }
}

impl ToolPiece {
    fn of(function: Function) -> Self {
        ToolPiece {
            index: None,
            id: None,
            function: Some(function),
        }
    }

    fn events(self, tools: &mut ToolCalls) -> Result<Vec<Event>, crate::Error> {
        let function = self.function.unwrap_or_default();
        let id = self.id.filter(|id| !id.is_empty());
        let name = function.name.filter(|name| !name.is_empty());
        let index = tools.place(self.index, id.as_deref(), name.is_some());
        let mut events = Vec::new();
        if !tools.is_open(index) {
            events.push(tools.start(index, id, name.unwrap_or_default()));
        }
        events.extend(tools.delta(index, function.arguments.unwrap_or_default())?);
        Ok(events)
    }
}

#[derive(Deserialize)]
pub(super) struct Counts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<InputDetails>,
    completion_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize)]
pub(super) struct InputDetails {
    pub(super) cached_tokens: Option<u64>,
    pub(super) cache_write_tokens: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct OutputDetails {
    pub(super) reasoning_tokens: Option<u64>,
}

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Self {
        let input = counts.prompt_tokens_details;
        let reasoning = counts.completion_tokens_details;
        Usage {
            input_tokens: counts.prompt_tokens,
            output_tokens: counts.completion_tokens,
            cache_read_tokens: input.as_ref().and_then(|details| details.cached_tokens),
            cache_write_tokens: input.and_then(|details| details.cache_write_tokens),
            reasoning_tokens: reasoning.and_then(|details| details.reasoning_tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_of_openai_are_known_by_their_names() {
        for model in [
            "gpt-5.1",
            "gpt-4o-mini",
            "o3",
            "o4-mini",
            "chatgpt-4o-latest",
        ] {
            assert!(is_of_openai(model), "{model}");
        }
        for model in [
            "claude-sonnet-4-6",
            "opus",
            "o",
            "gpt",
            "gpt4all",
            "llama3.2",
        ] {
            assert!(!is_of_openai(model), "{model}");
        }
    }

    #[test]
    fn the_version_belongs_to_the_base_but_where_that_is_an_origin() {
        let url = |base: &str| address(base.parse().unwrap(), &["chat", "completions"]).to_string();
        for (base, expected) in [
            ("http://h:1", "http://h:1/v1/chat/completions"),
            ("http://h/v1", "http://h/v1/chat/completions"),
            ("http://h/v1/", "http://h/v1/chat/completions"),
            (
                "https://h/openai/v1",
                "https://h/openai/v1/chat/completions",
            ),
            (
                "https://h/api/paas/v4",
                "https://h/api/paas/v4/chat/completions",
            ),
        ] {
            assert_eq!(url(base), expected, "{base}");
        }
    }
}
