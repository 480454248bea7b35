//! The columns of a table, its statements, and its rows as `COPY` takes them.

use super::STAGE;
use super::target::MOST_BYTES;
use crate::error::Error;
use crate::sinks::Notes;
use crate::sinks::schema::{
    Column, Columns, NameRules, Names, Quoted, Row, Type, Value, integer, is_exact_double,
};
use crate::sinks::tables::{failed, key_columns, quoted, without_key};

const NAMES: NameRules = NameRules {
    folds_case: false,
    // What is longer the server cuts, without a word.
    most_bytes: MOST_BYTES,
    may_be_empty: false,
    // Its own columns, which each table has, and that of staged rows.
    reserved: &["cmax", "cmin", "ctid", "tableoid", "xmax", "xmin", ORDER],
};

/// In which order staged rows came.
const ORDER: &str = "_unspool_order";

pub(super) struct Layout {
    pub(super) columns: Columns,
    names: Names,
    column_names: Vec<String>,
    /// Which columns are the key.
    pub(super) key: Vec<usize>,
    pub(super) row: Row,
    text: String,
}

/// A change of a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Add {
        name: String,
        kind: &'static str,
    },
    /// A column that has had no value but `null`.
    Begin {
        name: String,
        kind: &'static str,
    },
    /// To `numeric`, which holds all numbers.
    Widen {
        name: String,
    },
}

impl Layout {
    pub(super) fn new(mut columns: Columns, key: &[String], notes: &Notes) -> Result<Self, Error> {
        columns.flatten_for_numeric();
        let key = key_columns(&mut columns, key)?;
        for at in &key {
            let column = &columns.list()[*at];
            if column.kind == Type::Json {
                return Err(failed(format!(
                    "the key `{}` has values that have no type in common, or lists or objects; \
                     `--schema FILE` with the line `{0} text` settles it",
                    column.key
                )));
            }
        }
        let mut layout = Layout {
            columns,
            names: Names::new(NAMES, notes.clone()),
            column_names: Vec::new(),
            key,
            row: Row::default(),
            text: String::new(),
        };
        layout.name_columns();
        Ok(layout)
    }

    fn name_columns(&mut self) {
        for column in &self.columns.list()[self.column_names.len()..] {
            self.column_names
                .push(quoted(&self.names.name(&column.key)));
        }
    }

    pub(super) fn quoted_names(&self, at: impl Iterator<Item = usize>) -> String {
        let names: Vec<&str> = at.map(|at| self.column_names[at].as_str()).collect();
        names.join(", ")
    }

    fn all_names(&self) -> String {
        self.quoted_names(0..self.column_names.len())
    }

    fn key_names(&self) -> String {
        self.quoted_names(self.key.iter().copied())
    }

    fn definitions(&self) -> String {
        let columns = self.column_names.iter().zip(self.columns.list());
        let columns: Vec<String> = columns
            .map(|(name, column)| format!("{name} {}", sql_type(&column.kind)))
            .collect();
        columns.join(", ")
    }

    pub(super) fn create(&self, table: &str) -> String {
        let mut definitions = self.definitions();
        if !self.key.is_empty() {
            definitions = format!("{definitions}, primary key ({})", self.key_names());
        }
        format!("create table {table} ({definitions})")
    }

    pub(super) fn create_stage(&self) -> String {
        format!(
            "create temporary table {STAGE} ({ORDER} bigint, {}) on commit delete rows",
            self.definitions()
        )
    }

    pub(super) fn copy(&self, table: &str) -> String {
        if self.key.is_empty() {
            format!("copy {table} ({}) from stdin", self.all_names())
        } else {
            format!("copy {STAGE} ({ORDER}, {}) from stdin", self.all_names())
        }
    }

    /// Moves the staged rows, the last one of each key, into the table.
    pub(super) fn merge(&self, table: &str) -> String {
        let (all, key) = (self.all_names(), self.key_names());
        let others = (0..self.column_names.len()).filter(|at| !self.key.contains(at));
        let set: Vec<String> = others
            .map(|at| &self.column_names[at])
            .map(|name| format!("{name} = excluded.{name}"))
            .collect();
        let what = if set.is_empty() {
            "nothing".to_owned()
        } else {
            format!("update set {}", set.join(", "))
        };
        format!(
            "insert into {table} ({all}) select distinct on ({key}) {all} from {STAGE} \
             order by {key}, {ORDER} desc on conflict ({key}) do {what}"
        )
    }

    /// Appends an item as a row; false where the table has to be changed for it first, or
    /// cannot take it. What was appended is then to be taken away again.
    pub(super) fn encode(
        &mut self,
        number: u64,
        item: &str,
        buffer: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        if !self.key.is_empty() {
            buffer.extend_from_slice(number.to_string().as_bytes());
        }
        for (at, column) in self.columns.list().iter().enumerate() {
            if at > 0 || !self.key.is_empty() {
                buffer.push(b'\t');
            }
            let value = self.row.value(at, item);
            if value == Value::Null && self.key.contains(&at) {
                return Err(without_key(number, column));
            }
            if !append(&column.kind, value, &mut self.text, buffer) {
                return Ok(false);
            }
        }
        buffer.push(b'\n');
        Ok(true)
    }

    /// What has to be changed for an item; or the first value that no change helps.
    pub(super) fn changes<'a>(&mut self, item: &'a str) -> Result<Vec<Change>, (usize, Value<'a>)> {
        let known = self.column_names.len();
        self.name_columns();
        let mut changes = Vec::new();
        for at in 0..self.columns.list().len() {
            let value = self.row.value(at, item);
            let name = self.column_names[at].clone();
            let column = self.columns.column(at);
            let before = column.kind.clone();
            if !append(&before, value, &mut self.text, &mut Vec::new()) {
                column.kind = wider(column, value).ok_or((at, value))?;
            }
            if at >= known {
                let kind = sql_type(&column.kind);
                changes.push(Change::Add { name, kind });
            } else if before == Type::Null && column.kind != before {
                let kind = sql_type(&column.kind);
                changes.push(Change::Begin { name, kind });
            } else if column.kind != before {
                changes.push(Change::Widen { name });
            }
        }
        Ok(changes)
    }
}

/// The type with which a column takes a value that its own does not.
fn wider(column: &Column, value: Value<'_>) -> Option<Type> {
    match (&column.kind, value) {
        _ if column.is_pinned => None,
        (Type::Null, Value::Text(text)) if has_nul(text) => Some(Type::Json),
        (Type::Null, _) => Some(match column.widened(value).flat() {
            Type::Decimal(_) => Type::Number,
            kind => kind,
        }),
        (Type::Int | Type::Double, Value::Number(_)) => Some(Type::Number),
        _ => None,
    }
}

fn has_nul(text: Quoted<'_>) -> bool {
    text.has_escapes && (text.decode(&mut String::new())).is_some_and(|text| text.contains('\0'))
}

impl Change {
    pub(super) fn sql(&self, table: &str) -> String {
        match self {
            Change::Add { name, kind } => format!("alter table {table} add column {name} {kind}"),
            Change::Begin { name, kind } => {
                format!("alter table {table} alter column {name} type {kind} using null")
            }
            // By its text, which has all digits of a float.
            Change::Widen { name } => format!(
                "alter table {table} alter column {name} type numeric using {name}::text::numeric"
            ),
        }
    }
}

fn sql_type(kind: &Type) -> &'static str {
    match kind {
        Type::Bool => "boolean",
        Type::Int => "bigint",
        Type::Double => "double precision",
        Type::Decimal(_) | Type::Number => "numeric",
        Type::Null | Type::Text => "text",
        Type::Timestamp => "timestamptz",
        Type::Date => "date",
        Type::List(_) | Type::Struct(_) | Type::Json => "json",
    }
}

/// Appends a value as `COPY` reads it; false where the type does not hold it.
fn append(kind: &Type, value: Value<'_>, text: &mut String, buffer: &mut Vec<u8>) -> bool {
    match (kind, value) {
        (_, Value::Null) => buffer.extend_from_slice(b"\\N"),
        (Type::Bool, Value::Bool(value)) => buffer.push(if value { b't' } else { b'f' }),
        (Type::Int, Value::Number(number)) if integer(number).is_some() => {
            buffer.extend_from_slice(number.as_bytes());
        }
        (Type::Double, Value::Number(number)) if is_exact_double(number) => {
            buffer.extend_from_slice(number.as_bytes());
        }
        (Type::Number, Value::Number(number)) => buffer.extend_from_slice(number.as_bytes()),
        (Type::Decimal(_), Value::Number(number)) if kind.holds(value) => {
            buffer.extend_from_slice(number.as_bytes());
        }
        (Type::Text, Value::Text(quoted)) => match quoted.decode(text) {
            // The server cannot store it.
            Some(decoded) if quoted.has_escapes && decoded.contains('\0') => return false,
            Some(decoded) => escape(decoded, buffer),
            None => return false,
        },
        (Type::Timestamp | Type::Date, Value::Text(quoted)) if kind.holds(value) => {
            escape(quoted.inside, buffer);
        }
        (Type::Json, value) => escape(value.json(text), buffer),
        _ => return false,
    }
    true
}

/// Text in `COPY`'s own escapes.
fn escape(text: &str, buffer: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut begin = 0;
    for at in memchr::memchr3_iter(b'\\', b'\n', b'\t', bytes) {
        carriage_returns(&bytes[begin..at], buffer);
        buffer.extend_from_slice(match bytes[at] {
            b'\n' => b"\\n",
            b'\t' => b"\\t",
            _ => b"\\\\",
        });
        begin = at + 1;
    }
    carriage_returns(&bytes[begin..], buffer);
}

fn carriage_returns(mut bytes: &[u8], buffer: &mut Vec<u8>) {
    while let Some(at) = memchr::memchr(b'\r', bytes) {
        buffer.extend_from_slice(&bytes[..at]);
        buffer.extend_from_slice(b"\\r");
        bytes = &bytes[at + 1..];
    }
    buffer.extend_from_slice(bytes);
}
