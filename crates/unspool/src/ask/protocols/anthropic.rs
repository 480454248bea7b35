//! The Messages API of Anthropic ([platform.claude.com, "Streaming
//! messages"](https://platform.claude.com/docs/en/build-with-claude/streaming)).
//!
//! *Ends when*: `message_stop`. *Auth*: `x-api-key`, or a bearer token.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use url::Url;

use super::openai;
use super::reasons::Ended;
use super::told::Told;
use super::tools::{Named, ToolCalls, arguments};
use super::{
    Asked, Dialect, Events, Key, Progress, Provider, ProviderEntry, Reader, begins_again, below,
    other, raw,
};
use crate::ask::DEFAULT_MODEL;
use crate::ask::alike::Voice;
use crate::ask::attachment::Attachment;
use crate::ask::event::Event;
use crate::ask::frames::{Frame, Frames};
use crate::ask::lenient::{self, Count, is_said};
use crate::ask::outcome::Usage;
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
    model: Some(DEFAULT_MODEL),
    serves: |model| model.starts_with("claude"),
    dialect: Dialect::USUAL,
    request,
    reader: || Box::new(Messages::default()),
});

/// What a request has to have.
const MAX_TOKENS: u64 = 1024;

/// The newest version of the API, which knows no temperature, and the one before it.
const VERSION: &str = "2026-10-21";
const VERSION_WITH_SAMPLING: &str = "2023-06-01";

fn request(_: &ProviderEntry, prompt: &Prompt, base: Url) -> Result<Asked, Error> {
    let prompt = &prompt.with_attached(|message, files| {
        let parts = files.iter().map(part);
        message.add_parts(
            parts.collect::<Result<_, _>>()?,
            |text| json!({"type": "text", "text": text}),
        );
        Ok(())
    })?;
    let format = (prompt.schema.as_ref())
        .map(|schema| json!({"format": {"type": "json_schema", "schema": schema}}));
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
        "output_config": format,
        "tools": prompt.tools_as(tool),
        "temperature": prompt.temperature,
        "stop_sequences": prompt.stop_sequences_if_any(),
        "stream": true,
    }));
    let has_sampling = ["temperature", "top_p", "top_k"]
        .iter()
        .any(|name| body.get(name).is_some());
    let version = match has_sampling {
        true => VERSION_WITH_SAMPLING,
        false => VERSION,
    };
    Ok(Asked {
        url: below(base, "v1", &["messages"]),
        body,
        headers: vec![("anthropic-version", version.to_owned())],
    })
}

/// A file as a block of a message.
fn part(file: &Attachment) -> Result<Value, Error> {
    let kind = match file.is_pdf() {
        true => "document",
        false => "image",
    };
    if !file.is_pdf() {
        file.one_of("anthropic", openai::IMAGES)?;
    }
    let (media_type, data) = (file.media_type(), file.data());
    let source = json!({"type": "base64", "media_type": media_type, "data": data});
    Ok(json!({"type": kind, "source": source}))
}

/// Events that are read here.
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

/// An answer as far as it has been read.
#[derive(Default)]
struct Messages {
    text: Joined,
    thinking: Joined,
    /// The text of the block that is open, and that of all blocks.
    block: Told,
    told: Told,
    tools: ToolCalls,
    ended: Ended,
    id: Option<String>,
    is_begun: bool,
    has_content: bool,
}

impl Reader for Messages {
    fn read(
        &mut self,
        frame: &Frame,
        frames: &mut Frames,
        events: &mut Events,
    ) -> Result<Progress, Error> {
        // What proxies add that know another protocol proves nothing here.
        if frame.data.starts_with("[DONE]") {
            return Ok(Progress::More);
        }
        if &*frame.name == "error" {
            return Err(reported_in(frame));
        }
        let is_known = |name: &str| READ.contains(&name);
        let Some(mut event) = frames.parse_known::<Message<'_>>(frame, is_known)? else {
            events.push_back(other(&frame.name, &frame.data)?);
            return Ok(Progress::More);
        };
        match event.kind.as_deref().unwrap_or(&frame.name) {
            "content_block_delta" => {
                let index = event.index.or_first();
                if let Some(delta) = &mut event.delta {
                    self.delta(index, delta, frame, events)?;
                }
            }
            "content_block_start" => {
                let Some(block) = event.content_block else {
                    return Ok(Progress::More);
                };
                if !self.begin(*block, event.index.or_first(), events)? {
                    events.push_back(other("content_block_start", &frame.data)?);
                }
            }
            "content_block_stop" => self.block_ends(event, events)?,
            "message_start" => self.start(event, events)?,
            "message_delta" => self.message_delta(event, events),
            "message_stop" => {
                let whole = event
                    .message
                    .map(|message| message.content)
                    .unwrap_or_default();
                self.repeated(whole, events)?;
                self.finish(events)?;
                return Ok(Progress::Over);
            }
            // The message as a whole: a server that does not stream. That is also what an
            // event without a name is called.
            "message" if event.kind.is_some() => {
                self.message(event, frame, frames, events)?;
                return Ok(Progress::Over);
            }
            "ping" => {}
            "error" => return Err(reported_in(frame)),
            _ if let Some(error) = event.error.filter(|error| is_said(error)) => {
                return Err(reported(&json!({"error": error})));
            }
            name => events.push_back(other(name, &frame.data)?),
        }
        Ok(Progress::More)
    }

    fn end(&mut self, frames: &Frames, _: &mut Events) -> Result<(), Error> {
        Err(frames.truncated("`message_stop`"))
    }

    fn can_tell(&self) -> bool {
        true
    }

    fn tell(&mut self, piece: Piece, voice: Voice, events: &mut Events) {
        match voice {
            Voice::Text => self.say(piece, events),
            Voice::Thinking => self.think(piece, events),
        }
    }
}

impl Messages {
    /// The message begins. Some proxies send that twice; one that starts over on the other
    /// side of them would have its text come twice.
    fn start(&mut self, event: Message<'_>, events: &mut Events) -> Result<(), Error> {
        let message = event.message.unwrap_or_default();
        if self.is_begun {
            let is_same = message.id.is_none() || message.id == self.id;
            return match is_same && !self.has_content {
                true => Ok(()),
                false => Err(begins_again(self.has_content)),
            };
        }
        self.is_begun = true;
        self.id.clone_from(&message.id);
        events.push_back(Event::Start {
            id: message.id,
            model: message.model,
        });
        events.extend(used(message.usage));
        Ok(())
    }

    fn delta(
        &mut self,
        index: u64,
        delta: &mut Delta<'_>,
        frame: &Frame,
        events: &mut Events,
    ) -> Result<(), Error> {
        self.has_content = true;
        match delta.kind.as_deref() {
            Some("text_delta") => self.say(delta.text.take().unwrap_or_default(), events),
            Some("thinking_delta") => self.think(delta.thinking.take().unwrap_or_default(), events),
            Some("input_json_delta") if self.tools.is_open(index) => {
                let piece = delta.partial_json.take().unwrap_or_default();
                self.tools.add(index, piece, events)?;
            }
            Some("citations_delta") if let Some(citation) = delta.citation => {
                let citation = raw(citation.get())?;
                events.push_back(Event::Citation { citation });
            }
            _ => events.push_back(other("content_block_delta", &frame.data)?),
        }
        Ok(())
    }

    fn say(&mut self, piece: Piece, events: &mut Events) {
        let text = self.text.add(piece);
        if !text.is_empty() {
            self.block.add(&text);
            events.push_back(Event::Text { text });
        }
    }

    fn think(&mut self, piece: Piece, events: &mut Events) {
        let text = self.thinking.add(piece);
        if !text.is_empty() {
            events.push_back(Event::Thinking { text });
        }
    }

    /// A block begins; whether it is one of those that have events.
    fn begin(&mut self, block: Block<'_>, index: u64, events: &mut Events) -> Result<bool, Error> {
        self.has_content = true;
        self.told.join(&mut self.block);
        match block.kind.as_deref() {
            Some("text") => {
                self.say(block.text.unwrap_or_default(), events);
                for citation in block.citations.into_iter().flatten() {
                    let citation = raw(citation.get())?;
                    events.push_back(Event::Citation { citation });
                }
            }
            Some("thinking") => self.think(block.thinking.unwrap_or_default(), events),
            Some("tool_use") => {
                let named = Named {
                    index: Some(index),
                    id: block.id,
                    name: block.name,
                };
                self.tools.start(named, events);
                // Streamed, this is an empty object, and the arguments follow.
                self.tools.add(index, arguments(block.input), events)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A block ends. Some servers give it once more, as a whole.
    fn block_ends(&mut self, event: Message<'_>, events: &mut Events) -> Result<(), Error> {
        let index = event.index.or_first();
        let Some(block) = event.content_block else {
            self.tools.finish(index, None, events);
            return Ok(());
        };
        match block.kind.as_deref() {
            Some("text") => {
                let whole = block.text.unwrap_or_default().into_text();
                let missing = self.block.missing(&whole)?.to_owned();
                self.missing(missing, events);
            }
            Some("tool_use") => {
                let whole = arguments(block.input).into_text();
                let named = Named {
                    index: Some(index),
                    id: block.id,
                    name: block.name,
                };
                self.tools.whole(named, Some(&whole), false, events);
            }
            _ => self.tools.finish(index, None, events),
        }
        Ok(())
    }

    fn missing(&mut self, text: String, events: &mut Events) {
        if !text.is_empty() {
            self.has_content = true;
            self.text = Joined::default();
            self.block.add(&text);
            events.push_back(Event::Text { text });
        }
    }

    /// All blocks come once more: nothing of them may have been lost.
    fn repeated(&mut self, content: Option<&RawValue>, events: &mut Events) -> Result<(), Error> {
        let blocks = lenient::list(content).into_iter();
        let blocks: Vec<Block<'_>> = blocks.filter_map(|block| Block::read(block).ok()).collect();
        let mut text = String::new();
        let mut calls = Vec::new();
        for block in blocks {
            match block.kind.as_deref() {
                Some("text") => text += &block.text.unwrap_or_default().into_text(),
                Some("tool_use") => calls.push(block),
                _ => {}
            }
        }
        self.told.join(&mut self.block);
        let missing = self.told.missing(&text)?.to_owned();
        self.missing(missing, events);
        let begun = self.tools.count();
        for (at, block) in calls.into_iter().enumerate() {
            if block.id.is_some() || at >= begun {
                let whole = arguments(block.input).into_text();
                let named = Named {
                    index: None,
                    id: block.id,
                    name: block.name,
                };
                self.tools.whole(named, Some(&whole), false, events);
            }
        }
        Ok(())
    }

    fn message_delta(&mut self, event: Message<'_>, events: &mut Events) {
        events.extend(used(event.usage));
        let delta = event.delta.unwrap_or_default();
        self.ended.state(delta.stop_reason);
        self.ended.sequence = delta.stop_sequence.or(self.ended.sequence.take());
    }

    /// The message as a whole.
    fn message(
        &mut self,
        event: Message<'_>,
        frame: &Frame,
        frames: &Frames,
        events: &mut Events,
    ) -> Result<(), Error> {
        events.push_back(Event::Start {
            id: event.id,
            model: event.model,
        });
        for (index, block) in lenient::list(event.content).into_iter().enumerate() {
            let index = index as u64;
            let whole =
                Block::read(block).map_err(|error| frames.unfit(frame, &error.to_string()))?;
            if !self.begin(whole, index, events)? {
                events.push_back(other("content_block", block.get())?);
            }
            self.tools.finish(index, None, events);
        }
        events.extend(used(event.usage));
        self.ended.state(event.stop_reason);
        self.ended.sequence = event.stop_sequence;
        self.finish(events)
    }

    fn finish(&mut self, events: &mut Events) -> Result<(), Error> {
        self.ended.finish(&mut self.tools, &mut self.text, events)
    }
}

fn used(counts: Option<&RawValue>) -> Option<Event> {
    let counts: Counts = lenient::read(counts)?;
    Some(Event::Usage(counts.into()))
}

/// Any event of the stream, or a message as a whole. Nearly all are a piece of text: what
/// those do not have is in boxes, so that little is moved for each.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Word<'a>>,
    index: Count,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    content_block: Option<Box<Block<'a>>>,
    #[serde(borrow)]
    message: Option<Box<Begin<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    error: Option<Box<Value>>,
    id: Option<String>,
    model: Option<String>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
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
    partial_json: Option<Piece>,
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

impl<'a> Block<'a> {
    fn read(json: &'a RawValue) -> serde_json::Result<Self> {
        if lenient::is_text(json) {
            return Ok(Block {
                kind: Some(Word::from("text")),
                text: serde_json::from_str(json.get())?,
                ..Block::default()
            });
        }
        serde_json::from_str(json.get())
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Begin<'a> {
    id: Option<String>,
    model: Option<String>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    input_tokens: Count,
    output_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    output_tokens_details: Option<Details>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    thinking_tokens: Count,
}

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Self {
        let details = counts.output_tokens_details.unwrap_or_default();
        Usage {
            input_tokens: counts.input_tokens.0,
            output_tokens: counts.output_tokens.0,
            cache_read_tokens: counts.cache_read_input_tokens.0,
            cache_write_tokens: counts.cache_creation_input_tokens.0,
            reasoning_tokens: details.thinking_tokens.0,
        }
    }
}
