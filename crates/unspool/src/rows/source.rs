//! The source: one query, from the connection to the end mark.

use std::sync::Arc;
use std::vec::IntoIter;

use bytes::Bytes;
use unspool_core::{AsyncGenerator, generator};

use super::account::Ended;
use super::batch::Batch;
use super::fetch::Fetches;
use super::progress::Cursor;
use super::request::Plan;
use crate::error::Error;

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
        let mut fetches = Fetches::begin(plan, Arc::clone(&cursor)).await?;
        try {
            while let Some((part, mut batch)) = fetches.next().await? {
                if batch.len() == 0 && cursor.has_batches() {
                    // The columns, which are known.
                    continue;
                }
                if let Some(left) = &mut left {
                    batch.truncate(*left);
                    *left -= batch.len() as u64;
                }
                let (rows, fault) = hand_out(&batch, cursor.came(part, &batch));
                yield rows;
                fault.map_or(Ok(()), Err)?;
                if left == Some(0) {
                    return Ok(Ended::Stopped);
                }
            }
        } finally {
            fetches.close().await;
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
