//! What an answer says against itself, although its status is a success.

use serde_json::{Map, Value};

/// The longest error of an upstream that goes into a message.
const MAX_ERROR: usize = 200;

/// How many members are quoted.
const MOST_QUOTED: usize = 3;

/// Members that hold an error, or a list of them.
const ERRORS: &[&str] = &["errors", "error"];

/// Members that say whether the request went well.
const SUCCESS: &[&str] = &["ok", "success"];

/// Members that say that items are missing: GitHub's search, Elasticsearch's, and
/// their kin.
const PARTIAL: &[&str] = &[
    "incomplete_results",
    "timed_out",
    "partial",
    "partial_results",
    "is_partial",
];

/// Where messages about an error are, in it and beside it.
const MESSAGES: &[&str] = &["message", "detail", "title", "reason", "msg", "description"];

/// An error in the place of the items, or beside them: as GraphQL, JSON:API and many
/// others have it.
pub(crate) fn error(document: &Value) -> Option<String> {
    let stated = ERRORS.iter().find_map(|key| {
        let value = document.get(key)?;
        match value {
            Value::Array(errors) => errors.first(),
            Value::Object(fields) if !fields.is_empty() => Some(value),
            Value::String(text) if !text.trim().is_empty() => Some(value),
            Value::Bool(true) => Some(document),
            _ => None,
        }
    });
    let failed = || {
        let is_failed = (SUCCESS.iter()).any(|key| document.get(key) == Some(&Value::Bool(false)));
        is_failed.then_some(document)
    };
    stated.or_else(failed).map(message_of)
}

/// What an answer without a list says of itself.
pub(crate) fn said(document: &Value) -> Option<String> {
    error(document).or_else(|| spoken(document.as_object()?))
}

/// What says that only a part of the items is there.
pub(crate) fn part(document: &Value) -> Option<String> {
    let flag = (PARTIAL.iter()).find(|key| document.get(**key) == Some(&Value::Bool(true)));
    let failed_shards = || {
        let failed = document.pointer("/_shards/failed")?.as_u64()?;
        (failed > 0).then(|| format!("`/_shards/failed` is {failed}"))
    };
    flag.map(|key| format!("`/{key}` is true"))
        .or_else(failed_shards)
}

/// Words for what the same request would meet again: who asks, or what is asked for, is
/// refused. What else may be wrong may pass, where the pages before came.
const FINAL: &[&str] = &[
    "unauthor",
    "forbidden",
    "denied",
    "permission",
    "credential",
    "expired",
    "revoked",
    "not found",
    "not_found",
    "not exist",
    "no such",
    "unsupported",
    "not supported",
];

/// Words for what will pass.
const TRANSIENT: &[&str] = &[
    "429",
    "503",
    "504",
    "busy",
    "internal error",
    "overload",
    "rate limit",
    "rate_limit",
    "ratelimit",
    "retry",
    "server error",
    "slow down",
    "temporar",
    "throttl",
    "timed out",
    "timeout",
    "too many",
    "try again",
    "unavailable",
];

/// Whether a failure will pass, by the words for it.
pub(crate) fn is_transient(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    !is_final(&words) && TRANSIENT.iter().any(|word| words.contains(word))
}

/// Whether a failure will not pass, by the words for it.
pub(crate) fn is_final(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    FINAL.iter().any(|word| words.contains(word))
}

/// Whether an answer without items speaks of something else than success: an error, a
/// message, or a status that is none of success. There is nothing to compare it with, so
/// names are looked for; the messages of a page are compared with those of page 1.
pub(crate) fn speaks_of_failure(document: &Value) -> bool {
    let Value::Object(fields) = document else {
        return true;
    };
    error(document).is_some() || fields.iter().any(|(key, value)| speaks(key, value))
}

/// What an answer without items says of a failure in plain words, where there is nothing to
/// compare it with: its status is one of HTTP's for errors, a member for errors is set, or
/// its message is about what will pass.
pub(crate) fn failure(document: &Value) -> Option<String> {
    let Value::Object(fields) = document else {
        return None;
    };
    let is_plain = |key: &str, value: &Value| {
        let key = key.to_ascii_lowercase();
        let number = value
            .as_u64()
            .or_else(|| value.as_str()?.trim().parse().ok());
        let is_status = number.is_some_and(|number| (400..600).contains(&number));
        let is_about_errors = ["err", "fault", "exception"]
            .iter()
            .any(|name| key.starts_with(name));
        is_status || is_about_errors || value.as_str().is_some_and(is_transient)
    };
    let mut said = fields.iter().filter(|(key, value)| speaks(key, value));
    said.find(|(key, value)| is_plain(key, value))?;
    spoken(fields)
}

/// The members that speak of something else than success.
fn spoken(fields: &Map<String, Value>) -> Option<String> {
    let speaking = fields.iter().filter(|(key, value)| speaks(key, value));
    let quoted: Vec<String> = speaking
        .take(MOST_QUOTED)
        .map(|(key, value)| {
            let text: String = value.to_string().chars().take(MAX_ERROR).collect();
            format!("`/{key}` is `{text}`")
        })
        .collect();
    (!quoted.is_empty()).then(|| quoted.join(", "))
}

/// Whether a text says that the list is over, which is no failure.
pub(crate) fn is_end(value: &Value) -> bool {
    let text = value
        .as_str()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let begins = [
        "no more",
        "no result",
        "no record",
        "no data",
        "no item",
        "empty",
        "end of",
        "end",
        "done",
        "complete",
        "finish",
    ];
    begins.iter().any(|begin| text.starts_with(begin))
}

fn speaks(key: &str, value: &Value) -> bool {
    let key = key.to_ascii_lowercase();
    let is_success = match value {
        Value::Null | Value::Bool(true) => true,
        Value::Bool(false) => !key.contains("ok") && !key.contains("success"),
        Value::Number(number) => matches!(number.as_u64(), Some(0 | 200..=299)),
        Value::String(text) => {
            let text = text.trim().to_ascii_lowercase();
            ["", "ok", "success", "0", "200", "true", "none"].contains(&text.as_str())
        }
        Value::Array(elements) => elements.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    };
    let is_message = [
        "error",
        "err",
        "fault",
        "exception",
        "message",
        "msg",
        "warning",
        "reason",
        "detail",
    ]
    .iter()
    .any(|part| key.starts_with(part) || key.ends_with(part));
    let is_status = ["status", "code", "ok", "success", "result"].contains(&key.as_str());
    // An object under `result` is what surrounds the list.
    !is_success && !is_end(value) && (is_message || is_status && !value.is_object())
}

fn message_of(error: &Value) -> String {
    let text = MESSAGES
        .iter()
        .find_map(|key| error.get(key)?.as_str())
        .or_else(|| error.as_str());
    let text = text.map_or_else(|| error.to_string(), str::to_owned);
    text.chars().take(MAX_ERROR).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_are_found_in_the_forms_that_apis_give_them() {
        for document in [
            json!({"errors": [{"message": "busy"}]}),
            json!({"errors": {"message": "busy"}}),
            json!({"errors": "busy"}),
            json!({"error": "busy"}),
            json!({"error": {"code": 500, "message": "busy"}}),
            json!({"error": true, "message": "busy"}),
            json!({"ok": false, "msg": "busy"}),
            json!({"success": false, "message": "busy"}),
        ] {
            assert_eq!(error(&document).as_deref(), Some("busy"), "{document}");
        }
        assert_eq!(error(&json!({"error": {"x": 1}})).unwrap(), r#"{"x":1}"#);
    }

    #[test]
    fn members_that_say_that_there_is_no_error_are_none() {
        for document in [
            json!({"errors": [], "error": null, "ok": true, "success": true}),
            json!({"errors": {}, "error": ""}),
            json!({"error": false}),
            json!({"error": 0, "errors": 0}),
            json!([]),
        ] {
            assert_eq!(error(&document), None, "{document}");
            assert_eq!(part(&document), None, "{document}");
        }
    }

    #[test]
    fn answers_that_are_only_a_part_are_noticed() {
        let part = |document| part(&document);
        assert_eq!(
            part(json!({"incomplete_results": true, "items": []})).as_deref(),
            Some("`/incomplete_results` is true")
        );
        assert_eq!(
            part(json!({"timed_out": false, "_shards": {"total": 5, "failed": 1}})).as_deref(),
            Some("`/_shards/failed` is 1")
        );
        assert_eq!(
            part(json!({"timed_out": false, "_shards": {"failed": 0}})),
            None
        );
    }
}
