//! The one HTTP client: origins and their credentials, redirects, waits, retries.

mod call;
mod limits;
mod link;
mod meter;
mod pace;
mod rate;
mod retry;
mod shown;

use std::error::Error as StdError;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    LOCATION, USER_AGENT,
};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Request, Response, StatusCode};
use tokio::time::timeout;
use url::{Origin, Url};

pub(crate) use call::Call;
pub(crate) use link::{link_parameter, link_target};
pub(crate) use meter::{Meter, Reading};
pub use rate::Rate;
pub(crate) use retry::{Attempts, Retry};
pub(crate) use shown::is_secret_name;

use crate::error::{Error, Kind};
use pace::Pace;

/// How many redirects one request may follow.
const MAX_REDIRECTS: usize = 10;

/// How much of the body of a failed request goes into its error.
const EXCERPT: usize = 200;

/// The shortest word that is taken out of excerpts because it may be a secret.
const SECRET: usize = 4;

/// The user's headers that say nothing about who the user is, and may therefore
/// go to any origin.
const HARMLESS: [HeaderName; 3] = [ACCEPT, ACCEPT_LANGUAGE, USER_AGENT];

/// A client for one walk over one API.
pub(crate) struct Http {
    /// For `http:`.
    plain: Client,
    /// For `https:`. To read the system's certificates takes longer than many a
    /// whole walk: it is made when it is needed.
    secure: OnceLock<Client>,
    /// Where the headers may go.
    home: Origin,
    headers: HeaderMap,
    pace: Pace,
    timeout: Duration,
    retry: Retry,
    meter: Arc<Meter>,
}

/// What the caller wants of the client.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) headers: HeaderMap,
    pub(crate) rate: Option<Rate>,
    pub(crate) timeout: Duration,
    pub(crate) retry: Retry,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            headers: HeaderMap::new(),
            rate: None,
            timeout: Duration::from_secs(30),
            retry: Retry::default(),
        }
    }
}

impl Http {
    /// A client that gives the caller's headers to the origin of `url` only. User
    /// and password move from the URL into a header.
    pub(crate) fn new(url: &mut Url, options: &Options, meter: Arc<Meter>) -> Result<Self, Error> {
        check_scheme(url)?;
        let mut headers = options.headers.clone();
        if !url.username().is_empty() || url.password().is_some() {
            let credentials = basic_auth(
                &percent_decoded(url.username()),
                &percent_decoded(url.password().unwrap_or_default()),
            );
            headers.entry(AUTHORIZATION).or_insert(credentials);
            // Cannot fail: an HTTP URL has a host.
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        Ok(Http {
            plain: client(match has_tls_proxy() {
                true => Client::builder(),
                false => Client::builder().tls_certs_only([]),
            })?,
            secure: OnceLock::new(),
            home: url.origin(),
            headers,
            pace: Pace::new(options.rate),
            timeout: options.timeout,
            retry: options.retry.clone(),
            meter,
        })
    }

    /// The tries that one request is allowed.
    pub(crate) fn attempts(&self) -> Attempts {
        Attempts::new(&self.retry, Arc::clone(&self.meter))
    }

    /// Sends a call, follows redirects, and gives the answer if it is a success.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, Error> {
        let mut call = call.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self
                .exchange(&call)
                .await
                .map_err(|error| error.at_request(call.shown()))?;
            match redirected(&call, &response)? {
                Some(target) => call = target,
                None if response.status().is_success() => {
                    return Ok(Answer {
                        call,
                        headers: response.headers().clone(),
                        body: Body {
                            response,
                            timeout: self.timeout,
                            meter: Arc::clone(&self.meter),
                        },
                    });
                }
                None => {
                    let error = self.refusal(response).await;
                    return Err(error.at_request(call.shown()));
                }
            }
        }
        Err(Error::content(format!("more than {MAX_REDIRECTS} redirects")).at_request(call.shown()))
    }

    /// One request and the head of its answer.
    async fn exchange(&self, call: &Call) -> Result<Response, Error> {
        check_scheme(&call.url)?;
        let mut request = Request::new(call.method(), call.url.clone());
        *request.headers_mut() = self.headers_for(call)?;
        *request.body_mut() = call.body.as_ref().map(|body| body.to_string().into());
        let client = self.client_for(&call.url)?;
        let turn = self.pace.turn(call.url.origin(), &self.meter).await;
        self.meter.request();
        match timeout(self.timeout, client.execute(request)).await {
            Ok(Ok(response)) => {
                turn.answered(response.status(), response.headers());
                Ok(response)
            }
            Ok(Err(error)) => Err(no_answer(error)),
            Err(_) => Err(silence(self.timeout, "no answer")),
        }
    }

    fn client_for(&self, url: &Url) -> Result<&Client, Error> {
        if url.scheme() == "http" {
            return Ok(&self.plain);
        }
        match self.secure.get() {
            Some(client) => Ok(client),
            None => {
                let made = client(Client::builder())?;
                Ok(self.secure.get_or_init(|| made))
            }
        }
    }

    /// The caller's headers as far as the origin may see them, and the call's own.
    fn headers_for(&self, call: &Call) -> Result<HeaderMap, Error> {
        let mut headers = if call.url.origin() == self.home {
            self.headers.clone()
        } else {
            let harmless = self
                .headers
                .iter()
                .filter(|(name, _)| HARMLESS.contains(name));
            harmless
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        headers
            .entry(ACCEPT)
            .or_insert(HeaderValue::from_static("application/json"));
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!(
                "unspool/",
                env!("CARGO_PKG_VERSION")
            )));
        if call.body.is_some() {
            headers
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static("application/json"));
        }
        for (name, value) in &call.fields {
            let wrong = || Error::content(format!("`{value}` cannot be sent in `{name}`"));
            let name: HeaderName = name.parse().map_err(|_| wrong())?;
            headers.insert(name, value.parse().map_err(|_| wrong())?);
        }
        Ok(headers)
    }

    /// The error for an answer that is not a success, with the begin of its body.
    async fn refusal(&self, mut response: Response) -> Error {
        let status = response.status();
        let wait = retry::wait_for(status, response.headers());
        let body = match timeout(self.timeout, response.chunk()).await {
            Ok(Ok(Some(chunk))) => excerpt(&chunk),
            _ => String::new(),
        };
        let body = match body.as_str() {
            "" => String::new(),
            body => format!(": {}", self.without_secrets(body)),
        };
        Error::new(
            Kind::Status(status.as_u16()),
            format!("answered {status}{body}"),
        )
        .with_retry_after(wait)
    }

    /// A server may echo what it was sent.
    fn without_secrets(&self, text: &str) -> String {
        let values = (self.headers.iter())
            .filter(|(name, _)| !HARMLESS.contains(name))
            .filter_map(|(_, value)| value.to_str().ok());
        let mut secrets: Vec<String> = Vec::new();
        for value in values {
            secrets.extend(value.split(' ').map(str::to_owned));
            secrets.extend(password_of(value));
        }
        (secrets.iter().filter(|secret| secret.len() >= SECRET))
            .fold(text.to_owned(), |text, secret| text.replace(secret, "…"))
    }
}

/// An answer with status 2xx whose body has not been read.
pub(crate) struct Answer {
    /// What it answers, redirects included: what its links are relative to.
    pub(crate) call: Call,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// A body that arrives in chunks, decompressed.
pub(crate) struct Body {
    response: Response,
    timeout: Duration,
    meter: Arc<Meter>,
}

impl Body {
    /// The next chunk, or none at the proven end of the body.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match timeout(self.timeout, self.response.chunk()).await {
            Ok(Ok(chunk)) => {
                self.meter.bytes(chunk.as_ref().map_or(0, Bytes::len));
                Ok(chunk)
            }
            Ok(Err(error)) => Err(cut(error)),
            Err(_) => Err(silence(self.timeout, "nothing more of the body")),
        }
    }
}

/// Whether the proxy for `http:` is itself reached by TLS.
fn has_tls_proxy() -> bool {
    ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
        .iter()
        .any(|name| std::env::var(name).is_ok_and(|proxy| proxy.starts_with("https:")))
}

/// A client that follows no redirects by itself: those are ours, for the sake of
/// the credentials.
fn client(builder: ClientBuilder) -> Result<Client, Error> {
    builder
        .redirect(Policy::none())
        .build()
        .map_err(|error| Error::request("cannot set up the HTTP client").with_source(error))
}

/// The value of an `Authorization` header (RFC 7617).
pub(crate) fn basic_auth(user: &str, password: &str) -> HeaderValue {
    use base64::Engine as _;
    let credentials =
        base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    // Base64 is made of visible ASCII, so that this is always a header value.
    let mut value = HeaderValue::from_str(&format!("Basic {credentials}"))
        .unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// The password in the value of a header that [`basic_auth`] made.
fn password_of(value: &str) -> Option<String> {
    use base64::Engine as _;
    let encoded = value.strip_prefix("Basic ")?;
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .ok()?;
    let text = String::from_utf8(decoded).ok()?;
    text.split_once(':')
        .map(|(_, password)| password.to_owned())
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

fn check_scheme(url: &Url) -> Result<(), Error> {
    match url.scheme() {
        "http" | "https" => Ok(()),
        scheme => Err(Error::request(format!(
            "expected an `http:` or `https:` address, found the scheme `{scheme}:`"
        ))),
    }
}

/// What a redirect leads to (RFC 9110, section 15.4).
fn redirected(call: &Call, response: &Response) -> Result<Option<Call>, Error> {
    let status = response.status().as_u16();
    let is_redirect = matches!(status, 301 | 302 | 303 | 307 | 308);
    let Some(location) = response.headers().get(LOCATION).filter(|_| is_redirect) else {
        return Ok(None);
    };
    let wrong = |what: String| Error::content(what).at_request(call.shown());
    let target = location.to_str().ok();
    let target = target
        .and_then(|location| call.url.join(location).ok())
        .ok_or_else(|| wrong("redirects to something that is not an address".to_owned()))?;
    let mut target = Call {
        url: target,
        ..call.clone()
    };
    // As browsers do: only these two mean the same request elsewhere.
    if !matches!(status, 307 | 308) {
        target.body = None;
    }
    check_scheme(&target.url).map_err(|error| {
        wrong(format!(
            "redirects to {}: {}",
            target.shown(),
            error.message()
        ))
    })?;
    if target.body.is_some() && target.url.origin() != call.url.origin() {
        return Err(wrong(format!(
            "redirects to another origin, which the body is not meant for: {}",
            target.shown()
        )));
    }
    Ok(Some(target))
}

fn silence(limit: Duration, what: &str) -> Error {
    Error::new(Kind::Timeout, format!("{what} within {limit:?}"))
}

/// The error for a request that was not answered.
fn no_answer(error: reqwest::Error) -> Error {
    let error = error.without_url();
    let message = if error.is_builder() {
        return Error::request(format!("cannot send this request: {}", root_cause(&error)));
    } else if error.is_connect() {
        "cannot connect"
    } else {
        "the connection broke before an answer came"
    };
    Error::new(
        Kind::Connection,
        format!("{message}: {}", root_cause(&error)),
    )
    .with_source(error)
}

/// The error for a body that could not be read to its end.
fn cut(error: reqwest::Error) -> Error {
    let error = error.without_url();
    let is_corrupt = error.is_decode() && !is_early_end(&error);
    let (kind, message) = if is_corrupt {
        (Kind::Content, "the body cannot be decompressed")
    } else {
        (Kind::Truncated, "the body stopped before its end")
    };
    Error::new(kind, format!("{message}: {}", root_cause(&error))).with_source(error)
}

/// Whether a decompressor or the connection ran out of bytes.
fn is_early_end(error: &reqwest::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, Other};
    causes(error).any(|cause| match cause.downcast_ref::<std::io::Error>() {
        Some(cause) => !matches!(cause.kind(), InvalidData | InvalidInput | Other),
        None => false,
    })
}

fn causes<'e>(
    error: &'e (dyn StdError + 'static),
) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

fn root_cause(error: &reqwest::Error) -> String {
    causes(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// The begin of a body, on one line.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * EXCERPT)]).into_owned();
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let visible: String = words.chars().filter(|char| !char.is_control()).collect();
    match visible.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", &visible[..end]),
        None => visible,
    }
}

/// Whether a status says that there is no such page.
pub(crate) fn is_not_found(error: &Error) -> bool {
    error.status() == Some(StatusCode::NOT_FOUND.as_u16())
}
