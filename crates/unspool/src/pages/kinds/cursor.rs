use serde_json::Value;

use super::signs::{self, Member};
use super::{
    Candidate, Description, First, Kind, KindEntry, More, Next, PageEnd, Paginate, Trust, evidence,
    next_url, token,
};
use crate::error::Error;
use crate::http::Call;
use crate::pages::account::{Doubt, Ended};
use crate::pages::place::{At, To, text_of, text_of_element};

pub(super) const ENTRY: KindEntry = KindEntry {
    name: "cursor",
    syntax: ":AT,to=TO[,more=AT][,end=VALUE][,drop=TO]",
    about: "a token (a string, a number or an object) at AT in each page, sent for the next one in \
            TO: a query parameter, `header:NAME`, `body:POINTER`, or `*` for all members of an \
            object as parameters; AT may be `header:NAME`, too; `end` is what stands there on the last \
            page; `drop` is what must not come with a token",
    parse: |options| {
        let at = options.unnamed().ok_or_else(|| {
            Error::request("expected the place of the token: `cursor:/next_cursor,to=cursor`")
        })?;
        let to: To = options.value("to")?.ok_or_else(|| {
            Error::request("expected `to`, where the token goes: `cursor:/next_cursor,to=cursor`")
        })?;
        let mut kind = Cursor::new(at.parse::<At>()?, to);
        kind.more = options.value("more")?;
        kind.end = options.text("end");
        kind.drop = options.values("drop")?;
        Ok(Box::new(kind))
    },
    detect,
};

/// How many members of an answer are taken for tokens: what has more of them is about
/// something else.
const MOST_TOKENS: usize = 8;

/// A token in each page, which the next request gives back; a page where it is
/// missing, `null`, `false` or empty is the last.
///
/// A page without items that gives the very token that was sent is the last, too. So is
/// one with a token that would lead back to the begin of the list (`0`, `-1`), or with
/// a word for none (`"null"`, `"None"`).
///
/// ```
/// use unspool::pages::Cursor;
///
/// let posts = unspool::pages("https://api.example.com/posts")
///     .paginate(Cursor::new("/meta/cursor".parse::<unspool::Pointer>()?, "cursor"))
///     .raw();
/// # drop(posts);
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cursor {
    at: At,
    to: To,
    more: Option<More>,
    base: Option<Call>,
    sent: Option<Value>,
    numbers: token::Numbers,
    /// What the token of the last page looks like.
    end: Option<String>,
    /// What the caller's request has that must not come with a token.
    drop: Vec<To>,
}

impl Cursor {
    /// The token at `at`, sent in `to`.
    #[must_use]
    pub fn new(at: impl Into<At>, to: impl Into<To>) -> Self {
        Cursor {
            at: at.into(),
            to: to.into(),
            more: None,
            base: None,
            sent: None,
            numbers: token::Numbers::default(),
            end: None,
            drop: Vec::new(),
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

impl Cursor {
    /// What stands in the place of the token on the last page, where it is not empty.
    #[must_use]
    pub fn end(mut self, value: impl Into<String>) -> Self {
        self.end = Some(value.into());
        self
    }

    /// Leaves out what the first request has in this place wherever a token is sent:
    /// some APIs take a token alone.
    #[must_use]
    pub fn dropping(mut self, place: impl Into<To>) -> Self {
        self.drop.push(place.into());
        self
    }

    /// Whether what stands in the place of the token says that there is no more.
    fn is_end(&self, token: &Value) -> bool {
        if let Some(end) = &self.end {
            return text_of(token) == *end;
        }
        let is_begin = token::is_begin(token) && !self.numbers.count_down_to_zero();
        token::is_word_for_none(token) || is_begin
    }

    /// What a first page without a token in its place says of others.
    fn never_found(&self, page: &PageEnd) -> Option<Doubt> {
        if self.sent.is_some() {
            return None;
        }
        let by_url = || {
            let has_url = next_url::is_there(page) || next_url::has_link(page);
            has_url.then(|| Doubt::says_more("the only page has the URL of a next one"))
        };
        evidence::says_more(page).or_else(by_url)
    }
}

impl From<Cursor> for Paginate {
    fn from(cursor: Cursor) -> Self {
        Paginate::new(cursor)
    }
}

impl Kind for Cursor {
    fn describe(&self) -> String {
        Description::new(ENTRY.name)
            .unnamed(Some(&self.at))
            .option("to", Some(&self.to))
            .option("more", self.more.as_ref())
            .option("end", self.end.as_ref())
            .options("drop", &self.drop)
            .end()
    }

    fn begin(&mut self, call: Call) -> Result<Call, Error> {
        self.base = Some(call.clone());
        Ok(call)
    }

    fn resume(&mut self, call: &Call) -> Result<(), Error> {
        self.sent = self.to.read(call);
        self.numbers
            .note(self.sent.as_ref().unwrap_or(&Value::Null));
        Ok(())
    }

    fn after(&mut self, page: &PageEnd) -> Result<Next, Error> {
        let says_more = self.more.as_ref().and_then(|more| more.read(page));
        if says_more == Some(false) {
            return Ok(Next::End(Ended::NoMore));
        }
        let found = page.find(&self.at).and_then(token::of);
        let is_end = found.as_ref().is_some_and(|token| self.is_end(token));
        if is_end && says_more.is_none() {
            return Ok(Next::End(Ended::NoNext));
        }
        let Some(token) = found.filter(|_| !is_end) else {
            return Ok(match says_more {
                Some(_) => Next::Doubtful(
                    Ended::NoNext,
                    Doubt::more_pages("it says that there is more, but gives no token for it"),
                ),
                // The place may be the wrong one.
                None => match self.never_found(page) {
                    Some(doubt) => Next::Doubtful(Ended::NoNext, doubt),
                    None => Next::End(Ended::NoNext),
                },
            });
        };
        if page.items == 0 && self.sent.as_ref() == Some(&token) {
            return Ok(Next::End(Ended::SameToken));
        }
        let base = self.base.as_ref().unwrap_or(&page.call).clone();
        let base = self.drop.iter().fold(base, |call, to| to.remove(&call));
        let call = self.to.set(&base, &token)?;
        self.numbers.note(&token);
        self.sent = Some(token);
        Ok(Next::Call(call))
    }

    fn repeats_calls(&self) -> bool {
        true
    }

    /// Zero is refused as a token, or leads to the begin; as the value of a filter it
    /// leads to nothing, as any other.
    fn counterproof(&self) -> Option<Call> {
        let zero = match self.sent {
            Some(Value::Number(_)) => Value::from(0),
            _ => Value::from("0"),
        };
        let base = self
            .drop
            .iter()
            .fold(self.base.clone()?, |call, to| to.remove(&call));
        self.to.set(&base, &zero).ok()
    }
}

fn detect(first: &First<'_>) -> Vec<Candidate> {
    let members = signs::members(&first.page.envelope);
    let more = signs::true_flag(first.page);
    let mut candidates = Vec::new();
    let tokens = members.iter().filter(|member| signs::is_token(member));
    for member in tokens.take(MOST_TOKENS) {
        let evidence = format!("`{}` holds a token", member.pointer());
        candidates.extend(with_targets(first, member, more.as_ref(), &evidence));
    }
    candidates.extend(by_fields(first));
    if candidates.is_empty()
        && let Some(spent) = members.iter().find(|member| signs::is_spent_token(member))
    {
        let evidence = format!(
            "`{}` is for the next page, and there is none",
            spent.pointer()
        );
        let name = signs::parameters_for(spent.key).swap_remove(0);
        let to = signs::to_parameter(&name, first.base.body.is_some());
        let mut kind = Cursor::new(spent.at(), to);
        kind.more = more;
        candidates.extend(first.candidate(kind, Trust::Stated, evidence));
    }
    candidates
}

/// Header fields with a token, or the number of the next page.
fn by_fields(first: &First<'_>) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for (name, value) in &first.page.headers {
        if !signs::is_next_field(name.as_str()) {
            continue;
        }
        let at = At::header(name.clone());
        let text = value.to_str().unwrap_or_default().trim();
        if text.is_empty() {
            let kind = Cursor::new(at, "page");
            let evidence = "the header for the next page is empty";
            candidates.extend(first.candidate(kind, Trust::Stated, evidence));
        } else if !signs::is_url_text(text) {
            let evidence = format!("there is a `{name}` header");
            for to in targets_of_field(name.as_str(), first) {
                let kind = Cursor::new(at.clone(), to);
                candidates.extend(first.candidate(kind, Trust::Token, evidence.clone()));
            }
        }
    }
    candidates
}

/// Where the token of a header field may go: a field without the `next`, one of the
/// same name, or what a token from a body may go into.
fn targets_of_field(key: &str, first: &First<'_>) -> Vec<To> {
    let stripped = key.trim_start_matches("x-").trim_start_matches("next-");
    let is_own = stripped == "range" || key == "x-ms-continuation";
    let own = [stripped, key]
        .into_iter()
        .filter_map(|name| Some(To::header(name.parse().ok()?)));
    let others = (signs::parameters_for(key).into_iter())
        .flat_map(|name| signs::to_parameters(&name, first.base.body.is_some()));
    match is_own {
        true => own.chain(others).collect(),
        false => others.chain(own).collect(),
    }
}

/// The ways in which a token may be given back.
fn with_targets(
    first: &First<'_>,
    member: &Member<'_>,
    more: Option<&More>,
    evidence: &str,
) -> Vec<Candidate> {
    let has_body = first.base.body.is_some();
    let targets: Vec<To> = match member.value {
        Value::Object(_) if !has_body && text_of_element(member.value).is_none() => {
            "*".parse().into_iter().collect()
        }
        _ => (signs::parameters_for(member.key).iter())
            .flat_map(|name| signs::to_parameters(name, has_body))
            .collect(),
    };
    let drop = alone(first, member);
    let in_request = |to: &To| to.read(first.base).is_some();
    // What the caller's request has already is the likeliest.
    let (mut likely, others): (Vec<To>, Vec<To>) = targets.into_iter().partition(in_request);
    likely.extend(others);
    (likely.into_iter())
        .filter_map(|to| {
            let mut kind = Cursor::new(member.at(), to);
            kind.more = more.cloned();
            kind.drop.clone_from(&drop);
            first.candidate(kind, Trust::Token, evidence)
        })
        .collect()
}

/// What must not come with a token: in OAI-PMH (section 3.5 of its specification) all but
/// the verb. Other protocols of which that is known have no name of their own to be
/// recognised by; there it is pinned.
fn alone(first: &First<'_>, member: &Member<'_>) -> Vec<To> {
    let is_alone = member.pointer().steps().first().map(String::as_str) == Some("OAI-PMH");
    if !is_alone {
        return Vec::new();
    }
    (first.base.url.query_pairs())
        .filter(|(name, _)| name != "verb")
        .map(|(name, _)| To::query(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{asks, detected, ends, page};
    use super::*;
    use serde_json::json;

    fn cursor(text: &str) -> Box<dyn Kind> {
        let mut kind = text.parse::<Paginate>().unwrap().into_kind();
        let call = Call::get("http://api.test/v1?limit=2".parse().unwrap());
        kind.begin(call).unwrap();
        kind
    }

    #[test]
    fn the_token_goes_where_it_is_meant_to_and_the_rest_stays() {
        let mut kind = cursor("cursor:/meta/next,to=cursor");
        for token in ["a=b", "c d"] {
            let asked = asks(kind.after(&page(json!({"meta": {"next": token}}), 2)));
            let url: url::Url = asked.parse().unwrap();
            assert_eq!(
                url.query_pairs().into_owned().collect::<Vec<_>>(),
                [
                    ("limit".to_owned(), "2".to_owned()),
                    ("cursor".to_owned(), token.to_owned())
                ]
            );
        }
    }

    #[test]
    fn a_page_without_a_token_is_the_last() {
        for envelope in [
            json!({}),
            json!({"next": null}),
            json!({"next": ""}),
            json!({"next": false}),
        ] {
            let mut kind = cursor("cursor:/next,to=cursor");
            assert_eq!(ends(kind.after(&page(envelope, 2))), Ended::NoNext);
        }
    }

    #[test]
    fn a_token_that_never_was_in_its_place_is_a_doubt_where_there_is_more() {
        for envelope in [
            json!({"next_cursor": "x"}),
            json!({"links": {"next": "/b"}}),
            json!({"total": 9}),
        ] {
            let next = cursor("cursor:/nxt,to=cursor").after(&page(envelope, 2));
            assert!(
                matches!(next, Ok(Next::Doubtful(Ended::NoNext, _))),
                "{next:?}"
            );
        }
        let mut kind = cursor("cursor:/prev,to=cursor");
        asks(kind.after(&page(json!({"prev": "b", "next": "x"}), 2)));
        assert_eq!(
            ends(kind.after(&page(json!({"next": "c"}), 2))),
            Ended::NoNext
        );
    }

    #[test]
    fn a_token_that_leads_to_the_begin_and_a_word_for_none_end_the_walk() {
        for end in [
            json!(0),
            json!(-1),
            json!("0"),
            json!("-1"),
            json!("null"),
            json!("None"),
        ] {
            let mut kind = cursor("cursor:/next,to=cursor");
            asks(kind.after(&page(json!({"next": 25}), 25)));
            asks(kind.after(&page(json!({"next": 50}), 25)));
            assert_eq!(
                ends(kind.after(&page(json!({"next": end}), 9))),
                Ended::NoNext
            );
        }
        // Zero is where a walk comes to that counts down.
        let mut kind = cursor("cursor:/next,to=cursor");
        for next in [50, 25, 0] {
            asks(kind.after(&page(json!({"next": next}), 25)));
        }
    }

    #[test]
    fn the_last_token_can_be_said() {
        let mut kind = cursor("cursor:/next,to=cursor,end=EOF");
        for next in ["a", "0", "None"] {
            asks(kind.after(&page(json!({"next": next}), 2)));
        }
        assert_eq!(
            ends(kind.after(&page(json!({"next": "EOF"}), 2))),
            Ended::NoNext
        );
        let mut kind = cursor("cursor:/next,to=cursor,end=0");
        asks(kind.after(&page(json!({"next": "1"}), 2)));
        assert_eq!(
            ends(kind.after(&page(json!({"next": 0}), 2))),
            Ended::NoNext
        );
    }

    #[test]
    fn what_must_not_come_with_a_token_is_left_out() {
        let text = "cursor:/t,to=token,drop=limit,drop=header:x-from";
        let mut kind = cursor(text);
        assert_eq!(kind.describe(), text);
        let first = page(json!({"t": {"@size": "9", "#text": "abc"}}), 2);
        assert_eq!(asks(kind.after(&first)), "http://api.test/v1?token=abc");
        let last = page(json!({"t": {"@size": "9"}}), 2);
        assert_eq!(ends(kind.after(&last)), Ended::NoNext);
    }

    #[test]
    fn a_token_of_oai_pmh_comes_with_its_verb_alone() {
        let list = json!({"record": [], "resumptionToken": {"@cursor": "0", "#text": "abc"}});
        let mut first = page(json!({"OAI-PMH": {"ListRecords": list}}), 2);
        (first.call.url).set_query(Some("verb=ListRecords&metadataPrefix=dc&set=x"));
        let mut found = detected(&ENTRY, &first).remove(0).kind;
        assert_eq!(
            asks(found.after(&first)),
            "http://api.test/v1/things?verb=ListRecords&resumptionToken=abc"
        );
    }

    #[test]
    fn a_flag_decides_before_the_token() {
        let mut kind = cursor("cursor:/next,to=cursor,more=/more");
        let end = page(json!({"next": "x", "more": false}), 2);
        assert_eq!(ends(kind.after(&end)), Ended::NoMore);
        let contradiction = kind.after(&page(json!({"more": true}), 2)).unwrap();
        assert!(matches!(contradiction, Next::Doubtful(Ended::NoNext, _)));
    }

    #[test]
    fn the_same_token_behind_the_last_item_is_the_end() {
        let mut kind = cursor("cursor:/next,to=cursor");
        let same = |items| page(json!({"next": "same"}), items);
        assert!(asks(kind.after(&same(2))).ends_with("cursor=same"));
        assert!(asks(kind.after(&same(2))).ends_with("cursor=same"));
        assert_eq!(ends(kind.after(&same(0))), Ended::SameToken);
    }

    #[test]
    fn an_empty_page_with_another_token_is_not_the_end() {
        let mut kind = cursor("cursor:/next,to=cursor");
        asks(kind.after(&page(json!({"next": "a"}), 2)));
        assert!(asks(kind.after(&page(json!({"next": "b"}), 0))).ends_with("cursor=b"));
    }

    #[test]
    fn all_members_of_an_object_can_be_parameters() {
        let mut kind = cursor("cursor:/continue,to=*");
        let first = page(
            json!({"continue": {"cmcontinue": "p|1", "continue": "-||"}}),
            2,
        );
        assert_eq!(
            asks(kind.after(&first)),
            "http://api.test/v1?limit=2&cmcontinue=p%7C1&continue=-%7C%7C"
        );
    }

    #[test]
    fn a_parameter_of_the_request_is_tried_first() {
        let mut first = page(json!({"next_cursor": "x"}), 2);
        first.call.url.set_query(Some("after=&limit=2"));
        let found = detected(&ENTRY, &first);
        assert_eq!(found[0].kind.describe(), "cursor:/next_cursor,to=after");
        assert_eq!(found[1].kind.describe(), "cursor:/next_cursor,to=cursor");
    }
}
