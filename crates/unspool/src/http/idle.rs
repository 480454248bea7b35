use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A limit on how long each of many futures may take, one after the other.
///
/// A timer for each of them would cost as much as to receive a small chunk. Here there is
/// one for all: when it is up, it is set again to where the limit of the present one
/// is, if that is later.
pub(super) struct IdleTimer {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    /// How long all of them took since [`start_over`](IdleTimer::start_over).
    waited: Duration,
}

impl IdleTimer {
    pub(super) fn new(limit: Duration) -> Self {
        IdleTimer {
            limit,
            sleep: None,
            waited: Duration::ZERO,
        }
    }

    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    pub(super) fn set_limit(&mut self, limit: Duration) {
        if limit < self.limit {
            self.sleep = None;
        }
        self.limit = limit;
    }

    /// How long was waited in all. Of each wait no more than the limit counts: whoever does
    /// not poll for an hour has not waited for an hour.
    pub(super) fn waited(&self) -> Duration {
        self.waited
    }

    /// Counts what is waited from here on.
    pub(super) fn start_over(&mut self) {
        self.waited = Duration::ZERO;
    }

    /// What the future gives; none if that takes longer than the limit.
    pub(super) async fn wait<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let mut begin = None;
        poll_fn(|cx| {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                // What is there at once costs no look at the clock.
                let waited = begin.map_or(Duration::ZERO, |begin: Instant| begin.elapsed());
                self.waited = self.waited.saturating_add(waited.min(self.limit));
                return Poll::Ready(Some(value));
            }
            let until = until(*begin.get_or_insert_with(Instant::now), self.limit);
            let sleep = self
                .sleep
                .get_or_insert_with(|| Box::pin(sleep_until(until)));
            while sleep.as_mut().poll(cx).is_ready() {
                if sleep.deadline() >= until {
                    self.sleep = None;
                    return Poll::Ready(None);
                }
                sleep.as_mut().reset(until);
            }
            Poll::Pending
        })
        .await
    }
}

/// The time so long from now; where no clock goes that far, one that nobody sees.
pub(crate) fn after(limit: Duration) -> Instant {
    until(Instant::now(), limit)
}

fn until(begin: Instant, limit: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    begin.checked_add(limit).unwrap_or_else(|| begin + FAR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_the_whole_limit() {
        let mut timer = IdleTimer::new(LIMIT);
        for _ in 0..5 {
            let wait = sleep(Duration::from_secs(9));
            assert_eq!(timer.wait(wait).await, Some(()));
        }
        let begin = Instant::now();
        assert_eq!(timer.wait(std::future::pending::<()>()).await, None);
        let waited = begin.elapsed();
        assert!(
            waited >= LIMIT && waited < LIMIT + Duration::from_millis(5),
            "{waited:?}"
        );
        // It can be used again.
        assert_eq!(timer.wait(sleep(Duration::from_secs(9))).await, Some(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_waited_is_counted_and_not_what_nobody_waited_for() {
        let mut timer = IdleTimer::new(LIMIT);
        for seconds in [4, 0, 9] {
            timer.wait(sleep(Duration::from_secs(seconds))).await;
        }
        assert_eq!(timer.waited().as_secs(), 13);
        timer.start_over();
        // Polled once, and then not for an hour.
        let mut wait = Box::pin(timer.wait(sleep(Duration::from_secs(1))));
        let polled = tokio::time::timeout(Duration::ZERO, &mut wait).await;
        assert!(polled.is_err());
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(wait.as_mut().await, Some(()));
        drop(wait);
        assert_eq!(timer.waited(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_limit_holds_at_once() {
        let mut timer = IdleTimer::new(LIMIT);
        assert_eq!(timer.wait(sleep(Duration::from_secs(1))).await, Some(()));
        timer.set_limit(Duration::from_secs(2));
        let begin = Instant::now();
        assert_eq!(timer.wait(std::future::pending::<()>()).await, None);
        let waited = begin.elapsed().as_secs_f64();
        assert!((2.0..2.01).contains(&waited), "{waited}");
    }
}
