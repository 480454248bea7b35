//! What the two protocols of OpenAI share.

use serde_json::{Value, json};
use url::Url;

use super::below;
use crate::ask::lenient::{self, Count};
use crate::ask::outcome::Usage;
use crate::ask::prompt::{Prompt, Tool};
use crate::ask::schema::is_strict;
use crate::error::Error;

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

/// The headers that say for which organization and project a request to OpenAI is.
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

/// The fields that both have: the caller adds those that differ.
pub(super) fn fields(prompt: &Prompt, tool: fn(&Tool) -> Value) -> Value {
    json!({
        "model": prompt.model,
        "tools": prompt.tools_as(tool),
        "temperature": prompt.temperature,
        "stream": true,
    })
}

/// A tool, in the form in which both describe a function.
pub(super) fn function(tool: &Tool) -> Value {
    json!({
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    })
}

/// The tool as Chat Completions and Ollama have it.
pub(super) fn tool(tool: &Tool) -> Value {
    json!({"type": "function", "function": function(tool)})
}

/// A message has to have a role; what stands beside it is the protocol's own.
pub(super) fn check_messages(prompt: &Prompt) -> Result<(), Error> {
    match prompt
        .messages
        .iter()
        .position(|message| message.role.is_empty())
    {
        None => Ok(()),
        Some(at) => Err(Error::request(format!("message {} has no `role`", at + 1))),
    }
}

/// The schema of an answer, as both describe it.
pub(super) fn format(prompt: &Prompt) -> Option<Value> {
    let schema = prompt.schema.as_ref()?;
    Some(json!({"name": "answer", "schema": schema, "strict": is_strict(schema)}))
}

/// Images that OpenAI and most compatible servers take.
pub(super) const IMAGES: &[&str] = &["image/png", "image/jpeg", "image/webp", "image/gif"];

/// What an answer used: Chat Completions and Responses call the same counts differently.
#[derive(serde::Deserialize)]
pub(super) struct Counts<'a> {
    #[serde(default, alias = "input_tokens")]
    prompt_tokens: Count,
    #[serde(default, alias = "output_tokens")]
    completion_tokens: Count,
    #[serde(borrow, alias = "input_tokens_details")]
    prompt_tokens_details: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow, alias = "output_tokens_details")]
    completion_tokens_details: Option<&'a serde_json::value::RawValue>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Count,
    cache_write_tokens: Count,
    reasoning_tokens: Count,
}

impl From<Counts<'_>> for Usage {
    fn from(counts: Counts<'_>) -> Self {
        let input: Details = lenient::read(counts.prompt_tokens_details).unwrap_or_default();
        let output: Details = lenient::read(counts.completion_tokens_details).unwrap_or_default();
        Usage {
            input_tokens: counts.prompt_tokens.0,
            output_tokens: counts.completion_tokens.0,
            cache_read_tokens: input.cached_tokens.0,
            cache_write_tokens: input.cache_write_tokens.0,
            reasoning_tokens: output.reasoning_tokens.0,
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
