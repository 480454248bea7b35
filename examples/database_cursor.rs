//! A cursor that fetches the next batch of rows when the last is used up: by hand, and
//! [in one line](users).
//!
//! ```python
//! class DatabaseCursor:
//!     def __init__(self, connection, query):
//!         self.connection, self.query = connection, query
//!         self.rows, self.index, self.fetched = [], 0, 0
//!
//!     def __aiter__(self):
//!         return self
//!
//!     async def __anext__(self):
//!         if self.index == len(self.rows):
//!             await self.fetch_batch()
//!         if not self.rows:
//!             raise StopAsyncIteration
//!         self.index += 1
//!         return self.rows[self.index - 1]
//! ```

use std::error::Error;
use std::pin::pin;

use rusqlite::{Connection, params};
use serde::Deserialize;
use unspool::rows::Rows;
use unspool::{AnextExt, TryAsyncIterator, rows, try_aiter};

const BATCH: u32 = 100;

pub(crate) struct DatabaseCursor {
    connection: Connection,
    query: &'static str,
    rows: Vec<(i64, String)>,
    index: usize,
    fetched: u32,
}

impl DatabaseCursor {
    pub(crate) fn new(connection: Connection, query: &'static str) -> Self {
        DatabaseCursor {
            connection,
            query,
            rows: Vec::new(),
            index: 0,
            fetched: 0,
        }
    }

    /// The file is at hand: to read a batch of it takes no waiting worth a thread.
    async fn fetch_batch(&mut self) -> rusqlite::Result<()> {
        let query = format!("{} limit ?1 offset ?2", self.query);
        let mut statement = self.connection.prepare_cached(&query)?;
        let rows = statement.query_map(params![BATCH, self.fetched], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        self.rows = rows.collect::<rusqlite::Result<_>>()?;
        self.fetched += BATCH;
        self.index = 0;
        Ok(())
    }
}

impl TryAsyncIterator for DatabaseCursor {
    type Item = (i64, String);
    type Error = rusqlite::Error;

    async fn anext(&mut self) -> rusqlite::Result<Option<(i64, String)>> {
        if self.index == self.rows.len() {
            self.fetch_batch().await?;
        }
        self.index += 1;
        Ok(self.rows.get(self.index - 1).cloned())
    }
}

#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) name: String,
}

/// The same in one line, and from any database: a server is asked without blocking, the
/// next batch is read while this one is used, and with `.key("id")` it resumes.
pub(crate) fn users(dsn: &str) -> Rows<User> {
    rows(dsn, "select id, name from users order by id").items()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("expected an SQLite file")?;
    let cursor = DatabaseCursor::new(
        Connection::open(&file)?,
        "select id, name from users order by id",
    );
    let mut by_hand = pin!(try_aiter(cursor));
    let mut users = users(&format!("sqlite:{file}"));
    while let (Some(by_hand), Some(user)) = (by_hand.anext().await, users.anext().await) {
        let ((id, name), user) = (by_hand?, user?);
        assert_eq!((id, name.as_str()), (user.id, user.name.as_str()));
        println!("{id} {name}");
    }
    Ok(())
}
