//! Sources as plain data, made again elsewhere.

use futures_util::{StreamExt, TryStreamExt};
use serde_json::json;
use unspool::{AnySource, Description, RawItem, SourceExt, Verdict, ask, pages};

use crate::server::{Reply, Server, linked_page};

/// A description as another process gets it.
fn elsewhere(description: &Description) -> Description {
    let text = serde_json::to_string(description).unwrap();
    serde_json::from_str(&text).unwrap()
}

async fn all(source: AnySource) -> Vec<String> {
    let items: Vec<RawItem> = source.try_collect().await.unwrap();
    items.iter().map(|item| item.as_str().to_owned()).collect()
}

#[tokio::test]
async fn a_walk_is_made_again_from_its_description_and_from_a_position() {
    let server = Server::start(|request| {
        assert_eq!(request.header("authorization"), Some("Bearer from-a-file"));
        linked_page(request, 3, 2)
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "from-a-file\n").unwrap();
    let mut own = pages::Description::new(server.url("/"));
    own.http.bearer = Some(format!("@{}", file.display()).into());
    let description = elsewhere(&Description::try_from(&own).unwrap());
    let whole = all(description.open(None).unwrap()).await;
    assert_eq!(whole, ["0", "1", "2", "3", "4", "5"]);

    let mut source = description.open(None).unwrap();
    for _ in 0..3 {
        source.try_next().await.unwrap();
    }
    let position = source.position().unwrap();
    assert_eq!((source.name(), position.source()), ("pages", "pages"));
    assert_eq!(source.account().verdict(), Verdict::Stopped);
    source.close().await;
    assert!(source.next().await.is_none());
    assert_eq!(source.account().items, 3);
    let rest = all(description.open(Some(&position)).unwrap()).await;
    assert_eq!(rest, ["3", "4", "5"]);

    let parts = description.partitions().await.unwrap();
    assert_eq!(parts, [description]);
}

#[tokio::test]
async fn an_answer_is_made_again_from_its_description() {
    let body = concat!(
        "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"[1, 2]\"}}\n\n",
        "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n",
        "data: {\"type\":\"message_stop\"}\n\n",
    );
    let server = Server::start(move |_| {
        Reply::status(200)
            .header("content-type", "text/event-stream")
            .body(body)
    });
    let mut own = ask::Description::new("two numbers");
    own.base_url = Some(server.url(""));
    own.provider = Some("anthropic".to_owned());
    let events = all(elsewhere(&Description::try_from(&own).unwrap())
        .open(None)
        .unwrap())
    .await;
    assert_eq!(events[0], r#"{"type":"text","text":"[1, 2]"}"#);
    own.items = Some(String::new());
    let items = all(elsewhere(&Description::try_from(&own).unwrap())
        .open(None)
        .unwrap())
    .await;
    assert_eq!(items, ["1", "2"]);
}

#[test]
fn a_credential_that_is_not_named_is_not_written_down() {
    let mut own = pages::Description::new("http://api.test/");
    own.http.bearer = Some("hush".into());
    let error = Description::try_from(&own).unwrap_err();
    assert!(error.is_request() && error.to_string().contains("name it as"));
    assert!(!error.to_string().contains("hush"), "{error}");
    for url in ["http://api.test/?api_key=hush", "http://ada:hush@api.test/"] {
        let error = Description::try_from(&pages::Description::new(url)).unwrap_err();
        assert!(error.is_request() && !error.to_string().contains("hush"));
    }
    for url in [
        "http://api.test/?api_key=${KEY}",
        "http://ada:${PASSWORD}@api.test/?page=2",
    ] {
        Description::try_from(&pages::Description::new(url)).unwrap();
    }
}

#[test]
fn what_is_wrong_in_a_description_is_named_before_anything_is_sent() {
    for (description, words) in [
        (json!({"source": "tables"}), "one of `pages`, `ask`"),
        (json!({"source": "pages"}), "missing field `url`"),
        (json!({"source": "events"}), "missing field `url`"),
        (
            json!({"source": "events", "url": "http://a", "transport": "x"}),
            "expected a transport",
        ),
        (
            json!({"source": "pages", "url": "http://a", "urls": 1}),
            "unknown field `urls`",
        ),
        (
            json!({"source": "pages", "url": "http://a", "paginate": "x"}),
            "kind of pagination",
        ),
        (
            json!({"source": "pages", "url": "http://a", "http": {"rate": "1"}}),
            "expected a rate",
        ),
        (
            json!({"source": "pages", "url": "http://a", "http": {"bearer": "${NO_SUCH_VARIABLE}"}}),
            "`NO_SUCH_VARIABLE`",
        ),
        (
            json!({"source": "ask", "prompt": "a", "provider": "x"}),
            "no provider `x`",
        ),
    ] {
        let description: Description = serde_json::from_value(description).unwrap();
        let error = description.open(None).err().unwrap();
        assert!(error.is_request(), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}
