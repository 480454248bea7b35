//! Redis streams: each entry is an event, whose data is a JSON object of its fields.
//!
//! The id of an entry is its position. What was trimmed before it was read is a doubt. As a
//! consumer of a group, entries are acknowledged once they are taken, or durable in a sink
//! that keeps a state; what was given to this consumer and not acknowledged comes first, and on
//! request what others have not acknowledged for long.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use bytestring::ByteString;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use percent_encoding::percent_decode_str;
use url::Url;

use super::own::{
    Opened, Opening, Own, OwnFeed, Settled, Taken, begins_now, check_parameters, parameter,
};
use super::wire::Wire;
use super::{Arrival, Over};
use crate::error::{Error, Kind};
use crate::events::account::Doubt;
use crate::events::event::put_text;
use crate::events::seen::{KNOWN, Manner};

const PORT: u16 = 6379;

/// The parameters of an address; the first one has to be there.
const PARAMETERS: &[&str] = &["stream", "group", "consumer", "claim", "from"];

/// Whom a group knows us as, where nobody says another name.
const CONSUMER: &str = "unspool";

/// How long the server waits for the next entry before it says that there is none, and how
/// long where entries wait to be acknowledged.
const BLOCK: Duration = Duration::from_secs(5);
const SHORT_BLOCK: Duration = Duration::from_millis(200);

/// How long it may be silent beyond that.
const GRACE: Duration = Duration::from_secs(15);

/// How many entries are asked for at a time at most, and how many bytes of them.
const ENTRIES: usize = 1000;
const BYTES: usize = 1 << 20;

/// How many entries may wait for their acknowledgement: no more than are known again.
const MAX_OWED: usize = KNOWN;

/// The shortest time between two looks at what others have not acknowledged.
const SHORTEST_CLAIM: Duration = Duration::from_secs(1);

/// How deep arrays in answers may be.
const DEPTH: usize = 16;

pub(super) const OWN: Own = Own {
    schemes: &["redis", "rediss"],
    check: |url| {
        check_parameters(url, PARAMETERS)?;
        begins_now(url)?;
        database(url)?;
        claim(url)?;
        let of_groups = ["consumer", "claim"].map(|name| parameter(url, name));
        match (parameter(url, "group"), of_groups) {
            (None, [Some(_), _] | [_, Some(_)]) => Err(Error::request(
                "a consumer is one of a group: `&group=NAME`",
            )),
            _ => Ok(()),
        }
    },
    manner: |url| match parameter(url, "group") {
        Some(_) => Manner::Redelivered,
        None => Manner::Kept,
    },
    open: |opening| open(opening).boxed(),
};

/// The number of the database in the path.
fn database(url: &Url) -> Result<u32, Error> {
    match url.path().trim_matches('/') {
        "" => Ok(0),
        number => number.parse().map_err(|_| {
            Error::request(format!(
                "expected the number of a database, found `{number}`"
            ))
        }),
    }
}

/// After how long what others have not acknowledged is taken over, if it is.
fn claim(url: &Url) -> Result<Option<Duration>, Error> {
    let Some(text) = parameter(url, "claim") else {
        return Ok(None);
    };
    let digits = text.trim_end_matches(|char: char| !char.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let number: Option<u64> = digits.parse().ok();
    let milliseconds = number.and_then(|number| number.checked_mul(unit));
    match milliseconds.filter(|milliseconds| *milliseconds > 0) {
        Some(milliseconds) => Ok(Some(Duration::from_millis(milliseconds))),
        None => Err(Error::request(format!(
            "expected a time such as `claim=60s`; found `{text}`"
        ))),
    }
}

async fn open(opening: Opening) -> Result<Opened, Error> {
    let url = opening.url;
    let wire = Wire::connect(&url, PORT, opening.timeout, opening.meter.clone()).await?;
    let wire = match url.scheme() {
        "rediss" => wire.with_tls().await?,
        _ => wire,
    };
    let group = Group::of(&url)?;
    let mut feed = RedisFeed {
        redis: Redis {
            wire,
            max_value: opening.max_item,
        },
        stream: parameter(&url, "stream").unwrap_or_default(),
        after: opening.after.parse().unwrap_or_default(),
        group,
        left: 0,
        count: 10,
        was_full: false,
        read_until: None,
        taken: opening.taken,
    };
    feed.log_in(&url).await?;
    let begun = feed
        .begin(!opening.after.is_empty(), begins_now(&url)?)
        .await?;
    let silence = opening.idle.unwrap_or(GRACE);
    feed.redis.wire.expect_within(silence.max(BLOCK + BLOCK));
    Ok(Opened {
        feed: Box::new(feed),
        begun: begun.map(|id| id.to_string().into()),
    })
}

/// The id of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Id(u64, u64);

impl FromStr for Id {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let id = text
            .split_once('-')
            .and_then(|(time, number)| Some(Id(time.parse().ok()?, number.parse().ok()?)));
        id.ok_or_else(|| Error::content(format!("expected the id of an entry, found `{text}`")))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

/// What a stream says of itself.
#[derive(Debug, Default)]
struct Info {
    length: u64,
    last: Id,
    first: Option<Id>,
    /// How many entries there ever were, where the server counts them, and none was deleted
    /// but the oldest.
    added: Option<u64>,
}

impl Info {
    /// How many of its oldest entries are gone.
    fn trimmed(&self) -> Option<u64> {
        self.added.map(|added| added.saturating_sub(self.length))
    }
}

/// Who reads as a consumer of a group.
struct Group {
    name: String,
    consumer: String,
    /// After how long what others have not acknowledged is taken over, and when it is looked for
    /// next.
    claim: Option<Duration>,
    claim_at: Instant,
    /// What was handed out and is not acknowledged, in order.
    owed: VecDeque<Id>,
    /// The same of what was given before, to this consumer or another: in another order than it
    /// may have been handed out in.
    again: Vec<Id>,
    /// Whether there may be more that was given before, and after which entry.
    is_pending: bool,
    pending_after: Id,
}

impl Group {
    fn of(url: &Url) -> Result<Option<Self>, Error> {
        let Some(name) = parameter(url, "group") else {
            return Ok(None);
        };
        Ok(Some(Group {
            name,
            consumer: parameter(url, "consumer").unwrap_or_else(|| CONSUMER.to_owned()),
            claim: claim(url)?,
            claim_at: Instant::now(),
            owed: VecDeque::new(),
            again: Vec::new(),
            is_pending: true,
            pending_after: Id::default(),
        }))
    }

    /// How many more entries may wait for their acknowledgement.
    fn room(&self) -> usize {
        MAX_OWED.saturating_sub(self.owed.len() + self.again.len())
    }

    /// Takes note of an entry that came; false where it waits for its acknowledgement already.
    fn is_given(&mut self, id: Id) -> bool {
        if !self.is_pending {
            self.owed.push_back(id);
            return true;
        }
        self.pending_after = id;
        let is_new = !self.owed.contains(&id) && !self.again.contains(&id);
        if is_new {
            self.again.push(id);
        }
        is_new
    }

    /// What may be acknowledged now.
    fn settled(&mut self, settled: &Settled) -> Vec<Id> {
        if settled.is_all {
            let again = std::mem::take(&mut self.again);
            return self.owed.drain(..).chain(again).collect();
        }
        let until: Option<Id> = settled.id.parse().ok();
        let last = self.owed.iter().rposition(|id| Some(*id) == until);
        self.owed.drain(..last.map_or(0, |at| at + 1)).collect()
    }
}

struct RedisFeed {
    redis: Redis,
    stream: String,
    /// The last entry that was read.
    after: Id,
    group: Option<Group>,
    /// How many entries of the answer at hand are left.
    left: usize,
    /// How many are asked for.
    count: usize,
    was_full: bool,
    /// How many entries there ever were up to the last one read, if that is known.
    read_until: Option<u64>,
    taken: Taken,
}

impl RedisFeed {
    async fn log_in(&mut self, url: &Url) -> Result<(), Error> {
        let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = decoded(url.username());
        let password = url.password().map(decoded);
        let words = match (&*user, &password) {
            ("", None) => vec![],
            ("", Some(password)) => vec!["AUTH", password],
            (password, None) => vec!["AUTH", password],
            (user, Some(password)) => vec!["AUTH", user, password],
        };
        if !words.is_empty() {
            self.redis.ask(&words).await?;
        }
        let database = database(url)?;
        if database != 0 {
            self.redis.ask(&["SELECT", &database.to_string()]).await?;
        }
        Ok(())
    }

    /// Finds out where to begin, and what is missing there. Gives the id where the reading
    /// begins, if that is not after the one that was asked for.
    async fn begin(&mut self, is_resumed: bool, begins_now: bool) -> Result<Option<Id>, Error> {
        let info = self.info().await?.filter(|info| info.last >= self.after);
        let Some(info) = info else {
            if self.after != Id::default() {
                let after = self.after.to_string();
                self.taken.doubt(Doubt::MadeAnew { after });
            }
            self.after = Id::default();
            self.join(self.after).await?;
            return Ok(Some(self.after));
        };
        let begin = if is_resumed {
            self.after
        } else if begins_now {
            info.last
        } else {
            Id::default()
        };
        self.join(begin).await?;
        // What a group gave to this consumer before, nobody has seen who is not resumed.
        self.after = if self.group.is_some() {
            self.after
        } else {
            begin
        };
        self.read_until = match begin {
            begin if begin == info.last => info.added,
            // Nothing has been read, so that nothing is missing.
            begin if begin == Id::default() => info.trimmed(),
            _ => None,
        };
        self.check_trimmed(&info).await?;
        Ok((!is_resumed).then_some(self.after))
    }

    /// Sees to it that there is the group, which begins after this entry if it is made.
    async fn join(&mut self, begin: Id) -> Result<(), Error> {
        let Some(group) = &self.group else {
            return Ok(());
        };
        let begin = begin.to_string();
        let words = [
            "XGROUP",
            "CREATE",
            &self.stream,
            &group.name,
            &begin,
            "MKSTREAM",
        ];
        match self.redis.ask(&words).await {
            // It is there, and stands where it stands.
            Err(error) if error.message().starts_with("BUSYGROUP") => Ok(()),
            made => made.map(drop),
        }
    }

    /// What the stream says of itself; none where there is none.
    async fn info(&mut self) -> Result<Option<Info>, Error> {
        let answer = match self.redis.ask(&["XINFO", "STREAM", &self.stream]).await {
            Err(error) if error.message().contains("no such key") => return Ok(None),
            answer => answer?,
        };
        let (mut info, mut has_deleted) = (Info::default(), false);
        let Value::Array(members) = answer else {
            return Err(unexpected());
        };
        for pair in members.chunks_exact(2) {
            match (pair[0].text(), &pair[1]) {
                ("length", Value::Number(length)) => info.length = length.cast_unsigned(),
                ("last-generated-id", id) => info.last = id.text().parse()?,
                ("entries-added", Value::Number(added)) => info.added = Some(added.cast_unsigned()),
                ("max-deleted-entry-id", id) => has_deleted = id.text() != "0-0",
                ("first-entry", Value::Array(entry)) => {
                    info.first = entry.first().map(|id| id.text().parse()).transpose()?;
                }
                _ => {}
            }
        }
        info.added = info.added.filter(|_| !has_deleted);
        Ok(Some(info))
    }

    /// Up to where entries have been read: how many there ever were until there, if that is
    /// known, and the last one.
    async fn read(&mut self) -> Result<(Option<u64>, Id), Error> {
        let Some(group) = &self.group else {
            return Ok((self.read_until, self.after));
        };
        let Value::Array(groups) = self.redis.ask(&["XINFO", "GROUPS", &self.stream]).await? else {
            return Err(unexpected());
        };
        for members in &groups {
            let Value::Array(members) = members else {
                return Err(unexpected());
            };
            let (mut read, mut last, mut is_own) = (None, Id::default(), false);
            for pair in members.chunks_exact(2) {
                match (pair[0].text(), &pair[1]) {
                    ("name", name) => is_own = name.text() == group.name,
                    ("entries-read", Value::Number(count)) => read = Some(count.cast_unsigned()),
                    ("last-delivered-id", id) => last = id.text().parse()?,
                    _ => {}
                }
            }
            if is_own {
                return Ok((read, last));
            }
        }
        Ok((None, Id::default()))
    }

    /// Says so where entries have been trimmed that were not read.
    async fn check_trimmed(&mut self, info: &Info) -> Result<(), Error> {
        let (read, after) = self.read().await?;
        let first = info.first.unwrap_or(info.last);
        let is_missing = match (read, info.trimmed()) {
            (Some(read), Some(trimmed)) => trimmed > read,
            (None, Some(0)) => false,
            _ => first > after && after != info.last && after != Id::default(),
        };
        if is_missing {
            self.read_until = info.trimmed();
            self.taken.doubt(Doubt::Trimmed {
                after: after.to_string(),
                next: first.to_string(),
            });
        }
        Ok(())
    }

    /// Asks for the next entries, and waits for them a while.
    async fn ask(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.was_full)
            && let Some(info) = self.info().await?
        {
            self.check_trimmed(&info).await?;
        }
        self.claim().await?;
        self.make_room().await?;
        let (mut count, mut after, mut block) = (self.count, self.after.to_string(), BLOCK);
        let mut words = vec!["XREAD"];
        if let Some(group) = &self.group {
            words = vec!["XREADGROUP", "GROUP", &group.name, &group.consumer];
            count = count.min(group.room());
            after = if group.is_pending {
                group.pending_after.to_string()
            } else {
                ">".to_owned()
            };
            if !group.owed.is_empty() {
                block = SHORT_BLOCK;
            }
        }
        let (block, asked) = (block.as_millis().to_string(), count.to_string());
        let stream = ["STREAMS", &self.stream, &after];
        words.extend(["COUNT", &asked, "BLOCK", &block]);
        words.extend(stream);
        self.redis.send(&words).await?;
        self.left = self.redis.streams().await?;
        self.was_full = self.left >= count;
        if self.left == 0
            && let Some(group) = &mut self.group
        {
            group.is_pending = false;
        }
        Ok(())
    }

    /// Waits until what was handed out is durable, where no more may be before that: all that
    /// waits for its acknowledgement has to be known again.
    async fn make_room(&mut self) -> Result<(), Error> {
        let Some(group) = &self.group else {
            return Ok(());
        };
        let has_again = !group.is_pending && !group.again.is_empty();
        if has_again || group.room() == 0 {
            self.taken.durable().await;
            self.acknowledge().await?;
        }
        Ok(())
    }

    /// Takes over what other consumers of the group have not acknowledged for long.
    async fn claim(&mut self) -> Result<(), Error> {
        let Some(group) = &mut self.group else {
            return Ok(());
        };
        let Some(idle) = group.claim.filter(|_| group.claim_at <= Instant::now()) else {
            return Ok(());
        };
        group.claim_at = Instant::now() + idle.max(SHORTEST_CLAIM);
        let (idle, count) = (idle.as_millis().to_string(), ENTRIES.to_string());
        let mut start = "0-0".to_owned();
        loop {
            let of = ["XAUTOCLAIM", &self.stream, &group.name, &group.consumer];
            let what = [&*idle, &*start, "COUNT", &count, "JUSTID"];
            let words = [&of[..], &what].concat();
            let Value::Array(answer) = self.redis.ask(&words).await? else {
                return Err(unexpected());
            };
            let [next, Value::Array(taken), others @ ..] = &answer[..] else {
                return Err(unexpected());
            };
            if !taken.is_empty() {
                group.is_pending = true;
                group.pending_after = Id::default();
            }
            if let [Value::Array(deleted), ..] = others {
                for id in deleted {
                    // Given to somebody who did not say that it was done, and deleted since.
                    self.taken.doubt(Doubt::Trimmed {
                        after: self.after.to_string(),
                        next: id.text().to_owned(),
                    });
                }
            }
            next.text().clone_into(&mut start);
            if start == "0-0" {
                return Ok(());
            }
        }
    }

    /// Acknowledges what has been taken, or is durable.
    async fn acknowledge(&mut self) -> Result<(), Error> {
        let Some(group) = &mut self.group else {
            return Ok(());
        };
        let done = group.settled(&self.taken.settled());
        for ids in done.chunks(ENTRIES) {
            let ids: Vec<String> = ids.iter().map(Id::to_string).collect();
            let mut words = vec!["XACK", &self.stream, &group.name];
            words.extend(ids.iter().map(String::as_str));
            self.redis.ask(&words).await?;
        }
        if group.room() < MAX_OWED / 2 {
            self.taken.hurry();
        }
        Ok(())
    }

    /// The next entry of the answer at hand, if it is one to hand out.
    async fn entry(&mut self) -> Result<Option<Arrival>, Error> {
        self.left -= 1;
        let (text, data, is_binary) = self.redis.entry().await?;
        let id: Id = text.parse()?;
        if let Some(group) = &mut self.group
            && !group.is_given(id)
        {
            return Ok(None);
        }
        let Some(data) = data else {
            // Given to this consumer, and deleted before it was handed out.
            self.taken.doubt(Doubt::Trimmed {
                after: self.after.to_string(),
                next: text.to_string(),
            });
            return Ok(None);
        };
        self.after = self.after.max(id);
        self.read_until = self.read_until.map(|count| count + 1);
        let fits = BYTES / data.len().max(1);
        self.count = fits.clamp(1, ENTRIES).min(self.count * 2);
        Ok(Some(Arrival {
            name: ByteString::from_static(if is_binary { "binary" } else { "message" }),
            id: text.clone(),
            data,
            position: text,
        }))
    }
}

impl OwnFeed for RedisFeed {
    fn hear<'a>(&'a mut self, arrivals: &'a mut Vec<Arrival>) -> BoxFuture<'a, Result<(), Over>> {
        async move {
            self.acknowledge().await?;
            if self.left == 0 {
                self.ask().await?;
            }
            let mut size = 0;
            while self.left > 0 {
                if let Some(arrival) = self.entry().await? {
                    size += arrival.data.len();
                    arrivals.push(arrival);
                }
                if size > BYTES {
                    break;
                }
            }
            Ok(())
        }
        .boxed()
    }
}

/// A value of an answer (RESP2).
#[derive(Debug)]
enum Value {
    Text(Bytes),
    Number(i64),
    Array(Vec<Value>),
    Nothing,
}

impl Value {
    fn text(&self) -> &str {
        match self {
            Value::Text(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
            _ => "",
        }
    }
}

/// What begins with a line of an answer.
enum Head {
    Whole(Value),
    /// A text of so many bytes.
    Text(usize),
    /// An array of so many values.
    Array(usize),
}

/// A connection that speaks Redis.
struct Redis {
    wire: Wire,
    max_value: usize,
}

impl Redis {
    async fn send(&mut self, words: &[&str]) -> Result<(), Error> {
        let mut text = format!("*{}\r\n", words.len());
        for word in words {
            text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.wire.send(text.as_bytes()).await
    }

    /// A command and its answer.
    async fn ask(&mut self, words: &[&str]) -> Result<Value, Error> {
        self.send(words).await?;
        self.value(DEPTH).await
    }

    async fn head(&mut self) -> Result<Head, Error> {
        let line = self.wire.line().await?;
        let text = String::from_utf8_lossy(&line);
        let (sign, rest) = text.split_at_checked(1).ok_or_else(unexpected)?;
        let number = || rest.parse::<i64>().map_err(|_| unexpected());
        Ok(match sign {
            "+" => Head::Whole(Value::Text(line.slice(1..))),
            ":" => Head::Whole(Value::Number(number()?)),
            "-" => return Err(reported(rest)),
            "$" | "*" if rest == "-1" => Head::Whole(Value::Nothing),
            "$" => Head::Text(usize::try_from(number()?).map_err(|_| unexpected())?),
            "*" => Head::Array(usize::try_from(number()?).map_err(|_| unexpected())?),
            _ => return Err(unexpected()),
        })
    }

    fn value(&mut self, depth: usize) -> BoxFuture<'_, Result<Value, Error>> {
        async move {
            Ok(match self.head().await? {
                Head::Whole(value) => value,
                Head::Text(size) => Value::Text(self.text(size).await?),
                Head::Array(count) => {
                    let depth = depth.checked_sub(1).ok_or_else(unexpected)?;
                    let mut values = Vec::new();
                    for _ in 0..count {
                        values.push(self.value(depth).await?);
                    }
                    Value::Array(values)
                }
            })
        }
        .boxed()
    }

    async fn text(&mut self, size: usize) -> Result<Bytes, Error> {
        if size > self.max_value {
            return Err(Error::new(
                Kind::TooLarge,
                format!(
                    "a value of {size} bytes is over the limit of {}",
                    self.max_value
                ),
            ));
        }
        self.wire.block(size).await
    }

    async fn array(&mut self) -> Result<Option<usize>, Error> {
        match self.head().await? {
            Head::Array(count) => Ok(Some(count)),
            Head::Whole(Value::Nothing) => Ok(None),
            _ => Err(unexpected()),
        }
    }

    async fn name(&mut self) -> Result<Bytes, Error> {
        match self.head().await? {
            Head::Text(size) => self.text(size).await,
            Head::Whole(Value::Text(text)) => Ok(text),
            _ => Err(unexpected()),
        }
    }

    /// The head of an answer that has the entries of one stream: how many there are.
    async fn streams(&mut self) -> Result<usize, Error> {
        match self.array().await? {
            None | Some(0) => return Ok(0),
            Some(1) => {}
            Some(_) => return Err(unexpected()),
        }
        if self.array().await? != Some(2) {
            return Err(unexpected());
        }
        self.name().await?;
        Ok(self.array().await?.unwrap_or(0))
    }

    /// An entry: its id, its fields as JSON if it has not been deleted, and whether one of
    /// them is no text.
    async fn entry(&mut self) -> Result<(ByteString, Option<ByteString>, bool), Error> {
        if self.array().await? != Some(2) {
            return Err(unexpected());
        }
        let id = ByteString::try_from(self.name().await?).map_err(|_| unexpected())?;
        let Some(count) = self.array().await? else {
            return Ok((id, None, false));
        };
        let mut json = bytes::BytesMut::from(&b"{"[..]);
        let mut is_binary = false;
        for number in 0..count {
            let word = self.name().await?;
            match std::str::from_utf8(&word) {
                Ok(text) => put_text(&mut json, text),
                Err(_) => {
                    is_binary = true;
                    put_text(&mut json, &BASE64_STANDARD.encode(&word));
                }
            }
            json.extend_from_slice(match (number % 2, number + 1 == count) {
                (0, _) => b":",
                (_, false) => b",",
                (_, true) => b"",
            });
            if json.len() > self.max_value {
                return Err(Error::new(
                    Kind::TooLarge,
                    format!("an entry is over the limit of {} bytes", self.max_value),
                ));
            }
        }
        json.extend_from_slice(b"}");
        let json = ByteString::try_from(json.freeze()).map_err(|_| unexpected())?;
        Ok((id, Some(json), is_binary))
    }
}

/// An error that the server says.
fn reported(message: &str) -> Error {
    let code = message.split(' ').next().unwrap_or_default();
    // Those pass: it starts, fails over, or is busy.
    let is_passing = [
        "LOADING",
        "MASTERDOWN",
        "BUSY",
        "TRYAGAIN",
        "CLUSTERDOWN",
        "NOGROUP",
    ];
    Error::new(Kind::Reported, message)
        .with_retryable(Some(is_passing.contains(&code)))
        .with_code(Some(code.to_owned()))
}

fn unexpected() -> Error {
    Error::content("the answer is not as Redis has it")
}

/// Reads answers that have entries until something is wrong.
#[cfg(any(test, feature = "internals"))]
pub(super) async fn read_any(wire: Wire, max_value: usize) -> (Vec<String>, Error) {
    let mut redis = Redis { wire, max_value };
    let mut items = Vec::new();
    loop {
        let left = match redis.streams().await {
            Ok(left) => left,
            Err(error) => return (items, error),
        };
        for _ in 0..left {
            match redis.entry().await {
                Ok(entry) => items.push(format!("{entry:?}")),
                Err(error) => return (items, error),
            }
        }
    }
}
