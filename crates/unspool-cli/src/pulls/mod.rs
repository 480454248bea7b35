//! Pulls that stand in a file: `unspool run`, and `--save`, which writes them.

pub(crate) mod run;
pub(crate) mod save;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use unspool::Description;

use crate::flags;

/// The file that is read and written where none is named.
pub(crate) const FILE: &str = "pulls.toml";

/// A source with where its items go.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pull {
    /// The target, as `--to` takes it; by default standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<String>,
    /// The file that keeps how far the target is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<PathBuf>,
    /// Whether that is the file beside the target.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) resume: bool,
    /// By which members the rows of a table replace each other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) key: Vec<String>,
    /// Where a schema of the items is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<PathBuf>,
    /// How many items there are to be at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) take: Option<u64>,
    /// How often what came is made durable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checkpoint: Option<Time>,
    /// After how long it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deadline: Option<Time>,
    /// What is pulled, as the library describes it.
    pub(crate) from: Description,
}

/// A time as flags take it, such as `10m`, or a number of seconds.
#[derive(Clone, Copy)]
pub(crate) struct Time(pub(crate) Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a time, such as `10m` or `1.5`")]
        enum Written {
            Seconds(f64),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Seconds(seconds) => seconds.to_string(),
            Written::Text(text) => text,
        };
        flags::duration(&text).map(Time).map_err(D::Error::custom)
    }
}

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}

/// The pulls of a file, in its order.
pub(crate) struct Pulls(Vec<(String, Pull)>);

impl Pulls {
    pub(crate) fn of_file(path: &Path) -> Result<Self, String> {
        let text = flags::text_of_file(path)?;
        Pulls::of_text(&text).map_err(|error| format!("`{}`: {error}", path.display()))
    }

    fn of_text(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Those of these names; all, where there are none.
    pub(crate) fn named(self, names: &[String]) -> Result<Vec<(String, Pull)>, String> {
        if self.0.is_empty() {
            return Err("there is no pull in the file".to_owned());
        }
        if let Some(name) = names.iter().find(|name| !self.has(name)) {
            let known: Vec<_> = (self.0.iter()).map(|(name, _)| name.as_str()).collect();
            return Err(format!(
                "there is no pull `{name}`, only `{}`",
                known.join("`, `")
            ));
        }
        let is_named = |name: &String| names.is_empty() || names.contains(name);
        let Pulls(pulls) = self;
        Ok((pulls.into_iter())
            .filter(|(name, _)| is_named(name))
            .collect())
    }
}

impl<'de> Deserialize<'de> for Pulls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

/// Reads the tables of a file in its order.
struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Pulls;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table for each pull")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pulls, A::Error> {
        let mut pulls = Vec::new();
        while let Some(pull) = map.next_entry()? {
            pulls.push(pull);
        }
        Ok(Pulls(pulls))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[users]
from = { source = "rows", dsn = "users.db", table = "users" }

[posts]
to = "posts.jsonl"
resume = true
deadline = "10m"
checkpoint = 2.5
[posts.from]
source = "pages"
url = "https://api.example.com/posts"
http.bearer = "${API_TOKEN}"
"#;

    #[test]
    fn pulls_stand_in_the_order_of_the_file() {
        let pulls = Pulls::of_text(TEXT).unwrap().named(&[]).unwrap();
        let names: Vec<_> = pulls.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["users", "posts"]);
        let posts = &pulls[1].1;
        assert_eq!(posts.from.source(), "pages");
        assert_eq!(posts.to.as_deref(), Some("posts.jsonl"));
        assert_eq!(posts.deadline.unwrap().0, Duration::from_secs(600));
        assert_eq!(posts.checkpoint.unwrap().0, Duration::from_millis(2500));
    }

    #[test]
    fn pulls_are_taken_by_name() {
        let named = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            let pulls = Pulls::of_text(TEXT).unwrap().named(&names);
            pulls.map(|pulls| pulls.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
        };
        assert_eq!(named(&["posts"]).unwrap(), ["posts"]);
        let error = named(&["posts", "post"]).unwrap_err();
        assert_eq!(error, "there is no pull `post`, only `users`, `posts`");
    }

    #[test]
    fn what_is_wrong_in_a_file_is_shown_where_it_stands() {
        for (text, words) in [
            ("[a]\nto = \"x\"\n", "missing field `from`"),
            ("[a]\nform = 1\n", "unknown field `form`"),
            ("a = 1\n", "line 1"),
            ("[a\n", "line 1"),
            (
                "[a]\nfrom.source = \"pages\"\ndeadline = \"2 weeks\"\n",
                "expected seconds",
            ),
            ("[a]\nfrom.url = \"x\"\n", "missing field `source`"),
        ] {
            let error = Pulls::of_text(text).err().unwrap();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
