use bytes::Bytes;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::{Random, cut};
use crate::error::Error;
use crate::json::{End, Place};
use crate::xml::Splitter;

/// The first byte says how the rest, a document, is cut into chunks.
///
/// # Panics
///
/// The chunks give other items or another error than the whole, a document is
/// taken that quick-xml refuses, or a part of a document is taken for a whole one.
pub fn check_xml(data: &[u8]) {
    let [seed, document @ ..] = data else {
        return;
    };
    let whole = outcome([document]);
    let mut random = Random::new(u64::from(*seed));
    let chunks = cut(document, &mut random);
    assert_eq!(outcome(chunks), whole, "cut with seed {seed}");
    if whole.is_ok() {
        assert!(is_xml(document), "quick-xml refuses it");
        let (front, after) = document.split_at(random.below(document.len()));
        if outcome([front]).is_ok() {
            // Comments and instructions may follow the root.
            let after = after.trim_ascii();
            assert!(after.is_empty() || after.starts_with(b"<!--") || after.starts_with(b"<?"));
        }
    }
}

/// The items and the envelope, or the message of the error and the items before it.
type Outcome = Result<(Vec<Bytes>, String), (String, Vec<Bytes>)>;

fn outcome<'d>(chunks: impl IntoIterator<Item = &'d [u8]>) -> Outcome {
    let mut items = Vec::new();
    match split(chunks, &mut items) {
        Ok(envelope) => {
            for item in &items {
                let value = serde_json::from_slice::<serde_json::Value>(item);
                assert!(value.is_ok(), "{item:?}");
            }
            Ok((items, envelope))
        }
        Err(error) => Err((error.to_string(), items)),
    }
}

fn split<'d>(
    chunks: impl IntoIterator<Item = &'d [u8]>,
    items: &mut Vec<Bytes>,
) -> Result<String, Error> {
    let mut splitter = Splitter::new(Place::Auto, 1 << 20);
    for chunk in chunks {
        splitter.push(&Bytes::copy_from_slice(chunk));
        while let Some(item) = splitter.next()? {
            items.push(item);
        }
    }
    match splitter.end()? {
        End::Whole(envelope) => Ok(envelope.document.to_string()),
        End::Late(envelope, late) => {
            items.push(late);
            Ok(envelope.document.to_string())
        }
    }
}

fn is_xml(document: &[u8]) -> bool {
    let mut reader = Reader::from_reader(document);
    loop {
        match reader.read_event() {
            Ok(Event::Eof) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
#[test]
fn random_listings_hold_the_properties_that_are_fuzzed() {
    let parts: &[&[u8]] = &[
        b"<feed>",
        b"</feed>",
        b"<entry>",
        b"</entry>",
        b"<a>1</a>",
        b"<b x='>'/>",
        b"&amp;",
        b"&#xE9;",
        b"<![CDATA[",
        b"]]>",
        b"<!--",
        b"-->",
        b"<?xml version='1.0'?>",
        b"\n",
        "é".as_bytes(),
        b"<",
        b">",
        b"/",
        b"\"",
        b"<entry/>",
        b"<entry><id>1</id></entry>",
        b"<a><c/><c/></a>",
        b"text",
    ];
    super::check_random(parts, check_xml);
    let listings: &[&[u8]] = &[
        b"<entry><id>1</id></entry>",
        b"\n ",
        b"<entry a=\"1\"/>",
        b"<!-- c -->",
        b"<n>&lt;</n>",
        b"<item>x</item>",
    ];
    super::check_random(listings, |data| {
        check_xml(&[&data[..1], b"<feed>", &data[2..], b"</feed>"].concat());
    });
}
