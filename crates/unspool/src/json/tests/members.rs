//! Items that are the members of an object.

use super::*;

#[track_caller]
fn check(document: &str, pointer: Option<&str>, items: &[&str], envelope: &str) {
    let place = match pointer {
        Some(pointer) => Place::At(pointer.parse().unwrap()),
        None => Place::Auto,
    };
    let (found, around) = split_all_ways(document.as_bytes(), &place.of_object("key")).unwrap();
    assert_eq!(found, items);
    assert_eq!(around, envelope);
}

#[track_caller]
fn check_error(document: &str, pointer: Option<&str>, part: &str) {
    let place = match pointer {
        Some(pointer) => Place::At(pointer.parse().unwrap()),
        None => Place::Auto,
    };
    let error = split_all_ways(document.as_bytes(), &place.of_object("key")).unwrap_err();
    assert!(error.contains(part), "{error}");
}

#[test]
fn each_member_is_an_item_with_its_key() {
    check(
        r#"{"next": 2, "users": { "u1" : {"a": 1} , "u\"2é":{ }}, "total": 2}"#,
        Some("/users"),
        &[r#"{"key":"u1","a": 1}"#, r#"{"key":"u\"2é"}"#],
        r#"{"next":2,"total":2,"users":[]}"#,
    );
    check(
        r#"{"1": {"a": {"b": [{}]}}}"#,
        Some(""),
        &[r#"{"key":"1","a": {"b": [{}]}}"#],
        "[]",
    );
}

#[test]
fn what_is_no_object_is_the_value_of_one() {
    check(
        r#"{"a":1,"b":"x","c":null,"d":[2],"e":true}"#,
        Some(""),
        &[
            r#"{"key":"a","value":1}"#,
            r#"{"key":"b","value":"x"}"#,
            r#"{"key":"c","value":null}"#,
            r#"{"key":"d","value":[2]}"#,
            r#"{"key":"e","value":true}"#,
        ],
        "[]",
    );
}

#[test]
fn a_member_of_the_same_name_is_not_lost() {
    check(
        r#"{"u1":{"key":"u1","a":1},"u2":{"a":1,"k\u0065y":7},"u3":{"key":"u3","key":"u3"}}"#,
        Some(""),
        &[
            r#"{"key":"u1","a":1}"#,
            r#"{"key":"u2","value":{"a":1,"k\u0065y":7}}"#,
            r#"{"key":"u3","value":{"key":"u3","key":"u3"}}"#,
        ],
        "[]",
    );
    let place = Place::At(Pointer::default()).of_object("value");
    let (items, _) = split_all_ways(br#"{"a":1}"#, &place).unwrap();
    assert_eq!(items, [r#"{"value":"a","item":1}"#]);
}

#[test]
fn a_key_that_comes_twice_is_two_items() {
    check(
        r#"{"a":1,"a":2}"#,
        Some(""),
        &[r#"{"key":"a","value":1}"#, r#"{"key":"a","value":2}"#],
        "[]",
    );
}

#[test]
fn an_object_without_members_may_be_an_array_null_or_left_out() {
    for (document, envelope) in [
        (r#"{"a":{"b":{}}}"#, r#"{"a":{"b":[]}}"#),
        (r#"{"a":{"b":[]}}"#, r#"{"a":{"b":[]}}"#),
        (r#"{"a":{"b":null}}"#, r#"{"a":{"b":null}}"#),
        (r#"{"a":{}}"#, r#"{"a":{}}"#),
    ] {
        check(document, Some("/a/b"), &[], envelope);
    }
    check(
        r#"{"a":[{"b":1}]}"#,
        Some("/a"),
        &[r#"{"b":1}"#],
        r#"{"a":[]}"#,
    );
    check_error(
        r#"{"a":7}"#,
        Some("/a"),
        "expected an object at `/a`, found a number",
    );
    check_error(
        r#"{"error":"busy"}"#,
        Some("/a"),
        "found an object without it",
    );
}

#[test]
fn the_object_is_found_by_what_its_members_have_in_common() {
    let pages =
        r#"{"continue":{"next":"b"},"query":{"pages":{"7":{"id":7,"t":"x"},"8":{"id":8}}}}"#;
    check(
        pages,
        None,
        &[r#"{"key":"7","id":7,"t":"x"}"#, r#"{"key":"8","id":8}"#],
        r#"{"continue":{"next":"b"},"query":{"pages":[]}}"#,
    );
    let nested =
        r#"{"users":{"a":{"home":{"x":1},"work":{"x":2},"id":{"x":3}},"b":{"home":{"x":2}}}}"#;
    let (items, _) = split_all_ways(nested.as_bytes(), &Place::Auto.of_object("key")).unwrap();
    assert_eq!(items.len(), 2, "{items:?}");
    check(
        r#"{"items":{"a":{"id":1}}}"#,
        None,
        &[r#"{"key":"a","id":1}"#],
        r#"{"items":[]}"#,
    );
    check_error(
        r#"{"total":2,"a":{"x":{"i":1},"y":{"i":1}},"b":{"x":{"i":1},"y":{"i":1}}}"#,
        None,
        "found several",
    );
    check_error(
        r#"{"total":0}"#,
        None,
        "expected an object whose members are the items",
    );
    check_error(
        "[1]",
        None,
        "expected an object whose members are the items",
    );
}

#[test]
fn an_object_that_is_not_whole_is_no_end() {
    let document = r#"{"u":{"a":{"x":1},"b":2}}"#;
    let place = Place::At("/u".parse().unwrap()).of_object("key");
    for end in 0..document.len() {
        let error = split(&[&document.as_bytes()[..end]], &place, Check::Valid).unwrap_err();
        assert!(error.is_truncated(), "{end}: {error}");
    }
    for (wrong, part) in [
        (
            r#"{"a":1 "b":2}"#,
            "expected `,` or `}` after 1 items, at byte 7",
        ),
        (r#"{"a" 1}"#, "expected `:`"),
        (r#"{"a":1,}"#, "expected a key in quotes"),
        (r#"{a:1}"#, "expected a key in quotes"),
        (r#"{"a":}"#, "expected a value"),
        (r#"{"a":{"b"}}"#, "item 1, at byte 5, is not valid JSON"),
        (r#"{"\x":1}"#, "the key of item 1 is not valid JSON"),
    ] {
        check_error(wrong, Some(""), part);
    }
}
