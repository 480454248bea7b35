use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// The shortest wait before a connection is made again, where nobody says another.
pub(super) const SHORTEST: Duration = Duration::from_millis(100);

/// The longest, unless the upstream asks for more.
const LONGEST: Duration = Duration::from_secs(30);

/// How long to wait before each connection: what the feed says, at least; twice as long
/// each time, with up to as much again at random, so that the clients of a server that
/// was restarted do not come all at once.
pub(super) struct Delays {
    shortest: Duration,
    /// What the feed said with `retry:`.
    stated: Option<Duration>,
    next: ExponentialBackoff,
}

impl Delays {
    pub(super) fn new(shortest: Duration) -> Self {
        Delays {
            shortest,
            stated: None,
            next: growing_from(shortest),
        }
    }

    /// The feed says how long to wait.
    pub(super) fn state(&mut self, stated: Duration) {
        if self.stated.replace(stated) != Some(stated) {
            self.reset();
        }
    }

    /// The feed is well: the next wait is the shortest again.
    pub(super) fn reset(&mut self) {
        self.next = growing_from(self.least());
    }

    /// The wait before the next connection.
    pub(super) fn next(&mut self) -> Duration {
        let least = self.least();
        let wait = self.next.next().unwrap_or(LONGEST);
        wait.min(LONGEST).max(least)
    }

    fn least(&self) -> Duration {
        self.stated.unwrap_or_default().max(self.shortest)
    }
}

fn growing_from(least: Duration) -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(least.min(LONGEST))
        .with_max_delay(LONGEST)
        .without_max_times()
        .with_jitter()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wait: Duration, least: u64, most: u64) {
        let wait = wait.as_secs_f64() * 1000.0;
        assert!(wait >= least as f64 && wait <= most as f64, "{wait} ms");
    }

    #[test]
    fn waits_double_with_jitter_up_to_half_a_minute() {
        let mut delays = Delays::new(SHORTEST);
        for exponent in 0..8 {
            check(
                delays.next(),
                100 << exponent,
                (200 << exponent).min(30_000),
            );
        }
        for _ in 0..100 {
            check(delays.next(), 25_600, 30_000);
        }
        delays.reset();
        check(delays.next(), 100, 200);
    }

    #[test]
    fn a_feed_may_ask_for_longer_waits_but_not_for_none() {
        let mut delays = Delays::new(SHORTEST);
        delays.state(Duration::ZERO);
        check(delays.next(), 100, 200);
        delays.state(Duration::from_secs(3));
        check(delays.next(), 3_000, 6_000);
        check(delays.next(), 6_000, 12_000);
        // Said again, it is not news.
        delays.state(Duration::from_secs(3));
        check(delays.next(), 12_000, 24_000);
        delays.state(Duration::from_secs(100));
        check(delays.next(), 100_000, 100_000);
    }
}
