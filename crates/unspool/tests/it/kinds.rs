//! Kinds of traits of real upstreams, each with variants in other words and places, and with
//! healthy upstreams that look alike.
//!
//! Each upstream has 60 items in pages of 10.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::drain;
use crate::server::{Reply, Request, Server};

/// How many items there are, and on a page.
const ALL: u64 = 60;
const SIZE: u64 = 10;

/// What has to come of a walk.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Comes {
    /// All items, once each, and no doubt.
    Whole,
    /// An error or a doubt.
    Said,
    /// One of the two.
    Either,
}

use Comes::{Either, Said, Whole};

struct Variant {
    name: &'static str,
    /// The query of the first request.
    query: &'static str,
    /// The kind that is pinned, if one is.
    paginate: &'static str,
    reply: fn(&Request) -> Reply,
    comes: Comes,
}

const fn found(
    name: &'static str,
    query: &'static str,
    comes: Comes,
    reply: fn(&Request) -> Reply,
) -> Variant {
    pinned(name, query, "auto", comes, reply)
}

const fn pinned(
    name: &'static str,
    query: &'static str,
    paginate: &'static str,
    comes: Comes,
    reply: fn(&Request) -> Reply,
) -> Variant {
    Variant {
        name,
        query,
        paginate,
        reply,
        comes,
    }
}

fn number(request: &Request, name: &str, usual: u64) -> u64 {
    request
        .query(name)
        .map_or(usual, |text| text.parse().unwrap_or(usual))
}

fn rows(begin: u64, end: u64) -> Value {
    (begin..end.min(ALL))
        .map(|id| json!({"id": id, "name": format!("row {id}")}))
        .collect()
}

/// The items of the page that the request asks for.
fn page(request: &Request) -> Value {
    let page = number(request, "page", 1);
    rows(page.saturating_sub(1) * SIZE, page * SIZE)
}

/// A link to the page after that, if there is one.
fn next(request: &Request) -> Value {
    let page = number(request, "page", 1);
    if page * SIZE < ALL {
        json!(format!("?page={}", page + 1))
    } else {
        Value::Null
    }
}

/// Whether this is the page on which something goes wrong.
fn is_bad(request: &Request) -> bool {
    number(request, "page", 1) == 4
}

/// Pages with a next link, of which one has no items, no link, and this beside them.
fn soft(request: &Request, well: Value, bad: Value) -> Reply {
    let is_bad = is_bad(request);
    let mut body = if is_bad { bad } else { well };
    body["items"] = if is_bad { json!([]) } else { page(request) };
    body["next"] = if is_bad { Value::Null } else { next(request) };
    Reply::json(body)
}

fn with(mut body: Value, name: &str, value: Value) -> Reply {
    body[name] = value;
    Reply::json(body)
}

fn xml(request: &Request, around: &str) -> Reply {
    let rows = page(request);
    let rows = rows.as_array().unwrap().iter();
    let rows: String = rows
        .map(|row| format!("<row><id>{}</id></row>", row["id"]))
        .collect();
    Reply::status(200)
        .header("content-type", "text/xml")
        .body(format!("<r>{around}<rows>{rows}</rows></r>"))
}

/// A token that leads over all items, in `after`.
fn token(request: &Request, usual: Value) -> (Value, Value) {
    let at = number(request, "after", 0);
    let next = if at + SIZE < ALL {
        json!((at + SIZE).to_string())
    } else {
        usual
    };
    (rows(at, at + SIZE), next)
}

const VARIANTS: &[Variant] = &[
    // A parameter that is not known is a filter.
    found("a guessed cursor is a filter", "", Either, |request| {
        let (items, next) = token(request, Value::Null);
        let is_other = request.query("after").is_none() && request.target.contains('?');
        let items = if is_other { json!([]) } else { items };
        Reply::json(json!({"rows": items, "scroll_mark": next}))
    }),
    found("a guessed offset is a filter", "", Said, |request| {
        let items = if request.target.contains('?') {
            json!([])
        } else {
            rows(0, SIZE)
        };
        Reply::json(json!({"total": ALL, "rows": items}))
    }),
    // Pinned to a kind that sees nothing, while the page says that there is more.
    pinned(
        "a link that is not followed",
        "",
        "cursor:/x,to=y",
        Said,
        |request| {
            Reply::json(json!({"items": page(request), "_links": {"next": {"href": "/?page=2"}}}))
        },
    ),
    pinned(
        "a header that is not followed",
        "",
        "next:/next",
        Said,
        |request| {
            Reply::status(200)
                .header("link", "</?page=2>; rel=next")
                .body(page(request).to_string())
        },
    ),
    pinned(
        "a previous token is none",
        "",
        "next:/next",
        Whole,
        |request| {
            with(
                json!({"prev_cursor": "abc", "next": next(request)}),
                "items",
                page(request),
            )
        },
    ),
    // An answer of status 200 that is none.
    found("a nested code", "", Said, |request| {
        let head = |code: &str| json!({"head": {"resultCode": code}});
        soft(request, head("00"), head("22"))
    }),
    found("a header for errors", "", Said, |request| {
        let reply = Reply::status(200);
        let reply = if is_bad(request) {
            reply.header("x-error", "limit")
        } else {
            reply
        };
        let items = if is_bad(request) {
            json!([])
        } else {
            page(request)
        };
        let next = if is_bad(request) {
            Value::Null
        } else {
            next(request)
        };
        reply.body(json!({"items": items, "next": next}).to_string())
    }),
    found(
        "a list that is left out beside a message",
        "",
        Said,
        |request| {
            if is_bad(request) {
                Reply::json(json!({"message": "slow down"}))
            } else {
                with(json!({"next": next(request)}), "items", page(request))
            }
        },
    ),
    found("success as text", "", Said, |request| {
        soft(
            request,
            json!({"success": "Y", "error_code": "0"}),
            json!({"success": "N", "error_code": "5"}),
        )
    }),
    found("an error in XML", "?page=1", Said, |request| {
        if is_bad(request) {
            return Reply::status(200).body("<r><status>error</status><rows/><pages>6</pages></r>");
        }
        xml(request, "<status>ok</status><pages>6</pages>")
    }),
    found("a word for a part beside items", "", Said, |request| {
        let word = if is_bad(request) {
            "partial"
        } else {
            "complete"
        };
        with(
            json!({"status": word, "next": next(request)}),
            "items",
            page(request),
        )
    }),
    found("a remark that changes", "", Whole, |request| {
        let message = format!("page {} of 6", number(request, "page", 1));
        with(
            json!({"message": message, "code": 200, "next": next(request)}),
            "items",
            page(request),
        )
    }),
    found("an end in words", "?page=1", Whole, |request| {
        let items = page(request);
        let is_end = items == json!([]);
        let (status, message) = if is_end {
            ("empty", "no more rows")
        } else {
            ("ok", "")
        };
        Reply::json(json!({"status": status, "message": message, "page": 1, "rows": items}))
    }),
    // Items twice where pages are counted and nothing states a total.
    found(
        "an offset without an order",
        "?offset=0&limit=10",
        Said,
        |request| {
            let at = number(request, "offset", 0);
            let mut items = rows(at, at + SIZE);
            if at > 0 && items != json!([]) {
                items[4] = rows(at - 3, at - 2)[0].clone();
            }
            Reply::json(json!({"offset": at, "rows": items}))
        },
    ),
    pinned(
        "a page that begins with the last one's end",
        "",
        "page",
        Said,
        |request| {
            let mut items = page(request);
            if number(request, "page", 1) > 1 && items != json!([]) {
                let before = (number(request, "page", 1) - 1) * SIZE;
                items[0] = rows(before - 1, before)[0].clone();
            }
            Reply::json(items)
        },
    ),
    // A flag of a page that was cut short.
    found("a flag in XML", "?page=1", Either, |request| {
        let is_cut = number(request, "page", 1) < 6;
        xml(request, &format!("<IsTruncated>{is_cut}</IsTruncated>"))
    }),
    pinned("a flag that stays set", "", "page", Said, |request| {
        let items = if number(request, "page", 1) < 4 {
            page(request)
        } else {
            json!([])
        };
        Reply::json(json!({"meta": {"has_more": "true"}, "items": items}))
    }),
    // What speaks of the pages stands before the items.
    found(
        "a list of what speaks of the pages and items",
        "?page=1",
        Either,
        |request| {
            Reply::json(
                json!([{"page": number(request, "page", 1), "total_pages": 6}, page(request)]),
            )
        },
    ),
    found(
        "a bare list whose first item has a count",
        "",
        Either,
        |_| {
            let items = (0..ALL).map(|id| json!({"id": id, "count": 3}));
            Reply::json(items.collect::<Value>())
        },
    ),
    // Walks that would not end.
    found("a link that stands there for ever", "", Whole, |request| {
        let next = format!("?page={}", number(request, "page", 1) + 1);
        Reply::json(json!({"total": ALL, "items": page(request), "next": next}))
    }),
    found("two pages that lead to each other", "", Said, |request| {
        let next = if number(request, "page", 1) == 2 {
            3
        } else {
            2
        };
        Reply::json(json!({"items": page(request), "next": format!("?page={next}")}))
    }),
    pinned(
        "a token that begins again",
        "",
        "cursor:/next,to=after",
        Said,
        |request| {
            let at = number(request, "after", 0);
            let next = if at + SIZE < ALL {
                (at + SIZE).to_string()
            } else {
                "eof".to_owned()
            };
            Reply::json(json!({"items": rows(at, at + SIZE), "next": next}))
        },
    ),
    // A list that is left out, or null, where there is nothing in it.
    pinned(
        "a null list between others",
        "",
        "cursor:/meta/next,to=after",
        Whole,
        |request| {
            let at = number(request, "after", 0);
            let items = if at == 25 {
                Value::Null
            } else {
                rows(at - at / 26 * 5, (at - at / 26 * 5) + SIZE)
            };
            let next = match at {
                20 => json!("25"),
                25 => json!("35"),
                at if at < 65 && at != 55 => json!((at + SIZE).to_string()),
                55 => json!("65"),
                _ => Value::Null,
            };
            let items = match at {
                0 | 10 | 20 => rows(at, at + SIZE),
                25 => items,
                at => rows(at - 5, at + 5),
            };
            Reply::json(json!({"data": items, "meta": {"next": next}}))
        },
    ),
    found("a list that is left out at the end", "", Whole, |request| {
        let (items, link) = (page(request), next(request));
        let page = number(request, "page", 1);
        let link = if page == 6 { json!("?page=7") } else { link };
        if page == 7 {
            return Reply::json(json!({"kind": "rows"}));
        }
        Reply::json(json!({"kind": "rows", "items": items, "next": link}))
    }),
    // A token in an element with attributes.
    pinned(
        "a token with attributes",
        "",
        "cursor:/r/more,to=page,end=0",
        Whole,
        |request| {
            let page = number(request, "page", 1);
            let next = if page < 6 { page + 1 } else { 0 };
            xml(
                request,
                &format!("<more kind=\"page\" of=\"6\">{next}</more>"),
            )
        },
    ),
    pinned(
        "an empty token with attributes",
        "",
        "cursor:/r/more,to=page",
        Whole,
        |request| {
            let page = number(request, "page", 1);
            let next = if page < 6 {
                (page + 1).to_string()
            } else {
                String::new()
            };
            xml(request, &format!("<more kind=\"page\">{next}</more>"))
        },
    ),
    // A link that is relative to a base beside it.
    found("a base in the same object", "", Either, |request| {
        let link = next(request).as_str().map(|link| format!("/rows{link}"));
        Reply::json(
            json!({"rows": page(request), "_links": {"base": format!("http://{}", request.header("host").unwrap()), "next": link}}),
        )
    }),
    found("a deep link", "", Whole, |request| {
        Reply::json(
            json!({"data": {"paging": {"next": {"link": next(request)}}, "entries": page(request)}}),
        )
    }),
    // Ways to say that there is no more.
    found("a token None", "", Either, |request| {
        let (items, next) = token(request, json!("None"));
        Reply::json(json!({"items": items, "after": next}))
    }),
    found("a link that is false", "", Whole, |request| {
        let link = next(request);
        let link = if link.is_null() { json!(false) } else { link };
        Reply::json(json!({"items": page(request), "next": link}))
    }),
    found("a page that does not exist", "?page=1", Either, |request| {
        if number(request, "page", 1) > 6 {
            return Reply::status(422).body("{\"error\": \"out of range\"}");
        }
        Reply::json(json!({"page": 1, "rows": page(request)}))
    }),
    found(
        "no content after the last page",
        "?page=1",
        Whole,
        |request| {
            if number(request, "page", 1) > 6 {
                return Reply::status(204).body("");
            }
            Reply::json(json!({"page": 1, "rows": page(request)}))
        },
    ),
    // Guesses that fail.
    found("a guess that is refused", "", Said, |request| {
        if request.target.contains('?') {
            return Reply::status(400).body("unknown parameter");
        }
        Reply::json(json!({"total_count": ALL, "rows": rows(0, SIZE)}))
    }),
    found("a guess that breaks the server", "", Said, |request| {
        if request.target.contains('?') {
            return Reply::status(503).body("");
        }
        Reply::json(json!({"has_more": true, "rows": rows(0, SIZE)}))
    }),
    // A number of pages that is computed from another size.
    found(
        "a number of pages that is too small",
        "?page=1&per_page=20",
        Either,
        |request| {
            Reply::json(json!({"page": 1, "per_page": 20, "pages": 3, "rows": page(request)}))
        },
    ),
    found("a header with too few pages", "?page=1", Said, |request| {
        Reply::status(200)
            .header("x-total-pages", 3)
            .header("x-total-count", ALL)
            .body(page(request).to_string())
    }),
    // An empty page in the middle.
    found(
        "an offset that is empty for once",
        "?offset=0&limit=10",
        Said,
        |request| {
            let at = number(request, "offset", 0);
            let items = if at == 20 {
                json!([])
            } else {
                rows(at, at + SIZE)
            };
            Reply::json(json!({"offset": at, "rows": items}))
        },
    ),
    pinned(
        "a page that is empty for once",
        "",
        "page",
        Said,
        |request| {
            Reply::json(if is_bad(request) {
                json!([])
            } else {
                page(request)
            })
        },
    ),
];

#[tokio::test]
async fn each_variant_of_a_kind_is_whole_or_said() {
    let mut wrong = Vec::new();
    for variant in VARIANTS {
        let server = Server::start(variant.reply);
        let request = unspool::pages(server.url(&format!("/{}", variant.query)))
            .paginate(
                variant
                    .paginate
                    .parse::<unspool::pages::Paginate>()
                    .unwrap(),
            )
            .first_wait(Duration::from_millis(1))
            .retries(2);
        let (items, account) = drain(request.raw()).await;
        let distinct: BTreeSet<&String> = items.iter().collect();
        let is_whole = items.len() as u64 == ALL && distinct.len() as u64 == ALL;
        let is_said = !account.as_ref().is_ok_and(|account| account.complete);
        let is_right = match variant.comes {
            Whole => is_whole && !is_said,
            Said => is_said,
            Either => is_whole || is_said,
        };
        if !is_right {
            let requests = server.targets().len();
            let name = variant.name;
            wrong.push(format!(
                "{name}: {} items, {requests} requests, {account:?}",
                items.len()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
