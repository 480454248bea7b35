//! `--trace-to`: spans to a collector of OpenTelemetry, by OTLP over HTTP.
//!
//! Spans are handed to a thread that sends them. A collector that is slow or not there holds up
//! nothing: what does not fit into a bounded queue is left out, and the end waits for a bounded
//! time.

use std::env;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use opentelemetry::trace::{
    SpanContext, SpanId, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, Tracer};
use percent_encoding::percent_decode_str;
use prost::Message as _;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use rustls::crypto::{CryptoProvider, ring};
use tracing::Subscriber;
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
use tracing_subscriber::registry::LookupSpan;

use super::queue::{Queue, Waiting};
use crate::report::SECRETS;

/// The value of the flag that stands for what the environment says.
const BY_ENVIRONMENT: &str = "env";

/// Where spans go, as the environment says it: the first as it is, the second with the path added.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// Header fields for the collector, as the environment says them: keys of its, too.
const HEADERS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_HEADERS",
];

/// Where a collector takes spans.
const PATH: &str = "/v1/traces";

/// How long one export may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long the end of the command waits for the last spans.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Spans on their way to a collector.
pub(super) struct Export {
    queue: Arc<Queue>,
    provider: SdkTracerProvider,
    /// Where the spans go, as people may see it.
    shown: String,
    /// Nothing comes of it: it closes once all has been sent.
    sent: Receiver<()>,
}

impl Export {
    /// Begins to send spans to where a flag says; nothing is sent before there are some.
    pub(super) fn begin(to: &str) -> Result<Self, String> {
        let in_flag = |error: &dyn fmt::Display| format!("--trace-to: {error}");
        let address = address(to).map_err(|error| in_flag(&error))?;
        let client = client(&address).map_err(|error| in_flag(&error))?;
        let queue = Arc::new(Queue::default());
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_span_processor(Waiting(Arc::clone(&queue)))
            .build();
        let shown = shown(&address);
        let (is_sending, sent) = mpsc::channel();
        let thread = Sending {
            queue: Arc::clone(&queue),
            client,
            headers: headers(),
            address,
            shown: shown.clone(),
            _is_sending: is_sending,
        };
        let name = std::thread::Builder::new().name("trace".to_owned());
        (name.spawn(|| thread.run())).map_err(|error| in_flag(&error))?;
        Ok(Export {
            queue,
            provider,
            shown,
            sent,
        })
    }

    /// What makes spans of `tracing` those of OpenTelemetry.
    pub(super) fn layer<S>(&self) -> OpenTelemetryLayer<S, Tracer>
    where
        S: Subscriber + for<'s> LookupSpan<'s>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("unspool"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
    }

    /// Waits a bounded time until all has been sent.
    pub(super) fn end(self) {
        self.queue.end();
        if self.sent.recv_timeout(LAST_WAIT) == Err(mpsc::RecvTimeoutError::Timeout) {
            self.queue
                .warn(&self.shown, &format!("no answer within {LAST_WAIT:?}"));
        }
    }
}

/// Makes a span a part of the trace that the environment says, as schedulers and builds hand it on
/// (W3C Trace Context, `TRACEPARENT`).
pub(super) fn continue_trace(span: &tracing::Span) {
    let named = env::var("TRACEPARENT").ok();
    if let Some(parent) = named.as_deref().and_then(parent) {
        let parent = Context::new().with_remote_span_context(parent);
        // A span that nobody listens to has no parent.
        let _ = span.set_parent(parent);
    }
}

/// The span that a `traceparent` names.
fn parent(text: &str) -> Option<SpanContext> {
    let mut parts = text.trim().split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if version.len() != 2 || version == "ff" {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        true,
        TraceState::NONE,
    );
    context.is_valid().then_some(context)
}

/// Where the spans go. The paths of collectors are added to an address that has none.
fn address(to: &str) -> Result<reqwest::Url, String> {
    let variable = |name: &&str| env::var(name).ok().filter(|value| !value.is_empty());
    let (text, is_whole) = if to == BY_ENVIRONMENT {
        let [own, general] = ENDPOINTS;
        match (variable(&own), variable(&general)) {
            (Some(own), _) => (own, true),
            (None, Some(general)) => (general.trim_end_matches('/').to_owned() + PATH, true),
            (None, None) => return Err(format!("`{general}` is not set")),
        }
    } else {
        (crate::expand::address(to)?, false)
    };
    let expected = "expected the URL of a collector, such as `http://localhost:4318`, or `env`";
    let mut url = reqwest::Url::parse(&text).map_err(|error| format!("{expected}: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{expected}; found the scheme `{}:`", url.scheme()));
    }
    if !is_whole && url.path() == "/" {
        url.set_path(PATH);
    }
    if let Some(password) = url.password() {
        SECRETS.keep(password);
    }
    Ok(url)
}

/// The header fields that the environment says for the collector, which may be keys: their values
/// are in no message.
fn headers() -> HeaderMap {
    let fields = HEADERS.iter().find_map(|name| env::var(name).ok());
    let fields = fields.unwrap_or_default();
    let pairs = fields.split(',').filter_map(|field| field.split_once('='));
    let mut headers: HeaderMap = pairs
        .filter_map(|(name, value)| {
            let value = percent_decode_str(value.trim()).decode_utf8_lossy();
            SECRETS.keep(&value);
            let name: HeaderName = name.trim().parse().ok()?;
            Some((name, value.parse().ok()?))
        })
        .collect();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-protobuf"),
    );
    headers
}

fn shown(address: &reqwest::Url) -> String {
    let origin = address.origin().ascii_serialization();
    format!("{origin}{}", address.path())
}

/// Who sends the spans, where the environment does not say otherwise.
fn resource() -> Resource {
    let has_name = env::var_os("OTEL_SERVICE_NAME").is_some_and(|name| !name.is_empty())
        || env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|all| all.contains("service.name="));
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let builder = Resource::builder().with_attribute(version);
    if has_name {
        builder.build()
    } else {
        builder.with_service_name("unspool").build()
    }
}

/// A client of its own: what is sent to collectors is none of what the account counts.
fn client(address: &reqwest::Url) -> reqwest::Result<reqwest::Client> {
    if CryptoProvider::get_default().is_none() {
        let _ = ring::default_provider().install_default();
    }
    let builder = reqwest::Client::builder();
    let builder = if address.scheme() == "https" {
        builder
    } else {
        // To read those of the system takes longer than many a pull.
        builder.tls_certs_only([])
    };
    // Its headers may hold a key.
    (builder.redirect(Policy::none()).timeout(TIMEOUT)).build()
}

/// The thread that sends them.
struct Sending {
    queue: Arc<Queue>,
    client: reqwest::Client,
    headers: HeaderMap,
    address: reqwest::Url,
    shown: String,
    /// Dropped at the end of the thread.
    _is_sending: Sender<()>,
}

impl Sending {
    fn run(self) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return self.queue.warn(&self.shown, &error.to_string()),
        };
        while let Some(spans) = self.queue.take() {
            if spans.is_empty() {
                continue;
            }
            if let Err(why) = runtime.block_on(self.send(spans)) {
                self.queue.warn(&self.shown, &why);
            }
        }
        let left_out = self.queue.left_out();
        if left_out > 0 {
            let why = format!("{left_out} of them came faster than they could be sent");
            self.queue.warn(&self.shown, &why);
        }
    }

    async fn send(&self, mut spans: Vec<SpanData>) -> Result<(), String> {
        spans.iter_mut().for_each(without_secrets);
        let resource_spans = group_spans_by_resource_and_scope(spans, &(&resource()).into());
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let request = self.client.post(self.address.clone());
        let request = request.headers(self.headers.clone()).body(body);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("it answered {}", answer.status())),
            Err(error) => Err(cause(&error.without_url())),
        }
    }
}

/// What is at the bottom of an error.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Takes out what nobody may see: the library has done so with what it knows, and the command knows
/// of more.
fn without_secrets(span: &mut SpanData) {
    let events = span.events.events.iter_mut();
    let attributes = events.flat_map(|event| &mut event.attributes);
    for attribute in span.attributes.iter_mut().chain(attributes) {
        if let Value::String(text) = &attribute.value {
            attribute.value = Value::from(SECRETS.shown(text.as_str()));
        }
    }
    if let Status::Error { description } = &span.status {
        span.status = Status::error(SECRETS.shown(description));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_collectors_is_added_to_an_address_without_one() {
        let at = |to: &str| address(to).map(|url| url.to_string());
        assert_eq!(
            at("http://localhost:4318").unwrap(),
            "http://localhost:4318/v1/traces"
        );
        let own = "https://collector.example.com/otlp/traces";
        assert_eq!(at(own).unwrap(), own);
        for wrong in ["localhost:4318", "collector", "grpc://localhost:4317"] {
            assert!(at(wrong).unwrap_err().contains("expected"), "{wrong}");
        }
    }

    #[test]
    fn a_trace_is_continued_only_where_one_is_named() {
        let named = parent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
        assert_eq!(named.span_id().to_string(), "b7ad6b7169203331");
        for wrong in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-x-y-z",
        ] {
            assert!(parent(wrong).is_none(), "{wrong}");
        }
    }
}
