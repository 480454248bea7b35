//! Rows of database queries.
//!
//! *Upstream*: a statement that a database answers with rows. *Order*: as the statement
//! says; with a [key](Request::key), that of the key. *Ends when*: the database says that
//! the statement is complete; a connection that ends before is an error. *Resumes from*:
//! any row, where there is a key. *Cost*: one statement, or with a key one for each batch;
//! memory for two batches, about 1 MiB each. *Auth*: what is in the address, or where each
//! database's users put it.
//!
//! Rows are JSON objects whose members are the columns. What becomes of the types of each
//! database is in `docs/rows.md`.

mod account;
#[cfg(feature = "arrow")]
#[cfg_attr(
    not(any(feature = "postgres", feature = "mysql")),
    expect(dead_code, reason = "what only servers have")
)]
mod arrow;
mod batch;
mod database;
mod description;
mod dsn;
mod fetch;
mod keyset;
#[cfg(feature = "mysql")]
mod mysql;
mod param;
#[cfg_attr(
    not(any(feature = "sqlite", feature = "mysql")),
    expect(dead_code, reason = "how PostgreSQL is not cut")
)]
mod parts;
mod position;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod progress;
mod request;
mod source;
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod task;
mod write;

#[cfg(feature = "arrow")]
pub use arrow_array::RecordBatch;

pub use account::{Account, Doubt, Ended, Fetched, Mode};
pub use description::Description;
pub(crate) use description::SOURCE;
pub use param::Param;
pub use progress::Cursor;
pub use request::Request;
pub use sql::SqlPosition;

pub use crate::item::RawItem;
pub use crate::position::Position;
use crate::source::SourceStream;

/// The rows of a query, as they arrive. Made by [`Request::items`] and [`Request::raw`].
///
/// To drop it stops the query, also where that runs on a server.
///
/// It is in the example of [`rows`](crate::rows()).
pub type Rows<T> = SourceStream<T, Cursor>;

/// Starts the description of a query: where the database is, and what it is asked.
///
/// Nothing is opened, or even checked, before the first row is asked for.
///
/// ```no_run
/// use futures_util::TryStreamExt;
///
/// #[derive(serde::Deserialize)]
/// struct User {
///     id: i64,
///     name: String,
/// }
///
/// # async fn example() -> Result<(), unspool::Error> {
/// let mut users = unspool::rows("sqlite:users.db", "select id, name from users").items::<User>();
/// while let Some(user) = users.try_next().await? {
///     println!("{} {}", user.id, user.name);
/// }
/// # Ok(())
/// # }
/// ```
pub fn rows(dsn: impl Into<String>, sql: impl Into<String>) -> Request {
    Request::new(dsn.into(), request::What::Sql(sql.into()))
}

/// The same for all rows of a table or view.
///
/// ```
/// use futures_util::TryStreamExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), unspool::Error> {
/// let mut tables = unspool::rows::table("sqlite::memory:", "sqlite_master").raw();
/// while let Some(row) = tables.try_next().await? {
///     println!("{row}");
/// }
/// # Ok(())
/// # }
/// ```
pub fn table(dsn: impl Into<String>, name: impl Into<String>) -> Request {
    Request::new(dsn.into(), request::What::Table(name.into()))
}
