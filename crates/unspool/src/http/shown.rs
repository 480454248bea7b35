use std::fmt::Write;

use reqwest::Method;
use url::Url;

/// Parts of the names of query parameters whose values are kept out of messages.
const SECRET: &[&str] = &[
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

/// A request as messages name it: without user, password, fragment, and the values
/// of parameters that may be secrets.
pub(super) fn shown(method: &Method, url: &Url) -> String {
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
    SECRET.iter().any(|part| name.contains(part))
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
            shown(&Method::GET, &url),
            "GET https://example.com:8443/a?page=2&api_key=…&Access_Token=…"
        );
    }
}
