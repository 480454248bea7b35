//! Items as record batches in memory, with the columns that a Parquet file of them would have.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, Schema as ArrowSchema, SchemaRef};

use super::columns::{Builder, arrow_fields};
use crate::error::Error;
use crate::sinks::schema::{Columns, Field, Row, Sample, Schema, Type};
use crate::sinks::tables::{failed, found};

/// How many rows, and how many bytes of items, a batch has at most.
const ROWS: usize = 8192;
const BYTES: usize = 8 << 20;

/// Makes record batches of JSON items: typed columns, found from the first items or said by a
/// schema.
///
/// The first 10,000 items, or 8 MiB of them, are held back until it is known what columns they
/// need; from there on all batches have the same schema, and an item that does not fit is an
/// error that says which field settles it.
///
/// ```
/// use unspool::sinks::Batches;
///
/// # fn main() -> Result<(), unspool::Error> {
/// let mut batches = Batches::new(None)?;
/// batches.push(r#"{"id": 1, "at": "2026-11-27T08:00:00Z"}"#)?;
/// batches.push(r#"{"id": 2, "at": null}"#)?;
/// batches.end()?;
/// let batch = batches.next().unwrap();
/// assert_eq!((batch.num_rows(), batch.num_columns()), (2, 2));
/// # Ok(())
/// # }
/// ```
pub struct Batches {
    /// None once the columns are settled.
    sample: Option<Sample>,
    columns: Columns,
    schema: SchemaRef,
    builders: Vec<Builder>,
    row: Row,
    rows: usize,
    bytes: usize,
    items: u64,
    text: String,
    whole: VecDeque<RecordBatch>,
}

impl Batches {
    /// Batches with the columns of this text, a JSON Schema or lines of `name type`, and those
    /// that the items need besides.
    ///
    /// # Errors
    ///
    /// The schema is wrong.
    pub fn new(schema: Option<&str>) -> Result<Self, Error> {
        let pinned: Schema = schema.map(str::parse).transpose()?.unwrap_or_default();
        Ok(Batches {
            sample: Some(Sample::new(&pinned)),
            columns: Columns::default(),
            schema: Arc::new(ArrowSchema::empty()),
            builders: Vec::new(),
            row: Row::default(),
            rows: 0,
            bytes: 0,
            items: 0,
            text: String::new(),
            whole: VecDeque::new(),
        })
    }

    /// Takes in an item.
    ///
    /// # Errors
    ///
    /// It does not fit into the columns.
    pub fn push(&mut self, item: &str) -> Result<(), Error> {
        let Some(sample) = &mut self.sample else {
            return self.append(item);
        };
        let number = sample.len() + 1;
        sample
            .push(item)
            .map_err(|misfit| failed(format!("item {number} {misfit}")))?;
        if sample.is_full() {
            self.settle()?;
        }
        Ok(())
    }

    /// Takes in that there are no more items: what is left is a batch.
    ///
    /// # Errors
    ///
    /// As [`push`](Batches::push), for items that were held back.
    pub fn end(&mut self) -> Result<(), Error> {
        self.settle()?;
        if self.rows > 0 {
            self.flush()?;
        }
        Ok(())
    }

    /// The schema of all batches, once enough items have come.
    #[must_use]
    pub fn schema(&self) -> Option<SchemaRef> {
        self.sample.is_none().then(|| Arc::clone(&self.schema))
    }

    /// Makes the columns what the first items need, and writes these.
    fn settle(&mut self) -> Result<(), Error> {
        let Some(mut sample) = self.sample.take() else {
            return Ok(());
        };
        self.columns = sample.columns();
        self.schema = Arc::new(ArrowSchema::new(arrow_fields(&self.columns.fields())));
        let columns = self.columns.list().iter();
        self.builders = columns.map(|column| Builder::new(&column.kind)).collect();
        sample.items().try_for_each(|item| self.append(item))
    }

    fn append(&mut self, item: &str) -> Result<(), Error> {
        self.items += 1;
        let number = self.items;
        self.columns
            .split(item, &mut self.row)
            .map_err(|misfit| failed(format!("item {number} {misfit}")))?;
        for at in 0..self.columns.list().len() {
            let value = self.row.value(at, item);
            let fits = match self.builders.get_mut(at) {
                Some(builder) => builder.append(value, &mut self.text),
                None => false,
            };
            if !fits {
                return Err(self.misfit(at, item));
            }
        }
        self.rows += 1;
        self.bytes += item.len();
        if self.rows >= ROWS || self.bytes >= BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn misfit(&self, at: usize, item: &str) -> Error {
        let column = &self.columns.list()[at];
        let line = |kind| Field {
            name: column.key.clone(),
            kind,
        };
        let value = found(self.row.value(at, item));
        let what = if at < self.builders.len() {
            format!("is {value}, and its column is for {}", column.kind)
        } else {
            format!("is {value}, and none of the first items has it")
        };
        failed(format!(
            "item {}: the field `{}` {what}; a schema with the line `{}` settles it",
            self.items,
            column.key,
            line(Type::Json),
        ))
    }

    fn flush(&mut self) -> Result<(), Error> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let arrays = self.builders.iter_mut().map(|builder| builder.finish(rows));
        let batch = arrays
            .collect::<Result<Vec<_>, ArrowError>>()
            .and_then(|arrays| {
                let count = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows));
                RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &count)
            });
        let batch = batch.map_err(|error| failed(error.to_string()))?;
        self.whole.push_back(batch);
        Ok(())
    }
}

/// The batches that are whole.
impl Iterator for Batches {
    type Item = RecordBatch;

    fn next(&mut self) -> Option<RecordBatch> {
        self.whole.pop_front()
    }
}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches")
            .field("schema", &self.schema())
            .field("items", &self.items)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push_all(batches: &mut Batches, items: &[&str]) -> Result<(), Error> {
        items.iter().try_for_each(|item| batches.push(item))?;
        batches.end()
    }

    #[test]
    fn items_become_typed_columns_in_batches_of_one_schema() {
        let mut batches = Batches::new(None).unwrap();
        let items: Vec<String> = (0..20_000)
            .map(|number| format!(r#"{{"id":{number},"tags":["a"],"ratio":{number}.5}}"#))
            .collect();
        let items: Vec<&str> = items.iter().map(String::as_str).collect();
        push_all(&mut batches, &items).unwrap();
        let schema = batches.schema().unwrap();
        let kinds: Vec<String> = schema
            .fields()
            .iter()
            .map(|field| field.data_type().to_string())
            .collect();
        assert_eq!(kinds[0], "Int64");
        assert_eq!(kinds[2], "Float64");
        let whole: Vec<RecordBatch> = batches.by_ref().collect();
        assert!(
            whole
                .iter()
                .all(|batch| batch.schema() == schema && batch.num_rows() <= ROWS)
        );
        assert_eq!(
            whole.iter().map(RecordBatch::num_rows).sum::<usize>(),
            20_000
        );
    }

    #[test]
    fn an_item_that_does_not_fit_says_what_settles_it() {
        let sample: Vec<String> = (0..10_000)
            .map(|number| format!(r#"{{"id":{number}}}"#))
            .collect();
        for (late, words) in [
            (r#"{"id":"x"}"#, "item 10001: the field `id` is text"),
            (r#"{"id":1,"new":2}"#, "none of the first items has it"),
        ] {
            let mut batches = Batches::new(None).unwrap();
            let mut items: Vec<&str> = sample.iter().map(String::as_str).collect();
            items.push(late);
            let error = push_all(&mut batches, &items).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let mut batches = Batches::new(Some("id text\nnew json")).unwrap();
        push_all(&mut batches, &[r#"{"id":"x"}"#, r#"{"id":"y","new":[1]}"#]).unwrap();
        assert_eq!(batches.next().unwrap().num_columns(), 2);
    }

    #[test]
    fn no_items_are_no_batch_with_a_schema() {
        let mut batches = Batches::new(Some("id int")).unwrap();
        push_all(&mut batches, &[]).unwrap();
        assert_eq!(batches.schema().unwrap().fields().len(), 1);
        assert!(batches.next().is_none());
    }
}
