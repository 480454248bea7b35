//! Arrays whose column has become wider.
//!
//! A value goes through its JSON text, so that the rule by which it fits is the one rule that there
//! is. This is for the few columns that widen, after all of their values were found to fit.

use std::fmt::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::ArrowError;

use super::columns::Builder;
use crate::sinks::schema::{Type, Value};

/// The values of an array as another type has them.
pub(super) fn converted(array: &ArrayRef, from: &Type, to: &Type) -> Result<ArrayRef, ArrowError> {
    if from == to {
        return Ok(array.clone());
    }
    let mut builder = Builder::new(to);
    let (mut json, mut buffer) = (String::new(), String::new());
    for row in 0..array.len() {
        json.clear();
        write(array, from, row, &mut json);
        if !builder.append(Value::of(&json), &mut buffer) {
            let message = format!("{json} of a column for {from} does not fit into one for {to}");
            return Err(ArrowError::CastError(message));
        }
    }
    builder.finish(array.len())
}

/// Writes a value as JSON.
pub(super) fn write(array: &dyn Array, kind: &Type, row: usize, json: &mut String) {
    if array.is_null(row) {
        json.push_str("null");
        return;
    }
    let written = match kind {
        Type::Null => write!(json, "null"),
        Type::Bool => write!(json, "{}", array.as_boolean().value(row)),
        Type::Int => write!(json, "{}", array.as_primitive::<Int64Type>().value(row)),
        // As it is written to be read again, with a point or an exponent.
        Type::Double => write!(json, "{:?}", array.as_primitive::<Float64Type>().value(row)),
        Type::Decimal(_) => {
            let numbers = array.as_primitive::<Decimal128Type>();
            write!(json, "{}", numbers.value_as_string(row))
        }
        Type::Text => {
            let text = serde_json::Value::from(array.as_string::<i32>().value(row));
            write!(json, "{text}")
        }
        Type::Number | Type::Json => write!(json, "{}", array.as_string::<i32>().value(row)),
        Type::List(of) => {
            write_list(&*array.as_list::<i32>().value(row), of, json);
            Ok(())
        }
        Type::Struct(fields) => {
            let members = array.as_struct().columns().iter();
            let mut separator = '{';
            for (field, member) in fields.iter().zip(members) {
                let _ = write!(
                    json,
                    "{separator}{}:",
                    serde_json::Value::from(&*field.name)
                );
                write(member, &field.kind, row, json);
                separator = ',';
            }
            write!(json, "}}")
        }
        // Only a schema makes these, and what it names does not widen.
        Type::Timestamp | Type::Date => write!(json, "null"),
    };
    // To write into a string does not fail.
    let _ = written;
}

fn write_list(elements: &dyn Array, kind: &Type, json: &mut String) {
    json.push('[');
    for at in 0..elements.len() {
        if at > 0 {
            json.push(',');
        }
        write(elements, kind, at, json);
    }
    json.push(']');
}
