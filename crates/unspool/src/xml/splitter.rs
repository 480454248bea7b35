//! Items out of an XML document while it is still arriving.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::element::Element;
use super::guess;
use super::tokens::{Token, Tokens};
use crate::error::{Error, Kind};
use crate::json::{End, Envelope, Place, Pointer};

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
    /// The elements that are open, from the root on.
    open: Vec<Element>,
    /// The root, once it is closed.
    root: Option<Element>,
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
                open: Vec::new(),
                root: None,
                around_item: None,
                begins_at: 0,
                found: None,
                rival: None,
                kept: 0,
                count: 0,
            },
        }
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
                return Ok(Some(to_json(&item)?.into()));
            }
        }
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
        let Some(root) = self.tree.root.take() else {
            return Err(self.tree.truncated(self.tokens.end()));
        };
        if !rest.trim_ascii().is_empty() {
            return Err(Error::content(format!(
                "not XML: expected nothing more at byte {}",
                self.tokens.position()
            )));
        }
        self.tree.conclude(root)
    }
}

impl Tree {
    /// Takes in the next token; gives the item that ends with it.
    fn take(&mut self, token: Token<'_>, position: u64) -> Result<Option<Element>, Error> {
        match (token, self.open.last_mut()) {
            (Token::Start(tag), _) => {
                let (tag, is_empty) = match tag.strip_suffix('/') {
                    Some(tag) => (tag, true),
                    None => (tag, false),
                };
                self.begin(Element::from_tag(tag, position)?, position)?;
                self.keep(tag);
                if is_empty {
                    return Ok(self.close());
                }
            }
            (Token::End(name), Some(element)) => {
                if name.trim_ascii_end() != element.name {
                    return Err(Error::content(format!(
                        "not XML: expected `</{}>` at byte {position}, found `</{name}>`",
                        element.name
                    )));
                }
                return Ok(self.close());
            }
            // Between elements: there may be more of it than there may be items.
            (Token::Text(text), Some(element)) if element.is_between(text) => {}
            (Token::Text(text), Some(element)) => {
                element.add_text(text, position)?;
                self.keep(text);
            }
            (Token::Verbatim(text), Some(element)) => {
                element.add_verbatim(text);
                self.keep(text);
            }
            (Token::Text(text), None) if text.trim_ascii().is_empty() => {}
            (Token::Text(_) | Token::Verbatim(_) | Token::End(_), None) => {
                return Err(Error::content(format!(
                    "not XML: expected {} at byte {position}",
                    match self.root {
                        None => "an element",
                        Some(_) => "nothing more",
                    }
                )));
            }
            (Token::Instruction(text), _) => check_encoding(text)?,
            (Token::Comment, _) => {}
        }
        Ok(None)
    }

    fn keep(&mut self, text: &str) {
        if self.around_item.is_none() {
            self.kept += text.len() as u64;
        }
    }

    fn begin(&mut self, element: Element, position: u64) -> Result<(), Error> {
        if self.root.is_some() {
            return Err(Error::content(format!(
                "not XML: expected nothing more at byte {position}, found `<{}>`",
                element.name
            )));
        }
        if self.open.is_empty() && element.name.eq_ignore_ascii_case("html") {
            return Err(Error::content(format!(
                "expected a listing in XML or JSON, found a web page (`<{}>`)",
                element.name
            )));
        }
        if self.open.len() == MAX_DEPTH {
            return Err(Error::content(format!(
                "the document nests more than {MAX_DEPTH} deep at byte {position}"
            )));
        }
        if self.around_item.is_none() && self.is_item(&element.name) {
            self.around_item = Some(self.open.len());
            self.begins_at = position;
        }
        self.open.push(element);
        Ok(())
    }

    /// Whether an element of this name is an item if it begins here.
    fn is_item(&mut self, name: &str) -> bool {
        let names = || {
            self.open
                .iter()
                .map(|element| element.name.as_str())
                .chain([name])
        };
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
    fn close(&mut self) -> Option<Element> {
        let element = self.open.pop()?;
        if self.around_item == Some(self.open.len()) {
            self.around_item = None;
            if let Some(parent) = self.open.last_mut() {
                parent.taken.get_or_insert_with(|| element.name.clone());
            }
            return Some(element);
        }
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        None
    }

    /// Holds the item in hand and what surrounds the items below the limit.
    fn limit(&self, position: u64) -> Result<(), Error> {
        let is_over = |kept: u64| kept > self.max_bytes as u64;
        let what = match self.around_item {
            Some(_) if is_over(position - self.begins_at) => {
                format!("item {}, at byte {}, is", self.count + 1, self.begins_at)
            }
            _ if is_over(self.kept) => "what surrounds the items is".to_owned(),
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
    fn conclude(&mut self, root: Element) -> Result<End, Error> {
        if let Some(found) = self.found.take() {
            return self.whole(&root, found);
        }
        let repeated = guess::repeated(&root);
        match &self.place {
            Place::At(pointer) if self.count > 0 || has_parent_of(&root, pointer) => {
                let pointer = pointer.clone();
                self.whole(&root, pointer)
            }
            Place::At(pointer) => Err(Error::content(format!(
                "expected elements at {}, found {}",
                pointer.described(),
                described(&root)
            ))),
            Place::Members(_) => Err(Error::no_items(
                "expected JSON, in which items can be the members of an object; found XML",
            )),
            Place::Auto => match (guess::items_of(&root), repeated.as_slice()) {
                (Some(none), rivals) => {
                    let prefixes = root
                        .children
                        .iter()
                        .find(|child| child.name == "CommonPrefixes");
                    let prefixes =
                        prefixes.map(|child| vec![root.name.clone(), child.name.clone()]);
                    self.rival = prefixes
                        .or(rivals.first().cloned())
                        .map(Pointer::from_steps);
                    self.whole(&root, Pointer::from_steps(none))
                }
                (None, [items, rivals @ ..]) => {
                    self.rival = rivals.first().cloned().map(Pointer::from_steps);
                    self.late(root, items.clone())
                }
                (None, []) => Err(Error::content(format!(
                    "expected a listing, found {}, and no element that repeats: say where the items are with a JSON pointer such as `/feed/entry`",
                    described(&root)
                ))),
            },
        }
    }

    fn whole(&mut self, root: &Element, items_at: Pointer) -> Result<End, Error> {
        Ok(End::Whole(Envelope {
            document: document(root)?,
            items_at,
            rival: self.rival.take(),
            ..Envelope::default()
        }))
    }

    /// Takes the items out of the element that they repeat in.
    fn late(&mut self, mut root: Element, steps: Vec<String>) -> Result<End, Error> {
        let mut parent = &mut root;
        for step in &steps[1..steps.len() - 1] {
            let Some(child) = parent.children.iter().position(|child| child.name == *step) else {
                break;
            };
            parent = &mut parent.children[child];
        }
        let is_item = |child: &mut Element| Some(&child.name) == steps.last();
        let items: Vec<Element> = parent.children.extract_if(.., is_item).collect();
        parent.taken = steps.last().cloned();
        let envelope = Envelope {
            document: document(&root)?,
            items_at: Pointer::from_steps(steps),
            rival: self.rival.take(),
            ..Envelope::default()
        };
        Ok(End::Late(envelope, to_json(&items)?.into()))
    }
}

/// Refuses another encoding than UTF-8, in `xml version="1.0" encoding="…"`.
fn check_encoding(instruction: &str) -> Result<(), Error> {
    let Some(("xml", declared)) = instruction.split_once(char::is_whitespace) else {
        return Ok(());
    };
    let declared = Element::from_tag(&format!("xml {declared}"), 0)?;
    let encoding = declared
        .attributes
        .iter()
        .find(|(name, _)| name == "encoding");
    match encoding {
        Some((_, encoding)) if !is_utf_8(encoding) => Err(Error::content(format!(
            "expected XML in UTF-8, found one that says that it is in `{encoding}`"
        ))),
        _ => Ok(()),
    }
}

/// ASCII is UTF-8.
fn is_utf_8(encoding: &str) -> bool {
    ["utf-8", "utf8", "us-ascii", "ascii"]
        .iter()
        .any(|name| encoding.eq_ignore_ascii_case(name))
}

/// Whether the document has the element in which the items would be.
fn has_parent_of(root: &Element, pointer: &Pointer) -> bool {
    let [first, between @ .., _] = pointer.steps() else {
        return false;
    };
    let found = between.iter().try_fold(root, |element, step| {
        element.children.iter().find(|child| child.name == *step)
    });
    root.name == *first && found.is_some()
}

fn document(root: &Element) -> Result<Value, Error> {
    let value = serde_json::to_value(root).map_err(not_json)?;
    Ok(Value::Object(Map::from_iter([(root.name.clone(), value)])))
}

fn to_json(value: &impl serde::Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(not_json)
}

fn not_json(error: serde_json::Error) -> Error {
    Error::content(format!("not to be written as JSON: {error}")).with_source(error)
}

/// The root and the first of what is in it, for a message.
fn described(root: &Element) -> String {
    let children: Vec<String> = super::element::by_name(&root.children)
        .iter()
        .take(8)
        .map(|children| format!("`{}`", children[0].name))
        .collect();
    match children.is_empty() {
        true => format!("`<{}>`", root.name),
        false => format!("`<{}>` with {}", root.name, children.join(", ")),
    }
}
