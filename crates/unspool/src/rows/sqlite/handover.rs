//! Where a thread leaves rows for whoever waits for them.
//!
//! The thread writes into one batch, and waits when that is full; so one batch is read
//! ahead. Whoever takes it gets a full batch, or what there is after a moment: rows that
//! trickle are not kept back, and rows that come fast travel together.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::error::Error;
use crate::rows::batch::Batch;
use crate::rows::write::RowWriter;

/// How long is waited for a batch to become full.
const MOMENT: Duration = Duration::from_millis(5);

pub(super) struct Handover {
    state: Mutex<State>,
    /// There is room, or nobody wants rows any more.
    room: Condvar,
    /// There is something to be taken.
    filled: Notify,
    /// Whether the next row is waited for.
    is_eager: AtomicBool,
    is_stopped: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    writer: Option<RowWriter>,
    end: Option<Result<(), Error>>,
}

/// Nobody wants rows any more.
pub(super) struct Stopped;

impl Default for Handover {
    fn default() -> Self {
        Handover {
            state: Mutex::default(),
            room: Condvar::new(),
            filled: Notify::new(),
            is_eager: AtomicBool::new(true),
            is_stopped: Arc::default(),
        }
    }
}

impl Handover {
    /// Rows begin, which this writes.
    pub(super) fn begin(&self, writer: RowWriter) {
        self.state().writer = Some(writer);
    }

    /// Writes a row, and waits while the batch is full.
    pub(super) fn write(
        &self,
        row: impl FnOnce(&mut RowWriter) -> Result<(), Error>,
    ) -> Result<Result<(), Stopped>, Error> {
        let mut state = self.state();
        let Some(writer) = &mut state.writer else {
            return Ok(Ok(()));
        };
        row(writer)?;
        let is_full = writer.is_full();
        if is_full || self.is_eager.load(Relaxed) {
            self.is_eager.store(false, Relaxed);
            self.filled.notify_one();
        }
        if is_full {
            let is_full = |state: &mut State| {
                !self.is_stopped() && state.writer.as_ref().is_some_and(RowWriter::is_full)
            };
            let wait = self.room.wait_while(state, is_full);
            drop(wait.unwrap_or_else(PoisonError::into_inner));
        }
        Ok(if self.is_stopped() {
            Err(Stopped)
        } else {
            Ok(())
        })
    }

    /// The key of the row that was written last.
    pub(super) fn last_key(&self) -> Option<Vec<String>> {
        self.state().writer.as_ref()?.last_key()
    }

    pub(super) fn end(&self, end: Result<(), Error>) {
        self.state().end.get_or_insert(end);
        self.filled.notify_one();
    }

    /// The rows that there are, at least one; none after the last.
    pub(super) async fn take(&self) -> Result<Option<Batch>, Error> {
        let mut wants_full = true;
        loop {
            {
                let mut state = self.state();
                let (is_over, is_whole) = (state.end.is_some(), matches!(state.end, Some(Ok(()))));
                let ready = (state.writer.as_mut()).filter(|writer| {
                    writer.is_full()
                        || (is_over || !wants_full && writer.may_be_partial()) && !writer.is_empty()
                        || is_whole && writer.owes_columns()
                });
                if let Some(writer) = ready {
                    let batch = writer.take();
                    self.room.notify_one();
                    return batch.map(Some);
                }
                if let Some(end) = &mut state.end {
                    return std::mem::replace(end, Ok(())).map(|()| None);
                }
                if !wants_full {
                    self.is_eager.store(true, Relaxed);
                }
            }
            // Whether it is full or the time is up: what there is is taken.
            match wants_full {
                true => drop(timeout(MOMENT, self.filled.notified()).await),
                false => self.filled.notified().await,
            }
            wants_full = false;
        }
    }

    /// No rows are wanted any more.
    pub(super) fn stop(&self) {
        self.is_stopped.store(true, Relaxed);
        // Under the lock, so that it is not missed by a thread that is about to wait.
        let _state = self.state();
        self.room.notify_one();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Relaxed)
    }

    /// Whether no rows are wanted any more, for those who ask later.
    pub(super) fn stopped(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_stopped)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
