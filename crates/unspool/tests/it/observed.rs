//! What a subscriber of `tracing` is told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Subscriber, subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

use crate::drain;
use crate::server::{Reply, Server};

/// A span that has ended: its name, that of what it is in, and its fields.
#[derive(Clone, Debug, Default)]
struct Told {
    name: &'static str,
    parent: Option<&'static str>,
    fields: BTreeMap<&'static str, String>,
}

impl Told {
    fn of(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

/// All spans of this library that have ended.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<Told>>>);

impl Listener {
    /// Listens to this thread until the guard is dropped.
    fn listen() -> (Self, subscriber::DefaultGuard) {
        let listener = Listener::default();
        let registry = Registry::default().with(listener.clone());
        (listener, subscriber::set_default(registry))
    }

    fn named(&self, name: &str) -> Vec<Told> {
        let all = self.0.lock().unwrap();
        all.iter()
            .filter(|told| told.name == name)
            .cloned()
            .collect()
    }

    /// The one source.
    fn source(&self) -> Told {
        let mut sources = self.named("source");
        assert_eq!(sources.len(), 1, "{sources:?}");
        sources.remove(0)
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Listener {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let mut told = Told {
            name: span.name(),
            parent: span.parent().map(|parent| parent.name()),
            ..Told::default()
        };
        attributes.record(&mut told);
        span.extensions_mut().insert(told);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        values.record(span.extensions_mut().get_mut::<Told>().unwrap());
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        if span.metadata().target().starts_with("unspool::") {
            let told = span.extensions().get::<Told>().unwrap().clone();
            self.0.lock().unwrap().push(told);
        }
    }
}

#[tokio::test]
async fn nothing_is_told_before_the_first_poll_and_all_at_the_end() {
    let (listener, _guard) = Listener::listen();
    let server = Server::linked_pages(2, 3);
    let pages = unspool::pages(server.url("/")).raw();
    drop(unspool::pages(server.url("/")).raw());
    assert!(listener.named("source").is_empty());
    let (items, _) = drain(pages).await;
    assert_eq!(items.len(), 6);
    let source = listener.source();
    assert_eq!(source.of("unspool.source"), "pages");
    assert_eq!(
        (source.of("unspool.items"), source.of("unspool.verdict")),
        ("6", "complete")
    );
    let told: Vec<(&str, Option<&str>)> = (listener.0.lock().unwrap().iter())
        .map(|told| (told.name, told.parent))
        .collect();
    let (page, request) = (("page", Some("source")), ("request", Some("page")));
    assert_eq!(told, [request, page, request, page, ("source", None)]);
}

#[tokio::test]
async fn a_source_that_is_left_half_way_says_so() {
    let (listener, _guard) = Listener::listen();
    let server = Server::linked_pages(9, 3);
    let mut pages = unspool::pages(server.url("/")).raw();
    pages.next().await.unwrap().unwrap();
    drop(pages);
    let source = listener.source();
    assert_eq!(
        (source.of("unspool.items"), source.of("unspool.requests")),
        ("1", "1")
    );
    assert_eq!(source.of("unspool.verdict"), "stopped as asked");
    assert_eq!(source.of("otel.status_code"), "");
    let page = &listener.named("page")[0];
    assert_eq!(page.of("unspool.is_whole"), "false");
}

#[tokio::test]
async fn pages_in_flight_are_told_as_those_of_their_walk() {
    let (listener, _guard) = Listener::listen();
    let server = Server::start(|request| match request.page() {
        page @ 1..=4 => Reply::json(format!("[{page}]")),
        _ => Reply::json("[]"),
    });
    let pages = unspool::pages(server.url("/")).paginate(
        "page:page,first=1,last=4"
            .parse::<unspool::pages::Paginate>()
            .unwrap(),
    );
    let (items, _) = drain(pages.in_flight(3).raw()).await;
    assert_eq!(items.len(), 4);
    let parents: Vec<_> = listener
        .named("page")
        .iter()
        .map(|page| page.parent)
        .collect();
    assert_eq!(parents, [Some("source"); 4]);
    let parents = listener.named("request");
    assert!(parents.iter().all(|request| request.parent == Some("page")));
}

#[tokio::test]
async fn what_fails_is_told_without_the_secrets_that_it_repeats() {
    let (listener, _guard) = Listener::listen();
    let server = Server::start(|request| {
        let sent = request.header("x-key").unwrap_or_default();
        Reply::status(418).body(format!("not with {sent}"))
    });
    let pages = unspool::pages(server.url("/?api_key=hush-hush"))
        .header("x-key".parse().unwrap(), "s3cr3t-w0rd".parse().unwrap());
    let (_, end) = drain(pages.raw()).await;
    assert_eq!(end.unwrap_err().status(), Some(418));
    let source = listener.source();
    assert_eq!(source.of("error.type"), "418");
    let message = source.of("otel.status_description");
    assert!(message.contains("answered 418"), "{message}");
    let all = format!("{:?}", listener.0.lock().unwrap());
    for secret in ["hush-hush", "s3cr3t-w0rd"] {
        assert!(!all.contains(secret), "{all}");
    }
}

#[tokio::test]
async fn a_question_is_told_with_the_names_of_the_conventions() {
    let (listener, _guard) = Listener::listen();
    let server = Server::start(|_| {
        let events = [
            r#"{"type": "message_start", "message": {"id": "msg_7", "model": "claude-x-1", "usage": {"input_tokens": 9, "output_tokens": 1}}}"#,
            r#"{"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}"#,
            r#"{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a private answer"}}"#,
            r#"{"type": "content_block_stop", "index": 0}"#,
            r#"{"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}}"#,
            r#"{"type": "message_stop"}"#,
        ];
        let body: String = events
            .iter()
            .map(|event| format!("data: {event}\n\n"))
            .collect();
        Reply::status(200)
            .header("content-type", "text/event-stream")
            .body(body)
    });
    let answer = unspool::ask("a private question")
        .provider("anthropic".parse().unwrap())
        .model("claude-x")
        .api_key("an-own-key")
        .base_url(server.url("/"));
    let text: Vec<_> = answer.text().collect().await;
    assert_eq!(text.len(), 1, "{text:?}");
    text[0].as_ref().unwrap();
    let source = listener.source();
    for (field, expected) in [
        ("unspool.source", "ask"),
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "anthropic"),
        ("gen_ai.request.model", "claude-x"),
        ("gen_ai.response.model", "claude-x-1"),
        ("gen_ai.response.id", "msg_7"),
        ("gen_ai.usage.input_tokens", "9"),
        ("gen_ai.usage.output_tokens", "4"),
    ] {
        assert_eq!(source.of(field), expected, "{field}");
    }
    assert_eq!(listener.named("request")[0].parent, Some("source"));
    let all = format!("{:?}", listener.0.lock().unwrap());
    for hidden in ["private", "an-own-key"] {
        assert!(!all.contains(hidden), "{all}");
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_query_is_told_with_its_database_and_without_its_words() {
    let (listener, _guard) = Listener::listen();
    let rows = unspool::rows("sqlite::memory:", "select 'a-literal' as a");
    let rows: Vec<_> = rows.raw().collect().await;
    rows[0].as_ref().unwrap();
    let source = listener.source();
    assert_eq!(source.of("db.system.name"), "sqlite");
    assert_eq!(source.of("unspool.items"), "1");
    assert!(!format!("{source:?}").contains("a-literal"));
}

#[tokio::test]
async fn a_pull_has_its_source_and_its_sink_in_it() {
    let (listener, _guard) = Listener::listen();
    let server = Server::linked_pages(2, 3);
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("items.jsonl");
    let request = unspool::pages(server.url("/"));
    let options = unspool::sinks::Options::new(request.identity().unwrap());
    let sink = unspool::sinks::open(target.to_str().unwrap(), options).unwrap();
    unspool::pull(|from| Ok(request.resume(from).raw()), sink)
        .await
        .unwrap();
    assert_eq!(listener.source().parent, Some("pull"));
    let sink = &listener.named("sink")[0];
    assert_eq!(sink.parent, Some("pull"));
    assert_eq!(sink.of("unspool.target"), target.to_str().unwrap());
    assert_eq!(sink.of("unspool.items"), "6");
}
