//! Answers of language models: a piece of text for each item, and elements of an array
//! in the text.

use serde_json::json;

use super::subject::{Held, How, Opened, SECRET, Serve, Subject, Upstream, boxed, busy, item};
use crate::ask::question_at;
use crate::server::Reply;
use crate::server::dialect::{Protocol, Reason, Script};

use Face::{Items, Text};
use Protocol::{Anthropic, Chat, Gemini, Ollama, Responses};

pub(super) const SUBJECTS: &[&dyn Subject] = &[
    &Answer(Anthropic, Text),
    &Answer(Anthropic, Items),
    &Answer(Chat, Text),
    &Answer(Chat, Items),
    &Answer(Responses, Text),
    &Answer(Responses, Items),
    &Answer(Ollama, Text),
    &Answer(Ollama, Items),
    &Answer(Gemini, Text),
    &Answer(Gemini, Items),
];

#[derive(Clone, Copy)]
struct Answer(Protocol, Face);

/// What is taken from an answer.
#[derive(Clone, Copy, Debug)]
enum Face {
    Text,
    Items,
}

impl Subject for Answer {
    fn title(&self) -> String {
        format!("ask, {:?}, {:?}", self.0, self.1)
    }

    fn source(&self) -> &'static str {
        "ask"
    }

    fn resumes(&self) -> bool {
        false
    }

    fn requests(&self, _: usize) -> usize {
        1
    }

    fn serve(&self, serve: Serve) -> Option<Upstream> {
        let answer = *self;
        // They end with a reason, or not at all.
        let has_doubts = !matches!(self.0, Responses | Gemini);
        (has_doubts || !matches!(serve, Serve::Doubtful(_))).then(|| {
            Upstream::http(
                move |_, held| answer.reply(serve, held),
                move |url, how| answer.open(url, &how),
            )
        })
    }
}

impl Answer {
    fn open(self, url: String, how: &How) -> Opened {
        let request = question_at(self.0, url)
            .api_key(SECRET)
            .retries(how.retries);
        match self.1 {
            Text => boxed(request.text(), how),
            Items => boxed(request.items("".parse().unwrap()), how),
        }
    }

    fn reply(self, serve: Serve, held: &Held) -> Reply {
        let Answer(protocol, face) = self;
        let script = (0..serve.items()).fold(protocol.script().begin(), |script, number| {
            script.text(&self.piece(number))
        });
        let told = |script: Script| match face {
            Text => script,
            Items => script.text("]"),
        };
        match serve {
            Serve::Whole(_) => {
                let script = told(script).reason(Reason::End);
                script.mark(Reason::End).end()
            }
            Serve::Doubtful(_) => told(script).mark(Reason::None).end(),
            Serve::Cut(_) => script.cut(),
            Serve::Failing(_) => {
                let error = protocol.error("invalid_request_error", "no");
                script.parts(&[error]).end()
            }
            Serve::Slow(_) => held.keep(script.until_gone()),
            Serve::Busy => busy(),
        }
    }

    fn piece(self, number: usize) -> String {
        match (self.1, number) {
            (Text, _) => item(number),
            (Items, 0) => format!("[{}", json!(item(number))),
            (Items, _) => format!(", {}", json!(item(number))),
        }
    }
}
