use bytes::Bytes;
use serde_json::value::RawValue;

use super::{Random, cut};
use crate::error::Error;
use crate::json::blocks::Instructions;
use crate::json::{Check, End, Place, Pointer, Splitter};

/// Whether the splitter checks the items that it hands out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Items {
    /// They are checked to be valid JSON in UTF-8.
    Checked,
    /// They are checked to be valid JSON, but not to be in UTF-8.
    AnyEncoding,
}

/// Splits a document that is an array, and hands its items out one by one.
///
/// # Errors
///
/// The document is not an array, not whole, or not JSON.
pub fn split(
    chunks: impl IntoIterator<Item = Bytes>,
    items: Items,
    max_bytes: usize,
    item: impl FnMut(Bytes),
) -> Result<u64, Error> {
    let check = match items {
        Items::Checked => Check::Valid,
        Items::AnyEncoding => Check::Nothing,
    };
    let root = Place::At(Pointer::default());
    let mut splitter = Splitter::new(root, check, max_bytes);
    feed(&mut splitter, chunks, item)?;
    Ok(splitter.count())
}

fn feed(
    splitter: &mut Splitter,
    chunks: impl IntoIterator<Item = Bytes>,
    mut item: impl FnMut(Bytes),
) -> Result<End, Error> {
    for chunk in chunks {
        splitter.push(chunk);
        while let Some(element) = splitter.next()? {
            item(element);
        }
    }
    splitter.end()
}

/// The first byte says where the items are and the second how the rest, a
/// document, is cut into chunks.
///
/// # Panics
///
/// The chunks give other items or another error than the whole, or with one of the sets of
/// instructions of this processor other items after one of the chunks than without them; a
/// document is taken that serde_json refuses or the other way round, or a part of a document
/// is taken for a whole one.
pub fn check_splitter(data: &[u8]) {
    let [mode, seed, document @ ..] = data else {
        return;
    };
    let place = match mode % 2 {
        0 => Place::At(Pointer::default()),
        _ => Place::Auto,
    };
    let whole = outcome(&place, [document]);
    let mut random = Random::new(u64::from(*seed));
    let chunks = cut(document, &mut random);
    compare_instructions(&place, &chunks);
    assert_eq!(outcome(&place, chunks), whole, "cut with seed {seed}");
    match place {
        Place::At(_) | Place::Members(_) => compare_items(document, &whole),
        Place::Auto => compare_document(document, &whole),
    }
    if whole.is_ok() && !document.is_empty() {
        let (front, after) = document.split_at(random.below(document.len()));
        if outcome(&place, [front]).is_ok() {
            assert!(after.trim_ascii().is_empty(), "a part is taken for a whole");
        }
    }
}

/// The items, or the message of the error and how many came before it.
type Outcome = Result<Vec<Bytes>, (String, usize)>;

fn outcome<'d>(place: &Place, chunks: impl IntoIterator<Item = &'d [u8]>) -> Outcome {
    let mut splitter = Splitter::new(place.clone(), Check::Valid, 1 << 20);
    let mut items = Vec::new();
    let chunks = chunks.into_iter().map(Bytes::copy_from_slice);
    match feed(&mut splitter, chunks, |item| items.push(item)) {
        Ok(End::Whole(_)) => Ok(items),
        Ok(End::Late(_, late)) => outcome(&Place::At(Pointer::default()), [&*late]),
        Err(error) => Err((error.to_string(), items.len())),
    }
}

/// What is read 64 bytes at a time comes out with the same chunk as what is read byte by byte,
/// and so does what is wrong.
fn compare_instructions(place: &Place, chunks: &[&[u8]]) {
    let expected = progress(place, chunks, None);
    for instructions in Instructions::all() {
        let found = progress(place, chunks, Some(instructions));
        assert_eq!(found, expected, "{instructions:?}");
    }
}

/// How many items have come with each chunk, and the message of the error.
fn progress(
    place: &Place,
    chunks: &[&[u8]],
    instructions: Option<Instructions>,
) -> (Vec<usize>, Option<String>) {
    let splitter = Splitter::new(place.clone(), Check::Valid, 1 << 20);
    let mut splitter = splitter.with_instructions(instructions);
    let mut counts = Vec::new();
    for chunk in chunks {
        splitter.push(Bytes::copy_from_slice(chunk));
        let mut count = 0;
        loop {
            match splitter.next() {
                Ok(Some(_)) => count += 1,
                Ok(None) => break,
                Err(error) => return (counts, Some(format!("{error} after {count} more"))),
            }
        }
        counts.push(count);
    }
    (counts, splitter.end().err().map(|error| error.to_string()))
}

fn compare_items(document: &[u8], ours: &Outcome) {
    let document = without_mark(document);
    match (
        ours,
        serde_json::from_slice::<Option<Vec<&RawValue>>>(document),
    ) {
        (Ok(ours), Ok(theirs)) => {
            // `null` in the place of the array is an empty one.
            let theirs = theirs.unwrap_or_default();
            let theirs = theirs.iter().map(|item| item.get().as_bytes());
            assert!(theirs.eq(ours.iter().map(|item| &item[..])), "{ours:?}");
        }
        (Err(_), Err(_)) => {}
        (Ok(ours), Err(error)) => panic!("serde_json refuses {ours:?}: {error}"),
        // It knows no limit here.
        (Err((message, _)), Ok(_)) => assert!(message.contains(" deep"), "{message}"),
    }
}

fn compare_document(document: &[u8], ours: &Outcome) {
    let document = without_mark(document);
    let Ok(items) = ours else {
        return;
    };
    if let Err(error) = serde_json::from_slice::<&RawValue>(document) {
        let lines = serde_json::Deserializer::from_slice(document).into_iter::<&RawValue>();
        let lines: Result<Vec<_>, _> = lines.collect();
        assert!(
            lines.is_ok_and(|lines| lines.len() == items.len()),
            "serde_json refuses a document of {items:?}: {error}"
        );
    }
}

/// A byte order mark is passed over, which serde_json does not do.
fn without_mark(document: &[u8]) -> &[u8] {
    document.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(document)
}

#[cfg(test)]
#[test]
fn random_documents_hold_the_properties_that_are_fuzzed() {
    let parts: &[&[u8]] = &[
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b":",
        b"\"items\":",
        b"\"a\":1",
        b"{}",
        b"[]",
        b"\"",
        b"\\",
        b"\\u00e9",
        b"12",
        b"-0.5e+1",
        b"true",
        b"null",
        b" ",
        b"\n",
        "é".as_bytes(),
        b"[[1],[2]]",
        b"{\"items\":[1,{\"b\":2}]}",
        b"{\"x\":1}\n",
        b"[{\"a\":[]},\"x\"",
        b",{\"a\":1},",
        b"1,2,",
        b",\"a text that is longer than a block of sixty-four bytes, \xC3\xA9, and ends here\",",
        b"                                                                     ",
        b"\xC3",
    ];
    super::check_random(parts, check_splitter);
}
