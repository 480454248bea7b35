//! How far a query has come, for the query itself and for its stream.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::vec::IntoIter;

use super::account::{Doubt, Ended, Fetched, Mode};
use super::batch::Batch;
use super::keyset::key_of;
use super::position::{NAME, Part, Stand};
use crate::account::{Conclusion, Counts};
use crate::http::{Meter, Secrets};
use crate::position::Position;
use crate::source::SourceKind;
use crate::spans;

/// A query of a database, as one of the sources.
///
/// Made by [`Request::raw`](super::Request::raw) and its like, for the stream.
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
    /// The parts that it was cut into, or the whole, and how far each had come before the last
    /// batch.
    parts: Vec<Part>,
    is_cut: bool,
    /// Rows before those of the last batch.
    before: u64,
    batch: Batch,
    /// Which part the last batch is of.
    part: usize,
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
        spans::asks_database(database);
        // A query is begun once.
        let _ = self.secrets.set(secrets);
        let mut state = self.state();
        state.details.database = Some(database);
        state.details.key = key.to_vec();
        state.query = query;
        state.parts = vec![Part::default()];
    }

    /// It resumes after this key.
    pub(super) fn resume(&self, key: Vec<String>) {
        self.state().parts[0].last = Some(key);
    }

    /// It is cut into these parts.
    pub(super) fn cut(&self, parts: Vec<Part>) {
        let mut state = self.state();
        state.parts = parts;
        state.is_cut = true;
    }

    /// All rows of a part have come.
    pub(super) fn part_is_over(&self, part: usize) {
        self.state().parts[part].is_over = true;
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

    /// Rows of a part have come; gives how many there were before.
    pub(super) fn came(&self, part: usize, batch: &Batch) -> u64 {
        let mut state = self.state();
        state.details.batches += 1;
        let count = state.batch.len();
        // All of the batch before has been taken.
        if let Some(key) = count.checked_sub(1).and_then(|last| state.key_of(last)) {
            let part = state.part;
            state.parts[part].last = Some(key);
        }
        state.before += count as u64;
        state.batch = batch.without_columns();
        state.part = part;
        state.before
    }

    /// Whether a batch has come.
    pub(super) fn has_batches(&self) -> bool {
        self.state().details.batches > 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The key of the row with this number in the last batch.
    fn key_of(&self, index: usize) -> Option<Vec<String>> {
        if self.details.key.is_empty() {
            return None;
        }
        key_of(&self.batch.row(index)?, &self.details.key)
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
        if key.is_empty() || state.parts.is_empty() {
            return None;
        }
        let mut parts = state.parts.clone();
        // A number of the batches before is that of their last row.
        let index = last.and_then(|number| number.checked_sub(state.before + 1));
        if let Some(index) = index {
            let key = state.key_of(usize::try_from(index).ok()?)?;
            parts[state.part].last = Some(key);
        }
        let (last, parts) = if state.is_cut {
            (Vec::new(), parts)
        } else {
            (parts.swap_remove(0).last?, Vec::new())
        };
        let stand = Stand {
            query: state.query.clone(),
            key: key.clone(),
            last,
            parts,
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
