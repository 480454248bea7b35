//! The source: one answer, from the request to the end mark.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, timeout_at};
use unspool_core::{AsyncGenerator, generator};

use super::event::Event;
use super::frames::Frames;
use super::outcome::Stop;
use super::prompt::Prompt;
use super::protocols::{Entry, Reader};
use super::report::refused;
use super::stop_at::StopAt;
use super::target::Wanted;
use super::watch::Watch;
use crate::error::{Error, Kind};
use crate::http::{Attempts, Call, Http, Options, Reply, after};

/// How many events that are not content may stand at the begin of an answer before it
/// counts as begun.
const HELD: usize = 64;

/// What to ask, and how.
pub(super) struct Plan {
    /// What is wrong with the request, if anything is.
    pub(super) wrong: Option<Error>,
    pub(super) wanted: Wanted,
    pub(super) prompt: Prompt,
    pub(super) http: Options,
    pub(super) stop_at: Option<String>,
    pub(super) deadline: Option<Duration>,
    pub(super) max_event: usize,
}

/// Yields what `take` takes of the events of the answer, and returns once its end is proved.
///
/// As long as nothing has been handed out, what failed in a way that may pass is tried
/// again; behind that, never.
pub(super) fn answer<T: Send>(
    plan: Plan,
    watch: Arc<Watch>,
    take: fn(Event) -> Option<T>,
) -> impl AsyncGenerator<Yield = T, Return = Result<(), Error>> + Send {
    generator! {
        let mut asking = Asking::new(plan, watch)?;
        let begin = loop {
            match asking.begin(take).await {
                Ok(begin) => break begin,
                Err(error) => asking.again(error).await?,
            }
        };
        for item in begin {
            yield item;
        }
        while let Some(event) = asking.next().await.map_err(|error| asking.broken_off(error))? {
            if let Some(item) = take(event) {
                yield item;
            }
        }
        Ok(())
    }
}

/// A question that is being asked, perhaps again.
struct Asking {
    watch: Arc<Watch>,
    http: Http,
    call: Call,
    entry: &'static Entry,
    attempts: Attempts,
    deadline: Option<(Instant, Duration)>,
    first_byte: Duration,
    max_event: usize,
    max_tokens: Option<u64>,
    /// Whether this is not the provider's own service.
    is_compatible: bool,
    stop_pattern: Option<String>,
    stop_at: Option<StopAt>,
    stage: Stage,
}

enum Stage {
    Reading(Reader),
    /// The text has come to where it should stop: the connection is closed.
    Stopped,
    Over,
}

impl Asking {
    fn new(plan: Plan, watch: Arc<Watch>) -> Result<Self, Error> {
        let Plan {
            wrong,
            wanted,
            mut prompt,
            mut http,
            stop_at,
            deadline,
            max_event,
        } = plan;
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        if prompt.messages.is_empty() {
            return Err(Error::request("there is nothing to ask"));
        }
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let target = wanted.target(&http.headers, &variable)?;
        let entry = target.entry;
        let is_compatible = target.is_compatible();
        prompt.model = target.model;
        let asked = (entry.request)(&prompt, target.base);
        watch.asks(entry.name, &prompt.model);
        add_headers(&mut http.headers, target.key, asked.headers)?;
        let mut call = Call {
            body: Some(asked.body),
            ..Call::get(asked.url)
        };
        let first_byte = http.timeout;
        let http = Http::new(&mut call.url, &http, Arc::clone(watch.meter()))?;
        watch.keeps_secret(http.secrets());
        Ok(Asking {
            attempts: http.attempts(),
            // A pattern that is none is refused before anything is sent.
            stop_at: stop_at.as_deref().map(StopAt::new).transpose()?,
            stop_pattern: stop_at,
            deadline: deadline.map(|limit| (after(limit), limit)),
            watch,
            http,
            call,
            entry,
            first_byte,
            max_event,
            max_tokens: prompt.max_tokens,
            is_compatible,
            stage: Stage::Over,
        })
    }

    /// Sends the request and reads up to the first event that cannot be taken back, or to
    /// the end of an answer without any.
    async fn begin<T>(&mut self, take: fn(Event) -> Option<T>) -> Result<Vec<T>, Error> {
        self.stop_at = self.stop_pattern.as_deref().map(StopAt::new).transpose()?;
        self.watch.start_over();
        self.stage = Stage::Reading(self.open().await?);
        let mut held = Vec::new();
        while let Some(event) = self.next().await? {
            let is_content = event.is_content();
            if let Some(item) = take(event) {
                held.push(item);
                if is_content || held.len() >= HELD {
                    break;
                }
            }
        }
        Ok(held)
    }

    /// Waits to ask again, or gives the error back if that makes no sense.
    async fn again(&mut self, error: Error) -> Result<(), Error> {
        // What has been tried is not read on.
        self.stage = Stage::Over;
        let error = self.in_context(error);
        let last = error.message().to_owned();
        match within(self.deadline, self.attempts.after(error)).await {
            Ok(tried) => tried,
            Err(late) => Err(self.in_context(late.with_note(format!("the last try: {last}")))),
        }
    }

    async fn open(&mut self) -> Result<Reader, Error> {
        let begin = Instant::now();
        match within(self.deadline, self.http.send_any(&self.call)).await?? {
            Reply::Success(mut answer) => {
                self.watch.answered(&answer.headers);
                let left = self.first_byte.saturating_sub(begin.elapsed());
                answer.body.wait_for_next(left);
                let frames = Frames::new(*answer, self.max_event, self.http.secrets());
                Ok((self.entry.read)(frames))
            }
            Reply::Refusal(refusal) => {
                self.watch.answered(&refusal.headers);
                Err(refused(*refusal))
            }
        }
    }

    /// The next event; none behind the proved end.
    async fn next(&mut self) -> Result<Option<Event>, Error> {
        let event = match &mut self.stage {
            Stage::Over => return Ok(None),
            Stage::Stopped => {
                self.stage = Stage::Over;
                Event::Stop {
                    stop: Stop::Asked,
                    reason: None,
                    sequence: None,
                }
            }
            Stage::Reading(reader) => match within(self.deadline, reader.try_anext()).await?? {
                Some(event) => {
                    let event = self.until_stop(event)?;
                    self.checked(event)
                }
                None => {
                    self.stage = Stage::Over;
                    return Ok(None);
                }
            },
        };
        self.watch.observe(&event);
        Ok(Some(event))
    }

    /// Compatible servers have been seen to call an answer complete, or to give no reason,
    /// that the token limit cut: there the count of its tokens tells.
    fn checked(&self, event: Event) -> Event {
        match event {
            Event::Stop {
                stop: Stop::End | Stop::Unstated,
                reason,
                sequence,
            } if self.is_compatible && self.is_at_limit() => Event::Stop {
                stop: Stop::MaxTokens,
                reason,
                sequence,
            },
            event => event,
        }
    }

    fn is_at_limit(&self) -> bool {
        let used = self.watch.output_tokens();
        used.zip(self.max_tokens)
            .is_some_and(|(used, limit)| used >= limit)
    }

    /// Cuts the text where it should stop; then the answer is read no further.
    fn until_stop(&mut self, event: Event) -> Result<Event, Error> {
        let (Some(stop_at), Event::Text { text }) = (&mut self.stop_at, &event) else {
            return Ok(event);
        };
        let Some(end) = stop_at.end(text)? else {
            return Ok(event);
        };
        self.stage = Stage::Stopped;
        Ok(Event::Text {
            text: text[..end].to_owned(),
        })
    }

    /// The error of an answer of which something has been handed out.
    fn broken_off(&self, error: Error) -> Error {
        self.in_context(error)
            .with_partial_text(self.watch.partial_text())
    }

    fn in_context(&self, error: Error) -> Error {
        error
            .at_request(self.call.shown())
            .map_words(|words| self.watch.shown(words))
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

/// Adds the key and the headers of the protocol; the caller's own go before.
fn add_headers(
    headers: &mut HeaderMap,
    key: Option<(HeaderName, HeaderValue)>,
    others: Vec<(&'static str, String)>,
) -> Result<(), Error> {
    headers.extend(key.map(|(name, value)| (Some(name), value)));
    for (name, value) in others {
        let value = HeaderValue::from_str(&value)
            .map_err(|_| Error::request(format!("`{value}` cannot be sent in `{name}`")))?;
        let name: HeaderName = name
            .parse()
            .map_err(|_| Error::request(format!("`{name}` is no header")))?;
        headers.entry(name).or_insert(value);
    }
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static(
        "text/event-stream, application/json",
    ));
    Ok(())
}
