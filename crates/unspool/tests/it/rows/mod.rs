//! Rows of databases: real ones, which the tests start where they are servers.

#[cfg(feature = "arrow")]
mod arrow;
#[cfg(all(feature = "mysql", unix))]
mod mysql;
#[cfg(all(feature = "postgres", unix))]
mod parts;
#[cfg(all(feature = "postgres", unix))]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use futures_util::StreamExt;
use unspool::Error;
use unspool::rows::{Account, RawItem, Rows};

/// All rows up to the end or an error, and the account.
async fn drain(rows: Rows<RawItem>) -> (Vec<String>, Result<Account, Error>) {
    let mut rows = rows.allow_doubts();
    let mut texts = Vec::new();
    while let Some(row) = rows.next().await {
        match row {
            Ok(row) => texts.push(row.to_string()),
            Err(error) => return (texts, Err(error)),
        }
    }
    (texts, Ok(rows.account()))
}

/// The rows of a query that must be complete.
async fn complete(rows: Rows<RawItem>) -> Vec<String> {
    let (texts, account) = drain(rows).await;
    let account = account.unwrap();
    assert!(account.complete, "{account:?}");
    texts
}

/// What a query that must fail says.
async fn failure(rows: Rows<RawItem>) -> Error {
    let (texts, account) = drain(rows).await;
    let error = account.unwrap_err();
    println!("{} rows, then {error}", texts.len());
    error
}
