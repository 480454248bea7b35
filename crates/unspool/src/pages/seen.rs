use std::collections::VecDeque;
use std::hash::Hasher;

use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use twox_hash::XxHash3_64;

/// How many marks are remembered exactly.
const REMEMBERED: usize = 1 << 12;

/// Notices when a walk comes back to where it has been, in bounded memory.
///
/// The last 4,096 marks are remembered one by one, each with what is known of its
/// page; a longer cycle is found by Brent's method, which keeps one more mark and
/// moves it at each power of two.
pub(crate) struct Seen<T> {
    pages: FxHashMap<u64, T>,
    order: VecDeque<u64>,
    milestone: Option<(u64, T)>,
    count: u64,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Seen {
            pages: FxHashMap::default(),
            order: VecDeque::new(),
            milestone: None,
            count: 0,
        }
    }
}

impl<T: Clone> Seen<T> {
    /// Notes a mark; what was noted with it before, if it was.
    pub(crate) fn note(&mut self, mark: u64, page: T) -> Option<T> {
        if let Some((milestone, earlier)) = &self.milestone
            && *milestone == mark
        {
            return Some(earlier.clone());
        }
        self.count += 1;
        if self.count.is_power_of_two() {
            self.milestone = Some((mark, page.clone()));
        }
        if let Some(earlier) = self.pages.insert(mark, page) {
            return Some(earlier);
        }
        self.order.push_back(mark);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.pages.remove(&oldest);
        }
        None
    }
}

/// How many items the table of [`Repeats`] holds.
const SLOTS: usize = 1 << 15;

/// Notices items that an earlier page has held, in constant memory: each item takes
/// the slot that its mark leads to, from whichever was there.
#[derive(Default)]
pub(crate) struct Repeats {
    slots: Vec<(u32, u32)>,
}

impl Repeats {
    /// Notes an item of a page, which count from 1; whether an earlier page held it.
    pub(crate) fn note(&mut self, mark: u64, page: u64) -> bool {
        if self.slots.is_empty() {
            self.slots = vec![(0, 0); SLOTS];
        }
        let (tag, index) = Self::place(mark);
        // Only the difference counts: that it wraps after 4 billion pages does not.
        let page = page as u32;
        let (held_tag, held_page) = std::mem::replace(&mut self.slots[index], (tag, page));
        held_tag == tag && held_page != 0 && held_page != page
    }

    /// Whether an item has been noted.
    pub(crate) fn knows(&self, mark: u64) -> bool {
        let (tag, index) = Self::place(mark);
        matches!(self.slots.get(index), Some((held, page)) if *held == tag && *page != 0)
    }

    fn place(mark: u64) -> (u32, usize) {
        ((mark >> 32) as u32, mark as usize % SLOTS)
    }
}

/// How many keys [`Keys`] remembers.
const KEYS: usize = 1 << 20;

/// The keys of the items that came last.
#[derive(Default)]
pub(crate) struct Keys {
    keys: FxHashSet<u64>,
    order: VecDeque<u64>,
}

impl Keys {
    /// Notes a key; whether it is new.
    pub(crate) fn note(&mut self, mark: u64) -> bool {
        if !self.keys.insert(mark) {
            return false;
        }
        self.order.push_back(mark);
        if self.order.len() > KEYS
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        true
    }
}

/// The mark of a text: a request, an item, a key. It is in positions, so that it has to be
/// the same on every machine and after every update: XXH3, 64 bits, seed 0, whose
/// [specification](https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md) has been
/// stable since xxHash 0.8.0.
pub(crate) fn mark_of(text: &[u8]) -> u64 {
    XxHash3_64::oneshot(text)
}

/// The mark of a page: a hash over those of its items.
#[derive(Clone, Default)]
pub(crate) struct Fingerprint(FxHasher);

impl Fingerprint {
    pub(crate) fn add(&mut self, item: u64) {
        self.0.write_u64(item);
    }

    pub(crate) fn mark(&self) -> u64 {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_comes_again_names_the_page_that_had_it() {
        let mut seen = Seen::default();
        assert_eq!(seen.note(10, 1), None);
        assert_eq!(seen.note(20, 2), None);
        assert_eq!(seen.note(10, 3), Some(1));
    }

    #[test]
    fn a_cycle_longer_than_the_memory_is_found() {
        let mut seen = Seen::default();
        let length = REMEMBERED as u64 + 1000;
        let page = (1..)
            .find(|page| seen.note(page % length, *page).is_some())
            .unwrap();
        assert!(page <= 4 * length, "{page}");
        assert!(seen.pages.len() <= REMEMBERED + 1);
    }

    #[test]
    fn the_mark_of_a_text_is_the_one_of_the_specification() {
        assert_eq!(mark_of(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(mark_of(b"{\"id\":7}"), 0x36b0_ffd1_5110_a7e1);
    }

    #[test]
    fn where_items_are_cut_makes_a_difference() {
        let mark = |items: &[&str]| {
            let mut fingerprint = Fingerprint::default();
            for item in items {
                fingerprint.add(mark_of(item.as_bytes()));
            }
            fingerprint.mark()
        };
        assert_ne!(mark(&["12", "3"]), mark(&["1", "23"]));
        assert_ne!(mark(&["1", "2"]), mark(&["2", "1"]));
        assert_eq!(mark(&["1", "2"]), mark(&["1", "2"]));
    }

    #[test]
    fn an_item_is_repeated_only_if_an_earlier_page_held_it() {
        let mut repeats = Repeats::default();
        let item = mark_of(b"{\"id\":7}");
        assert!(!repeats.knows(item));
        assert!(!repeats.note(item, 1));
        assert!(!repeats.note(item, 1), "the same page may hold it twice");
        assert!(repeats.knows(item));
        assert!(repeats.note(item, 2));
        assert!(!repeats.note(mark_of(b"8"), 2));
    }

    #[test]
    fn the_keys_that_are_remembered_are_bounded() {
        let mut keys = Keys::default();
        assert!(keys.note(0) && !keys.note(0));
        for key in 1..=KEYS as u64 {
            keys.note(key);
        }
        assert!(keys.note(0), "the oldest is forgotten");
        assert_eq!(keys.keys.len(), KEYS);
    }
}
