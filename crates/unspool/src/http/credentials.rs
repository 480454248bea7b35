//! Who the caller is, and which origin may know it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::{
    ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName,
    HeaderValue, USER_AGENT,
};
use url::{Origin, Url, form_urlencoded};

use super::cookies::Jar;
use super::oauth::{OAuth, Token};
use super::secrets::{InHeader, LinkGuard, basic_auth, is_secret_name, percent_decoded};
use super::{Call, ClientCredentials, check_scheme};
use crate::error::Error;

/// JSON rather than a web page; but some servers know it only by a name of its own, as
/// `application/vnd.api+json`, and others have XML.
const ACCEPTED: &str = "application/json, */*;q=0.5";

/// The user's headers that say nothing about who the user is, and may therefore
/// go to any origin.
const HARMLESS: [HeaderName; 3] = [ACCEPT, ACCEPT_LANGUAGE, USER_AGENT];

/// What the caller is known by at one origin, for
/// [`HttpBuilder::for_origin`](crate::HttpBuilder::for_origin).
///
/// What cannot be sent is said by whatever is made of it, before anything is sent.
///
/// ```
/// use unspool::{Credentials, Http};
///
/// let credentials = Credentials::new()
///     .bearer_auth("a-token")
///     .api_key_header("X-Api-Key", "a-key")
///     .also_origin("https://eu.api.example.com");
/// let http = Http::builder()
///     .for_origin("https://api.example.com", credentials)
///     .build()?;
/// # drop(http);
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, Default)]
#[must_use = "credentials do nothing until they are given to something"]
pub struct Credentials {
    headers: HeaderMap,
    /// Parameters of the query that are credentials.
    query: Vec<(String, String)>,
    cookies: Vec<(String, String)>,
    oauth: Option<ClientCredentials>,
    /// Other names of the same server.
    also: Vec<String>,
    /// The first thing that is wrong with them.
    wrong: Option<&'static str>,
}

impl Credentials {
    /// None yet.
    pub fn new() -> Self {
        Credentials::default()
    }

    /// A header. Another origin, reached by a redirect or a next link, gets only `Accept`,
    /// `Accept-Language` and `User-Agent`.
    pub fn header(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.headers.append(name, value);
        self
    }

    /// User and password (RFC 7617).
    pub fn basic_auth(mut self, user: &str, password: &str) -> Self {
        (self.headers).insert(AUTHORIZATION, basic_auth(user, password));
        self
    }

    /// A token (RFC 6750): `Authorization: Bearer …`.
    pub fn bearer_auth(mut self, token: &str) -> Self {
        match sensitive(&format!("Bearer {token}")) {
            Some(value) => {
                self.headers.insert(AUTHORIZATION, value);
                self
            }
            None => self.refuse("expected a token of visible ASCII characters"),
        }
    }

    /// A key in a header: `X-Api-Key` and the like.
    pub fn api_key_header(self, name: &str, key: &str) -> Self {
        match (name.parse(), sensitive(key)) {
            (Ok(name), Some(value)) => self.header(name, value),
            (Err(_), _) => self.refuse("expected the name of a header for the key"),
            (_, None) => self.refuse("expected a key of visible ASCII characters"),
        }
    }

    /// A key in the query: `?api_key=…`.
    ///
    /// It is put into the address when the request is sent, and taken out of links
    /// and redirects in which the server repeats it: no error, account or position
    /// holds it.
    pub fn api_key_query(mut self, name: &str, key: &str) -> Self {
        self.query.push((name.to_owned(), key.to_owned()));
        self
    }

    /// Tokens from an authorization server (OAuth 2.0, RFC 6749, section 4.4).
    pub fn oauth2(mut self, client: ClientCredentials) -> Self {
        self.oauth = Some(client);
        self
    }

    /// A cookie, until the server replaces it.
    pub fn cookie(mut self, name: &str, value: &str) -> Self {
        let is_name = !name.is_empty() && !name.contains(['=', ';', ' ']);
        if !is_name || value.contains(';') || sensitive(&format!("{name}={value}")).is_none() {
            return self.refuse("expected a cookie of visible ASCII characters without `;`");
        }
        self.cookies.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The origin (scheme, host and port) of another URL of the same server, whose rest does
    /// not matter: what is given for the one goes to the other, too.
    pub fn also_origin(mut self, url: impl Into<String>) -> Self {
        self.also.push(url.into());
        self
    }

    /// The headers among them.
    #[cfg(feature = "ask")]
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Adds a header as it is, unless there is one of that name.
    pub(crate) fn usual_header(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.entry(name).or_insert(value);
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        let has_words = !self.headers.is_empty() || !self.query.is_empty();
        !has_words && self.cookies.is_empty() && self.oauth.is_none() && self.also.is_empty()
    }

    /// Remembers the first thing that is wrong, for whoever sends to say.
    pub(crate) fn refuse(mut self, message: &'static str) -> Self {
        self.wrong.get_or_insert(message);
        self
    }

    /// Puts their headers into the place of others of the same names.
    pub(super) fn lay_over(&self, headers: &mut HeaderMap) {
        for name in self.headers.keys() {
            headers.remove(name);
        }
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
    }

    /// Whether they tell who the caller is.
    fn is_anybody(&self) -> bool {
        let has_header = self.headers.keys().any(|name| !HARMLESS.contains(name));
        has_header || !self.query.is_empty() || !self.cookies.is_empty() || self.oauth.is_some()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// The credentials for each origin, and for no other.
#[derive(Default)]
pub(super) struct Grants {
    /// The one that a source begins at is the last.
    grants: Vec<Grant>,
    /// What guards links, and the tokens that it was made with.
    guard: Mutex<Option<(Vec<String>, Arc<LinkGuard>)>>,
}

/// The shortest parameter of the caller's address that is known again in another one.
const SHORTEST_REPEATED: usize = 8;

/// All that the caller gave for one origin.
#[derive(Clone)]
struct Grant {
    origin: Origin,
    /// Other names of the same server.
    also: Vec<Origin>,
    headers: HeaderMap,
    /// Parameters that no address has before it is sent.
    query: Vec<(String, String)>,
    cookies: Vec<(String, String)>,
    /// Parameters of the address itself that are secrets by their names.
    in_address: Vec<(String, String)>,
    /// Shared by all who have these credentials, so that they share its token.
    oauth: Option<Arc<OAuth>>,
}

impl Grants {
    /// These, and others laid over them for the origin of `url`, from where user and
    /// password move into a header; and whether those tell who the caller is.
    pub(super) fn laid_over(
        &self,
        url: &mut Url,
        own: &Credentials,
    ) -> Result<(Self, bool), Error> {
        if let Some(wrong) = own.wrong {
            return Err(Error::request(wrong));
        }
        let mut own = own.clone();
        if has_user(url) {
            let credentials = basic_auth(
                &percent_decoded(url.username()),
                &percent_decoded(url.password().unwrap_or_default()),
            );
            own.headers.entry(AUTHORIZATION).or_insert(credentials);
            take_user_out(url);
        }
        let mut grants = Grants {
            grants: self.grants.clone(),
            guard: Mutex::default(),
        };
        let home = url.origin();
        let known = grants.grants.iter().position(|grant| grant.origin == home);
        let mut grant = match known {
            Some(index) => grants.grants.remove(index),
            None => Grant::of(home),
        };
        grant.lay_over(&own, url)?;
        grants.grants.push(grant);
        grants.strip(url);
        Ok((grants, own.is_anybody()))
    }

    /// A jar with the cookies that the caller gave.
    pub(super) fn jar(&self) -> Jar {
        let jar = Jar::default();
        for grant in &self.grants {
            for (name, value) in &grant.cookies {
                for origin in grant.origins() {
                    jar.give(origin.clone(), name, value);
                }
            }
        }
        jar
    }

    /// What gives tokens for this address, if any goes there.
    pub(super) fn oauth_for(&self, url: &Url) -> Option<&OAuth> {
        self.at(url)?.oauth.as_deref()
    }

    /// The caller's headers at the origin of an address.
    #[cfg(feature = "ask")]
    pub(super) fn headers_at(&self, url: &Url) -> HeaderMap {
        self.at(url)
            .map_or_else(HeaderMap::new, |grant| grant.headers.clone())
    }

    /// The caller's headers as far as the origin may see them, and the call's own.
    pub(super) fn headers_for(
        &self,
        call: &Call,
        token: Option<&Token>,
        cookies: Option<HeaderValue>,
    ) -> Result<HeaderMap, Error> {
        let mut headers = self.harmless();
        if let Some(grant) = self.at(&call.url) {
            headers = grant.headers.clone();
        }
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
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| wrong())?;
            headers.insert(name, value);
        }
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, token.header.clone());
        }
        if let Some(cookies) = cookies {
            add_cookies(&mut headers, cookies);
        }
        Ok(headers)
    }

    /// The address as it is sent: with the keys of the query, if there are some for its
    /// origin.
    pub(super) fn address(&self, url: &Url) -> Url {
        let mut url = url.clone();
        let Some(grant) = self.at(&url).filter(|grant| !grant.query.is_empty()) else {
            return url;
        };
        retain_query(&mut url, |name, _| {
            !grant.query.iter().any(|(secret, _)| secret == name)
        });
        url.query_pairs_mut().extend_pairs(&grant.query);
        url
    }

    /// Takes the keys of the query out of an address that the server gave: it may
    /// have put in what it was sent, and the address may be one of another origin.
    /// So may user and password be, and nobody but the caller says who that is.
    pub(super) fn strip(&self, url: &mut Url) {
        if has_user(url) {
            take_user_out(url);
        }
        let keys = || self.grants.iter().flat_map(|grant| &grant.query);
        if keys().next().is_some() {
            retain_query(url, |name, value| {
                !keys().any(|(secret, key)| secret == name && key == value)
            });
        }
    }

    /// Whether a client that follows redirects by itself would take them from there to
    /// another origin. Most know that these two are not meant for it.
    pub(super) fn are_carried_along(&self, from: &Url) -> bool {
        let is_known = |name: &HeaderName| [AUTHORIZATION, COOKIE].contains(name);
        let headers = self.at(from).map(|grant| grant.headers.keys());
        headers
            .is_some_and(|mut names| names.any(|name| !HARMLESS.contains(name) && !is_known(name)))
    }

    /// What no message may show, though a server may echo it.
    pub(super) fn secrets(&self) -> Vec<String> {
        let mut secrets = Vec::new();
        for grant in &self.grants {
            for found in grant.in_headers() {
                secrets.extend(found.words);
                secrets.extend(found.user);
            }
            secrets.extend(grant.query.iter().map(|(_, key)| key.clone()));
            secrets.extend(grant.in_address.iter().map(|(_, value)| value.clone()));
            secrets.extend(grant.oauth.iter().flat_map(|oauth| oauth.secrets()));
        }
        secrets
    }

    /// What no address to another origin may hold, and no position: what the caller gave,
    /// and tokens. A name may stand there, and what a server made a cookie of.
    pub(super) fn link_guard(&self) -> Arc<LinkGuard> {
        let mut secrets = Vec::new();
        // A token that comes is one more.
        let tokens = self.grants.iter().flat_map(|grant| &grant.oauth);
        tokens.for_each(|oauth| secrets.extend(oauth.secrets()));
        let mut known = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, guard)) = known.as_ref().filter(|(of, _)| *of == secrets) {
            return Arc::clone(guard);
        }
        let of = secrets.clone();
        for grant in &self.grants {
            secrets.extend(grant.given());
            secrets.extend(grant.cookies.iter().map(|(_, value)| value.clone()));
        }
        let guard = Arc::new(LinkGuard::of(&secrets));
        *known = Some((of, Arc::clone(&guard)));
        guard
    }

    /// Whether an address has a parameter that is a secret in the caller's own.
    pub(super) fn repeats_address(&self, url: &Url) -> bool {
        let mut known = self.grants.iter().flat_map(|grant| &grant.in_address);
        known.any(|(name, value)| {
            let is_long = value.len() >= SHORTEST_REPEATED;
            is_long && (url.query_pairs()).any(|pair| pair.0 == *name && pair.1 == *value)
        })
    }

    /// Whether an origin gets none of the credentials, and there are some for the one that
    /// the source begins at.
    pub(super) fn are_withheld_from(&self, url: &Url) -> bool {
        self.at(url).is_none() && self.grants.last().is_some_and(Grant::is_anybody)
    }

    /// Whether an address is at the origin that the source begins at, or at another name of
    /// the same server.
    pub(super) fn is_home(&self, url: &Url) -> bool {
        let home = self.grants.last();
        home.is_some_and(|grant| grant.is_for(&url.origin()))
    }

    /// The secrets that the caller gave for headers and the query of the source's own
    /// origin, in an order that is the same for whoever gives them again.
    pub(super) fn given(&self) -> Vec<String> {
        self.grants.last().map(Grant::given).unwrap_or_default()
    }

    fn at(&self, url: &Url) -> Option<&Grant> {
        if self.grants.is_empty() {
            return None;
        }
        let origin = url.origin();
        // What the source was given goes before what it shares.
        let mut grants = self.grants.iter().rev();
        grants.find(|grant| grant.is_for(&origin))
    }

    /// The headers that any origin may see: those for the one that the source begins at.
    fn harmless(&self) -> HeaderMap {
        let headers = self.grants.iter().next_back().map(|grant| &grant.headers);
        (headers.into_iter().flatten())
            .filter(|(name, _)| HARMLESS.contains(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

impl Grant {
    fn of(origin: Origin) -> Self {
        Grant {
            origin,
            also: Vec::new(),
            headers: HeaderMap::new(),
            query: Vec::new(),
            cookies: Vec::new(),
            in_address: Vec::new(),
            oauth: None,
        }
    }

    fn lay_over(&mut self, own: &Credentials, url: &Url) -> Result<(), Error> {
        own.lay_over(&mut self.headers);
        if own.headers.contains_key(AUTHORIZATION) {
            self.oauth = None;
        }
        for url in &own.also {
            self.also.push(other_name(url)?);
        }
        lay_pairs_over(&mut self.query, &own.query);
        lay_pairs_over(&mut self.cookies, &own.cookies);
        if let Some(client) = own.oauth.clone() {
            self.oauth = Some(Arc::new(OAuth::new(client)?));
        }
        let pairs = url.query_pairs().filter(|(name, _)| is_secret_name(name));
        (self.in_address)
            .extend(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())));
        Ok(())
    }

    fn origins(&self) -> impl Iterator<Item = &Origin> {
        std::iter::once(&self.origin).chain(&self.also)
    }

    fn is_for(&self, origin: &Origin) -> bool {
        self.origins().any(|own| own == origin)
    }

    /// Whether it tells who the caller is.
    fn is_anybody(&self) -> bool {
        let has_header = self.headers.keys().any(|name| !HARMLESS.contains(name));
        has_header
            || self.oauth.is_some()
            || [&self.query, &self.cookies, &self.in_address]
                .iter()
                .any(|pairs| !pairs.is_empty())
    }

    fn given(&self) -> Vec<String> {
        let mut given: Vec<String> = self.in_headers().flat_map(|found| found.words).collect();
        given.extend(self.query.iter().map(|(_, key)| key.clone()));
        given
    }

    fn in_headers(&self) -> impl Iterator<Item = InHeader> {
        (self.headers.iter())
            .filter(|(name, value)| !HARMLESS.contains(name) && value.is_sensitive())
            .filter_map(|(name, value)| Some(InHeader::of(name.as_str(), value.to_str().ok()?)))
    }
}

/// The origin of a URL that is another name of a server.
fn other_name(url: &str) -> Result<Origin, Error> {
    let url = Url::parse(url).map_err(|error| {
        let message = format!("expected a URL as another name of the server: {error}");
        Error::request(message).with_source(error)
    })?;
    check_scheme(&url)?;
    Ok(url.origin())
}

/// Puts pairs into the place of others of the same names.
fn lay_pairs_over(pairs: &mut Vec<(String, String)>, own: &[(String, String)]) {
    pairs.retain(|(name, _)| !own.iter().any(|(other, _)| other == name));
    pairs.extend_from_slice(own);
}

/// The value of a header that no log shows.
fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
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

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn take_user_out(url: &mut Url) {
    // Cannot fail: an HTTP URL has a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
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
