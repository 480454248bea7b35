//! One source's requests: what it was given laid over the [`Http`] that it shares.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{CONNECTION, HeaderMap, TRANSFER_ENCODING};
use reqwest::{Client, Request, Response, StatusCode, Version};
use tokio::time::timeout;
use url::Url;

use super::body::Body;
use super::clean::{CleanCall, clean};
use super::client::Clients;
use super::coding::Coding;
use super::cookies::Jar;
use super::credentials::{Credentials, Grants};
use super::failure::{no_answer, silence};
use super::oauth::Token;
use super::pace::Queue;
use super::{
    Attempts, Call, Http, Meter, Rate, Refusal, Retry, Secrets, Settings, check_scheme, dry,
};
use crate::error::Error;
use crate::spans;

/// What a source is given for its requests.
#[derive(Clone, Default)]
pub(crate) struct HttpOptions {
    /// What it shares with others; one of its own otherwise.
    pub(crate) http: Option<Http>,
    /// For the origin of its URL, for this source alone.
    pub(crate) credentials: Credentials,
    pub(crate) rate: Option<Rate>,
    /// The caller's own client, to be used as it is.
    pub(crate) client: Option<Client>,
    pub(crate) settings: Settings,
}

impl HttpOptions {
    /// Times and tries, those of the shared client included.
    pub(crate) fn settings(&self) -> Settings {
        let shared = self.http.as_ref().map(|http| http.shared.settings);
        self.settings.or(shared.unwrap_or_default())
    }

    /// The headers of the caller's for an address.
    #[cfg(feature = "ask")]
    pub(crate) fn headers_for(&self, url: &Url) -> HeaderMap {
        let shared = self.http.as_ref().map(|http| &http.shared.grants);
        let mut headers = shared.map_or_else(HeaderMap::new, |grants| grants.headers_at(url));
        self.credentials.lay_over(&mut headers);
        headers
    }
}

/// The requests of one source, which may be on their way together.
///
/// What sources share (pace, cookies, connections) is in the [`Http`]; what belongs to
/// one of them (its own credentials, its meter) is here.
pub(crate) struct Session {
    http: Http,
    clients: Arc<Clients>,
    grants: Grants,
    jar: Arc<Jar>,
    queue: Queue,
    timeout: Duration,
    pub(super) idle: Duration,
    retry: Retry,
    meter: Arc<Meter>,
}

impl Session {
    /// The requests of a source that begins at `url`; its own credentials go to the
    /// origin of that only. Those in the URL move out of it. `usual` holds the times
    /// for this kind of source where nobody said others.
    pub(crate) fn new(
        url: &mut Url,
        options: &HttpOptions,
        usual: (Duration, Duration),
        meter: Arc<Meter>,
    ) -> Result<Self, Error> {
        check_scheme(url)?;
        let http = options.http.clone().unwrap_or_default();
        let shared = &http.shared;
        let (grants, has_own) = shared.grants.laid_over(url, &options.credentials)?;
        clean(Call::get(url.clone()), &grants).map_err(|error| Error::request(error.message()))?;
        let settings = options.settings.or(shared.settings);
        Ok(Session {
            clients: match &options.client {
                Some(client) => Arc::new(Clients::Given(client.clone())),
                None => Arc::clone(&shared.clients),
            },
            // Whose session a cookie belongs to depends on who asked.
            jar: if has_own {
                Arc::new(grants.jar())
            } else {
                Arc::clone(&shared.jar)
            },
            grants,
            queue: Queue::new(options.rate),
            timeout: settings.timeout.unwrap_or(usual.0),
            idle: settings.idle.unwrap_or(usual.1),
            retry: settings.retry(),
            meter,
            http,
        })
    }

    /// A call that anybody proposes, made fit to be sent: without the caller's credentials,
    /// which the server may have put into its address, and to an origin that may have it.
    ///
    /// # Errors
    ///
    /// Its address may not be sent. Whoever proposed it is at fault, which is the
    /// upstream: the caller's own address has been checked.
    pub(crate) fn clean(&self, call: Call) -> Result<CleanCall, Error> {
        clean(call, &self.grants)
    }

    /// The longest silence before the head of an answer.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The tries that one request is allowed.
    pub(crate) fn attempts(&self) -> Attempts {
        Attempts::new(&self.retry, Arc::clone(&self.meter))
    }

    /// Sends a call, follows redirects, and gives the answer if it is a success.
    pub(crate) async fn send(&self, call: &CleanCall) -> Result<Answer, Error> {
        match self.send_any(call).await? {
            Reply::Success(answer) => Ok(*answer),
            Reply::Refusal(refusal) => Err(refusal.into_error()),
        }
    }

    /// What an answer is, which leads nowhere else.
    pub(super) async fn reply(&self, call: CleanCall, response: Response) -> Result<Reply, Error> {
        let status = response.status();
        if !status.is_success() {
            let refusal = Refusal::read(self, &call, response).await;
            return Ok(Reply::Refusal(Box::new(refusal)));
        }
        let headers = response.headers().clone();
        let ends_with_connection = self.ends_with_connection(&response);
        let body = Body::new(response, self.idle, Some(Arc::clone(&self.meter)))
            .map_err(|error| error.at_request(call.redacted()))?;
        Ok(Reply::Success(Box::new(Answer {
            call,
            status,
            headers,
            ends_with_connection,
            body,
        })))
    }

    /// One request and the head of its answer. A token that is not taken is asked
    /// for once more: it may have been withdrawn before its time.
    pub(super) async fn exchange(&self, call: &CleanCall) -> Result<Response, Error> {
        let Some(oauth) = self.grants.oauth_for(&call.call().url) else {
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

    async fn exchange_as(
        &self,
        call: &CleanCall,
        token: Option<&Token>,
    ) -> Result<Response, Error> {
        let shown = &call.stored().url;
        let call = call.call();
        let url = self.grants.address(&call.url);
        let mut request = Request::new(call.method(), url);
        let cookies = self.jar.header_for(&call.url, SystemTime::now());
        *request.headers_mut() = self.grants.headers_for(call, token, cookies)?;
        *request.body_mut() = call.body.as_ref().map(|body| body.to_string().into());
        let response = self.transmit(request, shown).await?;
        (self.jar).store(response.url(), response.headers(), SystemTime::now());
        Ok(response)
    }

    /// Sends a request when its turn has come, and waits for the head of the answer; `shown` is
    /// its address without credentials.
    pub(super) async fn transmit(
        &self,
        mut request: Request,
        shown: &Url,
    ) -> Result<Response, Error> {
        Coding::ask_for(request.headers_mut());
        if self.http.shared.is_dry {
            return Err(dry::not_sent(&request));
        }
        let client = self.clients.for_request(&request)?;
        let (pace, url) = (&self.http.shared.pace, request.url().clone());
        let turn = pace.turn(url.origin(), &self.queue, &self.meter).await?;
        self.meter.request();
        let span = spans::request(request.method(), shown);
        let answer = match timeout(self.timeout, client.execute(request)).await {
            Ok(Ok(response)) => {
                turn.answered(response.status(), response.headers());
                Ok(response)
            }
            Ok(Err(error)) => Err(no_answer(error, &url, turn.is_known())),
            Err(_) => Err(silence(self.timeout, "no answer")),
        };
        spans::answered(&span, &answer, || self.secrets());
        answer
    }

    /// Reads a body that is known to be small.
    pub(super) async fn read_small(
        &self,
        response: Response,
        limit: usize,
    ) -> Result<Vec<u8>, Error> {
        Body::new(response, self.timeout, None)?.small(limit).await
    }

    /// The call that an answer is for. A client of the caller's may follow redirects by
    /// itself: then this is where the answer comes from. That headers went along cannot be
    /// undone, and is not passed over.
    pub(super) fn answering(
        &self,
        call: CleanCall,
        response: &Response,
    ) -> Result<CleanCall, Error> {
        let sent = &call.call().url;
        if !matches!(*self.clients, Clients::Given(_))
            || *response.url() == self.grants.address(sent)
        {
            return Ok(call);
        }
        let is_other =
            response.url().origin() != sent.origin() && !self.grants.is_home(response.url());
        if is_other && self.grants.are_carried_along(sent) {
            return Err(Error::content(
                "the client followed a redirect to another origin by itself, and took headers \
                 along that were not meant for it: build it with `redirect::Policy::none()`",
            )
            .at_request(call.redacted()));
        }
        let url = response.url().clone();
        let error_at = |error: Error| error.at_request(call.redacted());
        let led_to = Call {
            url,
            ..call.call().clone()
        };
        self.clean(led_to)
            .map_err(|error| error_at(error.with_start("the client\'s redirect")))
    }

    /// The secrets that the caller gave, in an order that stays.
    pub(crate) fn given_secrets(&self) -> Vec<String> {
        self.grants.given()
    }

    /// What a text that the server wrote may repeat, and nobody may see.
    pub(crate) fn secrets(&self) -> Secrets {
        let mut secrets = self.grants.secrets();
        secrets.extend(self.jar.values());
        secrets.extend(self.clients.proxy_secrets());
        Secrets::of(secrets)
    }

    /// The origin of a call, if it gets none of the credentials that there are for the one
    /// that the source begins at.
    pub(super) fn withheld_from(&self, call: &Call) -> Option<String> {
        let is_withheld = self.grants.are_withheld_from(&call.url);
        is_withheld.then(|| call.url.origin().ascii_serialization())
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
            && (is_closed || matches!(*self.clients, Clients::Own { .. }))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
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
    pub(crate) call: CleanCall,
    /// 200 as a rule; 204 where there is no body (RFC 9110, section 15.3.5), 206 for a
    /// part of what there is (section 15.3.7).
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Whether nothing but the end of the connection says where the body ends.
    pub(crate) ends_with_connection: bool,
    pub(crate) body: Body,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_several_threads_can_share_a_session() {
        fn check<T: Send + Sync>() {}
        check::<Session>();
    }
}
