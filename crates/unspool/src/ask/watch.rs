use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use reqwest::header::HeaderMap;
use tokio::time::Instant;

use super::event::Event;
use super::outcome::{Outcome, Stop};
use crate::http::{Meter, Secrets, shortened};

/// How much of the text is kept for an error. What is longer has been handed out all the
/// same.
const PARTIAL: usize = 1 << 20;

/// How much is kept of the words of a refusal.
const REFUSAL: usize = 64 << 10;

/// How many characters of the upstream's words are shown.
const SHOWN: usize = 1000;

/// What is known of an answer so far, for whoever watches it from outside.
#[derive(Default)]
pub(super) struct Watch {
    meter: Arc<Meter>,
    secrets: OnceLock<Secrets>,
    draft: Mutex<Draft>,
}

#[derive(Default)]
struct Draft {
    outcome: Outcome,
    begin: Option<Instant>,
    end: Option<Instant>,
    /// The text; none when there is too much of it.
    text: Option<String>,
    proved: Option<Stop>,
}

impl Watch {
    pub(super) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    pub(super) fn keeps_secret(&self, secrets: Secrets) {
        // An answer has one client.
        let _ = self.secrets.set(secrets);
    }

    /// Words of the upstream as people may see them.
    pub(super) fn redacted(&self, words: &str) -> String {
        let secrets = self.secrets.get().cloned().unwrap_or_default();
        shortened(&secrets.taken_out_of(words), SHOWN)
    }

    pub(super) fn asks(&self, provider: &str, model: &str) {
        let mut draft = self.draft();
        draft.begin.get_or_insert_with(Instant::now);
        draft.outcome.provider = Some(provider.to_owned());
        draft.outcome.model = Some(model.to_owned());
    }

    /// What came of an earlier try does not count.
    pub(super) fn start_over(&self) {
        let mut draft = self.draft();
        draft.outcome = Outcome {
            provider: draft.outcome.provider.take(),
            model: draft.outcome.model.take(),
            request_id: draft.outcome.request_id.take(),
            ..Outcome::default()
        };
        draft.text = Some(String::new());
    }

    /// An answer begins.
    pub(super) fn answered(&self, headers: &HeaderMap) {
        let names = ["request-id", "x-request-id", "apim-request-id"];
        let id = names.iter().find_map(|name| headers.get(*name));
        let id = id.and_then(|id| id.to_str().ok());
        self.draft().outcome.request_id = id.map(|id| self.redacted(id));
    }

    pub(super) fn observe(&self, event: &Event) {
        let mut guard = self.draft();
        let draft = &mut *guard;
        let outcome = &mut draft.outcome;
        match event {
            Event::Text { text } => {
                outcome.deltas += 1;
                outcome.text_bytes += text.len() as u64;
                match &mut draft.text {
                    Some(all) if all.len() + text.len() <= PARTIAL => all.push_str(text),
                    all => *all = None,
                }
            }
            Event::Start { id, model } => {
                if id.is_some() {
                    outcome.id = self.redacted_if_any(id);
                }
                if model.is_some() {
                    outcome.model = self.redacted_if_any(model);
                }
            }
            Event::Refusal { text } => {
                let refusal = outcome.refusal.get_or_insert_default();
                if refusal.len() + text.len() <= REFUSAL {
                    refusal.push_str(text);
                }
            }
            Event::Usage(usage) => outcome.usage.update(usage),
            Event::Stop {
                stop,
                reason,
                sequence,
            } => {
                draft.proved = Some(*stop);
                outcome.reason = self.redacted_if_any(reason);
                outcome.stop_sequence = self.redacted_if_any(sequence);
            }
            _ => {}
        }
        if outcome.first_token.is_none() && event.is_content() {
            outcome.first_token = draft.begin.map(|begin| begin.elapsed());
        }
    }

    fn redacted_if_any(&self, words: &Option<String>) -> Option<String> {
        words.as_deref().map(|words| self.redacted(words))
    }

    /// Something speaks against the answer being whole.
    pub(super) fn doubt(&self, doubt: impl Into<String>) {
        self.draft().outcome.doubts.push(doubt.into());
    }

    /// How many tokens the answer has, by the upstream's count.
    pub(super) fn output_tokens(&self) -> Option<u64> {
        self.draft().outcome.usage.output_tokens
    }

    /// The stream is over, by an error or by its end.
    pub(super) fn end(&self) {
        self.draft().end.get_or_insert_with(Instant::now);
    }

    /// The text so far, if it is not too long to be kept.
    pub(super) fn partial_text(&self) -> Option<String> {
        self.draft().text.clone()
    }

    /// What is known so far; `ended` if nothing more will come: well, or by an error.
    pub(super) fn outcome(&self, ended: Option<Result<(), ()>>) -> Outcome {
        let reading = self.meter.read();
        let draft = self.draft();
        let stop = match (ended, draft.proved) {
            (Some(Err(())), _) => Stop::Failed,
            (_, Some(stop)) => stop,
            (..) => Stop::Stopped,
        };
        let end = draft.end.unwrap_or_else(Instant::now);
        Outcome {
            complete: stop.is_natural() || stop == Stop::Asked,
            stop,
            took: draft.begin.map(|begin| end - begin).unwrap_or_default(),
            requests: reading.requests,
            retries: reading.retries,
            bytes: reading.bytes,
            ..draft.outcome.clone()
        }
    }

    /// What is waited for, if it is something to be told.
    pub(super) fn waiting(&self) -> Option<String> {
        self.meter.read().waiting
    }

    fn draft(&self) -> MutexGuard<'_, Draft> {
        self.draft.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
