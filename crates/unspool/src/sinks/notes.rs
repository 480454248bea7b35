//! What a sink has to say besides how far it is.

use std::sync::{Arc, Mutex, PoisonError};

/// The most notes that are kept: a run may have many columns.
const MOST: usize = 100;

/// What whoever reads a target has to know, such as that a column has another name than its
/// key. A sink adds to it on its thread, and its account has it.
///
/// ```
/// use unspool::sinks::Notes;
///
/// let notes = Notes::default();
/// notes.add("column `id_2` has the values of `ID`");
/// assert_eq!(notes.all().len(), 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    /// Adds a note, unless there are a hundred already or it is one of them.
    pub fn add(&self, note: impl Into<String>) {
        let note = note.into();
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < MOST && !notes.contains(&note) {
            notes.push(note);
        }
    }

    /// All notes so far.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
