//! `FILE.parquet`: columns with types, lists and structs.
//!
//! A Parquet file can be read only when it is whole: it is written under another name, and
//! gets its own when it is durable. Without a state that is one file at the end of the run.
//! With one it is a part for each checkpoint, `FILE-00001.parquet` and so on; a value that
//! does not fit into the columns of a part begins the next one, with wider columns.

mod batches;
mod columns;
mod converted;
mod part;

pub use batches::Batches;

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use arrow_array::RecordBatch;
use parquet::errors::ParquetError;

use super::lock::Lock;
use super::schema::{Columns, Row, Schema};
use super::state::{Record, StateFile, sync_folder_of};
use super::tables::{self, Found, Table, conflict, failed, misfit_at, table_sink};
use super::{Format, Mark, Notes, Options, Pace, Sink};
use crate::error::Error;
use part::Part;

pub(super) const FORMAT: Format = Format {
    syntax: "FILE.parquet",
    about: "Parquet; with `--state` or `--resume` in numbered parts",
    is_named: |target| super::file::has_extension(target, &["parquet"]),
    open,
    keeps_state: false,
};

/// How often a part is finished: files of a second would be too many.
const PACE: Pace = Pace {
    time: Duration::from_secs(60),
    bytes: 256 << 20,
};

/// Under which key a file says what it ends with.
const NOTE: &str = "unspool.record";

/// Under which key it says how many items are before its first.
const FIRST: &str = "unspool.before";

fn open(target: &str, options: Options) -> Result<Sink, Error> {
    if !options.key.is_empty() {
        return Err(Error::request(
            "a key is for tables: an item of a file is not replaced by a later one",
        ));
    }
    if !target.to_ascii_lowercase().ends_with(".parquet") {
        return Err(Error::request(
            "Parquet files are compressed inside: leave out the `.gz` or `.zst`",
        ));
    }
    let path = PathBuf::from(target);
    let notes = Notes::default();
    let noting = notes.clone();
    let has_schema = options.schema.is_some();
    let sink = Sink::new(target, move || {
        table_sink(options, async move |options| {
            ParquetTable::open(path, options, noting)
        })
    });
    let sink = sink.pace(PACE).notes(notes);
    // A schema is for items of text.
    Ok(if has_schema {
        sink
    } else {
        sink.taking_arrow()
    })
}

struct ParquetTable {
    path: PathBuf,
    /// Where it is kept how far the parts are; without it there is one file.
    state: Option<StateFile>,
    record: Record,
    notes: Notes,
    columns: Columns,
    row: Row,
    /// The number of the last part that has its name.
    parts: u32,
    /// Files that are whole and wait for their names.
    whole: Vec<PathBuf>,
    part: Option<Part>,
    /// How many items are before the next one.
    items: u64,
    /// Last, so that it is given back last.
    _lock: Lock,
}

impl ParquetTable {
    fn open(
        path: PathBuf,
        mut options: Options,
        notes: Notes,
    ) -> Result<(Self, Option<Found>), Error> {
        super::file::has_no_folder_at(&path)?;
        let pinned = tables::pinned(&options)?;
        let lock = Lock::hold(&path)?;
        // The parts, and what they are called before they are whole.
        let begin = format!("{}-", stem(&path));
        let is_part = |name: &str| name.starts_with(&begin) && name.contains(".parquet");
        let state = options.state.take();
        let state = state
            .map(|state| StateFile::hold(state, &path, is_part))
            .transpose()?;
        let mut table = ParquetTable {
            path,
            state,
            record: Record::new(options.identity.clone()),
            notes,
            columns: Columns::default(),
            row: Row::default(),
            parts: 0,
            whole: Vec::new(),
            part: None,
            items: 0,
            _lock: lock,
        };
        let found = table.take_hold(&options, &pinned)?;
        Ok((table, found))
    }

    /// Finds out what an earlier run left, and takes away what it did not finish.
    fn take_hold(&mut self, options: &Options, pinned: &Schema) -> Result<Option<Found>, Error> {
        let earlier = match &self.state {
            Some(state) if !options.overwrite => state.load()?,
            _ => None,
        };
        let Some(record) = earlier else {
            self.begin_anew(options.overwrite)?;
            return Ok(None);
        };
        if let Some(state) = &self.state {
            record.check(&options.identity, &state.place())?;
        }
        self.restore(record)?;
        self.adopt()?;
        self.remove_after(self.parts)?;
        let found = Found {
            mark: self.record.mark.clone(),
            columns: self.saved_columns(pinned)?,
        };
        self.columns = found.columns.clone().unwrap_or_default();
        self.items = found.mark.items;
        Ok(Some(found))
    }

    fn restore(&mut self, record: Record) -> Result<(), Error> {
        let parts = record
            .saved
            .as_ref()
            .and_then(|saved| saved["parts"].as_u64());
        self.parts = u32::try_from(parts.unwrap_or(0)).unwrap_or(u32::MAX);
        self.record = record;
        for number in 1..=self.parts {
            let path = self.name(number);
            if !path.exists() {
                let path = path.display();
                return Err(Error::request(format!(
                    "`{path}` is gone, which an earlier run wrote"
                )));
            }
            if part::note(&path, FIRST).is_none() {
                let path = path.display();
                return Err(Error::request(format!(
                    "somebody else has changed `{path}`, which an earlier run wrote"
                )));
            }
        }
        Ok(())
    }

    /// Takes parts that got their names just before the run was killed, and whose state did
    /// not come to be written.
    fn adopt(&mut self) -> Result<(), Error> {
        let mut number = self.parts + 1;
        let mut last = None;
        while self.name(number).exists() {
            let path = self.name(number);
            if let Some(note) = part::note(&path, NOTE)
                && let Ok(record) = Record::read(&note, &format!("`{}`", path.display()))
                && record.identity == self.record.identity
                && record.mark.items >= self.record.mark.items
            {
                last = Some(record);
            }
            number += 1;
        }
        match (last, &self.state) {
            (Some(record), Some(state)) => {
                state.store(&record)?;
                self.restore(record)
            }
            _ => Ok(()),
        }
    }

    fn saved_columns(&self, pinned: &Schema) -> Result<Option<Columns>, Error> {
        let saved = self
            .record
            .saved
            .as_ref()
            .filter(|saved| saved["columns"].is_array());
        saved
            .map(|saved| Columns::restored(&saved["columns"], pinned))
            .transpose()
    }

    fn begin_anew(&mut self, overwrites: bool) -> Result<(), Error> {
        let first = if self.state.is_some() {
            self.name(1)
        } else {
            self.path.clone()
        };
        if first.exists() && !overwrites {
            let first = first.display();
            return Err(Error::request(match &self.state {
                Some(state) => {
                    let place = state.place();
                    format!("`{first}` is there, and there is no state in {place} to resume from")
                }
                None => format!("`{first}` is there already; `--overwrite` replaces it"),
            }));
        }
        if let Some(state) = &self.state {
            state.store(&self.record)?;
            self.remove_after(0)?;
        }
        Ok(())
    }

    /// Removes all parts after this one, and what has no name yet.
    fn remove_after(&self, number: u32) -> Result<(), Error> {
        let mut next = number + 1;
        loop {
            let (whole, begun) = (self.name(next), temporary(&self.name(next)));
            if !whole.exists() && !begun.exists() {
                return Ok(());
            }
            for path in [whole, begun] {
                if path.exists() {
                    fs::remove_file(&path).map_err(|error| cannot("remove", &path, error))?;
                }
            }
            next += 1;
        }
    }

    /// The name of a part.
    fn name(&self, number: u32) -> PathBuf {
        let stem = stem(&self.path);
        self.path
            .with_file_name(format!("{stem}-{number:05}.parquet"))
    }

    /// The name of the file that comes next.
    fn next_name(&self) -> PathBuf {
        if self.state.is_none() {
            return self.path.clone();
        }
        let waiting = u32::try_from(self.whole.len()).unwrap_or(u32::MAX);
        self.name(self.parts + waiting + 1)
    }

    fn put(&mut self, number: u64, item: &str) -> Result<(), Error> {
        (self.columns.split(item, &mut self.row)).map_err(|misfit| misfit_at(number, &misfit))?;
        if self.append(item)? {
            return Ok(());
        }
        self.widen(number, item)?;
        if self.append(item)? {
            Ok(())
        } else {
            Err(failed(format!("item {number} fits in no row")))
        }
    }

    /// Appends an item to the part, or to a new one if there is none.
    fn append(&mut self, item: &str) -> Result<bool, Error> {
        let mut part = match self.part.take() {
            Some(part) => part,
            None => self.begin_part()?,
        };
        let fits = part.columns() == self.columns.list().len()
            && (part.append(&self.row, item)).map_err(|error| self.failure(error))?;
        self.items += u64::from(fits);
        self.part = Some(part);
        Ok(fits)
    }

    fn begin_part(&self) -> Result<Part, Error> {
        let path = temporary(&self.next_name());
        Part::begin(path, &self.columns).map_err(|error| self.failure(error))
    }

    /// Finishes the part before an item that does not fit, and makes the columns wider.
    fn widen(&mut self, number: u64, item: &str) -> Result<(), Error> {
        let known = self.part.as_ref().map_or(0, Part::columns);
        let is_empty = self.part.as_ref().is_some_and(|part| part.rows == 0);
        for at in 0..self.columns.list().len() {
            let value = self.row.value(at, item);
            let may_widen = self.state.is_some() || is_empty;
            let column = self.columns.column(at);
            let fits = column.kind.holds(value);
            if !fits && (column.is_pinned || !may_widen && at < known) {
                return Err(conflict(number, column, value).with_note(PARTS));
            }
            if at >= known && !may_widen {
                return Err(failed(format!(
                    "item {number} has the key `{0}`, which no item before it had, and the columns \
                     of the file are fixed; `--schema FILE` with a line such as `{0} text` settles \
                     it, from the beginning",
                    column.key
                ))
                .with_note(PARTS));
            }
            if !fits {
                column.kind = column.widened(value);
                self.notes.add(format!(
                    "the column `{}` is {} in the parts from item {number} on",
                    column.key, column.kind
                ));
            }
        }
        self.end_part(Vec::new())
    }

    /// Makes the part whole. It has no name yet.
    fn end_part(&mut self, mut notes: Vec<(&str, String)>) -> Result<(), Error> {
        match self.part.take() {
            Some(part) if part.rows > 0 || !notes.is_empty() => {
                notes.push((FIRST, (self.items - part.rows).to_string()));
                let path = part.finish(notes).map_err(|error| self.failure(error))?;
                self.whole.push(path);
            }
            _ => {}
        }
        Ok(())
    }

    /// Gives their names to the files that are whole.
    fn publish(&mut self) -> Result<(), Error> {
        for path in std::mem::take(&mut self.whole) {
            let name = path.with_extension("");
            fs::rename(&path, &name).map_err(|error| cannot("rename", &path, error))?;
            self.parts += 1;
        }
        sync_folder_of(&self.path).map_err(|error| cannot("make durable", &self.path, error))
    }

    /// What is kept once everything up to a mark is in files.
    fn record_at(&self, mark: &Mark) -> Record {
        let begun = usize::from(self.part.is_some()) + self.whole.len();
        let parts = u64::from(self.parts) + begun as u64;
        let mut record = self.record.clone();
        record.mark = mark.clone();
        record.saved = Some(serde_json::json!({
            "parts": parts,
            "columns": self.columns.lines(),
        }));
        record
    }

    fn failure(&self, error: ParquetError) -> Error {
        Error::sink(format!("cannot write `{}`", self.path.display()), error)
    }
}

/// What helps besides a schema.
const PARTS: &str = "or `--resume`, with which the next part has wider columns";

impl Table for ParquetTable {
    async fn create(&mut self, mut columns: Columns) -> Result<(), Error> {
        if columns.list().is_empty() {
            columns.add_only();
        }
        self.columns = columns;
        Ok(())
    }

    async fn write<'a>(
        &mut self,
        number: u64,
        items: impl Iterator<Item = &'a str>,
    ) -> Result<(), Error> {
        for (number, item) in (number..).zip(items) {
            self.put(number, item)?;
        }
        Ok(())
    }

    async fn write_arrow(&mut self, columns: &RecordBatch) -> Result<(), Error> {
        let is_other = |part: &Part| part.schema != columns.schema();
        if self.part.as_ref().is_some_and(is_other) {
            if self.state.is_none() {
                return Err(failed(
                    "the columns changed, and those of the file are fixed",
                ));
            }
            self.end_part(Vec::new())?;
        }
        let mut part = match self.part.take() {
            Some(part) => part,
            None => Part::begin_arrow(temporary(&self.next_name()), columns.schema())
                .map_err(|error| self.failure(error))?,
        };
        part.write(columns).map_err(|error| self.failure(error))?;
        self.items += columns.num_rows() as u64;
        self.part = Some(part);
        Ok(())
    }

    async fn commit(&mut self, mark: &Mark, is_end: bool) -> Result<bool, Error> {
        if self.state.is_none() && !is_end {
            return Ok(false);
        }
        // There is a file also where there was no item.
        let is_first = self.parts == 0 && self.whole.is_empty();
        let is_begun = mark.items > 0 || mark.ended.is_some() || self.state.is_none();
        if is_first && self.part.is_none() && is_begun {
            self.part = Some(self.begin_part()?);
        }
        self.part = self.part.take().filter(|part| part.rows > 0 || is_first);
        let record = self.record_at(mark);
        self.end_part(vec![(NOTE, record.text()?)])?;
        self.publish()?;
        if let Some(state) = &self.state {
            state.store(&record)?;
        }
        self.record = record;
        Ok(true)
    }

    async fn close(self) -> Result<(), Error> {
        Ok(())
    }
}

/// Removes what has no name.
impl Drop for ParquetTable {
    fn drop(&mut self) {
        let begun = self.part.take().map(|part| part.path);
        for path in self.whole.drain(..).chain(begun) {
            // Nobody is left to tell; the next run removes it.
            let _ = fs::remove_file(path);
        }
    }
}

/// What the names of all parts begin with.
fn stem(path: &Path) -> Cow<'_, str> {
    path.file_stem().unwrap_or_default().to_string_lossy()
}

fn temporary(name: &Path) -> PathBuf {
    let mut name = name.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

fn cannot(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::sink(format!("cannot {what} `{}`", path.display()), error)
}
