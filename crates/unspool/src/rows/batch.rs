//! Rows that travel together.

use bytes::Bytes;

/// How much travels together at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            rows: 8192,
            bytes: 1 << 20,
        }
    }
}

/// The JSON texts of rows, one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    pub(super) text: Bytes,
    /// Where each row ends.
    pub(super) ends: Vec<usize>,
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The row with this number in the batch, from 0.
    pub(super) fn row(&self, index: usize) -> Option<Bytes> {
        let end = *self.ends.get(index)?;
        let begin = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(self.text.slice(begin..end))
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Bytes> {
        let mut begin = 0;
        self.ends.iter().map(move |end| {
            let row = self.text.slice(begin..*end);
            begin = *end;
            row
        })
    }
}
