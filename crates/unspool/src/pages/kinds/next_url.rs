use serde_json::Value;
use url::Url;

use super::signs::{self, is_url};
use super::{
    Candidate, Description, First, Kind, KindEntry, More, Next, PageEnd, Paginate, Trust, token,
};
use crate::error::Error;
use crate::http::{Call, link_target};
use crate::json::Pointer;
use crate::pages::account::{Doubt, Ended};
use crate::pages::place::At;

pub(super) const ENTRY: KindEntry = KindEntry {
    name: "next",
    syntax: "[:AT][,more=AT][,base=AT][,end=VALUE]",
    about: "the URL of the next page: at AT, a JSON pointer, a JSONPath or `header:NAME`, or under \
            a usual name in the body; `more` is the place of a flag that says whether there is \
            more (`!AT`: that there is not); `base` is the place of what relative URLs are \
            appended to; `end` is what stands at AT on the last page",
    parse: |options| {
        Ok(Box::new(NextUrl {
            at: options.unnamed_value()?,
            more: options.value("more")?,
            base: options.value("base")?,
            end: options.text("end"),
        }))
    },
    detect,
};

/// The URL of the next page in the body of each page, absolute or relative; a page
/// where it is missing, `null`, `false`, empty, or a word for none (`"null"`) is the last.
///
/// ```
/// use unspool::pages::NextUrl;
///
/// let posts = unspool::pages("https://api.example.com/posts")
///     .paginate(NextUrl::at("/links/next".parse::<unspool::Pointer>()?))
///     .raw();
/// # drop(posts);
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct NextUrl {
    at: Option<At>,
    more: Option<More>,
    base: Option<At>,
    /// What stands in the place of the URL on the last page.
    end: Option<String>,
}

impl NextUrl {
    /// The URL under one of the usual names: `next`, `links.next` and the like.
    #[must_use]
    pub fn new() -> Self {
        NextUrl::default()
    }

    /// The URL at this place.
    #[must_use]
    pub fn at(place: impl Into<At>) -> Self {
        NextUrl {
            at: Some(place.into()),
            ..NextUrl::default()
        }
    }

    /// The place of a flag that says whether there is a next page.
    #[must_use]
    pub fn more(mut self, place: impl Into<At>) -> Self {
        self.more = Some(More {
            at: place.into(),
            is_inverted: false,
        });
        self
    }
}

impl NextUrl {
    /// The place of a URL that relative ones are appended to; what begins with a slash
    /// as well.
    #[must_use]
    pub fn base(mut self, place: impl Into<At>) -> Self {
        self.base = Some(place.into());
        self
    }

    /// What stands in the place of the URL on the last page, where it is not empty.
    #[must_use]
    pub fn end(mut self, value: impl Into<String>) -> Self {
        self.end = Some(value.into());
        self
    }

    /// Whether a text in the place of the URL says that there is none.
    fn is_end(&self, text: &str) -> bool {
        match &self.end {
            Some(end) => text.is_empty() || text == end,
            None => text.is_empty() || token::is_word_for_none(&Value::from(text)),
        }
    }

    /// The address of the next page.
    fn address(&self, page: &PageEnd, target: &str) -> Result<Call, Error> {
        let base = self.base.as_ref().and_then(|at| page.find(at));
        match base.as_ref().and_then(Value::as_str) {
            Some(base) => page.resolve(&joined(base, target)),
            None => page.resolve(target),
        }
    }

    /// Whether this goes forward, and not by some other relation.
    fn names_next(&self) -> bool {
        let at = self.at.as_ref().map(|at| at.to_string().to_lowercase());
        at.is_none_or(|at| at.contains("next"))
    }
}

impl From<NextUrl> for Paginate {
    fn from(next: NextUrl) -> Self {
        Paginate::new(next)
    }
}

impl Kind for NextUrl {
    fn describe(&self) -> String {
        Description::new(ENTRY.name)
            .unnamed(self.at.as_ref())
            .option("more", self.more.as_ref())
            .option("base", self.base.as_ref())
            .option("end", self.end.as_ref())
            .end()
    }

    fn after(&mut self, page: &PageEnd) -> Result<Next, Error> {
        if self.at.is_none() {
            self.at = usual_place(page).map(|(at, _)| at);
        }
        let says_more = self.more.as_ref().and_then(|more| more.read(page));
        if says_more == Some(false) {
            return Ok(Next::End(Ended::NoMore));
        }
        let none = match says_more {
            Some(true) => Next::Doubtful(
                Ended::NoNext,
                Doubt::more_pages("it says that there is more"),
            ),
            _ if self.names_next() && (is_there(page) || has_link(page)) => Next::Doubtful(
                Ended::NoNext,
                Doubt::says_more("the last page has the URL of a next one in another place"),
            ),
            _ => Next::End(Ended::NoNext),
        };
        let Some(at) = &self.at else {
            return Ok(none);
        };
        match page.find(at).as_ref().map_or(&Value::Null, target) {
            Value::Null | Value::Bool(false) => Ok(none),
            Value::String(url) if self.is_end(url) => Ok(none),
            Value::String(url) => self.address(page, url).map(Next::Call),
            other => Err(Error::content(format!(
                "expected the URL of the next page at `{at}`, found `{other}`"
            ))
            .at_request(page.call.redacted())),
        }
    }
}

fn detect(first: &First<'_>) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = by_name(first).into_iter().collect();
    found.extend(in_fields(first));
    found.extend(under_names_of_tokens(first));
    found
}

/// The URL under a usual name.
fn by_name(first: &First<'_>) -> Option<Candidate> {
    let (at, is_there) = usual_place(first.page)?;
    let evidence = match is_there {
        true => format!("`{at}` holds a URL"),
        false => format!("`{at}` names the next page, and there is none"),
    };
    let more = signs::true_flag(first.page);
    let base = base_of(first, &at);
    let kind = NextUrl {
        at: Some(at),
        more,
        base,
        end: None,
    };
    first.candidate(kind, Trust::Stated, evidence)
}

/// Header fields for the next page with a URL in them.
fn in_fields(first: &First<'_>) -> Vec<Candidate> {
    let fields = first.page.headers.iter().filter(|(name, value)| {
        let is_url = value.to_str().is_ok_and(signs::is_url_text);
        is_url && signs::is_next_field(name.as_str())
    });
    fields
        .filter_map(|(name, _)| {
            let evidence = format!("the header `{name}` holds a URL");
            let kind = NextUrl::at(At::header(name.clone()));
            first.candidate(kind, Trust::Stated, evidence)
        })
        .collect()
}

/// URLs where one would look for a token: it is followed, and not sent as one.
fn under_names_of_tokens(first: &First<'_>) -> Vec<Candidate> {
    (signs::members(&first.page.envelope).iter())
        .filter(|member| is_url(member.value) && signs::names_token(member))
        .filter(|member| !names_next_url(member.key))
        .filter_map(|member| {
            let evidence = format!("`{}` holds a URL", member.pointer());
            first.candidate(NextUrl::at(member.at()), Trust::Token, evidence)
        })
        .collect()
}

/// A relative address appended to a base: not as a browser would resolve it, which takes
/// a slash at its begin for the root of the server.
fn joined(base: &str, target: &str) -> String {
    if Url::parse(target).is_ok() || target.starts_with(['?', '#']) {
        return target.to_owned();
    }
    format!(
        "{}/{}",
        base.trim_end_matches('/'),
        target.trim_start_matches('/')
    )
}

/// Where a base stands beside a relative address, if with it, and not without, that
/// leads to the path of the request.
fn base_of(first: &First<'_>, at: &At) -> Option<At> {
    let found = first.page.find(at)?;
    let address = (target(&found).as_str()).filter(|text| Url::parse(text).is_err())?;
    let path = first.base.url.path();
    let leads_home =
        |text: &str| (first.page.resolve(text)).is_ok_and(|call| call.url.path() == path);
    if leads_home(address) {
        return None;
    }
    signs::members(&first.page.envelope)
        .iter()
        .find(|member| {
            let is_base = member.key.to_ascii_lowercase().contains("base");
            let base = member.value.as_str().filter(|_| is_base);
            base.is_some_and(|base| leads_home(&joined(base, address)))
        })
        .map(signs::Member::at)
}

/// Whether a page has the URL of a next one under a usual name.
pub(super) fn is_there(page: &PageEnd) -> bool {
    usual_place(page).is_some_and(|(_, is_there)| is_there)
}

/// Whether it has one in a `Link` header.
pub(super) fn has_link(page: &PageEnd) -> bool {
    link_target(&page.headers, "next").is_some()
}

/// Where the URL of the next page is, or would be, and whether it is there.
fn usual_place(page: &PageEnd) -> Option<(At, bool)> {
    let members = signs::members(&page.envelope);
    let named = || members.iter().filter(|member| names_next_url(member.key));
    let there = named().find(|member| {
        let target = target(member.value);
        let is_text = target.as_str().is_some_and(|text| !text.is_empty());
        is_url(target) || is_text && names_link(member.key)
    });
    if let Some(member) = there {
        let key = TARGETS.iter().find(|key| member.value.get(**key).is_some());
        let mut steps = member.pointer().steps().to_vec();
        steps.extend(key.map(|key| (*key).to_owned()));
        return Some((Pointer::from_steps(steps).into(), true));
    }
    if let Some(at) = in_links(&members) {
        return Some((at, true));
    }
    // A token in that place is another kind's.
    let absent = named().find(|member| {
        let is_url_key = member.key.eq_ignore_ascii_case("next") || names_link(member.key);
        is_url_key && is_absent(target(member.value))
    })?;
    Some((absent.at(), false))
}

fn names_next_url(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.starts_with("next")
        || key.ends_with("nextlink")
        || key == "__next"
        || key.starts_with("more_") && key.ends_with("_url")
}

/// Whether what goes by this name is an address, however it is written.
fn names_link(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["link", "url", "uri", "href", "__next"]
        .iter()
        .any(|end| key.ends_with(end))
}

fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty() || token::is_word_for_none(value),
        _ => false,
    }
}

/// A list of links that say what they are: `[{"rel": "next", "href": …}]`.
fn in_links(members: &[signs::Member<'_>]) -> Option<At> {
    members.iter().find_map(|member| {
        member.value.as_array()?.iter().find_map(|link| {
            let relation = ["rel", "relation", "@rel"]
                .into_iter()
                .find(|key| link.get(key).and_then(Value::as_str) == Some("next"))?;
            let target = ["href", "url", "@href"]
                .into_iter()
                .find(|key| link.get(key).is_some_and(is_url))?;
            // A string of JSON is one of JSONPath, too.
            let steps: String = (member.pointer().steps().iter())
                .map(|step| format!("[{}]", Value::from(step.as_str())))
                .collect();
            format!("$[?@[\"{relation}\"]==\"next\"][\"{target}\"]")
                .replacen('$', &format!("${steps}"), 1)
                .parse()
                .ok()
        })
    })
}

/// Where link objects have their URL.
const TARGETS: &[&str] = &["href", "url", "uri", "@href"];

/// The URL itself, or the one in a link object: `{"href": …}`.
fn target(value: &Value) -> &Value {
    TARGETS
        .iter()
        .find_map(|key| value.get(key))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{asks, detected, ends, page};
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(envelope: Value, expected: &str) {
        let page = page(envelope, 3);
        let mut kind = detected(&ENTRY, &page).remove(0).kind;
        assert_eq!(asks(kind.after(&page)), expected);
    }

    #[test]
    fn urls_are_found_under_the_usual_names() {
        check(json!({"next": "http://api.test/b"}), "http://api.test/b");
        check(
            json!({"links": {"next": "/b?x=%20y"}}),
            "http://api.test/b?x=%20y",
        );
        check(
            json!({"_links": {"next": {"href": "?page=2"}}}),
            "http://api.test/v1/things?page=2",
        );
        check(
            json!({"next": null, "links": {"next": "/c"}}),
            "http://api.test/c",
        );
        check(
            json!({"@odata.nextLink": "https://api.test/o"}),
            "https://api.test/o",
        );
        check(
            json!({"topic_list": {"more_topics_url": "/latest?page=1"}}),
            "http://api.test/latest?page=1",
        );
        check(
            json!({"link": [{"relation": "self", "url": "/s"}, {"relation": "next", "url": "/n"}]}),
            "http://api.test/n",
        );
    }

    #[test]
    fn a_token_is_not_taken_for_a_url() {
        for envelope in [
            json!({"next": "dXNlcjpXMDdRQ1JQQTQ"}),
            json!({"next": "/8AAAB="}),
            json!({"next": 2}),
        ] {
            assert!(detected(&ENTRY, &page(envelope, 3)).is_empty());
        }
    }

    #[test]
    fn missing_null_false_and_empty_end_the_walk() {
        for end in [
            json!({}),
            json!({"next": null}),
            json!({"next": false}),
            json!({"next": ""}),
        ] {
            assert_eq!(ends(NextUrl::new().after(&page(end, 3))), Ended::NoNext);
        }
    }

    #[test]
    fn a_word_for_none_and_what_the_caller_says_end_the_walk() {
        for end in ["null", "None", "undefined"] {
            let mut kind = NextUrl::at("/next".parse::<At>().unwrap());
            assert_eq!(
                ends(kind.after(&page(json!({"next": end}), 3))),
                Ended::NoNext
            );
        }
        let mut kind = NextUrl::at("/next".parse::<At>().unwrap()).end("#");
        let next = |target: &str| page(json!({"next": target}), 3);
        assert_eq!(asks(kind.after(&next("/null"))), "http://api.test/null");
        assert_eq!(ends(kind.after(&next("#"))), Ended::NoNext);
    }

    #[test]
    fn a_relative_url_is_appended_to_a_base() {
        let links = |next: &str| json!({"_links": {"base": "http://api.test/wiki/", "next": next}});
        let kind = |text: &str| text.parse::<Paginate>().unwrap().into_kind();
        let mut pinned = kind("next:/_links/next,base=/_links/base");
        for (next, expected) in [
            ("/v1/things?page=2", "http://api.test/wiki/v1/things?page=2"),
            ("things?page=2", "http://api.test/wiki/things?page=2"),
            ("?page=2", "http://api.test/v1/things?page=2"),
            ("http://api.test/b", "http://api.test/b"),
        ] {
            assert_eq!(asks(pinned.after(&page(links(next), 3))), expected);
        }
        let mut first = page(links("/v1/things?page=2"), 3);
        first.call.url = "http://api.test/wiki/v1/things".parse().unwrap();
        let found = detected(&ENTRY, &first).remove(0).kind;
        assert_eq!(found.describe(), "next:/_links/next,base=/_links/base");
        // Where the address leads to where the request went, it needs no base.
        let found = detected(&ENTRY, &page(links("/v1/things?page=2"), 3))
            .remove(0)
            .kind;
        assert_eq!(found.describe(), "next:/_links/next");
    }

    #[test]
    fn a_flag_ends_the_walk_although_there_is_a_url() {
        let mut kind =
            NextUrl::at("/next".parse::<At>().unwrap()).more("/more".parse::<At>().unwrap());
        let end = page(json!({"next": "/b", "more": false}), 3);
        assert_eq!(ends(kind.after(&end)), Ended::NoMore);
        let contradiction = page(json!({"next": null, "more": true}), 3);
        let next = kind.after(&contradiction).unwrap();
        assert!(matches!(next, Next::Doubtful(..)), "{next:?}");
    }

    #[test]
    fn a_url_in_another_place_than_before_is_a_doubt() {
        let kind = || NextUrl::at("/next".parse::<At>().unwrap());
        let moved = page(json!({"next": null, "links": {"next": "/b"}}), 3);
        let next = kind().after(&moved).unwrap();
        assert!(matches!(next, Next::Doubtful(Ended::NoNext, _)), "{next:?}");
        let mut in_header = page(json!({}), 3);
        let link = "</b>; rel=next".parse().unwrap();
        in_header.headers.insert("link", link);
        let next = kind().after(&in_header).unwrap();
        assert!(matches!(next, Next::Doubtful(Ended::NoNext, _)), "{next:?}");
        // Backwards, the first page is the last.
        let mut back = NextUrl::at("/links/prev".parse::<At>().unwrap());
        assert_eq!(ends(back.after(&moved)), Ended::NoNext);
    }

    #[test]
    fn something_else_in_its_place_is_an_error() {
        let mut kind = NextUrl::at("/next".parse::<At>().unwrap());
        let error = kind.after(&page(json!({"next": 2}), 3)).unwrap_err();
        assert!(
            error.to_string().contains("at `/next`, found `2`"),
            "{error}"
        );
    }
}
