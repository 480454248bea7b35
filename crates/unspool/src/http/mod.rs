//! The one HTTP client: origins and their credentials, redirects, waits, retries.

mod call;
mod client;
mod cookies;
mod credentials;
mod failure;
mod limits;
mod link;
mod meter;
mod oauth;
mod pace;
mod patience;
mod rate;
mod refusal;
mod retry;
mod shown;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{CONNECTION, HeaderMap, LOCATION, TRANSFER_ENCODING};
use reqwest::{Client, Request, Response, StatusCode, Version};
use tokio::time::timeout;
use url::Url;

pub(crate) use call::Call;
pub(crate) use credentials::{Secrets, basic_auth};
pub(crate) use failure::{is_not_found, shortened};
pub(crate) use link::{link_parameter, link_target};
pub(crate) use meter::{Meter, Reading};
pub use oauth::ClientCredentials;
pub(crate) use patience::after;
pub use rate::Rate;
pub(crate) use refusal::Refusal;
pub(crate) use retry::{Attempts, Retry};
pub(crate) use shown::is_secret_name;

use client::Clients;
use credentials::Credentials;
use failure::{cut, no_answer, silence};
use oauth::Token;
use pace::Pace;
use patience::Patience;

use crate::error::Error;

/// How many redirects one request may follow.
const MAX_REDIRECTS: usize = 10;

/// A client for one walk over one API, whose requests may be on their way together.
pub(crate) struct Http {
    clients: Clients,
    credentials: Credentials,
    pace: Pace,
    timeout: Duration,
    idle: Duration,
    retry: Retry,
    meter: Arc<Meter>,
}

/// What the caller wants of the client.
#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) headers: HeaderMap,
    /// Parameters of the query that are credentials.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) cookies: Vec<(String, String)>,
    pub(crate) oauth: Option<ClientCredentials>,
    pub(crate) rate: Option<Rate>,
    /// The caller's own client, to be used as it is.
    pub(crate) client: Option<Client>,
    /// The longest silence before the head of an answer.
    pub(crate) timeout: Duration,
    /// The longest silence between two parts of a body.
    pub(crate) idle: Duration,
    pub(crate) retry: Retry,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            headers: HeaderMap::new(),
            query: Vec::new(),
            cookies: Vec::new(),
            oauth: None,
            rate: None,
            client: None,
            timeout: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            retry: Retry::default(),
        }
    }
}

impl Http {
    /// A client that gives the caller's credentials to the origin of `url` only.
    /// They move out of the URL.
    pub(crate) fn new(url: &mut Url, options: &Options, meter: Arc<Meter>) -> Result<Self, Error> {
        check_scheme(url)?;
        Ok(Http {
            clients: Clients::new(options.client.as_ref())?,
            credentials: Credentials::new(url, options)?,
            pace: Pace::new(options.rate),
            timeout: options.timeout,
            idle: options.idle,
            retry: options.retry.clone(),
            meter,
        })
    }

    /// Takes the caller's credentials out of an address that the server gave, which
    /// may hold what the server was sent.
    pub(crate) fn strip(&self, url: &mut Url) {
        self.credentials.strip(url);
    }

    /// The tries that one request is allowed.
    pub(crate) fn attempts(&self) -> Attempts {
        Attempts::new(&self.retry, Arc::clone(&self.meter))
    }

    /// Sends a call, follows redirects, and gives the answer if it is a success.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, Error> {
        match self.send_any(call).await? {
            Reply::Success(answer) => Ok(*answer),
            Reply::Refusal(refusal) => Err(refusal.into_error()),
        }
    }

    /// Sends a call, follows redirects, and gives the answer, whatever its status.
    pub(crate) async fn send_any(&self, call: &Call) -> Result<Reply, Error> {
        let mut call = call.clone();
        self.strip(&mut call.url);
        for _ in 0..=MAX_REDIRECTS {
            let response = self
                .exchange(&call)
                .await
                .map_err(|error| error.at_request(call.shown()))?;
            self.take_redirect_of_client(&mut call, &response)?;
            match redirected(&call, &response, |url| self.strip(url))? {
                Some(target) => call = target,
                None if response.status().is_success() => {
                    return Ok(Reply::Success(Box::new(Answer {
                        call,
                        headers: response.headers().clone(),
                        ends_with_connection: ends_with_connection(&response),
                        body: Body {
                            response,
                            patience: Patience::new(self.idle),
                            idle: self.idle,
                            is_begun: false,
                            meter: Arc::clone(&self.meter),
                        },
                    })));
                }
                None => {
                    let refusal = Refusal::read(self, &call, response).await;
                    return Ok(Reply::Refusal(Box::new(refusal)));
                }
            }
        }
        Err(Error::content(format!("more than {MAX_REDIRECTS} redirects")).at_request(call.shown()))
    }

    /// One request and the head of its answer. A token that is not taken is asked
    /// for once more: it may have been withdrawn before its time.
    async fn exchange(&self, call: &Call) -> Result<Response, Error> {
        check_scheme(&call.url)?;
        let Some(oauth) = self.credentials.oauth_for(&call.url) else {
            return self.exchange_as(call, None).await;
        };
        let token = oauth.token(self).await?;
        let response = self.exchange_as(call, Some(&token)).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        drop(response);
        oauth.discard(&token);
        let token = oauth.token(self).await?;
        self.exchange_as(call, Some(&token)).await
    }

    async fn exchange_as(&self, call: &Call, token: Option<&Token>) -> Result<Response, Error> {
        let url = self.credentials.address(&call.url);
        let mut request = Request::new(call.method(), url);
        *request.headers_mut() = self.credentials.headers_for(call, token)?;
        *request.body_mut() = call.body.as_ref().map(|body| body.to_string().into());
        let response = self.transmit(request).await?;
        let cookies = &self.credentials.cookies;
        cookies.store(response.url(), response.headers(), SystemTime::now());
        Ok(response)
    }

    /// Sends a request when its turn has come, and waits for the head of the answer.
    async fn transmit(&self, request: Request) -> Result<Response, Error> {
        let client = self.clients.for_url(request.url())?;
        let turn = self.pace.turn(request.url().origin(), &self.meter).await;
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

    /// Reads a body that is known to be small.
    async fn read_small(&self, mut response: Response, limit: usize) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        loop {
            match timeout(self.timeout, response.chunk()).await {
                Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
                Ok(Ok(None)) => return Ok(body),
                Ok(Err(error)) => return Err(cut(error)),
                Err(_) => return Err(silence(self.timeout, "nothing more of the body")),
            }
            if body.len() > limit {
                return Err(Error::content(format!("the body is over {limit} bytes")));
            }
        }
    }

    /// A client of the caller's may follow redirects by itself: then this is where
    /// the answer comes from. That headers went along cannot be undone, and is not
    /// passed over.
    fn take_redirect_of_client(&self, call: &mut Call, response: &Response) -> Result<(), Error> {
        if !matches!(self.clients, Clients::Given(_)) {
            return Ok(());
        }
        let mut url = response.url().clone();
        self.strip(&mut url);
        let is_other = url.origin() != call.url.origin();
        if is_other && self.credentials.are_carried_along() {
            return Err(Error::content(
                "the client followed a redirect to another origin by itself, and took headers \
                 along that were not meant for it: build it with `redirect::Policy::none()`",
            )
            .at_request(call.shown()));
        }
        call.url = url;
        Ok(())
    }

    /// What a text that the server wrote may repeat, and nobody may see.
    pub(crate) fn secrets(&self) -> Secrets {
        self.credentials.secrets()
    }
}

/// What comes to a call.
pub(crate) enum Reply {
    Success(Box<Answer>),
    Refusal(Box<Refusal>),
}

/// An answer with status 2xx whose body has not been read.
pub(crate) struct Answer {
    /// What it answers, redirects included: what its links are relative to.
    pub(crate) call: Call,
    pub(crate) headers: HeaderMap,
    /// Whether nothing but the end of the connection says where the body ends.
    pub(crate) ends_with_connection: bool,
    pub(crate) body: Body,
}

/// A body that arrives in chunks, decompressed.
pub(crate) struct Body {
    response: Response,
    patience: Patience,
    idle: Duration,
    is_begun: bool,
    meter: Arc<Meter>,
}

impl Body {
    /// The next chunk, or none at the proven end of the body.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match self.patience.wait(self.response.chunk()).await {
            Some(Ok(chunk)) => {
                self.meter.bytes(chunk.as_ref().map_or(0, Bytes::len));
                self.patience.set_limit(self.idle);
                self.is_begun = true;
                Ok(chunk)
            }
            Some(Err(error)) => Err(cut(error)),
            None if self.is_begun => Err(silence(self.idle, "nothing more of the body")),
            None => Err(silence(self.patience.limit(), "no byte of the body")),
        }
    }

    /// A body that is here already.
    #[cfg(any(test, feature = "internals"))]
    pub(crate) fn of(response: Response) -> Self {
        let idle = Duration::from_secs(1);
        Body {
            response,
            patience: Patience::new(idle),
            idle,
            is_begun: false,
            meter: Arc::default(),
        }
    }

    /// How long the next chunk may take, if that is another time than for those behind it.
    pub(crate) fn wait_for_next(&mut self, limit: Duration) {
        self.patience.set_limit(limit);
    }
}

/// Whether a body has neither a length nor chunks, and the connection is not kept (RFC
/// 9112, section 6.3).
fn ends_with_connection(response: &Response) -> bool {
    let headers = response.headers();
    let is_closed = headers
        .get(CONNECTION)
        .is_some_and(|value| value == "close")
        || response.version() == Version::HTTP_10;
    response.version() < Version::HTTP_2
        && is_closed
        && response.content_length().is_none()
        && !headers.contains_key(TRANSFER_ENCODING)
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
fn redirected(
    call: &Call,
    response: &Response,
    strip: impl Fn(&mut Url),
) -> Result<Option<Call>, Error> {
    let status = response.status().as_u16();
    let is_redirect = matches!(status, 301 | 302 | 303 | 307 | 308);
    let Some(location) = response.headers().get(LOCATION).filter(|_| is_redirect) else {
        return Ok(None);
    };
    let wrong = |what: String| Error::content(what).at_request(call.shown());
    let target = location.to_str().ok();
    let mut target = target
        .and_then(|location| call.url.join(location).ok())
        .ok_or_else(|| wrong("redirects to something that is not an address".to_owned()))?;
    strip(&mut target);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_several_threads_can_share_a_client() {
        fn check<T: Send + Sync>() {}
        check::<Http>();
    }
}
