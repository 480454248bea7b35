//! What types the items' fields have, so that no value changes in a column.
//!
//! The rule is in `docs/schema.md`: types only widen where every value stays what it was,
//! and what has no type in common is JSON text.
//!
//! ```
//! use unspool::sinks::schema::Schema;
//!
//! let items = [r#"{"id": 1, "price": 2}"#, r#"{"id": 2, "price": 2.5, "tags": ["a"]}"#];
//! let schema = Schema::of(items)?;
//! assert_eq!(schema.to_string(), "id int\nprice double\ntags text[]\n");
//! # Ok::<(), unspool::Error>(())
//! ```

mod columns;
mod file;
mod names;
mod number;
mod sample;
mod shape;
mod text;
mod time;
mod types;

use std::fmt;
use std::str::FromStr;

use crate::Error;

pub use types::{Field, Type};

pub(crate) use self::{
    columns::{Column, Columns, Misfit, Row},
    names::{NameRules, Names},
    number::{
        DECIMAL_DIGITS, EXACT_IN_DOUBLE, decimal, double, exact_double, integer, is_exact_double,
        is_written_as_double,
    },
    sample::Sample,
    text::{Elements, Members, Quoted, Value},
    time::{date, timestamp},
};

/// The columns of a table, or those of them that the caller knows.
///
/// It is read from a JSON Schema or from lines of `name type`, and is written as such
/// lines.
///
/// ```
/// use unspool::sinks::schema::{Schema, Type};
///
/// let schema = Schema::of([r#"{"id": 1, "tags": ["a"]}"#, r#"{"id": 2.5, "tags": []}"#])?;
/// assert_eq!(schema.fields[0].name, "id");
/// assert_eq!(schema.fields[0].kind, Type::Double);
/// assert_eq!(schema.fields[1].kind.to_string(), "text[]");
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// The columns, in their order.
    pub fields: Vec<Field>,
}

impl Schema {
    /// What is inferred from the JSON texts of items.
    ///
    /// # Errors
    ///
    /// Fails where an item is no row: it has a key twice, or is no object where others are.
    pub fn of<'a>(items: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let mut inference = Inference::default();
        for item in items {
            inference.see(item)?;
        }
        Ok(inference.schema())
    }
}

/// How many items a sink looks at, at most, before it makes a table.
pub const SAMPLE: u64 = sample::MOST_ITEMS as u64;

/// A schema that is inferred item by item.
///
/// ```
/// use unspool::sinks::schema::Inference;
///
/// let mut inference = Inference::default();
/// for item in [r#"{"id": 1}"#, r#"{"id": 2, "name": "Ada"}"#] {
///     inference.see(item)?;
/// }
/// assert_eq!(inference.items(), 2);
/// println!("{}", inference.schema());
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Inference {
    columns: Columns,
    row: Row,
    items: u64,
    bytes: usize,
}

impl Inference {
    /// Adds an item, as valid JSON text.
    ///
    /// # Errors
    ///
    /// Fails where the item is no row.
    pub fn see(&mut self, item: &str) -> Result<(), Error> {
        self.items += 1;
        self.bytes += item.len();
        (self.columns.see(item, &mut self.row))
            .map_err(|misfit| Error::content(format!("item {} {misfit}", self.items)))
    }

    /// Whether it has seen as many items as a sink looks at before it makes a table.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.items >= SAMPLE || self.bytes >= sample::MOST_BYTES
    }

    /// How many items it has seen.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.items
    }

    /// What follows from the items so far.
    #[must_use]
    pub fn schema(&self) -> Schema {
        let mut columns = self.columns.clone();
        columns.settle();
        Schema {
            fields: columns.fields(),
        }
    }
}

/// One line for each column, as `--schema` reads them.
impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fields
            .iter()
            .try_for_each(|field| writeln!(f, "{field}"))
    }
}

impl FromStr for Schema {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        file::parse(text)
    }
}

#[cfg(test)]
mod tests;
