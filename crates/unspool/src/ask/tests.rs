//! Every fixture in `tests/answers`, read whole, in any chunks, and cut after every byte.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use reqwest::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::sleep;
use unspool_core::stream;

use super::report::refused;
use super::{ANTHROPIC, Event, Frames, GEMINI, OLLAMA, OPENAI, Provider, RESPONSES, Usage};
use crate::Error;
use crate::http::{Body, Refusal};
use crate::internals::read_answer;

/// What a fixture leads to; the README beside them says what the fields are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    text: String,
    thinking: String,
    stop: Option<String>,
    reason: Option<String>,
    usage: Map<String, Value>,
    tool_calls: Vec<Value>,
    model: Option<String>,
    id: Option<String>,
    error: Option<String>,
    #[serde(default)]
    truncated: bool,
    retryable: Option<bool>,
    status: Option<u16>,
    retry_after_ms: Option<u64>,
    #[serde(default)]
    refusal: String,
    #[serde(default)]
    citations: usize,
    stop_sequence: Option<String>,
}

struct Fixture {
    provider: Provider,
    path: PathBuf,
    content_type: &'static str,
    body: Vec<u8>,
    expected: Expected,
}

fn fixtures() -> Vec<Fixture> {
    let folders = [
        ("anthropic", ANTHROPIC),
        ("chat", OPENAI),
        ("responses", RESPONSES),
        ("ollama", OLLAMA),
        ("gemini", GEMINI),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/answers");
    let mut fixtures = Vec::new();
    for (folder, provider) in folders {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.ends_with(".expect.json") {
                continue;
            }
            let content_type = match path.extension().unwrap().to_str().unwrap() {
                "sse" => "text/event-stream",
                "ndjson" => "application/x-ndjson",
                "json" => "application/json",
                other => panic!("a fixture of an unknown kind: {other}"),
            };
            let expected = fs::read(path.with_extension("expect.json")).unwrap();
            fixtures.push(Fixture {
                provider,
                content_type,
                body: fs::read(&path).unwrap(),
                expected: serde_json::from_slice(&expected)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display())),
                path,
            });
        }
    }
    assert!(fixtures.len() > 150, "{} fixtures", fixtures.len());
    fixtures
}

/// What the events of an answer amount to.
#[derive(Debug, Default, PartialEq)]
struct Sum {
    text: String,
    thinking: String,
    refusal: String,
    citations: usize,
    usage: Usage,
    tool_calls: Vec<Value>,
    model: Option<String>,
    id: Option<String>,
    stop: Option<(String, Option<String>, Option<String>)>,
}

fn sum(events: Vec<Event>) -> Sum {
    let mut sum = Sum::default();
    for event in events {
        assert!(sum.stop.is_none(), "{event:?} after the last event");
        match event {
            Event::Start { id, model } => {
                assert!(sum.id.is_none() || sum.model.is_none(), "a second begin");
                sum.id = sum.id.or(id);
                sum.model = sum.model.or(model);
            }
            Event::Text { text } => {
                assert!(!text.is_empty());
                sum.text.push_str(&text);
            }
            Event::Thinking { text } => sum.thinking.push_str(&text),
            Event::Refusal { text } => sum.refusal.push_str(&text),
            Event::Citation { .. } => sum.citations += 1,
            Event::Usage(usage) => sum.usage.update(&usage),
            Event::ToolCall {
                id,
                name,
                arguments,
                ..
            } => {
                let arguments: Value = serde_json::from_str(arguments.get()).unwrap();
                sum.tool_calls
                    .push(json!({"id": id, "name": name, "arguments": arguments}));
            }
            Event::Stop {
                stop,
                reason,
                sequence,
            } => {
                let stop = json!(stop).as_str().unwrap().to_owned();
                sum.stop = Some((stop, reason, sequence));
            }
            Event::ToolStart { .. } | Event::ToolDelta { .. } | Event::Other { .. } => {}
        }
    }
    sum
}

impl Fixture {
    fn name(&self) -> String {
        let folder = self.path.parent().unwrap().file_name().unwrap();
        let name = self.path.file_name().unwrap();
        format!("{}/{}", folder.display(), name.display())
    }

    fn read(&self, chunks: &[&[u8]]) -> (Sum, Result<(), Error>) {
        let (events, end) = read_answer(self.provider, Some(self.content_type), chunks);
        (sum(events), end)
    }

    /// Where to cut the body: after every byte, or if it is long, around every end of a
    /// line and at some others.
    fn cuts(&self) -> impl Iterator<Item = usize> {
        let is_line_end = |at: usize| self.body.get(at) == Some(&b'\n');
        (0..self.body.len()).filter(move |length| {
            self.body.len() < 1500
                || length % 61 == 0
                || (length.saturating_sub(2)..length + 2).any(is_line_end)
        })
    }

    /// What is not as it should be.
    fn differences(&self) -> Vec<String> {
        if let Some(status) = self.expected.status {
            let body = String::from_utf8(self.body.clone()).unwrap();
            let error = refused(Refusal::of(status, body));
            return self.differences_of_error(&error, Some(status));
        }
        let (sum, end) = self.read(&[&self.body]);
        let mut differences = Vec::new();
        let mut check = |what: &str, found: Value, expected: Value| {
            if found != expected {
                differences.push(format!("{what}: expected {expected}, found {found}"));
            }
        };
        let expected = &self.expected;
        check("text", json!(sum.text), json!(expected.text));
        check("thinking", json!(sum.thinking), json!(expected.thinking));
        check("refusal", json!(sum.refusal), json!(expected.refusal));
        check("citations", json!(sum.citations), json!(expected.citations));
        check("usage", json!(sum.usage), json!(expected.usage));
        check(
            "tool calls",
            json!(sum.tool_calls),
            json!(expected.tool_calls),
        );
        check("model", json!(sum.model), json!(expected.model));
        check("id", json!(sum.id), json!(expected.id));
        let (stop, reason, sequence) = match sum.stop {
            Some((stop, reason, sequence)) => (Some(stop), reason, sequence),
            None => (None, None, None),
        };
        check("stop", json!(stop), json!(expected.stop));
        check("reason", json!(reason), json!(expected.reason));
        check(
            "stop sequence",
            json!(sequence),
            json!(expected.stop_sequence),
        );
        match end {
            Ok(()) => check("error", Value::Null, json!(expected.error)),
            Err(error) => differences.extend(self.differences_of_error(&error, None)),
        }
        differences
    }

    fn differences_of_error(&self, error: &Error, status: Option<u16>) -> Vec<String> {
        let expected = &self.expected;
        let mut differences = Vec::new();
        match &expected.error {
            Some(words) if error.to_string().contains(words) => {}
            words => differences.push(format!("error: expected {words:?}, found {error}")),
        }
        if error.is_truncated() != expected.truncated {
            differences.push(format!("is not truncated as expected: {error}"));
        }
        if error.status() != status {
            differences.push(format!("the status is {:?}", error.status()));
        }
        // After text nothing is tried again, whatever the error is.
        if let Some(is_retryable) = expected.retryable
            && expected.text.is_empty()
            && error.is_retryable() != is_retryable
        {
            differences.push(format!("expected it to be retryable: {is_retryable}"));
        }
        let wait = error.retry_after().map(|wait| wait.as_millis() as u64);
        if wait != expected.retry_after_ms {
            differences.push(format!("the wait is {wait:?}"));
        }
        differences
    }
}

#[test]
fn each_fixture_is_read_as_its_readme_says() {
    let mut wrong = Vec::new();
    for fixture in fixtures() {
        for difference in fixture.differences() {
            wrong.push(format!("{}: {difference}", fixture.name()));
        }
    }
    wrong.sort();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_answer_is_the_same_however_its_body_is_cut_into_chunks() {
    for fixture in fixtures() {
        let (whole, end) = fixture.read(&[&fixture.body]);
        for size in [1, 2, 3, 7, 64, 1000] {
            let chunks: Vec<&[u8]> = fixture.body.chunks(size).collect();
            let (cut, cut_end) = fixture.read(&chunks);
            let name = fixture.name();
            assert_eq!(cut, whole, "{name}, in chunks of {size}");
            let words = |end: &Result<(), Error>| end.as_ref().err().map(ToString::to_string);
            assert_eq!(words(&cut_end), words(&end), "{name}, in chunks of {size}");
        }
    }
}

#[test]
fn an_answer_that_is_cut_is_an_error_until_its_end_mark_has_come() {
    for fixture in fixtures()
        .iter()
        .filter(|fixture| fixture.expected.status.is_none())
    {
        let (whole, end) = fixture.read(&[&fixture.body]);
        let mut is_complete = false;
        for length in fixture.cuts() {
            let (cut, cut_end) = fixture.read(&[&fixture.body[..length]]);
            let at = format!("{}, cut after {length} bytes", fixture.name());
            assert!(whole.text.starts_with(&cut.text), "{at}");
            match cut_end {
                Ok(()) => {
                    is_complete = true;
                    // All that may be missing is what follows the end mark.
                    assert!(end.is_ok(), "{at}");
                    assert_eq!(
                        (cut.text, cut.tool_calls, cut.stop),
                        (
                            whole.text.clone(),
                            whole.tool_calls.clone(),
                            whole.stop.clone()
                        ),
                        "{at}"
                    );
                }
                Err(error) => {
                    assert!(!is_complete, "{at}: was complete before: {error}");
                    assert!(error.is_truncated() || end.is_err(), "{at}: {error}");
                }
            }
        }
    }
}

#[test]
fn the_outcome_of_an_answer_can_be_written() {
    let outcome = json!(crate::ask("hello").text().outcome());
    assert_eq!(outcome["complete"], false);
    assert_eq!(outcome["stop"], "stopped");
    assert_eq!(outcome["took"], 0.0);
}

/// What comes of an answer that sends one part after the other, with a pause before each that
/// is almost the longest silence.
async fn read_slowly(parts: &'static [&'static str], times: usize) -> Result<String, Error> {
    let chunks = stream! {
        for part in std::iter::repeat_n(parts, times).flatten() {
            sleep(Duration::from_millis(900)).await;
            yield Ok::<_, Infallible>(Frame::data(Bytes::from_static(part.as_bytes())));
        }
    };
    let body = reqwest::Body::wrap(StreamBody::new(chunks));
    let body = Body::of(Response::from(hyper::Response::new(body)));
    let mut reading = ANTHROPIC.read(Frames::of(body, Some("text/event-stream"), 1 << 20));
    let mut answer = String::new();
    while let Some(event) = reading.next().await? {
        if let Event::Text { text } = event {
            answer.push_str(&text);
        }
    }
    Ok(answer)
}

#[tokio::test(start_paused = true)]
async fn signs_of_life_are_waited_for_only_so_long() {
    for sign in [
        &[": ping\n"],
        &["event: ping\ndata: {\"type\": \"ping\"}\n\n"],
        &["event: thump\ndata: {\"type\": \"thump\"}\n\n"],
        &["\n\n"],
        &["data: "],
    ] {
        let error = read_slowly(sign, 1000).await.unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with("no piece of the answer, in "),
            "{sign:?}: {message}"
        );
        assert!(message.ends_with("within 30s"), "{sign:?}: {message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_says_a_word_after_many_pings_is_listened_to() {
    const WORD: &str = "data: {\"type\": \"content_block_delta\", \"delta\": {\"type\": \
        \"text_delta\", \"text\": \"a\"}}\n\n";
    let parts = &[": ping\n\n", ": ping\n\n", ": ping\n\n", WORD];
    let error = read_slowly(parts, 100).await.unwrap_err();
    assert!(error.is_truncated(), "{error}");
}
