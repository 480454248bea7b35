//! The table of `docs/ask.md`: what comes of each fault in each protocol.

use std::fmt;

use unspool::Error;
use unspool::ask::{Outcome, Request, Stop};

use super::dialect::{Protocol, TEXT};
use crate::server::{Reply, Request as Asked};

/// One fault: a line of the table.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// What is answered to a request, by its number from 0.
    pub(super) reply: fn(Protocol, usize, &Asked) -> Reply,
    /// What is changed of the question.
    pub(super) ask: fn(Request) -> Request,
    /// What comes of it; none where the protocol has no such thing.
    pub(super) expect: fn(Protocol) -> Option<Expect>,
}

/// What comes of one fault in one protocol: a cell of the table.
#[derive(Clone, Debug)]
pub(super) struct Expect {
    /// The text that is handed out.
    pub(super) text: &'static str,
    pub(super) end: End,
    /// How many requests the server sees.
    pub(super) requests: usize,
}

#[derive(Clone, Debug)]
pub(super) enum End {
    Whole(Stop),
    Failed {
        kind: Kind,
        is_retryable: bool,
        code: Option<&'static str>,
        /// A part of the message.
        says: &'static str,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Truncated,
    Timeout,
    TooLarge,
    Status(u16),
    /// An error that an answer with HTTP 200 reports.
    Reported,
    /// Something else than what was asked for.
    Content,
    /// No answer.
    Connection,
}

pub(super) fn whole(stop: Stop) -> Expect {
    Expect {
        text: TEXT,
        end: End::Whole(stop),
        requests: 1,
    }
}

pub(super) fn complete() -> Expect {
    whole(Stop::End)
}

/// What the first request ended with is not seen, but for the time that it took.
pub(super) fn second_try() -> Expect {
    Expect {
        requests: 2,
        ..complete()
    }
}

fn failed(kind: Kind, is_retryable: bool, text: &'static str, says: &'static str) -> Expect {
    Expect {
        text,
        end: End::Failed {
            kind,
            is_retryable,
            code: None,
            says,
        },
        // What has been handed out is not asked for again.
        requests: match is_retryable && text.is_empty() {
            true => 3,
            false => 1,
        },
    }
}

/// Fails in a way that may pass: after all tries, or with this text.
pub(super) fn passing(kind: Kind, text: &'static str, says: &'static str) -> Expect {
    failed(kind, true, text, says)
}

/// Fails in a way that does not pass.
pub(super) fn lasting(kind: Kind, text: &'static str, says: &'static str) -> Expect {
    failed(kind, false, text, says)
}

impl Expect {
    pub(super) fn code(mut self, stated: &'static str) -> Self {
        if let End::Failed { code, .. } = &mut self.end {
            *code = Some(stated);
        }
        self
    }

    pub(super) fn requests(mut self, requests: usize) -> Self {
        self.requests = requests;
        self
    }

    /// The exit code of the command.
    fn exit(&self) -> u8 {
        match &self.end {
            End::Whole(Stop::Unstated | Stop::Doubtful) => 3,
            End::Whole(stop) if stop.is_natural() || *stop == Stop::Asked => 0,
            End::Whole(_) => 4,
            End::Failed { kind, .. } if *kind == Kind::Truncated => 3,
            End::Failed { .. } => 1,
        }
    }

    /// What is wrong with what came, if anything is.
    pub(super) fn check(
        &self,
        text: &str,
        end: &Result<Outcome, Error>,
        requests: usize,
    ) -> Result<(), String> {
        if text != self.text {
            return Err(format!("the text is {text:?}, and not {:?}", self.text));
        }
        if requests != self.requests {
            return Err(format!("{requests} requests, and not {}", self.requests));
        }
        match (&self.end, end) {
            (End::Whole(stop), Ok(outcome)) => {
                let is_complete = stop.is_natural() || *stop == Stop::Asked;
                let found = (outcome.stop, outcome.complete);
                if found != (*stop, is_complete) {
                    return Err(format!("ended as {found:?}, and not as {stop:?}"));
                }
                if outcome.requests != requests as u64 {
                    return Err(format!("counts {} requests", outcome.requests));
                }
                Ok(())
            }
            (
                End::Failed {
                    kind,
                    is_retryable,
                    code,
                    says,
                },
                Err(error),
            ) => self.check_error(error, *kind, *is_retryable, *code, says),
            (_, found) => Err(format!("ended as {found:?}")),
        }
    }

    fn check_error(
        &self,
        error: &Error,
        kind: Kind,
        is_retryable: bool,
        code: Option<&str>,
        says: &str,
    ) -> Result<(), String> {
        let status = match kind {
            Kind::Status(status) => Some(status),
            _ => None,
        };
        let partial = (!self.text.is_empty()).then_some(self.text);
        let found = (
            (
                error.is_truncated(),
                error.is_timeout(),
                error.is_too_large(),
            ),
            (error.status(), error.is_request(), error.is_looped()),
            (error.is_retryable(), error.code(), error.partial_text()),
        );
        let expected = (
            (
                kind == Kind::Truncated,
                kind == Kind::Timeout,
                kind == Kind::TooLarge,
            ),
            (status, false, false),
            (is_retryable, code, partial),
        );
        if found != expected {
            return Err(format!("{error:?} is {found:?}, and not {expected:?}"));
        }
        match error.to_string().contains(says) {
            true => Ok(()),
            false => Err(format!("{error} does not say {says:?}")),
        }
    }
}

/// As it stands in the document: the exit code, and what it is.
impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.exit())?;
        match &self.end {
            End::Whole(stop) => f.write_str(match stop {
                Stop::End | Stop::ToolUse | Stop::StopSequence => "complete",
                Stop::MaxTokens => "token limit",
                Stop::Refusal => "refused",
                Stop::ContentFilter => "filtered",
                Stop::Unstated => "reason unstated",
                Stop::Doubtful => "in doubt",
                Stop::Other => "another reason",
                _ => "ended",
            })?,
            End::Failed { kind, .. } => match kind {
                Kind::Truncated => f.write_str("truncated")?,
                Kind::Timeout => f.write_str("timed out")?,
                Kind::TooLarge => f.write_str("too large")?,
                Kind::Status(status) => write!(f, "status {status}")?,
                Kind::Reported => f.write_str("the upstream's error")?,
                Kind::Content => f.write_str("unreadable")?,
                Kind::Connection => f.write_str("no answer")?,
            },
        }
        match (&self.end, self.text, self.requests) {
            (End::Whole(_), _, 1) => Ok(()),
            (End::Whole(_), _, _) => f.write_str(", 2nd request"),
            (_, "", 1) => Ok(()),
            (
                End::Failed {
                    is_retryable: false,
                    ..
                },
                "",
                _,
            ) => Ok(()),
            (_, "", _) => f.write_str(", after all tries"),
            _ => f.write_str(", text kept"),
        }
    }
}
