//! What is asked, before it is put into the words of a protocol.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::attachment::Attachment;
use crate::error::Error;

/// One message of a conversation.
///
/// As JSON it is `{"role": "user", "content": "…"}`. A content that is not a string, and what
/// stands beside these two, goes to the upstream as it is, in the form that its protocol has
/// for it: calls of tools and their results, parts, items.
///
/// ```
/// use unspool::ask::Message;
///
/// let message = Message::user("And in Europe?");
/// let text = serde_json::to_string(&message).unwrap();
/// assert_eq!(text, r#"{"role":"user","content":"And in Europe?"}"#);
/// // What a protocol has beside these two goes along as it is.
/// let result: Message = serde_json::from_str(
///     r#"{"role": "tool", "content": "21 °C", "tool_call_id": "call_7"}"#,
/// )
/// .unwrap();
/// assert_eq!(result.more["tool_call_id"], "call_7");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `user`, `assistant` or `system`, or another that the protocol has; empty for what has
    /// no role, such as an item of Responses.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub role: String,
    /// Text, or parts as the protocol has them.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub content: Value,
    /// What else the protocol has in a message, such as `tool_calls` and `tool_call_id`.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A tool that the model may call.
///
/// ```no_run
/// use futures_util::TryStreamExt;
///
/// # async fn example() -> Result<(), unspool::Error> {
/// use unspool::ask::{Event, Tool};
///
/// let weather = Tool {
///     name: "weather".to_owned(),
///     description: "The weather at a place, now".to_owned(),
///     parameters: serde_json::json!({
///         "type": "object",
///         "properties": {"place": {"type": "string"}},
///         "required": ["place"],
///     }),
/// };
/// let mut events = unspool::ask("Is it raining in Oslo?").tool(weather).events();
/// while let Some(event) = events.try_next().await? {
///     if let Event::ToolCall { name, arguments, .. } = event {
///         println!("{name}({arguments})");
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does, for the model to read.
    #[serde(default)]
    pub description: String,
    /// The JSON Schema of its arguments, an object.
    pub parameters: Value,
}

/// All that is asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Prompt {
    pub(super) model: String,
    pub(super) system: Option<String>,
    pub(super) messages: Vec<Message>,
    pub(super) tools: Vec<Tool>,
    pub(super) max_tokens: Option<u64>,
    pub(super) temperature: Option<f64>,
    pub(super) stop_sequences: Vec<String>,
    pub(super) attachments: Vec<Attachment>,
    /// The JSON schema that the text of the answer has to match.
    pub(super) schema: Option<Value>,
    /// Merged into the body, as RFC 7396 has it.
    pub(super) extra: Map<String, Value>,
}

impl Message {
    /// What somebody says to the model.
    pub fn user(text: impl Into<String>) -> Self {
        Message::new("user", text)
    }

    /// What the model has said.
    pub fn assistant(text: impl Into<String>) -> Self {
        Message::new("assistant", text)
    }

    /// What the model is told before everything else.
    pub fn system(text: impl Into<String>) -> Self {
        Message::new("system", text)
    }

    fn new(role: &str, text: impl Into<String>) -> Self {
        Message {
            role: role.to_owned(),
            content: Value::String(text.into()),
            more: Map::new(),
        }
    }

    /// Adds parts before the text of the message, whose own part is made by `text`.
    pub(super) fn add_parts(&mut self, parts: Vec<Value>, text: fn(&str) -> Value) {
        let mut all = parts;
        match std::mem::take(&mut self.content) {
            Value::String(own) => all.push(text(&own)),
            Value::Array(own) => all.extend(own),
            Value::Null => {}
            own => all.push(own),
        }
        self.content = all.into();
    }
}

impl Prompt {
    /// # Errors
    ///
    /// There is nothing to ask, a message holds nothing, or there is none to attach files to.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.messages.is_empty() {
            return Err(Error::request("there is nothing to ask"));
        }
        let is_empty = |message: &Message| message.content.is_null() && message.more.is_empty();
        if let Some(at) = self.messages.iter().position(is_empty) {
            return Err(Error::request(format!("message {} holds nothing", at + 1)));
        }
        let is_user = |message: &Message| message.role == "user";
        match self.attachments.is_empty() || self.messages.iter().any(is_user) {
            true => Ok(()),
            false => Err(Error::request(
                "there is no message of the user's to attach files to",
            )),
        }
    }

    /// The same with the files attached to the last message of the user's, in the form that
    /// a protocol has for them.
    pub(super) fn with_attached(
        &self,
        attach: impl FnOnce(&mut Message, &[Attachment]) -> Result<(), Error>,
    ) -> Result<Cow<'_, Prompt>, Error> {
        if self.attachments.is_empty() {
            return Ok(Cow::Borrowed(self));
        }
        let mut prompt = self.clone();
        let mut messages = prompt.messages.iter_mut().rev();
        if let Some(message) = messages.find(|message| message.role == "user") {
            attach(message, &self.attachments)?;
        }
        Ok(Cow::Owned(prompt))
    }

    /// The text for the system, that of system messages included, and all other messages:
    /// for protocols that keep them apart.
    pub(super) fn system_apart(&self) -> (Option<String>, Vec<&Message>) {
        let (system, messages): (Vec<_>, Vec<_>) = (self.messages.iter())
            .partition(|message| message.role == "system" && message.content.is_string());
        let system = system.iter().filter_map(|message| message.content.as_str());
        let all: Vec<&str> = self.system.as_deref().into_iter().chain(system).collect();
        ((!all.is_empty()).then(|| all.join("\n\n")), messages)
    }

    /// All messages, the text for the system as the first: for protocols that have it so.
    pub(super) fn system_first(&self) -> Vec<Message> {
        let system = self.system.clone().map(Message::system);
        system
            .into_iter()
            .chain(self.messages.iter().cloned())
            .collect()
    }

    /// The tools, each in the form that a protocol has.
    pub(super) fn tools_as(&self, form: impl Fn(&Tool) -> Value) -> Option<Value> {
        (!self.tools.is_empty()).then(|| self.tools.iter().map(form).collect())
    }

    /// The stop sequences; null where there are none.
    pub(super) fn stop_sequences_if_any(&self) -> Value {
        match self.stop_sequences.as_slice() {
            [] => Value::Null,
            all => all.into(),
        }
    }

    /// The body of a request: these fields, without those that are null, and the caller's
    /// own merged in.
    pub(super) fn body(&self, fields: Value) -> Value {
        let mut body = fields;
        if let Value::Object(fields) = &mut body {
            fields.retain(|_, value| !value.is_null());
        }
        merge(&mut body, &Value::Object(self.extra.clone()));
        body
    }
}

/// Changes a document as a merge patch says (RFC 7396).
fn merge(document: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *document = patch.clone();
        return;
    };
    if !document.is_object() {
        *document = Value::Object(Map::new());
    }
    if let Value::Object(fields) = document {
        for (name, value) in patch {
            match value.is_null() {
                true => drop(fields.remove(name)),
                false => merge(fields.entry(name.as_str()).or_insert(Value::Null), value),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn extra_fields_are_merged_and_null_takes_a_field_away() {
        let mut prompt = Prompt::default();
        let extra = json!({"options": {"num_ctx": 8192}, "stream_options": null, "n": 1});
        prompt.extra = extra.as_object().unwrap().clone();
        let body = prompt.body(json!({
            "options": {"temperature": 0.5},
            "stream_options": {"include_usage": true},
            "stop": null,
        }));
        assert_eq!(
            body,
            json!({"options": {"temperature": 0.5, "num_ctx": 8192}, "n": 1})
        );
    }

    #[test]
    fn text_for_the_system_can_stand_apart_or_first() {
        let prompt = Prompt {
            system: Some("a".to_owned()),
            messages: vec![Message::system("b"), Message::user("c")],
            ..Prompt::default()
        };
        let (system, messages) = prompt.system_apart();
        assert_eq!(system.as_deref(), Some("a\n\nb"));
        assert_eq!(messages, [&Message::user("c")]);
        assert_eq!(prompt.system_first().len(), 3);
    }
}
