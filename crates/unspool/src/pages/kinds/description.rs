//! The text that a kind is made from, and that it is described by.
//!
//! `name:VALUE,name=value,…`. A value that holds what separates options is written in
//! double quotes, with a `"` in it doubled. A JSONPath needs none: what stands in its
//! brackets belongs to it.

use std::fmt;
use std::str::FromStr;

use super::KindEntry;
use crate::error::Error;

/// What follows the name of a kind, the first option without a name.
pub(crate) struct OptionList {
    rest: Vec<OptionText>,
}

#[derive(Debug, PartialEq)]
struct OptionText {
    name: Option<String>,
    value: String,
    /// As it was written.
    text: String,
}

impl OptionList {
    pub(super) fn read(text: Option<&str>) -> Result<Self, Error> {
        let mut rest = Vec::new();
        let mut text = text;
        while let Some(options) = text {
            let (option, after) = first_option(options)?;
            rest.push(option);
            text = after;
        }
        Ok(OptionList { rest })
    }

    /// The option without a name.
    pub(super) fn unnamed(&mut self) -> Option<String> {
        self.take(None)
    }

    /// The same as something else.
    pub(super) fn unnamed_value<T: FromStr<Err = Error>>(&mut self) -> Result<Option<T>, Error> {
        self.unnamed().map(|text| text.parse()).transpose()
    }

    /// The text under a name, the first if there are several.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.take(Some(name))
    }

    /// What stands under a name, each time that it is there.
    pub(super) fn values<T: FromStr<Err = Error>>(&mut self, name: &str) -> Result<Vec<T>, Error> {
        std::iter::from_fn(|| self.text(name))
            .map(|text| text.parse())
            .collect()
    }

    /// Something else under a name.
    pub(super) fn value<T: FromStr<Err = Error>>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, Error> {
        self.text(name).map(|text| text.parse()).transpose()
    }

    /// A number under a name.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<u64>, Error> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Error::request(format!(
                "expected a number for `{name}`, found `{text}`"
            ))),
        }
    }

    /// That there are no others.
    pub(super) fn end(self, entry: &KindEntry) -> Result<(), Error> {
        match self.rest.first() {
            None => Ok(()),
            Some(option) => Err(Error::request(format!(
                "expected `{}{}`, found the option `{}`",
                entry.name, entry.syntax, option.text
            ))),
        }
    }

    fn take(&mut self, name: Option<&str>) -> Option<String> {
        let index = (self.rest.iter()).position(|option| option.name.as_deref() == name)?;
        Some(self.rest.remove(index).value)
    }
}

/// The first option, and what follows its comma if there is one.
fn first_option(options: &str) -> Result<(OptionText, Option<&str>), Error> {
    let name = name_of(options);
    let begin = name.map_or(0, |name| name.len() + 1);
    let (value, length) = match options[begin..].strip_prefix('"') {
        Some(quoted) => unquoted(quoted)?,
        None => {
            let length = length_of(&options[begin..]);
            (options[begin..begin + length].to_owned(), length)
        }
    };
    let end = begin + length;
    let after = match options[end..].chars().next() {
        None => None,
        Some(',') => Some(&options[end + 1..]),
        Some(other) => {
            return Err(Error::request(format!(
                "expected `,` or the end after `{}`, found `{other}`",
                &options[..end]
            )));
        }
    };
    let option = OptionText {
        name: name.map(str::to_owned),
        value,
        text: options[..end].to_owned(),
    };
    Ok((option, after))
}

/// The name of an option that has one; a JSONPath may hold a `=`, too.
fn name_of(option: &str) -> Option<&str> {
    let (name, _) = option.split_once('=')?;
    let is_name = !name.is_empty() && name.chars().all(|char| char.is_ascii_lowercase());
    is_name.then_some(name)
}

/// What stands in quotes, the first of which has been read, and how long it is with both.
fn unquoted(text: &str) -> Result<(String, usize), Error> {
    let mut value = String::new();
    let mut rest = text;
    while let Some((part, after)) = rest.split_once('"') {
        value.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                value.push('"');
                rest = after;
            }
            None => return Ok((value, text.len() - after.len() + 1)),
        }
    }
    Err(Error::request(format!(
        "expected a `\"` after `\"{text}`, found the end"
    )))
}

/// Where a value without quotes ends: at a comma, but in a JSONPath only at one
/// outside of its brackets.
fn length_of(text: &str) -> usize {
    let comma = text.find(',').unwrap_or(text.len());
    if !text.trim_start_matches('!').starts_with('$') {
        return comma;
    }
    let mut brackets = 0_u32;
    let mut quote = None;
    let mut is_escaped = false;
    for (index, char) in text.char_indices() {
        match (quote, char) {
            _ if is_escaped => is_escaped = false,
            (Some(_), '\\') => is_escaped = true,
            (Some(open), char) if open == char => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') if brackets > 0 => quote = Some(char),
            (None, '[') => brackets += 1,
            (None, ']') => brackets = brackets.saturating_sub(1),
            (None, ',') if brackets == 0 => return index,
            _ => {}
        }
    }
    // Where a bracket or a quote stays open, it is no JSONPath.
    let is_open = brackets > 0 || quote.is_some();
    if is_open { comma } else { text.len() }
}

/// Writes what [`OptionList`] reads.
pub(super) struct Description {
    text: String,
    separator: char,
}

impl Description {
    pub(super) fn new(name: &str) -> Self {
        Description {
            text: name.to_owned(),
            separator: ':',
        }
    }

    /// Adds the option without a name.
    pub(super) fn unnamed(mut self, value: Option<impl fmt::Display>) -> Self {
        if let Some(value) = value {
            self.add("", &value.to_string());
        }
        self
    }

    /// Adds an option, if it is set.
    pub(super) fn option(mut self, name: &str, value: Option<impl fmt::Display>) -> Self {
        if let Some(value) = value {
            self.add(&format!("{name}="), &value.to_string());
        }
        self
    }

    /// Adds an option for each value.
    pub(super) fn options(self, name: &str, values: &[impl fmt::Display]) -> Self {
        (values.iter()).fold(self, |description, value| {
            description.option(name, Some(value))
        })
    }

    pub(super) fn end(self) -> String {
        self.text
    }

    fn add(&mut self, name: &str, value: &str) {
        self.text.push(self.separator);
        self.text.push_str(name);
        self.separator = ',';
        if is_read_whole(name, value) {
            self.text.push_str(value);
        } else {
            let quoted = value.replace('"', "\"\"");
            self.text.push_str(&format!("\"{quoted}\""));
        }
    }
}

/// Whether a value is read as it is written, whatever follows it.
fn is_read_whole(name: &str, value: &str) -> bool {
    let written = format!("{name}{value},x");
    let named = name.strip_suffix('=');
    first_option(&written).is_ok_and(|(option, after)| {
        option.name.as_deref() == named && option.value == value && after == Some("x")
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::page;
    use super::super::{
        Cursor, Kind, LastKey, LinkHeader, NextUrl, Offset, PageNumber, Paginate, Relay,
    };
    use super::*;
    use crate::http::Call;
    use crate::json::Pointer;
    use crate::pages::place::{At, To};
    use serde_json::json;

    #[track_caller]
    fn check_read(text: &str, expected: &[(Option<&str>, &str)]) {
        let options = OptionList::read(Some(text)).unwrap();
        let read: Vec<(Option<&str>, &str)> = (options.rest.iter())
            .map(|option| (option.name.as_deref(), option.value.as_str()))
            .collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn options_end_at_commas_outside_of_quotes_and_brackets() {
        check_read("/a,to=b", &[(None, "/a"), (Some("to"), "b")]);
        check_read("", &[(None, "")]);
        check_read("a,", &[(None, "a"), (None, "")]);
        check_read(
            "$.l[?@.r=='a,b'].u,more=!$['x,y']",
            &[(None, "$.l[?@.r=='a,b'].u"), (Some("more"), "!$['x,y']")],
        );
        check_read(
            r#""/a,""b""",to="x=y""#,
            &[(None, r#"/a,"b""#), (Some("to"), "x=y")],
        );
        check_read("$[,to=$skip", &[(None, "$["), (Some("to"), "$skip")]);
        check_read(
            r"$['it\'s, x'],to=b",
            &[(None, r"$['it\'s, x']"), (Some("to"), "b")],
        );
    }

    #[test]
    fn quotes_that_do_not_end_are_refused() {
        for text in ["\"a", "\"a\"b", "to=\"\"\""] {
            assert!(OptionList::read(Some(text)).is_err_and(|error| error.is_request()));
        }
    }

    #[test]
    fn the_text_of_a_path_stays_as_it_was_written() {
        for text in [
            "next:$..next",
            r"next:$['it\'s']",
            "next:$.links[?@.rel=='next' && @.kind!=\"a,b\"].href",
            "cursor:$..['a','b'],to=c,more=!$..last",
        ] {
            assert_eq!(text.parse::<Paginate>().unwrap().to_string(), text);
        }
    }

    /// Random numbers (xorshift).
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % limit as u64) as usize
        }

        fn text(&mut self) -> String {
            const PARTS: &[&str] = &[
                "a", "page", ",", "=", "to=", "\"", "\"\"", "'", "\\", "/", "~", "~1", "$", "[",
                "]", "*", ":", "!", "body:", "header:", "query:", " ", "é", "\n", "%2C", "",
            ];
            (0..self.below(5))
                .map(|_| PARTS[self.below(PARTS.len())])
                .collect()
        }

        fn at(&mut self) -> At {
            const PATHS: &[&str] = &[
                "$..next",
                r"$['it\'s']",
                "$['a,b']",
                "$[\"a\\\"]\",\"b\"]",
                "$.l[?@.r=='next' && @['k,']!=']'].u",
                "$",
                "header:X-Next",
            ];
            match self.below(PATHS.len() + 3) {
                index if index < PATHS.len() => PATHS[index].parse().unwrap(),
                _ => self.pointer().into(),
            }
        }

        fn pointer(&mut self) -> Pointer {
            Pointer::from_steps((0..self.below(4)).map(|_| self.text()).collect())
        }

        fn to(&mut self) -> To {
            match self.below(5) {
                0 => "*".parse().unwrap(),
                1 => "header:x-c".parse().unwrap(),
                2 => To::body(self.pointer()),
                _ => To::query(self.text()),
            }
        }

        fn paginate(&mut self) -> Paginate {
            match self.below(7) {
                0 => Cursor::new(self.at(), self.to()).more(self.at()).into(),
                1 => (Cursor::new(self.at(), self.to()))
                    .dropping(self.to())
                    .dropping(self.to())
                    .end(self.text())
                    .into(),
                2 => (NextUrl::at(self.at()).more(self.at()))
                    .base(self.at())
                    .end(self.text())
                    .into(),
                3 => LastKey::new(self.pointer(), self.to())
                    .more(self.at())
                    .into(),
                4 => LinkHeader::relation(self.text()).into(),
                5 => Relay::new().at(self.pointer()).variable(self.text()).into(),
                _ if self.below(2) == 0 => PageNumber::new(self.to()).first(3).into(),
                _ => Offset::new(self.to()).step(7).into(),
            }
        }
    }

    #[test]
    fn every_description_makes_the_kind_that_it_is_of() {
        let first = page(json!({"a": {"page": "x"}, "total": 90, "n": []}), 5);
        let call = || Call {
            body: Some(json!({})),
            ..first.call.clone()
        };
        let asks = |kind: &mut Box<dyn Kind>| {
            let begun = kind.begin(call()).map_err(|error| error.to_string());
            let next = kind.after(&first).map_err(|error| error.to_string());
            format!("{begun:?} {next:?}")
        };
        for seed in 1..20_000_u64 {
            let paginate = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)).paginate();
            let text = paginate.to_string();
            let again: Paginate = (text.parse())
                .unwrap_or_else(|error| panic!("{paginate:?}, described as `{text}`: {error}"));
            assert_eq!(again.to_string(), text);
            let (mut one, mut other) = (paginate.into_kind(), again.into_kind());
            assert_eq!(asks(&mut one), asks(&mut other), "{text}");
            assert_eq!(format!("{one:?}"), format!("{other:?}"), "{text}");
        }
    }
}
