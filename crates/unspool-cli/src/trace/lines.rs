//! `--verbose`: each request as it is answered, on standard error, from the spans of the library.

use std::fmt;
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::report;

/// Writes a line for each request, and for each wait before one.
pub(super) struct Lines;

impl<S> Layer<S> for Lines
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut exchange = Exchange::default();
        attributes.record(&mut exchange);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(exchange);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(exchange) = span.extensions_mut().get_mut::<Exchange>()
        {
            values.record(exchange);
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message::default();
        event.record(&mut message);
        report::problem(&message.text);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if let Some(span) = context.span(&id)
            && let Some(exchange) = span.extensions().get::<Exchange>()
        {
            report::problem(&exchange.line());
        }
    }
}

/// A request and what came of it.
struct Exchange {
    begun: Instant,
    method: String,
    url: String,
    status: Option<u64>,
    error: Option<String>,
}

impl Default for Exchange {
    fn default() -> Self {
        Exchange {
            begun: Instant::now(),
            method: String::new(),
            url: String::new(),
            status: None,
            error: None,
        }
    }
}

impl Exchange {
    fn line(&self) -> String {
        let Exchange { method, url, .. } = self;
        let took = self.begun.elapsed();
        match (self.status, &self.error) {
            (Some(status), _) => format!("{method} {url}: {status} in {took:.0?}"),
            (None, Some(error)) => format!("{method} {url}: {error} in {took:.0?}"),
            (None, None) => format!("{method} {url}: given up after {took:.0?}"),
        }
    }
}

impl Visit for Exchange {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "http.response.status_code" {
            self.status = Some(value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "http.request.method" => value.clone_into(&mut self.method),
            "url.full" => value.clone_into(&mut self.url),
            "otel.status_description" => self.error = Some(value.to_owned()),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// What an event says.
#[derive(Default)]
struct Message {
    text: String,
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.text = format!("{value:?}");
        }
    }
}
