//! The clients of reqwest that an [`Http`](super::Http) sends with.

use std::sync::OnceLock;
use std::time::Duration;

#[cfg(feature = "tls")]
use reqwest::Certificate;
use reqwest::header::UPGRADE;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Proxy, Request};
#[cfg(feature = "tls")]
use rustls::crypto::{CryptoProvider, ring};
use url::Url;

use super::secrets::in_address;
use crate::error::Error;

/// After so long a silence the peer's system is asked whether the connection is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Who sends the requests.
pub(super) enum Clients {
    /// The caller's own client, as it is.
    Given(Client),
    /// Each is made when it is needed: to read the system's certificates takes longer
    /// than many a whole walk.
    Own {
        network: Box<Network>,
        /// For `http:`.
        plain: OnceLock<Client>,
        /// For `https:`.
        secure: OnceLock<Client>,
        /// For `https:` where the connection is to leave HTTP, which HTTP/2 does otherwise.
        leaving: OnceLock<Client>,
    },
}

/// How connections are made.
#[derive(Clone, Default)]
pub(super) struct Network {
    /// In the place of the proxies of the environment, with its address.
    pub(super) proxy: Option<(Proxy, String)>,
    /// Trusted beside those of the system.
    #[cfg(feature = "tls")]
    pub(super) roots: Vec<Certificate>,
    /// Whether any certificate will do.
    #[cfg(feature = "tls")]
    pub(super) is_insecure: bool,
}

impl Default for Clients {
    fn default() -> Self {
        Clients::new(Network::default())
    }
}

impl Clients {
    pub(super) fn new(network: Network) -> Self {
        Clients::Own {
            network: Box::new(network),
            plain: OnceLock::new(),
            secure: OnceLock::new(),
            leaving: OnceLock::new(),
        }
    }

    /// User and password of the proxies, which may repeat them.
    pub(super) fn proxy_secrets(&self) -> Vec<String> {
        let names = [
            "HTTP_PROXY",
            "http_proxy",
            "HTTPS_PROXY",
            "https_proxy",
            "ALL_PROXY",
            "all_proxy",
        ];
        let named = match self {
            Clients::Own { network, .. } => network.proxy.as_ref().map(|(_, url)| url.clone()),
            Clients::Given(_) => None,
        };
        let urls = named.into_iter().chain(proxies(&names));
        urls.filter_map(|proxy| Url::parse(&proxy).ok())
            .flat_map(|url| in_address(&url))
            .collect()
    }

    /// The client for a request.
    pub(super) fn for_request(&self, request: &Request) -> Result<&Client, Error> {
        let (network, plain, secure, leaving) = match self {
            Clients::Given(client) => return Ok(client),
            Clients::Own {
                network,
                plain,
                secure,
                leaving,
            } => (network, plain, secure, leaving),
        };
        let is_secure = request.url().scheme() == "https";
        if is_secure && !cfg!(feature = "tls") {
            return Err(Error::request(
                "`https:` needs TLS, and this program was built without the feature `tls` of \
                 `unspool`",
            ));
        }
        let is_leaving = request.headers().contains_key(UPGRADE);
        let cell = match (is_secure, is_leaving) {
            (false, _) => plain,
            (true, false) => secure,
            (true, true) => leaving,
        };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let builder = if is_secure || network.proxy.is_some() || has_tls_proxy() {
            network.builder()
        } else {
            without_tls(Client::builder())
        };
        let builder = if is_leaving {
            builder.http1_only()
        } else {
            builder
        };
        let made = client(builder)?;
        Ok(cell.get_or_init(|| made))
    }
}

impl Network {
    fn builder(&self) -> ClientBuilder {
        let builder = self.with_tls(Client::builder());
        match &self.proxy {
            Some((proxy, _)) => builder.proxy(proxy.clone()),
            None => builder,
        }
    }

    #[cfg(feature = "tls")]
    fn with_tls(&self, builder: ClientBuilder) -> ClientBuilder {
        let builder = builder.tls_certs_merge(self.roots.iter().cloned());
        if self.is_insecure {
            builder.tls_danger_accept_invalid_certs(true)
        } else {
            builder
        }
    }

    #[cfg(not(feature = "tls"))]
    fn with_tls(&self, builder: ClientBuilder) -> ClientBuilder {
        builder
    }
}

/// Certificates take long to read, and are of no use to a client that speaks no TLS.
fn without_tls(builder: ClientBuilder) -> ClientBuilder {
    #[cfg(feature = "tls")]
    let builder = builder.tls_certs_only([]);
    builder
}

/// Whether the proxy for `http:` is itself reached by TLS.
fn has_tls_proxy() -> bool {
    proxies(&["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
        .any(|proxy| proxy.starts_with("https:"))
}

fn proxies<'n>(names: &'n [&str]) -> impl Iterator<Item = String> + 'n {
    names.iter().filter_map(|name| std::env::var(name).ok())
}

/// A client that follows no redirects by itself: those are ours, for the sake of
/// the credentials. Nor does it decompress, so that the head stays as it came.
fn client(builder: ClientBuilder) -> Result<Client, Error> {
    // The program's own choice of cryptography stays, where it has made one.
    #[cfg(feature = "tls")]
    if CryptoProvider::get_default().is_none() {
        let _ = ring::default_provider().install_default();
    }
    builder
        .redirect(Policy::none())
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .tcp_keepalive(KEEP_ALIVE)
        .tcp_keepalive_interval(KEEP_ALIVE / 3)
        .tcp_keepalive_retries(3)
        .user_agent(concat!("unspool/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Error::request("cannot set up the HTTP client").with_source(error))
}
