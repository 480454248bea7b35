//! Streams of NATS JetStream: each message is an event, whose name is its subject.
//!
//! The sequence of a message in its stream is its position. By default the messages are pulled
//! by a consumer of this connection alone, from the one after the position on, in order and
//! without acknowledgements. With a durable consumer they are acknowledged once they are taken,
//! or durable in a sink that keeps a state.

mod consumer;
mod keys;
mod owed;
mod protocol;

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytestring::ByteString;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::json;
use url::Url;

use consumer::{ConsumerForm, Kept};
use keys::NatsUser;
use owed::{Debts, Handed, MAX_OWED, Owed};
use protocol::{Delivery, Message, Nats, nanoseconds};

use super::own::{Opened, Opening, Own, OwnFeed, Taken, begins_now, check_parameters, parameter};
use super::wire::Wire;
use super::{Arrival, Over};
use crate::error::{Error, Kind};
use crate::events::account::Doubt;
use crate::events::seen::Manner;

const PORT: u16 = 4222;

/// The parameters of an address; the first one has to be there.
const PARAMETERS: &[&str] = &["stream", "subject", "consumer", "creds", "from"];

/// How many messages are asked for at a time, and how long the server waits for the first.
const BATCH: usize = 256;
const EXPIRES: Duration = Duration::from_secs(5);

/// The same where messages wait to be acknowledged.
const SHORT_EXPIRES: Duration = Duration::from_millis(300);

/// How long it may be silent beyond that.
const GRACE: Duration = Duration::from_secs(15);

/// How large a batch of events may be.
const BYTES: usize = 1 << 20;

pub(super) const OWN: Own = Own {
    schemes: &["nats", "tls"],
    check: |url| {
        check_parameters(url, PARAMETERS)?;
        begins_now(url)?;
        let names = ["stream", "subject", "consumer"].map(|name| parameter(url, name));
        match names.into_iter().flatten().find(|name| !is_name(name)) {
            Some(name) => Err(Error::request(format!("`{name}` is no name that NATS has"))),
            None => user_of(url).map(drop),
        }
    },
    manner: |_| Manner::Kept,
    open: |opening| open(opening).boxed(),
};

/// Whether it may stand in a line of the protocol.
fn is_name(name: &str) -> bool {
    !name.contains(|char: char| char.is_whitespace() || char.is_control())
}

/// Who connects, where a file says that.
fn user_of(url: &Url) -> Result<Option<NatsUser>, Error> {
    let Some(path) = parameter(url, "creds") else {
        return Ok(None);
    };
    if !url.username().is_empty() {
        return Err(Error::request(
            "who connects is said by `creds=FILE` or by `user:password@`, but not by both",
        ));
    }
    NatsUser::from_file(&path).map(Some)
}

async fn open(opening: Opening) -> Result<Opened, Error> {
    let url = opening.url;
    let wire = Wire::connect(&url, PORT, opening.timeout, opening.meter.clone()).await?;
    let mut nats = Nats::log_in(wire, &url, opening.max_item).await?;
    let stream = parameter(&url, "stream").unwrap_or_default();
    let mut handed = Handed::read(&opening.after);
    let is_resumed = !opening.after.is_empty();
    let kept = Kept::of(&mut nats, &stream).await?;
    let is_anew = kept.last < handed.last();
    if is_anew {
        let after = handed.last().to_string();
        opening.taken.doubt(Doubt::MadeAnew { after });
        handed = Handed::default();
    }
    let begin = if !is_resumed && begins_now(&url)? {
        kept.last
    } else {
        handed.whole_until()
    };
    let form = ConsumerForm {
        after: begin,
        subject: parameter(&url, "subject"),
    };
    let durable = parameter(&url, "consumer");
    let is_acknowledged = durable.is_some();
    let consumer = match durable {
        Some(name) => {
            handed.close_until(form.join(&mut nats, &stream, &name).await?);
            name
        }
        None => form.make(&mut nats, &stream).await?,
    };
    let silence = opening.idle.unwrap_or(GRACE);
    nats.wire.expect_within(silence.max(EXPIRES + EXPIRES));
    // What a durable consumer has to give stands where it stood, whoever reads from where.
    let after = if is_acknowledged {
        handed.whole_until()
    } else {
        begin
    };
    let mut feed = NatsFeed {
        nats,
        stream,
        consumer,
        after,
        delivered: 0,
        jumped_after: None,
        left: 0,
        pulls: 0,
        owed: is_acknowledged.then(Debts::default),
        handed,
        taken: opening.taken,
    };
    feed.check_kept(after, &kept);
    Ok(Opened {
        feed: Box::new(feed),
        begun: (!is_resumed || is_anew).then(|| after.to_string().into()),
    })
}

struct NatsFeed {
    nats: Nats,
    stream: String,
    consumer: String,
    /// The last message that was read.
    after: u64,
    /// How many messages the consumer has given.
    delivered: u64,
    /// The message after which others were passed over, since the last question what there is.
    jumped_after: Option<u64>,
    /// How many messages of the pull at hand may come yet.
    left: usize,
    pulls: u64,
    /// None where nothing is acknowledged.
    owed: Option<Debts>,
    /// Which messages of a durable consumer were handed out.
    handed: Handed,
    taken: Taken,
}

impl NatsFeed {
    /// Says so where messages went away that were not read.
    fn check_kept(&mut self, after: u64, kept: &Kept) {
        if after > 0 && kept.is_limited && kept.first > after + 1 {
            self.taken.doubt(Doubt::Trimmed {
                after: after.to_string(),
                next: kept.first.to_string(),
            });
        }
    }

    /// Asks for the next messages, to come as soon as there are some.
    async fn pull(&mut self) -> Result<(), Error> {
        if let Some(after) = self.jumped_after.take() {
            let kept = Kept::of(&mut self.nats, &self.stream).await?;
            self.check_kept(after, &kept);
        }
        self.make_room().await?;
        let is_owed = self.owed.as_ref().is_some_and(|owed| !owed.is_empty());
        let expires = if is_owed { SHORT_EXPIRES } else { EXPIRES };
        self.pulls += 1;
        self.left = self
            .owed
            .as_ref()
            .map_or(BATCH, |owed| owed.room().min(BATCH));
        let subject = format!(
            "$JS.API.CONSUMER.MSG.NEXT.{}.{}",
            self.stream, self.consumer
        );
        let request = json!({"batch": self.left, "expires": nanoseconds(expires)}).to_string();
        let reply = format!("{}.{}", self.nats.inbox, self.pulls);
        self.nats.publish(&subject, &reply, &request).await
    }

    /// Waits until what was handed out is durable, where no more may be before that: all that
    /// waits for its acknowledgement has to be known again.
    async fn make_room(&mut self) -> Result<(), Error> {
        if (self.owed.as_ref()).is_some_and(|owed| owed.has_again() || owed.room() == 0) {
            self.taken.durable().await;
            self.acknowledge().await?;
        }
        Ok(())
    }

    /// Acknowledges what has been taken, or is durable.
    async fn acknowledge(&mut self) -> Result<(), Error> {
        let Some(owed) = &mut self.owed else {
            return Ok(());
        };
        let mut text = String::new();
        for owed in owed.settled(&self.taken.settled()) {
            text.push_str(&format!("PUB {} 4\r\n+ACK\r\n", owed.reply));
        }
        if owed.room() < MAX_OWED / 2 {
            self.taken.hurry();
        }
        if text.is_empty() {
            Ok(())
        } else {
            self.nats.wire.send(text.as_bytes()).await
        }
    }

    /// What a message is: an event, if it is one to hand out.
    fn event(&mut self, message: Message) -> Result<Option<Arrival>, Error> {
        if message.subject.starts_with(&self.nats.inbox) {
            return self.status(&message).map(|()| None);
        }
        let Delivery {
            sequence,
            delivered,
        } = Delivery::of(&message.reply)?;
        self.left = self.left.saturating_sub(1);
        let follows = self.delivered > 0 && delivered == self.delivered + 1;
        if self.owed.is_none() && delivered != self.delivered + 1 {
            return Err(Error::new(
                Kind::Truncated,
                "messages were lost on their way from the server",
            ));
        }
        self.delivered = delivered;
        let Some(position) = self.position_after(sequence, follows, message.reply) else {
            self.taken.replayed();
            return Ok(None);
        };
        if sequence > self.after + 1 && self.after > 0 {
            self.jumped_after.get_or_insert(self.after);
        }
        self.after = self.after.max(sequence);
        let id = ByteString::from(sequence.to_string());
        let (name, data) = match ByteString::try_from(message.payload.clone()) {
            Ok(text) => (message.subject.into(), text),
            Err(_) => (
                format!("binary:{}", message.subject).into(),
                BASE64_STANDARD.encode(&message.payload).into(),
            ),
        };
        Ok(Some(Arrival {
            name,
            id,
            data,
            position,
        }))
    }

    /// The position after a message that is handed out; none where it was before.
    fn position_after(
        &mut self,
        sequence: u64,
        follows: bool,
        reply: String,
    ) -> Option<ByteString> {
        let Some(owed) = &mut self.owed else {
            return Some(sequence.to_string().into());
        };
        let is_known = !self.handed.take(sequence, follows);
        let position = self.handed.to_string();
        let given = Owed {
            sequence,
            reply,
            position: position.clone(),
        };
        if is_known {
            owed.add_again(given);
            return None;
        }
        owed.add(given);
        Some(position.into())
    }

    /// What the server says of a pull in the place of a message.
    fn status(&mut self, message: &Message) -> Result<(), Error> {
        let is_own =
            message.subject.strip_prefix(&*self.nats.inbox) == Some(&format!(".{}", self.pulls));
        match message.status {
            // A heartbeat.
            Some(100) | None => Ok(()),
            // The time is up, there is nothing now, or too much is owed.
            Some(404 | 408) => {
                self.left = if is_own { 0 } else { self.left };
                Ok(())
            }
            Some(409) if message.words.contains("MaxAckPending") => {
                self.left = if is_own { 0 } else { self.left };
                Ok(())
            }
            Some(status) => Err(Error::new(
                Kind::Truncated,
                format!("the server ended the consumer: {status} {}", message.words),
            )),
        }
    }
}

impl OwnFeed for NatsFeed {
    fn hear<'a>(&'a mut self, arrivals: &'a mut Vec<Arrival>) -> BoxFuture<'a, Result<(), Over>> {
        async move {
            self.acknowledge().await?;
            if self.left == 0 {
                self.pull().await?;
            }
            let mut size = 0;
            loop {
                let message = self.nats.message().await?;
                if let Some(arrival) = self.event(message)? {
                    size += arrival.data.len();
                    arrivals.push(arrival);
                }
                if self.left == 0 || size > BYTES || !self.nats.has_more() {
                    return Ok(());
                }
            }
        }
        .boxed()
    }
}

#[cfg(any(test, feature = "internals"))]
pub(super) use protocol::read_any;
