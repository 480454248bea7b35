//! Which of several ways to the next page is the right one: the one whose next page
//! is another page.

use std::sync::Arc;

use super::account::{Doubt, Ended, Try};
use super::fetch::PageFetcher;
use super::kinds::{Candidate, Kind, Next, PageEnd, Trust, evidence};
use super::page::PageReader;
use super::trail::Trail;
use crate::error::{Error, Kind as ErrorKind};
use crate::http::Call;

/// What came of the candidates.
pub(super) enum Proof {
    /// This kind leads on, to this page.
    Kind(Box<dyn Kind>, Call, Box<PageReader>),
    /// This kind says that there is no further page.
    End(Box<dyn Kind>, Next),
    /// None leads on.
    None(Next),
}

/// What one candidate's next page shows.
enum Verdict {
    Proved(Call, Box<PageReader>),
    End(Next),
    /// It leads back to the first page.
    Same,
    /// It leads somewhere, but not to what follows.
    Unclear(String),
    Refused(String),
}

/// Tries one candidate after the other.
pub(super) async fn prove(
    fetcher: &Arc<PageFetcher>,
    page: &PageEnd,
    trail: &Trail,
    candidates: Vec<Candidate>,
) -> Result<Proof, Error> {
    let mut looped = None;
    let mut unclear = None;
    let own_count = evidence::may_count_itself(page);
    let mut is_ignored = false;
    let mut fallback = None;
    for mut candidate in candidates {
        let verdict = attempt(fetcher, page, trail, &mut candidate).await?;
        let note = |verdict: &str| {
            trail.tried(Try {
                paginate: candidate.kind.describe(),
                evidence: candidate.evidence.clone(),
                verdict: verdict.to_owned(),
            });
        };
        match verdict {
            Verdict::Proved(call, read) => {
                note("proved: the next page holds other items");
                return Ok(Proof::Kind(candidate.kind, call, read));
            }
            Verdict::End(next) => match evidence::says_more(page) {
                None => {
                    note("says that there is no further page");
                    return Ok(Proof::End(candidate.kind, next));
                }
                Some(doubt) => {
                    note(&format!("says that there is no further page, but: {doubt}"));
                    fallback.get_or_insert((candidate.kind, next, doubt));
                }
            },
            Verdict::Same => {
                note("gives the first page again");
                is_ignored |= candidate.trust == Trust::Tried;
                if candidate.trust == Trust::Stated {
                    looped = looped.or(Some(candidate.kind.describe()));
                }
            }
            Verdict::Unclear(what) => {
                note(&what);
                unclear =
                    unclear.or_else(|| Some(format!("{}: {what}", candidate.kind.describe())));
            }
            Verdict::Refused(what) => note(&what),
        }
    }
    if let Some((kind, next, doubt)) = fallback {
        let next = match next {
            Next::End(ended) => Next::Doubtful(ended, doubt),
            next => next,
        };
        return Ok(Proof::End(kind, next));
    }
    if let Some(paginate) = looped {
        return Err(Error::new(
            ErrorKind::Looped,
            format!("the next page by `{paginate}` is the same request as page 1: the upstream leads in a circle"),
        )
        .at_request(page.call.redacted()));
    }
    let doubt = evidence::doubt(page)
        .or_else(|| unclear.map(Doubt::more_pages))
        .or_else(|| {
            (is_ignored && !own_count)
                .then(|| evidence::full_page(page))
                .flatten()
        });
    Ok(Proof::None(match doubt {
        None => Next::End(Ended::OnlyPage),
        Some(doubt) => Next::Doubtful(Ended::OnlyPage, doubt),
    }))
}

async fn attempt(
    fetcher: &Arc<PageFetcher>,
    page: &PageEnd,
    trail: &Trail,
    candidate: &mut Candidate,
) -> Result<Verdict, Error> {
    // Whether what it states is the total is what the next page is to show.
    let mut page = page.clone();
    if evidence::may_count_itself(&page) && candidate.trust == Trust::Tried {
        page.stated.items = None;
    }
    let call = match candidate.kind.after(&page) {
        Ok(Next::Call(call)) => call,
        Ok(next) => return Ok(Verdict::End(next)),
        Err(error) if candidate.trust == Trust::Stated => return Err(error),
        Err(error) => return Ok(Verdict::Refused(error.message().to_owned())),
    };
    if trail.is_here(&call) {
        return Ok(Verdict::Same);
    }
    let read = match open(fetcher, &call, candidate.trust).await? {
        Ok(read) => read,
        Err(refused) => return Ok(Verdict::Refused(refused)),
    };
    match read.first_mark() {
        // Where the upstream itself names the page, all its items are compared later;
        // some repeat what is pinned on top of each.
        _ if candidate.trust == Trust::Stated => {}
        Some(mark) if trail.is_first(mark) => return Ok(Verdict::Same),
        Some(_)
            if read
                .first()
                .is_some_and(|item| trail.is_first_by_identity(item)) =>
        {
            return Ok(Verdict::Same);
        }
        Some(mark) if trail.knows(mark) && !candidate.is_named && !candidate.kind.overlaps() => {
            let what = "its next page begins with an item of the first";
            return Ok(Verdict::Unclear(what.to_owned()));
        }
        None if matches!(candidate.trust, Trust::Guessed | Trust::Tried) => {
            return Ok(Verdict::Refused("its next page is empty".to_owned()));
        }
        _ => {}
    }
    let Some(control) = candidate.control.take() else {
        return Ok(Verdict::Proved(call, Box::new(read)));
    };
    let first = open(fetcher, &control, candidate.trust).await?;
    match first.map(|first| first.first_mark()) {
        Ok(Some(mark)) if trail.is_first(mark) => Ok(Verdict::Proved(call, Box::new(read))),
        Ok(_) => Ok(Verdict::Unclear(
            "the page that ought to be the first is another one".to_owned(),
        )),
        Err(refused) => Ok(Verdict::Unclear(format!(
            "the page that ought to be the first: {refused}"
        ))),
    }
}

/// Opens a page that may not exist; where it was only guessed, a refusal is an answer.
async fn open(
    fetcher: &Arc<PageFetcher>,
    call: &Call,
    trust: Trust,
) -> Result<Result<PageReader, String>, Error> {
    match PageReader::open(Arc::clone(fetcher), call.clone()).await {
        Ok(read) => Ok(Ok(read)),
        Err(error) if trust == Trust::Stated => Err(error),
        Err(error) => match error.status() {
            Some(401 | 403 | 429) => Err(error),
            Some(status) => Ok(Err(format!("answered {status}"))),
            None if error.is_retryable() => Err(error),
            None => Ok(Err(error.message().to_owned())),
        },
    }
}
