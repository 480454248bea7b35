//! What a page says of itself that the pages before it did not: an answer that is not a page,
//! although its status is a success.
//!
//! By change, and not by a list of errors: a member that stated success (`"code": 0`,
//! `"status": "ok"`) and states something else, or a new one that speaks (`"message"`,
//! `"fault"`). Which members speak of how a request went, only their names tell.

use std::collections::BTreeMap;

use serde_json::Value;

use super::kinds::words;
use crate::json::partial::is_end;

/// How deep members are compared.
const MAX_DEPTH: usize = 2;

/// How many changes are quoted.
const MOST_QUOTED: usize = 3;

/// The longest quotation of what was said.
const MAX_QUOTE: usize = 200;

/// What the pages so far said of how their requests went.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    pages: u64,
    said: BTreeMap<String, Said>,
}

#[derive(Debug)]
struct Said {
    value: Value,
    /// On how many pages in a row.
    times: u64,
}

/// What a member is about, by its name.
#[derive(Clone, Copy, PartialEq)]
enum About {
    /// Set where all went well.
    Success,
    /// Set where something did not.
    Failure,
    /// A word or a number for how it went.
    Status,
    /// A sentence.
    Message,
}

impl Earlier {
    /// Takes in the text around the items of a page, and says what speaks against it.
    pub(super) fn note(&mut self, envelope: &Value, items: u64) -> Option<String> {
        let found = self.change(envelope, items);
        self.pages += 1;
        for (path, _, value) in members(envelope) {
            let times = match self.said.get(&path) {
                Some(said) if said.value == *value => said.times + 1,
                _ => 1,
            };
            let value = value.clone();
            self.said.insert(path, Said { value, times });
        }
        found
    }

    /// What speaks against a page, by what surrounds its items.
    pub(super) fn change(&self, envelope: &Value, items: u64) -> Option<String> {
        let members = members(envelope).into_iter();
        let changes: Vec<String> = members
            .filter(|(path, about, value)| self.is_change(path, *about, value, items))
            .take(MOST_QUOTED)
            .map(|(path, _, value)| quoted(&path, value))
            .collect();
        (!changes.is_empty()).then(|| changes.join(", "))
    }

    fn is_change(&self, path: &str, about: About, value: &Value, items: u64) -> bool {
        if self.pages == 0 || is_well(about, value) || is_end(value) {
            return false;
        }
        match self.said.get(path) {
            // Beside items a message may be a remark; what speaks of failure is none.
            None => items == 0 || about == About::Failure,
            Some(said) if said.value == *value => false,
            Some(said) if is_well(about, &said.value) => items == 0 || about != About::Message,
            // What has always been the same is a status, too, whatever its words are.
            Some(said) => items == 0 && said.times > 1 && said.times == self.pages,
        }
    }
}

/// The members that speak of how a request went, with their places.
fn members(envelope: &Value) -> Vec<(String, About, &Value)> {
    let mut members = Vec::new();
    collect(envelope, String::new(), 0, &mut members);
    members
}

fn collect<'e>(
    value: &'e Value,
    path: String,
    depth: usize,
    found: &mut Vec<(String, About, &'e Value)>,
) {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), value))
            .collect(),
        // Of `[meta, items]` the first is meant.
        Value::Array(parts) if depth == 0 => parts
            .first()
            .map(|part| ("0".to_owned(), part))
            .into_iter()
            .collect(),
        _ => return,
    };
    for (key, value) in below {
        let path = format!("{path}/{key}");
        match about(&key) {
            Some(about) if !(about == About::Status && value.is_object()) => {
                found.push((path, about, value));
            }
            _ if depth < MAX_DEPTH => collect(value, path, depth + 1, found),
            _ => {}
        }
    }
}

fn about(key: &str) -> Option<About> {
    let words = words(key);
    let joined = words.concat();
    let has = |names: &[&str]| {
        names
            .iter()
            .any(|name| words.iter().any(|word| word == name))
    };
    let is = |names: &[&str]| names.contains(&joined.as_str());
    if has(&["ok", "success", "successful", "succeeded"]) || is(&["issuccess"]) {
        Some(About::Success)
    } else if has(&[
        "error",
        "errors",
        "err",
        "failed",
        "failure",
        "fault",
        "exception",
        "warning",
        "warnings",
    ]) || is(&[
        "errorcode",
        "errcode",
        "errno",
        "errmsg",
        "errormsg",
        "errormessage",
        "haserror",
        "iserror",
    ]) {
        Some(About::Failure)
    } else if is(&[
        "status",
        "stat",
        "code",
        "statuscode",
        "ret",
        "retcode",
        "returncode",
        "result",
        "resultcode",
        "rc",
        "state",
        "responsestatus",
        "responsecode",
        "rspcode",
    ]) {
        Some(About::Status)
    } else if has(&["message", "messages", "msg", "reason", "detail", "details"]) {
        Some(About::Message)
    } else {
        None
    }
}

/// Whether a value says that all went well.
fn is_well(about: About, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => *flag == (about != About::Failure),
        Value::Number(number) => match (about, number.as_u64()) {
            (About::Success, number) => number.is_some_and(|number| number > 0),
            (_, number) => number.is_some_and(|number| number == 0 || (200..300).contains(&number)),
        },
        Value::String(text) => {
            let text = text.trim().to_ascii_lowercase();
            match (about, text.as_str()) {
                (_, "" | "ok" | "success" | "successful" | "succeeded" | "none" | "200") => true,
                (About::Success, "true" | "1" | "yes") => true,
                (About::Failure, "false" | "no") => true,
                (About::Failure | About::Status | About::Message, text) => {
                    matches!(text.parse::<u64>(), Ok(0))
                }
                _ => false,
            }
        }
        Value::Array(elements) => elements.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

fn quoted(path: &str, value: &Value) -> String {
    let text: String = value.to_string().chars().take(MAX_QUOTE).collect();
    format!("`{path}` is `{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What is said of the last page; of those before there must be nothing to say.
    fn said(pages: &[(Value, u64)]) -> Option<String> {
        let mut earlier = Earlier::default();
        let (last, before) = pages.split_last().unwrap();
        for (envelope, items) in before {
            assert_eq!(earlier.note(envelope, *items), None, "{envelope}");
        }
        earlier.note(&last.0, last.1)
    }

    #[test]
    fn what_stated_success_and_states_something_else_is_noticed() {
        for (before, now) in [
            (
                json!({"code": 0, "msg": "ok"}),
                json!({"code": 99_991_400, "msg": "frequency limit"}),
            ),
            (
                json!({"status": "ok"}),
                json!({"status": "error", "message": "internal"}),
            ),
            (json!({"ok": true}), json!({"ok": false})),
            (json!({"success": "true"}), json!({"success": "false"})),
            (json!({"errcode": 0}), json!({"errcode": 45_009})),
            (
                json!({"meta": {"result": "SUCCESS"}}),
                json!({"meta": {"result": "BUSY"}}),
            ),
            (json!([{"status": 200}, []]), json!([{"status": 503}, []])),
            (
                json!({"status": "OK"}),
                json!({"status": "INVALID_REQUEST"}),
            ),
        ] {
            let said = said(&[(before, 25), (now.clone(), 0)]);
            assert!(said.is_some(), "{now}");
        }
        // Beside items as well.
        let partial = [
            (json!({"status": "ok"}), 25),
            (json!({"status": "degraded"}), 9),
        ];
        assert_eq!(said(&partial).unwrap(), "`/status` is `\"degraded\"`");
    }

    #[test]
    fn what_speaks_and_was_not_there_before_is_noticed() {
        for now in [
            json!({"error_message": "busy"}),
            json!({"errorMessage": "busy"}),
            json!({"warnings": ["partial"]}),
            json!({"fault": {"faultstring": "quota"}}),
            json!({"exception": "java.lang"}),
            json!({"message": "Too many requests"}),
            json!({"code": 429}),
        ] {
            assert!(
                said(&[(json!({}), 25), (now.clone(), 0)]).is_some(),
                "{now}"
            );
        }
        let warned = [
            (json!({}), 25),
            (json!({"warnings": ["shard 3 timed out"]}), 25),
        ];
        assert!(said(&warned).is_some());
    }

    #[test]
    fn what_changes_on_healthy_pages_is_no_failure() {
        for (before, now, items) in [
            (
                json!({"page": 1, "took": 3}),
                json!({"page": 2, "took": 9}),
                25,
            ),
            (
                json!({"has_more": true, "first": true}),
                json!({"has_more": false, "first": false}),
                0,
            ),
            (
                json!({"message": "Showing 1-25"}),
                json!({"message": "Showing 26-50"}),
                25,
            ),
            (json!({"message": "ok"}), json!({"message": "25 rows"}), 25),
            (json!({"status": "ok"}), json!({"status": "success"}), 0),
            (json!({"status": 200}), json!({"status": 206}), 3),
            (json!({}), json!({"message": "No more results"}), 0),
            (
                json!({}),
                json!({"error": null, "errors": [], "warnings": {}, "message": ""}),
                0,
            ),
            (json!({"state": "more"}), json!({"state": "end"}), 0),
            (json!({"code": "0"}), json!({"code": 0}), 0),
        ] {
            assert_eq!(said(&[(before, 25), (now.clone(), items)]), None, "{now}");
        }
        // What differs on each page is no status.
        let texts = ["1-25", "26-50", "none"].map(|text| (json!({"detail": text}), 25));
        assert_eq!(said(&texts[..2]), None);
        let varied = [
            texts[0].clone(),
            texts[1].clone(),
            (json!({"detail": "51-50"}), 0),
        ];
        assert_eq!(said(&varied), None);
    }

    #[test]
    fn what_was_always_the_same_is_a_status_whatever_its_words() {
        let page = |state: &str, items| (json!({"state": state}), items);
        assert!(said(&[page("active", 5), page("active", 5), page("locked", 0)]).is_some());
        assert_eq!(
            said(&[page("active", 5), page("active", 5), page("locked", 5)]),
            None
        );
    }
}
