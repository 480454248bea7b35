//! Elements as the JSON text that they become, without a tree of them.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::escape::unescape;
use quick_xml::events::attributes::Attributes;

use crate::error::{Error, Kind};

/// The longest name of an element, in bytes: each one below it is compared with it.
const LONGEST_NAME: usize = 1024;

/// The elements that are open. Those in them that are closed are JSON text already, with a
/// comma after each; where siblings of one name follow on one another, they are an array
/// of which the bracket is still to come.
#[derive(Default)]
pub(super) struct Elements {
    open: Vec<Element>,
    json: Vec<u8>,
    /// Where in the text the children of the elements that are open begin, those of the
    /// outermost first.
    children: Vec<u32>,
    /// Elements that have been closed, whose memory is used again.
    spare: Vec<Element>,
}

#[derive(Default)]
struct Element {
    name: String,
    /// Where its own text begins.
    begin: usize,
    /// Which of the children is its first.
    first_child: usize,
    has_attributes: bool,
    text: String,
    /// Whether there is nothing but white space in its text.
    is_blank: bool,
    /// The name of the children that were taken out of it, one by one.
    taken: Option<String>,
}

impl Elements {
    /// How many are open.
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Their names, from the root on.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.open.iter().map(|element| element.name.as_str())
    }

    /// The name of the innermost.
    pub(super) fn name(&self) -> Option<&str> {
        Some(&self.open.last()?.name)
    }

    /// How long the text is, and the part of it from the element at this depth on.
    pub(super) fn length(&self, depth: usize) -> usize {
        let begin = self.open.get(depth).map_or(0, |element| element.begin);
        self.json.len() - begin
    }

    /// Opens one within the innermost, by what stands between the brackets of its tag.
    pub(super) fn open(&mut self, name: &str, tag: &str, position: u64) -> Result<(), Error> {
        if !self.open.is_empty() {
            self.begin_member(name)?;
        }
        self.open_apart(name, tag, position)
    }

    /// Opens one that will be taken out.
    pub(super) fn open_apart(&mut self, name: &str, tag: &str, position: u64) -> Result<(), Error> {
        let mut element = self.spare.pop().unwrap_or_default();
        element.name.push_str(name);
        element.begin = self.json.len();
        element.first_child = self.children.len();
        element.is_blank = true;
        self.open.push(element);
        self.json.push(b'{');
        self.write_attributes(name, tag, position)
    }

    /// Adds text with references in it to the innermost.
    pub(super) fn add_text(&mut self, text: &str, position: u64) -> Result<(), Error> {
        let text = with_line_feeds(text);
        let text = unescape(&text).map_err(|error| {
            Error::content(format!("not XML: {error}, in the text at byte {position}"))
        })?;
        self.add(&text);
        Ok(())
    }

    /// Adds text without references to the innermost.
    pub(super) fn add_verbatim(&mut self, text: &str) {
        self.add(&with_line_feeds(text));
    }

    fn add(&mut self, text: &str) {
        if let Some(element) = self.open.last_mut() {
            element.text.push_str(text);
            element.is_blank &= is_space(text);
        }
    }

    /// Whether the text is only white space between the elements in the innermost.
    pub(super) fn is_between(&self, text: &str) -> bool {
        let has_children = |element: &Element| {
            element.taken.is_some() || element.first_child < self.children.len()
        };
        (self.open.last())
            .is_some_and(|element| element.is_blank && has_children(element) && is_space(text))
    }

    /// Closes the innermost, which stays where it is; it is the root if none is open then.
    pub(super) fn close(&mut self) -> Result<(), Error> {
        self.end()?;
        if !self.open.is_empty() {
            self.json.push(b',');
        }
        Ok(())
    }

    /// Closes the innermost and takes it out.
    pub(super) fn take(&mut self) -> Result<Vec<u8>, Error> {
        let begin = self.open.last().map_or(0, |element| element.begin);
        if let [.., parent, element] = &mut self.open[..] {
            parent.taken.get_or_insert_with(|| element.name.clone());
        }
        self.end()?;
        Ok(self.json.split_off(begin))
    }

    /// The text of the root, once it is closed.
    pub(super) fn root(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.json)
    }

    /// Makes the innermost JSON.
    fn end(&mut self) -> Result<(), Error> {
        let Some(mut element) = self.open.pop() else {
            return Ok(());
        };
        let has_children = element.first_child < self.children.len();
        if element.has_attributes || has_children || element.taken.is_some() {
            self.end_array(element.first_child);
            self.group(&element);
            let is_text_alone = !has_children && element.taken.is_none() && !element.is_blank;
            if let Some(name) = element.taken.take() {
                self.json.extend_from_slice(&member(&name));
                self.json.extend_from_slice(b"[],");
            }
            let beside = if is_text_alone {
                &element.text
            } else {
                element.text.trim_matches(SPACE)
            };
            if !beside.is_empty() {
                self.json.extend_from_slice(b"\"#text\":");
                write(&mut self.json, beside)?;
                self.json.push(b',');
            }
            // There is at least one member, with its comma.
            self.json.pop();
            self.json.push(b'}');
        } else {
            self.json.truncate(element.begin);
            write(&mut self.json, &element.text)?;
        }
        self.children.truncate(element.first_child);
        element.name.clear();
        element.text.clear();
        element.text.shrink_to(KEPT_TEXT);
        element.has_attributes = false;
        self.spare.push(element);
        Ok(())
    }

    fn write_attributes(&mut self, name: &str, tag: &str, position: u64) -> Result<(), Error> {
        let mut names = Vec::new();
        for attribute in attributes(tag, name.len()) {
            let (attribute, value) = attribute.map_err(|error| {
                Error::content(format!("not XML: {error}, in `<{name}` at byte {position}"))
            })?;
            if is_name(attribute) {
                self.json.extend_from_slice(b"\"@");
                self.json.extend_from_slice(attribute.as_bytes());
                self.json.push(b'"');
            } else {
                write(&mut self.json, &format!("@{attribute}"))?;
            }
            self.json.push(b':');
            write(&mut self.json, &value)?;
            self.json.push(b',');
            names.push(attribute);
        }
        if let Some(element) = self.open.last_mut() {
            element.has_attributes = !names.is_empty();
        }
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Error::content(format!(
                "not XML: the attribute `{}` is there twice, in `<{name}` at byte {position}",
                pair[0]
            ))),
            None => Ok(()),
        }
    }

    /// Writes the key of a child, or begins or goes on with an array if the child before it
    /// has the same name.
    fn begin_member(&mut self, name: &str) -> Result<(), Error> {
        let first = self.open.last().map_or(0, |element| element.first_child);
        let key = member(name);
        if let Some(&before) = self.children[first..].last()
            && self.json[before as usize..].starts_with(&key)
        {
            let value = before as usize + key.len();
            if self.json[value] != b'[' {
                self.json.insert(value, b'[');
            }
            return Ok(());
        }
        self.end_array(first);
        let begin = u32::try_from(self.json.len()).map_err(|_| {
            Error::new(
                Kind::TooLarge,
                "an element is over the limit of 4 GiB as JSON",
            )
        })?;
        self.children.push(begin);
        self.json.extend_from_slice(&key);
        Ok(())
    }

    /// Closes the array that the last child is in, if it is in one.
    fn end_array(&mut self, first: usize) {
        let Some(&last) = self.children.get(first..).and_then(<[u32]>::last) else {
            return;
        };
        let value = value_of(&self.json, last);
        if self.json[value] == b'[' && !self.json.ends_with(b"],") {
            self.json.pop();
            self.json.extend_from_slice(b"],");
        }
    }

    /// Brings the children of one name together, in the order of the first of each.
    fn group(&mut self, element: &Element) {
        let children = &self.children[element.first_child..];
        let name = |child: &u32| name_of(&self.json, *child);
        let mut sorted: Vec<u32> = children.to_vec();
        // It keeps the order of those with one name.
        sorted.sort_by(|one, other| name(one).cmp(name(other)));
        if !(sorted.windows(2)).any(|pair| name(&pair[0]) == name(&pair[1])) {
            return;
        }
        let begin = children[0] as usize;
        let mut groups: Vec<&[u32]> = sorted
            .chunk_by(|one, other| name(one) == name(other))
            .collect();
        groups.sort_unstable_by_key(|group| group[0]);
        let mut grouped = Vec::with_capacity(self.json.len() - begin + groups.len());
        for group in groups {
            self.write_group(group, children, &mut grouped);
        }
        self.json.truncate(begin);
        self.json.append(&mut grouped);
    }

    /// Writes children of one name, some of which are arrays.
    fn write_group(&self, group: &[u32], children: &[u32], grouped: &mut Vec<u8>) {
        let first = value_of(&self.json, group[0]);
        grouped.extend_from_slice(&self.json[group[0] as usize..first]);
        if group.len() > 1 {
            grouped.push(b'[');
        }
        for child in group {
            let index = children.partition_point(|other| other <= child);
            let end = children
                .get(index)
                .map_or(self.json.len(), |next| *next as usize);
            // With its comma.
            let value = &self.json[value_of(&self.json, *child)..end];
            match (group.len(), value) {
                (2.., [b'[', elements @ .., b']', b',']) => {
                    grouped.extend_from_slice(elements);
                    grouped.push(b',');
                }
                _ => grouped.extend_from_slice(value),
            }
        }
        if group.len() > 1 {
            grouped.pop();
            grouped.extend_from_slice(b"],");
        }
    }
}

/// So much memory of a text is used again.
const KEPT_TEXT: usize = 4 << 10;

/// The name in a tag at this position.
pub(super) fn name_in(tag: &str, position: u64) -> Result<&str, Error> {
    let length = tag.find(SPACE).unwrap_or(tag.len());
    let name = &tag[..length];
    if !is_name(name) {
        return Err(Error::content(format!(
            "not XML: expected the name of an element after `<` at byte {position}, found `{}`",
            tag.chars().take(40).collect::<String>()
        )));
    }
    if name.len() > LONGEST_NAME {
        return Err(Error::content(format!(
            "the name of the element at byte {position} is over the limit of {LONGEST_NAME} bytes"
        )));
    }
    Ok(name)
}

/// The attributes in a tag after its name; not checked to be there only once.
pub(super) fn attributes(
    tag: &str,
    name: usize,
) -> impl Iterator<Item = Result<(&str, Cow<'_, str>), quick_xml::Error>> {
    let mut attributes = Attributes::new(tag, name);
    attributes.with_checks(false);
    attributes.map(|attribute| {
        let attribute = attribute?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0)?;
        Ok((attribute.key.into_inner(), value.into_owned().into()))
    })
}

/// A key, which has nothing to escape, as an object has it before a value.
fn member(name: &str) -> Vec<u8> {
    [b"\"", name.as_bytes(), b"\":"].concat()
}

/// The name of a member that begins there.
fn name_of(json: &[u8], member: u32) -> &[u8] {
    let name = &json[member as usize + 1..];
    let end = memchr::memchr(b'"', name).unwrap_or(name.len());
    &name[..end]
}

/// Where the value of a member begins.
fn value_of(json: &[u8], member: u32) -> usize {
    member as usize + name_of(json, member).len() + b"\"\":".len()
}

fn write(json: &mut Vec<u8>, text: &str) -> Result<(), Error> {
    serde_json::to_writer(json, text).map_err(|error| {
        Error::content(format!("not to be written as JSON: {error}")).with_source(error)
    })
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
