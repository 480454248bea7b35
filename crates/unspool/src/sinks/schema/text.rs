//! The fields of an item's JSON text, as slices of it.
//!
//! Items have been checked to be JSON when they were cut out of their body, so that this
//! only finds where values begin and end. A text that is not JSON gives fewer fields, and
//! no panic.

use memchr::memchr2;

/// One value of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(Quoted<'a>),
    /// The whole text of a list.
    List(&'a str),
    /// The whole text of an object.
    Object(&'a str),
}

/// What stands between the quotes of a JSON string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quoted<'a> {
    pub(crate) inside: &'a str,
    pub(crate) has_escapes: bool,
}

/// A place in a JSON text.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// The members of an object, in order.
pub(crate) struct Members<'a>(Scanner<'a>);

/// The elements of a list, in order.
pub(crate) struct Elements<'a>(Scanner<'a>);

impl<'a> Value<'a> {
    /// The value that a JSON text is.
    pub(crate) fn of(text: &'a str) -> Self {
        Scanner { text, at: 0 }.value().unwrap_or(Value::Null)
    }

    /// Its JSON text.
    pub(crate) fn json(self, buffer: &'a mut String) -> &'a str {
        match self {
            Value::Null => "null",
            Value::Bool(true) => "true",
            Value::Bool(false) => "false",
            Value::Number(text) | Value::List(text) | Value::Object(text) => text,
            Value::Text(quoted) => {
                buffer.clear();
                buffer.push('"');
                buffer.push_str(quoted.inside);
                buffer.push('"');
                buffer
            }
        }
    }
}

impl<'a> Quoted<'a> {
    /// The text; none where it has half of a surrogate pair, which no Unicode text has.
    pub(crate) fn decode<'b>(&self, buffer: &'b mut String) -> Option<&'b str>
    where
        'a: 'b,
    {
        if !self.has_escapes {
            return Some(self.inside);
        }
        buffer.clear();
        let mut rest = self.inside;
        while let Some(found) = memchr::memchr(b'\\', rest.as_bytes()) {
            buffer.push_str(&rest[..found]);
            let (letter, length) = escape(&rest.as_bytes()[found + 1..])?;
            buffer.push(letter);
            rest = rest.get(found + 1 + length..)?;
        }
        buffer.push_str(rest);
        Some(buffer)
    }
}

/// The character that an escape stands for, and the length of the escape after its
/// backslash.
fn escape(after: &[u8]) -> Option<(char, usize)> {
    let letter = match after.first()? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(after),
        other => char::from(*other),
    };
    Some((letter, 1))
}

fn unicode(after: &[u8]) -> Option<(char, usize)> {
    let first = hex(after.get(1..5)?)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first)?, 5));
    }
    let second = match after.get(5..11)? {
        [b'\\', b'u', digits @ ..] => hex(digits)?,
        _ => return None,
    };
    let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    let letter = char::from_u32(0x10000 + ((first - 0xd800) << 10) + low)?;
    Some((letter, 11))
}

fn hex(digits: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

impl<'a> Members<'a> {
    /// The members of the object that a JSON text is; none of anything else.
    pub(crate) fn of(text: &'a str) -> Option<Self> {
        Scanner::inside(text, b'{').map(Members)
    }
}

impl<'a> Members<'a> {
    /// The next value, if its key is this one, which needs no escapes and is written without:
    /// most items have the same keys in the same order, and to compare is cheaper than to look
    /// for the end.
    pub(crate) fn next_of(&mut self, key: &str) -> Option<Value<'a>> {
        self.0.skip(b',');
        let begin = self.0.at;
        if !self.0.passes_plain(key) {
            return None;
        }
        self.0.skip(b':');
        let value = self.0.value();
        if value.is_none() {
            self.0.at = begin;
        }
        value
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (Quoted<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.skip(b',');
        let key = self.0.string()?;
        self.0.skip(b':');
        let value = self.0.value()?;
        Some((key, value))
    }
}

impl<'a> Elements<'a> {
    /// The elements of the list that a JSON text is; none of anything else.
    pub(crate) fn of(text: &'a str) -> Option<Self> {
        Scanner::inside(text, b'[').map(Elements)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.skip(b',');
        self.0.value()
    }
}

impl<'a> Scanner<'a> {
    fn inside(text: &'a str, open: u8) -> Option<Self> {
        let mut scanner = Scanner { text, at: 0 };
        scanner.space();
        (scanner.peek()? == open).then(|| {
            scanner.at += 1;
            scanner
        })
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes a string if it is this one, which [needs no escapes](is_plain).
    fn passes_plain(&mut self, plain: &str) -> bool {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let end = plain.len() + 1;
        let is_it = rest.first() == Some(&b'"')
            && rest.get(1..end) == Some(plain.as_bytes())
            && rest.get(end) == Some(&b'"');
        if is_it {
            self.at += end + 1;
        }
        is_it
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Passes white space, and this mark where it is there.
    fn skip(&mut self, mark: u8) {
        self.space();
        if self.peek() == Some(mark) {
            self.at += 1;
            self.space();
        }
    }

    fn value(&mut self) -> Option<Value<'a>> {
        self.space();
        Some(match self.peek()? {
            b'"' => Value::Text(self.string()?),
            b'{' => Value::Object(self.nested()?),
            b'[' => Value::List(self.nested()?),
            b't' => self.word(4, Value::Bool(true)),
            b'f' => self.word(5, Value::Bool(false)),
            b'n' => self.word(4, Value::Null),
            b'-' | b'0'..=b'9' => Value::Number(self.number()),
            _ => return None,
        })
    }

    fn word(&mut self, length: usize, value: Value<'a>) -> Value<'a> {
        self.at += length;
        value
    }

    fn number(&mut self) -> &'a str {
        let begin = self.at;
        while let Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        &self.text[begin..self.at]
    }

    fn string(&mut self) -> Option<Quoted<'a>> {
        if self.peek()? != b'"' {
            return None;
        }
        let begin = self.at + 1;
        let mut at = begin;
        let mut has_escapes = false;
        loop {
            at += end_of_string(self.text.as_bytes().get(at..)?)?;
            if self.text.as_bytes()[at] == b'"' {
                break;
            }
            has_escapes = true;
            at += 2;
        }
        self.at = at + 1;
        Some(Quoted {
            inside: &self.text[begin..at],
            has_escapes,
        })
    }

    /// The text of a list or an object.
    fn nested(&mut self) -> Option<&'a str> {
        let begin = self.at;
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(&self.text[begin..self.at]);
            }
        }
    }
}

/// Whether a text has no quotes and no backslashes, which have to be escaped.
pub(crate) fn is_plain(text: &str) -> bool {
    end_of_string(text.as_bytes()).is_none()
}

/// Where the first quote or backslash is: most strings are so short that a call of `memchr`
/// takes longer than the search.
fn end_of_string(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const SHORT: usize = 32;
    // The high bit of each byte that is zero, and perhaps of some after the first such one.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    let (words, _) = bytes[..bytes.len().min(SHORT)].as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found =
            zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let passed = words.len() * 8;
    memchr2(b'"', b'\\', &bytes[passed..]).map(|at| passed + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_string_is_found_wherever_it_is() {
        for length in 0..80 {
            assert_eq!(end_of_string(&vec![0xa2; length]), None);
            for at in 0..length {
                for mark in [b'"', b'\\'] {
                    // Of bytes that differ from a mark in one bit.
                    let mut bytes = vec![mark ^ 1; length];
                    bytes[at] = mark;
                    bytes[length - 1] = b'"';
                    assert_eq!(end_of_string(&bytes), Some(at));
                }
            }
        }
    }

    #[test]
    fn a_key_that_is_expected_is_passed_only_if_it_is_the_one() {
        let next = |text, key| Members::of(text).unwrap().next_of(key);
        assert_eq!(next(r#"{"a":1}"#, "a"), Some(Value::Number("1")));
        assert_eq!(next(r#"{ "a b" : 1}"#, "a b"), Some(Value::Number("1")));
        assert_eq!(next(r#"{"":null}"#, ""), Some(Value::Null));
        for (text, key) in [
            (r#"{"ab":1}"#, "a"),
            (r#"{"a":1}"#, "ab"),
            (r#"{"a\"":1}"#, "a\\"),
            (r#"{"\u0061":1}"#, "a"),
            (r#"{"a"}"#, "a"),
            ("{}", ""),
        ] {
            let mut members = Members::of(text).unwrap();
            let (rest, before) = (members.next_of(key), Members::of(text).unwrap().next());
            assert_eq!((rest, members.next()), (None, before), "{text}");
        }
    }

    fn members(text: &str) -> Vec<(String, Value<'_>)> {
        let mut buffer = String::new();
        (Members::of(text).unwrap())
            .map(|(key, value)| (key.decode(&mut buffer).unwrap().to_owned(), value))
            .collect()
    }

    #[test]
    fn every_member_of_an_object_is_found_with_its_text() {
        let text = r#" { "a" : -1.5e3 ,"b":"x\"}" , "c":[1,{"d":"]"}],"\u0065":{ } , "f":true,"g":null } "#;
        let quoted = Quoted {
            inside: r#"x\"}"#,
            has_escapes: true,
        };
        assert_eq!(
            members(text),
            [
                ("a".to_owned(), Value::Number("-1.5e3")),
                ("b".to_owned(), Value::Text(quoted)),
                ("c".to_owned(), Value::List(r#"[1,{"d":"]"}]"#)),
                ("e".to_owned(), Value::Object("{ }")),
                ("f".to_owned(), Value::Bool(true)),
                ("g".to_owned(), Value::Null),
            ]
        );
        assert_eq!(members("{}"), []);
        assert!(Members::of("[1]").is_none());
    }

    #[test]
    fn escapes_are_decoded_as_serde_json_decodes_them() {
        let mut buffer = String::new();
        for text in [
            r#""plain é""#,
            r#""a\"b\\c\/d\b\f\n\r\te""#,
            r#""\u0000 \u00e9 \ud83d\ude00 \uffff""#,
        ] {
            let expected: String = serde_json::from_str(text).unwrap();
            let Value::Text(quoted) = Value::of(text) else {
                panic!("{text} is no text");
            };
            assert_eq!(quoted.decode(&mut buffer), Some(expected.as_str()));
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_no_text() {
        let mut buffer = String::new();
        for text in [
            r#""\ud83d""#,
            r#""\ud83dx""#,
            r#""\ude00""#,
            r#""\ud83d\u0041""#,
        ] {
            let Value::Text(quoted) = Value::of(text) else {
                panic!("{text} is no text");
            };
            assert_eq!(quoted.decode(&mut buffer), None, "{text}");
        }
    }

    #[test]
    fn what_is_cut_anywhere_ends_early_and_does_not_panic() {
        let text = r#"{"a":[1,{"é":"\u00e9"}],"b":"\\","c":-1e5,"d":true}"#;
        for (end, _) in text.char_indices() {
            if let Some(members) = Members::of(&text[..end]) {
                members.for_each(drop);
            }
            Value::of(&text[..end]);
        }
    }
}
