use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::{
    Candidate, Description, First, Kind, KindEntry, More, Next, PageEnd, Paginate, Trust, signs,
};
use crate::error::Error;
use crate::http::Call;
use crate::json::{self, Pointer};
use crate::pages::account::Ended;
use crate::pages::place::{At, To};

pub(super) const ENTRY: KindEntry = KindEntry {
    name: "last",
    syntax: "[:POINTER],to=TO[,more=AT][,next=json|base64]",
    about: "the last item's key (keyset): the value at POINTER in it, `/id` by default, sent in TO, \
            until a page is empty or the flag at `more` says so; `next=json` sends it as JSON, \
            `next=base64` the bytes after it",
    parse: |options| {
        let key = options.unnamed().as_deref().unwrap_or("/id").parse()?;
        let to: To = options.value("to")?.ok_or_else(|| {
            Error::request("expected `to`, where the key goes: `last:/id,to=starting_after`")
        })?;
        let mut kind = LastKey::new(key, to);
        kind.more = options.value("more")?;
        kind.form = match options.text("next").as_deref() {
            None => Form::Plain,
            Some("json") => Form::Json,
            Some("base64") => Form::Base64,
            Some(other) => {
                return Err(Error::request(format!(
                    "expected `json` or `base64` for `next`, found `{other}`"
                )));
            }
        };
        Ok(Box::new(kind))
    },
    detect,
};

/// The key of the last item of each page, from which the next request goes on.
///
/// The walk ends at a page without new items, or where a flag says so. A page may
/// begin with the very item that the key is of; that one is passed over.
///
/// ```
/// use unspool::pages::LastKey;
///
/// let posts = unspool::pages("https://api.example.com/posts")
///     .paginate(LastKey::new("/id".parse()?, "starting_after"))
///     .raw();
/// # drop(posts);
/// # Ok::<(), unspool::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LastKey {
    key: Pointer,
    to: To,
    more: Option<More>,
    form: Form,
    base: Option<Call>,
    /// Whether the flag has been there; some APIs leave it out where it is false.
    has_flag: bool,
}

/// How a key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Plain,
    Json,
    /// The key is base64 of bytes: the first key after it has a zero byte more.
    Base64,
}

impl LastKey {
    /// The value at `key` in the last item, sent in `to`.
    #[must_use]
    pub fn new(key: Pointer, to: impl Into<To>) -> Self {
        LastKey {
            key,
            to: to.into(),
            more: None,
            form: Form::Plain,
            base: None,
            has_flag: false,
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

    /// Sends the key as JSON: a string with its quotes, as CouchDB's `startkey`.
    #[must_use]
    pub fn as_json(mut self) -> Self {
        self.form = Form::Json;
        self
    }

    /// Sends the base64 of the first key after one that is base64 itself, as etcd's
    /// ranges want it.
    #[must_use]
    pub fn after_base64(mut self) -> Self {
        self.form = Form::Base64;
        self
    }

    /// What is sent for a key.
    fn formed(&self, key: &Value) -> Result<Value, Error> {
        match (self.form, key) {
            (Form::Plain, key) => Ok(key.clone()),
            (Form::Json, key) => Ok(Value::String(key.to_string())),
            (Form::Base64, key) => {
                let bytes = key.as_str().and_then(|text| BASE64.decode(text).ok());
                let mut bytes = bytes.ok_or_else(|| {
                    Error::content(format!("expected base64 at `{}`, found `{key}`", self.key))
                })?;
                bytes.push(0);
                Ok(Value::String(BASE64.encode(bytes)))
            }
        }
    }
}

impl From<LastKey> for Paginate {
    fn from(last: LastKey) -> Self {
        Paginate::new(last)
    }
}

impl Kind for LastKey {
    fn describe(&self) -> String {
        let form = match self.form {
            Form::Plain => None,
            Form::Json => Some("json"),
            Form::Base64 => Some("base64"),
        };
        Description::new(ENTRY.name)
            .unnamed(Some(&self.key))
            .option("to", Some(&self.to))
            .option("more", self.more.as_ref())
            .option("next", form)
            .end()
    }

    fn begin(&mut self, call: Call) -> Result<Call, Error> {
        self.base = Some(call.clone());
        Ok(call)
    }

    fn after(&mut self, page: &PageEnd) -> Result<Next, Error> {
        let says_more = self.more.as_ref().and_then(|more| more.read(page));
        if says_more == Some(false) || says_more.is_none() && self.has_flag {
            return Ok(Next::End(Ended::NoMore));
        }
        self.has_flag = says_more.is_some();
        let Some(last) = page.last.as_ref().filter(|_| page.fresh > 0) else {
            return Ok(Next::End(Ended::NothingAfter));
        };
        let key = json::value_at(last, &self.key).filter(|key| !key.is_null());
        let key = key.ok_or_else(|| {
            Error::content(format!("the last item has no `{}` to go on from", self.key))
                .at_request(page.call.redacted())
        })?;
        let base = self.base.as_ref().unwrap_or(&page.call);
        Ok(Next::Call(self.to.set(base, &self.formed(&key)?)?))
    }

    fn makes_its_calls(&self) -> bool {
        true
    }

    fn overlaps(&self) -> bool {
        true
    }

    /// What is before a key does not move what comes after it.
    fn counts_from_front(&self, _: &Call) -> bool {
        false
    }
}

/// Where APIs take the key of the last item, for a query and for a body.
const TARGETS: &[&str] = &[
    "starting_after",
    "after",
    "after_id",
    "since_id",
    "last_id",
    "before",
    "max_id",
];

/// The key itself.
const KEYS: &[&str] = &["id", "_id", "key", "uuid"];

fn detect(first: &First<'_>) -> Vec<Candidate> {
    let has_body = first.base.body.is_some();
    let member = |key: &str| json::member(first.page.last.as_ref()?, key);
    // What a search of Elasticsearch sorts by.
    if has_body && member("sort").is_some_and(|sort| sort.get().starts_with('[')) {
        let kind = LastKey::new(
            Pointer::from_steps(vec!["sort".to_owned()]),
            signs::to_parameter("search_after", true),
        );
        let evidence = "the items have a `sort`";
        return (first.candidate(kind, Trust::Guessed, evidence).into_iter()).collect();
    }
    let Some((more, true)) = signs::more_flag(first.page) else {
        return Vec::new();
    };
    let Some(key) = KEYS.iter().find(|key| member(key).is_some()) else {
        return Vec::new();
    };
    let evidence = format!("`{more}` says that there is more, and the items have a `{key}`");
    let in_request = |name: &&&str| {
        signs::to_parameter(name, has_body)
            .read(first.base)
            .is_some()
    };
    let (own, others): (Vec<&&str>, Vec<&&str>) = TARGETS.iter().partition(in_request);
    // A number that the request or the answer names is likelier than a name of ours.
    let names = own.into_iter().map(|name| (name, 0));
    names
        .chain(others.into_iter().map(|name| (name, 1)))
        .filter_map(|(name, rank)| {
            let mut kind = LastKey::new(
                Pointer::from_steps(vec![(*key).to_owned()]),
                signs::to_parameter(name, has_body),
            );
            kind.more = Some(more.clone());
            let candidate = first.candidate(kind, Trust::Guessed, evidence.clone())?;
            Some(Candidate { rank, ..candidate })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{asks, detected, ends, page};
    use super::*;
    use serde_json::json;

    fn last(text: &str, body: Option<Value>) -> Box<dyn Kind> {
        let mut kind = text.parse::<Paginate>().unwrap().into_kind();
        let call = Call {
            body,
            ..Call::get("http://api.test/v1?limit=2".parse().unwrap())
        };
        kind.begin(call).unwrap();
        kind
    }

    #[test]
    fn a_flag_that_was_there_and_is_left_out_is_false() {
        let mut kind = last("last:/id,to=after,more=/more", None);
        let item = || json!({"id": 1});
        asks(kind.after(&ending_with(item(), json!({}))));
        asks(kind.after(&ending_with(item(), json!({"more": true}))));
        assert_eq!(
            ends(kind.after(&ending_with(item(), json!({})))),
            Ended::NoMore
        );
    }

    fn ending_with(item: Value, envelope: Value) -> PageEnd {
        PageEnd {
            last: Some(item.to_string().into()),
            ..page(envelope, 2)
        }
    }

    #[test]
    fn the_key_of_the_last_item_is_where_the_next_page_begins() {
        let mut kind = last("last:/id,to=starting_after,more=/has_more", None);
        let middle = ending_with(json!({"id": "ch_2"}), json!({"has_more": true}));
        assert_eq!(
            asks(kind.after(&middle)),
            "http://api.test/v1?limit=2&starting_after=ch_2"
        );
        let end = ending_with(json!({"id": "ch_3"}), json!({"has_more": false}));
        assert_eq!(ends(kind.after(&end)), Ended::NoMore);
    }

    #[test]
    fn without_a_flag_a_page_without_new_items_is_the_last() {
        let mut kind = last("last:/sort,to=body:/search_after", Some(json!({"size": 2})));
        let hit = ending_with(json!({"sort": [7, "x"]}), json!({}));
        assert_eq!(
            asks(kind.after(&hit)),
            r#"http://api.test/v1?limit=2 {"search_after":[7,"x"],"size":2}"#
        );
        let empty = PageEnd {
            fresh: 0,
            ..ending_with(json!({"sort": [7]}), json!({}))
        };
        assert_eq!(ends(kind.after(&empty)), Ended::NothingAfter);
    }

    #[test]
    fn a_key_can_be_sent_as_json_and_as_the_base64_behind_it() {
        let row = ending_with(json!({"key": "Zm9v"}), json!({}));
        let mut kind = last("last:/key,to=startkey,next=json", None);
        assert!(asks(kind.after(&row)).ends_with("startkey=%22Zm9v%22"));
        let mut kind = last("last:/key,to=body:/key,next=base64", Some(json!({})));
        assert!(asks(kind.after(&row)).ends_with(r#"{"key":"Zm9vAA=="}"#));
    }

    #[test]
    fn an_item_without_the_key_is_an_error() {
        let mut kind = last("last:/id,to=after", None);
        let error = kind.after(&ending_with(json!({"x": 1}), json!({})));
        assert!(error.unwrap_err().to_string().contains("no `/id`"));
    }

    #[test]
    fn a_flag_and_an_id_make_a_candidate() {
        let first = ending_with(json!({"id": 7}), json!({"has_more": true}));
        assert_eq!(
            detected(&ENTRY, &first)[0].kind.describe(),
            "last:/id,to=starting_after,more=/has_more"
        );
        let only = ending_with(json!({"id": 7}), json!({"has_more": false}));
        assert!(detected(&ENTRY, &only).is_empty());
    }
}
