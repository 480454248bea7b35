//! The members of an object as items, each with its key.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use memchr::memchr2;
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use super::checker::is_space;
use super::envelope::display_byte;
use super::items::{Found, ItemScanner};
use crate::error::{Error, Kind};

/// The member of an item that holds what the object had under its key, where that is no
/// object that can take the key in.
const VALUE: &str = "value";

/// Reads keys, and what stands between keys and values; the values are read by an
/// [`ItemScanner`].
pub(crate) struct MemberScanner {
    /// The name of the member that takes the key.
    name: Arc<str>,
    /// That name as JSON text.
    quoted_name: String,
    max_bytes: usize,
    state: MemberState,
    /// The key in hand, quotes included, as far as it has come.
    key: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum MemberState {
    KeyOrClose,
    Key,
    InKey { escaped: bool },
    Colon,
    Value,
    CommaOrClose,
}

impl MemberScanner {
    pub(crate) fn new(name: &Arc<str>, max_bytes: usize) -> Self {
        MemberScanner {
            name: Arc::clone(name),
            quoted_name: serde_json::Value::from(&**name).to_string(),
            max_bytes,
            state: MemberState::KeyOrClose,
            key: Vec::new(),
        }
    }

    /// Reads `chunk` from `at`, which stands at `offset` in the document.
    pub(crate) fn next(
        &mut self,
        values: &mut ItemScanner,
        chunk: &Bytes,
        at: &mut usize,
        offset: u64,
    ) -> Result<Found, Error> {
        while let Some(&byte) = chunk.get(*at) {
            match (self.state, byte) {
                (MemberState::InKey { escaped }, _) => {
                    *at += self.in_key(&chunk[*at..], escaped)?;
                    continue;
                }
                (MemberState::Value, _) => {
                    let found = values.next(chunk, at, offset)?;
                    let Found::Element(value) = found else {
                        return Ok(found);
                    };
                    self.state = MemberState::CommaOrClose;
                    return self.item(&value, values.count()).map(Found::Element);
                }
                _ if is_space(byte) => {}
                (MemberState::KeyOrClose | MemberState::CommaOrClose, b'}') => {
                    *at += 1;
                    return Ok(Found::Close);
                }
                (MemberState::KeyOrClose | MemberState::Key, b'"') => {
                    self.key.clear();
                    self.key.push(byte);
                    self.state = MemberState::InKey { escaped: false };
                }
                (MemberState::Colon, b':') => self.state = MemberState::Value,
                (MemberState::CommaOrClose, b',') => self.state = MemberState::Key,
                (state, _) => {
                    let expected = match state {
                        MemberState::Colon => "`:`",
                        MemberState::CommaOrClose => "`,` or `}`",
                        _ => "a key in quotes",
                    };
                    return Err(Error::content(format!(
                        "not JSON: expected {expected} after {} items, at byte {}; found {}",
                        values.count(),
                        offset + *at as u64,
                        display_byte(byte)
                    )));
                }
            }
            *at += 1;
        }
        Ok(Found::More)
    }

    /// Copies the key up to its end or that of `bytes`; how many bytes it took.
    fn in_key(&mut self, bytes: &[u8], escaped: bool) -> Result<usize, Error> {
        let (taken, state) = if escaped {
            (1, MemberState::InKey { escaped: false })
        } else {
            match memchr2(b'"', b'\\', bytes) {
                None => (bytes.len(), self.state),
                Some(end) if bytes[end] == b'\\' => (end + 1, MemberState::InKey { escaped: true }),
                Some(end) => (end + 1, MemberState::Colon),
            }
        };
        if self.key.len() + taken > self.max_bytes {
            return Err(Error::new(
                Kind::TooLarge,
                format!("a key is over the limit of {} bytes", self.max_bytes),
            ));
        }
        self.key.extend_from_slice(&bytes[..taken]);
        self.state = state;
        Ok(taken)
    }

    /// The value with its key.
    fn item(&self, value: &[u8], count: u64) -> Result<Bytes, Error> {
        let key: Cow<'_, str> = serde_json::from_slice::<&str>(&self.key)
            .map(Cow::Borrowed)
            .or_else(|_| serde_json::from_slice(&self.key).map(Cow::Owned))
            .map_err(|error| {
                let message = format!("the key of item {count} is not valid JSON: {error}");
                Error::content(message).with_source(error)
            })?;
        let own = if value.starts_with(b"{") {
            own_key(value, &self.name)?
        } else {
            Own::Other
        };
        let mut item = Vec::with_capacity(value.len() + self.key.len() + self.name.len() + 16);
        match own {
            Own::Same(same) if same == key => return Ok(Bytes::copy_from_slice(value)),
            Own::None => {
                let rest = value[1..].trim_ascii_start();
                self.begin(&mut item);
                if rest != b"}" {
                    item.push(b',');
                }
                item.extend_from_slice(rest);
            }
            Own::Same(_) | Own::Other => {
                self.begin(&mut item);
                // Whoever calls the key `value` gets the value under another name.
                let name = if &*self.name == VALUE { "item" } else { VALUE };
                item.extend_from_slice(format!(",\"{name}\":").as_bytes());
                item.extend_from_slice(value);
                item.push(b'}');
            }
        }
        Ok(item.into())
    }

    fn begin(&self, item: &mut Vec<u8>) {
        item.push(b'{');
        item.extend_from_slice(self.quoted_name.as_bytes());
        item.push(b':');
        item.extend_from_slice(&self.key);
    }
}

/// What an object has of its own under the name that the key is to have.
enum Own {
    None,
    /// This text, which may be the key.
    Same(String),
    /// Something else, or it is no object.
    Other,
}

/// What an object has under this name.
fn own_key(object: &[u8], name: &str) -> Result<Own, Error> {
    struct Find<'n>(&'n str);

    impl<'de> Visitor<'de> for Find<'_> {
        type Value = Own;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Own, A::Error> {
            let mut own = Own::None;
            while let Some(key) = fields.next_key::<Cow<'de, str>>()? {
                if key != self.0 {
                    fields.next_value::<IgnoredAny>()?;
                    continue;
                }
                own = match (own, fields.next_value::<serde_json::Value>()?) {
                    (Own::None, serde_json::Value::String(text)) => Own::Same(text),
                    _ => Own::Other,
                };
            }
            Ok(own)
        }
    }

    let mut parser = serde_json::Deserializer::from_slice(object);
    (parser.deserialize_map(Find(name)))
        .map_err(|error| Error::content(format!("not JSON: {error}")).with_source(error))
}
