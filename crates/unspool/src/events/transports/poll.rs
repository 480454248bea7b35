//! A feed that is asked again and again: with a cursor of the answer before (long polling),
//! or for the same document every so often.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use reqwest::StatusCode;
use reqwest::header::{ETAG, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::{Arrival, Over};
use crate::error::{Error, Kind};
use crate::events::request::ResumeAs;
use crate::http::{Answer, Call, Reply, Session};
use crate::json::{Check, End, Place, Pointer, Splitter};

/// The header in which GitHub says how often it may be asked, in seconds.
const POLL_INTERVAL: &str = "x-poll-interval";

/// The shortest time between two requests with a cursor, where the first brought nothing.
const SHORTEST: Duration = Duration::from_millis(100);

/// The longest interval that an upstream may ask for.
const LONGEST: Duration = Duration::from_secs(3600);

/// How a feed is asked again and again.
#[derive(Clone, Debug)]
pub(in crate::events) enum Asking {
    /// Every so often; what is new is told by this value of an item, or by all of it.
    Every(Duration, Option<Pointer>),
    /// At once, with what stands there in the answer before.
    Cursor(Pointer),
    /// At once, with what the answer before says of itself: its `ETag` and `Last-Modified`.
    Validators,
    /// At once, with what stands there in the last item of the answers before.
    Position(Pointer),
}

impl Asking {
    /// Whether a request lets the upstream forget the items of the answers before.
    pub(in crate::events) fn acknowledges(&self) -> bool {
        !matches!(self, Asking::Every(..))
    }
}

/// What of a feed that is asked again and again outlives a failure.
#[derive(Clone, Debug, Default)]
pub(in crate::events) struct Asked {
    /// When to ask again, at the earliest.
    next_at: Option<Instant>,
    /// What the last answer said of itself, to be asked whether it has changed.
    validators: Vec<(&'static str, String)>,
    /// Whether the newest item comes first, as far as that is known.
    is_newest_first: Option<bool>,
    /// What the items of the page before are known by.
    page: Vec<ByteString>,
    /// The cursor to ask with next.
    cursor: ByteString,
}

impl Asked {
    /// For a feed that goes on with this cursor.
    pub(in crate::events) fn after(cursor: ByteString) -> Self {
        Asked {
            cursor,
            ..Asked::default()
        }
    }
}

/// A feed that is asked again and again.
pub(in crate::events) struct PollFeed {
    pub(in crate::events) http: Arc<Session>,
    pub(in crate::events) call: Call,
    pub(in crate::events) asking: Asking,
    pub(in crate::events) resume_as: Option<ResumeAs>,
    /// Where the items are in an answer; by default it is one, or an array of them.
    pub(in crate::events) items_at: Option<Pointer>,
    pub(in crate::events) max_item: usize,
}

impl PollFeed {
    /// Asks when it is time to, and adds what the answer holds, the oldest first.
    pub(super) async fn hear(
        &mut self,
        asked: &mut Asked,
        arrivals: &mut Vec<Arrival>,
    ) -> Result<(), Over> {
        if let Some(time) = asked.next_at {
            sleep_until(time).await;
        }
        let begin = Instant::now();
        let call = self.http.clean(self.next_call(asked))?;
        let answer = match self.http.send_any(&call).await? {
            Reply::Success(answer) => *answer,
            Reply::Refusal(refusal) if refusal.status == StatusCode::NOT_MODIFIED => {
                asked.next_at = self.next_at(begin, &refusal.headers, false);
                return Ok(());
            }
            Reply::Refusal(refusal) => return Err(refusal.into_error().into()),
        };
        let headers = answer.headers.clone();
        let page = Page::read(answer, self.items_at.as_ref(), self.max_item).await?;
        let has_items = !page.items.is_empty();
        match &self.asking {
            Asking::Every(_, id) => add_page(page, id.as_ref(), asked, arrivals)?,
            Asking::Cursor(pointer) => {
                let next = cursor(&page, pointer)?;
                add_answer(page, next, asked, arrivals)?;
            }
            Asking::Validators => add_answer(page, joined(&headers), asked, arrivals)?,
            Asking::Position(pointer) => add_items(page, pointer, asked, arrivals)?,
        }
        asked.validators = validators(&headers);
        asked.next_at = self.next_at(begin, &headers, has_items);
        Ok(())
    }

    fn next_call(&self, asked: &Asked) -> Call {
        let mut call = self.call.clone();
        match &self.asking {
            Asking::Every(..) => {
                for (name, value) in &asked.validators {
                    call.fields.insert((*name).to_owned(), value.clone());
                }
            }
            _ if asked.cursor.is_empty() => {}
            Asking::Validators => {
                let (tag, time) = asked.cursor.split_once(' ').unwrap_or_default();
                for (name, value) in [("if-none-match", tag), ("if-modified-since", time)] {
                    if !value.is_empty() {
                        call.fields.insert(name.to_owned(), value.to_owned());
                    }
                }
            }
            Asking::Cursor(_) | Asking::Position(_) => {
                if let Some(resume_as) = &self.resume_as {
                    resume_as.put(&mut call, &asked.cursor);
                }
            }
        }
        call
    }

    /// When the next request may be sent; none if that is at once.
    fn next_at(&self, begin: Instant, headers: &HeaderMap, has_items: bool) -> Option<Instant> {
        let Asking::Every(interval, _) = &self.asking else {
            return (!has_items).then(|| begin + SHORTEST);
        };
        let stated = headers
            .get(POLL_INTERVAL)
            .and_then(|value| value.to_str().ok());
        let stated = stated
            .and_then(|seconds| seconds.trim().parse().ok())
            .map(Duration::from_secs);
        Some(begin + stated.unwrap_or_default().min(LONGEST).max(*interval))
    }
}

/// An answer, read to its end.
struct Page {
    items: Vec<Bytes>,
    document: Bytes,
}

impl Page {
    async fn read(
        mut answer: Answer,
        items_at: Option<&Pointer>,
        max_bytes: usize,
    ) -> Result<Self, Error> {
        let request = answer.call.redacted();
        let mut document = Vec::new();
        while let Some(chunk) = answer.body.chunk().await? {
            document.extend_from_slice(&chunk);
            if document.len() > max_bytes {
                return Err(Error::new(
                    Kind::TooLarge,
                    format!("an answer is over the limit of {max_bytes} bytes"),
                )
                .at_request(request));
            }
        }
        let document = Bytes::from(document);
        let items = items(&document, items_at, max_bytes);
        let items = items.map_err(|error| error.at_request(request))?;
        Ok(Page { items, document })
    }
}

/// The items of a document: the elements of an array, or all of it.
fn items(
    document: &Bytes,
    items_at: Option<&Pointer>,
    max_bytes: usize,
) -> Result<Vec<Bytes>, Error> {
    let text = document.trim_ascii();
    let place = match (items_at, text.first()) {
        (_, None) => return Ok(Vec::new()),
        (Some(pointer), _) => pointer.clone(),
        (None, Some(b'[')) => Pointer::default(),
        (None, Some(_)) => {
            return match serde_json::from_slice::<serde::de::IgnoredAny>(text) {
                Ok(_) => Ok(vec![document.slice_ref(text)]),
                Err(error) => Err(Error::content(format!("not JSON: {error}")).with_source(error)),
            };
        }
    };
    let mut splitter = Splitter::new(Place::At(place), Check::Valid, max_bytes);
    splitter.push(document.clone());
    let mut items = Vec::new();
    while let Some(item) = splitter.next()? {
        items.push(item);
    }
    if let End::Late(_, rest) = splitter.end()? {
        items.push(rest);
    }
    Ok(items)
}

/// Adds the items of a page that is asked for every so often: the oldest first, each with
/// what it is known again by as its position.
fn add_page(
    page: Page,
    id: Option<&Pointer>,
    asked: &mut Asked,
    arrivals: &mut Vec<Arrival>,
) -> Result<(), Error> {
    let mut found = Vec::with_capacity(page.items.len());
    for item in page.items {
        let data = text(item)?;
        let id = match id {
            Some(pointer) => value_at(pointer, &data)?,
            None => ByteString::new(),
        };
        let known_by = if id.is_empty() {
            data.clone()
        } else {
            id.clone()
        };
        found.push(Arrival {
            name: ByteString::from_static("message"),
            id,
            data,
            position: known_by,
        });
    }
    if is_newest_first(&found, &asked.page).or(asked.is_newest_first) == Some(true) {
        asked.is_newest_first = Some(true);
        found.reverse();
    }
    asked.page = found
        .iter()
        .map(|arrival| arrival.position.clone())
        .collect();
    arrivals.append(&mut found);
    Ok(())
}

/// Whether the newest item comes first: by where those are that a page before had, or else by
/// ids that are numbers. None where nothing tells.
fn is_newest_first(page: &[Arrival], before: &[ByteString]) -> Option<bool> {
    let (first, last) = (page.first()?, page.last()?);
    let is_known = |arrival: &Arrival| before.contains(&arrival.position);
    match (is_known(first), is_known(last)) {
        (false, true) => return Some(true),
        (true, false) => return Some(false),
        _ => {}
    }
    let number = |arrival: &Arrival| arrival.id.parse::<u64>().ok();
    let (first, last) = (number(first)?, number(last)?);
    (first != last).then_some(first > last)
}

/// Adds the items of an answer: the last one stands where the cursor of the answer is, and
/// those before it after the one of the answer before.
fn add_answer(
    page: Page,
    next: ByteString,
    asked: &mut Asked,
    arrivals: &mut Vec<Arrival>,
) -> Result<(), Error> {
    let last = page.items.len();
    for (number, item) in page.items.into_iter().enumerate() {
        let is_last = number + 1 == last;
        arrivals.push(Arrival {
            name: ByteString::from_static("message"),
            id: next.clone(),
            data: text(item)?,
            position: if is_last && !next.is_empty() {
                next.clone()
            } else {
                asked.cursor.clone()
            },
        });
    }
    if !next.is_empty() {
        asked.cursor = next;
    }
    Ok(())
}

/// The cursor in an answer; empty where there is none.
fn cursor(page: &Page, pointer: &Pointer) -> Result<ByteString, Error> {
    match std::str::from_utf8(&page.document) {
        Ok("") => Ok(ByteString::new()),
        Ok(document) => value_at(pointer, document),
        Err(error) => Err(Error::content(format!("an answer is not UTF-8: {error}"))),
    }
}

/// What an answer says of itself, as a cursor: no tag has a space in it.
fn joined(headers: &HeaderMap) -> ByteString {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match (text(ETAG), text(LAST_MODIFIED)) {
        (None, None) => ByteString::new(),
        (tag, time) => format!("{} {}", tag.unwrap_or_default(), time.unwrap_or_default()).into(),
    }
}

/// Adds the items of an answer, each of which has its position.
fn add_items(
    page: Page,
    pointer: &Pointer,
    asked: &mut Asked,
    arrivals: &mut Vec<Arrival>,
) -> Result<(), Error> {
    for item in page.items {
        let data = text(item)?;
        let position = value_at(pointer, &data)?;
        if position.is_empty() {
            return Err(Error::content(format!(
                "an item has no position at `{pointer}`, after which the next request is to go on"
            )));
        }
        asked.cursor = position.clone();
        arrivals.push(Arrival {
            name: ByteString::from_static("message"),
            id: position.clone(),
            data,
            position,
        });
    }
    Ok(())
}

/// The value at a pointer as a text; empty where there is none.
fn value_at(pointer: &Pointer, document: &str) -> Result<ByteString, Error> {
    let document: Value = serde_json::from_str(document)
        .map_err(|error| Error::content(format!("not JSON: {error}")).with_source(error))?;
    Ok(match pointer.find(&document) {
        None | Some(Value::Null) => ByteString::new(),
        Some(Value::String(text)) => text.as_str().into(),
        Some(value) => value.to_string().into(),
    })
}

fn text(item: Bytes) -> Result<ByteString, Error> {
    ByteString::try_from(item)
        .map_err(|error| Error::content(format!("an item is not UTF-8: {error}")))
}

fn validators(headers: &HeaderMap) -> Vec<(&'static str, String)> {
    let names = [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)];
    let found = names.iter().filter_map(|(from, to)| {
        let value = headers.get(from)?.to_str().ok()?;
        let name = if *to == IF_NONE_MATCH {
            "if-none-match"
        } else {
            "if-modified-since"
        };
        Some((name, value.to_owned()))
    });
    found.collect()
}
