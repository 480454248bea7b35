//! The columns of a target, and an item's values laid out over them.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::Schema;
use super::shape::Shape;
use super::text::{Members, Quoted, Value, is_plain};
use super::types::{Field, Type};
use crate::error::Error;

/// The column of items that are not objects.
const ONLY_COLUMN: &str = "value";

/// A key of the items, and what its column holds.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) key: String,
    pub(crate) kind: Type,
    /// Whether the caller said what it holds.
    pub(crate) is_pinned: bool,
    /// Whether JSON writes the key without escapes.
    is_plain: bool,
    shape: Shape,
}

/// All columns, in the order of their first appearance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Columns {
    list: Vec<Column>,
    by_key: HashMap<String, usize, FxBuildHasher>,
    /// Whether the items are objects, once there has been one.
    are_objects: Option<bool>,
    buffer: String,
}

/// Where the values of one item lie in its text: a cell for each column.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    cells: Vec<Cell>,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    begin: usize,
    end: usize,
    holds: Holds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Nothing,
    Null,
    True,
    False,
    Number,
    Text,
    TextWithEscapes,
    List,
    Object,
}

/// Why an item cannot be laid out over columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// A key stands twice in the item.
    Twice(String),
    /// A key is no Unicode text.
    Key(String),
    /// The items before were objects and this one is not, or the other way round.
    Mixed { is_object: bool },
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Misfit::Twice(key) => write!(f, "has the key `{key}` twice, and a row has it once"),
            Misfit::Key(key) => write!(f, "has a key that is not Unicode text: `{key}`"),
            Misfit::Mixed { is_object: true } => {
                f.write_str("is an object, and the items before it are not")
            }
            Misfit::Mixed { is_object: false } => {
                f.write_str("is not an object, and the items before it are")
            }
        }
    }
}

impl Column {
    fn new(key: &str) -> Self {
        Column {
            key: key.to_owned(),
            kind: Type::Null,
            is_pinned: false,
            is_plain: is_plain(key),
            shape: Shape::default(),
        }
    }

    /// Takes a value into account for the type.
    pub(crate) fn see(&mut self, value: Value<'_>) {
        self.shape.see(value);
    }

    /// Makes the type what has been seen says.
    pub(crate) fn settle(&mut self) {
        if !self.is_pinned {
            self.kind = self.shape.kind();
        }
    }

    /// The type that holds what the column may have, and this value.
    pub(crate) fn widened(&self, value: Value<'_>) -> Type {
        let mut shape = Shape::of(&self.kind);
        shape.see(value);
        shape.kind()
    }

    /// The same for a column whose whole numbers so far a double tells apart.
    pub(crate) fn widened_from_small_ints(&self, value: Value<'_>) -> Type {
        let mut shape = Shape::of(&self.kind).without_large_ints();
        shape.see(value);
        shape.kind()
    }

    /// The value as a pinned type wants it: text is anything's text, and text that is
    /// written as a number or a truth value can be one.
    fn pinned<'a>(&self, value: Value<'a>) -> Value<'a> {
        let plain = |inside| {
            Value::Text(Quoted {
                inside,
                has_escapes: false,
            })
        };
        match (&self.kind, value) {
            (Type::Text, Value::Number(text) | Value::List(text) | Value::Object(text)) => {
                plain(text)
            }
            (Type::Text, Value::Bool(true)) => plain("true"),
            (Type::Text, Value::Bool(false)) => plain("false"),
            (
                Type::Bool | Type::Int | Type::Double | Type::Decimal(_) | Type::Number,
                Value::Text(text),
            ) if serde_json::from_str::<serde::de::IgnoredAny>(text.inside).is_ok() => {
                match Value::of(text.inside) {
                    inner @ (Value::Number(_) | Value::Bool(_)) => inner,
                    _ => value,
                }
            }
            _ => value,
        }
    }
}

impl Columns {
    /// Columns whose types the caller knows.
    pub(crate) fn pinned(fields: &[Field]) -> Self {
        let mut columns = Columns::known(fields);
        for column in &mut columns.list {
            column.is_pinned = true;
        }
        columns
    }

    /// Notes which columns the caller knows.
    pub(crate) fn pin(&mut self, pinned: &Schema) {
        for field in &pinned.fields {
            if let Some(at) = self.by_key.get(&field.name) {
                self.list[*at].is_pinned = true;
            }
        }
    }

    /// Columns that a target has already.
    pub(crate) fn known(fields: &[Field]) -> Self {
        let mut columns = Columns::default();
        for field in fields {
            let at = columns.find_or_add(&field.name);
            columns.list[at].kind = field.kind.clone();
        }
        columns
    }

    /// The columns that [`lines`](Columns::lines) were of.
    pub(crate) fn restored(lines: &serde_json::Value, pinned: &Schema) -> Result<Self, Error> {
        let fields: Option<Vec<Field>> = (lines.as_array()).and_then(|lines| {
            lines
                .iter()
                .map(|line| line.as_str()?.parse().ok())
                .collect()
        });
        let fields =
            fields.ok_or_else(|| Error::request("the columns in the state are damaged"))?;
        let mut columns = Columns::known(&fields);
        columns.pin(pinned);
        Ok(columns)
    }

    /// The columns as lines of a schema.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.fields().iter().map(Field::to_string).collect()
    }

    pub(crate) fn list(&self) -> &[Column] {
        &self.list
    }

    pub(crate) fn column(&mut self, at: usize) -> &mut Column {
        &mut self.list[at]
    }

    pub(crate) fn fields(&self) -> Vec<Field> {
        let field = |column: &Column| Field {
            name: column.key.clone(),
            kind: column.kind.clone(),
        };
        self.list.iter().map(field).collect()
    }

    /// Adds the values of an item to what is known of its columns.
    pub(crate) fn see(&mut self, item: &str, row: &mut Row) -> Result<(), Misfit> {
        self.split(item, row)?;
        for (column, cell) in self.list.iter_mut().zip(&row.cells) {
            if !column.is_pinned {
                column.see(cell.value(item));
            }
        }
        Ok(())
    }

    /// Makes the types of all columns what has been seen says.
    pub(crate) fn settle(&mut self) {
        self.list.iter_mut().for_each(Column::settle);
    }

    /// For a target that has neither lists nor structs: makes them JSON text.
    pub(crate) fn flatten(&mut self) {
        for column in &mut self.list {
            column.kind = column.kind.flat();
        }
    }

    /// The same for one whose text cannot have a NUL, and whose decimals have any length.
    pub(crate) fn flatten_for_numeric(&mut self) {
        self.flatten();
        for column in self.list.iter_mut().filter(|column| !column.is_pinned) {
            if column.shape.has_nul() {
                column.kind = Type::Json;
            } else if matches!(column.kind, Type::Decimal(_)) {
                column.kind = Type::Number;
            }
        }
    }

    /// Adds the column of items that are not objects, for a target that cannot be without
    /// one.
    pub(crate) fn add_only(&mut self) {
        self.find_or_add(ONLY_COLUMN);
    }

    /// Finds the values of an item. Columns for keys that are new are added at the end, as
    /// ones that have had no value.
    pub(crate) fn split(&mut self, item: &str, row: &mut Row) -> Result<(), Misfit> {
        row.cells.clear();
        row.cells.resize(self.list.len(), Cell::NOTHING);
        let members = Members::of(item);
        let is_object = members.is_some();
        if *self.are_objects.get_or_insert(is_object) != is_object {
            return Err(Misfit::Mixed { is_object });
        }
        let Some(mut members) = members else {
            let at = self.find_or_add(ONLY_COLUMN);
            return self.lay(at, Value::of(item), item, row);
        };
        let mut next = 0;
        loop {
            let expected = self.list.get(next).filter(|column| column.is_plain);
            if let Some(value) = expected.and_then(|column| members.next_of(&column.key)) {
                self.lay(next, value, item, row)?;
            } else if let Some((key, value)) = members.next() {
                next = self.find(key)?;
                self.lay(next, value, item, row)?;
            } else {
                return Ok(());
            }
            next += 1;
        }
    }

    /// The column of a key.
    fn find(&mut self, key: Quoted<'_>) -> Result<usize, Misfit> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let found = match key.decode(&mut buffer) {
            Some(name) => Ok(self.find_or_add(name)),
            None => Err(Misfit::Key(key.inside.to_owned())),
        };
        self.buffer = buffer;
        found
    }

    pub(crate) fn find_or_add(&mut self, name: &str) -> usize {
        if let Some(at) = self.by_key.get(name) {
            return *at;
        }
        self.list.push(Column::new(name));
        self.by_key.insert(name.to_owned(), self.list.len() - 1);
        self.list.len() - 1
    }

    fn lay(&self, at: usize, value: Value<'_>, item: &str, row: &mut Row) -> Result<(), Misfit> {
        if at >= row.cells.len() {
            row.cells.resize(at + 1, Cell::NOTHING);
        }
        let column = &self.list[at];
        if row.cells[at].holds != Holds::Nothing {
            return Err(Misfit::Twice(column.key.clone()));
        }
        let value = if column.is_pinned {
            column.pinned(value)
        } else {
            value
        };
        row.cells[at] = Cell::of(value, item);
        Ok(())
    }
}

impl Row {
    /// The value of a column in an item.
    pub(crate) fn value<'a>(&self, at: usize, item: &'a str) -> Value<'a> {
        self.cells
            .get(at)
            .map_or(Value::Null, |cell| cell.value(item))
    }
}

impl Cell {
    const NOTHING: Cell = Cell {
        begin: 0,
        end: 0,
        holds: Holds::Nothing,
    };

    fn of(value: Value<'_>, item: &str) -> Self {
        let (holds, text) = match value {
            Value::Null => (Holds::Null, ""),
            Value::Bool(true) => (Holds::True, ""),
            Value::Bool(false) => (Holds::False, ""),
            Value::Number(text) => (Holds::Number, text),
            Value::List(text) => (Holds::List, text),
            Value::Object(text) => (Holds::Object, text),
            Value::Text(text) if text.has_escapes => (Holds::TextWithEscapes, text.inside),
            Value::Text(text) => (Holds::Text, text.inside),
        };
        let begin = match holds {
            Holds::Null | Holds::True | Holds::False => 0,
            // A pinned text may be the word `true`, which lies outside of the item.
            Holds::Text if text == "true" || text == "false" => item.find(text).unwrap_or_default(),
            _ => (text.as_ptr() as usize).wrapping_sub(item.as_ptr() as usize),
        };
        Cell {
            begin,
            end: begin.wrapping_add(text.len()),
            holds,
        }
    }

    fn value(self, item: &str) -> Value<'_> {
        let text = item.get(self.begin..self.end).unwrap_or_default();
        let quoted = |has_escapes| {
            Value::Text(Quoted {
                inside: text,
                has_escapes,
            })
        };
        match self.holds {
            Holds::Nothing | Holds::Null => Value::Null,
            Holds::True => Value::Bool(true),
            Holds::False => Value::Bool(false),
            Holds::Number => Value::Number(text),
            Holds::Text => quoted(false),
            Holds::TextWithEscapes => quoted(true),
            Holds::List => Value::List(text),
            Holds::Object => Value::Object(text),
        }
    }
}
