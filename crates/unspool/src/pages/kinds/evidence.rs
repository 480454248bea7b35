//! What speaks for further pages, and what for there being none.

use reqwest::header::CONTENT_RANGE;
use serde_json::Value;

use super::{First, PageEnd, Trust, link_header, next_url, siblings, signs};
use crate::http::{Call, has_unreadable_link};
use crate::pages::account::Doubt;

/// Why there might be further pages, though nothing says how to get them.
pub(super) fn may_go_on(first: &First<'_>) -> Option<(Trust, String)> {
    let page = first.page;
    if page.items == 0 {
        return None;
    }
    match doubt(page) {
        Some(Doubt::MorePages { evidence }) => Some((Trust::Guessed, evidence)),
        // The upstream says that this is all.
        _ if signs::more_flag(page).is_some() => None,
        _ if page.stated.items == Some(page.items) => {
            let evidence = "what it states may be the number of items on each page";
            is_round(page).then(|| (Trust::Tried, evidence.to_owned()))
        }
        _ => match full_page(page) {
            Some(Doubt::MorePages { evidence }) => Some((Trust::Tried, evidence)),
            _ => None,
        },
    }
}

/// That a page is as full as pages are.
pub(crate) fn full_page(page: &PageEnd) -> Option<Doubt> {
    is_round(page).then(|| Doubt::more_pages(format!("{} items look like a full page", page.items)))
}

/// What speaks against a page being the only one.
pub(crate) fn doubt(page: &PageEnd) -> Option<Doubt> {
    says_more(page).or_else(|| asked_for_one_of_many(page))
}

/// A page whose number of items is what it states as a total: it may state that of
/// each page, which another page can show.
pub(crate) fn may_count_itself(page: &PageEnd) -> bool {
    page.stated.items == Some(page.items) && page.received == page.items && is_round(page)
}

/// The flag, or the status, by which a page says that there are others.
pub(crate) fn flag(page: &PageEnd) -> Option<String> {
    let is_part = page.is_partial && page.stated.items != Some(page.received);
    match signs::more_flag(page) {
        Some((more, true)) => Some(format!("`{more}` says that there is more")),
        None if is_part => Some("status 206 says that it is a part of what there is".to_owned()),
        _ => None,
    }
}

/// What a page says of others.
pub(crate) fn says_more(page: &PageEnd) -> Option<Doubt> {
    let flag = || flag(page);
    let token = || {
        let members = signs::members(&page.envelope);
        let member = members.iter().find(|member| signs::is_token(member))?;
        Some(format!("it has a `{}`", member.key))
    };
    let header = || {
        let mut fields = page.headers.iter().filter(|(_, value)| !value.is_empty());
        let (name, _) = fields.find(|(name, _)| signs::is_next_field(name.as_str()))?;
        Some(format!("it has a `{name}` header"))
    };
    let link =
        || has_unreadable_link(&page.headers, "next").then(|| link_header::UNREADABLE.to_owned());
    let pages = || {
        let pages = page.stated.pages.filter(|pages| *pages > 1)?;
        Some(format!("it states {pages} pages"))
    };
    let total = || {
        let total = page.stated.items.filter(|total| *total > page.received)?;
        Some(format!("it states {total} items"))
    };
    let evidence = flag()
        .or_else(token)
        .or_else(header)
        .or_else(link)
        .or_else(pages)
        .or_else(total)?;
    Some(Doubt::MorePages { evidence })
}

/// What on a page promises another one, by its name: not the token of its own last item,
/// which is there on the last page, too.
pub(crate) fn promise(page: &PageEnd) -> Option<String> {
    let members = signs::members(&page.envelope);
    let promises =
        |member: &&signs::Member<'_>| signs::is_token(member) && signs::names_next_page(member);
    if let Some(member) = members.iter().find(promises) {
        return Some(format!("it has a `{}`", member.key));
    }
    let has_url = next_url::is_there(page) || next_url::has_link(page);
    has_url.then(|| "it has the URL of a next page".to_owned())
}

/// What makes a request look like one for a page of many.
fn asked_for_one_of_many(page: &PageEnd) -> Option<Doubt> {
    let is_all = page.stated.items == Some(page.received);
    let is_end = signs::more_flag(page).is_some_and(|(_, is_more)| !is_more);
    if page.items == 0 || is_all || is_end {
        return None;
    }
    let (name, _) = page.call.url.query_pairs().find(|(name, value)| {
        CURSOR_PARAMETERS.contains(&&**name)
            // `start=2026-01-01` is no place in a list.
            || PAGE_PARAMETERS.contains(&&**name) && value.parse::<u64>().is_ok()
    })?;
    Some(Doubt::MorePages {
        evidence: format!("the request has a `{name}` parameter"),
    })
}

/// Whether pages seem to be counted from the front by the names in the request, where
/// the kind only follows what the upstream gives: a link with `page=3` in it is no more
/// stable than a page number of ours. No rule tells such a number from a key of the
/// list, which may grow in the same steps; so there are names here.
pub(super) fn counts_by_name(call: &Call) -> bool {
    let is_place = |name: &str| FRONT_PARAMETERS.contains(&name) || PAGE_PARAMETERS.contains(&name);
    let in_body = (call.body.iter().filter_map(Value::as_object).flatten())
        .any(|(name, value)| is_place(name) && value.is_u64());
    let mut pairs = call.url.query_pairs();
    in_body || pairs.any(|(name, value)| is_place(&name) && value.parse::<u64>().is_ok())
}

/// Whether the answer names a range of items: who does that counts items, not pages.
pub(super) fn names_a_range(page: &PageEnd) -> bool {
    page.headers.contains_key(CONTENT_RANGE)
}

/// Query parameters with the place of one page of many, as a number.
const PAGE_PARAMETERS: &[&str] = &["page", "offset", "page[number]", "start"];

/// Others, where a request alone would not look like one for a page of many.
const FRONT_PARAMETERS: &[&str] = &[
    "p",
    "_page",
    "pageNumber",
    "page_number",
    "skip",
    "$skip",
    "startAt",
    "startIndex",
    "from",
    "_start",
    "page[offset]",
];

/// Query parameters with the token of one page of many.
const CURSOR_PARAMETERS: &[&str] = &["cursor", "pageToken", "page_token"];

/// Whether a page that is the last by the number of pages is as full as the ones before
/// it, and yet smaller than the size that it states: the number may be computed from a
/// size that the server does not give. `fullest` is the most that a page held.
pub(super) fn is_capped(page: &PageEnd, fullest: u64, is_only: bool) -> bool {
    let is_smaller = page.stated.size.is_some_and(|size| size > page.items);
    is_smaller && page.items > 0 && page.items == fullest && (!is_only || is_round(page))
}

/// Whether a page holds as many items as servers like to give at once, or as it was
/// asked for.
fn is_round(page: &PageEnd) -> bool {
    let is_asked =
        |name: &str, value: &str| siblings::is_size(name) && value.parse() == Ok(page.items);
    let in_body = (page
        .call
        .body
        .as_ref()
        .and_then(Value::as_object)
        .into_iter())
    .flatten()
    .any(|(name, value)| is_asked(name, &value.to_string()));
    let is_usual = match page.items {
        12 | 15 | 24 | 25 | 48 | 75 => true,
        items @ 10..=100 => items % 10 == 0 || items.is_power_of_two(),
        items @ 101..=1000 => items % 50 == 0 || items.is_power_of_two(),
        items @ 1001..=10_000 => items % 1000 == 0,
        _ => false,
    };
    is_usual
        || in_body
        || (page.call.url.query_pairs()).any(|(name, value)| is_asked(&name, &value))
}

#[cfg(test)]
mod tests {
    use super::super::tests::page;
    use super::*;
    use serde_json::json;

    fn looks_like_one_of_many(envelope: Value) -> bool {
        let mut page = page(envelope, 3);
        page.call.url.set_query(None);
        doubt(&page).is_some()
    }

    #[test]
    fn a_page_that_speaks_of_others_is_noticed() {
        for envelope in [
            json!({"data": [], "has_more": true}),
            json!({"data": [], "meta": {"next_token": "abc"}}),
            json!({"data": [], "total_pages": 3}),
            json!({"data": [], "total": 4}),
            json!({"data": [], "pageInfo": {"hasNextPage": true}}),
        ] {
            assert!(looks_like_one_of_many(envelope.clone()), "{envelope}");
        }
        for envelope in [json!([]), json!({"data": [], "total": 3})] {
            assert!(!looks_like_one_of_many(envelope.clone()), "{envelope}");
        }
    }

    #[test]
    fn a_request_for_one_page_of_many_is_a_doubt() {
        assert!(doubt(&page(json!([]), 3)).is_some());
        assert!(doubt(&page(json!([]), 0)).is_none());
        let mut since = page(json!([]), 3);
        since.call.url.set_query(Some("start=2026-01-01"));
        assert!(doubt(&since).is_none());
    }
}
