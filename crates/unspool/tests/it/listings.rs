//! Listings that are not one JSON document: their items come as JSON, and never
//! fewer of them.

use unspool::pages::{Doubt, Ended, NextUrl};

use crate::server::{Reply, Server};
use crate::{complete, drain};

const BUCKET: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Name>bucket</Name><KeyCount>2</KeyCount><IsTruncated>false</IsTruncated>
  <Contents><Key>a &amp; b</Key><Size>1</Size></Contents>
  <Contents><Key>é</Key><Size>2</Size></Contents>
</ListBucketResult>
"#;

const FEED: &str = r#"<?xml version='1.0' encoding='UTF-8'?>
<feed xmlns="http://www.w3.org/2005/Atom">
  <title>a query</title>
  <entry><id>1</id><title>On &lt;x&gt;</title><link href="/1" rel="alternate"/></entry>
  <entry><id>2</id><author><name>A</name></author><author><name>B</name></author></entry>
</feed>"#;

fn xml(body: impl Into<Vec<u8>>) -> Reply {
    Reply::status(200)
        .header("content-type", "application/xml")
        .body(body)
}

#[tokio::test]
async fn the_objects_of_a_bucket_are_items() {
    let server = Server::start(|_| xml(BUCKET));
    let (items, account) = complete(unspool::pages(server.url("/")).raw()).await;
    assert_eq!(
        items,
        [r#"{"Key":"a & b","Size":"1"}"#, r#"{"Key":"é","Size":"2"}"#]
    );
    assert_eq!(account.pages, 1);
}

#[tokio::test]
async fn the_entries_of_a_feed_are_items_of_a_type() {
    #[derive(Debug, serde::Deserialize)]
    struct Entry {
        id: String,
    }
    let server = Server::start(|_| xml(FEED));
    let mut entries = unspool::pages(server.url("/")).items::<Entry>();
    let mut ids = Vec::new();
    while let Some(entry) = futures_util::StreamExt::next(&mut entries).await {
        ids.push(entry.unwrap().id);
    }
    assert_eq!(ids, ["1", "2"]);
}

#[tokio::test]
async fn pages_of_a_listing_are_walked_to_one_without_items() {
    let server = Server::start(|request| match request.page() {
        1 => xml("<feed><next>?page=2</next><entry>1</entry><entry>2</entry></feed>"),
        2 => xml("<feed><next>?page=3</next><entry>3</entry></feed>"),
        _ => xml("<feed><next/></feed>"),
    });
    let request = unspool::pages(server.url("/")).paginate(NextUrl::at(
        "/feed/next".parse::<unspool::Pointer>().unwrap(),
    ));
    let (items, account) = complete(request.raw()).await;
    assert_eq!(items, ["\"1\"", "\"2\"", "\"3\""]);
    assert_eq!((&account.ended, account.pages), (&Ended::NoNext, 3));
}

#[tokio::test]
async fn elements_of_other_names_are_found_or_named() {
    let server = Server::start(|_| xml("<cats><tom/><cat>1</cat><cat>2</cat></cats>"));
    let (items, _) = complete(unspool::pages(server.url("/")).raw()).await;
    assert_eq!(items, ["\"1\"", "\"2\""]);
    let request = unspool::pages(server.url("/")).items_at("/cats/tom".parse().unwrap());
    let (items, _) = complete(request.raw()).await;
    assert_eq!(items, ["\"\""]);
    let server = Server::start(|_| xml("<cats><cat>1</cat></cats>"));
    let error = drain(unspool::pages(server.url("/")).raw())
        .await
        .1
        .unwrap_err();
    assert!(
        error.to_string().contains("no element that repeats"),
        "{error}"
    );
}

#[tokio::test]
async fn prefixes_without_objects_are_a_doubt() {
    let body =
        "<ListBucketResult><CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes></ListBucketResult>";
    let server = Server::start(move |_| xml(body));
    let account = drain(unspool::pages(server.url("/")).raw())
        .await
        .1
        .unwrap();
    assert!(
        matches!(account.doubts[..], [Doubt::OtherItems { .. }]),
        "{:?}",
        account.doubts
    );
}

#[tokio::test]
async fn a_listing_that_is_cut_anywhere_is_truncated() {
    for body in [BUCKET.trim_end(), FEED] {
        let server = Server::start(move |request| {
            let end: usize = request.query("end").unwrap().parse().unwrap();
            // Nothing but the document itself tells that it is not whole.
            Reply::status(200).until_close(&body.as_bytes()[..end])
        });
        for end in 0..body.len() {
            let request = unspool::pages(server.url(&format!("/?end={end}"))).retries(0);
            let (items, account) = drain(request.raw()).await;
            let error = account.unwrap_err();
            assert!(error.is_truncated(), "{error} at {end}");
            assert!(items.len() <= 2);
        }
        let whole = unspool::pages(server.url(&format!("/?end={}", body.len())));
        assert_eq!(complete(whole.raw()).await.0.len(), 2);
    }
}

#[tokio::test]
async fn a_listing_in_the_smallest_pieces_is_the_same() {
    for body in [BUCKET, FEED] {
        let server = Server::start(move |request| {
            let size: usize = request.query("bytes").unwrap().parse().unwrap();
            let reply = Reply::status(200).header("content-length", body.len());
            (body.as_bytes().chunks(size)).fold(reply, |reply, chunk| reply.send(chunk))
        });
        let mut all = Vec::new();
        for size in [1, 2, 7, 50, 5000] {
            let request = unspool::pages(server.url(&format!("/?bytes={size}")));
            all.push(complete(request.raw()).await.0);
        }
        assert!(
            all.iter().all(|items| *items == all[0] && items.len() == 2),
            "{all:?}"
        );
    }
}

#[tokio::test]
async fn json_that_is_said_to_be_something_else_is_json() {
    for content_type in ["text/plain", "application/xml", "text/html; charset=utf-8"] {
        let server = Server::start(move |_| {
            Reply::status(200)
                .header("content-type", content_type)
                .body(" \n[1, 2]")
        });
        assert_eq!(
            complete(unspool::pages(server.url("/")).raw()).await.0,
            ["1", "2"]
        );
    }
}

#[tokio::test]
async fn xml_that_is_said_to_be_json_is_xml() {
    let server = Server::start(|_| Reply::json(FEED));
    assert_eq!(
        complete(unspool::pages(server.url("/")).raw())
            .await
            .0
            .len(),
        2
    );
}

#[tokio::test]
async fn lines_of_json_are_items_on_every_page() {
    let server = Server::start(|request| {
        let reply = Reply::status(200).header("content-type", "application/x-ndjson");
        match request.page() {
            1 => reply
                .header("link", "<?page=2>; rel=next")
                .body("{\"id\":1}\n{\"id\":2}\n"),
            _ => reply.body("{\"id\":3}\n"),
        }
    });
    let (items, account) = complete(unspool::pages(server.url("/")).raw()).await;
    assert_eq!(items, [r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":3}"#]);
    assert_eq!((account.ended, account.items), (Ended::NoNext, 3));
}

#[tokio::test]
async fn lines_that_end_with_their_connection_are_a_doubt() {
    let server = Server::start(|_| {
        Reply::status(200)
            .header("content-type", "application/x-ndjson")
            .until_close("{\"id\":1}\n{\"id\":2}\n")
    });
    let (items, account) = drain(unspool::pages(server.url("/")).raw()).await;
    assert_eq!(items.len(), 2);
    assert_eq!(account.unwrap().doubts, [Doubt::NoEndMark]);
}

#[tokio::test]
async fn lines_that_are_cut_are_truncated() {
    const LINES: &str = "{\"id\":1}\n{\"id\":2}\n";
    let server = Server::start(|request| {
        let end: usize = request.query("end").unwrap().parse().unwrap();
        Reply::status(200)
            .header("content-type", "application/x-ndjson")
            .cut(&LINES.as_bytes()[..end], LINES.len())
    });
    for end in 0..LINES.len() {
        let request = unspool::pages(server.url(&format!("/?end={end}"))).retries(0);
        let error = drain(request.raw()).await.1.unwrap_err();
        assert!(error.is_truncated(), "{error} at {end}");
    }
}
