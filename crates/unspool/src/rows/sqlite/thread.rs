//! The thread that reads an SQLite database.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use rusqlite::ffi::ErrorCode;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OpenFlags, Statement};
use serde_json::Value as Json;

use super::handover::{Handover, Stopped};
use super::path;
use super::types::OwnType;
#[cfg(feature = "arrow")]
use super::types::column_type;
use crate::error::{Error, Kind};
use crate::rows::account::Doubt;
use crate::rows::batch::Face;
use crate::rows::database::Query;
use crate::rows::keyset::{self, Bound, Style, Wanted};
use crate::rows::param::Param;
use crate::rows::progress::Cursor;
use crate::rows::sql::{SqlPosition, quoted};
use crate::rows::write::RowWriter;

/// How many steps of its machine SQLite makes before it is asked whether to go on.
const STEPS: i32 = 4096;

/// Starts the thread, which ends with the query.
pub(super) fn start(
    query: Query,
    cursor: Arc<Cursor>,
    handover: Arc<Handover>,
) -> Result<(), Error> {
    let work = move || {
        // A thread that panics is not waited for in vain.
        let guard = EndGuard(&handover);
        handover.end(
            Reading {
                query,
                cursor: &cursor,
                handover: &handover,
            }
            .run(),
        );
        drop(guard);
    };
    let started = thread::Builder::new()
        .name("unspool-sqlite".to_owned())
        .spawn(work);
    started.map(drop).map_err(|error| {
        Error::new(Kind::Connection, format!("cannot start a thread: {error}")).with_source(error)
    })
}

struct EndGuard<'h>(&'h Handover);

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        // It stands only if there is no end yet.
        self.0.end(Err(Error::content(
            "the thread that reads the database panicked",
        )));
    }
}

/// A database that is being read.
struct Reading<'r> {
    query: Query,
    cursor: &'r Cursor,
    handover: &'r Handover,
}

impl Reading<'_> {
    fn run(&self) -> Result<(), Error> {
        let connection = self.open()?;
        let statement = self.prepare(&connection, &self.query.statement.text)?;
        self.check(&statement)?;
        let names = statement.column_names().map(str::to_owned).collect();
        let writer = RowWriter::new(names, &self.query.key, self.query.limits)?;
        self.handover.begin(match self.query.face {
            Face::Text => writer,
            #[cfg(feature = "arrow")]
            Face::Arrow => {
                let columns = statement.columns();
                let types = columns.map(|column| column_type(column.decl_type()));
                writer.into_arrays(types.collect())
            }
        });
        match self.query.key.is_empty() {
            true => self.stream(statement),
            false => self.pages(&connection),
        }
    }

    fn open(&self) -> Result<Connection, Error> {
        let access = match self.query.may_write {
            true => OpenFlags::SQLITE_OPEN_READ_WRITE,
            false => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
        let flags = access | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let path = path(&self.query.dsn);
        if path.is_empty() || Path::new(path).is_dir() {
            // SQLite would take it for a database that is none, or for one that is broken.
            return Err(Error::request(format!(
                "expected the path of a file, found `{path}`"
            )));
        }
        let mut connection =
            Connection::open_with_flags(path, flags).map_err(|error| self.failed(error))?;
        let is_stopped = self.handover.stopped();
        let prepared = connection.busy_timeout(self.query.timeout).and_then(|()| {
            connection.progress_handler(STEPS, Some(move || is_stopped.load(Relaxed)))
        });
        prepared.map_err(|error| self.failed(error))?;
        Ok(connection)
    }

    fn prepare<'c>(&self, connection: &'c Connection, sql: &str) -> Result<Statement<'c>, Error> {
        connection.prepare(sql).map_err(|error| self.failed(error))
    }

    /// That the statement is one that may be run, with the parameters that there are.
    fn check(&self, statement: &Statement<'_>) -> Result<(), Error> {
        if statement.column_count() > 0 && !statement.readonly() && !self.query.may_write {
            return Err(Error::request(
                "the statement changes the database, which is opened to be read only",
            )
            .with_code(Some("read-only".to_owned())));
        }
        let (expected, found) = (statement.parameter_count(), self.query.params.len());
        if expected != found {
            return Err(Error::request(format!(
                "the statement has {expected} parameters, and {found} values are given"
            )));
        }
        Ok(())
    }

    /// All rows of one statement.
    fn stream(&self, mut statement: Statement<'_>) -> Result<(), Error> {
        self.cursor.meter.request();
        // Who does not want more rows does not want to know why there are none.
        let _ = self.rows(&mut statement)?;
        Ok(())
    }

    /// All rows in the order of the key, in a statement for each page.
    fn pages(&self, connection: &Connection) -> Result<(), Error> {
        self.check_since(connection)?;
        let mut after = self.query.range.after.clone();
        loop {
            if let Some(key) = keyset::whole(&self.query, after.as_deref())
                && self.finds(self.asking(connection, Wanted::Second(key))?)?
            {
                return Err(keyset::not_unique(&self.query, key));
            }
            let wanted = Wanted::Rows {
                after: after.as_deref(),
                limit: Some(self.query.limits.rows),
            };
            let mut statement = self.asking(connection, wanted)?;
            self.cursor.meter.request();
            let count = match self.rows(&mut statement)? {
                Ok(count) => count,
                Err(Stopped) => return Ok(()),
            };
            if count < self.query.limits.rows {
                break;
            }
            after = self.handover.last_key();
        }
        if self.query.looks_for_nulls {
            self.look_for_nulls(connection)?;
        }
        Ok(())
    }

    /// The statement for what is wanted, with its values.
    fn asking<'c>(
        &self,
        connection: &'c Connection,
        wanted: Wanted<'_>,
    ) -> Result<Statement<'c>, Error> {
        let (sql, values) = self.page(wanted)?;
        let mut statement = self.prepare(connection, &sql)?;
        for (index, value) in values.into_iter().enumerate() {
            let place = self.query.params.len() + index + 1;
            self.bind(&mut statement, place, value)?;
        }
        Ok(statement)
    }

    /// The text of that statement, and the values.
    fn page(&self, wanted: Wanted<'_>) -> Result<(String, Vec<Value>), Error> {
        let range = &self.query.range;
        let mut values = Vec::new();
        let mut fault = None;
        let given = self.query.params.len();
        let mut place = |bound: Bound, column: usize| {
            let key = match bound {
                Bound::After => wanted.key().and_then(|key| key.get(column)),
                Bound::Until => range.until.as_ref().and_then(|key| key.get(column)),
                Bound::Since => range.since.as_ref(),
            };
            let value = value_of_token(key.map_or("null", String::as_str));
            values.push(value.unwrap_or_else(|error| {
                fault.get_or_insert(error);
                Value::Null
            }));
            let mut written = format!("?{}", given + values.len());
            if let (Bound::Since, Some(overlap)) = (bound, &range.overlap) {
                values.push(Value::Text(overlap.clone()));
                let is_number = overlap.parse::<f64>().is_ok();
                fault = (!is_number).then(|| {
                    Error::request("expected a number as the overlap: SQLite has no type for times")
                });
                written = format!("({written} - cast(?{} as numeric))", given + values.len());
            }
            written
        };
        let style = Style {
            quote: '"',
            select_list: "*",
            compares_rows: true,
            place: &mut place,
        };
        let sql = keyset::statement(&self.query, wanted, style);
        fault.map_or(Ok((sql, values)), Err)
    }

    /// That the keys are no numbers where a text says from which on they are asked for: all
    /// texts come after all numbers (<https://sqlite.org/datatype3.html>, section 4.1).
    fn check_since(&self, connection: &Connection) -> Result<(), Error> {
        let range = &self.query.range;
        let since = range.since.as_ref().filter(|_| range.after.is_none());
        let (Some(since), Some(key)) = (since, self.query.key.first()) else {
            return Ok(());
        };
        if !matches!(value_of_token(since)?, Value::Text(_)) {
            return Ok(());
        }
        let (text, column) = (&self.query.statement.text, quoted(key, '"'));
        let sql = format!("select 1 from ({text}\n) as unspool_rows where {column} < '' limit 1");
        if self.finds(self.prepare(connection, &sql)?)? {
            return Err(keyset::other_kind(key, "numbers", since));
        }
        Ok(())
    }

    fn look_for_nulls(&self, connection: &Connection) -> Result<(), Error> {
        let statement = self.prepare(connection, &keyset::nulls(&self.query, '"'))?;
        if self.finds(statement)? {
            self.cursor.doubt(Doubt::NullKeys);
        }
        Ok(())
    }

    /// Whether a statement gives a row; not if nobody wants to know.
    fn finds(&self, mut statement: Statement<'_>) -> Result<bool, Error> {
        self.bind_params(&mut statement)?;
        let found = statement.raw_query().next().map(|row| row.is_some());
        match found {
            Ok(found) => Ok(found),
            Err(_) if self.handover.is_stopped() => Ok(false),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Hands over the rows of a statement; gives how many there were.
    fn rows(&self, statement: &mut Statement<'_>) -> Result<Result<usize, Stopped>, Error> {
        self.bind_params(statement)?;
        let columns = statement.column_count();
        let mut rows = statement.raw_query();
        let mut count = 0;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(Ok(count)),
                Err(_) if self.handover.is_stopped() => return Ok(Err(Stopped)),
                Err(error) => return Err(self.failed(error)),
            };
            let written = self.handover.write(|writer| {
                for column in 0..columns {
                    let value = row.get_ref(column).map_err(|error| self.failed(error))?;
                    check_key(writer, column, value)?;
                    writer.put(column, &OwnType, value)?;
                }
                writer.end_row()
            })?;
            if written.is_err() {
                return Ok(Err(Stopped));
            }
            count += 1;
        }
    }

    fn bind_params(&self, statement: &mut Statement<'_>) -> Result<(), Error> {
        for (index, param) in self.query.params.iter().enumerate() {
            self.bind(statement, index + 1, value_of_param(param))?;
        }
        Ok(())
    }

    fn bind(&self, statement: &mut Statement<'_>, place: usize, value: Value) -> Result<(), Error> {
        let bound = statement.raw_bind_parameter(place, value);
        bound.map_err(|error| self.failed(error))
    }

    /// What an error of SQLite means.
    fn failed(&self, error: rusqlite::Error) -> Error {
        if let rusqlite::Error::SqlInputError {
            msg, sql, offset, ..
        } = &error
            && *sql == self.query.statement.text
            && let Ok(offset) = usize::try_from(*offset)
        {
            return SqlPosition::at(sql, offset).error(msg);
        }
        let path = path(&self.query.dsn);
        let failed = match error.sqlite_error_code() {
            Some(ErrorCode::CannotOpen) => Error::request(format!("cannot open `{path}`")),
            Some(ErrorCode::NotADatabase) => {
                Error::request(format!("`{path}` is not an SQLite database"))
            }
            Some(ErrorCode::ReadOnly) => Error::request(
                "the statement changes the database, which is opened to be read only",
            )
            .with_code(Some("read-only".to_owned())),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::new(
                Kind::Reported,
                format!(
                    "the database is locked by somebody else for longer than {:?}",
                    self.query.timeout
                ),
            ),
            Some(ErrorCode::SystemIoFailure) => Error::new(Kind::Truncated, error.to_string()),
            // What is wrong before it runs is wrong with the statement.
            Some(ErrorCode::Unknown) => Error::request(match &error {
                rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
                rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
                other => other.to_string(),
            }),
            _ => Error::content(format!("the database failed: {error}")),
        };
        failed.with_source(error)
    }
}

/// That a value can be written as text and read again, where it is one of a key.
fn check_key(writer: &RowWriter, column: usize, value: ValueRef<'_>) -> Result<(), Error> {
    if !writer.is_key(column) {
        return Ok(());
    }
    match value {
        ValueRef::Real(real) if real.is_infinite() => {
            Err(writer.unfit(column, "an infinite number cannot be a key"))
        }
        ValueRef::Blob(_) => Err(writer.unfit(column, "a blob cannot be a key")),
        _ => Ok(()),
    }
}

fn value_of_param(param: &Param) -> Value {
    match &param.0 {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Integer((*value).into()),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::Integer(integer),
            (None, Some(real)) => Value::Real(real),
            (None, None) => Value::Text(number.to_string()),
        },
        Json::String(text) => Value::Text(text.clone()),
        other => Value::Text(other.to_string()),
    }
}

/// What a key was before it was written as JSON.
fn value_of_token(token: &str) -> Result<Value, Error> {
    if let Ok(integer) = token.parse() {
        return Ok(Value::Integer(integer));
    }
    match serde_json::from_str(token) {
        Ok(Json::String(text)) => Ok(Value::Text(text)),
        Ok(Json::Number(number)) => Ok(Value::Real(number.as_f64().unwrap_or_default())),
        _ => Err(Error::request(format!(
            "expected a number or a text as a key, found `{token}`"
        ))),
    }
}
