use bytes::Bytes;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::{Map, Value};

use super::{Random, cut};
use crate::error::Error;
use crate::json::{End, Place, Pointer};
use crate::xml::Splitter;

/// The first byte says how the rest, a document, is cut into chunks.
///
/// # Panics
///
/// The chunks give other items or another error than the whole; a document is taken that
/// quick-xml refuses, or is another one than that reads; or a part of a document is taken for a
/// whole one.
pub fn check_xml(data: &[u8]) {
    let [seed, document @ ..] = data else {
        return;
    };
    let whole = outcome([document]);
    let mut random = Random::new(u64::from(*seed));
    let chunks = cut(document, &mut random);
    assert_eq!(outcome(chunks), whole, "cut with seed {seed}");
    let Ok(whole) = whole else {
        return;
    };
    let Some(theirs) = std::str::from_utf8(document).ok().and_then(read) else {
        panic!("quick-xml refuses it");
    };
    check_same(&whole, theirs);
    let (front, after) = document.split_at(random.below(document.len()));
    if outcome([front]).is_ok() {
        // Comments and instructions may follow the root.
        let after = after.trim_ascii();
        assert!(after.is_empty() || after.starts_with(b"<!--") || after.starts_with(b"<?"));
    }
}

/// The items and what surrounds them are the document that quick-xml reads.
fn check_same(whole: &Whole, mut theirs: Value) {
    let at = whole.items_at.to_string();
    let mut again = whole.document.clone();
    // Where elements around the items repeat, no pointer leads to all of them.
    let (Some(hole), Some(there)) = (again.pointer_mut(&at), theirs.pointer_mut(&at)) else {
        return;
    };
    *hole = Value::Array(whole.items.clone());
    // What is there once is not in an array.
    if !there.is_array() {
        *there = Value::Array(vec![there.take()]);
    }
    assert_eq!(again, theirs, "quick-xml reads another document");
}

/// The items, and what surrounded them.
#[derive(Debug, PartialEq)]
struct Whole {
    items: Vec<Value>,
    document: Value,
    items_at: Pointer,
}

/// That, or the message of the error and the items before it.
type Outcome = Result<Whole, (String, Vec<Value>)>;

fn outcome<'d>(chunks: impl IntoIterator<Item = &'d [u8]>) -> Outcome {
    let mut items = Vec::new();
    match split(chunks, &mut items) {
        Ok((document, items_at)) => Ok(Whole {
            items,
            document,
            items_at,
        }),
        Err(error) => Err((error.to_string(), items)),
    }
}

fn split<'d>(
    chunks: impl IntoIterator<Item = &'d [u8]>,
    items: &mut Vec<Value>,
) -> Result<(Value, Pointer), Error> {
    let mut splitter = Splitter::new(Place::Auto, 1 << 20);
    for chunk in chunks {
        splitter.push(&Bytes::copy_from_slice(chunk));
        while let Some(item) = splitter.next()? {
            items.push(json(&item));
        }
    }
    let (envelope, late) = match splitter.end()? {
        End::Whole(envelope) => (envelope, None),
        End::Late(envelope, late) => (envelope, Some(late)),
    };
    if let Some(Value::Array(late)) = late.map(|late| json(&late)) {
        items.extend(late);
    }
    Ok((envelope.document, envelope.items_at))
}

fn json(text: &[u8]) -> Value {
    let Ok(value) = serde_json::from_slice(text) else {
        panic!("{:?} is not JSON", String::from_utf8_lossy(text));
    };
    value
}

/// What quick-xml reads, in JSON; none if it refuses it.
fn read(document: &str) -> Option<Value> {
    let mut reader = Reader::from_str(document);
    let mut open = vec![Node::default()];
    loop {
        match reader.read_event().ok()? {
            Event::Eof => break,
            Event::Start(start) => open.push(Node::of(&start)?),
            Event::Empty(start) => {
                let node = Node::of(&start)?;
                open.last_mut()?.children.push(node);
            }
            Event::End(_) => {
                let node = open.pop()?;
                open.last_mut()?.children.push(node);
            }
            Event::Text(text) => open.last_mut()?.text.push_str(&text.xml10_content()),
            Event::CData(text) => open.last_mut()?.text.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => open.last_mut()?.text.push(referred(&reference)?),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::DocType(_) => return None,
        }
    }
    let [root] = &open[..] else { return None };
    let [element] = &root.children[..] else {
        return None;
    };
    let document = (element.name.clone(), element.json());
    root.text
        .trim_matches(SPACE)
        .is_empty()
        .then(|| Value::Object(Map::from_iter([document])))
}

fn referred(reference: &BytesRef<'_>) -> Option<char> {
    if let Some(char) = reference.resolve_char_ref().ok()? {
        return Some(char);
    }
    Some(match &**reference {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => return None,
    })
}

/// White space by XML's own rule.
const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// An element.
#[derive(Default)]
struct Node {
    name: String,
    attributes: Map<String, Value>,
    children: Vec<Node>,
    text: String,
}

impl Node {
    fn of(start: &BytesStart<'_>) -> Option<Self> {
        let mut node = Node {
            name: start.name().as_ref().to_owned(),
            ..Node::default()
        };
        for attribute in start.attributes() {
            let attribute = attribute.ok()?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
            let name = format!("@{}", attribute.key.as_ref());
            node.attributes.insert(name, value.into());
        }
        Some(node)
    }

    /// As it is to be in JSON: the text alone, or members for attributes, children and text.
    fn json(&self) -> Value {
        if self.attributes.is_empty() && self.children.is_empty() {
            return self.text.as_str().into();
        }
        let mut members = self.attributes.clone();
        for child in &self.children {
            let (name, value) = (child.name.clone(), child.json());
            match members.get_mut(&name) {
                None => {
                    members.insert(name, value);
                }
                // No element is an array itself.
                Some(Value::Array(values)) => values.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
            }
        }
        let trimmed = self.text.trim_matches(SPACE);
        let text = match self.children.is_empty() && !trimmed.is_empty() {
            true => &self.text,
            false => trimmed,
        };
        if !text.is_empty() {
            members.insert("#text".to_owned(), text.into());
        }
        Value::Object(members)
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
        b"\x0C",
        b"</entry\x0C>",
        b"</entry \r\n>",
        b"\r\n",
        b"&#13;",
        b"<x>a<y/>b</x>",
        b"<entry\ta='1'\nb=\"&lt;\">",
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
