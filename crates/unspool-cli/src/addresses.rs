//! What an address is the address of, and what it should have been.

use std::path::Path;

use crate::expand;

/// What reads what is at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Pages or a feed, as the answer says.
    Web,
    Feed,
    Database,
}

impl Kind {
    /// The command that reads it; of what is on the web the answer may say otherwise.
    pub(crate) fn command(self) -> &'static str {
        match self {
            Kind::Web => "pages",
            Kind::Feed => "events",
            Kind::Database => "rows",
        }
    }
}

/// The schemes of addresses. To add one: a line here.
const SCHEMES: &[(&str, Kind)] = &[
    ("https", Kind::Web),
    ("http", Kind::Web),
    ("wss", Kind::Feed),
    ("ws", Kind::Feed),
    ("redis", Kind::Feed),
    ("rediss", Kind::Feed),
    ("nats", Kind::Feed),
    ("postgres", Kind::Database),
    ("postgresql", Kind::Database),
    ("mysql", Kind::Database),
    ("sqlite", Kind::Database),
];

/// How the name of a file ends that is a database.
const DATABASES: [&str; 4] = ["db", "db3", "sqlite", "sqlite3"];

/// What an address is of, if it is one.
pub(crate) fn kind(text: &str) -> Option<Kind> {
    let text = text.trim();
    if let Some((scheme, rest)) = text.split_once(':') {
        let known = (SCHEMES.iter()).find(|(name, _)| name.eq_ignore_ascii_case(scheme));
        return known
            .filter(|(name, _)| *name == "sqlite" || rest.starts_with("//"))
            .map(|(_, kind)| *kind);
    }
    let extension = Path::new(text).extension()?.to_str()?;
    DATABASES.contains(&extension).then_some(Kind::Database)
}

/// The URL of a web server, with the variables in it looked up.
pub(crate) fn of_web(text: &str) -> Result<String, String> {
    let address = expand::address(text)?;
    match kind(&address) {
        Some(Kind::Web) => Ok(address),
        Some(Kind::Database) => Err(
            "expected a URL, found the address of a database, which `unspool rows` reads"
                .to_owned(),
        ),
        Some(Kind::Feed) => Err(
            "expected a URL of pages, found a WebSocket, which `unspool events` reads".to_owned(),
        ),
        None => Err(no_url(&address)),
    }
}

/// The URL of a feed.
pub(crate) fn of_feed(text: &str) -> Result<String, String> {
    let address = expand::address(text)?;
    if kind(&address).is_some() || address.contains("://") && closest(&address).is_none() {
        Ok(address)
    } else {
        Err(no_url(&address))
    }
}

/// Says why it is no URL, and what it may have been meant to be. Of the address only the host is
/// shown: the rest may hold a secret.
fn no_url(address: &str) -> String {
    if let Some((scheme, _)) = address.split_once("://") {
        return match closest(address) {
            Some(meant) => format!("no such scheme: `{scheme}:`; did you mean `{meant}:`?"),
            None => {
                format!("expected an `http:` or `https:` address, found the scheme `{scheme}:`")
            }
        };
    }
    let host = address.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    let name = host.split(':').next().unwrap_or_default();
    let is_near = name == "localhost" || name.parse::<std::net::Ipv4Addr>().is_ok();
    let scheme = if is_near { "http" } else { "https" };
    if name.is_empty() || !(is_near || name.contains('.')) {
        return "expected a URL, such as `https://api.example.com/posts`".to_owned();
    }
    format!("expected a URL, and this has no scheme: did you mean `{scheme}://{host}/…`?")
}

/// The scheme that was meant, by a typing error.
fn closest(address: &str) -> Option<&'static str> {
    let (scheme, _) = address.split_once("://")?;
    let distance = |name: &str| strsim::osa_distance(name, &scheme.to_ascii_lowercase());
    let (name, distance) = SCHEMES
        .iter()
        .map(|(name, _)| (*name, distance(name)))
        .min_by_key(|(_, distance)| *distance)?;
    (distance == 1).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_reads_it() {
        for (address, expected) in [
            ("https://api.example.com/posts", Some(Kind::Web)),
            ("ws://example.com", Some(Kind::Feed)),
            ("postgres://ada@db/shop", Some(Kind::Database)),
            ("sqlite:users", Some(Kind::Database)),
            ("users.db", Some(Kind::Database)),
            (" HTTP://example.com", Some(Kind::Web)),
            ("pages", None),
            ("https", None),
            ("localhost:8000/x", None),
            ("notes.txt", None),
        ] {
            assert_eq!(kind(address), expected, "{address}");
        }
    }

    #[test]
    fn what_is_no_url_is_told_what_it_may_have_meant() {
        for (text, words) in [
            (
                "api.example.com/posts",
                "did you mean `https://api.example.com/…`?",
            ),
            (
                "localhost:8000/x?token=s3cret",
                "did you mean `http://localhost:8000/…`?",
            ),
            (
                "ada:pw@api.example.com",
                "did you mean `https://api.example.com/…`?",
            ),
            ("htps://api.example.com", "did you mean `https:`?"),
            ("ftp://example.com", "found the scheme `ftp:`"),
            ("posts", "such as `https://api.example.com/posts`"),
            ("postgres://ada@db/shop", "`unspool rows` reads"),
            ("wss://example.com", "`unspool events` reads"),
        ] {
            let error = of_web(text).unwrap_err();
            assert!(error.contains(words), "{error}");
            assert!(
                !error.contains("s3cret") && !error.contains("pw"),
                "{error}"
            );
        }
        assert!(
            of_feed("wsss://example.com")
                .unwrap_err()
                .contains("`wss:`")
        );
        assert_eq!(
            of_feed("wss://example.com"),
            Ok("wss://example.com".to_owned())
        );
    }
}
