//! A walk over an API: two items a page, `Link` headers, and an empty page after the first.

use super::subject::{Held, How, Opened, SECRET, Serve, Subject, Upstream, boxed, busy, item};
use crate::server::{Reply, Request};

pub(super) const SUBJECTS: &[&dyn Subject] = &[&Walk];

struct Walk;

impl Subject for Walk {
    fn title(&self) -> String {
        "pages".to_owned()
    }

    fn source(&self) -> &'static str {
        "pages"
    }

    fn resumes(&self) -> bool {
        true
    }

    fn requests(&self, items: usize) -> usize {
        match items {
            0..=2 => 1,
            _ => 1 + items.div_ceil(2),
        }
    }

    fn serve(&self, serve: Serve) -> Option<Upstream> {
        Some(Upstream::http(
            move |request, held| page(request, serve, held),
            open,
        ))
    }
}

fn open(url: String, how: How) -> Opened {
    let request = unspool::pages(url).bearer_auth(SECRET).retries(how.retries);
    let request = match how.from.clone() {
        Some(position) => request.from(position),
        None => request,
    };
    boxed(request.items(), &how)
}

fn page(request: &Request, serve: Serve, held: &Held) -> Reply {
    let number = request.page() as usize;
    let (begin, end) = match number {
        1 => (0, 2),
        2 => (2, 2),
        _ => (2 * number - 4, 2 * number - 2),
    };
    let count = serve.items();
    let items: Vec<String> = (begin..end.min(count))
        .map(|number| format!("{:?}", item(number)))
        .collect();
    let begun = format!("[{}", items.join(","));
    let reply = Reply::status(200).header("content-type", "application/json");
    let link = format!("</?page={}>; rel=\"next\"", number + 1);
    match serve {
        Serve::Whole(_) if end >= count => reply.body(begun + "]"),
        Serve::Doubtful(_) if end >= count => {
            reply.header("x-total-count", count + 1).body(begun + "]")
        }
        Serve::Cut(_) if end > count => reply.cut(begun, 1000),
        Serve::Failing(_) if end > count => Reply::status(403).body("no"),
        Serve::Slow(_) if end > count => {
            let reply = reply.header("content-length", 1000).send(begun);
            held.keep(reply.until_gone())
        }
        Serve::Busy => busy(),
        _ => reply.header("link", link).body(begun + "]"),
    }
}
