//! How far a walk has come, for the walk itself and for its stream.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::IntoIter;

use super::account::{Doubt, Ended, Walked};
use super::position::{self, SOURCE, Taken};
use super::trail::Trail;
use crate::account::{Conclusion, Counts};
use crate::http::{Meter, Secrets};
use crate::json::Pointer;
use crate::position::Position;
use crate::source::SourceKind;

/// A walk over a paginated API, as one of the sources.
///
/// Made by [`Request::raw`](super::Request::raw) and its like, for the stream.
pub struct Walk {
    pub(super) meter: Arc<Meter>,
    trail: Mutex<Trail>,
}

impl Walk {
    pub(super) fn new(unique: Option<Pointer>) -> Self {
        Walk {
            meter: Arc::default(),
            trail: Mutex::new(Trail::new(unique)),
        }
    }

    /// What the walk keeps in mind.
    pub(super) fn trail(&self) -> MutexGuard<'_, Trail> {
        self.trail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SourceKind for Walk {
    const NAME: &'static str = SOURCE;

    type Details = Walked;
    type Batch<T: Send> = IntoIter<(T, Taken)>;
    type Place = Taken;
    type Return = (Ended, Option<Doubt>);

    fn position(&self, last: Option<Taken>) -> Option<Position> {
        position::position(&self.trail(), last)
    }

    fn counts(&self) -> Counts {
        self.meter.counts()
    }

    fn waiting(&self) -> Option<String> {
        self.meter.waiting_for()
    }

    fn secrets(&self) -> Secrets {
        self.trail().secrets()
    }

    fn details(&self, _: &Ended) -> Walked {
        self.trail().details()
    }

    fn conclude(&self, (ended, doubt): (Ended, Option<Doubt>)) -> Conclusion<Walked> {
        self.trail().conclude(ended, doubt)
    }
}
