//! The cases of JSONTestSuite (see `tests/json_test_suite`): what serde_json takes
//! and refuses is taken and refused, for every way to cut a text in two.

use serde_json::Value;
use serde_json::value::RawValue;

use super::{Check, split};
use crate::json::{Place, Pointer};

const CASES: &str = include_str!("../../../tests/json_test_suite/cases.txt");

fn cases() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    CASES.lines().map(|line| {
        let (name, text) = line.split_once(' ').unwrap();
        (name, unescape(text))
    })
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        rest = match escape.strip_prefix('x') {
            Some(hex) => {
                bytes.push(u8::from_str_radix(&hex[..2], 16).unwrap());
                &hex[2..]
            }
            None => {
                bytes.push(b'\\');
                escape.strip_prefix('\\').unwrap()
            }
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

fn cuts(text: &[u8]) -> impl Iterator<Item = [&[u8]; 2]> {
    (0..=text.len()).map(|cut| text.split_at(cut).into())
}

#[test]
fn all_cases_are_there() {
    let count = |kind| cases().filter(|(name, _)| name.starts_with(kind)).count();
    assert_eq!((count("y_"), count("n_"), count("i_")), (95, 186, 35));
}

#[test]
fn as_an_item_each_case_is_taken_or_refused_as_serde_json_does() {
    let root = Place::At(Pointer::default());
    for (name, case) in cases() {
        let text = [b"[", case.as_slice(), b"]"].concat();
        let theirs = serde_json::from_slice::<Vec<&RawValue>>(&text);
        let expected = theirs.map(|items| {
            let items = items.iter().map(|item| item.get().to_owned());
            items.collect::<Vec<_>>()
        });
        for chunks in cuts(&text) {
            let cut = chunks[0].len();
            match (split(&chunks, &root, Check::Valid), &expected) {
                (Ok((items, _)), Ok(expected)) => assert_eq!(&items, expected, "{name}"),
                (Err(_), Err(_)) => {}
                (ours, _) => panic!("{name} cut at {cut}: {ours:?}, not {expected:?}"),
            }
        }
        if name.starts_with("y_") {
            assert_eq!(expected.unwrap().len(), 1, "{name}");
        }
    }
}

#[test]
fn beside_the_items_each_case_is_taken_or_refused_as_serde_json_does() {
    for (name, case) in cases() {
        let text = [b"{\"items\":[1],\"x\":", case.as_slice(), b"}"].concat();
        let expected = serde_json::from_slice::<Value>(&text);
        for chunks in cuts(&text) {
            let cut = chunks[0].len();
            match (split(&chunks, &Place::Auto, Check::Valid), &expected) {
                (Ok((_, envelope)), Ok(expected)) => {
                    let mut expected = expected.clone();
                    expected["items"] = Value::Array(Vec::new());
                    assert_eq!(envelope, expected.to_string(), "{name} cut at {cut}");
                }
                (Err(_), Err(_)) => {}
                (ours, _) => panic!("{name} cut at {cut}: {ours:?}, not {expected:?}"),
            }
        }
    }
}

/// A document that is JSON may hold no items: that is another error. A byte order
/// mark is passed over, which serde_json does not do.
#[test]
fn as_a_document_each_case_is_taken_or_refused_as_serde_json_does() {
    for (name, case) in cases() {
        let unmarked = case.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&case);
        let expected = serde_json::from_slice::<&RawValue>(unmarked);
        for chunks in cuts(&case) {
            let cut = chunks[0].len();
            match (split(&chunks, &Place::Auto, Check::Valid), &expected) {
                (Ok(_), Ok(_)) | (Err(_), Err(_)) => {}
                (Err(error), Ok(_)) => assert!(
                    is_about_items(&error.to_string()),
                    "{name} cut at {cut}: {error}"
                ),
                (Ok(_), Err(error)) => panic!("{name} cut at {cut} is taken: {error}"),
            }
        }
    }
}

fn is_about_items(message: &str) -> bool {
    message.starts_with("expected an array of items, found")
        || message.contains("arrays that could hold the items")
        // What surrounds the items is read as values: more than 128 containers in
        // one another, and half a surrogate pair, are errors there.
        || message.contains("recursion limit")
        || message.contains("surrogate")
        || message.contains("number out of range")
        || message.contains("hex escape")
}

/// Each is so long that not all cuts are tried, and goes beyond the depth that is
/// followed; serde_json, which keeps no depth here, finds its end missing.
#[test]
fn a_hundred_thousand_open_containers_are_refused() {
    for text in ["[".repeat(100_000), r#"[{"":"#.repeat(50_000)] {
        assert!(serde_json::from_str::<&RawValue>(&text).is_err());
        for cut in (0..text.len()).step_by(9_973) {
            let (front, back) = text.as_bytes().split_at(cut);
            let error = split(&[front, back], &Place::Auto, Check::Valid).unwrap_err();
            let message = error.to_string();
            assert!(message.contains("nests more than 1024 deep"), "{message}");
        }
    }
}
