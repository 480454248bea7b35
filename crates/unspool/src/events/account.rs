use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::account::{Details, Verdict, seconds};

/// What following a feed took: the part of its account that only feeds have.
///
/// ```no_run
/// use futures_util::TryStreamExt;
///
/// # async fn example() -> Result<(), unspool::Error> {
/// use std::time::Duration;
///
/// let feed = unspool::events("https://stream.example.com/changes");
/// let mut changes = feed.stop_after(Duration::from_secs(60)).events().allow_doubts();
/// while changes.try_next().await?.is_some() {}
/// let account = changes.account();
/// println!("{} events by {:?}: {}", account.items, account.transport, account.ended);
/// println!("{} connections, {} gaps", account.connections, account.gaps);
/// for doubt in &account.doubts {
///     println!("{doubt}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Followed {
    /// How the feed is carried, such as `sse`; none before it was reached.
    pub transport: Option<&'static str>,
    /// Connections that the upstream answered as a feed.
    pub connections: u64,
    /// Events that came again after a reconnect, and were not handed out twice.
    pub replayed: u64,
    /// How often something spoke against the feed being whole: each has a doubt, up to a
    /// hundred.
    pub gaps: u64,
    /// The last id that came.
    pub last_id: Option<String>,
    /// From the first poll to the end.
    #[serde(serialize_with = "seconds")]
    pub took: Duration,
}

/// What following a feed came to. Serialises to the JSON object that `unspool events
/// --account` writes; times are in seconds.
///
/// It is in the example of [`Followed`].
pub type Account = crate::Account<Followed>;

/// Why a feed ended.
///
/// It is in the example of [`Followed`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Ended {
    /// The feed answered that there is no more (status 204).
    NoContent,
    /// The body ended, which was to be the end.
    EndOfBody,
    /// The feed closed the connection and said that it is done.
    Closed,
    /// An event came that was to be the last.
    Until,
    /// The time was up.
    TimeUp,
    /// The caller stopped, or has not come to the end.
    #[default]
    Stopped,
    /// It failed; the error says why.
    Failed,
}

/// Something that speaks against having all events of a feed.
///
/// It is in the example of [`Followed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "doubt")]
#[non_exhaustive]
pub enum Doubt {
    /// The connection was made again, and nothing says after which event the feed goes on.
    NoPosition {
        /// Why the connection before had ended.
        reason: String,
    },
    /// The upstream refused to go on after the last event: the feed goes on from now.
    PositionRefused {
        /// The status with which it did.
        status: u16,
    },
    /// The ids counted up one by one, and after a reconnect some are missing.
    Gap {
        /// The last id before.
        after: String,
        /// The first id that came then.
        next: String,
    },
    /// After a reconnect the ids are lower than before, of events that are not the same.
    Renumbered {
        /// The last id before.
        after: String,
        /// The first id that came then.
        next: String,
    },
    /// The upstream goes on after another event than the last one, by its own word.
    BegunElsewhere {
        /// The id of the last event before.
        after: String,
        /// The id after which it goes on.
        begun: String,
    },
    /// An event came with which the feed says that others are missing.
    Announced {
        /// The name of that event.
        name: String,
    },
    /// The upstream has dropped events after the last one, as it keeps only so many or for so
    /// long: some of them may not have been handed out.
    Trimmed {
        /// The id of the last event before.
        after: String,
        /// The id of the oldest that there still is.
        next: String,
    },
    /// The upstream knows of no event as late as the last one: what it keeps was made anew, and
    /// is handed out from its begin.
    MadeAnew {
        /// The id of the last event before.
        after: String,
    },
    /// Nothing of what a feed had when it was asked before is there any more: what came and
    /// went in between is missing.
    NoOverlap,
    /// The body ended with its connection, so that nothing says whether that was its end.
    EndNotStated,
}

impl Details for Followed {
    type Ended = Ended;
    type Doubt = Doubt;

    fn stopped() -> Ended {
        Ended::Stopped
    }

    fn failed() -> Ended {
        Ended::Failed
    }

    fn verdict(ended: &Ended) -> Verdict {
        match ended {
            Ended::NoContent | Ended::EndOfBody | Ended::Closed => Verdict::Complete,
            Ended::Until | Ended::TimeUp => Verdict::Asked,
            Ended::Stopped => Verdict::Stopped,
            Ended::Failed => Verdict::Failed,
        }
    }

    fn goes_on(ended: &Ended) -> bool {
        // The time was the caller's: the feed is not at its end.
        *ended == Ended::TimeUp
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ended::NoContent => "the feed says that there is no more",
            Ended::EndOfBody => "the body ended",
            Ended::Closed => "the feed closed the connection",
            Ended::Until => "the event came that was to be the last",
            Ended::TimeUp => "the time was up",
            Ended::Stopped => "the reader stopped",
            Ended::Failed => "it failed",
        })
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::NoPosition { reason } => write!(
                f,
                "connected again without a position, after {reason}: what the feed said in between \
                 is missing"
            ),
            Doubt::PositionRefused { status } => write!(
                f,
                "the upstream refused to go on after the last event (status {status}): what the \
                 feed said in between is missing"
            ),
            Doubt::Gap { after, next } => write!(
                f,
                "after a reconnect the ids go on with `{next}`, and the last one was `{after}`: \
                 those in between are missing"
            ),
            Doubt::Renumbered { after, next } => write!(
                f,
                "after a reconnect the ids go on with `{next}`, and the last one was `{after}`: the \
                 upstream counts anew, and what it said in between is missing"
            ),
            Doubt::BegunElsewhere { after, begun } => write!(
                f,
                "asked to go on after `{after}`, the upstream says that it goes on after `{begun}`: \
                 those in between may be missing"
            ),
            Doubt::Announced { name } => write!(
                f,
                "an event `{name}` came, with which the feed says that others are missing"
            ),
            Doubt::Trimmed { after, next } => write!(
                f,
                "the upstream no longer has all events after `{after}`: the oldest that it keeps is \
                 `{next}`, and those in between may be missing"
            ),
            Doubt::MadeAnew { after } => write!(
                f,
                "the upstream has no event as late as the last one, `{after}`: what it keeps was \
                 made anew, and what came in between may be missing"
            ),
            Doubt::NoOverlap => f.write_str(
                "nothing of what the feed held before is there any more: what came and went in \
                 between is missing",
            ),
            Doubt::EndNotStated => f.write_str(
                "the body ended with its connection, and nothing says that this was its end",
            ),
        }
    }
}
