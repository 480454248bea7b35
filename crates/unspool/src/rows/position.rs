//! Where a query stands, as plain data.

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use super::database::{Database, Query};
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
    /// Their values in the last row that was taken, as JSON texts.
    pub(super) last: Vec<String>,
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
        if stand.last.len() != stand.key.len() {
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
