//! Tokens for a client that acts for itself (RFC 6749, section 4.4).

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, StatusCode};
use serde::Deserialize;
use tokio::time::{Instant, timeout};
use url::{Url, form_urlencoded};

use super::failure::excerpt;
use super::secrets::{InHeader, Secrets, basic_auth, in_address, redacted};
use super::{Session, check_scheme, retry};
use crate::error::{Error, Kind};

/// The largest answer of a token endpoint.
const MAX_ANSWER: usize = 1 << 20;

/// How long before its end a token is taken for old: it has to last for the way to
/// the server.
const MARGIN: Duration = Duration::from_secs(30);

/// Who a program is, to an authorization server that gives it tokens: the OAuth 2.0
/// client credentials grant (RFC 6749, section 4.4).
///
/// A token is asked for when the first request needs it, used until shortly before
/// it expires or until the API answers 401, and then asked for again. It goes to the
/// origin that it is given for; the secret goes to the token endpoint only.
///
/// ```no_run
/// use unspool::ClientCredentials;
///
/// # fn example(secret: &str) {
/// let client = ClientCredentials::new("https://login.example.com/oauth2/token", "reports", secret)
///     .scope("read:orders read:customers");
/// let orders = unspool::pages("https://api.example.com/orders").oauth2(client).raw();
/// # }
/// ```
#[derive(Clone)]
pub struct ClientCredentials {
    token_url: String,
    id: String,
    secret: String,
    parameters: Vec<(String, String)>,
    is_in_body: bool,
}

impl ClientCredentials {
    /// A client that is registered with the server of this token endpoint.
    pub fn new(
        token_url: impl Into<String>,
        id: impl Into<String>,
        secret: impl Into<String>,
    ) -> Self {
        ClientCredentials {
            token_url: token_url.into(),
            id: id.into(),
            secret: secret.into(),
            parameters: Vec::new(),
            is_in_body: false,
        }
    }

    /// What the token is to allow: names, with spaces between them.
    #[must_use]
    pub fn scope(self, scope: impl Into<String>) -> Self {
        self.parameter("scope", scope)
    }

    /// The API that the token is for, where the server asks for it.
    #[must_use]
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.parameter("audience", audience)
    }

    /// Another parameter of the token request, such as `resource`.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// Sends id and secret as parameters of the body, for servers that do not take
    /// them as user and password.
    #[must_use]
    pub fn in_body(mut self) -> Self {
        self.is_in_body = true;
        self
    }

    /// The request for a token (section 4.4.2).
    fn request(&self, url: Url) -> Request {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        form.extend_pairs(&self.parameters);
        if self.is_in_body {
            form.append_pair("client_id", &self.id);
            form.append_pair("client_secret", &self.secret);
        }
        let mut request = Request::new(Method::POST, url);
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        if !self.is_in_body {
            headers.insert(AUTHORIZATION, self.authorization());
        }
        *request.body_mut() = Some(form.finish().into());
        request
    }

    /// Id and secret as user and password, encoded as in a form first (section 2.3.1).
    fn authorization(&self) -> HeaderValue {
        let encoded =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        basic_auth(&encoded(&self.id), &encoded(&self.secret))
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A client and the token that it has.
pub(super) struct OAuth {
    client: ClientCredentials,
    url: Url,
    /// Held by the one request that asks for a token for all of them.
    refresh: tokio::sync::Mutex<()>,
    token: Mutex<Option<Token>>,
    /// The texts of the last ones: one that is no longer used may still be good.
    earlier: Mutex<Vec<String>>,
}

/// How many earlier tokens are kept out of messages.
const EARLIER: usize = 8;

#[derive(Clone)]
pub(super) struct Token {
    text: String,
    pub(super) header: HeaderValue,
    old: Option<Instant>,
}

#[derive(Deserialize)]
struct Grant {
    access_token: String,
    token_type: Option<String>,
    /// Some servers write a string.
    expires_in: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    error_description: Option<String>,
}

impl OAuth {
    pub(super) fn new(client: ClientCredentials) -> Result<Self, Error> {
        let url = Url::parse(&client.token_url).map_err(|error| {
            Error::request(format!("expected a URL of a token endpoint: {error}"))
                .with_source(error)
        })?;
        check_scheme(&url)?;
        Ok(OAuth {
            client,
            url,
            refresh: tokio::sync::Mutex::new(()),
            token: Mutex::default(),
            earlier: Mutex::default(),
        })
    }

    /// The token, which is asked for if there is none that is good.
    pub(super) async fn token(&self, session: &Session) -> Result<Token, Error> {
        if let Some(token) = self.good() {
            return Ok(token);
        }
        // Whoever holds it may not be polled for a while: then two tokens are asked for.
        let _refresh = timeout(session.timeout(), self.refresh.lock()).await;
        // Another request may have got it in the meantime.
        if let Some(token) = self.good() {
            return Ok(token);
        }
        let token = self.ask(session).await.map_err(|error| {
            let request = redacted(&Method::POST, &self.url);
            error.at_request(request)
        })?;
        self.remember(&token);
        *self.lock() = Some(token.clone());
        Ok(token)
    }

    /// Forgets a token that the API does not take, if it is still the one.
    pub(super) fn discard(&self, token: &Token) {
        self.lock().take_if(|known| known.text == token.text);
    }

    /// The tokens, the client's secret as it is and as it is sent, and what is secret in
    /// the address of the token endpoint.
    pub(super) fn secrets(&self) -> Vec<String> {
        let mut secrets = lock(&self.earlier).clone();
        secrets.push(self.client.secret.clone());
        secrets.extend(in_address(&self.url));
        if let Ok(value) = self.client.authorization().to_str() {
            secrets.extend(InHeader::of("authorization", value).words);
        }
        secrets
    }

    fn remember(&self, token: &Token) {
        let mut earlier = lock(&self.earlier);
        if earlier.len() == EARLIER {
            earlier.remove(0);
        }
        earlier.push(token.text.clone());
    }

    fn good(&self) -> Option<Token> {
        let is_old = |token: &Token| token.old.is_some_and(|old| old <= Instant::now());
        self.lock().clone().filter(|token| !is_old(token))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Token>> {
        lock(&self.token)
    }

    async fn ask(&self, session: &Session) -> Result<Token, Error> {
        let request = self.client.request(self.url.clone());
        let response = session.transmit(request, &self.url).await?;
        if response.url() != &self.url {
            // A client of the caller's that follows redirects by itself.
            let message = "the token endpoint redirects, which must not be followed";
            return Err(Error::new(Kind::NoToken, message));
        }
        let status = response.status();
        let wait = retry::retry_after(response.headers());
        let body = session.read_small(response, MAX_ANSWER).await?;
        if status.is_success() {
            return granted(&body);
        }
        Err(self.refused(status, &body).with_retry_after(wait))
    }

    /// Why there is no token (section 5.2). Not an error with a status: that would
    /// be one of the API, for which a status may mean that the walk is over.
    fn refused(&self, status: StatusCode, body: &[u8]) -> Error {
        let why = match serde_json::from_slice::<Refusal>(body) {
            Ok(Refusal {
                error,
                error_description,
            }) => match error_description {
                Some(description) => format!("`{error}`, {description}"),
                None => format!("`{error}`"),
            },
            Err(_) if status.is_redirection() => "redirects are not followed".to_owned(),
            Err(_) => excerpt(body),
        };
        let why = Secrets::of(self.secrets()).shown(&why);
        let may_pass = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
        let kind = match may_pass {
            true => Kind::Connection,
            false => Kind::NoToken,
        };
        Error::new(kind, format!("the token endpoint answered {status}: {why}"))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn granted(body: &[u8]) -> Result<Token, Error> {
    let wrong = |what: &str| {
        let message = format!("the token endpoint answered with success, but {what}");
        Error::new(Kind::NoToken, message)
    };
    // What stands there is not shown: it may be a token.
    let grant: Grant =
        serde_json::from_slice(body).map_err(|_| wrong("not with an `access_token` in JSON"))?;
    match grant.token_type {
        Some(kind) if !kind.eq_ignore_ascii_case("bearer") => {
            return Err(wrong("the token is not of the type `Bearer`"));
        }
        _ => {}
    }
    let mut header = HeaderValue::from_str(&format!("Bearer {}", grant.access_token))
        .map_err(|_| wrong("the token cannot be sent in a header"))?;
    header.set_sensitive(true);
    let seconds = grant.expires_in.and_then(|value| match value {
        serde_json::Value::String(text) => text.trim().parse().ok(),
        value => value.as_f64(),
    });
    let old = seconds.and_then(|seconds| {
        let life = Duration::try_from_secs_f64(seconds).ok()?;
        Instant::now().checked_add(life - MARGIN.min(life / 10))
    });
    Ok(Token {
        text: grant.access_token,
        header,
        old,
    })
}
