//! The elements of the array of items, from chunks.

use bytes::{Bytes, BytesMut};
use serde_json::value::RawValue;

use super::outline::display_byte;
use super::scan::{MAX_DEPTH, Scan, TooDeep, is_space};
use crate::error::{Error, Kind};

/// What is done with an element before it is handed out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Check {
    /// It is checked to be valid JSON in UTF-8.
    Valid,
    /// Nothing: whoever takes it will parse it.
    Nothing,
}

/// Cuts elements out of chunks; keeps the part of one that spans several.
pub(crate) struct Elements {
    check: Check,
    max_bytes: usize,
    state: State,
    part: BytesMut,
    /// Where the element in hand begins in the document.
    begins_at: u64,
    count: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    ValueOrClose,
    Value,
    CommaOrClose,
    Inside(Scan),
}

/// What [`Elements::next`] came to.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    /// The text of the next element.
    Element(Bytes),
    /// The end of the chunk.
    More,
    /// The end of the array.
    Close,
}

impl Elements {
    pub(crate) fn new(check: Check, max_bytes: usize) -> Self {
        Elements {
            check,
            max_bytes,
            state: State::ValueOrClose,
            part: BytesMut::new(),
            begins_at: 0,
            count: 0,
        }
    }

    /// How many elements have come out.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Whether an element has come in part.
    pub(crate) fn is_inside(&self) -> bool {
        matches!(self.state, State::Inside(_))
    }

    /// Reads `chunk` from `at`, which stands at `offset` in the document.
    pub(crate) fn next(
        &mut self,
        chunk: &Bytes,
        at: &mut usize,
        offset: u64,
    ) -> Result<Found, Error> {
        loop {
            if let State::Inside(scan) = self.state {
                return self.inside(scan, chunk, at);
            }
            let Some(&byte) = chunk.get(*at) else {
                return Ok(Found::More);
            };
            match (self.state, byte) {
                _ if is_space(byte) => *at += 1,
                (State::ValueOrClose | State::CommaOrClose, b']') => {
                    *at += 1;
                    return Ok(Found::Close);
                }
                (State::CommaOrClose, b',') => {
                    *at += 1;
                    self.state = State::Value;
                }
                (State::ValueOrClose | State::Value, _) if begins_value(byte) => {
                    self.begins_at = offset + *at as u64;
                    if let Some(length) = self.whole(&chunk[*at..])? {
                        let element = chunk.slice(*at..*at + length);
                        *at += length;
                        return self.complete(element);
                    }
                    self.state = State::Inside(Scan::Start);
                }
                (state, _) => return Err(self.unexpected(state, byte, offset + *at as u64)),
            }
        }
    }

    /// The length of the element at the front, if it is a container that has come
    /// as a whole: the parser finds its end while it checks it, which is faster
    /// than one after the other.
    fn whole(&self, rest: &[u8]) -> Result<Option<usize>, Error> {
        if self.check == Check::Nothing || !matches!(rest.first(), Some(b'{' | b'[')) {
            return Ok(None);
        }
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>();
        // Not every error is one: a chunk that ends behind `1.` holds an invalid
        // number, so far. What is wrong is found again in the whole element.
        let Some(Ok(_)) = values.next() else {
            return Ok(None);
        };
        let length = values.byte_offset();
        // Each level takes two bytes at the least: a short element is not deep.
        if length > 2 * MAX_DEPTH as usize {
            Scan::Start
                .feed(&rest[..length])
                .map_err(|TooDeep| self.too_deep())?;
        }
        Ok(Some(length))
    }

    /// Goes on with an element that began in this chunk or in one before it.
    fn inside(&mut self, mut scan: Scan, chunk: &Bytes, at: &mut usize) -> Result<Found, Error> {
        let rest = &chunk[*at..];
        let end = scan.feed(rest).map_err(|TooDeep| self.too_deep())?;
        let length = end.unwrap_or(rest.len());
        if self.part.len() + length > self.max_bytes {
            return Err(self.too_large());
        }
        let begin = *at;
        *at += length;
        if end.is_none() {
            self.part.extend_from_slice(rest);
            self.state = State::Inside(scan);
            return Ok(Found::More);
        }
        let element = if self.part.is_empty() {
            chunk.slice(begin..*at)
        } else {
            self.part.extend_from_slice(&rest[..length]);
            self.part.split().freeze()
        };
        if self.check == Check::Valid
            && let Err(error) = serde_json::from_slice::<&RawValue>(&element)
        {
            return Err(self.invalid(self.count + 1, &element, error));
        }
        self.complete(element)
    }

    fn complete(&mut self, element: Bytes) -> Result<Found, Error> {
        if element.len() > self.max_bytes {
            return Err(self.too_large());
        }
        self.state = State::CommaOrClose;
        self.count += 1;
        Ok(Found::Element(element))
    }

    /// The error for the element that came last: it does not parse as it should.
    pub(crate) fn unfit(&self, element: &[u8], error: serde_json::Error) -> Error {
        self.invalid(self.count, element, error)
    }

    fn invalid(&self, number: u64, element: &[u8], error: serde_json::Error) -> Error {
        let what = if error.is_data() {
            "is not of the expected type"
        } else {
            "is not valid JSON"
        };
        Error::content(format!(
            "item {number}, at byte {}, {what}: {} at byte {}",
            self.begins_at,
            reason(&error),
            self.begins_at + position_of(element, &error),
        ))
        .with_source(error)
    }

    fn unexpected(&self, state: State, byte: u8, position: u64) -> Error {
        let expected = match state {
            State::CommaOrClose => "`,` or `]`",
            _ => "a value",
        };
        Error::content(format!(
            "not JSON: expected {expected} after {} items, at byte {position}; found {}",
            self.count,
            display_byte(byte)
        ))
    }

    fn too_deep(&self) -> Error {
        Error::content(format!(
            "item {}, at byte {}, nests more than {MAX_DEPTH} deep",
            self.count + 1,
            self.begins_at
        ))
    }

    fn too_large(&self) -> Error {
        Error::new(
            Kind::TooLarge,
            format!(
                "item {}, at byte {}, is over the limit of {} bytes",
                self.count + 1,
                self.begins_at,
                self.max_bytes
            ),
        )
    }
}

fn begins_value(byte: u8) -> bool {
    matches!(
        byte,
        b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'
    )
}

/// The message without the position, which counts from the element.
fn reason(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.rfind(" at line ") {
        Some(end) => message[..end].to_owned(),
        None => message,
    }
}

/// How many bytes into `text` the parser was.
fn position_of(text: &[u8], error: &serde_json::Error) -> u64 {
    let line_begins = match error.line() {
        0 | 1 => 0,
        line => memchr::memchr_iter(b'\n', text)
            .nth(line - 2)
            .map_or(0, |newline| newline + 1),
    };
    (line_begins + error.column().saturating_sub(1)) as u64
}
