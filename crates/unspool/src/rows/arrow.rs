//! Rows as Arrow arrays, without a text in between.
//!
//! Every value is exact in its array, or an error that names its row and column: nothing is
//! rounded, cut off or made null.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder,
    Float64Builder, GenericByteBuilder, Int16Builder, Int32Builder, Int64Builder, PrimitiveBuilder,
    StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder, UInt32Builder,
    UInt64Builder,
};
use arrow_array::types::{ArrowPrimitiveType, ByteArrayType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::write::Form;
use crate::error::Error;

/// The zone of all points in time.
const ZONE: &str = "UTC";

/// What is said of a value that its column has no place for.
pub(super) const UNFIT: &str = "the value does not fit";

/// The type of a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ColumnType {
    Fixed(DataType),
    /// That of its values in the first batch.
    #[cfg(feature = "sqlite")]
    OfValues,
}

impl ColumnType {
    /// What is said of it before it is settled.
    fn until_known(self) -> DataType {
        match self {
            ColumnType::Fixed(ty) => ty,
            #[cfg(feature = "sqlite")]
            ColumnType::OfValues => DataType::Null,
        }
    }
}

/// A value on its way into an array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell<'v> {
    Null,
    #[cfg(any(feature = "sqlite", feature = "mysql"))]
    Int(i64),
    #[cfg(feature = "mysql")]
    UInt(u64),
    #[cfg(feature = "mysql")]
    Float(f32),
    #[cfg(any(feature = "sqlite", feature = "mysql"))]
    Double(f64),
    /// A number without its point, and how many of its digits are after that.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    Decimal(i128, u32),
    Text(&'v str),
    #[cfg(any(feature = "sqlite", feature = "mysql"))]
    Bytes(&'v [u8]),
    /// Days since 1970-01-01.
    #[cfg(feature = "mysql")]
    Date(i32),
    /// Microseconds since 1970-01-01.
    #[cfg(feature = "mysql")]
    Timestamp(i64),
    /// What it is as JSON, without the quotes around it.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    AsWritten,
}

/// The type of points in time, in UTC or of no zone.
pub(super) fn timestamp(is_utc: bool) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, is_utc.then(|| ZONE.into()))
}

/// The arrays of all columns, as far as they are written.
#[derive(Debug)]
pub(super) struct Columns {
    names: Vec<String>,
    types: Vec<DataType>,
    builders: Vec<Builder>,
    /// None before the first batch was taken.
    schema: Option<SchemaRef>,
    bytes: usize,
    text: Vec<u8>,
}

impl Columns {
    pub(super) fn new(names: &[String], types: Vec<ColumnType>) -> Self {
        Columns {
            names: names.to_vec(),
            builders: types.iter().map(Builder::new).collect(),
            types: types.into_iter().map(ColumnType::until_known).collect(),
            schema: None,
            bytes: 0,
            text: Vec::new(),
        }
    }

    /// Appends a value.
    pub(super) fn put<'v, F: Form<'v>>(
        &mut self,
        column: usize,
        form: &F,
        value: F::Value,
    ) -> Result<(), String> {
        match form.append(&mut self.builders[column], value) {
            Ok(Some(bytes)) => {
                self.bytes += 8 + bytes;
                Ok(())
            }
            Ok(None) => self.put_cell(column, form, value),
            Err(why) => Err(self.unfit(column, why)),
        }
    }

    fn put_cell<'v, F: Form<'v>>(
        &mut self,
        column: usize,
        form: &F,
        value: F::Value,
    ) -> Result<(), String> {
        let cell = form.cell(value).map_err(|why| self.unfit(column, why))?;
        #[cfg(any(feature = "postgres", feature = "mysql"))]
        let cell = if cell == Cell::AsWritten {
            self.text.clear();
            form.write(&mut self.text, value)?;
            Cell::Text(unquoted(&self.text))
        } else {
            cell
        };
        self.bytes += 8;
        self.bytes += match cell {
            Cell::Text(text) => text.len(),
            #[cfg(any(feature = "sqlite", feature = "mysql"))]
            Cell::Bytes(bytes) => bytes.len(),
            _ => 0,
        };
        if self.builders[column].append(cell) {
            Ok(())
        } else {
            Err(self.unfit(column, UNFIT))
        }
    }

    fn unfit(&self, column: usize, why: &str) -> String {
        let ty = self.builders[column].type_of_values();
        let ty = ty.as_ref().unwrap_or(&self.types[column]);
        format!("{why} (its column is {ty} in Arrow; a cast in the statement changes that)")
    }

    /// How many bytes the values have, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a batch was taken, by which the types are settled.
    pub(super) fn are_known(&self) -> bool {
        self.schema.is_some()
    }

    /// Whether its types no longer depend on values.
    #[cfg(feature = "sqlite")]
    pub(super) fn are_settled(&self) -> bool {
        let is_open =
            |builder: &Builder| matches!(builder, Builder::Undecided(_) | Builder::Integers(_));
        self.are_known() || !self.builders.iter().any(is_open)
    }

    /// The first rows as a batch; whatever was begun after them is dropped.
    pub(super) fn take(&mut self, rows: usize) -> Result<RecordBatch, Error> {
        self.bytes = 0;
        let arrays: Vec<ArrayRef> = (self.builders.iter_mut())
            .map(|builder| builder.finish().slice(0, rows))
            .collect();
        let schema = self.schema.get_or_insert_with(|| {
            self.types = (arrays.iter().map(|array| array.data_type().clone())).collect();
            let columns = self.names.iter().zip(&self.types);
            let fields = columns.map(|(name, ty)| Field::new(name, ty.clone(), true));
            Arc::new(Schema::new(fields.collect::<Vec<_>>()))
        });
        RecordBatch::try_new(Arc::clone(schema), arrays)
            .map_err(|error| Error::content(format!("the rows are no Arrow batch: {error}")))
    }
}

/// A text of JSON that has no escapes, without its quotes.
#[cfg(any(feature = "postgres", feature = "mysql"))]
fn unquoted(text: &[u8]) -> &str {
    let inside = text
        .strip_prefix(b"\"")
        .and_then(|text| text.strip_suffix(b"\""));
    std::str::from_utf8(inside.unwrap_or(text)).unwrap_or_default()
}

/// The values of a column.
#[derive(Debug)]
pub(super) enum Builder {
    Bool(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    UInt32(UInt32Builder),
    UInt64(UInt64Builder),
    Float(Float32Builder),
    Double(Float64Builder),
    Decimal(Box<DecimalBuilder>),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    /// Of a type that the first value that is not null decides, and so many nulls before it.
    #[cfg(feature = "sqlite")]
    Undecided(usize),
    /// Integers that become floating point numbers if one comes in the first batch.
    #[cfg(feature = "sqlite")]
    Integers(Int64Builder),
}

/// Decimal numbers of one scale.
#[derive(Debug)]
pub(super) struct DecimalBuilder {
    values: Decimal128Builder,
    /// What all are less than.
    limit: i128,
    scale: u32,
}

impl DecimalBuilder {
    /// Appends a number with so many digits after its point; false where that would cut some
    /// off.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    fn append(&mut self, value: i128, digits: u32) -> bool {
        let power = |digits: u32| 10_i128.checked_pow(digits);
        let scaled = match self.scale.checked_sub(digits) {
            Some(more) => power(more).and_then(|factor| value.checked_mul(factor)),
            None => power(digits - self.scale)
                .filter(|divisor| value % divisor == 0)
                .map(|divisor| value / divisor),
        };
        let fitting = scaled.filter(|value| value.abs() < self.limit);
        fitting
            .map(|value| self.values.append_value(value))
            .is_some()
    }
}

impl Builder {
    fn new(ty: &ColumnType) -> Self {
        match ty {
            ColumnType::Fixed(ty) => Builder::of(ty),
            #[cfg(feature = "sqlite")]
            ColumnType::OfValues => Builder::Undecided(0),
        }
    }

    fn of(ty: &DataType) -> Self {
        match ty {
            DataType::Boolean => Builder::Bool(BooleanBuilder::new()),
            DataType::Int16 => Builder::Int16(Int16Builder::new()),
            DataType::Int32 => Builder::Int32(Int32Builder::new()),
            DataType::Int64 => Builder::Int64(Int64Builder::new()),
            DataType::UInt32 => Builder::UInt32(UInt32Builder::new()),
            DataType::UInt64 => Builder::UInt64(UInt64Builder::new()),
            DataType::Float32 => Builder::Float(Float32Builder::new()),
            DataType::Float64 => Builder::Double(Float64Builder::new()),
            DataType::Decimal128(precision, scale) => Builder::Decimal(Box::new(DecimalBuilder {
                values: Decimal128Builder::new().with_data_type(ty.clone()),
                limit: 10_i128.pow((*precision).into()),
                scale: u32::try_from(*scale).unwrap_or_default(),
            })),
            DataType::Binary => Builder::Bytes(BinaryBuilder::new()),
            DataType::Date32 => Builder::Date(Date32Builder::new()),
            DataType::Time64(_) => Builder::Time(Time64MicrosecondBuilder::new()),
            DataType::Timestamp(_, _) => {
                Builder::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(ty.clone()))
            }
            _ => Builder::Text(StringBuilder::new()),
        }
    }

    /// Appends a value; false where it has no exact place here.
    fn append(&mut self, cell: Cell<'_>) -> bool {
        match (&mut *self, cell) {
            (_, Cell::Null) => self.append_null(),
            #[cfg(any(feature = "sqlite", feature = "mysql"))]
            (Builder::Int64(builder), Cell::Int(value)) => builder.append_value(value),
            (Builder::Text(builder), Cell::Text(value)) => builder.append_value(value),
            #[cfg(any(feature = "sqlite", feature = "mysql"))]
            (Builder::Bytes(builder), Cell::Bytes(value)) => builder.append_value(value),
            #[cfg(any(feature = "sqlite", feature = "mysql"))]
            (Builder::Double(builder), Cell::Double(value)) => builder.append_value(value),
            #[cfg(feature = "mysql")]
            (Builder::Float(builder), Cell::Float(value)) => builder.append_value(value),
            #[cfg(feature = "mysql")]
            (Builder::Date(builder), Cell::Date(value)) => builder.append_value(value),
            #[cfg(feature = "mysql")]
            (Builder::Timestamp(builder), Cell::Timestamp(value)) => builder.append_value(value),
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            (Builder::Decimal(builder), Cell::Decimal(value, digits)) => {
                return builder.append(value, digits);
            }
            #[cfg(feature = "sqlite")]
            (Builder::Undecided(_) | Builder::Integers(_) | Builder::Double(_), cell) => {
                return self.append_deciding(cell);
            }
            #[cfg(feature = "mysql")]
            (_, Cell::UInt(value)) => return self.append_integer(value.into()),
            #[cfg(any(feature = "sqlite", feature = "mysql"))]
            (_, Cell::Int(value)) => return self.append_integer(value.into()),
            _ => return false,
        }
        true
    }

    #[cfg(any(feature = "sqlite", feature = "mysql"))]
    fn append_integer(&mut self, value: i128) -> bool {
        macro_rules! append {
            ($builder:expr) => {
                value
                    .try_into()
                    .map(|value| $builder.append_value(value))
                    .is_ok()
            };
        }
        match self {
            Builder::Int16(builder) => append!(builder),
            Builder::Int32(builder) => append!(builder),
            Builder::Int64(builder) => append!(builder),
            Builder::UInt32(builder) => append!(builder),
            Builder::UInt64(builder) => append!(builder),
            _ => false,
        }
    }

    /// Appends a value of SQLite, whose columns have values of many types.
    #[cfg(feature = "sqlite")]
    fn append_deciding(&mut self, cell: Cell<'_>) -> bool {
        match (&mut *self, cell) {
            (Builder::Undecided(nulls), cell) => {
                let nulls = *nulls;
                *self = match cell {
                    Cell::Int(_) => Builder::Integers(Int64Builder::new()),
                    Cell::Double(_) => Builder::Double(Float64Builder::new()),
                    Cell::Bytes(_) => Builder::Bytes(BinaryBuilder::new()),
                    _ => Builder::Text(StringBuilder::new()),
                };
                (0..nulls).for_each(|_| self.append_null());
                self.append(cell)
            }
            (Builder::Integers(builder), Cell::Int(value)) => {
                builder.append_value(value);
                true
            }
            (Builder::Integers(builder), Cell::Double(_)) => {
                let mut doubles = Float64Builder::new();
                for integer in &builder.finish_cloned() {
                    let double = integer.map(exact_double);
                    if double == Some(None) {
                        return false;
                    }
                    doubles.append_option(double.flatten());
                }
                *self = Builder::Double(doubles);
                self.append(cell)
            }
            (Builder::Double(builder), Cell::Int(value)) => {
                let double = exact_double(value);
                double.map(|double| builder.append_value(double)).is_some()
            }
            _ => false,
        }
    }

    pub(super) fn append_null(&mut self) {
        match self {
            Builder::Bool(builder) => builder.append_null(),
            Builder::Int16(builder) => builder.append_null(),
            Builder::Int32(builder) => builder.append_null(),
            Builder::Int64(builder) => builder.append_null(),
            Builder::UInt32(builder) => builder.append_null(),
            Builder::UInt64(builder) => builder.append_null(),
            Builder::Float(builder) => builder.append_null(),
            Builder::Double(builder) => builder.append_null(),
            Builder::Decimal(builder) => builder.values.append_null(),
            Builder::Text(builder) => builder.append_null(),
            Builder::Bytes(builder) => builder.append_null(),
            Builder::Date(builder) => builder.append_null(),
            Builder::Time(builder) => builder.append_null(),
            Builder::Timestamp(builder) => builder.append_null(),
            #[cfg(feature = "sqlite")]
            Builder::Undecided(nulls) => *nulls += 1,
            #[cfg(feature = "sqlite")]
            Builder::Integers(builder) => builder.append_null(),
        }
    }

    /// The type that values of SQLite decided, for messages.
    fn type_of_values(&self) -> Option<DataType> {
        match self {
            Builder::Text(_) => Some(DataType::Utf8),
            Builder::Bytes(_) => Some(DataType::Binary),
            Builder::Double(_) => Some(DataType::Float64),
            #[cfg(feature = "sqlite")]
            Builder::Integers(_) => Some(DataType::Int64),
            _ => None,
        }
    }

    /// All values; it is empty after that, with room for as many, and its type is settled.
    fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Bool(builder) => {
                let array = builder.finish();
                *builder = BooleanBuilder::with_capacity(room(array.len()));
                Arc::new(array)
            }
            Builder::Int16(builder) => finished(builder),
            Builder::Int32(builder) => finished(builder),
            Builder::Int64(builder) => finished(builder),
            Builder::UInt32(builder) => finished(builder),
            Builder::UInt64(builder) => finished(builder),
            Builder::Float(builder) => finished(builder),
            Builder::Double(builder) => finished(builder),
            Builder::Decimal(builder) => finished(&mut builder.values),
            Builder::Text(builder) => finished_bytes(builder),
            Builder::Bytes(builder) => finished_bytes(builder),
            Builder::Date(builder) => finished(builder),
            Builder::Time(builder) => finished(builder),
            Builder::Timestamp(builder) => finished(builder),
            #[cfg(feature = "sqlite")]
            Builder::Undecided(nulls) => {
                let mut texts = StringBuilder::new();
                (0..*nulls).for_each(|_| texts.append_null());
                *self = Builder::Text(StringBuilder::new());
                Arc::new(texts.finish())
            }
            #[cfg(feature = "sqlite")]
            Builder::Integers(builder) => {
                let array = Arc::new(builder.finish());
                *self = Builder::Int64(Int64Builder::new());
                array
            }
        }
    }
}

/// The values of a builder, which has room for as many then.
fn finished<T: ArrowPrimitiveType>(builder: &mut PrimitiveBuilder<T>) -> ArrayRef {
    let array = builder.finish();
    let next = PrimitiveBuilder::with_capacity(room(array.len()));
    *builder = next.with_data_type(array.data_type().clone());
    Arc::new(array)
}

fn finished_bytes<T: ByteArrayType>(builder: &mut GenericByteBuilder<T>) -> ArrayRef {
    let array = builder.finish();
    let bytes = array.values().len();
    *builder = GenericByteBuilder::with_capacity(room(array.len()), room(bytes));
    Arc::new(array)
}

/// Room for the next batch after one of this size, which is about as large: what is left over
/// stays with its array.
fn room(size: usize) -> usize {
    size + size / 16
}

/// An integer as a floating point number that is the same.
#[cfg(feature = "sqlite")]
fn exact_double(value: i64) -> Option<f64> {
    // Up to 2^53 all integers are.
    (value.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS).then_some(value as f64)
}
