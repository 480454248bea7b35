//! What ends a walk, and what is only a doubt.

use unspool::pages::{Doubt, Ended, LinkHeader, NextUrl, PageNumber, Single};

use crate::server::{Reply, Server, linked_page, numbers};
use crate::{complete, drain};

#[tokio::test]
async fn a_link_header_is_followed_to_the_page_without_one() {
    let server = Server::linked_pages(3, 2);
    for request in [
        unspool::pages(server.url("/a")),
        unspool::pages(server.url("/a")).paginate(LinkHeader::new()),
    ] {
        let (items, account) = complete(request.raw()).await;
        assert_eq!(items, ["0", "1", "2", "3", "4", "5"]);
        assert_eq!(account.ended, Ended::NoNext);
        assert_eq!((account.pages, account.requests, account.items), (3, 3, 6));
    }
    assert_eq!(server.targets()[..3], ["/a", "/a?page=2", "/a?page=3"]);
}

/// Pages with the next URL in the body, and a count of all items.
fn counted(pages: u64, count: u64) -> Server {
    Server::start(move |request| {
        let page = request.page();
        let next = match page < pages {
            true => format!("\"?page={}\"", page + 1),
            false => "null".to_owned(),
        };
        let items = numbers((page - 1) * 2..page * 2);
        Reply::json(format!(
            r#"{{"count": {count}, "next": {next}, "results": {items}}}"#
        ))
    })
}

#[tokio::test]
async fn a_next_url_in_the_body_is_followed_until_it_is_null() {
    let server = counted(3, 6);
    for request in [
        unspool::pages(server.url("/a/b")),
        unspool::pages(server.url("/a/b"))
            .paginate(NextUrl::at("/next".parse::<unspool::Pointer>().unwrap())),
        unspool::pages(server.url("/a/b")).paginate(NextUrl::new()),
    ] {
        let (items, account) = complete(request.raw()).await;
        assert_eq!(items.len(), 6);
        assert_eq!(account.ended, Ended::NoNext);
        assert_eq!(account.stated_total, Some(6));
    }
}

#[tokio::test]
async fn a_stated_total_that_differs_from_what_came_is_a_doubt() {
    let server = counted(3, 7);
    let (items, account) = drain(unspool::pages(server.url("/")).raw()).await;
    let account = account.unwrap();
    assert_eq!(items.len(), 6);
    assert!(!account.complete);
    assert_eq!(
        account.doubts,
        [Doubt::CountsDiffer {
            stated: 7,
            received: 6
        }]
    );
}

#[tokio::test]
async fn an_empty_page_does_not_end_the_walk() {
    let server = Server::start(|request| match request.page() {
        2 => Reply::status(200)
            .header("link", "<?page=3>; rel=next")
            .body("[]"),
        _ => linked_page(request, 4, 2),
    });
    let (items, account) = complete(unspool::pages(server.url("/")).raw()).await;
    assert_eq!(items, ["0", "1", "4", "5", "6", "7"]);
    assert_eq!(account.pages, 4);
}

#[tokio::test]
async fn null_in_the_place_of_the_items_is_an_empty_page() {
    let server = Server::start(|request| match request.page() {
        1 => Reply::json(r#"{"items": [1], "next": "?page=2"}"#),
        2 => Reply::json(r#"{"items": null, "next": "?page=3"}"#),
        _ => Reply::json(r#"{"items": [3], "next": ""}"#),
    });
    let (items, _) = complete(unspool::pages(server.url("/")).raw()).await;
    assert_eq!(items, ["1", "3"]);
}

#[tokio::test]
async fn page_numbers_go_to_the_last_page_that_was_given() {
    let server = Server::start(|request| match request.page() {
        2 => Reply::json("[]"),
        page => Reply::json(numbers([page])),
    });
    let numbered = PageNumber::new("page").last(5);
    let (items, account) = complete(
        unspool::pages(server.url("/?per=1"))
            .paginate(numbered)
            .raw(),
    )
    .await;
    assert_eq!(items, ["1", "3", "4", "5"]);
    assert_eq!(account.ended, Ended::Asked);
    assert_eq!(server.targets()[0], "/?per=1&page=1");
    assert_eq!(server.targets().len(), 5);
}

#[tokio::test]
async fn page_numbers_without_a_last_page_end_behind_empty_pages() {
    let server = Server::start(|request| match request.page() {
        page @ (1 | 3) => Reply::json(numbers([page])),
        _ => Reply::json("[]"),
    });
    let (items, account) = complete(
        unspool::pages(server.url("/"))
            .paginate(PageNumber::new("page"))
            .raw(),
    )
    .await;
    assert_eq!(items, ["1", "3"]);
    assert_eq!(account.ended, Ended::EmptyPages);
    assert_eq!(account.requests, 5);
}

#[tokio::test]
async fn page_numbers_end_where_there_is_no_such_page_but_not_at_the_first() {
    let server = Server::start(|request| match request.page() {
        page @ 1..=2 => Reply::json(numbers([page])),
        _ => Reply::status(404).body("{}"),
    });
    let numbered = || PageNumber::new("page");
    let (items, account) =
        complete(unspool::pages(server.url("/")).paginate(numbered()).raw()).await;
    assert_eq!(items, ["1", "2"]);
    assert_eq!(account.ended, Ended::NoSuchPage { page: 3 });
    let (_, account) = drain(
        unspool::pages(server.url("/?page=3"))
            .paginate(numbered())
            .raw(),
    )
    .await;
    assert_eq!(account.unwrap_err().status(), Some(404));
}

#[tokio::test]
async fn a_stated_number_of_pages_saves_the_request_behind_the_last() {
    let server = Server::start(|request| {
        Reply::status(200)
            .header("x-total-pages", 2)
            .body(numbers([request.page()]))
    });
    let numbered = PageNumber::new("page");
    let (items, account) = complete(unspool::pages(server.url("/")).paginate(numbered).raw()).await;
    assert_eq!(items, ["1", "2"]);
    assert_eq!(
        (account.ended, account.requests),
        (Ended::LastPage { page: 2 }, 2)
    );
}

#[tokio::test]
async fn a_page_that_looks_like_one_of_many_is_a_doubt() {
    for (target, body) in [
        ("/", r#"{"data": [1], "has_more": true}"#),
        ("/", r#"{"data": [1], "next_cursor": "abc"}"#),
        ("/?page=1", "[1]"),
    ] {
        let server = Server::start(move |_| Reply::json(body));
        let (_, account) = drain(unspool::pages(server.url(target)).raw()).await;
        let account = account.unwrap();
        assert!(!account.complete, "{body}");
        assert!(
            matches!(account.doubts[..], [Doubt::MorePages { .. }]),
            "{:?}",
            account.doubts
        );
        let (_, account) = complete(
            unspool::pages(server.url(target))
                .paginate(Single::new())
                .raw(),
        )
        .await;
        assert_eq!(account.ended, Ended::Asked);
    }
}

#[tokio::test]
async fn a_second_array_that_could_be_the_items_is_a_doubt() {
    let server = Server::start(|_| Reply::json(r#"{"data": [], "items": [1, 2]}"#));
    let (items, account) = drain(unspool::pages(server.url("/")).raw()).await;
    assert!(items.is_empty());
    let expected = Doubt::OtherItems {
        taken: "/data".to_owned(),
        other: "/items".to_owned(),
    };
    assert_eq!(account.unwrap().doubts, [expected]);
}

#[tokio::test]
async fn a_next_link_to_a_page_that_was_read_is_an_error_that_names_both() {
    let server = Server::start(|request| {
        let next = if request.page() == 3 {
            2
        } else {
            request.page() + 1
        };
        Reply::status(200)
            .header("link", format!("<?page={next}>; rel=next"))
            .body(numbers([request.page()]))
    });
    let (items, account) = drain(unspool::pages(server.url("/")).raw()).await;
    let error = account.unwrap_err();
    assert_eq!(items, ["1", "2", "3"]);
    assert!(error.is_looped());
    let text = error.to_string();
    assert!(
        text.contains("page=2") && text.contains("page 4") && text.contains("page 2"),
        "{text}"
    );
    assert_eq!(server.targets().len(), 3);
}

#[tokio::test]
async fn a_link_of_a_page_to_itself_is_an_error() {
    let server = Server::start(|request| {
        Reply::json(format!(r#"{{"items": [1], "next": "{}"}}"#, request.target))
    });
    let (items, account) = drain(unspool::pages(server.url("/self?x=1")).raw()).await;
    assert_eq!(items, ["1"]);
    assert!(account.unwrap_err().is_looped());
    assert_eq!(server.targets().len(), 1);
}

#[tokio::test]
async fn a_server_that_ignores_the_page_number_is_an_error() {
    let server = Server::start(|_| Reply::json("[1,2]"));
    let numbered = PageNumber::new("page");
    let (items, account) = drain(unspool::pages(server.url("/")).paginate(numbered).raw()).await;
    assert_eq!(items.len(), 4);
    let error = account.unwrap_err();
    assert!(error.is_looped());
    assert!(
        error.to_string().contains("same items as page 1"),
        "{error}"
    );
    assert_eq!(server.targets().len(), 2);
}

#[tokio::test]
async fn no_content_after_the_last_page_is_the_end_at_once() {
    for paginate in [
        "page:page",
        "last:/id,to=page",
        "offset:page,first=1,step=1",
    ] {
        let server = Server::start(|request| match request.page() {
            page @ 1..=3 => Reply::json(format!(r#"{{"data": [{{"id": {}}}]}}"#, page + 1)),
            _ => Reply::status(204).body(""),
        });
        let request = unspool::pages(server.url("/?page=1")).retries(0);
        let paginate: unspool::pages::Paginate = paginate.parse().unwrap();
        let (items, account) = complete(request.paginate(paginate).raw()).await;
        assert_eq!(items, [r#"{"id": 2}"#, r#"{"id": 3}"#, r#"{"id": 4}"#]);
        assert_eq!(account.ended, Ended::NoContent);
        assert_eq!(server.targets().len(), 4);
    }
}

#[tokio::test]
async fn no_content_in_the_place_of_a_page_that_the_upstream_named_is_an_error() {
    let server = Server::start(|request| match request.page() {
        1 => Reply::json(r#"{"data": [1], "next": "/?page=2"}"#),
        _ => Reply::status(204).body(""),
    });
    let request = unspool::pages(server.url("/?page=1")).paginate(NextUrl::new());
    let (items, account) = drain(request.raw()).await;
    assert_eq!(items, ["1"]);
    assert_eq!(account.unwrap_err().status(), Some(204));
}

#[tokio::test]
async fn no_content_in_the_place_of_the_first_page_is_an_error() {
    let server = Server::start(|_| Reply::status(204).body(""));
    let (items, account) = drain(unspool::pages(server.url("/")).retries(0).raw()).await;
    assert!(items.is_empty());
    assert_eq!(account.unwrap_err().status(), Some(204));
}

#[tokio::test]
async fn a_walk_that_brings_nothing_new_for_a_thousand_pages_stops() {
    let server = Server::start(|request| {
        let items = if request.page() == 1 { "[1]" } else { "[]" };
        let next = request.page() + 1;
        Reply::json(format!(r#"{{"data": {items}, "next": "/?page={next}"}}"#))
    });
    let request = unspool::pages(server.url("/?page=1"));
    let (items, account) = drain(request.raw()).await;
    assert_eq!(items, ["1"]);
    let error = account.unwrap_err();
    assert!(error.is_looped(), "{error}");
    assert!(error.to_string().contains("does not move on"), "{error}");
    assert_eq!(server.targets().len(), 1001);
}

#[tokio::test]
async fn a_walk_goes_on_after_some_hundred_empty_pages() {
    let server = Server::start(|request| match request.page() {
        501 => Reply::json(r#"{"data": [2], "next": null}"#),
        page => {
            let items = if page == 1 { "[1]" } else { "[]" };
            Reply::json(format!(
                r#"{{"data": {items}, "next": "/?page={}"}}"#,
                page + 1
            ))
        }
    });
    let request = unspool::pages(server.url("/?page=1"));
    let (items, _) = complete(request.raw()).await;
    assert_eq!(items, ["1", "2"]);
}

#[tokio::test]
async fn a_key_that_no_item_has_is_a_doubt() {
    let server = Server::start(|_| Reply::json(r#"[{"id": 1}, {"id": 2}]"#));
    for (key, doubts) in [("/nope", 1), ("/id", 0)] {
        let request = unspool::pages(server.url("/")).unique(key.parse().unwrap());
        let (items, account) = drain(request.raw()).await;
        assert_eq!(items.len(), 2);
        assert_eq!(account.unwrap().doubts.len(), doubts, "{key}");
    }
}

/// Pages of so many items each, counted, with nothing that states how many there are.
fn of_sizes(sizes: &'static [u64]) -> Server {
    Server::start(move |request| {
        let page = request.page() as usize;
        let before: u64 = sizes.iter().take(page - 1).sum();
        let items = sizes.get(page - 1).copied().unwrap_or(0);
        let rows: Vec<String> = (before..before + items)
            .map(|id| format!("{{\"id\":{id}}}"))
            .collect();
        Reply::json(format!(
            r#"{{"page": {page}, "items": [{}]}}"#,
            rows.join(",")
        ))
    })
}

#[tokio::test]
async fn an_empty_page_among_full_ones_is_a_doubt_where_pages_are_counted() {
    for in_flight in [1, 3] {
        let server = of_sizes(&[3, 3, 0, 3, 1]);
        let request = unspool::pages(server.url("/")).paginate(PageNumber::new("page"));
        let (items, account) = drain(request.in_flight(in_flight).raw()).await;
        assert_eq!(items.len(), 10);
        assert_eq!(account.unwrap().doubts, [Doubt::EmptyBetween { page: 3 }]);
    }
}

#[tokio::test]
async fn an_empty_page_is_none_where_pages_are_filtered_or_a_total_agrees() {
    let server = of_sizes(&[3, 2, 3, 0, 3, 1]);
    let request = unspool::pages(server.url("/")).paginate(PageNumber::new("page"));
    assert_eq!(complete(request.raw()).await.0.len(), 12);
    // Tokens may lead over a page that holds nothing.
    let server = Server::start(|request| {
        let page = request.page();
        let items = if page == 2 {
            numbers(0..0)
        } else {
            numbers(page * 3..page * 3 + 3)
        };
        let next = if page < 4 {
            (page + 1).to_string()
        } else {
            "null".to_owned()
        };
        Reply::json(format!(r#"{{"items": {items}, "next": {next}}}"#))
    });
    let request = unspool::pages(server.url("/")).paginate(
        "cursor:/next,to=page"
            .parse::<unspool::pages::Paginate>()
            .unwrap(),
    );
    assert_eq!(complete(request.raw()).await.0.len(), 9);
}

#[tokio::test]
async fn a_graphql_query_that_takes_no_cursor_is_a_wrong_request() {
    let server = Server::start(|_| {
        let page_info = r#"{"hasNextPage": true, "endCursor": "c"}"#;
        Reply::json(format!(
            r#"{{"data": {{"users": {{"nodes": [{{"id": 1}}], "pageInfo": {page_info}}}}}}}"#
        ))
    });
    // One that declares a variable has to use it, too.
    for declared in ["", "query($cursor: String) "] {
        let query = "{ users(first: 1) { nodes { id } pageInfo { hasNextPage endCursor } } }";
        let query = serde_json::json!({ "query": format!("{declared}{query}") });
        let request = || unspool::pages(server.url("/")).data(query.clone());
        let pinned = request().paginate(unspool::pages::Relay::new());
        for (request, requests, items) in [(pinned, 0, 0), (request(), 1, 1)] {
            let before = server.targets().len();
            let (came, account) = drain(request.raw()).await;
            let error = account.unwrap_err();
            assert!(error.is_request(), "{error}");
            assert!(
                error.to_string().contains("pass it on (`after: $after`)"),
                "{error}"
            );
            assert_eq!(
                (came.len(), server.targets().len() - before),
                (items, requests)
            );
        }
    }
}

/// A list of 9 items from which pages of 3 are cut, with so many items in front of them, and
/// after so many of them, as there have been requests.
fn busy_list(cut: impl Fn(i64, i64) -> i64 + Send + Sync + 'static) -> Server {
    let count = std::sync::atomic::AtomicI64::new(0);
    Server::start(move |request| {
        let page = request.page() as i64;
        let asked = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let items: Vec<String> = ((page - 1) * 3..page * 3)
            .map(|at| cut(at, asked))
            .filter(|id| *id < 9)
            .map(|id| format!("{{\"id\":{id}}}"))
            .collect();
        Reply::json(format!(
            r#"{{"page": {page}, "items": [{}]}}"#,
            items.join(",")
        ))
    })
}

#[tokio::test]
async fn items_that_are_pushed_by_new_ones_in_front_are_no_doubt() {
    for unique in [false, true] {
        // The second request finds one more in front, and all after it two.
        let server = busy_list(|at, asked| at - asked.min(2));
        let mut request = unspool::pages(server.url("/")).paginate(PageNumber::new("page"));
        if unique {
            request = request.unique("/id".parse().unwrap());
        }
        let (items, account) = complete(request.raw()).await;
        let old = items.iter().filter(|item| !item.contains('-'));
        let old: std::collections::BTreeSet<&String> = old.collect();
        assert!(
            old.len() == 9 && account.ended == Ended::EmptyPages,
            "{items:?}"
        );
    }
}

#[tokio::test]
async fn items_that_come_twice_in_a_list_that_did_not_grow_are_a_doubt() {
    // Each page but the first begins with the last item of the one before.
    let begins_late = busy_list(|at, _| if at % 3 == 0 && at > 0 { at - 1 } else { at });
    let request = || unspool::pages(begins_late.url("/")).paginate(PageNumber::new("page"));
    let (_, account) = drain(request().raw()).await;
    assert!(matches!(
        account.unwrap().doubts[..],
        [Doubt::Displaced { .. }]
    ));
    // Two new ones in front do not explain that items come again in the middle of a page.
    let scattered = busy_list(|at, asked| match asked {
        0..=2 if at == 4 => 0,
        3.. => at - 2,
        _ => at,
    });
    let request = unspool::pages(scattered.url("/")).paginate(PageNumber::new("page"));
    let (_, account) = drain(request.raw()).await;
    assert!(matches!(
        account.unwrap().doubts[..],
        [Doubt::Displaced { .. }]
    ));
}
