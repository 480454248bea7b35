//! The elements of the array of items, from chunks.

use std::str::Utf8Error;

use bytes::{Bytes, BytesMut};

use super::blocks::{BlockChecker, Course, Instructions};
use super::checker::{Checker, Fault, MAX_DEPTH, Reason, is_space};
use super::envelope::display_byte;
use crate::error::{Error, Kind};

/// What is done with an element before it is handed out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Check {
    /// It is checked to be valid JSON in UTF-8.
    Valid,
    /// It is checked to be valid JSON, but not that its strings are in UTF-8:
    /// whoever takes it will.
    Nothing,
}

/// Cuts elements out of chunks; keeps the part of one that spans several.
///
/// They are those of an array, or values on lines of their own.
pub(crate) struct ItemScanner {
    check: Check,
    max_bytes: usize,
    state: ItemState,
    /// The state after an element.
    after: ItemState,
    checker: Checker,
    /// Does the same for objects and arrays, faster, where the processor can.
    blocks: Option<BlockChecker>,
    /// Whether the element in hand is followed by blocks.
    in_blocks: bool,
    /// How long the last element was.
    last_bytes: usize,
    part: BytesMut,
    /// Where the element in hand begins in the document.
    begins_at: u64,
    count: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum ItemState {
    ValueOrClose,
    Value,
    CommaOrClose,
    /// The next line, or the next record, may begin.
    Line,
    /// The line must end.
    EndOfLine,
    Inside,
}

/// Elements after one shorter than this are not followed by blocks: what a block costs, it
/// costs as a whole.
const LEAST_FOR_BLOCKS: usize = 128;

/// Begins each value of a text sequence (RFC 7464).
pub(crate) const RECORD: u8 = 0x1E;

/// What [`ItemScanner::next`] came to.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    /// The text of the next element.
    Element(Bytes),
    /// The end of the chunk.
    More,
    /// The end of the array.
    Close,
}

impl ItemScanner {
    pub(crate) fn new(check: Check, max_bytes: usize) -> Self {
        ItemScanner {
            check,
            max_bytes,
            state: ItemState::ValueOrClose,
            after: ItemState::CommaOrClose,
            checker: Checker::new(),
            blocks: Instructions::best().map(BlockChecker::new),
            in_blocks: false,
            last_bytes: LEAST_FOR_BLOCKS,
            part: BytesMut::new(),
            begins_at: 0,
            count: 0,
        }
    }

    /// Values on lines of their own, after as many as have been read elsewhere.
    pub(super) fn on_lines(check: Check, max_bytes: usize, count: u64) -> Self {
        ItemScanner {
            state: ItemState::Line,
            after: ItemState::EndOfLine,
            count,
            ..ItemScanner::new(check, max_bytes)
        }
    }

    /// Single values, with whatever stands between them read elsewhere.
    pub(super) fn of_values(check: Check, max_bytes: usize) -> Self {
        ItemScanner {
            state: ItemState::Value,
            after: ItemState::Value,
            ..ItemScanner::new(check, max_bytes)
        }
    }

    /// Values one after the other, on lines of their own or not, or after record separators
    /// (RFC 7464).
    pub(super) fn in_sequence(check: Check, max_bytes: usize) -> Self {
        ItemScanner {
            state: ItemState::Line,
            after: ItemState::Line,
            ..ItemScanner::new(check, max_bytes)
        }
    }

    /// A chunk begins.
    pub(crate) fn begin_chunk(&mut self) {
        self.checker.begin_chunk();
    }

    /// How many elements have come out.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Whether an element has come in part.
    pub(crate) fn is_inside(&self) -> bool {
        self.state == ItemState::Inside
    }

    /// Reads `chunk` from `at`, which stands at `offset` in the document.
    pub(crate) fn next(
        &mut self,
        chunk: &Bytes,
        at: &mut usize,
        offset: u64,
    ) -> Result<Found, Error> {
        loop {
            if self.state == ItemState::Inside {
                return self.inside(chunk, at, offset);
            }
            let Some(&byte) = chunk.get(*at) else {
                return Ok(Found::More);
            };
            match (self.state, byte) {
                (ItemState::EndOfLine, b'\n' | RECORD) | (ItemState::Line, RECORD) => {
                    *at += 1;
                    self.state = ItemState::Line;
                }
                _ if is_space(byte) => *at += 1,
                (ItemState::ValueOrClose | ItemState::CommaOrClose, b']') => {
                    *at += 1;
                    return Ok(Found::Close);
                }
                (ItemState::CommaOrClose, b',') => {
                    *at += 1;
                    self.state = ItemState::Value;
                }
                (ItemState::ValueOrClose | ItemState::Value | ItemState::Line, _)
                    if begins_value(byte) =>
                {
                    self.begin(byte, offset + *at as u64);
                }
                (state, _) => return Err(self.unexpected(state, byte, offset + *at as u64)),
            }
        }
    }

    /// Goes after the comma after an element: the first byte of the next one, or the end
    /// of the array, once it has come.
    pub(super) fn peek(
        &mut self,
        chunk: &[u8],
        at: &mut usize,
        offset: u64,
    ) -> Result<Option<u8>, Error> {
        while let Some(&byte) = chunk.get(*at) {
            match (self.state, byte) {
                _ if is_space(byte) => *at += 1,
                (ItemState::CommaOrClose, b',') => {
                    *at += 1;
                    self.state = ItemState::Value;
                }
                (ItemState::CommaOrClose, b']') | (ItemState::Value, _) => return Ok(Some(byte)),
                (state, _) => return Err(self.unexpected(state, byte, offset + *at as u64)),
            }
        }
        Ok(None)
    }

    fn begin(&mut self, byte: u8, position: u64) {
        self.begins_at = position;
        self.state = ItemState::Inside;
        self.in_blocks = false;
        if matches!(byte, b'{' | b'[')
            && self.last_bytes >= LEAST_FOR_BLOCKS
            && let Some(blocks) = &mut self.blocks
        {
            blocks.begin();
            self.in_blocks = true;
        } else {
            self.checker.begin();
        }
    }

    /// Follows the element in hand through a chunk: its end, if it ends there.
    fn follow(&mut self, chunk: &[u8], begin: usize, offset: u64) -> Result<Option<usize>, Error> {
        if self.in_blocks
            && let Some(blocks) = &mut self.blocks
        {
            match blocks.feed(chunk, begin) {
                Course::End(end) => return Ok(Some(end)),
                Course::More => return Ok(None),
                Course::Doubtful => self.read_again()?,
            }
        }
        (self.checker.feed(chunk, begin)).map_err(|fault| self.invalid(fault, chunk, offset))
    }

    /// Reads what has come of the element once more, to say what is wrong with it.
    fn read_again(&mut self) -> Result<(), Error> {
        self.in_blocks = false;
        let part = std::mem::take(&mut self.part);
        self.checker.begin_chunk();
        self.checker.begin();
        (self.checker.feed(&part, 0))
            .map_err(|fault| self.invalid(fault, &part, self.begins_at))?;
        self.checker.begin_chunk();
        self.part = part;
        Ok(())
    }

    /// Whether the element in hand has nothing but ASCII, as far as that is known.
    fn is_ascii(&self) -> bool {
        match &self.blocks {
            Some(blocks) if self.in_blocks => blocks.is_ascii(),
            _ => self.checker.is_ascii(),
        }
    }

    /// Goes on with an element that began in this chunk or in one before it.
    fn inside(&mut self, chunk: &Bytes, at: &mut usize, offset: u64) -> Result<Found, Error> {
        let begin = *at;
        let end = self.follow(chunk, begin, offset)?;
        let part = &chunk[begin..end.unwrap_or(chunk.len())];
        if self.part.len() + part.len() > self.max_bytes {
            return Err(self.too_large());
        }
        *at = begin + part.len();
        if end.is_none() {
            self.part.extend_from_slice(part);
            return Ok(Found::More);
        }
        let element = if self.part.is_empty() {
            chunk.slice(begin..*at)
        } else {
            self.part.extend_from_slice(part);
            self.part.split().freeze()
        };
        if self.check == Check::Valid
            && !self.is_ascii()
            && simdutf8::basic::from_utf8(&element).is_err()
            && let Err(error) = std::str::from_utf8(&element)
        {
            return Err(self.not_utf_8(error));
        }
        self.last_bytes = element.len();
        self.state = self.after;
        self.count += 1;
        Ok(Found::Element(element))
    }

    /// The error for the element that came last: it does not parse as it should.
    pub(crate) fn unfit(&self, element: &[u8], error: serde_json::Error) -> Error {
        let what = if error.is_data() {
            "is not of the expected type"
        } else {
            "is not valid JSON"
        };
        Error::content(format!(
            "item {}, at byte {}, {what}: {} at byte {}",
            self.count,
            self.begins_at,
            reason(&error),
            self.begins_at + position_of(element, &error),
        ))
        .with_source(error)
    }

    /// The error for the element in hand, where it comes to a byte of a chunk that
    /// stands at `offset`.
    fn invalid(&self, fault: Fault, chunk: &[u8], offset: u64) -> Error {
        let found = chunk.get(fault.at).copied().map(display_byte);
        let found = found.unwrap_or_default();
        let what = match fault.reason {
            Reason::TooDeep => return self.too_deep(),
            Reason::Expected(what) => format!("expected {what}"),
            Reason::Control => "control character in a string, not escaped,".to_owned(),
        };
        Error::content(format!(
            "item {}, at byte {}, is not valid JSON: {what} at byte {}, found {found}",
            self.count + 1,
            self.begins_at,
            offset + fault.at as u64,
        ))
    }

    fn not_utf_8(&self, error: Utf8Error) -> Error {
        Error::content(format!(
            "item {}, at byte {}, is not valid JSON: invalid unicode code point at byte {}",
            self.count + 1,
            self.begins_at,
            self.begins_at + error.valid_up_to() as u64,
        ))
        .with_source(error)
    }

    fn unexpected(&self, state: ItemState, byte: u8, position: u64) -> Error {
        let expected = match state {
            ItemState::CommaOrClose => "`,` or `]`",
            ItemState::EndOfLine => "the end of the line",
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
