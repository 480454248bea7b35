//! The one HTTP client: origins and their credentials, redirects, waits, retries.

mod body;
mod call;
mod client;
mod cookies;
mod credentials;
mod failure;
mod idle;
mod limits;
mod link;
mod meter;
mod oauth;
mod pace;
mod rate;
mod redirect;
mod refusal;
mod retry;
mod secrets;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{ACCEPT_ENCODING, CONNECTION, HeaderMap, TRANSFER_ENCODING};
use reqwest::{Client, Request, Response, StatusCode, Version};
use tokio::time::timeout;
use url::Url;

pub(crate) use body::Body;
pub(crate) use call::Call;
pub(crate) use failure::{is_not_found, shortened};
pub(crate) use idle::after;
pub(crate) use link::{field_text, has_unreadable_link, link_parameter, link_target};
pub(crate) use meter::Meter;
pub use oauth::ClientCredentials;
pub use rate::Rate;
pub(crate) use refusal::Refusal;
pub(crate) use retry::{Attempts, Retry};
pub(crate) use secrets::{Secrets, basic_auth, is_secret_name};

use body::ENCODINGS;
use client::Clients;
use credentials::Credentials;
use failure::{no_answer, silence};
use oauth::Token;
use pace::Pace;
use redirect::redirected;

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
pub(crate) struct HttpOptions {
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

impl Default for HttpOptions {
    fn default() -> Self {
        HttpOptions {
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
    pub(crate) fn new(
        url: &mut Url,
        options: &HttpOptions,
        meter: Arc<Meter>,
    ) -> Result<Self, Error> {
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
                .map_err(|error| error.at_request(call.redacted()))?;
            self.take_redirect_of_client(&mut call, &response)?;
            match redirected(&call, &response, |url| self.strip(url))? {
                Some(target) => call = target,
                None if response.status().is_success() => {
                    let meter = Some(Arc::clone(&self.meter));
                    let headers = response.headers().clone();
                    let is_partial = response.status() == StatusCode::PARTIAL_CONTENT;
                    let ends_with_connection = self.ends_with_connection(&response);
                    let body = Body::new(response, self.idle, meter)
                        .map_err(|error| error.at_request(call.redacted()))?;
                    return Ok(Reply::Success(Box::new(Answer {
                        call,
                        headers,
                        is_partial,
                        ends_with_connection,
                        body,
                    })));
                }
                None => {
                    let refusal = Refusal::read(self, &call, response).await;
                    return Ok(Reply::Refusal(Box::new(refusal)));
                }
            }
        }
        Err(
            Error::content(format!("more than {MAX_REDIRECTS} redirects"))
                .at_request(call.redacted()),
        )
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
    async fn transmit(&self, mut request: Request) -> Result<Response, Error> {
        let headers = request.headers_mut();
        headers.entry(ACCEPT_ENCODING).or_insert(ENCODINGS);
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
    async fn read_small(&self, response: Response, limit: usize) -> Result<Vec<u8>, Error> {
        Body::new(response, self.timeout, None)?.small(limit).await
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
            .at_request(call.redacted()));
        }
        call.url = url;
        Ok(())
    }

    /// The secrets that the caller gave, in an order that stays.
    pub(crate) fn given_secrets(&self) -> Vec<String> {
        self.credentials.given()
    }

    /// What a text that the server wrote may repeat, and nobody may see.
    pub(crate) fn secrets(&self) -> Secrets {
        self.credentials.secrets()
    }

    /// Whether a body has neither a length nor chunks, so that it ends where the
    /// connection does (RFC 9112, section 6.3). A client of the caller's that
    /// decompresses takes the length away.
    fn ends_with_connection(&self, response: &Response) -> bool {
        let headers = response.headers();
        let has_length = response.content_length().is_some();
        let is_closed = headers
            .get(CONNECTION)
            .is_some_and(|value| value == "close")
            || response.version() == Version::HTTP_10;
        response.version() < Version::HTTP_2
            && !has_length
            && !headers.contains_key(TRANSFER_ENCODING)
            && (is_closed || matches!(self.clients, Clients::Own { .. }))
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
    /// Whether its status is 206: a part of what there is (RFC 9110, section 15.3.7).
    pub(crate) is_partial: bool,
    /// Whether nothing but the end of the connection says where the body ends.
    pub(crate) ends_with_connection: bool,
    pub(crate) body: Body,
}

fn check_scheme(url: &Url) -> Result<(), Error> {
    match url.scheme() {
        "http" | "https" => Ok(()),
        scheme => Err(Error::request(format!(
            "expected an `http:` or `https:` address, found the scheme `{scheme}:`"
        ))),
    }
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
