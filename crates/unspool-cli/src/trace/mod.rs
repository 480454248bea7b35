//! Who listens to what the library tells `tracing`: the lines of `--verbose`, and the export of
//! `--trace-to`. Both are made of the same spans.

mod lines;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "otlp")]
mod queue;

use tracing::{Level, Metadata, Span, info_span};
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry};

use lines::Lines;

/// What listens while a command runs.
pub(crate) struct Trace {
    #[cfg(feature = "otlp")]
    export: Option<otlp::Export>,
}

impl Trace {
    /// Begins to listen, where the flags ask for it.
    pub(crate) fn begin(is_verbose: bool, to: Option<&str>) -> Result<Self, String> {
        let lines = is_verbose.then(|| Lines.with_filter(listening(|of| of == "unspool::http")));
        #[cfg(feature = "otlp")]
        {
            let export = to.map(otlp::Export::begin).transpose()?;
            let spans = export.as_ref().map(|export| {
                (export.layer()).with_filter(listening(|of| of.starts_with("unspool::")))
            });
            if lines.is_some() || spans.is_some() {
                listen(Registry::default().with(spans).with(lines));
            }
            Ok(Trace { export })
        }
        #[cfg(not(feature = "otlp"))]
        {
            if to.is_some() {
                let message = "--trace-to: this `unspool` was built without its feature `otlp`";
                return Err(message.to_owned());
            }
            if lines.is_some() {
                listen(Registry::default().with(lines));
            }
            Ok(Trace {})
        }
    }

    /// The span that all others of a command are in.
    pub(crate) fn command(&self, name: &str) -> Span {
        let name = format!("unspool {name}");
        let span = info_span!(target: "unspool::command", "command", otel.name = name);
        #[cfg(feature = "otlp")]
        if self.export.is_some() {
            otlp::continue_trace(&span);
        }
        span
    }

    /// Sends what has not been sent, for a bounded time.
    pub(crate) fn end(self) {
        #[cfg(feature = "otlp")]
        if let Some(export) = self.export {
            export.end();
        }
    }
}

/// A process listens in one way; whoever has begun goes on.
fn listen(subscriber: impl tracing::Subscriber + Send + Sync) {
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Of all that is told in a process, what the library tells about this.
fn listening(is_meant: fn(&str) -> bool) -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    FilterFn::new(move |metadata: &Metadata<'_>| {
        *metadata.level() <= Level::DEBUG && is_meant(metadata.target())
    })
    .with_max_level_hint(LevelFilter::DEBUG)
}
