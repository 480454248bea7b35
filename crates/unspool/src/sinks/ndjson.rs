//! One JSON text a line.

use super::delivery::Batch;
use super::encoder::Encoder;
use super::{Format, file};
use crate::error::Error;

pub(super) const FORMAT: Format = Format {
    syntax: "FILE.jsonl, FILE.ndjson",
    about: "one JSON text a line; with .gz or .zst after it compressed",
    is_named: |target| file::has_extension(target, &["jsonl", "ndjson"]),
    open: |target, options| {
        file::has_no_columns(&options)?;
        file::open(target, options, |_| Ok(Box::new(Ndjson)))
    },
    keeps_state: false,
};

struct Ndjson;

impl Encoder for Ndjson {
    fn encode<'b>(&mut self, batch: &'b Batch, _: &'b mut Vec<u8>) -> Result<&'b [u8], Error> {
        Ok(batch.lines())
    }
}
