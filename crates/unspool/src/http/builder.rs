//! What sources share: one budget for an origin, one set of cookies, one pool of
//! connections.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "tls")]
use reqwest::Certificate;
use reqwest::{Client, Proxy};
use url::Url;

use super::client::{Clients, Network};
use super::cookies::Jar;
use super::credentials::{Credentials, Grants};
use super::pace::Pace;
use super::{Rate, Retry, check_scheme};
use crate::error::Error;

/// A client that several sources share: cheap to clone, safe to use from many tasks.
///
/// All requests made through it and its clones share the connections, the cookies that
/// servers set, and one budget for each origin: one [rate](HttpBuilder::rate), one
/// `Retry-After`, one count of what the server says it still allows. Credentials are
/// given for an origin, and no other one gets them.
///
/// ```no_run
/// use unspool::{Credentials, Http};
///
/// # fn example(token: &str) -> Result<(), unspool::Error> {
/// let http = Http::builder()
///     .for_origin("https://api.example.com", Credentials::new().bearer_auth(token))
///     .rate("10/s".parse()?)
///     .build()?;
/// let orders = unspool::pages("https://api.example.com/orders").http(&http).raw();
/// let people = unspool::pages("https://api.example.com/people").http(&http).raw();
/// # Ok(())
/// # }
/// ```
///
/// What a source is given by itself, such as by
/// [`bearer_auth`](crate::pages::Request::bearer_auth), is laid over that for the origin
/// of its URL, for that source alone. A source with credentials of its own also has
/// cookies of its own, because they belong to whoever asked.
#[derive(Clone, Default)]
pub struct Http {
    pub(super) shared: Arc<Shared>,
}

#[derive(Default)]
pub(super) struct Shared {
    pub(super) clients: Arc<Clients>,
    pub(super) grants: Grants,
    pub(super) jar: Arc<Jar>,
    pub(super) pace: Pace,
    pub(super) settings: Settings,
    /// Whether requests are only shown.
    pub(super) is_dry: bool,
}

impl Http {
    /// Without credentials, as fast as the upstreams allow.
    #[must_use]
    pub fn new() -> Self {
        Http::default()
    }

    /// Starts the description of another one.
    pub fn builder() -> HttpBuilder {
        HttpBuilder::default()
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

/// What an [`Http`] is to be. Made by [`Http::builder`].
///
/// It is in the example of [`Http`].
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct HttpBuilder {
    credentials: Vec<(String, Credentials)>,
    rate: Option<Rate>,
    client: Option<Client>,
    network: Network,
    settings: Settings,
    is_dry: bool,
}

impl HttpBuilder {
    /// Credentials for the origin (scheme, host and port) of a URL, of which the rest does
    /// not matter. Given again for the same origin, they are added.
    pub fn for_origin(mut self, url: impl Into<String>, credentials: Credentials) -> Self {
        self.credentials.push((url.into(), credentials));
        self
    }

    /// How fast requests may follow each other, all sources together and from start to
    /// start; by default as fast as the upstreams allow.
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// A client of your own, with its proxies and certificates. What is said of it for
    /// [`pages`](crate::pages::Request::client) holds here, too.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// The proxy for all requests, in the place of those of the environment (`HTTPS_PROXY`
    /// and its kin): `http:` or `https:`, with user and password where it wants them.
    ///
    /// # Errors
    ///
    /// It is not the URL of a proxy.
    pub fn proxy(mut self, url: &str) -> Result<Self, Error> {
        let proxy = Proxy::all(url).map_err(|error| {
            Error::request("expected the URL of a proxy, such as `http://proxy.example.com:3128`")
                .with_source(error.without_url())
        })?;
        self.network.proxy = Some((proxy, url.to_owned()));
        Ok(self)
    }

    /// Certificates (PEM) of authorities that are trusted beside those of the system.
    ///
    /// # Errors
    ///
    /// There is none in the text, or one that cannot be read.
    #[cfg(feature = "tls")]
    pub fn trust(mut self, pem: &[u8]) -> Result<Self, Error> {
        let roots = Certificate::from_pem_bundle(pem);
        let wrong =
            || Error::request("expected certificates as PEM: `-----BEGIN CERTIFICATE-----`");
        let roots = roots.map_err(|error| wrong().with_source(error))?;
        if roots.is_empty() {
            return Err(wrong());
        }
        self.network.roots.extend(roots);
        Ok(self)
    }

    /// Trusts any certificate of any server, so that anybody on the way can read and change
    /// all that is sent, credentials included. For tests.
    #[cfg(feature = "tls")]
    pub fn danger_trust_anybody(mut self) -> Self {
        self.network.is_insecure = true;
        self
    }

    /// Sends nothing: the first request that there would be is an error of the kind
    /// [`NotSent`](crate::ErrorKind::NotSent), whose message has the method, the URL, the
    /// headers and the body, without credentials.
    pub fn dry_run(mut self) -> Self {
        self.is_dry = true;
        self
    }

    /// The longest silence of an upstream, before an answer and within a body, for all
    /// sources that say nothing else; by default it depends on the source.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.settings.timeout = Some(limit);
        self.settings.idle = Some(limit);
        self
    }

    /// How often a request is repeated that failed in a way that may pass, for all sources
    /// that say nothing else; 5 by default.
    pub fn retries(mut self, retries: usize) -> Self {
        self.settings.retries = Some(retries);
        self
    }

    /// The wait before the first retry, which doubles from there; 250 ms by default.
    pub fn first_wait(mut self, wait: Duration) -> Self {
        self.settings.first_wait = Some(wait);
        self
    }

    /// Builds it. Nothing is sent.
    ///
    /// # Errors
    ///
    /// An origin is not an HTTP URL, or a credential cannot be sent.
    pub fn build(self) -> Result<Http, Error> {
        let mut grants = Grants::default();
        for (text, credentials) in &self.credentials {
            let mut url = Url::parse(text).map_err(|error| {
                Error::request(format!("expected a URL for credentials: {error}"))
                    .with_source(error)
            })?;
            check_scheme(&url)?;
            (grants, _) = grants.laid_over(&mut url, credentials)?;
        }
        let own = || Clients::new(self.network.clone());
        let clients = self.client.clone().map_or_else(own, Clients::Given);
        Ok(Http {
            shared: Arc::new(Shared {
                clients: Arc::new(clients),
                jar: Arc::new(grants.jar()),
                grants,
                pace: Pace::new(self.rate),
                settings: self.settings,
                is_dry: self.is_dry,
            }),
        })
    }
}

impl fmt::Debug for HttpBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpBuilder").finish_non_exhaustive()
    }
}

/// Times and tries, as far as somebody has said them.
#[derive(Clone, Copy, Default)]
pub(crate) struct Settings {
    /// The longest silence before the head of an answer.
    pub(crate) timeout: Option<Duration>,
    /// The longest silence between two parts of a body.
    pub(crate) idle: Option<Duration>,
    pub(crate) retries: Option<usize>,
    pub(crate) first_wait: Option<Duration>,
}

impl Settings {
    /// These, and others where these say nothing.
    pub(crate) fn or(self, others: Settings) -> Self {
        Settings {
            timeout: self.timeout.or(others.timeout),
            idle: self.idle.or(others.idle),
            retries: self.retries.or(others.retries),
            first_wait: self.first_wait.or(others.first_wait),
        }
    }

    pub(crate) fn retry(self) -> Retry {
        let usual = Retry::default();
        Retry {
            retries: self.retries.unwrap_or(usual.retries),
            first_wait: self.first_wait.unwrap_or(usual.first_wait),
        }
    }
}
