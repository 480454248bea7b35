//! Keys that an object has twice: each reader takes another one of the two.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The key that an object of a document has more than once, with those around it, if
/// there is one. Arrays are not looked into.
pub(super) fn repeated_key(document: &[u8]) -> Option<Vec<String>> {
    let mut reader = serde_json::Deserializer::from_slice(document);
    // What is not JSON has been said before.
    Keys.deserialize(&mut reader).ok().flatten()
}

struct Keys;

impl<'de> DeserializeSeed<'de> for Keys {
    type Value = Option<Vec<String>>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keys {
    type Value = Option<Vec<String>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut known = HashSet::new();
        let mut found = None;
        while let Some(key) = members.next_key::<String>()? {
            let below = members.next_value_seed(Keys)?;
            let path = match below {
                Some(below) => Some([vec![key.clone()], below].concat()),
                None if known.contains(&key) => Some(vec![key.clone()]),
                None => None,
            };
            found = found.or(path);
            known.insert(key);
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_where_it_is_repeated() {
        let found = |text: &str| repeated_key(text.as_bytes()).map(|path| path.join("/"));
        assert_eq!(found(r#"{"a":1,"b":"x","a":null}"#).unwrap(), "a");
        assert_eq!(found(r#"{"m":{"n":1.5,"n":[]},"b":-1}"#).unwrap(), "m/n");
        assert_eq!(found(r#"{"\u0061":1,"a":true}"#).unwrap(), "a");
        for none in [
            r#"{"a":{"b":1},"b":{"a":2}}"#,
            r#"[{"a":1,"a":2}]"#,
            r#"{"a":[{"b":1},{"b":2}],"c":false}"#,
            "null",
            "{",
        ] {
            assert_eq!(found(none), None, "{none}");
        }
    }
}
