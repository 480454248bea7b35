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
