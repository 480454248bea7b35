//! Rows of a binary `COPY` (PostgreSQL, "COPY", "Binary Format").

use super::types::Decoder;
use crate::error::{Error, Kind};
use crate::rows::write::RowWriter;

/// What every binary copy begins with.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// Reads rows out of the messages of a copy, each of which the server fills with whole rows.
pub(super) struct CopyReader {
    decoders: Vec<Decoder>,
    is_begun: bool,
    is_ended: bool,
}

impl CopyReader {
    pub(super) fn new(decoders: Vec<Decoder>) -> Self {
        CopyReader {
            decoders,
            is_begun: false,
            is_ended: false,
        }
    }

    /// Writes the rows of a message.
    pub(super) fn read(&mut self, message: &[u8], writer: &mut RowWriter) -> Result<(), Error> {
        let mut rest = Rest(message);
        if !self.is_begun {
            self.is_begun = true;
            rest.head()?;
        }
        while !rest.0.is_empty() {
            let count = i16::from_be_bytes(rest.array()?);
            if count == -1 {
                self.is_ended = true;
                continue;
            }
            if self.is_ended || usize::try_from(count) != Ok(self.decoders.len()) {
                return Err(damaged());
            }
            for (column, decoder) in self.decoders.iter().enumerate() {
                writer.put(column, decoder, rest.value()?)?;
            }
            writer.end_row()?;
        }
        Ok(())
    }

    /// The copy is over: that it came to its own end.
    pub(super) fn end(&self) -> Result<(), Error> {
        match self.is_ended {
            true => Ok(()),
            false => Err(Error::new(
                Kind::Truncated,
                "the copy ended without its end mark",
            )),
        }
    }
}

struct Rest<'m>(&'m [u8]);

impl<'m> Rest<'m> {
    fn head(&mut self) -> Result<(), Error> {
        if self.array::<11>()? != *SIGNATURE {
            return Err(damaged());
        }
        // Flags that are none of ours.
        self.array::<4>()?;
        let length = u32::from_be_bytes(self.array()?);
        self.take(length as usize)?;
        Ok(())
    }

    fn value(&mut self) -> Result<Option<&'m [u8]>, Error> {
        match i32::from_be_bytes(self.array()?) {
            -1 => Ok(None),
            length => self
                .take(usize::try_from(length).map_err(|_| damaged())?)
                .map(Some),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (array, rest) = self.0.split_first_chunk().ok_or_else(damaged)?;
        self.0 = rest;
        Ok(*array)
    }

    fn take(&mut self, length: usize) -> Result<&'m [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(damaged)?;
        self.0 = rest;
        Ok(taken)
    }
}

fn damaged() -> Error {
    Error::content("the server sent a copy that is not in its binary format")
}
