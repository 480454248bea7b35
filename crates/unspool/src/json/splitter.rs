//! Items out of a JSON document while it is still arriving.

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Pointer;
#[cfg(any(test, feature = "internals"))]
use super::blocks::Instructions;
use super::document::{Document, not_json};
use super::envelope::{EnvelopeScanner, Late, Stop};
use super::guess;
use super::items::{Check, Found, ItemScanner};
use super::members::MemberScanner;
use super::partial;
use super::place::Place;
use crate::error::{Error, Kind};

/// Splits one document, or lines of them: [`push`](Splitter::push) each chunk and take the items
/// that have come; then say that there is no more with [`end`](Splitter::end).
///
/// The items come as slices of the chunks. Memory is bounded by one chunk, one
/// item and the text around the items.
pub(crate) struct Splitter {
    check: Check,
    max_bytes: usize,
    envelope: EnvelopeScanner,
    elements: ItemScanner,
    /// What reads around the elements, where they are the members of an object.
    members: Option<MemberScanner>,
    at_items: bool,
    /// Whether there is a value on each line, instead of one document.
    on_lines: bool,
    /// The first element, as long as it is not known what it is.
    held: Option<Bytes>,
    chunk: Bytes,
    at: usize,
    /// Where the chunk begins in the document.
    offset: u64,
}

/// What the first element of a bare list turns out to be.
enum FirstElement {
    /// The second has not begun.
    Open(Bytes),
    Item(Bytes),
    /// What surrounds the items, which are the second element.
    Envelope,
}

/// What surrounded the items of a page.
#[derive(Debug, Default)]
pub(crate) struct Envelope {
    /// The document with an empty array in the place of the items.
    pub(crate) document: Value,
    /// Where the items were.
    pub(crate) items_at: Pointer,
    /// Another array that could have been meant.
    pub(crate) rival: Option<Pointer>,
    /// The items were lines, which nothing in the body says the last of.
    pub(crate) is_lines: bool,
    /// A key that is there twice.
    pub(crate) repeated_key: Option<Pointer>,
    /// It was no list, but one thing, which is the only item.
    pub(crate) is_resource: bool,
    /// The list was left out, which some do where there is nothing in it.
    pub(crate) is_left_out: bool,
}

/// How the end of the body leaves the document.
pub(crate) enum End {
    /// It is whole, and so are its items.
    Whole(Envelope),
    /// It is whole, but its items were not known before it ended: here they are,
    /// as a document of their own.
    Late(Envelope, Bytes),
}

impl Splitter {
    pub(crate) fn new(place: Place, check: Check, max_bytes: usize) -> Self {
        Splitter {
            check,
            max_bytes,
            members: match &place {
                Place::Members(members) => Some(MemberScanner::new(&members.key, max_bytes)),
                Place::Auto | Place::At(_) => None,
            },
            envelope: EnvelopeScanner::new(place, max_bytes),
            elements: ItemScanner::new(check, max_bytes),
            at_items: false,
            on_lines: false,
            held: None,
            chunk: Bytes::new(),
            at: 0,
            offset: 0,
        }
    }

    /// Splits values on lines of their own, or after record separators (RFC 7464).
    pub(crate) fn on_lines(check: Check, max_bytes: usize) -> Self {
        Splitter {
            elements: ItemScanner::on_lines(check, max_bytes, 0),
            at_items: true,
            on_lines: true,
            ..Splitter::new(Place::Auto, check, max_bytes)
        }
    }

    /// The same with other instructions than the best, or with none.
    #[cfg(any(test, feature = "internals"))]
    pub(crate) fn with_instructions(mut self, instructions: Option<Instructions>) -> Self {
        self.elements = self.elements.with_instructions(instructions);
        self
    }

    /// Begins at this position in the body: nothing but white space was before.
    pub(crate) fn starting_at(mut self, position: u64) -> Self {
        self.offset = position;
        self
    }

    /// Splits values that follow each other, on lines of their own or not, or after record
    /// separators (RFC 7464).
    pub(crate) fn in_sequence(check: Check, max_bytes: usize) -> Self {
        Splitter {
            elements: ItemScanner::in_sequence(check, max_bytes),
            at_items: true,
            on_lines: true,
            ..Splitter::new(Place::Auto, check, max_bytes)
        }
    }

    /// Whether an item has come in part.
    pub(crate) fn is_inside(&self) -> bool {
        self.elements.is_inside()
    }

    /// Gives the next bytes of the document; those before must have been read.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        debug_assert_eq!(self.at, self.chunk.len(), "the last chunk was not read");
        self.offset += self.chunk.len() as u64;
        self.chunk = chunk;
        self.at = 0;
        self.elements.begin_chunk();
    }

    /// The next item, or none where more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            // To take what is not there would cost a write for each item.
            if self.held.is_some()
                && let Some(first) = self.held.take()
            {
                match self.after_first(first)? {
                    FirstElement::Open(first) => {
                        self.held = Some(first);
                        return Ok(None);
                    }
                    FirstElement::Item(first) => return Ok(Some(first)),
                    FirstElement::Envelope => {}
                }
            }
            if self.at_items {
                match self.element()? {
                    Found::Element(element) if self.may_be_about_pages(&element) => {
                        self.held = Some(element);
                        continue;
                    }
                    Found::Element(element) => return Ok(Some(element)),
                    Found::More => return Ok(None),
                    Found::Close => {
                        self.at_items = false;
                        self.envelope.close_items();
                    }
                }
            }
            match (self.envelope).feed(&self.chunk, &mut self.at, self.offset)? {
                Stop::More => return Ok(None),
                Stop::Items => {
                    self.members = None;
                    self.at_items = true;
                }
                Stop::Members => {
                    self.elements = ItemScanner::of_values(self.check, self.max_bytes);
                    self.at_items = true;
                }
                Stop::Line => return self.first_line().map(Some),
            }
        }
    }

    fn element(&mut self) -> Result<Found, Error> {
        let (chunk, at, offset) = (&self.chunk, &mut self.at, self.offset);
        match &mut self.members {
            Some(members) => members.next(&mut self.elements, chunk, at, offset),
            None => self.elements.next(chunk, at, offset),
        }
    }

    /// Whether this is the first element of a bare list, and may be what speaks of the
    /// pages, with the items after it: `[{"page": 1, "total": 250}, […]]`.
    fn may_be_about_pages(&self, element: &[u8]) -> bool {
        let is_root = || (self.envelope.found()).is_some_and(|found| found.steps().is_empty());
        self.elements.count() == 1
            && !self.on_lines
            && is_root()
            && self.envelope.is_searching()
            && guess::is_about_pages(element)
    }

    /// What the first element is, as the begin of the second tells.
    fn after_first(&mut self, first: Bytes) -> Result<FirstElement, Error> {
        let next = (self.elements).peek(&self.chunk, &mut self.at, self.offset)?;
        match next {
            None => Ok(FirstElement::Open(first)),
            Some(b'[' | b'n') => {
                let items_at = Pointer::from_steps(vec!["1".to_owned()]);
                self.envelope = EnvelopeScanner::new(Place::At(items_at), self.max_bytes);
                self.elements = ItemScanner::new(self.check, self.max_bytes);
                self.at_items = false;
                let front = [b"[", &first[..], b","].concat();
                self.envelope.feed(&front, &mut 0, self.offset)?;
                Ok(FirstElement::Envelope)
            }
            Some(_) => Ok(FirstElement::Item(first)),
        }
    }

    /// What was read as a document is the first of many: from here on there are
    /// items only.
    fn first_line(&mut self) -> Result<Bytes, Error> {
        let text = self.envelope.text();
        if let Err(error) = serde_json::from_slice::<&RawValue>(text) {
            return Err(not_json(error));
        }
        let first = Bytes::copy_from_slice(text);
        self.elements = ItemScanner::on_lines(self.check, self.max_bytes, 1);
        self.at_items = true;
        self.on_lines = true;
        Ok(first)
    }

    /// How many bytes of what surrounds the items are kept.
    pub(crate) fn around(&self) -> usize {
        self.envelope.text().len()
    }

    /// How many items have come out.
    pub(crate) fn count(&self) -> u64 {
        self.elements.count()
    }

    /// The error for the item that came last: it does not parse as it should.
    pub(crate) fn unfit(&self, item: &[u8], error: serde_json::Error) -> Error {
        self.elements.unfit(item, error)
    }

    /// There is no more: proves that the document is whole.
    pub(crate) fn end(&mut self) -> Result<End, Error> {
        let position = self.offset + self.chunk.len() as u64;
        if self.on_lines && position > 0 && !self.elements.is_inside() {
            return Ok(End::Whole(Envelope {
                document: Value::Array(Vec::new()),
                is_lines: true,
                ..Envelope::default()
            }));
        }
        if self.at_items || !self.envelope.end(position)? {
            return Err(self.truncated(position));
        }
        let Document {
            value: mut document,
            repeated_key,
        } = Document::read(self.envelope.text(), self.max_bytes)?;
        let rival = self.envelope.rival().cloned().filter(|rival| {
            let array = rival.find(&document).and_then(Value::as_array);
            array.is_some_and(|array| !array.is_empty())
        });
        let envelope = Envelope {
            rival,
            repeated_key,
            ..Envelope::default()
        };
        if let Some(items_at) = self.envelope.found().cloned() {
            return Ok(End::Whole(Envelope {
                document,
                items_at,
                ..envelope
            }));
        }
        // An error in the place of the items says more than that they are missing.
        let late =
            (self.envelope.late(&document)).map_err(|missing| match partial::said(&document) {
                Some(error) => missing.with_note(format!("the answer says: {error}")),
                None => missing,
            })?;
        if let (Late::Items(items_at, _), true) = (&late, self.members.is_some()) {
            items_at.take_out(&mut document);
        }
        let envelope = Envelope {
            document,
            ..envelope
        };
        Ok(match late {
            Late::Items(items_at, items) => {
                let envelope = Envelope {
                    items_at,
                    ..envelope
                };
                End::Late(envelope, items)
            }
            Late::Resource(item) => {
                let envelope = Envelope {
                    is_resource: true,
                    ..envelope
                };
                End::Late(envelope, item)
            }
            Late::LeftOut(items_at) => End::Whole(Envelope {
                items_at,
                is_left_out: true,
                ..envelope
            }),
        })
    }

    fn truncated(&self, position: u64) -> Error {
        let place = match (position, self.at_items, self.elements.is_inside()) {
            (0, ..) => "the body is empty".to_owned(),
            (_, true, true) => format!(
                "the body ends at byte {position}, inside of item {}",
                self.count() + 1
            ),
            (_, true, false) => format!(
                "the body ends at byte {position}, after {} items and before the end of their array",
                self.count()
            ),
            _ => format!("the body ends at byte {position}, before the end of its JSON"),
        };
        Error::new(Kind::Truncated, place)
    }
}
