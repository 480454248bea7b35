//! Values of MySQL for Arrow arrays.

use arrow_schema::DataType;
use mysql_async::consts::{ColumnFlags, ColumnType};
use mysql_async::{Column, Value};

use super::types::{Form, NOT_UTF8};
use crate::rows::arrow::{Cell, timestamp};

/// The most digits of a `Decimal128`.
const MOST_DIGITS: u8 = 38;

/// The type of a column.
pub(super) fn column_type(column: &Column) -> DataType {
    use ColumnType as C;
    match Form::of(column) {
        Form::Number => match column.column_type() {
            C::MYSQL_TYPE_FLOAT => DataType::Float32,
            C::MYSQL_TYPE_DOUBLE => DataType::Float64,
            C::MYSQL_TYPE_TINY | C::MYSQL_TYPE_SHORT | C::MYSQL_TYPE_INT24 | C::MYSQL_TYPE_YEAR => {
                DataType::Int32
            }
            C::MYSQL_TYPE_LONG if !is_unsigned(column) => DataType::Int32,
            C::MYSQL_TYPE_LONG => DataType::UInt32,
            _ if is_unsigned(column) => DataType::UInt64,
            _ => DataType::Int64,
        },
        Form::Decimal => decimal_type(column).unwrap_or(DataType::Utf8),
        Form::Bits => DataType::UInt64,
        Form::Bytes => DataType::Binary,
        Form::Date => DataType::Date32,
        Form::DateTime => timestamp(false),
        Form::Timestamp => timestamp(true),
        // A time here is a span of up to 838 hours.
        Form::LongDecimal | Form::Text | Form::Json | Form::Time => DataType::Utf8,
    }
}

fn is_unsigned(column: &Column) -> bool {
    column.flags().contains(ColumnFlags::UNSIGNED_FLAG)
}

/// The type of a decimal number; none where a `Decimal128` does not hold all its values.
pub(super) fn decimal_type(column: &Column) -> Option<DataType> {
    let scale = column.decimals();
    // Its length is that of its text, with a sign and a point.
    let signs = u32::from(!is_unsigned(column)) + u32::from(scale > 0);
    let digits = column.column_length().checked_sub(signs)?;
    let digits = u8::try_from(digits)
        .ok()
        .filter(|digits| (1..=MOST_DIGITS).contains(digits));
    Some(DataType::Decimal128(digits?, scale.try_into().ok()?))
}

/// A value of a column of this form.
pub(super) fn cell(form: Form, value: &Value) -> Result<Cell<'_>, &'static str> {
    Ok(match (form, value) {
        (_, Value::NULL) => Cell::Null,
        (_, Value::Int(number)) => Cell::Int(*number),
        (_, Value::UInt(number)) => Cell::UInt(*number),
        (_, Value::Float(number)) => Cell::Float(*number),
        (_, Value::Double(number)) => Cell::Double(*number),
        (Form::Decimal, Value::Bytes(digits)) => decimal(digits)?,
        (Form::LongDecimal, _) | (_, Value::Time(..)) => Cell::AsWritten,
        (Form::Bits, Value::Bytes(bytes)) => Cell::UInt(super::types::bits(bytes)?),
        (Form::Bytes, Value::Bytes(bytes)) => Cell::Bytes(bytes),
        (_, Value::Bytes(bytes)) => Cell::Text(std::str::from_utf8(bytes).map_err(|_| NOT_UTF8)?),
        (form, Value::Date(year, month, day, hour, minute, second, micros)) => {
            let days = days(*year, *month, *day).ok_or("a date with zeros is not a day")?;
            if form == Form::Date {
                return Ok(Cell::Date(days));
            }
            let hours = i64::from(days) * 24 + i64::from(*hour);
            let seconds = (hours * 60 + i64::from(*minute)) * 60 + i64::from(*second);
            Cell::Timestamp(seconds * 1_000_000 + i64::from(*micros))
        }
    })
}

fn decimal(digits: &[u8]) -> Result<Cell<'static>, &'static str> {
    let (is_negative, digits) = match digits.split_first() {
        Some((b'-', digits)) => (true, digits),
        _ => (false, digits),
    };
    let point = digits.iter().position(|byte| *byte == b'.');
    let after = point.map_or(0, |point| digits.len() - point - 1);
    let mut value = Some(0_i128);
    for byte in digits.iter().filter(|byte| **byte != b'.') {
        let digit = char::from(*byte).to_digit(10);
        let digit = digit.ok_or("the server sent a decimal number that is none")?;
        value = value.and_then(|value| value.checked_mul(10)?.checked_add(digit.into()));
    }
    let value = value.ok_or("the number has too many digits")?;
    let after = u32::try_from(after).unwrap_or(u32::MAX);
    Ok(Cell::Decimal(
        if is_negative { -value } else { value },
        after,
    ))
}

/// The days from 1970-01-01 to a date; none where that is none of the calendar.
fn days(year: u16, month: u8, day: u8) -> Option<i32> {
    if month == 0 || day == 0 {
        return None;
    }
    // Years that begin in March, in eras of 400 (Howard Hinnant, "chrono-Compatible Low-Level
    // Date Algorithms").
    let year = i32::from(year) - i32::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted = (i32::from(month) + 9) % 12;
    let day_of_year = (153 * shifted + 2) / 5 + i32::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_and_numbers_keep_every_digit() {
        for (date, expected) in [
            ((1970, 1, 1), Some(0)),
            ((2000, 3, 1), Some(11_017)),
            ((2024, 2, 29), Some(19_782)),
            ((1, 1, 1), Some(-719_162)),
            ((0, 0, 0), None),
            ((2024, 1, 0), None),
        ] {
            assert_eq!(days(date.0, date.1, date.2), expected, "{date:?}");
        }
        assert_eq!(decimal(b"-0012.30"), Ok(Cell::Decimal(-1230, 2)));
        assert_eq!(decimal(b"7"), Ok(Cell::Decimal(7, 0)));
        assert!(decimal(b"1e5").is_err() && decimal(&[b'9'; 40]).is_err());
    }
}
