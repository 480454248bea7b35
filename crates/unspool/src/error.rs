use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::account::Account;
use crate::http::{Secrets, shortened_to, visible};

/// The longest message that is shown, in characters.
const LONGEST_MESSAGE: usize = 4000;

/// The longest request that is shown, in characters.
const LONGEST_REQUEST: usize = 1000;

/// What a source ends with when it cannot go on.
///
/// The message says what was expected and what came, for which request and, in a
/// body, at which item or byte. It never holds a credential.
///
/// ```no_run
/// use futures_util::TryStreamExt;
///
/// # async fn example() -> Result<(), unspool::Error> {
/// let mut posts = unspool::pages("https://api.example.com/posts").raw();
/// loop {
///     match posts.try_next().await {
///         Ok(Some(post)) => println!("{post}"),
///         Ok(None) => break,
///         Err(error) if error.is_truncated() => return Err(error),
///         Err(error) if error.status() == Some(404) => println!("there are no posts"),
///         Err(error) => println!("after {} items: {error}", posts.account().items),
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: Kind,
    message: String,
    request: Option<String>,
    retry_after: Option<Duration>,
    /// Whether to try again, where the upstream has said more than its status does.
    is_retryable: Option<bool>,
    code: Option<String>,
    withheld_from: Option<String>,
    media_type: Option<String>,
    account: Option<Account>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What kind of failure an error is, for whoever decides by it.
///
/// ```
/// use unspool::{Error, ErrorKind};
///
/// /// Whether another run may succeed without any change.
/// fn is_for_later(error: &Error) -> bool {
///     matches!(error.kind(), ErrorKind::Throttled | ErrorKind::Timeout | ErrorKind::Connection)
/// }
///
/// let error = "https:".parse::<unspool::Rate>().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Request);
/// assert!(!is_for_later(&error));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request was wrong before anything was sent.
    Request,
    /// A model's server needs a key, and none is known.
    MissingKey,
    /// A model has to be named, and none is.
    MissingModel,
    /// No connection, or one that broke before an answer came.
    Connection,
    /// There is no way to an upstream that has not answered before.
    Unreachable,
    /// The upstream asks for a wait that is longer than the longest one.
    Throttled,
    /// The upstream was silent for longer than it may be.
    Timeout,
    /// An answer with a status that is not success.
    Status,
    /// An error in an answer whose status was success.
    Reported,
    /// A token endpoint gave no token.
    NoToken,
    /// A body is not what was asked for.
    Content,
    /// A body in which no array of items was found.
    NoItems,
    /// A body stopped before its end.
    Truncated,
    /// The upstream led back to where the source had been.
    Looped,
    /// The source came to an end that is not proved.
    Incomplete,
    /// An item, or what surrounds the items, is above the limit.
    TooLarge,
    /// Items cannot be written to where they were to go.
    Sink,
    /// The request was only to be shown, by [`dry_run`](crate::HttpBuilder::dry_run).
    NotSent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "ask"),
    expect(dead_code, reason = "what only answers come to")
)]
pub(crate) enum Kind {
    /// The caller asked for something that cannot be.
    Request,
    MissingKey,
    MissingModel,
    /// No connection, or one that broke before an answer came.
    Connection,
    /// No connection to an upstream that has not answered before.
    Unreachable,
    /// The upstream asks for a wait that is longer than the longest one.
    Throttled,
    /// The upstream was silent for longer than it may be.
    Timeout,
    /// An answer with a status that is not success.
    Status(u16),
    /// An error in an answer whose status was success.
    Reported,
    /// A token endpoint that gave no token.
    NoToken,
    /// A body that is not what was asked for.
    Content,
    /// A body in which no array of items was found.
    NoItems,
    /// A body that stopped before its end.
    Truncated,
    /// The walk came back to where it had been.
    Looped,
    /// The source came to an end that is not proved.
    Incomplete,
    /// An item, or what surrounds the items, above the limit.
    TooLarge,
    /// Items cannot be written to where they were to go.
    Sink,
    /// The request was only to be shown.
    NotSent,
}

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error {
            inner: Box::new(Inner {
                kind,
                message: message.into(),
                request: None,
                retry_after: None,
                is_retryable: None,
                code: None,
                withheld_from: None,
                media_type: None,
                account: None,
                source: None,
            }),
        }
    }

    pub(crate) fn request(message: impl Into<String>) -> Self {
        Error::new(Kind::Request, message)
    }

    /// A request that is wrong before anything is sent, by the words of a caller that works
    /// for the person who asks, such as the command.
    #[doc(hidden)]
    #[must_use]
    pub fn wrong(message: String) -> Self {
        Error::request(message)
    }

    pub(crate) fn content(message: impl Into<String>) -> Self {
        Error::new(Kind::Content, message)
    }

    pub(crate) fn no_items(message: impl Into<String>) -> Self {
        Error::new(Kind::NoItems, message)
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// Names the request, once, where it is known.
    pub(crate) fn at_request(mut self, request: impl fmt::Display) -> Self {
        self.inner
            .request
            .get_or_insert_with(|| request.to_string());
        self
    }

    /// The same, as one of a body that stopped before its end.
    pub(crate) fn into_truncated(mut self) -> Self {
        self.inner.kind = Kind::Truncated;
        self
    }

    /// The same of an upstream that has answered before: it may be there again in a while.
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    pub(crate) fn after_answers(mut self) -> Self {
        if matches!(self.inner.kind, Kind::Unreachable) {
            self.inner.kind = Kind::Connection;
        }
        self
    }

    /// Adds what is known around the failure.
    pub(crate) fn with_note(mut self, note: impl fmt::Display) -> Self {
        self.inner.message = format!("{} ({note})", self.inner.message);
        self
    }

    /// Says before the message what it is about.
    pub(crate) fn with_start(mut self, start: &str) -> Self {
        self.inner.message = format!("{start} {}", self.inner.message);
        self
    }

    /// The same without these words in anything that it shows, also in what it came of.
    pub(crate) fn without_secrets(mut self, secrets: &Secrets) -> Self {
        self = self.map_words(|words| secrets.masked(words));
        self.inner.request = self.inner.request.map(|request| secrets.masked(&request));
        let mut cause = self.source();
        while let Some(error) = cause {
            let shown = format!("{error} {error:?}");
            if secrets.masked(&shown) != shown {
                return self.without_source();
            }
            cause = error.source();
        }
        self
    }

    /// Changes the upstream's words in it, such as to take secrets out of them.
    pub(crate) fn map_words(mut self, change: impl Fn(&str) -> String) -> Self {
        self.inner.message = change(&self.inner.message);
        self.inner.code = self.inner.code.as_deref().map(change);
        self
    }

    /// Leaves out what it came of, whose words are not ours.
    pub(crate) fn without_source(mut self) -> Self {
        self.inner.source = None;
        self
    }

    pub(crate) fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.inner.retry_after = wait;
        self
    }

    /// What the upstream says of trying again, which goes before what the status says.
    pub(crate) fn with_retryable(mut self, is_retryable: Option<bool>) -> Self {
        self.inner.is_retryable = is_retryable;
        self
    }

    /// The upstream's own word for what went wrong.
    pub(crate) fn with_code(mut self, code: Option<String>) -> Self {
        self.inner.code = code;
        self
    }

    /// The upstream led to this origin, which got no credentials, or was not to get the body.
    pub(crate) fn with_withheld_from(mut self, origin: String) -> Self {
        self.inner.withheld_from = Some(origin);
        self
    }

    /// What the answer says that its body is.
    pub(crate) fn with_media_type(mut self, media_type: &str) -> Self {
        self.inner.media_type = Some(media_type.to_owned());
        self
    }

    /// The source is at its end, and its account has doubts.
    pub(crate) fn incomplete(account: Account) -> Self {
        let doubts: Vec<String> = account.doubts.iter().map(ToString::to_string).collect();
        let message = format!("not proved complete: {}", doubts.join("; "));
        Error::new(Kind::Incomplete, message).with_account(account)
    }

    /// The source came to its end in an earlier run, with these doubts.
    pub(crate) fn left_incomplete(doubts: &[String]) -> Self {
        let message = format!(
            "an earlier run came to the end of the source, which is not proved complete: {}",
            doubts.join("; ")
        );
        Error::new(Kind::Incomplete, message)
    }

    /// Items cannot be written to where they were to go.
    pub(crate) fn sink(
        what: impl Into<String>,
        error: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        let error = error.into();
        Error::new(Kind::Sink, format!("{}: {error}", what.into())).with_source(error)
    }

    /// A sink that is asked for more than it does.
    pub(crate) fn sink_ended() -> Self {
        Error::new(Kind::Sink, "the sink ended before its items did")
    }

    /// What the source had done when it failed.
    pub(crate) fn with_account(mut self, account: Account) -> Self {
        self.inner.account = Some(account);
        self
    }

    /// Whether nothing was sent, because the upstream asks for too long a wait.
    pub(crate) fn is_throttled(&self) -> bool {
        self.inner.kind == Kind::Throttled
    }

    /// The request that it belongs to.
    pub(crate) fn request_text(&self) -> Option<&str> {
        self.inner.request.as_deref()
    }

    /// The message without the request that it belongs to.
    pub(crate) fn message(&self) -> &str {
        &self.inner.message
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self.inner.kind {
            Kind::Request => ErrorKind::Request,
            Kind::MissingKey => ErrorKind::MissingKey,
            Kind::MissingModel => ErrorKind::MissingModel,
            Kind::Connection => ErrorKind::Connection,
            Kind::Unreachable => ErrorKind::Unreachable,
            Kind::Throttled => ErrorKind::Throttled,
            Kind::Timeout => ErrorKind::Timeout,
            Kind::Status(_) => ErrorKind::Status,
            Kind::Reported => ErrorKind::Reported,
            Kind::NoToken => ErrorKind::NoToken,
            Kind::Content => ErrorKind::Content,
            Kind::NoItems => ErrorKind::NoItems,
            Kind::Truncated => ErrorKind::Truncated,
            Kind::Looped => ErrorKind::Looped,
            Kind::Incomplete => ErrorKind::Incomplete,
            Kind::TooLarge => ErrorKind::TooLarge,
            Kind::Sink => ErrorKind::Sink,
            Kind::NotSent => ErrorKind::NotSent,
        }
    }

    /// Whether the request was wrong before anything was sent.
    #[must_use]
    pub fn is_request(&self) -> bool {
        matches!(
            self.inner.kind,
            Kind::Request | Kind::MissingKey | Kind::MissingModel
        )
    }

    /// Whether a body stopped before its end.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.inner.kind == Kind::Truncated
    }

    /// Whether the upstream led back to a page that was already read.
    #[must_use]
    pub fn is_looped(&self) -> bool {
        self.inner.kind == Kind::Looped
    }

    /// Whether the source came to its end, but something speaks against it being complete:
    /// the [account](Error::account) says what. All its items were handed out before.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.inner.kind == Kind::Incomplete
    }

    /// Whether there is no way to an upstream that has not answered before: nobody listens
    /// at its address, its host is not known, or its certificate is not trusted.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        self.inner.kind == Kind::Unreachable
    }

    /// How long the upstream asks to wait before the next request, if it does. More than
    /// five minutes are not waited for.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// The origin to which the upstream led, and to which the credentials or the body were
    /// not sent, where that is what failed. If it is another name of the same server,
    /// [`also_origin`](crate::pages::Request::also_origin) says so.
    #[must_use]
    pub fn withheld_from(&self) -> Option<&str> {
        self.inner.withheld_from.as_deref()
    }

    /// Whether a server was not connected to because its certificate is not trusted.
    #[must_use]
    pub fn is_untrusted(&self) -> bool {
        let mut source = self
            .inner
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static));
        while let Some(error) = source {
            if error.to_string().starts_with("invalid peer certificate") {
                return true;
            }
            source = error.source();
        }
        false
    }

    /// What an answer that cannot be read says that it is: its media type without parameters
    /// (RFC 9110, section 8.3.1), such as `text/html`.
    #[must_use]
    pub fn media_type(&self) -> Option<&str> {
        let media_type = self.inner.media_type.as_deref()?;
        Some(media_type.split(';').next().unwrap_or_default().trim())
    }

    /// Whether the upstream was silent for too long.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.inner.kind == Kind::Timeout
    }

    /// Whether an item was above the size limit.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.inner.kind == Kind::TooLarge
    }

    /// Whether items could not be written to where they were to go.
    #[must_use]
    pub fn is_sink(&self) -> bool {
        self.inner.kind == Kind::Sink
    }

    /// Whether the same request may succeed later.
    ///
    /// True for a failed connection, silence, a body that was cut short, the
    /// statuses 408, 429 and 5xx, a 403 that says when to come back, and what a model's
    /// server reports as passing; those have been retried by then, as far as nothing had
    /// been handed out and no wait of more than five minutes was [asked
    /// for](Error::retry_after).
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        if let Some(is_retryable) = self.inner.is_retryable {
            return is_retryable;
        }
        match self.inner.kind {
            Kind::Connection
            | Kind::Unreachable
            | Kind::Throttled
            | Kind::Timeout
            | Kind::Truncated
            | Kind::Reported => true,
            // GitHub says 403 to those who are too fast.
            Kind::Status(403) => self.inner.retry_after.is_some(),
            Kind::Status(status) => status == 408 || status == 429 || status >= 500,
            _ => false,
        }
    }

    /// Whether the upstream does not know who asks, or not as one who may.
    ///
    /// True for the statuses 401 and 403, and for a token endpoint that gives no
    /// token.
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        matches!(self.inner.kind, Kind::Status(401 | 403) | Kind::NoToken)
    }

    /// The upstream's own word for what went wrong, if it gave one: for a model's server
    /// such as `overloaded_error` or `insufficient_quota`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.inner.code.as_deref()
    }

    /// What the source had done when it failed, where the error is the last thing that a
    /// source gave.
    #[must_use]
    pub fn account(&self) -> Option<&Account> {
        self.inner.account.as_ref()
    }

    /// The text of an answer that came before the failure: all of it, as it was handed
    /// out. None for other sources, and where a stream handed out more than 1 MiB.
    #[must_use]
    pub fn partial_text(&self) -> Option<&str> {
        self.account()?.details.get("partial_text")?.as_str()
    }

    /// The status of the answer, where that was the failure.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.inner.kind {
            Kind::Status(status) => Some(status),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(request) = &self.inner.request {
            write!(f, "{}: ", shown(request, LONGEST_REQUEST))?;
        }
        if self.is_truncated() {
            f.write_str("truncated: ")?;
        }
        f.write_str(&shown(&self.inner.message, LONGEST_MESSAGE))
    }
}

/// As `main` prints what it returns: the message, and a line for each cause that says more. With
/// `{:#?}` all that there is.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            let mut told = self.to_string();
            f.write_str(&told)?;
            let mut cause = self.source();
            while let Some(error) = cause {
                let said = said_by(error);
                if !told.contains(&said) {
                    let space = if said.starts_with('\n') { "" } else { " " };
                    write!(f, "\n  caused by:{space}{said}")?;
                    told.push_str(&said);
                }
                cause = error.source();
            }
            return Ok(());
        }
        let request = self.inner.request.as_deref();
        let request = request.map(|request| shown(request, LONGEST_REQUEST));
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("request", &request)
            .field("message", &shown(&self.inner.message, LONGEST_MESSAGE))
            .field("source", &self.inner.source)
            .finish()
    }
}

/// What a cause says. Only a place in a statement has lines of its own.
fn said_by(cause: &(dyn StdError + 'static)) -> String {
    let said = cause.to_string();
    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    if cause.is::<crate::rows::SqlPosition>() {
        let lines = said.lines().map(|line| shown(line, LONGEST_MESSAGE));
        return lines.fold(String::new(), |text, line| format!("{text}\n    {line}"));
    }
    shown(&said, LONGEST_MESSAGE)
}

/// Words that an upstream may have chosen, on one line and not without end.
fn shown(text: &str, length: usize) -> String {
    shortened_to(&visible(text), length).into_owned()
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner
            .source
            .as_ref()
            .map(|source| source.as_ref() as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_main_returns_reads_as_a_message_and_what_caused_it() {
        let inner = std::io::Error::other("the disk is full");
        let error = Error::new(Kind::Sink, "cannot write").with_source(inner);
        let error = error.at_request("GET http://localhost/".to_owned());
        assert_eq!(
            format!("{error:?}"),
            "GET http://localhost/: cannot write\n  caused by: the disk is full"
        );
        let said = Error::new(Kind::Sink, "no: the disk is full");
        let said = said.with_source(std::io::Error::other("the disk is full"));
        assert_eq!(format!("{said:?}"), "no: the disk is full");
        assert!(format!("{said:#?}").contains("kind: Sink"));
    }
}
