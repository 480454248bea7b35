//! The API of Ollama ([github.com/ollama/ollama,
//! `docs/api.md`](https://github.com/ollama/ollama/blob/main/docs/api.md)): lines of JSON.
//!
//! *Ends when*: `"done": true`. *Auth*: none, or a bearer token.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use unspool_core::generator;
use url::Url;

use super::chat::tool;
use super::tools::ToolCalls;
use super::{Asked, Key, Provider, ProviderEntry, Reader, below};
use crate::ask::event::Event;
use crate::ask::frames::Frames;
use crate::ask::outcome::{Stop, Usage};
use crate::ask::prompt::Prompt;
use crate::ask::report::reported;
use crate::ask::text::{Joined, Piece};

/// The API of Ollama.
pub const OLLAMA: Provider = Provider(&ProviderEntry {
    name: "ollama",
    about: "Ollama",
    base: "http://127.0.0.1:11434",
    base_variables: &["OLLAMA_HOST"],
    keys: &[("OLLAMA_API_KEY", Key::Bearer)],
    is_open: true,
    // Its models have a tag: `llama3.2:1b`.
    serves: |model| model.contains(':'),
    request,
    read,
});

fn request(prompt: &Prompt, base: Url) -> Asked {
    let mut options = json!({
        "num_predict": prompt.max_tokens,
        "temperature": prompt.temperature,
        "stop": (!prompt.stop_sequences.is_empty()).then_some(&prompt.stop_sequences),
    });
    if let Value::Object(options) = &mut options {
        options.retain(|_, value| !value.is_null());
    }
    Asked {
        url: below(base, "api", &["chat"]),
        body: prompt.body(json!({
            "model": prompt.model,
            "messages": prompt.system_first(),
            "tools": prompt.tools_as(tool),
            "options": options,
            "stream": true,
        })),
        headers: Vec::new(),
    }
}

fn read(mut frames: Frames) -> Reader {
    Box::pin(generator! {
        let mut text = Joined::default();
        let mut thinking = Joined::default();
        let mut tools = ToolCalls::default();
        let mut calls = 0;
        let mut is_begun = false;
        while let Some(frame) = frames.next().await? {
            let line: Line<'_> = frames.parse(&frame)?;
            if let Some(error) = line.error {
                Err(reported(&json!({"error": error})))?;
            }
            if !is_begun {
                is_begun = true;
                yield Event::Start { id: None, model: line.model };
            }
            let message = line.message.unwrap_or_default();
            let piece = thinking.add(message.thinking.unwrap_or_default());
            if !piece.is_empty() {
                yield Event::Thinking { text: piece };
            }
            let piece = text.add(message.content.unwrap_or_default());
            if !piece.is_empty() {
                yield Event::Text { text: piece };
            }
            for call in message.tool_calls.into_iter().flatten() {
                // Calls come whole.
                yield tools.start(calls, call.id, call.function.name);
                let arguments = call.function.arguments.map(|json| json.get().to_owned());
                if let Some(event) = tools.finish(calls, arguments) {
                    yield event;
                }
                calls += 1;
            }
            if line.done {
                let stop = match line.done_reason.as_deref() {
                    Some("stop") if tools.any => Stop::ToolUse,
                    Some("stop") => Stop::End,
                    Some("length") => Stop::MaxTokens,
                    Some(_) => Stop::Other,
                    None => Stop::Unstated,
                };
                if let Some(text) = text.end() {
                    yield Event::Text { text };
                }
                tools.check(stop)?;
                yield Event::Usage(Usage {
                    input_tokens: line.prompt_eval_count,
                    output_tokens: line.eval_count,
                    ..Usage::default()
                });
                yield Event::Stop { stop, reason: line.done_reason, sequence: None };
                return Ok(());
            }
        }
        Err(frames.truncated("a line with `\"done\": true`"))
    })
}

#[derive(Deserialize)]
struct Line<'a> {
    model: Option<String>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(default)]
    done: bool,
    done_reason: Option<String>,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
    error: Option<Value>,
}

#[derive(Default, Deserialize)]
struct Message<'a> {
    content: Option<Piece>,
    thinking: Option<Piece>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    id: Option<String>,
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    name: String,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}
