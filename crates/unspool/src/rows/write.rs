//! Rows as JSON text, written straight from the values of the database.

use std::collections::HashSet;
use std::fmt::Display;
use std::io::Write as _;
use std::ops::Range;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

#[cfg(feature = "arrow")]
use super::arrow::{Builder, Cell, ColumnType, Columns};
use super::batch::{Batch, Limits};
use crate::error::Error;

/// How the values of a column are written.
pub(super) trait Form<'v> {
    /// A value as the database gives it.
    type Value: Copy;

    /// Appends the value as JSON text.
    ///
    /// # Errors
    ///
    /// Why it has none.
    fn write(&self, text: &mut Vec<u8>, value: Self::Value) -> Result<(), &'static str>;

    /// The value for an Arrow array.
    ///
    /// # Errors
    ///
    /// Why it has no place in the type of its column.
    #[cfg(feature = "arrow")]
    fn cell(&self, value: Self::Value) -> Result<Cell<'v>, &'static str>;

    /// Appends the value to its array without a cell in between, where that is possible; gives how
    /// many bytes of it are beside the array of its places.
    ///
    /// # Errors
    ///
    /// As [`Form::cell`].
    #[cfg(feature = "arrow")]
    fn append(&self, _: &mut Builder, _: Self::Value) -> Result<Option<usize>, &'static str> {
        Ok(None)
    }
}

/// How long rows wait for others before they are handed over to somebody who waits for them:
/// rows that trickle are not kept back, and rows that come fast travel together.
#[cfg(any(feature = "postgres", feature = "mysql"))]
const MOMENT: Duration = Duration::from_millis(5);

/// The same for arrays, of which small ones cost their consumer more than their rows.
#[cfg(all(feature = "arrow", any(feature = "postgres", feature = "mysql")))]
const MOMENT_OF_ARRAYS: Duration = Duration::from_millis(50);

/// Writes rows, as JSON texts or into Arrow arrays, and looks at their keys.
#[derive(Debug)]
pub(super) struct RowWriter {
    /// What stands before the value of each column; empty for those that are not written as
    /// text.
    heads: Vec<Vec<u8>>,
    names: Vec<String>,
    text: Vec<u8>,
    ends: Vec<usize>,
    /// The columns of the key.
    key: Vec<usize>,
    /// Where the values of the row at hand are.
    spans: Vec<Range<usize>>,
    last_key: Vec<Vec<u8>>,
    limits: Limits,
    /// Complete rows that have not been taken, and those that were taken before.
    rows: usize,
    taken: u64,
    #[cfg(feature = "arrow")]
    columns: Option<Columns>,
}

impl RowWriter {
    /// For rows of these columns, as text.
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
        let is_repeated = |index: usize| key[..index].contains(&key[index]);
        if let Some(index) = (0..key.len()).find(|index| is_repeated(*index)) {
            return Err(Error::request(format!(
                "the column `{}` comes twice in the key",
                key[index]
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
            heads: heads(&names, |_| true),
            spans: vec![0..0; names.len()],
            names,
            text: Vec::new(),
            ends: Vec::new(),
            last_key: Vec::new(),
            limits,
            rows: 0,
            taken: 0,
            #[cfg(feature = "arrow")]
            columns: None,
        })
    }

    /// For Arrow arrays of these types; the key alone is written as text.
    #[cfg(feature = "arrow")]
    pub(super) fn into_arrays(mut self, types: Vec<ColumnType>) -> Self {
        self.heads = heads(&self.names, |column| self.key.contains(&column));
        self.columns = Some(Columns::new(&self.names, types));
        self
    }

    /// Writes the value of a column. Columns come in their order.
    ///
    /// # Errors
    ///
    /// The value cannot be written.
    pub(super) fn put<'v, F: Form<'v>>(
        &mut self,
        column: usize,
        form: &F,
        value: F::Value,
    ) -> Result<(), Error> {
        #[cfg(feature = "arrow")]
        if let Some(columns) = &mut self.columns {
            let put = columns.put(column, form, value);
            put.map_err(|why| self.unfit(column, why))?;
            if self.heads[column].is_empty() {
                return Ok(());
            }
        }
        self.text.extend_from_slice(&self.heads[column]);
        let begin = self.text.len();
        let written = form.write(&mut self.text, value);
        written.map_err(|why| self.unfit(column, why))?;
        self.spans[column] = begin..self.text.len();
        Ok(())
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
            self.taken + self.rows as u64 + 1,
            self.names[column]
        ))
    }

    /// The row at hand is complete.
    ///
    /// # Errors
    ///
    /// Its key is null, or that of the row before.
    pub(super) fn end_row(&mut self) -> Result<(), Error> {
        if !self.key.is_empty() {
            self.check_key()?;
        }
        if self.has_text() {
            self.text.push(b'}');
            self.ends.push(self.text.len());
        }
        self.rows += 1;
        Ok(())
    }

    /// Whether anything of a row is written as text.
    fn has_text(&self) -> bool {
        #[cfg(feature = "arrow")]
        if self.columns.is_some() {
            return !self.key.is_empty();
        }
        true
    }

    fn check_key(&mut self) -> Result<(), Error> {
        let span = |column: &usize| &self.text[self.spans[*column].clone()];
        if let Some(column) = self.key.iter().find(|column| span(column) == b"null") {
            return Err(self.unfit(*column, "the key is null, and nothing comes after null"));
        }
        let is_repeated = !self.last_key.is_empty()
            && (self.last_key.iter().map(Vec::as_slice)).eq(self.key.iter().map(span));
        if is_repeated {
            return Err(self.unfit(
                self.key[0],
                "the key is that of the row before; a key that is not unique loses rows: add \
                 columns to it",
            ));
        }
        self.last_key.resize_with(self.key.len(), Vec::new);
        for (last, column) in self.last_key.iter_mut().zip(&self.key) {
            last.clear();
            last.extend_from_slice(&self.text[self.spans[*column].clone()]);
        }
        Ok(())
    }

    /// The key of the row that was written last; none where there is no key or no row.
    pub(super) fn last_key(&self) -> Option<Vec<String>> {
        let token = |token: &Vec<u8>| String::from_utf8_lossy(token).into_owned();
        (!self.last_key.is_empty()).then(|| self.last_key.iter().map(token).collect())
    }

    /// How many bytes are there that have not been taken.
    pub(super) fn bytes(&self) -> usize {
        #[cfg(feature = "arrow")]
        if let Some(columns) = &self.columns {
            return columns.bytes();
        }
        self.text.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether nothing was ever taken, and its columns are to be known also where there are
    /// no rows.
    pub(super) fn owes_columns(&self) -> bool {
        #[cfg(feature = "arrow")]
        if let Some(columns) = &self.columns {
            return !columns.are_known();
        }
        false
    }

    /// Whether rows may be taken before as many are there as travel together: not those by
    /// which types are settled, which would depend on the time.
    #[cfg(feature = "sqlite")]
    pub(super) fn may_be_partial(&self) -> bool {
        #[cfg(feature = "arrow")]
        if let Some(columns) = &self.columns {
            return columns.are_settled();
        }
        true
    }

    /// How long its rows wait for others; the first texts do not.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(super) fn moment(&self) -> Option<Duration> {
        #[cfg(feature = "arrow")]
        if self.columns.is_some() {
            return Some(MOMENT_OF_ARRAYS);
        }
        (self.taken > 0).then_some(MOMENT)
    }

    /// Whether as much has been written as travels together.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= self.limits.rows || self.bytes() >= self.limits.bytes
    }

    /// All complete rows that have been written.
    ///
    /// # Errors
    ///
    /// The arrays do not become a batch, which is an error of this program.
    pub(super) fn take(&mut self) -> Result<Batch, Error> {
        let rows = std::mem::take(&mut self.rows);
        self.taken += rows as u64;
        let bytes = self.bytes();
        self.text
            .truncate(self.ends.last().copied().unwrap_or_default());
        let room = self.text.len() + self.text.len() / 8;
        let ends_room = self.ends.len();
        Ok(Batch {
            text: Bytes::from(std::mem::replace(&mut self.text, Vec::with_capacity(room))),
            ends: std::mem::replace(&mut self.ends, Vec::with_capacity(ends_room)),
            rows,
            bytes,
            #[cfg(feature = "arrow")]
            columns: (self.columns.as_mut())
                .map(|columns| columns.take(rows))
                .transpose()?,
        })
    }
}

/// `{"name":` for the first column that is written, `,"name":` for those after it.
fn heads(names: &[String], is_written: impl Fn(usize) -> bool) -> Vec<Vec<u8>> {
    let mut first = b'{';
    let head = |(index, name): (usize, &String)| {
        let mut head = Vec::new();
        if is_written(index) {
            head.push(std::mem::replace(&mut first, b','));
            string(&mut head, name);
            head.push(b':');
        }
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
fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Where the first byte is that JSON escapes: eight at a time, as most texts have few of them.
fn escaped(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGHS: u64 = ONES << 7;
    // The highest bit of each byte that is less than another one; above the first of them bits
    // may be wrong, which are not looked at.
    let less = |word: u64, than: u8| word.wrapping_sub(ONES * u64::from(than)) & !word & HIGHS;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let is = |byte: u8| less(word ^ (ONES * u64::from(byte)), 1);
        let found = less(word, 0x20) | is(b'"') | is(b'\\');
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|byte| is_escaped(*byte))?;
    Some(words.len() * 8 + at)
}

pub(super) fn string(text: &mut Vec<u8>, value: &str) {
    text.reserve(value.len() + 2);
    text.push(b'"');
    let mut rest = value.as_bytes();
    while let Some(at) = escaped(rest) {
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

    /// Values that are JSON text already.
    struct Written;

    impl<'v> Form<'v> for Written {
        type Value = &'v str;

        fn write(&self, text: &mut Vec<u8>, value: &'v str) -> Result<(), &'static str> {
            text.extend_from_slice(value.as_bytes());
            Ok(())
        }

        #[cfg(feature = "arrow")]
        fn cell(&self, value: &'v str) -> Result<Cell<'v>, &'static str> {
            Ok(Cell::Text(value))
        }
    }

    fn row(writer: &mut RowWriter, id: i64, value: &str) -> Result<(), Error> {
        let mut text = Vec::new();
        string(&mut text, value);
        writer.put(0, &Written, &id.to_string())?;
        writer.put(1, &Written, std::str::from_utf8(&text).unwrap())?;
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
        let batch = writer.take().unwrap();
        let rows: Vec<_> = batch.texts().collect();
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
    fn what_is_escaped_is_found_wherever_it_stands() {
        for length in 0..40 {
            for at in 0..=length {
                for byte in 0..=u8::MAX {
                    let mut bytes = vec![0x80; length];
                    if let Some(place) = bytes.get_mut(at) {
                        *place = byte;
                    }
                    // One more after it, which is not the first.
                    bytes.push(b'"');
                    let expected = bytes.iter().position(|byte| is_escaped(*byte));
                    assert_eq!(escaped(&bytes), expected, "{bytes:?}");
                }
            }
        }
        assert_eq!(escaped("äöü日本語 plain text\u{7f}".as_bytes()), None);
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
        writer.put(0, &Written, "null").unwrap();
        writer.put(1, &Written, "\"y\"").unwrap();
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
        let error = writer(&["id", "id"]).unwrap_err().to_string();
        assert!(error.contains("`id` comes twice in the key"), "{error}");
    }
}
