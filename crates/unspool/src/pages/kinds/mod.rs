//! The kinds of pagination. To add one: its file, a line in [`KINDS`].

pub(crate) mod auto;
mod counted;
mod cursor;
mod custom;
mod description;
pub(crate) mod evidence;
mod last_key;
mod link_header;
mod next_url;
mod offset;
mod page_number;
mod relay;
mod siblings;
mod signs;
mod single;
mod token;

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::Value;

pub use cursor::Cursor;
pub use custom::{PageRequest, PageView};
pub use last_key::LastKey;
pub use link_header::LinkHeader;
pub use next_url::NextUrl;
pub use offset::Offset;
pub use page_number::PageNumber;
pub use relay::Relay;
pub use single::Single;

pub(crate) use custom::Custom;

pub(crate) use siblings::words;

use description::{Description, OptionList};

use super::account::{Doubt, Ended};
use super::place::{At, number_of};
use super::stated::Stated;
use crate::error::Error;
use crate::http::Call;

/// All kinds, in the order in which they are looked for on a first page.
static KINDS: &[KindEntry] = &[
    auto::ENTRY,
    link_header::ENTRY,
    next_url::ENTRY,
    relay::ENTRY,
    cursor::ENTRY,
    last_key::ENTRY,
    page_number::ENTRY,
    offset::ENTRY,
    single::ENTRY,
];

/// One kind of pagination: what it is called, and how it comes to be.
pub(crate) struct KindEntry {
    name: &'static str,
    /// What may follow the name, for the help text.
    syntax: &'static str,
    about: &'static str,
    /// Reads what follows the name.
    parse: fn(&mut OptionList) -> Result<Box<dyn Kind>, Error>,
    /// How a walk might go on from a first page, the likeliest first.
    detect: fn(&First<'_>) -> Vec<Candidate>,
}

/// The walk's side of a kind.
pub(crate) trait Kind: fmt::Debug + Send {
    /// The text that makes this kind again, as far as it has been settled.
    fn describe(&self) -> String;

    /// The first call, made of the caller's.
    fn begin(&mut self, call: Call) -> Result<Call, Error> {
        Ok(call)
    }

    /// Takes up a walk that had come to this call; follows on `begin`.
    fn resume(&mut self, _call: &Call) -> Result<(), Error> {
        Ok(())
    }

    /// What comes after a page.
    fn after(&mut self, page: &PageEnd) -> Result<Next, Error>;

    /// The call that many steps ahead of the page that is being read, where it does
    /// not take that page to know it.
    fn ahead(&self, _steps: u64) -> Option<Call> {
        None
    }

    /// What a failed request means, if it is this API's way to end, after one page
    /// at least.
    fn end_by(&self, _error: &Error) -> Option<Next> {
        None
    }

    /// Whether a page may begin with the last item of the one before.
    fn overlaps(&self) -> bool {
        false
    }

    /// Whether the same call may lead on: the upstream keeps the place.
    fn repeats_calls(&self) -> bool {
        false
    }

    /// A call that does not give an empty page where the upstream understands the place
    /// that this kind writes to: the first number, or a token that none is.
    fn counterproof(&self) -> Option<Call> {
        None
    }

    /// Whether the place of the page that this call asks for is the number of what
    /// stands before it, which shifts when items come and go.
    fn counts_from_front(&self, call: &Call) -> bool {
        evidence::counts_by_name(call)
    }

    /// Whether the next call is made here, and not named by the upstream: then there may be
    /// no page for it.
    fn makes_its_calls(&self) -> bool {
        false
    }
}

/// What comes after a page.
#[derive(Debug)]
pub(crate) enum Next {
    Call(Call),
    End(Ended),
    /// The end, for all that is known, but something speaks against it.
    Doubtful(Ended, Doubt),
    /// One of these, as a look at the next page will show.
    Prove(Vec<Candidate>),
}

/// A first page, and what was asked for to get it.
pub(crate) struct First<'p> {
    pub(crate) base: &'p Call,
    pub(crate) page: &'p PageEnd,
}

impl First<'_> {
    /// A candidate that stands at the begin of the walk.
    fn candidate(
        &self,
        mut kind: impl Kind + 'static,
        trust: Trust,
        evidence: impl Into<String>,
    ) -> Option<Candidate> {
        kind.begin(self.base.clone()).ok()?;
        Some(Candidate {
            kind: Box::new(kind),
            trust,
            evidence: evidence.into(),
            is_named: false,
            control: None,
            rank: 0,
        })
    }
}

/// A kind that might be the one.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) kind: Box<dyn Kind>,
    pub(crate) trust: Trust,
    /// What speaks for it.
    pub(crate) evidence: String,
    /// Whether the upstream itself uses the name of the parameter, so that an item of
    /// the first page at the begin of the second tells of a shift and not of a wrong
    /// guess.
    pub(crate) is_named: bool,
    /// A call that has to give the first page again if this is it.
    pub(crate) control: Option<Call>,
    /// Of candidates with the same trust, the lowest comes first.
    pub(crate) rank: u8,
}

/// The rank of a name that nothing in the request or in the answer suggests.
const GUESSED: u8 = 2;

/// Names with their ranks, each once.
fn unique<'n>(names: impl Iterator<Item = (&'n str, u8)>) -> Vec<(&'n str, u8)> {
    let mut found: Vec<(&str, u8)> = Vec::new();
    for (name, rank) in names {
        if !found.iter().any(|(known, _)| *known == name) {
            found.push((name, rank));
        }
    }
    found
}

/// How much is guessed about a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Nothing: the upstream says what the next call is, or that there is none.
    Stated,
    /// Where a token goes that the upstream gives.
    Token,
    /// How to get more, of which the upstream only says that it is there.
    Guessed,
    /// Nothing speaks of more, it is only possible.
    Tried,
}

/// A page that has been read to its end.
#[derive(Clone, Debug)]
pub(crate) struct PageEnd {
    /// What it answers, redirects included: what its links are relative to.
    pub(crate) call: Call,
    pub(crate) headers: HeaderMap,
    /// Whether the answer says of itself that it is only a part (status 206).
    pub(crate) is_partial: bool,
    /// Whether it is one thing, and no list.
    pub(crate) is_resource: bool,
    /// Whether its list was left out, and is taken for an empty one.
    pub(crate) is_left_out: bool,
    /// The body with an empty array in the place of the items.
    pub(crate) envelope: Value,
    pub(crate) stated: Stated,
    /// Items on this page, on this page without an overlap, and on all so far.
    pub(crate) items: u64,
    pub(crate) fresh: u64,
    pub(crate) received: u64,
    /// How many of those are different ones, as far as that is known.
    pub(crate) distinct: u64,
    /// The text of the last item.
    pub(crate) last: Option<Bytes>,
}

impl PageEnd {
    /// Whether nothing new came after all items that the upstream states: the end,
    /// whatever link stands there.
    pub(crate) fn is_after_all_items(&self) -> bool {
        self.fresh == 0 && self.distinct > 0 && self.stated.items == Some(self.distinct)
    }

    /// What the page holds in that place.
    fn find(&self, at: &At) -> Option<Value> {
        at.find(&self.headers, &self.envelope)
    }

    /// The address that this page gives for the next one.
    fn resolve(&self, target: &str) -> Result<Call, Error> {
        let wrong = |what: &str| {
            Error::content(format!(
                "{what} as the address of the next page: `{target}`"
            ))
            .at_request(self.call.redacted())
        };
        let url = (self.call.url.join(target)).map_err(|_| wrong("found no URL"))?;
        match url.scheme() {
            "http" | "https" => Ok(Call {
                url,
                ..self.call.clone()
            }),
            _ => Err(wrong("found neither an `http:` nor an `https:` URL")),
        }
    }
}

/// A place that says whether there is more, or, written with a `!` before it, that
/// there is not.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct More {
    pub(crate) at: At,
    pub(crate) is_inverted: bool,
}

impl More {
    /// What the page says; nothing if the place is not there.
    pub(crate) fn read(&self, page: &PageEnd) -> Option<bool> {
        let is_set = truth(&page.find(&self.at)?)?;
        Some(is_set != self.is_inverted)
    }
}

impl FromStr for More {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (is_inverted, at) = match text.strip_prefix('!') {
            Some(at) => (true, at),
            None => (false, text),
        };
        Ok(More {
            at: at.parse()?,
            is_inverted,
        })
    }
}

impl fmt::Display for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = if self.is_inverted { "!" } else { "" };
        write!(f, "{not}{}", self.at)
    }
}

/// A flag as JSON, XML and header fields have it.
fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Some(true),
            "false" | "0" | "no" | "" => Some(false),
            _ => None,
        },
        value => number_of(value).map(|number| number != 0),
    }
}

/// How to get from one page to the next.
///
/// Made of a [`LinkHeader`], [`NextUrl`], [`Cursor`], [`Relay`], [`LastKey`],
/// [`PageNumber`], [`Offset`] or [`Single`], or of the text that `unspool pages
/// --paginate` takes. By default the first page decides.
///
/// ```
/// use unspool::pages::{Cursor, Pages, Paginate, RawItem};
///
/// let posts = unspool::pages("https://api.example.com/posts");
/// let as_text: Pages<RawItem> = posts.paginate("page:page,first=0".parse::<Paginate>()?).raw();
///
/// let posts = unspool::pages("https://api.example.com/posts");
/// let as_value = posts.paginate(Cursor::new("/meta/next".parse::<unspool::Pointer>()?, "cursor")).raw();
/// for (syntax, about) in Paginate::kinds() {
///     println!("{syntax}: {about}");
/// }
/// # drop((as_text, as_value));
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Debug)]
pub struct Paginate {
    kind: Box<dyn Kind>,
}

impl Paginate {
    pub(crate) fn new(kind: impl Kind + 'static) -> Self {
        Paginate {
            kind: Box::new(kind),
        }
    }

    pub(crate) fn into_kind(self) -> Box<dyn Kind> {
        self.kind
    }

    /// The kinds that can be written as text: how, and what each is.
    pub fn kinds() -> impl Iterator<Item = (String, &'static str)> {
        KINDS
            .iter()
            .map(|entry| (format!("{}{}", entry.name, entry.syntax), entry.about))
    }
}

impl Default for Paginate {
    fn default() -> Self {
        Paginate::new(auto::Auto::default())
    }
}

/// As the text that makes it again.
impl fmt::Display for Paginate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind.describe())
    }
}

impl FromStr for Paginate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // The first option may be left out: `relay,to=body:/variables/after`.
        let (name, options) = match text.find([':', ',']) {
            Some(end) => (&text[..end], Some(&text[end + 1..])),
            None => (text, None),
        };
        let Some(entry) = KINDS.iter().find(|entry| entry.name == name) else {
            let names: Vec<_> = KINDS
                .iter()
                .map(|entry| format!("`{}`", entry.name))
                .collect();
            return Err(Error::request(format!(
                "expected a kind of pagination, one of {}; found `{name}`",
                names.join(", ")
            )));
        };
        let mut options = OptionList::read(options)?;
        let kind = (entry.parse)(&mut options)?;
        options.end(entry)?;
        Ok(Paginate { kind })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) const URL: &str = "http://api.test/v1/things?page=1";

    /// A page as a kind sees it.
    pub(crate) fn page(envelope: Value, items: u64) -> PageEnd {
        PageEnd {
            call: Call::get(URL.parse().unwrap()),
            headers: HeaderMap::new(),
            is_partial: false,
            is_resource: false,
            is_left_out: false,
            stated: Stated::read(&HeaderMap::new(), &envelope),
            envelope,
            items,
            fresh: items,
            received: items,
            distinct: items,
            last: None,
        }
    }

    /// What a kind makes of a first page.
    pub(crate) fn detected(entry: &KindEntry, page: &PageEnd) -> Vec<Candidate> {
        (entry.detect)(&First {
            base: &page.call,
            page,
        })
    }

    /// What a kind asks for next, as text.
    #[track_caller]
    pub(crate) fn asks(next: Result<Next, Error>) -> String {
        match next.unwrap() {
            Next::Call(call) => match &call.body {
                None => call.url.to_string(),
                Some(body) => format!("{} {body}", call.url),
            },
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn ends(next: Result<Next, Error>) -> Ended {
        match next.unwrap() {
            Next::End(ended) => ended,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn check_refused(text: &str, part: &str) {
        let error = text.parse::<Paginate>().unwrap_err();
        assert!(error.is_request());
        assert!(error.to_string().contains(part), "{error}");
    }

    #[test]
    fn every_kind_is_made_from_its_name_or_says_what_is_missing() {
        for entry in KINDS {
            match entry.name.parse::<Paginate>() {
                Ok(paginate) => assert!(paginate.to_string().starts_with(entry.name)),
                Err(error) => assert!(error.is_request()),
            }
        }
    }

    #[test]
    fn a_description_makes_the_same_kind_again() {
        for text in [
            "auto",
            "link",
            "link:successor",
            "next",
            "next:/links/next",
            "next:$.links[0].href,more=!/done",
            "relay",
            "relay:/data/a/pageInfo,to=body:/variables/after",
            "cursor:/next_cursor,to=cursor",
            "cursor:header:x-next,to=body:/start_cursor,more=/has_more",
            "cursor:/continue,to=*",
            "last:/id,to=starting_after,more=/has_more",
            "last:/key,to=body:/key,next=base64",
            "last:,to=since",
            "page:page",
            "page:p,first=0,last=4",
            "page:p,first=0,more=!/last",
            "page:body:/page",
            "offset:offset,more=/has_more",
            "next:/_links/next,base=/_links/base",
            "next:header:next-page,end=none",
            "cursor:/next,to=cursor,end=-1,drop=set,drop=body:/filter",
            "offset:offset",
            "offset:start,first=1,step=50",
            "single",
        ] {
            let paginate: Paginate = text.parse().unwrap();
            assert_eq!(paginate.to_string(), text);
        }
    }

    #[test]
    fn the_option_without_a_name_may_be_left_out() {
        for (text, whole) in [
            (
                "relay,to=body:/variables/cursor",
                "relay:to=body:/variables/cursor",
            ),
            ("next,more=/has_more", "next:more=/has_more"),
            ("page,first=0,last=4", "page:page,first=0,last=4"),
            ("offset,step=50", "offset:offset,step=50"),
            ("last,to=after", "last:/id,to=after"),
        ] {
            let paginate: Paginate = text.parse().unwrap();
            assert_eq!(paginate.to_string(), whole);
            let again: Paginate = whole.parse().unwrap();
            assert_eq!(again.to_string(), whole);
        }
        check_refused("page,", "expected the name of a parameter");
        check_refused("cursor,to=after", "place of the token");
    }

    #[test]
    fn what_is_wrong_in_a_description_is_named() {
        check_refused("pages", "`page`");
        check_refused("page:last=x", "a number for `last`, found `x`");
        check_refused("link:first=1", "found the option `first=1`");
        check_refused("page:first=4,last=2", "`last`");
        check_refused("cursor:/next", "`to`");
        check_refused("last:id,to=after", "JSON pointer");
    }

    #[test]
    fn a_next_address_is_relative_to_its_page_and_must_be_http() {
        let page = page(json!({}), 0);
        let resolved = |target: &str| page.resolve(target).map(|call| call.url.to_string());
        assert_eq!(
            resolved("?page=2").unwrap(),
            "http://api.test/v1/things?page=2"
        );
        assert_eq!(resolved("../b%20c").unwrap(), "http://api.test/b%20c");
        assert!(resolved("file:///etc/passwd").is_err());
        assert!(resolved("http://").is_err());
    }
}
