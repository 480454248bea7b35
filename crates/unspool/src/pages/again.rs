//! A page that says of itself that it is an error, although its status is a success, is
//! asked for again before that is taken for its last word.

use std::sync::Arc;

use reqwest::header::HeaderMap;

use super::ahead::{Opening, Page};
use super::fetch::PageFetcher;
use super::page::{Item, Summary};
use super::progress::Walk;
use crate::error::{Error, ErrorKind};
use crate::http::{CleanCall, wait_said};
use crate::json::partial;

/// A page up to its first item, or to its end if it has none.
pub(super) struct Opened {
    pub(super) page: Page,
    pub(super) first: Option<Item>,
    /// What it was, if it has no items.
    pub(super) empty: Option<Summary>,
}

impl Opened {
    async fn of(opening: Opening, fetcher: &Arc<PageFetcher>) -> Result<Self, Error> {
        let mut page = opening.page(fetcher).await?;
        let first = page.next_item().await?;
        let empty = if first.is_none() {
            Some(page.whole()?)
        } else {
            None
        };
        Ok(Opened { page, first, empty })
    }
}

/// Opens the page of a call; again where it has no items, and speaks of a failure that may
/// pass.
pub(super) async fn opened(
    opening: Opening,
    fetcher: &Arc<PageFetcher>,
    walk: &Walk,
    call: &CleanCall,
) -> Result<Opened, Error> {
    let mut opened = Opened::of(opening, fetcher).await;
    let mut attempts = fetcher.http.attempts();
    while let Some(failure) = failure(&opened, walk) {
        attempts.after(failure).await?;
        opened = Opened::of(Opening::New(call.clone()), fetcher).await;
    }
    opened
}

/// What a page says in the place of its items, if that may pass.
fn failure(opened: &Result<Opened, Error>, walk: &Walk) -> Option<Error> {
    let trail = walk.trail();
    let (error, wait) = match opened {
        Ok(opened) => {
            let empty = opened.empty.as_ref()?;
            let error = trail.says_failure(empty)?;
            let words = empty.envelope.document.to_string();
            (error, wait_said(&empty.headers, &words))
        }
        Err(error) if error.kind() == ErrorKind::NoItems => {
            let message = format!(
                "answered with something else than a page: {}",
                error.message()
            );
            let wait = wait_said(&HeaderMap::new(), error.message());
            (
                Error::content(message).at_request(error.request_text()?),
                wait,
            )
        }
        Err(_) => return None,
    };
    // The first page can be compared with nothing: what it says has to be plain.
    let may_pass = if trail.pages_read == 0 {
        partial::is_transient(error.message())
    } else {
        !partial::is_final(error.message())
    };
    may_pass.then(|| error.with_retry_after(wait).with_retryable(Some(true)))
}
