//! What is kept out of everything that is shown or stored: all redaction is here.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::Value;
use url::Url;

use super::escapes::{Layer, layers};
use super::visible::{shortened_to, visible};

/// What stands in the place of a secret.
const HIDDEN: &str = "…";

/// The shortest word that is taken out of texts: a shorter one is in half of them.
const SHORTEST: usize = 4;

/// The shortest secret that is known again in an address, where it stands alone.
const SHORTEST_IN_ADDRESS: usize = 8;

/// The same as a part of something longer: a shorter one may stand there by chance, as a
/// date does.
const SHORTEST_IN_PART: usize = 16;

/// The shortest part of a word in Base64 that is known again.
const SHORTEST_IN_BASE64: usize = 6;

/// The longest text that is shown, in characters.
const LONGEST: usize = 4000;

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

/// Names of ways to log in, which stand before the secret in a header.
const SCHEMES: &[&str] = &[
    "basic",
    "bearer",
    "token",
    "digest",
    "apikey",
    "api-key",
    "key",
    "negotiate",
];

/// Words that nobody may see: of the caller's credentials, and of tokens that came for them.
///
/// They are known again in every letter case, in Base64 (also as a part of a longer text
/// and in the alphabet for URLs), percent-encoded, with the escapes of JSON, and in what
/// combines two of those.
#[derive(Default)]
pub struct Secrets {
    words: Mutex<Vec<String>>,
}

impl Secrets {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Secrets {
            words: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn of(words: Vec<String>) -> Self {
        Secrets {
            words: Mutex::new(words),
        }
    }

    /// Keeps a word out of all texts from here on; one of less than four bytes is not
    /// kept, as it stands in half of them.
    pub fn keep(&self, word: &str) {
        let mut words = self.lock();
        if !words.iter().any(|known| known == word) {
            words.push(word.to_owned());
        }
    }

    /// Keeps the words of others, too.
    pub(crate) fn keep_all(&self, others: &Secrets) {
        let others = others.lock().clone();
        self.lock().extend(others);
    }

    /// Words of others as people may see them: without secrets, on one line, without what
    /// a terminal obeys or what changes the order of letters, and not without end.
    #[must_use]
    pub fn shown(&self, text: &str) -> String {
        self.shown_up_to(text, LONGEST)
    }

    /// The same, of so many characters at most.
    #[must_use]
    pub fn shown_up_to(&self, text: &str, length: usize) -> String {
        // What is far beyond what is shown need not be looked at.
        let text = shortened_to(text, 4 * length + 1000);
        let text = self.masked(&visible(&text));
        shortened_to(&text, length).into_owned()
    }

    /// All texts of a document, keys included, as people may see them.
    pub fn shown_in(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.shown(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.shown_in(value)),
            Value::Object(members) => {
                let shown = std::mem::take(members).into_iter().map(|(key, mut value)| {
                    self.shown_in(&mut value);
                    (self.shown(&key), value)
                });
                *members = shown.collect();
            }
            _ => {}
        }
    }

    /// The text without the secrets, and otherwise as it is.
    pub(crate) fn masked(&self, text: &str) -> String {
        let needles = Needles::of(&self.lock(), SHORTEST);
        let mut found = needles.find(text, |_, _| true);
        found.extend(needles.begun_at_cuts(text));
        without(text, found)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for Secrets {
    fn clone(&self) -> Self {
        Secrets::of(self.lock().clone())
    }
}

/// What no address to another origin may hold, and no position. It is asked for each
/// request, so what is looked for is made once.
pub(super) struct LinkGuard(Needles);

impl LinkGuard {
    pub(super) fn of(words: &[String]) -> Self {
        LinkGuard(Needles::of(words, SHORTEST_IN_ADDRESS))
    }

    /// Whether a part of an address holds one of them. A short one counts only where it
    /// stands alone.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let counts = |layer: &Layer, range: &Range<usize>| {
            range.len() >= SHORTEST_IN_PART || layer.stands_alone(range)
        };
        !self.0.find(text, counts).is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.plain.is_empty()
    }
}

/// What is looked for.
struct Needles {
    /// The words, in small letters.
    plain: Vec<Vec<u8>>,
    /// What of them is the same in Base64 wherever they stand, in small letters.
    base64: Vec<Vec<u8>>,
}

impl Needles {
    fn of(words: &[String], shortest: usize) -> Self {
        let words = words.iter().filter(|word| word.len() >= shortest);
        let mut needles = Needles {
            plain: Vec::new(),
            base64: Vec::new(),
        };
        for word in words {
            needles.plain.push(word.to_ascii_lowercase().into_bytes());
            // What cannot be seen is not there where it is looked for.
            let visible = visible(word).to_ascii_lowercase().into_bytes();
            needles.plain.push(visible);
            needles.base64.extend(in_base64(word));
        }
        for needles in [&mut needles.plain, &mut needles.base64] {
            needles.retain(|needle| !needle.is_empty());
            needles.sort();
            needles.dedup();
        }
        needles
    }

    /// Where they stand in a text, as far as that counts.
    fn find(
        &self,
        text: &str,
        counts: impl Fn(&Layer, &Range<usize>) -> bool,
    ) -> Vec<Range<usize>> {
        if self.plain.is_empty() {
            return Vec::new();
        }
        let mut found = Vec::new();
        for layer in layers(text) {
            let plain = (self.plain.iter())
                .flat_map(|needle| all(&layer.bytes, needle))
                .filter(|range| counts(&layer, range));
            let encoded = (self.base64.iter())
                .flat_map(|needle| all(&layer.bytes, needle))
                .map(|range| layer.with_rest_of_base64(range));
            found.extend(plain.chain(encoded).map(|range| layer.in_text(range)));
        }
        found
    }

    /// The begins of words at the end of a text and where it was shortened.
    fn begun_at_cuts(&self, text: &str) -> Vec<Range<usize>> {
        let small = text.to_ascii_lowercase();
        let cuts = small.match_indices(HIDDEN).map(|(at, _)| at);
        let begun = |end: usize| {
            let before = &small.as_bytes()[..end];
            (self.plain.iter())
                .filter_map(|needle| {
                    let longest = needle.len().min(before.len());
                    (SHORTEST..longest)
                        .rev()
                        .find(|length| before.ends_with(&needle[..*length]))
                })
                .max()
                .map(|length| end - length..end)
        };
        let ranges = cuts.chain([small.len()]).filter_map(begun);
        ranges
            .filter(|range| text.is_char_boundary(range.start))
            .collect()
    }
}

fn all<'h>(text: &'h [u8], needle: &'h [u8]) -> impl Iterator<Item = Range<usize>> + 'h {
    let length = needle.len();
    memmem::find_iter(text, needle).map(move |at| at..at + length)
}

/// What of a word in Base64 does not depend on what stands before and behind it: for each
/// place that it may have in a group of three bytes, in both alphabets.
fn in_base64(word: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for shift in 0..3 {
        let bytes = [&b"\0\0"[..shift], word.as_bytes()].concat();
        // Characters that hold bits of what stands before or behind.
        let begin = [0, 2, 3][shift];
        for text in [
            STANDARD_NO_PAD.encode(&bytes),
            URL_SAFE_NO_PAD.encode(&bytes),
        ] {
            let end = bytes.len() * 8 / 6;
            if end >= begin + SHORTEST_IN_BASE64 {
                found.push(text[begin..end].to_ascii_lowercase().into_bytes());
            }
        }
    }
    found
}

/// The text with a sign in the place of these ranges.
fn without(text: &str, mut ranges: Vec<Range<usize>>) -> String {
    if ranges.is_empty() {
        return text.to_owned();
    }
    ranges.sort_by_key(|range| range.start);
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for range in ranges {
        if range.start >= at {
            shown.push_str(&text[at..range.start]);
            shown.push_str(HIDDEN);
        }
        at = at.max(range.end);
    }
    shown.push_str(&text[at..]);
    shown
}

/// A request as messages name it: without user, password, fragment, and the values
/// of parameters that may be secrets.
pub(crate) fn redacted(method: &Method, url: &Url) -> String {
    let address = redacted_address(url);
    match url.scheme() {
        "http" | "https" => format!("{method} {address}"),
        // What is not HTTP is not asked with a method.
        _ => address,
    }
}

/// The address of a request, in the same way.
pub(crate) fn redacted_address(url: &Url) -> String {
    let mut text = match (url.scheme(), url.host_str()) {
        ("http" | "https", _) => url.origin().ascii_serialization(),
        // Those have no origin.
        (scheme, host) => format!("{scheme}://{}", host.unwrap_or_default()),
    };
    if let (false, Some(port)) = (url.origin().is_tuple(), url.port()) {
        text.push_str(&format!(":{port}"));
    }
    text.push_str(url.path());
    let parameters = url.query().into_iter().flat_map(|query| query.split('&'));
    for (index, parameter) in parameters.enumerate() {
        let name = parameter.split('=').next().unwrap_or_default();
        text.push(if index == 0 { '?' } else { '&' });
        if is_secret_name(name) {
            text.push_str(name);
            text.push('=');
            text.push_str(HIDDEN);
        } else {
            text.push_str(parameter);
        }
    }
    text
}

/// Whether the value of a parameter of that name may be a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// The values of parameters that may be secrets, and user and password.
pub(super) fn in_address(url: &Url) -> Vec<String> {
    let pairs = url.query_pairs().filter(|(name, _)| is_secret_name(name));
    let user = [url.username(), url.password().unwrap_or_default()];
    let user = user.iter().filter(|text| !text.is_empty());
    pairs
        .map(|(_, value)| value.into_owned())
        .chain(user.map(|text| percent_decoded(text).into_owned()))
        .collect()
}

/// What is secret in the value of a header that the caller wrote.
pub(super) struct InHeader {
    pub(super) words: Vec<String>,
    /// The name of a user, where a password tells that it is one.
    pub(super) user: Option<String>,
}

impl InHeader {
    /// Of a `Cookie` field the values of the cookies; of others all words but the name of
    /// a way to log in, and what is in Base64 after `Basic`.
    pub(super) fn of(name: &str, value: &str) -> Self {
        let mut found = InHeader {
            words: Vec::new(),
            user: None,
        };
        if name == "cookie" {
            let values = value.split(';').filter_map(|pair| pair.split_once('='));
            let values = values.map(|(_, value)| value.trim().trim_matches('"').to_owned());
            found.words.extend(values);
            return found;
        }
        let is_scheme = |word: &&str| SCHEMES.contains(&word.to_ascii_lowercase().as_str());
        let words = value.split_whitespace().skip_while(is_scheme);
        found.words.extend(words.map(str::to_owned));
        if let Some((user, password)) = user_and_password(value) {
            if password.is_empty() {
                found.words.push(user);
            } else {
                found.words.push(password);
                found.user = Some(user);
            }
        }
        found
    }
}

/// The value of an `Authorization` header (RFC 7617).
pub(super) fn basic_auth(user: &str, password: &str) -> HeaderValue {
    let credentials = STANDARD.encode(format!("{user}:{password}"));
    // Base64 is made of visible ASCII, so that this is always a header value.
    let mut value = HeaderValue::from_str(&format!("Basic {credentials}"))
        .unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// What the value of a header says after `Basic`.
fn user_and_password(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let encoded = encoded.trim().trim_end_matches('=');
    let decoded = STANDARD_NO_PAD.decode(encoded).ok()?;
    let text = String::from_utf8_lossy(&decoded);
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

pub(super) fn percent_decoded(text: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::URL_SAFE;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    fn secrets(words: &[&str]) -> Secrets {
        Secrets::of(words.iter().map(|word| (*word).to_owned()).collect())
    }

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

    #[test]
    fn what_is_no_secret_is_shown_as_it_is() {
        let secrets = secrets(&["s3cr3t-t0ken", "abc"]);
        for text in [
            "",
            "abc",
            "nothing here, 100 % of it: \\ \" % %zz \\u12 ++",
            "größer als ein token; t0ken-s3cr3t.",
            "/v1/items?page=2&cursor=eyJpZCI6NDJ9",
        ] {
            assert_eq!(secrets.shown(text), text);
            assert_eq!(secrets.masked(text), text);
        }
    }

    #[test]
    fn secrets_are_masked_in_their_places() {
        let secrets = secrets(&["s3cr3t-t0ken", "pass/word+", "größe-1"]);
        for (text, expected) in [
            ("a s3cr3t-t0ken, S3CR3T-T0KEN.", "a …, …."),
            ("?x=s3cr3t%2Dt0ken&y=1", "?x=…&y=1"),
            ("?x=s3cr3t%252dt0ken&y=1", "?x=…&y=1"),
            (r#"{"a": "pass\/word+", "b": 1}"#, r#"{"a": "…", "b": 1}"#),
            (r#"{"a": "\u0070ass/word\u002B"}"#, r#"{"a": "…"}"#),
            ("pass%2Fword%2B and gr%C3%B6%C3%9Fe-1 é", "… and … é"),
            ("gr\\u00f6\\u00DFe-1", "…"),
            ("s3cr3t-t0kens3cr3t-t0ken", "……"),
            ("cut: s3cr3t-…", "cut: ……"),
            ("cut: s3cr3t", "cut: …"),
        ] {
            assert_eq!(secrets.masked(text), expected, "{text}");
        }
        // What is put between its letters does not hide it.
        assert_eq!(secrets.shown("a s3cr\u{200B}3t-t\u{1b}0ken"), "a …");
    }

    #[test]
    fn words_in_base64_are_known_wherever_they_stand() {
        let word = "s3cr3t-t0ken?>";
        let secrets = secrets(&[word]);
        for before in ["", "a", "ab", "abc", "user:"] {
            for after in ["", "x", "xy", "xyz", "&more=1"] {
                let text = format!("{before}{word}{after}");
                for encoded in [STANDARD.encode(&text), URL_SAFE.encode(&text)] {
                    for encoded in [encoded.clone(), encoded.to_ascii_lowercase()] {
                        let shown = secrets.masked(&format!("it was {encoded}, that"));
                        let hidden = shown.split_once("it was ").unwrap().1;
                        assert!(hidden.contains('…'), "{text}: {shown}");
                        let rest = hidden.trim_end_matches(", that").replace('…', "");
                        // What is left is of what stood before and behind.
                        let others = (before.len() + after.len()) * 4 / 3 + 2;
                        assert!(
                            rest.trim_end_matches('=').len() <= others,
                            "{text}: {shown}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn short_secrets_count_in_an_address_only_where_they_stand_alone() {
        let words = ["20260101", "hush", "a-very-long-secret"].map(str::to_owned);
        let guard = LinkGuard::of(&words);
        for (text, is_in) in [
            ("20260101", true),
            ("a/20260101/b", true),
            ("x202601015", false),
            ("hush", false),
            ("xa-very-long-secretx", true),
            ("xa%2dvery%2Dlong-SECRETx", true),
        ] {
            assert_eq!(guard.is_in(text), is_in, "{text}");
        }
    }

    #[test]
    fn headers_hold_secrets_in_many_forms() {
        let words = |name, value| InHeader::of(name, value).words;
        assert_eq!(words("authorization", "Bearer t0ken"), ["t0ken"]);
        assert_eq!(words("authorization", "ApiKey t0ken"), ["t0ken"]);
        assert_eq!(words("x-api-key", "two words"), ["two", "words"]);
        let basic = "Basic YWRhLWw6bG92ZSBsYWNl";
        for name in ["authorization", "proxy-authorization"] {
            let found = InHeader::of(name, basic);
            assert_eq!(found.words, ["YWRhLWw6bG92ZSBsYWNl", "love lace"]);
            assert_eq!(found.user.as_deref(), Some("ada-l"));
        }
        let key_as_user = words("authorization", "basic c2tfbGl2ZV8xMjM6");
        assert_eq!(key_as_user, ["c2tfbGl2ZV8xMjM6", "sk_live_123"]);
        assert_eq!(
            words("cookie", "sid=31d4; x=\"y z\"; flag"),
            ["31d4", "y z"]
        );
    }

    /// 1,000 secrets, each in all encodings and places.
    #[test]
    fn no_echo_of_a_secret_is_shown() {
        let mut random = crate::internals::Random::new(7);
        for _ in 0..1000 {
            let alphabet = b"abcXYZ0189-_.~+/=%\"\\ :&?<>{}#$";
            let length = 8 + random.below(40);
            let secret: String = (0..length)
                .map(|_| char::from(alphabet[random.below(alphabet.len())]))
                .collect();
            let secret = secret.trim().to_owned();
            if secret.len() < 8 {
                continue;
            }
            let secrets = secrets(&[&secret]);
            for encoded in encodings(&secret) {
                let places = [
                    encoded.clone(),
                    format!("you sent {encoded} to us"),
                    format!("https://a.test/{encoded}/x"),
                    format!("https://a.test/?a=1&b={encoded}&c"),
                    format!("{{\"error\": \"{encoded}\"}}"),
                    format!("é{encoded}é"),
                ];
                let shown = secrets.shown(&places.join(" | "));
                for text in [&encoded, &secret] {
                    assert!(
                        !shown.contains(text),
                        "`{secret}` as `{encoded}`: `{shown}`"
                    );
                }
            }
        }
    }

    fn encodings(secret: &str) -> Vec<String> {
        let json = serde_json::to_string(secret).unwrap();
        let json = json[1..json.len() - 1].to_owned();
        let unicode = secret.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
        let percent = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
        vec![
            secret.to_owned(),
            secret.to_ascii_uppercase(),
            secret.to_ascii_lowercase(),
            STANDARD.encode(secret),
            STANDARD_NO_PAD.encode(secret),
            URL_SAFE.encode(secret),
            URL_SAFE_NO_PAD.encode(secret),
            percent.to_ascii_lowercase(),
            utf8_percent_encode(&percent, NON_ALPHANUMERIC).to_string(),
            utf8_percent_encode(&json, NON_ALPHANUMERIC).to_string(),
            percent,
            url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
            json.replace('/', "\\/"),
            json,
            unicode.collect(),
        ]
    }
}
