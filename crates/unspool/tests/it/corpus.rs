//! Detection, against the envelopes of well-known APIs.

use futures_util::StreamExt;
use unspool::Error;
use unspool::pages::{Account, Paginate, RawItem, Request};

use crate::replay::{Outcome, Recording, recordings, serve};
use crate::server::Server;

/// What came of a walk, in words: empty if it is what was expected.
struct Walked {
    items: Vec<RawItem>,
    account: Account,
    error: Option<Error>,
}

async fn walk(request: Request) -> Walked {
    let mut pages = request.raw().allow_doubts();
    let (mut items, mut error) = (Vec::new(), None);
    while let Some(item) = pages.next().await {
        match item {
            Ok(item) => items.push(item),
            Err(failure) => error = Some(failure),
        }
    }
    Walked {
        items,
        account: pages.account(),
        error,
    }
}

fn request(recording: &Recording, server: &Server) -> Request {
    let first = &recording.request;
    let mut request = unspool::pages(server.url(&first.url)).retries(0);
    for (name, value) in &first.headers {
        request = request.header(name.parse().unwrap(), value.parse().unwrap());
    }
    match &first.body {
        Some(body) => request.data(body.clone()),
        None => request,
    }
}

/// The description without the flag that a pinned one may leave out.
fn without_more(paginate: &str) -> &str {
    paginate.split(",more=").next().unwrap_or_default()
}

impl Walked {
    /// What is wrong with it.
    fn faults(&self, recording: &Recording) -> Vec<String> {
        let expected = &recording.expect;
        let mut faults = Vec::new();
        // A circle is one of the ways to be not proved complete.
        if let Some(error) = self.error.as_ref().filter(|error| !error.is_looped()) {
            faults.push(format!("failed: {error}"));
        }
        // An item at the end of one page and the begin of the next is given once where
        // that is the way of the kind.
        let is_all = [expected.items, expected.unique].contains(&self.items.len());
        if !is_all {
            faults.push(format!(
                "{} items, not {}",
                self.items.len(),
                expected.items
            ));
        }
        let outcome = match self.account.complete {
            true => Outcome::Complete,
            false => Outcome::Doubt,
        };
        if outcome != expected.outcome {
            faults.push(format!(
                "{outcome:?}: {:?} {:?}",
                self.account.ended, self.account.doubts
            ));
        }
        faults
    }
}

#[tokio::test]
async fn detection_finds_the_kind_of_every_recorded_api_or_says_that_it_cannot() {
    let mut failures = Vec::new();
    for recording in recordings() {
        let name = recording.name.clone();
        let recording = std::sync::Arc::new(recording);
        let server = serve(std::sync::Arc::clone(&recording));
        let walked = walk(request(&recording, &server)).await;
        let expected = &recording.expect;
        let mut faults = walked.faults(&recording);
        let is_found = (expected.paginate.iter().chain(&expected.also))
            .any(|paginate| without_more(paginate) == without_more(&walked.account.paginate));
        if expected.detect {
            let is_single = expected.paginate.as_deref() == Some("single");
            if expected.paginate.is_some() && !is_found && !is_single {
                faults.push(format!("found `{}`", walked.account.paginate));
            }
        } else if !walked.account.complete || walked.error.is_some() {
            // It says so.
            faults.clear();
        }
        if !faults.is_empty() {
            let tried: Vec<String> = (walked.account.tried.iter())
                .map(|tried| {
                    format!(
                        "    {} ({}): {}",
                        tried.paginate, tried.evidence, tried.verdict
                    )
                })
                .collect();
            failures.push(format!(
                "{name} (`{}`): {}\n{}",
                expected.paginate.as_deref().unwrap_or("none"),
                faults.join("; "),
                tried.join("\n")
            ));
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[tokio::test]
async fn a_pinned_kind_walks_every_recorded_api() {
    let mut failures = Vec::new();
    for recording in recordings() {
        let name = recording.name.clone();
        let recording = std::sync::Arc::new(recording);
        let expected = &recording.expect;
        for paginate in expected.paginate.iter().chain(&expected.also) {
            let server = serve(std::sync::Arc::clone(&recording));
            let paginate: Paginate = match paginate.parse() {
                Ok(paginate) => paginate,
                Err(error) => {
                    failures.push(format!("{name}: {error}"));
                    continue;
                }
            };
            let text = paginate.to_string();
            let request = request(&recording, &server)
                .paginate(paginate)
                .items_at(expected.items_at.parse().unwrap());
            let faults = walk(request).await.faults(&recording);
            if !faults.is_empty() {
                failures.push(format!("{name} (`{text}`): {}", faults.join("; ")));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures\n{}",
        failures.len(),
        failures.join("\n")
    );
}
