//! The loop over pages: one item goes through here on its way to the caller.

use std::sync::Arc;
use std::time::Duration;
use std::vec::IntoIter;

use bytes::Bytes;
use reqwest::StatusCode;
use unspool_core::{AsyncGenerator, generator};

use super::account::{Doubt, Ended};
use super::again::{Opened, opened};
use super::ahead::{InFlight, Page};
use super::fetch::PageFetcher;
use super::kinds::{Kind, Next, PageEnd};
use super::page::{Item, PageReader};
use super::position::{Stand, Taken};
use super::progress::Walk;
use super::prove::{Proof, prove};
use super::trail::Trail;
use crate::error::Error;
use crate::http::{Call, CleanCall, HttpOptions, Session};
use crate::json::{Check, Place};
use crate::position::Position;

/// How many bytes of items travel together at most.
const BATCH: usize = 256 << 10;

/// The longest silence by default.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What to walk over, and how.
pub(super) struct Plan {
    pub(super) call: Result<Call, Error>,
    pub(super) http: HttpOptions,
    pub(super) kind: Box<dyn Kind>,
    pub(super) place: Place,
    pub(super) check: Check,
    pub(super) max_item: usize,
    pub(super) in_flight: usize,
    pub(super) demand: Option<u64>,
    pub(super) from: Option<Box<Position>>,
}

/// Yields the items of every page, in the order that the server gives them, as many at a
/// time as have arrived; returns why the walk ended, and what speaks against that.
pub(super) fn walk<T>(
    plan: Plan,
    walk: Arc<Walk>,
    decode: impl Fn(&Bytes) -> serde_json::Result<T> + Send,
) -> impl AsyncGenerator<Yield = IntoIter<(T, Taken)>, Return = Result<(Ended, Option<Doubt>), Error>>
+ Send
where
    T: Send,
{
    generator! {
        let Begun { mut fetcher, mut kind, mut next, mut skip, mut flight } = begin(plan, &walk)?;
        let mut proved = None;
        loop {
            let call = match next {
                Next::Call(call) => cleaned(&fetcher, call)?,
                Next::Prove(_) => return Ok((Ended::OnlyPage, None)),
                Next::End(ended) => {
                    look_in_front(&fetcher, &walk).await;
                    return Ok((ended, None));
                }
                Next::Doubtful(ended, doubt) => return Ok((ended, Some(doubt))),
            };
            walk.trail().visit(&call, &*kind)?;
            let opening = flight.opening(&fetcher, &*kind, &walk.trail(), proved.take(), call.clone());
            let opened = opened(opening, &fetcher, &walk, &call).await;
            let Opened { mut page, first, empty } = match opened {
                Ok(opened) => opened,
                Err(error) => {
                    let is_first = walk.trail().page == 1;
                    next = if is_first { None } else { end_by(&error, &*kind) }.ok_or(error)?;
                    continue;
                }
            };
            let mut index = 0;
            // What comes next is known before the last item is taken, where the page
            // is read ahead.
            let mut decided = None;
            let mut arrived = first;
            while let Some(item) = arrived {
                let (batch, fault) =
                    batch(item, &mut page, &mut index, &mut skip, &mut walk.trail(), &*kind, &decode);
                if decided.is_none() {
                    decided =
                        step_ahead(&walk, &mut kind, &mut fetcher, &mut page, &mut flight)?;
                }
                if batch.len() > 0 {
                    yield batch;
                }
                fault.map_or(Ok(()), Err)?;
                arrived = page.next_item().await?;
            }
            skip.end(&mut walk.trail());
            let (after, end) = match decided {
                Some(step) => step?,
                None => {
                    let summary = empty.map_or_else(|| page.whole(), Ok)?;
                    step(&walk, &mut kind, &mut fetcher, summary)?
                }
            };
            // Whoever has no more demand can drop the walk here, before it asks
            // for a page that nobody wants.
            tokio::task::yield_now().await;
            next = match after {
                Next::Prove(candidates) => {
                    let proof = prove(&fetcher, &end, &walk, candidates).await?;
                    settle(proof, &walk, &mut kind, &mut proved)
                }
                next => next,
            };
        }
    }
}

/// Goes on with the kind that has been proved, if one has.
fn settle(
    proof: Proof,
    walk: &Walk,
    kind: &mut Box<dyn Kind>,
    proved: &mut Option<Box<PageReader>>,
) -> Next {
    match proof {
        Proof::Kind(found, call, read) => {
            *kind = found;
            *proved = Some(read);
            Next::Call(call.into_call())
        }
        Proof::End(found, next) => {
            walk.trail().settled(found.describe());
            next
        }
        Proof::None(next) => next,
    }
}

/// The items of a page that have arrived, from this one on, and what is wrong with the one
/// after them.
fn batch<T>(
    first: Item,
    page: &mut Page,
    index: &mut u64,
    skip: &mut Skip,
    trail: &mut Trail,
    kind: &dyn Kind,
    decode: &impl Fn(&Bytes) -> serde_json::Result<T>,
) -> (IntoIter<(T, Taken)>, Option<Error>) {
    let mut batch = Vec::new();
    let mut bytes = 0;
    let mut next = Some(first);
    while let Some(item) = next {
        *index += 1;
        if !skip.take_one(&item, trail) && trail.item(&item, kind) {
            let taken = Taken {
                page: trail.page,
                index: *index,
                mark: item.mark,
            };
            match decode(&item.text) {
                Ok(value) => batch.push((value, taken)),
                Err(error) => return (batch.into_iter(), Some(page.unfit(&item, error))),
            }
        }
        bytes += item.text.len();
        next = if bytes < BATCH { page.arrived() } else { None };
    }
    (batch.into_iter(), None)
}

/// A walk that has not sent anything.
struct Begun {
    fetcher: Arc<PageFetcher>,
    kind: Box<dyn Kind>,
    next: Next,
    skip: Skip,
    flight: InFlight,
}

fn begin(plan: Plan, walk: &Walk) -> Result<Begun, Error> {
    let Plan {
        call,
        http,
        mut kind,
        mut place,
        check,
        max_item,
        in_flight,
        demand,
        from,
    } = plan;
    let mut base = call?;
    let meter = Arc::clone(&walk.meter);
    let http = Session::new(&mut base.url, &http, (TIMEOUT, TIMEOUT), meter)?;
    let stand = from
        .map(|position| Stand::read(&position, &base))
        .transpose()?;
    let mut skip = Skip::default();
    if let Some(stand) = &stand {
        if stand.paginate != kind.describe() {
            kind = stand.kind()?;
        }
        if let Some(pointer) = &stand.items_at {
            place = place.at(pointer.parse()?);
        }
        skip = Skip::to(stand);
    }
    let mut next = Next::Call(kind.begin(base.clone())?);
    let mut trail = walk.trail();
    if let Some(stand) = stand {
        trail.resume(&stand);
        if let Some(call) = stand.call(&base, &http.given_secrets())? {
            kind.resume(&call)?;
            next = Next::Call(call);
        }
        if stand.is_over {
            next = Next::End(Ended::Asked);
        }
    }
    let http = Arc::new(http);
    trail.base = Some(base);
    trail.session = Some(Arc::clone(&http));
    trail.given = http.given_secrets();
    trail.paginate = kind.describe();
    Ok(Begun {
        fetcher: Arc::new(PageFetcher {
            http,
            place,
            check,
            max_item,
            share: None,
        }),
        kind,
        next,
        skip,
        flight: InFlight::new(in_flight, demand),
    })
}

/// Looks at the first page once more: where items were added in front of it, others came
/// twice, and none is missing.
async fn look_in_front(fetcher: &Arc<PageFetcher>, walk: &Walk) {
    if !walk.trail().may_be_pushed() {
        return;
    }
    let first = walk.trail().first_call.clone();
    let Some(Ok(call)) = first.map(|call| fetcher.http.clean(call)) else {
        return;
    };
    // What does not come proves nothing.
    let Ok(mut page) = PageReader::open_once(Arc::clone(fetcher), call).await else {
        return;
    };
    let mut before = 0;
    while let Ok(Some(item)) = page.next_item().await {
        if walk.trail().look_in_front(&item, before) {
            return;
        }
        before += 1;
    }
}

/// What a page that did not come means, if it is this API's way to end.
fn end_by(error: &Error, kind: &dyn Kind) -> Option<Next> {
    let is_empty = error.status() == Some(StatusCode::NO_CONTENT.as_u16());
    if is_empty && kind.makes_its_calls() {
        return Some(Next::End(Ended::NoContent));
    }
    kind.end_by(error)
}

/// The next call, fit to be sent.
fn cleaned(fetcher: &PageFetcher, call: Call) -> Result<CleanCall, Error> {
    (fetcher.http.clean(call)).map_err(|error| error.with_start("the next page"))
}

/// What a page that has been read leads to.
fn step(
    walk: &Walk,
    kind: &mut Box<dyn Kind>,
    fetcher: &mut Arc<PageFetcher>,
    summary: super::page::Summary,
) -> Result<(Next, PageEnd), Error> {
    let (end, items_at) = walk.trail().page(summary, &**kind)?;
    if fetcher.place.pointer().is_none() {
        *fetcher = Arc::new(PageFetcher {
            place: fetcher.place.at(items_at),
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
    Ok((next, end))
}

/// What a page leads to, and what it was.
type Step = Result<(Next, PageEnd), Error>;

/// The same before the items of the page have been taken, where it is read ahead: the next
/// call is sent at once.
fn step_ahead(
    walk: &Walk,
    kind: &mut Box<dyn Kind>,
    fetcher: &mut Arc<PageFetcher>,
    page: &mut Page,
    flight: &mut InFlight,
) -> Result<Option<Step>, Error> {
    if !flight.is_on() || !flight.is_empty() {
        return Ok(None);
    }
    let Some(summary) = page.summary() else {
        return Ok(None);
    };
    let step = step(walk, kind, fetcher, summary);
    if let Ok((Next::Call(call), _)) = &step
        && flight.needs_more(&walk.trail())
    {
        flight.send(fetcher, cleaned(fetcher, call.clone())?);
    }
    Ok(Some(step))
}

/// The items that were handed out before the walk was resumed.
#[derive(Default)]
struct Skip {
    left: u64,
    /// The mark of the last of them.
    mark: Option<u64>,
}

impl Skip {
    fn to(stand: &Stand) -> Self {
        Skip {
            left: stand.index,
            mark: stand.mark(),
        }
    }

    /// Whether this item is one of them.
    fn take_one(&mut self, item: &Item, trail: &mut Trail) -> bool {
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
