//! The source: one query, from the connection to the end mark.

use std::sync::{Arc, Mutex, PoisonError};
use std::vec::IntoIter;

use bytes::Bytes;
use unspool_core::{AsyncGenerator, generator};

use super::account::Ended;
use super::batch::Batch;
use super::database::{Database, Query, Reader};
use super::position::{Stand, hash};
use super::progress::Cursor;
use super::request::Plan;
use crate::error::Error;
use crate::http::{Attempts, Secrets};

/// What is made of a batch: items, each with the number of its last row, and what is wrong
/// with the one after them. It is told how many rows came before.
pub(super) type HandOut<T> = fn(&Batch, u64) -> (IntoIter<(T, u64)>, Option<Error>);

/// Yields the rows of the query, as many at a time as have arrived, and returns once the
/// database has said that this is all.
pub(super) fn rows<T: Send + 'static>(
    plan: Plan,
    cursor: Arc<Cursor>,
    hand_out: HandOut<T>,
) -> impl AsyncGenerator<Yield = IntoIter<(T, u64)>, Return = Result<Ended, Error>> + Send {
    generator! {
        let mut left = plan.take;
        if left == Some(0) {
            return Ok(Ended::Stopped);
        }
        let mut fetch = Fetch::begin(plan, cursor)?;
        try {
            while let Some(mut batch) = fetch.next().await? {
                if batch.len() == 0 && fetch.cursor.has_rows() {
                    // The columns, which are known.
                    continue;
                }
                if let Some(left) = &mut left {
                    batch.truncate(*left);
                    *left -= batch.len() as u64;
                }
                let (rows, fault) = hand_out(&batch, fetch.cursor.came(&batch));
                yield rows;
                fault.map_or(Ok(()), Err)?;
                if left == Some(0) {
                    return Ok(Ended::Stopped);
                }
            }
        } finally {
            fetch.close().await;
        }
        Ok(Ended::AllRows)
    }
}

/// The rows of a batch, each with its number, and what is wrong with the one after them.
pub(super) fn decoded<T>(
    batch: &Batch,
    before: u64,
    decode: fn(&Bytes) -> serde_json::Result<T>,
) -> (IntoIter<(T, u64)>, Option<Error>) {
    let mut rows = Vec::with_capacity(batch.len());
    for (row, number) in batch.texts().zip(before + 1..) {
        match decode(&row) {
            Ok(value) => rows.push((value, number)),
            Err(error) => {
                let message = format!("row {number} is not what was expected: {error}");
                let error = Error::content(message).with_source(error);
                return (rows.into_iter(), Some(error));
            }
        }
    }
    (rows.into_iter(), None)
}

/// A query that is being asked, perhaps again.
struct Fetch {
    cursor: Arc<Cursor>,
    database: &'static Database,
    query: Query,
    /// The database as people may see it.
    shown: String,
    attempts: Attempts,
    /// None before it is asked, and while it waits to ask again. Never locked: a mutex lets
    /// what cannot be shared be in what can.
    reader: Option<Mutex<Box<dyn Reader>>>,
}

impl Fetch {
    fn begin(plan: Plan, cursor: Arc<Cursor>) -> Result<Self, Error> {
        let Plan {
            dsn,
            what,
            mut query,
            from,
            retry,
            take,
        } = plan;
        let database = Database::of(&dsn)?;
        let (shown, passwords) = (database.shown)(&dsn);
        query.dsn = dsn;
        if let Some(take) = take.and_then(|take| usize::try_from(take).ok()) {
            // No more rows travel together than are wanted.
            query.limits.rows = query.limits.rows.min(take);
        }
        let at = |error: Error| error.at_request(&shown);
        query.statement = database.statement(&what).map_err(at)?;
        let secrets = Secrets::new();
        passwords.iter().for_each(|word| secrets.keep(word));
        let hash = hash(database, &query);
        let stand = from.map(|position| Stand::read(&position, &query, &hash));
        let stand = stand.transpose().map_err(at)?;
        cursor.begin(database.name, &query.key, hash, secrets);
        if let Some(stand) = stand {
            match &query.range.overlap {
                Some(_) => query.range.since = stand.last.first().cloned(),
                None => query.range.after = Some(stand.last.clone()),
            }
            cursor.resume(stand.last);
        }
        Ok(Fetch {
            attempts: Attempts::new(&retry, Arc::clone(&cursor.meter)),
            cursor,
            database,
            query,
            shown,
            reader: None,
        })
    }

    /// The next rows. Where the connection was lost they are asked for again: with a key
    /// after the last row, and else only if none has come.
    async fn next(&mut self) -> Result<Option<Batch>, Error> {
        loop {
            match self.read().await {
                Ok(batch) => return Ok(batch),
                Err(error) => {
                    self.close().await;
                    let error = error.at_request(&self.shown);
                    if self.cursor.has_rows() {
                        // Without a key nothing says where to go on.
                        let Some(key) = self.cursor.last_key() else {
                            return Err(error);
                        };
                        self.query.range.after = Some(key);
                    }
                    self.attempts.after(error).await?;
                }
            }
        }
    }

    async fn read(&mut self) -> Result<Option<Batch>, Error> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => Mutex::new((self.database.open)(self.query.clone(), &self.cursor)?),
        };
        let reader = self.reader.insert(reader).get_mut();
        reader.unwrap_or_else(PoisonError::into_inner).read().await
    }

    async fn close(&mut self) {
        if let Some(mut reader) = self.reader.take() {
            let reader = reader.get_mut().unwrap_or_else(PoisonError::into_inner);
            reader.close().await;
        }
    }
}
