use super::counted::{Counted, Flag};
use super::{
    Candidate, First, GUESSED, Kind, KindEntry, More, Next, PageEnd, Paginate, Trust, evidence,
    siblings, signs, unique,
};
use crate::error::Error;
use crate::http::Call;
use crate::pages::account::Ended;
use crate::pages::place::{At, To, number_of};

pub(super) const ENTRY: KindEntry = KindEntry {
    name: "offset",
    syntax: "[:TO][,first=N][,step=N][,more=AT]",
    about: "the number of items before the page in TO (`offset`), grown by the items that came, or by \
            `step`, until the stated total has come, the flag at `more` says so, or pages are empty or \
            missing",
    parse: |options| {
        let kind = Offset {
            counted: Counted::parse(options, "offset", FIRST)?,
            step: options.number("step")?,
            size: 0,
            total: None,
        };
        match kind.step {
            Some(0) => Err(Error::request("expected `step` to be 1 or more, found 0")),
            _ => Ok(Box::new(kind)),
        }
    },
    detect,
};

/// The offset of the first item where nothing says another.
const FIRST: u64 = 0;

/// The number of items before the page.
///
/// It grows by the items that came, so that none is passed over where the upstream
/// gives fewer than it was asked for; [`step`](Offset::step) makes it grow by that.
/// The walk ends when all stated items have come, at a page that does not exist
/// (404), or after two empty pages in a row.
///
/// ```
/// use unspool::pages::Offset;
///
/// let posts = unspool::pages("https://api.example.com/posts")
///     .paginate(Offset::new("skip").first(100))
///     .raw();
/// # drop(posts);
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Offset {
    counted: Counted,
    step: Option<u64>,
    /// The most items that a page held.
    size: u64,
    total: Option<u64>,
}

impl Offset {
    /// An offset in this place, from that in the request or 0 on.
    pub fn new(to: impl Into<To>) -> Self {
        Offset {
            counted: Counted::new(to, FIRST),
            step: None,
            size: 0,
            total: None,
        }
    }

    /// The offset of the first item; some APIs count from 1.
    #[must_use]
    pub fn first(mut self, offset: u64) -> Self {
        self.counted.set_first(offset);
        self
    }

    /// Grows by this for each page, however many items it held.
    #[must_use]
    pub fn step(mut self, items: u64) -> Self {
        self.step = Some(items.max(1));
        self
    }

    /// The place of a flag that says whether there is a next page.
    #[must_use]
    pub fn more(mut self, place: impl Into<At>) -> Self {
        self.counted.set_more(More {
            at: place.into(),
            is_inverted: false,
        });
        self
    }
}

impl From<Offset> for Paginate {
    fn from(offset: Offset) -> Self {
        Paginate::new(offset)
    }
}

impl Kind for Offset {
    fn describe(&self) -> String {
        (self.counted.describe(ENTRY.name))
            .option("step", self.step)
            .end()
    }

    fn begin(&mut self, call: Call) -> Result<Call, Error> {
        self.counted.begin(call)
    }

    fn resume(&mut self, call: &Call) -> Result<(), Error> {
        self.counted.resume(call);
        Ok(())
    }

    fn after(&mut self, page: &PageEnd) -> Result<Next, Error> {
        self.counted.note(page);
        self.size = self.size.max(page.items);
        self.total = page.stated.items.or(self.total);
        let flag = self.counted.by_flag(page);
        if let Some(Flag::End(next)) = flag {
            return Ok(next);
        }
        // It may be the number of each page that is stated: the next one shows.
        let is_end = self.counted.received_all && flag.is_none();
        if is_end && !evidence::may_count_itself(page) {
            return Ok(Next::End(Ended::AllItems));
        }
        let is_empty = page.items == 0 && self.size == 0;
        if self.counted.is_behind_the_end() || is_empty {
            return Ok(Next::End(Ended::EmptyPages));
        }
        self.counted.advance(match page.items {
            // A hole is passed over by the size of a page.
            0 => self.step.unwrap_or(self.size),
            items => self.step.unwrap_or(items),
        })
    }

    fn ahead(&self, steps: u64) -> Option<Call> {
        let step = self.step.unwrap_or(self.size);
        let offset = self.counted.current.checked_add(steps.checked_mul(step)?)?;
        let is_behind = self
            .total
            .is_some_and(|total| offset >= self.counted.begins_at.saturating_add(total));
        if step == 0 || is_behind {
            return None;
        }
        self.counted.call(offset).ok()
    }

    fn end_by(&self, error: &Error) -> Option<Next> {
        self.counted.end_by(error, false)
    }

    fn counterproof(&self) -> Option<Call> {
        self.counted.call(self.counted.begins_at).ok()
    }

    fn makes_its_calls(&self) -> bool {
        true
    }

    fn counts_from_front(&self, _: &Call) -> bool {
        true
    }
}

/// Names of the parameter, the usual ones first.
const NAMES: &[&str] = &[
    "offset",
    "skip",
    "start",
    "startAt",
    "startIndex",
    "from",
    "$skip",
    "_start",
    "resultOffset",
];

fn detect(first: &First<'_>) -> Vec<Candidate> {
    let Some((trust, evidence)) = evidence::may_go_on(first) else {
        return Vec::new();
    };
    let has_body = first.base.body.is_some();
    let target = |name: &str| signs::to_parameter(name, has_body);
    let in_request = NAMES
        .iter()
        .find(|name| target(name).read(first.base).is_some());
    if let Some(name) = in_request {
        let evidence = format!("the request has a `{name}`, and {evidence}");
        let kind = Offset::new(target(name));
        let candidate = first.candidate(kind, trust, evidence);
        return (candidate.into_iter())
            .map(|candidate| Candidate {
                is_named: true,
                ..candidate
            })
            .collect();
    }
    // An answer that says where it begins uses the name of the parameter for that.
    let echo = signs::members(&first.page.envelope)
        .into_iter()
        .find_map(|member| {
            let key = member.key.rsplit(':').next().unwrap_or(member.key);
            let name = NAMES.iter().find(|name| name.eq_ignore_ascii_case(key))?;
            let number = number_of(member.value).filter(|number| *number <= 1)?;
            Some((*name, key.to_owned(), number))
        });
    if let Some((name, key, number)) = echo {
        let evidence = format!("`{key}` is {number}, and {evidence}");
        let mut names = vec![key.as_str(), name];
        names.extend(NAMES.iter().filter(|other| **other != name));
        names.dedup();
        return (names.into_iter())
            .filter_map(|name| {
                let mut kind = Offset::new(target(name));
                if number > 0 {
                    kind = kind.first(number);
                }
                let candidate = first.candidate(kind, trust, evidence.clone())?;
                Some(Candidate {
                    is_named: name == key,
                    ..candidate
                })
            })
            .collect();
    }
    let derived = siblings::offsets(first.base);
    let alike: Vec<&str> = (derived.iter())
        .filter(|sibling| sibling.is_alike)
        .map(|sibling| sibling.name.as_str())
        .collect();
    let plain = derived.iter().filter(|sibling| !sibling.is_alike);
    let mut names: Vec<&str> = plain.map(|sibling| sibling.name.as_str()).collect();
    names.extend(NAMES.iter().filter(|name| !alike.contains(name)));
    if trust == Trust::Tried {
        names.truncate(1);
    }
    // What has the style of the request is likelier than a usual page number.
    let alike = alike.into_iter().map(|name| (name, 0));
    let names = names.into_iter().map(|name| (name, GUESSED));
    (unique(alike.chain(names)).into_iter())
        .filter_map(|(name, rank)| {
            let kind = Offset::new(target(name));
            let candidate = first.candidate(kind, trust, evidence.clone())?;
            Some(Candidate { rank, ..candidate })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{asks, detected, ends, page};
    use super::*;
    use serde_json::json;

    fn started(mut kind: Offset) -> Offset {
        let call = Call::get("http://api.test/v1?limit=9".parse().unwrap());
        kind.begin(call).unwrap();
        kind
    }

    fn offsets() -> Offset {
        Offset::new("offset")
    }

    fn url(offset: u64) -> String {
        format!("http://api.test/v1?limit=9&offset={offset}")
    }

    #[test]
    fn the_offset_grows_by_what_came() {
        let mut kind = started(offsets());
        for (items, expected) in [(5, 5), (3, 8), (5, 13)] {
            assert_eq!(asks(kind.after(&page(json!([]), items))), url(expected));
        }
    }

    #[test]
    fn a_flag_decides_before_all_else() {
        let kind = || started(offsets().more("/more".parse::<At>().unwrap()));
        let says = |more: bool, items| page(json!({"more": more, "total": 3, "data": []}), items);
        let mut flagged = kind();
        assert_eq!(asks(flagged.after(&says(true, 3))), url(3));
        assert_eq!(ends(flagged.after(&says(false, 3))), Ended::NoMore);
        let mut left_out = kind();
        asks(left_out.after(&says(true, 3)));
        assert_eq!(ends(left_out.after(&page(json!([]), 3))), Ended::NoMore);
        // One that never was there decides nothing.
        let mut elsewhere = kind();
        assert_eq!(asks(elsewhere.after(&page(json!([]), 3))), url(3));
        let mut never = kind();
        asks(never.after(&says(true, 3)));
        asks(never.after(&says(true, 0)));
        let next = never.after(&says(true, 0)).unwrap();
        assert!(
            matches!(next, Next::Doubtful(Ended::EmptyPages, _)),
            "{next:?}"
        );
    }

    #[test]
    fn a_step_is_kept_whatever_came() {
        let mut kind = started(offsets().step(9));
        for (items, expected) in [(5, 9), (0, 18), (3, 27)] {
            assert_eq!(asks(kind.after(&page(json!([]), items))), url(expected));
        }
    }

    #[test]
    fn a_hole_is_passed_over_but_two_empty_pages_are_the_end() {
        let mut kind = started(offsets());
        for (items, expected) in [(5, 5), (0, 10), (5, 15), (0, 20)] {
            assert_eq!(asks(kind.after(&page(json!([]), items))), url(expected));
        }
        assert_eq!(ends(kind.after(&page(json!([]), 0))), Ended::EmptyPages);
    }

    #[test]
    fn the_stated_total_is_the_end() {
        let mut kind = started(offsets());
        let mut stated = page(json!({"total": 7, "data": []}), 5);
        assert_eq!(asks(kind.after(&stated)), url(5));
        assert_eq!(kind.ahead(1), None, "there is nothing after");
        (stated.items, stated.distinct) = (2, 7);
        assert_eq!(ends(kind.after(&stated)), Ended::AllItems);
    }

    #[test]
    fn a_total_that_may_be_of_each_page_is_asked_for_once_more() {
        let mut kind = started(offsets());
        let mut stated = page(json!({"total": 10, "data": []}), 10);
        assert_eq!(asks(kind.after(&stated)), url(10));
        stated.items = 0;
        assert_eq!(ends(kind.after(&stated)), Ended::AllItems);
    }

    #[test]
    fn calls_ahead_are_by_the_size_of_a_page() {
        let mut kind = started(offsets());
        assert_eq!(kind.ahead(1), None, "the size is not known yet");
        asks(kind.after(&page(json!({"total": 20, "data": []}), 5)));
        let ahead = |steps| kind.ahead(steps).map(|call| call.url.to_string());
        assert_eq!(ahead(1), Some(url(10)));
        assert_eq!(ahead(2), Some(url(15)));
        assert_eq!(ahead(3), None);
    }

    #[test]
    fn an_answer_that_says_where_it_begins_names_the_parameter() {
        let mut first = page(json!({"startAt": 0, "total": 9, "issues": []}), 3);
        first.call.url.set_query(None);
        assert_eq!(
            detected(&ENTRY, &first)[0].kind.describe(),
            "offset:startAt"
        );
        let mut first = page(
            json!({"startIndex": 1, "totalResults": 9, "Resources": []}),
            3,
        );
        first.call.url.set_query(None);
        assert_eq!(
            detected(&ENTRY, &first)[0].kind.describe(),
            "offset:startIndex,first=1"
        );
    }
}
