//! The source: a feed, connection after connection.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use std::vec::IntoIter;

use percent_encoding::percent_decode_str;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, HeaderValue};
use tokio::time::{Instant, timeout_at};
use unspool_core::{AsyncGenerator, Resume, generator};
use url::Url;

use super::account::{Doubt, Ended};
use super::delays::Delays;
use super::event::Event;
use super::position;
use super::progress::{Feeds, Place};
use super::request::ResumeAs;
use super::rhythm::Rhythm;
use super::seen::{Manner, Mark, Seen, Sight, Stood};
use super::transports::{
    Arrival, Asked, Asking, Connection, HttpFeed, Memory, Opened, Opening, Over, Own, PollFeed,
    Reading, SocketFeed, SocketForm, Taken, TransportEntry, WEBSOCKET, named,
};
use super::until::Until;
use crate::error::{Error, ErrorKind, Kind};
use crate::http::{
    Attempts, Call, HttpOptions, Meter, Refusal, Reply, Secrets, Session, after, is_secret_name,
};
use crate::json::Pointer;
use crate::source::SourceGenerator;

/// The longest silence before the head of an answer, where nobody says another.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What is asked for where nobody says how the feed is carried.
const ACCEPTED: &str = "text/event-stream, application/x-ndjson, application/json-seq, \
                        application/json;q=0.9";

/// A connection that has lived so long was a good one.
const HEALTHY: Duration = Duration::from_secs(60);

/// One that has lived so long was one at all.
const ALIVE: Duration = Duration::from_secs(10);

/// The longest wait that an upstream may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Statuses with which an upstream refuses a position, and not the one who asks.
const REFUSALS: [u16; 6] = [400, 409, 410, 412, 416, 422];

/// The header with the id to go on after, and in an answer of Mercure the one that it goes on
/// after.
const LAST_EVENT_ID: &str = "last-event-id";

/// The status with which an upstream says that a position is too old.
const GONE: u16 = 410;

/// What to follow, and how.
pub(super) struct Plan {
    /// Which of the feeds it is.
    pub(super) number: usize,
    pub(super) call: Call,
    pub(super) http: HttpOptions,
    pub(super) stood: Stood,
    /// How it is carried, where the caller says so.
    pub(super) transport: Option<&'static TransportEntry>,
    /// Where the position is in an item, where it has no place of its own.
    pub(super) position: Option<Pointer>,
    pub(super) resume_as: Option<ResumeAs>,
    /// How it is asked again and again, if it is.
    pub(super) asking: Option<Asking>,
    /// What it is told, where it is a WebSocket.
    pub(super) socket: Option<SocketForm>,
    /// The transport that its address tells, and the address with credentials.
    pub(super) own: Option<(&'static TransportEntry, &'static Own, Url)>,
    /// Whether an earlier run has followed it.
    pub(super) is_resumed: bool,
    /// Where the items are in an answer to that.
    pub(super) items_at: Option<Pointer>,
    pub(super) is_ordered: bool,
    /// The names of the events with which the feed says that others are missing.
    pub(super) gap_events: Vec<String>,
    pub(super) is_once: bool,
    /// Whether a cursor is sent only after the items before it are durable.
    pub(super) awaits_durable: bool,
    pub(super) until: Option<Until>,
    pub(super) stop_after: Option<Duration>,
    pub(super) idle: Option<Duration>,
    pub(super) reconnects: usize,
    pub(super) first_wait: Duration,
    pub(super) max_item: usize,
}

/// Yields what `take` makes of the events of a feed, and returns why it ended.
pub(super) fn follow<T: Send + 'static>(
    plan: Result<Plan, Error>,
    feeds: Arc<Feeds>,
    mut take: impl FnMut(Event) -> Result<T, Error> + Send + 'static,
) -> impl AsyncGenerator<Yield = IntoIter<(T, Place)>, Return = Result<Ended, Error>> + Send {
    generator! {
        let mut follower = Follower::new(plan?, feeds)?;
        loop {
            let over = match follower.connect().await {
                Err(over) => over,
                Ok(mut connection) => loop {
                    match follower.next(&mut connection).await {
                        Ok(events) => yield follower.batch(events, &mut take)?,
                        Err(over) => break over,
                    }
                },
            };
            if let Some(ended) = follower.after(over).await? {
                return Ok(ended);
            }
        }
    }
}

/// Yields what several feeds give, each in its turn, until the last one has ended, or one
/// where the caller wanted to stop.
pub(super) fn merged<T: Send + 'static>(
    mut feeds: Vec<SourceGenerator<T, Feeds>>,
) -> impl AsyncGenerator<Yield = IntoIter<(T, Place)>, Return = Result<Ended, Error>> + Send {
    generator! {
        let mut turn = 0;
        let mut last = Ended::default();
        while !feeds.is_empty() {
            match poll_fn(|cx| poll_any(&mut feeds, &mut turn, cx)).await {
                Given::Batch(batch) => yield batch,
                Given::End(ended) => last = ended?,
            }
            if let Ended::Until | Ended::TimeUp = last {
                break;
            }
        }
        Ok(last)
    }
}

/// What one of several feeds gives.
enum Given<T> {
    Batch(IntoIter<(T, Place)>),
    End(Result<Ended, Error>),
}

/// Polls the feeds, beginning after the one that gave something last: a batch, or how one of
/// them ended, which is then no longer among them.
fn poll_any<T: Send>(
    feeds: &mut Vec<SourceGenerator<T, Feeds>>,
    turn: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<Given<T>> {
    for step in 0..feeds.len() {
        let number = (*turn + step) % feeds.len();
        let feed: Pin<&mut _> = feeds[number].as_mut();
        let Poll::Ready(given) = feed.poll_resume(cx, &mut Some(Resume::Send(()))) else {
            continue;
        };
        *turn = number + 1;
        return Poll::Ready(match given {
            Some(batch) => Given::Batch(batch),
            None => {
                let mut feed = feeds.remove(number);
                Given::End(feed.as_mut().take_return().unwrap_or(Ok(Ended::Stopped)))
            }
        });
    }
    Poll::Pending
}

/// A feed that is being followed.
struct Follower {
    feeds: Arc<Feeds>,
    /// What was asked for, without what the parts below were made of.
    plan: Plan,
    /// Its address, for its events.
    source: Arc<str>,
    upstream: Upstream,
    secrets: Arc<Secrets>,
    /// How long an answer is waited for.
    timeout: Duration,
    stop_at: Option<Instant>,
    seen: Seen,
    memory: Memory,
    delays: Delays,
    /// The tries that the first connection has.
    attempts: Attempts,
    /// Connections in a row that came to nothing.
    failures: usize,
    was_connected: bool,
    /// Whether the next request can say after which event to go on.
    can_resume: bool,
    /// Why the last connection ended, until there is the next.
    reason: Option<String>,
    /// The connection at hand.
    health: Option<Health>,
    arrivals: Vec<Arrival>,
    /// What is to be said once the events before it have been taken.
    pending: Option<Over>,
}

/// How the feed is reached.
enum Upstream {
    Http(Arc<Session>),
    Own(&'static TransportEntry, &'static Own, Url),
}

/// How a connection is.
struct Health {
    since: Instant,
    /// Whether a byte of it has come.
    is_heard: bool,
}

impl Plan {
    /// What answers are asked for.
    fn accepted(&self) -> &'static str {
        match (self.transport, &self.asking) {
            (Some(entry), _) => entry.accept,
            (None, Some(_)) => "application/json",
            (None, None) => ACCEPTED,
        }
    }

    /// What the ids of the events are good for.
    fn manner(&self) -> Manner {
        match (&self.asking, &self.own) {
            (Some(Asking::Every(..)), _) => Manner::Window,
            (Some(Asking::Cursor(_) | Asking::Validators), _) => Manner::Cursor,
            (None, Some((_, own, url))) => (own.manner)(url),
            _ if self.is_ordered => Manner::Ordered,
            _ => Manner::Usual,
        }
    }

    /// The address of the feed, for its events.
    fn source(&self) -> Arc<str> {
        let address = position::origin(&self.call).url;
        match &self.socket {
            // The handshake of `ws:` is one of `http:`.
            Some(_) => address.as_str().replacen("http", "ws", 1).into(),
            None => address.as_str().into(),
        }
    }

    /// How the feed is reached, what of that nobody may see, and the tries of its first
    /// connection.
    fn reach(&mut self, meter: Arc<Meter>) -> Result<(Upstream, Secrets, Attempts), Error> {
        let mut http = std::mem::take(&mut self.http);
        if let Some((entry, own, url)) = self.own.take() {
            let secrets = secrets_of(&url);
            let attempts = Attempts::new(&http.settings().retry(), meter);
            return Ok((Upstream::Own(entry, own, url), secrets, attempts));
        }
        let accepted = HeaderValue::from_static(self.accepted());
        http.credentials.usual_header(ACCEPT, accepted);
        let http = Session::new(&mut self.call.url, &http, (TIMEOUT, TIMEOUT), meter)?;
        let (secrets, attempts) = (http.secrets(), http.attempts());
        if let Some(token) = position::token(self.call.url.path()) {
            secrets.keep(token);
        }
        Ok((Upstream::Http(Arc::new(http)), secrets, attempts))
    }
}

impl Follower {
    fn new(mut plan: Plan, feeds: Arc<Feeds>) -> Result<Self, Error> {
        let (origin, manner) = (position::origin(&plan.call), plan.manner());
        let (source, timeout) = (plan.source(), plan.http.settings().timeout);
        let (upstream, secrets, attempts) = plan.reach(Arc::clone(&feeds.meter))?;
        let (stood, secrets) = (std::mem::take(&mut plan.stood), Arc::new(secrets));
        feeds.begin(plan.number, origin, stood.clone(), Arc::clone(&secrets));
        let earlier = plan.is_resumed.then_some("the end of an earlier run");
        Ok(Follower {
            feeds,
            source,
            upstream,
            secrets,
            timeout: timeout.unwrap_or(TIMEOUT),
            stop_at: plan.stop_after.map(after),
            memory: Memory {
                rhythm: Rhythm::new(plan.idle),
                asked: Asked::after(stood.id.clone()),
            },
            seen: Seen::new(stood, manner),
            delays: Delays::new(plan.first_wait),
            attempts,
            failures: 0,
            was_connected: false,
            can_resume: false,
            reason: earlier.map(str::to_owned),
            health: None,
            arrivals: Vec::new(),
            pending: None,
            plan,
        })
    }

    /// Connects, to go on after the last event.
    async fn connect(&mut self) -> Result<Connection, Over> {
        // On the heap, so that a feed that is connected has no room for it.
        match within(self.stop_at, Box::pin(self.open())).await {
            Some(opened) => opened,
            None => Err(Over::Ended(Ended::TimeUp)),
        }
    }

    async fn open(&mut self) -> Result<Connection, Over> {
        let http = match &self.upstream {
            Upstream::Http(http) => Arc::clone(http),
            Upstream::Own(entry, own, url) => return self.open_own(entry, own, url.clone()).await,
        };
        if let Some(asking) = &self.plan.asking {
            return Ok(Connection::Poll(PollFeed {
                http,
                call: self.plan.call.clone(),
                asking: asking.clone(),
                resume_as: self.plan.resume_as.clone(),
                items_at: self.plan.items_at.clone(),
                max_item: self.plan.max_item,
            }));
        }
        if let Some(form) = &self.plan.socket {
            return self.open_socket(&http, form.clone()).await;
        }
        let mut reply = self.ask(&http).await?;
        if let Reply::Refusal(refusal) = &reply
            && self.is_refused_position(refusal)
        {
            self.forget_position(refusal.status.as_u16());
            reply = self.ask(&http).await?;
        }
        let answer = match reply {
            Reply::Refusal(refusal) => return Err(refusal.into_error().into()),
            Reply::Success(answer) if answer.status == StatusCode::NO_CONTENT => {
                return Err(Over::Ended(Ended::NoContent));
            }
            Reply::Success(answer) => *answer,
        };
        let begun = answer.headers.get(LAST_EVENT_ID).map(HeaderValue::as_bytes);
        let begun = begun.map(|id| String::from_utf8_lossy(id).into_owned());
        let (feed, entry) = HttpFeed::of(answer, self.plan.transport, self.reading()).await?;
        self.check_begun(begun);
        self.connected(entry);
        Ok(Connection::Http(Box::new(feed)))
    }

    /// Connects to a feed with a protocol of its own.
    async fn open_own(
        &mut self,
        entry: &'static TransportEntry,
        own: &Own,
        url: Url,
    ) -> Result<Connection, Over> {
        let opened = (own.open)(Opening {
            url,
            after: self.seen.id().clone(),
            max_item: self.plan.max_item,
            timeout: self.timeout,
            idle: self.plan.idle,
            meter: Arc::clone(&self.feeds.meter),
            taken: Taken {
                feeds: Arc::clone(&self.feeds),
                number: self.plan.number,
                awaits_durable: self.plan.awaits_durable,
            },
        });
        let Opened { feed, begun } = opened.await?;
        if let Some(id) = begun {
            self.feeds.begin_at(self.plan.number, id.clone());
            self.seen.begin_at(id);
        }
        self.connected(entry);
        Ok(Connection::Own(feed))
    }

    /// A hub that says after which event it really goes on (Mercure) says so what is missing.
    fn check_begun(&self, begun: Option<String>) {
        let after = self.seen.id();
        if let Some(begun) = begun
            && !after.is_empty()
            && begun.as_bytes() != after.as_bytes()
        {
            self.doubt(Doubt::BegunElsewhere {
                after: after.to_string(),
                begun,
            });
        }
    }

    async fn open_socket(&mut self, http: &Session, form: SocketForm) -> Result<Connection, Over> {
        let connection = http.upgrade(self.next_call(), &form.protocols).await?;
        let limits = (self.plan.is_once, self.plan.max_item, self.plan.idle);
        let (position, meter) = (self.plan.position.clone(), Arc::clone(&self.feeds.meter));
        let feed = SocketFeed::new(connection, &form, position, limits, meter).await?;
        self.connected(named(WEBSOCKET)?);
        Ok(Connection::Socket(feed))
    }

    async fn ask(&self, http: &Session) -> Result<Reply, Error> {
        let call = http.clean(self.next_call())?;
        http.send_any(&call).await
    }

    /// The request that goes on after the last event.
    fn next_call(&self) -> Call {
        let mut call = self.plan.call.clone();
        let id = self.seen.id();
        if id.is_empty() || (self.plan.socket.is_some() && self.plan.resume_as.is_none()) {
            return call;
        }
        let usual = ResumeAs::Header(LAST_EVENT_ID.to_owned());
        (self.plan.resume_as.as_ref().unwrap_or(&usual)).put(&mut call, id);
        call
    }

    fn reading(&self) -> Reading {
        Reading {
            after: self.seen.id().clone(),
            position: self.plan.position.clone(),
            max_item: self.plan.max_item,
        }
    }

    fn is_refused_position(&self, refusal: &Refusal) -> bool {
        !self.seen.id().is_empty() && REFUSALS.contains(&refusal.status.as_u16())
    }

    /// The upstream refuses to go on after the last event, with this status.
    fn forget_position(&mut self, status: u16) {
        self.doubt(Doubt::PositionRefused { status });
        self.seen.forget_position();
        self.memory.asked = Asked::default();
        self.feeds.forget_position(self.plan.number);
        // That much is said.
        self.reason = None;
    }

    /// The upstream has answered as a feed.
    fn connected(&mut self, entry: &'static TransportEntry) {
        self.feeds.connected(entry.name);
        self.can_resume = entry.resumes_by_itself || self.plan.resume_as.is_some();
        if let Some(reason) = self.reason.take()
            && self.plan.asking.is_none()
            && (self.seen.id().is_empty() || !self.can_resume)
        {
            self.doubt(Doubt::NoPosition { reason });
        }
        self.seen.connect();
        self.was_connected = true;
        self.health = Some(Health {
            since: Instant::now(),
            is_heard: false,
        });
    }

    /// The transport of a feed that is asked again and again.
    fn asked_as(&self) -> Result<&'static TransportEntry, Error> {
        named(match &self.plan.asking {
            Some(asking) if asking.acknowledges() => "long-poll",
            _ => "poll",
        })
    }

    fn doubt(&self, doubt: Doubt) {
        self.feeds.doubt(doubt);
    }

    /// The next events that have not been handed out, each with its mark; or how the
    /// connection ended.
    async fn next(&mut self, connection: &mut Connection) -> Result<Vec<(Event, Mark)>, Over> {
        if let Some(over) = self.pending.take() {
            return Err(over);
        }
        loop {
            self.await_durable().await?;
            let heard = connection.hear(&mut self.memory, &mut self.arrivals);
            let heard = match within(self.stop_at, heard).await {
                Some(heard) => heard,
                None => Err(Over::Ended(Ended::TimeUp)),
            };
            if heard.is_ok() && self.health.is_none() {
                self.connected(self.asked_as()?);
            }
            if let Some(health) = &mut self.health {
                health.is_heard |= heard.is_ok();
            }
            let heard = heard.and_then(|()| self.after_answer());
            if let Some(retry) = connection.retry() {
                self.delays.state(retry);
            }
            let events = self.look();
            match heard {
                Ok(()) if events.is_empty() && self.pending.is_none() => {}
                Ok(()) => return Ok(events),
                Err(over) if events.is_empty() => return Err(self.pending.take().unwrap_or(over)),
                Err(over) => {
                    // What was to be the last event goes before what broke after it.
                    self.pending.get_or_insert(over);
                    return Ok(events);
                }
            }
        }
    }

    /// Of a feed that is asked again and again, an answer is the end where that of a body is.
    fn after_answer(&self) -> Result<(), Over> {
        if self.plan.is_once && self.plan.asking.is_some() {
            // A document of JSON says itself where it ends.
            Err(Over::Body {
                with_connection: false,
                is_inside: false,
            })
        } else {
            Ok(())
        }
    }

    /// Waits until what was handed out is durable, where the next request lets the upstream
    /// forget it.
    async fn await_durable(&self) -> Result<(), Over> {
        let acknowledges = (self.plan.asking.as_ref()).is_some_and(Asking::acknowledges);
        if !self.plan.awaits_durable || !acknowledges {
            return Ok(());
        }
        match within(self.stop_at, self.feeds.durable(self.plan.number)).await {
            Some(()) => Ok(()),
            None => Err(Over::Ended(Ended::TimeUp)),
        }
    }

    /// Looks at what has come: what of it is to be handed out.
    fn look(&mut self) -> Vec<(Event, Mark)> {
        let received = SystemTime::now();
        let mut events = Vec::with_capacity(self.arrivals.len());
        let mut replayed = 0;
        if !self.seen.is_overlapped_by(&self.arrivals) {
            self.doubt(Doubt::NoOverlap);
        }
        self.seen.expect(self.arrivals.len());
        for arrival in std::mem::take(&mut self.arrivals) {
            let (sight, doubt) = (self.seen).look(&arrival.position, &arrival.name, &arrival.data);
            if let Some(doubt) = doubt {
                self.doubt(doubt);
            }
            let Sight::New(mark) = sight else {
                replayed += 1;
                continue;
            };
            if self
                .plan
                .gap_events
                .iter()
                .any(|name| **name == *arrival.name)
            {
                let name = arrival.name.to_string();
                self.doubt(Doubt::Announced { name });
            }
            let is_last =
                (self.plan.until.as_ref()).is_some_and(|until| until.is_met(&arrival.data));
            let event = Event {
                name: arrival.name,
                id: arrival.id,
                data: arrival.data,
                received,
                source: Arc::clone(&self.source),
            };
            events.push((event, mark));
            if is_last {
                self.pending = Some(Over::Ended(Ended::Until));
                break;
            }
        }
        if replayed > 0 && !self.seen.is_window() {
            self.feeds.replayed(replayed);
        }
        events
    }

    /// The events as they are handed out.
    fn batch<T>(
        &self,
        events: Vec<(Event, Mark)>,
        take: &mut impl FnMut(Event) -> Result<T, Error>,
    ) -> Result<IntoIter<(T, Place)>, Error> {
        let feed = self.plan.number;
        let (events, marks): (Vec<Event>, Vec<Mark>) = events.into_iter().unzip();
        let batch = self.feeds.hands_out(feed, marks);
        let items: Result<Vec<_>, Error> = (events.into_iter().enumerate())
            .map(|(index, event)| Ok((take(event)?, Place { feed, batch, index })))
            .collect();
        Ok(items?.into_iter())
    }

    /// What comes after the end of a connection: the end of the feed, or a wait before the
    /// next one.
    async fn after(&mut self, over: Over) -> Result<Option<Ended>, Error> {
        let reason = match over {
            Over::Ended(ended) => return Ok(Some(ended)),
            Over::Body {
                with_connection,
                is_inside: false,
            } if self.plan.is_once => {
                if with_connection {
                    self.doubt(Doubt::EndNotStated);
                }
                return Ok(Some(Ended::EndOfBody));
            }
            Over::Body {
                is_inside: true, ..
            } => Error::new(Kind::Truncated, "the body ended inside of an event"),
            Over::Body { .. } if self.can_resume => Error::new(Kind::Truncated, "the body ended"),
            Over::Body { .. } => {
                return Err(Error::new(
                    Kind::Truncated,
                    "the body ended, and nothing says where to go on: the feed needs a position, or \
                     its end is to be that of the body",
                )
                .at_request(self.plan.call.redacted()));
            }
            Over::Broken(error) if error.status() == Some(GONE) && !self.seen.id().is_empty() => {
                self.forget_position(GONE);
                return Ok(None);
            }
            Over::Broken(error) => error,
        };
        let reason = reason.at_request(self.plan.call.redacted());
        let health = self.health.take();
        if !self.was_connected {
            return self.try_first_again(reason).await;
        }
        let (wait, words) = self.wait_before_next(health, reason)?;
        let slept = {
            let _waiting = self.feeds.meter.waiting(words);
            within(self.stop_at, tokio::time::sleep(wait)).await
        };
        self.feeds.meter.retry();
        Ok(slept.is_none().then_some(Ended::TimeUp))
    }

    /// How long to wait before the next connection, and what is said meanwhile.
    ///
    /// # Errors
    ///
    /// There is no use in another one.
    fn wait_before_next(
        &mut self,
        health: Option<Health>,
        reason: Error,
    ) -> Result<(Duration, String), Error> {
        if let Some(health) = health {
            let lived = health.since.elapsed();
            let has_new_position = self.seen.has_new() && !self.seen.id().is_empty();
            if lived >= HEALTHY || has_new_position {
                self.delays.reset();
            }
            if health.is_heard || lived >= ALIVE {
                self.failures = 0;
            }
        }
        let asked = reason.retry_after().unwrap_or_default();
        let is_too_long = reason.is_throttled() || asked > LONGEST_WAIT;
        if !reason.is_retryable() || is_too_long {
            return Err(reason);
        }
        if self.failures >= self.plan.reconnects {
            return Err(match self.plan.reconnects {
                0 => reason,
                tried => reason.with_note(format!("connected again {tried} times in a row")),
            });
        }
        self.failures += 1;
        let wait = self.delays.next().max(asked);
        let words = format!(
            "waiting {:.1} s to connect again ({} of {}): {}",
            wait.as_secs_f64(),
            self.failures,
            self.plan.reconnects,
            reason.message()
        );
        (self.reason).get_or_insert_with(|| self.secrets.masked(reason.message()));
        Ok((wait, words))
    }

    /// The first connection was not made: what an upstream says against it stays.
    async fn try_first_again(&mut self, error: Error) -> Result<Option<Ended>, Error> {
        if error.kind() == ErrorKind::Status {
            return Err(error);
        }
        match within(self.stop_at, self.attempts.after(error)).await {
            Some(tried) => tried.map(|()| None),
            None => Ok(Some(Ended::TimeUp)),
        }
    }
}

/// What an address holds that nobody may see.
fn secrets_of(url: &Url) -> Secrets {
    let secrets = Secrets::new();
    // A name alone is a token, to those who have such.
    let is_token = !url.scheme().starts_with("postgres");
    let user = if is_token { url.username() } else { "" };
    let word = url.password().unwrap_or(user);
    let decoded = percent_decode_str(word).decode_utf8_lossy();
    let values = (url.query_pairs()).filter(|(name, _)| is_secret_name(name));
    for word in [word.into(), decoded]
        .into_iter()
        .chain(values.map(|(_, value)| value))
    {
        if !word.is_empty() {
            secrets.keep(&word);
        }
    }
    secrets
}

/// What the future gives, if that is before the time is up.
async fn within<T>(until: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match until {
        None => Some(future.await),
        Some(until) => timeout_at(until, future).await.ok(),
    }
}
