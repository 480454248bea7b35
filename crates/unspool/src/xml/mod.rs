//! Items out of an XML listing as its bytes arrive, as JSON.
//!
//! The splitter has the interface of the one for JSON: each element of a listing
//! that is an item comes as the JSON text of an object, and what surrounds them as
//! one JSON document. An element becomes
//!
//! - a string, if it has text alone, or nothing;
//! - otherwise an object: an attribute becomes `@name`, a child element `name`,
//!   several children of one name an array, and text beside them `#text`.
//!
//! So `<entry><id>1</id><link rel="next" href="/2"/></entry>` is
//! `{"id":"1","link":{"@rel":"next","@href":"/2"}}`. Names keep the prefixes that
//! they are written with. White space between elements is dropped. References to
//! characters and to the five predefined entities are decoded; a document type,
//! which could declare others, is refused, and so is another encoding than UTF-8,
//! and a name of more than 1,024 bytes.

mod element;
mod guess;
mod splitter;
#[cfg(test)]
mod tests;
mod tokens;

pub(crate) use splitter::Splitter;
