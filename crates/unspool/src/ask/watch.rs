use std::iter::Once;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use reqwest::header::HeaderMap;
use tokio::time::Instant;
use tracing::Span;

use super::event::Event;
use super::outcome::{Answered, Doubt, Stop};
use crate::account::{Conclusion, Counts};
use crate::http::{Meter, Secrets, shortened};
use crate::position::Position;
use crate::source::SourceKind;
use crate::spans;

/// The name of the source.
pub(super) const NAME: &str = "ask";

/// How much of the text is kept for an error. What is longer has been handed out all the
/// same.
const PARTIAL: usize = 1 << 20;

/// How much is kept of the words of a refusal.
const REFUSAL: usize = 64 << 10;

/// How many characters of the upstream's words are shown.
const SHOWN: usize = 1000;

/// What is known of an answer so far, for whoever watches it from outside.
///
/// Made by [`Request::text`](super::Request::text) and its like, for the stream.
#[derive(Default)]
pub struct Watch {
    meter: Arc<Meter>,
    secrets: OnceLock<Secrets>,
    draft: Mutex<Draft>,
}

#[derive(Default)]
struct Draft {
    outcome: Answered,
    begin: Option<Instant>,
    end: Option<Instant>,
    /// The text; none when there is too much of it.
    text: Option<String>,
    proved: Option<Stop>,
    doubts: Vec<Doubt>,
}

impl Watch {
    pub(super) fn with_meter(meter: &Arc<Meter>) -> Self {
        Watch {
            meter: Arc::clone(meter),
            ..Watch::default()
        }
    }

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
        shortened(&secrets.masked(words), SHOWN)
    }

    pub(super) fn asks(&self, provider: &str, model: &str) {
        let mut draft = self.draft();
        draft.begin.get_or_insert_with(Instant::now);
        draft.outcome.provider = Some(provider.to_owned());
        draft.outcome.model = Some(model.to_owned());
        spans::asks_model(provider, model);
    }

    /// What came of an earlier try does not count.
    pub(super) fn start_over(&self) {
        let mut draft = self.draft();
        draft.outcome = Answered {
            provider: draft.outcome.provider.take(),
            model: draft.outcome.model.take(),
            request_id: draft.outcome.request_id.take(),
            ..Answered::default()
        };
        draft.doubts.clear();
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
    pub(super) fn doubt(&self, doubt: Doubt) {
        self.draft().doubts.push(doubt);
    }

    /// How many tokens the answer has, by the upstream's count.
    pub(super) fn output_tokens(&self) -> Option<u64> {
        self.draft().outcome.usage.output_tokens
    }

    /// What is known so far of an answer that ended so.
    fn answered_so_far(&self, stop: Stop) -> Answered {
        let draft = self.draft();
        let end = draft.end.unwrap_or_else(Instant::now);
        Answered {
            stop,
            took: draft.begin.map(|begin| end - begin).unwrap_or_default(),
            partial_text: (draft.text.clone())
                .filter(|text| stop == Stop::Failed && !text.is_empty()),
            ..draft.outcome.clone()
        }
    }

    fn draft(&self) -> MutexGuard<'_, Draft> {
        self.draft.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SourceKind for Watch {
    const NAME: &'static str = NAME;

    type Details = Answered;
    type Batch<T: Send> = Once<(T, ())>;
    type Place = ();
    type Return = ();

    fn position(&self, _: Option<()>) -> Option<Position> {
        None
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

    fn details(&self, stop: &Stop) -> Answered {
        self.answered_so_far(*stop)
    }

    fn conclude(&self, (): ()) -> Conclusion<Answered> {
        let draft = self.draft();
        let stop = draft.proved.unwrap_or_default();
        let mut doubts = draft.doubts.clone();
        doubts.extend((stop == Stop::Unstated).then_some(Doubt::NoReason));
        Conclusion {
            ended: stop,
            doubts,
        }
    }

    fn over(&self) {
        self.draft().end.get_or_insert_with(Instant::now);
    }

    fn tell(&self, span: &Span) {
        let draft = self.draft();
        let Answered {
            id, model, usage, ..
        } = &draft.outcome;
        spans::model_answered(span, id.as_deref(), model.as_deref(), usage);
    }
}
