use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::account::Counts;

/// What a source has asked of its upstream so far, for whoever watches it from outside.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    requests: AtomicU64,
    retries: AtomicU64,
    bytes: AtomicU64,
    /// Microseconds that requests were held back.
    waited: AtomicU64,
    waiting: Mutex<Waits>,
}

/// What is waited for at the moment, each with its number.
#[derive(Debug, Default)]
struct Waits {
    begun: u64,
    reasons: Vec<(u64, String)>,
}

impl Meter {
    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(crate) fn retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub(crate) fn bytes(&self, count: usize) {
        self.bytes.fetch_add(count as u64, Relaxed);
    }

    /// Says what is waited for, until the guard is dropped.
    pub(crate) fn waiting(&self, reason: String) -> Waiting<'_> {
        let mut waits = self.waits();
        waits.begun += 1;
        let number = waits.begun;
        waits.reasons.push((number, reason));
        Waiting {
            meter: self,
            number,
            begin: Instant::now(),
        }
    }

    /// What is waited for, the longest wait first.
    pub(crate) fn waiting_for(&self) -> Option<String> {
        (self.waits().reasons.first()).map(|(_, reason)| reason.clone())
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            bytes: self.bytes.load(Relaxed),
            requests: self.requests.load(Relaxed),
            retries: self.retries.load(Relaxed),
            waited: Duration::from_micros(self.waited.load(Relaxed)),
        }
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While it lives, the meter shows what is waited for.
pub(crate) struct Waiting<'m> {
    meter: &'m Meter,
    number: u64,
    begin: Instant,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let waited = self.begin.elapsed().as_micros();
        let waited = u64::try_from(waited).unwrap_or(u64::MAX);
        self.meter.waited.fetch_add(waited, Relaxed);
        let mut waits = self.meter.waits();
        waits.reasons.retain(|(number, _)| *number != self.number);
    }
}
