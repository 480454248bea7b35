//! The Responses API of OpenAI ([platform.openai.com, "Streaming
//! events"](https://platform.openai.com/docs/api-reference/responses-streaming)).
//!
//! *Ends when*: `response.completed`, `response.incomplete` or `response.failed`. *Auth*: a
//! bearer token.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use url::Url;

use super::openai::{self, BASE, Counts, address, fields, is_own};
use super::reasons::Ended;
use super::told::Texts;
use super::tools::{Named, ToolCalls, arguments};
use super::{
    Asked, Dialect, Events, Key, Progress, Provider, ProviderEntry, Reader, begins_again, other,
    raw,
};
use crate::ask::attachment::Attachment;
use crate::ask::event::Event;
use crate::ask::frames::{Frame, Frames};
use crate::ask::lenient::{self, Count, is_said};
use crate::ask::prompt::Prompt;
use crate::ask::report::{reported, reported_in};
use crate::ask::text::{Joined, Piece, Word};
use crate::error::Error;

/// The Responses API of OpenAI, and servers that are compatible with it.
pub const RESPONSES: Provider = Provider(&ProviderEntry {
    name: "responses",
    about: "OpenAI Responses",
    base: BASE,
    base_variables: &["OPENAI_BASE_URL"],
    keys: &[("OPENAI_API_KEY", Key::Bearer)],
    is_open: false,
    model: None,
    // Its models are those of the Chat Completions, too.
    serves: |_| false,
    dialect: Dialect {
        hides_limits: true,
        ..Dialect::USUAL
    },
    request,
    reader: || Box::new(Responses::default()),
});

/// Events that say nothing which others do not say.
const KNOWN: &[&str] = &[
    "keepalive",
    "response.queued",
    "response.in_progress",
    "response.content_part.added",
    "response.reasoning_summary_part.added",
];

/// Events that are read here.
const READ: &[&str] = &[
    "error",
    "response",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.reasoning_text.delta",
    "response.reasoning_text.done",
    "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done",
    "response.reasoning_summary_part.done",
    "response.refusal.delta",
    "response.refusal.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.custom_tool_call_input.delta",
    "response.custom_tool_call_input.done",
    "response.output_text.annotation.added",
    "response.output_item.added",
    "response.output_item.done",
    "response.created",
    "response.completed",
    "response.incomplete",
    "response.failed",
    "response.cancelled",
];

fn request(_: &ProviderEntry, prompt: &Prompt, base: Url) -> Result<Asked, Error> {
    if !prompt.stop_sequences.is_empty() {
        return Err(Error::request(
            "the protocol `responses` has no stop sequences: `stop_at` ends the text on this side, \
             and `openai` is the protocol that has them",
        ));
    }
    let prompt = &prompt.with_attached(|message, files| {
        let parts = files.iter().map(part);
        message.add_parts(
            parts.collect::<Result<_, _>>()?,
            |text| json!({"type": "input_text", "text": text}),
        );
        Ok(())
    })?;
    let is_own = is_own(&base);
    let (system, messages) = prompt.system_apart();
    let mut fields = fields(prompt, |tool| {
        let mut function = openai::function(tool);
        function["type"] = json!("function");
        function
    });
    fields["text"] = json!(openai::format(prompt).map(|mut format| {
        format["type"] = json!("json_schema");
        json!({"format": format})
    }));
    fields["instructions"] = json!(system);
    fields["input"] = json!(messages);
    fields["max_output_tokens"] = json!(prompt.max_tokens);
    fields["stream_options"] = json!(is_own.then(|| json!({"include_obfuscation": false})));
    Ok(Asked {
        url: address(base, &["responses"]),
        body: prompt.body(fields),
        headers: match is_own {
            true => openai::headers(),
            false => Vec::new(),
        },
    })
}

/// A file as a part of a message.
fn part(file: &Attachment) -> Result<Value, Error> {
    if file.is_pdf() {
        let (name, data) = (file.name(), file.data_url());
        return Ok(json!({"type": "input_file", "filename": name, "file_data": data}));
    }
    file.one_of("responses", openai::IMAGES)?;
    Ok(json!({"type": "input_image", "image_url": file.data_url()}))
}

/// An answer as far as it has been read.
#[derive(Default)]
struct Responses {
    text: Said,
    refusal: Said,
    thoughts: Said,
    summary: Said,
    tools: ToolCalls,
    ended: Ended,
    id: Option<String>,
    is_begun: bool,
    has_model: bool,
}

/// One of the texts of an answer, each of which comes in pieces and once more as a whole.
#[derive(Default)]
struct Said {
    joined: Joined,
    texts: Texts,
}

/// Where in the answer something stands, as far as the server says it.
#[derive(Clone, Copy)]
struct At {
    item: Option<u64>,
    part: Option<u64>,
}

impl Said {
    fn piece(&mut self, at: At, piece: Option<Piece>) -> Option<String> {
        let text = self.joined.add(piece?);
        self.texts.tell(at.item, at.part, &text);
        (!text.is_empty()).then_some(text)
    }

    /// A part comes as a whole: what of it has not been handed out.
    fn part(&mut self, at: At, whole: Option<Piece>) -> Result<Option<String>, Error> {
        let whole = whole.unwrap_or_default().into_text();
        let missing = self.texts.whole_part(at.item, at.part, &whole)?;
        Ok(self.told(missing))
    }

    fn item(&mut self, at: At, whole: &str) -> Result<Option<String>, Error> {
        let missing = self.texts.whole_item(at.item, whole)?;
        Ok(self.told(missing))
    }

    fn all(&mut self, whole: &str) -> Result<Option<String>, Error> {
        let missing = self.texts.whole(whole)?;
        Ok(self.told(missing))
    }

    fn told(&mut self, missing: String) -> Option<String> {
        if missing.is_empty() {
            return None;
        }
        // Half a character that was kept back is in what has come now.
        self.joined = Joined::default();
        Some(missing)
    }
}

fn text_event(text: String) -> Event {
    Event::Text { text }
}

fn thinking_event(text: String) -> Event {
    Event::Thinking { text }
}

fn refusal_event(text: String) -> Event {
    Event::Refusal { text }
}

impl Reader for Responses {
    fn read(
        &mut self,
        frame: &Frame,
        frames: &mut Frames,
        events: &mut Events,
    ) -> Result<Progress, Error> {
        // Compatible servers may end as the Chat Completions do.
        if frame.data.starts_with("[DONE]") {
            return Ok(Progress::More);
        }
        let is_known = |name: &str| READ.contains(&name);
        let Some(mut event) = frames.parse_known::<StreamEvent<'_>>(frame, is_known)? else {
            events.push_back(other(&frame.name, &frame.data)?);
            return Ok(Progress::More);
        };
        // Nearly all are this one.
        if event.name(frame) == "response.output_text.delta" {
            let text = self.text.piece(event.at(), event.delta.take());
            events.extend(text.map(text_event));
            return Ok(Progress::More);
        }
        let name = event.name(frame).to_owned();
        match &*name {
            "response.completed"
            | "response.incomplete"
            | "response.failed"
            | "response.cancelled" => {
                let response = *event.response.unwrap_or_default();
                self.terminal(&name, response, frame, frames, events)?;
                return Ok(Progress::Over);
            }
            // The response as a whole: a server that does not stream.
            "response" => {
                let response = frames.parse(frame)?;
                self.terminal(&name, response, frame, frames, events)?;
                return Ok(Progress::Over);
            }
            "response.created" => self.begin(*event.response.unwrap_or_default(), events)?,
            "error" => return Err(reported_in(frame)),
            _ if event.error.as_ref().is_some_and(|error| is_said(error)) => {
                return Err(reported(&json!({"error": event.error})));
            }
            "response.output_item.added" | "response.output_item.done" => {
                let item = event.item.map(Item::read).transpose();
                let item = item.map_err(|error| frames.unfit(frame, &error.to_string()))?;
                let is_done = name.ends_with("done");
                if !self.item(item.unwrap_or_default(), event.at(), is_done, events)? {
                    events.push_back(other(&name, &frame.data)?);
                }
            }
            name => self.piece(name, frame, event, events)?,
        }
        Ok(Progress::More)
    }

    fn end(&mut self, frames: &Frames, _: &mut Events) -> Result<(), Error> {
        Err(frames.truncated("a terminal event such as `response.completed`"))
    }
}

impl Responses {
    fn begin(&mut self, response: Response<'_>, events: &mut Events) -> Result<(), Error> {
        if self.is_begun {
            let has_content = self.has_content();
            let is_same = response.id.is_none() || response.id == self.id;
            return match is_same && !has_content {
                true => Ok(()),
                false => Err(begins_again(has_content)),
            };
        }
        self.is_begun = true;
        self.has_model = response.model.is_some();
        self.id.clone_from(&response.id);
        events.push_back(Event::Start {
            id: response.id,
            model: response.model,
        });
        Ok(())
    }

    fn has_content(&self) -> bool {
        let texts = [&self.text, &self.refusal, &self.thoughts, &self.summary];
        self.tools.any || texts.iter().any(|said| !said.texts.is_empty())
    }

    /// Reads a piece of something, or a part that comes as a whole.
    fn piece(
        &mut self,
        name: &str,
        frame: &Frame,
        event: StreamEvent<'_>,
        events: &mut Events,
    ) -> Result<(), Error> {
        let at = event.at();
        match name {
            "response.output_text.done" => {
                events.extend(self.text.part(at, event.text())?.map(text_event));
            }
            "response.content_part.done" => {
                let part = event.part.unwrap_or_default();
                self.part(at, *part, events)?;
            }
            name if READ.contains(&name) && name.starts_with("response.reasoning_") => {
                let text = self.thought(name, event);
                events.extend(text.map(thinking_event));
            }
            "response.refusal.delta" => {
                self.ended.refused();
                let text = self.refusal.piece(at, event.delta);
                events.extend(text.map(refusal_event));
            }
            "response.refusal.done" => {
                let part = Part {
                    refusal: event.refusal,
                    ..Part::default()
                };
                self.part(at, part, events)?;
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                let piece = event.delta.unwrap_or_default();
                let index = self.tools.numbered(event.output_index.0);
                self.tools.add(index, piece, events)?;
            }
            "response.function_call_arguments.done" | "response.custom_tool_call_input.done" => {
                let whole = arguments(event.arguments.or(event.input)).into_text();
                let index = self.tools.numbered(event.output_index.0);
                match self.tools.is_open(index) {
                    true => self.tools.finish(index, Some(&whole), events),
                    false => self.tools.add(index, Piece::from(&*whole), events)?,
                }
            }
            "response.output_text.annotation.added" => {
                if let Some(citation) = event.annotation {
                    let citation = raw(citation.get())?;
                    events.push_back(Event::Citation { citation });
                }
            }
            name if KNOWN.contains(&name) => {}
            name => events.push_back(other(name, &frame.data)?),
        }
        Ok(())
    }

    /// A piece of what the model thinks, or a part of that as a whole: of those, only what
    /// would not come at all otherwise counts.
    fn thought(&mut self, name: &str, event: StreamEvent<'_>) -> Option<String> {
        let at = event.at();
        match name {
            "response.reasoning_text.delta" => self.thoughts.piece(at, event.delta),
            "response.reasoning_summary_text.delta" => self.summary.piece(at, event.delta),
            "response.reasoning_text.done" => {
                self.thoughts.part(at, event.text()).unwrap_or_default()
            }
            "response.reasoning_summary_text.done" => {
                self.summary.part(at, event.text()).unwrap_or_default()
            }
            "response.reasoning_summary_part.done" => {
                let part = event.part.unwrap_or_default();
                self.summary.part(at, part.text).unwrap_or_default()
            }
            _ => None,
        }
    }

    /// A part of a message comes as a whole.
    fn part(&mut self, at: At, part: Part<'_>, events: &mut Events) -> Result<(), Error> {
        if part.kind.as_deref() == Some("reasoning_text") {
            let text = self.thoughts.part(at, part.text).unwrap_or_default();
            events.extend(text.map(thinking_event));
            return Ok(());
        }
        if part.text.is_some() {
            events.extend(self.text.part(at, part.text)?.map(text_event));
        }
        if part.refusal.as_ref().is_some_and(|text| !text.is_empty()) {
            self.ended.refused();
            events.extend(self.refusal.part(at, part.refusal)?.map(refusal_event));
        }
        Ok(())
    }

    /// Reads the begin or the end of an item; whether it is one of those that have events.
    fn item(
        &mut self,
        item: Item<'_>,
        at: At,
        is_done: bool,
        events: &mut Events,
    ) -> Result<bool, Error> {
        match item.kind.as_deref() {
            Some("function_call" | "custom_tool_call") if is_done => {
                self.call(item, at.item, events);
            }
            Some("function_call") => self.tools.start(item.named(at.item), events),
            Some("custom_tool_call") => self.tools.start_text(item.named(at.item), events),
            Some("message") if is_done => self.message(item, at, events)?,
            Some("reasoning") if is_done => self.reasoning(item, at, events),
            Some("message" | "reasoning") => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A call comes as a whole, after pieces of it or alone.
    fn call(&mut self, item: Item<'_>, index: Option<u64>, events: &mut Events) {
        let is_text = item.is_text_call();
        let whole = arguments(item.arguments.or(item.input)).into_text();
        let named = item.named(index);
        self.tools.whole(named, Some(&whole), is_text, events);
    }

    /// A message comes as a whole.
    fn message(&mut self, item: Item<'_>, at: At, events: &mut Events) -> Result<(), Error> {
        let (text, refusal) = item.texts();
        events.extend(self.text.item(at, &text)?.map(text_event));
        if !refusal.is_empty() {
            self.ended.refused();
            events.extend(self.refusal.item(at, &refusal)?.map(refusal_event));
        }
        Ok(())
    }

    fn reasoning(&mut self, item: Item<'_>, at: At, events: &mut Events) {
        let (summary, content) = item.thoughts();
        let summary = self.summary.item(at, &summary).unwrap_or_default();
        let content = self.thoughts.item(at, &content).unwrap_or_default();
        events.extend(summary.into_iter().chain(content).map(thinking_event));
    }

    /// The terminal event, in which all of the answer may come once more, or at last.
    fn terminal(
        &mut self,
        name: &str,
        response: Response<'_>,
        frame: &Frame,
        frames: &Frames,
        events: &mut Events,
    ) -> Result<(), Error> {
        let is_alone = name == "response" || !self.has_content();
        if name == "response" || !self.has_model && response.model.is_some() {
            events.push_back(Event::Start {
                id: response.id.clone(),
                model: response.model.clone(),
            });
        }
        let status = status(name, &response).to_owned();
        if status == "failed" {
            let error = response.error.unwrap_or_default();
            return Err(reported(&json!({"error": error})));
        }
        let items = lenient::list(response.output).into_iter().map(Item::read);
        let items: Vec<Item<'_>> = items
            .collect::<serde_json::Result<_>>()
            .map_err(|error| frames.unfit(frame, &error.to_string()))?;
        let is_cut = items.iter().any(Item::is_cut);
        self.output(items, is_alone, events)?;
        let usage = lenient::read::<Counts<'_>>(response.usage);
        events.extend(usage.map(|counts| Event::Usage(counts.into())));
        let details = response
            .incomplete_details
            .and_then(|details| details.reason);
        self.ended.state(match status.as_str() {
            "incomplete" => Some(details.unwrap_or(status)),
            "completed" if is_cut => Some("incomplete".to_owned()),
            // A response that does not say how it ended.
            "response" => None,
            _ => Some(status),
        });
        self.ended
            .finish(&mut self.tools, &mut self.text.joined, events)
    }

    /// All of the output once more, or at last.
    fn output(
        &mut self,
        items: Vec<Item<'_>>,
        is_alone: bool,
        events: &mut Events,
    ) -> Result<(), Error> {
        let (mut text, mut refusal, mut citations) = (String::new(), String::new(), Vec::new());
        let (mut summary, mut thoughts) = (String::new(), String::new());
        let mut calls = Vec::new();
        for item in items {
            match item.kind.as_deref() {
                Some("function_call" | "custom_tool_call") => calls.push(item),
                Some("reasoning") => {
                    let (more_summary, more_thoughts) = item.thoughts();
                    summary += &more_summary;
                    thoughts += &more_thoughts;
                }
                Some("message") => {
                    citations.extend(item.citations());
                    let (more_text, more_refusal) = item.texts();
                    text += &more_text;
                    refusal += &more_refusal;
                }
                _ => {}
            }
        }
        let summary = self.summary.all(&summary).unwrap_or_default();
        let thoughts = self.thoughts.all(&thoughts).unwrap_or_default();
        events.extend(summary.into_iter().chain(thoughts).map(thinking_event));
        events.extend(self.text.all(&text)?.map(text_event));
        if !refusal.is_empty() {
            self.ended.refused();
            events.extend(self.refusal.all(&refusal)?.map(refusal_event));
        }
        if is_alone {
            for citation in citations {
                let citation = raw(citation.get())?;
                events.push_back(Event::Citation { citation });
            }
        }
        let begun = self.tools.count();
        for (at, item) in calls.into_iter().enumerate() {
            // Where calls have no ids, their order tells which have come.
            if item.has_id() || at >= begun {
                self.call(item, None, events);
            }
        }
        Ok(())
    }
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

/// Any event of the stream.
#[derive(Deserialize)]
struct StreamEvent<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Word<'a>>,
    #[serde(borrow)]
    object: Option<Word<'a>>,
    #[serde(default)]
    output_index: Count,
    #[serde(default)]
    content_index: Count,
    #[serde(default)]
    summary_index: Count,
    delta: Option<Piece>,
    /// In a response that is a whole, this is something else.
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    refusal: Option<Piece>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    part: Option<Box<Part<'a>>>,
    #[serde(borrow)]
    annotation: Option<&'a RawValue>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<Box<Response<'a>>>,
    error: Option<Box<Value>>,
}

impl StreamEvent<'_> {
    /// What it is called: by its type, by what it is, or by the line before it.
    fn name<'n>(&'n self, frame: &'n Frame) -> &'n str {
        match self.kind.as_deref() {
            Some(name) => name,
            None if self.object.as_deref() == Some("response") => "response",
            None => &frame.name,
        }
    }

    fn at(&self) -> At {
        At {
            item: self.output_index.0,
            part: self.content_index.0.or(self.summary_index.0),
        }
    }

    fn text(&self) -> Option<Piece> {
        lenient::read(self.text)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Response<'a> {
    id: Option<String>,
    model: Option<String>,
    status: Option<String>,
    incomplete_details: Option<Details>,
    error: Option<Value>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
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
    #[serde(borrow)]
    status: Option<Word<'a>>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
    #[serde(skip)]
    parts: Vec<Part<'a>>,
    #[serde(skip)]
    summary_parts: Vec<Part<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Part<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Word<'a>>,
    text: Option<Piece>,
    refusal: Option<Piece>,
    #[serde(borrow)]
    annotations: Option<Vec<&'a RawValue>>,
}

impl<'a> Part<'a> {
    /// The parts of a list, some of which may be the text itself.
    fn list(json: Option<&'a RawValue>) -> serde_json::Result<Vec<Self>> {
        let parts = lenient::list(json).into_iter().map(|part| {
            if lenient::is_text(part) {
                return Ok(Part {
                    text: serde_json::from_str(part.get())?,
                    ..Part::default()
                });
            }
            serde_json::from_str(part.get())
        });
        parts.collect()
    }
}

impl<'a> Item<'a> {
    /// Reads an item. Of a kind that is not known here, its form does not matter.
    fn read(json: &'a RawValue) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        struct Kind<'a> {
            #[serde(rename = "type", borrow)]
            kind: Option<Word<'a>>,
        }
        let kind: Kind<'_> = serde_json::from_str(json.get())?;
        let known = ["message", "reasoning", "function_call", "custom_tool_call"];
        if !kind.kind.is_some_and(|kind| known.contains(&&*kind)) {
            return Ok(Item::default());
        }
        let mut item: Item<'_> = serde_json::from_str(json.get())?;
        item.parts = Part::list(item.content)?;
        item.summary_parts = Part::list(item.summary)?;
        Ok(item)
    }

    fn named(self, index: Option<u64>) -> Named {
        Named {
            index,
            id: self.call_id.or(self.id),
            name: self.name.filter(|name| !name.is_empty()),
        }
    }

    fn has_id(&self) -> bool {
        self.call_id.is_some() || self.id.is_some()
    }

    fn is_text_call(&self) -> bool {
        self.kind.as_deref() == Some("custom_tool_call")
    }

    /// Whether the upstream says that this is not all of it.
    fn is_cut(&self) -> bool {
        self.kind.as_deref() == Some("message") && self.status.as_deref() == Some("incomplete")
    }

    /// The text of a message, and that of a refusal.
    fn texts(self) -> (String, String) {
        let (mut text, mut refusal) = (String::new(), String::new());
        let (mut joined, mut joined_refusal) = (Joined::default(), Joined::default());
        for part in self.parts {
            text.extend(part.text.map(|piece| joined.add(piece)));
            refusal.extend(part.refusal.map(|piece| joined_refusal.add(piece)));
        }
        text.extend(joined.end());
        (text, refusal)
    }

    /// The summary of what the model thought, and what it thought.
    fn thoughts(self) -> (String, String) {
        let all = |parts: Vec<Part<'_>>| {
            let texts = parts.into_iter().filter_map(|part| part.text);
            texts.map(Piece::into_text).collect::<String>()
        };
        (all(self.summary_parts), all(self.parts))
    }

    fn citations(&self) -> Vec<&'a RawValue> {
        let citations = self.parts.iter();
        let citations = citations.flat_map(|part| part.annotations.iter().flatten());
        citations.copied().collect()
    }
}
