//! What the text around the items says of further pages, by the names that APIs give
//! to such things.

use std::borrow::Cow;
use std::rc::Rc;

use serde_json::Value;

use super::siblings::words;
use super::{More, PageEnd, token, truth};
use crate::json::Pointer;
use crate::pages::place::{At, To, text_of_element};

/// How deep signs are looked for.
const MAX_DEPTH: usize = 5;

/// A member of an object of the envelope.
pub(super) struct Member<'e> {
    above: Option<Rc<Step<'e>>>,
    pub(super) key: &'e str,
    pub(super) value: &'e Value,
}

/// A key or an index that leads to members, after those above it. Members share it, so that
/// many of them below long keys take no more memory than others.
struct Step<'e> {
    above: Option<Rc<Step<'e>>>,
    key: Cow<'e, str>,
}

impl<'e> Step<'e> {
    fn below(above: Option<Rc<Self>>, key: impl Into<Cow<'e, str>>) -> Option<Rc<Self>> {
        let key = key.into();
        Some(Rc::new(Step { above, key }))
    }
}

impl Member<'_> {
    pub(super) fn pointer(&self) -> Pointer {
        let mut steps = vec![self.key.to_owned()];
        let mut above = &self.above;
        while let Some(step) = above {
            steps.push(step.key.clone().into_owned());
            above = &step.above;
        }
        steps.reverse();
        Pointer::from_steps(steps)
    }

    pub(super) fn at(&self) -> At {
        self.pointer().into()
    }
}

/// All members of objects in an envelope, those nearest to the root first.
pub(super) fn members(envelope: &Value) -> Vec<Member<'_>> {
    let mut found: Vec<Member<'_>> = Vec::new();
    let mut level: Vec<(Option<Rc<Step<'_>>>, &Value)> = match envelope {
        // Some answers are a list of what speaks of the page, and the items.
        Value::Array(parts) => (parts.iter().enumerate())
            .map(|(index, part)| (Step::below(None, index.to_string()), part))
            .collect(),
        envelope => vec![(None, envelope)],
    };
    for _ in 0..MAX_DEPTH {
        let mut below = Vec::new();
        for (above, value) in level {
            for (key, value) in value.as_object().into_iter().flatten() {
                if value.is_object() {
                    below.push((Step::below(above.clone(), key), value));
                }
                let above = above.clone();
                found.push(Member { above, key, value });
            }
        }
        level = below;
    }
    found
}

/// Whether a flag of this name is set where there is more, or where there is not.
///
/// By its words, and not by whole names: `hasMore`, `more_available`,
/// `exceededTransferLimit`, `isLastPage`. Names in small letters without a sign between
/// their words are listed: no rule finds the words of `endofrecords`.
fn sense(key: &str) -> Option<Sense> {
    let words = words(key);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let has = |word: &str| words.contains(&word);
    let is_one_of = |names: &[&str]| names.contains(&words.concat().as_str());
    let is_done = is_one_of(&[
        "done",
        "last",
        "islast",
        "lastpage",
        "islastpage",
        "finished",
        "eof",
        "exhausted",
        "endofrecords",
        "endoflist",
        "isdone",
        "atend",
        "isend",
        "nomore",
    ]);
    if is_done || has("end") && (has("of") || has("reached")) || has("last") && has("reached") {
        return Some(Sense::Done);
    }
    if has("no") && has("more") {
        return Some(Sense::Done);
    }
    let is_more = is_one_of(&[
        "hasmore",
        "hasnext",
        "hasnextpage",
        "hasmoreitems",
        "moreresults",
        "ismore",
    ]);
    let says_more = has("more")
        || has("next") && (has("has") || has("is"))
        || has("truncated")
        || words == ["istruncated"]
        || words == ["incomplete"]
        || has("exceeded") && has("limit");
    (is_more || says_more).then_some(Sense::More)
}

#[derive(Clone, Copy, PartialEq)]
enum Sense {
    More,
    Done,
}

/// The place that says that there is more: one that says otherwise on a first page
/// with a token or a link is about something else.
pub(super) fn true_flag(page: &PageEnd) -> Option<More> {
    more_flag(page).and_then(|(more, is_more)| is_more.then_some(more))
}

/// The place that says whether there is more, and what it says.
pub(super) fn more_flag(page: &PageEnd) -> Option<(More, bool)> {
    members(&page.envelope).into_iter().find_map(|member| {
        // The value first: to read a name costs more.
        let is_set = match member.value {
            Value::Bool(_) | Value::String(_) => truth(member.value)?,
            _ => return None,
        };
        let is_inverted = sense(member.key)? == Sense::Done;
        let more = More {
            at: member.at(),
            is_inverted,
        };
        Some((more, is_set != is_inverted))
    })
}

/// Whether a text is meant as a URL and not as a token.
pub(super) fn is_url(value: &Value) -> bool {
    value.as_str().is_some_and(is_url_text)
}

/// The same of a text.
pub(super) fn is_url_text(text: &str) -> bool {
    let begins = (["http://", "https://", "/", "?", "./", "../"].iter())
        .any(|begin| text.starts_with(begin));
    // `things?page=2`, relative to the page.
    let has_query = text.split_once('?').is_some_and(|(path, query)| {
        let is_path = |char: char| char.is_ascii_alphanumeric() || "/._-~%".contains(char);
        !path.is_empty() && path.chars().all(is_path) && query.contains('=')
    });
    // Base64 may begin with a slash.
    (begins || has_query) && !(text.starts_with('/') && text.ends_with('='))
}

/// Whether a header field of this name holds what leads to the next page: a URL, a token
/// or a number.
pub(super) fn is_next_field(name: &str) -> bool {
    let words = words(name);
    let has = |word: &str| words.iter().any(|own| own == word);
    let is_place = [
        "page", "cursor", "token", "link", "url", "uri", "range", "offset", "key", "marker",
        "start",
    ]
    .iter()
    .any(|word| has(word));
    has("next") && (is_place || words.len() == 1 || words == ["x", "next"])
        || has("continuation")
        || has("continuationtoken")
}

/// Names of parameters for the token that was found under a key, the likeliest
/// first.
pub(super) fn parameters_for(key: &str) -> Vec<String> {
    let known = known_parameters_for(&key.to_ascii_lowercase());
    let mut names: Vec<String> = known.iter().map(|&name| name.to_owned()).collect();
    let rest = ["next_", "next-", "Next", "next"]
        .iter()
        .find_map(|prefix| key.strip_prefix(prefix))
        .filter(|rest| !rest.is_empty());
    if let Some(rest) = rest {
        let mut chars = rest.chars();
        let lowered: String = (chars.next().into_iter())
            .flat_map(char::to_lowercase)
            .chain(chars)
            .collect();
        names.extend([lowered, rest.to_owned()]);
    }
    names.push(key.to_owned());
    names.extend(
        [
            "cursor",
            "after",
            "page_token",
            "pageToken",
            "token",
            "start",
            "offset",
        ]
        .map(str::to_owned),
    );
    let mut unique = Vec::new();
    for name in names {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    unique
}

/// The parameters that go with keys that well-known APIs have, the likeliest first. No rule
/// leads from the one to the other.
fn known_parameters_for(key: &str) -> &'static [&'static str] {
    match key {
        "next_cursor" | "nextcursor" | "next-cursor" | "x-next-cursor" => &[
            "cursor",
            "start_cursor",
            "after",
            "next_cursor",
            "starting_after",
        ],
        "end_cursor" | "endcursor" | "after_cursor" => &["after", "cursor", "page[after]"],
        "nextpagetoken" => &["pageToken", "nextPageToken", "page_token"],
        "next_page_token" => &["page_token", "pageToken", "next_page_token"],
        "next_token" | "nexttoken" => &[
            "next_token",
            "pagination_token",
            "nextToken",
            "NextToken",
            "token",
        ],
        "nextcontinuationtoken" => &["continuation-token", "ContinuationToken"],
        "x-ms-continuationtoken" | "x-ms-continuation" => {
            &["continuationToken", "continuation-token", "continuation"]
        }
        "nextmarker" | "next_marker" => &["marker", "Marker"],
        "scroll_id" | "_scroll_id" => &["scroll_id"],
        "lastevaluatedkey" => &["ExclusiveStartKey"],
        "next_max_id" => &["max_id"],
        "next_page" | "nextpage" | "x-next-page" | "next-page" => &["page", "page_token", "cursor"],
        "next_offset" | "nextoffset" => &["offset", "start", "from"],
        "nextpagestart" => &["start"],
        "next" => &[
            "cursor",
            "next",
            "page",
            "after",
            "page_token",
            "pageToken",
            "from",
            "_next",
        ],
        "nextforwardtoken" => &["nextToken"],
        "nextcursormark" => &["cursorMark"],
        "starting_after" => &["starting_after"],
        // The changes of a CouchDB, the entities of a Wikibase.
        "last_seq" => &["since"],
        "search-continue" => &["continue"],
        _ => &[],
    }
}

/// Whether a member is what the upstream wants back for the next page.
pub(super) fn is_token(member: &Member<'_>) -> bool {
    if leads_nowhere(member.value) {
        return false;
    }
    let key = member.key.to_ascii_lowercase();
    let is_named = names_token(member);
    match member.value {
        Value::String(text) => {
            let is_offset = key == "offset" && text.parse::<u64>().is_err();
            (is_named || is_offset) && !is_url(member.value)
        }
        // A key that names the next one holds its number.
        Value::Number(_) => {
            let is_place = matches!(key.as_str(), "last_seq" | "search-continue");
            is_place || names_next(&key) || is_below_next(member)
        }
        value if text_of_element(value).is_some_and(|text| !text.is_empty()) => is_named,
        Value::Object(fields) => {
            let is_flat = !fields.is_empty() && fields.values().all(|value| !value.is_array());
            is_flat && matches!(key.as_str(), "lastevaluatedkey" | "continue")
        }
        _ => false,
    }
}

/// Whether the name of a member promises a next page.
pub(super) fn names_next_page(member: &Member<'_>) -> bool {
    let words = words(member.key);
    let goes_on = (words.iter()).any(|word| GOING_ON.contains(&word.as_str()));
    goes_on || names_next(&member.key.to_ascii_lowercase()) || is_below_next(member)
}

/// Words in the names of tokens.
const GOING_ON: &[&str] = &["continue", "continuation", "resumption"];

/// Whether a member goes by a name for what leads to the next page.
pub(super) fn names_token(member: &Member<'_>) -> bool {
    let key = member.key.to_ascii_lowercase();
    // What leads back, or belongs to another time, is not it.
    let leads_elsewhere = ["prev", "back", "sync"]
        .iter()
        .any(|part| key.contains(part));
    let is_usual = matches!(
        key.as_str(),
        "cursor"
            | "after"
            | "after_cursor"
            | "end_cursor"
            | "endcursor"
            | "scroll_id"
            | "_scroll_id"
            | "bookmark"
            | "lastevaluatedkey"
            | "last_seq"
            | "continuationtoken"
            | "resumptiontoken"
    );
    !leads_elsewhere && (is_usual || names_next_page(member))
}

/// Whether a member stands where a token would, and says that there is none.
pub(super) fn is_spent_token(member: &Member<'_>) -> bool {
    let key = member.key.to_ascii_lowercase();
    leads_nowhere(member.value) && (names_next(&key) || key == "resumptiontoken")
}

/// Whether a value in the place of a token says that there is none, or would lead back to
/// the begin.
fn leads_nowhere(value: &Value) -> bool {
    // What has others in it is not copied to see that.
    if (value.is_object() || value.is_array()) && text_of_element(value).is_none() {
        return false;
    }
    token::of(value.clone())
        .is_none_or(|token| token::is_word_for_none(&token) || token::is_begin(&token))
}

/// Whether a member is part of an object that describes the next page.
fn is_below_next(member: &Member<'_>) -> bool {
    member.above.as_ref().is_some_and(|above| {
        let key = &above.key;
        key.eq_ignore_ascii_case("next") || key.eq_ignore_ascii_case("next_page")
    })
}

fn names_next(key: &str) -> bool {
    key.starts_with("next") || key.starts_with("@odata.next") || key.ends_with("nextlink")
}

/// Where the caller's request may take a parameter, the likeliest place first.
pub(super) fn to_parameters(name: &str, has_body: bool) -> Vec<To> {
    let own = to_parameter(name, has_body);
    let in_pagination = || Pointer::from_steps(vec!["pagination".to_owned(), name.to_owned()]);
    match has_body {
        false => vec![own],
        true => vec![own, To::body(in_pagination())],
    }
}

/// Where the caller's request would take a parameter: in its body if it has one.
pub(super) fn to_parameter(name: &str, has_body: bool) -> To {
    match has_body {
        false => To::query(name),
        true => To::body(Pointer::from_steps(vec![name.to_owned()])),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::page;
    use super::*;
    use serde_json::json;

    #[test]
    fn flags_are_found_in_both_senses() {
        let flag =
            |envelope| more_flag(&page(envelope, 3)).map(|(more, is)| (more.to_string(), is));
        assert_eq!(
            flag(json!({"meta": {"has_more": true}})),
            Some(("/meta/has_more".to_owned(), true))
        );
        assert_eq!(
            flag(json!({"isLast": false})),
            Some(("!/isLast".to_owned(), true))
        );
        assert_eq!(
            flag(json!({"ListBucketResult": {"IsTruncated": "false"}})),
            Some(("/ListBucketResult/IsTruncated".to_owned(), false))
        );
        assert_eq!(flag(json!({"more": 7})), None);
    }

    #[test]
    fn tokens_are_told_from_urls_and_other_things() {
        let is = |value: Value| {
            let envelope = value;
            members(&envelope).iter().any(is_token)
        };
        assert!(is(json!({"meta": {"next_cursor": "abc"}})));
        assert!(is(json!({"next": 2})));
        assert!(is(json!({"LastEvaluatedKey": {"id": {"S": "7"}}})));
        assert!(is(json!({"offset": "itrXYZ/rec1"})));
        assert!(is(json!({"last_seq": 100})) && is(json!({"last_seq": "5-g1AAAB"})));
        assert!(is(
            json!({"resumptionToken": {"@cursor": "0", "#text": "abc"}})
        ));
        assert!(!is(json!({"resumptionToken": {"@cursor": "225"}})));
        for none in [
            json!(0),
            json!(-1),
            json!("-1"),
            json!("null"),
            json!("None"),
        ] {
            assert!(!is(json!({"next_cursor": none})), "{none}");
        }
        assert!(!is(json!({"next": "https://api.test/?page=2"})));
        assert!(!is(
            json!({"offset": 0, "next_cursor": null, "nextcloud": {}})
        ));
    }

    #[test]
    fn parameters_follow_the_name_of_the_token() {
        let first = |key: &str| parameters_for(key).remove(0);
        assert_eq!(first("nextPageToken"), "pageToken");
        assert_eq!(first("next_starting_point"), "starting_point");
        assert_eq!(first("NextToken"), "next_token");
        assert_eq!(first("offset"), "offset");
    }
}
