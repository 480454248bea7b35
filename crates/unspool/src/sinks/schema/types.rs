//! The types of columns, and how they are written.

use std::fmt;
use std::str::FromStr;

use super::number::{DECIMAL_DIGITS, decimal, integer, is_exact_double};
use super::text::{Elements, Members, Value};
use super::time::{date, timestamp};
use crate::Error;

/// The type of a column, or of what lies in it.
///
/// It is in the example of [`Schema`](super::Schema).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Type {
    /// Only `null` has been seen.
    Null,
    /// `true` and `false`.
    Bool,
    /// Whole numbers of 64 bits.
    Int,
    /// Numbers that a 64-bit float gives back digit by digit.
    Double,
    /// Numbers of up to 38 digits, so many of them after the point.
    Decimal(u32),
    /// Numbers of any length, with all their digits.
    Number,
    /// Text.
    Text,
    /// Points in time: text as RFC 3339 has it, where the caller says that it is one.
    Timestamp,
    /// Days: `2024-01-31`, where the caller says that text is one.
    Date,
    /// Lists of one type.
    List(Box<Type>),
    /// Objects with these keys.
    Struct(Vec<Field>),
    /// JSON text: values that have no type in common.
    Json,
}

/// A key of an object, or a column: its name and its type.
///
/// It is in the example of [`Schema`](super::Schema).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The key as it stands in the items.
    pub name: String,
    /// The type of its values.
    pub kind: Type,
}

/// As `--schema` reads it: `int`, `text[]`, `struct(a int, "b c" text)`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Null => f.write_str("null"),
            Type::Bool => f.write_str("bool"),
            Type::Int => f.write_str("int"),
            Type::Double => f.write_str("double"),
            Type::Decimal(scale) => write!(f, "decimal({DECIMAL_DIGITS},{scale})"),
            Type::Number => f.write_str("number"),
            Type::Text => f.write_str("text"),
            Type::Timestamp => f.write_str("timestamp"),
            Type::Date => f.write_str("date"),
            Type::Json => f.write_str("json"),
            Type::List(of) => write!(f, "{of}[]"),
            Type::Struct(fields) => {
                f.write_str("struct(")?;
                for (index, field) in fields.iter().enumerate() {
                    write!(f, "{}{field}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str(")")
            }
        }
    }
}

/// `name type`; a name that is not one word is written as a JSON string.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |letter: char| letter.is_alphanumeric() || "_-.:@$/".contains(letter);
        if !self.name.is_empty() && self.name.chars().all(is_plain) {
            write!(f, "{} {}", self.name, self.kind)
        } else {
            let name = serde_json::Value::from(self.name.as_str());
            write!(f, "{name} {}", self.kind)
        }
    }
}

impl Type {
    /// Whether a value fits in without a change.
    pub(crate) fn holds(&self, value: Value<'_>) -> bool {
        let mut buffer = String::new();
        match (self, value) {
            (_, Value::Null) | (Type::Json, _) => true,
            (Type::Bool, Value::Bool(_)) => true,
            (Type::Int, Value::Number(number)) => integer(number).is_some(),
            (Type::Double, Value::Number(number)) => is_exact_double(number),
            (Type::Decimal(scale), Value::Number(number)) => decimal(number, *scale).is_some(),
            (Type::Number, Value::Number(_)) => true,
            (Type::Text, Value::Text(text)) => text.decode(&mut buffer).is_some(),
            (Type::Timestamp, Value::Text(text)) => timestamp(text.inside).is_some(),
            (Type::Date, Value::Text(text)) => date(text.inside).is_some(),
            (Type::List(of), Value::List(list)) => {
                (Elements::of(list).into_iter().flatten()).all(|element| of.holds(element))
            }
            (Type::Struct(fields), Value::Object(object)) => holds_object(fields, object),
            _ => false,
        }
    }

    /// The same for a target that has neither lists nor structs: both are JSON text.
    pub(crate) fn flat(&self) -> Type {
        match self {
            Type::List(_) | Type::Struct(_) => Type::Json,
            other => other.clone(),
        }
    }
}

fn holds_object(fields: &[Field], object: &str) -> bool {
    let (mut key_buffer, mut seen) = (String::new(), vec![false; fields.len()]);
    (Members::of(object).into_iter().flatten()).all(|(key, value)| {
        let Some(name) = key.decode(&mut key_buffer) else {
            return false;
        };
        match fields.iter().position(|field| field.name == name) {
            Some(at) => !std::mem::replace(&mut seen[at], true) && fields[at].kind.holds(value),
            None => false,
        }
    })
}

impl FromStr for Type {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut words = Words { rest: text };
        let kind = words.kind()?;
        words.end()?;
        Ok(kind)
    }
}

impl FromStr for Field {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self, Error> {
        let mut words = Words { rest: line };
        let field = words.field()?;
        words.end()?;
        Ok(field)
    }
}

/// A type that is being read.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn field(&mut self) -> Result<Field, Error> {
        let name = self.name()?;
        let kind = self.kind()?;
        Ok(Field { name, kind })
    }

    fn name(&mut self) -> Result<String, Error> {
        self.rest = self.rest.trim_start();
        if !self.rest.starts_with('"') {
            let end = self.rest.find(char::is_whitespace);
            let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
            self.rest = rest;
            return Ok(name.to_owned());
        }
        let mut strings = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
        let name = match strings.next() {
            Some(Ok(name)) => name,
            _ => return Err(self.refusal("a name in quotes, as a JSON string")),
        };
        self.rest = &self.rest[strings.byte_offset()..];
        Ok(name)
    }

    fn kind(&mut self) -> Result<Type, Error> {
        let word = self.word();
        let mut kind = match word.to_ascii_lowercase().as_str() {
            "null" => Type::Null,
            "bool" | "boolean" => Type::Bool,
            "int" | "bigint" | "int64" | "integer" => Type::Int,
            "double" | "float8" | "float64" => Type::Double,
            "decimal" | "numeric" => self.decimal()?,
            "number" => Type::Number,
            "text" | "string" | "varchar" => Type::Text,
            "timestamp" | "timestamptz" | "datetime" => Type::Timestamp,
            "date" => Type::Date,
            "json" => Type::Json,
            "struct" => Type::Struct(self.fields()?),
            _ => {
                let message = format!(
                    "expected a type (bool, int, double, decimal(38,2), number, text, \
                     timestamp, date, json, struct(a int, b text), or one of these with `[]`); found `{word}`"
                );
                return Err(Error::request(message));
            }
        };
        while self.takes("[]") {
            kind = Type::List(Box::new(kind));
        }
        Ok(kind)
    }

    /// The next letters and digits.
    fn word(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        let end = self
            .rest
            .find(|letter: char| !letter.is_ascii_alphanumeric());
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        word
    }

    fn takes(&mut self, mark: &str) -> bool {
        match self.rest.trim_start().strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// `(38,2)` or `(2)`: only the digits after the point say anything.
    fn decimal(&mut self) -> Result<Type, Error> {
        const FORM: &str = "`decimal(38,2)`, with at most 38 digits after the point";
        if !self.takes("(") {
            return Ok(Type::Number);
        }
        let mut scale = self.word();
        if self.takes(",") {
            scale = self.word();
        }
        match scale.parse() {
            Ok(scale) if scale <= DECIMAL_DIGITS && self.takes(")") => Ok(Type::Decimal(scale)),
            _ => Err(self.refusal(FORM)),
        }
    }

    fn fields(&mut self) -> Result<Vec<Field>, Error> {
        const FORM: &str = "`struct(a int, b text)`";
        if !self.takes("(") {
            return Err(self.refusal(FORM));
        }
        let mut fields = vec![self.field()?];
        while self.takes(",") {
            fields.push(self.field()?);
        }
        if self.takes(")") {
            Ok(fields)
        } else {
            Err(self.refusal(FORM))
        }
    }

    fn end(&self) -> Result<(), Error> {
        if self.rest.trim().is_empty() {
            Ok(())
        } else {
            Err(self.refusal("the end of the line"))
        }
    }

    fn refusal(&self, expected: &str) -> Error {
        let found = self.rest.trim();
        Error::request(format!("expected {expected}; found `{found}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_read_as_it_is_written() {
        for line in [
            "id int",
            "price decimal(38,2)",
            "huge number",
            "tags text[]",
            "deep json[][]",
            r#""a key with spaces" struct(a int, "b,c" struct(d bool)[], e null)"#,
        ] {
            assert_eq!(line.parse::<Field>().unwrap().to_string(), line);
        }
    }

    #[test]
    fn the_words_of_databases_are_known() {
        let kind = |text: &str| text.parse::<Type>().unwrap();
        assert_eq!(kind("BIGINT"), Type::Int);
        assert_eq!(kind("numeric"), Type::Number);
        assert_eq!(kind("NUMERIC(10, 2)"), Type::Decimal(2));
        assert_eq!(kind("varchar []"), Type::List(Box::new(Type::Text)));
    }

    #[test]
    fn what_is_no_type_is_refused_with_what_was_expected() {
        for (line, words) in [
            ("id", "found ``"),
            ("id integerr", "found `integerr`"),
            ("id decimal(38,39)", "at most 38 digits"),
            ("id struct()", "found ``"),
            ("id struct(a int", "struct(a int, b text)"),
            ("id int int", "the end of the line; found `int`"),
            ("\"id int", "a JSON string"),
        ] {
            let error = line.parse::<Field>().unwrap_err();
            assert!(error.is_request());
            assert!(error.to_string().contains(words), "{line}: {error}");
        }
    }
}
