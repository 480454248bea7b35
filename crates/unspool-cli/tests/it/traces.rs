//! `--trace-to`: what a collector of OpenTelemetry gets, and what becomes of a pull without one.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::server::{Reply, Server, linked_page};
use crate::{run, unspool};

/// A collector that takes all.
fn collector() -> Server {
    Server::start(|_| Reply::status(200).body(""))
}

/// All spans that a collector got, in the order of their begin.
fn spans(collector: &Server) -> Vec<Span> {
    let mut spans = Vec::new();
    for request in collector.requests() {
        assert_eq!(request.path(), "/v1/traces");
        assert_eq!(
            request.header("content-type"),
            Some("application/x-protobuf")
        );
        let sent = ExportTraceServiceRequest::decode(&*request.body).unwrap();
        for of_resource in sent.resource_spans {
            let resource = of_resource.resource.unwrap();
            let name = resource
                .attributes
                .iter()
                .find(|one| one.key == "service.name");
            let name = name.and_then(|one| one.value.clone()?.value);
            assert_eq!(name, Some(Value::StringValue("unspool".to_owned())));
            let scopes = of_resource.scope_spans.into_iter();
            spans.extend(scopes.flat_map(|scope| scope.spans));
        }
    }
    spans.sort_by_key(|span| (span.start_time_unix_nano, span.end_time_unix_nano));
    spans
}

/// A field as text.
fn field(span: &Span, name: &str) -> Option<String> {
    let field = span.attributes.iter().find(|field| field.key == name)?;
    Some(match field.value.clone()?.value? {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        Value::BoolValue(is) => is.to_string(),
        other => panic!("{other:?}"),
    })
}

fn number(span: &Span, name: &str) -> u64 {
    field(span, name).unwrap().parse().unwrap()
}

/// The spans of this name.
fn named<'s>(spans: &'s [Span], name: &str) -> Vec<&'s Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

/// The one span of this name.
fn one<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let found = named(spans, name);
    assert_eq!(found.len(), 1, "{name}: {spans:#?}");
    found[0]
}

/// Three pages, the second of which comes at the second try.
fn api() -> Server {
    let asked = AtomicUsize::new(0);
    Server::start(move |request| match asked.fetch_add(1, Relaxed) {
        1 => Reply::status(503).header("retry-after", 0).body("busy"),
        _ => linked_page(request, 3, 2),
    })
}

#[test]
fn a_collector_sees_a_walk_its_pages_and_its_requests() {
    let (api, collector) = (api(), collector());
    let url = api.url("/posts?token=t0p-s3cr3t-word");
    let credentials = ["-u", "ada:hunter2-hunter2", "-H", "X-Key: an-own-s3cr3t"];
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("posts.jsonl");
    let to = ["--to", target.to_str().unwrap()];
    let (code, _, words) = run(&[
        &["pages", &url, "--trace-to", &collector.url("")],
        &credentials[..],
        &to,
    ]
    .concat());
    assert_eq!(code, 0, "{words}");

    let spans = spans(&collector);
    let command = one(&spans, "unspool pages");
    assert!(command.parent_span_id.is_empty());
    let (source, sink) = (one(&spans, "pages"), one(&spans, "sink"));
    for span in [source, sink] {
        assert_eq!(span.parent_span_id, command.span_id);
    }
    assert!(spans.iter().all(|span| span.trace_id == command.trace_id));
    for (name, expected) in [
        ("unspool.items", 6),
        ("unspool.requests", 4),
        ("unspool.retries", 1),
    ] {
        assert_eq!(number(source, name), expected, "{name}");
    }
    assert_eq!(field(source, "unspool.verdict").unwrap(), "complete");
    assert_eq!(number(sink, "unspool.items"), 6);
    assert!(number(sink, "unspool.checkpoints") >= 1);

    let pages = named(&spans, "page");
    let of_page = |page: &Span| -> Vec<(String, String)> {
        let requests = named(&spans, "GET").into_iter();
        let requests = requests.filter(|request| request.parent_span_id == page.span_id);
        let said = |request: &Span| {
            let status = field(request, "http.response.status_code").unwrap();
            (status, field(request, "url.full").unwrap())
        };
        requests.map(said).collect()
    };
    let statuses: Vec<Vec<String>> = (pages.iter())
        .map(|page| {
            of_page(page)
                .into_iter()
                .map(|(status, _)| status)
                .collect()
        })
        .collect();
    assert_eq!(
        statuses,
        [vec!["200"], vec!["503", "200"], vec!["200"]],
        "{spans:#?}"
    );
    let address = api.url("/posts");
    assert_eq!(of_page(pages[0])[0].1, format!("{address}?token=…"));
    assert_eq!(of_page(pages[1])[0].1, format!("{address}?page=2"));
    for page in &pages {
        assert_eq!(page.parent_span_id, source.span_id);
        assert_eq!(number(page, "unspool.items"), 2);
    }
    let refused = (spans.iter())
        .find(|span| field(span, "error.type").as_deref() == Some("503"))
        .unwrap();
    // 2 is that of an error, as kind 3 is that of a client.
    assert_eq!(
        (refused.status.as_ref().unwrap().code, refused.kind),
        (2, 3)
    );
    // The wait before the second try is an event of the page.
    let waits: Vec<usize> = pages.iter().map(|page| page.events.len()).collect();
    assert_eq!(waits, [0, 1, 0]);
    hides(&collector, &["s3cr3t", "hunter2", "ada"]);
}

/// Fails if a collector got one of these words, as it is or in Base64.
fn hides(collector: &Server, words: &[&str]) {
    for request in collector.requests() {
        let body = String::from_utf8_lossy(&request.body);
        for word in words.iter().copied().chain(["YWRhOmh1bnRlcjI"]) {
            assert!(!body.contains(word), "{word} in {body}");
        }
    }
}

#[test]
fn credentials_of_the_command_line_are_not_in_what_failed_either() {
    let collector = collector();
    // A server that repeats what it was sent.
    let api = Server::start(|request| {
        let sent = request.header("authorization").unwrap_or_default();
        Reply::status(403).body(format!("not with {sent}, not with t0ken-of-mine"))
    });
    let url = api.url("/posts?key=${OWN_KEY}");
    let output = unspool(&["pages", &url, "--bearer", "t0ken-of-mine"])
        .args(["--trace-to", &collector.url("/v1/traces")])
        .env("OWN_KEY", "a-very-own-key")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let spans = spans(&collector);
    let source = one(&spans, "pages");
    let status = source.status.as_ref().unwrap();
    assert!(
        status.code == 2 && status.message.contains("answered 403"),
        "{status:?}"
    );
    assert_eq!(field(source, "error.type").as_deref(), Some("403"));
    hides(&collector, &["t0ken-of-mine", "a-very-own-key"]);
}

#[test]
fn the_environment_names_the_collector_its_headers_and_the_trace() {
    let (api, collector) = (Server::linked_pages(1, 1), collector());
    let pull = |variables: &[(&str, &str)]| -> Command {
        let mut command = unspool(&["pages", &api.url("/"), "--trace-to", "env"]);
        command.env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
        command.envs(variables.iter().copied());
        command
    };
    let output = pull(&[]).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(
        words.contains("`OTEL_EXPORTER_OTLP_ENDPOINT` is not set"),
        "{words}"
    );
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let output = pull(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url("/")),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-key=k3y"),
        ("TRACEPARENT", &format!("00-{trace}-b7ad6b7169203331-01")),
    ])
    .output()
    .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words}");
    let requests = collector.requests();
    assert_eq!(requests[0].header("x-collector-key"), Some("k3y"));
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let spans = spans(&collector);
    let command = one(&spans, "unspool pages");
    assert_eq!(hex(&command.trace_id), trace);
    assert_eq!(hex(&command.parent_span_id), "b7ad6b7169203331");
}

#[test]
fn a_collector_that_is_not_there_is_said_once_and_changes_nothing_else() {
    let api = Server::linked_pages(5, 100);
    let silent = Server::start(|_| Reply::silence());
    let refusing = Server::start(|_| Reply::status(401).body("who are you?"));
    let nowhere = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let (_, expected, _) = run(&["pages", &api.url("/")]);
    for collector in [silent.url(""), refusing.url(""), nowhere] {
        let begun = Instant::now();
        let (code, lines, words) = run(&["pages", &api.url("/"), "--trace-to", &collector]);
        assert_eq!((code, lines == expected), (0, true), "{words}");
        let warnings = words.matches("spans are not sent to").count();
        assert_eq!(warnings, 1, "{words}");
        assert!(words.contains(&format!("{collector}/v1/traces")), "{words}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{collector}");
    }
}

#[test]
fn what_is_not_the_address_of_a_collector_is_refused_before_anything_is_sent() {
    let api = Server::linked_pages(1, 1);
    let (code, _, words) = run(&["pages", &api.url("/"), "--trace-to", "localhost:4318"]);
    assert_eq!(code, 2, "{words}");
    assert!(
        words.contains("--trace-to: expected the URL of a collector"),
        "{words}"
    );
    assert!(api.targets().is_empty());
}

#[test]
fn all_pulls_of_a_file_are_in_one_trace() {
    let (api, collector) = (Server::linked_pages(1, 1), collector());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pulls.toml");
    let pull = |name: &str| {
        format!(
            "[{name}.from]\nsource = \"pages\"\nurl = \"{}\"\n",
            api.url("/")
        )
    };
    std::fs::write(&file, pull("first") + &pull("second")).unwrap();
    let (code, _, words) = run(&[
        "run",
        file.to_str().unwrap(),
        "--trace-to",
        &collector.url(""),
    ]);
    assert_eq!(code, 0, "{words}");
    let spans = spans(&collector);
    let command = one(&spans, "unspool run");
    for name in ["first", "second"] {
        let pull = one(&spans, name);
        assert_eq!(pull.parent_span_id, command.span_id);
        let sources = named(&spans, "pages");
        let of_pull = sources
            .iter()
            .filter(|span| span.parent_span_id == pull.span_id);
        assert_eq!(of_pull.count(), 1);
    }
}

#[test]
fn the_lines_of_verbose_are_the_requests_of_the_spans() {
    let (api, collector) = (api(), collector());
    let (code, _, words) = run(&[
        "pages",
        &api.url("/"),
        "-v",
        "--trace-to",
        &collector.url(""),
    ]);
    assert_eq!(code, 0, "{words}");
    let lines: Vec<&str> = (words.lines())
        .filter_map(|line| line.strip_prefix("unspool: GET ")?.split(" in ").next())
        .collect();
    let spans = spans(&collector);
    let expected: Vec<String> = (named(&spans, "GET").iter())
        .map(|span| {
            let of = |name| field(span, name).unwrap();
            format!("{}: {}", of("url.full"), of("http.response.status_code"))
        })
        .collect();
    assert_eq!(lines, expected);
    assert_eq!(lines.len(), 4);
    assert!(words.contains("to try again (1 of 5)"), "{words}");
}
