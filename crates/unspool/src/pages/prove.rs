//! Which of several ways to the next page is the right one: the one whose next page
//! is another page.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::account::{Doubt, Ended, Try};
use super::fetch::PageFetcher;
use super::kinds::{Candidate, Kind, Next, PageEnd, Trust, evidence};
use super::page::PageReader;
use super::progress::Walk;
use crate::error::{Error, Kind as ErrorKind};
use crate::http::{Attempts, Call, CleanCall};

/// What came of the candidates.
pub(super) enum Proof {
    /// This kind leads on, to this page.
    Kind(Box<dyn Kind>, CleanCall, Box<PageReader>),
    /// This kind says that there is no further page.
    End(Box<dyn Kind>, Next),
    /// None leads on.
    None(Next),
}

/// What one candidate's next page shows.
enum Verdict {
    Proved(CleanCall, Box<PageReader>, &'static str),
    End(Next),
    /// It leads back to the first page.
    Same,
    /// It leads somewhere, but not to what follows.
    Unclear(String),
    Refused(String),
}

/// What finding out may cost.
struct Budget {
    requests: u32,
    until: Instant,
    bytes: u64,
}

/// The most requests for guesses: the likeliest names of a parameter, and controls.
const REQUESTS: u32 = 40;

/// The longest time for all of them.
const TIME: Duration = Duration::from_secs(60);

/// The most bytes that their answers may have: a page is read up to its first item.
const BYTES: u64 = 32 << 20;

/// How often all guesses together are tried again where they fail in a way that may
/// pass. A guess that is wrong may well fail each time.
const RETRIES: u32 = 2;

/// Tries one candidate after the other.
pub(super) async fn prove(
    fetcher: &Arc<PageFetcher>,
    page: &PageEnd,
    walk: &Walk,
    candidates: Vec<Candidate>,
) -> Result<Proof, Error> {
    let mut prover = Prover::new(fetcher, page, walk);
    let mut findings = Findings::default();
    for mut candidate in candidates {
        if candidate.trust != Trust::Stated
            && let Some(spent) = prover.spent()
        {
            findings.spent = Some(spent);
            break;
        }
        let verdict = prover.attempt(&mut candidate).await?;
        let note = |verdict: &str| {
            walk.trail().tried(Try {
                paginate: candidate.kind.describe(),
                evidence: candidate.evidence.clone(),
                verdict: verdict.to_owned(),
            });
        };
        match verdict {
            Verdict::Proved(call, read, how) => {
                note(&format!("proved: {how}"));
                return Ok(Proof::Kind(candidate.kind, call, read));
            }
            Verdict::End(next) => match evidence::says_more(page) {
                None => {
                    note("says that there is no further page");
                    return Ok(Proof::End(candidate.kind, next));
                }
                Some(doubt) => {
                    note(&format!("says that there is no further page, but: {doubt}"));
                    findings
                        .fallback
                        .get_or_insert((candidate.kind, next, doubt));
                }
            },
            Verdict::Same => {
                note("gives the first page again");
                findings.is_ignored |= candidate.trust == Trust::Tried;
                if candidate.trust == Trust::Stated {
                    let paginate = || candidate.kind.describe();
                    findings.looped.get_or_insert_with(paginate);
                }
            }
            Verdict::Unclear(what) => {
                note(&what);
                let said = || format!("{}: {what}", candidate.kind.describe());
                findings.unclear.get_or_insert_with(said);
            }
            Verdict::Refused(what) => note(&what),
        }
    }
    findings.conclude(page)
}

/// What is known once no candidate has proved itself.
#[derive(Default)]
struct Findings {
    fallback: Option<(Box<dyn Kind>, Next, Doubt)>,
    looped: Option<String>,
    unclear: Option<String>,
    /// Whether a parameter that was only tried did nothing.
    is_ignored: bool,
    /// Why not all have been tried.
    spent: Option<String>,
}

impl Findings {
    fn conclude(self, page: &PageEnd) -> Result<Proof, Error> {
        if let Some((kind, next, doubt)) = self.fallback {
            let next = match next {
                Next::End(ended) => Next::Doubtful(ended, doubt),
                next => next,
            };
            return Ok(Proof::End(kind, next));
        }
        if let Some(paginate) = self.looped {
            return Err(Error::new(
                ErrorKind::Looped,
                format!("the next page by `{paginate}` is the same request as page 1: the upstream leads in a circle"),
            )
            .at_request(page.call.redacted()));
        }
        let is_full = self.is_ignored && !evidence::may_count_itself(page);
        let doubt = evidence::doubt(page)
            .or_else(|| self.unclear.map(Doubt::more_pages))
            .or_else(|| is_full.then(|| evidence::full_page(page)).flatten());
        let doubt = match (doubt, self.spent) {
            (Some(Doubt::MorePages { evidence }), Some(spent)) => {
                Some(Doubt::more_pages(format!("{evidence}; {spent}")))
            }
            (None, Some(spent)) => Some(Doubt::more_pages(spent)),
            (doubt, _) => doubt,
        };
        Ok(Proof::None(match doubt {
            None if page.is_left_out => Next::End(Ended::ListLeftOut),
            None => Next::End(Ended::OnlyPage),
            Some(doubt) => Next::Doubtful(Ended::OnlyPage, doubt),
        }))
    }
}

struct Prover<'p> {
    fetcher: &'p Arc<PageFetcher>,
    page: &'p PageEnd,
    /// The same page as one that states no total, once there was need of it.
    uncounted: Option<PageEnd>,
    walk: &'p Walk,
    budget: Budget,
    retries: u32,
    attempts: Attempts,
}

impl<'p> Prover<'p> {
    fn new(fetcher: &'p Arc<PageFetcher>, page: &'p PageEnd, walk: &'p Walk) -> Self {
        Prover {
            fetcher,
            page,
            uncounted: None,
            walk,
            budget: Budget {
                requests: REQUESTS,
                until: Instant::now() + TIME,
                bytes: walk.meter.counts().bytes.saturating_add(BYTES),
            },
            retries: RETRIES,
            attempts: fetcher.http.attempts(),
        }
    }

    /// Which part of the budget is spent.
    fn spent(&self) -> Option<String> {
        let what = if self.budget.requests == 0 {
            format!("{REQUESTS} requests")
        } else if Instant::now() >= self.budget.until {
            format!("{} s", TIME.as_secs())
        } else if self.walk.meter.counts().bytes >= self.budget.bytes {
            format!("{} MiB", BYTES >> 20)
        } else {
            return None;
        };
        Some(format!("the search for the next page stopped after {what}"))
    }

    async fn attempt(&mut self, candidate: &mut Candidate) -> Result<Verdict, Error> {
        let may_count_itself =
            candidate.trust == Trust::Tried && evidence::may_count_itself(self.page);
        let page = if may_count_itself {
            self.uncounted.get_or_insert_with(|| uncounted(self.page))
        } else {
            self.page
        };
        let call = match candidate.kind.after(page) {
            Ok(Next::Call(call)) => match self.fetcher.http.clean(call) {
                Ok(call) => call,
                Err(error) if candidate.trust == Trust::Stated => {
                    return Err(error.with_start("the next page"));
                }
                Err(error) => return Ok(Verdict::Refused(error.message().to_owned())),
            },
            Ok(next) => return Ok(Verdict::End(next)),
            Err(error) if candidate.trust == Trust::Stated => return Err(error),
            Err(error) => return Ok(Verdict::Refused(error.message().to_owned())),
        };
        if self.walk.trail().is_here(call.call()) {
            return Ok(Verdict::Same);
        }
        let read = match self.open(&call, candidate.trust).await? {
            Opened::Page(read) => read,
            Opened::Refused(refused) => return Ok(Verdict::Refused(refused)),
            Opened::Failed(failed) => return Ok(Verdict::Unclear(failed)),
        };
        match read.first_mark() {
            // Where the upstream itself names the page, all its items are compared later;
            // some repeat what is pinned on top of each.
            _ if candidate.trust == Trust::Stated => {}
            None => {
                let control = candidate.kind.counterproof();
                return self.empty(candidate.trust, control, call, read).await;
            }
            Some(mark) => {
                if let Some(verdict) = self.compare(candidate, &read, mark) {
                    return Ok(verdict);
                }
            }
        }
        let proved = "the next page holds other items";
        let Some(control) = candidate.control.take() else {
            return Ok(Verdict::Proved(call, read, proved));
        };
        Ok(match self.is_first(&control, candidate.trust).await? {
            Ok(()) => Verdict::Proved(call, read, proved),
            Err(other) => Verdict::Unclear(other),
        })
    }

    /// What the first item of the next page says against it.
    fn compare(&self, candidate: &Candidate, read: &PageReader, mark: u64) -> Option<Verdict> {
        let is_first = |item| self.walk.trail().is_first_by_identity(item);
        if self.walk.trail().is_first(mark) || read.first().is_some_and(|item| is_first(item)) {
            return Some(Verdict::Same);
        }
        let may_repeat = candidate.is_named || candidate.kind.overlaps();
        (self.walk.trail().knows(mark) && !may_repeat)
            .then(|| Verdict::Unclear("its next page begins with an item of the first".to_owned()))
    }

    /// An empty page proves nothing: there are servers that take a parameter that they do
    /// not know for a filter, and find nothing. Another value in the same place tells.
    async fn empty(
        &mut self,
        trust: Trust,
        control: Option<Call>,
        call: CleanCall,
        read: Box<PageReader>,
    ) -> Result<Verdict, Error> {
        let refused = || Ok(Verdict::Refused("its next page is empty".to_owned()));
        let Some(control) = control else {
            return refused();
        };
        let how = "the next page is empty, and another value in its place is not";
        match trust {
            // There should be more, and here it is not.
            Trust::Guessed if evidence::says_more(self.page).is_some() => refused(),
            // The caller's own request has the name, and the number of the first page.
            Trust::Guessed | Trust::Tried if self.walk.trail().is_here(&control) => {
                Ok(Verdict::Proved(call, read, how))
            }
            Trust::Guessed | Trust::Tried => Ok(match self.is_first(&control, trust).await? {
                Ok(()) => Verdict::Proved(call, read, how),
                Err(other) => Verdict::Unclear(format!("its next page is empty, and {other}")),
            }),
            _ => Ok(
                match self.open(&self.fetcher.http.clean(control)?, trust).await? {
                    Opened::Page(other) if other.first().is_none() => Verdict::Unclear(
                        "its next page is empty, as is that by any other value: the parameter may \
                     be taken for a filter"
                            .to_owned(),
                    ),
                    Opened::Page(_) | Opened::Refused(_) => Verdict::Proved(call, read, how),
                    Opened::Failed(failed) => Verdict::Unclear(failed),
                },
            ),
        }
    }

    /// Whether a call gives the first page again, or else what it gives.
    async fn is_first(&mut self, call: &Call, trust: Trust) -> Result<Result<(), String>, Error> {
        let call = self.fetcher.http.clean(call.clone())?;
        let opened = self.open(&call, trust).await?;
        Ok(match opened {
            Opened::Page(read)
                if read
                    .first_mark()
                    .is_some_and(|mark| self.walk.trail().is_first(mark)) =>
            {
                Ok(())
            }
            Opened::Page(_) => Err("the page that ought to be the first is another one".to_owned()),
            Opened::Refused(what) | Opened::Failed(what) => {
                Err(format!("the page that ought to be the first: {what}"))
            }
        })
    }

    /// Opens a page that may not exist; where it was only guessed, a refusal is an answer.
    /// Guesses get no tries of their own, except as long as the upstream asks for a wait.
    async fn open(&mut self, call: &CleanCall, trust: Trust) -> Result<Opened, Error> {
        let fetcher = || Arc::clone(self.fetcher);
        if trust == Trust::Stated {
            return PageReader::open(fetcher(), call.clone())
                .await
                .map(|read| Opened::Page(Box::new(read)));
        }
        loop {
            self.budget.requests = self.budget.requests.saturating_sub(1);
            let error = match PageReader::open_once(fetcher(), call.clone()).await {
                Ok(read) => return Ok(Opened::Page(Box::new(read))),
                Err(error) => error,
            };
            match error.status() {
                Some(429) => {}
                Some(401 | 403) => return Err(error),
                Some(status) if status < 500 => {
                    return Ok(Opened::Refused(format!("answered {status}")));
                }
                None if !error.is_retryable() => {
                    return Ok(Opened::Refused(error.message().to_owned()));
                }
                _ if self.retries == 0 || trust != Trust::Token || self.spent().is_some() => {
                    return failed(error, trust);
                }
                _ => self.retries -= 1,
            }
            let is_asked_to_wait = error.status() == Some(429);
            if let Err(error) = self.attempts.after(error).await {
                return if is_asked_to_wait {
                    Err(error)
                } else {
                    failed(error, trust)
                };
            }
        }
    }
}

/// Whether what a page states is the total is what the next page is to show.
fn uncounted(page: &PageEnd) -> PageEnd {
    let mut page = page.clone();
    page.stated.items = None;
    page
}

enum Opened {
    Page(Box<PageReader>),
    /// The upstream does not want this call.
    Refused(String),
    /// It may want it at another time.
    Failed(String),
}

/// What a failure comes to that is not tried again: where the upstream cannot be reached
/// with what it gave itself, it cannot be walked over.
fn failed(error: Error, trust: Trust) -> Result<Opened, Error> {
    match error.status() {
        Some(status) => Ok(Opened::Failed(format!("answered {status}"))),
        None if trust == Trust::Token => Err(error),
        None => Ok(Opened::Failed(error.message().to_owned())),
    }
}
