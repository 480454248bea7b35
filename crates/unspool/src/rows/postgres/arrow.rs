//! PostgreSQL's binary values for Arrow arrays.

use arrow_schema::{DataType, TimeUnit};
use tokio_postgres::Column;
use tokio_postgres::types::Type;

use super::types::{DAMAGED, DAY, EPOCH, NOT_UTF8, Numeric, array};
use crate::rows::arrow::{Builder, Cell, UNFIT, timestamp};

/// How a value of one type gets into an array.
#[derive(Clone, Copy)]
pub(super) enum ArrayDecode {
    /// Straight; gives how many bytes of it are beside the array of its places.
    Append(fn(&mut Builder, &[u8]) -> Result<usize, &'static str>),
    /// By what it is.
    Cell(fn(&[u8]) -> Result<Cell<'_>, &'static str>),
}

/// The most digits of a `Decimal128`.
const MOST_DIGITS: u16 = 38;

const INFINITE: &str = "an infinite time has no place in an array of times";

/// What appends a value of a fixed length.
macro_rules! fixed {
    ($builder:ident, $read:expr) => {
        ArrayDecode::Append(|builder, bytes| {
            let Builder::$builder(builder) = builder else {
                return Err(UNFIT);
            };
            builder.append_value($read(array(bytes)?)?);
            Ok(0)
        })
    };
}

/// The type of a column, and how its values get into an array.
pub(super) fn column(column: &Column) -> (DataType, ArrayDecode) {
    match *column.type_() {
        Type::BOOL => (DataType::Boolean, fixed!(Bool, |bytes| exact(bytes != [0]))),
        Type::INT2 => (
            DataType::Int16,
            fixed!(Int16, |bytes| exact(i16::from_be_bytes(bytes))),
        ),
        Type::INT4 => (
            DataType::Int32,
            fixed!(Int32, |bytes| exact(i32::from_be_bytes(bytes))),
        ),
        Type::INT8 => (
            DataType::Int64,
            fixed!(Int64, |bytes| exact(i64::from_be_bytes(bytes))),
        ),
        Type::OID => (
            DataType::UInt32,
            fixed!(UInt32, |bytes| exact(u32::from_be_bytes(bytes))),
        ),
        Type::FLOAT4 => (
            DataType::Float32,
            fixed!(Float, |bytes| exact(f32::from_be_bytes(bytes))),
        ),
        Type::FLOAT8 => (
            DataType::Float64,
            fixed!(Double, |bytes| exact(f64::from_be_bytes(bytes))),
        ),
        Type::NUMERIC => match decimal_type(column.type_modifier()) {
            Some(ty) => (ty, ArrayDecode::Cell(decimal)),
            None => (DataType::Utf8, ArrayDecode::Cell(|_| Ok(Cell::AsWritten))),
        },
        Type::BYTEA => (DataType::Binary, ArrayDecode::Append(binary)),
        Type::UUID => (DataType::Utf8, ArrayDecode::Cell(|_| Ok(Cell::AsWritten))),
        Type::JSONB => (
            DataType::Utf8,
            ArrayDecode::Append(|builder, bytes| match bytes.split_first() {
                Some((1, document)) => text(builder, document),
                _ => Err("the server sent a jsonb of a version that is not known"),
            }),
        ),
        Type::DATE => (DataType::Date32, fixed!(Date, date)),
        Type::TIME => (DataType::Time64(TimeUnit::Microsecond), fixed!(Time, time)),
        Type::TIMESTAMP => (timestamp(false), fixed!(Timestamp, moment)),
        Type::TIMESTAMPTZ => (timestamp(true), fixed!(Timestamp, moment)),
        // Texts, JSON, and what the server makes a text or JSON of.
        _ => (DataType::Utf8, ArrayDecode::Append(text)),
    }
}

/// A value that every one of its type is.
fn exact<T>(value: T) -> Result<T, &'static str> {
    Ok(value)
}

/// The type of a `numeric` of a known precision; none where a `Decimal128` does not hold all
/// its values.
fn decimal_type(modifier: i32) -> Option<DataType> {
    const HEAD: i32 = 4;
    // Eleven bits with their sign ("numeric.c", `numeric_typmod_scale`).
    let packed = u32::try_from(modifier.checked_sub(HEAD)?).ok()?;
    let precision = i32::from((packed >> 16) as u16);
    let scale = ((packed & 0x7ff) as i32 ^ 1024) - 1024;
    let (digits, scale) = if scale < 0 {
        (precision - scale, 0)
    } else {
        (precision.max(scale), scale)
    };
    let fits = digits <= i32::from(MOST_DIGITS);
    fits.then(|| {
        Some(DataType::Decimal128(
            digits.try_into().ok()?,
            scale.try_into().ok()?,
        ))
    })?
}

fn decimal(bytes: &[u8]) -> Result<Cell<'_>, &'static str> {
    const TOO_LONG: &str = "the number has too many digits";
    let number = Numeric::read(bytes)?.map_err(|_| "neither NaN nor an infinity is a decimal")?;
    let groups = number.groups.chunks_exact(2);
    // How many digits the groups have after the point, and how many of those are zeros that
    // fill the last group.
    let digits = 4 * (groups.len() as i32 - 1 - number.weight);
    let fill = (digits - i32::from(number.scale))
        .clamp(0, 3)
        .unsigned_abs();
    let mut left = groups.len();
    let mut value = Some(0_i128);
    for group in groups {
        let group = u16::from_be_bytes([group[0], group[1]]);
        left -= 1;
        let (factor, group) = match left {
            0 => (10_i128.pow(4 - fill), group / 10_u16.pow(fill)),
            _ => (10_000, group),
        };
        value = value.and_then(|value| value.checked_mul(factor)?.checked_add(group.into()));
    }
    let scale = digits - fill.cast_signed();
    if scale < 0 {
        let factor = 10_i128.checked_pow(scale.unsigned_abs());
        value = value.and_then(|value| value.checked_mul(factor?));
    }
    let value = value.ok_or(TOO_LONG)?;
    let signed = if number.is_negative { -value } else { value };
    Ok(Cell::Decimal(signed, scale.max(0).unsigned_abs()))
}

fn text(builder: &mut Builder, bytes: &[u8]) -> Result<usize, &'static str> {
    let Builder::Text(builder) = builder else {
        return Err(UNFIT);
    };
    builder.append_value(std::str::from_utf8(bytes).map_err(|_| NOT_UTF8)?);
    Ok(bytes.len())
}

fn binary(builder: &mut Builder, bytes: &[u8]) -> Result<usize, &'static str> {
    let Builder::Bytes(builder) = builder else {
        return Err(UNFIT);
    };
    builder.append_value(bytes);
    Ok(bytes.len())
}

fn date(bytes: [u8; 4]) -> Result<i32, &'static str> {
    match i32::from_be_bytes(bytes) {
        i32::MIN | i32::MAX => Err(INFINITE),
        days => {
            let days = days.checked_add(i32::try_from(EPOCH).map_err(|_| DAMAGED)?);
            days.ok_or("the date is too late")
        }
    }
}

fn time(bytes: [u8; 8]) -> Result<i64, &'static str> {
    let micros = i64::from_be_bytes(bytes);
    if micros < DAY {
        Ok(micros)
    } else {
        Err("24:00:00 is not a time of a day")
    }
}

fn moment(bytes: [u8; 8]) -> Result<i64, &'static str> {
    match i64::from_be_bytes(bytes) {
        i64::MIN | i64::MAX => Err(INFINITE),
        micros => micros
            .checked_add(EPOCH * DAY)
            .ok_or("the time is too late"),
    }
}
