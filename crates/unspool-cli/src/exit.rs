use unspool::Verdict;
use unspool::sinks::Ended;

/// How a run ended, as scripts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Complete = 0,
    Failed = 1,
    WrongRequest = 2,
    NotProved = 3,
    Incomplete = 4,
    Interrupted = 130,
}

/// The part of the help that says what the codes mean.
pub(crate) const HELP: &str = "\
Exit codes:
  0    complete, or stopped where you said; a closed pipe is that, too
  1    the upstream failed
  2    the request was wrong
  3    not proved complete: cut short, led in a circle, counts differ, or an answer
       that does not match its schema
  4    a model stopped before its natural end: token limit, refusal, filter; or
       `--max-cost` or `--max-tokens-total` was reached
  130  interrupted with Ctrl-C or SIGTERM";

impl Exit {
    /// For a source that came to its end, or to where it was to stop.
    pub(crate) fn of_verdict(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Complete | Verdict::Asked | Verdict::Stopped => Exit::Complete,
            Verdict::NotProved => Exit::NotProved,
            Verdict::Incomplete => Exit::Incomplete,
            _ => Exit::Failed,
        }
    }

    /// For a target that an earlier run has completed: what that run exited with.
    pub(crate) fn of_ended(ended: &Ended) -> Self {
        let known = [Exit::Failed, Exit::NotProved, Exit::Incomplete];
        if ended.doubts.is_empty() {
            return Exit::Complete;
        }
        let same = |exit: &Exit| ended.code == Some(*exit as u8);
        known.into_iter().find(same).unwrap_or(Exit::NotProved)
    }

    pub(crate) fn of_error(error: &unspool::Error) -> Self {
        if error.is_request() {
            Exit::WrongRequest
        } else if error.is_truncated() || error.is_looped() || error.is_incomplete() {
            Exit::NotProved
        } else {
            Exit::Failed
        }
    }
}
