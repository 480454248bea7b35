//! Private parts, for the bench and the fuzz targets of this repository.
//!
//! Nothing here is part of the library's interface: it changes without notice.

use bytes::Bytes;

use crate::error::Error;
use crate::json::{Check, End, Place, Pointer, Splitter};

/// Whether the splitter checks the items that it hands out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Items {
    /// They are checked to be valid JSON in UTF-8.
    Checked,
    /// They are checked to be valid JSON, but not to be in UTF-8.
    AnyEncoding,
}

/// Splits a document that is an array, and hands its items out one by one.
///
/// # Errors
///
/// The document is not an array, not whole, or not JSON.
pub fn split(
    chunks: impl IntoIterator<Item = Bytes>,
    items: Items,
    max_bytes: usize,
    mut item: impl FnMut(Bytes),
) -> Result<u64, Error> {
    let check = match items {
        Items::Checked => Check::Valid,
        Items::AnyEncoding => Check::Nothing,
    };
    let root = Place::At(Pointer::default());
    let mut splitter = Splitter::new(root, check, max_bytes);
    for chunk in chunks {
        splitter.push(chunk);
        while let Some(element) = splitter.next()? {
            item(element);
        }
    }
    match splitter.end()? {
        End::Whole(_) | End::Late(..) => Ok(splitter.count()),
    }
}
