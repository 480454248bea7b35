//! `sqlite:file.db#table`: a table of a SQLite database.
//!
//! Rows and position are committed in one transaction, so that the table is at every moment
//! what an undisturbed run had at some moment. The columns have no type: SQLite would make a
//! number of the text `01234` in one of numbers. Truth values are 1 and 0; lists, objects and
//! what has no common type are JSON text; numbers that neither 64 bits nor a float hold are
//! text with all their digits.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, OptionalExtension, Statement};

use super::lock::Lock;
use super::schema::{
    Column, Columns, NameRules, Names, Row, Type, Value, double, integer, is_written_as_double,
};
use super::state::Record;
use super::tables::{
    Found, Table, check_count, conflict, key_columns, misfit_at, pinned, quoted, split_table,
    table_sink, without_key,
};
use super::{Format, Mark, Notes, Options, Sink};
use crate::error::Error;

/// How targets begin.
const PREFIX: &str = "sqlite:";

/// Where the state of all tables of a file is.
const STATE: &str = "create table if not exists _unspool (\
     name text primary key, state text not null) without rowid";

/// How many columns a table has at most.
const MOST_COLUMNS: usize = 2000;

/// How long a lock of others is waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How often it is tried, where SQLite does not wait by itself.
const BETWEEN: Duration = Duration::from_millis(10);

const NAMES: NameRules = NameRules {
    folds_case: true,
    most_bytes: usize::MAX,
    may_be_empty: true,
    reserved: &[],
};

pub(super) const FORMAT: Format = Format {
    syntax: "sqlite:FILE#TABLE",
    about: "a table of a SQLite database; `--key` replaces rows of the same key",
    is_named: |target| target.starts_with(PREFIX),
    open,
    keeps_state: true,
};

fn open(target: &str, options: Options) -> Result<Sink, Error> {
    let (file, name) = split_table(target.strip_prefix(PREFIX).unwrap_or(target));
    check_names(target, file, name)?;
    let place = Place {
        file: PathBuf::from(file),
        // SQLite does not tell names apart by the case of ASCII letters.
        name: name.to_ascii_lowercase(),
        target: target.to_owned(),
    };
    let notes = Notes::default();
    let noting = notes.clone();
    let sink = Sink::new(target, move || {
        table_sink(options, async move |options| {
            SqliteTable::open(place, options, noting)
        })
    });
    Ok(sink.notes(notes))
}

/// That there is a file, and a table that may be made in it.
fn check_names(target: &str, file: &str, table: &str) -> Result<(), Error> {
    let table = table.to_ascii_lowercase();
    let why = if file == ":memory:" {
        ", and `:memory:` is gone when the run ends"
    } else if table == "_unspool" {
        ", and `_unspool` is for the state of tables"
    } else if table.starts_with("sqlite_") {
        ", and SQLite keeps names that begin with `sqlite_` for itself"
    } else if file.is_empty() {
        ""
    } else {
        return Ok(());
    };
    Err(Error::request(format!(
        "expected `sqlite:FILE#TABLE`; found `{target}`{why}"
    )))
}

/// Which table of which file.
struct Place {
    file: PathBuf,
    name: String,
    target: String,
}

struct SqliteTable {
    connection: Connection,
    place: Place,
    options: Options,
    notes: Notes,
    /// None as long as the table is not there.
    layout: Option<Layout>,
    in_transaction: bool,
    /// Last, so that it is given back last.
    _lock: Lock,
}

/// The columns of the table, and how rows get there.
struct Layout {
    columns: Columns,
    names: Names,
    /// The name of each column.
    column_names: Vec<String>,
    /// Which columns are the key.
    key: Vec<usize>,
    row: Row,
    buffer: String,
}

impl SqliteTable {
    fn open(place: Place, options: Options, notes: Notes) -> Result<(Self, Option<Found>), Error> {
        let name = format!("{}#{}", place.file.display(), place.name);
        let lock = Lock::hold(Path::new(&name))?;
        let connection = connect(&place)?;
        let mut table = SqliteTable {
            connection,
            place,
            options,
            notes,
            layout: None,
            in_transaction: false,
            _lock: lock,
        };
        let found = table.take_hold()?;
        Ok((table, found))
    }

    /// Finds out what the file has of this table, and makes it ours.
    fn take_hold(&mut self) -> Result<Option<Found>, Error> {
        self.begin()?;
        self.run(STATE)?;
        let sql = "select state from _unspool where name = ?";
        let state: Option<String> = (self.connection)
            .query_row(sql, [&self.place.name], |row| row.get(0))
            .optional()
            .map_err(|error| self.failure(error))?;
        let found = match state {
            Some(state) if !self.options.overwrite => Some(self.found(&state)?),
            _ => self.begin_anew().map(|()| None)?,
        };
        if let Some(columns) = found.as_ref().and_then(|found| found.columns.clone()) {
            self.layout = Some(Layout::new(columns, &self.options.key, &self.notes)?);
            self.check_unchanged(found.as_ref().map_or(0, |found| found.mark.items))?;
        }
        let mark = found.as_ref().map(|found| found.mark.clone());
        self.keep(&mark.unwrap_or_default())?;
        self.end_transaction()?;
        Ok(found)
    }

    fn found(&self, state: &str) -> Result<Found, Error> {
        let place = format!("`_unspool` of `{}`", self.place.target);
        let record = Record::read(state, &place)?;
        record.check(&self.options.identity, &place)?;
        Found::of(&record, &pinned(&self.options)?)
    }

    /// Makes room for a table of this name, where that is allowed.
    fn begin_anew(&mut self) -> Result<(), Error> {
        let sql = "select 1 from sqlite_schema where lower(name) = lower(?)";
        let is_there = (self
            .connection
            .query_row(sql, [&self.place.name], |_| Ok(())))
        .optional()
        .map_err(|error| self.failure(error))?
        .is_some();
        if is_there && !self.options.overwrite {
            return Err(Error::request(format!(
                "`{}` has a table `{}` that no run has begun: name another one, or replace it with \
                 `--overwrite`",
                self.place.file.display(),
                self.place.name
            )));
        }
        self.run(&format!(
            "drop table if exists {}",
            quoted(&self.place.name)
        ))
    }

    /// Refuses a table that is not as the last run left it.
    fn check_unchanged(&self, items: u64) -> Result<(), Error> {
        let Some(layout) = &self.layout else {
            return Ok(());
        };
        let name = quoted(&self.place.name);
        // A column may have one of the names of the row's number.
        let rowid = ["rowid", "_rowid_", "oid"].into_iter().find(|name| {
            let columns = &mut layout.column_names.iter();
            !columns.any(|column| column.eq_ignore_ascii_case(name))
        });
        let last = rowid.map_or("null".to_owned(), |rowid| format!("max({rowid})"));
        // With the table's name, as a name alone that is no column is text for SQLite.
        let columns = layout.column_names.iter();
        let columns: Vec<String> = columns
            .map(|column| format!("{name}.{}", quoted(column)))
            .collect();
        let columns = columns.join(", ");
        let sql = format!(
            "select (select {last} from {name}), (select count(*) from (select {columns} from {name} limit 0))"
        );
        let last: Option<i64> =
            (self.connection.query_row(&sql, [], |row| row.get(0))).map_err(|error| {
                self.failure(error)
                    .with_note("somebody else has changed the table")
            })?;
        // With a key, rows are replaced, and others may write them as well.
        let is_counted = layout.key.is_empty() && rowid.is_some();
        if is_counted && last.unwrap_or(0) != items.cast_signed() {
            return Err(Error::request(format!(
                "somebody else has changed `{}`: expected {items} rows, and the last one is {}",
                self.place.target,
                last.unwrap_or(0)
            )));
        }
        Ok(())
    }

    /// Writes the state.
    fn keep(&self, mark: &Mark) -> Result<(), Error> {
        let mut record = Record::new(self.options.identity.clone());
        record.mark = mark.clone();
        record.saved = (self.layout.as_ref()).map(|layout| layout.columns.lines().into());
        let state = record.text()?;
        (self
            .connection
            .prepare_cached("insert or replace into _unspool values (?, ?)"))
        .and_then(|mut statement| statement.execute((&self.place.name, &state)))
        .map(drop)
        .map_err(|error| self.failure(error))
    }

    fn begin(&mut self) -> Result<(), Error> {
        if !self.in_transaction {
            self.run("begin immediate")?;
            self.in_transaction = true;
        }
        Ok(())
    }

    fn end_transaction(&mut self) -> Result<(), Error> {
        self.run("commit")?;
        self.in_transaction = false;
        Ok(())
    }

    fn run(&self, sql: &str) -> Result<(), Error> {
        (self.connection.execute_batch(sql)).map_err(|error| self.failure(error))
    }

    fn failure(&self, error: rusqlite::Error) -> Error {
        Error::sink(format!("cannot write to `{}`", self.place.target), error)
    }
}

impl Table for SqliteTable {
    async fn create(&mut self, columns: Columns) -> Result<(), Error> {
        self.begin()?;
        check_count(&columns, MOST_COLUMNS)?;
        let layout = Layout::new(columns, &self.options.key, &self.notes)?;
        self.run(&layout.create(&self.place.name))?;
        self.layout = Some(layout);
        Ok(())
    }

    async fn write<'a>(
        &mut self,
        mut number: u64,
        items: impl Iterator<Item = &'a str>,
    ) -> Result<(), Error> {
        self.begin()?;
        let Some(mut layout) = self.layout.take() else {
            return Ok(());
        };
        let mut statement = self.insert(&layout)?;
        for item in items {
            (layout.columns.split(item, &mut layout.row))
                .map_err(|misfit| misfit_at(number, &misfit))?;
            if layout.columns.list().len() > layout.column_names.len() {
                check_count(&layout.columns, MOST_COLUMNS)?;
                for name in layout.name_columns() {
                    let table = quoted(&self.place.name);
                    self.run(&format!("alter table {table} add column {}", quoted(&name)))?;
                }
                statement = self.insert(&layout)?;
            }
            layout.bind(&mut statement, number, item)?;
            statement
                .raw_execute()
                .map_err(|error| self.failure(error).with_note(format!("item {number}")))?;
            number += 1;
        }
        drop(statement);
        self.layout = Some(layout);
        Ok(())
    }

    async fn commit(&mut self, mark: &Mark, _is_end: bool) -> Result<bool, Error> {
        self.begin()?;
        self.keep(mark)?;
        self.end_transaction()?;
        Ok(true)
    }

    async fn close(self) -> Result<(), Error> {
        Ok(())
    }
}

impl SqliteTable {
    fn insert(&self, layout: &Layout) -> Result<CachedStatement<'_>, Error> {
        let sql = layout.insert(&self.place.name);
        (self.connection.prepare_cached(&sql)).map_err(|error| self.failure(error))
    }
}

impl Layout {
    fn new(mut columns: Columns, key: &[String], notes: &Notes) -> Result<Self, Error> {
        columns.flatten();
        let key = key_columns(&mut columns, key)?;
        if columns.list().is_empty() {
            columns.add_only();
        }
        let mut layout = Layout {
            columns,
            names: Names::new(NAMES, notes.clone()),
            column_names: Vec::new(),
            key,
            row: Row::default(),
            buffer: String::new(),
        };
        layout.name_columns();
        Ok(layout)
    }

    /// Gives a name to the columns that have none, and gives those.
    fn name_columns(&mut self) -> Vec<String> {
        let known = self.column_names.len();
        for column in &self.columns.list()[known..] {
            self.column_names.push(self.names.name(&column.key));
        }
        self.column_names[known..].to_vec()
    }

    fn quoted_names(&self, at: impl Iterator<Item = usize>) -> String {
        let names: Vec<String> = at.map(|at| quoted(&self.column_names[at])).collect();
        names.join(", ")
    }

    fn create(&self, table: &str) -> String {
        let mut columns = self.quoted_names(0..self.column_names.len());
        if !self.key.is_empty() {
            let key = self.quoted_names(self.key.iter().copied());
            columns = format!("{columns}, primary key ({key})");
        }
        format!("create table {} ({columns})", quoted(table))
    }

    fn insert(&self, table: &str) -> String {
        let count = self.column_names.len();
        let mut sql = format!(
            "insert into {} ({}) values ({})",
            quoted(table),
            self.quoted_names(0..count),
            vec!["?"; count].join(", ")
        );
        if !self.key.is_empty() {
            let others = (0..count).filter(|at| !self.key.contains(at));
            let set: Vec<String> = others
                .map(|at| quoted(&self.column_names[at]))
                .map(|name| format!("{name} = excluded.{name}"))
                .collect();
            let what = match set.is_empty() {
                true => "nothing".to_owned(),
                false => format!("update set {}", set.join(", ")),
            };
            let key = self.quoted_names(self.key.iter().copied());
            sql = format!("{sql} on conflict ({key}) do {what}");
        }
        sql
    }

    /// Puts the values of an item into a statement.
    fn bind(
        &mut self,
        statement: &mut Statement<'_>,
        number: u64,
        item: &str,
    ) -> Result<(), Error> {
        for at in 0..self.column_names.len() {
            let value = self.row.value(at, item);
            let column = self.columns.column(at);
            if value == Value::Null && self.key.contains(&at) {
                return Err(without_key(number, column));
            }
            let bound = Bound::of(column, value, &mut self.buffer);
            let Some(bound) = bound else {
                return Err(conflict(number, column, value));
            };
            let bind = statement.raw_bind_parameter(at + 1, bound);
            bind.map_err(|error| Error::sink("cannot write a row", error))?;
        }
        Ok(())
    }
}

/// A value as SQLite stores it.
enum Bound<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a str),
}

impl<'a> Bound<'a> {
    /// A value as its column has it; none where it would be mistaken for another value, or
    /// for one of another type.
    fn of(column: &mut Column, value: Value<'a>, buffer: &'a mut String) -> Option<Self> {
        if column.kind == Type::Null && value != Value::Null {
            column.kind = column.widened(value).flat();
        }
        let may_mix = !column.is_pinned;
        Some(match (&column.kind, value) {
            (_, Value::Null) => Bound::Null,
            (Type::Json, value) => Bound::Text(value.json(buffer)),
            (Type::Bool, Value::Bool(value)) => Bound::Integer(i64::from(value)),
            (Type::Int | Type::Double | Type::Decimal(_) | Type::Number, Value::Number(number)) => {
                let bound = Bound::number(number).unwrap_or(Bound::Text(number));
                if column.is_pinned {
                    return column.kind.holds(value).then_some(bound);
                }
                if matches!(bound, Bound::Text(_)) {
                    column.kind = Type::Number;
                }
                bound
            }
            // Text and numbers do not get mixed up, as each value has its own type.
            (Type::Text, Value::Number(number)) if may_mix => Bound::number(number)?,
            (Type::Int | Type::Double, Value::Text(text)) if may_mix => {
                column.kind = Type::Text;
                Bound::Text(text.decode(buffer)?)
            }
            (Type::Text, Value::Text(text)) => Bound::Text(text.decode(buffer)?),
            (Type::Timestamp | Type::Date, Value::Text(text)) if column.kind.holds(value) => {
                Bound::Text(text.inside)
            }
            _ => return None,
        })
    }

    /// A number that SQLite holds as one, with all its digits.
    fn number(number: &str) -> Option<Self> {
        match integer(number) {
            Some(integer) => Some(Bound::Integer(integer)),
            None if is_written_as_double(number) => double(number).map(Bound::Real),
            None => None,
        }
    }
}

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Bound::Null => ValueRef::Null,
            Bound::Integer(value) => ValueRef::Integer(*value),
            Bound::Real(value) => ValueRef::Real(*value),
            Bound::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// Has the database keep a write-ahead log. While others do the same with a new file, it is
/// locked, and SQLite does not wait for that by itself.
fn to_wal(connection: &Connection) -> rusqlite::Result<()> {
    let limit = Instant::now() + LONGEST_WAIT;
    loop {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < limit =>
            {
                std::thread::sleep(BETWEEN);
            }
            done => return done,
        }
    }
}

fn connect(place: &Place) -> Result<Connection, Error> {
    // SQLite would take a name such as `file:a.db?mode=memory` for an address, which says that
    // there is to be no file.
    let file = Path::new(".").join(&place.file);
    let opened = Connection::open(&file).and_then(|connection| {
        // As long as others need to write a transaction of theirs.
        connection.busy_timeout(LONGEST_WAIT)?;
        to_wal(&connection)?;
        connection.pragma_update(None, "synchronous", "normal")?;
        Ok(connection)
    });
    opened.map_err(|error| Error::sink(format!("cannot open `{}`", place.target), error))
}
