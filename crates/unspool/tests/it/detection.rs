//! What detection makes of upstreams that answer its questions in ways of their own, and
//! what it costs them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use unspool::pages::{Account, Doubt, Ended};

use crate::drain;
use crate::server::{Reply, Request, Server};

/// Items from 1 on, each with an identity.
fn items(range: std::ops::RangeInclusive<u64>) -> String {
    let items: Vec<String> = range.map(|id| format!(r#"{{"id":{id}}}"#)).collect();
    format!("[{}]", items.join(","))
}

struct Walked {
    items: usize,
    account: Account,
    requests: Vec<String>,
}

async fn walk(target: &str, answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Walked {
    let server = Server::start(answer);
    let request = unspool::pages(server.url(target)).first_wait(Duration::from_millis(1));
    let (items, account) = drain(request.raw()).await;
    Walked {
        items: items.len(),
        account: account.unwrap(),
        requests: server.targets(),
    }
}

#[track_caller]
fn check_complete(walked: &Walked, items: usize, paginate: &str) {
    let account = &walked.account;
    assert_eq!(walked.items, items, "{account:?}");
    assert!(account.complete, "{account:?}");
    assert_eq!(account.paginate, paginate);
}

/// A doubt that says that there may be more.
#[track_caller]
fn check_doubt(walked: &Walked, items: usize, part: &str) {
    let account = &walked.account;
    assert_eq!(walked.items, items, "{account:?}");
    let is_it = |doubt: &Doubt| match doubt {
        Doubt::MorePages { evidence } => evidence.contains(part),
        _ => false,
    };
    assert!(account.doubts.iter().any(is_it), "{account:?}");
}

/// Whether a request has a parameter that is not one of these.
fn has_others(request: &Request, known: &[&str]) -> bool {
    let query = request
        .target
        .split_once('?')
        .map_or("", |(_, query)| query);
    let names = query.split('&').filter_map(|pair| pair.split('=').next());
    names
        .into_iter()
        .any(|name| !name.is_empty() && !known.contains(&name))
}

/// Three pages of tokens, the parameter of which is called `name`.
fn tokens(request: &Request, name: &str, sizes: [u64; 3]) -> Reply {
    let page = match request.query(name) {
        None => 0,
        Some("t1") => 1,
        Some("t2") => 2,
        Some(_) => return Reply::status(400).body("no such token"),
    };
    let begin: u64 = sizes[..page].iter().sum();
    let next = match page {
        2 => "null".to_owned(),
        page => format!(r#""t{}""#, page + 1),
    };
    let items = items(begin + 1..=begin + sizes[page]);
    Reply::json(format!(r#"{{"items": {items}, "next_token": {next}}}"#))
}

#[tokio::test]
async fn an_empty_page_by_a_parameter_that_is_taken_for_a_filter_proves_nothing() {
    let unknown = |request: &Request| match has_others(request, &["zeiger"]) {
        true => Reply::json(r#"{"items": [], "next_token": null}"#),
        false => tokens(request, "zeiger", [5, 5, 5]),
    };
    check_doubt(&walk("/", unknown).await, 5, "next_token");
    let list = |request: &Request| match has_others(request, &["seite"]) {
        true => Reply::json("[]"),
        false => Reply::json(items(1..=25)),
    };
    check_doubt(&walk("/", list).await, 25, "its next page is empty");
    // The right name is found after those that are taken for filters.
    let late = |request: &Request| match has_others(request, &["token"]) {
        true => Reply::json(r#"{"items": [], "next_token": null}"#),
        false => tokens(request, "token", [5, 5, 5]),
    };
    let walked = walk("/", late).await;
    check_complete(&walked, 15, "cursor:/next_token,to=token");
}

#[tokio::test]
async fn an_empty_page_is_one_where_the_upstream_knows_the_parameter() {
    // The page before was full, and nothing follows it.
    let refuses = |request: &Request| match request.query("next_token") {
        Some("t1") => Reply::json(r#"{"items": [], "next_token": null}"#),
        Some(_) => Reply::status(400).body("no such token"),
        None => tokens(request, "next_token", [5, 0, 0]),
    };
    let walked = walk("/", refuses).await;
    check_complete(&walked, 5, "cursor:/next_token,to=next_token");
    assert_eq!(walked.requests.len(), 3);
    let starts_over = |request: &Request| match request.query("next_token") {
        Some("t1") => Reply::json(r#"{"items": [], "next_token": ""}"#),
        _ => tokens(request, "other", [5, 0, 0]),
    };
    let walked = walk("/", starts_over).await;
    check_complete(&walked, 5, "cursor:/next_token,to=next_token");
    // Filtered after the limit: the page in the middle is empty.
    let walked = walk("/", |request| tokens(request, "next_token", [5, 0, 5])).await;
    check_complete(&walked, 10, "cursor:/next_token,to=next_token");
}

#[tokio::test]
async fn a_bare_list_whose_second_page_is_empty_is_whole_where_its_first_is_the_first() {
    let paged = |request: &Request| match request.page() {
        1 => Reply::json(items(1..=25)),
        _ => Reply::json("[]"),
    };
    check_complete(&walk("/", paged).await, 25, "page:page");
    let named = walk("/?page=1", paged).await;
    check_complete(&named, 25, "page:page");
    assert_eq!(
        named.requests.len(),
        3,
        "what the caller says needs no control"
    );
}

#[tokio::test]
async fn a_url_is_followed_wherever_a_token_would_stand() {
    let page = |request: &Request| {
        let page = request.page();
        let next = (page < 3).then(|| format!("/v1?page={}", page + 1));
        (items(page * 5 - 4..=page * 5), next)
    };
    for field in ["next-page", "X-Next-Url"] {
        let answer = move |request: &Request| {
            let (items, next) = page(request);
            let reply = Reply::status(200);
            match next {
                Some(next) => reply.header(
                    field,
                    format!("http://{}{next}", request.header("host").unwrap()),
                ),
                None => reply,
            }
            .body(items)
        };
        let paginate = format!("next:header:{}", field.to_lowercase());
        let walked = walk("/v1", answer).await;
        check_complete(&walked, 15, &paginate);
        assert_eq!(walked.requests.len(), 3);
    }
    for key in ["cursor", "continuation", "resumption_link"] {
        let answer = move |request: &Request| {
            let (items, next) = page(request);
            let next = next.map_or("null".to_owned(), |next| format!("{next:?}"));
            Reply::json(format!(r#"{{"rows": {items}, "{key}": {next}}}"#))
        };
        check_complete(&walk("/v1", answer).await, 15, &format!("next:/{key}"));
    }
}

#[tokio::test]
async fn a_parameter_is_named_after_its_sibling() {
    for (size, offset) in [
        ("$limit", "$offset"),
        ("resultRecordCount", "resultOffset"),
        ("iDisplayLength", "iDisplayStart"),
        ("rows", "start"),
    ] {
        let answer = move |request: &Request| {
            let begin = request
                .query(&offset.replace('$', "%24"))
                .unwrap_or("0")
                .parse::<u64>()
                .unwrap();
            Reply::json(items(begin + 1..=(begin + 7).min(17)))
        };
        let walked = walk(&format!("/?{size}=7"), answer).await;
        check_complete(&walked, 17, &format!("offset:{offset}"));
    }
    let answer = |request: &Request| {
        let page = request
            .query("%24page")
            .unwrap_or("1")
            .parse::<u64>()
            .unwrap();
        Reply::json(format!(
            r#"{{"total": 17, "rows": {}}}"#,
            items(page * 7 - 6..=(page * 7).min(17))
        ))
    };
    check_complete(&walk("/?$limit=7", answer).await, 17, "page:$page");
}

#[tokio::test]
async fn the_flag_of_a_page_that_was_cut_short_is_read() {
    for flag in [
        "exceededTransferLimit",
        "moreRecordsAvailable",
        "resultsTruncated",
        "has_additional_more",
    ] {
        let answer = move |request: &Request| {
            let begin = request
                .query("offset")
                .unwrap_or("0")
                .parse::<u64>()
                .unwrap();
            let more = begin + 7 < 17;
            let items = items(begin + 1..=(begin + 7).min(17));
            Reply::json(format!(r#"{{"{flag}": {more}, "rows": {items}}}"#))
        };
        check_complete(&walk("/", answer).await, 17, "offset:offset");
    }
}

#[tokio::test]
async fn guesses_are_not_tried_again_and_what_fails_is_a_doubt() {
    let fails = |request: &Request| match request.target.contains('?') {
        true => Reply::status(500).body("oops"),
        false => Reply::json(format!(r#"{{"total": 90, "items": {}}}"#, items(1..=25))),
    };
    let walked = walk("/", fails).await;
    check_doubt(&walked, 25, "it states 90 items");
    assert_eq!(walked.account.retries, 0);
    let full = |request: &Request| match request.target.contains('?') {
        true => Reply::status(503).body("oops"),
        false => Reply::json(items(1..=25)),
    };
    check_doubt(&walk("/", full).await, 25, "answered 503");
}

#[tokio::test]
async fn what_the_upstream_gave_is_tried_again_where_it_fails_for_once() {
    let failures = Arc::new(AtomicU64::new(0));
    let answer = move |request: &Request| match request.query("next_token") {
        Some("t1") if failures.fetch_add(1, Relaxed) == 0 => Reply::status(503).body("busy"),
        _ => tokens(request, "next_token", [5, 5, 5]),
    };
    let walked = walk("/", answer).await;
    check_complete(&walked, 15, "cursor:/next_token,to=next_token");
    assert_eq!(walked.requests.len(), 4);
}

#[tokio::test]
async fn the_search_for_the_next_page_has_a_budget_and_says_when_it_is_spent() {
    let members: Vec<String> = (0..400)
        .map(|index| format!(r#""next_{index}": "t{index}""#))
        .collect();
    let answer = move |_: &Request| {
        Reply::json(format!(
            r#"{{"items": {}, {}}}"#,
            items(1..=5),
            members.join(",")
        ))
    };
    let walked = walk("/", answer).await;
    check_doubt(&walked, 5, "stopped after 40 requests");
    assert_eq!(walked.requests.len(), 41);
    let said = serde_json::to_string(&walked.account).unwrap();
    assert!(said.len() < 10_000, "{} bytes", said.len());
}

#[tokio::test]
async fn a_link_after_all_stated_items_is_not_followed_for_ever() {
    let answer = |request: &Request| {
        let page = request.page();
        let items = if page > 2 {
            "[]".to_owned()
        } else {
            items(page * 5 - 4..=page * 5)
        };
        Reply::json(format!(
            r#"{{"total": 10, "items": {items}, "next": "/?page={}"}}"#,
            page + 1
        ))
    };
    let walked = walk("/", answer).await;
    check_complete(&walked, 10, "next:/next");
    assert_eq!(walked.requests.len(), 3);
}

/// The items of a walk that is complete, and its account.
async fn whole(
    items_at: Option<&str>,
    answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> (Vec<String>, Account) {
    let server = Server::start(answer);
    let request = unspool::pages(server.url("/")).retries(0);
    let request = match items_at {
        Some(pointer) => request.items_at(pointer.parse().unwrap()),
        None => request,
    };
    crate::complete(request.raw()).await
}

#[tokio::test]
async fn a_single_resource_is_one_item_and_said_to_be_one() {
    let lines = "\"a line\", ".repeat(9000);
    let large = format!(r#"{{"id": 7, "log": [{lines}1], "owners": [{{"id": 1}}]}}"#);
    for (body, item) in [
        (r#"{"id": 7, "tags": []}"#, None),
        (r#"{"id": 7, "owners": [{"id": 1}, {"id": 2}]}"#, None),
        (
            r#"{"data": {"id": "x", "tags": ["a"]}}"#,
            Some(r#"{"id": "x", "tags": ["a"]}"#),
        ),
        (large.as_str(), None),
    ] {
        let reply = body.to_owned();
        let (items, account) = whole(None, move |_| Reply::json(&reply)).await;
        assert_eq!(items, [item.unwrap_or(body)]);
        assert_eq!(
            (account.ended.clone(), account.requests),
            (Ended::SingleResource, 1)
        );
        assert_eq!(account.items_at, None);
    }
    // A list beside what describes it.
    let list = r#"{"name": "x", "has_more": false, "owners": [{"id": 1}, {"id": 2}]}"#;
    let (items, account) = whole(None, move |_| Reply::json(list)).await;
    assert_eq!(items.len(), 2);
    assert_eq!(account.items_at.as_deref(), Some("/owners"));
}

#[tokio::test]
async fn items_may_be_the_second_element_of_a_list() {
    let paged = |request: &Request| {
        let page = request.page();
        let list = match page {
            1..=3 => items(page * 5 - 4..=page * 5),
            _ => "null".to_owned(),
        };
        Reply::json(format!(
            r#"[{{"page": {page}, "pages": 3, "total": 15}}, {list}]"#
        ))
    };
    let walked = walk("/", paged).await;
    check_complete(&walked, 15, "page:page");
    assert_eq!(walked.account.items_at.as_deref(), Some("/1"));
    let (none, account) = whole(None, |_| Reply::json(r#"[{"total": 0}, null]"#)).await;
    assert!(none.is_empty() && account.items_at.as_deref() == Some("/1"));
    // Items that have a total are items.
    let orders = r#"[{"id": 1, "total": 20}, {"id": 2, "total": 30}]"#;
    let (items, _) = whole(None, move |_| Reply::json(orders)).await;
    assert_eq!(
        items,
        [r#"{"id": 1, "total": 20}"#, r#"{"id": 2, "total": 30}"#]
    );
    let (items, _) = whole(None, |_| Reply::json(r#"[{"total": 20}]"#)).await;
    assert_eq!(items.len(), 1);
}

#[tokio::test]
async fn a_list_that_is_left_out_is_an_empty_one() {
    // As protobuf has it: in the middle with a token, and at the end with nothing at all.
    let answer = |request: &Request| {
        let page = request
            .query("pageToken")
            .map_or(0, |token| token.parse::<u64>().unwrap());
        let list = match page {
            0 | 2 => format!(r#""files": {}, "#, items(page * 5 + 1..=page * 5 + 5)),
            _ => String::new(),
        };
        match page {
            3 => Reply::json("{}"),
            page => Reply::json(format!(r#"{{{list}"nextPageToken": "{}"}}"#, page + 1)),
        }
    };
    let walked = walk("/", answer).await;
    check_complete(&walked, 10, "cursor:/nextPageToken,to=pageToken");
    for body in ["{}", r#"{"kind": "list"}"#, r#"{"result": null}"#] {
        let (items, account) = whole(Some("/result/items"), move |_| Reply::json(body)).await;
        assert!(items.is_empty());
        assert_eq!(account.ended, Ended::ListLeftOut);
    }
    // Without a word on where it would be, nobody knows.
    let server = Server::start(|_| Reply::json("{}"));
    let (_, account) = drain(unspool::pages(server.url("/")).raw()).await;
    assert!(account.unwrap_err().to_string().contains("left out"));
}

#[tokio::test]
async fn links_beside_the_list_are_not_the_items() {
    let answer = |request: &Request| {
        let page = request.page();
        let next = match page {
            3 => String::new(),
            page => format!(r#", {{"relation": "next", "url": "/?page={}"}}"#, page + 1),
        };
        Reply::json(format!(
            r#"{{"link": [{{"relation": "self", "url": "/?page={page}"}}{next}], "entry": {}}}"#,
            items(page * 5 - 4..=page * 5)
        ))
    };
    let walked = walk("/", answer).await;
    assert_eq!(
        (walked.items, walked.account.items_at.as_deref()),
        (15, Some("/entry"))
    );
    assert!(walked.account.complete, "{:?}", walked.account);
}

/// What a pinned walk comes to.
async fn pinned(
    paginate: &str,
    answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> Account {
    let server = Server::start(answer);
    let paginate = paginate.parse::<unspool::pages::Paginate>().unwrap();
    let request = unspool::pages(server.url("/v1"))
        .paginate(paginate)
        .retries(0);
    drain(request.raw()).await.1.unwrap()
}

#[tokio::test]
async fn what_the_only_page_names_for_the_next_is_a_doubt_for_each_kind_that_follows_nothing() {
    for rest in [
        r#""nextPageToken": "abc""#,
        r#""continuation": "x""#,
        r#""links": {"next": "/b"}"#,
    ] {
        let answer =
            move |_: &Request| Reply::json(format!(r#"{{"items": {}, {rest}}}"#, items(1..=5)));
        for paginate in ["link", "next:/nxt", "cursor:/nxt,to=cursor"] {
            let account = pinned(paginate, answer).await;
            assert!(!account.complete, "{paginate} {rest}");
        }
    }
    for rest in [
        r#""paging": {"cursors": {"before": "a", "after": "b"}}"#,
        r#""nextPageToken": "", "cursor": "abc""#,
        r#""nextSyncToken": "abc""#,
    ] {
        let answer =
            move |_: &Request| Reply::json(format!(r#"{{"items": {}, {rest}}}"#, items(1..=5)));
        for paginate in ["link", "next:/nxt"] {
            let account = pinned(paginate, answer).await;
            assert!(account.complete, "{paginate} {rest}: {account:?}");
        }
    }
}

/// Page 3 of 4 has this around an empty list.
fn third(said: &'static str, rest: &'static str) -> impl Fn(&Request) -> Reply {
    move |request| match request.page() {
        3 => Reply::json(format!(r#"{{{said}, "items": [], "next": null}}"#)),
        page => Reply::json(format!(
            r#"{{{rest}"items": {}, "next": "?page={}"}}"#,
            items(page * 5 - 4..=page * 5),
            page + 1
        )),
    }
}

#[tokio::test]
async fn an_answer_that_says_other_things_than_the_pages_before_is_no_page() {
    for (rest, said) in [
        (r#""errcode": 0, "#, r#""errcode": 45009"#),
        (r#""state": "running", "#, r#""state": "paused""#),
        ("", r#""fault": {"faultstring": "quota"}"#),
        ("", r#""message": "slow down""#),
    ] {
        let server = Server::start(third(said, rest));
        let (items, account) = drain(unspool::pages(server.url("/v1")).retries(0).raw()).await;
        let error = account.unwrap_err().to_string();
        assert_eq!(items.len(), 10);
        assert!(
            error.contains("answered with something else than a page"),
            "{error}"
        );
    }
    // The last page of a healthy one.
    for (rest, said) in [
        (
            r#""status": "ok", "more": true, "#,
            r#""status": "ok", "more": false"#,
        ),
        (r#""state": "more", "#, r#""state": "end""#),
        ("", r#""message": "no more items", "warnings": []"#),
    ] {
        let server = Server::start(third(said, rest));
        let (items, _) = crate::complete(unspool::pages(server.url("/v1")).raw()).await;
        assert_eq!(items.len(), 10);
    }
}

#[tokio::test]
async fn items_that_come_twice_where_pages_are_counted_stand_in_the_place_of_others() {
    // No total order: two items of the second page stand on the first as well.
    let answer = |request: &Request| {
        let page = request.page();
        let begin = page * 5 - 4 - 2 * u64::from(page > 1);
        Reply::json(format!(
            r#"{{"total_pages": 3, "items": {}}}"#,
            items(begin..=begin + 4)
        ))
    };
    let account = pinned("page:page", answer).await;
    assert_eq!(account.doubts, [Doubt::Displaced { repeated: 2 }]);
    let server = Server::start(answer);
    let request = unspool::pages(server.url("/?page=1")).unique("/id".parse().unwrap());
    let (_, account) = drain(request.raw()).await;
    assert_eq!(account.unwrap().doubts, [Doubt::Displaced { repeated: 2 }]);
}

#[tokio::test]
async fn more_items_than_the_total_counts_are_no_doubt() {
    // As FHIR does it: what is included beside the matches is not counted.
    let answer = |request: &Request| {
        let page = request.page();
        let next = if page < 3 {
            format!(r#""?page={}""#, page + 1)
        } else {
            "null".to_owned()
        };
        Reply::json(format!(
            r#"{{"total": 12, "entry": {}, "next": {next}}}"#,
            items(page * 5 - 4..=page * 5)
        ))
    };
    let walked = walk("/v1", answer).await;
    check_complete(&walked, 15, "next:/next");
    assert_eq!(walked.account.stated_total, Some(12));
}
