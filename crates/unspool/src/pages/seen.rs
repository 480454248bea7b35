use std::collections::VecDeque;
use std::hash::Hasher;

use rustc_hash::{FxHashMap, FxHasher};

/// How many marks are remembered exactly.
const REMEMBERED: usize = 1 << 16;

/// Notices when a walk comes back to where it has been, in bounded memory.
///
/// The last 65,536 marks are remembered one by one; a longer cycle is found by
/// Brent's method, which keeps one more mark and moves it at each power of two.
#[derive(Default)]
pub(crate) struct Seen {
    pages: FxHashMap<u64, u64>,
    order: VecDeque<u64>,
    milestone: Option<(u64, u64)>,
    count: u64,
}

impl Seen {
    /// Notes a mark; the number of the earlier page that had it, if one did.
    pub(crate) fn note(&mut self, mark: u64, page: u64) -> Option<u64> {
        let at_milestone = self.milestone.filter(|(milestone, _)| *milestone == mark);
        if let Some((_, earlier)) = at_milestone {
            return Some(earlier);
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
        self.count += 1;
        if self.count.is_power_of_two() {
            self.milestone = Some((mark, page));
        }
        None
    }
}

/// The mark of a request.
pub(crate) fn mark_of(text: &str) -> u64 {
    let mut fingerprint = Fingerprint::default();
    fingerprint.add(text.as_bytes());
    fingerprint.mark()
}

/// The mark of a page: a hash over its items.
#[derive(Default)]
pub(crate) struct Fingerprint(FxHasher);

impl Fingerprint {
    pub(crate) fn add(&mut self, item: &[u8]) {
        self.0.write(item);
        self.0.write_usize(item.len());
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
    fn where_items_are_cut_makes_a_difference() {
        let mark = |items: &[&str]| {
            let mut fingerprint = Fingerprint::default();
            items
                .iter()
                .for_each(|item| fingerprint.add(item.as_bytes()));
            fingerprint.mark()
        };
        assert_ne!(mark(&["12", "3"]), mark(&["1", "23"]));
        assert_eq!(mark(&["1", "2"]), mark(&["1", "2"]));
    }
}
