//! The clients of reqwest that an [`Http`](super::Http) sends with.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::UPGRADE;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Request};
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
        /// For `http:`.
        plain: OnceLock<Client>,
        /// For `https:`.
        secure: OnceLock<Client>,
        /// For `https:` where the connection is to leave HTTP, which HTTP/2 does otherwise.
        leaving: OnceLock<Client>,
    },
}

impl Default for Clients {
    fn default() -> Self {
        Clients::Own {
            plain: OnceLock::new(),
            secure: OnceLock::new(),
            leaving: OnceLock::new(),
        }
    }
}

impl Clients {
    /// The client for a request.
    pub(super) fn for_request(&self, request: &Request) -> Result<&Client, Error> {
        let (plain, secure, leaving) = match self {
            Clients::Given(client) => return Ok(client),
            Clients::Own {
                plain,
                secure,
                leaving,
            } => (plain, secure, leaving),
        };
        let is_secure = request.url().scheme() == "https";
        let is_leaving = request.headers().contains_key(UPGRADE);
        let cell = match (is_secure, is_leaving) {
            (false, _) => plain,
            (true, false) => secure,
            (true, true) => leaving,
        };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let builder = if is_secure || has_tls_proxy() {
            Client::builder()
        } else {
            Client::builder().tls_certs_only([])
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

/// Whether the proxy for `http:` is itself reached by TLS.
fn has_tls_proxy() -> bool {
    proxies(&["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
        .any(|proxy| proxy.starts_with("https:"))
}

/// User and password of the proxies of the environment, which may repeat them.
pub(super) fn proxy_secrets() -> Vec<String> {
    let names = [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ];
    let urls = proxies(&names).filter_map(|proxy| Url::parse(&proxy).ok());
    urls.flat_map(|url| in_address(&url)).collect()
}

fn proxies<'n>(names: &'n [&str]) -> impl Iterator<Item = String> + 'n {
    names.iter().filter_map(|name| std::env::var(name).ok())
}

/// A client that follows no redirects by itself: those are ours, for the sake of
/// the credentials. Nor does it decompress, so that the head stays as it came.
fn client(builder: ClientBuilder) -> Result<Client, Error> {
    // The program's own choice of cryptography stays, where it has made one.
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
