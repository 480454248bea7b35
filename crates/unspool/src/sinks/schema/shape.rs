//! What has been seen of a field, from which its type follows.
//!
//! A shape only ever gathers, so that the type of a field does not depend on the order in
//! which its values come.

use super::number::{
    DECIMAL_DIGITS, Digits, EXACT_IN_DOUBLE, double, integer, is_written_as_double,
};
use super::text::{Elements, Members, Value};
use super::types::{Field, Type};

/// How deep values are taken apart: what lies below is JSON text.
const MOST_LEVELS: usize = 5;

/// How many keys a nested object may have, all its items together: with more it is a map
/// rather than a struct, and becomes JSON text.
const MOST_KEYS: usize = 256;

/// The kinds of values that a field has had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    bools: bool,
    texts: bool,
    /// Whether one of the texts has a NUL.
    nuls: bool,
    numbers: Numbers,
    list: Option<Box<Shape>>,
    /// In the order of their first appearance.
    object: Option<Vec<(String, Shape)>>,
    /// Something that only JSON text holds.
    json: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Numbers {
    /// 64-bit integers.
    ints: bool,
    /// Whole numbers that a double does not tell apart.
    large_ints: bool,
    /// Numbers that a double gives back digit by digit, and no integer holds.
    doubles: bool,
    /// Numbers that neither an integer nor a double holds.
    others: bool,
    /// The most digits before and after the point.
    whole: u32,
    scale: u32,
}

impl Shape {
    /// Adds a value of the field.
    pub(crate) fn see(&mut self, value: Value<'_>) {
        self.see_at(value, MOST_LEVELS, &mut String::new());
    }

    /// What a column of this type may have had, at most.
    pub(crate) fn of(kind: &Type) -> Self {
        let mut shape = Shape::default();
        match kind {
            Type::Null => {}
            Type::Bool => shape.bools = true,
            Type::Text | Type::Timestamp | Type::Date => shape.texts = true,
            Type::Json => shape.json = true,
            Type::Int | Type::Double | Type::Decimal(_) | Type::Number => {
                shape.numbers = Numbers::of(kind);
            }
            Type::List(of) => shape.list = Some(Box::new(Shape::of(of))),
            Type::Struct(fields) => {
                let fields = fields.iter();
                let shapes = fields.map(|field| (field.name.clone(), Shape::of(&field.kind)));
                shape.object = Some(shapes.collect());
            }
        }
        shape
    }

    /// The same where all whole numbers are known to be ones that a double tells apart.
    pub(crate) fn without_large_ints(mut self) -> Self {
        self.numbers.large_ints = false;
        self
    }

    /// Whether a text of the field has a NUL.
    pub(crate) fn has_nul(&self) -> bool {
        self.nuls
    }

    fn see_at(&mut self, value: Value<'_>, levels: usize, buffer: &mut String) {
        if self.json {
            return;
        }
        match value {
            Value::Null => {}
            Value::Bool(_) => self.bools = true,
            Value::Number(number) => self.numbers.see(number),
            Value::Text(text) => match text.decode(buffer) {
                Some(decoded) => {
                    self.texts = true;
                    self.nuls |= text.has_escapes && decoded.contains('\0');
                }
                None => self.json = true,
            },
            Value::List(_) | Value::Object(_) if levels == 0 => self.json = true,
            Value::List(list) => {
                let shape = self.list.get_or_insert_default();
                for element in Elements::of(list).into_iter().flatten() {
                    shape.see_at(element, levels - 1, buffer);
                }
            }
            Value::Object(object) => self.see_object(object, levels - 1, buffer),
        }
    }

    fn see_object(&mut self, object: &str, levels: usize, buffer: &mut String) {
        let fields = self.object.get_or_insert_default();
        let mut seen: Vec<usize> = Vec::new();
        for (key, value) in Members::of(object).into_iter().flatten() {
            let Some(name) = key.decode(buffer) else {
                self.json = true;
                break;
            };
            let at = match fields.iter().position(|(known, _)| known == name) {
                Some(at) => at,
                None => {
                    fields.push((name.to_owned(), Shape::default()));
                    fields.len() - 1
                }
            };
            // A key that comes twice is no field of a struct.
            if seen.contains(&at) || fields.len() > MOST_KEYS {
                self.json = true;
                break;
            }
            seen.push(at);
            fields[at].1.see_at(value, levels, buffer);
        }
        if self.json {
            self.object = None;
        }
    }

    /// The narrowest type that holds all that has been seen, as it was.
    pub(crate) fn kind(&self) -> Type {
        let families = [
            self.bools,
            self.texts,
            self.numbers.any(),
            self.list.is_some(),
            self.object.is_some(),
        ];
        match families.iter().filter(|seen| **seen).count() {
            _ if self.json => Type::Json,
            0 => Type::Null,
            1 => self.only_kind(),
            _ => Type::Json,
        }
    }

    fn only_kind(&self) -> Type {
        if self.bools {
            Type::Bool
        } else if self.texts {
            Type::Text
        } else if let Some(list) = &self.list {
            Type::List(Box::new(list.kind()))
        } else if let Some(fields) = &self.object {
            // Of an object without keys there is no struct.
            if fields.is_empty() {
                return Type::Json;
            }
            let fields = fields.iter().map(|(name, shape)| Field {
                name: name.clone(),
                kind: shape.kind(),
            });
            Type::Struct(fields.collect())
        } else {
            self.numbers.kind()
        }
    }
}

impl Numbers {
    fn of(kind: &Type) -> Self {
        // As many digits as a 64-bit integer may have, where nothing else is known.
        const WHOLE: u32 = 19;
        let mut numbers = Numbers::default();
        match kind {
            Type::Int => (numbers.ints, numbers.large_ints, numbers.whole) = (true, true, WHOLE),
            // What lies in it may be `1e300`.
            Type::Double => (numbers.doubles, numbers.whole) = (true, DECIMAL_DIGITS + 1),
            Type::Decimal(scale) => {
                numbers.others = true;
                (numbers.scale, numbers.whole) = (*scale, WHOLE.min(DECIMAL_DIGITS - scale));
            }
            _ => (numbers.others, numbers.whole) = (true, DECIMAL_DIGITS + 1),
        }
        numbers
    }

    fn see(&mut self, number: &str) {
        let digits = Digits::of(number);
        self.whole = self.whole.max(digits.whole());
        self.scale = self.scale.max(digits.scale());
        if let Some(integer) = integer(number) {
            self.ints = true;
            self.large_ints |= integer.unsigned_abs() > EXACT_IN_DOUBLE;
        } else if is_written_as_double(number) && double(number).is_some() {
            self.doubles = true;
        } else {
            self.others = true;
        }
    }

    fn any(&self) -> bool {
        self.ints || self.doubles || self.others
    }

    fn kind(&self) -> Type {
        if !self.doubles && !self.others {
            Type::Int
        } else if !self.large_ints && !self.others {
            Type::Double
        } else if self.whole.saturating_add(self.scale) <= DECIMAL_DIGITS {
            Type::Decimal(self.scale)
        } else {
            Type::Number
        }
    }
}
