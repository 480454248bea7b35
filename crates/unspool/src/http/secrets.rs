//! What is kept out of messages: all redaction is here.

use std::fmt::Write;

use percent_encoding::{AsciiSet, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::HeaderValue;
use url::{Url, form_urlencoded};

/// The shortest word that is taken out of excerpts because it may be a secret.
const SHORTEST: usize = 4;

/// Parts of the names of query parameters whose values are kept out of messages.
const SECRET_NAMES: &[&str] = &[
    "key",
    "token",
    "secret",
    "pass",
    "pwd",
    "auth",
    "sig",
    "credential",
    "session",
    "code",
    "jwt",
];

/// What is escaped in a segment of a path, as browsers do it.
const PATH: &AsciiSet = &percent_encoding::CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// Words that are kept out of messages.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<String>);

/// A request as messages name it: without user, password, fragment, and the values
/// of parameters that may be secrets.
pub(super) fn redacted(method: &Method, url: &Url) -> String {
    let mut text = format!("{method} {}", url.origin().ascii_serialization());
    text.push_str(url.path());
    for (index, parameter) in url
        .query()
        .into_iter()
        .flat_map(|query| query.split('&'))
        .enumerate()
    {
        let name = parameter.split('=').next().unwrap_or_default();
        let is_secret = is_secret_name(name);
        let separator = if index == 0 { '?' } else { '&' };
        // Writing to a string does not fail.
        let _ = match is_secret {
            true => write!(text, "{separator}{name}=…"),
            false => write!(text, "{separator}{parameter}"),
        };
    }
    text
}

/// Whether the value of a parameter of that name may be a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
}

impl Secrets {
    pub(super) fn new(words: Vec<String>) -> Self {
        Secrets(words)
    }

    /// The text without them.
    pub(crate) fn taken_out_of(&self, text: &str) -> String {
        replace_all(text, &self.0)
    }
}

/// The text without those words in it that are long enough to be secrets, as they
/// are and as they stand in an address and in JSON.
pub(super) fn replace_all(text: &str, secrets: &[String]) -> String {
    let mut secrets: Vec<String> = (secrets.iter())
        .filter(|secret| secret.len() >= SHORTEST)
        .flat_map(|secret| {
            let in_query = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            let in_path = utf8_percent_encode(secret, PATH).to_string();
            let in_json = secret.replace('/', "\\/");
            [secret.clone(), in_query, in_path, in_json]
        })
        .collect();
    // One may be a part of another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    (secrets.iter()).fold(text.to_owned(), |text, secret| {
        text.replace(secret.as_str(), "…")
    })
}

/// The value of an `Authorization` header (RFC 7617).
pub(crate) fn basic_auth(user: &str, password: &str) -> HeaderValue {
    use base64::Engine as _;
    let credentials =
        base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    // Base64 is made of visible ASCII, so that this is always a header value.
    let mut value = HeaderValue::from_str(&format!("Basic {credentials}"))
        .unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// The password in the value of a header that [`basic_auth`] made.
pub(super) fn password_of(value: &str) -> Option<String> {
    use base64::Engine as _;
    let encoded = value.strip_prefix("Basic ")?;
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .ok()?;
    let text = String::from_utf8(decoded).ok()?;
    text.split_once(':')
        .map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_shown() {
        let url =
            Url::parse("https://ada:pw@example.com:8443/a?page=2&api_key=hush&Access_Token=x#f")
                .unwrap();
        assert_eq!(
            redacted(&Method::GET, &url),
            "GET https://example.com:8443/a?page=2&api_key=…&Access_Token=…"
        );
    }
}
