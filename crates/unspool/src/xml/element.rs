//! An element with all that is in it, and what it is in JSON.

use std::borrow::Cow;
use std::collections::HashMap;

use quick_xml::XmlVersion;
use quick_xml::escape::unescape;
use quick_xml::events::attributes::Attributes;
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::error::Error;

#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
    pub(super) text: String,
    /// The name of the children that were taken out of it, one by one.
    pub(super) taken: Option<String>,
}

impl Element {
    /// Reads what stands between the brackets of its tag, at this position.
    pub(super) fn from_tag(tag: &str, position: u64) -> Result<Self, Error> {
        let length = tag.find(SPACE).unwrap_or(tag.len());
        let name = &tag[..length];
        if !is_name(name) {
            return Err(Error::content(format!(
                "not XML: expected the name of an element after `<` at byte {position}, found `{}`",
                tag.chars().take(40).collect::<String>()
            )));
        }
        let mut element = Element {
            name: name.to_owned(),
            ..Element::default()
        };
        for attribute in Attributes::new(tag, length) {
            let wrong = |error: quick_xml::Error| {
                Error::content(format!("not XML: {error}, in `<{name}` at byte {position}"))
            };
            let attribute = attribute.map_err(|error| wrong(error.into()))?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(wrong)?;
            let pair = (attribute.key.as_ref().to_owned(), value.into_owned());
            element.attributes.push(pair);
        }
        Ok(element)
    }

    /// Adds text with references in it.
    pub(super) fn add_text(&mut self, text: &str, position: u64) -> Result<(), Error> {
        let text = with_line_feeds(text);
        let text = unescape(&text).map_err(|error| {
            Error::content(format!("not XML: {error}, in the text at byte {position}"))
        })?;
        self.text.push_str(&text);
        Ok(())
    }

    /// Adds text without references.
    pub(super) fn add_verbatim(&mut self, text: &str) {
        self.text.push_str(&with_line_feeds(text));
    }

    /// Whether the text is only white space between the elements in it.
    pub(super) fn is_between(&self, text: &str) -> bool {
        (self.taken.is_some() || !self.children.is_empty())
            && is_space(text)
            && is_space(&self.text)
    }

    /// Whether it is a string in JSON.
    fn is_text(&self) -> bool {
        self.attributes.is_empty() && self.children.is_empty() && self.taken.is_none()
    }

    /// The text for a place beside attributes or children.
    fn text_beside(&self) -> &str {
        let trimmed = self.text.trim_matches(SPACE);
        match self.children.is_empty() && self.taken.is_none() && !trimmed.is_empty() {
            true => &self.text,
            false => trimmed,
        }
    }
}

impl Serialize for Element {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_text() {
            return serializer.serialize_str(&self.text);
        }
        let mut fields = serializer.serialize_map(None)?;
        for (name, value) in &self.attributes {
            fields.serialize_entry(&format!("@{name}"), value)?;
        }
        for children in by_name(&self.children) {
            if Some(children[0].name.as_str()) == self.taken.as_deref() {
                continue;
            }
            match children[..] {
                [child] => fields.serialize_entry(&child.name, child)?,
                _ => fields.serialize_entry(&children[0].name, &children)?,
            }
        }
        if let Some(name) = &self.taken {
            fields.serialize_entry(name, &[(); 0])?;
        }
        if !self.text_beside().is_empty() {
            fields.serialize_entry("#text", self.text_beside())?;
        }
        fields.end()
    }
}

/// The elements of each name together, in the order of the first of them.
pub(super) fn by_name(elements: &[Element]) -> Vec<Vec<&Element>> {
    let mut places = HashMap::new();
    let mut groups: Vec<Vec<&Element>> = Vec::new();
    for element in elements {
        let place = *places.entry(element.name.as_str()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(element),
            None => groups.push(vec![element]),
        }
    }
    groups
}

/// What is white space in XML, which is less than elsewhere.
pub(super) const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

fn is_space(text: &str) -> bool {
    text.trim_matches(SPACE).is_empty()
}

/// Lines end with a line feed for whoever reads a document (XML 1.0, section 2.11).
fn with_line_feeds(text: &str) -> Cow<'_, str> {
    match memchr::memchr(b'\r', text.as_bytes()) {
        None => Cow::Borrowed(text),
        Some(_) => Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")),
    }
}

/// Names are what names of APIs are: the letters that may begin one are not looked
/// up beyond ASCII.
pub(super) fn is_name(text: &str) -> bool {
    let begins = text
        .starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':') || !c.is_ascii());
    begins
        && text.chars().all(|c| {
            c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-' | '.') || !c.is_ascii()
        })
}
