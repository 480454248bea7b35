//! A live feed to the end of its connection: server-sent events, JSON on lines, and a WebSocket.

use std::ops::Range;

use super::subject::{Held, How, Opened, SECRET, Serve, Subject, Upstream, boxed, item};
use crate::events::sockets::{accepted, close, text};
use crate::server::{Reply, Request};

use Form::{Json, Socket, Sse};

pub(super) const SUBJECTS: &[&dyn Subject] = &[&Feed(Sse), &Feed(Json), &Feed(Socket)];

#[derive(Clone, Copy)]
struct Feed(Form);

#[derive(Clone, Copy, Debug)]
enum Form {
    Sse,
    Json,
    Socket,
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
        // A feed that is busy when it is asked first is an error, and not waited for; and a
        // WebSocket states its end.
        let is_one = !matches!(
            (serve, self.0),
            (Serve::Busy, _) | (Serve::Doubtful(_), Socket)
        );
        is_one.then(|| {
            Upstream::http(
                move |request, held| feed.reply(request, serve, held),
                move |url, how| feed.open(url, &how),
            )
        })
    }
}

impl Feed {
    fn open(self, url: String, how: &How) -> Opened {
        let url = match self.0 {
            Socket => url.replace("http:", "ws:"),
            Sse | Json => url,
        };
        let request = unspool::events(url)
            .bearer_auth(SECRET)
            .retries(how.retries)
            .reconnects(how.retries)
            .max_item(1000)
            .once();
        let request = match self.0 {
            Sse => request,
            // All of an item is its position.
            Json | Socket => {
                (request.position("".parse().unwrap())).resume_as("after".parse().unwrap())
            }
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
            Json | Socket => request.query("after"),
        };
        let number = |after: &str| {
            after
                .trim_start_matches(|char: char| !char.is_ascii_digit())
                .to_owned()
        };
        let begin = after.map_or(0, |after| number(after).parse::<usize>().unwrap() + 1);
        if let Socket = self.0 {
            return reply_by_socket(request, begin..serve.items(), serve, held);
        }
        let body: String = (begin..serve.items())
            .map(|number| self.event(number))
            .collect();
        let media = match self.0 {
            Sse => "text/event-stream",
            Json | Socket => "application/x-ndjson",
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
            Json | Socket => format!("{data:?}\n"),
        }
    }
}

/// Messages with these items, and what comes after them.
fn reply_by_socket(request: &Request, items: Range<usize>, serve: Serve, held: &Held) -> Reply {
    let message = |number| text(&format!("{:?}", item(number)));
    let reply = accepted(request).send(items.flat_map(message).collect::<Vec<u8>>());
    match serve {
        Serve::Failing(_) => reply.send(text(&"x".repeat(2000))).until_gone().0,
        Serve::Cut(_) => reply.close(),
        Serve::Slow(_) => held.keep(reply.until_gone()),
        _ => reply.send(close(1000)).until_gone().0,
    }
}
