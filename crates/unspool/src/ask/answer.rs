use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use unspool_core::{AnextExt, AsyncGenerator, Resume};

use super::outcome::Outcome;
use super::watch::Watch;
use crate::error::Error;

type Source<T> = Pin<Box<dyn AsyncGenerator<Yield = T, Return = Result<(), Error>> + Send>>;

/// An answer as it arrives. Made by [`Request::text`](super::Request::text),
/// [`events`](super::Request::events) and [`items`](super::Request::items).
///
/// An error is the last thing that the stream gives.
///
/// # Dropping
///
/// Closes the connection, which tells the upstream to stop; sends and reads nothing more.
/// [`close`](Answer::close) does the same where something else holds on to the answer.
#[must_use = "a stream does nothing until it is polled"]
pub struct Answer<T> {
    /// None when it is over.
    source: Option<Source<T>>,
    watch: Arc<Watch>,
    /// How it ended.
    end: Option<Result<(), ()>>,
}

/// An answer that came to its end, which is not always the model's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Whole {
    /// All of its text.
    pub text: String,
    /// How it ended.
    pub outcome: Outcome,
}

impl<T> Answer<T> {
    pub(super) fn new(source: Source<T>, watch: Arc<Watch>) -> Self {
        Answer {
            source: Some(source),
            watch,
            end: None,
        }
    }

    /// What is known of the answer so far; once the stream has ended, also how.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.watch.outcome(self.end)
    }

    /// What is waited for before the request is repeated, if it is.
    #[must_use]
    pub fn waiting(&self) -> Option<String> {
        self.watch.waiting()
    }

    /// Ends the answer here and closes its connection.
    pub fn close(&mut self) {
        self.source = None;
        self.watch.end();
    }
}

impl Answer<String> {
    /// All of the text that is still to come, and how it ended.
    ///
    /// # Errors
    ///
    /// As the stream; [`Error::partial_text`] has the text that came.
    pub async fn whole(mut self) -> Result<Whole, Error> {
        let mut text = String::new();
        while let Some(piece) = self.anext().await {
            match piece {
                Ok(piece) => text.push_str(&piece),
                Err(error) => return Err(error.with_partial_text(Some(text))),
            }
        }
        Ok(Whole {
            text,
            outcome: self.outcome(),
        })
    }
}

impl<T> Stream for Answer<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(source) = &mut self.source else {
            return Poll::Ready(None);
        };
        let input = &mut Some(Resume::Send(()));
        if let Some(item) = ready!(source.as_mut().poll_resume(cx, input)) {
            return Poll::Ready(Some(Ok(item)));
        }
        let end = source.as_mut().take_return().unwrap_or(Ok(()));
        self.close();
        self.end = Some(end.as_ref().map(drop).map_err(drop));
        Poll::Ready(end.err().map(Err))
    }
}

impl<T> FusedStream for Answer<T> {
    fn is_terminated(&self) -> bool {
        self.source.is_none()
    }
}

impl<T> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("outcome", &self.outcome())
            .finish_non_exhaustive()
    }
}
