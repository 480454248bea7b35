//! The clients of reqwest behind [`Http`](super::Http).

use std::sync::OnceLock;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use url::Url;

use crate::error::Error;

/// Who sends the requests.
pub(super) enum Clients {
    /// The caller's own client, as it is.
    Given(Client),
    Own {
        /// For `http:`.
        plain: Client,
        /// For `https:`. To read the system's certificates takes longer than many a
        /// whole walk: it is made when it is needed.
        secure: OnceLock<Client>,
    },
}

impl Clients {
    pub(super) fn new(given: Option<&Client>) -> Result<Self, Error> {
        if let Some(client) = given {
            return Ok(Clients::Given(client.clone()));
        }
        Ok(Clients::Own {
            plain: client(match has_tls_proxy() {
                true => Client::builder(),
                false => Client::builder().tls_certs_only([]),
            })?,
            secure: OnceLock::new(),
        })
    }

    pub(super) fn for_url(&self, url: &Url) -> Result<&Client, Error> {
        let (plain, secure) = match self {
            Clients::Given(client) => return Ok(client),
            Clients::Own { plain, secure } => (plain, secure),
        };
        if url.scheme() == "http" {
            return Ok(plain);
        }
        match secure.get() {
            Some(client) => Ok(client),
            None => {
                let made = client(Client::builder())?;
                Ok(secure.get_or_init(|| made))
            }
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
/// the credentials. Nor does it decompress, so that the head stays as it came.
fn client(builder: ClientBuilder) -> Result<Client, Error> {
    builder
        .redirect(Policy::none())
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .user_agent(concat!("unspool/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Error::request("cannot set up the HTTP client").with_source(error))
}
