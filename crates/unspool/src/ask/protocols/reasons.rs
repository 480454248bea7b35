//! The words with which an upstream says why an answer ended.

use std::collections::VecDeque;

use super::tools::ToolCalls;
use crate::ask::event::Event;
use crate::ask::outcome::Stop;
use crate::ask::text::Joined;
use crate::error::{Error, Kind};

/// What a word for the end means, in the protocol of anyone: compatible servers borrow from
/// others, and gateways hand on the words of those after them.
pub(super) fn meaning(word: Option<&str>) -> Stop {
    let Some(word) = word else {
        return Stop::Unstated;
    };
    match word.to_ascii_lowercase().as_str() {
        "stop" | "eos" | "eos_token" | "end_turn" | "completed" => Stop::End,
        "stop_sequence" => Stop::StopSequence,
        "tool_calls" | "function_call" | "tool_use" => Stop::ToolUse,
        "length" | "max_tokens" | "model_length" | "max_output_tokens" => Stop::MaxTokens,
        "model_context_window_exceeded" => Stop::ContextWindow,
        "refusal" => Stop::Refusal,
        "content_filter"
        | "safety"
        | "recitation"
        | "blocklist"
        | "prohibited_content"
        | "spii"
        | "image_safety"
        | "image_prohibited_content"
        | "image_recitation" => Stop::ContentFilter,
        "pause_turn" => Stop::Pause,
        _ => Stop::Other,
    }
}

/// Whether the word says that the upstream failed: `error`, `network_error`, `failed`.
fn names_failure(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    word.contains("error") || word.contains("fail")
}

/// Whether the word says that the answer was broken off: `abort`, `cancelled`, `timeout`.
fn names_break(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    [
        "abort",
        "cancel",
        "timeout",
        "timed_out",
        "disconnect",
        "interrupt",
        "unavailable",
    ]
    .iter()
    .any(|part| word.contains(part))
}

/// Why an answer ended, as far as it has been stated.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) reason: Option<String>,
    pub(super) sequence: Option<String>,
    /// The word of the server that a gateway asked.
    native: Option<String>,
    /// A filter was at work, or the model refused, whatever the reason says.
    filtered: bool,
    refused: bool,
}

impl Ended {
    /// A reason was stated. A later one counts more, but a filter is not taken back.
    pub(super) fn state(&mut self, reason: Option<String>) {
        let Some(reason) = reason.filter(|reason| is_stated(reason)) else {
            return;
        };
        let was_filtered = matches!(
            meaning(self.reason.as_deref()),
            Stop::ContentFilter | Stop::Refusal
        );
        if !(was_filtered && meaning(Some(&reason)).is_natural()) {
            self.reason = Some(reason);
        }
    }

    pub(super) fn state_native(&mut self, reason: &str) {
        if is_stated(reason) {
            self.native = Some(reason.to_owned());
        }
    }

    pub(super) fn filtered(&mut self) {
        self.filtered = true;
    }

    pub(super) fn refused(&mut self) {
        self.refused = true;
    }

    /// What all of it means.
    ///
    /// # Errors
    ///
    /// A word says that the upstream failed.
    fn stop(&mut self, has_calls: bool) -> Result<Stop, Error> {
        for word in [&self.reason, &self.native].into_iter().flatten() {
            if names_failure(word) {
                return Err(Error::new(
                    Kind::Reported,
                    format!("the upstream reports an error: the answer ended with `{word}`"),
                ));
            }
        }
        let stated = meaning(self.reason.as_deref());
        Ok(match stated {
            Stop::MaxTokens | Stop::ContextWindow | Stop::Refusal => stated,
            _ if self.filtered => Stop::ContentFilter,
            Stop::End if self.refused => Stop::Refusal,
            stop if stop.is_natural() => match self.hidden() {
                Some(hidden) => hidden,
                None if stop == Stop::End && has_calls => Stop::ToolUse,
                None => stop,
            },
            stop => stop,
        })
    }

    /// What a gateway's reason hides, if the server that it asked had another.
    fn hidden(&mut self) -> Option<Stop> {
        let native = self.native.as_deref()?;
        let stop = match meaning(Some(native)) {
            Stop::Other if !names_break(native) => return None,
            stop if stop.is_natural() => return None,
            stop => stop,
        };
        self.reason = self.native.take();
        Some(stop)
    }

    /// The last events of an answer.
    ///
    /// # Errors
    ///
    /// The upstream failed, or calls that it speaks of are not whole.
    pub(super) fn finish(
        &mut self,
        tools: &mut ToolCalls,
        text: &mut Joined,
        events: &mut VecDeque<Event>,
    ) -> Result<(), Error> {
        events.extend(text.end().map(|text| Event::Text { text }));
        tools.finish_all(events);
        let stop = self.stop(tools.any)?;
        tools.check(stop)?;
        events.push_back(Event::Stop {
            stop,
            reason: self.reason.take(),
            sequence: self.sequence.take(),
        });
        Ok(())
    }
}

/// Whether a word is a reason: some servers write another for none.
pub(super) fn is_stated(reason: &str) -> bool {
    !matches!(reason, "" | "null" | "None" | "FINISH_REASON_UNSPECIFIED")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stop(reason: &str, native: &str) -> Result<Stop, String> {
        let mut ended = Ended::default();
        ended.state(Some(reason.to_owned()));
        ended.state_native(native);
        ended.stop(false).map_err(|error| error.to_string())
    }

    #[test]
    fn the_word_of_the_server_after_a_gateway_counts() {
        for native in ["network_error", "ERROR", "upstream_failed"] {
            let error = stop("stop", native).unwrap_err();
            assert!(error.contains(native), "{error}");
        }
        assert_eq!(stop("stop", "SAFETY"), Ok(Stop::ContentFilter));
        assert_eq!(stop("stop", "max_output_tokens"), Ok(Stop::MaxTokens));
        assert_eq!(stop("stop", "abort"), Ok(Stop::Other));
    }

    #[test]
    fn a_healthy_word_of_that_server_changes_nothing() {
        for native in [
            "stop",
            "STOP",
            "end_turn",
            "eos",
            "",
            "completed",
            "<|im_end|>",
        ] {
            assert_eq!(stop("stop", native), Ok(Stop::End), "{native}");
        }
        assert_eq!(stop("length", "stop"), Ok(Stop::MaxTokens));
    }

    #[test]
    fn a_filter_is_not_taken_back_by_a_later_reason() {
        let mut ended = Ended::default();
        for reason in ["stop", "content_filter", "stop", ""] {
            ended.state(Some(reason.to_owned()));
        }
        assert_eq!(ended.stop(false).unwrap(), Stop::ContentFilter);
        let mut ended = Ended::default();
        for reason in ["length", "stop"] {
            ended.state(Some(reason.to_owned()));
        }
        assert_eq!(ended.stop(false).unwrap(), Stop::End);
    }
}
