//! Which command a target belongs to.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use twox_hash::XxHash3_64;

/// The longest text that an identity holds as it is.
const LONG: usize = 200;

/// What makes a command the one that a target was begun by: its source, what is asked of
/// whom, and how the items are written; without credentials, limits and rates.
///
/// A run resumes only into a target of the same identity.
///
/// ```
/// use unspool::sinks::Identity;
///
/// let began = Identity::new("pages").with("url", "https://api.example.com/posts");
/// let now = Identity::new("pages").with("url", "https://api.example.com/people");
/// for difference in began.differences(&now) {
///     println!("{difference}");
/// }
/// assert!(began.differences(&began).is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity {
    parts: BTreeMap<String, Value>,
}

impl Identity {
    /// The identity of what comes from a source of this name.
    #[must_use]
    pub fn new(source: &str) -> Self {
        Identity::default().with("source", source)
    }

    /// The same with a further part; one that is null is left out.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.parts.insert(name.to_owned(), value);
        }
        self
    }

    /// The same with a text, of which a long one is known again by its hash.
    #[must_use]
    pub fn with_text(self, name: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) if text.len() > LONG => self.with_digest(name, Some(text)),
            text => self.with(name, text),
        }
    }

    /// The same with a content that is known again by its hash, such as that of a file.
    #[must_use]
    pub fn with_digest(self, name: &str, content: Option<impl AsRef<[u8]>>) -> Self {
        let digest = content.map(|content| {
            let content = content.as_ref();
            let hash = XxHash3_64::oneshot(content);
            format!("{} bytes, xxh3-64:{hash:016x}", content.len())
        });
        self.with(name, digest)
    }

    /// What differs in another identity, in words; nothing where they are the same.
    #[must_use]
    pub fn differences(&self, found: &Identity) -> Vec<String> {
        let names = self.parts.keys().chain(found.parts.keys());
        let mut names: Vec<&String> = names.collect();
        names.sort();
        names.dedup();
        (names.into_iter())
            .filter(|name| self.parts.get(*name) != found.parts.get(*name))
            .map(|name| {
                let (now, then) = (Shown(self.parts.get(name)), Shown(found.parts.get(name)));
                format!("`{name}` is {now} and was {then}")
            })
            .collect()
    }
}

/// A part as it is said to people.
struct Shown<'p>(Option<&'p Value>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("not given"),
            Some(Value::String(text)) => write!(f, "`{text}`"),
            Some(value) => write!(f, "`{value}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_what_differs() {
        let then = Identity::new("pages")
            .with("url", "http://a.test/1")
            .with("items", "/d");
        let now = Identity::new("pages")
            .with("url", "http://a.test/2")
            .with("key", 1);
        assert_eq!(
            now.differences(&then),
            [
                "`items` is not given and was `/d`",
                "`key` is `1` and was not given",
                "`url` is `http://a.test/2` and was `http://a.test/1`",
            ]
        );
        assert!(now.differences(&now).is_empty());
    }
}
