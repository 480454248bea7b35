//! A text with its escapes undone, byte by byte, and where each byte comes from.

use std::ops::Range;

/// How many escapes may be around each other.
const DEPTH: usize = 2;

/// How far a match in Base64 may reach beyond what does not depend on its neighbours.
const REST: usize = 4;

/// A text in small letters, perhaps with escapes undone.
#[derive(Clone, PartialEq)]
pub(super) struct Layer {
    pub(super) bytes: Vec<u8>,
    /// Where in the text each of them stands.
    places: Vec<Range<usize>>,
}

/// The text as it is, and with its escapes undone in all orders.
pub(super) fn layers(text: &str) -> Vec<Layer> {
    let mut layers = vec![Layer {
        bytes: text.to_ascii_lowercase().into_bytes(),
        places: (0..text.len()).map(|at| at..at + 1).collect(),
    }];
    let mut begin = 0;
    for _ in 0..DEPTH {
        let end = layers.len();
        for index in begin..end {
            for undo in [percent, form, json] {
                let undone = layers[index].undone(undo);
                let is_new = |layer: &Layer| !layers.iter().any(|known| known.bytes == layer.bytes);
                if let Some(layer) = undone.filter(is_new) {
                    layers.push(layer);
                }
            }
        }
        begin = end;
    }
    layers
}

/// Reads an escape at the begin of these bytes: how long it is, and what it means.
type Undo = fn(&[u8]) -> Option<(usize, Escaped)>;

/// What an escape stands for, as UTF-8.
struct Escaped {
    bytes: [u8; 4],
    length: usize,
}

impl Layer {
    fn undone(&self, undo: Undo) -> Option<Layer> {
        let mut layer = Layer {
            bytes: Vec::with_capacity(self.bytes.len()),
            places: Vec::with_capacity(self.bytes.len()),
        };
        let (mut at, mut is_changed) = (0, false);
        while at < self.bytes.len() {
            match undo(&self.bytes[at..]) {
                Some((length, escaped)) => {
                    let place = self.places[at].start..self.places[at + length - 1].end;
                    for byte in &escaped.bytes[..escaped.length] {
                        layer.push(byte.to_ascii_lowercase(), place.clone());
                    }
                    at += length;
                    is_changed = true;
                }
                None => {
                    layer.push(self.bytes[at], self.places[at].clone());
                    at += 1;
                }
            }
        }
        is_changed.then_some(layer)
    }

    fn push(&mut self, byte: u8, place: Range<usize>) {
        self.bytes.push(byte);
        self.places.push(place);
    }

    /// Where in the text a part of this stands.
    pub(super) fn in_text(&self, range: Range<usize>) -> Range<usize> {
        self.places[range.start].start..self.places[range.end - 1].end
    }

    /// Whether neither a letter nor a digit stands beside a part of this.
    pub(super) fn stands_alone(&self, range: &Range<usize>) -> bool {
        let is_apart = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric());
        let before = range.start.checked_sub(1).and_then(|at| self.bytes.get(at));
        is_apart(before) && is_apart(self.bytes.get(range.end))
    }

    /// A part of this, with characters of Base64 beside it, of which some bits are the
    /// part's.
    pub(super) fn with_rest_of_base64(&self, range: Range<usize>) -> Range<usize> {
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte);
        let before = self.bytes[..range.start].iter().rev();
        let after = self.bytes[range.end..].iter();
        let before = before.take(REST).take_while(|byte| is_base64(byte)).count();
        let after = after.take(REST).take_while(|byte| is_base64(byte)).count();
        range.start - before..range.end + after
    }
}

/// `%2F`.
fn percent(bytes: &[u8]) -> Option<(usize, Escaped)> {
    match bytes {
        [b'%', high, low, ..] => {
            let byte = digit(*high)? << 4 | digit(*low)?;
            Some((3, Escaped::byte(byte as u8)))
        }
        _ => None,
    }
}

/// The same, and `+` for a space.
fn form(bytes: &[u8]) -> Option<(usize, Escaped)> {
    match bytes {
        [b'+', ..] => Some((1, Escaped::byte(b' '))),
        bytes => percent(bytes),
    }
}

/// `\/`, `\u002F`, and two of the latter for one character.
fn json(bytes: &[u8]) -> Option<(usize, Escaped)> {
    let (b'\\', escape) = (*bytes.first()?, *bytes.get(1)?) else {
        return None;
    };
    let byte = match escape {
        b'"' | b'\\' | b'/' => escape,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return unicode(bytes),
        _ => return None,
    };
    Some((2, Escaped::byte(byte)))
}

fn unicode(bytes: &[u8]) -> Option<(usize, Escaped)> {
    let unit = |at: usize| {
        let escape = bytes.get(at..at + 6)?;
        let mut digits = escape.strip_prefix(b"\\u")?.iter();
        digits.try_fold(0, |unit, byte| Some(unit << 4 | digit(*byte)?))
    };
    let first = unit(0)?;
    if let Some(char) = char::from_u32(first) {
        return Some((6, Escaped::char(char)));
    }
    let second = unit(6).filter(|second| (0xDC00..0xE000).contains(second))?;
    let code = 0x10000 + (first.checked_sub(0xD800)? << 10) + (second - 0xDC00);
    Some((12, Escaped::char(char::from_u32(code)?)))
}

fn digit(byte: u8) -> Option<u32> {
    char::from(byte).to_digit(16)
}

impl Escaped {
    fn byte(byte: u8) -> Self {
        Escaped {
            bytes: [byte, 0, 0, 0],
            length: 1,
        }
    }

    fn char(char: char) -> Self {
        let mut bytes = [0; 4];
        let length = char.encode_utf8(&mut bytes).len();
        Escaped { bytes, length }
    }
}
