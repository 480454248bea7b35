//! Bare loops: what one would write by hand for these items and nothing else, with the same
//! libraries. No schema is found out, no value is checked, and nothing is kept to resume.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use bytes::{Bytes, BytesMut};
use futures_util::SinkExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use rusqlite::Connection;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use tokio_postgres::{Client, NoTls};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How many items a transaction has.
const TRANSACTION: usize = 10_000;

const COLUMNS: [&str; 10] = [
    "id",
    "name",
    "email",
    "price",
    "in_stock",
    "created_at",
    "tags",
    "owner",
    "text",
    "parent",
];

/// Runs the loop of a case over the lines of a file.
pub(super) fn run(name: &str, input: &Path, folder: &Path, postgres: &str) -> Result<()> {
    match name {
        "lines" => super::each(input, |line| {
            black_box(line);
            Ok(())
        }),
        "split" => super::each(input, |line| {
            black_box(fields(line)?);
            Ok(())
        }),
        "NDJSON" => {
            let mut file = file(&folder.join("bare.jsonl"))?;
            super::each(input, |line| Ok(writeln!(file, "{line}")?))?;
            ended(file.into_inner()?)
        }
        "NDJSON.zst" => {
            let file = file(&folder.join("bare.zst"))?;
            let mut encoder = zstd::Encoder::new(file, 3)?;
            encoder.include_checksum(true)?;
            super::each(input, |line| Ok(writeln!(encoder, "{line}")?))?;
            ended(encoder.finish()?.into_inner()?)
        }
        "NDJSON.gz" => {
            let file = file(&folder.join("bare.gz"))?;
            let level = flate2::Compression::new(1);
            let mut encoder = flate2::write::GzEncoder::new(file, level);
            super::each(input, |line| Ok(writeln!(encoder, "{line}")?))?;
            ended(encoder.finish()?.into_inner()?)
        }
        "CSV" => csv_file(input, &folder.join("bare.csv")),
        "Parquet" => parquet_file(input, &folder.join("bare.parquet")),
        "SQLite" => sqlite(input, &folder.join("bare.db"), false),
        "SQLite, upsert" => sqlite(input, &folder.join("bare-upsert.db"), true),
        "Postgres" | "Postgres, upsert" => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(postgres_table(input, postgres, name != "Postgres"))
        }
        _ => Err("no such case".into()),
    }
}

fn file(path: &Path) -> Result<BufWriter<File>> {
    Ok(BufWriter::with_capacity(256 << 10, File::create(path)?))
}

fn ended(file: File) -> Result<()> {
    Ok(file.sync_data()?)
}

/// The fields of an item, as texts.
fn fields(line: &str) -> Result<Vec<&RawValue>> {
    struct Fields;
    impl<'de> Visitor<'de> for Fields {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(
            self,
            mut map: A,
        ) -> std::result::Result<Self::Value, A::Error> {
            let mut fields = Vec::with_capacity(COLUMNS.len());
            while let Some((key, value)) = map.next_entry::<&str, &RawValue>()? {
                black_box(key);
                fields.push(value);
            }
            Ok(fields)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(line);
    Ok(serde::Deserializer::deserialize_map(
        &mut deserializer,
        Fields,
    )?)
}

/// A value as text: a string without its quotes and escapes, anything else as it stands there.
fn text(value: &RawValue) -> Result<Cow<'_, str>> {
    let json = value.get();
    if !json.starts_with('"') {
        return Ok(Cow::Borrowed(json));
    }
    if json.contains('\\') {
        return Ok(Cow::Owned(serde_json::from_str(json)?));
    }
    Ok(Cow::Borrowed(&json[1..json.len() - 1]))
}

fn csv_file(input: &Path, path: &Path) -> Result<()> {
    let mut writer = csv::WriterBuilder::new()
        .buffer_capacity(256 << 10)
        .from_writer(File::create(path)?);
    writer.write_record(COLUMNS)?;
    super::each(input, |line| {
        for value in fields(line)? {
            let value = match value.get() {
                "null" => Cow::Borrowed(""),
                _ => text(value)?,
            };
            writer.write_field(&*value)?;
        }
        writer.write_record(None::<&[u8]>)?;
        Ok(())
    })?;
    writer.flush()?;
    Ok(())
}

fn parquet_file(input: &Path, path: &Path) -> Result<()> {
    let field = |name: &str, kind| Field::new(name, kind, true);
    let owner = vec![
        field("id", DataType::Int64),
        field("login", DataType::Utf8),
        field("admin", DataType::Boolean),
    ];
    let tags = Arc::new(field("element", DataType::Utf8));
    let schema = Arc::new(Schema::new(vec![
        field("id", DataType::Int64),
        field("name", DataType::Utf8),
        field("email", DataType::Utf8),
        field("price", DataType::Float64),
        field("in_stock", DataType::Boolean),
        field("created_at", DataType::Utf8),
        field("tags", DataType::List(tags)),
        field("owner", DataType::Struct(owner.into())),
        field("text", DataType::Utf8),
        field("parent", DataType::Int64),
    ]));
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .build();
    let file = file(path)?;
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))?;
    let mut decoder = arrow_json::ReaderBuilder::new(schema)
        .with_batch_size(4096)
        .build_decoder()?;
    let mut write = |decoder: &mut arrow_json::reader::Decoder| -> Result<()> {
        if let Some(batch) = decoder.flush()? {
            writer.write(&batch)?;
            if writer.in_progress_size() >= 16 << 20 {
                writer.flush()?;
            }
        }
        Ok(())
    };
    let mut rows = 0;
    super::each(input, |line| {
        decoder.decode(line.as_bytes())?;
        decoder.decode(b"\n")?;
        rows += 1;
        if rows % 4096 == 0 {
            write(&mut decoder)?;
        }
        Ok(())
    })?;
    write(&mut decoder)?;
    ended(writer.into_inner()?.into_inner()?)
}

fn sqlite(input: &Path, path: &Path, has_key: bool) -> Result<()> {
    let _ = fs::remove_file(path);
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    let (names, key) = (
        COLUMNS.join(", "),
        if has_key { ", primary key (id)" } else { "" },
    );
    connection.execute_batch(&format!("create table a ({names}{key}); begin"))?;
    let marks = ["?"; COLUMNS.len()].join(", ");
    let mut sql = format!("insert into a values ({marks})");
    if has_key {
        sql = format!("{sql} on conflict (id) do update set {}", replaced());
    }
    let mut statement = connection.prepare(&sql)?;
    let mut rows = 0;
    super::each(input, |line| {
        for (at, value) in fields(line)?.into_iter().enumerate() {
            match value.get() {
                "null" => statement.raw_bind_parameter(at + 1, rusqlite::types::Null)?,
                "true" => statement.raw_bind_parameter(at + 1, 1)?,
                "false" => statement.raw_bind_parameter(at + 1, 0)?,
                json if json.starts_with(|first: char| first.is_ascii_digit()) => {
                    match json.parse::<i64>() {
                        Ok(number) => statement.raw_bind_parameter(at + 1, number)?,
                        Err(_) => statement.raw_bind_parameter(at + 1, json.parse::<f64>()?)?,
                    }
                }
                _ => statement.raw_bind_parameter(at + 1, &*text(value)?)?,
            }
        }
        statement.raw_execute()?;
        rows += 1;
        if rows % TRANSACTION == 0 {
            connection.execute_batch("commit; begin")?;
        }
        Ok(())
    })?;
    Ok(connection.execute_batch("commit")?)
}

/// What an upsert sets.
fn replaced() -> String {
    let set = COLUMNS[1..].iter();
    let set: Vec<_> = set
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
    set.join(", ")
}

async fn postgres_table(input: &Path, address: &str, has_key: bool) -> Result<()> {
    let (client, connection) = tokio_postgres::connect(address, NoTls).await?;
    tokio::spawn(connection);
    let columns = "id bigint, name text, email text, price double precision, in_stock boolean, \
                   created_at text, tags json, owner json, text text, parent bigint";
    let key = if has_key { ", primary key (id)" } else { "" };
    client
        .batch_execute(&format!(
            "drop table if exists bare; create table bare ({columns}{key}); \
             create temporary table stage ({columns}) on commit delete rows"
        ))
        .await?;
    let mut lines = super::Lines::open(input)?;
    let mut line = String::new();
    let mut is_more = true;
    while is_more {
        client.batch_execute("begin").await?;
        is_more = copy(&client, &mut lines, &mut line, has_key).await?;
        if has_key {
            let names = COLUMNS.join(", ");
            let set = replaced();
            client
                .batch_execute(&format!(
                    "insert into bare select distinct on (id) {names} from stage \
                     on conflict (id) do update set {set}"
                ))
                .await?;
        }
        client.batch_execute("commit").await?;
    }
    Ok(())
}

/// Copies the rows of one transaction; whether there are more.
async fn copy(
    client: &Client,
    lines: &mut super::Lines,
    line: &mut String,
    has_key: bool,
) -> Result<bool> {
    let table = if has_key { "stage" } else { "bare" };
    let sql = format!("copy {table} from stdin");
    let mut sink = Box::pin(client.copy_in::<_, Bytes>(&sql).await?);
    let mut rows = BytesMut::with_capacity(80 << 10);
    for _ in 0..TRANSACTION {
        if !lines.next(line)? {
            sink.send(rows.freeze()).await?;
            sink.as_mut().finish().await?;
            return Ok(false);
        }
        for (at, value) in fields(line)?.into_iter().enumerate() {
            if at > 0 {
                rows.extend_from_slice(b"\t");
            }
            match value.get() {
                "null" => rows.extend_from_slice(b"\\N"),
                _ => escape(&text(value)?, &mut rows),
            }
        }
        rows.extend_from_slice(b"\n");
        if rows.len() >= 64 << 10 {
            sink.send(rows.split().freeze()).await?;
        }
    }
    sink.send(rows.freeze()).await?;
    sink.as_mut().finish().await?;
    Ok(true)
}

/// Text in `COPY`'s own escapes.
fn escape(text: &str, rows: &mut BytesMut) {
    let mut begin = 0;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let escaped: &[u8] = match byte {
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\t' => b"\\t",
            b'\r' => b"\\r",
            _ => continue,
        };
        rows.extend_from_slice(&bytes[begin..at]);
        rows.extend_from_slice(escaped);
        begin = at + 1;
    }
    rows.extend_from_slice(&bytes[begin..]);
}
