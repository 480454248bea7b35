//! The records of a file, and the proof that it is still the same one.

use std::fs::File;
use std::hash::Hasher as _;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;
use twox_hash::XxHash3_64;

use super::place::Place;
use super::template::Template;
use crate::error::Error;

/// The longest line of the file.
const MAX_LINE: u64 = 16 << 20;

/// A file of one JSON text a line, read one after the other.
pub(super) struct Records {
    path: PathBuf,
    reader: BufReader<File>,
    /// Whether a record stands in a row, beside what came of it.
    are_rows: bool,
    seen: Seen,
}

/// How far the file has been read.
#[derive(Clone)]
struct Seen {
    line: u64,
    record: u64,
    bytes: u64,
    hash: XxHash3_64,
}

/// One record, and where the file stands after it.
pub(super) struct Record {
    pub(super) json: Box<RawValue>,
    pub(super) prompt: String,
    pub(super) number: u64,
    /// The bytes of the file up to its end, and their hash.
    pub(super) bytes: u64,
    pub(super) hash: u64,
}

impl Records {
    /// Reads the whole file before anything is asked: each record has to be JSON and to have
    /// what the template needs, and up to `from` the file has to be as it was. Those after
    /// `from`, and how many there are in all.
    pub(super) fn checked(
        path: &Path,
        are_rows: bool,
        template: &Template,
        from: Option<&Place>,
    ) -> Result<(Self, u64), Error> {
        let mut records = Records::open(path, are_rows)?;
        let (bytes, hash) = from.map_or((0, None), |from| (from.bytes, Some(from.hash)));
        let mut begin = None;
        loop {
            if records.seen.bytes == bytes {
                begin = Some(records.seen.clone());
            }
            if records.next(template)?.is_none() {
                break;
            }
        }
        let total = records.seen.record;
        let is_same = |seen: &Seen| hash.is_none_or(|hash| hash == seen.hash.finish());
        let Some(begin) = begin.filter(is_same) else {
            return Err(Error::request(format!(
                "`{}` has changed: it does not begin with the records that have been asked about",
                path.display()
            )));
        };
        (records.reader.seek(SeekFrom::Start(begin.bytes)))
            .map_err(|error| unreadable(path, error))?;
        records.seen = begin;
        Ok((records, total))
    }

    fn open(path: &Path, are_rows: bool) -> Result<Self, Error> {
        // To open a pipe would wait for somebody who writes to it.
        let is_file = std::fs::metadata(path).map(|metadata| metadata.is_file());
        if !is_file.map_err(|error| unreadable(path, error))? {
            return Err(Error::request(format!(
                "expected a file in `{}`: it is read twice, and again by a run that resumes",
                path.display()
            )));
        }
        let file = File::open(path).map_err(|error| unreadable(path, error))?;
        Ok(Records {
            path: path.to_owned(),
            reader: BufReader::with_capacity(64 << 10, file),
            are_rows,
            seen: Seen {
                line: 0,
                record: 0,
                bytes: 0,
                hash: XxHash3_64::new(),
            },
        })
    }

    /// The next record; empty lines are none.
    pub(super) fn next(&mut self, template: &Template) -> Result<Option<Record>, Error> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut self.reader)
                .take(MAX_LINE + 1)
                .read_until(b'\n', &mut line)
                .map_err(|error| unreadable(&self.path, error))?;
            if read == 0 {
                return Ok(None);
            }
            self.seen.line += 1;
            if read as u64 > MAX_LINE {
                return Err(self.wrong(&format!("is longer than {} MiB", MAX_LINE >> 20)));
            }
            self.seen.bytes += read as u64;
            self.seen.hash.write(&line);
            if !line.trim_ascii().is_empty() {
                break;
            }
        }
        self.seen.record += 1;
        let json = self.record(line.trim_ascii())?;
        let prompt = template.fill(&json).map_err(|why| self.wrong(&why))?;
        if prompt.trim_ascii().is_empty() {
            return Err(self.wrong("makes an empty prompt"));
        }
        Ok(Some(Record {
            json,
            prompt,
            number: self.seen.record,
            bytes: self.seen.bytes,
            hash: self.seen.hash.finish(),
        }))
    }

    /// The record in a line.
    fn record(&self, line: &[u8]) -> Result<Box<RawValue>, Error> {
        #[derive(Deserialize)]
        struct Row {
            record: Box<RawValue>,
        }
        let wrong = |what: &str, error: serde_json::Error| {
            self.wrong(&format!("{what}: {error}")).with_source(error)
        };
        if self.are_rows {
            let row: Row = serde_json::from_slice(line)
                .map_err(|error| wrong("is no row of an earlier run", error))?;
            return Ok(row.record);
        }
        serde_json::from_slice(line).map_err(|error| wrong("is no JSON", error))
    }

    fn wrong(&self, what: &str) -> Error {
        // The column of an error speaks of the line.
        Error::request(format!(
            "record {} (line {}) of `{}`: {what}",
            self.seen.record.max(1),
            self.seen.line,
            self.path.display()
        ))
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::request(format!("cannot read `{}`: {error}", path.display())).with_source(error)
}
