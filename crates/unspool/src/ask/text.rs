//! Text that arrives in pieces, cut anywhere.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

/// A piece of text out of a JSON string.
///
/// Servers that cut text by UTF-16 units write half of a pair at the end of one string
/// and the other half at the begin of the next, as `"\ud83d"` and `"\ude00"`. So these
/// are kept, in the form that such halves have in UTF-8 (WTF-8). Where a list of parts
/// stands in the place of a string, it is the text of the parts.
#[derive(Debug, Default)]
pub(super) struct Piece(Vec<u8>);

/// A word out of a JSON string: a part of the JSON text, unless it is written with escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word<'a>(Cow<'a, str>);

impl Deref for Word<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<Word<'_>> for String {
    fn from(word: Word<'_>) -> Self {
        word.0.into_owned()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Word<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(WordVisitor)
    }
}

struct WordVisitor;

impl<'de> Visitor<'de> for WordVisitor {
    type Value = Word<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word")
    }

    fn visit_borrowed_str<E>(self, word: &'de str) -> Result<Word<'de>, E> {
        Ok(Word(Cow::Borrowed(word)))
    }

    fn visit_str<E>(self, word: &str) -> Result<Word<'de>, E> {
        Ok(Word(Cow::Owned(word.to_owned())))
    }
}

/// Joins pieces of one text.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// The first half of a pair, whose second one may come.
    half: Option<u32>,
}

impl Joined {
    /// The piece, made of whole characters: half a one at its end is kept back, and one
    /// that nothing completes becomes U+FFFD.
    pub(super) fn add(&mut self, piece: Piece) -> String {
        match String::from_utf8(piece.0) {
            Ok(text) if self.half.is_none() || text.is_empty() => text,
            Ok(text) => self.lost().to_string() + &text,
            Err(error) => self.repaired(error.as_bytes()),
        }
    }

    /// There is no more: what is kept back, if anything is.
    pub(super) fn end(&mut self) -> Option<String> {
        self.half.is_some().then(|| self.lost().to_string())
    }

    /// Replaces what is kept back and will not be completed.
    fn lost(&mut self) -> char {
        self.half = None;
        char::REPLACEMENT_CHARACTER
    }

    /// Puts the halves together in text that is UTF-8 but for those.
    fn repaired(&mut self, bytes: &[u8]) -> String {
        let mut text = String::new();
        for chunk in halves_apart(bytes) {
            match chunk {
                Chunk::Half(first @ 0xD800..=0xDBFF) => {
                    if self.half.is_some() {
                        text.push(self.lost());
                    }
                    self.half = Some(first);
                }
                Chunk::Half(second) => match self.half.take() {
                    Some(first) => {
                        let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                        text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    None => text.push(char::REPLACEMENT_CHARACTER),
                },
                Chunk::Text(part) => {
                    if self.half.is_some() {
                        text.push(self.lost());
                    }
                    text.push_str(&part);
                }
            }
        }
        text
    }
}

enum Chunk {
    Text(String),
    /// Half of a pair: a code unit from D800 to DFFF.
    Half(u32),
}

/// Text and halves in turn. A half is three bytes, `ED A0 80` to `ED BF BF`, which are
/// nothing else in UTF-8.
fn halves_apart(bytes: &[u8]) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let (mut begin, mut at) = (0, 0);
    while at < bytes.len() {
        match bytes[at..] {
            [0xED, high @ 0xA0..=0xBF, low @ 0x80..=0xBF, ..] => {
                if begin < at {
                    chunks.push(Chunk::Text(lossy(&bytes[begin..at])));
                }
                let unit = 0xD000 | u32::from(high & 0x3F) << 6 | u32::from(low & 0x3F);
                chunks.push(Chunk::Half(unit));
                at += 3;
                begin = at;
            }
            _ => at += 1,
        }
    }
    if begin < bytes.len() {
        chunks.push(Chunk::Text(lossy(&bytes[begin..])));
    }
    chunks
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl<'de> Deserialize<'de> for Piece {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As bytes, since a string would have to be UTF-8.
        deserializer.deserialize_bytes(PieceVisitor)
    }
}

struct PieceVisitor;

impl<'de> Visitor<'de> for PieceVisitor {
    type Value = Piece;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Piece, E> {
        Ok(Piece(bytes.to_vec()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Piece, E> {
        Ok(Piece(text.as_bytes().to_vec()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Piece, A::Error> {
        #[derive(serde::Deserialize)]
        struct Part {
            text: Option<Piece>,
        }
        let mut all = Vec::new();
        while let Some(part) = parts.next_element::<Part>()? {
            all.extend(part.text.into_iter().flat_map(|text| text.0));
        }
        Ok(Piece(all))
    }
}

impl Piece {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(pieces: &[&str]) -> Vec<String> {
        let mut joined = Joined::default();
        let piece = |json: &&str| joined.add(serde_json::from_str(json).unwrap());
        pieces.iter().map(piece).collect()
    }

    #[test]
    fn a_pair_that_is_cut_in_two_is_one_character() {
        assert_eq!(join(&[r#""a\ud83d""#, r#""\ude00b""#]), ["a", "😀b"]);
        assert_eq!(
            join(&[r#""\ud83d""#, r#""""#, r#""\ude00""#]),
            ["", "", "😀"]
        );
        assert_eq!(
            join(&[r#""\ud83d\ude00\ud83d""#, r#""\ude00""#]),
            ["😀", "😀"]
        );
    }

    #[test]
    fn half_a_pair_alone_is_replaced() {
        assert_eq!(join(&[r#""\ud83d""#, r#""b""#]), ["", "\u{FFFD}b"]);
        assert_eq!(join(&[r#""a\ude00""#]), ["a\u{FFFD}"]);
        let mut joined = Joined::default();
        joined.add(serde_json::from_str(r#""\ud83d""#).unwrap());
        assert_eq!(joined.end().as_deref(), Some("\u{FFFD}"));
        assert_eq!(joined.end(), None);
        assert_eq!(
            join(&[r#""\ud83d\ud83d""#, r#""\ude00""#]),
            ["\u{FFFD}", "😀"]
        );
        assert_eq!(join(&[r#""\ud83dä""#]), ["\u{FFFD}ä"]);
        assert_eq!(
            join(&[r#""\ud83d""#, r#""é\ud83d""#, r#""\ude00""#]),
            ["", "\u{FFFD}é", "😀"]
        );
    }

    #[test]
    fn a_word_may_be_written_with_escapes() {
        for json in [r#""text_delta""#, r#""text\u005fdelta""#] {
            let word: Word<'_> = serde_json::from_str(json).unwrap();
            assert_eq!(&*word, "text_delta");
        }
    }

    #[test]
    fn text_is_what_it_is() {
        assert_eq!(join(&[r#""a\n\"ä€😀\u00e4""#]), ["a\n\"ä€😀ä"]);
        assert_eq!(
            join(&[r#"[{"type":"text","text":"a"},{"type":"x"},{"text":"b"}]"#]),
            ["ab"]
        );
    }
}
