//! The Gemini API of Google ([ai.google.dev,
//! "GenerateContentResponse"](https://ai.google.dev/api/generate-content)).
//!
//! *Ends when*: a `finishReason` with or after the last content, and the end of the body.
//! There is no other end mark, and servers have been seen that put a `finishReason` into
//! each event: so both are needed, and from those an end that is more than that of the
//! connection.
//! *Auth*: `x-goog-api-key`.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use url::Url;

use super::openai;
use super::reasons::Ended;
use super::tools::{Named, ToolCalls, arguments};
use super::{
    Asked, Dialect, Events, Key, Progress, Provider, ProviderEntry, Reader, begins_again, below,
    other, raw,
};
use crate::ask::attachment::Attachment;
use crate::ask::event::Event;
use crate::ask::frames::{Frame, Frames};
use crate::ask::lenient::{self, Count, is_said};
use crate::ask::outcome::Usage;
use crate::ask::prompt::{Message, Prompt};
use crate::ask::report::reported;
use crate::ask::text::{Joined, Piece};
use crate::error::Error;

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
    model: Some("gemini-2.5-flash"),
    serves: |model| {
        let model = model.strip_prefix("models/").unwrap_or(model);
        model.starts_with("gemini") || model.starts_with("gemma-")
    },
    dialect: Dialect::USUAL,
    request,
    reader: || Box::new(Gemini::default()),
});

fn request(_: &ProviderEntry, prompt: &Prompt, base: Url) -> Result<Asked, Error> {
    let prompt = &prompt.with_attached(|message, files| {
        let parts = files.iter().map(part);
        let text = |text: &str| json!({"text": text});
        message.add_parts(parts.collect::<Result<_, _>>()?, text);
        Ok(())
    })?;
    let (system, messages) = prompt.system_apart();
    let contents: Vec<Value> = messages.into_iter().map(content).collect();
    let tools = prompt.tools_as(openai::function);
    let mut config = json!({
        "maxOutputTokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "stopSequences": prompt.stop_sequences_if_any(),
        "responseMimeType": prompt.schema.as_ref().map(|_| "application/json"),
        "responseJsonSchema": prompt.schema,
    });
    if let Value::Object(config) = &mut config {
        config.retain(|_, value| !value.is_null());
    }
    let model = prompt.model.strip_prefix("models/");
    let model = model.unwrap_or(&prompt.model);
    let path = ["models", &format!("{model}:streamGenerateContent")];
    let mut url = below(base, "v1beta", &path);
    url.query_pairs_mut().append_pair("alt", "sse");
    Ok(Asked {
        url,
        body: prompt.body(json!({
            "contents": contents,
            "systemInstruction": system.map(|text| json!({"parts": [{"text": text}]})),
            "tools": tools.map(|tools| json!([{"functionDeclarations": tools}])),
            "generationConfig": config,
        })),
        headers: Vec::new(),
    })
}

/// A file as a part of a message.
fn part(file: &Attachment) -> Result<Value, Error> {
    const TAKEN: &[&str] = &[
        "image/png",
        "image/jpeg",
        "image/webp",
        "image/heic",
        "application/pdf",
    ];
    file.one_of("gemini", TAKEN)?;
    Ok(json!({"inlineData": {"mimeType": file.media_type(), "data": file.data()}}))
}

/// A message in the words of this protocol. One that is in them already stays as it is.
fn content(message: &Message) -> Value {
    let role = match message.role.as_str() {
        "assistant" => "model",
        role => role,
    };
    if message.more.contains_key("parts") {
        let mut content = json!(message);
        content["role"] = json!(role);
        return content;
    }
    let parts = match &message.content {
        Value::Array(parts) => json!(parts),
        Value::String(text) => json!([{"text": text}]),
        part => json!([part]),
    };
    json!({"role": role, "parts": parts})
}

/// An answer as far as it has been read.
#[derive(Default)]
struct Gemini {
    text: Joined,
    thinking: Joined,
    tools: ToolCalls,
    ended: Ended,
    begun: Begun,
    is_started: bool,
    has_content: bool,
    /// Whether content came after a reason.
    is_after_reason: bool,
}

/// The id of an answer that several of its events have had.
#[derive(Default)]
struct Begun {
    id: String,
    events: u64,
    /// Whether ids say nothing, since each event has its own.
    says_nothing: bool,
}

impl Begun {
    fn see(&mut self, id: &str, has_content: bool) -> Result<(), Error> {
        if self.id == id {
            self.events += 1;
        } else if has_content && self.events > 1 && !self.says_nothing {
            return Err(begins_again(has_content));
        } else {
            self.says_nothing = has_content;
            id.clone_into(&mut self.id);
            self.events = 1;
        }
        Ok(())
    }
}

impl Reader for Gemini {
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
        let response: Response<'_> = frames.parse(frame)?;
        if let Some(error) = response.error.filter(is_said) {
            return Err(reported(&json!({"error": error})));
        }
        let (id, model) = (response.response_id, response.model_version);
        if let Some(id) = &id {
            self.begun.see(id, self.has_content)?;
        }
        if !self.is_started && (id.is_some() || model.is_some()) {
            self.is_started = true;
            events.push_back(Event::Start { id, model });
        }
        let feedback = response.prompt_feedback;
        if let Some(reason) = feedback.and_then(|feedback| feedback.block_reason) {
            self.ended.filtered();
            self.ended.reason = Some(reason);
        }
        // Of several answers to one question, the first.
        for candidate in response.candidates.into_iter().flatten() {
            if candidate.index.or_first() == 0 {
                self.candidate(candidate, frame, frames, events)?;
            }
        }
        let usage = lenient::read::<Counts>(response.usage_metadata);
        events.extend(usage.map(|counts| Event::Usage(counts.into())));
        Ok(Progress::More)
    }

    fn end(&mut self, frames: &Frames, events: &mut Events) -> Result<(), Error> {
        if self.ended.reason.is_none() {
            return Err(frames.truncated("a `finishReason`"));
        }
        if self.is_after_reason && frames.ends_with_connection() {
            return Err(frames
                .truncated("a stated end, though with a `finishReason` before the last content"));
        }
        self.ended.finish(&mut self.tools, &mut self.text, events)
    }
}

impl Gemini {
    fn candidate(
        &mut self,
        candidate: Candidate<'_>,
        frame: &Frame,
        frames: &Frames,
        events: &mut Events,
    ) -> Result<(), Error> {
        let parts = candidate.content.and_then(|content| content.parts);
        for json in parts.into_iter().flatten() {
            let part = Part::read(json).map_err(|error| frames.unfit(frame, &error.to_string()))?;
            self.part(part, json, events)?;
        }
        let citations = candidate.citation_metadata.into_iter();
        for citation in citations.flat_map(Citations::sources) {
            let citation = raw(citation.get())?;
            events.push_back(Event::Citation { citation });
        }
        if let Some(grounding) = candidate.grounding_metadata {
            events.push_back(other("groundingMetadata", grounding.get())?);
        }
        let ratings = candidate.safety_ratings.into_iter().flatten();
        if ratings
            .filter_map(|rating| rating.blocked)
            .any(|is_blocked| is_blocked)
        {
            self.ended.filtered();
        }
        self.ended.state(candidate.finish_reason);
        Ok(())
    }

    fn part(&mut self, part: Part<'_>, json: &RawValue, events: &mut Events) -> Result<(), Error> {
        // What ended before this did not end.
        if part.has_content() {
            self.has_content = true;
            self.is_after_reason |= self.ended.reason.is_some();
            self.ended.reason = None;
        }
        if let Some(call) = part.function_call {
            // Calls come whole.
            let named = Named {
                index: Some(self.tools.count() as u64),
                id: call.id,
                name: Some(call.name),
            };
            let whole = arguments(call.args).into_text();
            self.tools.whole(named, Some(&whole), false, events);
        } else if let Some(piece) = part.text {
            let is_thought = part.thought.unwrap_or(false);
            let joined = match is_thought {
                true => &mut self.thinking,
                false => &mut self.text,
            };
            let text = joined.add(piece);
            if !text.is_empty() {
                events.push_back(match is_thought {
                    true => Event::Thinking { text },
                    false => Event::Text { text },
                });
            }
        } else {
            events.push_back(other("part", json.get())?);
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    #[serde(borrow)]
    candidates: Option<Vec<Candidate<'a>>>,
    prompt_feedback: Option<Feedback>,
    #[serde(borrow)]
    usage_metadata: Option<&'a RawValue>,
    model_version: Option<String>,
    response_id: Option<String>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(default)]
    index: Count,
    #[serde(borrow)]
    content: Option<Content<'a>>,
    finish_reason: Option<String>,
    safety_ratings: Option<Vec<Rating>>,
    #[serde(borrow)]
    citation_metadata: Option<Citations<'a>>,
    #[serde(borrow)]
    grounding_metadata: Option<&'a RawValue>,
}

/// What a filter says of the answer.
#[derive(Deserialize)]
struct Rating {
    blocked: Option<bool>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    parts: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Part<'a> {
    text: Option<Piece>,
    thought: Option<bool>,
    #[serde(borrow)]
    function_call: Option<FunctionCall<'a>>,
}

impl<'a> Part<'a> {
    fn read(json: &'a RawValue) -> serde_json::Result<Self> {
        if lenient::is_text(json) {
            return Ok(Part {
                text: serde_json::from_str(json.get())?,
                ..Part::default()
            });
        }
        serde_json::from_str(json.get())
    }

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
    #[serde(default)]
    prompt_token_count: Count,
    #[serde(default)]
    candidates_token_count: Count,
    #[serde(default)]
    cached_content_token_count: Count,
    #[serde(default)]
    thoughts_token_count: Count,
}

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Self {
        Usage {
            input_tokens: counts.prompt_token_count.0,
            output_tokens: counts.candidates_token_count.0,
            cache_read_tokens: counts.cached_content_token_count.0,
            cache_write_tokens: None,
            reasoning_tokens: counts.thoughts_token_count.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begins_again(ids: &[&str]) -> bool {
        let mut begun = Begun::default();
        let mut seen = ids.iter().enumerate();
        seen.any(|(at, id)| begun.see(id, at > 0).is_err())
    }

    #[test]
    fn an_id_that_changes_after_several_events_is_that_of_another_answer() {
        assert!(begins_again(&["a", "a", "b"]));
        assert!(begins_again(&["a", "a", "a", "b", "b"]));
    }

    #[test]
    fn ids_of_each_event_say_nothing() {
        assert!(!begins_again(&["a", "b", "c", "c", "d"]));
        assert!(!begins_again(&["a", "a", "a"]));
    }
}
