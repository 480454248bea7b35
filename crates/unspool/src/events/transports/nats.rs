//! Streams of NATS JetStream: each message is an event, whose name is its subject.
//!
//! The sequence of a message in its stream is its position. By default the messages are pulled
//! by a consumer of this connection alone, from the one after the position on, in order and
//! without acknowledgements. With a durable consumer they are acknowledged once they are taken,
//! or durable in a sink that keeps a state.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use bytestring::ByteString;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use url::Url;

use super::nkeys::NatsUser;
use super::own::{
    Opened, Opening, Own, OwnFeed, Settled, Taken, begins_now, check_parameters, parameter,
};
use super::wire::Wire;
use super::{Arrival, Over};
use crate::error::{Error, Kind};
use crate::events::account::Doubt;
use crate::events::seen::{KNOWN, Manner};

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

/// How many messages may wait for their acknowledgement: no more than are known again.
const MAX_OWED: usize = KNOWN;

/// How long the server remembers a consumer whose connection is gone.
const INACTIVE: Duration = Duration::from_secs(300);

/// How large a batch of events may be.
const BYTES: usize = 1 << 20;

/// The code with which the server says that there is no such consumer.
const NO_CONSUMER: u64 = 10014;

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
    manner: |url| match parameter(url, "consumer") {
        Some(_) => Manner::Redelivered,
        None => Manner::Kept,
    },
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
    let asked: u64 = opening.after.parse().unwrap_or_default();
    let is_resumed = !opening.after.is_empty();
    let kept = Kept::of(&mut nats, &stream).await?;
    let is_anew = kept.last < asked;
    if is_anew {
        let after = asked.to_string();
        opening.taken.doubt(Doubt::MadeAnew { after });
    }
    let after = if is_resumed {
        if is_anew { 0 } else { asked }
    } else if begins_now(&url)? {
        kept.last
    } else {
        0
    };
    let form = ConsumerForm {
        after,
        subject: parameter(&url, "subject"),
    };
    let durable = parameter(&url, "consumer");
    let is_acknowledged = durable.is_some();
    let consumer = match durable {
        Some(name) => form.join(&mut nats, &stream, name).await?,
        None => form.make(&mut nats, &stream).await?,
    };
    let silence = opening.idle.unwrap_or(GRACE);
    nats.wire.expect_within(silence.max(EXPIRES + EXPIRES));
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
        taken: opening.taken,
    };
    feed.check_kept(after, &kept);
    Ok(Opened {
        feed: Box::new(feed),
        begun: (!is_resumed || is_anew).then(|| after.to_string().into()),
    })
}

/// What a stream has.
#[derive(Debug)]
struct Kept {
    first: u64,
    last: u64,
    /// Whether messages go away only because there are too many, or they are too old.
    is_limited: bool,
}

impl Kept {
    async fn of(nats: &mut Nats, stream: &str) -> Result<Self, Error> {
        let info = nats
            .api(&format!("STREAM.INFO.{stream}"), &json!({}))
            .await?;
        let state = &info["state"];
        let number = |name: &str| state[name].as_u64().ok_or_else(unexpected);
        Ok(Kept {
            first: number("first_seq")?,
            last: number("last_seq")?,
            is_limited: info["config"]["retention"] == "limits",
        })
    }
}

/// How a consumer is made.
struct ConsumerForm {
    after: u64,
    subject: Option<String>,
}

impl ConsumerForm {
    fn config(&self) -> Value {
        let mut config = json!({"replay_policy": "instant"});
        match self.after {
            0 => config["deliver_policy"] = "all".into(),
            after => {
                config["deliver_policy"] = "by_start_sequence".into();
                config["opt_start_seq"] = (after + 1).into();
            }
        }
        if let Some(subject) = &self.subject {
            config["filter_subject"] = subject.as_str().into();
        }
        config
    }

    /// Makes a consumer that goes away with the connection: its name.
    async fn make(&self, nats: &mut Nats, stream: &str) -> Result<String, Error> {
        let mut config = self.config();
        config["ack_policy"] = "none".into();
        config["mem_storage"] = true.into();
        config["inactive_threshold"] = nanoseconds(INACTIVE);
        let request = json!({"stream_name": stream, "config": config});
        let made = (nats.api(&format!("CONSUMER.CREATE.{stream}"), &request)).await?;
        let name = made["name"].as_str().ok_or_else(unexpected)?;
        Ok(name.to_owned())
    }

    /// Sees to it that there is a durable consumer of this name, which stands where it stands.
    async fn join(&self, nats: &mut Nats, stream: &str, name: String) -> Result<String, Error> {
        let info = format!("CONSUMER.INFO.{stream}.{name}");
        match nats.api(&info, &json!({})).await {
            Err(error) if error.code() == Some(&NO_CONSUMER.to_string()) => {}
            joined => return joined.map(|_| name),
        }
        let mut config = self.config();
        config["durable_name"] = name.as_str().into();
        config["ack_policy"] = "explicit".into();
        config["max_ack_pending"] = MAX_OWED.into();
        let request = json!({"stream_name": stream, "config": config});
        let subject = format!("CONSUMER.DURABLE.CREATE.{stream}.{name}");
        nats.api(&subject, &request).await.map(|_| name)
    }
}

/// A message that was handed out and is not acknowledged.
struct Owed {
    sequence: u64,
    /// Where its acknowledgement goes.
    reply: String,
}

/// What was handed out and is not acknowledged.
#[derive(Default)]
struct Debts {
    /// In the order in which it was handed out.
    fresh: VecDeque<Owed>,
    /// What the server gave before: in another order than it may have been handed out in.
    again: Vec<Owed>,
}

impl Debts {
    fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.again.is_empty()
    }

    /// How many more messages may wait for their acknowledgement.
    fn room(&self) -> usize {
        MAX_OWED.saturating_sub(self.fresh.len() + self.again.len())
    }

    /// Takes note of a message that came; false where it waits for its acknowledgement already.
    fn is_given(&mut self, owed: Owed, is_again: bool) -> bool {
        let mut all = self.fresh.iter_mut().chain(&mut self.again);
        if let Some(known) = all.find(|known| known.sequence == owed.sequence) {
            // The newest delivery is acknowledged.
            known.reply = owed.reply;
            return false;
        }
        if is_again {
            self.again.push(owed);
        } else {
            self.fresh.push_back(owed);
        }
        true
    }

    /// What may be acknowledged now.
    fn settled(&mut self, settled: &Settled) -> Vec<Owed> {
        if settled.is_all {
            let again = std::mem::take(&mut self.again);
            return self.fresh.drain(..).chain(again).collect();
        }
        let until: Option<u64> = settled.id.parse().ok();
        let is_last = |owed: &Owed| Some(owed.sequence) == until;
        let last = self.fresh.iter().rposition(is_last);
        self.fresh.drain(..last.map_or(0, |at| at + 1)).collect()
    }
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
        if (self.owed.as_ref()).is_some_and(|owed| !owed.again.is_empty() || owed.room() == 0) {
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
            times,
            sequence,
            delivered,
        } = Delivery::of(&message.reply)?;
        self.left = self.left.saturating_sub(1);
        match &mut self.owed {
            Some(owed) => {
                let reply = message.reply;
                if !owed.is_given(Owed { sequence, reply }, times > 1) {
                    return Ok(None);
                }
            }
            None if delivered != self.delivered + 1 => {
                return Err(Error::new(
                    Kind::Truncated,
                    "messages were lost on their way from the server",
                ));
            }
            None => {}
        }
        self.delivered = delivered;
        if sequence > self.after + 1 && self.after > 0 {
            self.jumped_after.get_or_insert(self.after);
        }
        self.after = sequence;
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
            id: id.clone(),
            data,
            position: id,
        }))
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

/// Which message it is, by where its acknowledgement goes.
struct Delivery {
    /// How often it was given so far.
    times: u64,
    /// Its number in the stream.
    sequence: u64,
    /// Its number among those that the consumer gave.
    delivered: u64,
}

impl Delivery {
    fn of(reply: &str) -> Result<Self, Error> {
        let parts: Vec<&str> = reply.split('.').collect();
        // `$JS.ACK.stream.consumer.times.sequence.number.time.pending`, or with a domain and an
        // account before the stream.
        let begin = match parts.len() {
            9 => 5,
            11.. => 7,
            _ => return Err(unexpected()),
        };
        let number = |at: usize| parts[at].parse().map_err(|_| unexpected());
        Ok(Delivery {
            times: number(begin - 1)?,
            sequence: number(begin)?,
            delivered: number(begin + 1)?,
        })
    }
}

/// A message of the server's.
#[derive(Debug, Default)]
struct Message {
    subject: String,
    reply: String,
    /// Where it is not one of somebody's.
    status: Option<u16>,
    /// What the server says of its status.
    words: String,
    payload: Bytes,
}

/// A connection that speaks NATS.
struct Nats {
    wire: Wire,
    /// The subject under which answers come.
    inbox: String,
    requests: u64,
    max_payload: usize,
    /// What came while something else was waited for.
    waiting: VecDeque<Message>,
}

impl Nats {
    async fn log_in(mut wire: Wire, url: &Url, max_payload: usize) -> Result<Self, Error> {
        let line = wire.line().await?;
        let info = line.strip_prefix(b"INFO ").ok_or_else(unexpected)?;
        let info: Value = serde_json::from_slice(info).map_err(|_| unexpected())?;
        if url.scheme() == "tls" || info["tls_required"] == true {
            wire = wire.with_tls().await?;
        }
        let mut nats = Nats {
            wire,
            inbox: format!("_INBOX.{}", unique()),
            requests: 0,
            max_payload,
            waiting: VecDeque::new(),
        };
        let mut connect = json!({
            "verbose": false, "pedantic": false, "headers": true, "no_responders": true,
            "protocol": 1, "lang": "rust", "name": "unspool", "version": env!("CARGO_PKG_VERSION"),
        });
        add_login(url, &info, &mut connect)?;
        let hello = format!("CONNECT {connect}\r\nSUB {}.> 1\r\nPING\r\n", nats.inbox);
        nats.wire.send(hello.as_bytes()).await?;
        while !nats.step().await? {}
        Ok(nats)
    }

    /// A request to JetStream, and its answer.
    async fn api(&mut self, subject: &str, request: &Value) -> Result<Value, Error> {
        self.requests += 1;
        let reply = format!("{}.r{}", self.inbox, self.requests);
        let request = request.to_string();
        (self.publish(&format!("$JS.API.{subject}"), &reply, &request)).await?;
        let answer = loop {
            self.step().await?;
            let is_answer = |message: &Message| message.subject == reply;
            if let Some(at) = self.waiting.iter().position(is_answer)
                && let Some(answer) = self.waiting.remove(at)
            {
                break answer;
            }
        };
        if answer.status == Some(503) {
            return Err(Error::new(
                Kind::Reported,
                "the server has no JetStream now",
            ));
        }
        let answer: Value = serde_json::from_slice(&answer.payload).map_err(|_| unexpected())?;
        match &answer["error"] {
            Value::Null => Ok(answer),
            error => Err(refused(error)),
        }
    }

    async fn publish(&mut self, subject: &str, reply: &str, payload: &str) -> Result<(), Error> {
        let size = payload.len();
        let text = format!("PUB {subject} {reply} {size}\r\n{payload}\r\n");
        self.wire.send(text.as_bytes()).await
    }

    async fn message(&mut self) -> Result<Message, Error> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Ok(message);
            }
            self.step().await?;
        }
    }

    /// Whether another message may be there already.
    fn has_more(&self) -> bool {
        !self.waiting.is_empty() || self.wire.has_more()
    }

    /// Reads what the server says next; true for the answer to a ping.
    async fn step(&mut self) -> Result<bool, Error> {
        let line = self.wire.line().await?;
        let line = std::str::from_utf8(&line).map_err(|_| unexpected())?;
        let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        match word {
            "PONG" => return Ok(true),
            "PING" => self.wire.send(b"PONG\r\n").await?,
            "MSG" | "HMSG" => {
                let message = self.read(rest, word == "HMSG").await?;
                self.waiting.push_back(message);
            }
            "-ERR" => return Err(said(rest)),
            // Other servers of a cluster, or that all is well.
            "INFO" | "+OK" => {}
            _ => return Err(unexpected()),
        }
        Ok(false)
    }

    /// The rest of a message: `subject sid [reply] [size of the head] size`.
    async fn read(&mut self, line: &str, has_head: bool) -> Result<Message, Error> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let sizes = if has_head { 2 } else { 1 };
        let names = words.len().checked_sub(sizes).ok_or_else(unexpected)?;
        let size = |at: usize| words[at].parse::<usize>().map_err(|_| unexpected());
        let whole = size(words.len() - 1)?;
        let head = if has_head { size(names)? } else { 0 };
        if whole.saturating_sub(head) > self.max_payload {
            return Err(Error::new(
                Kind::TooLarge,
                format!(
                    "a message of {whole} bytes is over the limit of {}",
                    self.max_payload
                ),
            ));
        }
        let (subject, reply) = match names {
            2 => (words[0], ""),
            3 => (words[0], words[2]),
            _ => return Err(unexpected()),
        };
        let mut payload = self.wire.block(whole).await?;
        if head > whole {
            return Err(unexpected());
        }
        let head = payload.split_to(head);
        let (status, words) = status(&head);
        Ok(Message {
            subject: subject.to_owned(),
            reply: reply.to_owned(),
            status,
            words,
            payload,
        })
    }
}

/// Adds to what is sent first who connects, to a server that says this of itself.
fn add_login(url: &Url, info: &Value, connect: &mut Value) -> Result<(), Error> {
    if let Some(user) = user_of(url)? {
        let nonce = info["nonce"].as_str().ok_or_else(|| {
            let message = "the server has no users that are known by a key: `creds` is of no use";
            Error::new(Kind::Reported, message).with_retryable(Some(false))
        })?;
        user.sign(nonce, connect);
        return Ok(());
    }
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    match (url.username(), url.password()) {
        ("", None) => {}
        (token, None) => connect["auth_token"] = decoded(token).into(),
        (user, Some(password)) => {
            connect["user"] = decoded(user).into();
            connect["pass"] = decoded(password).into();
        }
    }
    Ok(())
}

/// The status in the head of a message, and its words: `NATS/1.0 408 Request Timeout`.
fn status(head: &[u8]) -> (Option<u16>, String) {
    let text = String::from_utf8_lossy(head);
    let line = text.lines().next().unwrap_or_default();
    let rest = line.strip_prefix("NATS/1.0").unwrap_or_default().trim();
    let (code, words) = rest.split_once(' ').unwrap_or((rest, ""));
    (code.parse().ok(), words.to_owned())
}

/// What JetStream has against a request.
fn refused(error: &Value) -> Error {
    let code = error["err_code"].as_u64();
    let words = error["description"].as_str().unwrap_or("no reason");
    let is_passing = error["code"].as_u64().is_some_and(|code| code >= 500);
    Error::new(Kind::Reported, format!("JetStream: {words}"))
        .with_retryable(Some(is_passing))
        .with_code(code.map(|code| code.to_string()))
}

/// An error that ends the connection.
fn said(words: &str) -> Error {
    let words = words.trim_matches('\'');
    let is_final = ["authorization", "authentication", "permissions"]
        .iter()
        .any(|word| words.to_ascii_lowercase().starts_with(word));
    Error::new(Kind::Reported, format!("the server says: {words}")).with_retryable(Some(!is_final))
}

fn unexpected() -> Error {
    Error::content("the answer is not as NATS has it")
}

fn nanoseconds(time: Duration) -> Value {
    Value::from(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// A name that nobody else has.
fn unique() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    let word = |salt: u8| RandomState::new().hash_one(salt);
    format!("{:016x}{:016x}", word(0), word(1))
}

/// Reads messages until something is wrong.
#[cfg(any(test, feature = "internals"))]
pub(super) async fn read_any(wire: Wire, max_payload: usize) -> (Vec<String>, Error) {
    let mut nats = Nats {
        wire,
        inbox: String::new(),
        requests: 0,
        max_payload,
        waiting: VecDeque::new(),
    };
    let mut items = Vec::new();
    loop {
        match nats.message().await {
            Ok(message) => items.push(format!("{message:?}")),
            Err(error) => return (items, error),
        }
    }
}
