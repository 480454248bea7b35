use unspool_core::AnextExt;

use super::outcome::Outcome;
use super::watch::Watch;
use crate::error::Error;
use crate::source::SourceStream;

/// An answer as it arrives. Made by [`Request::text`](super::Request::text),
/// [`events`](super::Request::events) and [`items`](super::Request::items).
///
/// To drop it closes the connection, which tells the upstream to stop.
pub type Answer<T> = SourceStream<T, Watch>;

/// An answer that came to its end, which is not always the model's.
///
/// ```no_run
/// # async fn example() -> Result<(), unspool::Error> {
/// let whole = unspool::ask("Name the longest river.").await?;
/// println!("{} ({})", whole.text, whole.outcome.stop);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Whole {
    /// All of its text.
    pub text: String,
    /// How it ended.
    pub outcome: Outcome,
}

impl<T: Send> Answer<T> {
    /// The [account](SourceStream::account) of the answer.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.account()
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
            text.push_str(&piece?);
        }
        Ok(Whole {
            text,
            outcome: self.outcome(),
        })
    }
}
