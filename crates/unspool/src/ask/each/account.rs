//! What a walk over records did, and what is known of it meanwhile.

use std::fmt;
use std::iter::{Once, once};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde::Serialize;

use super::super::outcome::Usage;
use super::budget::Budget;
use super::place::{NAME, Place, Tally};
use crate::account::{Conclusion, Counts, Details, Verdict};
use crate::http::{Meter, Secrets};
use crate::item::RawItem;
use crate::position::Position;
use crate::source::SourceKind;

/// What came of the records, in this run and in those that it resumes: the part of an account
/// that only this source has.
///
/// ```no_run
/// use futures_util::TryStreamExt;
///
/// # async fn example() -> Result<(), unspool::Error> {
/// let each = unspool::ask("").each("reviews.ndjson", "Classify: {text}".parse()?);
/// let mut answers = each.raw().allow_doubts();
/// while answers.try_next().await?.is_some() {}
/// let account = answers.account();
/// println!("{} answers, {} failed: {}", account.items, account.failed, account.ended);
/// for doubt in &account.doubts {
///     println!("{doubt}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EachAnswered {
    /// How many records the input has; none before it has been looked at.
    pub records: Option<u64>,
    /// Records whose question failed after all tries.
    pub failed: u64,
    /// Records whose answer stopped before its natural end.
    pub incomplete: u64,
    /// Records whose answer is not proved whole, or does not match the schema.
    pub doubtful: u64,
    /// Tokens of the requests, by the upstream's count.
    pub input_tokens: u64,
    /// Tokens of the answers, by the upstream's count.
    pub output_tokens: u64,
    /// What they cost, where a price was given.
    pub cost: Option<f64>,
    /// The model that answered last, by the upstream's word.
    pub model: Option<String>,
}

/// Why a walk over records ended.
///
/// It is in the example of [`EachAnswered`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EachStop {
    /// Each record has its answer.
    End,
    /// Each record has been asked about, and some answers stopped before their natural end.
    SomeIncomplete,
    /// Each record has been asked about, and some questions failed.
    SomeFailed,
    /// The tokens that it may use are used.
    TokenBudget,
    /// The money that it may cost is spent.
    CostBudget,
    /// As many records as were asked for have been.
    Taken,
    /// The caller stopped, or has not come to the end.
    Stopped,
    /// It failed; the error says why.
    Failed,
}

/// Something that speaks against all records having their answers.
///
/// It is in the example of [`EachAnswered`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "doubt")]
#[non_exhaustive]
pub enum EachDoubt {
    /// Questions failed after all tries.
    Failed {
        /// For so many records.
        records: u64,
    },
    /// Answers are not proved whole, or do not match the schema.
    NotProved {
        /// For so many records.
        records: u64,
    },
}

impl Details for EachAnswered {
    type Ended = EachStop;
    type Doubt = EachDoubt;

    fn stopped() -> EachStop {
        EachStop::Stopped
    }

    fn failed() -> EachStop {
        EachStop::Failed
    }

    fn verdict(ended: &EachStop) -> Verdict {
        match ended {
            EachStop::End => Verdict::Complete,
            EachStop::SomeIncomplete | EachStop::SomeFailed => Verdict::Incomplete,
            EachStop::TokenBudget | EachStop::CostBudget => Verdict::Stopped,
            EachStop::Taken | EachStop::Stopped => Verdict::Stopped,
            EachStop::Failed => Verdict::Failed,
        }
    }
}

impl fmt::Display for EachStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EachStop::End => "each record has its answer",
            EachStop::SomeIncomplete => "some answers stopped before their natural end",
            EachStop::SomeFailed => "some records have no answer",
            EachStop::TokenBudget => "the tokens that it may use are used",
            EachStop::CostBudget => "the money that it may cost is spent",
            EachStop::Taken => "no more was asked for",
            EachStop::Stopped => "stopped by the reader",
            EachStop::Failed => "failed",
        })
    }
}

impl fmt::Display for EachDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |records: &u64| match records {
            1 => "1 record".to_owned(),
            records => format!("{records} records"),
        };
        match self {
            EachDoubt::Failed { records } => {
                write!(f, "the question failed for {}", of(records))
            }
            EachDoubt::NotProved { records } => write!(
                f,
                "the answer is not proved whole, or does not match the schema, for {}",
                of(records)
            ),
        }
    }
}

/// What is known of a walk over records so far, for whoever watches it from outside.
///
/// Made by [`Each::raw`](super::Each::raw), for the stream.
#[derive(Default)]
pub struct EachWatch {
    pub(super) meter: Arc<Meter>,
    secrets: OnceLock<Secrets>,
    budget: Budget,
    draft: Mutex<Draft>,
}

#[derive(Default)]
struct Draft {
    records: Option<u64>,
    model: Option<String>,
    /// Where it began, once the input has been looked at.
    begin: Option<Place>,
    /// What has been handed out.
    tally: Tally,
    /// The tokens of all answers that have come, handed out or not.
    used: Tally,
}

impl EachWatch {
    pub(super) fn new(budget: Budget) -> Self {
        EachWatch {
            budget,
            ..EachWatch::default()
        }
    }

    /// The input has been looked at.
    pub(super) fn begins(&self, begin: Place, records: u64) {
        let mut draft = self.draft();
        draft.records = Some(records);
        draft.begin = Some(begin);
        draft.tally = begin.tally;
        draft.used = begin.tally;
    }

    /// An answer has come.
    pub(super) fn answered(&self, usage: &Usage, model: Option<&str>, secrets: Secrets) {
        // All questions have the same credentials.
        let _ = self.secrets.set(secrets);
        let mut draft = self.draft();
        draft.used.uses(usage);
        if let Some(model) = model {
            draft.model = Some(model.to_owned());
        }
    }

    /// A record is handed out.
    pub(super) fn hands_out(&self, tally: Tally) {
        self.draft().tally = tally;
    }

    /// The limit that the answers so far have reached.
    pub(super) fn reached(&self) -> Option<EachStop> {
        self.budget.reached(&self.draft().used)
    }

    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    fn draft(&self) -> MutexGuard<'_, Draft> {
        self.draft.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One record with its answer.
pub(super) fn one(item: RawItem, place: Place) -> Once<(RawItem, Place)> {
    once((item, place))
}

impl SourceKind for EachWatch {
    const NAME: &'static str = NAME;

    type Details = EachAnswered;
    type Batch<T: Send> = Once<(T, Place)>;
    type Place = Place;
    type Return = EachStop;

    fn position(&self, last: Option<Place>) -> Option<Position> {
        last.or(self.draft().begin)?.position()
    }

    fn counts(&self) -> Counts {
        self.meter.counts()
    }

    fn waiting(&self) -> Option<String> {
        self.meter.waiting_for()
    }

    fn secrets(&self) -> Secrets {
        self.secrets.get().cloned().unwrap_or_default()
    }

    fn details(&self, _: &EachStop) -> EachAnswered {
        let draft = self.draft();
        let Tally {
            failed,
            incomplete,
            doubtful,
            ..
        } = draft.tally;
        EachAnswered {
            records: draft.records,
            failed,
            incomplete,
            doubtful,
            input_tokens: draft.used.input_tokens,
            output_tokens: draft.used.output_tokens,
            cost: self.budget.cost(&draft.used),
            model: draft.model.clone(),
        }
    }

    fn conclude(&self, ended: EachStop) -> Conclusion<EachAnswered> {
        let tally = self.draft().tally;
        if ended != EachStop::End {
            // Whether the rest is whole is for the run that goes on to say.
            return Conclusion::of(ended);
        }
        let Tally {
            failed, doubtful, ..
        } = tally;
        let failed = (failed > 0).then_some(EachDoubt::Failed { records: failed });
        let doubtful = (doubtful > 0).then_some(EachDoubt::NotProved { records: doubtful });
        Conclusion {
            ended: match tally {
                Tally { failed: 1.., .. } => EachStop::SomeFailed,
                Tally {
                    incomplete: 1.., ..
                } => EachStop::SomeIncomplete,
                _ => EachStop::End,
            },
            doubts: failed.into_iter().chain(doubtful).collect(),
        }
    }
}
