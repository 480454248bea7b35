use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Random, cut};
use crate::error::Error;
use crate::json::{Check, End, Envelope, Place, Pointer};
use crate::split::Splitter;

/// The first byte says where the items are and what the body is said to be, the second how the
/// rest, a document, is cut into chunks.
///
/// # Panics
///
/// The chunks give another outcome than the whole; what is taken is not what serde_json reads,
/// items and all that surrounds them; or a document is refused that serde_json reads.
pub fn check_envelope(data: &[u8]) {
    let [mode, seed, document @ ..] = data else {
        return;
    };
    let mut random = Random::new(u64::from(*seed) << 8 | u64::from(*mode));
    let bare = document.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(document);
    let value = serde_json::from_slice::<Value>(bare).ok();
    let place = place(mode % 2 == 1, value.as_ref(), &mut random);
    let content_type = match mode / 2 % 4 {
        0 => Some("application/x-ndjson"),
        1 => Some("application/json"),
        _ => None,
    };
    let whole = outcome(&place, content_type, [document]);
    let chunks = cut(document, &mut random);
    assert_eq!(outcome(&place, content_type, chunks), whole, "in chunks");
    let is_xml = matches!(bare.trim_ascii_start().first(), Some(b'<' | 0xFE | 0xFF));
    match (whole, value) {
        _ if is_xml => {}
        (Ok(whole), _) if whole.is_lines => check_lines(bare, &whole.items),
        (Ok(whole), Some(value)) => check_whole(bare, &whole, &value),
        // A number beyond what a float holds is JSON, but not a `Value`.
        (Ok(_), None) if serde_json::from_slice::<serde::de::IgnoredAny>(bare).is_ok() => {}
        (Ok(whole), None) => panic!("serde_json refuses what gave {:?}", whole.items),
        // A pointer that leads somewhere has items there.
        (Err(message), Some(_)) if matches!(place, Place::At(_)) && !has_twice(bare) => {
            let is_said = [" deep", "expected an array", "on one line", "resource"];
            let is_lines = content_type == Some("application/x-ndjson");
            assert!(
                is_lines || is_said.iter().any(|words| message.contains(words)),
                "{message}"
            );
        }
        (Err(_), _) => {}
    }
}

/// Where to look: by the names, or at an array that is there.
fn place(is_known: bool, value: Option<&Value>, random: &mut Random) -> Place {
    let mut places = Vec::new();
    if let Some(value) = value.filter(|_| is_known) {
        arrays(value, &mut Vec::new(), &mut places);
    }
    match places.len() {
        _ if !is_known => Place::Auto,
        0 => Place::At(Pointer::default()),
        count => Place::At(Pointer::from_steps(places.swap_remove(random.below(count)))),
    }
}

/// The places of all arrays in a document.
fn arrays(value: &Value, steps: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let mut below = |step: String, value: &Value, found: &mut Vec<Vec<String>>| {
        steps.push(step);
        arrays(value, steps, found);
        steps.pop();
    };
    match value {
        Value::Array(elements) => {
            let elements = elements.iter().enumerate();
            elements.for_each(|(index, element)| below(index.to_string(), element, found));
            found.push(steps.clone());
        }
        Value::Object(members) => {
            let members = members.iter();
            members.for_each(|(key, member)| below(key.clone(), member, found));
        }
        _ => {}
    }
}

/// Each line is an item.
fn check_lines(document: &[u8], items: &[Bytes]) {
    // Before each record of a JSON text sequence (RFC 7464) there is a sign.
    let separated = |byte: &u8| if *byte == 0x1E { b'\n' } else { *byte };
    let text: Vec<u8> = document.iter().map(separated).collect();
    let lines = serde_json::Deserializer::from_slice(&text).into_iter::<&RawValue>();
    let lines: Result<Vec<_>, _> = lines.collect();
    let Ok(lines) = lines else {
        panic!("serde_json refuses lines that gave {items:?}");
    };
    let theirs = lines.iter().map(|line| line.get().as_bytes());
    assert!(theirs.eq(items.iter().map(|item| &item[..])), "{items:?}");
}

/// The items are the elements of the array where they are said to have been, and the envelope
/// is all else.
fn check_whole(document: &[u8], whole: &Whole, value: &Value) {
    // Of two members by one name each reader takes another.
    if has_twice(document) {
        return;
    }
    assert_eq!(whole.repeated_key, None, "no key is there twice");
    let items = whole
        .items
        .iter()
        .map(|item| serde_json::from_slice::<Value>(item));
    let Ok(items) = items.collect::<Result<Vec<_>, _>>() else {
        panic!("serde_json refuses an item of {:?}", whole.items);
    };
    if whole.is_resource {
        return;
    }
    let at = whole.items_at.to_string();
    let there = value.pointer(&at);
    match there {
        Some(Value::Array(elements)) => assert_eq!(*elements, items, "at `{at}`"),
        Some(Value::Null) | None => assert!(items.is_empty(), "nothing is at `{at}`"),
        Some(other) => panic!("{other} is at `{at}`"),
    }
    let mut again = whole.document.clone();
    if let (Some(hole), Some(there)) = (again.pointer_mut(&at), there) {
        *hole = there.clone();
    }
    assert_eq!(again, *value, "the envelope around `{at}` is another");
    if let Some(rival) = &whole.rival {
        let rival = value.pointer(&rival.to_string()).and_then(Value::as_array);
        assert!(rival.is_some_and(|elements| !elements.is_empty()));
    }
}

#[derive(Debug, PartialEq)]
struct Whole {
    items: Vec<Bytes>,
    document: Value,
    items_at: Pointer,
    rival: Option<Pointer>,
    repeated_key: Option<Pointer>,
    is_lines: bool,
    is_resource: bool,
}

fn outcome<'d>(
    place: &Place,
    content_type: Option<&str>,
    chunks: impl IntoIterator<Item = &'d [u8]>,
) -> Result<Whole, String> {
    let mut items = Vec::new();
    let envelope = feed(place, content_type, chunks, &mut items)
        .map_err(|error| format!("{error} after {} items", items.len()))?;
    Ok(Whole {
        items,
        document: envelope.document,
        items_at: envelope.items_at,
        rival: envelope.rival,
        repeated_key: envelope.repeated_key,
        is_lines: envelope.is_lines,
        is_resource: envelope.is_resource,
    })
}

fn feed<'d>(
    place: &Place,
    content_type: Option<&str>,
    chunks: impl IntoIterator<Item = &'d [u8]>,
    items: &mut Vec<Bytes>,
) -> Result<Envelope, Error> {
    let mut splitter = Splitter::new(place.clone(), Check::Valid, 1 << 20).said_to_be(content_type);
    for chunk in chunks {
        splitter.push(Bytes::copy_from_slice(chunk));
        while let Some(item) = splitter.next()? {
            items.push(item);
        }
    }
    match splitter.end()? {
        End::Whole(envelope) => Ok(envelope),
        End::Late(envelope, late) => {
            let root = Place::At(Pointer::default());
            feed(&root, None, [&late[..]], items)?;
            Ok(envelope)
        }
    }
}

/// Whether an object of the document has a key twice.
fn has_twice(document: &[u8]) -> bool {
    serde_json::from_slice::<keys::Twice>(document).is_ok_and(|twice| twice.0)
}

mod keys {
    use std::collections::HashSet;
    use std::fmt;

    use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

    /// Whether there is a key twice, at any depth.
    pub(super) struct Twice(pub(super) bool);

    struct Keys;

    impl<'de> Deserialize<'de> for Twice {
        fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
            reader.deserialize_any(Keys).map(Twice)
        }
    }

    impl<'de> Visitor<'de> for Keys {
        type Value = bool;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("JSON")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<bool, A::Error> {
            let (mut known, mut is_found) = (HashSet::new(), false);
            while let Some((key, below)) = members.next_entry::<String, Twice>()? {
                is_found |= below.0 | !known.insert(key);
            }
            Ok(is_found)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<bool, A::Error> {
            let mut is_found = false;
            while let Some(below) = elements.next_element::<Twice>()? {
                is_found |= below.0;
            }
            Ok(is_found)
        }

        fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
            Ok(false)
        }

        fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
            Ok(false)
        }

        fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
            Ok(false)
        }

        fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
            Ok(false)
        }

        fn visit_str<E>(self, _: &str) -> Result<bool, E> {
            Ok(false)
        }

        fn visit_unit<E>(self) -> Result<bool, E> {
            Ok(false)
        }

        fn visit_none<E>(self) -> Result<bool, E> {
            Ok(false)
        }

        fn visit_some<D: Deserializer<'de>>(self, reader: D) -> Result<bool, D::Error> {
            IgnoredAny::deserialize(reader).map(|_| false)
        }
    }
}

#[cfg(test)]
#[test]
fn random_envelopes_hold_the_properties_that_are_fuzzed() {
    let parts: &[&[u8]] = &[
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b":",
        b" ",
        b"\n",
        b"\x1E",
        b"null",
        b"1e400",
        b"-0.5",
        b"\"items\":",
        b"\"data\":",
        b"\"a\":",
        b"\"\":",
        b"\"a/b~\":",
        b"\"items\": [1, {}]",
        b"\"links\": [{}]",
        b"\"next\": \"/b\"",
        b"\"total\": 3",
        b"{\"meta\": 1}",
        b"[{\"id\": 1}]",
        b"[[1], [2]]",
        b"\"\\u00e9\\ud83d\\ude00\"",
        "\"é\"".as_bytes(),
        b"{\"a\": {\"b\": [1, 2]}}",
        b"\xEF\xBB\xBF",
    ];
    super::check_random(parts, check_envelope);
    let documents: &[&[u8]] = &[
        b"\"items\": [1, 2]",
        b"\"data\": {\"list\": [{\"id\": 1}]}",
        b"\"a\": [[]]",
        b"\"total\": 9",
        b"\"next\": null",
        b"\"x\": {\"y\": []}",
        b"\"z\": \"]\"",
    ];
    super::check_random(documents, |data| {
        let members = data[2..].to_vec();
        let text = String::from_utf8_lossy(&members)
            .replace("]\"", "], \"")
            .replace("}\"", "}, \"");
        let text = text.replace("9\"", "9, \"").replace("null\"", "null, \"");
        check_envelope(&[&data[..2], b"{", text.as_bytes(), b"}"].concat());
    });
}
