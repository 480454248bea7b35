//! The source: one answer, from the request to the end mark.

use std::future::Future;
use std::iter::{Once, once};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, timeout_at};
use unspool_core::{AsyncGenerator, generator};
use url::Url;

use super::amend::Amendments;
use super::checks::Checks;
use super::endpoint::Wanted;
use super::event::Event;
use super::frames::Frames;
use super::prompt::Prompt;
use super::protocols::ProviderEntry;
use super::reading::Reading;
use super::report::{is_refused_connection, refused};
use super::watch::Watch;
use super::{FIRST_BYTE, IDLE};
use crate::error::{Error, Kind};
use crate::http::{Attempts, Call, CleanCall, Credentials, HttpOptions, Reply, Session, after};

/// How many events that are not content may stand at the begin of an answer before it
/// counts as begun.
const HELD: usize = 64;

/// What to ask, and how.
pub(super) struct Plan {
    pub(super) wanted: Wanted,
    pub(super) prompt: Prompt,
    pub(super) http: HttpOptions,
    pub(super) stop_at: Option<String>,
    pub(super) deadline: Option<Duration>,
    pub(super) max_event: usize,
}

/// Yields what `take` takes of the events of the answer, and returns once its end is proved.
///
/// As long as nothing has been handed out, what failed in a way that may pass is tried
/// again; after that, never.
pub(super) fn answer<T: Send>(
    plan: Plan,
    watch: Arc<Watch>,
    take: fn(Event) -> Option<T>,
) -> impl AsyncGenerator<Yield = Once<(T, ())>, Return = Result<(), Error>> + Send {
    generator! {
        let mut question = Question::new(plan, &watch)?;
        // The first event that cannot be taken back, and those before it.
        let mut held = Vec::new();
        let mut reading = loop {
            match question.begin(take, &mut held).await {
                Ok(reading) => break reading,
                Err(error) => question.wait_to_ask_again(error).await?,
            }
        };
        for item in held {
            yield once((item, ()));
        }
        while let Some(event) = question.next(&mut reading).await.map_err(|error| question.broken_off(error))? {
            if let Some(item) = take(event) {
                yield once((item, ()));
            }
        }
        Ok(())
    }
}

/// A question that is being asked, perhaps again.
struct Question {
    watch: Arc<Watch>,
    http: Session,
    call: CleanCall,
    entry: &'static ProviderEntry,
    attempts: Attempts,
    amendments: Amendments,
    /// What is looked at in the answer that is being read.
    checks: Checks,
    deadline: Option<(Instant, Duration)>,
    first_byte: Duration,
    max_event: usize,
    /// Whether a connection has been refused.
    was_refused: bool,
}

impl Question {
    fn new(plan: Plan, watch: &Arc<Watch>) -> Result<Self, Error> {
        let Plan {
            wanted,
            mut prompt,
            mut http,
            stop_at,
            deadline,
            max_event,
        } = plan;
        prompt.check()?;
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let headers = |base: &Url| match wanted.api_key {
            // It goes before one that is shared.
            Some(_) => http.credentials.headers().clone(),
            None => http.headers_for(base),
        };
        let endpoint = wanted.endpoint(&headers, &variable)?;
        let entry = endpoint.entry;
        let hides_limits = entry.dialect.hides_limits && endpoint.is_compatible();
        prompt.model = endpoint.model;
        let asked = (entry.request)(entry, &prompt, endpoint.base)?;
        watch.asks(entry.name, &prompt.model);
        let known = http.headers_for(&asked.url);
        add_headers(&mut http.credentials, &known, endpoint.key, asked.headers)?;
        let mut call = Call {
            body: Some(asked.body),
            ..Call::get(asked.url)
        };
        // What is wrong with a pattern or a schema is said before anything is sent.
        let checks = Checks::new(stop_at, &prompt, hides_limits)?;
        let usual = (FIRST_BYTE, IDLE);
        let http = Session::new(&mut call.url, &http, usual, Arc::clone(watch.meter()))?;
        let first_byte = http.timeout();
        watch.keeps_secret(http.secrets());
        Ok(Question {
            watch: Arc::clone(watch),
            attempts: http.attempts(),
            amendments: Amendments::new(&prompt.extra),
            checks,
            deadline: deadline.map(|limit| (after(limit), limit)),
            call: http.clean(call)?,
            http,
            entry,
            first_byte,
            max_event,
            was_refused: false,
        })
    }

    /// Sends the request and reads up to the first event that cannot be taken back, or to
    /// the end of an answer without any: what `take` takes of that is held.
    async fn begin<T>(
        &mut self,
        take: fn(Event) -> Option<T>,
        held: &mut Vec<T>,
    ) -> Result<Reading, Error> {
        held.clear();
        self.checks.start_over()?;
        self.watch.start_over();
        let mut reading = self.open().await?;
        while let Some(event) = self.next(&mut reading).await? {
            let is_content = event.is_content();
            if let Some(item) = take(event) {
                held.push(item);
                if is_content || held.len() >= HELD {
                    break;
                }
            }
        }
        Ok(reading)
    }

    /// Sends the request, once more where its form is refused and there is another.
    async fn open(&mut self) -> Result<Reading, Error> {
        loop {
            let begin = Instant::now();
            match within(self.deadline, self.http.send_any(&self.call)).await?? {
                Reply::Success(mut answer) => {
                    self.watch.answered(&answer.headers);
                    let left = self.first_byte.saturating_sub(begin.elapsed());
                    answer.body.wait_for_next(left);
                    let frames = Frames::new(*answer, self.max_event, self.http.secrets());
                    return Ok(Reading::new(frames, (self.entry.reader)()));
                }
                Reply::Refusal(refusal) => {
                    self.watch.answered(&refusal.headers);
                    let mut call = self.call.call().clone();
                    if !self.amendments.amend(&refusal, &mut call) {
                        return Err(self.amendments.explain(refused(*refusal)));
                    }
                    self.call = self.http.clean(call)?;
                }
            }
        }
    }

    /// The next event, as it is to be handed out.
    async fn next(&mut self, reading: &mut Reading) -> Result<Option<Event>, Error> {
        // Without a deadline there is nothing around the step, which costs at each event.
        let event = match self.deadline {
            None => reading.next().await?,
            Some(_) => within(self.deadline, reading.next()).await??,
        };
        let Some(mut event) = event else {
            return Ok(None);
        };
        self.checks.look_at(&mut event, reading, &self.watch)?;
        self.watch.observe(&event);
        Ok(Some(event))
    }

    /// Waits to ask again, or gives the error back if that makes no sense.
    async fn wait_to_ask_again(&mut self, error: Error) -> Result<(), Error> {
        let error = self.in_context(error);
        // Where nothing listens, little changes while one waits.
        if is_refused_connection(&error) && std::mem::replace(&mut self.was_refused, true) {
            return Err(error.with_note("is it running there?"));
        }
        let last = error.message().to_owned();
        match within(self.deadline, self.attempts.after(error)).await {
            Ok(tried) => tried,
            Err(late) => Err(self.in_context(late.with_note(format!("the last try: {last}")))),
        }
    }

    /// The error of an answer of which something has been handed out.
    fn broken_off(&self, error: Error) -> Error {
        self.in_context(error)
    }

    fn in_context(&self, error: Error) -> Error {
        error
            .at_request(self.call.redacted())
            .without_secrets(&self.http.secrets())
            .map_words(|words| self.watch.redacted(words))
    }
}

/// What the future gives, if that is before the deadline.
async fn within<T>(
    deadline: Option<(Instant, Duration)>,
    future: impl Future<Output = T>,
) -> Result<T, Error> {
    let Some((until, limit)) = deadline else {
        return Ok(future.await);
    };
    timeout_at(until, future).await.map_err(|_| {
        Error::new(
            Kind::Timeout,
            format!("the answer was not complete within {limit:?}, the deadline"),
        )
        .with_retryable(Some(false))
    })
}

/// Adds the key and the headers of the protocol; the caller's own, which are known, go
/// before.
fn add_headers(
    credentials: &mut Credentials,
    known: &HeaderMap,
    key: Option<(HeaderName, HeaderValue)>,
    others: Vec<(&'static str, String)>,
) -> Result<(), Error> {
    if let Some((name, value)) = key {
        credentials.usual_header(name, value);
    }
    let mut add = |name: HeaderName, value| {
        if !known.contains_key(&name) {
            credentials.usual_header(name, value);
        }
    };
    for (name, value) in others {
        let value = HeaderValue::from_str(&value)
            .map_err(|_| Error::request(format!("`{value}` cannot be sent in `{name}`")))?;
        let name: HeaderName = name
            .parse()
            .map_err(|_| Error::request(format!("`{name}` is no header")))?;
        add(name, value);
    }
    let accepted = HeaderValue::from_static("text/event-stream, application/json");
    add(ACCEPT, accepted);
    Ok(())
}
