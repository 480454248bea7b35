use serde_json::Value;

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
    name: "page",
    syntax: "[:TO][,first=N][,last=N][,more=AT]",
    about: "a page number in TO, a query parameter (`page`) or `body:POINTER`, up to the last page \
            that is given or stated, until the flag at `more` says so, or until pages are empty or \
            missing",
    parse: |options| {
        let kind = PageNumber {
            last: None,
            stated_last: None,
            states_pages: false,
            fullest: 0,
            counted: Counted::parse(options, "page", FIRST)?,
        };
        let last = options.number("last")?;
        match (kind.counted.first(), last) {
            (Some(first), Some(last)) if first > last => Err(Error::request(format!(
                "expected `last` to be {first} or more, found {last}"
            ))),
            _ => Ok(Box::new(PageNumber { last, ..kind })),
        }
    },
    detect,
};

/// The number of the first page where nothing says another.
const FIRST: u64 = 1;

/// A page number.
///
/// The walk ends at the last page, if one was given; at the number of pages or of
/// items that the upstream states; at a page that does not exist (404); or, where no
/// number of pages is stated, after two empty pages in a row. One empty page does not
/// end it. A page that is refused (400, 422), or does not exist although it is one of
/// those that are stated, ends it with a doubt, unless all stated items have come.
///
/// ```
/// use unspool::pages::PageNumber;
///
/// let posts = unspool::pages("https://api.example.com/posts")
///     .paginate(PageNumber::new("page").first(0).last(9))
///     .raw();
/// # drop(posts);
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PageNumber {
    counted: Counted,
    last: Option<u64>,
    /// The last page by the upstream's word, or as its number of items makes it.
    stated_last: Option<u64>,
    /// Whether it gives the number of pages itself.
    states_pages: bool,
    /// The most items that a page held.
    fullest: u64,
}

impl PageNumber {
    /// A number in this place, from that in the request or 1 on.
    pub fn new(to: impl Into<To>) -> Self {
        PageNumber {
            counted: Counted::new(to, FIRST),
            last: None,
            stated_last: None,
            states_pages: false,
            fullest: 0,
        }
    }

    /// The number of the first page; some APIs count from 0.
    #[must_use]
    pub fn first(mut self, page: u64) -> Self {
        self.counted.set_first(page);
        self
    }

    /// The number of the last page.
    #[must_use]
    pub fn last(mut self, page: u64) -> Self {
        self.last = Some(page);
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

impl PageNumber {
    /// How many pages have been asked for, with the one in hand.
    fn asked(&self) -> u64 {
        let before = self.counted.current.saturating_sub(self.counted.begins_at);
        before.saturating_add(1)
    }

    /// Notes what a page says of the end of the list.
    fn note_end(&mut self, page: &PageEnd) {
        let by_items = match page.stated.items {
            // The first page tells how many items a page holds.
            Some(items) if self.asked() == 1 && page.items > 0 => Some(items.div_ceil(page.items)),
            _ => None,
        };
        self.states_pages |= page.stated.pages.is_some();
        if let Some(pages) = page.stated.pages.or(by_items) {
            self.stated_last = Some(self.counted.begins_at.saturating_add(pages.max(1) - 1));
        }
        self.counted.note(page);
    }

    /// Whether there is a page after this one by the upstream's word.
    fn states_another(&self) -> bool {
        self.states_pages
            && self
                .stated_last
                .is_some_and(|last| last > self.counted.current)
    }
}

impl From<PageNumber> for Paginate {
    fn from(number: PageNumber) -> Self {
        Paginate::new(number)
    }
}

impl Kind for PageNumber {
    fn describe(&self) -> String {
        (self.counted.describe(ENTRY.name))
            .option("last", self.last)
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
        self.note_end(page);
        let current = self.counted.current;
        match self.last {
            Some(last) if current >= last => return Ok(Next::End(Ended::Asked)),
            Some(_) => return self.counted.advance(1),
            None => {}
        }
        match self.counted.by_flag(page) {
            Some(Flag::End(next)) => return Ok(next),
            Some(Flag::More) => return self.counted.advance(1),
            None => {}
        }
        self.fullest = self.fullest.max(page.items);
        let is_capped = evidence::is_capped(page, self.fullest, self.asked() == 1);
        let is_last = (page.stated.pages).is_some_and(|pages| self.asked() >= pages);
        if is_last && (self.counted.received_all || !is_capped) {
            return Ok(Next::End(Ended::LastPage { page: current }));
        }
        // Where it may be the number of each page that is stated, or where another
        // page is, one more request shows.
        let is_open = self.states_another() || evidence::may_count_itself(page);
        if self.counted.received_all && (page.items == 0 || !is_open) {
            return Ok(Next::End(Ended::AllItems));
        }
        if self.counted.is_behind_the_end() && !self.states_another() {
            return Ok(Next::End(Ended::EmptyPages));
        }
        self.counted.advance(1)
    }

    fn ahead(&self, steps: u64) -> Option<Call> {
        let page = self.counted.current.checked_add(steps)?;
        let last = self.last.or(self.stated_last);
        if last.is_some_and(|last| page > last) {
            return None;
        }
        self.counted.call(page).ok()
    }

    fn end_by(&self, error: &Error) -> Option<Next> {
        if self.last.is_some() {
            return None;
        }
        let is_stated = self.states_pages && self.stated_last >= Some(self.counted.current);
        self.counted.end_by(error, is_stated)
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
    "page",
    "page[number]",
    "pagination[page]",
    "pageNumber",
    "page_number",
    "_page",
    "p",
];

/// Where an answer says which page it is.
const ECHOES: &[&str] = &[
    "page",
    "current_page",
    "currentpage",
    "page_number",
    "pagenumber",
    "pageindex",
    "page_index",
    "number",
    "current",
];

fn detect(first: &First<'_>) -> Vec<Candidate> {
    let Some((trust, evidence)) = evidence::may_go_on(first) else {
        return Vec::new();
    };
    let has_body = first.base.body.is_some();
    let target = |name: &&str| signs::to_parameter(name, has_body);
    let rank = rank(first);
    if let Some(name) = NAMES
        .iter()
        .find(|name| target(name).read(first.base).is_some())
    {
        let evidence = format!("the request has a `{name}`, and {evidence}");
        let kind = PageNumber::new(target(name));
        let candidate = first.candidate(kind, trust, evidence);
        return (candidate.into_iter())
            .map(|candidate| Candidate {
                is_named: true,
                rank,
                ..candidate
            })
            .collect();
    }
    let echo = signs::members(&first.page.envelope)
        .into_iter()
        .find_map(|member| {
            let is_echo = ECHOES.contains(&member.key.to_ascii_lowercase().as_str());
            let number = number_of(member.value).filter(|number| is_echo && *number <= 1)?;
            Some((member.key.to_owned(), number))
        });
    match echo {
        Some((key, number)) => echoed(first, trust, &evidence, &key, number),
        None => guessed(first, trust, &evidence),
    }
}

/// The candidates of an answer that says which page it is.
fn echoed(
    first: &First<'_>,
    trust: Trust,
    evidence: &str,
    key: &str,
    number: u64,
) -> Vec<Candidate> {
    let has_body = first.base.body.is_some();
    let evidence = format!("`{key}` is {number}, and {evidence}");
    let own = NAMES.iter().copied().find(|name| *name == key);
    let names = own
        .into_iter()
        .chain(NAMES.iter().copied().filter(|name| Some(*name) != own));
    names
        .filter_map(|name| {
            let mut kind = PageNumber::new(signs::to_parameter(name, has_body));
            if number == 0 {
                kind = kind.first(0);
            }
            let candidate = first.candidate(kind, trust, evidence.clone())?;
            Some(Candidate {
                is_named: name == key,
                rank: rank(first),
                ..candidate
            })
        })
        .collect()
}

/// The candidates of an answer that says nothing of where it stands.
fn guessed(first: &First<'_>, trust: Trust, evidence: &str) -> Vec<Candidate> {
    let has_body = first.base.body.is_some();
    let target = |name: &str| signs::to_parameter(name, has_body);
    let rank = rank(first);
    let alike = siblings::pages(first.base);
    let alike = (alike.iter())
        .filter(|sibling| sibling.is_alike)
        .map(|sibling| (sibling.name.as_str(), u8::from(!sibling.is_of_pages)));
    let usual = match trust {
        Trust::Tried => &NAMES[..1],
        _ => NAMES,
    };
    let usual = usual.iter().map(|name| (*name, GUESSED + rank));
    let mut candidates = Vec::new();
    for (name, rank) in unique(alike.chain(usual)) {
        for number in [1, 0] {
            let mut kind = PageNumber::new(target(name));
            if number == 0 {
                kind = kind.first(0);
            }
            let candidate = first.candidate(kind, trust, evidence);
            candidates.extend(candidate.map(|candidate| Candidate {
                // Only a page of the same number as the first shows how they are counted.
                control: target(name).set(first.base, &Value::from(number)).ok(),
                rank,
                ..candidate
            }));
        }
    }
    candidates
}

/// After offsets, where items are what the upstream counts.
fn rank(first: &First<'_>) -> u8 {
    u8::from(evidence::names_a_range(first.page))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{asks, detected, ends, page};
    use super::*;
    use serde_json::json;

    const URL: &str = "http://api.test/v1?q=a%20b&page=1";

    fn started(mut kind: PageNumber) -> PageNumber {
        kind.begin(Call::get(URL.parse().unwrap())).unwrap();
        kind
    }

    fn pages() -> PageNumber {
        PageNumber::new("page")
    }

    fn page_url(page: u64) -> String {
        format!("http://api.test/v1?q=a%20b&page={page}")
    }

    #[track_caller]
    fn check_first(mut kind: PageNumber, url: &str, expected: &str) {
        let call = kind.begin(Call::get(url.parse().unwrap())).unwrap();
        assert_eq!(call.url.as_str(), expected);
    }

    #[test]
    fn the_parameter_is_set_and_the_others_stay_as_written() {
        let url = "http://api.test/?a=%7E+b&p=7&c";
        let p = || PageNumber::new("p");
        check_first(p(), url, url);
        check_first(p().first(2), url, "http://api.test/?a=%7E+b&p=2&c");
        check_first(p(), "http://api.test/", "http://api.test/?p=1");
        check_first(p().first(0), "http://api.test/?", "http://api.test/?p=0");
    }

    #[test]
    fn a_flag_decides_before_all_else() {
        let kind = || started(pages().more("/more".parse::<At>().unwrap()));
        let says = |more: bool, items| page(json!({"more": more, "total": 3, "data": []}), items);
        let mut flagged = kind();
        assert_eq!(asks(flagged.after(&says(true, 3))), page_url(2));
        assert_eq!(ends(flagged.after(&says(false, 3))), Ended::NoMore);
        let mut left_out = kind();
        asks(left_out.after(&says(true, 3)));
        assert_eq!(ends(left_out.after(&page(json!([]), 3))), Ended::NoMore);
        // One that never was there decides nothing.
        let mut elsewhere = kind();
        assert_eq!(asks(elsewhere.after(&page(json!([]), 3))), page_url(2));
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
    fn a_given_last_page_is_the_last_even_behind_empty_ones() {
        let mut kind = started(pages().last(4));
        for expected in 2..=4 {
            assert_eq!(asks(kind.after(&page(json!([]), 0))), page_url(expected));
        }
        assert_eq!(ends(kind.after(&page(json!([]), 5))), Ended::Asked);
    }

    #[test]
    fn an_empty_page_does_not_end_the_walk_but_two_do() {
        let mut kind = started(pages());
        for (items, expected) in [(3, 2), (0, 3), (3, 4), (0, 5)] {
            assert_eq!(
                asks(kind.after(&page(json!([]), items))),
                page_url(expected)
            );
        }
        assert_eq!(ends(kind.after(&page(json!([]), 0))), Ended::EmptyPages);
    }

    #[test]
    fn the_stated_number_of_pages_is_the_end_whatever_the_first_is_called() {
        for first in [0, 1] {
            let mut kind = started(pages().first(first));
            let stated = || page(json!({"total_pages": 2, "data": []}), 3);
            assert_eq!(asks(kind.after(&stated())), page_url(first + 1));
            assert_eq!(
                ends(kind.after(&stated())),
                Ended::LastPage { page: first + 1 }
            );
        }
    }

    #[test]
    fn a_number_of_pages_for_a_size_that_is_not_given_is_not_the_end() {
        let stated = |items| {
            page(
                json!({"per_page": 200, "total_pages": 2, "data": []}),
                items,
            )
        };
        let mut kind = started(pages());
        for (items, expected) in [(100, 2), (100, 3)] {
            assert_eq!(asks(kind.after(&stated(items))), page_url(expected));
        }
        assert_eq!(ends(kind.after(&stated(50))), Ended::LastPage { page: 3 });
        // The last page is shorter than the others, or as large as is stated.
        let mut kind = started(pages());
        asks(kind.after(&stated(200)));
        assert_eq!(ends(kind.after(&stated(50))), Ended::LastPage { page: 2 });
        let mut kind = started(pages());
        asks(kind.after(&stated(200)));
        assert_eq!(ends(kind.after(&stated(200))), Ended::LastPage { page: 2 });
        let only = |items| page(json!({"size": 200, "total_pages": 1, "data": []}), items);
        assert_eq!(
            ends(started(pages()).after(&only(73))),
            Ended::LastPage { page: 1 }
        );
        assert_eq!(asks(started(pages()).after(&only(100))), page_url(2));
    }

    #[test]
    fn the_stated_number_of_items_is_the_end() {
        let mut kind = started(pages());
        let mut stated = page(json!({"total": 6, "data": []}), 3);
        assert_eq!(asks(kind.after(&stated)), page_url(2));
        stated.distinct = 6;
        assert_eq!(ends(kind.after(&stated)), Ended::AllItems);
    }

    #[test]
    fn a_count_that_may_be_of_the_page_does_not_end_the_walk() {
        let mut kind = started(pages());
        let counted = page(json!({"count": 3, "data": []}), 3);
        assert_eq!(asks(kind.after(&counted)), page_url(2));
    }

    #[test]
    fn calls_ahead_end_where_the_list_does() {
        let ahead = |kind: &PageNumber, steps| kind.ahead(steps).map(|call| call.url.to_string());
        let mut kind = started(pages());
        assert_eq!(ahead(&kind, 9), Some(page_url(10)), "nobody knows better");
        asks(kind.after(&page(json!({"total": 7, "data": []}), 3)));
        assert_eq!(ahead(&kind, 1), Some(page_url(3)));
        assert_eq!(ahead(&kind, 2), None);
        let kind = started(pages().last(2));
        assert_eq!(ahead(&kind, 1), Some(page_url(2)));
        assert_eq!(ahead(&kind, 2), None);
    }

    #[test]
    fn a_refused_page_is_the_end_only_where_all_has_come() {
        let refused = |status| Error::new(crate::error::Kind::Status(status), "no");
        let mut kind = started(pages());
        asks(kind.after(&page(json!({"total": 9, "data": []}), 3)));
        assert!(matches!(kind.end_by(&refused(404)), Some(Next::End(_))));
        assert!(matches!(
            kind.end_by(&refused(400)),
            Some(Next::Doubtful(..))
        ));
        assert!(kind.end_by(&refused(403)).is_none());
    }

    #[test]
    fn a_stated_page_that_is_missing_or_empty_is_not_the_end() {
        let missing = Error::new(crate::error::Kind::Status(404), "no");
        let mut kind = started(pages());
        let stated = |items| page(json!({"total_pages": 5, "data": []}), items);
        assert_eq!(asks(kind.after(&stated(3))), page_url(2));
        assert!(matches!(kind.end_by(&missing), Some(Next::Doubtful(..))));
        for expected in 3..=5 {
            assert_eq!(asks(kind.after(&stated(0))), page_url(expected));
        }
        assert_eq!(ends(kind.after(&stated(0))), Ended::LastPage { page: 5 });
    }

    #[test]
    fn a_total_that_the_stated_pages_contradict_is_not_the_end() {
        let mut kind = started(pages());
        let mut first = page(json!({"total": 10, "total_pages": 10, "data": []}), 10);
        assert_eq!(asks(kind.after(&first)), page_url(2));
        first.items = 0;
        assert_eq!(ends(kind.after(&first)), Ended::AllItems);
    }

    #[test]
    fn a_total_that_may_be_of_each_page_is_asked_for_once_more() {
        let mut kind = started(pages());
        let mut stated = page(json!({"total": 10, "data": []}), 10);
        assert_eq!(asks(kind.after(&stated)), page_url(2));
        stated.items = 0;
        assert_eq!(ends(kind.after(&stated)), Ended::AllItems);
        let mut kind = started(pages());
        let whole = page(json!({"total": 7, "data": []}), 7);
        assert_eq!(ends(kind.after(&whole)), Ended::AllItems);
    }

    #[test]
    fn a_walk_is_taken_up_at_the_number_in_its_call() {
        let mut kind = started(pages());
        let call = kind.ahead(6).unwrap();
        kind.resume(&call).unwrap();
        assert_eq!(asks(kind.after(&page(json!([]), 3))), page_url(8));
    }

    #[test]
    fn candidates_follow_what_the_answer_says_of_itself() {
        let mut first = page(json!({"current_page": 0, "total_pages": 3, "data": []}), 3);
        first.call.url.set_query(None);
        let found = detected(&ENTRY, &first);
        assert_eq!(found[0].kind.describe(), "page:page,first=0");
        assert!(found[0].control.is_none());
        first.envelope = json!({"data": []});
        let found = detected(&ENTRY, &first);
        assert_eq!(found[0].kind.describe(), "page:page");
        assert!(
            found[0].control.is_some(),
            "how pages are counted is not known"
        );
    }
}
