//! The loop over pages: one item goes through here on its way to the caller.

use std::sync::Arc;

use bytes::Bytes;
use unspool_core::{AsyncGenerator, generator};
use url::Url;

use super::account::{Account, Doubt, Ended};
use super::kinds::{Kind, Next, PageEnd};
use super::open::Page;
use super::seen::{Fingerprint, Seen, mark_of};
use super::stated::{Stated, Total};
use crate::error::{Error, Kind as ErrorKind};
use crate::http::{Call, Http, Meter, Options};
use crate::json::{Check, Place, Pointer};

/// What to walk over, and how.
pub(super) struct Plan {
    pub(super) url: Result<Url, Error>,
    pub(super) http: Options,
    pub(super) kind: Box<dyn Kind>,
    pub(super) place: Place,
    pub(super) check: Check,
    pub(super) max_item: usize,
}

/// Yields the items of every page, in the order that the server gives them, and
/// returns the account.
pub(super) fn walk<T>(
    plan: Plan,
    meter: Arc<Meter>,
    decode: impl Fn(&Bytes) -> serde_json::Result<T> + Send,
) -> impl AsyncGenerator<Yield = T, Return = Result<Account, Error>> + Send
where
    T: Send,
{
    generator! {
        let Plan { url, http, mut kind, mut place, check, max_item } = plan;
        let mut url = url?;
        let http = Http::new(&mut url, &http, Arc::clone(&meter))?;
        let mut trail = Trail::new(&meter);
        let mut next = Next::Page(kind.begin(url));
        while let Next::Page(url) = next {
            trail.visit(&url)?;
            let mut page = match open(&http, &url, &place, check, max_item).await {
                Ok(page) => page,
                Err(error) => {
                    next = Next::End(trail.end_by(&*kind, error)?);
                    break;
                }
            };
            while let Some(text) = page.next_item().await? {
                trail.item(&text);
                let item = decode(&text).map_err(|error| page.unfit(&text, error))?;
                yield item;
            }
            let (end, items_at) = trail.page(&mut page)?;
            place = Place::At(items_at);
            next = kind.after(&end)?;
            // Whoever has no more demand can drop the walk here, before it asks
            // for a page that nobody wants.
            tokio::task::yield_now().await;
        }
        Ok(trail.account(next))
    }
}

/// Opens a page, again where that may help.
async fn open(
    http: &Http,
    url: &Url,
    place: &Place,
    check: Check,
    max_item: usize,
) -> Result<Page, Error> {
    let mut attempts = http.attempts();
    loop {
        match Page::open(http, url, place, check, max_item).await {
            Ok(page) => return Ok(page),
            Err(error) => attempts.after(error).await?,
        }
    }
}

/// Where a walk has been, and what it has seen there.
struct Trail<'m> {
    meter: &'m Meter,
    page: u64,
    requests: Seen,
    contents: Seen,
    fingerprint: Fingerprint,
    received: u64,
    total: Total,
    doubts: Vec<Doubt>,
}

impl<'m> Trail<'m> {
    fn new(meter: &'m Meter) -> Self {
        Trail {
            meter,
            page: 0,
            requests: Seen::default(),
            contents: Seen::default(),
            fingerprint: Fingerprint::default(),
            received: 0,
            total: Total::default(),
            doubts: Vec::new(),
        }
    }

    /// Goes to a page, where the walk must not have been.
    fn visit(&mut self, url: &Url) -> Result<(), Error> {
        self.page += 1;
        self.fingerprint = Fingerprint::default();
        match self.requests.note(mark_of(url.as_str()), self.page) {
            None => Ok(()),
            Some(earlier) => Err(Error::new(
                ErrorKind::Looped,
                format!(
                    "page {} of the walk is the same request as page {earlier}: the upstream leads in a circle",
                    self.page
                ),
            )
            .at_request(Call::get(url.clone()).shown())),
        }
    }

    fn item(&mut self, text: &[u8]) {
        self.received += 1;
        self.fingerprint.add(text);
        self.meter.item();
    }

    /// Takes in a page that has been read to its end.
    fn page(&mut self, page: &mut Page) -> Result<(PageEnd, Pointer), Error> {
        let items = page.items();
        let is_repeated = (items > 0)
            .then(|| self.contents.note(self.fingerprint.mark(), self.page))
            .flatten();
        if let Some(earlier) = is_repeated {
            return Err(Error::new(
                ErrorKind::Looped,
                format!(
                    "page {} of the walk holds the same items as page {earlier}: the upstream does not move on",
                    self.page
                ),
            )
            .at_request(Call::get(page.url.clone()).shown()));
        }
        let envelope = page.take_envelope();
        let stated = Stated::read(&page.headers, &envelope.document);
        self.total.note(&stated, items);
        self.meter.page();
        self.meter.stated_total(self.total.items());
        if let (Some(rival), true) = (envelope.rival, self.page == 1) {
            self.doubts.push(Doubt::OtherItems {
                taken: envelope.items_at.to_string(),
                other: rival.to_string(),
            });
        }
        let end = PageEnd {
            url: page.url.clone(),
            headers: page.headers.clone(),
            envelope: envelope.document,
            stated,
            items,
            received: self.received,
        };
        Ok((end, envelope.items_at))
    }

    /// The end of the walk, if a failed request is this API's way to end.
    fn end_by(&self, kind: &dyn Kind, error: Error) -> Result<Ended, Error> {
        match kind.end_by(&error) {
            Some(ended) if self.page > 1 => Ok(ended),
            _ => Err(error),
        }
    }

    fn account(self, end: Next) -> Account {
        let mut doubts = self.doubts;
        let ended = match end {
            Next::End(ended) => ended,
            Next::Doubtful(ended, doubt) => {
                doubts.push(doubt);
                ended
            }
            Next::Page(_) => Ended::Stopped,
        };
        let stated = self.total.items().filter(|_| ended != Ended::Asked);
        if let Some(stated) = stated.filter(|stated| *stated != self.received) {
            doubts.push(Doubt::CountsDiffer {
                stated,
                received: self.received,
            });
        }
        Account::new(&self.meter.read(), ended, doubts)
    }
}
