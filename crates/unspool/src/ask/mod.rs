//! Answers of language models, as they arrive.
//!
//! *Upstream*: a server that speaks the Messages API of Anthropic, the Chat Completions or
//! the Responses API of OpenAI, or the API of Ollama or Gemini. *Order*: as the model
//! writes. *Ends when*: the protocol's end mark has come; a stream that ends without it
//! fails ([`Error::is_truncated`]), and a model that came to a limit or refused is told by
//! the [`Outcome`]. *Resumes from*: nothing; an answer of which something has been handed
//! out is never started over. *Cost*: one request, made at the first poll, and the repeated
//! ones of failures before the first piece; memory for one event and up to 1 MiB of text for
//! an error. *Auth*: keys from the environment or of the caller's, for the origin that is
//! asked.

mod alike;
mod amend;
mod answer;
mod attachment;
mod checks;
mod description;
mod each;
mod endpoint;
mod event;
mod frames;
mod items;
mod lenient;
mod outcome;
mod prompt;
mod protocols;
mod reading;
mod report;
mod schema;
mod source;
pub(crate) mod stop_at;
#[cfg(test)]
mod tests;
mod text;
mod watch;

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use answer::{Answer, Whole};
pub use attachment::Attachment;
pub use description::Description;
pub(crate) use description::SOURCE;
pub use each::{
    Each, EachAnswered, EachDescription, EachDoubt, EachStop, EachWatch, Price, Template,
};
pub use event::Event;
pub use outcome::{Answered, Doubt, Outcome, Stop, Usage};
pub use prompt::{Message, Tool};
pub use protocols::*;

pub use watch::Watch;

#[cfg(any(test, feature = "internals"))]
pub(crate) use frames::Frames;

use crate::error::Error;
use crate::http::{Credentials, Http, HttpOptions, Meter, Rate};
use crate::item::RawItem;
use crate::json::{Check, Pointer};
use endpoint::Wanted;
use prompt::Prompt;
use source::Plan;

/// The model of Anthropic's that is asked if none is named.
pub const DEFAULT_MODEL: &str = "claude-sonnet-4-6";

/// How long the first byte of an answer may take.
const FIRST_BYTE: Duration = Duration::from_secs(120);

/// How long an answer may be silent.
const IDLE: Duration = Duration::from_secs(60);

/// The largest event of an answer.
const MAX_EVENT: usize = 16 << 20;

/// Asks a language model.
///
/// Nothing is sent before the first poll. Unless you say otherwise, the environment has the
/// key: `ANTHROPIC_API_KEY`, `OPENAI_API_KEY`, `GEMINI_API_KEY`; [`Provider::variables`] has
/// all that are looked at. The first provider whose key is set is asked, and there the model
/// is [`Provider::default_model`].
///
/// The whole answer:
///
/// ```no_run
/// # async fn example() -> Result<(), unspool::Error> {
/// let answer = unspool::ask("Write a poem about loops").await?;
/// println!("{}", answer.text);
/// # Ok(())
/// # }
/// ```
///
/// As it arrives, and how it ended:
///
/// ```no_run
/// use futures_util::TryStreamExt;
/// use unspool::ask::Stop;
///
/// # async fn example() -> Result<(), unspool::Error> {
/// let mut answer = unspool::ask("Write a poem about loops").max_tokens(500).text();
/// while let Some(piece) = answer.try_next().await? {
///     print!("{piece}");
/// }
/// let outcome = answer.outcome();
/// if outcome.stop == Stop::MaxTokens {
///     println!("… and so on ({:?} tokens)", outcome.usage.output_tokens);
/// }
/// # Ok(())
/// # }
/// ```
///
/// An answer that ends without the protocol's end mark is an error, after the pieces that
/// came. Limits, refusals and filters are not errors: [`Outcome::complete`] and
/// [`Answered::stop`] tell.
pub fn ask(prompt: impl Into<String>) -> Request {
    let prompt = prompt.into();
    let messages = match prompt.is_empty() {
        true => Vec::new(),
        false => vec![Message::user(prompt)],
    };
    Request {
        wanted: Wanted::default(),
        prompt: Prompt {
            messages,
            ..Prompt::default()
        },
        http: HttpOptions::default(),
        stop_at: None,
        deadline: None,
        max_event: MAX_EVENT,
    }
}

/// Asks a language model for the next message of a conversation.
///
/// ```no_run
/// use futures_util::TryStreamExt;
///
/// # async fn example() -> Result<(), unspool::Error> {
/// use unspool::ask::{Message, conversation};
///
/// let messages = [
///     Message::user("What is the longest river?"),
///     Message::assistant("The Nile."),
///     Message::user("And in Europe?"),
/// ];
/// let mut answer = conversation(messages).text();
/// while let Some(piece) = answer.try_next().await? {
///     print!("{piece}");
/// }
/// # Ok(())
/// # }
/// ```
pub fn conversation(messages: impl IntoIterator<Item = Message>) -> Request {
    let mut request = ask("");
    request.prompt.messages.extend(messages);
    request
}

/// A question, and how to ask it. Made by [`ask`] and [`conversation`].
///
/// [`text`](Request::text) gives the answer as a stream of pieces of text,
/// [`events`](Request::events) as one of all that happens, [`items`](Request::items) the
/// elements of an array in it; to await the request itself gives all of it.
#[derive(Clone)]
#[must_use = "nothing is asked before the answer is polled"]
pub struct Request {
    wanted: Wanted,
    prompt: Prompt,
    http: HttpOptions,
    stop_at: Option<String>,
    deadline: Option<Duration>,
    max_event: usize,
}

impl Request {
    /// Whom to ask. By default the name of the model or the environment tells.
    pub fn provider(mut self, provider: Provider) -> Self {
        self.wanted.provider = Some(provider);
        self
    }

    /// The model, by the name that the provider has for it.
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.wanted.model = Some(name.into());
        self
    }

    /// Where the protocol is spoken, such as `http://localhost:8080/v1`. By default the
    /// environment or the provider tells.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.wanted.base_url = Some(url.into());
        self
    }

    /// The key, sent in the way of the provider. By default the environment has it.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.wanted.api_key = Some(key.into());
        self
    }

    /// What the model is told before everything else.
    pub fn system(mut self, text: impl Into<String>) -> Self {
        self.prompt.system = Some(text.into());
        self
    }

    /// One more message, after those that there are.
    pub fn message(mut self, message: Message) -> Self {
        self.prompt.messages.push(message);
        self
    }

    /// One more tool that the model may call.
    pub fn tool(mut self, tool: Tool) -> Self {
        self.prompt.tools.push(tool);
        self
    }

    /// How many tokens the answer may have. By default the provider decides; Anthropic's
    /// wants a number, which is 1,024 then.
    pub fn max_tokens(mut self, tokens: u64) -> Self {
        self.prompt.max_tokens = Some(tokens);
        self
    }

    /// How far the model may go from what is likeliest.
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.prompt.temperature = Some(temperature);
        self
    }

    /// One more text that ends the answer on the side of the upstream, which leaves it out.
    pub fn stop_sequence(mut self, text: impl Into<String>) -> Self {
        self.prompt.stop_sequences.push(text.into());
        self
    }

    /// A pattern, in the syntax of the crate [`regex`](https://docs.rs/regex), that ends
    /// the answer here: after its first match nothing is handed out, and the connection is
    /// closed.
    ///
    /// The first match ends as early as it can: `\d+` at the first digit. A pattern that
    /// matches the empty text is refused.
    pub fn stop_at(mut self, pattern: impl Into<String>) -> Self {
        self.stop_at = Some(pattern.into());
        self
    }

    /// One more file that goes with the question, to the last message of the user's.
    pub fn attach(mut self, file: Attachment) -> Self {
        self.prompt.attachments.push(file);
        self
    }

    /// The JSON schema that the text of the answer has to match.
    ///
    /// The upstream is asked for that, in the way of its protocol, and the text is checked
    /// here, too: one that came to its end and does not match is [`Stop::Mismatch`].
    pub fn schema(mut self, schema: Value) -> Self {
        self.prompt.schema = Some(schema);
        self
    }

    /// A field of the request's body that has no method here; `null` takes one away.
    /// Objects are merged (RFC 7396).
    pub fn extra(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.prompt.extra.insert(name.into(), value.into());
        self
    }

    /// Several fields of the request's body, as [`extra`](Request::extra) takes one.
    pub fn extras(mut self, fields: Map<String, Value>) -> Self {
        self.prompt.extra.extend(fields);
        self
    }

    /// One more header, for the origin that is asked. It goes before those of the protocol
    /// and the environment, such as `anthropic-version` and the key.
    pub fn header(self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => self.credentials(|given| given.header(name, value)),
            _ => self.credentials(|given| {
                given.refuse("a header has a name or a value that cannot be sent")
            }),
        }
    }

    /// The client that this question shares with other sources: its connections, pace and
    /// credentials, over which those given here are laid.
    pub fn http(mut self, http: &Http) -> Self {
        self.http.http = Some(http.clone());
        self
    }

    fn credentials(mut self, add: impl FnOnce(Credentials) -> Credentials) -> Self {
        self.http.credentials = add(self.http.credentials);
        self
    }

    /// A client of your own, with its proxies and certificates. What is said of it for
    /// [`pages`](crate::pages::Request::client) holds here, too.
    pub fn client(mut self, client: reqwest::Client) -> Self {
        self.http.client = Some(client);
        self
    }

    /// How fast requests may follow each other, from start to start, retries included; by
    /// default as fast as the upstream allows.
    pub fn rate(mut self, rate: Rate) -> Self {
        self.http.rate = Some(rate);
        self
    }

    /// How often a request is repeated that failed in a way that may pass, before anything
    /// of the answer has been handed out; 5 by default. The waits in between double from a
    /// quarter of a second to half a minute, or are what the upstream asks for. A wait of
    /// more than five minutes is not begun: the answer fails at once and says how long the
    /// upstream wants ([`Error::retry_after`]). A connection to a server that has never
    /// answered is tried once more only.
    pub fn retries(mut self, retries: usize) -> Self {
        self.http.settings.retries = Some(retries);
        self
    }

    /// The wait before the first retry, which doubles from there; 250 ms by default.
    pub fn first_wait(mut self, wait: Duration) -> Self {
        self.http.settings.first_wait = Some(wait);
        self
    }

    /// How long the first byte of an answer may take, from the request on; two minutes by
    /// default.
    pub fn first_byte(mut self, limit: Duration) -> Self {
        self.http.settings.timeout = Some(limit);
        self
    }

    /// How long an answer may be silent from there on; one minute by default. Pings and
    /// comments of the upstream count as life.
    pub fn idle(mut self, limit: Duration) -> Self {
        self.http.settings.idle = Some(limit);
        self
    }

    /// How long all of it may take, retries included; no limit by default.
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = Some(limit);
        self
    }

    /// The largest event of an answer, in bytes; 16 MiB by default.
    pub fn max_event(mut self, bytes: usize) -> Self {
        self.max_event = bytes;
        self
    }

    /// Further credentials, for the origin that is asked.
    pub(crate) fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.http.credentials = credentials;
        self
    }

    /// The text of the answer, in the pieces that it comes in.
    pub fn text(self) -> Answer<String> {
        self.answer(text_of)
    }

    /// All that happens in the answer.
    pub fn events(self) -> Answer<Event> {
        self.answer(|event| match &event {
            Event::Text { text } if text.is_empty() => None,
            _ => Some(event),
        })
    }

    /// The same as JSON text.
    pub fn raw_events(self) -> Answer<RawItem> {
        self.answer(|event| match &event {
            Event::Text { text } if text.is_empty() => None,
            event => RawItem::of(event),
        })
    }

    /// The elements of the array at a JSON pointer of the document in the answer's text, as
    /// values of a type of yours, each as soon as it is whole.
    ///
    /// The document begins at the first line that begins with `{` or `[`: words and fences
    /// around it are passed over.
    ///
    /// ```no_run
    /// use futures_util::TryStreamExt;
    ///
    /// # async fn example() -> Result<(), unspool::Error> {
    /// let prompt = "Ten rivers, as JSON: {\"items\": [{\"name\": …, \"km\": …}]}";
    /// #[derive(serde::Deserialize)]
    /// struct River { name: String, km: f64 }
    ///
    /// let mut rivers = unspool::ask(prompt).items::<River>("/items".parse()?);
    /// while let Some(river) = rivers.try_next().await? {
    ///     println!("{}: {} km", river.name, river.km);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn items<T>(self, pointer: Pointer) -> Answer<T>
    where
        T: DeserializeOwned + Send + 'static,
    {
        // The text is UTF-8, so that what the parser passes over is, too.
        self.elements(pointer, Check::Nothing, |element: &Bytes| {
            serde_json::from_slice(element)
        })
    }

    /// The same as JSON text.
    pub fn raw_items(self, pointer: Pointer) -> Answer<RawItem> {
        self.elements(pointer, Check::Valid, |element: &Bytes| {
            Ok(RawItem::new(element.clone()))
        })
    }

    /// The text, with a meter that others share.
    fn text_metered(self, meter: &Arc<Meter>) -> Answer<String> {
        self.watched(Watch::with_meter(meter), text_of)
    }

    fn answer<T: Send + 'static>(self, take: fn(Event) -> Option<T>) -> Answer<T> {
        self.watched(Watch::default(), take)
    }

    fn watched<T: Send + 'static>(self, watch: Watch, take: fn(Event) -> Option<T>) -> Answer<T> {
        let watch = Arc::new(watch);
        let generator = source::answer(self.plan(), Arc::clone(&watch), take);
        Answer::new(Box::pin(generator), watch)
    }

    fn elements<T: Send + 'static>(
        self,
        pointer: Pointer,
        check: Check,
        decode: fn(&Bytes) -> serde_json::Result<T>,
    ) -> Answer<T> {
        let watch = Arc::new(Watch::default());
        let generator = items::items(self.plan(), Arc::clone(&watch), pointer, check, decode);
        Answer::new(Box::pin(generator), watch)
    }

    fn plan(self) -> Plan {
        Plan {
            wanted: self.wanted,
            prompt: self.prompt,
            http: self.http,
            stop_at: self.stop_at,
            deadline: self.deadline,
            max_event: self.max_event,
        }
    }
}

/// The text of an event, where it has any.
fn text_of(event: Event) -> Option<String> {
    match event {
        Event::Text { text } if !text.is_empty() => Some(text),
        _ => None,
    }
}

impl IntoFuture for Request {
    type Output = Result<Whole, Error>;
    type IntoFuture = std::pin::Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// The whole answer. Where it fails half-way, [`Error::partial_text`] has what came.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.text().whole())
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("provider", &self.wanted.provider)
            .field("model", &self.wanted.model)
            .field("messages", &self.prompt.messages.len())
            .finish_non_exhaustive()
    }
}
