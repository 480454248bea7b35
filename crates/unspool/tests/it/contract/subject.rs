//! A source as the suite sees it, and the upstream that it is tested against.

use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::Stream;
use futures_util::stream::FusedStream;
use unspool::{Account, Error, Position, Source, SourceKind, SourceStream, Verdict};

use crate::server::{Reply, Request, Server};

/// A credential that every upstream wants, and nobody may see.
pub(super) const SECRET: &str = "a-very-secret-credential";

/// How long a server may take to see that its client has gone.
const LONGEST: Duration = Duration::from_secs(10);

/// A source that has been made, and not been polled.
pub(super) type Opened = Pin<Box<dyn Source<String>>>;

/// A source, in one of its forms.
pub(super) trait Subject: Sync {
    /// What it is called when it fails.
    fn title(&self) -> String;

    /// The name of the source.
    fn source(&self) -> &'static str;

    /// Whether it has positions.
    fn resumes(&self) -> bool;

    /// How many requests so many items need, from the first one on.
    fn requests(&self, items: usize) -> usize;

    /// How it ends where its upstream is whole: by itself, or where the caller said.
    fn ends(&self) -> Verdict {
        Verdict::Complete
    }

    /// Starts an upstream that does this; none where its upstreams cannot.
    fn serve(&self, serve: Serve) -> Option<Upstream>;
}

/// What an upstream gives: the first so many of the [items](item), and then this.
#[derive(Clone, Copy, Debug)]
pub(super) enum Serve {
    /// The end mark.
    Whole(usize),
    /// An end against which something speaks.
    Doubtful(usize),
    /// A broken connection, before the end mark and whatever else there would be.
    Cut(usize),
    /// An error that will not pass. The number is even.
    Failing(usize),
    /// Nothing, while the connection stays open.
    Slow(usize),
    /// Nothing at all: each request is refused with `busy`, and may be repeated after a
    /// minute.
    Busy,
}

/// How a source is made.
#[derive(Clone, Debug, Default)]
pub(super) struct How {
    pub(super) from: Option<Position>,
    pub(super) allows_doubts: bool,
    pub(super) retries: usize,
}

/// An upstream that runs until the process ends, and who reads from it.
pub(super) struct Upstream {
    open: Box<dyn Fn(How) -> Opened>,
    requests: Box<dyn Fn() -> Vec<String>>,
    gone: Option<Receiver<Gone>>,
}

/// Gives the time at which a client has closed the connection on which it was left
/// waiting.
pub(super) type Gone = Receiver<Instant>;

/// Where a server leaves its client waiting.
pub(super) struct Held(Sender<Gone>);

/// The item with this number, from 0: all are different.
pub(super) fn item(number: usize) -> String {
    format!("item {number}")
}

impl Serve {
    pub(super) fn items(self) -> usize {
        match self {
            Serve::Whole(items)
            | Serve::Doubtful(items)
            | Serve::Cut(items)
            | Serve::Failing(items)
            | Serve::Slow(items) => items,
            Serve::Busy => 0,
        }
    }
}

impl Upstream {
    /// A server that answers each request with this reply, and a source that reads from
    /// its address.
    pub(super) fn http(
        reply: impl Fn(&Request, &Held) -> Reply + Send + Sync + 'static,
        open: impl Fn(String, How) -> Opened + 'static,
    ) -> Self {
        let (sender, gone) = channel();
        let held = Held(sender);
        let server = Server::start(move |request| reply(request, &held));
        let url = server.url("");
        Upstream {
            open: Box::new(move |how| open(url.clone(), how)),
            requests: Box::new(move || {
                let requests = server.requests().into_iter();
                requests.map(|request| format!("{request:?}")).collect()
            }),
            gone: Some(gone),
        }
    }

    /// An upstream of another kind: how a source is made, what came with each request so
    /// far, and what to wait for where a client is left waiting.
    pub(super) fn other(
        open: impl Fn(How) -> Opened + 'static,
        requests: impl Fn() -> Vec<String> + 'static,
        gone: Receiver<Gone>,
    ) -> Self {
        Upstream {
            open: Box::new(open),
            requests: Box::new(requests),
            gone: Some(gone),
        }
    }

    pub(super) fn open(&self) -> Opened {
        self.open_as(How::default())
    }

    pub(super) fn open_as(&self, how: How) -> Opened {
        (self.open)(how)
    }

    /// Whatever came with each request so far.
    pub(super) fn requests(&self) -> Vec<String> {
        (self.requests)()
    }

    /// When the client closed the connection on which it was left waiting.
    pub(super) async fn gone_at(&mut self) -> Instant {
        let gone = self.gone.take().unwrap();
        let gone = tokio::task::spawn_blocking(move || {
            let gone = gone.recv_timeout(LONGEST)?;
            gone.recv_timeout(LONGEST)
        });
        // An error is a connection that stays open.
        gone.await.unwrap().unwrap()
    }
}

impl Held {
    /// The reply that leaves its client waiting.
    pub(super) fn keep(&self, (reply, gone): (Reply, Gone)) -> Reply {
        // The test may not wait for it.
        let _ = self.0.send(gone);
        reply
    }
}

/// What a server says over HTTP that is [busy](Serve::Busy).
pub(super) fn busy() -> Reply {
    Reply::status(503).header("retry-after", 60).body("busy")
}

pub(super) fn boxed<K: SourceKind>(stream: SourceStream<String, K>, how: &How) -> Opened {
    if how.allows_doubts {
        Box::pin(stream.allow_doubts())
    } else {
        Box::pin(stream)
    }
}

/// A source whose items hold what the suite compares, and more.
pub(super) struct Texts<S, T> {
    pub(super) source: Pin<Box<S>>,
    pub(super) text: fn(T) -> String,
}

impl<T, S: Source<T>> Stream for Texts<S, T> {
    type Item = Result<String, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let texts = self.get_mut();
        let text = texts.text;
        (texts.source.as_mut().poll_next(cx)).map(|item| Some(item?.map(text)))
    }
}

impl<T, S: Source<T>> FusedStream for Texts<S, T> {
    fn is_terminated(&self) -> bool {
        self.source.is_terminated()
    }
}

impl<T, S: Source<T>> Source<String> for Texts<S, T> {
    fn name(&self) -> &'static str {
        self.source.name()
    }

    fn position(&self) -> Option<Position> {
        self.source.position()
    }

    fn account(&self) -> Account {
        self.source.account()
    }

    fn waiting(&self) -> Option<String> {
        self.source.waiting()
    }

    fn is_ready(&self) -> bool {
        self.source.is_ready()
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.get_mut().source.as_mut().poll_close(cx)
    }
}
