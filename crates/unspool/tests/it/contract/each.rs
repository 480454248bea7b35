//! A question for each record of a file: an answer for each item.

use serde_json::Value;
use unspool::RawItem;

use super::subject::{Held, How, Opened, SECRET, Serve, Subject, Texts, Upstream, busy, item};
use crate::ask::question_at;
use crate::server::dialect::{Protocol::Anthropic, Reason};
use crate::server::{Reply, Request};

pub(super) const SUBJECTS: &[&dyn Subject] = &[&Each];

struct Each;

impl Subject for Each {
    fn title(&self) -> String {
        "ask-each".to_owned()
    }

    fn source(&self) -> &'static str {
        "ask-each"
    }

    fn resumes(&self) -> bool {
        true
    }

    fn requests(&self, items: usize) -> usize {
        items
    }

    fn serve(&self, serve: Serve) -> Option<Upstream> {
        let further = match serve {
            // One answer that is cut is a row with an error, and the others come.
            Serve::Cut(_) => return None,
            Serve::Whole(_) | Serve::Doubtful(_) => 0,
            Serve::Failing(_) | Serve::Slow(_) | Serve::Busy => 1,
        };
        let records = 0..serve.items() + further;
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("in.ndjson");
        let lines = records.map(|number| format!("{number}\n"));
        std::fs::write(&input, lines.collect::<String>()).unwrap();
        Some(Upstream::http(
            move |request, held| reply(serve, record(request), held),
            move |url, how| open(&folder.path().join("in.ndjson"), url, &how),
        ))
    }
}

fn open(input: &std::path::Path, url: String, how: &How) -> Opened {
    let question = question_at(Anthropic, url)
        .api_key(SECRET)
        .retries(how.retries);
    let each = question.each(input, "{}".parse().unwrap());
    let source = each.resume(how.from.clone()).raw();
    let source = if how.allows_doubts {
        source.allow_doubts()
    } else {
        source
    };
    Box::pin(Texts {
        source: Box::pin(source),
        text: |row: RawItem| {
            let row: Value = row.parse().unwrap();
            row["answer"].as_str().unwrap().to_owned()
        },
    })
}

/// The record that is asked about.
fn record(request: &Request) -> usize {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let messages = body["messages"].as_array().unwrap();
    let content = messages.last().unwrap()["content"].as_str();
    content.unwrap().parse().unwrap()
}

fn reply(serve: Serve, record: usize, held: &Held) -> Reply {
    let script = Anthropic.script().begin();
    let whole = script.text(&item(record));
    match serve {
        Serve::Busy => busy(),
        Serve::Doubtful(items) if record + 1 == items => whole.mark(Reason::None).end(),
        Serve::Failing(items) if record == items => Reply::status(401).body("no"),
        Serve::Slow(items) if record == items => held.keep(Anthropic.script().begin().until_gone()),
        _ => whole.reason(Reason::End).mark(Reason::End).end(),
    }
}
