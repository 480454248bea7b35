//! Envelopes of well-known APIs, served as their documentation shows them.
//!
//! `tests/corpus/README.md` says what is in a file.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::server::{Reply, Request, Server};

/// One file of the corpus.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recording {
    pub(crate) name: String,
    /// The page of the documentation, or `none: ` and why there is none.
    pub(crate) source: String,
    pub(crate) note: Option<String>,
    pub(crate) request: FirstRequest,
    pub(crate) pages: Vec<Page>,
    pub(crate) expect: Expected,
}

/// What the walk begins with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FirstRequest {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) url: String,
    pub(crate) body: Option<Value>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
}

/// An answer, and what it answers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    when: When,
    /// Not part of the documented walk: errors, and what wrong guesses get.
    #[serde(default)]
    aside: bool,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, Lines>,
    /// In the order of the file, which a `Value` would not keep.
    body: Option<Box<RawValue>>,
    text: Option<Lines>,
}

/// What a request must have for a page; what is left out may be anything.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct When {
    path: Option<Choice>,
    query: BTreeMap<String, Choice>,
    /// Parameters that must not be there.
    without: Vec<String>,
    /// Parameters that must be there, with whatever value.
    with: Vec<String>,
    header: BTreeMap<String, Choice>,
    /// Places in the body and their values; `null` is absent as well.
    body: BTreeMap<String, Value>,
}

/// A value, or several of which one must be there; `null` is none.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Choice {
    One(Option<String>),
    Any(Vec<Option<String>>),
}

/// A header field or a text, in one line or more.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Lines {
    One(String),
    More(Vec<String>),
}

/// What a walk over the recording has to come to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    /// The kind that detection has to find; none where it cannot know.
    pub(crate) paginate: Option<String>,
    /// Other kinds that are right as well.
    #[serde(default)]
    pub(crate) also: Vec<String>,
    pub(crate) items_at: String,
    pub(crate) items: usize,
    pub(crate) unique: usize,
    pub(crate) unique_at: String,
    pub(crate) outcome: Outcome,
    /// Whether the automatic mode finds the kind; otherwise it must not be short
    /// without saying so.
    pub(crate) detect: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Complete,
    Doubt,
}

/// All recordings, by name.
pub(crate) fn recordings() -> Vec<Recording> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    files.sort();
    files.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Recording {
    let text = fs::read_to_string(path).unwrap();
    let recording: Recording =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(
        path.file_stem(),
        Some(recording.name.as_ref()),
        "the name of a recording is that of its file"
    );
    recording
}

/// Serves a recording and remembers what it was asked.
pub(crate) fn serve(recording: impl Into<Arc<Recording>>) -> Server {
    let recording = recording.into();
    Server::start(move |request| recording.reply(request))
}

impl Recording {
    fn reply(&self, request: &Request) -> Reply {
        let origin = format!("http://{}", request.header("host").unwrap_or_default());
        match self.page(request) {
            Some(index) => self.pages[index].reply(&origin),
            // Neither an end of the walk nor worth another try.
            None => Reply::status(422).body(format!(
                r#"{{"error": "no page of `{}` is recorded for this"}}"#,
                self.name
            )),
        }
    }

    /// The first page that answers a request.
    fn page(&self, request: &Request) -> Option<usize> {
        if request.method != self.request.method {
            return None;
        }
        self.pages.iter().position(|page| page.when.fits(request))
    }
}

impl Page {
    fn reply(&self, origin: &str) -> Reply {
        let filled = |text: &str| text.replace("{origin}", origin);
        let mut reply = Reply::status(self.status);
        for (name, lines) in &self.headers {
            for line in lines.as_slice() {
                reply = reply.header(name, filled(line));
            }
        }
        reply.body(filled(&self.content()))
    }

    /// The body as it is served.
    fn content(&self) -> Cow<'_, str> {
        match (&self.body, &self.text) {
            (Some(body), None) => body.get().into(),
            (None, Some(text)) => text.as_slice().join("\n").into(),
            _ => panic!("expected a page to have either a `body` or a `text`"),
        }
    }
}

impl When {
    fn fits(&self, request: &Request) -> bool {
        let query = parameters(request);
        let parameter = |name: &str| query.get(name).map(|value| &**value);
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        (self.path.as_ref()).is_none_or(|choice| choice.has(Some(request.path())))
            && (self.query.iter()).all(|(name, choice)| choice.has(parameter(name)))
            && (self.without.iter()).all(|name| parameter(name).is_none())
            && (self.with.iter()).all(|name| parameter(name).is_some())
            && (self.header.iter()).all(|(name, choice)| choice.has(request.header(name)))
            && (self.body.iter())
                .all(|(at, value)| body.pointer(at).unwrap_or(&Value::Null) == value)
    }
}

impl Choice {
    fn has(&self, found: Option<&str>) -> bool {
        self.as_slice()
            .iter()
            .any(|choice| choice.as_deref() == found)
    }

    fn as_slice(&self) -> &[Option<String>] {
        match self {
            Choice::One(choice) => std::slice::from_ref(choice),
            Choice::Any(choices) => choices,
        }
    }
}

impl Lines {
    fn as_slice(&self) -> &[String] {
        match self {
            Lines::One(line) => std::slice::from_ref(line),
            Lines::More(lines) => lines,
        }
    }
}

fn ok() -> u16 {
    200
}

/// The decoded parameters of the query.
fn parameters(request: &Request) -> BTreeMap<Cow<'_, str>, Cow<'_, str>> {
    let (_, query) = request.target.split_once('?').unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes()).collect()
}

impl FirstRequest {
    /// The request as it comes to the server.
    fn sent(&self) -> Request {
        Request {
            method: self.method.clone(),
            target: self.url.clone(),
            headers: self.headers.clone().into_iter().collect(),
            body: self
                .body
                .as_ref()
                .map(|body| body.to_string().into())
                .unwrap_or_default(),
        }
    }

    /// The request changed into one that a page is recorded for.
    fn changed(&self, when: &When) -> Request {
        let mut request = self.sent();
        let mut query: BTreeMap<_, _> = parameters(&request)
            .into_iter()
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        query.retain(|name, _| !when.without.contains(name));
        query.extend(when.with.iter().map(|name| (name.clone(), "?".to_owned())));
        for (name, choice) in &when.query {
            match &choice.as_slice()[0] {
                Some(value) => query.insert(name.clone(), value.clone()),
                None => query.remove(name),
            };
        }
        for (name, choice) in &when.header {
            request
                .headers
                .retain(|(found, _)| !found.eq_ignore_ascii_case(name));
            let value = choice.as_slice()[0].clone();
            request
                .headers
                .extend(value.map(|value| (name.clone(), value)));
        }
        let mut body = self.body.clone().unwrap_or_default();
        for (at, value) in &when.body {
            set(&mut body, at, value.clone());
        }
        let path = match &when.path {
            Some(choice) => choice.as_slice()[0].clone().unwrap(),
            None => request.path().to_owned(),
        };
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        request.target = format!("{path}?{query}");
        request.body = body.to_string().into();
        request
    }
}

/// Sets a value in objects that are made where they are missing.
fn set(body: &mut Value, at: &str, value: Value) {
    let mut place = body;
    for key in at.split('/').skip(1) {
        place = &mut place[key];
    }
    *place = value;
}

impl Recording {
    /// The keys of the items on a page: what makes each unique.
    fn keys(&self, page: &Page) -> Vec<String> {
        let Expected {
            items_at,
            unique_at,
            ..
        } = &self.expect;
        let last = |pointer: &str| pointer.rsplit('/').next().unwrap_or_default().to_owned();
        if page.body.is_none() {
            let begin = format!("<{}>", last(items_at));
            let content = page.content();
            return (content.split(&begin).skip(1))
                .map(|element| element_text(element, &last(unique_at)))
                .collect();
        }
        let body: Value = serde_json::from_str(&page.content()).unwrap();
        let items = body.pointer(items_at).and_then(Value::as_array);
        (items.into_iter().flatten())
            .map(|item| item.pointer(unique_at).unwrap().to_string())
            .collect()
    }
}

/// What the first element of this name holds.
fn element_text(xml: &str, name: &str) -> String {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap();
    rest.split('<').next().unwrap().to_owned()
}

/// Fails for each recording that is not as it should be, naming them all.
fn check(is_sound: impl Fn(&Recording) -> Result<(), String>) {
    let recordings = recordings();
    assert!(
        recordings.len() > 100,
        "found {} recordings",
        recordings.len()
    );
    let faults: Vec<String> = recordings
        .iter()
        .filter_map(|recording| {
            let fault = is_sound(recording).err()?;
            Some(format!("{}: {fault}", recording.name))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// An error unless something holds.
fn demand(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

#[test]
fn the_first_request_of_each_recording_is_answered_by_its_walk() {
    check(|recording| {
        let page = recording.page(&recording.request.sent());
        let page = page.map(|index| &recording.pages[index]);
        demand(page.is_some_and(|page| !page.aside), || {
            format!("it has {page:?} for its first request")
        })
    });
}

#[test]
fn each_recorded_page_can_be_reached() {
    check(|recording| {
        (recording.pages.iter().enumerate()).try_for_each(|(index, page)| {
            let request = recording.request.changed(&page.when);
            let found = recording.page(&request);
            demand(found == Some(index), || {
                format!(
                    "page {index} is hidden by {found:?} for `{}`",
                    request.target
                )
            })
        })
    });
}

#[test]
fn the_pages_of_each_walk_have_the_expected_items() {
    check(|recording| {
        let walk = recording.pages.iter().filter(|page| !page.aside);
        let keys: Vec<String> = walk.flat_map(|page| recording.keys(page)).collect();
        let unique = keys.iter().collect::<BTreeSet<_>>().len();
        let expect = &recording.expect;
        demand(
            (keys.len(), unique) == (expect.items, expect.unique),
            || {
                format!(
                    "{} items and {unique} unique ones, not {} and {}",
                    keys.len(),
                    expect.items,
                    expect.unique
                )
            },
        )
    });
}

#[test]
fn each_recording_says_where_it_is_from_and_what_it_expects() {
    check(|recording| {
        let source = &recording.source;
        let is_source = source.starts_with("https://") || source.starts_with("none: ");
        demand(is_source, || format!("its source is `{source}`"))?;
        let note = recording.note.as_deref();
        demand(note != Some(""), || "its note is empty".to_owned())?;
        let expect = &recording.expect;
        let known = [
            "link", "next", "page", "offset", "cursor", "last", "relay", "continue", "single",
        ];
        for kind in expect.paginate.iter().chain(&expect.also) {
            let name = kind.split(':').next().unwrap_or_default();
            demand(known.contains(&name), || format!("`{kind}` is no kind"))?;
        }
        let is_known = expect.paginate.is_some();
        demand(is_known || expect.outcome == Outcome::Doubt, || {
            "a walk of an unknown kind cannot be complete".to_owned()
        })?;
        demand(is_known || expect.detect, || {
            "where a user has to name the kind, it is in `paginate`".to_owned()
        })
    });
}

/// A recording with this name.
fn named(name: &str) -> Recording {
    let mut recordings = recordings().into_iter();
    recordings
        .find(|recording| recording.name == name)
        .unwrap_or_else(|| panic!("there is no recording `{name}`"))
}

#[tokio::test]
async fn a_recording_is_served_with_its_own_origin_and_all_lines_of_a_field() {
    let server = serve(named("okta"));
    let origin = server.url("");
    let answer = reqwest::get(server.url("/api/v1/users?limit=2"))
        .await
        .unwrap();
    let links: Vec<_> = answer.headers().get_all("link").iter().cloned().collect();
    let expected = [
        format!("<{origin}/api/v1/users?limit=2>; rel=\"self\""),
        format!("<{origin}/api/v1/users?limit=2&after=00u1ero7vZFVEIYLWP1>; rel=\"next\""),
    ];
    assert_eq!(links, expected);
    assert_eq!(server.targets(), ["/api/v1/users?limit=2"]);
}

#[tokio::test]
async fn a_page_is_chosen_by_what_is_in_the_body() {
    let recording = named("notion_query");
    let (first, path) = (recording.request.sent(), recording.request.url.clone());
    let server = serve(recording);
    let ask = async |body: Vec<u8>| {
        let request = reqwest::Client::new().post(server.url(&path)).body(body);
        let answer = request.send().await.unwrap().bytes().await.unwrap();
        serde_json::from_slice::<Value>(&answer).unwrap()["next_cursor"].clone()
    };
    let cursor = ask(first.body.clone()).await;
    assert!(cursor.is_string());
    let next = serde_json::json!({"page_size": 2, "start_cursor": cursor}).to_string();
    assert_ne!(ask(next.clone().into()).await, cursor);
    assert_eq!(server.requests()[1].body, next.into_bytes());
}

#[tokio::test]
async fn what_is_not_recorded_is_refused() {
    let server = serve(named("okta"));
    let client = reqwest::Client::new();
    for request in [
        client.get(server.url("/api/v1/groups")),
        client.post(server.url("/api/v1/users?limit=2")),
    ] {
        assert_eq!(request.send().await.unwrap().status(), 422);
    }
}
