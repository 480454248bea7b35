//! A live feed that is asked again and again: every so often, and with a cursor. Each answer has
//! one item that is new, and the caller says which one is the last.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use serde_json::json;
use unspool::Verdict;

use super::subject::{Held, How, Opened, SECRET, Serve, Subject, Upstream, boxed, item};
use crate::server::{Reply, Request};

use Form::{Every, Long};

pub(super) const SUBJECTS: &[&dyn Subject] = &[&Feed(Every), &Feed(Long)];

/// The item before which what came before is gone, where that is to be a doubt.
const LOST: usize = 3;

#[derive(Clone, Copy)]
struct Feed(Form);

#[derive(Clone, Copy, Debug)]
enum Form {
    Every,
    Long,
}

impl Subject for Feed {
    fn title(&self) -> String {
        format!("events, {:?}", self.0)
    }

    fn source(&self) -> &'static str {
        "events"
    }

    fn resumes(&self) -> bool {
        true
    }

    fn requests(&self, items: usize) -> usize {
        items
    }

    fn ends(&self) -> Verdict {
        Verdict::Asked
    }

    fn serve(&self, serve: Serve) -> Option<Upstream> {
        let feed = *self;
        // How often it was asked without a cursor.
        let begun = AtomicUsize::new(0);
        // A feed that is busy when it is asked first is an error, and not waited for.
        (!matches!(serve, Serve::Busy)).then(|| {
            Upstream::http(
                move |request, held| match feed.0 {
                    Every => window(request, serve, held),
                    Long => answer(request, serve, held, &begun),
                },
                move |url, how| feed.open(url, serve, &how),
            )
        })
    }
}

impl Feed {
    fn open(self, url: String, serve: Serve, how: &How) -> Opened {
        let request = unspool::events(url)
            .bearer_auth(SECRET)
            .retries(how.retries)
            .reconnects(how.retries)
            .max_item(1000);
        let request = match self.0 {
            Every => request.every(Duration::from_millis(1)),
            Long => request
                .cursor("/next".parse().unwrap())
                .resume_as("since".parse().unwrap())
                .items_at("/items".parse().unwrap()),
        };
        let request = match serve {
            Serve::Whole(items) | Serve::Doubtful(items) => {
                let last = format!("={:?}", item(items - 1));
                request.until(last.parse().unwrap())
            }
            _ => request,
        };
        let request = match how.from.clone() {
            Some(position) => request.from(position),
            None => request,
        };
        boxed(request.items(), how)
    }
}

/// The first items, one more than when it was asked before; its tag says how many.
fn window(request: &Request, serve: Serve, held: &Held) -> Reply {
    let tag = request.header("if-none-match");
    let last = tag.map_or(0, |tag| tag.trim_matches('"').parse().unwrap());
    if last == serve.items() {
        return over(serve, held);
    }
    let is_lost = matches!(serve, Serve::Doubtful(_)) && last >= LOST;
    let first = if is_lost { LOST } else { 0 };
    let items: Vec<String> = (first..=last).map(item).collect();
    Reply::status(200)
        .header("content-type", "application/json")
        .header("etag", format!("\"{}\"", last + 1))
        .body(json!(items).to_string())
}

/// The item after a cursor.
fn answer(request: &Request, serve: Serve, held: &Held, begun: &AtomicUsize) -> Reply {
    let is_lost = matches!(serve, Serve::Doubtful(_));
    let next = match request.query("since") {
        Some(since) => since.parse().unwrap(),
        // It was told that its cursor is too old, and gets what there is now.
        None if is_lost && begun.fetch_add(1, Relaxed) % 2 == 1 => LOST,
        None => 0,
    };
    if next == serve.items() {
        return over(serve, held);
    }
    if is_lost && next == LOST && request.query("since").is_some() {
        return Reply::status(410).body("too old");
    }
    Reply::json(json!({"items": [item(next)], "next": next + 1}))
}

/// What comes after the last item.
fn over(serve: Serve, held: &Held) -> Reply {
    match serve {
        Serve::Failing(_) => Reply::json(json!(["x".repeat(2000)])),
        Serve::Cut(_) => Reply::status(200)
            .header("content-type", "application/json")
            .cut("[", 100),
        Serve::Slow(_) => held.keep(Reply::headless().until_gone()),
        _ => Reply::status(304).body(""),
    }
}
