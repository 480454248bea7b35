//! The first items, held back until it is known what columns they need.

use std::time::{Duration, Instant};

use super::Schema;
use super::columns::{Columns, Misfit, Row};

/// How many items are looked at before the first is written.
pub(crate) const MOST_ITEMS: usize = 10_000;

/// How many bytes of them.
pub(crate) const MOST_BYTES: usize = 8 << 20;

/// For how long, and for how many checkpoints: from a slow source little is known by then,
/// and what came is to be durable.
const LONGEST: Duration = Duration::from_secs(10);
const MOST_CHECKPOINTS: u32 = 4;

/// Items that are held back.
#[derive(Debug)]
pub(crate) struct Sample {
    columns: Columns,
    row: Row,
    texts: String,
    /// Where each item ends in the texts.
    ends: Vec<usize>,
    since: Instant,
    checkpoints: u32,
}

impl Sample {
    /// A sample of items some of whose columns the caller knows.
    pub(crate) fn new(pinned: &Schema) -> Self {
        Sample {
            columns: Columns::pinned(&pinned.fields),
            row: Row::default(),
            texts: String::new(),
            ends: Vec::new(),
            since: Instant::now(),
            checkpoints: 0,
        }
    }

    /// Holds an item back.
    pub(crate) fn push(&mut self, item: &str) -> Result<(), Misfit> {
        self.columns.see(item, &mut self.row)?;
        self.texts.push_str(item);
        self.ends.push(self.texts.len());
        Ok(())
    }

    /// Whether a checkpoint may pass without these items.
    pub(crate) fn may_pass_checkpoint(&mut self) -> bool {
        self.checkpoints += 1;
        self.checkpoints < MOST_CHECKPOINTS && self.since.elapsed() < LONGEST
    }

    pub(crate) fn is_full(&self) -> bool {
        self.ends.len() >= MOST_ITEMS || self.texts.len() >= MOST_BYTES
    }

    /// The columns that the items need.
    pub(crate) fn columns(&mut self) -> Columns {
        self.columns.settle();
        std::mem::take(&mut self.columns)
    }

    pub(crate) fn len(&self) -> u64 {
        self.ends.len() as u64
    }

    /// The items, in their order.
    pub(crate) fn items(&self) -> impl Iterator<Item = &str> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        (begins.zip(&self.ends)).map(|(begin, end)| &self.texts[begin..*end])
    }
}
