//! A walk over an API: two items a page, `Link` headers, and an empty page after the first.
//! They are the elements of an array, or the members of an object.

use serde::Deserialize;

use super::subject::{
    Held, How, Opened, SECRET, Serve, Subject, Texts, Upstream, boxed, busy, item,
};
use crate::server::{Reply, Request};

pub(super) const SUBJECTS: &[&dyn Subject] = &[&Walk::Elements, &Walk::Members];

#[derive(Clone, Copy, Debug)]
enum Walk {
    Elements,
    Members,
}

impl Subject for Walk {
    fn title(&self) -> String {
        format!("pages, {self:?}")
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
        let walk = *self;
        Some(Upstream::http(
            move |request, held| walk.page(request, serve, held),
            move |url, how| walk.open(url, &how),
        ))
    }
}

#[derive(Deserialize)]
struct Member {
    key: String,
    value: String,
}

impl Walk {
    fn open(self, url: String, how: &How) -> Opened {
        let request = unspool::pages(url).bearer_auth(SECRET).retries(how.retries);
        let request = match how.from.clone() {
            Some(position) => request.from(position),
            None => request,
        };
        let items_at = unspool::Pointer::default();
        match self {
            Walk::Elements => boxed(request.items(), how),
            Walk::Members => {
                let request = request.items_at(items_at).items_of_object("key");
                let text = |member: Member| {
                    assert_eq!(member.key, member.value);
                    member.value
                };
                let source = request.items();
                let source = Box::pin(if how.allows_doubts {
                    source.allow_doubts()
                } else {
                    source
                });
                Box::pin(Texts { source, text })
            }
        }
    }

    fn item(self, number: usize) -> String {
        let text = item(number);
        match self {
            Walk::Elements => format!("{text:?}"),
            Walk::Members => format!("{text:?}:{text:?}"),
        }
    }

    fn page(self, request: &Request, serve: Serve, held: &Held) -> Reply {
        let number = request.page() as usize;
        let (begin, end) = match number {
            1 => (0, 2),
            2 => (2, 2),
            _ => (2 * number - 4, 2 * number - 2),
        };
        let count = serve.items();
        let (open, close) = match self {
            Walk::Elements => ("[", "]"),
            Walk::Members => ("{", "}"),
        };
        let items: Vec<String> = (begin..end.min(count))
            .map(|number| self.item(number))
            .collect();
        let begun = format!("{open}{}", items.join(","));
        let reply = Reply::status(200).header("content-type", "application/json");
        let link = format!("</?page={}>; rel=\"next\"", number + 1);
        match serve {
            Serve::Whole(_) if end >= count => reply.body(begun + close),
            Serve::Doubtful(_) if end >= count => {
                reply.header("x-total-count", count + 1).body(begun + close)
            }
            Serve::Cut(_) if end > count => reply.cut(begun, 1000),
            Serve::Failing(_) if end > count => Reply::status(403).body("no"),
            Serve::Slow(_) if end > count => {
                let reply = reply.header("content-length", 1000).send(begun);
                held.keep(reply.until_gone())
            }
            Serve::Busy => busy(),
            _ => reply.header("link", link).body(begun + close),
        }
    }
}
