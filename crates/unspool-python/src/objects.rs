//! Python objects out of the text of items.
//!
//! Items have been checked to be JSON when they arrived, so that this reads them without
//! checking them again, which is what makes it faster than a parser. It gives what
//! `json.loads` gives, whole numbers of any size included.

use std::cell::RefCell;

use pyo3::exceptions::{PyRecursionError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};
use pyo3::{PyTypeInfo, intern};
use serde::Serialize;

use crate::errors::wrong;

/// What an item becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// The value: a dict, as most items are objects.
    Dict,
    /// Its JSON text in UTF-8.
    Bytes,
    /// Its text.
    Str,
}

impl Form {
    pub(crate) fn of(name: &str) -> PyResult<Self> {
        match name {
            "dict" => Ok(Form::Dict),
            "bytes" => Ok(Form::Bytes),
            "str" => Ok(Form::Str),
            _ => Err(wrong(&format!(
                "expected `items` to be `dict`, `bytes` or `str`; found `{name}`"
            ))),
        }
    }
}

/// The object of an item.
pub(crate) fn object<'py>(py: Python<'py>, form: Form, text: &str) -> PyResult<Bound<'py, PyAny>> {
    match form {
        Form::Dict => value(py, text),
        Form::Bytes => Ok(PyBytes::new(py, text.as_bytes()).into_any()),
        Form::Str => Ok(PyString::new(py, text).into_any()),
    }
}

/// The objects of anything that has a JSON text.
pub(crate) fn of_json<'py>(py: Python<'py>, data: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    let text = serde_json::to_string(data).map_err(|error| wrong(&error.to_string()))?;
    value(py, &text)
}

/// The value of a JSON text, as `json.loads` gives it.
#[pyfunction]
#[pyo3(signature = (text, /))]
pub(crate) fn loads<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    let _checked: &serde_json::value::RawValue = serde_json::from_str(text)
        .map_err(|error| PyValueError::new_err(format!("expected JSON: {error}")))?;
    value(py, text)
}

fn value<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    KEYS.with_borrow_mut(|keys| {
        Reader {
            py,
            text,
            at: 0,
            depth: 0,
            keys,
        }
        .value()
    })
}

/// The deepest nesting. What arrives is refused at less.
const DEEPEST: usize = 2000;

/// Where in the text of an item the next token is.
struct Reader<'r, 'py> {
    py: Python<'py>,
    text: &'r str,
    at: usize,
    depth: usize,
    keys: &'r mut Keys,
}

impl<'py> Reader<'_, 'py> {
    fn value(&mut self) -> PyResult<Bound<'py, PyAny>> {
        match self.token() {
            b'{' => self.nested(Self::dict),
            b'[' => self.nested(Self::list),
            b'"' => Ok(self.string()?.into_any()),
            b't' => Ok(self.word(4, PyBool::new(self.py, true).to_owned().into_any())),
            b'f' => Ok(self.word(5, PyBool::new(self.py, false).to_owned().into_any())),
            b'n' => Ok(self.word(4, self.py.None().into_bound(self.py))),
            _ => self.number(),
        }
    }

    /// The byte at which the next token begins; 0 at the end.
    fn token(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            if byte > b' ' {
                return byte;
            }
            self.at += 1;
        }
        0
    }

    fn word(&mut self, length: usize, object: Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        self.at += length;
        object
    }

    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if self.depth == DEEPEST {
            return Err(PyRecursionError::new_err(format!(
                "an item that is nested deeper than {DEEPEST}"
            )));
        }
        self.depth += 1;
        self.at += 1;
        let object = read(self);
        self.depth -= 1;
        object
    }

    fn dict(&mut self) -> PyResult<Bound<'py, PyAny>> {
        let dict = PyDict::new(self.py);
        loop {
            match self.token() {
                b'"' => {
                    let key = self.key()?;
                    // The colon.
                    self.token();
                    self.at += 1;
                    dict.set_item(key, self.value()?)?;
                }
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(dict.into_any());
                }
                _ => return Err(self.broken()),
            }
        }
    }

    fn list(&mut self) -> PyResult<Bound<'py, PyAny>> {
        let list = PyList::empty(self.py);
        loop {
            match self.token() {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(list.into_any());
                }
                0 => return Err(self.broken()),
                _ => list.append(self.value()?)?,
            }
        }
    }

    fn key(&mut self) -> PyResult<Bound<'py, PyString>> {
        let (begin, end) = self.quoted()?;
        let text = &self.text[begin..end];
        if text.len() > LONGEST || text.contains('\\') {
            return self.unescaped(begin, end);
        }
        Ok(self.keys.get(self.py, text))
    }

    fn string(&mut self) -> PyResult<Bound<'py, PyString>> {
        let (begin, end) = self.quoted()?;
        self.unescaped(begin, end)
    }

    /// The limits of the string that begins here, without its quotes.
    fn quoted(&mut self) -> PyResult<(usize, usize)> {
        let begin = self.at + 1;
        let bytes = self.text.as_bytes();
        let mut at = begin;
        loop {
            match memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
                Some(found) if bytes[at + found] == b'"' => {
                    self.at = at + found + 1;
                    return Ok((begin, at + found));
                }
                Some(found) => at += found + 2,
                None => return Err(self.broken()),
            }
        }
    }

    fn unescaped(&self, begin: usize, end: usize) -> PyResult<Bound<'py, PyString>> {
        let text = &self.text[begin..end];
        if memchr::memchr(b'\\', text.as_bytes()).is_none() {
            return Ok(PyString::new(self.py, text));
        }
        let quoted = &self.text[begin - 1..=end];
        match serde_json::from_str::<String>(quoted) {
            Ok(text) => Ok(PyString::new(self.py, &text)),
            // Half a surrogate pair, which Python's strings can hold.
            Err(_) => {
                let json = self.py.import(intern!(self.py, "json"))?;
                let object = json.call_method1(intern!(self.py, "loads"), (quoted,))?;
                Ok(object.cast_into()?)
            }
        }
    }

    fn number(&mut self) -> PyResult<Bound<'py, PyAny>> {
        let rest = &self.text[self.at..];
        let is_of_number =
            |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.bytes().take_while(|byte| is_of_number(byte)).count();
        let text = &rest[..length];
        self.at += length;
        if let Ok(number) = text.parse::<i64>() {
            return Ok(PyInt::new(self.py, number).into_any());
        }
        if !text.contains(['.', 'e', 'E']) && length > 0 {
            // Beyond 64 bits.
            return PyInt::type_object(self.py).call1((text,));
        }
        match text.parse::<f64>() {
            Ok(number) => Ok(PyFloat::new(self.py, number).into_any()),
            Err(_) => Err(self.broken()),
        }
    }

    fn broken(&self) -> PyErr {
        PyValueError::new_err(format!("expected JSON at byte {} of an item", self.at))
    }
}

/// How many keys are remembered.
const SLOTS: usize = 512;

/// The longest one, in bytes.
const LONGEST: usize = 64;

/// The objects of keys that have come before: the same key is the same object, as it is with
/// `json.loads`, and its hash is computed once.
struct Keys {
    slots: Vec<Option<(Py<PyString>, Box<str>)>>,
}

thread_local! {
    static KEYS: RefCell<Keys> = const { RefCell::new(Keys { slots: Vec::new() }) };
}

impl Keys {
    fn get<'py>(&mut self, py: Python<'py>, text: &str) -> Bound<'py, PyString> {
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, || None);
        }
        let slot = &mut self.slots[hash(text) % SLOTS];
        match slot {
            Some((object, known)) if **known == *text => object.bind(py).clone(),
            _ => {
                let object = PyString::new(py, text);
                *slot = Some((object.clone().unbind(), text.into()));
                object
            }
        }
    }
}

fn hash(text: &str) -> usize {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for chunk in text.as_bytes().chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = (hash.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    // The upper bits depend on all bytes.
    (hash >> 32) as usize
}
