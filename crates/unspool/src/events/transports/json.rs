use bytes::Bytes;
use bytestring::ByteString;
use serde_json::Value;

use super::{Arrival, Over};
use crate::error::{Error, Kind};
use crate::json::{Check, Pointer, Splitter};

/// What CouchDB calls its last line.
const LAST_LINE: &str = "last_seq";

/// The status with which an upstream says that a position is too old.
const GONE: u16 = 410;

/// Reads JSON texts that follow each other: on lines, after record separators (RFC 7464), or
/// with nothing in between.
pub(super) struct JsonReader {
    splitter: Splitter,
    /// Where the position is in an item.
    position: Option<Pointer>,
}

/// What an item is.
enum Role {
    /// An event with this position.
    Event(ByteString),
    /// The line that says where the connection ends.
    LastLine,
    /// The position from which the connection began is too old.
    Expired,
}

impl JsonReader {
    pub(super) fn new(position: Option<Pointer>, max_item: usize) -> Self {
        JsonReader {
            splitter: Splitter::in_sequence(Check::Valid, max_item),
            position,
        }
    }

    pub(super) fn read(&mut self, chunk: Bytes, arrivals: &mut Vec<Arrival>) -> Result<(), Over> {
        self.splitter.push(chunk);
        while let Some(item) = self.splitter.next()? {
            let position = match self.role(&item)? {
                Role::Event(position) => position,
                Role::LastLine => continue,
                Role::Expired => {
                    let message = "the feed says that the position is too old";
                    return Err(Error::new(Kind::Status(GONE), message).into());
                }
            };
            let data = ByteString::try_from(item)
                .map_err(|error| Error::content(format!("an item is not UTF-8: {error}")))?;
            arrivals.push(Arrival {
                name: ByteString::from_static("message"),
                id: position.clone(),
                data,
                position,
            });
        }
        Ok(())
    }

    /// Whether the body may not end here.
    pub(super) fn is_inside(&self) -> bool {
        self.splitter.is_inside()
    }

    fn role(&self, item: &[u8]) -> Result<Role, Error> {
        let Some(pointer) = &self.position else {
            return Ok(Role::Event(ByteString::new()));
        };
        let document: Value = serde_json::from_slice(item)
            .map_err(|error| Error::content(format!("an item is not JSON: {error}")))?;
        Ok(match pointer.find(&document) {
            Some(Value::String(text)) => Role::Event(text.as_str().into()),
            Some(Value::Null) | None if is_expired(&document) => Role::Expired,
            None if document.get(LAST_LINE).is_some() => Role::LastLine,
            Some(Value::Null) | None => Role::Event(ByteString::new()),
            Some(value) => Role::Event(value.to_string().into()),
        })
    }
}

/// Whether an item says that the position is too old, as Kubernetes does.
fn is_expired(document: &Value) -> bool {
    let code = document.pointer("/object/code").and_then(Value::as_u64);
    document["type"] == "ERROR" && code == Some(u64::from(GONE))
}
