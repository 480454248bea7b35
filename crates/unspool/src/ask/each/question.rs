//! One record's question, until it has its answer or has failed.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::task::JoinHandle;
use unspool_core::AnextExt;

use super::account::EachWatch;
use super::records::Record;
use super::{Answered, Flaw};
use crate::account::Verdict;
use crate::ask::outcome::{Outcome, Stop, Usage};
use crate::ask::prompt::Message;
use crate::ask::{Answer, Request};
use crate::error::{Error, ErrorKind, Kind};
use crate::http::{Attempts, Secrets, Settings};
use crate::item::RawItem;
use crate::source::SourceKind;

/// The longest answer, in bytes.
const MAX_ANSWER: usize = 16 << 20;

/// What is asked about each record.
pub(super) struct Question {
    request: Request,
    settings: Settings,
    watch: Arc<EachWatch>,
}

/// An answer on its way, on a task that ends with its owner.
pub(super) struct Asked(JoinHandle<Result<Answered, Error>>);

/// What came of a question.
pub(super) struct Row {
    pub(super) text: String,
    pub(super) error: Option<String>,
    pub(super) flaw: Option<Flaw>,
    /// Why nothing came of it.
    pub(super) failure: Option<Failure>,
    pub(super) stop: Stop,
    pub(super) usage: Usage,
    is_json: bool,
}

/// Why a question failed, to compare it with the next one.
#[derive(Clone)]
pub(super) struct Failure {
    kind: ErrorKind,
    status: Option<u16>,
    words: String,
}

impl Failure {
    fn of(error: &Error) -> Self {
        Failure {
            kind: error.kind(),
            status: error.status(),
            words: error.to_string(),
        }
    }

    /// Whether it is one of the same kind: its words may have the record's.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.kind, self.status) == (other.kind, other.status)
    }

    /// That this was one too many.
    pub(super) fn error(&self, in_a_row: u64) -> Error {
        Error::content(format!(
            "gave up after {in_a_row} records in a row whose question failed in the same way; the \
             last one: {}",
            self.words
        ))
    }
}

impl Question {
    pub(super) fn new(request: Request, watch: Arc<EachWatch>) -> Self {
        Question {
            settings: request.http.settings(),
            request,
            watch,
        }
    }

    /// Asks about a record.
    pub(super) fn ask(question: &Arc<Self>, record: Record) -> Asked {
        let question = Arc::clone(question);
        Asked(tokio::spawn(async move {
            let row = question.row(&record).await?;
            Ok(Answered { record, row })
        }))
    }

    /// The answer to a record's question, or why there is none. What would be the same for
    /// every record is an error.
    async fn row(&self, record: &Record) -> Result<Row, Error> {
        let request = (self.request.clone()).message(Message::user(record.prompt.as_str()));
        let is_json = request.prompt.schema.is_some();
        let mut attempts = Attempts::new(&self.settings.retry(), Arc::clone(&self.watch.meter));
        loop {
            // How it ended is for the row to say.
            let answer = request.clone().text_metered(&self.watch.meter);
            let mut answer = answer.allow_doubts();
            let mut text = String::new();
            let came = collect(&mut answer, &mut text).await;
            let outcome = answer.outcome();
            let model = outcome.model.as_deref();
            self.watch.answered(&outcome.usage, model, answer.secrets());
            let failed = match came {
                Ok(()) => return Ok(Row::of(text, &outcome, is_json)),
                Err(error) if is_for_all(&error) => return Err(error),
                // As long as nothing had come, it has been tried again already.
                Err(error) if text.is_empty() => error,
                // Nobody has seen what came of it.
                Err(error) => match attempts.after(error).await {
                    Ok(()) => continue,
                    Err(error) => error,
                },
            };
            return Ok(Row {
                text,
                error: Some(failed.to_string()),
                flaw: Some(Flaw::Failed),
                failure: Some(Failure::of(&failed)),
                stop: Stop::Failed,
                usage: outcome.usage,
                is_json: false,
            });
        }
    }
}

/// Takes all of an answer's text.
async fn collect(answer: &mut Answer<String>, text: &mut String) -> Result<(), Error> {
    while let Some(piece) = answer.anext().await {
        text.push_str(&piece?);
        if text.len() > MAX_ANSWER {
            return Err(Error::new(
                Kind::TooLarge,
                format!("the answer has more than {} MiB of text", MAX_ANSWER >> 20),
            ));
        }
    }
    Ok(())
}

/// Whether the next record would fail in the same way.
fn is_for_all(error: &Error) -> bool {
    error.is_request()
        || error.is_unreachable()
        || error.is_throttled()
        || matches!(error.status(), Some(401 | 402 | 404 | 429))
}

impl Asked {
    pub(super) async fn answer(&mut self) -> Result<Answered, Error> {
        let joined = (&mut self.0).await;
        joined.unwrap_or_else(|error| {
            Err(Error::content(format!("the question was given up: {error}")).with_source(error))
        })
    }

    /// Gives it up, and waits until it is gone.
    pub(super) async fn close(&mut self) {
        self.0.abort();
        // One that is gone has nothing more to say.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Row {
    fn of(text: String, outcome: &Outcome, is_json: bool) -> Self {
        let (flaw, error) = match outcome.verdict() {
            Verdict::Complete | Verdict::Asked => (None, None),
            Verdict::NotProved => {
                let doubts: Vec<_> = outcome.doubts.iter().map(ToString::to_string).collect();
                (Some(Flaw::Doubtful), Some(doubts.join("; ")))
            }
            _ => {
                let why = match &outcome.reason {
                    Some(reason) => format!("{} (`{reason}`)", outcome.stop),
                    None => outcome.stop.to_string(),
                };
                (Some(Flaw::Incomplete), Some(why))
            }
        };
        Row {
            text,
            error,
            flaw,
            failure: None,
            stop: outcome.stop,
            usage: outcome.usage,
            is_json,
        }
    }

    /// The item for a record.
    pub(super) fn item(&self, record: &Record) -> RawItem {
        #[derive(Serialize)]
        struct Members<'r> {
            record: &'r RawValue,
            answer: AnswerText<'r>,
            error: Option<&'r str>,
            stop: Stop,
            usage: Usage,
        }
        #[derive(Serialize)]
        #[serde(untagged)]
        enum AnswerText<'r> {
            None,
            Text(&'r str),
            Json(&'r RawValue),
        }
        // What is not whole may be no JSON.
        let json = (self.is_json && self.flaw.is_none())
            .then(|| serde_json::from_str::<&RawValue>(&self.text).ok())
            .flatten();
        let answer = match json {
            Some(json) => AnswerText::Json(json),
            None if self.text.is_empty() && self.flaw.is_some() => AnswerText::None,
            None => AnswerText::Text(&self.text),
        };
        let members = Members {
            record: &record.json,
            answer,
            error: self.error.as_deref(),
            stop: self.stop,
            usage: self.usage,
        };
        // Texts, numbers and JSON texts have a JSON text.
        RawItem::new(serde_json::to_vec(&members).unwrap_or_default().into())
    }
}

impl Answer<String> {
    /// What nobody may see.
    fn secrets(&self) -> Secrets {
        self.kind().secrets()
    }
}
