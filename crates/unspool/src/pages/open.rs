//! One page: a request, and the items of its body while it arrives.

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use url::Url;

use crate::error::Error;
use crate::http::{Body, Call, Http};
use crate::json::{Check, End, Envelope, Place, Pointer, Splitter};

/// A page that is being read.
pub(super) struct Page {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    body: Body,
    splitter: Splitter,
    check: Check,
    max_item: usize,
    envelope: Option<Envelope>,
    /// The item that came first, which was read to see that items come at all.
    first: Option<Bytes>,
}

impl Page {
    /// Asks for a page and reads up to its first item, or to its end if it has
    /// none: until then nothing has been handed out, and all can be tried again.
    pub(super) async fn open(
        http: &Http,
        url: &Url,
        place: &Place,
        check: Check,
        max_item: usize,
    ) -> Result<Self, Error> {
        let answer = http.send(&Call::get(url.clone())).await?;
        let mut page = Page {
            url: answer.call.url,
            headers: answer.headers,
            body: answer.body,
            splitter: Splitter::new(place.clone(), check, max_item),
            check,
            max_item,
            envelope: None,
            first: None,
        };
        page.first = page.next_item().await?;
        Ok(page)
    }

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

    /// The error for the item that came last: it does not parse as it should.
    pub(super) fn unfit(&self, item: &[u8], error: serde_json::Error) -> Error {
        self.in_context(self.splitter.unfit(item, error))
    }

    /// How many items have come.
    pub(super) fn items(&self) -> u64 {
        self.splitter.count()
    }

    /// What surrounded the items; there once `next_item` has come to the end.
    pub(super) fn take_envelope(&mut self) -> Envelope {
        self.envelope.take().unwrap_or_default()
    }

    async fn read_item(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(item) = self.splitter.next()? {
                return Ok(Some(item));
            }
            if self.envelope.is_some() {
                return Ok(None);
            }
            match self.body.chunk().await? {
                Some(chunk) => self.splitter.push(chunk),
                None => self.end()?,
            }
        }
    }

    /// The body is over: proves that the document is, too.
    fn end(&mut self) -> Result<(), Error> {
        match self.splitter.end()? {
            End::Whole(envelope) => self.envelope = Some(envelope),
            End::Late(envelope, items) => {
                self.envelope = Some(envelope);
                let root = Place::At(Pointer::default());
                self.splitter = Splitter::new(root, self.check, self.max_item);
                self.splitter.push(items);
            }
        }
        Ok(())
    }

    /// Names the request; where the body is not JSON, also what it says it is.
    fn in_context(&self, error: Error) -> Error {
        let content_type = self
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let error = match content_type {
            Some(content_type) if !content_type.contains("json") => {
                error.with_note(format!("the answer says that it is `{content_type}`"))
            }
            _ => error,
        };
        error.at_request(Call::get(self.url.clone()).shown())
    }
}
