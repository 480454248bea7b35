use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a walk has done so far, for whoever watches it from outside.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    requests: AtomicU64,
    retries: AtomicU64,
    pages: AtomicU64,
    items: AtomicU64,
    repeated: AtomicU64,
    left_out: AtomicU64,
    bytes: AtomicU64,
    /// One more than the total, or zero where none was stated.
    stated_total: AtomicU64,
    waiting: Mutex<Waits>,
}

/// What is waited for at the moment, each with its number.
#[derive(Debug, Default)]
struct Waits {
    begun: u64,
    reasons: Vec<(u64, String)>,
}

/// One reading of a [`Meter`].
#[derive(Clone, Debug, Default)]
pub(crate) struct MeterReading {
    pub(crate) requests: u64,
    pub(crate) retries: u64,
    pub(crate) pages: u64,
    pub(crate) items: u64,
    pub(crate) repeated: u64,
    pub(crate) left_out: u64,
    pub(crate) bytes: u64,
    pub(crate) stated_total: Option<u64>,
    pub(crate) waiting: Option<String>,
}

impl Meter {
    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(crate) fn retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub(crate) fn page(&self) {
        add(&self.pages, 1);
    }

    pub(crate) fn item(&self) {
        add(&self.items, 1);
    }

    pub(crate) fn repeated(&self) {
        add(&self.repeated, 1);
    }

    pub(crate) fn left_out(&self) {
        add(&self.left_out, 1);
    }

    pub(crate) fn bytes(&self, count: usize) {
        self.bytes.fetch_add(count as u64, Relaxed);
    }

    pub(crate) fn stated_total(&self, total: Option<u64>) {
        self.stated_total
            .store(total.map_or(0, |total| total.saturating_add(1)), Relaxed);
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
        }
    }

    pub(crate) fn read(&self) -> MeterReading {
        MeterReading {
            requests: self.requests.load(Relaxed),
            retries: self.retries.load(Relaxed),
            pages: self.pages.load(Relaxed),
            items: self.items.load(Relaxed),
            repeated: self.repeated.load(Relaxed),
            left_out: self.left_out.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            stated_total: self.stated_total.load(Relaxed).checked_sub(1),
            waiting: (self.waits().reasons.first()).map(|(_, reason)| reason.clone()),
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
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waits = self.meter.waits();
        waits.reasons.retain(|(number, _)| *number != self.number);
    }
}

/// A walk counts its pages and items in one place, so that this needs no locked
/// instruction; others only read.
fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Relaxed) + count, Relaxed);
}
