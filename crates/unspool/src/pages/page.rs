//! One page: its items in order, once each, although its connection may break.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use tracing::{Instrument, Span};

use super::fetch::{PageBody, PageFetcher};
use super::seen::{Fingerprint, mark_of};
use crate::error::Error;
use crate::http::{Attempts, Call, CleanCall};
use crate::json::Envelope;
use crate::spans;

/// The text of an item, and its mark.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) text: Bytes,
    pub(super) mark: u64,
}

/// What is known of a page once it has been read.
pub(super) struct Summary {
    /// What it answers, redirects included.
    pub(super) call: Call,
    pub(super) headers: HeaderMap,
    pub(super) envelope: Envelope,
    /// Whether the answer says of itself that it is only a part.
    pub(super) is_partial: bool,
    pub(super) ends_with_connection: bool,
    pub(super) items: u64,
    pub(super) last: Option<Item>,
    /// The mark of all items.
    pub(super) mark: u64,
}

/// A page that is read here. Where its body is cut, it is asked for again, and read
/// up to where it was cut; it goes on if that is the same as before.
pub(super) struct PageReader {
    fetcher: Arc<PageFetcher>,
    call: CleanCall,
    pub(super) reading: PageBody,
    attempts: Option<Attempts>,
    /// The items that have been handed out.
    taken: u64,
    fingerprint: Fingerprint,
    last: Option<Item>,
    /// What is wrong with what follows the last item.
    fault: Option<Error>,
    is_whole: bool,
    /// What is told of it.
    span: Span,
}

impl PageReader {
    /// Asks for a page, and again where that may help, up to its first item.
    pub(super) async fn open(fetcher: Arc<PageFetcher>, call: CleanCall) -> Result<Self, Error> {
        let span = spans::page(call.stored());
        let opening = async {
            let mut attempts = fetcher.http.attempts();
            loop {
                match fetcher.open(&call).await {
                    Ok(reading) => return Ok(reading),
                    Err(error) => attempts.after(error).await?,
                }
            }
        };
        let opened = opening.instrument(span.clone()).await;
        PageReader::of(opened, fetcher, call, span)
    }

    /// The same without another try.
    pub(super) async fn open_once(
        fetcher: Arc<PageFetcher>,
        call: CleanCall,
    ) -> Result<Self, Error> {
        let span = spans::page(call.stored());
        let opened = fetcher.open(&call).instrument(span.clone()).await;
        PageReader::of(opened, fetcher, call, span)
    }

    fn of(
        opened: Result<PageBody, Error>,
        fetcher: Arc<PageFetcher>,
        call: CleanCall,
        span: Span,
    ) -> Result<Self, Error> {
        let reading = opened.inspect_err(|error| {
            spans::failed(&span, error, || fetcher.http.secrets());
        })?;
        Ok(PageReader {
            fetcher,
            call,
            reading,
            attempts: None,
            taken: 0,
            fingerprint: Fingerprint::default(),
            last: None,
            fault: None,
            is_whole: false,
            span,
        })
    }

    /// The text of the first item, before it is taken.
    pub(super) fn first(&self) -> Option<&Bytes> {
        self.reading.first()
    }

    /// The mark of the first item, before it is taken.
    pub(super) fn first_mark(&self) -> Option<u64> {
        self.reading.first().map(|text| mark_of(text))
    }

    pub(super) async fn next_item(&mut self) -> Result<Option<Item>, Error> {
        let text = loop {
            let next = match self.fault.take() {
                Some(fault) => Err(fault),
                None => self.reading.next_item().await,
            };
            match next {
                Ok(text) => break text,
                Err(error) if error.is_retryable() => {
                    let span = self.span.clone();
                    self.again(error).instrument(span).await?;
                }
                Err(error) => return Err(error),
            }
        };
        if text.is_none() {
            self.is_whole = true;
            self.tell_end();
        }
        Ok(text.map(|text| self.take(text)))
    }

    /// The next item, if it has arrived already. What is wrong with it is said by
    /// [`next_item`](PageReader::next_item).
    pub(super) fn arrived(&mut self) -> Option<Item> {
        match self.reading.arrived() {
            Ok(text) => text.map(|text| self.take(text)),
            Err(error) => {
                self.fault = Some(error);
                None
            }
        }
    }

    fn take(&mut self, text: Bytes) -> Item {
        let mark = mark_of(&text);
        let item = Item { text, mark };
        self.attempts = None;
        self.taken += 1;
        self.fingerprint.add(mark);
        self.last = Some(item.clone());
        item
    }

    /// Ends its span, if that has not ended.
    fn tell_end(&mut self) {
        let span = std::mem::replace(&mut self.span, Span::none());
        spans::page_read(&span, self.taken, self.is_whole);
    }

    pub(super) fn summary(&mut self) -> Option<Summary> {
        self.is_whole.then(|| Summary {
            call: self.reading.call.clone(),
            headers: self.reading.headers.clone(),
            envelope: self.reading.take_envelope(),
            is_partial: self.reading.is_partial,
            ends_with_connection: self.reading.ends_with_connection,
            items: self.taken,
            last: self.last.take(),
            mark: self.fingerprint.mark(),
        })
    }

    /// Asks for the page again after it was cut, until it is there up to the cut.
    async fn again(&mut self, mut error: Error) -> Result<(), Error> {
        loop {
            let attempts = self
                .attempts
                .get_or_insert_with(|| self.fetcher.http.attempts());
            attempts.after(error).await?;
            match self.reopened().await {
                Ok(Some(reading)) => {
                    self.reading = reading;
                    return Ok(());
                }
                Ok(None) => {
                    return Err(Error::content(format!(
                        "the page was cut after item {}, and is another one now",
                        self.taken
                    ))
                    .into_truncated()
                    .at_request(self.call.redacted()));
                }
                Err(next) => error = next,
            }
        }
    }

    /// The page once more, after the items that were handed out; none if those are
    /// not the same.
    async fn reopened(&self) -> Result<Option<PageBody>, Error> {
        let mut reading = self.fetcher.open(&self.call).await?;
        let mut fingerprint = Fingerprint::default();
        for _ in 0..self.taken {
            match reading.next_item().await? {
                Some(text) => fingerprint.add(mark_of(&text)),
                None => return Ok(None),
            }
        }
        Ok((fingerprint.mark() == self.fingerprint.mark()).then_some(reading))
    }
}

impl Drop for PageReader {
    fn drop(&mut self) {
        self.tell_end();
    }
}
