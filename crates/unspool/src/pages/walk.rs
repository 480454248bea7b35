//! The loop over pages: one item goes through here on its way to the caller.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use unspool_core::{AsyncGenerator, generator};

use super::account::{Account, Ended};
use super::ahead::{InFlight, Page};
use super::fetch::PageFetcher;
use super::kinds::{Kind, Next, PageEnd};
use super::page::PageReader;
use super::position::{Course, Position, Taken};
use super::prove::{Proof, prove};
use super::trail::Trail;
use crate::error::Error;
use crate::http::{Call, Http, HttpOptions, Meter};
use crate::json::{Check, Place, Pointer};

/// What to walk over, and how.
pub(super) struct Plan {
    pub(super) call: Result<Call, Error>,
    pub(super) http: HttpOptions,
    pub(super) kind: Box<dyn Kind>,
    pub(super) place: Place,
    pub(super) check: Check,
    pub(super) max_item: usize,
    pub(super) in_flight: usize,
    pub(super) unique: Option<Pointer>,
    pub(super) from: Option<Box<Position>>,
}

/// An item, and where it stands.
pub(super) struct Placed<T> {
    pub(super) item: T,
    pub(super) at: Taken,
}

/// Yields the items of every page, in the order that the server gives them, and
/// returns the account.
pub(super) fn walk<T>(
    plan: Plan,
    meter: Arc<Meter>,
    course: Arc<Mutex<Course>>,
    decode: impl Fn(&Bytes) -> serde_json::Result<T> + Send,
) -> impl AsyncGenerator<Yield = Placed<T>, Return = Result<Account, Error>> + Send
where
    T: Send,
{
    generator! {
        let Begun { mut fetcher, mut kind, mut trail, mut next, mut skip, mut flight } =
            begin(plan, meter, course)?;
        let mut proved = None;
        let ended = loop {
            let call = match next {
                Next::Call(mut call) => {
                    fetcher.http.strip(&mut call.url);
                    call
                }
                Next::Prove(_) => break (Ended::OnlyPage, None),
                Next::End(ended) => break (ended, None),
                Next::Doubtful(ended, doubt) => break (ended, Some(doubt)),
            };
            trail.visit(&call, &*kind)?;
            // The page in hand makes room for one more in flight, which is sent before
            // this one is waited for.
            let ahead = (flight.is_on() && proved.is_none()).then(|| flight.take(&fetcher, &call));
            flight.fill(&fetcher, &*kind);
            let opened = match (proved.take(), ahead) {
                (Some(read), _) => Ok(Page::Here(read)),
                (None, Some(ahead)) => ahead.opened().await
                    .map(|ahead| Page::Ahead(Box::new(ahead))),
                (None, None) => PageReader::open(Arc::clone(&fetcher), call).await
                    .map(|read| Page::Here(Box::new(read))),
            };
            let mut page = match opened {
                Ok(page) => page,
                Err(error) => {
                    let end = (trail.page_number() > 1).then(|| kind.end_by(&error)).flatten();
                    next = end.ok_or(error)?;
                    continue;
                }
            };
            let mut index = 0;
            // What comes next is known before the last item is taken, where the page
            // is read ahead.
            let mut decided = None;
            while let Some(item) = page.next_item().await? {
                index += 1;
                if skip.take_one(&item, &mut trail) {
                    continue;
                }
                if trail.item(&item, &*kind) {
                    let value = decode(&item.text).map_err(|error| page.unfit(&item, error))?;
                    let page = trail.page_number();
                    yield Placed { item: value, at: Taken { page, index, mark: item.mark } };
                }
                if flight.is_on() && flight.is_empty() && decided.is_none()
                    && let Some(summary) = page.summary()
                {
                    let step = step(&mut trail, &mut kind, &mut fetcher, summary);
                    if let Ok((Next::Call(call), _)) = &step {
                        flight.send(&fetcher, call.clone());
                    }
                    decided = Some(step);
                }
            }
            skip.end(&mut trail);
            let (after, end) = match (decided, page.summary()) {
                (Some(step), _) => step?,
                (None, Some(summary)) => step(&mut trail, &mut kind, &mut fetcher, summary)?,
                (None, None) => Err(Error::content("the page was not read to its end"))?,
            };
            // Whoever has no more demand can drop the walk here, before it asks
            // for a page that nobody wants.
            tokio::task::yield_now().await;
            next = match after {
                Next::Prove(candidates) => match prove(&fetcher, &end, &trail, candidates).await? {
                    Proof::Kind(found, call, read) => {
                        kind = found;
                        proved = Some(read);
                        Next::Call(call)
                    }
                    Proof::End(found, next) => {
                        trail.settled(found.describe());
                        next
                    }
                    Proof::None(next) => next,
                },
                next => next,
            };
        };
        let (ended, doubt) = ended;
        Ok(trail.account(ended, doubt))
    }
}

/// A walk that has not sent anything.
struct Begun {
    fetcher: Arc<PageFetcher>,
    kind: Box<dyn Kind>,
    trail: Trail,
    next: Next,
    skip: Skip,
    flight: InFlight,
}

fn begin(plan: Plan, meter: Arc<Meter>, course: Arc<Mutex<Course>>) -> Result<Begun, Error> {
    let Plan {
        call,
        http,
        mut kind,
        mut place,
        check,
        max_item,
        in_flight,
        unique,
        from,
    } = plan;
    let mut base = call?;
    let http = Http::new(&mut base.url, &http, Arc::clone(&meter))?;
    let mut trail = Trail::new(meter, Arc::clone(&course), unique);
    let mut skip = Skip::default();
    let mut next = None;
    if let Some(position) = &from {
        position.check(&base)?;
        if position.paginate != kind.describe() {
            kind = position.kind()?;
        }
        if let Some(pointer) = &position.items_at {
            place = Place::At(pointer.parse()?);
        }
        skip = Skip::to(position);
    }
    let first = kind.begin(base.clone())?;
    if let Some(position) = from {
        trail.resume(&position);
        if let Some(call) = position.call(&base, &http.given_secrets())? {
            kind.resume(&call)?;
            next = Some(Next::Call(call));
        }
        if position.is_over {
            next = Some(Next::End(Ended::Asked));
        }
    }
    let mut course = course.lock().unwrap_or_else(PoisonError::into_inner);
    course.base = Some(base);
    course.given = http.given_secrets();
    course.paginate = kind.describe();
    Ok(Begun {
        fetcher: Arc::new(PageFetcher {
            http: Arc::new(http),
            place,
            check,
            max_item,
        }),
        kind,
        trail,
        next: next.unwrap_or(Next::Call(first)),
        skip,
        flight: InFlight::new(in_flight),
    })
}

/// What a page that has been read leads to.
fn step(
    trail: &mut Trail,
    kind: &mut Box<dyn Kind>,
    fetcher: &mut Arc<PageFetcher>,
    summary: super::page::Summary,
) -> Result<(Next, PageEnd), Error> {
    let (end, items_at) = trail.page(summary, &**kind)?;
    if !matches!(fetcher.place, Place::At(_)) {
        *fetcher = Arc::new(PageFetcher {
            place: Place::At(items_at),
            ..PageFetcher::clone(fetcher)
        });
    }
    if end.is_resource {
        return Ok((Next::End(Ended::SingleResource), end));
    }
    let mut next = kind.after(&end)?;
    if end.is_after_all_items() && matches!(next, Next::Call(_)) {
        next = Next::End(Ended::AllItems);
    }
    if let Next::Call(call) = &mut next {
        fetcher.http.strip(&mut call.url);
    }
    Ok((next, end))
}

/// The items that were handed out before the walk was taken up.
#[derive(Default)]
struct Skip {
    left: u64,
    /// The mark of the last of them.
    mark: Option<u64>,
}

impl Skip {
    fn to(position: &Position) -> Self {
        Skip {
            left: position.index,
            mark: position.mark,
        }
    }

    /// Whether this item is one of them.
    fn take_one(&mut self, item: &super::page::Item, trail: &mut Trail) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        trail.skip(item);
        if self.left == 0 && self.mark.is_some_and(|mark| mark != item.mark) {
            trail.shifted();
        }
        true
    }

    /// The page is over: it must have held them all.
    fn end(&mut self, trail: &mut Trail) {
        if self.left > 0 {
            self.left = 0;
            trail.shifted();
        }
    }
}
