//! The one HTTP client: origins and their credentials, redirects, waits, retries.

mod body;
mod builder;
mod call;
#[cfg(any(test, feature = "internals"))]
pub(crate) mod checked;
mod clean;
mod client;
mod coding;
mod cookies;
mod credentials;
#[cfg(feature = "compression")]
mod decoder;
mod dry;
mod escapes;
mod failure;
mod idle;
mod limits;
mod link;
mod meter;
mod oauth;
mod pace;
mod prose;
mod rate;
mod redirect;
mod refusal;
mod retry;
mod secrets;
mod session;
mod upgrade;
mod visible;

use url::Url;

pub(crate) use body::{Body, most_filler};
pub use builder::{Http, HttpBuilder};
pub(crate) use call::Call;
pub(crate) use clean::{CleanCall, is_lost};
pub use credentials::Credentials;
pub(crate) use failure::is_not_found;
pub(crate) use idle::after;
pub(crate) use link::{field_text, has_unreadable_link, link_target, link_with};
pub(crate) use meter::Meter;
pub use oauth::ClientCredentials;
pub use rate::Rate;
pub(crate) use refusal::Refusal;
pub(crate) use retry::{Attempts, Retry, wait_said};
pub use secrets::Secrets;
pub(crate) use secrets::{is_secret_name, redacted, redacted_address};
pub(crate) use session::{Answer, HttpOptions, Reply, Session};
pub(crate) use visible::{shortened, shortened_to, visible};

pub(crate) use builder::Settings;

use crate::error::Error;

fn check_scheme(url: &Url) -> Result<(), Error> {
    match url.scheme() {
        "http" | "https" => Ok(()),
        scheme => Err(Error::request(format!(
            "expected an `http:` or `https:` address, found the scheme `{scheme}:`"
        ))),
    }
}
