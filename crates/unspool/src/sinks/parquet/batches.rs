//! Items as record batches in memory, with the columns that a Parquet file of them would have.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, PrimitiveArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, Schema as ArrowSchema, SchemaRef};

use super::columns::{Builder, arrow_fields};
use super::converted::converted;
use crate::error::Error;
use crate::sinks::schema::{Columns, EXACT_IN_DOUBLE, Field, Row, Sample, Schema, Type};
use crate::sinks::tables::{failed, found};

/// How many rows, and how many bytes of items, a batch has at most.
const ROWS: usize = 8192;
const BYTES: usize = 8 << 20;

/// Makes record batches of JSON items: typed columns, found from the first items or said by a
/// schema.
///
/// The first 10,000 items, or 8 MiB of them, are held back until it is known what columns they
/// need; from there on all batches have the same schema, and an item that does not fit is an
/// error that says which field settles it, or, [where that is wanted](Batches::widening), begins
/// a batch with wider columns.
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
    widens: bool,
    /// Of each column, whether it has had whole numbers that a double does not tell apart.
    has_large_ints: Vec<bool>,
    /// The columns before each widening, by the schema of their batches.
    earlier: Vec<(SchemaRef, Vec<Field>)>,
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
            widens: false,
            has_large_ints: Vec::new(),
            earlier: Vec::new(),
        })
    }

    /// Makes columns wider where an item does not fit, by the rule that the first columns were
    /// found by: the batches from there on have another schema than those before, over which
    /// [`unified`](Batches::unified) lays those. Columns that the schema names stay as they are.
    #[must_use]
    pub fn widening(mut self) -> Self {
        self.widens = true;
        self
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

    /// A batch that was given before, with the columns of now: what it has no value for is null,
    /// and no value is another than it was.
    ///
    /// # Errors
    ///
    /// It is not a batch of these.
    pub fn unified(&self, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        if Arc::ptr_eq(batch.schema_ref(), &self.schema) {
            return Ok(batch.clone());
        }
        let is_its = |(schema, _): &&(SchemaRef, _)| Arc::ptr_eq(batch.schema_ref(), schema);
        let Some((_, fields)) = self.earlier.iter().find(is_its) else {
            return Err(failed("a batch of others"));
        };
        let rows = batch.num_rows();
        let columns = self.columns.list().iter().enumerate();
        let arrays = columns.map(|(at, column)| match fields.get(at) {
            Some(field) => converted(batch.column(at), &field.kind, &column.kind),
            None => {
                let mut nulls = Builder::new(&column.kind);
                nulls.append_nulls(rows);
                nulls.finish(rows)
            }
        });
        self.batch(arrays.collect(), rows)
    }

    /// Makes the columns what the first items need, and writes these.
    fn settle(&mut self) -> Result<(), Error> {
        let Some(mut sample) = self.sample.take() else {
            return Ok(());
        };
        self.columns = sample.columns();
        self.begin();
        sample.items().try_for_each(|item| self.append(item))
    }

    /// Makes the arrays what the columns are.
    fn begin(&mut self) {
        self.schema = Arc::new(ArrowSchema::new(arrow_fields(&self.columns.fields())));
        let columns = self.columns.list().iter();
        self.builders = columns.map(|column| Builder::new(&column.kind)).collect();
        self.has_large_ints.resize(self.builders.len(), false);
    }

    fn append(&mut self, item: &str) -> Result<(), Error> {
        self.items += 1;
        let number = self.items;
        self.columns
            .split(item, &mut self.row)
            .map_err(|misfit| failed(format!("item {number} {misfit}")))?;
        if let Err(at) = self.lay(item) {
            if !self.widens {
                return Err(self.misfit(at, item));
            }
            self.widen(item)?;
            self.lay(item).map_err(|at| self.misfit(at, item))?;
        }
        self.rows += 1;
        self.bytes += item.len();
        if self.rows >= ROWS || self.bytes >= BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Appends the values of an item; the first column that it does not fit into is the error.
    fn lay(&mut self, item: &str) -> Result<(), usize> {
        for at in 0..self.columns.list().len() {
            let value = self.row.value(at, item);
            let builder = self.builders.get_mut(at).ok_or(at)?;
            if !builder.append(value, &mut self.text) {
                return Err(at);
            }
        }
        Ok(())
    }

    /// Ends the batch before an item that does not fit, and makes the columns what it needs.
    fn widen(&mut self, item: &str) -> Result<(), Error> {
        let fields = self.columns.fields();
        let known = self.builders.len();
        // What was begun of the item is cut off.
        self.flush()?;
        for at in 0..self.columns.list().len() {
            let value = self.row.value(at, item);
            let column = self.columns.column(at);
            if at < known && (column.is_pinned || column.kind.holds(value)) {
                continue;
            }
            column.kind = if self.has_large_ints.get(at) == Some(&true) {
                column.widened(value)
            } else {
                column.widened_from_small_ints(value)
            };
        }
        let fields = fields.into_iter().take(known).collect();
        self.earlier.push((Arc::clone(&self.schema), fields));
        self.begin();
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
        let arrays = arrays.collect();
        let batch = self.batch(arrays, rows)?;
        if self.widens {
            for (has_large, array) in self.has_large_ints.iter_mut().zip(batch.columns()) {
                *has_large = *has_large || array.as_primitive_opt().is_some_and(is_any_large);
            }
        }
        if rows > 0 {
            self.whole.push_back(batch);
        }
        Ok(())
    }

    fn batch(
        &self,
        arrays: Result<Vec<ArrayRef>, ArrowError>,
        rows: usize,
    ) -> Result<RecordBatch, Error> {
        let count = RecordBatchOptions::new().with_row_count(Some(rows));
        arrays
            .and_then(|arrays| {
                RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &count)
            })
            .map_err(|error| failed(error.to_string()))
    }
}

/// Whether one of these is a number that a double does not tell from another.
fn is_any_large(numbers: &PrimitiveArray<Int64Type>) -> bool {
    let mut numbers = numbers.values().iter();
    numbers.any(|number| number.unsigned_abs() > EXACT_IN_DOUBLE)
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

    fn kinds(batches: &Batches) -> Vec<String> {
        batches.columns.lines()
    }

    /// All batches as they are when the last has come, as lines of JSON.
    fn lines(batches: &mut Batches) -> Vec<String> {
        let whole: Vec<RecordBatch> = batches.by_ref().collect();
        let mut lines = Vec::new();
        for batch in &whole {
            let batch = batches.unified(batch).unwrap();
            for row in 0..batch.num_rows() {
                let mut line = String::new();
                for (at, column) in batches.columns.list().iter().enumerate() {
                    line.push_str(if at == 0 { "" } else { " " });
                    super::super::converted::write(batch.column(at), &column.kind, row, &mut line);
                }
                lines.push(line);
            }
        }
        lines
    }

    #[test]
    fn columns_widen_and_no_value_changes() {
        // What 10,000 items have, an item after them, and the type and texts of both then.
        for (before, after, kind, texts) in [
            ("1", "0.5", "double", ["1.0", "0.5"]),
            (
                "9007199254740993",
                "0.5",
                "decimal(38,1)",
                ["9007199254740993.0", "0.5"],
            ),
            ("1", "1e400", "number", ["1", "1e400"]),
            (
                "2.5",
                "9007199254740993",
                "number",
                ["2.5", "9007199254740993"],
            ),
            ("null", "\"x\"", "text", ["null", "\"x\""]),
            ("1", "\"x\"", "json", ["1", "\"x\""]),
            ("\"a\\\"b\"", "1", "json", ["\"a\\\"b\"", "1"]),
            ("true", "[1]", "json", ["true", "[1]"]),
            ("[1]", "[2.5]", "decimal(38,1)[]", ["[1.0]", "[2.5]"]),
            (
                "[]",
                "[{\"a\":1}]",
                "struct(a int)[]",
                ["[]", "[{\"a\":1}]"],
            ),
            (
                "{\"a\":1}",
                "{\"b\":\"x\"}",
                "struct(a int, b text)",
                ["{\"a\":1,\"b\":null}", "{\"a\":null,\"b\":\"x\"}"],
            ),
            ("{\"a\":[null,1]}", "1", "json", ["{\"a\":[null,1]}", "1"]),
        ] {
            let mut batches = Batches::new(None).unwrap().widening();
            let first = format!(r#"{{"v":{before}}}"#);
            let last = format!(r#"{{"v":{after},"new":1}}"#);
            let mut items = vec![first.as_str(); 10_001];
            items.extend([last.as_str(); 2]);
            push_all(&mut batches, &items).unwrap();
            let kind = format!("v {kind}");
            assert_eq!(
                kinds(&batches),
                [kind.as_str(), "new int"],
                "{before} {after}"
            );
            let lines = lines(&mut batches);
            assert_eq!(lines.len(), 10_003);
            assert_eq!(lines[0], format!("{} null", texts[0]));
            assert_eq!(lines[10_000], lines[0]);
            assert_eq!(lines[10_001], format!("{} 1", texts[1]));
            assert_eq!(lines[10_002], lines[10_001]);
        }
    }

    #[test]
    fn a_column_of_the_schema_does_not_widen() {
        let mut batches = Batches::new(Some("id int")).unwrap().widening();
        batches.push(r#"{"id":1}"#).unwrap();
        batches.settle().unwrap();
        let error = batches.push(r#"{"id":"x","new":1}"#).unwrap_err();
        assert!(
            error.to_string().contains("item 2: the field `id` is"),
            "{error}"
        );
    }

    #[test]
    fn no_items_are_no_batch_with_a_schema() {
        let mut batches = Batches::new(Some("id int")).unwrap();
        push_all(&mut batches, &[]).unwrap();
        assert_eq!(batches.schema().unwrap().fields().len(), 1);
        assert!(batches.next().is_none());
    }
}
