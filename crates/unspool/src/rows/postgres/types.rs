//! PostgreSQL's binary values as JSON text.
//!
//! What a value becomes is what the database's own `to_json` makes of it, with two
//! exceptions: a `bytea` is Base64, and a time is in UTC. Types that are not here the server
//! turns into text ([`select_list`]).

use tokio_postgres::types::{Kind, Type};

#[cfg(feature = "arrow")]
use super::arrow::ArrayDecode;
#[cfg(feature = "arrow")]
use crate::rows::arrow::{Builder, Cell, UNFIT};
use crate::rows::sql::quoted;
use crate::rows::write::{self, Form};

/// How the values of a column are read.
#[derive(Clone, Copy)]
pub(super) struct Decoder {
    pub(super) text: Decode,
    #[cfg(feature = "arrow")]
    pub(super) array: super::arrow::ArrayDecode,
}

impl<'v> Form<'v> for Decoder {
    type Value = Option<&'v [u8]>;

    fn write(&self, text: &mut Vec<u8>, value: Self::Value) -> Result<(), &'static str> {
        match value {
            Some(bytes) => (self.text)(text, bytes),
            None => {
                write::null(text);
                Ok(())
            }
        }
    }

    #[cfg(feature = "arrow")]
    fn cell(&self, value: Self::Value) -> Result<Cell<'v>, &'static str> {
        match (value, self.array) {
            (Some(bytes), ArrayDecode::Cell(decode)) => decode(bytes),
            (Some(_), ArrayDecode::Append(_)) => Err(UNFIT),
            (None, _) => Ok(Cell::Null),
        }
    }

    #[cfg(feature = "arrow")]
    fn append(
        &self,
        builder: &mut Builder,
        value: Self::Value,
    ) -> Result<Option<usize>, &'static str> {
        match (value, self.array) {
            (Some(bytes), ArrayDecode::Append(append)) => append(builder, bytes).map(Some),
            (Some(_), ArrayDecode::Cell(_)) => Ok(None),
            (None, _) => {
                builder.append_null();
                Ok(Some(0))
            }
        }
    }
}

/// Appends a value of one type.
pub(super) type Decode = fn(&mut Vec<u8>, &[u8]) -> Result<(), &'static str>;

/// What is said of a value whose bytes are not as they should be.
pub(super) const DAMAGED: &str = "the server sent a value of another length than its type has";

/// How values of a type are read; none where the server has to turn them into text.
pub(super) fn decoder(ty: &Type) -> Option<Decode> {
    Some(match *ty {
        Type::BOOL => bool,
        Type::INT2 => int2,
        Type::INT4 => int4,
        Type::INT8 => int8,
        Type::OID => oid,
        Type::FLOAT4 => float4,
        Type::FLOAT8 => float8,
        Type::NUMERIC => numeric,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => text,
        Type::JSON => json,
        Type::JSONB => jsonb,
        Type::BYTEA => bytea,
        Type::UUID => uuid,
        Type::DATE => date,
        Type::TIME => time,
        Type::TIMESTAMP => timestamp,
        Type::TIMESTAMPTZ => timestamptz,
        _ if matches!(ty.kind(), Kind::Enum(_)) => text,
        _ => return None,
    })
}

/// What to select so that each column is of a type that is read here; none where all are.
pub(super) fn select_list<'c>(
    columns: impl Iterator<Item = (&'c str, &'c Type)> + Clone,
) -> Option<String> {
    if columns.clone().all(|(_, ty)| decoder(ty).is_some()) {
        return None;
    }
    let written = columns.map(|(name, ty)| {
        let name = quoted(name, '"');
        match ty.kind() {
            _ if decoder(ty).is_some() => name,
            Kind::Array(_) | Kind::Composite(_) => format!("pg_catalog.to_json({name})"),
            _ if *ty == Type::RECORD => format!("pg_catalog.to_json({name})"),
            _ => format!(
                "case when {name} is null then null else pg_catalog.format('%s', {name}) end"
            ),
        }
    });
    Some(written.collect::<Vec<_>>().join(", "))
}

/// How a value is read that the server has turned into text or JSON.
pub(super) fn turned(ty: &Type) -> Decode {
    match ty.kind() {
        Kind::Array(_) | Kind::Composite(_) => json,
        _ if *ty == Type::RECORD => json,
        _ => text,
    }
}

/// Whether a value, once it is text, is the value again when it is cast.
pub(super) fn may_be_key(ty: &Type) -> bool {
    *ty != Type::BYTEA && !matches!(ty.kind(), Kind::Array(_) | Kind::Composite(_))
}

pub(super) fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], &'static str> {
    bytes.try_into().map_err(|_| DAMAGED)
}

fn bool(text: &mut Vec<u8>, bytes: &[u8]) -> Result<(), &'static str> {
    let [value] = array(bytes)?;
    text.extend_from_slice(if value == 0 { b"false" } else { b"true" });
    Ok(())
}

fn int2(text: &mut Vec<u8>, bytes: &[u8]) -> Result<(), &'static str> {
    write::integer(text, i16::from_be_bytes(array(bytes)?).into());
    Ok(())
}

fn int4(text: &mut Vec<u8>, bytes: &[u8]) -> Result<(), &'static str> {
    write::integer(text, i32::from_be_bytes(array(bytes)?).into());
    Ok(())
}

fn int8(text: &mut Vec<u8>, bytes: &[u8]) -> Result<(), &'static str> {
    write::integer(text, i64::from_be_bytes(array(bytes)?));
    Ok(())
}

fn oid(text: &mut Vec<u8>, bytes: &[u8]) -> Result<(), &'static str> {
    write::integer(text, u32::from_be_bytes(array(bytes)?).into());
    Ok(())
}

fn float4(text: &mut Vec<u8>, bytes: &[u8]) -> Result<(), &'static str> {
    write::float4(text, f32::from_be_bytes(array(bytes)?));
    Ok(())
}

fn float8(text: &mut Vec<u8>, bytes: &[u8]) -> Result<(), &'static str> {
    write::float(text, f64::from_be_bytes(array(bytes)?));
    Ok(())
}

/// The parts of a `numeric`: groups of four decimal digits, and where the point is.
pub(super) struct Numeric<'b> {
    /// The exponent of the first group.
    pub(super) weight: i32,
    pub(super) is_negative: bool,
    /// How many digits are after the point.
    pub(super) scale: u16,
    /// Each in two bytes.
    pub(super) groups: &'b [u8],
}

impl<'b> Numeric<'b> {
    /// Reads a number, or the name of what is none.
    pub(super) fn read(bytes: &'b [u8]) -> Result<Result<Self, &'static str>, &'static str> {
        const MINUS: u16 = 0x4000;
        let (head, groups) = bytes.split_first_chunk::<8>().ok_or(DAMAGED)?;
        let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        Ok(match word(4) {
            0xC000 => Err("\"NaN\""),
            0xD000 => Err("\"Infinity\""),
            0xF000 => Err("\"-Infinity\""),
            _ if groups.len() != usize::from(word(0)) * 2 => return Err(DAMAGED),
            sign => Ok(Numeric {
                weight: word(2).cast_signed().into(),
                is_negative: sign == MINUS,
                scale: word(6),
                groups,
            }),
        })
    }

    /// The group with this exponent.
    fn group(&self, exponent: i32) -> u16 {
        let found = usize::try_from(self.weight - exponent).ok();
        let found = found.and_then(|index| self.groups.get(index * 2..index * 2 + 2));
        found.map_or(0, |pair| u16::from_be_bytes([pair[0], pair[1]]))
    }
}

fn numeric(text: &mut Vec<u8>, bytes: &[u8]) -> Result<(), &'static str> {
    match Numeric::read(bytes)? {
        Err(name) => text.extend_from_slice(name.as_bytes()),
        Ok(number) => {
            if number.is_negative {
                text.push(b'-');
            }
            decimal(text, number.weight, number.scale.into(), |exponent| {
                number.group(exponent)
            });
        }
    }
    Ok(())
}

/// A number from its groups of four digits, with `scale` digits after the point.
fn decimal(text: &mut Vec<u8>, weight: i32, scale: usize, group: impl Fn(i32) -> u16) {
    if weight < 0 {
        text.push(b'0');
    } else {
        write::integer(text, group(weight).into());
        for exponent in (0..weight).rev() {
            four_digits(text, group(exponent));
        }
    }
    if scale > 0 {
        text.push(b'.');
        let end = text.len() + scale;
        let mut exponent = -1;
        while text.len() < end {
            four_digits(text, group(exponent));
            exponent -= 1;
        }
        text.truncate(end);
    }
}

fn four_digits(text: &mut Vec<u8>, group: u16) {
    for divisor in [1000, 100, 10, 1] {
        text.push(b'0' + (group / divisor % 10) as u8);
    }
}

fn text(text: &mut Vec<u8>, bytes: &[u8]) -> Result<(), &'static str> {
    let value = std::str::from_utf8(bytes).map_err(|_| NOT_UTF8)?;
    write::string(text, value);
    Ok(())
}

pub(super) const NOT_UTF8: &str = "a text that is not UTF-8 has no form in JSON";

/// The document as it was written, on one line.
fn json(text: &mut Vec<u8>, bytes: &[u8]) -> Result<(), &'static str> {
    std::str::from_utf8(bytes).map_err(|_| NOT_UTF8)?;
    // Line breaks can stand only between tokens.
    text.extend(bytes.iter().map(|byte| match byte {
        b'\n' | b'\r' => b' ',
        byte => *byte,
    }));
    Ok(())
}

fn jsonb(text: &mut Vec<u8>, bytes: &[u8]) -> Result<(), &'static str> {
    match bytes.split_first() {
        Some((1, document)) => json(text, document),
        _ => Err("the server sent a jsonb of a version that is not known"),
    }
}

fn bytea(text: &mut Vec<u8>, bytes: &[u8]) -> Result<(), &'static str> {
    write::base64(text, bytes);
    Ok(())
}

fn uuid(text: &mut Vec<u8>, bytes: &[u8]) -> Result<(), &'static str> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bytes: [u8; 16] = array(bytes)?;
    text.push(b'"');
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push(b'-');
        }
        text.extend([
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ]);
    }
    text.push(b'"');
    Ok(())
}

/// Days from 1970-01-01 to 2000-01-01, from which PostgreSQL counts.
pub(super) const EPOCH: i64 = 10_957;

pub(super) const DAY: i64 = 86_400_000_000;

fn date(text: &mut Vec<u8>, bytes: &[u8]) -> Result<(), &'static str> {
    match i32::from_be_bytes(array(bytes)?) {
        i32::MAX => text.extend_from_slice(b"\"infinity\""),
        i32::MIN => text.extend_from_slice(b"\"-infinity\""),
        days => {
            text.push(b'"');
            let is_before = civil(text, i64::from(days));
            text.extend_from_slice(if is_before { b" BC\"" } else { b"\"" });
        }
    }
    Ok(())
}

fn time(text: &mut Vec<u8>, bytes: &[u8]) -> Result<(), &'static str> {
    text.push(b'"');
    clock(text, i64::from_be_bytes(array(bytes)?));
    text.push(b'"');
    Ok(())
}

fn timestamp(text: &mut Vec<u8>, bytes: &[u8]) -> Result<(), &'static str> {
    moment(text, bytes, "")
}

fn timestamptz(text: &mut Vec<u8>, bytes: &[u8]) -> Result<(), &'static str> {
    moment(text, bytes, "+00:00")
}

/// A time as ISO 8601 has it, or as PostgreSQL writes what that does not have.
fn moment(text: &mut Vec<u8>, bytes: &[u8], zone: &str) -> Result<(), &'static str> {
    match i64::from_be_bytes(array(bytes)?) {
        i64::MAX => text.extend_from_slice(b"\"infinity\""),
        i64::MIN => text.extend_from_slice(b"\"-infinity\""),
        micros => {
            text.push(b'"');
            let is_before = civil(text, micros.div_euclid(DAY));
            text.push(b'T');
            clock(text, micros.rem_euclid(DAY));
            text.extend_from_slice(zone.as_bytes());
            text.extend_from_slice(if is_before { b" BC\"" } else { b"\"" });
        }
    }
    Ok(())
}

/// The date of a day, counted from 2000-01-01; gives whether it is before the first year.
fn civil(text: &mut Vec<u8>, days: i64) -> bool {
    // Years that begin in March, in eras of 400 (Howard Hinnant, "chrono-Compatible Low-Level
    // Date Algorithms").
    let days = days + EPOCH + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let is_before = year <= 0;
    let shown = if is_before { 1 - year } else { year };
    if shown < 10_000 {
        four_digits(text, shown as u16);
    } else {
        write::integer(text, shown);
    }
    for part in [month, day] {
        text.push(b'-');
        two_digits(text, part);
    }
    is_before
}

/// The time of a day, with as many digits after the second as it needs.
fn clock(text: &mut Vec<u8>, micros: i64) {
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    two_digits(text, seconds / 3600);
    text.push(b':');
    two_digits(text, seconds / 60 % 60);
    text.push(b':');
    two_digits(text, seconds % 60);
    if fraction > 0 {
        text.push(b'.');
        for divisor in [100_000, 10_000, 1000, 100, 10, 1] {
            text.push(b'0' + (fraction / divisor % 10) as u8);
        }
        while text.last() == Some(&b'0') {
            text.pop();
        }
    }
}

fn two_digits(text: &mut Vec<u8>, number: i64) {
    text.extend([b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(decode: Decode, bytes: &[u8], expected: &str) {
        let mut text = Vec::new();
        decode(&mut text, bytes).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (days, expected) in [
            (0, "\"2000-01-01\""),
            (59, "\"2000-02-29\""),
            (-10_957, "\"1970-01-01\""),
            (-730_120, "\"0001-12-31 BC\""),
            (-730_119, "\"0001-01-01\""),
            (i32::MAX, "\"infinity\""),
        ] {
            check(date, &i32::to_be_bytes(days), expected);
        }
        check(
            timestamptz,
            &i64::to_be_bytes(-1),
            "\"1999-12-31T23:59:59.999999+00:00\"",
        );
        check(
            timestamp,
            &i64::to_be_bytes(500_000),
            "\"2000-01-01T00:00:00.5\"",
        );
    }

    #[test]
    fn numbers_keep_every_digit() {
        let number = |sign: u16, weight: i16, scale: u16, groups: &[u16]| {
            let head = [groups.len() as u16, weight as u16, sign, scale];
            head.iter()
                .chain(groups)
                .flat_map(|word| word.to_be_bytes())
                .collect::<Vec<u8>>()
        };
        check(numeric, &number(0, 0, 0, &[]), "0");
        check(numeric, &number(0, 0, 2, &[12, 3000]), "12.30");
        check(numeric, &number(0x4000, -2, 9, &[1, 2000]), "-0.000000012");
        check(numeric, &number(0, 2, 0, &[1]), "100000000");
        check(numeric, &number(0, 1, 5, &[12, 34, 56]), "120034.00560");
        check(numeric, &number(0xC000, 0, 0, &[]), "\"NaN\"");
        let mut text = Vec::new();
        assert!(numeric(&mut text, &[0, 1, 0, 0, 0, 0, 0, 0]).is_err());
    }
}
