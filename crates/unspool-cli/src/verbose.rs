//! `--verbose`: each request as it is answered, on standard error.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::report;

/// Writes a line for each event of the library.
struct Lines {
    spans: AtomicU64,
}

/// Begins to say what is sent. Whoever has begun goes on.
pub(crate) fn begin() {
    let lines = Lines {
        spans: AtomicU64::new(1),
    };
    let _ = tracing::subscriber::set_global_default(lines);
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("unspool::")
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        report::problem(&line.text);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The fields of an event, one after the other.
#[derive(Default)]
struct Line {
    text: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let separator = if self.text.is_empty() { "" } else { ": " };
        // Writing to a string does not fail.
        let _ = match field.name() {
            "took" => write!(self.text, " in {value:.0?}"),
            _ => write!(self.text, "{separator}{value:?}"),
        };
    }
}
