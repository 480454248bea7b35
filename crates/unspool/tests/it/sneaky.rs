//! Upstreams that would make a walk short or wrong without a sign: each is seen
//! through, or is a doubt or an error.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use unspool::Error;
use unspool::pages::{Account, Doubt, Ended, LinkHeader, NextUrl, Offset, PageNumber, Paginate};

use crate::drain;
use crate::server::{Reply, Request, Server};

/// Items with an identity, as JSON.
fn items(range: std::ops::Range<u64>) -> String {
    let items: Vec<String> = range.map(|id| format!(r#"{{"id":{id}}}"#)).collect();
    format!("[{}]", items.join(","))
}

/// Ten items a page, up to 25.
fn ten(page: u64) -> (u64, String) {
    let (begin, end) = ((page - 1) * 10, (page * 10).min(25));
    (end.saturating_sub(begin), items(begin.min(end)..end))
}

async fn walk(
    answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    paginate: impl Into<Paginate>,
) -> (usize, Result<Account, Error>) {
    let server = Server::start(answer);
    let request = unspool::pages(server.url("/")).paginate(paginate);
    let (items, account) = drain(request.retries(0).raw()).await;
    (items.len(), account)
}

fn auto() -> Paginate {
    Paginate::default()
}

#[track_caller]
fn check_doubt(walked: (usize, Result<Account, Error>), items: usize, doubt: &Doubt) {
    let account = walked.1.unwrap();
    assert_eq!(walked.0, items, "{account:?}");
    assert!(!account.complete);
    assert!(account.doubts.contains(doubt), "{:?}", account.doubts);
}

#[track_caller]
fn check_complete(walked: (usize, Result<Account, Error>), items: usize) {
    let account = walked.1.unwrap();
    assert_eq!(walked.0, items, "{account:?}");
    assert!(account.complete, "{:?}", account.doubts);
}

#[tokio::test]
async fn a_link_header_with_other_letters_than_ascii_is_followed() {
    let answer = |request: &Request| {
        let page = request.page();
        let reply = match page {
            1 | 2 => {
                Reply::status(200).header("link", format!("</?q=Zoë&page={}>; rel=next", page + 1))
            }
            _ => Reply::status(200),
        };
        reply.body(items(page * 2..page * 2 + 2))
    };
    check_complete(walk(answer, auto()).await, 6);
    check_complete(walk(answer, LinkHeader::new()).await, 6);
}

#[tokio::test]
async fn a_link_header_that_cannot_be_read_is_a_doubt() {
    for field in ["/?page=2; rel=\"next\"", "</?page=2; rel=next"] {
        let answer = move |_: &Request| Reply::status(200).header("link", field).body("[1,2]");
        for paginate in [auto(), LinkHeader::new().into()] {
            let (_, account) = walk(answer, paginate).await;
            let doubts = account.unwrap().doubts;
            assert!(
                matches!(&doubts[..], [Doubt::MorePages { evidence }] if evidence.contains("Link")),
                "{doubts:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_count_of_each_page_ends_no_walk() {
    for key in ["count", "total"] {
        let by_page = move |request: &Request| {
            let (count, items) = ten(request.page());
            Reply::json(format!(r#"{{"{key}": {count}, "items": {items}}}"#))
        };
        check_complete(walk(by_page, PageNumber::new("page")).await, 25);
        check_complete(walk(by_page, auto()).await, 25);
        let by_offset = move |request: &Request| {
            let begin = request.query("offset").unwrap_or("0").parse().unwrap();
            let (begin, end) = (25.min(begin), 25.min(begin + 10));
            Reply::json(format!(
                r#"{{"{key}": {}, "items": {}}}"#,
                end - begin,
                items(begin..end)
            ))
        };
        check_complete(walk(by_offset, Offset::new("offset")).await, 25);
    }
}

/// The price of the above is one request, and two where the kind is guessed.
#[tokio::test]
async fn a_total_that_is_one_costs_little_to_believe() {
    for (paginate, requests) in [(auto(), 3), (PageNumber::new("page").into(), 2)] {
        let answer =
            |_: &Request| Reply::json(format!(r#"{{"total": 10, "items": {}}}"#, ten(1).1));
        let empty = |_: &Request| Reply::json(r#"{"total": 10, "items": []}"#);
        let server = Server::start(move |request| match request.page() {
            2 => empty(request),
            _ => answer(request),
        });
        let request = unspool::pages(server.url("/")).paginate(paginate);
        let (items, account) = crate::complete(request.raw()).await;
        assert_eq!((items.len(), account.stated_total), (10, Some(10)));
        assert_eq!(account.requests, requests);
    }
}

#[tokio::test]
async fn a_total_that_pages_contradict_does_not_end_the_walk() {
    let answer = |request: &Request| {
        let items = ten(request.page()).1;
        Reply::json(format!(
            r#"{{"total": 10, "total_pages": 3, "items": {items}}}"#
        ))
    };
    let doubt = Doubt::CountsDiffer {
        stated: 10,
        received: 25,
    };
    check_doubt(walk(answer, PageNumber::new("page")).await, 25, &doubt);
}

#[tokio::test]
async fn a_flag_that_says_more_at_the_end_is_a_doubt() {
    let answer = |request: &Request| {
        let page = request.page();
        let items = items(page * 10..page * 10 + 10);
        Reply::json(format!(
            r#"{{"total": 20, "has_more": true, "items": {items}}}"#
        ))
    };
    let doubt = Doubt::SaysMore {
        evidence: "`/has_more` says that there is more".to_owned(),
    };
    check_doubt(walk(answer, PageNumber::new("page")).await, 20, &doubt);
    check_complete(walk(answer, PageNumber::new("page").last(1)).await, 10);
}

#[tokio::test]
async fn a_next_page_in_another_place_than_before_is_a_doubt() {
    let in_body = |request: &Request| match request.page() {
        1 => Reply::json(r#"{"items": [1], "next": "?page=2"}"#),
        _ => Reply::json(r#"{"items": [2], "links": {"next": "?page=3"}}"#),
    };
    let doubt = Doubt::SaysMore {
        evidence: "the last page has the URL of a next one in another place".to_owned(),
    };
    check_doubt(walk(in_body, auto()).await, 2, &doubt);
    let pinned = NextUrl::at("/next".parse::<unspool::Pointer>().unwrap());
    check_doubt(walk(in_body, pinned).await, 2, &doubt);
    let in_header = |request: &Request| match request.page() {
        1 => Reply::status(200)
            .header("link", "<?page=2>; rel=next")
            .body(r#"{"items": [1]}"#),
        _ => Reply::json(r#"{"items": [2], "next": "?page=3"}"#),
    };
    let doubt = Doubt::SaysMore {
        evidence: "the last page has the URL of a next one in its body".to_owned(),
    };
    check_doubt(walk(in_header, auto()).await, 2, &doubt);
}

#[tokio::test]
async fn a_page_that_is_stated_and_missing_is_a_doubt() {
    let answer = |request: &Request| match request.page() {
        3 => Reply::status(404).body("no"),
        page => Reply::json(format!(
            r#"{{"total_pages": 5, "items": {}}}"#,
            items(page * 10..page * 10 + 10)
        )),
    };
    let doubt = Doubt::RefusedPage {
        page: 3,
        status: 404,
    };
    check_doubt(walk(answer, PageNumber::new("page")).await, 20, &doubt);
}

#[tokio::test]
async fn empty_pages_among_those_that_are_stated_are_passed_over() {
    let answer = |short: u64| {
        move |request: &Request| {
            let items = match request.page() {
                2 => items(20..20 + short),
                3 | 4 => "[]".to_owned(),
                page => items(page * 10..page * 10 + 10),
            };
            Reply::json(format!(r#"{{"total_pages": 6, "items": {items}}}"#))
        }
    };
    check_complete(walk(answer(7), PageNumber::new("page")).await, 37);
    let doubt = Doubt::EmptyBetween { page: 3 };
    check_doubt(walk(answer(10), PageNumber::new("page")).await, 40, &doubt);
}

/// A query that sorts by nothing: each page is another choice.
#[tokio::test]
async fn a_total_that_is_reached_by_repeated_items_is_a_doubt() {
    let answer = |request: &Request| {
        let items = match request.page() {
            1 => items(0..10),
            2 => items(5..15),
            3 => items(20..30),
            _ => "[]".to_owned(),
        };
        Reply::json(format!(r#"{{"total": 30, "items": {items}}}"#))
    };
    let doubt = Doubt::Repeated {
        stated: 30,
        distinct: 25,
    };
    check_doubt(walk(answer, PageNumber::new("page")).await, 30, &doubt);
}

#[tokio::test]
async fn a_total_that_counts_repeated_items_once_agrees() {
    let answer = |request: &Request| {
        let items = match request.page() {
            1 => items(0..10),
            2 => items(8..18),
            3 => items(16..20),
            _ => "[]".to_owned(),
        };
        Reply::json(format!(r#"{{"total": 20, "items": {items}}}"#))
    };
    check_complete(walk(answer, PageNumber::new("page")).await, 24);
}

/// Equal items without an identity may well be different ones.
#[tokio::test]
async fn equal_items_without_an_identity_are_no_doubt() {
    let answer = |request: &Request| {
        let items = ["[1,1,2]", "[1,1,3]"][request.page() as usize - 1];
        Reply::json(format!(r#"{{"total": 6, "items": {items}}}"#))
    };
    check_complete(walk(answer, PageNumber::new("page")).await, 6);
}

#[tokio::test]
async fn a_total_that_falls_while_pages_are_counted_is_a_doubt() {
    let answer = |request: &Request| {
        let (total, items) = match request.page() {
            1 => (30, items(0..10)),
            // Item 3 was deleted, and 10 moved to page 1.
            2 => (29, items(11..21)),
            _ => (29, items(21..30)),
        };
        Reply::json(format!(r#"{{"total": {total}, "items": {items}}}"#))
    };
    let doubt = Doubt::Shrunk { from: 30, to: 29 };
    check_doubt(walk(answer, PageNumber::new("page")).await, 29, &doubt);
}

#[tokio::test]
async fn a_total_that_falls_is_a_doubt_whatever_the_parameter_is_called() {
    let doubt = Doubt::Shrunk { from: 6, to: 5 };
    let answer = |name: &'static str, size: u64| {
        move |request: &Request| {
            let at = request.query(name).unwrap_or("0").parse::<u64>().unwrap();
            let (total, items) = match at / size {
                0 => (6, items(0..3)),
                1 => (5, items(4..6)),
                _ => (5, items(6..6)),
            };
            Reply::json(format!(r#"{{"total": {total}, "items": {items}}}"#))
        }
    };
    let pages = PageNumber::new("seite").first(0);
    check_doubt(walk(answer("seite", 1), pages).await, 5, &doubt);
    let offsets = Offset::new("ab");
    check_doubt(walk(answer("ab", 3), offsets).await, 5, &doubt);
    // Nothing moves past a key.
    let keys = "last:/id,to=ab".parse::<Paginate>().unwrap();
    let by_key = |request: &Request| {
        let (total, items) = match request.query("ab") {
            None => (6, items(0..3)),
            Some("2") => (5, items(4..6)),
            _ => (5, items(6..6)),
        };
        Reply::json(format!(r#"{{"total": {total}, "items": {items}}}"#))
    };
    check_complete(walk(by_key, keys).await, 5);
}

/// A parameter that is not understood, and items with the time in them.
#[tokio::test]
async fn the_same_items_with_something_that_changes_prove_nothing() {
    let answer = |request: &Request| {
        let seen = request.target.len() as u64 * 1000 + request.page();
        let items: Vec<String> = (0..10)
            .map(|id| format!(r#"{{"id":{id},"seen":{}}}"#, seen + id))
            .collect();
        Reply::json(format!(
            r#"{{"total": 30, "items": [{}]}}"#,
            items.join(",")
        ))
    };
    let (count, account) = walk(answer, auto()).await;
    assert_eq!(count, 10);
    assert!(!account.unwrap().complete);
    let doubt = Doubt::SameItems { page: 2 };
    check_doubt(walk(answer, PageNumber::new("page")).await, 30, &doubt);
}

/// The third of five pages is answered otherwise, with a status of success.
fn third(reply: fn() -> Reply) -> impl Fn(&Request) -> Reply {
    move |request| match request.page() {
        3 => reply(),
        page => {
            let next = if page < 5 { page + 1 } else { 0 };
            let next = (next > 0).then(|| format!(r#""?page={next}""#));
            Reply::json(format!(
                r#"{{"items": {}, "next": {}}}"#,
                items(page * 2..page * 2 + 2),
                next.unwrap_or("null".to_owned())
            ))
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_no_page_is_an_error_whatever_its_status() {
    let replies: &[fn() -> Reply] = &[
        || Reply::status(204).send(""),
        || Reply::status(200).body(""),
        || Reply::json("null"),
        || Reply::json(r#"{"message": "slow down", "status": 429}"#),
        || Reply::json(r#"{"items": [], "error": "slow down"}"#),
        || Reply::json(r#"{"items": [], "error": {"code": 429}}"#),
        || Reply::json(r#"{"items": [], "errors": "slow down"}"#),
        || Reply::json(r#"{"items": [], "ok": false}"#),
        || Reply::json(r#"{"items": [], "success": false, "message": "no"}"#),
        || Reply::json(r#"{"items": [{"id": NaN}], "next": "?page=4"}"#),
        || Reply::json(r#"{"items": [], "x": Infinity, "next": "?page=4"}"#),
        || Reply::json(r#"{"items": [], "next": ["?page=4"]}"#),
        || Reply::json(r#"{"items": [], "next": "?page=4"}{"items": []}"#),
        || Reply::json(r#"{"results": [], "next": "?page=4"}"#),
        || {
            Reply::status(200)
                .header("content-type", "text/html")
                .body("<!DOCTYPE html><html><body>log in</body></html>")
        },
        || Reply::status(200).body("<div><p>please</p><p>log in</p></div>"),
        || Reply::status(200).body("<items><item>1</item></items>"),
        || Reply::status(302).header("location", "/?page=1").body(""),
        || {
            Reply::status(206)
                .header("content-range", "bytes 0-19/60")
                .body(r#"{"items": [{"id": 6}"#)
        },
        || {
            Reply::status(200)
                .header("transfer-encoding", "chunked")
                .send("1f\r\n{\"items\":[], \"next\":\"/?page=4\"}\r\n")
                .close()
        },
    ];
    for (index, reply) in replies.iter().enumerate() {
        let (_, account) = walk(third(*reply), auto()).await;
        assert!(account.is_err(), "{index}: {account:?}");
    }
}

#[tokio::test]
async fn a_page_with_a_byte_order_mark_is_a_page() {
    let reply = || Reply::json("\u{FEFF}{\"items\": [6, 7], \"next\": \"?page=4\"}");
    check_complete(walk(third(reply), auto()).await, 10);
}

#[tokio::test]
async fn an_answer_that_is_a_part_by_its_own_word_is_a_doubt() {
    for (body, evidence) in [
        (
            r#"{"incomplete_results": true, "total_count": 1, "items": [{"id": 1}]}"#,
            "`/incomplete_results` is true",
        ),
        (
            r#"{"timed_out": true, "hits": {"hits": [{"_id": "1"}]}}"#,
            "`/timed_out` is true",
        ),
        (
            r#"{"_shards": {"total": 5, "failed": 2}, "hits": {"hits": [{"_id": "1"}]}}"#,
            "`/_shards/failed` is 2",
        ),
    ] {
        let doubt = Doubt::PartialAnswer {
            error: evidence.to_owned(),
        };
        check_doubt(walk(move |_| Reply::json(body), auto()).await, 1, &doubt);
    }
}

#[tokio::test]
async fn partial_content_without_a_word_on_the_rest_is_a_doubt() {
    let answer = |_: &Request| Reply::status(206).body(items(0..7));
    let (count, account) = walk(answer, auto()).await;
    assert_eq!(count, 7);
    let account = account.unwrap();
    assert!(
        matches!(&account.doubts[..], [Doubt::MorePages { evidence }] if evidence.contains("206")),
        "{account:?}"
    );
    check_doubt(
        walk(
            third(|| Reply::status(206).body(format!(r#"{{"items": {}}}"#, items(6..8)))),
            auto(),
        )
        .await,
        6,
        &Doubt::SaysMore {
            evidence: "status 206 says that it is a part of what there is".to_owned(),
        },
    );
}

/// As PostgREST does it.
#[tokio::test]
async fn a_range_of_items_gives_the_total_and_the_kind() {
    let answer = |request: &Request| {
        let begin: u64 = request.query("offset").unwrap_or("0").parse().unwrap();
        let end = (begin + 7).min(25);
        Reply::status(206)
            .header("content-range", format!("{begin}-{}/25", end - 1))
            .body(items(begin..end))
    };
    let server = Server::start(answer);
    let (items, account) = crate::complete(unspool::pages(server.url("/?limit=7")).raw()).await;
    assert_eq!((items.len(), account.stated_total), (25, Some(25)));
    assert_eq!(account.paginate, "offset:offset");
    assert_eq!((account.ended, account.requests), (Ended::AllItems, 4));
}

/// The position would hold them otherwise.
#[tokio::test]
async fn user_and_password_in_a_next_link_are_left_out() {
    let server = Server::start(|request| match request.page() {
        1 => {
            let host = request.header("host").unwrap();
            let next = format!("http://ada:lovelace@{host}/?page=2");
            Reply::json(format!(r#"{{"items": [1], "next": "{next}"}}"#))
        }
        _ => Reply::json(r#"{"items": [2], "next": null}"#),
    });
    let mut pages = unspool::pages(server.url("/"))
        .basic_auth("ada", "lovelace")
        .raw();
    let mut count = 0;
    while let Some(item) = futures_util::StreamExt::next(&mut pages).await {
        item.unwrap();
        count += 1;
        let position = serde_json::to_string(&pages.position().unwrap()).unwrap();
        assert!(!position.contains("lovelace"), "{position}");
    }
    assert_eq!(count, 2);
    let requests = server.requests();
    assert!(
        requests
            .iter()
            .all(|request| request.header("authorization").is_some())
    );
}

/// Which of the two is meant, nobody knows: most readers take the last.
#[tokio::test]
async fn a_key_that_the_envelope_has_twice_is_a_doubt() {
    let answer = |_: &Request| Reply::json(r#"{"items":[1],"next":"?page=2","next":null}"#);
    let doubt = Doubt::RepeatedKey {
        key: "/next".to_owned(),
    };
    check_doubt(walk(answer, auto()).await, 1, &doubt);
}

#[tokio::test]
async fn an_error_in_the_place_of_the_items_is_said() {
    let answer = |_: &Request| {
        Reply::json(r#"{"data": null, "errors": [{"message": "Cannot query field 'x'"}]}"#)
    };
    let error = walk(answer, auto()).await.1.unwrap_err();
    assert!(
        error.to_string().contains("Cannot query field 'x'"),
        "{error}"
    );
}

/// As a server of JSON:API does it that has nothing else.
#[tokio::test]
async fn what_a_server_calls_json_is_accepted() {
    let answer = |request: &Request| match request.header("accept") {
        Some(accept) if accept.contains("*/*") => Reply::status(200)
            .header("content-type", "application/vnd.api+json")
            .body(r#"{"data": [{"id": "1"}]}"#),
        _ => Reply::status(406).body(""),
    };
    check_complete(walk(answer, auto()).await, 1);
}

#[tokio::test]
async fn a_body_is_not_left_out_where_a_redirect_would_drop_it() {
    let server = Server::start(|request| match request.path() {
        "/" => Reply::status(301).header("location", "/other").body(""),
        _ => Reply::json(items(0..3)),
    });
    let request = unspool::pages(server.url("/")).data(serde_json::json!({"q": 1}));
    let (items, account) = drain(request.raw()).await;
    let error = account.unwrap_err();
    assert!(items.is_empty());
    assert!(
        error.to_string().contains("redirects with status 301"),
        "{error}"
    );
    assert_eq!(server.targets(), ["/"]);
}

fn gzip(text: &str) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

fn gzipped_lines() -> Reply {
    Reply::status(200)
        .header("content-type", "application/x-ndjson")
        .header("content-encoding", "gzip")
}

#[tokio::test]
async fn all_members_of_a_gzip_are_read() {
    let whole = [gzip("{\"id\":1}\n"), gzip("{\"id\":2}\n"), gzip("")].concat();
    let answer = move |_: &Request| gzipped_lines().body(whole.clone());
    check_complete(walk(answer, auto()).await, 2);
}

#[tokio::test]
async fn a_gzip_that_is_cut_between_its_members_is_not_whole() {
    let (first, second) = (gzip("{\"id\":1}\n"), gzip("{\"id\":2}\n"));
    let length = first.len() + second.len();
    let body = first.clone();
    let (count, account) = walk(move |_| gzipped_lines().cut(body.clone(), length), auto()).await;
    assert_eq!(count, 1);
    assert!(account.unwrap_err().is_truncated());
    let (count, account) = walk(move |_| gzipped_lines().until_close(first.clone()), auto()).await;
    assert_eq!(count, 1);
    assert_eq!(account.unwrap().doubts, [Doubt::NoEndMark]);
}

#[tokio::test]
async fn what_follows_the_end_of_compressed_data_is_an_error() {
    let mut brotli = brotli::CompressorWriter::new(Vec::new(), 4096, 3, 20);
    brotli.write_all(b"[1]").unwrap();
    let body = [brotli.into_inner(), b"[2]".to_vec()].concat();
    let answer = move |_: &Request| {
        Reply::status(200)
            .header("content-encoding", "br")
            .body(body.clone())
    };
    let error = walk(answer, auto()).await.1.unwrap_err();
    assert!(error.to_string().contains("follow the end"), "{error}");
}

/// Neither a length nor chunks, and no word that the connection is to end.
#[tokio::test]
async fn lines_that_end_with_their_connection_are_a_doubt_without_a_header_too() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\r\n";
    let answer = move |_: &Request| Reply::bytes(format!("{head}{{\"id\":1}}\n"));
    let account = walk(answer, auto()).await.1.unwrap();
    assert_eq!(account.doubts, [Doubt::NoEndMark]);
}
