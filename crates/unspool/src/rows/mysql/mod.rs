//! MySQL and MariaDB: a task that reads the rows of a prepared statement as they come.

mod answer;
#[cfg(feature = "arrow")]
mod arrow;
mod failure;
mod kill;
mod settings;
mod types;

use std::sync::Arc;

use self::answer::answer;
use self::kill::Killer;
use super::database::{Database, Query, Reader};
use super::dsn;
use super::parts::by_whole_numbers;
use super::progress::Cursor;
use super::sql::Dialect;
use super::task::TaskReader;

pub(super) static DATABASE: Database = Database {
    name: "mysql",
    syntax: "`mysql://user@host/name`",
    dialect: Dialect {
        has_backslashes: true,
        nests_comments: false,
        has_dollar_quotes: false,
        has_hash_comments: true,
    },
    quote: '`',
    is_meant: |dsn| {
        ["mysql://", "mariadb://"]
            .iter()
            .any(|scheme| dsn.starts_with(scheme))
    },
    shown: dsn::shown,
    open: |query, cursor| Ok(open(query, cursor)),
    cut: |query, count| Box::pin(by_whole_numbers(&DATABASE, query, count)),
};

/// A task answers the query.
fn open(query: Query, cursor: &Arc<Cursor>) -> Box<dyn Reader> {
    let killer = Arc::<Killer>::default();
    let (cursor, stop) = (Arc::clone(cursor), Arc::clone(&killer));
    let work = |sender| answer(query, cursor, killer, sender);
    Box::new(TaskReader::new(stop, work))
}
