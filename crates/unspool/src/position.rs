//! Where a source stands, as plain data.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::error::Error;

/// Where a source stands after an item: plain data, without credentials.
///
/// [`Source::position`](crate::Source::position) gives it, and a request of the same
/// source resumes after it, in another process and on another machine, too. It is tagged
/// with the name of the source and the version of its form; an old one, or one of another
/// source, is refused with a message that says which.
///
/// It serialises to a JSON object whose members are in the order of their names, so that
/// the same position has the same bytes in every build and on every machine.
///
/// ```no_run
/// use futures_util::TryStreamExt;
///
/// # async fn example() -> Result<(), unspool::Error> {
/// use unspool::Position;
///
/// let posts = unspool::pages("https://api.example.com/posts");
/// let mut first = posts.raw();
/// first.try_next().await?;
/// let text = serde_json::to_string(&first.position()).unwrap_or_default();
///
/// // Later, perhaps on another machine.
/// let position: Option<Position> = serde_json::from_str(&text).unwrap_or_default();
/// let mut rest = unspool::pages("https://api.example.com/posts").resume(position).raw();
/// while let Some(post) = rest.try_next().await? {
///     println!("{post}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Position {
    #[serde(default)]
    source: String,
    #[serde(default)]
    version: u32,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl Position {
    /// The position of a source, from what it knows of it.
    pub(crate) fn new(source: &str, version: u32, fields: &impl Serialize) -> Option<Self> {
        match serde_json::to_value(fields) {
            Ok(Value::Object(fields)) => Some(Position {
                source: source.to_owned(),
                version,
                fields,
            }),
            _ => None,
        }
    }

    /// The name of the source that it belongs to; empty in the forms of before there were
    /// names.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What the source knows of it.
    ///
    /// # Errors
    ///
    /// It belongs to another source, has another version, or is damaged.
    pub(crate) fn read<T: DeserializeOwned>(&self, source: &str, version: u32) -> Result<T, Error> {
        let refused = |found: String| {
            Err(Error::request(format!(
                "expected a position of `{source}`, version {version}; found {found}"
            )))
        };
        if self.source.is_empty() {
            return refused(format!(
                "one of version {} without the name of its source, which an earlier unspool wrote: \
                 start without it",
                self.version
            ));
        }
        if self.source != source {
            return refused(format!("one of `{}`", self.source));
        }
        if self.version != version {
            return refused(format!("version {}", self.version));
        }
        serde_json::from_value(Value::Object(self.fields.clone())).map_err(|error| {
            Error::request(format!("the position of `{source}` is damaged: {error}"))
                .with_source(error)
        })
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members: BTreeMap<&str, Canonical<'_>> = BTreeMap::new();
        let (source, version) = (self.source.as_str().into(), self.version.into());
        if !self.source.is_empty() {
            members.insert("source", Canonical(&source));
        }
        members.insert("version", Canonical(&version));
        for (name, value) in &self.fields {
            members.insert(name, Canonical(value));
        }
        members.serialize(serializer)
    }
}

/// A value whose members are written in the order of their names, whatever the features
/// are that serde_json was built with.
struct Canonical<'v>(&'v Value);

impl Serialize for Canonical<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(members) => {
                let members: BTreeMap<&str, Canonical<'_>> = (members.iter())
                    .map(|(name, value)| (name.as_str(), Canonical(value)))
                    .collect();
                members.serialize(serializer)
            }
            Value::Array(values) => serializer.collect_seq(values.iter().map(Canonical)),
            value => value.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Place {
        key: Value,
        after: u64,
    }

    fn position() -> Position {
        let place = Place {
            key: json!({"b": [{"d": 1, "c": null}], "a": "é"}),
            after: u64::MAX,
        };
        Position::new("rows", 3, &place).unwrap()
    }

    #[track_caller]
    fn check_refused(position: &Position, words: &str) {
        let error = position.read::<Place>("rows", 3).unwrap_err();
        assert!(error.is_request());
        assert!(error.to_string().contains(words), "{error}");
    }

    #[test]
    fn a_position_has_the_same_bytes_in_every_build() {
        let text = serde_json::to_string(&position()).unwrap();
        let golden = r#"{"after":18446744073709551615,"key":{"a":"é","b":[{"c":null,"d":1}]},"source":"rows","version":3}"#;
        assert_eq!(text, golden);
        let again: Position = serde_json::from_str(&text).unwrap();
        assert_eq!(again, position());
        assert_eq!(again.read::<Place>("rows", 3).unwrap().after, u64::MAX);
    }

    #[test]
    fn an_old_or_foreign_position_is_refused_with_what_it_is() {
        let mut other = position();
        other.source = "pages".to_owned();
        check_refused(&other, "found one of `pages`");
        let mut old = position();
        old.version = 2;
        check_refused(&old, "version 3; found version 2");
        let nameless = r#"{"version":1,"origin":{},"index":3}"#;
        let nameless: Position = serde_json::from_str(nameless).unwrap();
        check_refused(&nameless, "one of version 1 without the name");
        let text = serde_json::to_string(&nameless).unwrap();
        assert_eq!(text, r#"{"index":3,"origin":{},"version":1}"#);
    }

    #[test]
    fn a_damaged_position_is_refused() {
        let mut damaged = position();
        damaged.fields.remove("after");
        check_refused(&damaged, "damaged: missing field `after`");
    }
}
