//! Pages that are read before their items are asked for: bounded in number and in
//! bytes.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::vec::IntoIter;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::fetch::PageFetcher;
use super::kinds::Kind;
use super::page::{Item, PageReader, Summary};
use super::trail::Trail;
use crate::error::Error;
use crate::http::CleanCall;

/// What all pages that are read ahead may hold together of their bodies, in bytes, and
/// as much again in items that are ready.
const BUDGET: usize = 4 << 20;

/// The most pages that are read at a time: with more of them, the share of each would be
/// less than a chunk.
const MOST: usize = 256;

/// How many bytes a tree takes at most for each byte of its text.
const TREE: usize = 32;

/// Into how many batches a page's share is divided: this many are in the channel,
/// one is being filled and one is being emptied.
const BATCHES: usize = 4;

/// The pages in flight after the one that is being handed out.
pub(super) struct InFlight {
    /// How many pages may be read at a time, with the one that is handed out.
    limit: usize,
    /// How many items will be asked for, if that is known.
    demand: Option<u64>,
    queue: VecDeque<(CleanCall, Ahead)>,
}

impl InFlight {
    pub(super) fn new(limit: usize, demand: Option<u64>) -> Self {
        InFlight {
            limit: limit.clamp(1, MOST),
            demand,
            queue: VecDeque::new(),
        }
    }

    /// Whether pages are read ahead at all.
    pub(super) fn is_on(&self) -> bool {
        self.limit > 1
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How to get the page of this call, which may be open already. It makes room for one
    /// more in flight, which is sent before this one is waited for.
    pub(super) fn opening(
        &mut self,
        fetcher: &Arc<PageFetcher>,
        kind: &dyn Kind,
        trail: &Trail,
        open: Option<Box<PageReader>>,
        call: CleanCall,
    ) -> Opening {
        let opening = match open {
            Some(read) => Opening::Open(read),
            None if self.is_on() => Opening::Ahead(Box::new(self.take(fetcher, &call))),
            None => Opening::New(call),
        };
        self.fill(fetcher, kind, trail);
        opening
    }

    /// Whether more items will be asked for than those on the pages that have been read.
    pub(super) fn needs_more(&self, trail: &Trail) -> bool {
        self.demand.is_none_or(|items| trail.left_of(items) > 0)
    }

    /// How many pages after the one that the walk is on may be read ahead: no more than are
    /// needed, which the size of the first page tells.
    fn most_ahead(&self, trail: &Trail) -> usize {
        let most = self.limit - 1;
        let Some(items) = self.demand else {
            return most;
        };
        if trail.largest_page == 0 {
            return 0;
        }
        let pages = trail.left_of(items).div_ceil(trail.largest_page);
        let pages = pages.saturating_sub(1);
        usize::try_from(pages).map_or(most, |pages| pages.min(most))
    }

    /// Sends what the kind knows to come, as far as the limit and the demand allow.
    fn fill(&mut self, fetcher: &Arc<PageFetcher>, kind: &dyn Kind, trail: &Trail) {
        while self.queue.len() < self.most_ahead(trail) {
            let call = kind.ahead(self.queue.len() as u64 + 1);
            // What is wrong with one is said when the walk gets there.
            let Some(Ok(call)) = call.map(|call| fetcher.http.clean(call)) else {
                return;
            };
            self.send(fetcher, call);
        }
    }

    /// Sends the one call that is known to be next.
    pub(super) fn send(&mut self, fetcher: &Arc<PageFetcher>, call: CleanCall) {
        let page = Ahead::new(Arc::clone(fetcher), call.clone(), BUDGET / self.limit);
        self.queue.push_back((call, page));
    }

    /// The page of this call; where another one was thought to come, all those in
    /// flight are dropped.
    fn take(&mut self, fetcher: &Arc<PageFetcher>, call: &CleanCall) -> Ahead {
        match self.queue.pop_front() {
            Some((sent, page)) if sent == *call => {
                page.turn.send_replace(true);
                page
            }
            _ => {
                self.queue.clear();
                let page = Ahead::new(Arc::clone(fetcher), call.clone(), BUDGET / self.limit);
                page.turn.send_replace(true);
                page
            }
        }
    }
}

/// How the page of a call is to be had.
pub(super) enum Opening {
    /// It is open already.
    Open(Box<PageReader>),
    /// A task reads it.
    Ahead(Box<Ahead>),
    /// It has not been asked for.
    New(CleanCall),
}

impl Opening {
    /// Waits until there is an item to take, or none.
    pub(super) async fn page(self, fetcher: &Arc<PageFetcher>) -> Result<Page, Error> {
        match self {
            Opening::Open(read) => Ok(Page::Here(read)),
            Opening::Ahead(ahead) => {
                let ahead = ahead.opened().await?;
                Ok(Page::Ahead(Box::new(ahead)))
            }
            Opening::New(call) => {
                let read = PageReader::open(Arc::clone(fetcher), call).await?;
                Ok(Page::Here(Box::new(read)))
            }
        }
    }
}

/// A page, read where its items are asked for, or ahead of that in a task.
pub(super) enum Page {
    Here(Box<PageReader>),
    Ahead(Box<Ahead>),
}

impl Page {
    /// The next item; none at the proven end.
    pub(super) async fn next_item(&mut self) -> Result<Option<Item>, Error> {
        match self {
            Page::Here(read) => read.next_item().await,
            Page::Ahead(ahead) => ahead.next_item().await,
        }
    }

    /// The next item, if it has arrived already.
    pub(super) fn arrived(&mut self) -> Option<Item> {
        match self {
            Page::Here(read) => read.arrived(),
            Page::Ahead(ahead) => ahead.arrived(),
        }
    }

    /// What the page was, once all items have been taken, or before where that is
    /// known.
    pub(super) fn summary(&mut self) -> Option<Summary> {
        match self {
            Page::Here(read) => read.summary(),
            Page::Ahead(ahead) => ahead.summary(),
        }
    }

    /// What the page was, once all items have been taken.
    pub(super) fn whole(&mut self) -> Result<Summary, Error> {
        (self.summary()).ok_or_else(|| Error::content("the page was not read to its end"))
    }

    /// The error for the item that came last: it does not parse as it should.
    pub(super) fn unfit(&self, item: &Item, error: serde_json::Error) -> Error {
        match self {
            Page::Here(read) => read.reading.unfit(&item.text, error),
            Page::Ahead(ahead) => ahead.unfit(error),
        }
    }
}

/// What a page may hold of its body before it is its turn to be handed out. Then it may
/// go on without a limit of this kind, so that there is always one that can.
#[derive(Clone)]
pub(super) struct Share {
    bytes: usize,
    turn: watch::Receiver<bool>,
}

impl Share {
    /// Waits until so many bytes are not too many.
    pub(super) async fn room_for(&mut self, bytes: usize) {
        if bytes > self.bytes {
            // Without an owner, this task is about to end.
            let _ = self.turn.wait_for(|is_here| *is_here).await;
        }
    }

    /// The same for what a text of this length becomes.
    pub(super) async fn room_for_tree(&mut self, held: usize, text: usize) {
        self.room_for(held.saturating_add(text.saturating_mul(TREE)))
            .await;
    }
}

/// A page that a task reads.
pub(super) struct Ahead {
    call: CleanCall,
    /// Says to the task that the page is the one to be handed out.
    turn: watch::Sender<bool>,
    messages: mpsc::Receiver<Result<Vec<Item>, Error>>,
    items: IntoIter<Item>,
    summary: oneshot::Receiver<Box<Summary>>,
    is_over: bool,
    /// The items that have been handed out.
    taken: u64,
    _task: Task,
}

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Ahead {
    fn new(fetcher: Arc<PageFetcher>, call: CleanCall, share: usize) -> Self {
        let batch = share / (BATCHES + 2);
        let (turn, is_turn) = watch::channel(false);
        let fetcher = PageFetcher {
            share: Some(Share {
                bytes: share,
                turn: is_turn,
            }),
            ..PageFetcher::clone(&fetcher)
        };
        let (sender, messages) = mpsc::channel(BATCHES);
        let (summary_sender, summary) = oneshot::channel();
        let fetcher = Arc::new(fetcher);
        let run = run(fetcher, call.clone(), batch, sender, summary_sender);
        // What it asks for is told as the walk's.
        let task = tokio::spawn(run.in_current_span());
        Ahead {
            call,
            turn,
            messages,
            items: Vec::new().into_iter(),
            summary,
            is_over: false,
            taken: 0,
            _task: Task(task),
        }
    }

    /// Waits until there is an item to take, or none left.
    async fn opened(mut self) -> Result<Self, Error> {
        self.receive().await?;
        Ok(self)
    }

    pub(super) fn arrived(&mut self) -> Option<Item> {
        let item = self.items.next()?;
        self.taken += 1;
        Some(item)
    }

    pub(super) async fn next_item(&mut self) -> Result<Option<Item>, Error> {
        loop {
            if let Some(item) = self.arrived() {
                return Ok(Some(item));
            }
            if self.is_over {
                return Ok(None);
            }
            self.receive().await?;
        }
    }

    /// What the page was, as soon as its task has read it, even if not all items
    /// have been taken.
    pub(super) fn summary(&mut self) -> Option<Summary> {
        self.summary.try_recv().ok().map(|summary| *summary)
    }

    pub(super) fn unfit(&self, error: serde_json::Error) -> Error {
        let what = if error.is_data() {
            "is not of the expected type"
        } else {
            "is not valid JSON"
        };
        Error::content(format!("item {} of the page {what}: {error}", self.taken))
            .with_source(error)
            .at_request(self.call.redacted())
    }

    async fn receive(&mut self) -> Result<(), Error> {
        match self.messages.recv().await {
            Some(items) => self.items = items?.into_iter(),
            None => self.is_over = true,
        }
        Ok(())
    }
}

/// Reads a page and sends its items in batches.
async fn run(
    fetcher: Arc<PageFetcher>,
    call: CleanCall,
    batch_bytes: usize,
    sender: mpsc::Sender<Result<Vec<Item>, Error>>,
    summary: oneshot::Sender<Box<Summary>>,
) {
    let result = read(fetcher, call, batch_bytes, &sender, summary).await;
    if let Err(error) = result {
        // Nobody listens any more where this fails.
        let _ = sender.send(Err(error)).await;
    }
}

async fn read(
    fetcher: Arc<PageFetcher>,
    call: CleanCall,
    batch_bytes: usize,
    sender: &mpsc::Sender<Result<Vec<Item>, Error>>,
    summary: oneshot::Sender<Box<Summary>>,
) -> Result<(), Error> {
    let mut page = Page::Here(Box::new(PageReader::open(fetcher, call).await?));
    let mut batch = Vec::new();
    let mut bytes = 0;
    loop {
        let mut next = pin!(page.next_item());
        let next = match poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await {
            Poll::Ready(next) => next,
            Poll::Pending => {
                // What has come is of more use on the other side than here.
                if !batch.is_empty() && sender.capacity() > 0 {
                    let _ = sender.send(Ok(std::mem::take(&mut batch))).await;
                    bytes = 0;
                }
                next.await
            }
        };
        let Some(item) = next? else {
            break;
        };
        bytes += item.text.len() + size_of::<Item>();
        batch.push(item);
        if bytes >= batch_bytes {
            let _ = sender.send(Ok(std::mem::take(&mut batch))).await;
            bytes = 0;
        }
    }
    if let Some(whole) = page.summary() {
        // The walk may have been dropped.
        let _ = summary.send(Box::new(whole));
    }
    if !batch.is_empty() {
        let _ = sender.send(Ok(batch)).await;
    }
    Ok(())
}
