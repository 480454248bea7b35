//! Cookies of one walk (RFC 6265), as strict as the rest of the credentials: what
//! an origin sets goes back to that origin and to no other. A `Domain` attribute
//! does not widen that.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderValue, SET_COOKIE};
use url::{Origin, Url};

/// How many cookies are kept; the oldest make room.
const MAX_COOKIES: usize = 100;

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

    /// The values of all cookies.
    pub(super) fn values(&self) -> Vec<String> {
        (self.lock().iter())
            .map(|cookie| cookie.value.clone())
            .collect()
    }

    /// Puts a cookie in the place of the one that it replaces, if there is one.
    fn put(&self, cookie: Cookie) {
        let mut cookies = self.lock();
        let known = cookies.iter_mut().find(|known| {
            known.name == cookie.name && known.path == cookie.path && known.origin == cookie.origin
        });
        match known {
            Some(known) => *known = cookie,
            None => cookies.push(cookie),
        }
        if cookies.len() > MAX_COOKIES {
            cookies.remove(0);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Cookie>> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner)
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
        };
        let mut has_age = false;
        for attribute in parts {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "path" if value.starts_with('/') => cookie.path = value.to_owned(),
                "max-age" => {
                    if let Some(expires) = after(value, now) {
                        cookie.expires = expires;
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

/// When a cookie of that age is too old; none for one that never is.
fn after(seconds: &str, now: SystemTime) -> Option<Option<SystemTime>> {
    match seconds.parse::<i64>().ok()? {
        ..=0 => Some(Some(SystemTime::UNIX_EPOCH)),
        seconds => Some(now.checked_add(Duration::from_secs(seconds.unsigned_abs()))),
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

    #[test]
    fn the_jar_does_not_grow_without_end() {
        let jar = Jar::default();
        for number in 0..1000 {
            jar.give(url("http://a.test").origin(), &number.to_string(), "x");
        }
        assert_eq!(jar.values().len(), MAX_COOKIES);
    }
}
