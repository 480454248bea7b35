use bytestring::ByteString;
use serde::{Deserialize, Serialize};
use url::Url;

use super::seen::Stood;
use crate::error::Error;
use crate::http::{Call, is_secret_name};
use crate::position::Position;

/// The name of the source.
pub(super) const SOURCE: &str = "events";

/// The form of the data; another one is refused.
const VERSION: u32 = 1;

/// The name of the hash of an event, with which a fingerprint begins.
const HASH: &str = "xxh3-64:";

/// What stands in the place of a credential.
const HIDDEN: &str = "…";

/// Where all feeds of a source stand: what its position holds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Stands {
    pub(super) feeds: Vec<Stand>,
}

/// Where one feed stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Stand {
    /// The request that it is asked with.
    pub(super) origin: Call,
    /// The id of the last event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// The fingerprint of that event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<String>,
    /// The fingerprints of the events after it that had no id of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tail: Vec<String>,
    /// Whether its ids count up one by one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    counted: bool,
}

impl Stands {
    pub(super) fn position(&self) -> Option<Position> {
        Position::new(SOURCE, VERSION, self)
    }

    /// Reads a position of the feeds that are asked for so.
    ///
    /// # Errors
    ///
    /// It is one of another source or form, of a feed that is not among these, or it is
    /// damaged.
    pub(super) fn read(position: &Position, origins: &[Call]) -> Result<Self, Error> {
        let stands: Stands = position.read(SOURCE, VERSION)?;
        for stand in &stands.feeds {
            if !origins.contains(&stand.origin) {
                let own: Vec<String> = origins.iter().map(Call::redacted).collect();
                return Err(Error::request(format!(
                    "the position belongs to another request: {}, not {}",
                    stand.origin.redacted(),
                    own.join(", ")
                )));
            }
            stand.stood()?;
        }
        Ok(stands)
    }
}

impl Stand {
    pub(super) fn new(origin: &Call, stood: &Stood) -> Self {
        Stand {
            origin: origin.clone(),
            after: (!stood.id.is_empty()).then(|| stood.id.to_string()),
            last: stood.head.map(written).filter(|_| !stood.id.is_empty()),
            tail: stood.tail.iter().copied().map(written).collect(),
            counted: stood.is_counted,
        }
    }

    /// The id of the last event; empty where there is none.
    pub(super) fn id(&self) -> ByteString {
        self.after.as_deref().unwrap_or_default().into()
    }

    pub(super) fn stood(&self) -> Result<Stood, Error> {
        let read = |text: &String| {
            let digits = text.strip_prefix(HASH);
            let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
            number.ok_or_else(|| {
                Error::request(format!(
                    "expected the events of the position as `{HASH}` and 16 digits"
                ))
            })
        };
        let tail = self.tail.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Stood {
            id: self.after.clone().unwrap_or_default().into(),
            head: self.last.as_ref().map(read).transpose()?,
            tail,
            is_counted: self.counted,
        })
    }
}

fn written(fingerprint: u64) -> String {
    format!("{HASH}{fingerprint:016x}")
}

/// A call as a position holds it: without what its address holds under names for secrets.
pub(super) fn origin(call: &Call) -> Call {
    let is_secret = |name: &str, value: &str| is_secret_name(name) && !value.is_empty();
    let mut call = call.clone();
    let is_login = |name: &str| name == "creds" && matches!(call.url.scheme(), "nats" | "tls");
    if (call.url.query_pairs()).any(|(name, _)| is_login(&name)) {
        // Where the file lies with which one logs in is no part of the feed.
        let pairs = call.url.query_pairs().filter(|(name, _)| name != "creds");
        let pairs: Vec<(String, String)> = pairs
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        call.url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    let _ = call.url.set_username("");
    let _ = call.url.set_password(None);
    if let Some(token) = token(call.url.path()) {
        let path = call.url.path().replace(token, HIDDEN);
        call.url.set_path(&path);
    }
    if (call.url.query_pairs()).any(|(name, value)| is_secret(&name, &value)) {
        let pairs: Vec<(String, String)> = (call.url.query_pairs())
            .map(|(name, value)| {
                let shown = if is_secret(&name, &value) {
                    HIDDEN
                } else {
                    &*value
                };
                (name.to_string(), shown.to_owned())
            })
            .collect();
        call.url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    call
}

/// The token that Telegram has in a path: `/bot123:TOKEN/…`.
pub(super) fn token(path: &str) -> Option<&str> {
    path.split('/').find_map(|part| {
        let (number, token) = part.strip_prefix("bot")?.split_once(':')?;
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && !token.is_empty()).then_some(token)
    })
}

/// The address with a parameter set, and otherwise as it is.
pub(super) fn with_parameter(url: &Url, name: &str, value: &str) -> Url {
    let pair = url::form_urlencoded::Serializer::new(String::new())
        .append_pair(name, value)
        .finish();
    let is_other = |part: &&str| {
        let mut pairs = url::form_urlencoded::parse(part.as_bytes());
        !part.is_empty() && pairs.next().is_none_or(|(found, _)| found != name)
    };
    let query = url.query().unwrap_or_default();
    let mut parts: Vec<&str> = query.split('&').filter(is_other).collect();
    parts.push(&pair);
    let query = parts.join("&");
    let mut url = url.clone();
    url.set_query(Some(&query));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(url: &str) -> Call {
        Call::get(url.parse().unwrap())
    }

    #[test]
    fn a_position_has_the_same_bytes_on_every_machine_and_no_credentials() {
        let stood = Stood {
            id: "é 7".into(),
            head: Some(7),
            tail: vec![0x36b0_ffd1_5110_a7e1],
            is_counted: true,
        };
        let origin = origin(&call("http://me:hush@a.test/feed?api_key=hush&topic=a+b"));
        let stands = Stands {
            feeds: vec![Stand::new(&origin, &stood)],
        };
        let position = stands.position().unwrap();
        let text = serde_json::to_string(&position).unwrap();
        let golden = concat!(
            r#"{"feeds":[{"after":"é 7","counted":true,"last":"xxh3-64:0000000000000007","origin":{"url":"#,
            r#""http://a.test/feed?api_key=%E2%80%A6&topic=a+b"},"tail":["xxh3-64:36b0ffd15110a7e1"]}],"#,
            r#""source":"events","version":1}"#,
        );
        assert_eq!(text, golden);
        let again = Stands::read(&position, &[origin]).unwrap();
        assert_eq!(again.feeds[0].stood().unwrap(), stood);
    }

    #[test]
    fn a_position_of_another_feed_is_refused() {
        let stand = Stand::new(&call("http://a.test/one"), &Stood::default());
        let stands = Stands { feeds: vec![stand] };
        let error = Stands::read(&stands.position().unwrap(), &[call("http://a.test/two")]);
        let error = error.unwrap_err();
        assert!(
            error.is_request() && error.to_string().contains("/one"),
            "{error}"
        );
    }

    #[test]
    fn a_parameter_takes_the_place_of_one_of_its_name() {
        let set = |url: &str| with_parameter(&url.parse().unwrap(), "since", "a&b").to_string();
        assert_eq!(set("http://a.test/"), "http://a.test/?since=a%26b");
        assert_eq!(
            set("http://a.test/?since=1&x=%7e&since=2"),
            "http://a.test/?x=%7e&since=a%26b"
        );
    }
}
