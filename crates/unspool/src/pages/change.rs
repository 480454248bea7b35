//! What a page says of itself that the pages before it did not: an answer that is not a page,
//! although its status is a success.
//!
//! By change, and not by a list of errors: a member that stated success (`"code": 0`,
//! `"status": "ok"`) and states something else, or a new one that speaks (`"message"`,
//! `"fault"`). Which members speak of how a request went, only their names tell.

use std::borrow::Cow;
use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, WARNING};
use rustc_hash::FxHashMap;
use serde_json::Value;

use super::kinds::words;
use super::seen::mark_of;
use crate::json::partial::is_end;

/// How deep members are compared.
const MAX_DEPTH: usize = 2;

/// The longest key that is looked at: none that speaks of a request is longer, and there may
/// be any number of members below it.
const LONGEST_KEY: usize = 256;

/// How many members are remembered, whatever the length of the walk.
const REMEMBERED: usize = 1 << 12;

/// How many changes are quoted.
const MOST_QUOTED: usize = 3;

/// The longest quotation of what was said.
const MAX_QUOTE: usize = 200;

/// What the pages so far said of how their requests went.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    pages: u64,
    said: BTreeMap<String, Said>,
    names: Names,
}

/// What the names that have come are about: most come again on each page.
#[derive(Debug, Default)]
struct Names {
    about: FxHashMap<Box<str>, Option<About>>,
}

#[derive(Debug)]
struct Said {
    /// The mark of its value.
    mark: u64,
    is_well: bool,
    /// On how many pages in a row.
    times: u64,
}

/// What a member is about, by its name.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// Takes in what surrounds the items of a page, and says what speaks against it.
    pub(super) fn note(&mut self, around: &Around<'_>, items: u64) -> Option<String> {
        let members = around.members(&mut self.names);
        let found = self.change_in(&members, items);
        self.pages += 1;
        for (path, about, value) in members {
            let mark = mark_of_value(&value);
            let times = match self.said.get(&path) {
                Some(said) if said.mark == mark => said.times + 1,
                None if self.said.len() >= REMEMBERED => continue,
                _ => 1,
            };
            let is_well = is_well(about, &value);
            (self.said).insert(
                path,
                Said {
                    mark,
                    is_well,
                    times,
                },
            );
        }
        found
    }

    /// What speaks against a page, by what surrounds its items.
    pub(super) fn change(&self, around: &Around<'_>, items: u64) -> Option<String> {
        self.change_in(&around.members(&mut Names::default()), items)
    }

    fn change_in(&self, members: &[Speaking<'_>], items: u64) -> Option<String> {
        let is_said_to_be_over = items == 0 && members.iter().any(|(.., value)| is_end(value));
        let changes: Vec<String> = (members.iter())
            .filter(|(_, about, _)| !is_said_to_be_over || *about == About::Failure)
            .filter(|(path, about, value)| self.is_change(path, *about, value, items))
            .take(MOST_QUOTED)
            .map(|(path, _, value)| quoted(path, value))
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
            Some(said) if said.mark == mark_of_value(value) => false,
            Some(said) if said.is_well => items == 0 || about != About::Message,
            // What has always been the same is a status, too, whatever its words are.
            Some(said) => {
                let has_been_so = said.times > 1 && said.times == self.pages;
                has_been_so && (items == 0 || about == About::Status && is_of_a_part(value))
            }
        }
    }
}

/// What surrounds the items of a page.
pub(super) struct Around<'p> {
    pub(super) headers: &'p HeaderMap,
    pub(super) envelope: &'p Value,
}

/// A member or a header field that speaks of how a request went: where it is, and what it
/// says.
type Speaking<'p> = (String, About, Cow<'p, Value>);

impl Names {
    fn about(&mut self, name: &str) -> Option<About> {
        if let Some(about) = self.about.get(name) {
            return *about;
        }
        let about = about(name);
        if self.about.len() < REMEMBERED {
            self.about.insert(name.into(), about);
        }
        about
    }
}

impl Around<'_> {
    fn members(&self, names: &mut Names) -> Vec<Speaking<'_>> {
        let mut members = Vec::new();
        collect(self.envelope, &mut String::new(), 0, names, &mut members);
        let fields = self.headers.iter().filter_map(|(name, value)| {
            // That one is about caches (RFC 9111, section 5.5).
            let about = names.about(name.as_str()).filter(|_| name != WARNING)?;
            let value = Value::from(value.to_str().ok()?);
            Some((format!("header:{name}"), about, Cow::Owned(value)))
        });
        members.extend(fields);
        members
    }
}

/// Finds the members below a value; `path` leads to it.
fn collect<'e>(
    value: &'e Value,
    path: &mut String,
    depth: usize,
    names: &mut Names,
    found: &mut Vec<Speaking<'e>>,
) {
    let mut see = |key: &str, value: &'e Value| {
        let length = path.len();
        path.push('/');
        path.push_str(key);
        match names.about(key) {
            Some(about) if !(about == About::Status && value.is_object()) => {
                found.push((path.clone(), about, Cow::Borrowed(value)));
            }
            _ if depth < MAX_DEPTH => collect(value, path, depth + 1, names, found),
            _ => {}
        }
        path.truncate(length);
    };
    match value {
        Value::Object(fields) => (fields.iter())
            .filter(|(key, _)| key.len() <= LONGEST_KEY)
            .for_each(|(key, value)| see(key, value)),
        // Of `[meta, items]` the first is meant.
        Value::Array(parts) if depth == 0 => {
            (parts.first().into_iter()).for_each(|part| see("0", part));
        }
        _ => {}
    }
}

fn mark_of_value(value: &Value) -> u64 {
    mark_of(value.to_string().as_bytes())
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

/// Whether a word for how it went says that this is a part. The word for the whole may be
/// any, so that a change alone tells nothing beside items: the last page may have another.
fn is_of_a_part(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default().to_ascii_lowercase();
    [
        "partial",
        "incomplete",
        "truncat",
        "degraded",
        "timeout",
        "timed out",
        "error",
        "fail",
    ]
    .iter()
    .any(|word| text.contains(word))
}

fn quoted(path: &str, value: &Value) -> String {
    let text: String = value.to_string().chars().take(MAX_QUOTE).collect();
    format!("`{path}` is `{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderName;
    use serde_json::json;
    use std::sync::LazyLock;

    /// What is said of the last page; of those before there must be nothing to say.
    fn said(pages: &[(Value, u64)]) -> Option<String> {
        let mut earlier = Earlier::default();
        let (last, before) = pages.split_last().unwrap();
        for (envelope, items) in before {
            let around = around(envelope);
            assert_eq!(earlier.note(&around, *items), None, "{envelope}");
        }
        earlier.note(&around(&last.0), last.1)
    }

    fn around(envelope: &Value) -> Around<'_> {
        static NONE: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
        Around {
            headers: &NONE,
            envelope,
        }
    }

    #[test]
    fn header_fields_speak_as_members_do() {
        let said = |before: &[(&'static str, &'static str)],
                    now: &[(&'static str, &'static str)]| {
            let envelope = json!({});
            let mut earlier = Earlier::default();
            let fields = |fields: &[(&'static str, &'static str)]| -> HeaderMap {
                let field = |(name, value): &(&'static str, &str)| {
                    (HeaderName::from_static(name), value.parse().unwrap())
                };
                fields.iter().map(field).collect()
            };
            let (before, now) = (fields(before), fields(now));
            let around = |headers| Around {
                headers,
                envelope: &envelope,
            };
            assert_eq!(earlier.note(&around(&before), 25), None);
            earlier.note(&around(&now), 0)
        };
        let expected = "`header:x-error` is `\"rate limited\"`";
        assert_eq!(said(&[], &[("x-error", "rate limited")]).unwrap(), expected);
        assert!(said(&[("x-error-code", "0")], &[("x-error-code", "7")]).is_some());
        for healthy in [
            ("warning", "110 - stale"),
            ("x-request-id", "error"),
            ("x-errors", "0"),
        ] {
            assert_eq!(said(&[], &[healthy]), None);
        }
    }

    #[test]
    fn a_page_that_says_that_it_is_the_end_is_none() {
        for (before, now) in [
            (
                json!({"status": "ok"}),
                json!({"status": "empty", "message": "no more rows"}),
            ),
            (json!({"code": 0}), json!({"code": 404, "msg": "No data"})),
        ] {
            assert_eq!(said(&[(before, 25), (now.clone(), 0)]), None, "{now}");
        }
        let failed = json!({"error": "busy", "message": "no more rows"});
        assert!(said(&[(json!({}), 25), (failed, 0)]).is_some());
    }

    #[test]
    fn a_word_for_a_part_is_noticed_beside_items_and_one_for_the_last_page_is_none() {
        let said = |word: &str| {
            let full = || (json!({"status": "complete"}), 25);
            said(&[full(), full(), (json!({ "status": word }), 9)])
        };
        assert!(said("partial").is_some());
        for healthy in ["complete", "last", "final", "done"] {
            assert_eq!(said(healthy), None, "{healthy}");
        }
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
