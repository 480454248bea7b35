//! What page numbers and offsets share: a number in each request, counted from the
//! front of the list.

use serde_json::json;

use super::{Description, More, Next, OptionList, PageEnd};
use crate::error::Error;
use crate::http::{Call, is_not_found};
use crate::pages::account::{Doubt, Ended};
use crate::pages::place::{To, number_of};

/// How many empty pages in a row are taken for the end where nothing states another.
const EMPTY_PAGES: u32 = 2;

/// The number that a request for one page of many holds.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    to: To,
    /// The first number, if it was said.
    first: Option<u64>,
    /// The first one where neither the caller nor the request says it.
    usual: u64,
    base: Option<Call>,
    pub(super) begins_at: u64,
    pub(super) current: u64,
    /// Empty pages in a row.
    empty: u32,
    /// Whether all items came that the upstream states.
    pub(super) received_all: bool,
    more: Option<More>,
    /// What the flag says; some APIs leave it out where it is false.
    says_more: Option<bool>,
}

/// What a flag decides.
pub(super) enum Flag {
    More,
    End(Next),
}

impl Counted {
    pub(super) fn new(to: impl Into<To>, usual: u64) -> Self {
        Counted {
            to: to.into(),
            first: None,
            usual,
            base: None,
            begins_at: usual,
            current: usual,
            empty: 0,
            received_all: false,
            more: None,
            says_more: None,
        }
    }

    /// Reads the place, which may be left out, and the first number.
    pub(super) fn parse(options: &mut OptionList, name: &str, usual: u64) -> Result<Self, Error> {
        let mut counted = Counted::new(
            options.unnamed().as_deref().unwrap_or(name).parse::<To>()?,
            usual,
        );
        counted.first = options.number("first")?;
        counted.more = options.value("more")?;
        Ok(counted)
    }

    pub(super) fn describe(&self, name: &str) -> Description {
        Description::new(name)
            .unnamed(Some(&self.to))
            .option("first", self.first)
            .option("more", self.more.as_ref())
    }

    pub(super) fn set_first(&mut self, first: u64) {
        self.first = Some(first);
    }

    pub(super) fn set_more(&mut self, more: More) {
        self.more = Some(more);
    }

    /// The first number, if it was said.
    pub(super) fn first(&self) -> Option<u64> {
        self.first
    }

    pub(super) fn begin(&mut self, call: Call) -> Result<Call, Error> {
        let in_call = self.to.read(&call).as_ref().and_then(number_of);
        self.begins_at = self.first.or(in_call).unwrap_or(self.usual);
        self.current = self.begins_at;
        self.base = Some(call);
        self.call(self.current)
    }

    pub(super) fn resume(&mut self, call: &Call) {
        let current = self.to.read(call).as_ref().and_then(number_of);
        self.current = current.unwrap_or(self.begins_at);
    }

    /// The call with this number.
    pub(super) fn call(&self, number: u64) -> Result<Call, Error> {
        match &self.base {
            Some(base) => self.to.set(base, &json!(number)),
            None => Err(Error::request("the walk has not begun")),
        }
    }

    /// Takes in a page.
    pub(super) fn note(&mut self, page: &PageEnd) {
        self.received_all = page.stated.items == Some(page.distinct);
        self.empty = if page.items == 0 { self.empty + 1 } else { 0 };
    }

    /// Whether so many empty pages came in a row that there is no more.
    pub(super) fn is_behind_the_end(&self) -> bool {
        self.empty >= EMPTY_PAGES
    }

    /// What the flag decides, where there is one: as long as it says that there is more,
    /// only pages without items end the walk, and that is a doubt.
    pub(super) fn by_flag(&mut self, page: &PageEnd) -> Option<Flag> {
        let more = self.more.as_ref()?;
        let says_more = more.read(page).or(self.says_more.map(|_| false));
        self.says_more = says_more;
        match says_more? {
            false => Some(Flag::End(Next::End(Ended::NoMore))),
            true if self.is_behind_the_end() => {
                let doubt = Doubt::says_more(format!("`{more}` says that there is more"));
                Some(Flag::End(Next::Doubtful(Ended::EmptyPages, doubt)))
            }
            true => Some(Flag::More),
        }
    }

    /// The call for the page that many further on.
    pub(super) fn advance(&mut self, by: u64) -> Result<Next, Error> {
        self.current = self.current.saturating_add(by);
        self.call(self.current).map(Next::Call)
    }

    /// What a refusal means: the end, where nothing states that there is such a page.
    pub(super) fn end_by(&self, error: &Error, is_stated: bool) -> Option<Next> {
        let page = self.current;
        let ended = Ended::NoSuchPage { page };
        let is_stated = is_stated || self.says_more == Some(true);
        // WordPress says so in as many words.
        let is_said = error.message().contains("invalid_page_number");
        match error.status()? {
            400 | 404 | 410 | 416 | 422 if self.received_all => Some(Next::End(ended)),
            _ if (is_not_found(error) || is_said) && !is_stated => Some(Next::End(ended)),
            status @ (400 | 404 | 410 | 416 | 422) => {
                Some(Next::Doubtful(ended, Doubt::RefusedPage { page, status }))
            }
            _ => None,
        }
    }
}
