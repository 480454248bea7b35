//! What a source is, seen from outside, and the one stream that every source is.
//!
//! Whoever handles items, such as the command, a sink or another language, knows
//! [`Source`] and never a concrete source.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use tracing::Span;
use unspool_core::{AsyncGenerator, Resume};

use crate::account::{Account, Conclusion, Counts, Details};
use crate::error::Error;
use crate::http::Secrets;
use crate::position::Position;
use crate::spans;

/// Items of an asynchronous source, one after the other.
///
/// As a [`Stream`] it gives the items; an error is the last thing that it gives. Beside
/// them it tells where it stands, what it has done, and what it waits for, at any time
/// and after the end as well.
///
/// ```no_run
/// use futures_util::TryStreamExt;
/// use unspool::{Error, RawItem, Source};
///
/// /// Counts what any source gives.
/// async fn count(mut source: impl Source<RawItem> + Unpin) -> Result<u64, Error> {
///     while source.try_next().await?.is_some() {}
///     Ok(source.account().items)
/// }
/// ```
pub trait Source<T>: FusedStream<Item = Result<T, Error>> + Send {
    /// The name of the source, such as `pages`.
    fn name(&self) -> &'static str;

    /// Where the source stands after the item that was taken last, to resume after it
    /// later or elsewhere; none before the first poll, and for a source that cannot
    /// resume.
    fn position(&self) -> Option<Position>;

    /// What the source has done so far; once the stream has ended, also how.
    fn account(&self) -> Account;

    /// What the source waits for before its next request, if it does.
    fn waiting(&self) -> Option<String>;

    /// Whether the next item has arrived: to take it sends nothing and waits for nothing.
    fn is_ready(&self) -> bool;

    /// Says that all items up to this position are where they were to go, and stay there if
    /// the power fails: the source may tell its upstream, which may forget them.
    fn acknowledge(self: Pin<&mut Self>, position: &Position) {
        let _ = position;
    }

    /// Whether it waits until all items that it gave are durable, before it tells its upstream
    /// so: nothing comes before [`acknowledge`](Source::acknowledge) is called.
    fn awaits_durable(&self) -> bool {
        false
    }

    /// Ends the source: runs its clean-up, and closes its connections.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;
}

/// What follows from [`Source::poll_close`], for every source.
///
/// ```no_run
/// use futures_util::TryStreamExt;
/// use unspool::SourceExt;
///
/// # async fn example() -> Result<(), unspool::Error> {
/// let mut feed = Box::pin(unspool::events("https://example.com/feed").raw());
/// println!("{:?}", feed.try_next().await?);
/// // Waits until the connection is closed, which a drop does not.
/// SourceExt::close(&mut feed).await;
/// # Ok(())
/// # }
/// ```
pub trait SourceExt<T>: Source<T> {
    /// Ends the source: runs its clean-up, and closes its connections. Nothing comes
    /// after it.
    ///
    /// # Cancel safety
    ///
    /// The clean-up stays where it waits; to call this again goes on with it.
    fn close(&mut self) -> impl Future<Output = ()>
    where
        Self: Unpin,
    {
        poll_fn(|cx| Pin::new(&mut *self).poll_close(cx))
    }
}

impl<T, S: Source<T> + ?Sized> SourceExt<T> for S {}

impl<T, S> Source<T> for Pin<Box<S>>
where
    S: Source<T> + ?Sized,
{
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn position(&self) -> Option<Position> {
        (**self).position()
    }

    fn account(&self) -> Account {
        (**self).account()
    }

    fn waiting(&self) -> Option<String> {
        (**self).waiting()
    }

    fn is_ready(&self) -> bool {
        (**self).is_ready()
    }

    fn acknowledge(self: Pin<&mut Self>, position: &Position) {
        self.get_mut().as_mut().acknowledge(position);
    }

    fn awaits_durable(&self) -> bool {
        (**self).awaits_durable()
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.get_mut().as_mut().poll_close(cx)
    }
}

/// What tells one source from another: the part of it that its stream looks at while its
/// generator runs. Implemented by the sources of this crate.
pub trait SourceKind: Send + Sync + 'static {
    /// The name of the source.
    const NAME: &'static str;

    /// The part of the account that only this source has.
    type Details: Details;

    /// Items that travel together, each with its place.
    #[doc(hidden)]
    type Batch<T: Send>: ExactSizeIterator<Item = (T, Self::Place)> + Send;

    /// Where an item stands.
    #[doc(hidden)]
    type Place: Copy + Send;

    /// What the generator returns at its end.
    #[doc(hidden)]
    type Return: Send;

    /// Where the source stands after an item, or before the first.
    #[doc(hidden)]
    fn position(&self, last: Option<Self::Place>) -> Option<Position>;

    /// How many items there were, where so many were taken, up to this place.
    #[doc(hidden)]
    fn items(&self, taken: u64, last: Option<Self::Place>) -> u64 {
        let _ = last;
        taken
    }

    #[doc(hidden)]
    fn counts(&self) -> Counts;

    #[doc(hidden)]
    fn waiting(&self) -> Option<String>;

    /// What nobody may see.
    #[doc(hidden)]
    fn secrets(&self) -> Secrets;

    /// The part of the account that only this source has.
    #[doc(hidden)]
    fn details(&self, ended: &<Self::Details as Details>::Ended) -> Self::Details;

    /// How the source ended, by what its generator returned.
    #[doc(hidden)]
    fn conclude(&self, returned: Self::Return) -> Conclusion<Self::Details>;

    /// All items up to this position are durable where they went.
    #[doc(hidden)]
    fn acknowledge(&self, position: &Position) {
        let _ = position;
    }

    /// Whether it waits until what it gave is durable.
    #[doc(hidden)]
    fn awaits_durable(&self) -> bool {
        false
    }

    /// What speaks against it being complete so far, for a source that does not come to an
    /// end by itself.
    #[doc(hidden)]
    fn doubts(&self) -> Vec<<Self::Details as Details>::Doubt> {
        Vec::new()
    }

    /// The generator is over or gone.
    #[doc(hidden)]
    fn over(&self) {}

    /// Says on the source's span, at its end, what only this source has to say.
    #[doc(hidden)]
    fn tell(&self, span: &Span) {
        let _ = span;
    }
}

/// The generator of a source.
pub(crate) type SourceGenerator<T, K> = Pin<
    Box<
        dyn AsyncGenerator<
                Yield = <K as SourceKind>::Batch<T>,
                Return = Result<<K as SourceKind>::Return, Error>,
            > + Send,
    >,
>;

/// The items of a source, as they arrive: the one stream that every source is.
///
/// An error is the last thing that the stream gives. A source that ends, but is not
/// proved complete, ends with an error, too ([`Error::is_incomplete`]), unless
/// [doubts are allowed](SourceStream::allow_doubts): so a list that was collected is a
/// whole list.
///
/// ```no_run
/// use futures_util::TryStreamExt;
///
/// # async fn example() -> Result<(), unspool::Error> {
/// let mut posts = unspool::pages("https://api.example.com/posts").raw();
/// let first = posts.try_next().await?;
/// println!("{first:?}; what comes next resumes after {:?}", posts.position());
/// posts.close().await;
/// # Ok(())
/// # }
/// ```
///
/// # Dropping
///
/// Closes the connections; sends and reads nothing more.
#[must_use = "a stream does nothing until it is polled"]
pub struct SourceStream<T: Send, K: SourceKind> {
    /// None once it is over.
    generator: Option<SourceGenerator<T, K>>,
    kind: Arc<K>,
    batch: Option<K::Batch<T>>,
    last: Option<K::Place>,
    items: u64,
    end: Option<End<K::Details>>,
    allows_doubts: bool,
    /// What is told of it: none before the first poll, and once it is over.
    span: Option<Span>,
}

/// How a stream ended.
enum End<D: Details> {
    Concluded(Conclusion<D>),
    Failed,
}

impl<T: Send, K: SourceKind> SourceStream<T, K> {
    pub(crate) fn new(generator: SourceGenerator<T, K>, kind: Arc<K>) -> Self {
        SourceStream {
            generator: Some(generator),
            kind,
            batch: None,
            last: None,
            items: 0,
            end: None,
            allows_doubts: false,
            span: None,
        }
    }

    /// Lets the stream end without an error although something speaks against it being
    /// complete. Whoever does this looks at the [account](SourceStream::account).
    pub fn allow_doubts(mut self) -> Self {
        self.allows_doubts = true;
        self
    }

    /// What the source has done so far; once the stream has ended, also how.
    #[must_use]
    pub fn account(&self) -> Account<K::Details> {
        let conclusion = match &self.end {
            Some(End::Concluded(conclusion)) => conclusion.clone(),
            Some(End::Failed) => Conclusion::failed().with(self.kind.doubts()),
            None => Conclusion::stopped().with(self.kind.doubts()),
        };
        let details = self.kind.details(&conclusion.ended);
        let items = self.kind.items(self.items, self.last);
        Account::new(K::NAME, conclusion, items, self.kind.counts(), details)
    }

    /// Where the source stands after the item that was taken last; none before the first
    /// poll, and for a source that cannot resume.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.kind.position(self.last)
    }

    #[cfg(feature = "ask")]
    pub(crate) fn kind(&self) -> &K {
        &self.kind
    }

    /// What the source waits for before its next request, if it does.
    #[must_use]
    pub fn waiting(&self) -> Option<String> {
        self.kind.waiting()
    }

    /// Ends the source: runs its clean-up, and closes its connections. Nothing comes
    /// after it.
    ///
    /// # Cancel safety
    ///
    /// The clean-up stays where it waits; to call this again goes on with it.
    pub fn close(&mut self) -> impl Future<Output = ()> {
        SourceExt::close(self)
    }

    /// The generator has come to its end: the error that the stream ends with, if any.
    fn finish(&mut self) -> Option<Error> {
        let mut generator = self.generator.take()?;
        self.kind.over();
        match generator.as_mut().take_return()? {
            Ok(returned) => {
                let conclusion = self.kind.conclude(returned);
                let is_doubted = !conclusion.doubts.is_empty();
                self.end = Some(End::Concluded(conclusion));
                self.tell_end(None);
                (is_doubted && !self.allows_doubts)
                    .then(|| Error::incomplete(self.account().erased()))
            }
            Err(error) => {
                self.end = Some(End::Failed);
                let error = error.without_secrets(&self.kind.secrets());
                self.tell_end(Some(&error));
                Some(error.with_account(self.account().erased()))
            }
        }
    }

    /// Ends its span, if that has begun.
    fn tell_end(&mut self, error: Option<&Error>) {
        let Some(span) = self.span.take().filter(|span| !span.is_disabled()) else {
            return;
        };
        self.kind.tell(&span);
        spans::source_ended(&span, &self.account(), error);
    }
}

impl<T: Send, K: SourceKind> Drop for SourceStream<T, K> {
    fn drop(&mut self) {
        self.tell_end(None);
    }
}

// The generator is in a box of its own.
impl<T: Send, K: SourceKind> Unpin for SourceStream<T, K> {}

impl<T: Send, K: SourceKind> Stream for SourceStream<T, K> {
    type Item = Result<T, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some((item, place)) = this.batch.as_mut().and_then(Iterator::next) {
                this.last = Some(place);
                this.items += 1;
                return Poll::Ready(Some(Ok(item)));
            }
            let Some(generator) = &mut this.generator else {
                return Poll::Ready(None);
            };
            let span = this.span.get_or_insert_with(|| spans::source(K::NAME));
            let input = &mut Some(Resume::Send(()));
            let polled = span.in_scope(|| generator.as_mut().poll_resume(cx, input));
            match ready!(polled) {
                Some(batch) => this.batch = Some(batch),
                None => return Poll::Ready(this.finish().map(Err)),
            }
        }
    }
}

impl<T: Send, K: SourceKind> FusedStream for SourceStream<T, K> {
    fn is_terminated(&self) -> bool {
        self.generator.is_none() && !self.is_ready()
    }
}

impl<T: Send, K: SourceKind> Source<T> for SourceStream<T, K> {
    fn name(&self) -> &'static str {
        K::NAME
    }

    fn position(&self) -> Option<Position> {
        SourceStream::position(self)
    }

    fn account(&self) -> Account {
        SourceStream::account(self).erased()
    }

    fn waiting(&self) -> Option<String> {
        SourceStream::waiting(self)
    }

    fn is_ready(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| batch.len() > 0)
    }

    fn acknowledge(self: Pin<&mut Self>, position: &Position) {
        self.kind.acknowledge(position);
    }

    fn awaits_durable(&self) -> bool {
        self.kind.awaits_durable()
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.batch = None;
        if let Some(generator) = &mut this.generator {
            // Whatever it still yields is not asked for.
            while ready!(generator.as_mut().poll_resume(cx, &mut Some(Resume::Close))).is_some() {}
            this.generator = None;
            this.kind.over();
        }
        this.tell_end(None);
        Poll::Ready(())
    }
}

impl<T: Send, K: SourceKind> fmt::Debug for SourceStream<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceStream")
            .field("account", &self.account())
            .finish_non_exhaustive()
    }
}
