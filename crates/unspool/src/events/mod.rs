//! Live feeds, which reconnect where they stopped.
//!
//! *Upstream*: a feed of server-sent events. *Order*: as the feed sends; of several feeds,
//! each in its turn. *Ends when*: the feed says so (status 204), or the caller: after an
//! event, after a time, or at the end of the body where that is to be the end; otherwise a
//! connection that ends is made again. *Resumes from*: the id of the last event. What a
//! server sends again though it was handed out is left out; where events may be missing,
//! that is a [`Doubt`], which is told when it comes up. *Cost*: one request for each
//! connection; memory for one chunk, one event, and a thousand fingerprints. *Auth*: for the
//! origin of the first URL, as for [`pages`](crate::pages()).

mod account;
mod delays;
mod description;
mod event;
mod position;
mod progress;
mod request;
mod rhythm;
mod seen;
mod source;
mod transports;
mod until;

pub use account::{Account, Doubt, Ended, Followed};
pub use description::Description;
pub(crate) use description::SOURCE;
pub use event::Event;
pub use progress::Feeds;
pub use request::{Request, ResumeAs, Transport};
#[cfg(any(test, feature = "internals"))]
pub(crate) use transports::checked::{FEED_READERS, read_feed};
pub use until::Until;

use crate::source::SourceStream;

/// The events of a feed as they arrive. Made by [`Request::events`],
/// [`items`](Request::items) and [`raw`](Request::raw).
///
/// To drop it closes the connection.
///
/// It is in the example of [`Request`].
pub type Events<T> = SourceStream<T, Feeds>;

/// Starts the description of what to follow: the live feed at `url`.
///
/// ```no_run
/// use futures_util::TryStreamExt;
///
/// # async fn example() -> Result<(), unspool::Error> {
/// let mut changes = unspool::events("https://stream.wikimedia.org/v2/stream/recentchange")
///     .events();
/// while let Some(event) = changes.try_next().await? {
///     println!("{}: {}", event.name, event.data);
/// }
/// # Ok(())
/// # }
/// ```
pub fn events(url: impl Into<String>) -> Request {
    Request::new(url.into())
}
