//! What is said of a model's answer.

use std::time::Duration;

use indicatif::{HumanBytes, HumanCount};
use unspool::ask::{Answered, Outcome, Provider, Stop};
use unspool::{Error, ErrorKind};

use super::{Report, count, problem};
use crate::pull::End;

/// The shortest answer whose rate is told.
const RATED: Duration = Duration::from_millis(500);

pub(crate) struct AskReport;

impl Report<Answered> for AskReport {
    fn so_far(&self, outcome: &Outcome, _: Duration) -> String {
        let model = outcome.model.as_deref().unwrap_or("the model");
        let seconds = outcome.took.as_secs_f64();
        match outcome.text_bytes {
            0 => format!("{model}, {seconds:.1} s"),
            bytes => format!("{model}, {} of text, {seconds:.1} s", HumanBytes(bytes)),
        }
    }

    fn summary(&self, outcome: &Outcome, _: Duration) -> String {
        let mut parts = Vec::new();
        let usage = &outcome.usage;
        // What was counted before an end that never came says little.
        let is_counted = !matches!(outcome.stop, Stop::Stopped | Stop::Failed | Stop::Asked);
        let output = usage.output_tokens.filter(|_| is_counted);
        match (output, usage.input_tokens) {
            (Some(output), Some(input)) => parts.push(format!(
                "{} ({} in)",
                count(output, "token"),
                HumanCount(input)
            )),
            (Some(output), None) => parts.push(count(output, "token")),
            (None, _) => parts.push(format!("{} of text", HumanBytes(outcome.text_bytes))),
        }
        if let Some(cached) = usage.cache_read_tokens.filter(|cached| *cached > 0) {
            parts.push(format!("{} from the cache", HumanCount(cached)));
        }
        if let Some(first) = outcome.first_token {
            parts.push(format!("the first after {:.2} s", first.as_secs_f64()));
        }
        parts.push(format!("{:.1} s", outcome.took.as_secs_f64()));
        // Over a moment there is no rate.
        let rate = outcome.tokens_per_second();
        if let Some(rate) = rate.filter(|_| is_counted && outcome.took > RATED) {
            parts.push(format!("{rate:.0} tokens/s"));
        }
        if outcome.retries > 0 {
            parts.push(format!(
                "{} ({} repeated)",
                count(outcome.requests, "request"),
                HumanCount(outcome.retries)
            ));
        }
        parts.join(", ")
    }

    /// With the upstream's own word where it says more.
    fn why(&self, outcome: &Outcome) -> String {
        match (&outcome.reason, outcome.stop) {
            (Some(reason), Stop::Other | Stop::ContentFilter) => {
                format!("{} (`{reason}`)", outcome.stop)
            }
            _ => outcome.stop.to_string(),
        }
    }

    fn notes(&self, outcome: &Outcome, end: &End, _: bool) {
        if outcome.deltas > 0 && matches!(end, End::Upstream(_)) {
            problem("what came before is a part of the answer; it was not asked for again");
        }
        if let Some(refusal) = &outcome.refusal {
            problem(&format!("the model says: {refusal}"));
        }
    }

    fn hint(&self, outcome: &Outcome, error: Option<&Error>) -> Option<String> {
        let Some(error) = error else {
            return (outcome.stop == Stop::MaxTokens)
                .then(|| "`--max-tokens N` raises the limit".to_owned());
        };
        hint_of(error, outcome.provider.as_deref())
    }
}

/// The next step after an error of a model's server of this provider, where it is known.
pub(super) fn hint_of(error: &Error, provider: Option<&str>) -> Option<String> {
    let hint = match error.kind() {
        ErrorKind::MissingKey => {
            "set the variable, or give `--api-key '${NAME}'`; `--model` and `--provider` choose \
             another"
        }
        ErrorKind::MissingModel => {
            "`--model NAME` names one, `--provider NAME` says whose it is; `unspool ask --help` has \
             them"
        }
        ErrorKind::Timeout => {
            "`--first-byte TIME` and `--timeout TIME` are how long the upstream may be silent, and 30 \
             times `--timeout` how long it may send pings; `--deadline TIME` limits all of it"
        }
        ErrorKind::Status if error.status() == Some(404) => {
            "`--base-url` is where the protocol is spoken, which for many servers ends in `/v1`; \
             `--provider` says which protocol that is"
        }
        _ if error.is_unauthorized() => return Some(where_keys_come_from(provider)),
        _ => return None,
    };
    Some(hint.to_owned())
}

fn where_keys_come_from(provider: Option<&str>) -> String {
    let provider = provider.and_then(|name| name.parse::<Provider>().ok());
    let names: Vec<_> = (provider.into_iter())
        .flat_map(Provider::key_variables)
        .collect();
    match names.is_empty() {
        true => "the key comes from `--api-key` or from the environment".to_owned(),
        false => format!(
            "the key comes from `--api-key` or from `{}`",
            names.join("`, `")
        ),
    }
}
