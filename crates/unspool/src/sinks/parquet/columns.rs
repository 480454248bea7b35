//! Values of items on their way into Arrow arrays.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, ListArray, NullArray, StructArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field as ArrowField, FieldRef, Fields, TimeUnit};

use crate::sinks::schema::{
    DECIMAL_DIGITS, Elements, Field, Members, Type, Value, date, decimal, exact_double, integer,
    timestamp,
};

const ZONE: &str = "UTC";

/// The values of one column, or of one field in it.
///
/// After a value that does not fit nothing more may be appended: what was begun of it is cut
/// off in [`finish`](Builder::finish).
pub(super) enum Builder {
    Null(usize),
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Double(Float64Builder),
    Decimal(Decimal128Builder, u32),
    Text(StringBuilder),
    /// Numbers that no type holds, with all their digits.
    Number(StringBuilder),
    Json(StringBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Date(Date32Builder),
    List(Box<ListBuilder>),
    Struct(StructBuilder),
}

pub(super) struct ListBuilder {
    element: FieldRef,
    /// Where each list ends among the elements.
    offsets: Vec<i32>,
    validity: NullBufferBuilder,
    elements: Builder,
}

pub(super) struct StructBuilder {
    fields: Fields,
    validity: NullBufferBuilder,
    members: Vec<Builder>,
}

/// The type of a column in Arrow, from which that in Parquet follows.
pub(super) fn arrow_type(kind: &Type) -> DataType {
    match kind {
        Type::Null => DataType::Null,
        Type::Bool => DataType::Boolean,
        Type::Int => DataType::Int64,
        Type::Double => DataType::Float64,
        Type::Decimal(scale) => {
            let (digits, scale) = (DECIMAL_DIGITS.try_into(), (*scale).try_into());
            DataType::Decimal128(digits.unwrap_or(38), scale.unwrap_or(0))
        }
        Type::Text | Type::Number | Type::Json => DataType::Utf8,
        Type::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some(ZONE.into())),
        Type::Date => DataType::Date32,
        Type::List(of) => DataType::List(element(of)),
        Type::Struct(fields) => DataType::Struct(arrow_fields(fields)),
    }
}

pub(super) fn arrow_fields(fields: &[Field]) -> Fields {
    let field = |field: &Field| ArrowField::new(&field.name, arrow_type(&field.kind), true);
    fields.iter().map(field).collect()
}

/// Under the name that the Parquet format gives to elements.
fn element(kind: &Type) -> FieldRef {
    Arc::new(ArrowField::new("element", arrow_type(kind), true))
}

impl Builder {
    pub(super) fn new(kind: &Type) -> Self {
        match kind {
            Type::Null => Builder::Null(0),
            Type::Bool => Builder::Bool(BooleanBuilder::new()),
            Type::Int => Builder::Int(Int64Builder::new()),
            Type::Double => Builder::Double(Float64Builder::new()),
            Type::Decimal(scale) => {
                let builder = Decimal128Builder::new().with_data_type(arrow_type(kind));
                Builder::Decimal(builder, *scale)
            }
            Type::Text => Builder::Text(StringBuilder::new()),
            Type::Number => Builder::Number(StringBuilder::new()),
            Type::Json => Builder::Json(StringBuilder::new()),
            Type::Timestamp => {
                Builder::Timestamp(TimestampMicrosecondBuilder::new().with_timezone(ZONE))
            }
            Type::Date => Builder::Date(Date32Builder::new()),
            Type::List(of) => Builder::List(Box::new(ListBuilder {
                element: element(of),
                offsets: vec![0],
                validity: NullBufferBuilder::new(0),
                elements: Builder::new(of),
            })),
            Type::Struct(fields) => Builder::Struct(StructBuilder {
                fields: arrow_fields(fields),
                validity: NullBufferBuilder::new(0),
                members: fields
                    .iter()
                    .map(|field| Builder::new(&field.kind))
                    .collect(),
            }),
        }
    }

    /// Appends a value; false where it does not fit.
    pub(super) fn append(&mut self, value: Value<'_>, text: &mut String) -> bool {
        match (self, value) {
            (builder, Value::Null) => builder.append_null(),
            (Builder::Bool(builder), Value::Bool(value)) => builder.append_value(value),
            (Builder::Int(builder), Value::Number(number)) => match integer(number) {
                Some(integer) => builder.append_value(integer),
                None => return false,
            },
            (Builder::Double(builder), Value::Number(number)) => match exact_double(number) {
                Some(double) => builder.append_value(double),
                None => return false,
            },
            (Builder::Decimal(builder, scale), Value::Number(number)) => {
                match decimal(number, *scale) {
                    Some(decimal) => builder.append_value(decimal),
                    None => return false,
                }
            }
            (Builder::Number(builder), Value::Number(number)) => builder.append_value(number),
            (Builder::Text(builder), Value::Text(quoted)) => match quoted.decode(text) {
                Some(decoded) => builder.append_value(decoded),
                None => return false,
            },
            (Builder::Json(builder), value) => builder.append_value(value.json(text)),
            (Builder::Timestamp(builder), Value::Text(quoted)) => match timestamp(quoted.inside) {
                Some(micros) => builder.append_value(micros),
                None => return false,
            },
            (Builder::Date(builder), Value::Text(quoted)) => match date(quoted.inside) {
                Some(days) => builder.append_value(days),
                None => return false,
            },
            (Builder::List(builder), Value::List(list)) => return builder.append(list, text),
            (Builder::Struct(builder), Value::Object(object)) => {
                return builder.append(object, text);
            }
            _ => return false,
        }
        true
    }

    pub(super) fn append_nulls(&mut self, count: usize) {
        (0..count).for_each(|_| self.append_null());
    }

    fn append_null(&mut self) {
        match self {
            Builder::Null(count) => *count += 1,
            Builder::Bool(builder) => builder.append_null(),
            Builder::Int(builder) => builder.append_null(),
            Builder::Double(builder) => builder.append_null(),
            Builder::Decimal(builder, _) => builder.append_null(),
            Builder::Text(builder) | Builder::Number(builder) | Builder::Json(builder) => {
                builder.append_null();
            }
            Builder::Timestamp(builder) => builder.append_null(),
            Builder::Date(builder) => builder.append_null(),
            Builder::List(builder) => builder.end(false),
            Builder::Struct(builder) => {
                builder.members.iter_mut().for_each(Builder::append_null);
                builder.validity.append_null();
            }
        }
    }

    fn len(&self) -> usize {
        use arrow_array::builder::ArrayBuilder;
        match self {
            Builder::Null(count) => *count,
            Builder::Bool(builder) => builder.len(),
            Builder::Int(builder) => builder.len(),
            Builder::Double(builder) => builder.len(),
            Builder::Decimal(builder, _) => builder.len(),
            Builder::Text(builder) | Builder::Number(builder) | Builder::Json(builder) => {
                builder.len()
            }
            Builder::Timestamp(builder) => builder.len(),
            Builder::Date(builder) => builder.len(),
            Builder::List(builder) => builder.validity.len(),
            Builder::Struct(builder) => builder.validity.len(),
        }
    }

    /// The first `count` values, all of which are whole; it is empty after that.
    pub(super) fn finish(&mut self, count: usize) -> Result<ArrayRef, ArrowError> {
        let array: ArrayRef = match self {
            Builder::Null(length) => Arc::new(NullArray::new(std::mem::take(length))),
            Builder::Bool(builder) => Arc::new(builder.finish()),
            Builder::Int(builder) => Arc::new(builder.finish()),
            Builder::Double(builder) => Arc::new(builder.finish()),
            Builder::Decimal(builder, _) => Arc::new(builder.finish()),
            Builder::Text(builder) | Builder::Number(builder) | Builder::Json(builder) => {
                Arc::new(builder.finish())
            }
            Builder::Timestamp(builder) => Arc::new(builder.finish()),
            Builder::Date(builder) => Arc::new(builder.finish()),
            Builder::List(builder) => Arc::new(builder.finish()?),
            Builder::Struct(builder) => Arc::new(builder.finish()?),
        };
        Ok(array.slice(0, count))
    }
}

impl ListBuilder {
    fn append(&mut self, list: &str, text: &mut String) -> bool {
        let mut elements = Elements::of(list).into_iter().flatten();
        let fits = elements.all(|element| self.elements.append(element, text));
        if fits {
            self.end(true);
        }
        fits
    }

    /// Ends a list, or a `null` in its place.
    fn end(&mut self, is_list: bool) {
        // A batch is far smaller than what 31 bits count.
        self.offsets
            .push(i32::try_from(self.elements.len()).unwrap_or(i32::MAX));
        self.validity.append(is_list);
    }

    fn finish(&mut self) -> Result<ListArray, ArrowError> {
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        let elements = self.elements.finish(self.elements.len())?;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        ListArray::try_new(
            self.element.clone(),
            offsets,
            elements,
            self.validity.finish(),
        )
    }
}

impl StructBuilder {
    fn append(&mut self, object: &str, text: &mut String) -> bool {
        let count = self.validity.len();
        let mut next = 0;
        for (key, value) in Members::of(object).into_iter().flatten() {
            let Some(at) = self.find(next, key.decode(text)) else {
                return false;
            };
            // One that is there already came twice.
            if self.members[at].len() > count || !self.members[at].append(value, text) {
                return false;
            }
            next = at + 1;
        }
        for member in &mut self.members {
            if member.len() == count {
                member.append_null();
            }
        }
        self.validity.append_non_null();
        true
    }

    /// Which field has a name, most likely that at `next`.
    fn find(&self, next: usize, name: Option<&str>) -> Option<usize> {
        let name = name?;
        match self.fields.get(next) {
            Some(field) if field.name() == name => Some(next),
            _ => self.fields.iter().position(|field| field.name() == name),
        }
    }

    fn finish(&mut self) -> Result<StructArray, ArrowError> {
        let count = self.validity.len();
        let members = self.members.iter_mut().map(|member| member.finish(count));
        let members = members.collect::<Result<Vec<_>, _>>()?;
        StructArray::try_new(self.fields.clone(), members, self.validity.finish())
    }
}
