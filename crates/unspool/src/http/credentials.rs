//! Who the caller is, and which origin may know it.

use std::time::SystemTime;

use reqwest::header::{
    ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName,
    HeaderValue, USER_AGENT,
};
use url::{Origin, Url, form_urlencoded};

use super::cookies::Jar;
use super::oauth::{OAuth, Token};
use super::secrets::{Secrets, basic_auth, is_secret_name, password_of};
use super::{Call, HttpOptions};
use crate::error::Error;

/// JSON rather than a web page; but some servers know it only by a name of its own, as
/// `application/vnd.api+json`, and others have XML.
const ACCEPTED: &str = "application/json, */*;q=0.5";

/// The user's headers that say nothing about who the user is, and may therefore
/// go to any origin.
const HARMLESS: [HeaderName; 3] = [ACCEPT, ACCEPT_LANGUAGE, USER_AGENT];

/// All that the caller gave for one origin, and the cookies of all of them.
pub(super) struct Credentials {
    /// Where they may go.
    home: Origin,
    headers: HeaderMap,
    /// Parameters that no address has before it is sent.
    query: Vec<(String, String)>,
    /// Values in the address itself that are secrets by their names.
    in_address: Vec<String>,
    oauth: Option<OAuth>,
    pub(super) cookies: Jar,
}

impl Credentials {
    /// The caller's, for the origin of `url`, from where user and password move
    /// into a header.
    pub(super) fn new(url: &mut Url, options: &HttpOptions) -> Result<Self, Error> {
        let mut headers = options.headers.clone();
        if !url.username().is_empty() || url.password().is_some() {
            let credentials = basic_auth(
                &percent_decoded(url.username()),
                &percent_decoded(url.password().unwrap_or_default()),
            );
            headers.entry(AUTHORIZATION).or_insert(credentials);
            // Cannot fail: an HTTP URL has a host.
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        let home = url.origin();
        let cookies = Jar::default();
        for (name, value) in &options.cookies {
            cookies.give(home.clone(), name, value);
        }
        let credentials = Credentials {
            home,
            headers,
            query: options.query.clone(),
            in_address: (url.query_pairs().filter(|(name, _)| is_secret_name(name)))
                .map(|(_, value)| value.into_owned())
                .collect(),
            oauth: options.oauth.clone().map(OAuth::new).transpose()?,
            cookies,
        };
        credentials.strip(url);
        Ok(credentials)
    }

    /// What gives tokens for this address, if any goes there.
    pub(super) fn oauth_for(&self, url: &Url) -> Option<&OAuth> {
        self.oauth.as_ref().filter(|_| url.origin() == self.home)
    }

    /// The caller's headers as far as the origin may see them, and the call's own.
    pub(super) fn headers_for(
        &self,
        call: &Call,
        token: Option<&Token>,
    ) -> Result<HeaderMap, Error> {
        let mut headers = if call.url.origin() == self.home {
            self.headers.clone()
        } else {
            let harmless = self
                .headers
                .iter()
                .filter(|(name, _)| HARMLESS.contains(name));
            harmless
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        headers
            .entry(ACCEPT)
            .or_insert(HeaderValue::from_static(ACCEPTED));
        if call.body.is_some() {
            headers
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static("application/json"));
        }
        for (name, value) in &call.fields {
            let wrong = || Error::content(format!("`{value}` cannot be sent in `{name}`"));
            let name: HeaderName = name.parse().map_err(|_| wrong())?;
            headers.insert(name, value.parse().map_err(|_| wrong())?);
        }
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, token.header.clone());
        }
        if let Some(cookies) = self.cookies.header_for(&call.url, SystemTime::now()) {
            add_cookies(&mut headers, cookies);
        }
        Ok(headers)
    }

    /// The address as it is sent: with the keys of the query, if it is at home.
    pub(super) fn address(&self, url: &Url) -> Url {
        let mut url = url.clone();
        if self.query.is_empty() || url.origin() != self.home {
            return url;
        }
        retain_query(&mut url, |name, _| {
            !self.query.iter().any(|(secret, _)| secret == name)
        });
        url.query_pairs_mut().extend_pairs(&self.query);
        url
    }

    /// Takes the keys of the query out of an address that the server gave: it may
    /// have put in what it was sent, and the address may be one of another origin.
    /// So may user and password be, which stand in a header already.
    pub(super) fn strip(&self, url: &mut Url) {
        let has_user = !url.username().is_empty() || url.password().is_some();
        if has_user && url.origin() == self.home {
            // Cannot fail: an HTTP URL has a host.
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        if !self.query.is_empty() {
            retain_query(url, |name, value| {
                !self
                    .query
                    .iter()
                    .any(|(secret, key)| secret == name && key == value)
            });
        }
    }

    /// Whether a client that follows redirects by itself would take them along to
    /// another origin. Most know that these two are not meant for it.
    pub(super) fn are_carried_along(&self) -> bool {
        let is_known = |name: &HeaderName| [AUTHORIZATION, COOKIE].contains(name);
        (self.headers.keys()).any(|name| !HARMLESS.contains(name) && !is_known(name))
    }

    /// What no message may show, though a server may echo it.
    pub(super) fn secrets(&self) -> Secrets {
        let mut secrets = self.cookies.values();
        secrets.extend(self.given());
        secrets.extend(self.in_address.iter().cloned());
        secrets.extend(self.oauth.iter().flat_map(OAuth::secrets));
        Secrets::new(secrets)
    }
}

impl Credentials {
    /// The secrets that the caller gave for headers and the query, in an order that is the
    /// same for whoever gives them again.
    pub(super) fn given(&self) -> Vec<String> {
        let values = (self.headers.iter())
            .filter(|(name, value)| !HARMLESS.contains(name) && value.is_sensitive())
            .filter_map(|(_, value)| value.to_str().ok());
        let mut given = Vec::new();
        for value in values {
            given.extend(value.split(' ').map(str::to_owned));
            given.extend(password_of(value));
        }
        given.extend(self.query.iter().map(|(_, key)| key.clone()));
        given
    }
}

/// Adds the cookies of the jar to those of a header that the caller wrote.
fn add_cookies(headers: &mut HeaderMap, cookies: HeaderValue) {
    let all = match headers.get(COOKIE) {
        None => Ok(cookies),
        Some(own) => HeaderValue::from_bytes(&[own.as_bytes(), b"; ", cookies.as_bytes()].concat()),
    };
    // Two header values make one.
    if let Ok(mut all) = all {
        all.set_sensitive(true);
        headers.insert(COOKIE, all);
    }
}

/// Keeps the parameters that `keep` takes, byte for byte.
fn retain_query(url: &mut Url, keep: impl Fn(&str, &str) -> bool) {
    let Some(query) = url.query() else { return };
    let is_kept = |parameter: &&str| {
        form_urlencoded::parse(parameter.as_bytes())
            .next()
            .is_none_or(|(name, value)| keep(&name, &value))
    };
    let kept: Vec<&str> = query.split('&').filter(is_kept).collect();
    if kept.len() < query.split('&').count() {
        let kept = kept.join("&");
        url.set_query((!kept.is_empty()).then_some(kept.as_str()));
    }
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}
