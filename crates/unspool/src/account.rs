//! What a source did, and how it ended: one head for all sources.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// What a source did, and why it ended.
///
/// The head is the same for all sources; [`details`](Account::details) is the source's
/// own part, whose fields can be read from the account itself. In the JSON object that
/// this serialises to both stand side by side; times are in seconds.
///
/// ```no_run
/// use futures_util::TryStreamExt;
///
/// # async fn example() -> Result<(), unspool::Error> {
/// let mut posts = unspool::pages("https://api.example.com/posts").raw().allow_doubts();
/// while posts.try_next().await?.is_some() {}
/// let account = posts.account();
/// println!("{} items in {} requests, {} retries", account.items, account.requests, account.retries);
/// if !account.complete {
///     println!("not proved complete: {:?}", account.doubts);
/// }
/// println!("{} pages, {}", account.pages, account.ended);
/// println!("{}", serde_json::to_string(&account).unwrap_or_default());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Account<D: Details = Value> {
    /// The name of the source.
    pub source: &'static str,
    /// Whether the source is proved complete, or has given all that was asked for.
    pub complete: bool,
    /// Why it ended.
    pub ended: D::Ended,
    /// What speaks against it being complete.
    pub doubts: Vec<D::Doubt>,
    /// Items that were handed out.
    pub items: u64,
    /// Bytes of the bodies, after decompression.
    pub bytes: u64,
    /// Requests that were sent, retries and redirects included.
    pub requests: u64,
    /// Requests that were repeated after a failure.
    pub retries: u64,
    /// How long requests were held back: waits before retries and for rate limits.
    #[serde(serialize_with = "seconds")]
    pub waited: Duration,
    /// What only this source has to say.
    #[serde(flatten)]
    pub details: D,
}

/// The part of an account that only one source has.
///
/// Implemented by the sources of this crate; it is in the example of [`Account`], whose `pages` is a field
/// of the details.
pub trait Details: Clone + fmt::Debug + Serialize + Send {
    /// Why a source ends.
    type Ended: Clone + fmt::Debug + fmt::Display + Serialize + Send;
    /// What may speak against it being complete.
    type Doubt: Clone + fmt::Debug + fmt::Display + Serialize + Send;

    /// The end of a source whose reader stopped, or has not come to the end.
    fn stopped() -> Self::Ended;

    /// The end of a source that failed.
    fn failed() -> Self::Ended;

    /// What a reason to end says of what came, where nothing speaks against it.
    fn verdict(ended: &Self::Ended) -> Verdict;

    /// Whether the same request goes on after such an end, as a feed does that was followed for
    /// some time.
    fn goes_on(ended: &Self::Ended) -> bool {
        let _ = ended;
        false
    }

    /// These details as plain data, where the kind of source is not known.
    fn erased(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// How a source ended, in one word.
///
/// ```no_run
/// use futures_util::TryStreamExt;
///
/// # async fn example() -> Result<(), unspool::Error> {
/// use unspool::Verdict;
///
/// let mut posts = unspool::pages("https://api.example.com/posts").raw().allow_doubts();
/// while posts.try_next().await?.is_some() {}
/// match posts.account().verdict() {
///     Verdict::Complete | Verdict::Asked => println!("all there"),
///     Verdict::Stopped => println!("left before the end"),
///     other => println!("{other}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Verdict {
    /// The upstream proved that this is all.
    Complete,
    /// All came that was asked for.
    Asked,
    /// The reader stopped, or has not come to the end.
    Stopped,
    /// It came to an end, but something speaks against it being complete.
    NotProved,
    /// The upstream proved that it stopped before its natural end, as a model does at a
    /// token limit.
    Incomplete,
    /// It failed.
    Failed,
}

/// A reason or a doubt of any source: data for programs, a sentence for people.
///
/// ```
/// use unspool::Account;
///
/// /// Why any source ended, for people and for a program.
/// fn why(account: &Account) -> (String, serde_json::Value) {
///     (account.ended.to_string(), account.ended.data().clone())
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Stated {
    data: Value,
    sentence: String,
    verdict: Verdict,
    goes_on: bool,
}

/// How a source ended.
#[derive(Clone, Debug)]
pub struct Conclusion<D: Details> {
    pub(crate) ended: D::Ended,
    pub(crate) doubts: Vec<D::Doubt>,
}

/// What every source counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub(crate) bytes: u64,
    pub(crate) requests: u64,
    pub(crate) retries: u64,
    pub(crate) waited: Duration,
}

impl<D: Details> Account<D> {
    pub(crate) fn new(
        source: &'static str,
        conclusion: Conclusion<D>,
        items: u64,
        counts: Counts,
        details: D,
    ) -> Self {
        let verdict = conclusion.verdict();
        Account {
            source,
            complete: matches!(verdict, Verdict::Complete | Verdict::Asked),
            ended: conclusion.ended,
            doubts: conclusion.doubts,
            items,
            bytes: counts.bytes,
            requests: counts.requests,
            retries: counts.retries,
            waited: counts.waited,
            details,
        }
    }

    /// How the source ended, in one word.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        verdict::<D>(&self.ended, &self.doubts)
    }

    /// The account as one of any source.
    #[must_use]
    pub fn erased(&self) -> Account {
        Account {
            source: self.source,
            complete: self.complete,
            ended: Stated {
                goes_on: D::goes_on(&self.ended),
                ..Stated::new(&self.ended, D::verdict(&self.ended))
            },
            doubts: (self.doubts.iter())
                .map(|doubt| Stated::new(doubt, Verdict::NotProved))
                .collect(),
            items: self.items,
            bytes: self.bytes,
            requests: self.requests,
            retries: self.retries,
            waited: self.waited,
            details: self.details.erased(),
        }
    }
}

/// The source's own part can be read as if it stood in the head, as it does in JSON.
impl<D: Details> Deref for Account<D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.details
    }
}

impl<D: Details> Conclusion<D> {
    /// An end against which nothing speaks.
    pub(crate) fn of(ended: D::Ended) -> Self {
        Conclusion {
            ended,
            doubts: Vec::new(),
        }
    }

    pub(crate) fn stopped() -> Self {
        Conclusion::of(D::stopped())
    }

    pub(crate) fn failed() -> Self {
        Conclusion::of(D::failed())
    }

    /// The same with these doubts.
    pub(crate) fn with(self, doubts: Vec<D::Doubt>) -> Self {
        Conclusion { doubts, ..self }
    }

    fn verdict(&self) -> Verdict {
        verdict::<D>(&self.ended, &self.doubts)
    }
}

fn verdict<D: Details>(ended: &D::Ended, doubts: &[D::Doubt]) -> Verdict {
    match D::verdict(ended) {
        Verdict::Failed => Verdict::Failed,
        _ if !doubts.is_empty() => Verdict::NotProved,
        verdict => verdict,
    }
}

impl Details for Value {
    type Ended = Stated;
    type Doubt = Stated;

    fn stopped() -> Stated {
        Stated::new(&"stopped", Verdict::Stopped)
    }

    fn failed() -> Stated {
        Stated::new(&"failed", Verdict::Failed)
    }

    fn verdict(ended: &Stated) -> Verdict {
        ended.verdict
    }

    fn goes_on(ended: &Stated) -> bool {
        ended.goes_on
    }
}

impl Stated {
    fn new(reason: &(impl Serialize + fmt::Display), verdict: Verdict) -> Self {
        Stated {
            data: serde_json::to_value(reason).unwrap_or_default(),
            sentence: reason.to_string(),
            verdict,
            goes_on: false,
        }
    }

    /// The reason as the source's own type serialises it.
    #[must_use]
    pub fn data(&self) -> &Value {
        &self.data
    }
}

impl fmt::Display for Stated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl Serialize for Stated {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.data.serialize(serializer)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Complete => "complete",
            Verdict::Asked | Verdict::Stopped => "stopped as asked",
            Verdict::NotProved => "not proved complete",
            Verdict::Incomplete => "not complete",
            Verdict::Failed => "failed",
        })
    }
}

/// A time in seconds, to the microsecond.
pub(crate) fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((time.as_secs_f64() * 1e6).round() / 1e6)
}
