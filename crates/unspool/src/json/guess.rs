//! Which array of a whole document holds the items, where no name tells.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Pointer;
use crate::error::Error;

/// The only array one level down, or else two.
pub(super) fn only_array(document: &Value) -> Result<Pointer, Error> {
    let Value::Object(fields) = document else {
        return Err(Error::no_items(format!(
            "expected an array of items, found {}",
            kind_of_value(document)
        )));
    };
    let direct = arrays_in(fields, &[]);
    let objects = (fields.iter()).filter_map(|(key, value)| Some((key, value.as_object()?)));
    let below: Vec<Pointer> = objects
        .filter(|(key, _)| !ABOUT_PAGES.contains(&key.as_str()))
        .flat_map(|(key, fields)| arrays_in(fields, std::slice::from_ref(key)))
        .collect();
    let likely = likely(direct, below, document);
    match likely.as_slice() {
        [array] => Ok(array.clone()),
        [] => Err(Error::no_items(format!(
            "expected an array of items, found an object without an array{}",
            keys_of(fields)
        ))),
        [first, second, ..] => Err(Error::no_items(format!(
            "found {} arrays that could hold the items, such as `{first}` and `{second}`: say which with a JSON pointer",
            likely.len()
        ))),
    }
}

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

/// Those of several arrays that may be meant: not the links, not the empty ones beside
/// others, and before all the ones beside what speaks of further pages.
fn likely(direct: Vec<Pointer>, below: Vec<Pointer>, document: &Value) -> Vec<Pointer> {
    let is_list = |at: &Pointer| {
        !matches!(
            at.steps().last().map(String::as_str),
            Some("links" | "_links")
        )
    };
    let is_filled = |at: &Pointer| {
        let array = at.find(document).and_then(Value::as_array);
        array.is_some_and(|array| !array.is_empty())
    };
    let holds_objects = |at: &Pointer| {
        let first = at.find(document).and_then(|array| array.get(0));
        first.is_some_and(Value::is_object)
    };
    let is_beside_pages = |at: &Pointer| {
        let above = at.steps().split_last().map_or(&[][..], |(_, above)| above);
        let beside = Pointer::from_steps(above.to_vec());
        let fields = beside.find(document).and_then(Value::as_object);
        fields.is_some_and(|fields| fields.keys().any(|key| speaks_of_pages(key)))
    };
    let prefer = |arrays: Vec<Pointer>, is_fit: &dyn Fn(&Pointer) -> bool| {
        let fit: Vec<Pointer> = arrays.iter().filter(|at| is_fit(at)).cloned().collect();
        if fit.is_empty() { arrays } else { fit }
    };
    let direct = prefer(prefer(direct, &is_list), &is_filled);
    let below = prefer(prefer(below, &is_list), &is_filled);
    let is_below = direct.is_empty()
        || !direct.iter().any(is_beside_pages) && below.iter().any(is_beside_pages);
    let likely = prefer(if is_below { below } else { direct }, &is_beside_pages);
    prefer(likely, &holds_objects)
}

fn speaks_of_pages(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    [
        "next", "more_", "has_more", "hasmore", "total", "per_page", "pageinfo",
    ]
    .iter()
    .any(|begin| key.starts_with(begin))
}

fn arrays_in(fields: &Map<String, Value>, above: &[String]) -> Vec<Pointer> {
    fields
        .iter()
        // Errors stand in the place of items, and are none.
        .filter(|(key, value)| value.is_array() && *key != "errors")
        .map(|(key, _)| Pointer::from_steps([above, std::slice::from_ref(key)].concat()))
        .collect()
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
pub(super) fn text_at(document: &[u8], pointer: &Pointer) -> Result<Bytes, Error> {
    let mut text = document;
    for step in pointer.steps() {
        let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(text)
            .map_err(|error| Error::no_items(format!("not JSON: {error}")).with_source(error))?;
        text = fields
            .get(step.as_str())
            .map_or("", |field| field.get())
            .as_bytes();
    }
    Ok(Bytes::copy_from_slice(text))
}
