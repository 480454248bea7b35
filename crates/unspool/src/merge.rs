//! Several sources as one stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::FusedStream;

use crate::error::Error;

/// Several sources as one stream, each in its turn. Made by [`merge`].
#[derive(Debug)]
pub struct Merge<S> {
    sources: Vec<S>,
    /// The one that is asked first.
    turn: usize,
    is_over: bool,
}

/// Items of several sources as they come: each source in its turn, so that a busy one leaves
/// the others theirs. Ends when all have ended, or with the first error.
///
/// Nothing is taken in advance, so that the position of each source is where its items were
/// handed out.
///
/// ```no_run
/// use futures_util::TryStreamExt;
/// use unspool::Source;
///
/// # async fn example() -> Result<(), unspool::Error> {
/// let feeds = ["https://a.example.com/feed", "https://b.example.com/feed"];
/// let feeds = feeds.map(|url| Box::pin(unspool::events(url).events()));
/// let mut merged = unspool::merge(feeds);
/// while let Some(event) = merged.try_next().await? {
///     println!("{}: {}", event.source, event.data);
/// }
/// for feed in merged.sources() {
///     println!("{:?}", feed.position());
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Dropping
///
/// Drops the sources.
pub fn merge<S>(sources: impl IntoIterator<Item = S>) -> Merge<S> {
    Merge {
        sources: sources.into_iter().collect(),
        turn: 0,
        is_over: false,
    }
}

impl<S> Merge<S> {
    /// The sources, for what each did and where it stands.
    #[must_use]
    pub fn sources(&self) -> &[S] {
        &self.sources
    }

    /// The sources themselves.
    #[must_use]
    pub fn into_sources(self) -> Vec<S> {
        self.sources
    }
}

impl<T, S> Stream for Merge<S>
where
    S: Stream<Item = Result<T, Error>> + FusedStream + Unpin,
{
    type Item = Result<T, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let merge = self.get_mut();
        let (count, mut are_over) = (merge.sources.len(), true);
        for step in 0..if merge.is_over { 0 } else { count } {
            let number = (merge.turn + step) % count;
            let source = &mut merge.sources[number];
            if source.is_terminated() {
                continue;
            }
            match Pin::new(source).poll_next(cx) {
                Poll::Pending => are_over = false,
                Poll::Ready(None) => {}
                Poll::Ready(Some(item)) => {
                    merge.turn = number + 1;
                    merge.is_over = item.is_err();
                    return Poll::Ready(Some(item));
                }
            }
        }
        merge.is_over |= are_over;
        if merge.is_over {
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    }
}

impl<T, S> FusedStream for Merge<S>
where
    S: Stream<Item = Result<T, Error>> + FusedStream + Unpin,
{
    fn is_terminated(&self) -> bool {
        self.is_over
    }
}
