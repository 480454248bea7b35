//! What all sinks with columns share: the first items are held back until their columns are
//! known, and what a table has to remember.

use unspool_core::{AsyncGenerator, generator};

use super::schema::{Column, Columns, Field, Misfit, Sample, Schema, Type, Value};
use super::state::Record;
use super::{Batch, Delivery, Mark, Options};
use crate::error::{Error, Kind};

/// A target with columns.
///
/// Each method may fail; then nothing more is asked of it, and what was written since the
/// last commit is gone.
pub(super) trait Table {
    /// Makes the table with these columns.
    async fn create(&mut self, columns: Columns) -> Result<(), Error>;

    /// Writes items, of which the first is item `number` of all.
    async fn write<'a>(
        &mut self,
        number: u64,
        items: impl Iterator<Item = &'a str>,
    ) -> Result<(), Error>;

    /// Writes the rows of an Arrow batch, where the sink [takes those](super::Sink::takes_arrow).
    #[cfg(feature = "arrow")]
    async fn write_arrow(&mut self, columns: &arrow_array::RecordBatch) -> Result<(), Error> {
        let _ = columns;
        Err(failed("the table takes no Arrow batches"))
    }

    /// Makes durable what was written, together with the mark; says whether it did. At the
    /// end it has to.
    async fn commit(&mut self, mark: &Mark, is_end: bool) -> Result<bool, Error>;

    /// Lets go of the target.
    async fn close(self) -> Result<(), Error>;
}

/// What was found in a target when it was opened.
pub(super) struct Found {
    pub(super) mark: Mark,
    /// The columns, where the table is there.
    pub(super) columns: Option<Columns>,
}

impl Found {
    /// What a record of an earlier run says.
    pub(super) fn of(record: &Record, pinned: &Schema) -> Result<Self, Error> {
        let columns = record.saved.as_ref();
        let columns = columns.map(|saved| Columns::restored(saved, pinned));
        Ok(Found {
            mark: record.mark.clone(),
            columns: columns.transpose()?,
        })
    }
}

/// The columns that the caller knows.
pub(super) fn pinned(options: &Options) -> Result<Schema, Error> {
    match &options.schema {
        Some(text) => text.parse(),
        None => Ok(Schema::default()),
    }
}

/// The generator of a table: `open` takes hold of it and says what it holds.
pub(super) fn table_sink<T: Table + 'static>(
    options: Options,
    open: impl AsyncFnOnce(Options) -> Result<(T, Option<Found>), Error> + 'static,
) -> impl AsyncGenerator<Delivery, Yield = Option<Mark>, Return = Result<(), Error>> {
    generator! {
        let schema = pinned(&options)?;
        let (table, found) = open(options).await?;
        let mut durable = found.as_ref().map(|found| found.mark.clone());
        let mut rows = Rows::new(table, found, &schema);
        loop {
            match yield durable.take() {
                Delivery::Items(batch) => rows.write(&batch).await?,
                Delivery::Checkpoint(mark) => {
                    durable = rows.checkpoint(&mark).await?.then_some(mark);
                }
                Delivery::End(mark) => {
                    rows.end(&mark).await?;
                    return rows.table.close().await;
                }
            }
        }
    }
}

/// A table, and the items that are held back until it can be made.
struct Rows<T> {
    table: T,
    /// None once the table is there.
    sample: Option<Sample>,
    /// How many items were sent, those of earlier runs included.
    items: u64,
}

impl<T: Table> Rows<T> {
    fn new(table: T, found: Option<Found>, pinned: &Schema) -> Self {
        let items = found.as_ref().map_or(0, |found| found.mark.items);
        let is_there = found.is_some_and(|found| found.columns.is_some());
        Rows {
            table,
            sample: (!is_there).then(|| Sample::new(pinned)),
            items,
        }
    }

    async fn write(&mut self, batch: &Batch) -> Result<(), Error> {
        #[cfg(feature = "arrow")]
        if let Some(columns) = batch.arrow() {
            // Its columns are known.
            self.sample = None;
            self.items += batch.len() as u64;
            return self.table.write_arrow(columns).await;
        }
        let mut items = batch.items().map(text);
        if let Some(sample) = &mut self.sample {
            for item in items.by_ref() {
                self.items += 1;
                sample
                    .push(item)
                    .map_err(|misfit| misfit_at(self.items, &misfit))?;
                if sample.is_full() {
                    break;
                }
            }
            if !sample.is_full() {
                return Ok(());
            }
            self.settle().await?;
        }
        let rest = items.len() as u64;
        self.table.write(self.items + 1, items).await?;
        self.items += rest;
        Ok(())
    }

    /// Makes the table, and writes what was held back.
    async fn settle(&mut self) -> Result<(), Error> {
        let Some(mut sample) = self.sample.take() else {
            return Ok(());
        };
        self.table.create(sample.columns()).await?;
        let first = self.items + 1 - sample.len();
        self.table.write(first, sample.items()).await
    }

    async fn checkpoint(&mut self, mark: &Mark) -> Result<bool, Error> {
        if self
            .sample
            .as_mut()
            .is_some_and(Sample::may_pass_checkpoint)
        {
            return Ok(false);
        }
        self.settle().await?;
        self.table.commit(mark, false).await
    }

    async fn end(&mut self, mark: &Mark) -> Result<(), Error> {
        self.settle().await?;
        self.table.commit(mark, true).await.map(drop)
    }
}

/// Items are in UTF-8 by what a batch promises.
pub(super) fn text(item: &[u8]) -> &str {
    std::str::from_utf8(item).unwrap_or_default()
}

/// An error of a target, in our words.
pub(super) fn failed(message: impl Into<String>) -> Error {
    Error::new(Kind::Sink, message)
}

pub(super) fn misfit_at(item: u64, misfit: &Misfit) -> Error {
    failed(format!(
        "item {item} {misfit}; a target of lines, such as `FILE.jsonl`, takes it"
    ))
}

/// An item whose value a column cannot take, and what settles it.
pub(super) fn conflict(item: u64, column: &Column, value: Value<'_>) -> Error {
    let name = |kind| Field {
        name: column.key.clone(),
        kind,
    };
    failed(format!(
        "item {item}: the field `{}` is {}, and its column is for {}; `--schema FILE` with the line \
         `{}` (or `{}`) settles it, from the beginning with `--overwrite`",
        column.key,
        found(value),
        column.kind,
        name(Type::Json),
        name(Type::Text),
    ))
}

/// A value as it is said to people: its type, and how it begins.
pub(super) fn found(value: Value<'_>) -> String {
    const LONGEST: usize = 40;
    let mut buffer = String::new();
    let text = value.json(&mut buffer);
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "a number",
        Value::Text(_) => "text",
        Value::List(_) => "a list",
        Value::Object(_) => "an object",
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{kind} (`{}…`)", &text[..end]),
        None => format!("{kind} (`{text}`)"),
    }
}

/// The columns of a key, which the table has to have.
pub(super) fn key_columns(columns: &mut Columns, key: &[String]) -> Result<Vec<usize>, Error> {
    if columns.list().is_empty() {
        // Without items nothing is missing.
        return Ok(key.iter().map(|name| columns.find_or_add(name)).collect());
    }
    let at = |name: &String| {
        let found = columns.list().iter().position(|column| column.key == *name);
        found.ok_or_else(|| failed(format!("no item has `{name}`, the key of the table")))
    };
    key.iter().map(at).collect()
}

/// That a table can have so many columns.
pub(super) fn check_count(columns: &Columns, most: usize) -> Result<(), Error> {
    match columns.list().get(most) {
        None => Ok(()),
        Some(column) => Err(failed(format!(
            "the key `{}` is one too many: the table has {most} columns at most; a target of \
             lines, such as `FILE.jsonl`, or `FILE.parquet` takes any number of them",
            column.key
        ))),
    }
}

/// An item without its key.
pub(super) fn without_key(item: u64, column: &Column) -> Error {
    failed(format!(
        "item {item} has no `{}`, the key of the table",
        column.key
    ))
}

/// The file and the table of a target such as `file.db#table`.
pub(super) fn split_table(target: &str) -> (&str, &str) {
    const DEFAULT: &str = "items";
    match target.rsplit_once('#') {
        Some((place, table)) if !table.is_empty() => (place, table),
        Some((place, _)) => (place, DEFAULT),
        None => (target, DEFAULT),
    }
}

/// A name in double quotes, as SQL has it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
