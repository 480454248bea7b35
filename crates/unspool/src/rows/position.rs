//! Where a query stands, as plain data.

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use super::database::{Database, Query, Range};
use crate::error::Error;
use crate::position::Position;

/// The name of the source.
pub(super) const NAME: &str = "rows";

/// The form of the data; another one is refused.
const VERSION: u32 = 1;

/// The begin of a hash, which is that of the statement, its parameters and its key.
const HASH: &str = "xxh3:";

/// A position of a query that has a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stand {
    /// The hash of the query.
    pub(super) query: String,
    /// The columns of the key.
    pub(super) key: Vec<String>,
    /// Their values in the last row that was taken, as JSON texts; none where there are parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) last: Vec<String>,
    /// Where each part stands, where it was cut.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<Part>,
}

/// A part of a query, and how far it has come; keys are JSON texts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Part {
    /// The key that it begins after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<Vec<String>>,
    /// The key that it goes up to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<Vec<String>>,
    /// The key of the last row of it that was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<Vec<String>>,
    /// Whether that was its last one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_over: bool,
}

impl Part {
    /// The part of a range, of which nothing has been taken.
    pub(super) fn of(range: &Range) -> Self {
        Part {
            after: range.after.clone(),
            until: range.until.clone(),
            ..Part::default()
        }
    }

    /// What is left of it; nothing where it is over. The last part has no end: rows that were
    /// added after it are in it.
    pub(super) fn left(&self, whole: &Range) -> Option<Range> {
        if self.is_over && self.until.is_some() {
            return None;
        }
        let mut range = Range {
            after: self.after.clone(),
            until: self.until.clone(),
            ..whole.clone()
        };
        if let Some(last) = &self.last {
            if whole.overlap.is_some() && self.until.is_none() {
                range.since = last.first().cloned();
            } else {
                range.after = Some(last.clone());
                range.since = None;
            }
        }
        Some(range)
    }
}

impl Stand {
    /// Reads a position of a query.
    ///
    /// # Errors
    ///
    /// It is one of another source, form or query, or it is damaged.
    pub(super) fn read(position: &Position, query: &Query, hash: &str) -> Result<Self, Error> {
        let stand: Stand = position.read(NAME, VERSION)?;
        if query.key.is_empty() {
            return Err(Error::request(
                "a query resumes only with a key: columns by which its rows are ordered and told \
                 apart",
            ));
        }
        if stand.key != query.key {
            return Err(Error::request(format!(
                "the position belongs to another key: `{}`, not `{}`",
                stand.key.join("`, `"),
                query.key.join("`, `")
            )));
        }
        if stand.query != hash {
            return Err(Error::request("the position belongs to another query"));
        }
        if stand.parts.is_empty() && stand.last.len() != stand.key.len() {
            return Err(Error::request(
                "the position has not as many values as its key has columns",
            ));
        }
        Ok(stand)
    }

    pub(super) fn position(&self) -> Option<Position> {
        Position::new(NAME, VERSION, self)
    }
}

/// What tells queries apart: all that decides which rows come.
pub(super) fn hash(database: &Database, query: &Query) -> String {
    let range = &query.range;
    let parts = (
        database.name,
        &query.statement.text,
        &query.params,
        &query.key,
        &range.after,
        &range.until,
    );
    let text = serde_json::to_vec(&parts).unwrap_or_default();
    format!("{HASH}{:016x}", XxHash3_64::oneshot(&text))
}
