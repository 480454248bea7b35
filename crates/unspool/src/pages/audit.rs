//! What the pages of a walk say against its end, whatever kind it went by.

use super::account::{Doubt, Ended};
use super::kinds::{PageEnd, evidence};

/// What the first page of a walk names for the next one, where the walk ended there
/// because its kind found nothing: it looked in the wrong place.
///
/// On later pages the kind has followed its own mark, and that it is gone is the end:
/// some APIs give the token of the page's own last item beside it.
pub(super) fn not_followed(first: &PageEnd) -> Option<Doubt> {
    if first.stated.items == Some(first.distinct) {
        return None;
    }
    evidence::promise(first).map(Doubt::says_more)
}

/// Whether a walk that ended so has followed something that the upstream gives.
pub(super) fn followed_the_upstream(ended: &Ended) -> bool {
    matches!(ended, Ended::NoNext)
}

/// Items that came twice while pages were counted, with nothing to say how many there
/// are: each stands where another was, which may never have come.
pub(super) fn in_the_place_of_others(
    repeated: u64,
    is_counted: bool,
    stated: Option<u64>,
) -> Option<Doubt> {
    (repeated > 0 && is_counted && stated.is_none()).then_some(Doubt::Displaced { repeated })
}

/// The sizes of the pages of a walk, as far as they tell why one of them was empty.
#[derive(Default)]
pub(super) struct Sizes {
    /// The items of the page before, if it had some.
    before: u64,
    largest: u64,
    /// The fewest items of a page that had some and was not the last of those.
    least: Option<u64>,
    /// The first empty page since one with items.
    empty: Option<u64>,
    /// The first empty page that was followed by one with items.
    between: Option<u64>,
}

impl Sizes {
    pub(super) fn note(&mut self, page: u64, items: u64) {
        if items == 0 {
            self.empty.get_or_insert(page);
            return;
        }
        if self.before > 0 {
            self.least = Some(
                self.least
                    .map_or(self.before, |least| least.min(self.before)),
            );
        }
        // Before the first page with items there is no middle.
        let empty = self.empty.take().filter(|_| self.before > 0);
        self.between = self.between.or(empty);
        self.before = items;
        self.largest = self.largest.max(items);
    }

    /// An empty page in the middle of full ones. Where other pages are short, items are
    /// filtered after they are counted, which may leave none; a page of one item tells
    /// nothing of that.
    pub(super) fn empty_between(&self) -> Option<Doubt> {
        let is_full = self
            .least
            .is_some_and(|least| least > 1 && least == self.largest);
        (self.between.filter(|_| is_full)).map(|page| Doubt::EmptyBetween { page })
    }
}

/// Whether more items came than are stated, and each once: the total counts something
/// else, as FHIR's does, which leaves out the resources that come beside the matches.
/// That is no sign of a walk that ended early.
pub(super) fn is_surplus(stated: u64, received: u64, repeated: u64, ended: &Ended) -> bool {
    let is_end_mark = matches!(ended, Ended::NoNext | Ended::NoMore | Ended::NothingAfter);
    received > stated && repeated == 0 && is_end_mark
}

#[cfg(test)]
mod tests {
    use super::super::kinds::tests::page;
    use super::*;
    use serde_json::json;

    #[test]
    fn what_promises_a_next_page_and_was_not_followed_is_a_doubt() {
        for promise in [
            json!({"nextPageToken": "abc"}),
            json!({"paging": {"next": {"after": "7"}}}),
            json!({"continuation": "x"}),
            json!({"links": {"next": "/b"}}),
        ] {
            assert!(
                not_followed(&page(promise.clone(), 3)).is_some(),
                "{promise}"
            );
        }
        let mut linked = page(json!([]), 3);
        linked
            .headers
            .insert("link", "</b>; rel=next".parse().unwrap());
        assert!(not_followed(&linked).is_some());
    }

    #[test]
    fn an_empty_page_among_full_ones_is_a_doubt_and_among_short_ones_is_none() {
        let between = |items: &[u64]| {
            let mut sizes = Sizes::default();
            (items.iter().zip(1..)).for_each(|(items, page)| sizes.note(page, *items));
            match sizes.empty_between() {
                Some(Doubt::EmptyBetween { page }) => Some(page),
                _ => None,
            }
        };
        assert_eq!(between(&[5, 0, 5, 2]), Some(2));
        assert_eq!(between(&[5, 5, 0, 2, 0, 0]), Some(3));
        assert_eq!(between(&[5, 0, 0, 5]), Some(2));
        for none in [
            &[5, 5, 3][..],
            &[5, 5, 0, 0],
            &[5, 4, 5, 0, 5],
            &[3, 0, 5, 5],
            &[0, 5, 5],
            &[0, 0],
            &[1, 0, 1],
        ] {
            assert_eq!(between(none), None, "{none:?}");
        }
    }

    #[test]
    fn what_only_says_where_a_page_stands_is_none() {
        for other in [
            json!({"paging": {"cursors": {"before": "a", "after": "b"}}}),
            json!({"nextPageToken": null, "cursor": "abc"}),
            json!({"next_cursor": "0", "links": {"next": null}}),
            json!({"total": 3, "next_cursor": "abc"}),
            json!({"nextSyncToken": "abc"}),
        ] {
            assert_eq!(not_followed(&page(other.clone(), 3)), None, "{other}");
        }
    }

    #[test]
    fn repeated_items_are_a_doubt_only_where_pages_are_counted_and_no_total_is_stated() {
        let doubt = Doubt::Displaced { repeated: 3 };
        assert_eq!(in_the_place_of_others(3, true, None), Some(doubt));
        for (repeated, is_counted, stated) in
            [(0, true, None), (3, false, None), (3, true, Some(9))]
        {
            assert_eq!(in_the_place_of_others(repeated, is_counted, stated), None);
        }
    }

    #[test]
    fn more_items_than_stated_are_no_doubt_where_each_came_once_up_to_the_end() {
        assert!(is_surplus(250, 300, 0, &Ended::NoNext));
        assert!(!is_surplus(250, 300, 50, &Ended::NoNext));
        assert!(!is_surplus(250, 200, 0, &Ended::NoNext));
        assert!(!is_surplus(250, 300, 0, &Ended::EmptyPages));
    }
}
