//! The API of Ollama ([github.com/ollama/ollama,
//! `docs/api.md`](https://github.com/ollama/ollama/blob/main/docs/api.md)): lines of JSON.
//!
//! *Ends when*: `"done": true`. *Auth*: none, or a bearer token.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use url::Url;

use super::openai::tool;
use super::reasons::Ended;
use super::tools::{Named, ToolCalls, arguments};
use super::{Asked, Dialect, Events, Key, Progress, Provider, ProviderEntry, Reader, below};
use crate::ask::attachment::Attachment;
use crate::ask::event::Event;
use crate::ask::frames::{Frame, Frames};
use crate::ask::lenient::{Count, is_said};
use crate::ask::outcome::Usage;
use crate::ask::prompt::{self, Prompt};
use crate::ask::report::reported;
use crate::ask::text::{Content, Joined, Piece};
use crate::error::Error;

/// The API of Ollama.
pub const OLLAMA: Provider = Provider(&ProviderEntry {
    name: "ollama",
    about: "Ollama",
    base: "http://127.0.0.1:11434",
    base_variables: &["OLLAMA_HOST"],
    keys: &[("OLLAMA_API_KEY", Key::Bearer)],
    is_open: true,
    model: None,
    // Its models have a tag: `llama3.2:1b`.
    serves: |model| model.contains(':'),
    dialect: Dialect::USUAL,
    request,
    reader: || Box::new(Ollama::default()),
});

fn request(_: &ProviderEntry, prompt: &Prompt, base: Url) -> Result<Asked, Error> {
    let prompt = &prompt.with_attached(images)?;
    let mut options = json!({
        "num_predict": prompt.max_tokens,
        "temperature": prompt.temperature,
        "stop": prompt.stop_sequences_if_any(),
    });
    if let Value::Object(options) = &mut options {
        options.retain(|_, value| !value.is_null());
    }
    Ok(Asked {
        url: below(base, "api", &["chat"]),
        body: prompt.body(json!({
            "model": prompt.model,
            "messages": prompt.system_first(),
            "tools": prompt.tools_as(tool),
            "options": options,
            "format": prompt.schema,
            "stream": true,
        })),
        headers: Vec::new(),
    })
}

/// Images stand beside the text of a message.
fn images(message: &mut prompt::Message, files: &[Attachment]) -> Result<(), Error> {
    for file in files {
        file.one_of("ollama", &["image/png", "image/jpeg", "image/webp"])?;
    }
    let images: Vec<&str> = files.iter().map(Attachment::data).collect();
    message.more.insert("images".to_owned(), json!(images));
    Ok(())
}

/// An answer as far as it has been read.
#[derive(Default)]
struct Ollama {
    text: Joined,
    thinking: Joined,
    tools: ToolCalls,
    ended: Ended,
    is_begun: bool,
}

impl Reader for Ollama {
    fn read(
        &mut self,
        frame: &Frame,
        frames: &mut Frames,
        events: &mut Events,
    ) -> Result<Progress, Error> {
        let line: Line<'_> = frames.parse(frame)?;
        if let Some(error) = line.error.filter(is_said) {
            return Err(reported(&json!({"error": error})));
        }
        if !self.is_begun {
            self.is_begun = true;
            events.push_back(Event::Start {
                id: None,
                model: line.model,
            });
        }
        self.message(line.message.unwrap_or_default(), events);
        if line.done != Some(true) {
            return Ok(Progress::More);
        }
        events.push_back(Event::Usage(Usage {
            input_tokens: line.prompt_eval_count.0,
            output_tokens: line.eval_count.0,
            ..Usage::default()
        }));
        self.ended.state(line.done_reason);
        self.ended.finish(&mut self.tools, &mut self.text, events)?;
        Ok(Progress::Over)
    }

    fn end(&mut self, frames: &Frames, _: &mut Events) -> Result<(), Error> {
        Err(frames.truncated("a line with `\"done\": true`"))
    }
}

impl Ollama {
    fn message(&mut self, message: Message<'_>, events: &mut Events) {
        let content = message.content.unwrap_or_default();
        let thoughts = content.thinking.map(|piece| *piece);
        for piece in message.thinking.into_iter().chain(thoughts) {
            let text = self.thinking.add(piece);
            if !text.is_empty() {
                events.push_back(Event::Thinking { text });
            }
        }
        let text = self.text.add(content.text);
        if !text.is_empty() {
            events.push_back(Event::Text { text });
        }
        for call in message.tool_calls.into_iter().flatten() {
            // Calls come whole.
            let named = Named {
                index: Some(self.tools.count() as u64),
                id: call.id,
                name: Some(call.function.name),
            };
            let whole = arguments(call.function.arguments).into_text();
            self.tools.whole(named, Some(&whole), false, events);
        }
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    model: Option<String>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    done: Option<bool>,
    done_reason: Option<String>,
    #[serde(default)]
    prompt_eval_count: Count,
    #[serde(default)]
    eval_count: Count,
    error: Option<Value>,
}

#[derive(Default, Deserialize)]
struct Message<'a> {
    content: Option<Content>,
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
