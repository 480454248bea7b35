//! How far a query has come, for the query itself and for its stream.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::vec::IntoIter;

use bytes::Bytes;

use super::account::{Doubt, Ended, Fetched, Mode};
use super::batch::Batch;
use super::keyset::key_of;
use super::position::{NAME, Stand};
use crate::account::{Conclusion, Counts};
use crate::http::{Meter, Secrets};
use crate::position::Position;
use crate::source::SourceKind;

/// A query of a database, as one of the sources.
#[derive(Default)]
pub struct Cursor {
    pub(super) meter: Arc<Meter>,
    secrets: OnceLock<Secrets>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    details: Fetched,
    doubts: Vec<Doubt>,
    /// The hash of the query.
    query: String,
    /// The key that the query was resumed after.
    start: Option<Vec<String>>,
    /// Rows before those of the last batch.
    before: u64,
    /// The last row of the batch before.
    last_before: Option<Bytes>,
    batch: Batch,
}

impl Cursor {
    /// It begins, perhaps after a key.
    pub(super) fn begin(
        &self,
        database: &'static str,
        key: &[String],
        query: String,
        secrets: Secrets,
    ) {
        // A query is begun once.
        let _ = self.secrets.set(secrets);
        let mut state = self.state();
        state.details.database = Some(database);
        state.details.key = key.to_vec();
        state.query = query;
    }

    /// It resumes after this key.
    pub(super) fn resume(&self, key: Vec<String>) {
        self.state().start = Some(key);
    }

    /// How the rows are fetched is settled.
    pub(super) fn settled(&self, mode: Mode, because: &'static str) {
        let mut state = self.state();
        state.details.mode = Some(mode);
        state.details.because = Some(because);
    }

    /// Something speaks against the rows being all.
    pub(super) fn doubt(&self, doubt: Doubt) {
        self.state().doubts.push(doubt);
    }

    /// Rows have come; gives how many there were before.
    pub(super) fn came(&self, batch: &Batch) -> u64 {
        let mut state = self.state();
        state.details.batches += 1;
        let count = state.batch.len();
        state.last_before = count.checked_sub(1).and_then(|last| state.batch.row(last));
        state.before += count as u64;
        state.batch = batch.without_columns();
        state.before
    }

    /// The key of the last row that came; none where there is no key.
    pub(super) fn last_key(&self) -> Option<Vec<String>> {
        let state = self.state();
        let last = state.batch.row(state.batch.len().checked_sub(1)?)?;
        (!state.details.key.is_empty()).then(|| key_of(&last, &state.details.key))?
    }

    /// Whether rows have come.
    pub(super) fn has_rows(&self) -> bool {
        self.state().batch.len() > 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The row with this number, from 1, if that is one of those that may be the last.
    fn row(&self, number: u64) -> Option<Bytes> {
        match number.checked_sub(self.before + 1) {
            Some(index) => self.batch.row(usize::try_from(index).ok()?),
            None => self.last_before.clone(),
        }
    }
}

impl SourceKind for Cursor {
    const NAME: &'static str = NAME;

    type Details = Fetched;
    type Batch<T: Send> = IntoIter<(T, u64)>;
    type Place = u64;
    type Return = Ended;

    fn items(&self, _: u64, last: Option<u64>) -> u64 {
        // A batch of arrays is many rows.
        last.unwrap_or(0)
    }

    fn position(&self, last: Option<u64>) -> Option<Position> {
        let state = self.state();
        let key = &state.details.key;
        if key.is_empty() {
            return None;
        }
        // An empty batch, which tells the columns alone, comes before the first row.
        let last = match last.filter(|number| *number > 0) {
            Some(number) => key_of(&state.row(number)?, key)?,
            None => state.start.clone()?,
        };
        let stand = Stand {
            query: state.query.clone(),
            key: key.clone(),
            last,
        };
        stand.position()
    }

    fn counts(&self) -> Counts {
        self.meter.counts()
    }

    fn waiting(&self) -> Option<String> {
        self.meter.waiting_for()
    }

    fn secrets(&self) -> Secrets {
        self.secrets.get().cloned().unwrap_or_default()
    }

    fn details(&self, _: &Ended) -> Fetched {
        self.state().details.clone()
    }

    fn conclude(&self, ended: Ended) -> Conclusion<Fetched> {
        Conclusion {
            ended,
            doubts: self.state().doubts.clone(),
        }
    }
}
