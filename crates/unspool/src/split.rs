//! Items out of a body as its bytes arrive, whatever it is written in.

use bytes::{Bytes, BytesMut};

use crate::error::Error;
use crate::json::{self, Check, End, Place};
use crate::xml;

/// Splits one body by what it is, not by what it is said to be: XML begins with
/// `<`, and all else should be JSON.
pub(crate) struct Splitter {
    place: Place,
    check: Check,
    max_bytes: usize,
    form: Form,
}

enum Form {
    /// So far there has been nothing, or white space.
    Unknown(BytesMut),
    Json(Box<json::Splitter>),
    Xml(Box<xml::Splitter>),
}

/// The byte order mark in UTF-8.
const MARK: &[u8] = "\u{FEFF}".as_bytes();

impl Splitter {
    pub(crate) fn new(place: Place, check: Check, max_bytes: usize) -> Self {
        Splitter {
            place,
            check,
            max_bytes,
            form: Form::Unknown(BytesMut::new()),
        }
    }

    /// Gives the next bytes of the body; those before must have been read.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        match &mut self.form {
            Form::Json(splitter) => splitter.push(chunk),
            Form::Xml(splitter) => splitter.push(&chunk),
            Form::Unknown(begin) => {
                let begun = match begin.is_empty() {
                    true => chunk,
                    false => {
                        begin.extend_from_slice(&chunk);
                        begin.split().freeze()
                    }
                };
                self.begin(begun);
            }
        }
    }

    /// The next item, or none where more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Error> {
        match &mut self.form {
            Form::Json(splitter) => splitter.next(),
            Form::Xml(splitter) => splitter.next(),
            Form::Unknown(_) => Ok(None),
        }
    }

    /// How many items have come out.
    pub(crate) fn count(&self) -> u64 {
        match &self.form {
            Form::Json(splitter) => splitter.count(),
            Form::Xml(splitter) => splitter.count(),
            Form::Unknown(_) => 0,
        }
    }

    /// The error for the item that came last: it does not parse as it should.
    pub(crate) fn unfit(&self, item: &[u8], error: serde_json::Error) -> Error {
        match &self.form {
            Form::Json(splitter) => splitter.unfit(item, error),
            Form::Xml(splitter) => splitter.unfit(error),
            Form::Unknown(_) => Error::content(error.to_string()).with_source(error),
        }
    }

    /// There is no more: proves that the body is whole.
    pub(crate) fn end(&mut self) -> Result<End, Error> {
        if let Form::Unknown(begin) = &mut self.form {
            let begun = begin.split().freeze();
            self.form = Form::Json(self.json());
            self.push(begun);
            // There is no item in white space.
            self.next()?;
        }
        match &mut self.form {
            Form::Json(splitter) => splitter.end(),
            Form::Xml(splitter) => splitter.end(),
            Form::Unknown(_) => Err(Error::content("the body is empty")),
        }
    }

    fn begin(&mut self, begun: Bytes) {
        let unmarked = begun.strip_prefix(MARK).unwrap_or(&begun);
        self.form = match unmarked.trim_ascii_start().first() {
            // What is no space at all is refused when there is enough of it.
            None if begun.len() < self.max_bytes => Form::Unknown(BytesMut::from(begun)),
            _ if MARK.starts_with(&begun) => Form::Unknown(BytesMut::from(begun)),
            // UTF-16 begins with one of the latter two.
            Some(b'<' | 0xFE | 0xFF) => {
                let mut splitter = xml::Splitter::new(self.place.clone(), self.max_bytes);
                splitter.push(&begun);
                Form::Xml(Box::new(splitter))
            }
            _ => {
                let mut splitter = self.json();
                splitter.push(begun);
                Form::Json(splitter)
            }
        };
    }

    fn json(&self) -> Box<json::Splitter> {
        let splitter = json::Splitter::new(self.place.clone(), self.check, self.max_bytes);
        Box::new(splitter)
    }
}
