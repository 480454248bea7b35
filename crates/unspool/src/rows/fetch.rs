//! What is asked of the database: the query, perhaps again, or its parts side by side.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::batch::Batch;
use super::database::{Answer, Cuts, Database, Query, Range, Reader};
use super::keyset::key_of;
use super::position::{Part, Stand, hash};
use super::progress::Cursor;
use super::request::Plan;
use crate::error::Error;
use crate::http::{Attempts, Retry, Secrets};

/// How many bytes of a part travel together at least.
const LEAST_BYTES: usize = 128 << 10;

/// A query that is being asked, as one or in parts.
pub(super) enum Fetches {
    One(Box<Fetch>),
    Several(SideBySide),
}

impl Fetches {
    pub(super) async fn begin(plan: Plan, cursor: Arc<Cursor>) -> Result<Self, Error> {
        let (partitions, in_flight) = (plan.partitions, plan.in_flight);
        let mut fetch = Fetch::begin(plan, cursor)?;
        let is_resumed = fetch.resumed.is_some() || fetch.query.range.after.is_some();
        if fetch.resumed.is_none() && (partitions == 1 || is_resumed) {
            return Ok(Fetches::One(Box::new(fetch)));
        }
        let several = SideBySide::begin(&mut fetch, partitions, in_flight).await?;
        Ok(Fetches::Several(several))
    }

    /// The next rows, and the number of the part that they are of.
    pub(super) async fn next(&mut self) -> Result<Option<(usize, Batch)>, Error> {
        match self {
            Fetches::One(fetch) => Ok(fetch.next().await?.map(|batch| (0, batch))),
            Fetches::Several(parts) => parts.next().await,
        }
    }

    pub(super) async fn close(&mut self) {
        match self {
            Fetches::One(fetch) => fetch.close().await,
            Fetches::Several(parts) => parts.close().await,
        }
    }
}

/// A query, or a part of one, that is being asked, perhaps again.
pub(super) struct Fetch {
    cursor: Arc<Cursor>,
    database: &'static Database,
    query: Query,
    /// The database as people may see it.
    shown: String,
    retry: Retry,
    attempts: Attempts,
    /// The parts of an earlier run that it resumes.
    resumed: Option<Vec<Part>>,
    part: usize,
    has_rows: bool,
    /// Whether it was asked again, and no row has come since.
    is_again: bool,
    /// None before it is asked, and while it waits to ask again. Never locked: a mutex lets
    /// what cannot be shared be in what can.
    reader: Option<Mutex<Box<dyn Reader>>>,
}

impl Fetch {
    pub(super) fn begin(plan: Plan, cursor: Arc<Cursor>) -> Result<Self, Error> {
        let Plan {
            dsn,
            what,
            mut query,
            from,
            retry,
            take,
            ..
        } = plan;
        let database = Database::of(&dsn)?;
        let (shown, passwords) = (database.shown)(&dsn);
        query.dsn = dsn;
        if let Some(take) = take.and_then(|take| usize::try_from(take).ok()) {
            // No more rows travel together than are wanted.
            query.limits.rows = query.limits.rows.min(take);
        }
        let at = |error: Error| error.at_request(&shown);
        query.statement = database.statement(&what).map_err(at)?;
        let secrets = Secrets::new();
        passwords.iter().for_each(|word| secrets.keep(word));
        let hash = hash(database, &query);
        let stand = from.map(|position| Stand::read(&position, &query, &hash));
        let stand = stand.transpose().map_err(at)?;
        cursor.begin(database.name, &query.key, hash, secrets);
        let mut resumed = None;
        if let Some(stand) = stand {
            if stand.parts.is_empty() {
                query.range = resume(&query.range, &stand.last);
                cursor.resume(stand.last);
            } else {
                resumed = Some(stand.parts);
            }
        }
        Ok(Fetch {
            attempts: Attempts::new(&retry, Arc::clone(&cursor.meter)),
            retry,
            cursor,
            database,
            query,
            shown,
            resumed,
            part: 0,
            has_rows: false,
            is_again: false,
            reader: None,
        })
    }

    /// How the query is cut into so many parts at most.
    pub(super) async fn cuts(&self, count: usize) -> Result<Cuts, Error> {
        let cuts = (self.database.cut)(self.query.clone(), count).await;
        cuts.map_err(|error| error.at_request(&self.shown))
    }

    /// A part of it.
    fn part(&self, part: usize, range: Range, cuts: &Cuts, bytes: usize) -> Self {
        let mut query = self.query.clone();
        query.range = range;
        query.snapshot.clone_from(&cuts.snapshot);
        query.looks_for_nulls = part == 0;
        query.limits.bytes = bytes;
        Fetch {
            cursor: Arc::clone(&self.cursor),
            database: self.database,
            query,
            shown: self.shown.clone(),
            attempts: Attempts::new(&self.retry, Arc::clone(&self.cursor.meter)),
            retry: self.retry.clone(),
            resumed: None,
            part,
            has_rows: false,
            is_again: false,
            reader: None,
        }
    }

    /// The next rows. Where the connection was lost they are asked for again: with a key
    /// after the last row, and else only if none has come.
    async fn next(&mut self) -> Result<Option<Batch>, Error> {
        loop {
            let error = match self.read().await {
                Ok(batch) => {
                    if let Some(batch) = &batch {
                        self.came(batch);
                    }
                    return Ok(batch);
                }
                Err(error) => error,
            };
            self.close().await;
            let error = error.at_request(&self.shown);
            // Without a key nothing says where to go on.
            if self.has_rows && self.query.key.is_empty() {
                return Err(error);
            }
            let error = if self.has_rows {
                error.after_answers()
            } else {
                error
            };
            self.attempts.after(error).await?;
            self.is_again = true;
        }
    }

    /// Rows have come: if they are asked for again, it is for those after them.
    fn came(&mut self, batch: &Batch) {
        let last = batch.len().checked_sub(1).and_then(|last| batch.row(last));
        self.has_rows |= batch.len() > 0;
        if self.is_again && batch.len() > 0 {
            // The next failure is another one.
            self.attempts = Attempts::new(&self.retry, Arc::clone(&self.cursor.meter));
            self.is_again = false;
        }
        if !self.query.key.is_empty()
            && let Some(key) = last.and_then(|row| key_of(&row, &self.query.key))
        {
            self.query.range.after = Some(key);
        }
    }

    async fn read(&mut self) -> Result<Option<Batch>, Error> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => Mutex::new((self.database.open)(self.query.clone(), &self.cursor)?),
        };
        let reader = self.reader.insert(reader).get_mut();
        reader.unwrap_or_else(PoisonError::into_inner).read().await
    }

    async fn close(&mut self) {
        if let Some(mut reader) = self.reader.take() {
            let reader = reader.get_mut().unwrap_or_else(PoisonError::into_inner);
            reader.close().await;
        }
    }
}

/// The range that is left after this key, or a bit before it.
fn resume(range: &Range, last: &[String]) -> Range {
    let mut range = range.clone();
    if range.overlap.is_some() {
        range.since = last.first().cloned();
    } else {
        range.after = Some(last.to_vec());
        range.since = None;
    }
    range
}

/// A part, and what came of it.
type Step = Answer<'static, (Box<Fetch>, Result<Option<Batch>, Error>)>;

/// Parts that are read at the same time.
pub(super) struct SideBySide {
    cursor: Arc<Cursor>,
    waiting: VecDeque<Box<Fetch>>,
    /// Never locked.
    running: Mutex<FuturesUnordered<Step>>,
    in_flight: usize,
    /// That no more rows are wanted.
    closing: CancellationToken,
    /// What keeps the state that all parts see.
    _hold: Mutex<Option<Box<dyn Send>>>,
}

impl SideBySide {
    /// Cuts the query, or takes the parts that an earlier run had.
    async fn begin(whole: &mut Fetch, count: usize, in_flight: usize) -> Result<Self, Error> {
        let resumed = whole.resumed.take();
        let wanted = resumed.as_ref().map_or(count, |_| 1);
        let cuts = loop {
            match whole.cuts(wanted).await {
                Ok(cuts) => break cuts,
                Err(error) => whole.attempts.after(error).await?,
            }
        };
        let parts = match resumed {
            Some(parts) => parts,
            None => cuts.ranges.iter().map(Part::of).collect(),
        };
        let in_flight = in_flight.min(parts.len());
        let bytes = (whole.query.limits.bytes / in_flight.max(1)).max(LEAST_BYTES);
        let mut waiting = VecDeque::new();
        for (index, part) in parts.iter().enumerate() {
            // A range of blocks is not in a part, which is that of a key.
            let range = match cuts
                .ranges
                .get(index)
                .filter(|range| range.blocks.is_some())
            {
                Some(range) => Some(range.clone()),
                None => part.left(&whole.query.range),
            };
            waiting.extend(range.map(|range| Box::new(whole.part(index, range, &cuts, bytes))));
        }
        whole.cursor.cut(parts);
        Ok(SideBySide {
            cursor: Arc::clone(&whole.cursor),
            waiting,
            running: Mutex::default(),
            in_flight,
            closing: CancellationToken::new(),
            _hold: Mutex::new(cuts.hold),
        })
    }

    async fn next(&mut self) -> Result<Option<(usize, Batch)>, Error> {
        let running = self
            .running
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        loop {
            while running.len() < self.in_flight
                && let Some(fetch) = self.waiting.pop_front()
            {
                running.push(step(fetch, self.closing.clone()));
            }
            let Some((fetch, came)) = running.next().await else {
                return Ok(None);
            };
            match came? {
                Some(batch) => {
                    let part = fetch.part;
                    running.push(step(fetch, self.closing.clone()));
                    return Ok(Some((part, batch)));
                }
                None => self.cursor.part_is_over(fetch.part),
            }
        }
    }

    /// Stops all parts.
    async fn close(&mut self) {
        self.waiting.clear();
        self.closing.cancel();
        let running = self
            .running
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        while running.next().await.is_some() {}
    }
}

/// Asks a part for its next rows, or stops it.
fn step(mut fetch: Box<Fetch>, closing: CancellationToken) -> Step {
    Box::pin(async move {
        let came = match select(pin!(fetch.next()), pin!(closing.cancelled())).await {
            Either::Left((came, _)) => Some(came),
            Either::Right(_) => None,
        };
        match came {
            Some(came) => (fetch, came),
            None => {
                fetch.close().await;
                (fetch, Ok(None))
            }
        }
    })
}
