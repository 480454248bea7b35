//! Lines of a body as its bytes arrive.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

use crate::error::{Error, Kind};

/// The byte order mark in UTF-8, which some writers put before a text.
pub(crate) const BYTE_ORDER_MARK: &[u8] = "\u{FEFF}".as_bytes();

/// How much is allocated at a time for lines that span chunks.
const BLOCK: usize = 4 << 10;

/// Cuts bytes into lines that end with LF, CR, or both: [`push`](Lines::push) each
/// chunk and take the lines that have come.
///
/// A line is a slice of the chunk that it arrived in; one that spans several is put
/// together. Memory is bounded by one chunk and the longest line.
pub(crate) struct Lines {
    max_bytes: usize,
    chunk: Bytes,
    at: usize,
    /// The begin of a line whose end has not come. Lines that are put together share what
    /// was allocated for one.
    begun: BytesMut,
    /// The last line, if it spanned several chunks.
    spanning: Bytes,
    /// A CR ended the last line: a LF that follows belongs to it.
    is_after_cr: bool,
}

impl Lines {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Lines {
            max_bytes,
            chunk: Bytes::new(),
            at: 0,
            begun: BytesMut::new(),
            spanning: Bytes::new(),
            is_after_cr: false,
        }
    }

    /// Gives the next bytes; the lines of those before must have been taken.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.chunk = chunk;
        self.at = 0;
    }

    /// The next whole line, without its end, as a part of what it is a slice of; none
    /// where more bytes are needed.
    ///
    /// # Errors
    ///
    /// If the line is above the limit.
    pub(crate) fn next_line(&mut self) -> Result<Option<(&Bytes, Range<usize>)>, Error> {
        if self.is_after_cr && self.at < self.chunk.len() {
            self.is_after_cr = false;
            if self.chunk[self.at] == b'\n' {
                self.at += 1;
            }
        }
        let rest = &self.chunk[self.at..];
        let end = match rest.first() {
            // Every other line or so, and not worth a search.
            Some(b'\n' | b'\r') => Some(0),
            _ => memchr2(b'\n', b'\r', rest),
        };
        let Some(length) = end else {
            if !rest.is_empty() {
                if self.begun.capacity() == 0 {
                    self.begun = BytesMut::with_capacity(BLOCK);
                }
                self.begun.extend_from_slice(rest);
            }
            // Whoever waits for more keeps nothing of what has been read.
            (self.chunk, self.at) = (Bytes::new(), 0);
            self.spanning = Bytes::new();
            return match self.begun.len() > self.max_bytes {
                true => Err(self.too_long()),
                false => Ok(None),
            };
        };
        let line = self.at..self.at + length;
        self.at = line.end + 1;
        if self.chunk[line.end] == b'\r' {
            match self.chunk.get(self.at) {
                Some(b'\n') => self.at += 1,
                Some(_) => {}
                None => self.is_after_cr = true,
            }
        }
        if self.begun.len() + length > self.max_bytes {
            return Err(self.too_long());
        }
        if self.begun.is_empty() {
            return Ok(Some((&self.chunk, line)));
        }
        self.begun.extend_from_slice(&self.chunk[line]);
        self.spanning = self.begun.split().freeze();
        Ok(Some((&self.spanning, 0..self.spanning.len())))
    }

    /// The rest of a line after this begin, if the lines come with it next, and LF and an
    /// empty line after it, all in one chunk: one search for what else takes several steps.
    pub(crate) fn next_block(&mut self, begin: &[u8]) -> Option<(&Bytes, Range<usize>)> {
        if self.is_after_cr || self.is_inside() {
            return None;
        }
        let rest = self.chunk[self.at..].strip_prefix(begin)?;
        let length = memchr2(b'\n', b'\r', rest)?;
        if !rest[length..].starts_with(b"\n\n") || begin.len() + length > self.max_bytes {
            return None;
        }
        let start = self.at + begin.len();
        self.at = start + length + 2;
        Some((&self.chunk, start..start + length))
    }

    /// Whether a line has begun whose end has not come.
    pub(crate) fn is_inside(&self) -> bool {
        !self.begun.is_empty()
    }

    /// There is no more: what came after the end of the last line.
    #[cfg(feature = "ask")]
    pub(crate) fn end(&mut self) -> Bytes {
        self.begun.split().freeze()
    }

    fn too_long(&self) -> Error {
        Error::new(
            Kind::TooLarge,
            format!("a line is over the limit of {} bytes", self.max_bytes),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&'static str]) -> Vec<String> {
        let mut lines = Lines::new(100);
        let mut found = Vec::new();
        for chunk in chunks {
            lines.push(Bytes::from_static(chunk.as_bytes()));
            while let Some((bytes, range)) = lines.next_line().unwrap() {
                found.push(String::from_utf8(bytes[range].to_vec()).unwrap());
            }
        }
        let rest = lines.end();
        found.push(format!("rest: {}", String::from_utf8_lossy(&rest)));
        found
    }

    #[test]
    fn lines_end_with_lf_cr_or_both_wherever_they_are_cut() {
        let text = "a\nb\rc\r\n\r\n\n\rd";
        let expected = ["a", "b", "c", "", "", "", "rest: d"];
        assert_eq!(lines(&[text]), expected);
        for at in 0..text.len() {
            let (begin, rest) = text.split_at(at);
            assert_eq!(lines(&[begin, "", rest]), expected, "cut at {at}");
        }
    }

    #[test]
    fn a_line_above_the_limit_is_refused_before_it_has_come() {
        let mut lines = Lines::new(3);
        lines.push(Bytes::from_static(b"abc\nabcd"));
        assert!(lines.next_line().unwrap().is_some());
        assert!(lines.next_line().unwrap_err().is_too_large());
        let mut lines = Lines::new(3);
        lines.push(Bytes::from_static(b"ab"));
        assert!(lines.next_line().unwrap().is_none());
        lines.push(Bytes::from_static(b"cd\n"));
        assert!(lines.next_line().unwrap_err().is_too_large());
    }
}
