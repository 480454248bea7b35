//! Texts that come twice: in pieces, and once more as a whole.

use std::collections::BTreeMap;

use crate::error::{Error, Kind};

/// How many parts of an answer are remembered.
const PARTS: usize = 1024;

/// The multiplier of the fingerprint, an odd number with bits everywhere.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// A text as far as it has been handed out: its length and a fingerprint, since the text
/// itself may be long.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    bytes: usize,
    fingerprint: u64,
    /// Whether it has been repeated as a whole: what comes then is another text.
    is_closed: bool,
}

/// A piece of text, ready to be added to several of them.
#[derive(Clone, Copy, Debug)]
struct Added {
    bytes: usize,
    fingerprint: u64,
    /// The factor to the power of the length.
    shift: u64,
}

fn with_byte(fingerprint: u64, byte: u8) -> u64 {
    fingerprint
        .wrapping_mul(FACTOR)
        .wrapping_add(u64::from(byte) + 1)
}

impl Default for Added {
    fn default() -> Self {
        Added {
            bytes: 0,
            fingerprint: 0,
            shift: 1,
        }
    }
}

impl Added {
    fn add(&mut self, text: &str) {
        self.bytes += text.len();
        for byte in text.bytes() {
            self.fingerprint = with_byte(self.fingerprint, byte);
            self.shift = self.shift.wrapping_mul(FACTOR);
        }
    }

    fn of(text: &str) -> Self {
        let mut added = Added::default();
        added.add(text);
        added
    }
}

impl Told {
    pub(super) fn add(&mut self, text: &str) {
        if self.is_closed {
            *self = Told::default();
        }
        self.bytes += text.len();
        let begun = self.fingerprint;
        self.fingerprint = text.bytes().fold(begun, with_byte);
    }

    fn take(&mut self, added: Added) {
        if self.is_closed {
            *self = Told::default();
        }
        self.bytes += added.bytes;
        self.fingerprint =
            (self.fingerprint.wrapping_mul(added.shift)).wrapping_add(added.fingerprint);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Takes another text, which comes after this one and is empty then.
    pub(super) fn join(&mut self, next: &mut Told) {
        let next = std::mem::take(next);
        let mut shift = 1_u64;
        for _ in 0..next.bytes {
            shift = shift.wrapping_mul(FACTOR);
        }
        self.take(Added {
            bytes: next.bytes,
            fingerprint: next.fingerprint,
            shift,
        });
    }

    /// Compares a whole that repeats the text. Gives what of it has not been handed out: it
    /// is the end of the whole. A whole that is shorter proves no loss.
    pub(super) fn missing<'w>(&self, whole: &'w str) -> Result<&'w str, Error> {
        // Some servers trim one of the two.
        let trimmed = whole.trim_start();
        let rest = self.rest_of(whole).or_else(|| self.rest_of(trimmed));
        match rest {
            Some(rest) => Ok(rest),
            None if whole.len() < self.bytes => Ok(""),
            None => Err(self.differs_from(whole)),
        }
    }

    /// What follows in the whole, if it begins with this text.
    fn rest_of<'w>(&self, whole: &'w str) -> Option<&'w str> {
        let (begin, rest) = whole.split_at_checked(self.bytes)?;
        (Added::of(begin).fingerprint == self.fingerprint).then_some(rest)
    }

    fn differs_from(&self, whole: &str) -> Error {
        let message = match whole.len() - self.bytes {
            0 => "the text that came is not the one that the upstream sums up".to_owned(),
            bytes => format!("{bytes} bytes of the text that the upstream sums up did not come"),
        };
        Error::new(Kind::Truncated, message)
    }
}

/// Texts of an answer that is made of items, which are made of parts: each of these is
/// repeated as a whole by some server.
#[derive(Default)]
pub(super) struct Texts {
    parts: BTreeMap<Part, Told>,
    items: BTreeMap<u64, Told>,
    all: Told,
    /// Whether pieces came that do not say which item they belong to.
    is_unnumbered: bool,
    last: Part,
    /// What has been added to the last part, and not yet to its sums.
    added: Added,
}

/// Which part of which item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub(super) item: u64,
    pub(super) part: u64,
}

impl Texts {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.added.bytes == 0
    }

    /// A piece was handed out.
    pub(super) fn tell(&mut self, item: Option<u64>, part: Option<u64>, text: &str) {
        self.is_unnumbered |= item.is_none();
        let at = Part {
            item: item.unwrap_or(0),
            part: part.unwrap_or(0),
        };
        self.tell_at(at, text);
    }

    fn tell_at(&mut self, at: Part, text: &str) {
        if text.is_empty() {
            return;
        }
        // Nearly all pieces belong to the part of the one before.
        if at != self.last {
            self.sum_up();
            self.last = at;
        }
        self.added.add(text);
    }

    /// Adds what came last to the part, its item and all.
    fn sum_up(&mut self) {
        let added = std::mem::take(&mut self.added);
        if added.bytes == 0 {
            return;
        }
        self.parts.entry(self.last).or_default().take(added);
        self.items.entry(self.last.item).or_default().take(added);
        self.all.take(added);
        if self.parts.len() > PARTS {
            self.parts.pop_first();
        }
        if self.items.len() > PARTS {
            self.items.pop_first();
        }
    }

    /// A part comes as a whole: gives what has not been handed out of it, and notes that it
    /// is now.
    pub(super) fn whole_part(
        &mut self,
        item: Option<u64>,
        part: Option<u64>,
        whole: &str,
    ) -> Result<String, Error> {
        let at = match item {
            Some(item) if !self.is_unnumbered => Part {
                item,
                part: part.unwrap_or(0),
            },
            _ => self.last,
        };
        self.sum_up();
        let told = self.parts.get(&at).copied().unwrap_or_default();
        let missing = told.missing(whole)?.to_owned();
        if !missing.is_empty() {
            // What repeats a part again goes on from there.
            self.open(at);
            self.tell_at(at, &missing);
            self.sum_up();
        }
        self.parts.entry(at).or_default().is_closed = true;
        Ok(missing)
    }

    /// An item comes as a whole.
    pub(super) fn whole_item(&mut self, item: Option<u64>, whole: &str) -> Result<String, Error> {
        let at = match item {
            Some(item) if !self.is_unnumbered => item,
            _ => self.last.item,
        };
        self.sum_up();
        let told = self.items.get(&at).copied().unwrap_or_default();
        let missing = told.missing(whole)?.to_owned();
        if !missing.is_empty() {
            let part = Part { item: at, part: 0 };
            self.open(part);
            self.tell_at(part, &missing);
            self.sum_up();
        }
        self.items.entry(at).or_default().is_closed = true;
        let parts = Part { item: at, part: 0 }..=Part {
            item: at,
            part: u64::MAX,
        };
        self.parts
            .range_mut(parts)
            .for_each(|(_, told)| told.is_closed = true);
        Ok(missing)
    }

    /// The texts of all items come as a whole.
    pub(super) fn whole(&mut self, whole: &str) -> Result<String, Error> {
        self.sum_up();
        let missing = self.all.missing(whole)?.to_owned();
        self.all.add(&missing);
        Ok(missing)
    }

    fn open(&mut self, at: Part) {
        if let Some(told) = self.parts.get_mut(&at) {
            told.is_closed = false;
        }
        if let Some(told) = self.items.get_mut(&at.item) {
            told.is_closed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pieces: &[&str]) -> Told {
        let mut told = Told::default();
        pieces.iter().for_each(|piece| told.add(piece));
        told
    }

    #[test]
    fn a_whole_gives_what_is_missing_at_its_end() {
        for pieces in [&["The river"][..], &["The ", "", "river"], &[]] {
            let told = told(pieces);
            let begin: usize = pieces.iter().map(|piece| piece.len()).sum();
            let whole = "The river is wide.";
            assert_eq!(told.missing(whole).unwrap(), &whole[begin..], "{pieces:?}");
        }
    }

    #[test]
    fn a_whole_that_says_something_else_is_an_error() {
        for pieces in [
            &["The ", "is wide."][..],
            &["The rover is wide."],
            &["river"],
        ] {
            let error = told(pieces).missing("The river is wide.").unwrap_err();
            assert!(error.is_truncated(), "{pieces:?}: {error}");
        }
    }

    #[test]
    fn a_whole_that_is_trimmed_or_empty_is_no_loss() {
        for whole in ["", "The river", " \nThe river \n", "The river \n"] {
            let missing = told(&["The river \n"]).missing(whole);
            assert_eq!(missing.unwrap(), "", "{whole:?}");
        }
        assert_eq!(told(&["a"]).missing("  a").unwrap(), "");
    }

    #[test]
    fn parts_items_and_all_are_repeated_in_turn() {
        let mut texts = Texts::default();
        texts.tell(Some(1), Some(0), "The ");
        assert_eq!(
            texts.whole_part(Some(1), Some(0), "The river").unwrap(),
            "river"
        );
        assert_eq!(texts.whole_part(Some(1), Some(0), "The river").unwrap(), "");
        assert_eq!(texts.whole_part(Some(1), Some(1), " is").unwrap(), " is");
        assert_eq!(texts.whole_item(Some(1), "The river is").unwrap(), "");
        assert_eq!(texts.whole_item(Some(2), " wide").unwrap(), " wide");
        assert_eq!(texts.whole("The river is wide.").unwrap(), ".");
        assert!(texts.whole("The river was wide, and more").is_err());
    }

    #[test]
    fn pieces_without_numbers_belong_to_the_part_that_is_open() {
        let mut texts = Texts::default();
        texts.tell(None, None, "One");
        assert_eq!(texts.whole_part(Some(3), Some(0), "One").unwrap(), "");
        assert_eq!(texts.whole_item(Some(3), "One").unwrap(), "");
        texts.tell(None, None, "Two");
        assert_eq!(texts.whole_part(None, None, "Two").unwrap(), "");
        assert_eq!(texts.whole_item(None, "Two").unwrap(), "");
        assert_eq!(texts.whole("OneTwo").unwrap(), "");
    }
}
