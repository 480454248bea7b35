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

/// What rows are made into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Face {
    /// JSON texts.
    Text,
    /// Arrow arrays.
    #[cfg(feature = "arrow")]
    Arrow,
}

/// Rows, one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    /// The JSON texts of rows. Of rows in Arrow arrays, those of their keys alone.
    pub(super) text: Bytes,
    /// Where each text ends.
    pub(super) ends: Vec<usize>,
    /// How many rows there are.
    pub(super) rows: usize,
    /// How many bytes their values have.
    #[cfg_attr(
        not(feature = "sqlite"),
        expect(dead_code, reason = "what only a handover looks at")
    )]
    pub(super) bytes: usize,
    #[cfg(feature = "arrow")]
    pub(super) columns: Option<arrow_array::RecordBatch>,
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// The text of the row with this number in the batch, from 0.
    pub(super) fn row(&self, index: usize) -> Option<Bytes> {
        let end = *self.ends.get(index)?;
        let begin = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(self.text.slice(begin..end))
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = Bytes> {
        let mut begin = 0;
        self.ends.iter().map(move |end| {
            let row = self.text.slice(begin..*end);
            begin = *end;
            row
        })
    }

    /// The texts without the arrays, which are for the consumer alone.
    pub(super) fn without_columns(&self) -> Self {
        Batch {
            #[cfg(feature = "arrow")]
            columns: None,
            ..self.clone()
        }
    }

    /// The first rows, so many at most.
    pub(super) fn truncate(&mut self, rows: u64) {
        let Ok(rows) = usize::try_from(rows) else {
            return;
        };
        self.rows = self.rows.min(rows);
        self.ends.truncate(rows);
        #[cfg(feature = "arrow")]
        if let Some(columns) = &mut self.columns {
            *columns = columns.slice(0, self.rows);
        }
    }
}
