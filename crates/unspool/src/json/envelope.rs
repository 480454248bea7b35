//! Follows a JSON document around its array of items.
//!
//! All that is not in that array, the *envelope*, is kept with `[]` where the array
//! stands, and from there on without white space.

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memchr2;
use serde_json::Value;

use super::Pointer;
use super::checker::{MAX_DEPTH, is_space};
use super::guess::{self, Held};
use super::place::{MOST_KEYS, Place, is_usual};
use crate::error::{Error, Kind};
use crate::lines::BYTE_ORDER_MARK;

/// The part of a document that has come so far, without the items.
pub(crate) struct EnvelopeScanner {
    place: Place,
    max_bytes: usize,
    state: EnvelopeState,
    /// How many bytes of a byte order mark have come.
    marks: usize,
    open: Vec<Frame>,
    text: Vec<u8>,
    /// Large arrays that may turn out to be the items, out of the way.
    aside: Vec<Aside>,
    aside_bytes: usize,
    found: Option<Pointer>,
    rival: Option<Pointer>,
    /// Whether the line ended after the document.
    is_next_line: bool,
}

/// A large array that has been taken out of the text, where it left `[]`.
struct Aside {
    place: Pointer,
    array: Vec<u8>,
    /// Where it stood.
    begin: usize,
}

/// What a document held although no array went by a usual name.
pub(crate) enum Late {
    /// Items, in an array of this text.
    Items(Pointer, Bytes),
    /// One thing, which is an item in an array of its own here.
    Resource(Bytes),
    /// Nothing: the list has been left out.
    LeftOut(Pointer),
}

/// From this many bytes on an array does not stay in the envelope.
const LARGE: usize = 64 << 10;

/// A key with so many bytes, quotes and escapes included, is not one of the usual ones.
const LONGEST_KEY: usize = 128;

/// Where [`EnvelopeScanner::feed`] stopped.
#[derive(Debug, PartialEq)]
pub(crate) enum Stop {
    /// At the end of the bytes.
    More,
    /// After the bracket that opens the array of items.
    Items,
    /// After the brace that opens the object whose members are the items.
    Members,
    /// Before another document on another line, with nothing taken out of this one.
    Line,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum EnvelopeState {
    Value,
    ValueOrClose,
    Key,
    KeyOrClose,
    Colon,
    CommaOrClose,
    /// In a string: a key or a value, after a backslash or not.
    Text {
        is_key: bool,
        escaped: bool,
    },
    /// In a number or a literal, which begins there in the text.
    Scalar {
        begin: usize,
    },
    Ended,
}

/// A container that is still open.
#[derive(Clone, Copy)]
enum Frame {
    /// The current key is this part of the text, quotes included.
    Object { key: (usize, usize) },
    /// It begins there in the text; this is the index of its current element.
    Array { begin: usize, index: usize },
}

impl EnvelopeScanner {
    pub(crate) fn new(place: Place, max_bytes: usize) -> Self {
        EnvelopeScanner {
            place,
            max_bytes,
            state: EnvelopeState::Value,
            marks: 0,
            open: Vec::new(),
            text: Vec::new(),
            aside: Vec::new(),
            aside_bytes: 0,
            found: None,
            rival: None,
            is_next_line: false,
        }
    }

    /// Reads `bytes` from `at`, which stands at `offset` in the document, up to
    /// their end or to the items.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        at: &mut usize,
        offset: u64,
    ) -> Result<Stop, Error> {
        while let Some(&byte) = bytes.get(*at) {
            if self.kept() > self.max_bytes {
                return Err(self.too_large());
            }
            let position = offset + *at as u64;
            if position < BYTE_ORDER_MARK.len() as u64 && self.is_mark(byte, position)? {
                *at += 1;
                continue;
            }
            match self.state {
                EnvelopeState::Text { is_key, escaped } => {
                    *at += self.text_from(&bytes[*at..], is_key, escaped);
                }
                EnvelopeState::Scalar { begin } => {
                    if is_scalar(byte) {
                        self.text.push(byte);
                        *at += 1;
                    } else {
                        self.end_scalar(begin, position)?;
                    }
                }
                _ if is_space(byte) => {
                    if self.may_hold_items() {
                        self.text.push(byte);
                    }
                    self.is_next_line |= self.state == EnvelopeState::Ended && byte == b'\n';
                    *at += 1;
                }
                EnvelopeState::Ended if byte == b'{' && self.is_one_of_many() => {
                    return Ok(Stop::Line);
                }
                EnvelopeState::Value | EnvelopeState::ValueOrClose
                    if byte == b'[' && self.is_at_place() =>
                {
                    if self.found.is_none() {
                        self.found = Some(self.pointer());
                        *at += 1;
                        return Ok(Stop::Items);
                    }
                    if self.rival.is_none() {
                        self.rival = Some(self.pointer());
                    }
                    self.begin_value(byte, position)?;
                    *at += 1;
                }
                EnvelopeState::Value | EnvelopeState::ValueOrClose
                    if byte == b'{' && self.found.is_none() && self.opens_members() =>
                {
                    self.found = Some(self.pointer());
                    *at += 1;
                    return Ok(Stop::Members);
                }
                _ => {
                    self.token(byte, position)?;
                    *at += 1;
                }
            }
        }
        Ok(Stop::More)
    }

    /// Whether what is read now may turn out to be items, which keep their text.
    fn may_hold_items(&self) -> bool {
        self.found.is_none() && !self.open.is_empty()
    }

    /// The array of items has been read: goes on after it.
    pub(crate) fn close_items(&mut self) {
        self.text.extend_from_slice(b"[]");
        self.end_value();
    }

    /// No more bytes come. Whether the document is whole.
    pub(crate) fn end(&mut self, position: u64) -> Result<bool, Error> {
        if let (EnvelopeState::Scalar { begin }, true) = (self.state, self.open.is_empty()) {
            self.end_scalar(begin, position)?;
        }
        Ok(self.state == EnvelopeState::Ended)
    }

    /// Whether this is an object, as it came, and the first value of several.
    fn is_one_of_many(&self) -> bool {
        self.is_next_line
            && matches!(self.place, Place::Auto)
            && self.found.is_none()
            && self.aside.is_empty()
            && self.text.starts_with(b"{")
    }

    /// The envelope as JSON text; whole once [`end`](EnvelopeScanner::end) says so.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether nobody says where the items are.
    pub(crate) fn is_searching(&self) -> bool {
        matches!(self.place, Place::Auto)
    }

    /// Where the items were.
    pub(crate) fn found(&self) -> Option<&Pointer> {
        self.found.as_ref()
    }

    /// Another array that could have been meant.
    pub(crate) fn rival(&self) -> Option<&Pointer> {
        self.rival.as_ref()
    }

    /// What a whole document holds in which no array went by a usual name.
    pub(crate) fn late(&mut self, document: &Value) -> Result<Late, Error> {
        let held = match &self.place {
            Place::At(pointer) if guess::is_left_out(pointer, document) => {
                return Ok(Late::LeftOut(pointer.clone()));
            }
            Place::At(pointer) => return Err(guess::missing(pointer, document)),
            Place::Members(members) => return self.late_members(members.at.as_ref(), document),
            Place::Auto => guess::held(document)?,
        };
        match held {
            Held::Items(pointer) => {
                let aside = self.aside.iter().position(|aside| aside.place == pointer);
                let text = match aside {
                    Some(index) => self.aside.swap_remove(index).array.into(),
                    None => guess::text_at(&self.text, &pointer),
                };
                Ok(Late::Items(pointer, text))
            }
            Held::Resource(pointer) => {
                let resource = guess::text_at(&self.whole_text(), &pointer);
                Ok(Late::Resource([b"[", &resource[..], b"]"].concat().into()))
            }
        }
    }

    /// The same where the items are the members of an object.
    fn late_members(&self, at: Option<&Pointer>, document: &Value) -> Result<Late, Error> {
        match at {
            Some(at) if guess::is_left_out(at, document) => Ok(Late::LeftOut(at.clone())),
            Some(at) => Err(guess::missing(at, document)),
            None => {
                let at = guess::object_of_items(document)?;
                let object = guess::text_at(&self.whole_text(), &at);
                Ok(Late::Items(at, object))
            }
        }
    }

    /// The document as it came, with the arrays that were taken out of it.
    fn whole_text(&self) -> Vec<u8> {
        let mut whole = Vec::with_capacity(self.kept());
        let mut at = 0;
        for aside in &self.aside {
            whole.extend_from_slice(&self.text[at..aside.begin]);
            whole.extend_from_slice(&aside.array);
            at = aside.begin + b"[]".len();
        }
        whole.extend_from_slice(&self.text[at..]);
        whole
    }

    /// Reads one byte of structure, or the first byte of a string or a scalar.
    fn token(&mut self, byte: u8, position: u64) -> Result<(), Error> {
        use EnvelopeState::{Colon, CommaOrClose, Ended, Key, KeyOrClose, Value, ValueOrClose};
        match (self.state, byte) {
            (
                Value | ValueOrClose,
                b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n',
            ) => {
                self.begin_value(byte, position)?;
            }
            (Key | KeyOrClose, b'"') => {
                let begin = self.text.len();
                if let Some(Frame::Object { key }) = self.open.last_mut() {
                    *key = (begin, begin);
                }
                self.text.push(byte);
                self.state = EnvelopeState::Text {
                    is_key: true,
                    escaped: false,
                };
            }
            (Colon, b':') => {
                self.text.push(byte);
                self.state = Value;
            }
            (CommaOrClose, b',') => {
                self.text.push(byte);
                match self.open.last_mut() {
                    Some(Frame::Array { index, .. }) => {
                        *index += 1;
                        self.state = Value;
                    }
                    _ => self.state = Key,
                }
            }
            (KeyOrClose | CommaOrClose, b'}')
                if matches!(self.open.last(), Some(Frame::Object { .. })) =>
            {
                self.close(byte);
            }
            (ValueOrClose | CommaOrClose, b']')
                if matches!(self.open.last(), Some(Frame::Array { .. })) =>
            {
                self.close(byte);
            }
            (state, _) => {
                let expected = match state {
                    Value => "a value",
                    ValueOrClose => "a value or `]`",
                    Key => "a key in quotes",
                    KeyOrClose => "a key in quotes or `}`",
                    Colon => "`:`",
                    CommaOrClose => "`,` or the end of the object or array",
                    Ended | EnvelopeState::Text { .. } | EnvelopeState::Scalar { .. } => {
                        "nothing more"
                    }
                };
                return Err(Error::content(format!(
                    "not JSON: expected {expected} at byte {position}, found {}",
                    display_byte(byte)
                )));
            }
        }
        Ok(())
    }

    fn begin_value(&mut self, byte: u8, position: u64) -> Result<(), Error> {
        if byte != b'n' && self.found.is_none() && self.is_at_pointer() {
            let expected = match self.place {
                Place::Members(_) => "an object",
                Place::At(_) | Place::Auto => "an array",
            };
            return Err(Error::no_items(format!(
                "expected {expected} at {}, found {} at byte {position}",
                self.pointer().described(),
                kind_of(byte)
            )));
        }
        let begin = self.text.len();
        self.text.push(byte);
        self.state = match byte {
            b'{' => {
                self.open.push(Frame::Object { key: (0, 0) });
                EnvelopeState::KeyOrClose
            }
            b'[' => {
                self.open.push(Frame::Array { begin, index: 0 });
                EnvelopeState::ValueOrClose
            }
            b'"' => EnvelopeState::Text {
                is_key: false,
                escaped: false,
            },
            _ => EnvelopeState::Scalar { begin },
        };
        if self.open.len() > MAX_DEPTH as usize {
            return Err(Error::content(format!(
                "the document nests more than {MAX_DEPTH} deep at byte {position}"
            )));
        }
        Ok(())
    }

    /// Copies a string up to its end or that of `bytes`; how many bytes it took.
    fn text_from(&mut self, bytes: &[u8], is_key: bool, escaped: bool) -> usize {
        let (taken, next) = if escaped {
            (
                1,
                Some(EnvelopeState::Text {
                    is_key,
                    escaped: false,
                }),
            )
        } else {
            match memchr2(b'"', b'\\', bytes) {
                None => (bytes.len(), None),
                Some(end) if bytes[end] == b'\\' => (
                    end + 1,
                    Some(EnvelopeState::Text {
                        is_key,
                        escaped: true,
                    }),
                ),
                Some(end) => (end + 1, None),
            }
        };
        // A chunk of a string may be larger than what is left of the limit.
        let kept = taken.min((self.max_bytes + 1).saturating_sub(self.kept()));
        self.text.extend_from_slice(&bytes[..kept]);
        match next {
            Some(state) => self.state = state,
            None if bytes[taken - 1] == b'"' && !escaped => self.end_text(is_key),
            None => {}
        }
        taken
    }

    fn end_text(&mut self, is_key: bool) {
        let end = self.text.len();
        match self.open.last_mut() {
            Some(Frame::Object { key }) if is_key => {
                key.1 = end;
                self.state = EnvelopeState::Colon;
            }
            _ => self.end_value(),
        }
    }

    /// `null` at the pointer is an array without elements: that is how some
    /// languages write an empty list.
    fn end_scalar(&mut self, begin: usize, position: u64) -> Result<(), Error> {
        let scalar = &self.text[begin..];
        if serde_json::from_slice::<serde::de::IgnoredAny>(scalar).is_err() {
            return Err(Error::content(format!(
                "not JSON: expected a value before byte {position}, found `{}`",
                String::from_utf8_lossy(&scalar[..scalar.len().min(40)])
            )));
        }
        if scalar == b"null" && self.found.is_none() && self.is_at_pointer() {
            self.found = Some(self.pointer());
        }
        self.end_value();
        Ok(())
    }

    fn close(&mut self, byte: u8) {
        let closed = self.open.pop();
        self.text.push(byte);
        if let Some(Frame::Array { begin, .. }) = closed {
            self.put_aside(begin);
        }
        self.end_value();
    }

    /// Takes an array that has just closed out of the envelope if it is large: it
    /// may be the items, but it is no link and no total.
    fn put_aside(&mut self, begin: usize) {
        if self.text.len() - begin < LARGE || !self.is_in_objects() {
            return;
        }
        let array = self.text.split_off(begin);
        self.text.extend_from_slice(b"[]");
        if self.found.is_none() {
            let place = self.pointer();
            // Many arrays may stand below one long key.
            let keys: usize = place.steps().iter().map(String::len).sum();
            self.aside_bytes += array.len() + keys;
            self.aside.push(Aside {
                place,
                array,
                begin,
            });
        }
    }

    /// How many bytes are kept.
    fn kept(&self) -> usize {
        self.text.len() + self.aside_bytes
    }

    fn end_value(&mut self) {
        self.state = if self.open.is_empty() {
            EnvelopeState::Ended
        } else {
            EnvelopeState::CommaOrClose
        };
    }

    /// Whether an array that opens here is one of items.
    fn is_at_place(&self) -> bool {
        match &self.place {
            // PHP writes an object without members as an array, and one whose keys count
            // from 0, too.
            Place::At(_) | Place::Members(_) => self.is_at_pointer(),
            Place::Auto => self.is_at_usual_name(),
        }
    }

    /// Whether an object that opens here is the one whose members are the items.
    fn opens_members(&self) -> bool {
        matches!(self.place, Place::Members(_)) && self.is_at_pointer()
    }

    fn is_at_pointer(&self) -> bool {
        self.place.pointer().is_some_and(|pointer| {
            pointer.steps().len() == self.open.len()
                && (self.open.iter().zip(pointer.steps()))
                    .all(|(frame, step)| self.is_step(*frame, step))
        })
    }

    /// Whether this key or index leads into an open container. A key that is too long for
    /// that, even if each of its bytes is an escape sequence, is not read.
    fn is_step(&self, frame: Frame, step: &str) -> bool {
        let is_short = |(begin, end): (usize, usize)| end - begin <= 6 * step.len() + 2;
        !matches!(frame, Frame::Object { key } if !is_short(key)) && self.step(frame) == step
    }

    /// A key that is longer than the usual ones is not read, for there may be any number of
    /// arrays below it: only that it is there counts.
    fn is_at_usual_name(&self) -> bool {
        if self.open.len() > MOST_KEYS || !self.is_in_objects() {
            return false;
        }
        let keys = self.open.iter().map(|frame| match *frame {
            Frame::Object { key: (begin, end) } if end - begin > LONGEST_KEY => Cow::Borrowed(""),
            frame => self.step(frame),
        });
        let keys: Vec<Cow<'_, str>> = keys.collect();
        is_usual(&keys.iter().map(AsRef::as_ref).collect::<Vec<_>>())
    }

    /// Whether nothing that is open is an array.
    fn is_in_objects(&self) -> bool {
        (self.open.iter()).all(|frame| matches!(frame, Frame::Object { .. }))
    }

    fn pointer(&self) -> Pointer {
        let steps = self.open.iter().map(|frame| self.step(*frame).into_owned());
        Pointer::from_steps(steps.collect())
    }

    /// The key or index that leads into an open container.
    fn step(&self, frame: Frame) -> Cow<'_, str> {
        match frame {
            Frame::Array { index, .. } => Cow::Owned(index.to_string()),
            Frame::Object { key: (begin, end) } => {
                let quoted = self.text.get(begin..end).unwrap_or_default();
                match serde_json::from_slice::<&str>(quoted) {
                    Ok(key) => Cow::Borrowed(key),
                    Err(_) => Cow::Owned(serde_json::from_slice(quoted).unwrap_or_default()),
                }
            }
        }
    }

    /// Whether this is part of a byte order mark, which a reader may pass over
    /// (RFC 8259, section 8.1).
    fn is_mark(&mut self, byte: u8, position: u64) -> Result<bool, Error> {
        if position == self.marks as u64 && BYTE_ORDER_MARK.get(self.marks) == Some(&byte) {
            self.marks += 1;
            return Ok(true);
        }
        match self.marks {
            0 => Ok(false),
            _ => Err(Error::content("not JSON: expected a whole byte order mark")),
        }
    }

    fn too_large(&self) -> Error {
        Error::new(
            Kind::TooLarge,
            format!(
                "what surrounds the items is over {} bytes; if the items are elsewhere, say where with a JSON pointer",
                self.max_bytes
            ),
        )
    }
}

/// What begins with this byte, in words.
fn kind_of(byte: u8) -> &'static str {
    match byte {
        b'{' => "an object",
        b'[' => "an array",
        b'"' => "a string",
        b't' | b'f' => "a boolean",
        b'n' => "`null`",
        _ => "a number",
    }
}

pub(crate) fn display_byte(byte: u8) -> String {
    match byte {
        b' '..=b'~' => format!("`{}`", char::from(byte)),
        _ => format!("byte 0x{byte:02X}"),
    }
}

fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}
