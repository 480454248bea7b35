//! One answer: a request, and the items of its body while it arrives.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap};

use super::ahead::Share;
use crate::error::{Error, Kind};
use crate::http::{Body, Call, CleanCall, Session, most_filler};
use crate::json::{Check, End, Envelope, Place, Pointer};
use crate::split::Splitter;

/// What all requests of a walk have in common.
#[derive(Clone)]
pub(super) struct PageFetcher {
    pub(super) http: Arc<Session>,
    pub(super) place: Place,
    pub(super) check: Check,
    pub(super) max_item: usize,
    /// What a page that is read ahead may hold.
    pub(super) share: Option<Share>,
}

/// An answer that is being read.
pub(super) struct PageBody {
    pub(super) call: Call,
    pub(super) headers: HeaderMap,
    pub(super) is_partial: bool,
    pub(super) ends_with_connection: bool,
    body: Body,
    splitter: Splitter,
    place: Place,
    check: Check,
    max_item: usize,
    envelope: Option<Envelope>,
    /// The item that came first, which was read to see that items come at all.
    first: Option<Bytes>,
    share: Option<Share>,
    /// How many bytes of the body have come.
    received: usize,
}

impl PageFetcher {
    /// Asks for a page and reads up to its first item, or to its end if it has
    /// none: until then nothing has been handed out, and all can be tried again.
    pub(super) async fn open(&self, call: &CleanCall) -> Result<PageBody, Error> {
        let mut answer = self.http.send(call).await?;
        answer.body.wants("item", most_filler(self.max_item));
        if answer.status == StatusCode::NO_CONTENT {
            let what = "answered 204 No Content: there is no page";
            return Err(Error::new(Kind::Status(204), what).at_request(call.redacted()));
        }
        let splitter = Splitter::new(self.place.clone(), self.check, self.max_item);
        let mut reading = PageBody {
            call: answer.call.into_call(),
            splitter: splitter.said_to_be(content_type(&answer.headers)),
            headers: answer.headers,
            is_partial: answer.status == StatusCode::PARTIAL_CONTENT,
            ends_with_connection: answer.ends_with_connection,
            body: answer.body,
            place: self.place.clone(),
            check: self.check,
            max_item: self.max_item,
            envelope: None,
            first: None,
            share: self.share.clone(),
            received: 0,
        };
        reading.first = reading.next_item().await?;
        Ok(reading)
    }
}

impl PageBody {
    /// The next item, as soon as its last byte has come; none at the proven end.
    pub(super) async fn next_item(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        match self.read_item().await {
            Ok(item) => Ok(item),
            Err(error) => Err(self.in_context(error)),
        }
    }

    /// The next item, if it has arrived already.
    pub(super) fn arrived(&mut self) -> Result<Option<Bytes>, Error> {
        if self.first.is_some() {
            return Ok(self.first.take());
        }
        self.splitter.next().map_err(|error| self.in_context(error))
    }

    /// The error for the item that came last: it does not parse as it should.
    pub(super) fn unfit(&self, item: &[u8], error: serde_json::Error) -> Error {
        self.in_context(self.splitter.unfit(item, error))
    }

    /// The first item, before it is taken.
    pub(super) fn first(&self) -> Option<&Bytes> {
        self.first.as_ref()
    }

    /// What surrounded the items; there once `next_item` has come to the end.
    pub(super) fn take_envelope(&mut self) -> Envelope {
        self.envelope.take().unwrap_or_default()
    }

    async fn read_item(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(item) = self.splitter.next()? {
                self.body.brought();
                return Ok(Some(item));
            }
            if self.envelope.is_some() {
                return Ok(None);
            }
            if let Some(share) = &mut self.share {
                share.room_for(self.received).await;
            }
            match self.body.chunk().await? {
                Some(chunk) => {
                    self.received = self.received.saturating_add(chunk.len());
                    self.splitter.push(chunk);
                }
                None => {
                    if let Some(share) = &mut self.share {
                        let around = self.splitter.around();
                        share.room_for_tree(self.received, around).await;
                    }
                    self.end()?;
                }
            }
        }
    }

    /// The body is over: proves that the document is, too.
    fn end(&mut self) -> Result<(), Error> {
        match self.splitter.end()? {
            End::Whole(envelope) => self.envelope = Some(envelope),
            End::Late(envelope, items) => {
                self.envelope = Some(envelope);
                let root = self.place.at(Pointer::default());
                self.splitter = Splitter::new(root, self.check, self.max_item);
                self.splitter.push(items);
            }
        }
        Ok(())
    }

    /// Names the request; where the body is not JSON, also what it says it is.
    fn in_context(&self, error: Error) -> Error {
        let error = match content_type(&self.headers) {
            Some(content_type) if !content_type.contains("json") => {
                let note = format!("the answer says that it is `{content_type}`");
                error.with_note(note).with_media_type(content_type)
            }
            _ => error,
        };
        error.at_request(self.call.redacted())
    }
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()
}
