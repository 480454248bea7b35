//! A source that has been opened from its description, whichever it is.

use std::pin::Pin;
use std::task::{Context, Poll};

use arrow_array::RecordBatch;
use futures_core::Stream;
use pyo3::PyResult;
use serde::de::DeserializeOwned;
use serde_json::Value;
use unspool::ask::Answer;
use unspool::rows::Rows;
use unspool::sinks::Identity;
use unspool::{
    Account, AnySource, Description, Error, Http, Position, RawItem, Source, SourceKind,
    SourceStream, ask, events, pages, rows,
};

use crate::errors::{raised, wrong};
use crate::runtime;

/// An item, before it is an object.
pub(crate) enum Item {
    Json(RawItem),
    Text(String),
    /// Rows, where they are read as batches.
    Batch(RecordBatch),
}

impl Item {
    /// Its text; a batch has none.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Item::Json(item) => Some(item.as_str()),
            Item::Text(text) => Some(text),
            Item::Batch(_) => None,
        }
    }
}

/// An open source: nothing happens before it is polled.
pub(crate) enum Opened {
    Items(AnySource),
    /// The text of an answer, which is not JSON.
    Text(Box<Answer<String>>),
    /// The rows of a query as Arrow batches, without a text in between.
    Batches(Box<Rows<RecordBatch>>),
}

/// How a description is opened.
#[derive(Clone, Default)]
pub(crate) struct Opening {
    /// After which item.
    pub(crate) position: Option<Position>,
    /// Whether it may end without an error although something speaks against it being complete.
    pub(crate) allows_doubts: bool,
}

impl Opening {
    /// Opens any description as items, which has the name of its source as `source`.
    pub(crate) fn items(self, description: &Value) -> PyResult<AnySource> {
        let http = runtime::http()?;
        let allows_doubts = self.allows_doubts;
        match Described::of(description)? {
            Described::Pages(pages) => {
                let request = pages.request().map_err(raised)?.http(http);
                Ok(boxed(request.resume(self.position).raw(), allows_doubts))
            }
            Described::Events(events) => {
                let request = events.request().map_err(raised)?.http(http);
                let request = self
                    .position
                    .into_iter()
                    .fold(request, events::Request::from);
                Ok(boxed(request.raw(), allows_doubts))
            }
            Described::Rows(rows) => {
                let request = rows.request().map_err(raised)?;
                let request = self.position.into_iter().fold(request, rows::Request::from);
                Ok(boxed(request.raw(), allows_doubts))
            }
            Described::Ask(ask) => self.asked(&ask, http),
        }
    }

    /// Opens a question as what happens in its answer, as items of that, or for each record.
    fn asked(self, ask: &ask::Description, http: &Http) -> PyResult<AnySource> {
        let request = ask.request().map_err(raised)?;
        // A client that is shared has no rate of its own, which records need for themselves.
        let request = if ask.each.is_some() && ask.http.rate.is_some() {
            request
        } else {
            request.http(http)
        };
        if let Some(each) = &ask.each {
            let mut each = each.of(request).map_err(raised)?;
            if self.position.is_some() {
                each = each.resume(self.position);
            }
            return Ok(boxed(each.raw(), self.allows_doubts));
        }
        if self.position.is_some() {
            return Err(wrong("an answer cannot be resumed: ask again"));
        }
        Ok(match &ask.items {
            Some(pointer) => {
                let pointer = pointer.parse().map_err(raised)?;
                boxed(request.raw_items(pointer), self.allows_doubts)
            }
            None => boxed(request.raw_events(), self.allows_doubts),
        })
    }

    /// Opens the description of a query as batches; no other source has its own.
    pub(crate) fn batches(self, description: &Value) -> PyResult<Option<Opened>> {
        let Described::Rows(rows) = Described::of(description)? else {
            return Ok(None);
        };
        let request = rows.request().map_err(raised)?;
        let request = self.position.into_iter().fold(request, rows::Request::from);
        let rows = request.batches();
        Ok(Some(Opened::Batches(Box::new(if self.allows_doubts {
            rows.allow_doubts()
        } else {
            rows
        }))))
    }

    /// Opens the description of a question as the text of its answer, and any other as items.
    pub(crate) fn text(self, description: &Value) -> PyResult<Opened> {
        match Described::of(description)? {
            Described::Ask(ask)
                if ask.items.is_none() && ask.each.is_none() && self.position.is_none() =>
            {
                let request = ask.request().map_err(raised)?.http(runtime::http()?);
                let answer = request.text();
                Ok(Opened::Text(Box::new(if self.allows_doubts {
                    answer.allow_doubts()
                } else {
                    answer
                })))
            }
            _ => self.items(description).map(Opened::Items),
        }
    }
}

/// A description, read as what its source says of itself.
pub(crate) enum Described {
    Pages(Box<pages::Description>),
    Ask(Box<ask::Description>),
    Events(Box<events::Description>),
    Rows(Box<rows::Description>),
}

impl Described {
    pub(crate) fn of(description: &Value) -> PyResult<Self> {
        let Value::Object(mut members) = description.clone() else {
            return Err(wrong("expected the description of a source as an object"));
        };
        let source = members.remove("source").unwrap_or_default();
        let members = Value::Object(members);
        match source.as_str() {
            Some("pages") => read(members).map(Described::Pages),
            Some("ask") => read(members).map(Described::Ask),
            Some("events") => read(members).map(Described::Events),
            Some("rows") => read(members).map(Described::Rows),
            _ => Err(wrong(&format!("there is no source `{source}`"))),
        }
    }

    /// The description as any source's, which can be written down.
    ///
    /// # Errors
    ///
    /// A credential is given as it is, and not by name.
    pub(crate) fn written(&self) -> PyResult<Description> {
        let written = match self {
            Described::Pages(pages) => Description::try_from(&**pages),
            Described::Ask(ask) => Description::try_from(&**ask),
            Described::Events(events) => Description::try_from(&**events),
            Described::Rows(rows) => Description::try_from(&**rows),
        };
        written.map_err(raised)
    }

    /// What makes a run the same as an earlier one, whose target it goes on with.
    pub(crate) fn identity(&self) -> PyResult<Identity> {
        match self {
            Described::Pages(pages) => pages.request().and_then(|request| request.identity()),
            Described::Events(events) => events.request().and_then(|request| request.identity()),
            Described::Rows(rows) => rows.request().map(|request| request.identity()),
            Described::Ask(ask) => Ok(ask.identity()),
        }
        .map_err(raised)
    }
}

fn read<D: DeserializeOwned>(members: Value) -> PyResult<D> {
    serde_json::from_value(members).map_err(|error| wrong(&error.to_string()))
}

fn boxed<K: SourceKind>(source: SourceStream<RawItem, K>, allows_doubts: bool) -> AnySource {
    if allows_doubts {
        Box::pin(source.allow_doubts())
    } else {
        Box::pin(source)
    }
}

impl Opened {
    pub(crate) fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item, Error>>> {
        match self {
            Opened::Items(items) => items
                .as_mut()
                .poll_next(cx)
                .map(|next| next.map(|item| item.map(Item::Json))),
            Opened::Text(answer) => Pin::new(answer)
                .poll_next(cx)
                .map(|next| next.map(|text| text.map(Item::Text))),
            Opened::Batches(rows) => Pin::new(rows)
                .poll_next(cx)
                .map(|next| next.map(|batch| batch.map(Item::Batch))),
        }
    }

    /// Whether an item has arrived: to poll it sends nothing and waits for nothing.
    pub(crate) fn is_ready(&self) -> bool {
        match self {
            Opened::Items(items) => items.is_ready(),
            Opened::Text(answer) => answer.is_ready(),
            Opened::Batches(rows) => rows.is_ready(),
        }
    }

    pub(crate) fn account(&self) -> Account {
        match self {
            Opened::Items(items) => items.account(),
            Opened::Text(answer) => answer.account().erased(),
            Opened::Batches(rows) => rows.account().erased(),
        }
    }

    /// Where it stands after the item that was polled last.
    pub(crate) fn position(&self) -> Option<Position> {
        match self {
            Opened::Items(items) => items.position(),
            Opened::Text(_) => None,
            Opened::Batches(rows) => rows.position(),
        }
    }

    /// What it waits for before its next request, if it does.
    pub(crate) fn waiting(&self) -> Option<String> {
        match self {
            Opened::Items(items) => items.waiting(),
            Opened::Text(answer) => answer.waiting(),
            Opened::Batches(rows) => rows.waiting(),
        }
    }
}
