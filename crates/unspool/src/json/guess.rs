//! Which array of a whole document holds the items, where no name tells.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{Pointer, document, partial, place};
use crate::error::Error;

/// What a document without an array under a usual name holds.
#[derive(Debug, PartialEq)]
pub(super) enum Held {
    /// Items, in the only array one level down, or else two.
    Items(Pointer),
    /// One thing with an identity of its own, whose arrays are a part of it.
    Resource(Pointer),
}

/// What a whole document holds, if that can be told.
pub(super) fn held(document: &Value) -> Result<Held, Error> {
    let Value::Object(fields) = document else {
        return Err(Error::no_items(format!(
            "expected an array of items, found {}",
            kind_of_value(document)
        )));
    };
    if let Some(resource) = resource(document) {
        return Ok(Held::Resource(resource));
    }
    let direct = arrays_in(fields, None);
    let objects = (fields.iter()).filter_map(|(key, value)| Some((key, value.as_object()?)));
    let below = objects
        .filter(|(key, _)| !ABOUT_PAGES.contains(&key.as_str()))
        .flat_map(|(key, fields)| arrays_in(fields, Some(key)))
        .collect();
    let likely = likely(direct, below);
    match likely.as_slice() {
        [array] => Ok(Held::Items(array.pointer())),
        [] => Err(Error::no_items(format!(
            "expected an array of items, found an object without an array{}; where an empty list is \
             left out, say where it would be with a JSON pointer",
            keys_of(fields)
        ))),
        [first, second, ..] => Err(Error::no_items(format!(
            "found {} arrays that could hold the items, such as `{}` and `{}`: say which with a JSON pointer",
            likely.len(),
            first.pointer(),
            second.pointer()
        ))),
    }
}

/// Where the object is whose members are the items: one whose members are objects of a
/// kind, which have a key in common.
pub(super) fn object_of_items(document: &Value) -> Result<Pointer, Error> {
    let found = objects_of_items(document);
    let is_usual = |at: &Pointer| {
        let steps: Vec<&str> = at.steps().iter().map(String::as_str).collect();
        !steps.is_empty() && place::is_usual(&steps)
    };
    let usual: Vec<Pointer> = found.iter().filter(|at| is_usual(at)).cloned().collect();
    match (found.as_slice(), usual.as_slice()) {
        ([at], _) | (_, [at]) => Ok(at.clone()),
        ([one, other, ..], _) => Err(Error::no_items(format!(
            "found several objects whose members could be the items, such as {} and {}: say \
                 which with a JSON pointer",
            one.described(),
            other.described()
        ))),
        ([], _) => Err(Error::no_items(format!(
            "expected an object whose members are the items, found {}; say where it is with a JSON \
             pointer",
            match document {
                Value::Object(fields) => format!("none{}", keys_of(fields)),
                other => kind_of_value(other).to_owned(),
            }
        ))),
    }
}

/// How deep the object of items is looked for.
const MOST_STEPS: usize = 3;

/// The fullest of them; one with several members is not looked into.
fn objects_of_items(document: &Value) -> Vec<Pointer> {
    let mut objects = Vec::new();
    collect_objects(document, &mut Vec::new(), &mut objects);
    let most = objects.iter().map(|(_, members)| *members).max();
    let fullest = (objects.into_iter()).filter(|(_, members)| Some(*members) == most);
    fullest.map(|(at, _)| at).collect()
}

fn collect_objects(value: &Value, at: &mut Vec<String>, found: &mut Vec<(Pointer, usize)>) {
    let Value::Object(fields) = value else {
        return;
    };
    let objects: Option<Vec<&Map<String, Value>>> = fields.values().map(Value::as_object).collect();
    if let Some([first, others @ ..]) = objects.as_deref()
        && first
            .keys()
            .any(|key| others.iter().all(|other| other.contains_key(key)))
    {
        found.push((Pointer::from_steps(at.clone()), fields.len()));
        if fields.len() > 1 {
            return;
        }
    }
    for (key, value) in fields {
        if at.len() < MOST_STEPS && !ABOUT_PAGES.contains(&key.as_str()) {
            at.push(key.clone());
            collect_objects(value, at, found);
            at.pop();
        }
    }
}

/// Where a document holds one thing: at its root, or in the only object in it.
fn resource(document: &Value) -> Option<Pointer> {
    if is_resource(document) {
        return Some(Pointer::default());
    }
    let fields = document.as_object()?;
    let mut objects = fields
        .iter()
        .filter(|(key, value)| value.is_object() && !ABOUT_PAGES.contains(&key.as_str()));
    let (key, value) = objects.next().filter(|_| objects.next().is_none())?;
    // An array beside it may be the items.
    let has_array = fields.values().any(Value::is_array);
    (!has_array && is_resource(value)).then(|| Pointer::from_steps(vec![key.clone()]))
}

/// Whether an object is one thing, and no page: it has an identity, or is described as
/// things are, and does not speak of pages. No rule tells `name` from the other members
/// of an answer, so there are names here.
fn is_resource(value: &Value) -> bool {
    let Value::Object(fields) = value else {
        return false;
    };
    let has_text = |key: &&&str| {
        let value = fields.get(**key);
        value.is_some_and(|value| {
            value.is_number() || value.as_str().is_some_and(|text| !text.is_empty())
        })
    };
    // A call of JSON-RPC has an identity, and its answer is something else.
    let is_about_pages = |key: &String| {
        speaks_of_pages(key) || ["jsonrpc", "error", "errors"].contains(&key.as_str())
    };
    let is_page =
        fields.keys().any(is_about_pages) || fields.get("object").is_some_and(|of| of == "list");
    let is_one = IDENTITIES.iter().any(|key| has_text(&key))
        || DESCRIPTIONS.iter().filter(has_text).count() > 1;
    is_one && !is_page
}

/// What tells one thing from others of its kind.
const IDENTITIES: &[&str] = &["id", "_id", "uuid", "guid"];

/// What describes one thing; two of these do not stand around a list.
const DESCRIPTIONS: &[&str] = &[
    "name",
    "full_name",
    "title",
    "slug",
    "login",
    "email",
    "created_at",
    "createdAt",
    "updated_at",
    "updatedAt",
    "html_url",
];

/// Objects that speak of the pages, and hold no items.
const ABOUT_PAGES: &[&str] = &[
    "meta",
    "pagination",
    "paging",
    "page",
    "links",
    "_links",
    "_meta",
];

/// Names of lists that lead elsewhere, and are never the items.
const LINKS: &[&str] = &["link", "links", "_links"];

/// An array that may hold the items.
#[derive(Clone, Copy)]
struct Array<'d> {
    /// The key of the object that it is in, if that is not the document itself.
    above: Option<&'d str>,
    key: &'d str,
    elements: &'d [Value],
    /// Whether what speaks of further pages is beside it.
    is_beside_pages: bool,
}

impl Array<'_> {
    fn pointer(&self) -> Pointer {
        let steps = self.above.into_iter().chain([self.key]);
        Pointer::from_steps(steps.map(str::to_owned).collect())
    }
}

/// Those of several arrays that may be meant: not the links, not the empty ones beside
/// others, and before all the ones beside what speaks of further pages.
fn likely<'d>(mut direct: Vec<Array<'d>>, mut below: Vec<Array<'d>>) -> Vec<Array<'d>> {
    let prefer = |arrays: &mut Vec<Array<'d>>, is_fit: fn(&Array<'d>) -> bool| {
        if arrays.iter().any(is_fit) {
            arrays.retain(is_fit);
        }
    };
    for arrays in [&mut direct, &mut below] {
        arrays.retain(|array| !LINKS.contains(&array.key));
        prefer(arrays, |array| !array.elements.is_empty());
    }
    let are_beside_pages = |arrays: &[Array<'_>]| arrays.iter().any(|array| array.is_beside_pages);
    let is_below = direct.is_empty() || !are_beside_pages(&direct) && are_beside_pages(&below);
    let mut likely = if is_below { below } else { direct };
    prefer(&mut likely, |array| array.is_beside_pages);
    prefer(&mut likely, |array| {
        array.elements.first().is_some_and(Value::is_object)
    });
    likely
}

fn speaks_of_pages(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    [
        "next", "more_", "has_more", "hasmore", "total", "per_page", "pageinfo",
    ]
    .iter()
    .any(|begin| key.starts_with(begin))
}

fn arrays_in<'d>(fields: &'d Map<String, Value>, above: Option<&'d str>) -> Vec<Array<'d>> {
    let is_beside_pages = fields.keys().any(|key| speaks_of_pages(key));
    let arrays = fields.iter().filter_map(|(key, value)| {
        Some(Array {
            above,
            key,
            elements: value.as_array()?,
            is_beside_pages,
        })
    });
    // Errors stand in the place of items, and are none.
    arrays.filter(|array| array.key != "errors").collect()
}

/// Whether an element speaks of the pages, and the element after it may be the items:
/// `[{"page": 1, "total": 250}, […]]`.
pub(super) fn is_about_pages(element: &[u8]) -> bool {
    let speaks = |key: &str| {
        speaks_of_pages(key) || ["page", "pages", "count", "limit", "offset"].contains(&key)
    };
    let mut is_about_pages = false;
    let object = document::members(element, &mut |key, _| is_about_pages |= speaks(&key));
    object.is_some() && is_about_pages
}

/// Whether a document leaves out the array at the pointer because there is nothing in it,
/// as protobuf, Go and FHIR do: there is no other value in its place, no other array that
/// might be meant, and nothing that speaks of a failure.
pub(super) fn is_left_out(pointer: &Pointer, document: &Value) -> bool {
    let mut value = document;
    for step in pointer.steps() {
        match value {
            Value::Object(fields) => match fields.get(step) {
                None | Some(Value::Null) => break,
                Some(below) => value = below,
            },
            _ => return false,
        }
    }
    let Value::Object(fields) = document else {
        return false;
    };
    let members = || {
        let below = fields.values().filter_map(Value::as_object).flatten();
        fields.iter().chain(below)
    };
    // Who leaves empty lists out writes none.
    let is_other =
        |(key, value): (&String, &Value)| value.is_array() && !LINKS.contains(&key.as_str());
    pointer != &Pointer::default()
        && !members().any(is_other)
        && !partial::speaks_of_failure(document)
}

/// The error for a document without an array at the pointer.
pub(super) fn missing(pointer: &Pointer, document: &Value) -> Error {
    let found = match document {
        Value::Object(fields) => format!("an object without it{}", keys_of(fields)),
        other => kind_of_value(other).to_owned(),
    };
    Error::no_items(format!(
        "expected an array at {}, found {found}",
        pointer.described()
    ))
}

/// The first keys of an object, for a message.
fn keys_of(fields: &Map<String, Value>) -> String {
    let keys: Vec<String> = fields
        .keys()
        .take(8)
        .map(|key| format!("`{key}`"))
        .collect();
    match keys.len() {
        0 => String::new(),
        _ => format!(", with the keys {}", keys.join(", ")),
    }
}

fn kind_of_value(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "an object",
        Value::Array(_) => "an array",
        Value::String(_) => "a string",
        Value::Bool(_) => "a boolean",
        Value::Null => "`null`",
        Value::Number(_) => "a number",
    }
}

/// The text of a value below objects.
pub(super) fn text_at(document: &[u8], pointer: &Pointer) -> Bytes {
    let mut text = document;
    for step in pointer.steps() {
        let member = document::member(text, step);
        text = member.map_or(&b""[..], |member| member.get().as_bytes());
    }
    Bytes::copy_from_slice(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(text: &str) -> Pointer {
        text.parse().unwrap()
    }

    #[test]
    fn one_thing_is_told_from_a_list() {
        for (document, resource) in [
            (json!({"id": 7, "tags": []}), ""),
            (json!({"id": 7, "name": "x"}), ""),
            (
                json!({"name": "x", "created_at": "2026-01-01", "owners": [{"id": 1}]}),
                "",
            ),
            (
                json!({"data": {"_id": "a", "tags": ["b"]}, "meta": {"took": 3}}),
                "/data",
            ),
            (
                json!({"user": {"uuid": "a", "roles": [{"id": 1}]}}),
                "/user",
            ),
        ] {
            assert_eq!(
                held(&document).unwrap(),
                Held::Resource(at(resource)),
                "{document}"
            );
        }
        for (document, items) in [
            (json!({"ok": true, "channels": [{"id": 1}]}), "/channels"),
            (
                json!({"jsonrpc": "2.0", "id": 1, "result": [{"id": 1}]}),
                "/result",
            ),
            (
                json!({"id": "q", "total": 3, "found": [{"id": 1}]}),
                "/found",
            ),
            (json!({"object": "list", "id": "x", "cards": [1]}), "/cards"),
            (json!({"name": "x", "owners": [{"id": 1}]}), "/owners"),
            (json!({"id": null, "tags": [1]}), "/tags"),
            (json!({"user": {"id": 7}, "posts": [{"id": 1}]}), "/posts"),
        ] {
            assert_eq!(
                held(&document).unwrap(),
                Held::Items(at(items)),
                "{document}"
            );
        }
    }

    #[test]
    fn links_are_never_the_items() {
        let links = json!([{"rel": "self", "href": "/x"}]);
        for key in ["link", "links", "_links"] {
            let document = json!({"entry": [1], key: links});
            assert_eq!(held(&document).unwrap(), Held::Items(at("/entry")));
            assert!(held(&json!({ key: links })).is_err());
        }
    }

    #[test]
    fn a_list_that_is_left_out_is_told_from_one_that_is_elsewhere() {
        let is_left_out = |document: Value| is_left_out(&at("/a/items"), &document);
        for empty in [
            json!({}),
            json!({"a": {}}),
            json!({"a": null}),
            json!({"kind": "list", "a": {"total": 0}, "link": [{"rel": "self"}]}),
            json!({"status": "ok", "code": 0, "message": ""}),
        ] {
            assert!(is_left_out(empty.clone()), "{empty}");
        }
        for other in [
            json!([]),
            json!(null),
            json!({"a": 7}),
            json!({"items": []}),
            json!({"a": {"rows": [1]}}),
            json!({"b": [1]}),
            json!({"a": {"tags": []}}),
            json!({"error": "busy"}),
            json!({"message": "slow down", "status": 429}),
            json!({"status": 503}),
            json!({"a": {}, "status": "failed"}),
            json!({"errorMessage": "busy"}),
            json!({"fault": {"code": 7}}),
        ] {
            assert!(!is_left_out(other.clone()), "{other}");
        }
    }
}
