use super::{Candidate, First, KINDS, Kind, KindEntry, Next, PageEnd, Trust};
use crate::error::Error;
use crate::http::Call;

pub(super) const ENTRY: KindEntry = KindEntry {
    name: "auto",
    syntax: "",
    about: "what the first page shows, proved by the second: its items must be others than those of \
            the first",
    parse: |_| Ok(Box::new(Auto::default())),
    detect: |_| Vec::new(),
};

/// Lets the first page decide, and the second prove it.
#[derive(Debug, Default)]
pub(crate) struct Auto {
    base: Option<Call>,
}

impl Kind for Auto {
    fn describe(&self) -> String {
        ENTRY.name.to_owned()
    }

    fn begin(&mut self, call: Call) -> Result<Call, Error> {
        self.base = Some(call.clone());
        Ok(call)
    }

    fn after(&mut self, page: &PageEnd) -> Result<Next, Error> {
        let base = self.base.as_ref().unwrap_or(&page.call);
        Ok(Next::Prove(candidates(&First { base, page })))
    }
}

/// All candidates, the likeliest first: what the upstream states, then what is
/// guessed, then what is only tried.
fn candidates(first: &First<'_>) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = KINDS
        .iter()
        .flat_map(|entry| (entry.detect)(first))
        .collect();
    found.sort_by_key(|candidate| (candidate.trust as u8, candidate.rank));
    // Where the upstream gives a token or a link, a walk by numbers would only be
    // tried for want of a better one.
    let is_stated = (found.first()).is_some_and(|candidate| candidate.trust == Trust::Stated);
    if is_stated {
        found.retain(|candidate| candidate.trust != Trust::Tried);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tests::page;
    use super::*;
    use serde_json::{Value, json};

    /// What is tried after a first page, in order.
    fn tries(envelope: Value, items: u64) -> Vec<String> {
        let mut page = page(envelope, items);
        page.call.url.set_query(None);
        match Auto::default().after(&page).unwrap() {
            Next::Prove(candidates) => (candidates.iter())
                .map(|candidate| candidate.kind.describe())
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_page_that_speaks_of_no_other_has_no_candidates() {
        for envelope in [json!([]), json!({"data": [], "total": 3})] {
            assert_eq!(tries(envelope, 3), [""; 0]);
        }
    }

    #[test]
    fn what_is_stated_comes_before_what_is_guessed() {
        let envelope = json!({"links": {"next": "/b"}, "meta": {"next_cursor": "x"}, "total": 9});
        let tries = tries(envelope, 3);
        assert_eq!(tries[0], "next:/links/next");
        assert_eq!(tries[1], "cursor:/meta/next_cursor,to=cursor");
        assert!(tries.contains(&"page:page".to_owned()));
    }

    #[test]
    fn a_full_page_without_a_word_is_tried_with_the_usual_parameters() {
        assert_eq!(
            tries(json!([]), 30),
            ["page:page", "page:page,first=0", "offset:offset"]
        );
        assert_eq!(tries(json!([]), 29), [""; 0]);
        assert_eq!(tries(json!({"data": [], "has_more": false}), 30), [""; 0]);
    }
}
