//! Rows as Arrow batches: the types of columns, and that every value is exact or an error.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use futures_util::{StreamExt, TryStreamExt};
use unspool::rows::{Request, Rows};
use unspool::{Error, Position};

/// All batches of a query that must be complete.
pub(super) async fn batches(request: Request) -> Vec<RecordBatch> {
    let mut rows: Rows<RecordBatch> = request.batches();
    let mut batches = Vec::new();
    while let Some(batch) = rows.try_next().await.unwrap() {
        batches.push(batch);
    }
    let account = rows.account();
    assert!(account.complete, "{account:?}");
    let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(account.items, count as u64);
    batches
}

/// What a query in batches fails with.
pub(super) async fn failure(request: Request) -> Error {
    let mut rows = request.batches();
    loop {
        match rows.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return error,
            None => panic!("it ended well"),
        }
    }
}

/// The names of the columns with their types, as they are said in the document.
pub(super) fn schema(batch: &RecordBatch) -> Vec<String> {
    let fields = batch.schema().fields().clone();
    let said = |field: &arrow_schema::FieldRef| format!("{} {}", field.name(), field.data_type());
    fields.iter().map(said).collect()
}

/// The values of a row, as the arrays have them.
pub(super) fn row(batch: &RecordBatch, row: usize) -> Vec<String> {
    batch
        .columns()
        .iter()
        .map(|column| cell(column, row))
        .collect()
}

fn cell(column: &dyn Array, row: usize) -> String {
    macro_rules! primitive {
        ($ty:ty) => {
            column.as_primitive::<$ty>().value(row).to_string()
        };
    }
    if column.is_null(row) {
        return "null".to_owned();
    }
    match column.data_type() {
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Int16 => primitive!(Int16Type),
        DataType::Int32 => primitive!(Int32Type),
        DataType::Int64 => primitive!(Int64Type),
        DataType::UInt32 => primitive!(UInt32Type),
        DataType::UInt64 => primitive!(UInt64Type),
        DataType::Float32 => format!("{:?}", column.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => format!("{:?}", column.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => column.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Binary => format!("{:02x?}", column.as_binary::<i32>().value(row)),
        DataType::Date32 => primitive!(Date32Type),
        DataType::Time64(TimeUnit::Microsecond) => primitive!(Time64MicrosecondType),
        DataType::Timestamp(TimeUnit::Microsecond, _) => primitive!(TimestampMicrosecondType),
        other => panic!("{other}"),
    }
}

/// A query with a key in batches resumes after each of them, as its position says.
pub(super) async fn check_resume(request: impl Fn() -> Request, rows: usize) {
    let mut stream = request().batches();
    let mut taken = 0;
    while let Some(batch) = stream.try_next().await.unwrap() {
        taken += batch.num_rows();
        let position = serde_json::to_string(&stream.position().unwrap()).unwrap();
        let position: Position = serde_json::from_str(&position).unwrap();
        let rest = batches(request().from(position)).await;
        let rest: usize = rest.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(taken + rest, rows);
    }
    assert_eq!(taken, rows);
}
