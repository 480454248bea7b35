use std::process::ExitCode;

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
  4    a model stopped before its natural end: token limit, refusal, filter
  130  interrupted with Ctrl-C";

impl Exit {
    pub(crate) fn of_error(error: &unspool::Error) -> Self {
        if error.is_request() {
            Exit::WrongRequest
        } else if error.is_truncated() || error.is_looped() {
            Exit::NotProved
        } else {
            Exit::Failed
        }
    }
}

impl Exit {
    /// For an answer that came to its end mark.
    pub(crate) fn of_stop(stop: unspool::ask::Stop) -> Self {
        use unspool::ask::Stop;
        match stop {
            stop if stop.is_natural() => Exit::Complete,
            Stop::Asked => Exit::Complete,
            Stop::Unstated | Stop::Doubtful | Stop::Mismatch => Exit::NotProved,
            _ => Exit::Incomplete,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
