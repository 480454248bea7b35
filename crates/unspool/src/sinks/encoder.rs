//! What the formats of files differ in: how items become text.

use serde_json::Value;

use super::delivery::Batch;
use crate::error::Error;

/// A format of items in a file that grows at its end. Compression, checkpoints and resuming
/// are the file's part, and the same for all.
pub(crate) trait Encoder: Send {
    /// Begins a file, or goes on in one: `saved` is what [`saved`](Encoder::saved) gave at the
    /// checkpoint that the file ends with.
    ///
    /// # Errors
    ///
    /// What was saved cannot be read, or is not what the options ask for.
    fn begin(&mut self, saved: Option<&Value>) -> Result<(), Error> {
        let _ = saved;
        Ok(())
    }

    /// The text of these items, made in `buffer`, which is empty, or a part of the batch as it
    /// is. An encoder may hold items back to look at more of them first.
    ///
    /// # Errors
    ///
    /// An item cannot be written in this format.
    fn encode<'b>(&mut self, batch: &'b Batch, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], Error>;

    /// A checkpoint is to be made: appends what was held back and says whether all items are
    /// written now. Where `is_last` is false it may say no, and go on holding them back.
    ///
    /// # Errors
    ///
    /// An item cannot be written in this format.
    fn flush(&mut self, is_last: bool, buffer: &mut Vec<u8>) -> Result<bool, Error> {
        let _ = (is_last, buffer);
        Ok(true)
    }

    /// What stands after the items to make the file whole, such as the `]` of an array; the
    /// next items are written over it.
    fn tail(&self) -> &'static [u8] {
        b""
    }

    /// What it has to know to go on in the file later, such as the columns.
    fn saved(&self) -> Option<Value> {
        None
    }
}
