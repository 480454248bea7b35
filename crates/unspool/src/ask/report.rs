//! Errors in the words of a model's server.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use serde_json::Value;

use super::frames::Frame;
use crate::error::{Error, Kind};
use crate::http::Refusal;

/// Words for failures that the same request would meet again.
const LASTING: &[&str] = &[
    "invalid_request_error",
    "invalid_request",
    "invalid_prompt",
    "invalid_api_key",
    "authentication_error",
    "billing_error",
    "permission_error",
    "permission_denied",
    "not_found_error",
    "model_not_found",
    "request_too_large",
    "context_length_exceeded",
    "content_policy_violation",
    "unsupported_parameter",
    "unsupported_value",
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "credit_balance_exhausted",
    "enforced_spend_limit_reached",
    "invalid_argument",
    "failed_precondition",
    "unauthenticated",
    "not_found",
    "invalidrequesterror",
    "badrequesterror",
    "notfounderror",
];

/// Those among them that come with a status that would pass.
const SPENT: &[&str] = &[
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "credit_balance_exhausted",
    "enforced_spend_limit_reached",
];

/// What a server says went wrong.
struct Report {
    /// Its words for it, the most exact first.
    codes: Vec<String>,
    message: String,
    /// How long to wait before asking again.
    wait: Option<Duration>,
}

impl Report {
    /// Out of any of the forms that errors have:
    ///
    /// - `{"type": "error", "error": {"type", "message", "details": {"error_code"}}}`
    /// - `{"error": {"message", "type", "code", "status"}}`
    /// - `{"error": "message"}`, `{"detail": "message"}`, `{"message": "message"}`
    /// - `{"type": "error", "code", "message"}`
    fn read(document: &Value) -> Option<Self> {
        let document = match document {
            // Gemini puts it into an array where it would stream one.
            Value::Array(array) => array.first()?,
            document => document,
        };
        let error = match document.get("error") {
            Some(Value::Null) | None => document,
            Some(error) => error,
        };
        let message = words_of(error);
        let details = error
            .get("details")
            .and_then(|found| found.get("error_code"));
        let names = ["code", "status", "type"];
        let codes = (names.iter().filter_map(|name| error.get(name)))
            .filter(|code| *code != "error")
            .filter_map(word);
        let codes: Vec<String> = details.and_then(word).into_iter().chain(codes).collect();
        (message.is_some() || !codes.is_empty()).then(|| Report {
            message: message.unwrap_or_else(|| "no message".to_owned()),
            codes,
            wait: error.get("details").and_then(retry_delay),
        })
    }

    fn is_any_of(&self, words: &[&str]) -> bool {
        let is_one = |code: &String| words.contains(&code.to_ascii_lowercase().as_str());
        self.codes.iter().any(is_one)
    }

    /// Whether one of the codes is a status for a request that is wrong.
    fn has_lasting_status(&self) -> bool {
        let mut statuses = (self.codes.iter()).filter_map(|code| code.parse::<u16>().ok());
        statuses.any(|status| (400..500).contains(&status) && ![408, 409, 429].contains(&status))
    }

    /// The most telling code: one that is a word, if there is one.
    fn code(&self) -> Option<String> {
        let is_word = |code: &&String| code.parse::<u16>().is_err();
        let code = self.codes.iter().find(is_word);
        code.or(self.codes.first()).cloned()
    }

    fn words(&self) -> String {
        match self.code() {
            Some(code) => format!("{code}: {}", self.message),
            None => self.message.clone(),
        }
    }
}

/// How deep the words of an error are looked for, and how many of a list are taken.
const DEPTH: usize = 8;
const LISTED: usize = 3;

/// The words of an error for people, wherever in it they are.
pub(super) fn words_of(error: &Value) -> Option<String> {
    words_within(error, DEPTH)
}

fn words_within(error: &Value, depth: usize) -> Option<String> {
    const NAMES: &[&str] = &[
        "message",
        "msg",
        "detail",
        "error",
        "errors",
        "error_description",
        "error_message",
        "description",
        "reason",
        "title",
    ];
    let depth = depth.checked_sub(1)?;
    match error {
        // Gateways put the error of the server that they asked into a string.
        Value::String(text) => match serde_json::from_str(text) {
            Ok(inner @ (Value::Object(_) | Value::Array(_))) => {
                words_within(&inner, depth).or_else(|| Some(text.clone()))
            }
            _ => (!text.trim().is_empty()).then(|| text.clone()),
        },
        Value::Array(all) => {
            let words = all.iter().filter_map(|error| words_within(error, depth));
            let words: Vec<String> = words.take(LISTED).collect();
            (!words.is_empty()).then(|| words.join("; "))
        }
        Value::Object(fields) => {
            let mut named = NAMES.iter().filter_map(|name| fields.get(*name));
            let words = named.find_map(|value| words_within(value, depth))?;
            let place = fields.get("loc").and_then(place);
            let words = match place {
                Some(place) => format!("{place}: {words}"),
                None => words,
            };
            // What the server after a gateway said, which the gateway's words do not.
            let raw = fields
                .get("metadata")
                .and_then(|metadata| metadata.get("raw"));
            let raw = raw.and_then(|raw| words_within(raw, depth));
            Some(match raw.filter(|raw| !words.contains(raw.as_str())) {
                Some(raw) => format!("{words}: {raw}"),
                None => words,
            })
        }
        _ => None,
    }
}

/// The field that an error is about, as validators give it: `["body", "tools", 0]`.
fn place(path: &Value) -> Option<String> {
    let steps = path.as_array()?.iter().filter_map(word);
    let steps: Vec<String> = steps.collect();
    (!steps.is_empty()).then(|| steps.join("."))
}

/// Whether nothing listened where a connection was tried.
pub(super) fn is_refused_connection(error: &Error) -> bool {
    use std::error::Error as _;
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>()
            && error.kind() == std::io::ErrorKind::ConnectionRefused
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The error that an answer with a status of success reports.
pub(super) fn reported(document: &Value) -> Error {
    let report = Report::read(document).unwrap_or_else(|| Report {
        codes: Vec::new(),
        message: document.to_string(),
        wait: None,
    });
    let is_lasting = report.is_any_of(LASTING) || report.has_lasting_status();
    Error::new(
        Kind::Reported,
        format!("the upstream reports an error: {}", report.words()),
    )
    .with_code(report.code())
    .with_retry_after(report.wait)
    .with_retryable(Some(!is_lasting))
}

/// The error of an event that is one by its name, though it may not be JSON.
pub(super) fn reported_in(frame: &Frame) -> Error {
    let text = || Value::String(frame.data.to_string());
    reported(&serde_json::from_str(&frame.data).unwrap_or_else(|_| text()))
}

/// The error for an answer with another status.
pub(super) fn refused(refusal: Refusal) -> Error {
    let report = serde_json::from_str(&refusal.body)
        .ok()
        .and_then(|document| Report::read(&document));
    let is_retryable = is_retryable(&refusal, report.as_ref());
    let Some(report) = report else {
        return refusal.into_error().with_retryable(is_retryable);
    };
    let error = refusal.error_that_says(&report.words());
    let wait = error.retry_after().or(report.wait);
    error
        .with_code(report.code())
        .with_retry_after(wait)
        .with_retryable(is_retryable)
}

/// Whether to try again, where the status alone does not tell: by the upstream's word, in a
/// header that Anthropic and OpenAI have for it or in the body. A 409 is a conflict with
/// another request, which passes.
fn is_retryable(refusal: &Refusal, report: Option<&Report>) -> Option<bool> {
    let said = refusal.headers.get("x-should-retry");
    match said.map(|value| value.as_bytes()) {
        Some(b"true") => return Some(true),
        Some(b"false") => return Some(false),
        _ => {}
    }
    // A spend limit that says when to come back is one of the hour, not of the month.
    let comes_back = report
        .is_some_and(|report| report.is_any_of(&["enforced_spend_limit_reached"]))
        && refusal.headers.contains_key(RETRY_AFTER);
    match report {
        Some(report) if report.is_any_of(SPENT) && !comes_back => Some(false),
        _ if refusal.status.as_u16() == 409 => Some(true),
        _ => None,
    }
}

/// The wait in the details of an error of Google's, such as `7s` or `0.5s`
/// (`google.rpc.RetryInfo`).
fn retry_delay(details: &Value) -> Option<Duration> {
    let mut delays = details
        .as_array()?
        .iter()
        .filter_map(|detail| detail.get("retryDelay"));
    let seconds = delays.next()?.as_str()?.strip_suffix('s')?;
    Duration::try_from_secs_f64(seconds.parse().ok()?).ok()
}

/// What servers write as a number or as a word.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(word) if !word.is_empty() => Some(word.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(document: &Value, code: Option<&str>, words: &str, is_retryable: bool) {
        let error = reported(document);
        assert_eq!(error.code(), code, "{document}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.is_retryable(), is_retryable, "{document}");
    }

    #[test]
    fn a_spend_limit_is_waited_for_only_if_it_says_how_long() {
        let body = json!({"type": "error", "error": {
            "type": "rate_limit_error",
            "message": "m",
            "details": {"error_code": "enforced_spend_limit_reached"},
        }});
        let mut refusal = Refusal::of(429, body.to_string());
        refusal.headers.insert(RETRY_AFTER, 60.into());
        assert!(refused(refusal).is_retryable());
        assert!(!refused(Refusal::of(429, body.to_string())).is_retryable());
    }

    #[test]
    fn errors_of_all_forms_are_read() {
        let document =
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}});
        check(
            &document,
            Some("overloaded_error"),
            "overloaded_error: busy",
            true,
        );
        let document =
            json!({"error": {"message": "no", "type": "invalid_request_error", "code": null}});
        check(&document, Some("invalid_request_error"), "no", false);
        let document = json!({"error": {"message": "m", "type": "BadRequestError", "code": 400}});
        check(&document, Some("BadRequestError"), "m", false);
        let document = json!({"error": {"code": 503, "message": "later", "status": "UNAVAILABLE"}});
        check(&document, Some("UNAVAILABLE"), "later", true);
        let document =
            json!([{"error": {"code": 400, "message": "key", "status": "INVALID_ARGUMENT"}}]);
        check(&document, Some("INVALID_ARGUMENT"), "key", false);
        let document =
            json!({"type": "error", "code": "server_error", "message": "oh", "param": null});
        check(&document, Some("server_error"), "server_error: oh", true);
        check(
            &json!({"error": "model stopped"}),
            None,
            "model stopped",
            true,
        );
        check(&json!({"detail": "gone"}), None, "gone", true);
        check(&json!("overloaded"), None, "overloaded", true);
        let nested = json!({"error": {"message": {"detail": [
            {"type": "extra_forbidden", "loc": ["body", "n"], "msg": "not permitted"},
            {"msg": "and more"},
        ]}, "type": "invalid_request_error"}});
        let words = "invalid_request_error: body.n: not permitted; and more";
        check(&nested, Some("invalid_request_error"), words, false);
        let nested = json!({"detail": [{"loc": ["body", 1], "msg": "no"}]});
        check(&nested, None, "body.1: no", true);
        let nested = json!({"error": {"message": "{\"error\": {\"message\": \"inner\"}}"}});
        check(&nested, None, "error: inner", true);
        let nested = json!({"error": {"message": "Provider returned error", "code": 429,
            "metadata": {"raw": "{\"error\":{\"message\":\"slow down\"}}"}}});
        check(
            &nested,
            Some("429"),
            "Provider returned error: slow down",
            true,
        );
        check(&json!({"errors": ["a", "b"]}), None, "a; b", true);
        let spent = json!({"error": {"message": "m", "type": "insufficient_quota", "code": "insufficient_quota"}});
        check(&spent, Some("insufficient_quota"), "m", false);
    }
}
