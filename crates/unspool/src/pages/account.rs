use std::fmt;

use serde::Serialize;

use crate::http::Reading;

/// What a walk over an API did, and why it ended.
///
/// Serialises to the JSON object that `unspool pages --account` writes.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Account {
    /// Whether the walk is proved complete, or stopped where the caller said.
    pub complete: bool,
    /// Requests that were sent, retries and redirects included.
    pub requests: u64,
    /// Requests that were repeated after a failure.
    pub retries: u64,
    /// Pages whose body was read to its end.
    pub pages: u64,
    /// Items that were handed out.
    pub items: u64,
    /// Bytes of the bodies, after decompression.
    pub bytes: u64,
    /// How many items there are, by the upstream's own word.
    pub stated_total: Option<u64>,
    /// Why the walk ended.
    pub ended: Ended,
    /// What speaks against the walk being complete.
    pub doubts: Vec<Doubt>,
}

/// Why a walk ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "why")]
#[non_exhaustive]
pub enum Ended {
    /// The last page has no next link, or says that there is none.
    NoNext,
    /// The page has the number that the upstream states as the last.
    LastPage {
        /// That number.
        page: u64,
    },
    /// As many items came as the upstream states that there are.
    AllItems,
    /// Two pages in a row, behind all others, were empty.
    EmptyPages,
    /// The upstream has no page behind this one, by its status.
    NoSuchPage {
        /// The page that was asked for in vain.
        page: u64,
    },
    /// Nothing on the page speaks of another one.
    OnlyPage,
    /// The caller asked for this much.
    Asked,
    /// The caller stopped, or has not come to the end.
    Stopped,
    /// The walk failed; the error says why.
    Failed,
}

/// Something that speaks against a walk being complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "doubt")]
#[non_exhaustive]
pub enum Doubt {
    /// The upstream states another number of items than came.
    CountsDiffer {
        /// By the upstream's word.
        stated: u64,
        /// What came.
        received: u64,
    },
    /// The only page looks like one of many.
    MorePages {
        /// What makes it look so.
        evidence: String,
    },
    /// More than one array could have been the items.
    OtherItems {
        /// The JSON pointer of the one that was taken.
        taken: String,
        /// The JSON pointer of the one that was not.
        other: String,
    },
}

impl Account {
    pub(crate) fn new(reading: &Reading, ended: Ended, doubts: Vec<Doubt>) -> Self {
        Account {
            complete: doubts.is_empty() && ended != Ended::Failed,
            requests: reading.requests,
            retries: reading.retries,
            pages: reading.pages,
            items: reading.items,
            bytes: reading.bytes,
            stated_total: reading.stated_total,
            ended,
            doubts,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::NoNext => f.write_str("the last page names no next one"),
            Ended::LastPage { page } => write!(f, "page {page} is the last by the upstream's word"),
            Ended::AllItems => f.write_str("all items came that the upstream states"),
            Ended::EmptyPages => f.write_str("the pages behind the last are empty"),
            Ended::NoSuchPage { page } => write!(f, "there is no page {page}"),
            Ended::OnlyPage => f.write_str("nothing on the page speaks of another"),
            Ended::Asked => f.write_str("no more was asked for"),
            Ended::Stopped => f.write_str("stopped by the reader"),
            Ended::Failed => f.write_str("failed"),
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::CountsDiffer { stated, received } => {
                write!(f, "the upstream states {stated} items, but {received} came")
            }
            Doubt::MorePages { evidence } => {
                write!(
                    f,
                    "this looks like one page of many ({evidence}), but how to get the next is not known"
                )
            }
            Doubt::OtherItems { taken, other } => {
                write!(
                    f,
                    "the items were taken from `{taken}`, but `{other}` looks like items too"
                )
            }
        }
    }
}
