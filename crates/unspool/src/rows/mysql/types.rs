//! Values of MySQL as JSON text.

use std::io::Write as _;

use mysql_async::consts::{ColumnFlags, ColumnType};
use mysql_async::{Column, Value};

#[cfg(feature = "arrow")]
use crate::rows::arrow::Cell;
use crate::rows::write;

/// The character set of what is no text.
const BINARY: u16 = 63;

/// How the values of a column are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Number,
    /// A decimal number, which comes as text.
    Decimal,
    /// One of more digits than Arrow's have.
    #[cfg_attr(
        not(feature = "arrow"),
        expect(dead_code, reason = "all are the same as text")
    )]
    LongDecimal,
    /// Bits, which come as bytes, the highest first.
    Bits,
    Text,
    Json,
    Bytes,
    Date,
    DateTime,
    /// A time in UTC.
    Timestamp,
    Time,
}

impl Form {
    pub(super) fn of(column: &Column) -> Self {
        use ColumnType as C;
        let is_binary = column.character_set() == BINARY;
        match column.column_type() {
            C::MYSQL_TYPE_DECIMAL | C::MYSQL_TYPE_NEWDECIMAL => decimal_form(column),
            C::MYSQL_TYPE_BIT => Form::Bits,
            C::MYSQL_TYPE_JSON => Form::Json,
            C::MYSQL_TYPE_DATE | C::MYSQL_TYPE_NEWDATE => Form::Date,
            C::MYSQL_TYPE_DATETIME | C::MYSQL_TYPE_DATETIME2 => Form::DateTime,
            C::MYSQL_TYPE_TIMESTAMP | C::MYSQL_TYPE_TIMESTAMP2 => Form::Timestamp,
            C::MYSQL_TYPE_TIME | C::MYSQL_TYPE_TIME2 => Form::Time,
            C::MYSQL_TYPE_GEOMETRY | C::MYSQL_TYPE_VECTOR => Form::Bytes,
            // A set or enumeration is sent as a string, and says that it is one.
            _ if column
                .flags()
                .intersects(ColumnFlags::ENUM_FLAG | ColumnFlags::SET_FLAG) =>
            {
                Form::Text
            }
            C::MYSQL_TYPE_VARCHAR
            | C::MYSQL_TYPE_TINY_BLOB
            | C::MYSQL_TYPE_MEDIUM_BLOB
            | C::MYSQL_TYPE_LONG_BLOB
            | C::MYSQL_TYPE_BLOB
            | C::MYSQL_TYPE_VAR_STRING
            | C::MYSQL_TYPE_STRING => {
                if is_binary {
                    Form::Bytes
                } else {
                    Form::Text
                }
            }
            C::MYSQL_TYPE_ENUM | C::MYSQL_TYPE_SET => Form::Text,
            _ => Form::Number,
        }
    }

    /// Whether a value, once it is JSON, can be made the value again.
    pub(super) fn may_be_key(self) -> bool {
        !matches!(self, Form::Bytes | Form::Json | Form::Bits)
    }
}

#[cfg(feature = "arrow")]
fn decimal_form(column: &Column) -> Form {
    match super::arrow::decimal_type(column) {
        Some(_) => Form::Decimal,
        None => Form::LongDecimal,
    }
}

#[cfg(not(feature = "arrow"))]
fn decimal_form(_: &Column) -> Form {
    Form::Decimal
}

impl<'v> write::Form<'v> for Form {
    type Value = &'v Value;

    fn write(&self, text: &mut Vec<u8>, found: &'v Value) -> Result<(), &'static str> {
        value(text, *self, found)
    }

    #[cfg(feature = "arrow")]
    fn cell(&self, found: &'v Value) -> Result<Cell<'v>, &'static str> {
        super::arrow::cell(*self, found)
    }
}

/// Appends a value.
fn value(text: &mut Vec<u8>, form: Form, value: &Value) -> Result<(), &'static str> {
    match (form, value) {
        (_, Value::NULL) => write::null(text),
        (_, Value::Int(number)) => write::integer(text, *number),
        (_, Value::UInt(number)) => write::display(text, number),
        (_, Value::Float(number)) => write::float4(text, *number),
        (_, Value::Double(number)) => write::float(text, *number),
        (Form::Decimal | Form::LongDecimal, Value::Bytes(digits)) => decimal(text, digits)?,
        (Form::Bits, Value::Bytes(bytes)) => write::display(text, bits(bytes)?),
        (Form::Bytes, Value::Bytes(bytes)) => write::base64(text, bytes),
        (Form::Json, Value::Bytes(document)) => {
            std::str::from_utf8(document).map_err(|_| NOT_UTF8)?;
            text.extend(document.iter().map(|byte| {
                if matches!(byte, b'\n' | b'\r') {
                    b' '
                } else {
                    *byte
                }
            }));
        }
        (_, Value::Bytes(bytes)) => {
            write::string(text, std::str::from_utf8(bytes).map_err(|_| NOT_UTF8)?);
        }
        (form, Value::Date(year, month, day, hour, minute, second, micros)) => {
            let _ = write!(text, "\"{year:04}-{month:02}-{day:02}");
            if form != Form::Date {
                let _ = write!(text, "T{hour:02}:{minute:02}:{second:02}");
                fraction(text, *micros);
            }
            text.extend_from_slice(if form == Form::Timestamp {
                b"+00:00\""
            } else {
                b"\""
            });
        }
        (_, Value::Time(is_negative, days, hours, minutes, seconds, micros)) => {
            let sign = if *is_negative { "-" } else { "" };
            let hours = u32::from(*hours) + days * 24;
            // Writing to memory does not fail.
            let _ = write!(text, "\"{sign}{hours:02}:{minutes:02}:{seconds:02}");
            fraction(text, *micros);
            text.push(b'"');
        }
    }
    Ok(())
}

pub(super) const NOT_UTF8: &str = "a text that is not UTF-8 has no form in JSON";

/// As many digits after the second as there are.
fn fraction(text: &mut Vec<u8>, micros: u32) {
    if micros > 0 {
        let _ = write!(text, ".{micros:06}");
        while text.last() == Some(&b'0') {
            text.pop();
        }
    }
}

/// Digits as a number in JSON, which begins with no zero.
fn decimal(text: &mut Vec<u8>, digits: &[u8]) -> Result<(), &'static str> {
    let (sign, digits) = match digits.split_first() {
        Some((b'-', digits)) => (&b"-"[..], digits),
        _ => (&b""[..], digits),
    };
    let is_number = !digits.is_empty()
        && digits
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'.');
    if !is_number {
        return Err("the server sent a decimal number that is none");
    }
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    let has_whole = digits.get(zeros).is_some_and(u8::is_ascii_digit);
    text.extend_from_slice(sign);
    text.extend_from_slice(
        &digits[if has_whole {
            zeros
        } else {
            zeros.saturating_sub(1)
        }..],
    );
    Ok(())
}

pub(super) fn bits(bytes: &[u8]) -> Result<u64, &'static str> {
    if bytes.len() > 8 {
        return Err("the server sent more than 64 bits");
    }
    Ok((bytes.iter()).fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(form: Form, found: Value, expected: &str) {
        let mut text = Vec::new();
        value(&mut text, form, &found).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn values_are_exact() {
        let bytes = |text: &str| Value::Bytes(text.into());
        check(Form::Decimal, bytes("-0.50"), "-0.50");
        check(Form::Decimal, bytes("0012.30"), "12.30");
        check(Form::Decimal, bytes("000"), "0");
        check(
            Form::Bits,
            Value::Bytes(vec![255; 8]),
            "18446744073709551615",
        );
        check(Form::Number, Value::UInt(u64::MAX), "18446744073709551615");
        check(
            Form::Date,
            Value::Date(0, 0, 0, 0, 0, 0, 0),
            "\"0000-00-00\"",
        );
        check(
            Form::Timestamp,
            Value::Date(2024, 2, 29, 1, 2, 3, 500_000),
            "\"2024-02-29T01:02:03.5+00:00\"",
        );
        check(
            Form::Time,
            Value::Time(true, 34, 22, 59, 59, 0),
            "\"-838:59:59\"",
        );
        assert!(value(&mut Vec::new(), Form::Text, &Value::Bytes(vec![255])).is_err());
    }
}
