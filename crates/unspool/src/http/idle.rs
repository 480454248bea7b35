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
}

impl IdleTimer {
    pub(super) fn new(limit: Duration) -> Self {
        IdleTimer { limit, sleep: None }
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

    /// What the future gives; none if that takes longer than the limit.
    pub(super) async fn wait<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let mut until = None;
        poll_fn(|cx| {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(value));
            }
            let until = *until.get_or_insert_with(|| after(self.limit));
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
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    let now = Instant::now();
    now.checked_add(limit).unwrap_or_else(|| now + FAR)
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
