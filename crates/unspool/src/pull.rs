//! A source into a sink: the whole run.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use serde::Serialize;
use tracing::Instrument;

use crate::account::Account;
use crate::error::Error;
use crate::item::RawItem;
use crate::position::Position;
use crate::sinks::{Ended, Sink, SinkAccount, Writer};
use crate::source::{Source, SourceExt};
use crate::spans;

/// What a run from a source into a sink did.
///
/// It is in the example of [`pull`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Pulled {
    /// What the source did; none where nothing was asked of it, because the target is
    /// complete already.
    pub source: Option<Account>,
    /// What the sink did, and what it holds.
    pub sink: SinkAccount,
}

/// Pulls all items of a source into a sink, or those that are missing there: `open` makes
/// the source, after the position where an earlier run stood if there was one.
///
/// ```no_run
/// use unspool::sinks::{self, Options};
///
/// # async fn example() -> Result<(), unspool::Error> {
/// let posts = unspool::pages("https://api.example.com/posts");
/// let sink = sinks::open("posts.jsonl", Options::new(posts.identity()?))?;
/// let pulled = unspool::pull(|from| Ok(posts.resume(from).raw()), sink).await?;
/// println!("{} posts", pulled.sink.items);
/// # Ok(())
/// # }
/// ```
///
/// The items are JSON texts or, where the sink [takes those](Sink::takes_arrow), Arrow batches.
///
/// # Errors
///
/// What the source ends with, or what the sink fails with. Items that came before are in the
/// target, and the same call resumes after them if the sink keeps its state. A source that is
/// not proved complete is such an error ([`Error::is_incomplete`]), now and for a target that
/// was left by such a run.
///
/// # Dropping
///
/// The target keeps what was durable.
pub async fn pull<S, T>(
    open: impl FnOnce(Option<Position>) -> Result<S, Error>,
    sink: Sink,
) -> Result<Pulled, Error>
where
    S: Source<T>,
    T: Deliverable,
{
    run(open, sink).instrument(spans::pull()).await
}

async fn run<S, T>(
    open: impl FnOnce(Option<Position>) -> Result<S, Error>,
    sink: Sink,
) -> Result<Pulled, Error>
where
    S: Source<T>,
    T: Deliverable,
{
    let mut writer = Writer::open(sink).await?;
    if let Some(ended) = writer.begun().ended.clone() {
        // Which says whether there is anything to do; the target stays as it is.
        writer
            .end(writer.begun().position.clone(), Some(ended.clone()))
            .await?;
        return match ended.doubts.is_empty() {
            true => Ok(Pulled {
                source: None,
                sink: writer.account(),
            }),
            false => Err(Error::left_incomplete(&ended.doubts)),
        };
    }
    writer.check_resumable()?;
    let mut source = Box::pin(open(writer.begun().position.clone())?);
    let result = feed(&mut source, &mut writer).await;
    let account = source.account();
    let ended = Ended::of(&account);
    source.close().await;
    let written = match &result {
        Err(Failure::Sink(_)) => Ok(()),
        _ => writer.end(source.position(), ended).await,
    };
    match (result, written) {
        (Err(Failure::Source(error) | Failure::Sink(error)), _) | (Ok(()), Err(error)) => {
            Err(error)
        }
        (Ok(()), Ok(())) => Ok(Pulled {
            source: Some(account),
            sink: writer.account(),
        }),
    }
}

/// What goes from a source into a sink as it is: JSON texts, and Arrow batches.
///
/// Implemented by [`RawItem`] and, with the feature `arrow`, by `RecordBatch`.
pub trait Deliverable: sealed::Sealed {
    /// Puts it into a sink at work.
    #[doc(hidden)]
    fn put_into(self, writer: &mut Writer) -> impl Future<Output = Result<(), Error>> + Send;
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for crate::RawItem {}

    #[cfg(feature = "arrow")]
    impl Sealed for arrow_array::RecordBatch {}
}

impl Deliverable for RawItem {
    async fn put_into(self, writer: &mut Writer) -> Result<(), Error> {
        writer.put(self.as_bytes()).await
    }
}

#[cfg(feature = "arrow")]
impl Deliverable for arrow_array::RecordBatch {
    async fn put_into(self, writer: &mut Writer) -> Result<(), Error> {
        writer.put_arrow(self).await
    }
}

enum Failure {
    Source(Error),
    Sink(Error),
}

/// Takes items and writes them until there is no more.
async fn feed<S, T>(source: &mut Pin<Box<S>>, writer: &mut Writer) -> Result<(), Failure>
where
    S: Source<T>,
    T: Deliverable,
{
    loop {
        match next(source, writer).await.map_err(Failure::Sink)? {
            Next::Item(item) => item.put_into(writer).await.map_err(Failure::Sink)?,
            Next::Failed(error) => return Err(Failure::Source(error)),
            Next::End => return Ok(()),
            Next::Due => {}
        }
        if let Some(mark) = writer.newly_durable()
            && let Some(position) = &mark.position
        {
            source.as_mut().acknowledge(position);
        }
        if !source.is_ready() {
            let due = writer.checkpoint_if_due(|| source.position());
            due.await.map_err(Failure::Sink)?;
        }
        if source.awaits_durable() {
            let hurry = writer.hurry(|| source.position());
            hurry.await.map_err(Failure::Sink)?;
        }
    }
}

enum Next<T> {
    Item(T),
    Failed(Error),
    End,
    /// A checkpoint is due, or one has been made.
    Due,
}

/// The next item, or what has to be done before it comes.
async fn next<S, T>(source: &mut Pin<Box<S>>, writer: &mut Writer) -> Result<Next<T>, Error>
where
    S: Source<T>,
{
    let has_new = writer.has_new();
    let mut due = pin!(writer.due());
    poll_fn(|cx| {
        if let Poll::Ready(next) = source.as_mut().poll_next(cx) {
            return Poll::Ready(Ok(match next {
                Some(Ok(item)) => Next::Item(item),
                Some(Err(error)) => Next::Failed(error),
                None => Next::End,
            }));
        }
        if has_new && source.awaits_durable() {
            return Poll::Ready(Ok(Next::Due));
        }
        due.as_mut().poll(cx).map(|due| due.map(|()| Next::Due))
    })
    .await
}
