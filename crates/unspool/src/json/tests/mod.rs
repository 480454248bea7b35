//! The splitter over whole documents, however they are cut into chunks.

mod members;
mod suite;

use bytes::Bytes;

use super::blocks::Instructions;
use super::{Check, End, Place, Pointer, Splitter};
use crate::error::Error;

const LIMIT: usize = 1 << 20;

/// The items of a document that comes in these chunks, and its envelope.
fn split(chunks: &[&[u8]], place: &Place, check: Check) -> Result<(Vec<String>, String), Error> {
    let mut splitter = Splitter::new(place.clone(), check, LIMIT);
    let mut items = Vec::new();
    for chunk in chunks {
        splitter.push(Bytes::copy_from_slice(chunk));
        while let Some(item) = splitter.next()? {
            items.push(String::from_utf8_lossy(&item).into_owned());
        }
    }
    match splitter.end()? {
        End::Whole(envelope) => Ok((items, envelope.document.to_string())),
        End::Late(envelope, late) => {
            let (items, _) = split(&[&late], &place.at(Pointer::default()), check)?;
            Ok((items, envelope.document.to_string()))
        }
    }
}

/// The result, which must be the same for every way to cut the document in two,
/// for single bytes, and whether or not the splitter checks the items.
#[track_caller]
fn split_all_ways(document: &[u8], place: &Place) -> Result<(Vec<String>, String), String> {
    let describe = |result: Result<_, Error>| result.map_err(|error| error.to_string());
    let whole = describe(split(&[document], place, Check::Valid));
    for cut in 0..=document.len() {
        let (front, back) = document.split_at(cut);
        let halves = describe(split(&[front, back], place, Check::Valid));
        assert_eq!(
            halves,
            whole,
            "{} cut at {cut}",
            String::from_utf8_lossy(document)
        );
    }
    let bytes: Vec<&[u8]> = document.chunks(1).collect();
    assert_eq!(describe(split(&bytes, place, Check::Valid)), whole);
    if whole.is_ok() {
        assert_eq!(describe(split(&[document], place, Check::Nothing)), whole);
    }
    whole
}

#[track_caller]
fn check(document: &str, items: &[&str], envelope: &str) {
    let (found, around) = split_all_ways(document.as_bytes(), &Place::Auto).unwrap();
    assert_eq!(found, items);
    assert_eq!(around, envelope);
}

#[track_caller]
fn check_at(document: &str, pointer: &str, items: &[&str]) {
    let place = Place::At(pointer.parse().unwrap());
    assert_eq!(
        split_all_ways(document.as_bytes(), &place).unwrap().0,
        items
    );
}

#[track_caller]
fn check_error(document: &[u8], part: &str) {
    let error = split_all_ways(document, &Place::Auto).unwrap_err();
    assert!(error.contains(part), "{error}");
}

#[test]
fn the_elements_of_a_bare_array_are_the_items() {
    check("[]", &[], "[]");
    check(
        " [ 1 , \"a\" ,[2],{\"b\":3}, null,true\n]\t\n",
        &["1", "\"a\"", "[2]", "{\"b\":3}", "null", "true"],
        "[]",
    );
}

#[test]
fn tokens_of_all_kinds_can_be_cut_anywhere() {
    let items = [
        r#"{"a":-12.5e+3,"b":[0.1E-2,-0,true,false,null]}"#,
        r#"["\\\"\u00e9\n","é€😀",""]"#,
        "-1.0e+10",
    ];
    check(&format!("[{}]", items.join(" , ")), &items, "[]");
    let document = format!(
        r#"{{"a":-12.5e+3,"b":"é\\","items":[{}],"c":[-0,1E5]}}"#,
        items.join(",")
    );
    check(
        &document,
        &items,
        r#"{"a":-12500.0,"b":"é\\","c":[-0.0,100000.0],"items":[]}"#,
    );
}

/// How many items each chunk gives: an element does not wait for the comma after it, unless
/// it is a number or a literal, which may go on.
#[track_caller]
fn check_at_once(chunks: &[&str], expected: &[usize]) {
    let sets = Instructions::all().map(Some).chain([None]);
    for instructions in sets {
        let splitter = Splitter::new(Place::Auto, Check::Valid, LIMIT);
        let mut splitter = splitter.with_instructions(instructions);
        let counts = chunks.iter().map(|chunk| {
            splitter.push(Bytes::copy_from_slice(chunk.as_bytes()));
            std::iter::from_fn(|| splitter.next().unwrap()).count()
        });
        let counts: Vec<usize> = counts.collect();
        assert_eq!(counts, expected, "{instructions:?}");
        splitter.end().unwrap();
    }
}

#[test]
fn an_item_is_handed_out_with_its_last_byte() {
    check_at_once(&["[{\"a\":1}", ",[2]", "]"], &[1, 1, 0]);
    check_at_once(&["[\"a\"", ",\"b", "\"", " ,\"c\" ", "]"], &[1, 0, 1, 1, 0]);
    check_at_once(&["[1", "2", " ", ",3,", "true", "]"], &[0, 0, 1, 1, 0, 1]);
    check_at_once(&["[1,2,{},3", "]"], &[3, 1]);
    let long = format!("[{{\"a\":\"{}\"}}", "é".repeat(70));
    check_at_once(&[&long, " ", "\n,{}", "]"], &[1, 0, 1, 0]);
}

/// What blocks do not follow, the checker reads; what comes after is in blocks again.
#[test]
fn items_that_nest_deeply_are_read_among_others() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let items = [
        deep(3),
        deep(200),
        "{}".to_owned(),
        deep(62),
        deep(63),
        deep(1000),
    ];
    let document = format!("[{}]", items.join(","));
    let chunks: Vec<&[u8]> = document.as_bytes().chunks(100).collect();
    for chunks in [&[document.as_bytes()][..], &chunks] {
        let (found, _) = split(chunks, &Place::Auto, Check::Valid).unwrap();
        assert_eq!(found, items);
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_refused_in_the_item_that_has_them() {
    let front = "{\"a\":\"Здравствуй\"},".repeat(3);
    for wrong in [
        &b"\xD0"[..],
        b"\xFF",
        b"\xED\xA0\x80",
        b"\xF0\x9F\x98",
        b"\x80",
    ] {
        let document = [b"[", front.as_bytes(), b"\"", wrong, b"\",{}]"].concat();
        check_error(
            &document,
            "item 4, at byte 88, is not valid JSON: invalid unicode",
        );
    }
}

#[test]
fn an_item_over_the_limit_is_refused_however_it_comes() {
    let document = format!("[1,\"{}\",2]", "x".repeat(LIMIT));
    for size in [1000, LIMIT * 2] {
        let chunks: Vec<&[u8]> = document.as_bytes().chunks(size).collect();
        let error = split(&chunks, &Place::Auto, Check::Valid).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("item 2, at byte 3, is over the limit"),
            "{message}"
        );
    }
}

#[test]
fn what_surrounds_the_items_is_kept_without_them() {
    check(
        r#"{"next": "/a\"b", "n": {"total": -1.5}, "items": [{"x": "]"}, {}], "ok": true}"#,
        &[r#"{"x": "]"}"#, "{}"],
        r#"{"items":[],"n":{"total":-1.5},"next":"/a\"b","ok":true}"#,
    );
}

#[test]
fn the_first_usual_name_is_taken_and_other_arrays_are_passed_over() {
    check(
        r#"{"errors": [0], "data": [1], "links": [2]}"#,
        &["1"],
        r#"{"data":[],"errors":[0],"links":[2]}"#,
    );
    check(
        r#"{"data": {"errors": [0], "items": [1]}}"#,
        &["1"],
        r#"{"data":{"errors":[0],"items":[]}}"#,
    );
}

#[test]
fn an_unusual_name_is_taken_if_there_is_no_other_array() {
    check(
        r#"{"n": 1, "cats": [{"a": [1]}, 2]}"#,
        &[r#"{"a": [1]}"#, "2"],
        r#"{"cats":[{"a":[1]},2],"n":1}"#,
    );
    check(
        r#"{"pets": {"c\u0061ts": [1, 2]}}"#,
        &["1", "2"],
        r#"{"pets":{"cats":[1,2]}}"#,
    );
}

#[test]
fn large_arrays_of_unusual_names_leave_the_envelope() {
    let cats: Vec<String> = (0..20_000).map(|cat| format!("[{cat}]")).collect();
    let document = format!(r#"{{"n":1,"pets":{{"cats":[{}]}},"x":2}}"#, cats.join(","));
    let (items, envelope) = split(&[document.as_bytes()], &Place::Auto, Check::Valid).unwrap();
    assert_eq!(items, cats);
    assert_eq!(envelope, r#"{"n":1,"pets":{"cats":[]},"x":2}"#);

    // After the items, and in an array, they are not kept at all, and whole.
    let document = format!(
        r#"{{"items":[1],"cats":[{0}],"more":[[{0}]]}}"#,
        cats.join(",")
    );
    let (items, envelope) = split(&[document.as_bytes()], &Place::Auto, Check::Valid).unwrap();
    assert_eq!(
        (items.as_slice(), envelope.as_str()),
        (&["1".to_owned()][..], r#"{"cats":[],"items":[],"more":[]}"#)
    );
}

#[test]
fn a_pointer_goes_through_objects_and_arrays() {
    check_at(r#"[{"page": 1}, [1, 2]]"#, "/1", &["1", "2"]);
    check_at(r#"{"data": [0], "a": [[], {"b": [1]}]}"#, "/a/1/b", &["1"]);
    check_at(r#"{"a": null, "b": 1}"#, "/a", &[]);
    check_at(r#"{"": [1]}"#, "/", &["1"]);
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    check("\u{FEFF}[1]", &["1"], "[]");
    check_error(b"\xEF\xBB[1]", "not JSON");
}

#[test]
fn a_document_that_stops_is_truncated_wherever_it_stops() {
    let document = r#"{"a": ["x\u00e9", 1], "items": [{"b": "]"}, 2, "\\"], "c": null}"#;
    for end in 0..document.len() {
        let error = split(&[&document.as_bytes()[..end]], &Place::Auto, Check::Valid).unwrap_err();
        assert!(error.is_truncated(), "{error} at {end}");
    }
    split(&[document.as_bytes()], &Place::Auto, Check::Valid).unwrap();
}

#[test]
fn a_root_number_ends_with_the_document() {
    check_error(b"12", "found a number");
    check_error(b"-", "expected a value before byte 1, found `-`");
}

/// Documents that are wrong in one way each, in the manner of the well-known
/// parsing suites: all are refused, for every way to cut them.
#[test]
fn what_is_not_json_is_refused() {
    for document in [
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1,,2]",
        "[\"a\" \"b\"]",
        "[]]",
        "[1]]",
        "[1],",
        "[}",
        "{]",
        "[1}",
        "{\"items\":[1]]",
        "[\"\t\"]",
        "[\"\\x\"]",
        "[\"\\u12G4\"]",
        "['a']",
        "[01]",
        "[1.]",
        "[.5]",
        "[+1]",
        "[1e]",
        "[0x1]",
        "[-]",
        "[NaN]",
        "[Infinity]",
        "[tru]",
        "[nul]",
        "[True]",
        "[{\"a\":1,}]",
        "[{a:1}]",
        "[{\"a\"}]",
        "[{\"a\":}]",
        "[{:1}]",
        "[{1:1}]",
        "[{\"a\":1 \"b\":2}]",
        "[[1}]",
        "[{\"a\":[1}]]",
        "{\"a\":1,}",
        "{,}",
        "{\"a\" 1}",
        "{\"a\"::1}",
        "{a:[1]}",
        "{1:[1]}",
        "{\"items\":[1],,\"b\":2}",
        "{\"items\":[1] \"b\":2}",
        "{\"b\":01,\"items\":[1]}",
        "{\"b\":tru,\"items\":[]}",
        "*",
        "[*]",
        "[1]x",
        "{} {}",
        "\u{a0}[]",
        "[\u{a0}]",
        "[1]\0",
        "\\",
        "]",
        "}",
        ",",
        ":",
    ] {
        let serde = serde_json::from_str::<serde_json::Value>(document);
        assert!(serde.is_err(), "{document} is JSON");
        let ours = split_all_ways(document.as_bytes(), &Place::Auto);
        assert!(ours.is_err(), "{document} gives {ours:?}");
    }
}

#[test]
fn the_smallest_chunks_of_a_long_item_do_not_take_quadratic_time() {
    let item = format!("[\"{}\"]", "x\\\"".repeat(100_000));
    let document = format!("[{item}]");
    let chunks: Vec<&[u8]> = document.as_bytes().chunks(1).collect();
    assert_eq!(
        split(&chunks, &Place::Auto, Check::Valid).unwrap().0,
        [item]
    );
}

/// Random numbers from a seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn pick<'t>(&mut self, choices: &[&'t str]) -> &'t str {
        choices[self.below(choices.len())]
    }

    /// Changes one byte, takes one away, or puts one in.
    fn damage(&mut self, document: &mut Vec<u8>) {
        let at = self.below(document.len());
        match self.below(4) {
            0 => document[at] ^= 1 << self.below(8),
            1 => document[at] = self.below(256) as u8,
            2 if document.len() > 1 => drop(document.remove(at)),
            _ => document.insert(at, b"[]{}\",:\\0-e. \n\xFF"[self.below(15)]),
        }
    }

    fn value(&mut self, depth: usize, text: &mut String) {
        let space = self.pick(&["", "", "", " ", "\n\t", "\r\n"]);
        text.push_str(space);
        match self.below(if depth == 0 { 4 } else { 8 }) {
            0 => text.push_str(self.pick(&["0", "-1.5e+10", "12", "3E-2", "1e999", "-0.0"])),
            1 => text.push_str(self.pick(&["true", "false", "null"])),
            2 | 3 => {
                let string = self.pick(&[
                    r#""""#,
                    r#""a b""#,
                    r#""\"\\""#,
                    r#""\u00e9😀é""#,
                    r#""[{]}:,""#,
                    r#""a string that is longer than the sixty-four bytes that are looked at together, é and \\ \" too""#,
                ]);
                text.push_str(string);
            }
            kind => {
                let is_object = kind < 6;
                text.push(if is_object { '{' } else { '[' });
                for index in 0..self.below(4) {
                    if index > 0 {
                        text.push(',');
                    }
                    if is_object {
                        text.push_str(self.pick(&[
                            "\"items\":",
                            " \"a\" : ",
                            "\"\\n\":",
                            "\"é\":",
                        ]));
                    }
                    self.value(depth - 1, text);
                }
                text.push(if is_object { '}' } else { ']' });
            }
        }
        text.push_str(space);
    }
}

/// Random documents, half of them damaged, in random chunks: the splitter takes
/// what serde_json takes, and finds the same items.
#[test]
fn random_documents_are_split_as_serde_json_reads_them() {
    let mut accepted = 0;
    for seed in 1..30_000_u64 {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut text = String::new();
        random.value(5, &mut text);
        let mut document = format!("[{text}]").into_bytes();
        if seed % 2 == 0 {
            for _ in 0..=random.below(3) {
                random.damage(&mut document);
            }
        }
        let longest = [3, 20, 200][random.below(3)];
        let mut chunks = Vec::new();
        let mut rest = document.as_slice();
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(1 + random.below(rest.len().min(longest)));
            chunks.push(chunk);
            rest = after;
        }
        let ours = split(&chunks, &Place::At(Pointer::default()), Check::Valid);
        let theirs = serde_json::from_slice::<Vec<&serde_json::value::RawValue>>(&document);
        let shown = String::from_utf8_lossy(&document);
        match (ours, theirs) {
            (Ok((items, _)), Ok(expected)) => {
                let expected: Vec<_> = expected.iter().map(|item| item.get()).collect();
                assert_eq!(items, expected, "seed {seed}: {shown}");
                accepted += 1;
            }
            (Err(_), Err(_)) => {}
            (Ok(_), Err(error)) => panic!("seed {seed}: accepts {shown}: {error}"),
            (Err(error), Ok(_)) => panic!("seed {seed}: refuses {shown}: {error}"),
        }
    }
    assert!((15_000..25_000).contains(&accepted), "{accepted}");
}
