//! Requests that are refused for their form, and asked in another.

use serde_json::{Map, Value};

use super::report::words_of;
use crate::error::Error;
use crate::http::{Call, Refusal};

/// Changes of a request, each of which is made once.
pub(super) struct Amendments {
    open: Vec<Amendment>,
    /// A field that was asked for and is refused.
    refused: Option<&'static (&'static str, &'static str)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Amendment {
    /// The usage is nice to have.
    WithoutStreamOptions,
    /// The token limit has two names.
    OtherLimit,
}

/// The names of the token limit.
const LIMITS: [&str; 2] = ["max_tokens", "max_completion_tokens"];

/// Fields that a caller asked for, and the flags that send them.
const ASKED: &[(&str, &str)] = &[
    ("temperature", "temperature"),
    ("stop", "stop"),
    ("stop_sequences", "stop"),
    ("tools", "tools"),
    ("response_format", "schema"),
    ("output_config", "schema"),
    ("max_tokens", "max-tokens"),
    ("max_completion_tokens", "max-tokens"),
    ("max_output_tokens", "max-tokens"),
];

impl Amendments {
    /// What the caller has put into the body himself stays there.
    pub(super) fn new(extra: &Map<String, Value>) -> Self {
        let mut open = Vec::new();
        if !extra.contains_key("stream_options") {
            open.push(Amendment::WithoutStreamOptions);
        }
        if !LIMITS.iter().any(|name| extra.contains_key(*name)) {
            open.push(Amendment::OtherLimit);
        }
        Amendments {
            open,
            refused: None,
        }
    }

    /// Changes the request if the refusal is about the form of it; whether it did.
    pub(super) fn amend(&mut self, refusal: &Refusal, call: &mut Call) -> bool {
        if !matches!(refusal.status.as_u16(), 400 | 422) {
            return false;
        }
        let is_chat = call.url.path().ends_with("/chat/completions");
        let Some(Value::Object(body)) = &mut call.body else {
            return false;
        };
        let said = Said::of(&refusal.body);
        let mut open = self.open.iter();
        let found = open.position(|amendment| is_chat && amendment.applies(&said, body));
        if let Some(at) = found {
            self.open.remove(at).apply(body);
            return true;
        }
        let mut asked = ASKED.iter();
        self.refused = asked.find(|(name, _)| body.contains_key(*name) && said.refuses(name));
        false
    }

    /// Adds what may be left out, where that is what is refused.
    pub(super) fn explain(&self, error: Error) -> Error {
        match self.refused {
            None => error,
            Some((name, flag)) => error.with_note(format!("`--{flag}` sends `{name}`")),
        }
    }
}

impl Amendment {
    fn applies(self, said: &Said, body: &Map<String, Value>) -> bool {
        match self {
            Amendment::WithoutStreamOptions => {
                let names = ["stream_options", "include_usage", "include_obfuscation"];
                body.contains_key("stream_options") && names.iter().any(|name| said.names(name))
            }
            Amendment::OtherLimit => match LIMITS.map(|name| body.contains_key(name)) {
                [true, _] => said.names(LIMITS[1]) || said.refuses(LIMITS[0]),
                [_, true] => said.refuses(LIMITS[1]),
                _ => false,
            },
        }
    }

    fn apply(self, body: &mut Map<String, Value>) {
        match self {
            Amendment::WithoutStreamOptions => drop(body.remove("stream_options")),
            Amendment::OtherLimit => {
                let [older, newer] = LIMITS.map(|name| body.remove(name));
                body.extend(older.map(|limit| (LIMITS[1].to_owned(), limit)));
                body.extend(newer.map(|limit| (LIMITS[0].to_owned(), limit)));
            }
        }
    }
}

/// What a refusal says.
struct Said {
    words: String,
}

impl Said {
    fn of(body: &str) -> Self {
        let words = serde_json::from_str(body)
            .ok()
            .and_then(|body| words_of(&body));
        let words = words.unwrap_or_default();
        Said {
            words: format!("{words} {body}").to_ascii_lowercase(),
        }
    }

    /// Whether it speaks of a field, and not of one whose name is longer.
    fn names(&self, field: &str) -> bool {
        let is_word = |char: char| char.is_ascii_alphanumeric() || char == '_';
        self.words.match_indices(field).any(|(at, _)| {
            let (before, after) = (&self.words[..at], &self.words[at + field.len()..]);
            !before.ends_with(is_word) && !after.starts_with(is_word)
        })
    }

    /// Whether it says that a field is not known, and not that its value is wrong.
    fn refuses(&self, field: &str) -> bool {
        const WORDS: &[&str] = &[
            "unsupported",
            "not support",
            "unrecognized",
            "unrecognised",
            "unknown",
            "unexpected",
            "extra",
            "not permitted",
            "not allowed",
            "forbidden",
            "additional propert",
            "deprecated",
        ];
        self.names(field) && WORDS.iter().any(|word| self.words.contains(word))
    }
}
