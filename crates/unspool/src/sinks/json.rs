//! One JSON array.

use serde_json::Value;

use super::delivery::Batch;
use super::encoder::Encoder;
use super::{Format, file};
use crate::error::Error;

pub(super) const FORMAT: Format = Format {
    syntax: "FILE.json",
    about: "one JSON array, whole at each checkpoint",
    is_named: |target| file::has_extension(target, &["json"]),
    open: |target, options| {
        file::has_no_columns(&options)?;
        file::open(target, options, |_| Ok(Box::new(Array::default())))
    },
    keeps_state: false,
};

#[derive(Default)]
struct Array {
    /// Whether its `[` has been written.
    is_begun: bool,
    /// Whether it holds an item.
    has_items: bool,
}

impl Encoder for Array {
    fn begin(&mut self, saved: Option<&Value>) -> Result<(), Error> {
        self.is_begun = saved.is_some();
        self.has_items = saved.and_then(Value::as_bool).unwrap_or(false);
        Ok(())
    }

    fn encode<'b>(&mut self, batch: &'b Batch, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], Error> {
        buffer.reserve(batch.lines().len() + batch.len() + 2);
        self.flush(false, buffer)?;
        for item in batch.items() {
            buffer.extend_from_slice(if self.has_items { b",\n" } else { b"\n" });
            buffer.extend_from_slice(item);
            self.has_items = true;
        }
        Ok(buffer)
    }

    fn flush(&mut self, _: bool, buffer: &mut Vec<u8>) -> Result<bool, Error> {
        if !self.is_begun {
            buffer.push(b'[');
            self.is_begun = true;
        }
        Ok(true)
    }

    fn tail(&self) -> &'static [u8] {
        b"\n]\n"
    }

    fn saved(&self) -> Option<Value> {
        Some(self.has_items.into())
    }
}
