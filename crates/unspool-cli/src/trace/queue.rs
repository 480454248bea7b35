//! Spans that wait to be sent, which hold up nobody: those that are too many are left out.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use crate::report;

/// How many spans wait to be sent at most.
const MOST_WAITING: usize = 4096;

/// How many spans are sent together.
const BATCH: usize = 512;

/// How often spans are sent.
const PERIOD: Duration = Duration::from_secs(1);

/// Spans that wait to be sent.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    is_due: Condvar,
}

#[derive(Debug, Default)]
struct State {
    spans: Vec<SpanData>,
    /// How many did not fit.
    left_out: u64,
    /// Whether nothing more comes.
    is_over: bool,
    has_warned: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, span: SpanData) {
        let mut state = self.lock();
        if state.spans.len() < MOST_WAITING {
            state.spans.push(span);
        } else {
            state.left_out += 1;
        }
        if state.spans.len() >= BATCH {
            self.is_due.notify_all();
        }
    }

    /// The spans to be sent next, once there are enough or some time has passed; none when it is
    /// over.
    pub(super) fn take(&self) -> Option<Vec<SpanData>> {
        let is_early = |state: &mut State| !state.is_over && state.spans.len() < BATCH;
        let waited = self
            .is_due
            .wait_timeout_while(self.lock(), PERIOD, is_early);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.is_over && state.spans.is_empty() {
            return None;
        }
        let count = state.spans.len().min(BATCH);
        Some(state.spans.drain(..count).collect())
    }

    /// Nothing more comes.
    pub(super) fn end(&self) {
        self.lock().is_over = true;
        self.is_due.notify_all();
    }

    /// How many spans did not fit.
    pub(super) fn left_out(&self) -> u64 {
        self.lock().left_out
    }

    /// Says once that something is not sent.
    pub(super) fn warn(&self, to: &str, why: &str) {
        if !std::mem::replace(&mut self.lock().has_warned, true) {
            report::problem(&format!(
                "warning: spans are not sent to {to}: {why}; all else goes on without them"
            ));
        }
    }
}

/// Puts spans that have ended into the queue.
#[derive(Debug)]
pub(super) struct Waiting(pub(super) Arc<Queue>);

impl SpanProcessor for Waiting {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
