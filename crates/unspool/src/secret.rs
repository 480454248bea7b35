//! Values that are named where they are written down, and looked up where they are used.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};

use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};

use crate::error::Error;

/// The largest file that holds a secret.
const MAX_FILE: u64 = 1 << 20;

/// A secret, by its name: a text in which `${NAME}` stands for a variable of the
/// environment (`$${` is a `${`), or `@FILE` for what is in a file (`$@` at its begin is a `@`).
///
/// It is looked up when a source is opened, on the machine where that happens. A secret
/// that was given as it is can be used, but not written down: to serialise it fails.
///
/// ```
/// use unspool::Secret;
///
/// let token = Secret::new("Bearer ${API_TOKEN}");
/// assert!(token.is_named());
/// assert_eq!(serde_json::to_string(&token).unwrap(), r#""Bearer ${API_TOKEN}""#);
/// assert!(serde_json::to_string(&Secret::new("hush")).is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(transparent)]
pub struct Secret {
    text: String,
}

impl Secret {
    /// A secret that is written so.
    pub fn new(text: impl Into<String>) -> Self {
        Secret { text: text.into() }
    }

    /// The names of the variables of the environment that it stands for; none where it
    /// names a file.
    ///
    /// # Errors
    ///
    /// A `${` is not followed by a name and a `}`.
    pub fn variables(&self) -> Result<Vec<&str>, Error> {
        if self.text.starts_with('@') {
            return Ok(Vec::new());
        }
        let names = parts(&self.text)?
            .into_iter()
            .filter_map(|part| match part {
                Part::Variable(name) => Some(name),
                Part::Text(_) => None,
            });
        Ok(names.collect())
    }

    /// The text itself, for what turns out not to be a secret.
    pub(crate) fn as_written(&self) -> &str {
        &self.text
    }

    /// Whether it names what it stands for.
    #[must_use]
    pub fn is_named(&self) -> bool {
        let has_variable = |names: Vec<&str>| !names.is_empty();
        self.text.starts_with('@') || self.variables().is_ok_and(has_variable)
    }

    /// The value, from the environment or the file that it names.
    ///
    /// # Errors
    ///
    /// A variable is not set or empty; a file cannot be read, is empty, or holds more than
    /// 1 MiB.
    pub fn resolve(&self) -> Result<String, Error> {
        self.resolve_with(&|name| std::env::var(name).ok())
    }

    pub(crate) fn resolve_with(
        &self,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, Error> {
        if let Some(path) = self.text.strip_prefix('@') {
            return from_file(path);
        }
        let is_escaped =
            self.text.starts_with('$') && self.text.trim_start_matches('$').starts_with('@');
        let text = if is_escaped {
            &self.text[1..]
        } else {
            &self.text
        };
        let mut value = String::new();
        for part in parts(text)? {
            match part {
                Part::Text(text) => value.push_str(text),
                Part::Variable(name) => {
                    // An empty one is a secret that somebody forgot to set.
                    let set = variable(name).filter(|value| !value.is_empty());
                    value.push_str(&set.ok_or_else(|| {
                        Error::request(format!(
                            "the variable `{name}` of the environment is not set, or empty"
                        ))
                    })?);
                }
            }
        }
        Ok(value)
    }
}

/// Says how it is written, if it names what it stands for, and else nothing.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.is_named() { &self.text } else { "…" };
        f.debug_tuple("Secret").field(&text).finish()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Secret::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Secret { text }
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_named() {
            serializer.serialize_str(&self.text)
        } else {
            Err(S::Error::custom(
                "a credential is given as it is: to write it down, name it as `${NAME}` or `@FILE`",
            ))
        }
    }
}

/// A part of a text: itself, or the name of a variable.
enum Part<'t> {
    Text(&'t str),
    Variable(&'t str),
}

/// The parts of a text with `${NAME}` in it.
fn parts(text: &str) -> Result<Vec<Part<'_>>, Error> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            parts.extend([Part::Text(before), Part::Text("${")]);
            rest = after;
            continue;
        }
        let (name, after) = (after.split_once('}'))
            .filter(|(name, _)| is_name(name))
            .ok_or_else(|| {
                Error::request(
                    "expected the name of a variable and `}` after `${`; `$${` is a `${`",
                )
            })?;
        parts.extend([Part::Text(before), Part::Variable(name)]);
        rest = after;
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
        && (text.chars()).all(|char| char.is_ascii_alphanumeric() || char == '_')
}

/// The text of a file, without the end of its last line.
fn from_file(path: &str) -> Result<String, Error> {
    let unreadable = |error: io::Error| Error::request(format!("cannot read `{path}`: {error}"));
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE {
        return Err(Error::request(format!(
            "`{path}` holds more than {MAX_FILE} bytes"
        )));
    }
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Error::request(format!("`{path}` is empty")));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<String, String> {
        let variable = |name: &str| match name {
            "TOKEN" => Some("hush".to_owned()),
            "_b2" => Some("${TOKEN}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let resolved = Secret::new(text).resolve_with(&variable);
        resolved.map_err(|error| error.to_string())
    }

    #[test]
    fn variables_are_put_in() {
        for (text, expected) in [
            ("", ""),
            ("Bearer ${TOKEN}", "Bearer hush"),
            ("${TOKEN}${TOKEN}", "hushhush"),
            ("a$b $TOKEN {TOKEN} $", "a$b $TOKEN {TOKEN} $"),
            ("$${TOKEN} ${TOKEN}", "${TOKEN} hush"),
            ("é${_b2}é", "é${TOKEN}é"),
            ("$@/etc/passwd ${TOKEN}", "@/etc/passwd hush"),
            ("$@$@", "@$@"),
            ("$@@/etc/passwd", "@@/etc/passwd"),
            ("$$@/etc/passwd", "$@/etc/passwd"),
            ("$ @", "$ @"),
        ] {
            assert_eq!(check(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_set_is_named() {
        for (text, words) in [
            ("${MISSING}", "the variable `MISSING`"),
            ("${EMPTY}", "the variable `EMPTY`"),
            ("${TOKEN", "expected the name"),
            ("${}", "expected the name"),
            ("${a b}", "expected the name"),
            ("${1}", "expected the name"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_without_end_is_not_read_without_end() {
        let error = Secret::new("@/dev/zero").resolve().unwrap_err();
        assert!(error.is_request(), "{error}");
        let error = Secret::new("@/no/such/file").resolve().unwrap_err();
        assert!(error.to_string().contains("/no/such/file"), "{error}");
    }

    #[test]
    fn only_what_is_named_is_shown() {
        for (text, is_named) in [
            ("${A}", true),
            ("@file", true),
            ("hush", false),
            ("$${A}", false),
            ("${a b}", false),
        ] {
            let secret = Secret::new(text);
            assert_eq!(secret.is_named(), is_named, "{text}");
            assert_eq!(format!("{secret:?}").contains(text), is_named, "{text}");
            assert_eq!(serde_json::to_string(&secret).is_ok(), is_named, "{text}");
        }
    }
}
