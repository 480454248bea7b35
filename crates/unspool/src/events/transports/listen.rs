//! PostgreSQL's `LISTEN`: each notification is an event, whose name is its channel.
//!
//! The server keeps no notification for those who are not connected, so that each new
//! connection is a doubt.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytestring::ByteString;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client, Notification};
use url::Url;

use super::own::{Opened, Opening, Own, OwnFeed, missing};
use super::{Arrival, Over};
use crate::error::{Error, Kind};
use crate::events::seen::Manner;
use crate::http::Meter;
use crate::rows::postgres::{PgConnection, connect, failed};

/// The parameter that names a channel; there may be several.
const CHANNEL: &str = "channel";

/// How long a connection may be silent, where nobody says another time: half of it passes
/// before the server is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(60);

/// How many notifications are one batch.
const BATCH: usize = 1024;

pub(super) const OWN: Own = Own {
    schemes: &["postgres", "postgresql"],
    check: |url| {
        if channels(url).is_empty() {
            Err(missing(CHANNEL))
        } else {
            Ok(())
        }
    },
    manner: |_| Manner::Kept,
    open: |opening| open(opening).boxed(),
};

fn channels(url: &Url) -> Vec<String> {
    (url.query_pairs())
        .filter(|(name, value)| name == CHANNEL && !value.is_empty())
        .map(|(_, value)| value.into_owned())
        .collect()
}

/// The address of the database alone.
fn database(url: &Url) -> String {
    let is_other = |part: &&str| !part.is_empty() && part.split('=').next() != Some(CHANNEL);
    let query = url.query().unwrap_or_default();
    let others: Vec<&str> = query.split('&').filter(is_other).collect();
    let mut url = url.clone();
    url.set_query(Some(&*others.join("&")).filter(|query| !query.is_empty()));
    url.to_string()
}

async fn open(opening: Opening) -> Result<Opened, Error> {
    let (client, connection) = connect(&database(&opening.url), opening.timeout).await?;
    let mut feed = ListenFeed {
        client,
        connection,
        is_over: false,
        silence: opening.idle.unwrap_or(SILENCE),
        waiting: Vec::new(),
        meter: opening.meter,
    };
    let quoted = |name: &String| format!("listen \"{}\";", name.replace('"', "\"\""));
    let statements: String = channels(&opening.url).iter().map(quoted).collect();
    feed.ask(&statements, opening.timeout).await?;
    Ok(Opened {
        feed: Box::new(feed),
        begun: None,
    })
}

struct ListenFeed {
    client: Client,
    connection: PgConnection,
    is_over: bool,
    silence: Duration,
    /// What came while something else was waited for.
    waiting: Vec<Notification>,
    meter: std::sync::Arc<Meter>,
}

impl ListenFeed {
    /// Runs statements, which is driven by the connection that is in our own hands.
    async fn ask(&mut self, statements: &str, limit: Duration) -> Result<(), Error> {
        self.meter.request();
        let ListenFeed {
            client,
            connection,
            waiting,
            is_over,
            ..
        } = self;
        let mut asked = pin!(client.batch_execute(statements));
        let answered = poll_fn(|cx| {
            // The answer first, in the end, so that its own error is what is said.
            while let Poll::Ready(next) = poll_next(connection, is_over, cx) {
                match next {
                    Ok(notification) => waiting.push(notification),
                    Err(error) => {
                        return Poll::Ready(match asked.as_mut().poll(cx) {
                            Poll::Ready(Err(error)) => Err(failed(error, None)),
                            _ => Err(error),
                        });
                    }
                }
            }
            let asked = asked.as_mut().poll(cx);
            asked.map_err(|error| failed(error, None))
        });
        match timeout(limit, answered).await {
            Ok(answered) => answered,
            Err(_) => Err(silent(self.silence)),
        }
    }

    async fn next_batch(&mut self) -> Result<Vec<Notification>, Error> {
        loop {
            let ListenFeed {
                connection,
                waiting,
                is_over,
                ..
            } = self;
            let next = poll_fn(|cx| poll_batch(connection, is_over, waiting, cx));
            match timeout(self.silence / 2, next).await {
                Ok(heard) => heard?,
                // An answer to that is a sign of life, and there may be nothing else to say.
                Err(_) => self.ask("", self.silence / 2).await?,
            }
            if !self.waiting.is_empty() {
                return Ok(std::mem::take(&mut self.waiting));
            }
        }
    }
}

impl OwnFeed for ListenFeed {
    fn hear<'a>(&'a mut self, arrivals: &'a mut Vec<Arrival>) -> BoxFuture<'a, Result<(), Over>> {
        async move {
            for notification in self.next_batch().await? {
                self.meter.bytes(notification.payload().len());
                arrivals.push(Arrival {
                    name: notification.channel().into(),
                    id: ByteString::new(),
                    data: notification.payload().into(),
                    position: ByteString::new(),
                });
            }
            Ok(())
        }
        .boxed()
    }
}

/// Waits for notifications, and takes all that have come; what broke after them is said next.
fn poll_batch(
    connection: &mut PgConnection,
    is_over: &mut bool,
    waiting: &mut Vec<Notification>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Error>> {
    while waiting.len() < BATCH {
        match poll_next(connection, is_over, cx) {
            Poll::Ready(Ok(notification)) => waiting.push(notification),
            Poll::Ready(Err(error)) if waiting.is_empty() => return Poll::Ready(Err(error)),
            Poll::Pending if waiting.is_empty() => return Poll::Pending,
            Poll::Ready(Err(_)) | Poll::Pending => break,
        }
    }
    Poll::Ready(Ok(()))
}

/// The next notification.
fn poll_next(
    connection: &mut PgConnection,
    is_over: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Result<Notification, Error>> {
    loop {
        if *is_over {
            return Poll::Ready(Err(ended("")));
        }
        let Poll::Ready(message) = connection.poll_message(cx) else {
            return Poll::Pending;
        };
        match message {
            Some(Ok(AsyncMessage::Notification(notification))) => {
                return Poll::Ready(Ok(notification));
            }
            Some(Ok(_)) => {}
            // After that it must not be polled again.
            Some(Err(error)) => {
                *is_over = true;
                return Poll::Ready(Err(match error.as_db_error() {
                    Some(_) => failed(error, None),
                    None => ended(&format!(": {error}")).with_source(error),
                }));
            }
            None => *is_over = true,
        }
    }
}

fn ended(why: &str) -> Error {
    Error::new(
        Kind::Truncated,
        format!("the server closed the connection{why}"),
    )
}

fn silent(limit: Duration) -> Error {
    Error::new(
        Kind::Timeout,
        format!("no byte for {} s", limit.as_secs_f64()),
    )
}
