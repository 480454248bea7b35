//! PostgreSQL: a task that drives the connection, and hands over batches.

mod answer;
#[cfg(feature = "arrow")]
mod arrow;
mod cancel;
mod connection;
mod copy;
mod failure;
mod parts;
mod passfile;
mod settings;
mod tls;
mod types;

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;

use self::answer::answer;
use self::cancel::Canceler;
pub(crate) use self::connection::{PgConnection, client};
pub(crate) use self::failure::failed;
use super::database::{Database, Query, Reader};
use super::dsn;
use super::progress::Cursor;
use super::sql::Dialect;
use super::task::TaskReader;
use crate::error::Error;

pub(super) static DATABASE: Database = Database {
    name: "postgres",
    syntax: "`postgres://user@host/name`",
    dialect: Dialect {
        has_backslashes: false,
        nests_comments: true,
        has_dollar_quotes: true,
        has_hash_comments: false,
    },
    quote: '"',
    is_meant,
    shown: dsn::shown,
    open: |query, cursor| Ok(open(query, cursor)),
    cut: |query, count| Box::pin(parts::cut(query, count)),
};

/// A URL, or keywords as libpq has them.
fn is_meant(dsn: &str) -> bool {
    let is_url = ["postgres:", "postgresql:"]
        .iter()
        .any(|scheme| dsn.starts_with(scheme));
    let has_keywords = || {
        let pairs = dsn::keywords(dsn).unwrap_or_default();
        !pairs.is_empty() && pairs.iter().all(|(name, _)| settings::is_known(name))
    };
    is_url || has_keywords()
}

/// A connection to the database of an address, for sources other than rows.
pub(crate) async fn connect(dsn: &str, limit: Duration) -> Result<(Client, PgConnection), Error> {
    let (client, connection, _) = connection::connect(dsn, limit).await?;
    Ok((client, connection))
}

/// A task answers the query.
fn open(query: Query, cursor: &Arc<Cursor>) -> Box<dyn Reader> {
    let canceler = Arc::<Canceler>::default();
    let (cursor, stop) = (Arc::clone(cursor), Arc::clone(&canceler));
    let work = |sender| answer(query, cursor, canceler, sender);
    Box::new(TaskReader::new(stop, work))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_urls_or_keywords() {
        for dsn in [
            "postgres://h/d",
            "postgresql:///d",
            "postgres:",
            "host=a dbname=b",
            "service=x",
        ] {
            assert!(is_meant(dsn), "{dsn}");
        }
        for dsn in ["sqlite:a=b", "mysql://h/d", "a=b", "users.db", ""] {
            assert!(!is_meant(dsn), "{dsn}");
        }
    }
}
