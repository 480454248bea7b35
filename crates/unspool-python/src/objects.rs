//! Python objects out of the text of items.
//!
//! Items have been checked to be JSON when they arrived, so that this reads them without
//! checking them again, which is what makes it faster than a parser. It gives what
//! `json.loads` gives, whole numbers of any size included.

use std::cell::RefCell;

use pyo3::exceptions::{PyRecursionError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};
use pyo3::{Borrowed, PyTypeInfo, intern};
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
    TEXTS.with(|texts| match texts.try_borrow_mut() {
        Ok(mut texts) => Reader::new(py, text, &mut texts).read(),
        // The collector runs where a dict is made, and finalizers may read items.
        Err(_) => Reader::new(py, text, &mut Texts::new()).read(),
    })
}

/// The deepest nesting. What arrives is refused at less.
const DEEPEST: usize = 2000;

/// Where in the text of an item the next token is. What it reads is none where the text is no
/// JSON, or where the interpreter raised something: a result would be returned through memory.
struct Reader<'r, 'py> {
    py: Python<'py>,
    text: &'r str,
    at: usize,
    depth: usize,
    texts: &'r mut Texts,
    raised: Option<PyErr>,
}

/// A string of JSON that is not short.
enum Long<'r> {
    Plain(&'r str),
    /// With its quotes, as it has escapes.
    Escaped(&'r str),
}

impl<'r, 'py> Reader<'r, 'py> {
    fn new(py: Python<'py>, text: &'r str, texts: &'r mut Texts) -> Self {
        Reader {
            py,
            text,
            at: 0,
            depth: 0,
            texts,
            raised: None,
        }
    }

    fn read(mut self) -> PyResult<Bound<'py, PyAny>> {
        let value = self.value();
        value.ok_or_else(|| self.fault())
    }

    fn value(&mut self) -> Option<Bound<'py, PyAny>> {
        match self.token() {
            b'{' => self.nested(Self::dict),
            b'[' => self.nested(Self::list),
            b'"' => self.string(),
            b't' => Some(self.word(4, PyBool::new(self.py, true).to_owned().into_any())),
            b'f' => Some(self.word(5, PyBool::new(self.py, false).to_owned().into_any())),
            b'n' => Some(self.word(4, self.py.None().into_bound(self.py))),
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
        read: impl FnOnce(&mut Self) -> Option<Bound<'py, PyAny>>,
    ) -> Option<Bound<'py, PyAny>> {
        if self.depth == DEEPEST {
            let message = format!("an item that is nested deeper than {DEEPEST}");
            return self.kept(Err(PyRecursionError::new_err(message)));
        }
        self.depth += 1;
        self.at += 1;
        let object = read(self);
        self.depth -= 1;
        object
    }

    fn dict(&mut self) -> Option<Bound<'py, PyAny>> {
        let dict = PyDict::new(self.py);
        loop {
            match self.token() {
                b'"' => {
                    let set = if let Some((word, text)) = self.short() {
                        let value = self.member()?;
                        // No reference is taken to a key that is known.
                        dict.set_item(self.texts.keys.get(self.py, word, text), value)
                    } else {
                        let key = self.long_key()?;
                        dict.set_item(key, self.member()?)
                    };
                    self.kept(set)?;
                }
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Some(dict.into_any());
                }
                _ => return None,
            }
        }
    }

    /// The value after a key.
    fn member(&mut self) -> Option<Bound<'py, PyAny>> {
        // The colon.
        self.token();
        self.at += 1;
        self.value()
    }

    fn list(&mut self) -> Option<Bound<'py, PyAny>> {
        let list = PyList::empty(self.py);
        loop {
            match self.token() {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Some(list.into_any());
                }
                0 => return None,
                _ => {
                    let value = self.value()?;
                    self.kept(list.append(value))?;
                }
            }
        }
    }

    fn long_key(&mut self) -> Option<Bound<'py, PyAny>> {
        match self.long()? {
            Long::Plain(text) if text.len() <= LONGEST => {
                Some(self.texts.long_key(self.py, text).into_any())
            }
            key => self.unquoted(key),
        }
    }

    fn string(&mut self) -> Option<Bound<'py, PyAny>> {
        if let Some((word, text)) = self.short() {
            let object = self.texts.values.get(self.py, word, text);
            return Some(object.to_owned().into_any());
        }
        let string = self.long()?;
        self.unquoted(string)
    }

    fn unquoted(&mut self, string: Long<'_>) -> Option<Bound<'py, PyAny>> {
        let quoted = match string {
            Long::Plain(text) => return Some(PyString::new(self.py, text).into_any()),
            Long::Escaped(quoted) => quoted,
        };
        if let Ok(text) = serde_json::from_str::<String>(quoted) {
            return Some(PyString::new(self.py, &text).into_any());
        }
        // Half a surrogate pair, which Python's strings can hold.
        let json = self.py.import(intern!(self.py, "json"));
        let loads = intern!(self.py, "loads");
        self.kept(json.and_then(|json| json.call_method1(loads, (quoted,))))
    }

    /// The string that begins here if it has less than 16 bytes and no escapes, after the number
    /// that these are, which stays in registers.
    #[inline(always)]
    fn short(&mut self) -> Option<(u128, &'r str)> {
        let (text, begin) = (self.text, self.at + 1);
        let rest = text.as_bytes().get(begin..)?;
        let head = head(rest);
        let found = places_of(head, b'"') | places_of(head, b'\\');
        let length = found.trailing_zeros() as usize / 8;
        if rest.get(length) != Some(&b'"') || found == 0 {
            return None;
        }
        self.at = begin + length + 1;
        let word = head & !(u128::MAX << (8 * length));
        Some((word, &text[begin..begin + length]))
    }

    /// Any string that begins here.
    fn long(&mut self) -> Option<Long<'r>> {
        let (text, begin) = (self.text, self.at + 1);
        let (mut end, mut is_escaped) = (begin, false);
        loop {
            end += memchr::memchr2(b'"', b'\\', text.as_bytes().get(end..)?)?;
            if text.as_bytes()[end] == b'"' {
                break;
            }
            is_escaped = true;
            end += 2;
        }
        self.at = end + 1;
        Some(if is_escaped {
            Long::Escaped(&text[begin - 1..=end])
        } else {
            Long::Plain(&text[begin..end])
        })
    }

    fn number(&mut self) -> Option<Bound<'py, PyAny>> {
        let rest = &self.text[self.at..];
        match short_number(rest.as_bytes()) {
            Some((Number::Integer(number), length)) => {
                self.at += length;
                Some(PyInt::new(self.py, number).into_any())
            }
            Some((Number::Double(number), length)) => {
                self.at += length;
                Some(PyFloat::new(self.py, number).into_any())
            }
            None => self.long_number(rest),
        }
    }

    /// The number that begins here, with more digits than a machine's number has, or with an
    /// exponent.
    fn long_number(&mut self, rest: &str) -> Option<Bound<'py, PyAny>> {
        let is_of_number =
            |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.bytes().take_while(is_of_number).count();
        let text = &rest[..length];
        self.at += length;
        if text.is_empty() {
            return None;
        }
        if !text.contains(['.', 'e', 'E']) {
            let int = PyInt::type_object(self.py);
            return self.kept(int.call1((text,)));
        }
        let number = text.parse::<f64>().ok()?;
        Some(PyFloat::new(self.py, number).into_any())
    }

    /// The value of what the interpreter did; what it raised is kept.
    fn kept<T>(&mut self, outcome: PyResult<T>) -> Option<T> {
        outcome.map_err(|error| self.raised = Some(error)).ok()
    }

    /// Why there is no value.
    fn fault(self) -> PyErr {
        let at = self.at;
        (self.raised).unwrap_or_else(|| {
            PyValueError::new_err(format!("expected JSON at byte {at} of an item"))
        })
    }
}

/// The first 16 bytes as a number, or what there is with zeros after it, which are nowhere in JSON.
fn head(bytes: &[u8]) -> u128 {
    let padded = |bytes: &[u8]| {
        let mut head = [0; 16];
        head[..bytes.len()].copy_from_slice(bytes);
        head
    };
    u128::from_le_bytes((bytes.first_chunk().copied()).unwrap_or_else(|| padded(bytes)))
}

/// The highest bit of each byte that is this one; above the first of them bits may be wrong.
fn places_of(head: u128, byte: u8) -> u128 {
    const ONES: u128 = u128::MAX / 0xff;
    let differences = head ^ (ONES * u128::from(byte));
    differences.wrapping_sub(ONES) & !differences & (ONES << 7)
}

enum Number {
    Integer(i64),
    Double(f64),
}

/// The most characters of a number whose digits are one of 64 bits.
const MOST_DIGITS: usize = 18;

/// The powers of ten that such a number is divided by.
const POWERS: [f64; MOST_DIGITS] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17,
];

/// The number that a text begins with, and how long it is; none where it has many digits or an
/// exponent.
fn short_number(bytes: &[u8]) -> Option<(Number, usize)> {
    let is_negative = bytes.first() == Some(&b'-');
    let begin = usize::from(is_negative);
    let (mut mantissa, mut end) = digits(bytes, begin, 0);
    let mut places = None;
    if bytes.get(end) == Some(&b'.') {
        let point = end;
        (mantissa, end) = digits(bytes, point + 1, mantissa);
        places = Some(end - point - 1);
    }
    let has_exponent = matches!(bytes.get(end), Some(b'e' | b'E'));
    if has_exponent || end == begin || end - begin > MOST_DIGITS {
        return None;
    }
    let number = match places {
        None => Number::Integer(if is_negative { -mantissa } else { mantissa }),
        // Both are exact, so that what is nearest to their quotient is nearest to the number.
        Some(places) if mantissa < 1 << f64::MANTISSA_DIGITS => {
            let number = mantissa as f64 / POWERS.get(places)?;
            Number::Double(if is_negative { -number } else { number })
        }
        Some(_) => return None,
    };
    Some((number, end))
}

/// Appends the digits that begin there to a number; gives where they end. More of them than
/// [`MOST_DIGITS`] overflow.
fn digits(bytes: &[u8], begin: usize, mut number: i64) -> (i64, usize) {
    let mut at = begin;
    while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0'))
        && digit < 10
    {
        number = number.wrapping_mul(10).wrapping_add(digit.into());
        at += 1;
    }
    (number, at)
}

/// How many texts of a kind are remembered.
const SLOTS: usize = 512;

/// The longest key that is remembered, in bytes.
const LONGEST: usize = 64;

/// The objects of texts that have come before. The same key is the same object, as it is with
/// `json.loads`, and its hash is computed once; and so is the same short value, as kinds, states
/// and currencies come again and again.
struct Texts {
    keys: Short,
    values: Short,
    long_keys: Vec<Option<(Py<PyString>, Box<str>)>>,
}

thread_local! {
    static TEXTS: RefCell<Texts> = const { RefCell::new(Texts::new()) };
}

impl Texts {
    const fn new() -> Self {
        Texts {
            keys: Short(Vec::new()),
            values: Short(Vec::new()),
            long_keys: Vec::new(),
        }
    }

    fn long_key<'py>(&mut self, py: Python<'py>, text: &str) -> Bound<'py, PyString> {
        if self.long_keys.is_empty() {
            self.long_keys.resize_with(SLOTS, || None);
        }
        let slot = &mut self.long_keys[hash(text) % SLOTS];
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

/// Texts of less than 16 bytes, each by the number that these are.
struct Short(Vec<Option<(u128, Py<PyString>)>>);

impl Short {
    fn get<'t, 'py>(
        &'t mut self,
        py: Python<'py>,
        word: u128,
        text: &str,
    ) -> Borrowed<'t, 'py, PyString> {
        if self.0.is_empty() {
            self.0.resize_with(SLOTS, || None);
        }
        let folded = (word as u64) ^ ((word >> 64) as u64).rotate_left(29);
        let slot = &mut self.0[mixed(folded) % SLOTS];
        if slot.as_ref().is_none_or(|(known, _)| *known != word) {
            *slot = None;
        }
        let (_, object) = slot.get_or_insert_with(|| (word, PyString::new(py, text).unbind()));
        object.bind_borrowed(py)
    }
}

fn hash(text: &str) -> usize {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for chunk in text.as_bytes().chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = hash.rotate_left(5) ^ u64::from_le_bytes(word);
        hash = hash.wrapping_mul(MIXER);
    }
    mixed(hash)
}

const MIXER: u64 = 0x517c_c1b7_2722_0a95;

fn mixed(word: u64) -> usize {
    // The upper bits depend on all bytes.
    (word.wrapping_mul(MIXER) >> 32) as usize
}
