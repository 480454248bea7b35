//! What becomes of what a feature would do that was left out: it is refused by name.
//!
//! Run without the default features: `cargo test -p unspool --no-default-features --test without`.
#![forbid(unsafe_code)]
#![cfg(not(any(feature = "ask", feature = "compression", feature = "tls")))]
#![allow(
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "a helper of a test may fail it"
)]

use futures_util::StreamExt;
use test_servers::{Reply, Server};
use unspool::sinks::{self, Options};
use unspool::{Description, Error};

/// What a walk ends with, which must be an error.
async fn error(url: &str) -> Error {
    let items: Vec<_> = unspool::pages(url).raw().collect().await;
    items.into_iter().find_map(Result::err).unwrap()
}

#[tokio::test]
async fn an_address_of_tls_is_refused_before_anything_is_sent() {
    let error = error("https://api.example.com/").await;
    assert!(error.is_request(), "{error}");
    let message = error.to_string();
    assert!(
        message.contains("without the feature `tls` of `unspool`"),
        "{message}"
    );
}

#[tokio::test]
async fn no_compression_is_asked_for_and_what_comes_compressed_is_refused() {
    let server = Server::start(|request| match request.path() {
        "/plain" => Reply::json("[1]"),
        _ => Reply::status(200)
            .header("content-encoding", "gzip")
            .body(b"\x1f\x8b\x08".to_vec()),
    });
    let items: Vec<_> = unspool::pages(server.url("/plain")).raw().collect().await;
    assert_eq!(items[0].as_ref().unwrap().as_str(), "1");
    assert_eq!(server.requests()[0].header("accept-encoding"), None);
    let message = error(&server.url("/compressed")).await.to_string();
    for words in ["compressed as `gzip`", "feature `compression`"] {
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn a_target_that_is_to_be_compressed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["posts.jsonl.gz", "posts.csv.zst"] {
        let target = folder.path().join(name);
        let options = Options::new(unspool::pages("http://a.test").identity().unwrap());
        let error = sinks::open(target.to_str().unwrap(), options).unwrap_err();
        assert!(
            error.to_string().contains("feature `compression`"),
            "{error}"
        );
        assert!(!target.exists());
    }
}

#[test]
fn a_source_that_was_left_out_is_not_there() {
    let text = r#"{"source": "ask", "prompt": "Hello"}"#;
    let description: Description = serde_json::from_str(text).unwrap();
    let error = description.open(None).err().unwrap();
    assert!(error.to_string().contains("found `ask`"), "{error}");
}
