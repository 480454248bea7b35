//! SQLite: a thread that reads, and hands over batches.

mod handover;
mod thread;
mod types;

use std::path::Path;
use std::sync::Arc;

use self::handover::Handover;
use super::account::Mode;
use super::batch::Batch;
use super::database::{Answer, Database, Query, Reader};
use super::dsn;
use super::parts::by_whole_numbers;
use super::progress::Cursor;
use super::sql::Dialect;
use crate::error::Error;

pub(super) static DATABASE: Database = Database {
    name: "sqlite",
    syntax: "`sqlite:users.db`",
    dialect: Dialect {
        has_backslashes: false,
        nests_comments: false,
        has_dollar_quotes: false,
        has_hash_comments: false,
    },
    quote: '"',
    is_meant,
    shown: dsn::shown,
    open: |query, cursor| Ok(Box::new(Sqlite::new(query, cursor)?)),
    cut: |query, count| Box::pin(by_whole_numbers(&DATABASE, query, count)),
};

/// The ends of the names of SQLite's files.
const EXTENSIONS: [&str; 5] = ["db", "db3", "sqlite", "sqlite3", "gpkg"];

/// `sqlite:path`, or the path of a file that is named as one.
fn is_meant(dsn: &str) -> bool {
    let extension = Path::new(dsn)
        .extension()
        .and_then(|extension| extension.to_str());
    let is_file = !dsn.contains("://") && extension.is_some_and(|name| EXTENSIONS.contains(&name));
    dsn.starts_with("sqlite:") || is_file
}

/// The path in an address.
fn path(dsn: &str) -> &str {
    let path = dsn.strip_prefix("sqlite:").unwrap_or(dsn);
    path.strip_prefix("//").unwrap_or(path)
}

/// A query that a thread answers.
struct Sqlite {
    query: Option<Query>,
    cursor: Arc<Cursor>,
    handover: Arc<Handover>,
}

impl Sqlite {
    fn new(query: Query, cursor: &Arc<Cursor>) -> Result<Self, Error> {
        let (mode, because) = match query.key.is_empty() {
            true => (Mode::Stream, "there is no key"),
            false => (Mode::Keyset, "there is a key"),
        };
        if query.mode.is_some_and(|asked| asked != mode) {
            return Err(Error::request(format!(
                "SQLite has two modes: `keyset` with a key, and `stream` without; this one is `{mode}`"
            )));
        }
        cursor.settled(mode, because);
        Ok(Sqlite {
            query: Some(query),
            cursor: Arc::clone(cursor),
            handover: Arc::default(),
        })
    }
}

impl Reader for Sqlite {
    fn read(&mut self) -> Answer<'_, Result<Option<Batch>, Error>> {
        Box::pin(async {
            if let Some(query) = self.query.take() {
                thread::start(query, Arc::clone(&self.cursor), Arc::clone(&self.handover))?;
            }
            let batch = self.handover.take().await?;
            if let Some(batch) = &batch {
                self.cursor.meter.bytes(batch.bytes);
            }
            Ok(batch)
        })
    }

    fn close(&mut self) -> Answer<'_, ()> {
        self.handover.stop();
        Box::pin(async {})
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.handover.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_paths() {
        for (dsn, expected) in [
            ("sqlite:users.db", "users.db"),
            ("sqlite://users.db", "users.db"),
            ("sqlite:///tmp/a b", "/tmp/a b"),
            ("/tmp/x.sqlite3", "/tmp/x.sqlite3"),
        ] {
            assert!(is_meant(dsn), "{dsn}");
            assert_eq!(path(dsn), expected);
        }
        for dsn in ["postgres://h/d.db", "users", "host=a", ""] {
            assert!(!is_meant(dsn), "{dsn}");
        }
    }
}
