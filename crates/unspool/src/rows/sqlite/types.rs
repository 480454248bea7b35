//! Values of SQLite, each of a type of its own.

#[cfg(feature = "arrow")]
use arrow_schema::DataType;
use rusqlite::types::ValueRef;

#[cfg(feature = "arrow")]
use crate::rows::arrow::{Cell, ColumnType};
use crate::rows::write::{self, Form};

const NOT_UTF8: &str = "a text that is not UTF-8 has no form in JSON";

/// How all values are written: by their own types, not by those of their columns.
pub(super) struct OwnType;

impl<'v> Form<'v> for OwnType {
    type Value = ValueRef<'v>;

    fn write(&self, text: &mut Vec<u8>, value: ValueRef<'v>) -> Result<(), &'static str> {
        match value {
            ValueRef::Null => write::null(text),
            ValueRef::Integer(integer) => write::integer(text, integer),
            ValueRef::Real(real) => write::float(text, real),
            ValueRef::Text(bytes) => {
                write::string(text, std::str::from_utf8(bytes).map_err(|_| NOT_UTF8)?);
            }
            ValueRef::Blob(bytes) => write::base64(text, bytes),
        }
        Ok(())
    }

    #[cfg(feature = "arrow")]
    fn cell(&self, value: ValueRef<'v>) -> Result<Cell<'v>, &'static str> {
        Ok(match value {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(integer) => Cell::Int(integer),
            ValueRef::Real(real) => Cell::Double(real),
            ValueRef::Text(bytes) => Cell::Text(std::str::from_utf8(bytes).map_err(|_| NOT_UTF8)?),
            ValueRef::Blob(bytes) => Cell::Bytes(bytes),
        })
    }
}

/// The type of a column in Arrow, by what it was declared as ("Datatypes In SQLite", "Type
/// Affinity"); those that say little have that of their values.
#[cfg(feature = "arrow")]
pub(super) fn column_type(declared: Option<&str>) -> ColumnType {
    let declared = declared.unwrap_or_default().to_ascii_uppercase();
    let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
    ColumnType::Fixed(if has(&["INT"]) {
        DataType::Int64
    } else if has(&["CHAR", "CLOB", "TEXT"]) {
        DataType::Utf8
    } else if has(&["BLOB"]) {
        DataType::Binary
    } else if has(&["REAL", "FLOA", "DOUB"]) {
        DataType::Float64
    } else {
        return ColumnType::OfValues;
    })
}
