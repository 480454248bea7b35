//! How many more requests a server allows, by the header fields of its answers.
//!
//! There is no standard yet, and there are many habits. Read here are
//! `X-RateLimit-…` and `X-Rate-Limit-…`, the three fields of the early IETF drafts
//! (`RateLimit-Limit`, `-Remaining`, `-Reset`), the one field of drafts 07
//! (`RateLimit: limit=…`) and 08 to 11 (`RateLimit: "name";r=…;t=…` with
//! `RateLimit-Policy`), and the fields of HubSpot and Shopify.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap};

use super::link::unquoted;

/// The longest time that is taken for one: what asks for more means something else.
const LONGEST: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Seconds since 1970 have been above this since 2001, and seconds from now would be
/// thirty years.
const SINCE_1970: f64 = 1e9;

/// Nanoseconds since 1970 are below this for ten thousand years.
const LARGEST: f64 = 1e21;

/// What one policy of a server allows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Allowance {
    /// Tells the policies of one server apart.
    pub(super) name: String,
    /// How many requests a whole window allows.
    pub(super) limit: Option<u64>,
    /// How many are left of them.
    pub(super) remaining: u64,
    /// When the next window begins, from now.
    pub(super) reset: Option<Duration>,
}

/// All that an answer says, which came at `now`.
pub(super) fn allowances(headers: &HeaderMap, now: SystemTime) -> Vec<Allowance> {
    let now = server_time(headers).unwrap_or(now);
    let mut found: Vec<Allowance> = (FAMILIES.iter())
        .filter_map(|family| family.read(headers, now))
        .chain(shopify(headers))
        .chain(draft(headers))
        .collect();
    // Zero of zero is how some say that there is no limit.
    found.retain(|allowance| allowance.limit != Some(0));
    found
}

/// How long no request is allowed any more, by the policy that takes longest.
pub(super) fn exhausted(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    (allowances(headers, now).into_iter())
        .filter(|allowance| allowance.remaining == 0)
        .filter_map(|allowance| allowance.reset)
        .max()
}

/// The server's own clock, which may differ from ours.
pub(super) fn server_time(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}

/// Field names that belong together.
struct Family {
    remaining: &'static str,
    limit: &'static str,
    reset: &'static [(&'static str, Reset)],
    /// A field that tells the policies of one server apart.
    name: &'static str,
}

/// How a field says when the next window begins.
#[derive(Clone, Copy)]
enum Reset {
    /// A date, or seconds since 1970, or seconds from now.
    Any,
    /// The length of the window, in units of so many milliseconds: the next one
    /// begins within it.
    Within(u64),
}

const FAMILIES: [Family; 4] = [
    Family {
        remaining: "x-ratelimit-remaining",
        limit: "x-ratelimit-limit",
        reset: &[
            ("x-ratelimit-reset-after", Reset::Any),
            ("x-ratelimit-reset", Reset::Any),
            ("x-ratelimit-interval-seconds", Reset::Within(1000)),
        ],
        // GitHub and Discord.
        name: "x-ratelimit-resource",
    },
    Family {
        remaining: "x-rate-limit-remaining",
        limit: "x-rate-limit-limit",
        reset: &[
            ("x-rate-limit-reset", Reset::Any),
            ("ratelimit-reset", Reset::Any),
        ],
        name: "",
    },
    Family {
        remaining: "ratelimit-remaining",
        limit: "ratelimit-limit",
        reset: &[("ratelimit-reset", Reset::Any)],
        name: "",
    },
    Family {
        remaining: "x-hubspot-ratelimit-remaining",
        limit: "x-hubspot-ratelimit-max",
        reset: &[(
            "x-hubspot-ratelimit-interval-milliseconds",
            Reset::Within(1),
        )],
        name: "",
    },
];

impl Family {
    fn read(&self, headers: &HeaderMap, now: SystemTime) -> Option<Allowance> {
        let field = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
        // Most answers have none of these: the others are not looked for then.
        let remaining = field(self.remaining).and_then(number)?;
        let reset = self.reset.iter().find_map(|(name, reset)| {
            let text = field(name)?;
            match reset {
                Reset::Any => until(text, now),
                Reset::Within(unit) => {
                    in_range(Duration::from_millis(number(text)?.saturating_mul(*unit)))
                }
            }
        });
        let part = match self.name {
            "" => None,
            name => field(name).or_else(|| field("x-ratelimit-bucket")),
        };
        Some(Allowance {
            name: format!("{} {}", self.remaining, part.unwrap_or_default()),
            limit: field(self.limit).and_then(number),
            remaining,
            reset,
        })
    }
}

/// `32/40`: a bucket that holds 40 requests, 32 are in it, and at least two leak
/// out in a second.
fn shopify(headers: &HeaderMap) -> Option<Allowance> {
    let field = headers.get("x-shopify-shop-api-call-limit")?;
    let (used, limit) = field.to_str().ok()?.split_once('/')?;
    let (used, limit) = (number(used)?, number(limit)?);
    Some(Allowance {
        name: "x-shopify".to_owned(),
        limit: Some(limit),
        remaining: limit.saturating_sub(used),
        reset: Some(Duration::from_secs(1)),
    })
}

/// The `RateLimit` field of drafts 07 and later, whatever its form.
fn draft(headers: &HeaderMap) -> Vec<Allowance> {
    let policies = members(headers, "ratelimit-policy");
    let fields = members(headers, "ratelimit");
    let pair = |name: &str| {
        fields
            .iter()
            .find_map(|field| number(field.head.strip_prefix(name)?))
    };
    if let Some(remaining) = pair("remaining=") {
        return vec![Allowance {
            name: "ratelimit".to_owned(),
            limit: pair("limit="),
            remaining,
            reset: pair("reset=").map(rounded).and_then(in_range),
        }];
    }
    (fields.iter())
        .filter_map(|field| {
            let policy = policies.iter().find(|policy| policy.head == field.head);
            let of_policy = |name| policy.and_then(|policy| policy.parameter(name));
            // Bytes and requests at a time are counted, too, but not by us.
            if !matches!(of_policy("qu"), None | Some("requests")) {
                return None;
            }
            let seconds = field.parameter("t").and_then(number).map(rounded);
            let window = of_policy("w").and_then(number).map(Duration::from_secs);
            Some(Allowance {
                name: format!("ratelimit {}", field.head),
                limit: of_policy("q").and_then(number),
                remaining: field.parameter("r").and_then(number)?,
                reset: seconds.or(window).and_then(in_range),
            })
        })
        .collect()
}

/// A member of a list (RFC 9651): a head and parameters.
struct Member<'h> {
    head: &'h str,
    parameters: &'h str,
}

impl Member<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        let pairs = parts(self.parameters, ';').filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(found, _)| found.trim() == name)
            .map(|(_, value)| value.trim().trim_matches('"'))
            .next()
    }
}

fn members<'h>(headers: &'h HeaderMap, name: &str) -> Vec<Member<'h>> {
    let lines = headers.get_all(name).into_iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| parts(line, ','))
        .map(|member| {
            let end = unquoted(member, ';').unwrap_or(member.len());
            Member {
                head: member[..end].trim().trim_matches('"'),
                parameters: member.get(end + 1..).unwrap_or_default(),
            }
        })
        .collect()
}

fn parts(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = unquoted(text, separator);
        rest = end.map(|end| &text[end + separator.len_utf8()..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

/// The number that a value begins with: `100`, `598.0`, `100, 100;w=60`.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().ok()
}

/// How long it is until the time that a field names.
pub(super) fn until(text: &str, now: SystemTime) -> Option<Duration> {
    let Ok(number) = text.parse::<f64>() else {
        let date = httpdate::parse_http_date(text)
            .ok()
            .or_else(|| date(text))?;
        return in_range(since(date, now, !text.contains('.')));
    };
    if !(0.0..LARGEST).contains(&number) {
        return None;
    }
    if number < SINCE_1970 {
        return match text.contains('.') {
            true => Duration::try_from_secs_f64(number).ok().and_then(in_range),
            false => in_range(rounded(number as u64)),
        };
    }
    let is_whole = number < 1e11 && !text.contains('.');
    let mut seconds = number;
    // Milliseconds, or finer.
    while seconds >= 1e11 {
        seconds /= 1000.0;
    }
    let date = SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
    in_range(since(date, now, is_whole))
}

/// The wait that a number of seconds asks for, exactly; where it is so large that it is one
/// since 1970, until then.
pub(super) fn wait(text: &str, now: SystemTime) -> Option<Duration> {
    let number: f64 = text.parse().ok()?;
    if !(0.0..SINCE_1970).contains(&number) {
        return until(text, now);
    }
    Duration::try_from_secs_f64(number).ok().and_then(in_range)
}

/// A time, if it is short enough to be one.
pub(super) fn in_range(wait: Duration) -> Option<Duration> {
    (wait <= LONGEST).then_some(wait)
}

fn since(date: SystemTime, now: SystemTime, is_whole: bool) -> Duration {
    let wait = date.duration_since(now).unwrap_or_default();
    match is_whole {
        true => wait + Duration::from_secs(1),
        false => wait,
    }
}

/// Whole seconds, which may have been rounded down.
fn rounded(seconds: u64) -> Duration {
    Duration::from_secs(seconds.saturating_add(1))
}

/// A date as RFC 3339 and ISO 8601 write it: `2026-01-31T23:59:59.999Z`. Seconds
/// may be missing; so may the zone, which is UTC then.
fn date(text: &str) -> Option<SystemTime> {
    let (day, time) = text.split_once(['T', 't', ' '])?;
    let mut day = day.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (day.next()??, day.next()??, day.next()??);
    let zone = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone);
    let mut time = time.splitn(3, ':');
    let (hour, minute) = (time.next()?, time.next()?);
    let (hour, minute): (i64, i64) = (hour.parse().ok()?, minute.parse().ok()?);
    let second: f64 = time.next().unwrap_or("0").parse().ok()?;
    let is_date = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0.0..61.0).contains(&second);
    if !is_date {
        return None;
    }
    let minutes = (days(year, month, day) * 24 + hour) * 60 + minute - offset(zone)?;
    let whole = Duration::from_secs(u64::try_from(minutes * 60).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(whole + Duration::try_from_secs_f64(second).ok()?)
}

/// Minutes east of Greenwich: `Z`, `+02`, `+0200`, `+02:00`, `-02:30`.
fn offset(zone: &str) -> Option<i64> {
    let (sign, digits) = match zone.as_bytes() {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let two = |tens: &u8, ones: &u8| {
        let digit = |byte: &u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
        Some(digit(tens)? * 10 + digit(ones)?)
    };
    let (hours, minutes) = match digits {
        [a, b] => (two(a, b)?, 0),
        [a, b, c, d] | [a, b, b':', c, d] => (two(a, b)?, two(c, d)?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// Days since 1970-01-01: years begin in March here, so that the leap day is the
/// last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2013-08-20T14:50:41Z, as the `Date` of an answer.
    const NOW: u64 = 1_377_010_241;

    fn read(fields: &[(&'static str, &str)]) -> Vec<Allowance> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        allowances(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
    }

    /// Limit, remaining and seconds to the reset of the only allowance.
    #[track_caller]
    fn check(fields: &[(&'static str, &str)], limit: Option<u64>, remaining: u64, reset: f64) {
        let found = read(fields);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].limit, found[0].remaining), (limit, remaining));
        let wait = found[0].reset.map(|wait| wait.as_secs_f64());
        assert!((wait.unwrap() - reset).abs() < 0.002, "{wait:?}");
    }

    #[test]
    fn github_and_smartsheet_give_seconds_since_1970() {
        // Our clock is wrong by hours here: the answer's own date counts.
        check(
            &[
                ("date", "Tue, 20 Aug 2013 14:50:41 GMT"),
                ("x-ratelimit-limit", "60"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1377013266"),
                ("x-ratelimit-used", "60"),
                ("x-ratelimit-resource", "core"),
            ],
            Some(60),
            0,
            3026.0,
        );
        let (date, reset) = ("Wed, 28 Dec 2016 23:06:42 GMT", "1482966442");
        let fields = [("date", date), ("x-ratelimit-remaining", "0")];
        let fields = [&fields[..], &[("x-ratelimit-reset", reset)]].concat();
        check(&fields, None, 0, 41.0);
    }

    #[test]
    fn x_and_okta_hyphenate() {
        check(
            &[
                ("date", "Tue, 16 Jan 2024 15:55:00 GMT"),
                ("x-rate-limit-limit", "900"),
                ("x-rate-limit-remaining", "847"),
                ("x-rate-limit-reset", "1705420800"),
            ],
            Some(900),
            847,
            301.0,
        );
    }

    #[test]
    fn discord_says_after_how_long_with_a_fraction() {
        check(
            &[
                ("x-ratelimit-limit", "5"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1470173023.123"),
                ("x-ratelimit-reset-after", "1.25"),
                ("x-ratelimit-bucket", "abcd1234"),
            ],
            Some(5),
            0,
            1.25,
        );
    }

    #[test]
    fn gitlab_gives_seconds_since_1970_under_the_names_of_the_draft() {
        check(
            &[
                ("date", "Tue, 05 Jan 2021 10:59:00 GMT"),
                ("ratelimit-limit", "600"),
                ("ratelimit-observed", "600"),
                ("ratelimit-remaining", "0"),
                ("ratelimit-reset", "1609844400"),
                ("ratelimit-resettime", "Tue, 05 Jan 2021 11:00:00 GMT"),
            ],
            Some(600),
            0,
            61.0,
        );
    }

    #[test]
    fn mastodon_and_jira_give_dates() {
        check(
            &[
                ("date", "Tue, 08 Sep 2020 13:20:00 GMT"),
                ("x-ratelimit-limit", "7500"),
                ("x-ratelimit-remaining", "7495"),
                ("x-ratelimit-reset", "2020-09-08T13:25:00.019685Z"),
            ],
            Some(7500),
            7495,
            300.02,
        );
        for (reset, wait) in [
            ("2013-08-20T14:51Z", 20.0),
            ("2013-08-20T16:51:00+02:00", 20.0),
            ("2013-08-20 12:21:00-0230", 20.0),
            ("2013-08-20T14:51:00", 20.0),
            ("Tue, 20 Aug 2013 14:51:00 GMT", 20.0),
            ("2013-08-20T14:50:00Z", 1.0),
        ] {
            let fields = [("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", reset)];
            check(&fields, None, 1, wait);
        }
    }

    #[test]
    fn seconds_from_now_and_milliseconds_since_1970_are_told_apart() {
        for (reset, wait) in [
            ("313", 314.0),
            ("0", 1.0),
            ("0.5", 0.5),
            ("1377010251500", 10.5),
            ("1377010251500000", 10.5),
            ("1377010251", 11.0),
        ] {
            // Reddit has fractions of requests.
            let fields = [
                ("x-ratelimit-used", "2"),
                ("x-ratelimit-remaining", "598.0"),
                ("x-ratelimit-reset", reset),
            ];
            check(&fields, None, 598, wait);
        }
    }

    #[test]
    fn zendesk_hubspot_confluence_and_shopify_have_fields_of_their_own() {
        check(
            &[
                ("x-rate-limit", "700"),
                ("x-rate-limit-remaining", "699"),
                ("ratelimit-reset", "41"),
            ],
            None,
            699,
            42.0,
        );
        check(
            &[
                ("x-hubspot-ratelimit-interval-milliseconds", "10000"),
                ("x-hubspot-ratelimit-max", "100"),
                ("x-hubspot-ratelimit-remaining", "99"),
            ],
            Some(100),
            99,
            10.0,
        );
        check(
            &[
                ("x-ratelimit-limit", "10"),
                ("x-ratelimit-remaining", "3"),
                ("x-ratelimit-interval-seconds", "60"),
                ("x-ratelimit-fillrate", "10"),
            ],
            Some(10),
            3,
            60.0,
        );
        check(
            &[("x-shopify-shop-api-call-limit", "32/40")],
            Some(40),
            8,
            1.0,
        );
    }

    #[test]
    fn the_early_drafts_have_three_fields() {
        check(
            &[
                ("ratelimit-limit", "100, 100;w=60, 1000;w=3600"),
                ("ratelimit-remaining", "50"),
                ("ratelimit-reset", "30"),
            ],
            Some(100),
            50,
            31.0,
        );
        // Docker Hub says no time.
        let found = read(&[
            ("ratelimit-limit", "100;w=21600"),
            ("ratelimit-remaining", "76;w=21600"),
        ]);
        assert_eq!((found[0].remaining, found[0].reset), (76, None));
    }

    #[test]
    fn draft_07_has_one_field_of_pairs() {
        check(
            &[("ratelimit", "limit=100, remaining=50, reset=30")],
            Some(100),
            50,
            31.0,
        );
    }

    #[test]
    fn the_current_draft_has_policies() {
        check(
            &[
                ("ratelimit-policy", "\"default\";q=100;w=60"),
                ("ratelimit", "\"default\";r=50;t=30"),
            ],
            Some(100),
            50,
            31.0,
        );
        let found = read(&[
            (
                "ratelimit-policy",
                "\"burst\";q=100;w=60, \"a, b\";q=1000;w=86400",
            ),
            (
                "ratelimit-policy",
                "\"volume\";q=65535;w=10;qu=\"content-bytes\";pk=:c2Vz:",
            ),
            ("ratelimit", "\"burst\";r=7;t=20"),
            ("ratelimit", "\"a, b\";r=0, \"volume\";r=0;t=9"),
        ]);
        let seconds = |wait: Option<Duration>| wait.unwrap().as_secs();
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!((found[0].remaining, seconds(found[0].reset)), (7, 21));
        assert_eq!((found[1].limit, found[1].remaining), (Some(1000), 0));
        // No time is stated: it is within the window.
        assert_eq!(seconds(found[1].reset), 86_400);
    }

    #[test]
    fn what_says_nothing_is_passed_over() {
        for fields in [
            &[][..],
            &[("x-ratelimit-limit", "60")],
            &[("x-ratelimit-remaining", "-1")],
            &[("x-ratelimit-remaining", "many")],
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-limit", "0")],
            &[("ratelimit", "")],
            &[("ratelimit", "\"x\";t=1")],
            &[("x-shopify-shop-api-call-limit", "32")],
        ] {
            assert_eq!(read(fields), []);
        }
        for reset in [
            "soon",
            "-5",
            "NaN",
            "2013-13-01T00:00Z",
            "2013-01-01",
            "",
            // Neither finite nor a time that anybody waits for.
            "inf",
            "-inf",
            "+inf",
            "Infinity",
            "1e400",
            "1e308",
            "9e99",
            "999999999",
            "9999-12-31T23:59:59Z",
            "2013-08-20T16:51:00+019223372036854775807",
            "2013-08-20T16:51:00+9223372036854775807",
            "2013-08-20T16:51:00+24:00",
            "2013-08-20T16:51:00+02:60",
            "2013-08-20T16:51:00+-1:00",
            "2013-08-20T16:51:00Zulu",
            "2013-08-20T16:51:inf",
            "2013-08-20T16:51:1e400",
        ] {
            let fields = [("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", reset)];
            assert_eq!(read(&fields)[0].reset, None, "{reset}");
        }
    }

    #[test]
    fn dates_are_counted_as_the_http_date_crate_does() {
        for day in (0..60_000).step_by(13) {
            let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400 + 3_723);
            let text = httpdate::fmt_http_date(expected);
            let mut parts = text.split([' ', ',']).skip(2);
            let (day, month, year) = (
                parts.next().unwrap(),
                parts.next().unwrap(),
                parts.next().unwrap(),
            );
            let month = "JanFebMarAprMayJunJulAugSepOctNovDec".find(month).unwrap() / 3 + 1;
            let iso = format!("{year}-{month:02}-{day}T01:02:03Z");
            assert_eq!(date(&iso), Some(expected), "{iso}");
        }
    }
}
