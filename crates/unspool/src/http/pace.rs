//! When the next request may start: one budget for all requests to an origin.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use url::Origin;

use super::limits::{Allowance, allowances};
use super::retry::{MAX_WAIT, is_too_long, retry_after, too_long};
use super::{Meter, Rate};
use crate::error::{Error, Kind};

/// Fewer requests than this are left when the rest is spread, however large the
/// limit: a walk that needs no more is not slowed down for nothing.
const SMALL_REST: u64 = 20;

/// Two windows are the same if they end within this.
const SAME_WINDOW: Duration = Duration::from_millis(1500);

/// How many origins are remembered that have no request on its way.
const MAX_ORIGINS: usize = 100;

/// The shortest wait for the caller's own rate that is worth a word.
const WORTH_A_WORD: Duration = Duration::from_secs(1);

/// Gives requests their turns, those of all sources that share it.
///
/// Nobody holds anything here while they wait: a source that is not polled for a while
/// keeps no other one from its turn.
#[derive(Default)]
pub(super) struct Pace {
    rate: Option<Rate>,
    /// Told when a request is over, which may be a reason to wait no longer.
    news: Notify,
    state: Mutex<PaceState>,
}

/// The requests of one source, which get their turns in the order in which they came:
/// only the first of them looks at the clock.
pub(super) struct Queue {
    rate: Option<Rate>,
    /// When the source's own rate allows the next start.
    next: tokio::sync::Mutex<Option<Instant>>,
}

impl Queue {
    pub(super) fn new(rate: Option<Rate>) -> Self {
        Queue {
            rate,
            next: tokio::sync::Mutex::default(),
        }
    }
}

#[derive(Default)]
struct PaceState {
    /// When the caller's rate allows the next start.
    next: Option<Instant>,
    origins: HashMap<Origin, Budget>,
}

/// What is known of one origin.
#[derive(Default)]
struct Budget {
    /// How many requests have started.
    started: u64,
    /// How many of them have had no answer yet.
    in_flight: u64,
    last_start: Option<Instant>,
    /// The server asked for quiet until then.
    held_until: Option<Instant>,
    quotas: Vec<Quota>,
    /// Whether it has ever answered.
    is_known: bool,
}

/// What a server allows by one of its policies, as of its last word.
struct Quota {
    name: String,
    limit: Option<u64>,
    /// What was left of it, by the lowest count in this window.
    remaining: u64,
    reset: Option<Instant>,
    /// How many requests had started when that was said.
    started: u64,
}

/// A reason to start later.
struct Wait {
    until: Instant,
    reason: String,
    /// Whether the server itself says until when, and refuses before.
    is_asked: bool,
}

impl Pace {
    pub(super) fn new(rate: Option<Rate>) -> Self {
        Pace {
            rate,
            ..Pace::default()
        }
    }

    /// Waits until a request to `origin` may start.
    ///
    /// # Errors
    ///
    /// The server asks for a wait that is longer than the longest one.
    pub(super) async fn turn(
        &self,
        origin: Origin,
        queue: &Queue,
        meter: &Meter,
    ) -> Result<Turn<'_>, Error> {
        let mut own_next = queue.next.lock().await;
        loop {
            // From here on no news is missed.
            let mut news = pin!(self.news.notified());
            news.as_mut().enable();
            let now = Instant::now();
            let own = by_rate(queue.rate, *own_next, now);
            let wait = match self.state().claim(&origin, self.rate, own, now) {
                Ok(number) => {
                    *own_next = queue.rate.map(|rate| now + rate.interval());
                    return Ok(Turn {
                        pace: self,
                        origin,
                        number,
                        is_over: false,
                    });
                }
                Err(wait) => wait,
            };
            let asked = wait.until - now;
            if wait.is_asked && is_too_long(asked) {
                let message = format!("{}: {}", wait.reason, too_long(asked));
                return Err(Error::new(Kind::Throttled, message).with_retry_after(Some(asked)));
            }
            let _waiting = (!wait.reason.is_empty()).then(|| {
                let seconds = (wait.until - now).as_secs_f64();
                meter.waiting(format!("waiting {seconds:.1} s: {}", wait.reason))
            });
            // That the time is over is one of the two things waited for.
            let _ = timeout_at(wait.until, news).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, PaceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(any(test, feature = "internals"))]
impl Pace {
    /// How many waits come before the next turn after one answer; without end where that
    /// is more than a hundred.
    pub(super) fn waits_after(&self, status: StatusCode, headers: &HeaderMap) -> usize {
        let (origin, mut now) = (Origin::new_opaque(), Instant::now());
        let Ok(number) = self.state().claim(&origin, self.rate, None, now) else {
            return usize::MAX;
        };
        let turn = Turn {
            pace: self,
            origin: origin.clone(),
            number,
            is_over: false,
        };
        turn.answered(status, headers);
        for waits in 0..100 {
            match self.state().claim(&origin, self.rate, None, now) {
                Ok(_) => return waits,
                Err(wait) => {
                    assert!(wait.until > now, "a wait that is over");
                    now = wait.until;
                }
            }
        }
        usize::MAX
    }
}

/// The leave to send one request, and the duty to say what came of it.
pub(super) struct Turn<'p> {
    pace: &'p Pace,
    origin: Origin,
    number: u64,
    is_over: bool,
}

impl Turn<'_> {
    /// Whether the origin has answered before.
    pub(super) fn is_known(&self) -> bool {
        let state = self.pace.state();
        state
            .origins
            .get(&self.origin)
            .is_some_and(|budget| budget.is_known)
    }

    /// Takes in what the head of the answer says.
    pub(super) fn answered(mut self, status: StatusCode, headers: &HeaderMap) {
        self.is_over = true;
        let now = Instant::now();
        let mut state = self.pace.state();
        let Some(budget) = state.origins.get_mut(&self.origin) else {
            return;
        };
        budget.in_flight -= 1;
        budget.is_known = true;
        for allowance in allowances(headers, SystemTime::now()) {
            budget.note(allowance, self.number, now);
        }
        if let (true, Some(wait)) = (is_for_all(status), retry_after(headers)) {
            let until = now + wait;
            budget.held_until = budget.held_until.max(Some(until));
        }
        drop(state);
        self.pace.news.notify_waiters();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // No answer: whether the server has counted the request is not known.
        if let Some(budget) = self.pace.state().origins.get_mut(&self.origin) {
            budget.in_flight -= 1;
            for quota in &mut budget.quotas {
                quota.remaining = quota.remaining.saturating_sub(1);
            }
        }
        self.pace.news.notify_waiters();
    }
}

/// Whether `Retry-After` with this status means the caller and not the request.
/// GitHub says 403 to those who are too fast.
fn is_for_all(status: StatusCode) -> bool {
    matches!(status.as_u16(), 403 | 429 | 503)
}

impl PaceState {
    /// The number of the request that may start now, or why none may; `own` is a reason
    /// of the source's.
    fn claim(
        &mut self,
        origin: &Origin,
        rate: Option<Rate>,
        own: Option<Wait>,
        now: Instant,
    ) -> Result<u64, Wait> {
        if self.origins.len() >= MAX_ORIGINS && !self.origins.contains_key(origin) {
            self.forget_one(now);
        }
        let budget = self.origins.entry(origin.clone()).or_default();
        let longest = (budget.waits(now).into_iter())
            .chain(by_rate(rate, self.next, now))
            .chain(own)
            .filter(|wait| wait.until > now)
            .max_by_key(|wait| wait.until);
        match longest {
            Some(wait) => Err(wait),
            None => {
                self.next = rate.map(|rate| now + rate.interval());
                Ok(budget.start(now))
            }
        }
    }
}

impl PaceState {
    /// Forgets the origin that has been asked least recently, of those that have no request
    /// on its way; one that asked for quiet only where all did.
    fn forget_one(&mut self, now: Instant) {
        let idle = self
            .origins
            .iter()
            .filter(|(_, budget)| budget.in_flight == 0);
        let oldest = idle.min_by_key(|(_, budget)| {
            let is_held = budget.held_until.is_some_and(|until| until > now);
            (is_held, budget.last_start)
        });
        if let Some(origin) = oldest.map(|(origin, _)| origin.clone()) {
            self.origins.remove(&origin);
        }
    }
}

/// The wait for the next start that a rate allows.
fn by_rate(rate: Option<Rate>, next: Option<Instant>, now: Instant) -> Option<Wait> {
    let (rate, until) = rate.zip(next)?;
    let is_worth_a_word = until.saturating_duration_since(now) >= WORTH_A_WORD;
    let reason = if is_worth_a_word {
        format!("no more than {rate} is wanted")
    } else {
        String::new()
    };
    Some(Wait {
        until,
        reason,
        is_asked: false,
    })
}

impl Budget {
    fn start(&mut self, now: Instant) -> u64 {
        self.started += 1;
        self.in_flight += 1;
        self.last_start = Some(now);
        self.started
    }

    fn waits(&mut self, now: Instant) -> Vec<Wait> {
        for quota in &mut self.quotas {
            quota.renew(now);
        }
        let held = self.held_until.map(|until| Wait {
            until,
            reason: "the upstream asks for it with `Retry-After`".to_owned(),
            is_asked: true,
        });
        (self.quotas.iter())
            .filter_map(|quota| quota.wait(self.in_flight, self.last_start, now))
            .chain(held)
            .collect()
    }

    /// Takes in what the answer to a request says about a policy.
    fn note(&mut self, allowance: Allowance, number: u64, now: Instant) {
        let new = Quota {
            limit: allowance.limit,
            remaining: allowance.remaining,
            reset: allowance.reset.map(|wait| now + wait),
            started: self.started,
            name: allowance.name,
        };
        match (self.quotas.iter_mut()).find(|quota| quota.name == new.name) {
            Some(known) => known.update(new, number),
            None => self.quotas.push(new),
        }
    }
}

impl Quota {
    /// Replaces what is known by what is newer. Answers to requests that were on
    /// their way together may come in any order: the lowest count of their window
    /// is the last.
    fn update(&mut self, new: Quota, number: u64) {
        let is_later = number > self.started;
        match (self.reset, new.reset) {
            (Some(known), Some(reset)) if !is_later && reset + SAME_WINDOW < known => {}
            (Some(known), Some(reset)) if !is_later && reset < known + SAME_WINDOW => {
                self.remaining = self.remaining.min(new.remaining);
            }
            _ => *self = new,
        }
    }

    /// A new window allows the limit again; when it ends is not known yet.
    fn renew(&mut self, now: Instant) {
        if self.reset.is_some_and(|reset| reset <= now) {
            self.reset = None;
            self.remaining = self.limit.unwrap_or(u64::MAX);
        }
    }

    fn wait(&self, in_flight: u64, last_start: Option<Instant>, now: Instant) -> Option<Wait> {
        let left = self.remaining.saturating_sub(in_flight);
        let Some(reset) = self.reset else {
            // The answers that are on their way will say more.
            return (left == 0 && in_flight > 0).then(|| Wait {
                until: now + MAX_WAIT,
                reason: "the upstream allows no more requests at a time".to_owned(),
                is_asked: false,
            });
        };
        if left == 0 {
            return Some(Wait {
                until: reset,
                reason: "the upstream allows no more requests until then".to_owned(),
                is_asked: true,
            });
        }
        let small = self.limit.map_or(0, |limit| (limit / 10).min(SMALL_REST));
        if left >= small && left > in_flight {
            return None;
        }
        let from = last_start.unwrap_or(now);
        let share = u32::try_from(left.saturating_add(1)).unwrap_or(u32::MAX);
        let gap = reset.saturating_duration_since(from) / share;
        Some(Wait {
            until: from + gap.min(MAX_WAIT),
            reason: format!(
                "the upstream allows {left} more within {:.1} s",
                reset.saturating_duration_since(now).as_secs_f64()
            ),
            is_asked: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// A server with `limit` requests in each window of `window` seconds, which says
    /// after each request how many are left and for how long.
    struct Upstream {
        begin: Instant,
        limit: u64,
        window: u64,
        current: u64,
        used: u64,
        refused: u64,
    }

    impl Upstream {
        fn new(limit: u64, window: u64) -> Self {
            Upstream {
                begin: Instant::now(),
                limit,
                window,
                current: 0,
                used: 0,
                refused: 0,
            }
        }

        fn answer(&mut self) -> (StatusCode, HeaderMap) {
            let elapsed = self.begin.elapsed().as_secs_f64();
            let window = (elapsed / self.window as f64) as u64;
            if window > self.current {
                (self.current, self.used) = (window, 0);
            }
            let left = ((window + 1) * self.window) as f64 - elapsed;
            let is_refused = self.used == self.limit;
            self.refused += u64::from(is_refused);
            self.used = (self.used + 1).min(self.limit);
            let headers = headers(&[
                ("ratelimit-limit", &self.limit.to_string()),
                ("ratelimit-remaining", &(self.limit - self.used).to_string()),
                ("ratelimit-reset", &(left as u64).to_string()),
            ]);
            match is_refused {
                true => (StatusCode::TOO_MANY_REQUESTS, headers),
                false => (StatusCode::OK, headers),
            }
        }
    }

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let fields = fields.iter().map(|(name, value)| {
            let name = reqwest::header::HeaderName::from_static(name);
            (name, value.parse().unwrap())
        });
        fields.collect()
    }

    fn origin() -> Origin {
        url::Url::parse("https://api.example.com").unwrap().origin()
    }

    /// Makes one request after the other; when each of them started, in seconds.
    async fn walk(
        pace: &Pace,
        requests: usize,
        mut answer: impl FnMut(usize) -> (StatusCode, HeaderMap),
    ) -> Vec<f64> {
        let (begin, meter, queue) = (Instant::now(), Meter::default(), Queue::new(None));
        let mut starts = Vec::new();
        for number in 0..requests {
            let turn = pace.turn(origin(), &queue, &meter).await.unwrap();
            starts.push(begin.elapsed().as_secs_f64());
            tokio::time::sleep(Duration::from_millis(10)).await;
            let (status, headers) = answer(number);
            turn.answered(status, &headers);
        }
        starts
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_waited_for_far_from_the_limit() {
        let fields = [
            ("x-ratelimit-limit", "5000"),
            ("x-ratelimit-remaining", "21"),
            ("x-ratelimit-reset-after", "3000.0"),
        ];
        let starts = walk(&Pace::new(None), 100, |_| {
            (StatusCode::OK, headers(&fields))
        })
        .await;
        assert!(starts[99] < 1.5, "{starts:?}");
        let starts = walk(&Pace::new(None), 100, |_| {
            (StatusCode::OK, HeaderMap::new())
        })
        .await;
        assert!(starts[99] < 1.5, "{starts:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_reset_is_waited_for_when_nothing_is_left() {
        let starts = walk(&Pace::new(None), 3, |number| {
            let fields = [
                ("x-ratelimit-remaining", if number == 0 { "0" } else { "9" }),
                ("x-ratelimit-reset-after", "30.0"),
            ];
            (StatusCode::OK, headers(&fields))
        })
        .await;
        assert_eq!(starts[1].round(), 30.0, "{starts:?}");
        assert!(starts[2] - starts[1] < 0.1, "{starts:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_rest_is_spread_over_the_time_to_the_reset() {
        let begin = Instant::now();
        let starts = walk(&Pace::new(None), 4, |number| {
            let left = format!("{:.3}", 40.0 - begin.elapsed().as_secs_f64());
            let fields = [
                ("x-ratelimit-limit", "100"),
                ("x-ratelimit-remaining", ["3", "2", "1", "0"][number]),
                ("x-ratelimit-reset-after", left.as_str()),
            ];
            (StatusCode::OK, headers(&fields))
        })
        .await;
        for (start, expected) in starts.iter().zip([0.0, 10.0, 20.0, 30.0]) {
            assert!((start - expected).abs() < 0.1, "{starts:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_tightest_policy_counts() {
        let fields = headers(&[
            (
                "ratelimit-policy",
                "\"burst\";q=10;w=2, \"day\";q=1000;w=86400",
            ),
            ("ratelimit", "\"burst\";r=0;t=1, \"day\";r=900;t=40000"),
        ]);
        let starts = walk(&Pace::new(None), 2, |_| (StatusCode::OK, fields.clone())).await;
        assert_eq!(starts[1].round(), 2.0, "{starts:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_never_has_to_refuse() {
        for (limit, window) in [(1, 2), (3, 1), (10, 7), (100, 60), (1000, 60)] {
            let mut upstream = Upstream::new(limit, window);
            let requests = 3 * limit as usize + 2;
            let starts = walk(&Pace::new(None), requests, |_| upstream.answer()).await;
            assert_eq!(upstream.refused, 0, "{limit} in {window} s");
            // Whole seconds may be rounded down, which costs one a window.
            let took = starts[requests - 1];
            let least = 3 * window;
            assert!(
                took <= (least + 3 * 2) as f64 + 1.0,
                "{took} s for {limit} in {window} s"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nor_where_requests_are_on_their_way_together() {
        for (limit, window, in_flight) in [(10, 7, 4), (3, 2, 8), (100, 60, 16), (1, 2, 2)] {
            let pace = Arc::new(Pace::new(None));
            let upstream = Arc::new(Mutex::new(Upstream::new(limit, window)));
            // The first page is read alone.
            walk(&pace, 1, |_| upstream.lock().unwrap().answer()).await;
            let mut tasks = tokio::task::JoinSet::new();
            for task in 0..in_flight {
                let (pace, upstream) = (Arc::clone(&pace), Arc::clone(&upstream));
                tasks.spawn(async move {
                    let (meter, queue) = (Meter::default(), Queue::new(None));
                    for number in 0..3 * limit / in_flight + 1 {
                        let turn = pace.turn(origin(), &queue, &meter).await.unwrap();
                        // On the way there, and back: in any order.
                        let way =
                            |step: u64| Duration::from_millis(5 + (task * 7 + number * step) % 40);
                        tokio::time::sleep(way(13)).await;
                        let (status, headers) = upstream.lock().unwrap().answer();
                        tokio::time::sleep(way(29)).await;
                        turn.answered(status, &headers);
                    }
                });
            }
            while let Some(result) = tasks.join_next().await {
                result.unwrap();
            }
            let refused = upstream.lock().unwrap().refused;
            assert_eq!(refused, 0, "{limit} in {window} s, {in_flight} in flight");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_holds_back_all_requests_to_the_origin_and_no_others() {
        for (status, asked, waited) in [
            (429, "7", 7),
            (503, "7", 7),
            (403, "7", 7),
            (429, "300", 300),
            (200, "7", 0),
            (500, "7", 0),
        ] {
            let (pace, meter, queue) = (Pace::new(None), Meter::default(), Queue::new(None));
            let turn = pace.turn(origin(), &queue, &meter).await.unwrap();
            let begin = Instant::now();
            let status = StatusCode::from_u16(status).unwrap();
            turn.answered(status, &headers(&[("retry-after", asked)]));
            let other = url::Url::parse("https://other.example.com").unwrap();
            drop(pace.turn(other.origin(), &queue, &meter).await.unwrap());
            assert_eq!(begin.elapsed().as_secs(), 0);
            drop(pace.turn(origin(), &queue, &meter).await.unwrap());
            drop(pace.turn(origin(), &queue, &meter).await.unwrap());
            assert_eq!(begin.elapsed().as_secs(), waited, "{status} {asked}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_too_long_fails_at_once_and_for_this_origin_alone() {
        for (status, fields, words) in [
            (
                200,
                &[
                    ("x-ratelimit-remaining", "0"),
                    ("x-ratelimit-reset-after", "3600.0"),
                ][..],
                "a wait of 1 h,",
            ),
            (429, &[("retry-after", "86400")], "a wait of 1 d,"),
            (
                200,
                &[("ratelimit", "\"day\";r=0;t=7200")],
                "allows no more requests until then: the upstream asks for a wait of 2 h 1 s",
            ),
        ] {
            let (pace, meter, queue) = (Pace::new(None), Meter::default(), Queue::new(None));
            let turn = pace.turn(origin(), &queue, &meter).await.unwrap();
            turn.answered(StatusCode::from_u16(status).unwrap(), &headers(fields));
            let begin = Instant::now();
            for _ in 0..2 {
                let error = pace.turn(origin(), &queue, &meter).await.err().unwrap();
                assert!(error.to_string().contains(words), "{error}");
            }
            let other = url::Url::parse("https://other.example.com").unwrap();
            drop(pace.turn(other.origin(), &queue, &meter).await.unwrap());
            assert!(begin.elapsed().is_zero());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_origins_do_not_make_one_forgotten_that_asked_for_quiet() {
        let (pace, meter, queue) = (Pace::new(None), Meter::default(), Queue::new(None));
        let turn = pace.turn(origin(), &queue, &meter).await.unwrap();
        turn.answered(
            StatusCode::TOO_MANY_REQUESTS,
            &headers(&[("retry-after", "60")]),
        );
        let begin = Instant::now();
        for number in 0..3 * MAX_ORIGINS {
            let url = url::Url::parse(&format!("http://h{number}.test")).unwrap();
            let turn = pace.turn(url.origin(), &queue, &meter).await.unwrap();
            turn.answered(StatusCode::OK, &HeaderMap::new());
        }
        assert!(pace.state().origins.len() <= MAX_ORIGINS);
        drop(pace.turn(origin(), &queue, &meter).await.unwrap());
        assert_eq!(begin.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn five_minutes_are_waited_for() {
        let fields = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "300")];
        let starts = walk(&Pace::new(None), 2, |_| (StatusCode::OK, headers(&fields))).await;
        assert_eq!(starts[1].round(), 301.0, "{starts:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_time_is_not_waited_for() {
        for reset in [
            "inf",
            "Infinity",
            "1e400",
            "NaN",
            "99999999999999999999",
            "-1",
        ] {
            for name in ["x-ratelimit-reset", "x-rate-limit-reset", "ratelimit-reset"] {
                let remaining = name.replace("reset", "remaining");
                let mut fields = HeaderMap::new();
                for (name, value) in [(name, reset), (&remaining, "0"), ("retry-after", reset)] {
                    let name: reqwest::header::HeaderName = name.parse().unwrap();
                    fields.insert(name, value.parse().unwrap());
                }
                let status = StatusCode::SERVICE_UNAVAILABLE;
                let starts = walk(&Pace::new(None), 3, |_| (status, fields.clone())).await;
                assert!(starts[2] < 1.0, "{name}: {reset}: {starts:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_are_shown() {
        let (pace, meter, queue) = (
            Pace::new(Some("0.5/s".parse().unwrap())),
            Meter::default(),
            Queue::new(None),
        );
        let turn = pace.turn(origin(), &queue, &meter).await.unwrap();
        assert_eq!(meter.waiting_for(), None);
        let fields = [
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset-after", "12.0"),
        ];
        turn.answered(StatusCode::OK, &headers(&fields));
        let next = pace.turn(origin(), &queue, &meter);
        assert!(
            tokio::time::timeout(Duration::from_secs(1), next)
                .await
                .is_err()
        );
        assert_eq!(meter.waiting_for(), None, "nobody waits any more");
        for (after, expected) in [
            (
                1,
                "waiting 11.0 s: the upstream allows no more requests until then",
            ),
            (
                12,
                "waiting 2.0 s: no more than one request in 2s is wanted",
            ),
        ] {
            let mut next = Box::pin(pace.turn(origin(), &queue, &meter));
            let _ = futures_util::FutureExt::now_or_never(&mut next);
            assert_eq!(meter.waiting_for().as_deref(), Some(expected));
            if after == 1 {
                drop(next.await.unwrap());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_spaces_the_starts_whoever_asks() {
        let pace = Pace::new(Some("10/s".parse().unwrap()));
        let starts = walk(&pace, 20, |_| (StatusCode::OK, HeaderMap::new())).await;
        for pair in starts.windows(2) {
            let gap = pair[1] - pair[0];
            assert!((0.0999..0.102).contains(&gap), "{starts:?}");
        }
        // Together, and to different origins.
        let (begin, meter, queue) = (Instant::now(), Meter::default(), Queue::new(None));
        let turns = (0..10).map(|number| {
            let url = format!("https://{}.example.com", number % 3);
            pace.turn(url::Url::parse(&url).unwrap().origin(), &queue, &meter)
        });
        futures_util::future::join_all(turns).await;
        assert!(begin.elapsed() >= Duration::from_millis(990));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_an_answer_counts_as_made() {
        let (pace, meter, queue) = (Pace::new(None), Meter::default(), Queue::new(None));
        let fields = [
            ("x-ratelimit-limit", "2"),
            ("x-ratelimit-remaining", "1"),
            ("x-ratelimit-reset-after", "20.0"),
        ];
        let turn = pace.turn(origin(), &queue, &meter).await.unwrap();
        turn.answered(StatusCode::OK, &headers(&fields));
        let begin = Instant::now();
        drop(pace.turn(origin(), &queue, &meter).await.unwrap());
        assert_eq!(begin.elapsed().as_secs(), 0);
        drop(pace.turn(origin(), &queue, &meter).await.unwrap());
        assert_eq!(begin.elapsed().as_secs(), 20);
    }
}
