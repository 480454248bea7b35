//! The protocol of NATS: lines, and messages with a size.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use url::Url;

use super::super::wire::Wire;
use super::user_of;
use crate::error::{Error, Kind};

/// Which message it is, by where its acknowledgement goes.
pub(super) struct Delivery {
    /// Its number in the stream.
    pub(super) sequence: u64,
    /// Its number among those that the consumer gave.
    pub(super) delivered: u64,
}

impl Delivery {
    pub(super) fn of(reply: &str) -> Result<Self, Error> {
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
            sequence: number(begin)?,
            delivered: number(begin + 1)?,
        })
    }
}

/// A message of the server's.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) subject: String,
    pub(super) reply: String,
    /// Where it is not one of somebody's.
    pub(super) status: Option<u16>,
    /// What the server says of its status.
    pub(super) words: String,
    pub(super) payload: Bytes,
}

/// A connection that speaks NATS.
pub(super) struct Nats {
    pub(super) wire: Wire,
    /// The subject under which answers come.
    pub(super) inbox: String,
    requests: u64,
    max_payload: usize,
    /// What came while something else was waited for.
    waiting: VecDeque<Message>,
}

impl Nats {
    pub(super) async fn log_in(
        mut wire: Wire,
        url: &Url,
        max_payload: usize,
    ) -> Result<Self, Error> {
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
    pub(super) async fn api(&mut self, subject: &str, request: &Value) -> Result<Value, Error> {
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

    pub(super) async fn publish(
        &mut self,
        subject: &str,
        reply: &str,
        payload: &str,
    ) -> Result<(), Error> {
        let size = payload.len();
        let text = format!("PUB {subject} {reply} {size}\r\n{payload}\r\n");
        self.wire.send(text.as_bytes()).await
    }

    pub(super) async fn message(&mut self) -> Result<Message, Error> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Ok(message);
            }
            self.step().await?;
        }
    }

    /// Whether another message may be there already.
    pub(super) fn has_more(&self) -> bool {
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

pub(super) fn unexpected() -> Error {
    Error::content("the answer is not as NATS has it")
}

pub(super) fn nanoseconds(time: Duration) -> Value {
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
pub(in super::super) async fn read_any(wire: Wire, max_payload: usize) -> (Vec<String>, Error) {
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
