//! What all databases are to the source: something that gives batches of rows.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::account::Mode;
use super::batch::{Batch, Face, Limits};
use super::param::Param;
use super::progress::Cursor;
use super::request::What;
use super::sql::{Dialect, Statement, quoted_table};
use crate::error::Error;

/// All databases. To add one: its module, a line here.
static DATABASES: &[&Database] = &[
    #[cfg(feature = "sqlite")]
    &super::sqlite::DATABASE,
    #[cfg(feature = "postgres")]
    &super::postgres::DATABASE,
    #[cfg(feature = "mysql")]
    &super::mysql::DATABASE,
];

/// A database that can be asked.
pub(super) struct Database {
    pub(super) name: &'static str,
    /// How its addresses are written, for messages.
    pub(super) syntax: &'static str,
    pub(super) dialect: Dialect,
    /// What stands around names.
    pub(super) quote: char,
    /// Whether an address is one of this database.
    pub(super) is_meant: fn(&str) -> bool,
    /// The address as people may see it, and the passwords in it.
    pub(super) shown: fn(&str) -> (String, Vec<String>),
    /// Makes a reader, which does nothing before it is asked for rows.
    pub(super) open: Open,
    /// Cuts a query into parts.
    pub(super) cut: Cut,
}

type Open = fn(Query, &Arc<Cursor>) -> Result<Box<dyn Reader>, Error>;

/// Cuts a query into so many parts at most; into one, it only sees that all that is read
/// belongs together.
type Cut = fn(Query, usize) -> Answer<'static, Result<Cuts, Error>>;

/// How a query was cut.
pub(super) struct Cuts {
    /// The parts, at least one. Together they are the whole, and no row is in two of them.
    pub(super) ranges: Vec<Range>,
    /// What the database calls the state in which all parts see it.
    pub(super) snapshot: Option<String>,
    /// What keeps that state as long as this is there.
    pub(super) hold: Option<Box<dyn Send>>,
}

pub(super) type Answer<'r, T> = Pin<Box<dyn Future<Output = T> + Send + 'r>>;

/// A query that is being answered. To drop it stops the query.
pub(super) trait Reader: Send {
    /// The next rows; none once the database has said that this is all.
    fn read(&mut self) -> Answer<'_, Result<Option<Batch>, Error>>;

    /// Stops the query where it still runs, and closes the connection.
    fn close(&mut self) -> Answer<'_, ()>;
}

/// What a database is asked.
#[derive(Clone, Debug)]
pub(super) struct Query {
    /// Where the database is.
    pub(super) dsn: String,
    pub(super) statement: Statement,
    pub(super) params: Vec<Param>,
    /// Columns by which the rows are ordered and told apart; may be empty.
    pub(super) key: Vec<String>,
    /// Keys as JSON texts.
    pub(super) range: Range,
    /// The state of the database that it is to see.
    pub(super) snapshot: Option<String>,
    /// Whether it is looked for rows without a key, which no page has.
    pub(super) looks_for_nulls: bool,
    pub(super) face: Face,
    pub(super) limits: Limits,
    pub(super) may_write: bool,
    /// The longest wait for a connection.
    pub(super) timeout: Duration,
    pub(super) mode: Option<Mode>,
}

/// Which keys are asked for, as JSON texts.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Range {
    /// Those after this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<Vec<String>>,
    /// Those up to this one, and this one as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<Vec<String>>,
    /// Those whose first column is not less than this, where there is no key to come after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<String>,
    /// How much less it may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) overlap: Option<String>,
    /// Those in the blocks of a table from the first of these on, and before the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) blocks: Option<(u64, Option<u64>)>,
}

impl Database {
    /// The database of an address.
    pub(super) fn of(dsn: &str) -> Result<&'static Database, Error> {
        let found = DATABASES.iter().find(|database| (database.is_meant)(dsn));
        found.copied().ok_or_else(|| {
            let syntaxes: Vec<&str> = DATABASES.iter().map(|database| database.syntax).collect();
            Error::request(format!(
                "expected the address of a database, such as {}",
                syntaxes.join(", ")
            ))
        })
    }

    /// The statement that is asked for.
    pub(super) fn statement(&self, what: &What) -> Result<Statement, Error> {
        match what {
            What::Sql(sql) => Statement::read(sql, self.dialect),
            What::Table(name) => Ok(Statement {
                text: format!("select * from {}", quoted_table(name, self.quote)),
                first_word: "select".to_owned(),
                table: Some(quoted_table(name, self.quote)),
            }),
        }
    }
}
