//! Whole documents: as a tree of bounded size, or read where they stand.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr2;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Pointer;
use crate::error::{Error, Kind};

/// How many bytes of the limit a value takes in a tree, with its key.
const BYTES_PER_VALUE: usize = 64;

/// So many values are no matter, however low the limit is.
const LEAST_VALUES: usize = 1 << 16;

/// How many values a tree may have where its text may have so many bytes: short values take
/// many times the memory of their text.
fn most_values(max_bytes: usize) -> usize {
    (max_bytes / BYTES_PER_VALUE).max(LEAST_VALUES)
}

/// A document as a tree.
pub(crate) struct Document {
    pub(crate) value: Value,
    /// A key that an object has twice, of which each reader takes another one. Arrays are
    /// not looked into.
    pub(crate) repeated_key: Option<Pointer>,
}

impl Document {
    /// # Errors
    ///
    /// The text is not JSON, or has more values than go with a limit of so many bytes.
    pub(crate) fn read(text: &[u8], max_bytes: usize) -> Result<Self, Error> {
        let most = most_values(max_bytes);
        let mut tree = Tree {
            left: most,
            is_over: false,
            arrays: 0,
            repeated: None,
        };
        let mut reader = serde_json::Deserializer::from_slice(text);
        let value = tree.deserialize(&mut reader).and_then(|value| {
            reader.end()?;
            Ok(value)
        });
        match value {
            Ok(value) => Ok(Document {
                value,
                repeated_key: tree.repeated.map(|mut steps| {
                    steps.reverse();
                    Pointer::from_steps(steps)
                }),
            }),
            Err(_) if tree.is_over => Err(Error::new(
                Kind::TooLarge,
                format!(
                    "what surrounds the items has over {most} values, as many as go with the limit of {max_bytes} bytes; if the items are elsewhere, say where with a JSON pointer"
                ),
            )),
            Err(error) => Err(not_json(error)),
        }
    }
}

pub(super) fn not_json(error: serde_json::Error) -> Error {
    Error::content(format!("not JSON: {error}")).with_source(error)
}

/// The value at a pointer, which alone becomes a tree.
pub(crate) fn value_at(text: &[u8], pointer: &Pointer) -> Option<Value> {
    let mut text = text;
    for step in pointer.steps() {
        text = serde_json::Deserializer::from_slice(text)
            .deserialize_any(Step(step))
            .ok()??
            .get()
            .as_bytes();
    }
    serde_json::from_slice(text).ok()
}

/// The text of a member of an object; of several with this key the last.
pub(crate) fn member<'t>(object: &'t [u8], key: &str) -> Option<&'t RawValue> {
    let mut found = None;
    members(object, &mut |name, value| {
        if name == key {
            found = Some(value);
        }
    })?;
    found
}

/// Calls `each` with the members of an object, in their order; nothing if it is not one.
pub(crate) fn members<'t>(
    object: &'t [u8],
    each: &mut dyn FnMut(Cow<'t, str>, &'t RawValue),
) -> Option<()> {
    serde_json::Deserializer::from_slice(object)
        .deserialize_map(Members(each))
        .ok()
}

/// Calls `each` with the members of an object, as they are written but for the quotation marks
/// of the keys; nothing if it is not one. For texts that are known to be JSON, of which no more
/// is looked at than it takes to find where values end. Keys are not read: one with escapes is
/// another than the same without.
pub(crate) fn valid_members<'t>(
    object: &'t [u8],
    each: &mut dyn FnMut(&'t [u8], &'t [u8]),
) -> Option<()> {
    let mut at = past_space(object, 0);
    if *object.get(at)? != b'{' {
        return None;
    }
    loop {
        at = past_space(object, at + 1);
        if *object.get(at)? == b'}' {
            return Some(());
        }
        let key = at + 1..past_string(object, at)? - 1;
        at = past_space(object, key.end + 1);
        let value = past_space(object, at + 1);
        at = past_value(object, value)?;
        each(object.get(key)?, &object[value..at]);
        at = past_space(object, at);
        if *object.get(at)? == b'}' {
            return Some(());
        }
    }
}

fn past_space(text: &[u8], at: usize) -> usize {
    let space = text
        .iter()
        .skip(at)
        .take_while(|byte| byte.is_ascii_whitespace());
    at + space.count()
}

/// Where the string ends that begins there.
fn past_string(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Where the value ends that begins there.
fn past_value(text: &[u8], at: usize) -> Option<usize> {
    let (mut at, mut depth) = (at, 0_usize);
    loop {
        match text.get(at)? {
            b'"' => at = past_string(text, at)?,
            b'{' | b'[' => (at, depth) = (at + 1, depth + 1),
            b'}' | b']' => (at, depth) = (at + 1, depth.checked_sub(1)?),
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            _ => {
                let rest = text[at..].iter();
                at += rest
                    .take_while(|byte| {
                        !matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r')
                    })
                    .count();
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Makes a tree, and counts what goes into it.
struct Tree {
    /// How many values it may still have.
    left: usize,
    is_over: bool,
    /// In how many arrays the value in hand stands.
    arrays: usize,
    /// The keys that lead to the first that is there twice, the last of them first.
    repeated: Option<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for &mut Tree {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        if self.left == 0 {
            self.is_over = true;
            return Err(D::Error::custom("too many values"));
        }
        self.left -= 1;
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            let is_known = self.repeated.is_some();
            let value = members.next_value_seed(&mut *self)?;
            if let (Some(below), false) = (&mut self.repeated, is_known) {
                below.push(key.clone());
            }
            match fields.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(value);
                }
                Entry::Occupied(mut place) => {
                    if self.arrays == 0 && self.repeated.is_none() {
                        self.repeated = Some(vec![place.key().clone()]);
                    }
                    place.insert(value);
                }
            }
        }
        Ok(Value::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        self.arrays += 1;
        while let Some(element) = elements.next_element_seed(&mut *self)? {
            array.push(element);
        }
        self.arrays -= 1;
        Ok(Value::Array(array))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(flag.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

/// Takes one step into a value.
struct Step<'s>(&'s str);

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        Members(&mut |key, value| {
            if key == self.0 {
                found = Some(value);
            }
        })
        .visit_map(members)?;
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let index: Option<usize> = self.0.parse().ok();
        let mut found = None;
        let mut at = 0;
        while let Some(element) = elements.next_element::<&RawValue>()? {
            if Some(at) == index {
                found = Some(element);
            }
            at += 1;
        }
        Ok(found)
    }
}

struct Members<'f, 'de>(&'f mut dyn FnMut(Cow<'de, str>, &'de RawValue));

impl<'de> Visitor<'de> for Members<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(key) = members.next_key_seed(Key)? {
            let value = members.next_value()?;
            (self.0)(key, value);
        }
        Ok(())
    }
}

/// A key, copied only if it has escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(key.into())
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(key.to_owned().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Result<Document, Error> {
        Document::read(text.as_bytes(), 1 << 20)
    }

    #[test]
    fn a_key_is_found_where_it_is_repeated() {
        let found = |text: &str| {
            let document = read(text).unwrap();
            document.repeated_key.map(|pointer| pointer.to_string())
        };
        assert_eq!(found(r#"{"a":1,"b":"x","a":null}"#).unwrap(), "/a");
        assert_eq!(found(r#"{"m":{"n":1.5,"n":[]},"b":-1}"#).unwrap(), "/m/n");
        assert_eq!(
            found(r#"{"m":{"l":{"n":1,"n":2},"l":3}}"#).unwrap(),
            "/m/l/n"
        );
        assert_eq!(found(r#"{"\u0061":1,"a":true}"#).unwrap(), "/a");
        for none in [
            r#"{"a":{"b":1},"b":{"a":2}}"#,
            r#"[{"a":1,"a":2}]"#,
            r#"{"a":[{"b":1},{"b":2}],"c":false}"#,
            "null",
        ] {
            assert_eq!(found(none), None, "{none}");
        }
    }

    #[test]
    fn members_of_valid_objects_are_those_that_a_parser_finds() {
        for text in [
            "{}",
            " { } ",
            r#"{"a":1}"#,
            r#" { "a" : -1.5e3 , "b" : [ {"c": "}]\\"} , 2 ] , "" : "\"," } "#,
            "{\"a\":\ttrue\n,\"b\":{\"c\":{}},\"d\":[[],[\"[\"]],\"e\":null}",
            "[1]",
            "5",
        ] {
            let (mut found, mut theirs) = (Vec::new(), Vec::new());
            let is_object = valid_members(text.as_bytes(), &mut |key, value| {
                found.push((key.to_vec(), value.to_vec()));
            });
            let expected = members(text.as_bytes(), &mut |key, value| {
                theirs.push((key.as_bytes().to_vec(), value.get().as_bytes().to_vec()));
            });
            assert_eq!((is_object, found), (expected, theirs), "{text}");
        }
        // What is no JSON is no reason to panic.
        for text in [
            "",
            "{",
            "{\"",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":[",
            "{\"a\":1",
            "{\"a\":\"\\",
            "{]",
        ] {
            assert_eq!(
                valid_members(text.as_bytes(), &mut |_, _| ()),
                None,
                "{text}"
            );
        }
    }

    #[test]
    fn the_tree_is_the_one_that_serde_json_makes() {
        let text =
            r#"{"a":[1,-2,3.5e7,18446744073709551615,"x\n",null,true,{}],"b":{"c":"d"},"b":{}}"#;
        let theirs: Value = serde_json::from_str(text).unwrap();
        assert_eq!(read(text).unwrap().value, theirs);
        for wrong in ["", "{", "[1,]", "[1] 2", "1e999", "\"\\ud800\""] {
            let theirs = serde_json::from_str::<Value>(wrong).unwrap_err();
            let ours = read(wrong).err().unwrap().to_string();
            assert!(ours.contains(&theirs.to_string()), "{ours}");
        }
    }

    #[test]
    fn a_tree_has_no_more_values_than_go_with_the_limit() {
        let array = |values: usize| format!("[{}0]", "0,".repeat(values - 2));
        assert!(read(&array(LEAST_VALUES)).is_ok());
        let error = read(&array(LEAST_VALUES + 1)).err().unwrap();
        assert!(error.to_string().contains("over 65536 values"), "{error}");
        let text = array(LEAST_VALUES + 1);
        assert!(Document::read(text.as_bytes(), 64 << 20).is_ok());
    }

    #[test]
    fn values_are_found_where_they_stand() {
        let text = br#"{"a":[0,{"b":1,"\u0062":"x"}],"c":2}"#;
        let at = |pointer: &str| value_at(text, &pointer.parse().unwrap());
        assert_eq!(at("/a/1/b"), Some(json!("x")));
        assert_eq!(at("/c"), Some(json!(2)));
        for none in ["/d", "/a/2", "/a/x", "/c/0"] {
            assert_eq!(at(none), None, "{none}");
        }
        assert_eq!(member(text, "c").unwrap().get(), "2");
        assert!(member(b"[1]", "c").is_none());
    }
}
