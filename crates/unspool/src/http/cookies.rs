//! Cookies of one walk (RFC 6265), as strict as the rest of the credentials: what
//! an origin sets goes back to that origin and to no other. A `Domain` attribute
//! does not widen that.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderValue, SET_COOKIE};
use url::{Origin, Url};

/// How many cookies of one origin are kept; the oldest that servers set make room.
const MAX_OF_ORIGIN: usize = 50;

/// How many cookies are kept in all.
const MAX_COOKIES: usize = 1000;

/// The shortest value of a server's that may be a secret: shorter ones are words, such
/// as the name of a language.
const SHORTEST_SECRET: usize = 8;

/// The longest `Max-Age` that is taken as it is: more is as good as for ever.
const LONGEST_AGE: u64 = 400 * 24 * 60 * 60;

/// The largest cookie, name and value.
const MAX_SIZE: usize = 4096;

#[derive(Default)]
pub(super) struct Jar {
    cookies: Mutex<Vec<Cookie>>,
}

struct Cookie {
    origin: Origin,
    name: String,
    value: String,
    path: String,
    expires: Option<SystemTime>,
    /// Whether the caller gave it: then no other one pushes it out.
    is_given: bool,
}

impl Jar {
    /// Puts in a cookie that the caller has for an origin.
    pub(super) fn give(&self, origin: Origin, name: &str, value: &str) {
        self.put(Cookie {
            origin,
            name: name.to_owned(),
            value: value.to_owned(),
            path: "/".to_owned(),
            expires: None,
            is_given: true,
        });
    }

    /// Keeps what the answer from `url` sets.
    pub(super) fn store(&self, url: &Url, headers: &HeaderMap, now: SystemTime) {
        let fields = headers.get_all(SET_COOKIE).into_iter();
        for field in fields.filter_map(|field| field.to_str().ok()) {
            if let Some(cookie) = Cookie::read(url, field, now) {
                self.put(cookie);
            }
        }
    }

    /// The cookies for a request, as the value of a `Cookie` field.
    pub(super) fn header_for(&self, url: &Url, now: SystemTime) -> Option<HeaderValue> {
        let mut cookies = self.lock();
        cookies.retain(|cookie| cookie.expires.is_none_or(|expires| expires > now));
        if cookies.is_empty() {
            return None;
        }
        let origin = url.origin();
        let mut found: Vec<&Cookie> = (cookies.iter())
            .filter(|cookie| cookie.origin == origin && is_below(url.path(), &cookie.path))
            .collect();
        // The most specific come first, then the oldest.
        found.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> = (found.iter())
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        let mut value = HeaderValue::from_str(&pairs.join("; ")).ok()?;
        value.set_sensitive(true);
        (!pairs.is_empty()).then_some(value)
    }

    /// The values that may be secrets.
    pub(super) fn values(&self) -> Vec<String> {
        (self.lock().iter())
            .filter(|cookie| cookie.is_given || cookie.value.len() >= SHORTEST_SECRET)
            .map(|cookie| cookie.value.clone())
            .collect()
    }

    /// Puts a cookie in the place of the one that it replaces, if there is one.
    fn put(&self, cookie: Cookie) {
        let mut cookies = self.lock();
        let known = cookies.iter_mut().find(|known| {
            known.name == cookie.name && known.path == cookie.path && known.origin == cookie.origin
        });
        if let Some(known) = known {
            let is_given = known.is_given || cookie.is_given;
            *known = Cookie { is_given, ..cookie };
            return;
        }
        if !cookie.is_given {
            make_room(&mut cookies, &cookie.origin);
        }
        cookies.push(cookie);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Cookie>> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes out the oldest cookie that a server set, where there are too many of the origin
/// or in all.
fn make_room(cookies: &mut Vec<Cookie>, origin: &Origin) {
    let set_by = |cookie: &Cookie| !cookie.is_given && cookie.origin == *origin;
    let oldest = if cookies.iter().filter(|cookie| set_by(cookie)).count() >= MAX_OF_ORIGIN {
        cookies.iter().position(set_by)
    } else if cookies.len() >= MAX_COOKIES {
        cookies.iter().position(|cookie| !cookie.is_given)
    } else {
        None
    };
    if let Some(oldest) = oldest {
        cookies.remove(oldest);
    }
}

impl Cookie {
    /// Reads a `Set-Cookie` field (section 5.2).
    fn read(url: &Url, field: &str, now: SystemTime) -> Option<Self> {
        let mut parts = field.split(';');
        let (name, value) = parts.next()?.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || name.len() + value.len() > MAX_SIZE {
            return None;
        }
        let mut cookie = Cookie {
            origin: url.origin(),
            name: name.to_owned(),
            value: value.to_owned(),
            path: folder(url.path()).to_owned(),
            expires: None,
            is_given: false,
        };
        let mut has_age = false;
        for attribute in parts {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "path" if value.starts_with('/') => cookie.path = value.to_owned(),
                "max-age" => {
                    if let Some(expires) = after(value, now) {
                        cookie.expires = Some(expires);
                        has_age = true;
                    }
                }
                // Some servers write hyphens, as the first browsers did.
                "expires" if !has_age => {
                    cookie.expires = httpdate::parse_http_date(&value.replace('-', " ")).ok();
                }
                "secure" if url.scheme() != "https" => return None,
                _ => {}
            }
        }
        Some(cookie)
    }
}

/// When a cookie of that age is too old. It is a number of any size, with a sign (section
/// 5.2.2).
fn after(seconds: &str, now: SystemTime) -> Option<SystemTime> {
    let digits = seconds.strip_prefix('-').unwrap_or(seconds);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if seconds.starts_with('-') {
        return Some(SystemTime::UNIX_EPOCH);
    }
    match digits.parse::<u64>().unwrap_or(u64::MAX).min(LONGEST_AGE) {
        0 => Some(SystemTime::UNIX_EPOCH),
        seconds => now.checked_add(Duration::from_secs(seconds)),
    }
}

/// The path up to its last slash (section 5.1.4).
fn folder(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(end) => &path[..end],
    }
}

fn is_below(path: &str, folder: &str) -> bool {
    match path.strip_prefix(folder) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || folder.ends_with('/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn now() -> SystemTime {
        NOW + Duration::from_secs(1_700_000_000)
    }

    /// What goes to `to` after `from` has set those.
    #[track_caller]
    fn check(from: &str, fields: &[&str], to: &str, expected: Option<&str>) {
        let jar = Jar::default();
        for field in fields {
            let mut headers = HeaderMap::new();
            headers.append(SET_COOKIE, field.parse().unwrap());
            jar.store(&url(from), &headers, now());
        }
        let value = jar.header_for(&url(to), now());
        let value = value.as_ref().map(|value| value.to_str().unwrap());
        assert_eq!(value, expected, "{fields:?} to {to}");
    }

    #[test]
    fn a_cookie_goes_back_to_its_origin_only() {
        let from = "https://api.example.com/v1/items";
        let set = ["sid=31d4; Path=/; Secure; HttpOnly; Domain=example.com"];
        check(from, &set, "https://api.example.com/v2", Some("sid=31d4"));
        for other in [
            "https://example.com/",
            "https://www.example.com/",
            "http://api.example.com/",
            "https://api.example.com:8443/",
            "https://api.example.com.evil.test/",
        ] {
            check(from, &set, other, None);
        }
    }

    #[test]
    fn the_path_limits_a_cookie() {
        let from = "http://a.test/v1/items";
        check(from, &["a=1"], "http://a.test/v1/other", Some("a=1"));
        check(from, &["a=1"], "http://a.test/v1", Some("a=1"));
        check(from, &["a=1"], "http://a.test/v10", None);
        check(from, &["a=1"], "http://a.test/", None);
        check(from, &["a=1; path=/"], "http://a.test/", Some("a=1"));
        check(from, &["a=1; path=/v1/"], "http://a.test/v1/x", Some("a=1"));
        check("http://a.test", &["a=1"], "http://a.test/x", Some("a=1"));
    }

    #[test]
    fn cookies_are_replaced_added_and_taken_away() {
        let (from, to) = ("http://a.test/v1/", "http://a.test/v1/");
        check(from, &["a=1", "b=2", "a=3"], to, Some("a=3; b=2"));
        check(from, &["a=1; path=/", "a=2"], to, Some("a=2; a=1"));
        check(from, &["a=1", "b=2", "a=; Max-Age=0"], to, Some("b=2"));
        let past = "a=x; expires=Thu, 01-Jan-1970 00:00:01 GMT";
        check(from, &["a=1", past], to, None);
        let both = "a=1; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=9; Expires=Thu, 01 Jan 1970 00:00:01 GMT";
        check(from, &[both], to, Some("a=1"));
        check(from, &["a=1; expires=some day"], to, Some("a=1"));
        check(from, &["a=b=c"], to, Some("a=b=c"));
    }

    #[test]
    fn what_is_no_cookie_is_not_kept() {
        let (from, to) = ("http://a.test/", "http://a.test/");
        for field in ["", "a", "=1", "a=1; secure"] {
            check(from, &[field], to, None);
        }
        let long = format!("a={}", "x".repeat(MAX_SIZE));
        check(from, &[&long], to, None);
    }

    /// Lets an origin set so many cookies.
    fn set(jar: &Jar, from: &str, count: usize) {
        for number in 0..count {
            let mut headers = HeaderMap::new();
            headers.append(
                SET_COOKIE,
                format!("n{number}={number}; path=/").parse().unwrap(),
            );
            jar.store(&url(from), &headers, now());
        }
    }

    fn names(jar: &Jar, to: &str) -> Vec<String> {
        let value = jar.header_for(&url(to), now());
        let value = value.as_ref().map_or("", |value| value.to_str().unwrap());
        let pairs = value.split("; ").filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, _)| name.to_owned()).collect()
    }

    #[test]
    fn what_the_caller_gave_cannot_be_pushed_out() {
        let jar = Jar::default();
        for name in ["session", "tenant", "n7"] {
            jar.give(url("http://a.test").origin(), name, "mine");
        }
        set(&jar, "http://a.test/", 180);
        let kept = names(&jar, "http://a.test/");
        for name in ["session", "tenant", "n7", "n179"] {
            assert!(kept.iter().any(|kept| kept == name), "{name}: {kept:?}");
        }
        // A server may replace what it knows the name of.
        let value = jar.header_for(&url("http://a.test/"), now()).unwrap();
        assert!(value.to_str().unwrap().contains("n7=7"), "{value:?}");
        assert_eq!(kept.len(), MAX_OF_ORIGIN + 3);
    }

    #[test]
    fn one_origin_does_not_push_out_the_cookies_of_another() {
        let jar = Jar::default();
        set(&jar, "http://a.test/", 10);
        set(&jar, "http://b.test/", 10_000);
        assert_eq!(names(&jar, "http://a.test/").len(), 10);
        assert_eq!(names(&jar, "http://b.test/").len(), MAX_OF_ORIGIN);
    }

    #[test]
    fn the_jar_does_not_grow_without_end() {
        let jar = Jar::default();
        for number in 0..100 {
            set(&jar, &format!("http://h{number}.test/"), 60);
        }
        assert_eq!(jar.lock().len(), MAX_COOKIES);
    }

    #[test]
    fn ages_of_any_size_are_read() {
        for (age, is_kept) in [
            ("1", true),
            ("99999999999999999999999999999999", true),
            ("9223372036854775807", true),
            ("0", false),
            ("000", false),
            ("-1", false),
            ("-99999999999999999999999999999999", false),
            ("-", true),
            ("1e400", true),
            ("inf", true),
            ("+1", true),
        ] {
            let field = format!("a=1; Max-Age={age}");
            let expected = is_kept.then_some("a=1");
            check("http://a.test/", &[&field], "http://a.test/", expected);
        }
    }
}
