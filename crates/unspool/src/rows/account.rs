use std::fmt;

use serde::{Deserialize, Serialize};

use crate::account::{Details, Verdict};

/// How rows were fetched: the part of an account that only queries have.
///
/// ```
/// use futures_util::TryStreamExt;
/// use unspool::rows::{Ended, Mode};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), unspool::Error> {
/// let mut rows = unspool::rows("sqlite::memory:", "select 1 as id").raw();
/// while rows.try_next().await?.is_some() {}
/// let account = rows.account();
/// assert_eq!((account.items, account.ended), (1, Ended::AllRows));
/// assert_eq!((account.database, account.mode), (Some("sqlite"), Some(Mode::Stream)));
/// assert!(account.complete && account.doubts.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Fetched {
    /// The database, such as `sqlite`; none before the first poll.
    pub database: Option<&'static str>,
    /// How the rows are fetched, once that is settled.
    pub mode: Option<Mode>,
    /// Why they are fetched so.
    pub because: Option<&'static str>,
    /// The columns of the key; empty where there is none.
    pub key: Vec<String>,
    /// Batches that came.
    pub batches: u64,
}

/// What a query did, and why it ended. Serialises to the JSON object that `unspool rows
/// --account` writes; times are in seconds.
///
/// It is in the example of [`Fetched`].
pub type Account = crate::Account<Fetched>;

/// How rows are fetched.
///
/// It is in the example of [`Fetched`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Mode {
    /// One statement, read as its rows come.
    Stream,
    /// One statement as a binary `COPY`: the cheapest, and the only one that keeps parallel
    /// plans.
    Copy,
    /// One statement in a transaction, which is asked for its rows a batch at a time.
    Portal,
    /// A short statement for each batch, after the key of the last row: it resumes, and holds
    /// no snapshot.
    Keyset,
    /// A binary `COPY` for each part, all of one snapshot.
    Parts,
}

/// Why a query ended.
///
/// It is in the example of [`Fetched`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Ended {
    /// The database says that this is all.
    AllRows,
    /// The caller stopped, or has not come to the end.
    Stopped,
    /// It failed; the error says why.
    Failed,
}

/// Something that speaks against a query being complete.
///
/// They are the `doubts` in the example of [`Fetched`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "doubt")]
#[non_exhaustive]
pub enum Doubt {
    /// There are rows whose key is null, and no page has them.
    NullKeys,
}

impl Mode {
    /// What there is to know of a query that is fetched so.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Mode::Stream => {
                "one statement, read as its rows come; it holds its snapshot until the end, and does \
                 not resume"
            }
            Mode::Copy => {
                "one binary COPY: parallel plans are kept; it holds its snapshot until the end, and \
                 does not resume"
            }
            Mode::Portal => {
                "one statement in a read-only transaction, a batch at a time: no parallel plan; it \
                 holds its snapshot until the end, and does not resume"
            }
            Mode::Parts => {
                "a binary COPY for each part, all of one snapshot, which is held until the end; with a \
                 key it resumes after any row"
            }
            Mode::Keyset => {
                "a short statement for each batch: no snapshot is held between them, and it resumes \
                 after any row"
            }
        }
    }
}

impl Details for Fetched {
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
            Ended::AllRows => Verdict::Complete,
            Ended::Stopped => Verdict::Stopped,
            Ended::Failed => Verdict::Failed,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Stream => "stream",
            Mode::Copy => "copy",
            Mode::Portal => "portal",
            Mode::Keyset => "keyset",
            Mode::Parts => "parts",
        })
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ended::AllRows => "the database says that this is all",
            Ended::Stopped => "stopped by the reader",
            Ended::Failed => "failed",
        })
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Doubt::NullKeys => "there are rows whose key is null, and none of those came",
        })
    }
}
