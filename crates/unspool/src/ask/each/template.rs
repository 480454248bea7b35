//! A text with places that a record fills.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde_json::value::RawValue;

use crate::error::Error;

/// A prompt with places that are filled from a record.
///
/// - `{name}` is the member `name` of the record: a text as it is, anything else as the JSON
///   that stands in the file, with all its digits.
/// - `{/author/name}` is the value at that JSON pointer (RFC 6901).
/// - `{}` is the whole record, which need not be an object.
/// - `{{` and `}}` are the braces themselves.
///
/// ```
/// let template: unspool::ask::Template = "Classify: {text}".parse()?;
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// As it is written, and the steps from the record to the value.
    Value(String, Vec<String>),
}

impl Template {
    /// The prompt for a record; otherwise what the record lacks.
    pub(super) fn fill(&self, record: &RawValue) -> Result<String, String> {
        let mut prompt = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => prompt.push_str(text),
                Part::Value(name, steps) => {
                    let value = value_at(record, steps).map_err(|why| {
                        format!("`{{{name}}}` of the template is not there: {why}")
                    })?;
                    prompt.push_str(&as_text(value));
                }
            }
        }
        Ok(prompt)
    }
}

/// A value within a record, as it stands there.
fn value_at<'r>(record: &'r RawValue, steps: &[String]) -> Result<&'r RawValue, String> {
    let mut value = record;
    for step in steps {
        value = member(value, step)?;
    }
    Ok(value)
}

fn member<'r>(value: &'r RawValue, step: &str) -> Result<&'r RawValue, String> {
    let is_broken = |error: serde_json::Error| error.to_string();
    match value.get().as_bytes().first() {
        Some(b'{') => {
            let members: HashMap<String, &RawValue> =
                serde_json::from_str(value.get()).map_err(is_broken)?;
            (members.get(step).copied()).ok_or_else(|| format!("there is no member `{step}`"))
        }
        Some(b'[') => {
            let values: Vec<&RawValue> = serde_json::from_str(value.get()).map_err(is_broken)?;
            (step.parse::<usize>().ok())
                .and_then(|index| values.get(index).copied())
                .ok_or_else(|| format!("an array of {} has no element `{step}`", values.len()))
        }
        Some(b'"') => Err(format!("a text has no member `{step}`")),
        _ => Err(format!("`{value}` has no member `{step}`")),
    }
}

fn as_text(value: &RawValue) -> String {
    // Only the JSON of a text is that of a `String`.
    serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().to_owned())
}

impl FromStr for Template {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let end = rest.find('}').filter(|_| brace == "{");
            let Some(end) = end else {
                return Err(Error::request(format!(
                    "the template has a lone `{brace}`; `{brace}{brace}` is the brace itself"
                )));
            };
            let name = &rest[..end];
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Value(name.to_owned(), steps(name)?));
            rest = &rest[end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Template { parts })
    }
}

/// The steps from a record to what a place of the template names.
fn steps(name: &str) -> Result<Vec<String>, Error> {
    if name.contains(['{', '"', '\n']) {
        return Err(Error::request(format!(
            "`{{{name}}}` in the template names no member; `{{{{` is the brace itself"
        )));
    }
    Ok(match name.strip_prefix('/') {
        _ if name.is_empty() => Vec::new(),
        None => vec![name.to_owned()],
        Some(pointer) => (pointer.split('/'))
            .map(|step| step.replace("~1", "/").replace("~0", "~"))
            .collect(),
    })
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => {
                    f.write_str(&text.replace('{', "{{").replace('}', "}}"))?;
                }
                Part::Value(name, _) => write!(f, "{{{name}}}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, record: &str) -> Result<String, String> {
        let template: Template = template.parse().unwrap();
        template.fill(serde_json::from_str(record).unwrap())
    }

    #[track_caller]
    fn check(template: &str, record: &str, expected: &str) {
        assert_eq!(filled(template, record).unwrap(), expected);
    }

    #[test]
    fn places_are_filled_with_texts_as_they_are_and_other_values_as_json() {
        let record = r#"{"text":"a \"b\"\n{c}","n":12345678901234567890.10,"o":{"x":[1,{"y":"z"}]},"no":null}"#;
        check("<{text}>", record, "<a \"b\"\n{c}>");
        check("{n}, {no}", record, "12345678901234567890.10, null");
        check("{o}", record, r#"{"x":[1,{"y":"z"}]}"#);
        check("{/o/x/1/y}!", record, "z!");
        check("{{text}} {{}} }}{{", record, "{text} {} }{");
        check("{{{n}}}", r#"{"n":1}"#, "{1}");
        check("{/a~1b}", r#"{"a/b":true}"#, "true");
        check("all: {}", r#"[1, 2]"#, "all: [1, 2]");
        check("all: {}", r#""a\u00e9""#, "all: aé");
    }

    #[test]
    fn it_is_said_what_a_record_lacks() {
        let lacks = |template, record| filled(template, record).unwrap_err();
        let words = lacks("a {text}", r#"{"other":1}"#);
        assert!(words.contains("`{text}`"), "{words}");
        assert!(words.contains("no member `text`"), "{words}");
        assert!(lacks("{text}", "7").contains("`7` has no member"));
        assert!(lacks("{text}", "\"x\"").contains("a text has no member"));
        assert!(lacks("{/2}", "[1]").contains("array of 1"));
    }

    #[test]
    fn lone_braces_are_refused_and_the_rest_reads_back() {
        for wrong in ["{", "a } b", "{text", "{\"a\": 1}", "{{}"] {
            let error = wrong.parse::<Template>().unwrap_err();
            assert!(error.is_request(), "{wrong}");
        }
        for text in ["", "plain", "{a}{b}", "{{x}} {/a/b} {}"] {
            assert_eq!(text.parse::<Template>().unwrap().to_string(), text);
        }
    }
}
