use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::outcome::{Stop, Usage};

/// Something that happens in an answer. Serialises to the JSON that `unspool ask
/// --events` prints.
///
/// It is in the example of [`Tool`](super::Tool).
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The answer begins. May come once more at the end, with what the upstream had not said
    /// before.
    Start {
        /// The upstream's name for the answer.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The model that answers, by the upstream's word.
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<String>,
    },
    /// The next piece of the text.
    Text {
        /// The piece: never empty, and never a part of a character.
        text: String,
    },
    /// The next piece of what the model thinks before it answers, or of a summary of it.
    Thinking {
        /// The piece.
        text: String,
    },
    /// The next piece of the words with which the model refuses, where those are apart from
    /// the text.
    Refusal {
        /// The piece.
        text: String,
    },
    /// The model begins to call a tool.
    ToolStart {
        /// Which of the calls in this answer: pieces of several may alternate.
        index: u64,
        /// The upstream's name for the call.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The tool.
        name: String,
    },
    /// The next piece of the arguments of a call.
    ToolDelta {
        /// Which of the calls.
        index: u64,
        /// A piece of JSON text, or for a tool that takes text, of that.
        arguments: String,
    },
    /// A call is whole.
    ToolCall {
        /// Which of the calls.
        index: u64,
        /// The upstream's name for the call.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The tool.
        name: String,
        /// Its arguments: valid JSON, as the model wrote it; for a tool that takes text, a
        /// string of it.
        #[serde(serialize_with = "on_one_line")]
        arguments: Box<RawValue>,
    },
    /// A source that the text cites, as the upstream gives it.
    Citation {
        /// The upstream's JSON.
        #[serde(serialize_with = "on_one_line")]
        citation: Box<RawValue>,
    },
    /// What the answer has used so far, by the upstream's count.
    Usage(Usage),
    /// The model has stopped, and the upstream has proved it: the last event.
    Stop {
        /// Why.
        stop: Stop,
        /// The upstream's own word for it.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The stop sequence that ended the answer.
        #[serde(skip_serializing_if = "Option::is_none")]
        sequence: Option<String>,
    },
    /// Something that this library has no event for.
    Other {
        /// What the upstream calls it.
        name: String,
        /// The upstream's JSON.
        #[serde(serialize_with = "on_one_line")]
        data: Box<RawValue>,
    },
}

impl Event {
    /// Whether the answer goes on by it, so that it can no longer be started over once
    /// it has been handed out.
    pub(super) fn is_content(&self) -> bool {
        !matches!(self, Event::Start { .. } | Event::Usage(_))
    }

    /// Whether the model has done something. Signs of life may come for ever, and under
    /// names that nobody knows.
    pub(super) fn is_progress(&self) -> bool {
        self.is_content() && !matches!(self, Event::Other { .. })
    }
}

/// JSON has line breaks only between tokens.
fn on_one_line<S: Serializer>(json: &RawValue, serializer: S) -> Result<S::Ok, S::Error> {
    if !json.get().contains(['\n', '\r']) {
        return json.serialize(serializer);
    }
    let text = json.get().replace(['\n', '\r'], " ");
    match RawValue::from_string(text) {
        Ok(json) => json.serialize(serializer),
        Err(error) => Err(serde::ser::Error::custom(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_a_call_are_written_on_one_line() {
        let event = Event::ToolCall {
            index: 0,
            id: None,
            name: "weather".to_owned(),
            arguments: RawValue::from_string("{\n\"city\": 1}".to_owned()).unwrap(),
        };
        assert!(!serde_json::to_string(&event).unwrap().contains('\n'));
    }
}
