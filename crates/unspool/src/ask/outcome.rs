use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::account::{Details, Verdict, seconds};

/// How an answer ended, and what it took: the part of its account that only answers have.
///
/// ```no_run
/// # async fn example() -> Result<(), unspool::Error> {
/// let answer = unspool::ask("Name the longest river.").await?;
/// let outcome = &answer.outcome;
/// println!("{} in {:?}, {:?}", outcome.stop, outcome.took, outcome.usage);
/// if !outcome.stop.is_natural() {
///     println!("not the whole answer: {:?}", outcome.reason);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Answered {
    /// Why the answer ended.
    pub stop: Stop,
    /// The upstream's own word for that.
    pub reason: Option<String>,
    /// The stop sequence that ended the answer, where the upstream says which.
    pub stop_sequence: Option<String>,
    /// The words with which the model refused, where those were apart from its text: up to
    /// 64 KiB of them.
    pub refusal: Option<String>,
    /// What was used, by the upstream's count. Of an answer that was not complete, what
    /// had been stated until then.
    pub usage: Usage,
    /// From the first poll to the first piece of the answer, retries included.
    #[serde(serialize_with = "seconds_or_none")]
    pub first_token: Option<Duration>,
    /// From the first poll to the end.
    #[serde(serialize_with = "seconds")]
    pub took: Duration,
    /// The protocol that was spoken.
    pub provider: Option<String>,
    /// The model that answered, by the upstream's word.
    pub model: Option<String>,
    /// The upstream's name for the answer.
    pub id: Option<String>,
    /// The upstream's name for the request, to be given to its support.
    pub request_id: Option<String>,
    /// Pieces of text that came.
    pub deltas: u64,
    /// Bytes of text that came, in UTF-8.
    pub text_bytes: u64,
    /// The text that came, where the answer failed and it was not more than 1 MiB. It has
    /// been handed out, and is not serialised.
    #[serde(skip)]
    pub partial_text: Option<String>,
}

/// What an answer did, and how it ended. Serialises to the JSON object that `unspool ask
/// --account` writes; times are in seconds.
///
/// It is in the example of [`Answered`].
pub type Outcome = crate::Account<Answered>;

/// Something that speaks against an answer being complete.
///
/// They are the `doubts` of the outcome in the example of [`Answered`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "doubt")]
#[non_exhaustive]
pub enum Doubt {
    /// The upstream proved the end, but gave no reason.
    NoReason,
    /// The upstream calls the answer complete, but it has exactly as many tokens as were
    /// allowed: there are servers that say so of an answer that the limit cut.
    AtTokenLimit,
    /// The model came to its end, but the text does not match the schema that was asked
    /// for.
    SchemaMismatch {
        /// What does not match, and where.
        what: String,
    },
}

/// Why an answer ended.
///
/// It is in the example of [`Answered`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Stop {
    /// The model had no more to say.
    End,
    /// It came to a stop sequence of the request.
    StopSequence,
    /// It waits for the results of its tool calls.
    ToolUse,
    /// It came to the token limit of the request.
    MaxTokens,
    /// It came to the end of what the model can hold.
    ContextWindow,
    /// It refused.
    Refusal,
    /// A filter of the upstream took the answer back.
    ContentFilter,
    /// The upstream paused a long turn, to be continued with another request.
    Pause,
    /// For a reason that is not known here.
    Other,
    /// The upstream proved the end, but gave no reason.
    Unstated,
    /// The upstream says that it is the end, and something speaks against it:
    /// the doubts of the [`Outcome`].
    Doubtful,
    /// The model came to its end, but the text does not match the schema that was asked
    /// for: the doubts of the [`Outcome`].
    Mismatch,
    /// The text came to where the caller wanted it to stop.
    Asked,
    /// The caller stopped, or has not come to the end.
    #[default]
    Stopped,
    /// It failed; the error says why.
    Failed,
}

/// What an answer used, by the upstream's count; none where that was not stated.
///
/// It is in the example of [`Answered`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Tokens of the request that a cache had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<u64>,
    /// Tokens of the request that a cache took up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
    /// Tokens that the model thought with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
}

impl Stop {
    /// Whether the model came to a natural end.
    #[must_use]
    pub fn is_natural(self) -> bool {
        matches!(self, Stop::End | Stop::StopSequence | Stop::ToolUse)
    }
}

impl Usage {
    /// Takes what a later count states in the place of what an earlier one did: the
    /// counts are cumulative.
    pub(super) fn update(&mut self, later: &Usage) {
        fn take(count: &mut Option<u64>, later: Option<u64>) {
            *count = later.or(*count);
        }
        take(&mut self.input_tokens, later.input_tokens);
        take(&mut self.output_tokens, later.output_tokens);
        take(&mut self.cache_read_tokens, later.cache_read_tokens);
        take(&mut self.cache_write_tokens, later.cache_write_tokens);
        take(&mut self.reasoning_tokens, later.reasoning_tokens);
    }
}

impl Answered {
    /// Output tokens a second, from the first piece to the end, where both are known.
    #[must_use]
    pub fn tokens_per_second(&self) -> Option<f64> {
        let seconds = (self.took.checked_sub(self.first_token?)?).as_secs_f64();
        let tokens = self.usage.output_tokens?;
        (seconds > 0.0).then(|| tokens as f64 / seconds)
    }
}

impl Details for Answered {
    type Ended = Stop;
    type Doubt = Doubt;

    fn stopped() -> Stop {
        Stop::Stopped
    }

    fn failed() -> Stop {
        Stop::Failed
    }

    fn verdict(stop: &Stop) -> Verdict {
        match stop {
            Stop::Asked => Verdict::Asked,
            Stop::Stopped => Verdict::Stopped,
            Stop::Failed => Verdict::Failed,
            // The doubt says the rest.
            Stop::Unstated | Stop::Doubtful | Stop::Mismatch => Verdict::Complete,
            stop if stop.is_natural() => Verdict::Complete,
            _ => Verdict::Incomplete,
        }
    }

    fn erased(&self) -> Value {
        let mut details = serde_json::to_value(self).unwrap_or_default();
        if let Some(text) = &self.partial_text {
            details["partial_text"] = text.as_str().into();
        }
        details
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::NoReason => f.write_str("the upstream did not say why the model stopped"),
            Doubt::SchemaMismatch { what } => write!(f, "it does not match the schema: {what}"),
            Doubt::AtTokenLimit => f.write_str(
                "it has exactly as many tokens as were allowed, and compatible servers call an \
                 answer complete that the limit cut",
            ),
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stop::End => "the model came to its end",
            Stop::StopSequence => "the model came to a stop sequence",
            Stop::ToolUse => "the model waits for its tools",
            Stop::MaxTokens => "the model came to the token limit",
            Stop::ContextWindow => "the model's context is full",
            Stop::Refusal => "the model refused",
            Stop::ContentFilter => "a content filter stopped the answer",
            Stop::Pause => "the upstream paused the turn",
            Stop::Other => "the model stopped for a reason that is not known here",
            Stop::Unstated => "the upstream did not say why the model stopped",
            Stop::Doubtful => "the upstream calls the answer complete, which is in doubt",
            Stop::Mismatch => "the answer does not match the schema",
            Stop::Asked => "the text came to where it should stop",
            Stop::Stopped => "stopped by the reader",
            Stop::Failed => "failed",
        })
    }
}

fn seconds_or_none<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => seconds(time, serializer),
        None => serializer.serialize_none(),
    }
}
