//! Elements of an array in the text of an answer, as they arrive.

use std::sync::Mutex;

use futures_util::TryStreamExt;
use serde::Deserialize;
use unspool::ask::Stop;

use super::dialect::{PROTOCOLS, Protocol, Reason};
use super::{drain, question};
use crate::server::{Reply, Server};

#[derive(Debug, Deserialize, PartialEq)]
struct River {
    name: String,
    km: u32,
}

/// A server whose model writes this, a character in each delta, and stops for this reason.
fn writes(protocol: Protocol, text: &'static str, reason: Reason) -> Server {
    Server::start(move |_| {
        let script = protocol.script().begin();
        let deltas = text.chars().map(|char| char.to_string());
        let script = deltas.fold(script, |script, delta| script.text(&delta));
        script.reason(reason).mark(reason).end()
    })
}

#[track_caller]
fn pointer(text: &str) -> unspool::Pointer {
    text.parse().unwrap()
}

#[tokio::test]
async fn an_item_is_there_before_the_server_sends_the_rest() {
    for protocol in PROTOCOLS {
        let (script, first) = protocol
            .script()
            .begin()
            .text("{\"items\": [{\"name\": \"Aare\",")
            .gate();
        let (script, second) = script.text(" \"km\": 288}").gate();
        let (script, third) = script.text(", {\"name\": \"Inn\", \"km\": 517}]").gate();
        let script = script.text("}").reason(Reason::End).mark(Reason::End);
        let reply = Mutex::new(Some(script.end()));
        let server = Server::start(move |_| reply.lock().unwrap().take().unwrap());
        let mut rivers = question(protocol, &server).items::<River>(pointer("/items"));
        first.send(()).unwrap();
        let river = rivers.try_next().await.unwrap().unwrap();
        assert_eq!((river.name.as_str(), river.km), ("Aare", 288));
        second.send(()).unwrap();
        assert_eq!(rivers.try_next().await.unwrap().unwrap().name, "Inn");
        assert!(!rivers.outcome().complete);
        third.send(()).unwrap();
        assert_eq!(rivers.try_next().await.unwrap(), None);
        assert!(rivers.outcome().complete);
    }
}

#[tokio::test]
async fn words_and_fences_around_the_document_are_passed_over() {
    const TEXT: &str = "Here [they] are:\n\n```json\n{\"a\": {\"items\": [1, {\"b\": \"]}\"}, \"ö😀\"]}}\n```\n{Done} [4]";
    for protocol in PROTOCOLS {
        let server = writes(protocol, TEXT, Reason::End);
        let request = question(protocol, &server);
        let (items, outcome) = drain(request.raw_items(pointer("/a/items"))).await;
        let items: Vec<&str> = items.iter().map(unspool::pages::RawItem::as_str).collect();
        assert_eq!(items, ["1", "{\"b\": \"]}\"}", "\"ö😀\""], "{protocol:?}");
        assert!(outcome.unwrap().complete);
    }
}

#[tokio::test]
async fn an_array_may_be_the_document() {
    for protocol in PROTOCOLS {
        let server = writes(protocol, "[1,2,\n3]", Reason::End);
        let (items, outcome) = drain(question(protocol, &server).items::<u8>(pointer(""))).await;
        assert_eq!(items, [1, 2, 3]);
        assert!(outcome.unwrap().complete);
    }
}

#[tokio::test]
async fn a_document_that_is_cut_by_the_connection_is_truncated() {
    for protocol in PROTOCOLS {
        let server = Server::start(move |_| protocol.script().begin().text("[1, 2, 3").end());
        let (items, end) = drain(question(protocol, &server).items::<u8>(pointer(""))).await;
        let error = end.unwrap_err();
        assert_eq!(items, [1, 2]);
        assert!(error.is_truncated(), "{error}");
        assert_eq!(error.partial_text(), Some("[1, 2, 3"));
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_document_that_the_model_did_not_end_is_an_error() {
    for protocol in PROTOCOLS {
        for (text, says) in [
            ("[1, 2, 3", "is whole, but its JSON document is not"),
            ("I would rather not.", "holds no JSON document"),
            ("{\"rivers\": [1]}", ""),
        ] {
            let server = writes(protocol, text, Reason::End);
            let request = question(protocol, &server);
            let (_, end) = drain(request.items::<u8>(pointer("/items"))).await;
            let error = end.unwrap_err();
            assert!(error.to_string().contains(says), "{protocol:?}: {error}");
            assert_eq!(error.partial_text(), Some(text), "{protocol:?}: {error}");
        }
    }
}

#[tokio::test]
async fn a_token_limit_within_the_array_is_told_by_the_outcome() {
    for protocol in PROTOCOLS {
        let server = writes(protocol, "[1, 2, 3", Reason::TokenLimit);
        let (items, outcome) = drain(question(protocol, &server).items::<u8>(pointer(""))).await;
        let outcome = outcome.unwrap();
        assert_eq!(items, [1, 2]);
        assert_eq!(
            (outcome.stop, outcome.complete),
            (Stop::MaxTokens, false),
            "{protocol:?}"
        );
    }
}

#[tokio::test]
async fn an_item_of_a_wrong_type_is_an_error_after_those_before_it() {
    for protocol in PROTOCOLS {
        let server = writes(protocol, "[1, 2, \"three\", 4]", Reason::End);
        let (items, end) = drain(question(protocol, &server).items::<u8>(pointer(""))).await;
        let error = end.unwrap_err();
        assert_eq!(items, [1, 2]);
        assert!(
            error.to_string().contains("item 3"),
            "{protocol:?}: {error}"
        );
        assert!(
            error
                .partial_text()
                .unwrap()
                .starts_with("[1, 2, \"three\"")
        );
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn an_item_that_is_no_json_is_an_error() {
    for protocol in PROTOCOLS {
        let server = writes(protocol, "[1, {\"a\": nope}, 3]", Reason::End);
        let (items, end) = drain(question(protocol, &server).raw_items(pointer(""))).await;
        assert_eq!(items.len(), 1);
        let error = end.unwrap_err();
        assert!(
            error.to_string().contains("in the text of the answer"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn nothing_is_asked_again_once_an_item_is_out_and_everything_before() {
    for protocol in PROTOCOLS {
        let number = std::sync::atomic::AtomicUsize::new(0);
        let server = Server::start(move |_| {
            match number.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                0 => Reply::status(503).body("busy"),
                _ => protocol.script().begin().text("[1, 2").cut(),
            }
        });
        let (items, end) = drain(question(protocol, &server).items::<u8>(pointer(""))).await;
        assert_eq!(items, [1]);
        assert!(end.unwrap_err().is_truncated());
        assert_eq!(server.requests().len(), 2);
    }
}

#[tokio::test]
async fn an_item_has_a_limit() {
    for protocol in PROTOCOLS {
        let server = Server::start(move |_| {
            let script = protocol.script().begin().text("[\"");
            let script = (0..100).fold(script, |script, _| script.text(&"x".repeat(100)));
            script.silence()
        });
        let request = question(protocol, &server).max_event(4096);
        let (_, end) = drain(request.raw_items(pointer(""))).await;
        assert!(end.unwrap_err().is_too_large(), "{protocol:?}");
    }
}
