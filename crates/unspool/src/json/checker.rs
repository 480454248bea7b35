//! Follows one JSON value through bytes that come in pieces, and checks it on
//! the way (RFC 8259).

use super::window::Window;

/// The deepest nesting that is followed. Readers further down the pipe give up
/// at depths between 128 and 10,000; a page that goes beyond this is not data.
pub(crate) const MAX_DEPTH: u32 = 1024;

/// What has been seen of a value so far.
pub(crate) struct Checker {
    state: State,
    /// What follows a value in the container that is open, or at the top.
    after: State,
    depth: u32,
    /// A bit for each open container from the outermost on: whether it is an object.
    objects: [u64; MAX_DEPTH as usize / 64],
    window: Window,
    /// Whether the strings of the value, and perhaps some bytes around it, are
    /// nothing but ASCII.
    is_ascii: bool,
    /// Whether the string with the escape sequence in hand is a key.
    is_key: bool,
    /// How many digits of `\uXXXX` are to come.
    digits_left: u8,
    /// What is to come of `true`, `false` or `null`.
    literal: &'static [u8],
}

/// Why a value is not one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    /// The index of the byte that cannot stand where it does.
    pub(crate) at: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reason {
    /// Something else had to come: what.
    Expected(&'static str),
    /// A control character in a string, which has to be escaped.
    Control,
    /// More than [`MAX_DEPTH`] containers in one another.
    TooDeep,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Value,
    ValueOrClose,
    Key,
    KeyOrClose,
    Colon,
    CommaOrBrace,
    CommaOrBracket,
    KeyText,
    Text,
    Escape,
    Hex,
    Literal,
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    E,
    ESign,
    Exponent,
    /// A number or a literal at the top ends before a byte that can follow it.
    EndOfScalar,
    End,
}

/// The next state, or none at the end of the chunk.
type Step = Result<Option<State>, Fault>;

impl Checker {
    pub(crate) fn new() -> Self {
        Checker {
            state: State::Value,
            after: State::End,
            depth: 0,
            objects: [0; MAX_DEPTH as usize / 64],
            window: Window::new(),
            is_ascii: true,
            is_key: false,
            digits_left: 0,
            literal: b"",
        }
    }

    /// A value begins.
    pub(crate) fn begin(&mut self) {
        self.state = State::Value;
        self.after = State::End;
        self.depth = 0;
        self.is_ascii = self.window.is_ascii();
    }

    /// A chunk begins.
    pub(crate) fn begin_chunk(&mut self) {
        self.window = Window::new();
    }

    /// Whether the value is nothing but ASCII. If not, it must still be checked to
    /// be UTF-8, once it is there as a whole.
    pub(crate) fn is_ascii(&self) -> bool {
        self.is_ascii
    }

    /// Follows the value through a chunk from `at` on: the index after its last
    /// byte, if it ends there.
    ///
    /// What is refused is refused at the same byte however the text is cut.
    pub(crate) fn feed(&mut self, chunk: &[u8], mut at: usize) -> Result<Option<usize>, Fault> {
        let mut state = self.state;
        loop {
            let next = match state {
                State::End => return Ok(Some(at)),
                State::Value | State::ValueOrClose => self.at_value(state, chunk, &mut at)?,
                State::Text | State::KeyText => self.in_text(state, chunk, &mut at)?,
                State::Escape | State::Hex => self.in_escape(state, chunk, &mut at)?,
                State::Literal => self.in_literal(chunk, &mut at)?,
                State::Minus
                | State::Zero
                | State::Integer
                | State::Point
                | State::Fraction
                | State::E
                | State::ESign
                | State::Exponent => self.in_number(state, chunk, &mut at)?,
                State::EndOfScalar => match chunk.get(at) {
                    Some(byte) if !ends_scalar(*byte) => return Err(state.fault(at)),
                    Some(_) => Some(State::End),
                    None => None,
                },
                _ => self.between(state, chunk, &mut at)?,
            };
            match next {
                Some(next) => state = next,
                None => break,
            }
        }
        self.state = state;
        Ok(None)
    }

    /// Reads the first byte of a value.
    #[inline(always)]
    fn at_value(&mut self, state: State, chunk: &[u8], at: &mut usize) -> Step {
        let Some(byte) = token(chunk, at) else {
            return Ok(None);
        };
        let begin = *at;
        if let Some(end) = whole_number(chunk, begin) {
            *at = end;
            return Ok(Some(self.end_of_scalar()));
        }
        *at += 1;
        Ok(Some(match byte {
            b'"' => self.whole_text(chunk, at),
            b'1'..=b'9' => State::Integer,
            b'0' => State::Zero,
            b'-' => State::Minus,
            b't' => self.literal(b"rue"),
            b'f' => self.literal(b"alse"),
            b'n' => self.literal(b"ull"),
            b'{' | b'[' => self.open(byte, begin)?,
            b']' if state == State::ValueOrClose => self.close(),
            _ => return Err(state.fault(begin)),
        }))
    }

    /// Reads what stands between values: one byte, and a key that follows.
    #[inline(always)]
    fn between(&mut self, state: State, chunk: &[u8], at: &mut usize) -> Step {
        let Some(byte) = token(chunk, at) else {
            return Ok(None);
        };
        let begin = *at;
        *at += 1;
        Ok(Some(match (state, byte) {
            (State::CommaOrBrace, b',') if chunk.get(*at) == Some(&b'"') => {
                *at += 1;
                self.whole_key(chunk, at)
            }
            (State::CommaOrBrace, b',') => State::Key,
            (State::Key | State::KeyOrClose, b'"') => self.whole_key(chunk, at),
            (State::Colon, b':') | (State::CommaOrBracket, b',') => State::Value,
            (State::CommaOrBrace | State::KeyOrClose, b'}') | (State::CommaOrBracket, b']') => {
                self.close()
            }
            _ => return Err(state.fault(begin)),
        }))
    }

    /// Reads a string that is a value, if all of it is there and plain.
    #[inline(always)]
    fn whole_text(&mut self, chunk: &[u8], at: &mut usize) -> State {
        *at = self.plain(chunk, *at);
        if chunk.get(*at) != Some(&b'"') {
            return State::Text;
        }
        *at += 1;
        self.after
    }

    /// Reads a key and its colon, if all of it is there and plain.
    #[inline(always)]
    fn whole_key(&mut self, chunk: &[u8], at: &mut usize) -> State {
        *at = self.plain(chunk, *at);
        if !chunk[*at..].starts_with(b"\":") {
            return State::KeyText;
        }
        *at += 2;
        State::Value
    }

    fn in_text(&mut self, state: State, chunk: &[u8], at: &mut usize) -> Step {
        *at = self.plain(chunk, *at);
        while let Some(end) = whole_escape(chunk, *at) {
            *at = self.plain(chunk, end);
        }
        let next = match chunk.get(*at) {
            None => return Ok(None),
            Some(b'"') if state == State::KeyText => State::Colon,
            Some(b'"') => self.after,
            Some(b'\\') => {
                self.is_key = state == State::KeyText;
                State::Escape
            }
            Some(_) => return Err(Fault::new(Reason::Control, *at)),
        };
        *at += 1;
        Ok(Some(next))
    }

    fn in_escape(&mut self, state: State, chunk: &[u8], at: &mut usize) -> Step {
        let Some(byte) = chunk.get(*at) else {
            return Ok(None);
        };
        let is_over = match (state, byte) {
            (State::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => true,
            (State::Escape, b'u') => {
                self.digits_left = 4;
                false
            }
            // Any four digits do: whether surrogates come in pairs is for
            // whoever decodes the string.
            (State::Hex, byte) if byte.is_ascii_hexdigit() => {
                self.digits_left -= 1;
                self.digits_left == 0
            }
            _ => return Err(state.fault(*at)),
        };
        *at += 1;
        Ok(Some(match (is_over, self.is_key) {
            (false, _) => State::Hex,
            (true, true) => State::KeyText,
            (true, false) => State::Text,
        }))
    }

    #[inline(always)]
    fn in_number(&mut self, state: State, chunk: &[u8], at: &mut usize) -> Step {
        if matches!(state, State::Integer | State::Fraction | State::Exponent) {
            *at = digits(chunk, *at);
        }
        let Some(byte) = chunk.get(*at) else {
            return Ok(None);
        };
        let next = match (state, byte) {
            (State::Minus, b'0') => State::Zero,
            (State::Minus, b'1'..=b'9') => State::Integer,
            (State::Zero, b'0'..=b'9') => return Err(state.fault(*at)),
            (State::Zero | State::Integer, b'.') => State::Point,
            (State::Point, b'0'..=b'9') => State::Fraction,
            (State::Zero | State::Integer | State::Fraction, b'e' | b'E') => State::E,
            (State::E, b'+' | b'-') => State::ESign,
            (State::E | State::ESign, b'0'..=b'9') => State::Exponent,
            (State::Zero | State::Integer | State::Fraction | State::Exponent, _) => {
                return Ok(Some(self.end_of_scalar()));
            }
            _ => return Err(state.fault(*at)),
        };
        *at += 1;
        Ok(Some(next))
    }

    #[inline(always)]
    fn in_literal(&mut self, chunk: &[u8], at: &mut usize) -> Step {
        let rest = &chunk[*at..];
        if rest.starts_with(self.literal) {
            *at += self.literal.len();
            return Ok(Some(self.end_of_scalar()));
        }
        let same =
            (rest.iter().zip(self.literal)).take_while(|(found, expected)| found == expected);
        let length = same.count();
        *at += length;
        self.literal = &self.literal[length..];
        if length < rest.len() {
            return Err(State::Literal.fault(*at));
        }
        Ok(None)
    }

    fn literal(&mut self, rest: &'static [u8]) -> State {
        self.literal = rest;
        State::Literal
    }

    #[inline(always)]
    fn plain(&mut self, chunk: &[u8], at: usize) -> usize {
        let (end, is_ascii) = self.window.plain(chunk, at);
        self.is_ascii &= is_ascii;
        end
    }

    fn open(&mut self, bracket: u8, at: usize) -> Result<State, Fault> {
        if self.depth == MAX_DEPTH {
            return Err(Fault::new(Reason::TooDeep, at));
        }
        let objects = &mut self.objects[self.depth as usize / 64];
        let bit = 1 << (self.depth % 64);
        self.depth += 1;
        if bracket == b'{' {
            *objects |= bit;
            self.after = State::CommaOrBrace;
            Ok(State::KeyOrClose)
        } else {
            *objects &= !bit;
            self.after = State::CommaOrBracket;
            Ok(State::ValueOrClose)
        }
    }

    fn close(&mut self) -> State {
        self.depth -= 1;
        self.after = match self.depth.checked_sub(1) {
            None => State::End,
            Some(outer) if self.objects[outer as usize / 64] >> (outer % 64) & 1 == 1 => {
                State::CommaOrBrace
            }
            Some(_) => State::CommaOrBracket,
        };
        self.after
    }

    fn end_of_scalar(&self) -> State {
        match self.after {
            State::End => State::EndOfScalar,
            after => after,
        }
    }
}

impl State {
    /// For a byte that cannot come in this state.
    #[cold]
    fn fault(self, at: usize) -> Fault {
        let expected = match self {
            State::ValueOrClose => "a value or `]`",
            State::Key => "a key in quotes",
            State::KeyOrClose => "a key in quotes or `}`",
            State::Colon => "`:`",
            State::CommaOrBrace => "`,` or `}`",
            State::CommaOrBracket => "`,` or `]`",
            State::Escape => "an escape sequence",
            State::Hex => "a hexadecimal digit",
            State::Literal => "`true`, `false` or `null`",
            State::Zero => "no digit after a leading zero",
            State::Minus | State::Point | State::E | State::ESign => "a digit",
            State::EndOfScalar => "the end of the value",
            _ => "a value",
        };
        Fault::new(Reason::Expected(expected), at)
    }
}

impl Fault {
    fn new(reason: Reason, at: usize) -> Self {
        Fault { reason, at }
    }
}

pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The first byte that is not white space, which is then at `at`.
#[inline(always)]
fn token(bytes: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        let byte = *bytes.get(*at)?;
        if byte > b' ' || !is_space(byte) {
            return Some(byte);
        }
        *at += 1;
    }
}

fn ends_scalar(byte: u8) -> bool {
    is_space(byte) || matches!(byte, b',' | b']' | b'}' | b':' | b'"' | b'[' | b'{')
}

/// The index of the first byte from `at` on that is no digit, or of the end.
#[inline(always)]
fn digits(chunk: &[u8], at: usize) -> usize {
    let end = chunk[at..].iter().position(|byte| !byte.is_ascii_digit());
    end.map_or(chunk.len(), |length| at + length)
}

/// The end of the number that begins here, if all of it is there, with a byte after it, and
/// it has nothing but digits, a sign and a point.
#[inline(always)]
fn whole_number(chunk: &[u8], begin: usize) -> Option<usize> {
    let first = begin + usize::from(chunk.get(begin) == Some(&b'-'));
    let mut end = digits(chunk, first);
    if end == first || (chunk[first] == b'0' && end > first + 1) {
        return None;
    }
    if chunk.get(end) == Some(&b'.') {
        let point = end;
        end = digits(chunk, point + 1);
        if end == point + 1 {
            return None;
        }
    }
    let after = chunk.get(end)?;
    (!matches!(after, b'e' | b'E')).then_some(end)
}

/// The end of the escape sequence that begins here, if all of it is there.
#[inline(always)]
fn whole_escape(chunk: &[u8], at: usize) -> Option<usize> {
    match chunk.get(at..)? {
        [
            b'\\',
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
            ..,
        ] => Some(at + 2),
        [b'\\', b'u', a, b, c, d, ..] => {
            let are_digits = [a, b, c, d].iter().all(|byte| byte.is_ascii_hexdigit());
            are_digits.then_some(at + 6)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the value at the front ends, or what is wrong with it and where, for
    /// every way to cut the text in two.
    #[track_caller]
    fn check(text: &str, expected: Result<Option<usize>, (Reason, usize)>) {
        for cut in 0..=text.len() {
            let (front, back) = text.as_bytes().split_at(cut);
            let mut checker = Checker::new();
            let found = match checker.feed(front, 0) {
                Ok(None) => {
                    checker.begin_chunk();
                    match checker.feed(back, 0) {
                        Ok(end) => Ok(end.map(|end| cut + end)),
                        Err(fault) => Err((fault.reason, cut + fault.at)),
                    }
                }
                Ok(end) => Ok(end),
                Err(fault) => Err((fault.reason, fault.at)),
            };
            assert_eq!(found, expected, "{text} cut at {cut}");
        }
    }

    #[test]
    fn a_value_ends_where_its_last_bracket_closes() {
        check(r#"{"a":[1,{"b":"}]"}]},2"#, Ok(Some(20)));
        check("[[],[[]]] ", Ok(Some(9)));
        check(r#"{"a" : [ ] , "b" : { } } "#, Ok(Some(24)));
    }

    #[test]
    fn quotes_and_brackets_in_strings_do_not_count() {
        check(r#""a\"]\\","#, Ok(Some(8)));
        check(r#"["\\\"",1]]"#, Ok(Some(10)));
        check(r#"{"\"":"\u00e9\/"}"#, Ok(Some(17)));
    }

    #[test]
    fn a_scalar_ends_before_what_follows_it() {
        check("-12.5e3,", Ok(Some(7)));
        check("0]", Ok(Some(1)));
        check("true]", Ok(Some(4)));
        check("null \n", Ok(Some(4)));
    }

    #[test]
    fn an_unfinished_value_has_no_end() {
        for text in [
            "12", "-", "1.", "1.5", "1e", "1e-", "tru", "true", r#""\u00"#,
        ] {
            check(text, Ok(None));
        }
        check(r#"{"a":"b\"#, Ok(None));
    }

    #[test]
    fn what_is_wrong_is_found_at_its_byte() {
        for (text, expected, at) in [
            (r#"{"a" 1}"#, "`:`", 5),
            (r#"{"a":1 2}"#, "`,` or `}`", 7),
            (r#"{"a":1,}"#, "a key in quotes", 7),
            ("{1}", "a key in quotes or `}`", 1),
            ("[1 2]", "`,` or `]`", 3),
            ("[1}", "`,` or `]`", 2),
            ("[1,]", "a value", 3),
            ("[}", "a value or `]`", 1),
            ("[01]", "no digit after a leading zero", 2),
            ("[1.]", "a digit", 3),
            ("[1e+]", "a digit", 4),
            ("[-a]", "a digit", 2),
            ("[trve]", "`true`, `false` or `null`", 3),
            (r#""\x""#, "an escape sequence", 2),
            (r#""\u12G4""#, "a hexadecimal digit", 5),
            ("1x", "the end of the value", 1),
            ("nullx", "the end of the value", 4),
        ] {
            check(text, Err((Reason::Expected(expected), at)));
        }
        check("[\"a\t\"]", Err((Reason::Control, 3)));
    }

    #[test]
    fn nesting_has_a_limit() {
        let depth = MAX_DEPTH as usize;
        let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        check(&deep(depth), Ok(Some(2 * depth)));
        check(&deep(depth + 1), Err((Reason::TooDeep, depth)));
        let mixed = format!("{}1{}", "{\"a\":[".repeat(500), "]}".repeat(500));
        check(&mixed, Ok(Some(mixed.len())));
    }

    #[test]
    fn a_value_knows_whether_it_is_ascii_wherever_it_begins() {
        for begin in 0..130 {
            let text = format!("{}{}[\"é\"]", " ".repeat(begin), "\"x\",");
            let mut checker = Checker::new();
            assert_eq!(checker.feed(text.as_bytes(), begin), Ok(Some(begin + 3)));
            checker.begin();
            let end = checker.feed(text.as_bytes(), begin + 4);
            assert_eq!(end, Ok(Some(text.len())));
            assert!(!checker.is_ascii(), "{begin}");
        }
    }
}
