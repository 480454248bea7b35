//! The first items, held back until it is known what columns they need.

use super::Schema;
use super::columns::{Columns, Misfit, Row};

/// How many items are looked at before the first is written.
pub(crate) const MOST_ITEMS: usize = 10_000;

/// How many bytes of them.
pub(crate) const MOST_BYTES: usize = 8 << 20;

/// Items that are held back.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    columns: Columns,
    row: Row,
    texts: String,
    /// Where each item ends in the texts.
    ends: Vec<usize>,
}

impl Sample {
    /// A sample of items some of whose columns the caller knows.
    pub(crate) fn new(pinned: &Schema) -> Self {
        Sample {
            columns: Columns::pinned(&pinned.fields),
            ..Sample::default()
        }
    }

    /// Holds an item back.
    pub(crate) fn push(&mut self, item: &str) -> Result<(), Misfit> {
        self.columns.see(item, &mut self.row)?;
        self.texts.push_str(item);
        self.ends.push(self.texts.len());
        Ok(())
    }

    pub(crate) fn is_full(&self) -> bool {
        self.ends.len() >= MOST_ITEMS || self.texts.len() >= MOST_BYTES
    }

    /// The columns that the items need.
    pub(crate) fn columns(&mut self) -> Columns {
        self.columns.settle();
        std::mem::take(&mut self.columns)
    }

    /// The items, in their order.
    pub(crate) fn items(&self) -> impl Iterator<Item = &str> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        (begins.zip(&self.ends)).map(|(begin, end)| &self.texts[begin..*end])
    }
}
