//! Where a walk has been, what it has seen there, and what speaks against it.

use std::sync::Arc;

use reqwest::Method;
use serde_json::Value;
use url::Url;

use super::account::{Doubt, Ended, Try, Walked};
use super::audit::{self, Sizes};
use super::change::{Around, Earlier};
use super::kinds::{Kind, PageEnd, evidence};
use super::page::{Item, Summary};
use super::position::Stand;
use super::seen::{Keys, Repeats, Seen, mark_of};
use super::stated::{Stated, Total};
use crate::account::Conclusion;
use crate::error::{Error, Kind as ErrorKind};
use crate::http::{Call, CleanCall, Secrets, Session, redacted};
use crate::json::{self, Envelope, Pointer, partial, value_at};

/// How many pages in a row may hold nothing new. There are databases that give one empty
/// page after the other while they look for what a filter lets through.
const MOST_STALE: u64 = 1000;

/// Keys whose values tell items apart.
const IDENTITIES: &[&str] = &["id", "_id", "uuid", "guid", "key"];

/// All that a walk keeps in mind, and all that is seen of it from outside.
#[derive(Default)]
pub(super) struct Trail {
    /// The first request, once the walk has begun.
    pub(super) base: Option<Call>,
    /// The secrets that the caller gave apart from the address.
    pub(super) given: Vec<String>,
    /// What knows the words that are kept out of all that is shown.
    pub(super) session: Option<Arc<Session>>,
    /// How the walk gets from page to page, as far as that is settled.
    pub(super) paginate: String,
    pub(super) items_at: Option<Pointer>,
    /// The request for the first page.
    pub(super) first_call: Option<Call>,
    /// The request for the page that the walk is on.
    pub(super) call: Option<Call>,
    /// The number of that page, from 1.
    pub(super) page: u64,
    /// How many items of the page were taken before the walk was resumed, and the mark of
    /// the last of them.
    pub(super) skipped: (u64, Option<u64>),
    /// What the walk had counted when it came to the page.
    pub(super) before: Before,
    pub(super) is_over: bool,
    /// Whether the page that the walk comes to next is the one that it was resumed on.
    pub(super) is_resumed: bool,
    /// Items on the pages that were read to their end.
    pub(super) received: u64,
    /// Items that an earlier page had held, which have something to identify them.
    pub(super) repeated: u64,
    pub(super) tried: Vec<Try>,
    pub(super) pages_read: u64,
    pub(super) sizes: Sizes,
    /// The most items that a page has held.
    pub(super) largest_page: u64,
    /// Items that were taken before the walk was resumed.
    pub(super) taken_before: u64,
    /// Whether an item on this page has not come before, and how many pages in a row had
    /// none.
    pub(super) has_new: bool,
    pub(super) stale: u64,
    /// Items that an earlier page had held, and whether one of them came after an item of
    /// its page that none had held.
    pub(super) seen_before: u64,
    pub(super) is_scattered: bool,
    /// How many items stand before the one that was the first when the walk began.
    pub(super) added_in_front: u64,
    pub(super) left_out: u64,
    pub(super) calls: Seen<u64>,
    pub(super) last_call: u64,
    pub(super) contents: Seen<(u64, Asked)>,
    pub(super) repeats: Repeats,
    pub(super) unique: Option<Unique>,
    /// The first item of the first page, and what identifies it.
    pub(super) first: Option<u64>,
    pub(super) first_identity: Option<u64>,
    /// What identifies the first item of this page, and what did the first and the
    /// last of the page before, with the number of its items.
    pub(super) begin: Option<u64>,
    pub(super) ends: Option<(u64, u64, u64)>,
    /// The last item of the page before.
    pub(super) previous: Option<u64>,
    /// Items on this page so far, and whether its first was the last of the one
    /// before.
    pub(super) items: u64,
    pub(super) overlap: u64,
    pub(super) total: Total,
    /// What the last page says of further ones.
    pub(super) says_more: Option<Doubt>,
    /// What the first page names for the next one, as long as it is the only page.
    pub(super) not_followed: Option<Doubt>,
    /// Whether pages are counted from the front.
    pub(super) is_counted: bool,
    /// Whether their numbers are counted here, and not followed in links.
    pub(super) is_numbered: bool,
    /// What the pages before said of how their requests went.
    pub(super) earlier: Earlier,
    pub(super) doubts: Vec<Doubt>,
}

/// What a walk had counted when it came to a page.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before {
    /// Items.
    pub(super) received: u64,
    /// How many of those a page before theirs had held.
    pub(super) repeated: u64,
}

pub(super) struct Unique {
    key: Pointer,
    keys: Keys,
    /// Whether an item has had it.
    is_found: bool,
}

impl Trail {
    pub(super) fn new(unique: Option<Pointer>) -> Self {
        Trail {
            unique: unique.map(|key| Unique {
                key,
                keys: Keys::default(),
                is_found: false,
            }),
            ..Trail::default()
        }
    }

    /// Goes on where a walk stopped.
    pub(super) fn resume(&mut self, stand: &Stand) {
        (self.call, self.page) = (stand.call.clone(), stand.page);
        self.is_resumed = true;
        self.skipped = (stand.index, stand.mark());
        (self.received, self.repeated) = (stand.received, stand.repeated);
        self.before = Before {
            received: stand.received,
            repeated: stand.repeated,
        };
        self.is_over = stand.is_over;
        self.taken_before = stand.received.saturating_add(stand.index);
    }

    /// Goes to a page, where the walk must not have been.
    pub(super) fn visit(&mut self, call: &CleanCall, kind: &dyn Kind) -> Result<(), Error> {
        if !std::mem::take(&mut self.is_resumed) {
            self.page += 1;
            self.skipped = (0, None);
        }
        self.before = Before {
            received: self.received,
            repeated: self.repeated,
        };
        self.items = 0;
        self.overlap = 0;
        self.paginate = kind.describe();
        self.call = Some(call.stored().clone());
        if self.page == 1 {
            self.first_call = Some(call.call().clone());
        }
        let mark = mark_of_call(call.call());
        let is_kept_place = kind.repeats_calls() && self.last_call == mark;
        self.last_call = mark;
        match self.calls.note(mark, self.page) {
            Some(earlier) if !is_kept_place => Err(Error::new(
                ErrorKind::Looped,
                format!(
                    "page {} of the walk is the same request as page {earlier}: the upstream leads in a circle",
                    self.page
                ),
            )
            .at_request(call.redacted())),
            _ => Ok(()),
        }
    }

    /// Takes in an item; whether it is to be handed out.
    pub(super) fn item(&mut self, item: &Item, kind: &dyn Kind) -> bool {
        self.begin(item);
        if self.items == 1 && kind.overlaps() && self.previous == Some(item.mark) {
            self.overlap = 1;
            return false;
        }
        if !self.repeats.note(item.mark, self.page) {
            self.has_new = true;
        } else {
            self.is_scattered |= self.has_new;
            self.seen_before += 1;
            self.repeated += u64::from(identity(&item.text).is_some());
        }
        let is_known = self
            .unique
            .as_mut()
            .is_some_and(|unique| !unique.is_new(item));
        if is_known {
            self.left_out += 1;
        }
        !is_known
    }

    /// Passes over an item that was handed out before the walk was resumed.
    pub(super) fn skip(&mut self, item: &Item) {
        self.begin(item);
        self.repeats.note(item.mark, self.page);
    }

    fn begin(&mut self, item: &Item) {
        self.items += 1;
        if self.items > 1 {
            return;
        }
        self.begin = identity(&item.text);
        if self.first.is_none() {
            (self.first, self.first_identity) = (Some(item.mark), self.begin);
        }
    }

    /// Says that a page changed since a position on it was taken.
    pub(super) fn shifted(&mut self) {
        self.doubts.push(Doubt::Shifted);
    }

    /// Takes in a page that has been read to its end.
    pub(super) fn page(
        &mut self,
        page: Summary,
        kind: &dyn Kind,
    ) -> Result<(PageEnd, Pointer), Error> {
        self.check_contents(&page)?;
        self.check_progress(&page.call)?;
        self.check_errors(&page)?;
        self.check_place(&page)?;
        let envelope = page.envelope;
        if envelope.is_lines && page.ends_with_connection {
            self.doubts.push(Doubt::NoEndMark);
        }
        self.check_ends(page.last.as_ref(), page.items);
        self.is_counted = kind.counts_from_front(&page.call);
        self.is_numbered = self.is_counted && kind.makes_its_calls();
        let mut stated = Stated::read(&page.headers, &envelope.document);
        let fell = self.total.note(&stated, page.items);
        if let Some((from, to)) = fell.filter(|_| kind.counts_from_front(&page.call)) {
            self.doubts.push(Doubt::Shrunk { from, to });
        }
        // With what earlier pages tell of the meaning of a count.
        stated.items = self.total.certain();
        self.pages_read += 1;
        self.sizes.note(self.page, page.items);
        self.largest_page = self.largest_page.max(page.items);
        self.check_envelope(&envelope);
        self.received += page.items - self.overlap;
        self.previous = page.last.as_ref().map(|item| item.mark).or(self.previous);
        self.items_at = (!envelope.is_resource).then(|| envelope.items_at.clone());
        let end = PageEnd {
            call: page.call,
            headers: page.headers,
            is_partial: page.is_partial,
            is_resource: envelope.is_resource,
            is_left_out: envelope.is_left_out,
            envelope: envelope.document,
            stated,
            items: page.items,
            fresh: page.items - self.overlap,
            received: self.received,
            distinct: self.distinct(),
            last: page.last.map(|item| item.text),
        };
        self.says_more = evidence::flag(&end).map(Doubt::says_more);
        self.not_followed = (self.page == 1)
            .then(|| audit::not_followed(&end))
            .flatten();
        Ok((end, envelope.items_at))
    }

    /// Pages that were sent ahead of the first one's end were searched for their items, each
    /// by itself.
    fn check_place(&self, page: &Summary) -> Result<(), Error> {
        let envelope = &page.envelope;
        let Some(items_at) = self.items_at.as_ref().filter(|_| self.pages_read > 0) else {
            return Ok(());
        };
        if !envelope.is_resource && envelope.items_at == *items_at {
            return Ok(());
        }
        Err(Error::no_items(format!(
            "page {} of the walk has its items at {}, and those before at {}",
            self.page,
            envelope.items_at.described(),
            items_at.described()
        ))
        .at_request(page.call.redacted()))
    }

    /// Two pages with the same items are one.
    fn check_contents(&mut self, page: &Summary) -> Result<(), Error> {
        if page.items == 0 {
            return Ok(());
        }
        match self.contents.note(page.mark, (self.page, Asked::of(&page.call))) {
            None => Ok(()),
            Some((earlier, request)) => Err(Error::new(
                ErrorKind::Looped,
                format!(
                    "page {} of the walk holds the same items as page {earlier}, which was `{}`: the upstream does not move on",
                    self.page,
                    request.redacted()
                ),
            )
            .at_request(page.call.redacted())),
        }
    }

    /// What surrounds the items may leave open which they are, and what it means.
    fn check_envelope(&mut self, envelope: &Envelope) {
        if let (Some(rival), true) = (&envelope.rival, self.page == 1) {
            self.doubts.push(Doubt::OtherItems {
                taken: envelope.items_at.to_string(),
                other: rival.to_string(),
            });
        }
        let is_known = |doubt: &Doubt| matches!(doubt, Doubt::RepeatedKey { .. });
        if let Some(key) = &envelope.repeated_key
            && !self.doubts.iter().any(is_known)
        {
            let key = key.to_string();
            self.doubts.push(Doubt::RepeatedKey { key });
        }
    }

    /// What a page without items says in their place, if it is an error.
    pub(super) fn says_failure(&self, page: &Summary) -> Option<Error> {
        if let Err(error) = self.check_place(page) {
            return Some(error);
        }
        let document = &page.envelope.document;
        let message = match partial::error(document) {
            Some(error) => format!("answered with an error: {error}"),
            None => {
                let said = match self.pages_read {
                    0 => partial::failure(document),
                    _ => self.earlier.change(&page.around(), 0),
                }?;
                format!("answered with something else than a page: {said}, and there are no items")
            }
        };
        Some(Error::content(message).at_request(page.call.redacted()))
    }

    /// An answer may hold an error in the place of its items, or beside a part of them.
    fn check_errors(&mut self, page: &Summary) -> Result<(), Error> {
        if page.items == 0
            && let Some(failure) = self.says_failure(page)
        {
            return Err(failure);
        }
        let document = &page.envelope.document;
        let error = partial::error(document);
        let changed = self.earlier.note(&page.around(), page.items);
        let doubt = error.or(changed).or_else(|| partial::part(document));
        (self.doubts).extend(doubt.map(|error| Doubt::PartialAnswer { error }));
        Ok(())
    }

    /// A walk that brings nothing new for so long does not go on.
    fn check_progress(&mut self, call: &Call) -> Result<(), Error> {
        self.stale = if std::mem::take(&mut self.has_new) {
            0
        } else {
            self.stale + 1
        };
        if self.stale < MOST_STALE {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Looped,
            format!(
                "the last {MOST_STALE} pages held no item that had not come before: the upstream \
                 does not move on"
            ),
        )
        .at_request(call.redacted()))
    }

    /// How many of so many items to take are not on the pages that have been read.
    pub(super) fn left_of(&self, items: u64) -> u64 {
        (self.taken_before.saturating_add(items)).saturating_sub(self.received)
    }

    /// Items with something that changes all the time differ although they are the
    /// same: what identifies the first and the last of a page tells.
    fn check_ends(&mut self, last: Option<&Item>, items: u64) {
        let last = last.and_then(|last| identity(&last.text));
        let ends = (self.begin.take().zip(last))
            .filter(|(first, last)| first != last)
            .map(|(first, last)| (first, last, items));
        let is_same = ends.is_some() && ends == self.ends;
        let is_known = |doubt: &Doubt| matches!(doubt, Doubt::SameItems { .. });
        if is_same && !self.doubts.iter().any(is_known) {
            self.doubts.push(Doubt::SameItems { page: self.page });
        }
        self.ends = ends;
    }

    /// Whether an item stands on the page that the walk comes from.
    pub(super) fn knows(&self, item: u64) -> bool {
        self.first == Some(item) || self.repeats.knows(item)
    }

    /// Whether an item is the first of the first page.
    pub(super) fn is_first(&self, item: u64) -> bool {
        self.first == Some(item)
    }

    /// Whether an item has what identifies the first of the first page.
    pub(super) fn is_first_by_identity(&self, item: &[u8]) -> bool {
        self.first_identity.is_some() && self.first_identity == identity(item)
    }

    /// Whether this is the call that the walk comes from.
    pub(super) fn is_here(&self, call: &Call) -> bool {
        self.last_call == mark_of_call(call)
    }

    pub(super) fn tried(&mut self, tried: Try) {
        self.tried.push(tried);
    }

    /// What the walk goes on with is settled.
    pub(super) fn settled(&mut self, paginate: String) {
        self.paginate = paginate;
    }

    /// How many different items came, as far as their identities tell.
    fn distinct(&self) -> u64 {
        (self.received).saturating_sub(self.repeated.max(self.left_out))
    }

    /// What nobody may see, as of now.
    pub(super) fn secrets(&self) -> Secrets {
        let session = self.session.as_ref();
        session.map(|session| session.secrets()).unwrap_or_default()
    }

    /// What the account says of the walk.
    pub(super) fn details(&self) -> Walked {
        let secrets = self.secrets();
        let mut details = Walked {
            pages: self.pages_read,
            repeated: self.seen_before,
            left_out: self.left_out,
            stated_total: self.total.items(),
            paginate: self.paginate.clone(),
            items_at: self.items_at.as_ref().map(ToString::to_string),
            tried: self.tried.clone(),
        };
        details.each_text(|text| *text = secrets.shown(text));
        details
    }

    /// Items that came twice, unless as many were added in front, which moved others to the
    /// next page.
    fn displaced(&self) -> Option<Doubt> {
        let displaced = self.repeated.max(self.left_out);
        let are_pushed = !self.is_scattered && displaced <= self.added_in_front;
        audit::in_the_place_of_others(
            displaced,
            self.is_counted && !are_pushed,
            self.total.items(),
        )
    }

    /// Whether the first page tells if the items that came twice were moved by others that
    /// were added in front of them.
    pub(super) fn may_be_pushed(&self) -> bool {
        !self.is_scattered && self.first.is_some() && self.displaced().is_some()
    }

    /// Looks for the first item on the first page as it is now.
    pub(super) fn look_in_front(&mut self, item: &Item, before: u64) -> bool {
        let is_first = self.is_first(item.mark) || self.is_first_by_identity(&item.text);
        if is_first {
            self.added_in_front = before;
        }
        is_first
    }

    /// The walk is at its end: what speaks against that being all.
    pub(super) fn conclude(&mut self, ended: Ended, doubt: Option<Doubt>) -> Conclusion<Walked> {
        let distinct = self.distinct();
        let repeated = self.seen_before;
        let mut doubts = std::mem::take(&mut self.doubts);
        doubts.extend(doubt);
        let missing = self.unique.as_ref().filter(|unique| !unique.is_found);
        doubts.extend(
            missing
                .filter(|_| self.received > 0)
                .map(|unique| Doubt::NoSuchKey {
                    key: unique.key.to_string(),
                }),
        );
        doubts.extend(self.displaced());
        if self.is_numbered && self.total.items().is_none() {
            doubts.extend(self.sizes.empty_between());
        }
        match self.total.items().filter(|_| ended != Ended::Asked) {
            Some(stated) if stated == self.received && distinct < stated => {
                doubts.push(Doubt::Repeated { stated, distinct });
            }
            Some(stated) if audit::is_surplus(stated, self.received, repeated, &ended) => {}
            Some(stated) if ![self.received, distinct].contains(&stated) => {
                doubts.push(Doubt::CountsDiffer {
                    stated,
                    received: self.received,
                });
            }
            _ => {}
        }
        let is_by_numbers_or_links = matches!(
            ended,
            Ended::NoNext
                | Ended::NothingAfter
                | Ended::LastPage { .. }
                | Ended::AllItems
                | Ended::EmptyPages
                | Ended::NoContent
                | Ended::NoSuchPage { .. }
        );
        if doubts.is_empty() && is_by_numbers_or_links {
            doubts.extend(self.says_more.take());
        }
        if doubts.is_empty() && audit::followed_the_upstream(&ended) {
            doubts.extend(self.not_followed.take());
        }
        self.is_over = true;
        let secrets = self.secrets();
        for doubt in &mut doubts {
            doubt.each_text(|text| *text = secrets.shown(text));
        }
        Conclusion { ended, doubts }
    }
}

impl Summary {
    fn around(&self) -> Around<'_> {
        Around {
            headers: &self.headers,
            envelope: &self.envelope.document,
        }
    }
}

impl Unique {
    /// Whether no item with this key has come; an item without one is always new.
    fn is_new(&mut self, item: &Item) -> bool {
        match value_at(&item.text, &self.key) {
            Some(key) => {
                self.is_found = true;
                self.keys.note(mark_of(key.to_string().as_bytes()))
            }
            None => true,
        }
    }
}

/// The mark of what identifies an item, if it has that.
fn identity(item: &[u8]) -> Option<u64> {
    let mut found: Option<(&[u8], &[u8])> = None;
    json::valid_members(item, &mut |key, value| {
        let is_one = (IDENTITIES.iter()).any(|name| key.eq_ignore_ascii_case(name.as_bytes()));
        let is_first = || found.as_ref().is_none_or(|(known, _)| key <= *known);
        if is_one && is_first() {
            found = Some((key, value));
        }
    })?;
    let text = found?.1;
    if !matches!(text.first(), Some(b'"' | b'-' | b'0'..=b'9')) {
        return None;
    }
    let value: Value = serde_json::from_slice(text).ok()?;
    Some(mark_of(value.to_string().as_bytes()))
}

/// The request for a page, to be told again: what people may see of it is found out when they
/// see it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    method: Method,
    url: Box<str>,
}

impl Asked {
    fn of(call: &Call) -> Self {
        Asked {
            method: call.method(),
            url: call.url.as_str().into(),
        }
    }

    fn redacted(&self) -> String {
        match Url::parse(&self.url) {
            Ok(url) => redacted(&self.method, &url),
            Err(_) => String::new(),
        }
    }
}

fn mark_of_call(call: &Call) -> u64 {
    let mut text = call.url.as_str().to_owned();
    for (name, value) in &call.fields {
        text.push_str(&format!("\n{name}: {value}"));
    }
    if let Some(body) = &call.body {
        text.push_str(&format!("\n{body}"));
    }
    mark_of(text.as_bytes())
}
