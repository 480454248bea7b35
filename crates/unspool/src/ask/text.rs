//! Text that arrives in pieces, cut anywhere.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A piece of text out of a JSON string.
///
/// Servers that cut text by UTF-16 units write half of a pair at the end of one string
/// and the other half at the begin of the next, as `"\ud83d"` and `"\ude00"`. So these
/// are kept, in the form that such halves have in UTF-8 (WTF-8). Where a list of parts
/// stands in the place of a string, it is the text of the parts.
#[derive(Debug, Default)]
pub(super) struct Piece(Vec<u8>);

/// The content of a message: text, or parts of which some are thoughts.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) text: Piece,
    pub(super) thinking: Option<Box<Piece>>,
}

/// A word out of a JSON string: a part of the JSON text, unless it is written with escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word<'a>(Cow<'a, str>);

impl Deref for Word<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Word<'a> {
    fn from(word: &'a str) -> Self {
        Word(Cow::Borrowed(word))
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

    // Ids and versions are numbers here and there.
    fn visit_u64<E>(self, number: u64) -> Result<Word<'de>, E> {
        Ok(Word(Cow::Owned(number.to_string())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Word<'de>, E> {
        Ok(Word(Cow::Owned(number.to_string())))
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

impl From<&str> for Piece {
    fn from(text: &str) -> Self {
        Piece(text.as_bytes().to_vec())
    }
}

impl<'de> Deserialize<'de> for Piece {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As bytes, since a string would have to be UTF-8.
        deserializer.deserialize_bytes(PieceVisitor)
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(ContentVisitor)
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

    fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<Piece, A::Error> {
        Ok(ContentVisitor.visit_seq(parts)?.text)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, or a list of parts")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Content, E> {
        Ok(Content {
            text: Piece(bytes.to_vec()),
            ..Content::default()
        })
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content {
            text: Piece(text.as_bytes().to_vec()),
            ..Content::default()
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Content, A::Error> {
        let mut all = Content::default();
        while let Some(part) = parts.next_element::<&RawValue>()? {
            let part = Content::of_part(part).map_err(A::Error::custom)?;
            all.text.0.extend(part.text.0);
            if let Some(more) = part.thinking {
                all.thinking.get_or_insert_default().0.extend(more.0);
            }
        }
        Ok(all)
    }
}

/// A part of a list, which says by its type whether its text is a thought.
#[derive(serde::Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Word<'a>>,
    text: Option<Piece>,
    thinking: Option<Piece>,
    reasoning: Option<Piece>,
}

impl Content {
    /// A part is an object, or the text itself.
    fn of_part(json: &RawValue) -> serde_json::Result<Self> {
        if !json.get().starts_with('{') {
            let text: Option<Content> = serde_json::from_str(json.get())?;
            return Ok(text.unwrap_or_default());
        }
        let part: Part<'_> = serde_json::from_str(json.get())?;
        let is_thought = matches!(part.kind.as_deref(), Some("thinking" | "reasoning"));
        let (mut text, mut thinking) = (part.text, part.thinking.or(part.reasoning));
        if is_thought {
            thinking = thinking.or(text.take());
        }
        Ok(Content {
            text: text.unwrap_or_default(),
            thinking: thinking.map(Box::new),
        })
    }
}

impl Piece {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The piece as a text of its own.
    pub(super) fn into_text(self) -> String {
        let mut joined = Joined::default();
        let mut text = joined.add(self);
        text.extend(joined.end());
        text
    }
}

impl Content {
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.thinking.is_none()
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
        assert_eq!(
            join(&[r#"["a",{"text":"b"},null,{"text":null},"c"]"#]),
            ["abc"]
        );
        assert_eq!(join(&[r#"[{"type":"text","text":["a",["b"]]}]"#]), ["ab"]);
    }

    #[test]
    fn parts_that_are_thoughts_are_no_text() {
        for (json, thinking, text) in [
            (
                r#"[{"type":"thinking","thinking":[{"type":"text","text":"a"}]},{"type":"text","text":"b"}]"#,
                "a",
                "b",
            ),
            (r#"[{"type":"reasoning","text":"a"},"b"]"#, "a", "b"),
            (r#"[{"text":"a","type":"thinking"}]"#, "a", ""),
            (r#""b""#, "", "b"),
        ] {
            let content: Content = serde_json::from_str(json).unwrap();
            assert_eq!(
                content.thinking.unwrap_or_default().into_text(),
                thinking,
                "{json}"
            );
            assert_eq!(content.text.into_text(), text, "{json}");
        }
    }
}
