//! What is known of the feeds so far, for the generator that follows them and for whoever
//! watches it from outside.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::IntoIter;

use bytestring::ByteString;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::account::{Doubt, Ended, Followed};
use super::position::{SOURCE, Stand, Stands};
use super::seen::{Mark, Stood};
use super::transports::Settled;
use crate::account::{Conclusion, Counts};
use crate::http::{Call, Meter, Secrets};
use crate::position::Position;
use crate::source::SourceKind;
use crate::spans;

/// How many doubts are kept, the first ones.
const DOUBTS: usize = 100;

/// Whoever wants to know of doubts when they come up.
pub(super) type Listener = Box<dyn Fn(&Doubt) + Send + Sync>;

/// Live feeds, as one of the sources.
///
/// Made by [`Request::raw`](super::Request::raw) and its like, for the stream.
pub struct Feeds {
    pub(super) meter: Arc<Meter>,
    listener: Option<Listener>,
    /// Items have become durable.
    durable: Notify,
    draft: Mutex<Draft>,
}

/// Where an item stands: in which feed, and there in which batch.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub(super) feed: usize,
    pub(super) batch: u64,
    pub(super) index: usize,
}

#[derive(Default)]
struct Draft {
    feeds: Vec<Feed>,
    secrets: Vec<Arc<Secrets>>,
    followed: Followed,
    doubts: Vec<Doubt>,
    begin: Option<Instant>,
    end: Option<Instant>,
}

/// One of the feeds.
#[derive(Default)]
struct Feed {
    /// None before its first poll.
    origin: Option<Call>,
    /// Where it stands before its last batch.
    stood: Stood,
    batch: u64,
    marks: Vec<Mark>,
    /// The id of the last event that is durable; empty where none is known to be.
    durable: ByteString,
    /// Whether items of it are not known to be durable.
    is_owed: bool,
    /// Whether it waits for that.
    is_waiting: bool,
}

impl Feeds {
    pub(super) fn new(count: usize, listener: Option<Listener>) -> Self {
        let mut draft = Draft::default();
        draft.feeds.resize_with(count, Feed::default);
        Feeds {
            meter: Arc::default(),
            listener,
            durable: Notify::new(),
            draft: Mutex::new(draft),
        }
    }

    /// A feed is polled for the first time.
    pub(super) fn begin(&self, feed: usize, origin: Call, stood: Stood, secrets: Arc<Secrets>) {
        let mut draft = self.draft();
        draft.begin.get_or_insert_with(Instant::now);
        draft.secrets.push(secrets);
        let feed = &mut draft.feeds[feed];
        feed.durable = stood.id.clone();
        feed.stood = stood;
        feed.origin = Some(origin);
    }

    /// A feed goes on after this id, and not after its last event.
    pub(super) fn begin_at(&self, feed: usize, id: ByteString) {
        let feed = &mut self.draft().feeds[feed];
        feed.marks.clear();
        feed.durable = id.clone();
        feed.stood = Stood {
            id,
            ..Stood::default()
        };
    }

    /// Up to where the events of a feed have been taken, or are durable.
    pub(super) fn settled(&self, feed: usize, is_durable: bool) -> Settled {
        let feed = &self.draft().feeds[feed];
        if is_durable {
            return Settled {
                id: feed.durable.clone(),
                is_all: !feed.is_owed,
            };
        }
        Settled {
            // More is asked for, so that all of it has been taken.
            id: feed.stood_after(feed.marks.len()).id,
            is_all: true,
        }
    }

    /// What a feed has handed out is to be made durable soon.
    pub(super) fn hurry(&self, feed: usize) {
        let feed = &mut self.draft().feeds[feed];
        feed.is_waiting = feed.is_owed;
    }

    /// A connection is made.
    pub(super) fn connected(&self, transport: &'static str) {
        spans::follows(transport);
        let followed = &mut self.draft().followed;
        followed.transport = Some(transport);
        followed.connections += 1;
    }

    /// Events came again.
    pub(super) fn replayed(&self, count: u64) {
        self.draft().followed.replayed += count;
    }

    /// A batch of events is about to be handed out: the number that it has.
    pub(super) fn hands_out(&self, feed: usize, marks: Vec<Mark>) -> u64 {
        let mut draft = self.draft();
        let feed = &mut draft.feeds[feed];
        feed.settle();
        feed.batch += 1;
        feed.is_owed |= !marks.is_empty();
        feed.marks = marks;
        feed.batch
    }

    /// Waits until all items of a feed that were handed out are durable.
    pub(super) async fn durable(&self, feed: usize) {
        loop {
            // Before it is looked, so that nothing is missed in between.
            let durable = self.durable.notified();
            let is_owed = {
                let feed = &mut self.draft().feeds[feed];
                feed.is_waiting = feed.is_owed;
                feed.is_owed
            };
            if !is_owed {
                return;
            }
            durable.await;
        }
    }

    /// There is no going on after the last event.
    pub(super) fn forget_position(&self, feed: usize) {
        let mut draft = self.draft();
        let feed = &mut draft.feeds[feed];
        feed.marks.clear();
        feed.stood = Stood::default();
    }

    /// Something speaks against having all events.
    pub(super) fn doubt(&self, doubt: Doubt) {
        if let Some(listener) = &self.listener {
            listener(&doubt);
        }
        let mut draft = self.draft();
        draft.followed.gaps += 1;
        if draft.doubts.len() < DOUBTS {
            draft.doubts.push(doubt);
        }
    }

    fn draft(&self) -> MutexGuard<'_, Draft> {
        self.draft.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed {
    /// The last batch has been taken.
    fn settle(&mut self) {
        for mark in self.marks.drain(..) {
            self.stood.add(&mark);
        }
    }

    /// Where the feed stands after so many events of its last batch.
    fn stood_after(&self, count: usize) -> Stood {
        let mut stood = self.stood.clone();
        let marks = &self.marks[..count.min(self.marks.len())];
        let begin = marks.iter().rposition(|mark| mark.has_own_id);
        marks[begin.unwrap_or(0)..]
            .iter()
            .for_each(|mark| stood.add(mark));
        stood
    }
}

impl SourceKind for Feeds {
    const NAME: &'static str = SOURCE;

    type Details = Followed;
    type Batch<T: Send> = IntoIter<(T, Place)>;
    type Place = Place;
    type Return = Ended;

    fn position(&self, last: Option<Place>) -> Option<Position> {
        let draft = self.draft();
        let stands = draft.feeds.iter().enumerate().filter_map(|(number, feed)| {
            let count = match last {
                Some(last) if last.feed == number && last.batch == feed.batch => last.index + 1,
                // Batches come one at a time: that of another feed has been taken.
                Some(_) => feed.marks.len(),
                None => 0,
            };
            Some(Stand::new(feed.origin.as_ref()?, &feed.stood_after(count)))
        });
        let stands = Stands {
            feeds: stands.collect(),
        };
        (!stands.feeds.is_empty()).then(|| stands.position())?
    }

    fn counts(&self) -> Counts {
        self.meter.counts()
    }

    fn waiting(&self) -> Option<String> {
        self.meter.waiting_for()
    }

    fn secrets(&self) -> Secrets {
        let all = Secrets::default();
        for secrets in &self.draft().secrets {
            all.keep_all(secrets);
        }
        all
    }

    fn details(&self, _: &Ended) -> Followed {
        let draft = self.draft();
        let end = draft.end.unwrap_or_else(Instant::now);
        // What stands after the id in a position of NATS is for the next run.
        let is_listed = draft.followed.transport == Some("nats");
        let last_id = draft.feeds.iter().rev().find_map(|feed| {
            let id = feed.stood_after(feed.marks.len()).id;
            let id = if is_listed {
                id.split(' ').next()
            } else {
                Some(&*id)
            };
            id.filter(|id| !id.is_empty()).map(str::to_owned)
        });
        Followed {
            took: draft.begin.map(|begin| end - begin).unwrap_or_default(),
            last_id,
            ..draft.followed.clone()
        }
    }

    fn conclude(&self, ended: Ended) -> Conclusion<Followed> {
        Conclusion::of(ended).with(self.doubts())
    }

    fn acknowledge(&self, position: &Position) {
        let mut draft = self.draft();
        let feeds = draft.feeds.iter_mut();
        let feeds: Vec<(&mut Feed, Call)> = feeds
            .filter_map(|feed| {
                let origin = feed.origin.clone()?;
                Some((feed, origin))
            })
            .collect();
        let origins: Vec<Call> = feeds.iter().map(|(_, origin)| origin.clone()).collect();
        let Ok(durable) = Stands::read(position, &origins) else {
            return;
        };
        for (feed, origin) in feeds {
            if let Some(stand) = durable.feeds.iter().find(|stand| stand.origin == origin) {
                feed.durable = stand.id();
            }
            let stand = Stand::new(&origin, &feed.stood_after(feed.marks.len()));
            feed.is_owed &= !durable.feeds.contains(&stand);
        }
        drop(draft);
        self.durable.notify_waiters();
    }

    fn awaits_durable(&self) -> bool {
        let draft = self.draft();
        draft
            .feeds
            .iter()
            .any(|feed| feed.is_waiting && feed.is_owed)
    }

    fn doubts(&self) -> Vec<Doubt> {
        self.draft().doubts.clone()
    }

    fn over(&self) {
        self.draft().end.get_or_insert_with(Instant::now);
    }
}

impl fmt::Debug for Feeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feeds").finish_non_exhaustive()
    }
}
