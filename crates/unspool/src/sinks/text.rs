//! A text as it is, such as the answer of a model.

use super::delivery::Batch;
use super::encoder::Encoder;
use super::{Options, Sink, file};
use crate::error::Error;

/// A sink for the pieces of a text, which is no list of items.
pub(super) fn open(target: &str, options: Options) -> Result<Sink, Error> {
    file::has_no_columns(&options)?;
    file::open(target, options, |_| Ok(Box::new(Pieces)))
}

struct Pieces;

impl Encoder for Pieces {
    fn encode<'b>(&mut self, batch: &'b Batch, _: &'b mut Vec<u8>) -> Result<&'b [u8], Error> {
        Ok(batch.lines())
    }
}
