//! Items out of an XML document while it is still arriving.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::element::{Elements, SPACE, attributes, is_name, name_in};
use super::guess::{self, Repeated, child_where, each_child};
use super::tokens::{Token, Tokens};
use crate::error::{Error, Kind};
use crate::http::shortened_to;
use crate::json::{Document, End, Envelope, Place, Pointer};

/// Splits one document: [`push`](Splitter::push) each chunk and take the items
/// that have come; then say that there is no more with [`end`](Splitter::end).
///
/// Memory is bounded by one chunk, one item and the text around the items.
pub(crate) struct Splitter {
    tokens: Tokens,
    tree: Tree,
}

/// What has come of the document, without the items that were handed out.
struct Tree {
    place: Place,
    max_bytes: usize,
    elements: Elements,
    /// The name of the root.
    root: Option<String>,
    is_closed: bool,
    /// How many elements surround the item in hand, if there is one.
    around_item: Option<usize>,
    /// Where it begins in the document.
    begins_at: u64,
    found: Option<Pointer>,
    rival: Option<Pointer>,
    /// How many bytes of the document surround the items.
    kept: u64,
    count: u64,
}

/// The deepest nesting that is followed. Of JSON that is deeper, most readers
/// make no values.
const MAX_DEPTH: usize = 127;

impl Splitter {
    pub(crate) fn new(place: Place, max_bytes: usize) -> Self {
        Splitter {
            tokens: Tokens::new(max_bytes),
            tree: Tree {
                place,
                max_bytes,
                elements: Elements::default(),
                root: None,
                is_closed: false,
                around_item: None,
                begins_at: 0,
                found: None,
                rival: None,
                kept: 0,
                count: 0,
            },
        }
    }

    /// Begins at this position in the body: nothing but white space was before.
    pub(crate) fn starting_at(mut self, position: u64) -> Self {
        self.tokens.starting_at(position);
        self
    }

    /// Gives the next bytes of the document; those before must have been read.
    pub(crate) fn push(&mut self, chunk: &Bytes) {
        self.tokens.push(chunk);
    }

    /// The next item, or none where more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let Some((position, token)) = self.tokens.next()? else {
                return Ok(None);
            };
            let item = self.tree.take(token, position)?;
            self.tree.limit(self.tokens.position())?;
            if let Some(item) = item {
                self.tree.count += 1;
                return Ok(Some(item.into()));
            }
        }
    }

    /// How many bytes of what surrounds the items are kept.
    pub(crate) fn around(&self) -> usize {
        self.tree.elements.length(0)
    }

    /// The error for the item that came last: it does not parse as it should.
    pub(crate) fn unfit(&self, error: serde_json::Error) -> Error {
        Error::content(format!(
            "item {}, at byte {}, is not of the expected type: {error}",
            self.tree.count, self.tree.begins_at
        ))
        .with_source(error)
    }

    /// There is no more: proves that the document is whole.
    pub(crate) fn end(&mut self) -> Result<End, Error> {
        let rest = self.tokens.rest();
        let name = self.tree.root.take().filter(|_| self.tree.is_closed);
        let Some(name) = name else {
            return Err(self.tree.truncated(self.tokens.end()));
        };
        if rest.iter().any(|byte| !b" \t\r\n".contains(byte)) {
            return Err(Error::content(format!(
                "not XML: expected nothing more at byte {}",
                self.tokens.position()
            )));
        }
        let text = self.tree.elements.root();
        self.tree.conclude(&Root { name, text })
    }
}

impl Tree {
    /// Takes in the next token; gives the item that ends with it.
    fn take(&mut self, token: Token<'_>, position: u64) -> Result<Option<Vec<u8>>, Error> {
        match (token, self.elements.name()) {
            (Token::Start(tag), _) => {
                let (tag, is_empty) = match tag.strip_suffix('/') {
                    Some(tag) => (tag, true),
                    None => (tag, false),
                };
                self.begin(tag, position)?;
                self.keep(tag);
                if is_empty {
                    return self.close();
                }
            }
            (Token::End(name), Some(open)) => {
                if name.trim_end_matches(SPACE) != open {
                    return Err(Error::content(format!(
                        "not XML: expected `</{open}>` at byte {position}, found `</{}>`",
                        shortened_to(name, SHOWN)
                    )));
                }
                return self.close();
            }
            // Between elements: there may be more of it than there may be items.
            (Token::Text(text), Some(_)) if self.elements.is_between(text) => {}
            (Token::Text(text), Some(_)) => {
                self.elements.add_text(text, position)?;
                self.keep(text);
            }
            (Token::Verbatim(text), Some(_)) => {
                self.elements.add_verbatim(text);
                self.keep(text);
            }
            (Token::Text(text), None) if text.trim_matches(SPACE).is_empty() => {}
            (Token::Text(_) | Token::Verbatim(_) | Token::End(_), None) => {
                return Err(Error::content(format!(
                    "not XML: expected {} at byte {position}",
                    match self.root {
                        None => "an element",
                        Some(_) => "nothing more",
                    }
                )));
            }
            (Token::Instruction(text), _) => check_instruction(text, position)?,
            (Token::Comment, _) => {}
        }
        Ok(None)
    }

    fn keep(&mut self, text: &str) {
        if self.around_item.is_none() {
            self.kept += text.len() as u64;
        }
    }

    fn begin(&mut self, tag: &str, position: u64) -> Result<(), Error> {
        let name = name_in(tag, position)?;
        let depth = self.elements.depth();
        if depth == 0 && self.root.is_some() {
            return Err(Error::content(format!(
                "not XML: expected nothing more at byte {position}, found `<{name}>`"
            )));
        }
        if depth == 0 && name.eq_ignore_ascii_case("html") {
            return Err(Error::content(format!(
                "expected a listing in XML or JSON, found a web page (`<{name}>`)"
            )));
        }
        if depth == MAX_DEPTH {
            return Err(Error::content(format!(
                "the document nests more than {MAX_DEPTH} deep at byte {position}"
            )));
        }
        if depth == 0 {
            self.root = Some(name.to_owned());
        }
        if self.around_item.is_none() && self.is_item(name) {
            self.around_item = Some(depth);
            self.begins_at = position;
            self.elements.open_apart(name, tag, position)
        } else {
            self.elements.open(name, tag, position)
        }
    }

    /// Whether an element of this name is an item if it begins here.
    fn is_item(&mut self, name: &str) -> bool {
        let names = || self.elements.names().chain([name]);
        match (&self.place, &self.found) {
            (Place::At(pointer), _) | (_, Some(pointer)) if pointer.steps().iter().eq(names()) => {
                // Some items may be in another element of the same path.
                return true;
            }
            (Place::At(_) | Place::Members(_), _) => return false,
            (Place::Auto, _) if !guess::is_usual(names()) => return false,
            _ => {}
        }
        let here = Pointer::from_steps(names().map(str::to_owned).collect());
        match self.found {
            None => {
                self.found = Some(here);
                true
            }
            Some(_) => {
                self.rival.get_or_insert(here);
                false
            }
        }
    }

    /// Closes the innermost element, which is given if it is an item.
    fn close(&mut self) -> Result<Option<Vec<u8>>, Error> {
        if self.around_item == Some(self.elements.depth() - 1) {
            self.around_item = None;
            return self.elements.take().map(Some);
        }
        self.elements.close()?;
        self.is_closed = self.elements.depth() == 0;
        Ok(None)
    }

    /// Holds the item in hand and what surrounds the items below the limit.
    fn limit(&self, position: u64) -> Result<(), Error> {
        let is_over = |kept: u64| kept > self.max_bytes as u64;
        // JSON is longer than XML, but not twice as long, unless characters are escaped.
        let is_long = |depth: usize| self.elements.length(depth) / 2 > self.max_bytes;
        let what = match self.around_item {
            Some(depth) if is_over(position - self.begins_at) || is_long(depth) => {
                format!("item {}, at byte {}, is", self.count + 1, self.begins_at)
            }
            _ if is_over(self.kept) || is_long(0) => "what surrounds the items is".to_owned(),
            _ => return Ok(()),
        };
        Err(Error::new(
            Kind::TooLarge,
            format!("{what} over the limit of {} bytes", self.max_bytes),
        ))
    }

    fn truncated(&self, position: u64) -> Error {
        let place = match self.around_item {
            _ if position == 0 => "the body is empty".to_owned(),
            Some(_) => format!(
                "the body ends at byte {position}, inside of item {}",
                self.count + 1
            ),
            None => format!(
                "the body ends at byte {position}, after {} items and before the end of its XML",
                self.count
            ),
        };
        Error::new(Kind::Truncated, place)
    }

    /// What a whole document comes to.
    fn conclude(&mut self, root: &Root) -> Result<End, Error> {
        if let Some(found) = self.found.take() {
            return self.whole(root, found);
        }
        if let Place::At(pointer) = self.place.clone() {
            let envelope = self.envelope(root, &root.text, pointer.clone())?;
            let is_there = self.count > 0 || has_parent_of(&envelope.document, &pointer);
            return is_there
                .then_some(End::Whole(envelope))
                .ok_or_else(|| root.without_items_at(&pointer));
        }
        if let Place::Members(_) = &self.place {
            return Err(Error::no_items(
                "expected JSON, in which items can be the members of an object; found XML",
            ));
        }
        let repeated = guess::repeated(root, self.max_bytes)?;
        match (guess::items_of(root), repeated.as_slice()) {
            (Some(none), rivals) => {
                let prefixes = child_where(&root.text, |name| name == "CommonPrefixes");
                let prefixes = prefixes.map(|(name, _)| {
                    Pointer::from_steps(vec![root.name.clone(), name.into_owned()])
                });
                let rival = || rivals.first().map(|rival| rival.place.clone());
                self.rival = prefixes.or_else(rival);
                self.whole(root, Pointer::from_steps(none))
            }
            (None, [items, rivals @ ..]) => {
                self.rival = rivals.first().map(|rival| rival.place.clone());
                self.late(root, items)
            }
            (None, []) => Err(Error::content(format!(
                "expected a listing, found {}, and no element that repeats: say where the items are with a JSON pointer such as `/feed/entry`",
                root.described()
            ))),
        }
    }

    fn whole(&mut self, root: &Root, items_at: Pointer) -> Result<End, Error> {
        Ok(End::Whole(self.envelope(root, &root.text, items_at)?))
    }

    /// Takes the items out of the element that they repeat in.
    fn late(&mut self, root: &Root, items: &Repeated<'_>) -> Result<End, Error> {
        let begin = items.array.as_ptr().addr() - root.text.as_ptr().addr();
        let (front, rest) = root.text.split_at(begin);
        let around = [front, b"[]", &rest[items.array.len()..]].concat();
        let envelope = self.envelope(root, &around, items.place.clone())?;
        Ok(End::Late(envelope, Bytes::copy_from_slice(items.array)))
    }

    fn envelope(&mut self, root: &Root, text: &[u8], items_at: Pointer) -> Result<Envelope, Error> {
        let value = Document::read(text, self.max_bytes)?.value;
        Ok(Envelope {
            document: Value::Object(Map::from_iter([(root.name.clone(), value)])),
            items_at,
            rival: self.rival.take(),
            ..Envelope::default()
        })
    }
}

/// The outermost element of a whole document, without the items that were handed out.
pub(super) struct Root {
    pub(super) name: String,
    /// Its JSON.
    pub(super) text: Vec<u8>,
}

impl Root {
    /// Its name and the first of what is in it, for a message.
    fn described(&self) -> String {
        let mut names = Vec::new();
        each_child(&self.text, &mut |name, _| {
            if names.len() < 8 {
                names.push(format!("`{}`", shortened_to(&name, SHOWN)));
            }
        });
        match names.is_empty() {
            true => format!("`<{}>`", self.name),
            false => format!("`<{}>` with {}", self.name, names.join(", ")),
        }
    }

    fn without_items_at(&self, pointer: &Pointer) -> Error {
        Error::content(format!(
            "expected elements at {}, found {}",
            pointer.described(),
            self.described()
        ))
    }
}

/// Refuses one without the name that XML requires (XML 1.0, section 2.6), and a declaration of
/// another encoding than UTF-8.
fn check_instruction(instruction: &str, position: u64) -> Result<(), Error> {
    let (name, declared) = instruction.split_once(SPACE).unwrap_or((instruction, ""));
    if !is_name(name) {
        return Err(Error::content(format!(
            "not XML: expected a name after `<?` at byte {position}, found `{}`",
            shortened_to(instruction, SHOWN)
        )));
    }
    if name == "xml" {
        check_encoding(declared)?;
    }
    Ok(())
}

/// Refuses another encoding than UTF-8, in `version="1.0" encoding="…"`.
fn check_encoding(declared: &str) -> Result<(), Error> {
    for attribute in attributes(declared, 0) {
        let (name, encoding) =
            attribute.map_err(|error| Error::content(format!("not XML: {error}, in `<?xml`")))?;
        if name == "encoding" && !is_utf_8(&encoding) {
            return Err(Error::content(format!(
                "expected XML in UTF-8, found one that says that it is in `{encoding}`"
            )));
        }
    }
    Ok(())
}

/// ASCII is UTF-8.
fn is_utf_8(encoding: &str) -> bool {
    ["utf-8", "utf8", "us-ascii", "ascii"]
        .iter()
        .any(|name| encoding.eq_ignore_ascii_case(name))
}

/// Whether the document has the element in which the items would be.
fn has_parent_of(document: &Value, pointer: &Pointer) -> bool {
    let [between @ .., _] = pointer.steps() else {
        return false;
    };
    let found = between.iter().try_fold(document, |value, step| {
        let value = value.get(step)?;
        Some(value.get(0).unwrap_or(value))
    });
    !between.is_empty() && found.is_some()
}

/// How many characters of a name a message shows.
const SHOWN: usize = 100;
