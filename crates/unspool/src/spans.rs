//! What `tracing` is told: a span for each source, page, request and sink.
//!
//! All of them are here, so that their names and fields stand in one place; `docs/observability.md`
//! describes them, and a test compares the two. Fields that OpenTelemetry's semantic conventions
//! know have the names that they have there. Where nobody listens, a span costs a look at one
//! number; no field is computed.

use std::time::Duration;

use reqwest::{Method, Response};
use tracing::field::{Empty, display};
use tracing::{Level, Span, debug, span};
use url::Url;

use crate::account::{Account, Details, Verdict};
#[cfg(feature = "ask")]
use crate::ask::Usage;
use crate::error::{Error, ErrorKind};
use crate::http::{Call, Secrets, redacted_address};
use crate::sinks::SinkAccount;

/// A source, from its first poll to its end.
pub(crate) fn source(name: &'static str) -> Span {
    span!(
        target: "unspool::source",
        Level::INFO,
        "source",
        otel.name = name,
        unspool.source = name,
        unspool.items = Empty,
        unspool.bytes = Empty,
        unspool.requests = Empty,
        unspool.retries = Empty,
        unspool.waited = Empty,
        unspool.verdict = Empty,
        unspool.ended = Empty,
        unspool.doubts = Empty,
        unspool.transport = Empty,
        db.system.name = Empty,
        gen_ai.operation.name = Empty,
        gen_ai.provider.name = Empty,
        gen_ai.request.model = Empty,
        gen_ai.response.model = Empty,
        gen_ai.response.id = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        error.type = Empty,
        otel.status_code = Empty,
        otel.status_description = Empty,
    )
}

/// A page: its requests, and its items until it has been read.
pub(crate) fn page(call: &Call) -> Span {
    span!(
        target: "unspool::page",
        Level::DEBUG,
        "page",
        url.full = redacted_address(&call.url),
        unspool.items = Empty,
        unspool.is_whole = Empty,
        error.type = Empty,
        otel.status_code = Empty,
        otel.status_description = Empty,
    )
}

/// One request, from when it is sent to the head of its answer.
pub(crate) fn request(method: &Method, address: &Url) -> Span {
    span!(
        target: "unspool::http",
        Level::DEBUG,
        "request",
        otel.kind = "client",
        otel.name = method.as_str(),
        http.request.method = method.as_str(),
        url.full = redacted_address(address),
        server.address = address.host_str(),
        server.port = address.port_or_known_default(),
        http.response.status_code = Empty,
        error.type = Empty,
        otel.status_code = Empty,
        otel.status_description = Empty,
    )
}

/// A sink, from when its target is opened to when it is closed.
pub(crate) fn sink(target: &str) -> Span {
    span!(
        target: "unspool::sink",
        Level::INFO,
        "sink",
        unspool.target = target,
        unspool.items = Empty,
        unspool.bytes = Empty,
        unspool.before = Empty,
        unspool.checkpoints = Empty,
        error.type = Empty,
        otel.status_code = Empty,
        otel.status_description = Empty,
    )
}

/// A source into a sink, which are both in it.
pub(crate) fn pull() -> Span {
    span!(target: "unspool::pull", Level::INFO, "pull")
}

/// Says of the source that is being polled which database it asks.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub(crate) fn asks_database(name: &'static str) {
    let name = match name {
        // As the conventions have it.
        "postgres" => "postgresql",
        name => name,
    };
    Span::current().record("db.system.name", name);
}

/// Says of the source that is being polled by which transport its events come.
pub(crate) fn follows(transport: &'static str) {
    Span::current().record("unspool.transport", transport);
}

/// Says of the source that is being polled which model it asks.
#[cfg(feature = "ask")]
pub(crate) fn asks_model(provider: &str, model: &str) {
    let provider = match provider {
        // As the conventions have it.
        "gemini" => "gcp.gemini",
        name => name,
    };
    Span::current()
        .record("gen_ai.operation.name", "chat")
        .record("gen_ai.provider.name", provider)
        .record("gen_ai.request.model", model);
}

/// What a model's server says of its answer.
#[cfg(feature = "ask")]
pub(crate) fn model_answered(span: &Span, id: Option<&str>, model: Option<&str>, usage: &Usage) {
    span.record("gen_ai.response.id", id)
        .record("gen_ai.response.model", model)
        .record("gen_ai.usage.input_tokens", usage.input_tokens)
        .record("gen_ai.usage.output_tokens", usage.output_tokens);
}

/// How a request was answered; what a proxy or a server wrote is shown without `secrets`.
pub(crate) fn answered(
    span: &Span,
    answer: &Result<Response, Error>,
    secrets: impl FnOnce() -> Secrets,
) {
    if span.is_disabled() {
        return;
    }
    match answer {
        Ok(response) => {
            let status = response.status();
            span.record("http.response.status_code", status.as_u16());
            if status.is_client_error() || status.is_server_error() {
                span.record("error.type", status.as_str());
                span.record("otel.status_code", "ERROR");
            }
        }
        Err(error) => failed(span, error, secrets),
    }
}

/// That a span ends with an error, whose message is shown without `secrets`.
pub(crate) fn failed(span: &Span, error: &Error, secrets: impl FnOnce() -> Secrets) {
    if span.is_disabled() {
        return;
    }
    let message = error.to_string();
    span.record("error.type", kind_of(error))
        .record("otel.status_code", "ERROR")
        .record("otel.status_description", secrets().shown(&message));
}

/// How a source ended.
pub(crate) fn source_ended<D: Details>(span: &Span, account: &Account<D>, error: Option<&Error>) {
    let doubts: Vec<String> = account.doubts.iter().map(ToString::to_string).collect();
    span.record("unspool.items", account.items)
        .record("unspool.bytes", account.bytes)
        .record("unspool.requests", account.requests)
        .record("unspool.retries", account.retries)
        .record("unspool.waited", account.waited.as_secs_f64())
        .record("unspool.verdict", display(account.verdict()))
        .record("unspool.ended", display(&account.ended));
    if !doubts.is_empty() {
        span.record("unspool.doubts", doubts.join("; "));
    }
    // Its secrets are out of it already.
    if let Some(error) = error {
        failed(span, error, Secrets::new);
    } else if account.verdict() == Verdict::NotProved {
        span.record("otel.status_code", "ERROR");
    }
}

/// How many items of a page were handed out, and whether those are all.
pub(crate) fn page_read(span: &Span, items: u64, is_whole: bool) {
    span.record("unspool.items", items)
        .record("unspool.is_whole", is_whole);
}

/// How a sink ended.
pub(crate) fn sink_ended(span: &Span, account: &SinkAccount) {
    span.record("unspool.items", account.items)
        .record("unspool.bytes", account.bytes)
        .record("unspool.before", account.before)
        .record("unspool.checkpoints", account.checkpoints);
}

/// That a request waits to be made again.
pub(crate) fn waits(wait: Duration, made: usize, allowed: usize) {
    debug!(
        target: "unspool::http",
        { unspool.wait = wait.as_secs_f64(), unspool.retry = made },
        "waiting {:.1} s to try again ({made} of {allowed})",
        wait.as_secs_f64()
    );
}

/// What went wrong, in one word.
fn kind_of(error: &Error) -> String {
    if let Some(status) = error.status() {
        return status.to_string();
    }
    let kind: ErrorKind = error.kind();
    let name = format!("{kind:?}");
    let mut word = String::with_capacity(name.len() + 2);
    for (index, letter) in name.char_indices() {
        if index > 0 && letter.is_ascii_uppercase() {
            word.push('_');
        }
        word.push(letter.to_ascii_lowercase());
    }
    word
}
