//! The thread that a sink runs on, and what feeds it: a bounded number of bytes is between
//! the two, so that a slow sink stops the source.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tracing::Span;
use unspool_core::AsyncGenerator;

use super::delivery::{Batch, Delivery, Ended, Mark, Memory};
use super::{Notes, Pace, Sink, SinkAccount, SinkGenerator};
use crate::error::Error;
use crate::http::Secrets;
use crate::position::Position;
use crate::spans;

/// How many bytes of items travel together, unless one alone has more.
const BATCH: usize = 256 << 10;

/// How much room a batch has: its last item goes beyond its size.
const ROOM: usize = BATCH + (64 << 10);

/// How many batches' memory is kept to be used again.
const KEPT: usize = 4;

/// How many deliveries wait for the sink at most.
const WAITING: usize = 2;

/// A sink at work: items go in, and it tells how far they are durable.
///
/// The sink runs on a thread of its own; up to four batches of 256 KiB, or of one larger
/// item, are in memory between the source and what the sink has written.
///
/// ```no_run
/// # async fn example() -> Result<(), unspool::Error> {
/// use futures_util::TryStreamExt;
/// use unspool::sinks::{self, Ended, Options, Writer};
///
/// let posts = unspool::pages("https://api.example.com/posts");
/// let sink = sinks::open("posts.jsonl", Options::new(posts.identity()?))?;
/// let mut writer = Writer::open(sink).await?;
/// let mut posts = posts.resume(writer.begun().position.clone()).raw();
/// while let Some(post) = posts.try_next().await? {
///     writer.put(post.as_bytes()).await?;
///     writer.checkpoint_if_due(|| posts.position()).await?;
/// }
/// writer.end(posts.position(), Ended::of(&posts.account())).await?;
/// println!("{} items are durable", writer.account().items);
/// # Ok(())
/// # }
/// ```
///
/// # Dropping
///
/// Closes the sink: its target keeps what was durable, and whole items only.
#[derive(Debug)]
pub struct Writer {
    target: String,
    batch: Batch,
    begun: Mark,
    /// All that was put in, as a mark without its position.
    put: Mark,
    asked: Mark,
    asked_at: Instant,
    /// How many checkpoints were asked for.
    asked_count: u64,
    pace: Pace,
    notes: Notes,
    takes_arrow: bool,
    to_sink: mpsc::Sender<Delivery>,
    /// The memory of batches that have been written, and the way for it to come back.
    used: (mpsc::Sender<Memory>, mpsc::Receiver<Memory>),
    durable: watch::Receiver<Durable>,
    result: Option<oneshot::Receiver<Result<(), Error>>>,
    /// What is told of it.
    span: Span,
}

/// What the sink has made durable.
#[derive(Clone, Debug, Default)]
struct Durable {
    mark: Mark,
    checkpoints: u64,
    /// How many checkpoints that were asked for the sink has heard of, those included that it
    /// could not make yet.
    answered: u64,
}

impl Writer {
    /// Opens a sink, on its thread: it takes hold of its target, and finds out what an earlier
    /// run left there.
    ///
    /// # Errors
    ///
    /// The target cannot be written, belongs to another command, is in use, or is not as it
    /// was left.
    pub async fn open(sink: Sink) -> Result<Self, Error> {
        let Sink {
            target,
            pace,
            notes,
            takes_arrow,
            make,
        } = sink;
        let span = spans::sink(&target);
        let (to_sink, deliveries) = mpsc::channel(WAITING);
        let (to_durable, mut durable) = watch::channel(Durable::default());
        let (to_result, result) = oneshot::channel();
        let used = mpsc::channel(KEPT);
        let spawned = std::thread::Builder::new()
            .name("sink".to_owned())
            .spawn(move || {
                // Nobody may be left who wants to know.
                let _ = to_result.send(on_thread(drive(make, deliveries, to_durable)));
            });
        spawned.map_err(|error| Error::sink("cannot start a thread for the sink", error))?;
        let is_open = durable.changed().await.is_ok();
        let begun = durable.borrow_and_update().mark.clone();
        let mut writer = Writer {
            target,
            batch: Batch::within(Memory::with_capacity(ROOM), &used.0),
            used,
            put: Mark {
                position: None,
                ..begun.clone()
            },
            asked: begun.clone(),
            asked_at: Instant::now(),
            asked_count: 0,
            begun,
            pace,
            notes,
            takes_arrow,
            to_sink,
            durable,
            result: Some(result),
            span,
        };
        if is_open {
            Ok(writer)
        } else {
            Err(writer.failure().await)
        }
    }

    /// What the target held already when it was opened: where the source resumes.
    #[must_use]
    pub fn begun(&self) -> &Mark {
        &self.begun
    }

    /// That the source can go on where the target ends.
    ///
    /// # Errors
    ///
    /// The target holds items and no position of the source.
    pub fn check_resumable(&self) -> Result<(), Error> {
        match self.begun.items > 0 && self.begun.position.is_none() {
            false => Ok(()),
            true => Err(Error::request(format!(
                "`{}` holds {} items of an earlier run, and their source cannot resume",
                self.target, self.begun.items
            ))),
        }
    }

    /// Adds an item by its JSON text on one line, and waits as long as the sink is behind.
    ///
    /// # Errors
    ///
    /// The sink has failed.
    ///
    /// # Cancel safety
    ///
    /// The item is added at the first poll, and stays so.
    pub async fn put(&mut self, item: &[u8]) -> Result<(), Error> {
        self.put_with(|line| {
            line.extend_from_slice(item);
            line.push(b'\n');
        })
        .await
    }

    /// Adds what `write` appends: an item and a line feed, or a piece of a text.
    ///
    /// # Errors
    ///
    /// The sink has failed.
    ///
    /// # Cancel safety
    ///
    /// The item is added at the first poll, and stays so.
    pub async fn put_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Error> {
        let length = self.batch.push_with(write);
        self.put.items += 1;
        self.put.bytes += length as u64;
        if self.batch.lines().len() >= BATCH {
            self.hand_over().await?;
        }
        Ok(())
    }

    /// Whether the sink takes Arrow batches: [`Sink::takes_arrow`].
    #[must_use]
    pub fn takes_arrow(&self) -> bool {
        self.takes_arrow
    }

    /// Adds the rows of an Arrow batch, and waits as long as the sink is behind. Their bytes
    /// are counted as the arrays have them.
    ///
    /// # Errors
    ///
    /// The sink has failed, or does not [take Arrow batches](Writer::takes_arrow).
    ///
    /// # Cancel safety
    ///
    /// The batch is added or it is not; where it is dropped, it is not.
    #[cfg(feature = "arrow")]
    pub async fn put_arrow(&mut self, columns: arrow_array::RecordBatch) -> Result<(), Error> {
        if !self.takes_arrow {
            let target = &self.target;
            return Err(Error::request(format!("`{target}` takes no Arrow batches")));
        }
        self.hand_over().await?;
        let Ok(room) = self.to_sink.reserve().await else {
            return Err(self.failure().await);
        };
        self.put.items += columns.num_rows() as u64;
        let sizes = columns.columns().iter().map(|column| column.to_data());
        let sizes = sizes.filter_map(|data| data.get_slice_memory_size().ok());
        self.put.bytes += sizes.sum::<usize>() as u64;
        room.send(Delivery::Items(Batch::of_arrow(columns)));
        Ok(())
    }

    /// When the next checkpoint is due, if items came since the last one, or the sink could not
    /// make that yet.
    #[must_use]
    pub fn due_at(&self) -> Option<Instant> {
        (self.has_new() || self.is_put_off()).then(|| {
            match self.put.bytes - self.asked.bytes < self.pace.bytes {
                true => self.asked_at + self.pace.time,
                false => self.asked_at,
            }
        })
    }

    /// Whether items came since a checkpoint was asked for last.
    pub(crate) fn has_new(&self) -> bool {
        self.put.items > self.asked.items
    }

    /// Whether the sink has heard of all checkpoints and still holds items back, as it does
    /// until it has seen enough of them to know the columns.
    fn is_put_off(&self) -> bool {
        let durable = self.durable.borrow();
        durable.answered == self.asked_count && durable.mark.items < self.put.items
    }

    /// Asks for a checkpoint at once, if items came since the last one or are held back: the
    /// source waits for them to be durable.
    ///
    /// # Errors
    ///
    /// The sink has failed.
    pub async fn hurry(
        &mut self,
        position: impl FnOnce() -> Option<Position>,
    ) -> Result<(), Error> {
        if self.has_new() || self.is_put_off() {
            self.checkpoint(position()).await?;
        }
        Ok(())
    }

    /// Asks for a checkpoint if one is due now. The source stands at `position`, after the
    /// item that was put in last.
    ///
    /// # Errors
    ///
    /// The sink has failed.
    pub async fn checkpoint_if_due(
        &mut self,
        position: impl FnOnce() -> Option<Position>,
    ) -> Result<(), Error> {
        match self.due_at() {
            Some(due) if due <= Instant::now() => self.checkpoint(position()).await,
            _ => Ok(()),
        }
    }

    /// Asks the sink to make durable what was put in. It does so on its thread, and
    /// [`durable`](Writer::durable) tells when it has.
    ///
    /// # Errors
    ///
    /// The sink has failed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: all items that were put in stay there.
    pub async fn checkpoint(&mut self, position: Option<Position>) -> Result<(), Error> {
        self.hand_over().await?;
        let mark = self.mark(position);
        self.asked = mark.clone();
        self.asked_at = Instant::now();
        self.send(|| Delivery::Checkpoint(mark)).await?;
        self.asked_count += 1;
        Ok(())
    }

    /// Waits until a checkpoint is due, or until one has been made.
    ///
    /// # Errors
    ///
    /// The sink has failed.
    pub async fn due(&mut self) -> Result<(), Error> {
        let due_at = self.due_at();
        let has_failed = {
            let mut made = pin!(self.durable.changed());
            let mut timer = pin!(due_at.map(sleep_until));
            poll_fn(|cx| {
                if let Poll::Ready(made) = made.as_mut().poll(cx) {
                    return Poll::Ready(made.is_err());
                }
                match timer.as_mut().as_pin_mut() {
                    Some(timer) => timer.poll(cx).map(|()| false),
                    None => Poll::Pending,
                }
            })
            .await
        };
        if has_failed {
            return Err(self.failure().await);
        }
        // It is for `newly_durable` to see.
        self.durable.mark_changed();
        Ok(())
    }

    /// What is durable by now.
    #[must_use]
    pub fn durable(&self) -> Mark {
        self.durable.borrow().mark.clone()
    }

    /// What became durable since this was asked last, to tell the source.
    pub fn newly_durable(&mut self) -> Option<Mark> {
        let is_new = self.durable.has_changed().unwrap_or(false);
        is_new.then(|| self.durable.borrow_and_update().mark.clone())
    }

    /// What the sink has done so far.
    #[must_use]
    pub fn account(&self) -> SinkAccount {
        let durable = self.durable.borrow();
        SinkAccount {
            target: self.target.clone(),
            items: durable.mark.items,
            bytes: durable.mark.bytes,
            before: self.begun.items,
            checkpoints: durable.checkpoints,
            notes: self.notes.all(),
        }
    }

    /// Nothing more comes in this run: makes durable what was put in, and closes the target.
    /// The source stands at `position`, and has `ended`, or was left before its end.
    ///
    /// # Errors
    ///
    /// The sink has failed.
    ///
    /// # Cancel safety
    ///
    /// It can be called again.
    pub async fn end(
        &mut self,
        position: Option<Position>,
        ended: Option<Ended>,
    ) -> Result<(), Error> {
        self.hand_over().await?;
        let mark = Mark {
            ended,
            ..self.mark(position)
        };
        self.send(|| Delivery::End(mark)).await?;
        self.result().await
    }

    /// The mark after all that was put in, where the source stands at `position`.
    fn mark(&self, position: Option<Position>) -> Mark {
        // A source that has not come to its first new item may stand before those that the
        // target holds already.
        let is_moved = self.put.items > self.begun.items || self.begun.position.is_none();
        Mark {
            position: if is_moved {
                position
            } else {
                self.begun.position.clone()
            },
            ..self.put.clone()
        }
    }

    async fn hand_over(&mut self) -> Result<(), Error> {
        if self.batch.is_empty() {
            return Ok(());
        }
        // The batch leaves its place only when there is room for it, so that nothing is lost
        // where this is cancelled.
        let Ok(room) = self.to_sink.reserve().await else {
            return Err(self.failure().await);
        };
        let (home, used) = &mut self.used;
        let memory = used.try_recv();
        let next = Batch::within(memory.unwrap_or_else(|_| Memory::with_capacity(ROOM)), home);
        let batch = std::mem::replace(&mut self.batch, next);
        room.send(Delivery::Items(batch));
        Ok(())
    }

    async fn send(&mut self, delivery: impl FnOnce() -> Delivery) -> Result<(), Error> {
        if let Ok(room) = self.to_sink.reserve().await {
            room.send(delivery());
            return Ok(());
        }
        Err(self.failure().await)
    }

    /// Why the sink takes nothing more.
    async fn failure(&mut self) -> Error {
        match self.result().await {
            Err(error) => error,
            Ok(()) => Error::sink_ended(),
        }
    }

    /// How the sink ended.
    async fn result(&mut self) -> Result<(), Error> {
        let Some(result) = &mut self.result else {
            return Err(Error::sink_ended());
        };
        let result = result.await;
        self.result = None;
        let result = result.unwrap_or_else(|_| Err(Error::sink_ended()));
        if let Err(error) = &result {
            spans::failed(&self.span, error, Secrets::new);
        }
        result
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.span.is_disabled() {
            spans::sink_ended(&self.span, &self.account());
        }
    }
}

/// Runs what a sink does on the thread that it has for itself.
fn on_thread(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::sink("cannot start a runtime for the sink", error))?;
    runtime.block_on(work)
}

/// Sends a sink what there is for it, until it has ended or nobody sends anything.
async fn drive(
    make: Box<dyn FnOnce() -> SinkGenerator + Send>,
    mut deliveries: mpsc::Receiver<Delivery>,
    durable: watch::Sender<Durable>,
) -> Result<(), Error> {
    let mut sink = make();
    let begun = sink.start().await.ok().flatten();
    let Some(begun) = begun else {
        return returned(sink);
    };
    durable.send_replace(Durable {
        mark: begun.unwrap_or_default(),
        ..Durable::default()
    });
    while let Some(delivery) = deliveries.recv().await {
        let end = match &delivery {
            Delivery::End(mark) => Some(mark.clone()),
            _ => None,
        };
        let is_checkpoint = matches!(delivery, Delivery::Checkpoint(_));
        let made = match sink.asend(delivery).await {
            Ok(Some(made)) => made,
            // Whatever was to be made durable at the end is, if it returned well.
            _ => {
                returned(sink)?;
                if let Some(mark) = end {
                    note(&durable, mark);
                    return Ok(());
                }
                return Err(Error::sink_ended());
            }
        };
        if let Some(mark) = made {
            note(&durable, mark);
        }
        if is_checkpoint {
            durable.send_modify(|durable| durable.answered += 1);
        }
    }
    // Somebody dropped the writer; whether the clean-up yields does not matter then.
    let _ = sink.aclose().await;
    returned(sink)
}

fn note(durable: &watch::Sender<Durable>, mark: Mark) {
    durable.send_modify(|durable| {
        durable.mark = mark;
        durable.checkpoints += 1;
    });
}

fn returned(mut sink: SinkGenerator) -> Result<(), Error> {
    sink.as_mut().take_return().unwrap_or(Ok(()))
}

impl Pace {
    /// Checkpoints after a second, or after 128 MiB of items.
    pub const DEFAULT: Pace = Pace {
        time: Duration::from_secs(1),
        bytes: 128 << 20,
    };
}

impl Default for Pace {
    fn default() -> Self {
        Pace::DEFAULT
    }
}
