//! Rows as JSON text, written straight from the values of the database.

use std::collections::HashSet;
use std::fmt::Display;
use std::io::Write as _;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::batch::{Batch, Limits};
use crate::error::Error;

/// Writes rows, and looks at their keys.
#[derive(Debug)]
pub(super) struct RowWriter {
    /// What stands before the value of each column.
    heads: Vec<Vec<u8>>,
    names: Vec<String>,
    text: Vec<u8>,
    ends: Vec<usize>,
    /// The columns of the key.
    key: Vec<usize>,
    /// Where the values of the row at hand begin.
    begins: Vec<usize>,
    last_key: Vec<Vec<u8>>,
    limits: Limits,
    /// Rows that were written before.
    written: u64,
}

impl RowWriter {
    /// For rows of these columns.
    ///
    /// # Errors
    ///
    /// There are no columns, two have the same name, or one of the key is missing.
    pub(super) fn new(names: Vec<String>, key: &[String], limits: Limits) -> Result<Self, Error> {
        if names.is_empty() {
            return Err(Error::request(
                "expected a statement that returns rows; this one returns none",
            ));
        }
        let mut seen = HashSet::new();
        if let Some(name) = names.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(Error::request(format!(
                "the column `{name}` comes twice: name one of them otherwise, with `as`"
            )));
        }
        let key = key.iter().map(|column| {
            let index = names.iter().position(|name| name == column);
            index.ok_or_else(|| {
                Error::request(format!(
                    "the key `{column}` is not among the columns of the statement: `{}`",
                    names.join("`, `")
                ))
            })
        });
        Ok(RowWriter {
            key: key.collect::<Result<_, _>>()?,
            heads: heads(&names),
            begins: vec![0; names.len()],
            names,
            text: Vec::new(),
            ends: Vec::new(),
            last_key: Vec::new(),
            limits,
            written: 0,
        })
    }

    /// The text to which the value of a column is to be appended. Columns come in their
    /// order.
    pub(super) fn value(&mut self, column: usize) -> &mut Vec<u8> {
        self.text.extend_from_slice(&self.heads[column]);
        self.begins[column] = self.text.len();
        &mut self.text
    }

    /// Whether a column is one of the key.
    #[cfg(feature = "sqlite")]
    pub(super) fn is_key(&self, column: usize) -> bool {
        self.key.contains(&column)
    }

    /// What is said of a value that cannot be written.
    pub(super) fn unfit(&self, column: usize, why: impl Display) -> Error {
        Error::content(format!(
            "row {}, column `{}`: {why}",
            self.written + self.ends.len() as u64 + 1,
            self.names[column]
        ))
    }

    /// The row at hand is complete.
    ///
    /// # Errors
    ///
    /// Its key is null, or that of the row before.
    pub(super) fn end_row(&mut self) -> Result<(), Error> {
        self.text.push(b'}');
        if !self.key.is_empty() {
            self.check_key()?;
        }
        self.ends.push(self.text.len());
        Ok(())
    }

    fn check_key(&mut self) -> Result<(), Error> {
        let key: Vec<Range<usize>> = self.key.iter().map(|column| self.span(*column)).collect();
        let null =
            (key.iter().zip(&self.key)).find(|(span, _)| &self.text[(*span).clone()] == b"null");
        if let Some((_, column)) = null {
            return Err(self.unfit(*column, "the key is null, and nothing comes after null"));
        }
        let tokens = || key.iter().map(|span| &self.text[span.clone()]);
        if !self.last_key.is_empty() && self.last_key.iter().map(Vec::as_slice).eq(tokens()) {
            return Err(self.unfit(
                self.key[0],
                "the key is that of the row before; a key that is not unique loses rows: add \
                 columns to it",
            ));
        }
        self.last_key = tokens().map(<[u8]>::to_vec).collect();
        Ok(())
    }

    /// Where the value of a column of the complete row at hand is.
    fn span(&self, column: usize) -> Range<usize> {
        let end = match self.heads.get(column + 1) {
            Some(head) => self.begins[column + 1] - head.len(),
            None => self.text.len() - 1,
        };
        self.begins[column]..end
    }

    /// The key of the row that was written last; none where there is no key or no row.
    pub(super) fn last_key(&self) -> Option<Vec<String>> {
        let token = |token: &Vec<u8>| String::from_utf8_lossy(token).into_owned();
        (!self.last_key.is_empty()).then(|| self.last_key.iter().map(token).collect())
    }

    /// How many bytes are there that have not been taken.
    #[cfg(feature = "mysql")]
    pub(super) fn written_bytes(&self) -> usize {
        self.text.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whether as much has been written as travels together.
    pub(super) fn is_full(&self) -> bool {
        self.ends.len() >= self.limits.rows || self.text.len() >= self.limits.bytes
    }

    /// All complete rows that have been written.
    pub(super) fn take(&mut self) -> Batch {
        self.written += self.ends.len() as u64;
        self.text
            .truncate(self.ends.last().copied().unwrap_or_default());
        let room = self.text.len() + self.text.len() / 8;
        Batch {
            text: Bytes::from(std::mem::replace(&mut self.text, Vec::with_capacity(room))),
            ends: std::mem::take(&mut self.ends),
        }
    }
}

/// `{"name":` for the first column, `,"name":` for the others.
fn heads(names: &[String]) -> Vec<Vec<u8>> {
    let head = |(index, name): (usize, &String)| {
        let mut head = vec![if index == 0 { b'{' } else { b',' }];
        string(&mut head, name);
        head.push(b':');
        head
    };
    names.iter().enumerate().map(head).collect()
}

pub(super) fn null(text: &mut Vec<u8>) {
    text.extend_from_slice(b"null");
}

/// A number as it is displayed, such as an integer.
pub(super) fn display(text: &mut Vec<u8>, value: impl Display) {
    // Writing to memory does not fail.
    let _ = write!(text, "{value}");
}

pub(super) fn integer(text: &mut Vec<u8>, value: i64) {
    // A number is written without fail.
    let _ = serde_json::to_writer(text, &value);
}

/// The shortest number that reads as this one; what is no number in JSON becomes a text.
pub(super) fn float(text: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        let _ = serde_json::to_writer(text, &value);
    } else {
        not_finite(text, value);
    }
}

fn not_finite(text: &mut Vec<u8>, value: f64) {
    text.extend_from_slice(if value.is_nan() {
        b"\"NaN\""
    } else if value > 0.0 {
        b"\"Infinity\""
    } else {
        b"\"-Infinity\""
    });
}

/// The shortest number that reads as this one in single precision.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) fn float4(text: &mut Vec<u8>, value: f32) {
    if value.is_finite() {
        let _ = serde_json::to_writer(text, &value);
    } else {
        not_finite(text, value.into());
    }
}

/// What JSON escapes in a string.
const ESCAPED: [bool; 256] = {
    let mut escaped = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        escaped[byte] = true;
        byte += 1;
    }
    escaped[b'"' as usize] = true;
    escaped[b'\\' as usize] = true;
    escaped
};

pub(super) fn string(text: &mut Vec<u8>, value: &str) {
    text.push(b'"');
    let mut rest = value.as_bytes();
    while let Some(at) = rest.iter().position(|byte| ESCAPED[*byte as usize]) {
        text.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'"' => text.extend_from_slice(b"\\\""),
            b'\\' => text.extend_from_slice(b"\\\\"),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            b'\t' => text.extend_from_slice(b"\\t"),
            control => display(text, format_args!("\\u{control:04x}")),
        }
        rest = &rest[at + 1..];
    }
    text.extend_from_slice(rest);
    text.push(b'"');
}

/// Bytes as Base64.
pub(super) fn base64(text: &mut Vec<u8>, value: &[u8]) {
    text.push(b'"');
    let begin = text.len();
    text.resize(begin + value.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(value, &mut text[begin..]);
    // There is room for all of it.
    text.truncate(begin + written.unwrap_or_default());
    text.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(key: &[&str]) -> Result<RowWriter, Error> {
        let names = vec!["id".to_owned(), "a\"b".to_owned()];
        let key: Vec<String> = key.iter().map(|&name| name.to_owned()).collect();
        RowWriter::new(names, &key, Limits { rows: 2, bytes: 64 })
    }

    fn row(writer: &mut RowWriter, id: i64, text: &str) -> Result<(), Error> {
        integer(writer.value(0), id);
        string(writer.value(1), text);
        writer.end_row()
    }

    #[test]
    fn rows_are_objects_and_fill_a_batch() {
        let mut writer = writer(&["id"]).unwrap();
        row(&mut writer, 1, "x").unwrap();
        assert!(!writer.is_full());
        row(&mut writer, i64::MIN, "\u{1}\n\\é\"").unwrap();
        assert!(writer.is_full());
        assert_eq!(writer.last_key().unwrap(), ["-9223372036854775808"]);
        let batch = writer.take();
        let rows: Vec<_> = batch.rows().collect();
        assert_eq!(rows[0], r#"{"id":1,"a\"b":"x"}"#);
        assert_eq!(
            rows[1],
            r#"{"id":-9223372036854775808,"a\"b":"\u0001\n\\é\""}"#
        );
        assert_eq!(batch.row(1).as_ref(), Some(&rows[1]));
        assert!(writer.is_empty() && !writer.is_full());
    }

    #[test]
    fn every_string_reads_back_as_it_was() {
        for value in [
            "",
            "a",
            "\0\u{7f}\u{80}\u{2028}",
            "\"\\/\u{8}\u{c}\r\t",
            "日本語",
        ] {
            let mut text = Vec::new();
            string(&mut text, value);
            let read: String = serde_json::from_slice(&text).unwrap();
            assert_eq!(read, value);
        }
    }

    #[test]
    fn a_key_is_unique_and_never_null() {
        let mut writer = writer(&["a\"b", "id"]).unwrap();
        row(&mut writer, 1, "x").unwrap();
        row(&mut writer, 2, "x").unwrap();
        let error = row(&mut writer, 2, "x").unwrap_err().to_string();
        assert!(
            error.contains("row 3, column `a\"b`: the key is that"),
            "{error}"
        );
        null(writer.value(0));
        string(writer.value(1), "y");
        let error = writer.end_row().unwrap_err().to_string();
        assert!(error.contains("column `id`: the key is null"), "{error}");
    }

    #[test]
    fn columns_have_names_of_their_own() {
        let new = |names: &[&str]| {
            let names = names.iter().map(|&name| name.to_owned()).collect();
            RowWriter::new(names, &["id".to_owned()], Limits::default()).unwrap_err()
        };
        assert!(
            new(&["a", "b", "a"])
                .to_string()
                .contains("`a` comes twice")
        );
        assert!(new(&["a", "b"]).to_string().contains("`id` is not among"));
        assert!(new(&[]).to_string().contains("returns none"));
    }
}
