//! `FILE.csv` and `FILE.tsv`: a line of names, and a line for each item (RFC 4180, with line
//! feeds).
//!
//! Numbers have the digits that they came with, lists and objects are JSON text, and `null`
//! is an empty field without quotes, where empty text is one with quotes.

use memchr::{memchr, memchr3};
use serde_json::Value as Json;

use super::delivery::Batch;
use super::encoder::Encoder;
use super::schema::{Columns, Row, Sample, Schema, Value};
use super::tables::{self, conflict, failed, misfit_at};
use super::{Format, Options, file};
use crate::error::Error;

pub(super) const FORMAT: Format = Format {
    syntax: "FILE.csv, FILE.tsv",
    about: "comma- or tab-separated values; with .gz or .zst after it compressed",
    is_named: |target| file::has_extension(target, &["csv", "tsv"]),
    open: |target, options| {
        let delimiter = if file::has_extension(target, &["tsv"]) {
            b'\t'
        } else {
            b','
        };
        file::open(target, options, |options| {
            Ok(Box::new(Csv::new(delimiter, options)?))
        })
    },
    keeps_state: false,
};

struct Csv {
    delimiter: u8,
    pinned: Schema,
    stage: Stage,
    /// How many items were taken, those of earlier runs included.
    items: u64,
    row: Row,
    text: String,
}

enum Stage {
    /// The first items are held back, since their keys are the header.
    Sampling(Sample),
    /// The header is written, or goes before the next line.
    Writing(Columns),
}

impl Csv {
    fn new(delimiter: u8, options: &Options) -> Result<Self, Error> {
        let pinned = tables::pinned(options)?;
        Ok(Csv {
            delimiter,
            stage: Stage::Sampling(Sample::new(&pinned)),
            pinned,
            items: 0,
            row: Row::default(),
            text: String::new(),
        })
    }

    fn take(&mut self, item: &str, buffer: &mut Vec<u8>) -> Result<(), Error> {
        self.items += 1;
        match &mut self.stage {
            Stage::Sampling(sample) => {
                (sample.push(item)).map_err(|misfit| misfit_at(self.items, &misfit))?;
                if sample.is_full() {
                    self.settle(buffer)
                } else {
                    Ok(())
                }
            }
            Stage::Writing(columns) => {
                let mut line = Line {
                    delimiter: self.delimiter,
                    row: &mut self.row,
                    text: &mut self.text,
                    buffer,
                };
                line.item(columns, self.items, item)
            }
        }
    }

    /// Writes the header, and what was held back.
    fn settle(&mut self, buffer: &mut Vec<u8>) -> Result<(), Error> {
        let Stage::Sampling(sample) = &mut self.stage else {
            return Ok(());
        };
        let mut columns = sample.columns();
        // Of no items and no schema there is no header yet.
        if columns.list().is_empty() {
            return Ok(());
        }
        let mut line = Line {
            delimiter: self.delimiter,
            row: &mut self.row,
            text: &mut self.text,
            buffer,
        };
        line.header(&columns);
        let first = self.items + 1 - sample.len();
        for (number, item) in (first..).zip(sample.items()) {
            line.item(&mut columns, number, item)?;
        }
        self.stage = Stage::Writing(columns);
        Ok(())
    }
}

impl Encoder for Csv {
    fn begin(&mut self, saved: Option<&Json>) -> Result<(), Error> {
        let Some(saved) = saved else {
            return Ok(());
        };
        self.stage = Stage::Writing(Columns::restored(&saved["columns"], &self.pinned)?);
        self.items = saved["items"].as_u64().unwrap_or(0);
        Ok(())
    }

    fn encode<'b>(&mut self, batch: &'b Batch, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], Error> {
        for item in batch.items() {
            self.take(tables::text(item), buffer)?;
        }
        Ok(buffer)
    }

    fn flush(&mut self, is_last: bool, buffer: &mut Vec<u8>) -> Result<bool, Error> {
        if let Stage::Sampling(sample) = &mut self.stage
            && !is_last
            && sample.may_pass_checkpoint()
        {
            return Ok(false);
        }
        self.settle(buffer)?;
        Ok(true)
    }

    fn saved(&self) -> Option<Json> {
        match &self.stage {
            Stage::Sampling(_) => None,
            Stage::Writing(columns) => Some(serde_json::json!({
                "columns": columns.lines(),
                "items": self.items,
            })),
        }
    }
}

/// Where lines go.
struct Line<'a> {
    delimiter: u8,
    row: &'a mut Row,
    text: &'a mut String,
    buffer: &'a mut Vec<u8>,
}

impl Line<'_> {
    fn header(&mut self, columns: &Columns) {
        for (at, column) in columns.list().iter().enumerate() {
            self.delimit(at);
            field(&column.key, self.delimiter, self.buffer);
        }
        self.end(columns.list().len());
    }

    fn item(&mut self, columns: &mut Columns, number: u64, item: &str) -> Result<(), Error> {
        let count = columns.list().len();
        (columns.split(item, self.row)).map_err(|misfit| misfit_at(number, &misfit))?;
        if let Some(new) = columns.list().get(count) {
            return Err(failed(format!(
                "item {number} has the key `{0}`, which no item before it had, and the header is \
                 written; `--schema FILE` with the line `{0} text` settles it, from the beginning \
                 with `--overwrite`",
                new.key
            )));
        }
        for at in 0..count {
            self.delimit(at);
            let value = self.row.value(at, item);
            let column = &columns.list()[at];
            if column.is_pinned && !column.kind.holds(value) {
                return Err(conflict(number, column, value));
            }
            match value {
                Value::Null => {}
                Value::Number(text) => self.buffer.extend_from_slice(text.as_bytes()),
                Value::Text(quoted) => match quoted.decode(self.text) {
                    Some(text) => field(text, self.delimiter, self.buffer),
                    None => field(value.json(&mut String::new()), self.delimiter, self.buffer),
                },
                _ => field(value.json(self.text), self.delimiter, self.buffer),
            }
        }
        self.end(count);
        Ok(())
    }

    fn delimit(&mut self, at: usize) {
        if at > 0 {
            self.buffer.push(self.delimiter);
        }
    }

    fn end(&mut self, count: usize) {
        // Readers pass over an empty line.
        if count == 1 && self.buffer.last().is_none_or(|last| *last == b'\n') {
            self.buffer.extend_from_slice(b"\"\"");
        }
        self.buffer.push(b'\n');
    }
}

/// Text as a field, in quotes where it needs them.
fn field(text: &str, delimiter: u8, buffer: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    if !bytes.is_empty() && !needs_quotes(bytes, delimiter) {
        buffer.extend_from_slice(bytes);
        return;
    }
    buffer.push(b'"');
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(b'"', rest) {
        buffer.extend_from_slice(&rest[..=at]);
        buffer.push(b'"');
        rest = &rest[at + 1..];
    }
    buffer.extend_from_slice(rest);
    buffer.push(b'"');
}

/// Whether one of these bytes makes a reader see another field: most fields are so short that
/// a call of `memchr` takes longer than the search.
fn needs_quotes(bytes: &[u8], delimiter: u8) -> bool {
    const ONES: u64 = u64::MAX / 255;
    const SHORT: usize = 64;
    let marks = [b'"', b'\n', b'\r', delimiter];
    if bytes.len() > SHORT {
        return memchr3(b'"', b'\n', delimiter, bytes).is_some() || memchr(b'\r', bytes).is_some();
    }
    // Eight bytes at a time, the last eight once more for those that are left over.
    let Some(last) = bytes.last_chunk::<8>() else {
        return bytes.iter().any(|byte| marks.contains(byte));
    };
    let (words, _) = bytes.as_chunks::<8>();
    let has_mark = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        let zeros = marks.map(|mark| {
            let differs = word ^ (ONES * u64::from(mark));
            differs.wrapping_sub(ONES) & !differs
        });
        (zeros[0] | zeros[1] | zeros[2] | zeros[3]) & (ONES << 7) != 0
    };
    has_mark(last) || words.iter().any(has_mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_quotes_is_seen_wherever_it_is() {
        for length in 1..100 {
            let mut bytes = vec![0xa2; length];
            assert!(!needs_quotes(&bytes, b'\t'));
            for at in 0..length {
                for mark in *b"\"\n\r\t" {
                    bytes[at] = mark;
                    assert!(needs_quotes(&bytes, b'\t'), "{mark} at {at} of {length}");
                    bytes[at] = mark ^ 0x80;
                    assert!(!needs_quotes(&bytes, b'\t'));
                }
                bytes[at] = 0xa2;
            }
        }
    }

    /// The text of items, in so many batches.
    fn written(schema: &str, batches: &[&[&str]]) -> Result<String, Error> {
        let options = Options {
            schema: (!schema.is_empty()).then(|| schema.to_owned()),
            ..Options::default()
        };
        let mut csv = Csv::new(b',', &options)?;
        let mut whole = Vec::new();
        for items in batches {
            let mut batch = Batch::default();
            items.iter().for_each(|item| batch.push(item.as_bytes()));
            let mut buffer = Vec::new();
            whole.extend_from_slice(csv.encode(&batch, &mut buffer)?);
            csv.flush(true, &mut whole)?;
        }
        Ok(String::from_utf8(whole).unwrap())
    }

    #[track_caller]
    fn check(items: &[&str], expected: &str) {
        assert_eq!(written("", &[items]).unwrap(), expected);
    }

    #[test]
    fn values_stay_what_they_were() {
        check(
            &[
                r#"{"a":1,"b c":"x","d":[1,"y"]}"#,
                r#"{"b c":"a \"q\", \r\n","e":1234567890123456789012.50}"#,
                r#"{"a":"","d":{"x":null},"b c":null,"e":true}"#,
            ],
            "a,b c,d,e\n\
             1,x,\"[1,\"\"y\"\"]\",\n\
             ,\"a \"\"q\"\", \r\n\",,1234567890123456789012.50\n\
             \"\",,\"{\"\"x\"\":null}\",true\n",
        );
        check(
            &[r#"{"Id":1,"id":2}"#, r#"{"a\u0000,":"😀"}"#],
            "Id,id,\"a\0,\"\n1,2,\n,,😀\n",
        );
        check(&[r#"{"a":"\ud800"}"#], "a\n\"\"\"\\ud800\"\"\"\n");
    }

    #[test]
    fn an_item_is_never_an_empty_line() {
        check(
            &[r#"{"a":null}"#, r#"{"a":""}"#, "{}"],
            "a\n\"\"\n\"\"\n\"\"\n",
        );
        check(&["1", "[2]"], "value\n1\n[2]\n");
    }

    #[test]
    fn without_items_there_is_the_header_of_the_schema() {
        check(&[], "");
        assert_eq!(written("a int\nb text", &[&[]]).unwrap(), "a,b\n");
    }

    #[test]
    fn a_key_after_the_header_stops_with_what_settles_it() {
        let batches: [&[&str]; 2] = [&[r#"{"a":1}"#], &[r#"{"a":2}"#, r#"{"b":3}"#]];
        let error = written("", &batches).unwrap_err().to_string();
        assert!(error.contains("item 3 has the key `b`"), "{error}");
        assert!(
            error.contains("`--schema FILE` with the line `b text`"),
            "{error}"
        );
        assert_eq!(written("b int", &batches).unwrap(), "b,a\n,1\n,2\n3,\n");
    }

    #[test]
    fn a_pinned_column_takes_its_type_only() {
        let error = written("a int", &[&[r#"{"a":"x"}"#]])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("item 1: the field `a` is text (`\"x\"`)"),
            "{error}"
        );
    }

    #[test]
    fn a_later_run_goes_on_under_the_same_header() {
        let mut first = Csv::new(b'\t', &Options::default()).unwrap();
        let mut batch = Batch::default();
        batch.push(br#"{"b":1,"a":"x\ty"}"#);
        let mut whole = Vec::new();
        first.encode(&batch, &mut Vec::new()).unwrap();
        assert_eq!(first.saved(), None);
        first.flush(true, &mut whole).unwrap();
        let mut second = Csv::new(b'\t', &Options::default()).unwrap();
        second.begin(first.saved().as_ref()).unwrap();
        let mut batch = Batch::default();
        batch.push(br#"{"a":2}"#);
        let mut buffer = Vec::new();
        whole.extend_from_slice(second.encode(&batch, &mut buffer).unwrap());
        assert_eq!(
            String::from_utf8(whole).unwrap(),
            "b\ta\n1\t\"x\ty\"\n\t2\n"
        );
        let mut batch = Batch::default();
        batch.push(br#"{"c":2}"#);
        let error = second.encode(&batch, &mut Vec::new()).unwrap_err();
        assert!(
            error.to_string().contains("item 3 has the key `c`"),
            "{error}"
        );
    }
}
