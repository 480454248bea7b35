//! The Chat Completions API of OpenAI ([platform.openai.com, "The chat completion chunk
//! object"](https://platform.openai.com/docs/api-reference/chat-streaming)), which most
//! servers of models speak as well.
//!
//! *Ends when*: a `finish_reason`, after which come at most the usage and `[DONE]`. One that
//! stands beside content needs a clean end of the body, and one that stands before it
//! needs `[DONE]`: there are servers that put one into each chunk. *Auth*: a bearer token.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use url::Url;

use super::openai::{self, Counts, address, fields, is_own};
use super::reasons::{Ended, is_stated};
use super::told::Told;
use super::tools::{Named, ToolCalls, arguments};
use super::{Asked, Events, Progress, ProviderEntry, Reader, raw};
use crate::ask::alike::Voice;
use crate::ask::attachment::Attachment;
use crate::ask::event::Event;
use crate::ask::frames::{Frame, Frames};
use crate::ask::lenient::{self, Count, is_said};
use crate::ask::prompt::Prompt;
use crate::ask::report::{reported, reported_in};
use crate::ask::text::{Content, Joined, Piece, Word};
use crate::error::Error;

pub(super) fn request(entry: &ProviderEntry, prompt: &Prompt, base: Url) -> Result<Asked, Error> {
    openai::check_messages(prompt)?;
    let prompt = &prompt.with_attached(|message, files| {
        let parts = files.iter().map(|file| part(entry, file));
        message.add_parts(
            parts.collect::<Result<_, _>>()?,
            |text| json!({"type": "text", "text": text}),
        );
        Ok(())
    })?;
    let is_own = is_own(&base);
    let mut fields = fields(prompt, openai::tool);
    fields["messages"] = json!(prompt.system_first());
    let format = openai::format(prompt);
    fields["response_format"] =
        json!(format.map(|schema| json!({"type": "json_schema", "json_schema": schema})));
    fields["stop"] = prompt.stop_sequences_if_any();
    // OpenAI's own models take the newer name only, others often the older one only.
    let limit = match is_own {
        true => "max_completion_tokens",
        false => entry.dialect.max_tokens,
    };
    fields[limit] = json!(prompt.max_tokens);
    if entry.dialect.has_stream_options {
        fields["stream_options"] = json!({"include_usage": true});
        if is_own {
            fields["stream_options"]["include_obfuscation"] = json!(false);
        }
    }
    Ok(Asked {
        url: address(base, &["chat", "completions"]),
        body: prompt.body(fields),
        headers: match is_own {
            true => openai::headers(),
            false => Vec::new(),
        },
    })
}

/// A file as a part of a message.
fn part(entry: &ProviderEntry, file: &Attachment) -> Result<Value, Error> {
    if file.is_pdf() && entry.dialect.takes_pdf {
        let (name, data) = (file.name(), file.data_url());
        return Ok(json!({"type": "file", "file": {"filename": name, "file_data": data}}));
    }
    file.one_of(entry.name, openai::IMAGES)?;
    Ok(json!({"type": "image_url", "image_url": {"url": file.data_url()}}))
}

/// An answer as far as it has been read.
#[derive(Default)]
pub(super) struct Chat {
    text: Joined,
    thinking: Joined,
    refusal: Joined,
    told: Told,
    tools: ToolCalls,
    ended: Ended,
    begun: Begun,
    is_started: bool,
    /// Whether content came after a reason.
    is_after_reason: bool,
}

impl Reader for Chat {
    fn read(
        &mut self,
        frame: &Frame,
        frames: &mut Frames,
        events: &mut Events,
    ) -> Result<Progress, Error> {
        if frame.data.starts_with("[DONE]") {
            self.finish(events)?;
            return Ok(Progress::Over);
        }
        if &*frame.name == "error" {
            return Err(reported_in(frame));
        }
        let mut chunk: Chunk<'_> = frames.parse(frame)?;
        if let Some(error) = chunk.error.filter(|error| is_said(error)) {
            return Err(reported(&json!({"error": error})));
        }
        // An older form of vLLM and its kin.
        if chunk.object.as_deref() == Some("error") {
            return Err(reported_in(frame));
        }
        let id = chunk.id.filter(|id| !id.is_empty());
        let model = chunk.model.filter(|model| !model.is_empty());
        if let Some(id) = &id {
            let role = chunk.choices.iter().flatten().find_map(Choice::role);
            self.begun.see(id, role, !self.told.is_empty())?;
        }
        if !self.is_started && (id.is_some() || model.is_some()) {
            self.is_started = true;
            events.push_back(Event::Start {
                id: id.map(String::from),
                model: model.map(String::from),
            });
        }
        let mut is_whole = false;
        for choice in chunk.choices.iter_mut().flatten() {
            is_whole |= choice.is_whole();
            // Of several answers to one question, the first.
            if choice.index.or_first() == 0 {
                self.choice(choice, frames, events)?;
            }
        }
        let usage = chunk.usage.or(chunk.x_groq.and_then(|own| own.usage));
        if let Some(counts) = lenient::read::<Counts<'_>>(usage) {
            events.push_back(Event::Usage(counts.into()));
        }
        if is_whole {
            self.finish(events)?;
            return Ok(Progress::Over);
        }
        Ok(Progress::More)
    }

    fn end(&mut self, frames: &Frames, events: &mut Events) -> Result<(), Error> {
        if self.ended.reason.is_none() {
            return Err(frames.truncated("a `finish_reason`"));
        }
        if self.is_after_reason {
            return Err(
                frames.truncated("`[DONE]`, though there was content after a `finish_reason`")
            );
        }
        self.finish(events)
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

impl Chat {
    fn choice(
        &mut self,
        choice: &mut Choice<'_>,
        frames: &mut Frames,
        events: &mut Events,
    ) -> Result<(), Error> {
        if let Some(error) = choice.error.take().filter(|error| is_said(error)) {
            return Err(reported(&json!({"error": error})));
        }
        if choice.content_filter_results.is_some_and(is_filtered) {
            self.ended.filtered();
        }
        // A message that follows pieces is all of them once more.
        let is_repeated = choice.delta.is_some() || !self.told.is_empty();
        let repeated = choice.message.take_if(|_| is_repeated);
        let mut nothing = Delta::default();
        let delta = choice.delta.as_mut().or(choice.message.as_deref_mut());
        let delta = delta.unwrap_or(&mut nothing);
        let has_content = delta.has_content();
        if has_content && self.ended.reason.is_some() {
            self.is_after_reason = true;
            frames.end_is_open();
        }
        self.delta(delta, events)?;
        if let Some(whole) = repeated {
            self.repeated(*whole, events)?;
        }
        if let Some(native) = lenient::read::<Word<'_>>(choice.native_finish_reason) {
            self.ended.state_native(&native);
        }
        if let Some(stated) = choice.finish_reason.take().filter(|word| is_stated(word)) {
            self.ended.state(Some(stated));
            if !has_content && !self.is_after_reason {
                frames.end_is_proved();
            }
        }
        Ok(())
    }

    fn delta(&mut self, delta: &mut Delta<'_>, events: &mut Events) -> Result<(), Error> {
        if let Some(piece) = delta.reasoning_content.take().or(delta.reasoning.take()) {
            self.think(piece, events);
        }
        if let Some(content) = delta.content.take() {
            if let Some(piece) = content.thinking {
                self.think(*piece, events);
            }
            self.say(content.text, events);
        }
        match delta.is_text_only() {
            true => Ok(()),
            false => self.rest(delta, events),
        }
    }

    fn say(&mut self, piece: Piece, events: &mut Events) {
        let text = self.text.add(piece);
        if !text.is_empty() {
            self.told.add(&text);
            events.push_back(Event::Text { text });
        }
    }

    fn think(&mut self, piece: Piece, events: &mut Events) {
        let text = self.thinking.add(piece);
        if !text.is_empty() {
            events.push_back(Event::Thinking { text });
        }
    }

    /// What few deltas have.
    fn rest(&mut self, delta: &mut Delta<'_>, events: &mut Events) -> Result<(), Error> {
        if let Some(piece) = delta.refusal.take().filter(|piece| !piece.is_empty()) {
            self.ended.refused();
            let text = self.refusal.add(*piece);
            events.push_back(Event::Refusal { text });
        }
        let citations: Option<Vec<&RawValue>> = lenient::read(delta.annotations);
        for citation in citations.into_iter().flatten() {
            events.push_back(Event::Citation {
                citation: raw(citation.get())?,
            });
        }
        // The older name has one call, without a number.
        let older = delta.function_call.take();
        let older = older.map(|call| ToolPiece::of(*call));
        let calls = delta.tool_calls.take().into_iter().flatten().chain(older);
        let mut beside = Vec::new();
        for call in calls {
            let function = call.function.unwrap_or_default();
            let named = Named {
                index: call.index.0,
                id: said(call.id),
                name: said(function.name),
            };
            let arguments = arguments(function.arguments);
            self.tools.piece(named, arguments, &mut beside, events)?;
        }
        Ok(())
    }

    /// The message so far comes as a whole: nothing of it may have been lost.
    fn repeated(&mut self, whole: Delta<'_>, events: &mut Events) -> Result<(), Error> {
        let text = whole.content.unwrap_or_default().text.into_text();
        let missing = self.told.missing(&text)?.to_owned();
        if !missing.is_empty() {
            self.text = Joined::default();
            self.told.add(&missing);
            events.push_back(Event::Text { text: missing });
        }
        if self.tools.any {
            return Ok(());
        }
        let mut calls = Delta {
            tool_calls: whole.tool_calls,
            function_call: whole.function_call,
            ..Delta::default()
        };
        self.delta(&mut calls, events)
    }

    fn finish(&mut self, events: &mut Events) -> Result<(), Error> {
        self.ended.finish(&mut self.tools, &mut self.text, events)
    }
}

/// The begin of an answer, of which there is one: by its id, and by the role that only its
/// first chunk has.
#[derive(Default)]
struct Begun {
    id: String,
    /// How many chunks had the id.
    chunks: u64,
    /// Whether ids or roles say nothing, since each chunk has its own.
    says_nothing: bool,
}

impl Begun {
    fn see(&mut self, id: &str, role: Option<&str>, is_told: bool) -> Result<(), Error> {
        if self.says_nothing {
            return Ok(());
        }
        if self.id == id {
            self.chunks += 1;
            self.says_nothing = is_told && role.is_some();
        } else if self.id.is_empty() {
            id.clone_into(&mut self.id);
            self.chunks = 1;
        } else if is_told && self.chunks > 1 && role == Some("assistant") {
            return Err(super::begins_again(is_told));
        } else {
            self.says_nothing = is_told;
            id.clone_into(&mut self.id);
            self.chunks = 1;
        }
        Ok(())
    }
}

/// A word that is not empty, as servers write one that is none.
fn said(word: Option<Word<'_>>) -> Option<String> {
    word.map(String::from).filter(|word| !word.is_empty())
}

/// Whether a filter of Azure's says that it took something back, in any of its categories.
fn is_filtered(results: &RawValue) -> bool {
    let text = results.get();
    let is_filtered = |category: &Value| category["filtered"] == true;
    text.contains("true")
        && serde_json::from_str::<Value>(text).is_ok_and(|results| {
            let mut categories = results.as_object().into_iter().flat_map(|all| all.values());
            categories.any(is_filtered)
        })
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
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    /// Where Groq has the usage.
    #[serde(borrow)]
    x_groq: Option<Box<OfGroq<'a>>>,
    error: Option<Box<Value>>,
}

#[derive(Deserialize)]
struct OfGroq<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Count,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    /// In the place of the delta, where the server does not stream.
    #[serde(borrow)]
    message: Option<Box<Delta<'a>>>,
    finish_reason: Option<String>,
    #[serde(borrow)]
    native_finish_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    content_filter_results: Option<&'a RawValue>,
    error: Option<Box<Value>>,
}

#[derive(Default, Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    role: Option<Word<'a>>,
    content: Option<Content>,
    refusal: Option<Box<Piece>>,
    reasoning_content: Option<Piece>,
    reasoning: Option<Piece>,
    #[serde(borrow)]
    tool_calls: Option<Vec<ToolPiece<'a>>>,
    #[serde(borrow)]
    function_call: Option<Box<Function<'a>>>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolPiece<'a> {
    #[serde(default)]
    index: Count,
    #[serde(borrow)]
    id: Option<Word<'a>>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Default, Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<Word<'a>>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl Choice<'_> {
    /// Whether this is all of the answer. Some servers call each chunk a `chat.completion`,
    /// and put the message so far beside the delta.
    fn is_whole(&self) -> bool {
        self.message.is_some() && self.delta.is_none()
    }

    fn role(&self) -> Option<&str> {
        self.delta.as_ref()?.role.as_deref()
    }
}

impl Delta<'_> {
    fn is_text_only(&self) -> bool {
        self.refusal.is_none()
            && self.annotations.is_none()
            && self.tool_calls.is_none()
            && self.function_call.is_none()
    }

    fn has_content(&self) -> bool {
        let is_some = |piece: &Option<Piece>| piece.as_ref().is_some_and(|piece| !piece.is_empty());
        let content = self.content.as_ref();
        content.is_some_and(|content| !content.is_empty())
            || is_some(&self.reasoning_content)
            || is_some(&self.reasoning)
            || self.refusal.as_ref().is_some_and(|piece| !piece.is_empty())
            || self
                .tool_calls
                .as_ref()
                .is_some_and(|calls| !calls.is_empty())
            || self.function_call.is_some()
    }
}

impl<'a> ToolPiece<'a> {
    fn of(function: Function<'a>) -> Self {
        ToolPiece {
            index: Count::default(),
            id: None,
            function: Some(function),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a row of chunks, each an id and perhaps a role, begins a second time.
    fn begins_again(chunks: &[(&str, Option<&str>)]) -> bool {
        let mut begun = Begun::default();
        let mut seen = chunks.iter().enumerate();
        seen.any(|(at, (id, role))| begun.see(id, *role, at > 0).is_err())
    }

    const ROLE: Option<&str> = Some("assistant");

    #[test]
    fn a_second_begin_has_another_id_and_a_role() {
        assert!(begins_again(&[
            ("a", ROLE),
            ("a", None),
            ("a", None),
            ("b", ROLE)
        ]));
        assert!(begins_again(&[
            ("a", ROLE),
            ("a", None),
            ("b", ROLE),
            ("b", None)
        ]));
    }

    #[test]
    fn ids_and_roles_of_each_chunk_say_nothing() {
        assert!(!begins_again(&[
            ("a", ROLE),
            ("b", None),
            ("c", None),
            ("d", ROLE)
        ]));
        assert!(!begins_again(&[
            ("a", ROLE),
            ("b", ROLE),
            ("c", ROLE),
            ("d", ROLE)
        ]));
        assert!(!begins_again(&[
            ("a", ROLE),
            ("a", ROLE),
            ("a", ROLE),
            ("b", ROLE)
        ]));
        assert!(!begins_again(&[
            ("a", ROLE),
            ("a", None),
            ("a", None),
            ("b", None)
        ]));
        // Azure's first chunk is about its filter, and has an id of its own.
        assert!(!begins_again(&[
            ("f", None),
            ("a", ROLE),
            ("a", None),
            ("a", None)
        ]));
    }
}
