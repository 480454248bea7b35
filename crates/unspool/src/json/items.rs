//! The elements of the array of items, from chunks.

use std::str::Utf8Error;

use bytes::{Bytes, BytesMut};

use super::blocks::{Before, BlockChecker, Course, Instructions};
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
    /// Does the same for arrays of elements, and for objects and arrays, faster, where the
    /// processor can.
    blocks: Option<BlockChecker>,
    reader: Reader,
    /// Blocks have refused the next element, or the one in hand.
    is_doubtful: bool,
    /// What is known of the chunk from an element in it on.
    encoding: Encoding,
    /// How long the last element was.
    last_bytes: usize,
    part: BytesMut,
    /// Where the element in hand begins in the document.
    begins_at: u64,
    count: u64,
}

/// Who follows the elements.
#[derive(Clone, Copy, PartialEq)]
enum Reader {
    /// The checker follows the element in hand, if there is one.
    Bytes,
    /// Blocks follow the element in hand.
    Blocks,
    /// Blocks follow the array, and have looked further than what has been handed out.
    List,
}

/// Whether bytes are UTF-8.
#[derive(Clone, Copy, PartialEq)]
enum Encoding {
    Unknown,
    Utf8,
    /// Something in them is not.
    Other,
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
            reader: Reader::Bytes,
            is_doubtful: false,
            encoding: Encoding::Unknown,
            last_bytes: LEAST_FOR_BLOCKS,
            part: BytesMut::new(),
            begins_at: 0,
            count: 0,
        }
    }

    /// The same with other instructions than the best, or with none.
    #[cfg(any(test, feature = "internals"))]
    pub(super) fn with_instructions(self, instructions: Option<Instructions>) -> Self {
        ItemScanner {
            blocks: instructions.map(BlockChecker::new),
            ..self
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
        self.encoding = Encoding::Unknown;
        if let Some(blocks) = &mut self.blocks {
            blocks.begin_chunk();
        }
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
            while let (Reader::List, Some(blocks)) = (self.reader, &mut self.blocks) {
                let course = blocks.next(chunk);
                if let Course::Comma(comma) = course
                    && self.is_plain(&chunk[*at..comma])
                {
                    let element = chunk.slice(*at..comma);
                    self.begins_at = offset + *at as u64;
                    self.count += 1;
                    *at = comma + 1;
                    return Ok(Found::Element(element));
                }
                if let Some(found) = self.in_list(course, chunk, at, offset)? {
                    return Ok(found);
                }
            }
            if let Some(found) = self.by_bytes(chunk, at, offset)? {
                return Ok(found);
            }
        }
    }

    /// Whether these bytes of a chunk, which a comma ends, are an element that can be handed
    /// out as it is.
    #[inline(always)]
    fn is_plain(&self, element: &[u8]) -> bool {
        let is_utf_8 = self.encoding == Encoding::Utf8
            || self.check == Check::Nothing
            || self.blocks.as_ref().is_some_and(BlockChecker::is_ascii);
        let has_space = |byte: Option<&u8>| byte.is_none_or(|byte| *byte <= b' ');
        self.state == ItemState::Value
            && is_utf_8
            && element.len() <= self.max_bytes
            && !has_space(element.first())
            && !has_space(element.last())
    }

    /// Reads what the checker follows; none where blocks begin to follow the array.
    #[inline(never)]
    fn by_bytes(
        &mut self,
        chunk: &Bytes,
        at: &mut usize,
        offset: u64,
    ) -> Result<Option<Found>, Error> {
        loop {
            if self.state == ItemState::Inside {
                return self.inside(chunk, at, offset).map(Some);
            }
            if self.begins_list(chunk, *at) {
                return Ok(None);
            }
            let Some(&byte) = chunk.get(*at) else {
                return Ok(Some(Found::More));
            };
            match (self.state, byte) {
                (ItemState::EndOfLine, b'\n' | RECORD) | (ItemState::Line, RECORD) => {
                    *at += 1;
                    self.state = ItemState::Line;
                }
                _ if is_space(byte) => *at += 1,
                (ItemState::ValueOrClose | ItemState::CommaOrClose, b']') => {
                    *at += 1;
                    return Ok(Some(Found::Close));
                }
                (ItemState::CommaOrClose, b',') => {
                    *at += 1;
                    self.state = ItemState::Value;
                }
                (ItemState::ValueOrClose | ItemState::Value | ItemState::Line, _)
                    if begins_value(byte) =>
                {
                    self.begin(byte, *at, offset);
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
        // Blocks begin again after what is read here.
        self.reader = Reader::Bytes;
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

    /// Has blocks follow the array from here on, if they can.
    fn begins_list(&mut self, chunk: &[u8], at: usize) -> bool {
        let before = match self.state {
            _ if self.after != ItemState::CommaOrClose => return false,
            ItemState::ValueOrClose => Before::Open,
            ItemState::Value => Before::Comma,
            _ => Before::Element,
        };
        let Some(blocks) = &mut self.blocks else {
            return false;
        };
        if self.is_doubtful || at == chunk.len() {
            return false;
        }
        blocks.begin_list(before, at);
        self.reader = Reader::List;
        true
    }

    /// What blocks that follow the array have come to; none where that is for what comes next
    /// to say, or where they cannot say it.
    #[inline(never)]
    fn in_list(
        &mut self,
        course: Course,
        chunk: &Bytes,
        at: &mut usize,
        offset: u64,
    ) -> Result<Option<Found>, Error> {
        let (end, state) = match course {
            Course::Comma(comma) if self.state == ItemState::CommaOrClose => {
                *at = comma + 1;
                self.state = ItemState::Value;
                return Ok(None);
            }
            Course::Comma(comma) => (comma, ItemState::Value),
            Course::End(end) => {
                self.reader = Reader::Bytes;
                if !self.is_element(&chunk[*at..end - 1]) {
                    *at = end;
                    return Ok(Some(Found::Close));
                }
                (end - 1, ItemState::CommaOrClose)
            }
            Course::MoreAfterElement if self.state != ItemState::CommaOrClose => {
                (chunk.len(), ItemState::CommaOrClose)
            }
            Course::More | Course::MoreAfterElement => {
                self.keep(&chunk[*at..], offset + *at as u64)?;
                *at = chunk.len();
                return Ok(Some(Found::More));
            }
            Course::Doubtful => {
                self.reader = Reader::Bytes;
                self.is_doubtful = true;
                if self.state == ItemState::Inside {
                    self.read_again()?;
                }
                return Ok(None);
            }
        };
        let element = self.cut(chunk, *at, end, offset)?;
        // A comma has been read, too.
        *at = end + usize::from(state == ItemState::Value);
        self.state = state;
        Ok(Some(Found::Element(element)))
    }

    /// Whether there is an element, or the end of one, in what stands before the end of the
    /// array.
    fn is_element(&self, bytes: &[u8]) -> bool {
        match self.state {
            ItemState::Inside => true,
            ItemState::CommaOrClose => false,
            _ => !bytes.iter().all(|byte| is_space(*byte)),
        }
    }

    /// The element that ends in this chunk before `end`, white space aside.
    fn cut(&mut self, chunk: &Bytes, at: usize, end: usize, offset: u64) -> Result<Bytes, Error> {
        let mut begin = at;
        if self.state != ItemState::Inside {
            while chunk.get(begin).is_some_and(|byte| is_space(*byte)) {
                begin += 1;
            }
            self.begins_at = offset + begin as u64;
        }
        let mut end = end;
        while end > begin && is_space(chunk[end - 1]) {
            end -= 1;
        }
        let is_ascii = (self.blocks.as_ref()).is_some_and(BlockChecker::is_ascii);
        self.hand_out(chunk, begin, end, is_ascii)
    }

    /// Keeps what comes of an element before the end of a chunk.
    fn keep(&mut self, rest: &[u8], position: u64) -> Result<(), Error> {
        let mut begin = 0;
        if self.state != ItemState::Inside {
            let Some(first) = rest.iter().position(|byte| !is_space(*byte)) else {
                return Ok(());
            };
            begin = first;
            self.begins_at = position + first as u64;
            self.state = ItemState::Inside;
        }
        if self.part.len() + rest.len() - begin > self.max_bytes {
            return Err(self.too_large());
        }
        self.part.extend_from_slice(&rest[begin..]);
        Ok(())
    }

    fn begin(&mut self, byte: u8, at: usize, offset: u64) {
        self.begins_at = offset + at as u64;
        self.state = ItemState::Inside;
        self.reader = Reader::Bytes;
        if matches!(byte, b'{' | b'[')
            && self.last_bytes >= LEAST_FOR_BLOCKS
            && !self.is_doubtful
            && let Some(blocks) = &mut self.blocks
        {
            blocks.begin_value(at);
            self.reader = Reader::Blocks;
        } else {
            self.checker.begin();
        }
    }

    /// Follows the element in hand through a chunk: its end, if it ends there.
    fn follow(&mut self, chunk: &[u8], begin: usize, offset: u64) -> Result<Option<usize>, Error> {
        if self.reader == Reader::Blocks
            && let Some(blocks) = &mut self.blocks
        {
            match blocks.next(chunk) {
                Course::End(end) => return Ok(Some(end)),
                Course::More => return Ok(None),
                Course::Doubtful | Course::Comma(_) | Course::MoreAfterElement => {
                    self.read_again()?;
                }
            }
        }
        (self.checker.feed(chunk, begin)).map_err(|fault| self.invalid(fault, chunk, offset))
    }

    /// Reads what has come of the element once more, to say what is wrong with it.
    fn read_again(&mut self) -> Result<(), Error> {
        self.reader = Reader::Bytes;
        let part = std::mem::take(&mut self.part);
        self.checker.begin_chunk();
        self.checker.begin();
        (self.checker.feed(&part, 0))
            .map_err(|fault| self.invalid(fault, &part, self.begins_at))?;
        self.checker.begin_chunk();
        self.part = part;
        Ok(())
    }

    /// Goes on with an element that began in this chunk or in one before it.
    fn inside(&mut self, chunk: &Bytes, at: &mut usize, offset: u64) -> Result<Found, Error> {
        let begin = *at;
        let end = self.follow(chunk, begin, offset)?;
        *at = end.unwrap_or(chunk.len());
        if end.is_none() {
            self.keep(&chunk[begin..], offset + begin as u64)?;
            return Ok(Found::More);
        }
        let is_ascii = match &self.blocks {
            Some(blocks) if self.reader == Reader::Blocks => blocks.is_ascii(),
            _ => self.checker.is_ascii(),
        };
        let element = self.hand_out(chunk, begin, *at, is_ascii)?;
        self.last_bytes = element.len();
        self.state = self.after;
        self.is_doubtful = false;
        Ok(Found::Element(element))
    }

    /// The element that ends in this chunk before `end`, and of which this chunk has what
    /// comes from `begin` on.
    fn hand_out(
        &mut self,
        chunk: &Bytes,
        begin: usize,
        end: usize,
        is_ascii: bool,
    ) -> Result<Bytes, Error> {
        if self.part.len() + end - begin > self.max_bytes {
            return Err(self.too_large());
        }
        let is_whole = self.part.is_empty();
        let element = if is_whole {
            chunk.slice(begin..end)
        } else {
            self.part.extend_from_slice(&chunk[begin..end]);
            self.part.split().freeze()
        };
        let is_utf_8 = is_ascii
            || self.check == Check::Nothing
            || (is_whole && self.is_utf_8_from(chunk, begin));
        if !is_utf_8
            && simdutf8::basic::from_utf8(&element).is_err()
            && let Err(error) = std::str::from_utf8(&element)
        {
            return Err(self.not_utf_8(error));
        }
        self.count += 1;
        Ok(element)
    }

    /// Whether this chunk is UTF-8 from the element on that begins here, but for a character
    /// that it ends in the middle of: that is part of an element that does not end here. It is
    /// found once for all elements of the chunk.
    fn is_utf_8_from(&mut self, chunk: &[u8], begin: usize) -> bool {
        if self.encoding == Encoding::Unknown {
            let rest = &chunk[begin..];
            let whole = rest.len() - unfinished(rest);
            self.encoding = match simdutf8::basic::from_utf8(&rest[..whole]) {
                Ok(_) => Encoding::Utf8,
                Err(_) => Encoding::Other,
            };
        }
        self.encoding == Encoding::Utf8
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

/// How many bytes at the end may be the begin of a character whose end is to come.
fn unfinished(bytes: &[u8]) -> usize {
    let last = bytes.iter().rev().take(3);
    let after = last.take_while(|byte| **byte & 0xC0 == 0x80).count();
    match bytes.iter().rev().nth(after) {
        Some(byte) if after + 1 < byte.leading_ones() as usize => after + 1,
        _ => 0,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// One element that blocks do not follow does not make all others slow.
    #[test]
    fn blocks_go_on_after_an_element_that_they_do_not_follow() {
        for instructions in Instructions::all() {
            let scanner = ItemScanner::new(Check::Valid, 1 << 20);
            let mut scanner = scanner.with_instructions(Some(instructions));
            let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
            let chunk = Bytes::from(format!("1,{deep},2,3,"));
            let mut at = 0;
            let mut readers = Vec::new();
            while let Found::Element(_) = scanner.next(&chunk, &mut at, 0).unwrap() {
                readers.push(scanner.reader == Reader::List);
            }
            assert_eq!(readers, [true, false, true, true], "{instructions:?}");
        }
    }
}
