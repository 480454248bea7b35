//! When a request is tried again, and how long to wait before.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::Meter;
use super::limits::{exhausted, in_range, server_time, wait};
use super::prose::wait_in;
use crate::error::Error;
use crate::spans;

/// The longest wait. What a server asks for beyond is not waited for in part: until then
/// it would refuse again.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(300);

/// Whole seconds may have been rounded up.
const ROUNDING: Duration = Duration::from_secs(1);

/// How often and how patiently a failed request is repeated.
#[derive(Clone, Debug)]
pub(crate) struct Retry {
    pub(crate) retries: usize,
    pub(crate) first_wait: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            retries: 5,
            first_wait: Duration::from_millis(250),
        }
    }
}

/// The tries of one request: exponential waits with jitter, or what the server
/// asked for if that is longer.
pub(crate) struct Attempts {
    waits: ExponentialBackoff,
    meter: Arc<Meter>,
    made: usize,
    allowed: usize,
}

impl Attempts {
    pub(crate) fn new(retry: &Retry, meter: Arc<Meter>) -> Self {
        let waits = ExponentialBuilder::default()
            .with_min_delay(retry.first_wait)
            .with_max_delay(Duration::from_secs(30))
            .with_max_times(retry.retries)
            .with_jitter()
            .build();
        Attempts {
            waits,
            meter,
            made: 0,
            allowed: retry.retries,
        }
    }

    /// Waits for the next try, or gives the error back if there is none.
    pub(crate) async fn after(&mut self, error: Error) -> Result<(), Error> {
        if !error.is_retryable() {
            return Err(error);
        }
        let Some(backoff) = self.waits.next() else {
            return Err(error);
        };
        let asked = error.retry_after().and_then(in_range).unwrap_or_default();
        if error.is_throttled() {
            return Err(error);
        }
        if is_too_long(asked) {
            return Err(error.with_note(too_long(asked)));
        }
        // Whom nobody has reached yet will hardly be there in half a minute.
        if error.is_unreachable() && self.made > 0 {
            return Err(error);
        }
        self.made += 1;
        let wait = backoff.max(asked).min(MAX_WAIT);
        let _waiting = self.meter.waiting(format!(
            "waiting {:.1} s to try again ({} of {}): {}",
            wait.as_secs_f64(),
            self.made,
            self.allowed,
            error.message()
        ));
        spans::waits(wait, self.made, self.allowed);
        tokio::time::sleep(wait).await;
        self.meter.retry();
        Ok(())
    }
}

/// Whether nobody waits for so long.
pub(super) fn is_too_long(wait: Duration) -> bool {
    wait > MAX_WAIT + ROUNDING
}

/// What is said of a wait that is too long.
pub(super) fn too_long(wait: Duration) -> String {
    format!(
        "the upstream asks for a wait of {}, and the longest is {}",
        spoken(wait),
        spoken(MAX_WAIT)
    )
}

/// A time as people say it: its two largest units.
fn spoken(time: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (size, name) in UNITS {
        if rest >= size && parts.len() < 2 {
            parts.push(format!("{} {name}", rest / size));
        }
        rest %= size;
    }
    parts.join(" ")
}

/// How long a refused request should wait before it is made again, by the server's
/// word: with `Retry-After`, or because no more requests are allowed until then.
pub(super) fn wait_for(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    retry_after(headers).or_else(|| match status.as_u16() {
        403 | 429 => exhausted(headers, SystemTime::now()),
        _ => None,
    })
}

/// The same with the words of the body, for those who say it nowhere else.
pub(super) fn wait_for_refused(
    status: StatusCode,
    headers: &HeaderMap,
    body: &str,
) -> Option<Duration> {
    wait_for(status, headers).or_else(|| match status.as_u16() {
        403 | 429 | 500..=599 => wait_in(body),
        _ => None,
    })
}

/// The wait that an answer asks for whose status is a success, and whose words are not.
pub(crate) fn wait_said(headers: &HeaderMap, words: &str) -> Option<Duration> {
    wait_for_refused(StatusCode::TOO_MANY_REQUESTS, headers, words)
}

/// The wait that a `Retry-After` field asks for, in seconds or until a date (RFC
/// 9110, section 10.2.3), or a `Retry-After-Ms` field, which Anthropic, OpenAI and Azure
/// send for shorter ones. Fractions of a second are not in the standard, but are sent.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let field = |name: &str| Some(headers.get(name)?.to_str().ok()?.trim());
    let milliseconds = field("retry-after-ms").and_then(|text| text.parse::<f64>().ok());
    let milliseconds = milliseconds.and_then(|wait| Duration::try_from_secs_f64(wait / 1e3).ok());
    if let Some(wait) = milliseconds.and_then(in_range) {
        return Some(wait);
    }
    let text = field(RETRY_AFTER.as_str())?;
    // The server's clock may not be ours.
    let now = server_time(headers).unwrap_or_else(SystemTime::now);
    if text.parse::<f64>().is_ok() {
        return wait(text, now);
    }
    let date = httpdate::parse_http_date(text).ok()?;
    // A date in the past asks for no wait.
    in_range(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn check(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        retry_after(&headers)
    }

    #[test]
    fn both_forms_of_retry_after_are_read() {
        assert_eq!(check("120"), Some(Duration::from_secs(120)));
        assert_eq!(check("Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::ZERO));
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(90));
        let wait = check(&date).unwrap();
        assert!(
            wait > Duration::from_secs(80) && wait <= Duration::from_secs(90),
            "{wait:?}"
        );
        assert_eq!(check("soon"), None);
        assert_eq!(check("0.25"), Some(Duration::from_millis(250)));
        for wrong in [
            "-1", "NaN", "inf", "Infinity", "1e400", "1e308", "-inf", "99999999",
        ] {
            assert_eq!(check(wrong), None, "{wrong}");
        }
        assert_eq!(check("3600"), Some(Duration::from_secs(3600)));
        // Some write when, in seconds since 1970.
        assert_eq!(check("1377010241"), Some(Duration::from_secs(1)));
    }

    #[test]
    fn milliseconds_are_more_exact_than_seconds() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "2".parse().unwrap());
        headers.insert("retry-after-ms", "1500".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn a_date_is_read_by_the_clock_of_the_server() {
        let mut headers = HeaderMap::new();
        headers.insert("date", "Wed, 21 Oct 2015 07:27:00 GMT".parse().unwrap());
        let until = "Wed, 21 Oct 2015 07:28:00 GMT";
        headers.insert(RETRY_AFTER, until.parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(60)));
    }

    #[test]
    fn a_403_is_retried_only_if_it_says_when() {
        let is_retryable = |fields: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.insert(*name, value.parse().unwrap());
            }
            let wait = wait_for(StatusCode::FORBIDDEN, &headers);
            let error = Error::new(Kind::Status(403), "no").with_retry_after(wait);
            error.is_retryable()
        };
        assert!(!is_retryable(&[]));
        assert!(is_retryable(&[("retry-after", "60")]));
        let remaining = |count| {
            let reset = ("x-ratelimit-reset-after", "60");
            is_retryable(&[("x-ratelimit-remaining", count), reset])
        };
        assert!(remaining("0"));
        assert!(!remaining("7"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_what_the_server_asked_for() {
        let (retry, meter) = (Retry::default(), Arc::new(Meter::default()));
        // The last one is none, and is waited for as if nothing had been said.
        for (asked, expected) in [(7, 7), (300, 300), (u64::MAX, 0)] {
            let begin = tokio::time::Instant::now();
            let error = Error::new(Kind::Status(429), "answered 429")
                .with_retry_after(Some(Duration::from_secs(asked)));
            Attempts::new(&retry, Arc::clone(&meter))
                .after(error)
                .await
                .unwrap();
            assert_eq!(begin.elapsed().as_secs(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_too_long_fails_at_once_and_is_said() {
        let (retry, meter) = (Retry::default(), Arc::new(Meter::default()));
        for (kind, asked, words) in [
            (Kind::Status(429), 86_400, "a wait of 1 d,"),
            (Kind::Status(503), 3_725, "a wait of 1 h 2 min,"),
            (
                Kind::Reported,
                302,
                "a wait of 5 min 2 s, and the longest is 5 min",
            ),
        ] {
            let begin = tokio::time::Instant::now();
            let error = Error::new(kind, "no").with_retry_after(Some(Duration::from_secs(asked)));
            let after = Attempts::new(&retry, Arc::clone(&meter)).after(error).await;
            let error = after.unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert!(begin.elapsed().is_zero() && error.is_retryable());
        }
        assert_eq!(meter.counts().retries, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn whom_nobody_has_reached_is_tried_once_more_and_soon() {
        let meter = Arc::new(Meter::default());
        let mut attempts = Attempts::new(&Retry::default(), Arc::clone(&meter));
        let error = || Error::new(Kind::Unreachable, "cannot connect");
        let begin = tokio::time::Instant::now();
        attempts.after(error()).await.unwrap();
        attempts.after(error()).await.unwrap_err();
        assert!(begin.elapsed() < Duration::from_secs(1));
        assert_eq!(meter.counts().retries, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_and_end() {
        let retry = Retry {
            retries: 3,
            ..Retry::default()
        };
        let meter = Arc::new(Meter::default());
        let mut attempts = Attempts::new(&retry, Arc::clone(&meter));
        for exponent in 0..3 {
            let begin = tokio::time::Instant::now();
            attempts
                .after(Error::new(Kind::Connection, "no"))
                .await
                .unwrap();
            let least = Duration::from_millis(250 << exponent);
            let waited = begin.elapsed();
            assert!(
                waited >= least && waited <= 2 * least + Duration::from_millis(2),
                "{waited:?}"
            );
        }
        attempts
            .after(Error::new(Kind::Connection, "no"))
            .await
            .unwrap_err();
        assert_eq!(meter.counts().retries, 3);
    }

    #[tokio::test]
    async fn what_cannot_get_better_is_not_retried() {
        let (retry, meter) = (Retry::default(), Arc::new(Meter::default()));
        for kind in [
            Kind::Status(404),
            Kind::Status(401),
            Kind::Content,
            Kind::Looped,
        ] {
            Attempts::new(&retry, Arc::clone(&meter))
                .after(Error::new(kind, "no"))
                .await
                .unwrap_err();
        }
        assert_eq!(meter.counts().retries, 0);
    }
}
