//! Flags that say how connections are made.

use std::path::PathBuf;
use std::sync::Once;

use unspool::Http;

use crate::args::Common;
use crate::report::{self, SECRETS};
use crate::{expand, flags};

const INSECURE: &str = "warning: `--insecure` trusts any certificate: whoever is on the way can read and change \
    what is sent and what comes, credentials included";

#[derive(clap::Args)]
#[command(next_help_heading = "Connections")]
pub(crate) struct Network {
    /// Send all requests through a proxy, such as `http://proxy.example.com:3128`.
    ///
    /// In the place of what `HTTPS_PROXY`, `HTTP_PROXY` and `ALL_PROXY` say. `NO_PROXY` holds in
    /// any case.
    #[arg(short = 'x', long, value_name = "URL")]
    proxy: Option<String>,

    /// Trust the certificates in FILE (PEM) beside those of the system.
    ///
    /// Of an authority, or of the server itself. `SSL_CERT_FILE` takes the place of the system's.
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,

    /// Trust any certificate. Whoever is on the way can read and change everything.
    #[arg(short = 'k', long)]
    insecure: bool,

    /// Show each request with its status, or why there is none, on standard error.
    #[arg(short, long, overrides_with = "verbose")]
    pub(crate) verbose: bool,

    /// Show what would be asked for first, and send nothing.
    ///
    /// Method, URL, headers and body, without credentials; nothing is written either.
    #[arg(long)]
    dry_run: bool,
}

impl Network {
    /// Where nothing is sent, nothing is written.
    pub(crate) fn begin(&self, common: &mut Common) {
        if self.dry_run {
            (common.to, common.state, common.account) = (None, None, None);
        }
    }

    /// A flag that was given and means nothing without HTTP.
    pub(crate) fn of_http(&self) -> Option<&'static str> {
        let flags = [
            (self.proxy.is_some(), "--proxy"),
            (self.cacert.is_some(), "--cacert"),
            (self.insecure, "--insecure"),
        ];
        flags
            .iter()
            .find(|(is_set, _)| *is_set)
            .map(|(_, flag)| *flag)
    }

    /// The client that the flags ask for, if they ask for one.
    pub(crate) fn http(&self) -> Result<Option<Http>, String> {
        let asks = self.proxy.is_some() || self.cacert.is_some() || self.insecure || self.dry_run;
        if !asks {
            return Ok(None);
        }
        let said = |error: unspool::Error| error.to_string();
        let mut http = Http::builder();
        if let Some(proxy) = &self.proxy {
            let url = expand::value(proxy).map_err(|error| format!("--proxy: {error}"))?;
            if let Some(password) = reqwest::Url::parse(&url).ok().and_then(password) {
                SECRETS.keep(&password);
            }
            http = http.proxy(&url).map_err(said)?;
        }
        if let Some(file) = &self.cacert {
            let pem = flags::text_of_file(file)?;
            http = (http.trust(pem.as_bytes()))
                .map_err(|error| format!("--cacert `{}`: {error}", file.display()))?;
        }
        if self.insecure {
            static SAID: Once = Once::new();
            SAID.call_once(|| report::problem(INSECURE));
            http = http.danger_trust_anybody();
        }
        if self.dry_run {
            http = http.dry_run();
        }
        http.build().map(Some).map_err(said)
    }
}

fn password(url: reqwest::Url) -> Option<String> {
    url.password().map(str::to_owned)
}
