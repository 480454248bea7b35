//! A live feed to the end of its body: server-sent events, and JSON on lines.

use super::subject::{Held, How, Opened, SECRET, Serve, Subject, Upstream, boxed, item};
use crate::server::{Reply, Request};

use Form::{Json, Sse};

pub(super) const SUBJECTS: &[&dyn Subject] = &[&Feed(Sse), &Feed(Json)];

#[derive(Clone, Copy)]
struct Feed(Form);

#[derive(Clone, Copy, Debug)]
enum Form {
    Sse,
    Json,
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

    fn requests(&self, _: usize) -> usize {
        1
    }

    fn serve(&self, serve: Serve) -> Option<Upstream> {
        let feed = *self;
        // A feed that is busy when it is asked first is an error, and not waited for.
        (!matches!(serve, Serve::Busy)).then(|| {
            Upstream::http(
                move |request, held| feed.reply(request, serve, held),
                move |url, how| feed.open(url, &how),
            )
        })
    }
}

impl Feed {
    fn open(self, url: String, how: &How) -> Opened {
        let request = unspool::events(url)
            .bearer_auth(SECRET)
            .retries(how.retries)
            .reconnects(how.retries)
            .max_item(1000)
            .once();
        let request = match self.0 {
            Sse => request,
            // All of an item is its position.
            Json => (request.position("".parse().unwrap())).resume_as("after".parse().unwrap()),
        };
        let request = match how.from.clone() {
            Some(position) => request.from(position),
            None => request,
        };
        boxed(request.items(), how)
    }

    fn reply(self, request: &Request, serve: Serve, held: &Held) -> Reply {
        let after = match self.0 {
            Sse => request.header("last-event-id"),
            Json => request.query("after"),
        };
        let number = |after: &str| {
            after
                .trim_start_matches(|char: char| !char.is_ascii_digit())
                .to_owned()
        };
        let begin = after.map_or(0, |after| number(after).parse::<usize>().unwrap() + 1);
        let body: String = (begin..serve.items())
            .map(|number| self.event(number))
            .collect();
        let media = match self.0 {
            Sse => "text/event-stream",
            Json => "application/x-ndjson",
        };
        let reply = Reply::status(200).header("content-type", media);
        if let Serve::Doubtful(_) = serve {
            return reply.until_close(body);
        }
        let reply = reply.chunked().chunk(format!("{body}\n"));
        match serve {
            Serve::Failing(_) => {
                let too_large = self.event(10).replace("item", &"x".repeat(2000));
                reply.chunk(too_large).last_chunk()
            }
            Serve::Cut(_) => reply.chunk("\"").close(),
            Serve::Slow(_) => held.keep(reply.until_gone()),
            _ => reply.last_chunk(),
        }
    }

    fn event(self, number: usize) -> String {
        let data = item(number);
        match self.0 {
            Sse => format!("id: {number}\ndata: {data:?}\n\n"),
            Json => format!("{data:?}\n"),
        }
    }
}
