//! Fields that prove nothing, read as leniently as servers write them.

use std::fmt;

use serde::de::{
    Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde_json::value::RawValue;

/// A number of something. Servers write it as an integer, a float or a text, or leave it
/// out; where it cannot be read there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count(pub(super) Option<u64>);

impl Count {
    /// The number, where a missing one means the first of several.
    pub(super) fn or_first(self) -> u64 {
        self.0.unwrap_or(0)
    }
}

/// Reads a part of an event that proves nothing: one that cannot be read is left out.
pub(super) fn read<'j, T: Deserialize<'j>>(json: Option<&'j RawValue>) -> Option<T> {
    serde_json::from_str(json?.get()).ok()
}

/// The elements of a list; one thing alone, which some servers put in its place, is a list of
/// it.
pub(super) fn list(json: Option<&RawValue>) -> Vec<&RawValue> {
    let Some(json) = json else {
        return Vec::new();
    };
    match json.get() {
        "null" => Vec::new(),
        text => serde_json::from_str(text).unwrap_or_else(|_| vec![json]),
    }
}

/// Whether a part of a message is the text itself, which some servers put in the place of an
/// object.
pub(super) fn is_text(part: &RawValue) -> bool {
    part.get().starts_with('"')
}

/// Whether a field says something: servers write `null`, `false`, `""` or `{}` for nothing.
pub(super) fn is_said(value: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Bool, Null, Object, String};
    match value {
        Null | Bool(false) => false,
        String(text) => !text.is_empty(),
        Array(array) => !array.is_empty(),
        Object(object) => !object.is_empty(),
        _ => true,
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Count, E> {
        Ok(Count(Some(number)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Count, E> {
        Ok(Count(number.try_into().ok()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Count, E> {
        let is_count = number >= 0.0 && number <= u64::MAX as f64;
        Ok(Count(is_count.then_some(number as u64)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Count, E> {
        match text.trim().parse::<f64>() {
            Ok(number) => self.visit_f64(number),
            Err(_) => Ok(Count(None)),
        }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Count, E> {
        Err(E::invalid_type(Unexpected::Bool(value), &self))
    }

    fn visit_unit<E>(self) -> Result<Count, E> {
        Ok(Count(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Count, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Count(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Count, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Count(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read_in_all_forms_that_servers_write() {
        for (json, expected) in [
            ("5", Some(5)),
            ("5.0", Some(5)),
            ("\"12\"", Some(12)),
            ("null", None),
            ("-1", None),
            ("\"many\"", None),
            ("{\"a\": 1}", None),
            ("[1]", None),
            ("1e300", None),
        ] {
            let count: Count = serde_json::from_str(json).unwrap();
            assert_eq!(count.0, expected, "{json}");
        }
    }
}
