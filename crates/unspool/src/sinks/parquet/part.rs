//! One Parquet file that is being written.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema as ArrowSchema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::columns::{Builder, arrow_fields};
use crate::sinks::schema::{Columns, Row};

/// How many bytes a row group has at most, about.
const ROW_GROUP: usize = 16 << 20;

/// How many rows, and how many bytes of items, are made into arrays at a time.
const BATCH_ROWS: usize = 4096;
const BATCH_BYTES: usize = 4 << 20;

/// A file under a name of its own, until it is whole.
pub(super) struct Part {
    pub(super) path: PathBuf,
    writer: ArrowWriter<BufWriter<File>>,
    pub(super) schema: SchemaRef,
    /// Of items of text; Arrow batches have theirs.
    builders: Vec<Builder>,
    /// How many rows are in the builders, and how many in the file, these included.
    batch_rows: usize,
    pub(super) rows: u64,
    batch_bytes: usize,
    text: String,
}

impl Part {
    pub(super) fn begin(path: PathBuf, columns: &Columns) -> Result<Self, ParquetError> {
        let schema = Arc::new(ArrowSchema::new(arrow_fields(&columns.fields())));
        let kinds = columns.list().iter().map(|column| &column.kind);
        Ok(Part {
            builders: kinds.map(Builder::new).collect(),
            ..Part::begin_arrow(path, schema)?
        })
    }

    /// A file for Arrow batches of this schema.
    pub(super) fn begin_arrow(path: PathBuf, schema: SchemaRef) -> Result<Self, ParquetError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .build();
        let file = BufWriter::new(File::create(&path)?);
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties))?;
        Ok(Part {
            path,
            writer,
            schema,
            builders: Vec::new(),
            batch_rows: 0,
            rows: 0,
            batch_bytes: 0,
            text: String::new(),
        })
    }

    pub(super) fn columns(&self) -> usize {
        self.builders.len()
    }

    /// Appends an item; false where it does not fit, after which the part has to be finished.
    pub(super) fn append(&mut self, row: &Row, item: &str) -> Result<bool, ParquetError> {
        for (at, builder) in self.builders.iter_mut().enumerate() {
            if !builder.append(row.value(at, item), &mut self.text) {
                return Ok(false);
            }
        }
        self.rows += 1;
        self.batch_rows += 1;
        self.batch_bytes += item.len();
        if self.batch_rows >= BATCH_ROWS || self.batch_bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(true)
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        let rows = std::mem::take(&mut self.batch_rows);
        self.batch_bytes = 0;
        let arrays = self.builders.iter_mut().map(|builder| builder.finish(rows));
        let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
        let batch = RecordBatch::try_new(self.schema.clone(), arrays)?;
        self.write_group(&batch)
    }

    /// Writes an Arrow batch.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        self.rows += batch.num_rows() as u64;
        self.write_group(batch)
    }

    fn write_group(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        self.writer.write(batch)?;
        if self.writer.in_progress_size() >= ROW_GROUP {
            self.writer.flush()?;
        }
        Ok(())
    }

    /// Makes the file whole and durable, under the name that it has.
    pub(super) fn finish(mut self, notes: Vec<(&str, String)>) -> Result<PathBuf, ParquetError> {
        if self.batch_rows > 0 {
            self.flush()?;
        }
        for (key, value) in notes {
            (self.writer).append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        let mut file = self.writer.into_inner()?;
        file.flush()?;
        file.get_ref().sync_all()?;
        Ok(self.path)
    }
}

/// The note under a key in the footer of a file; none where the file is not whole.
pub(super) fn note(path: &Path, key: &str) -> Option<String> {
    let file = File::open(path).ok()?;
    let mut reader = parquet::file::metadata::ParquetMetaDataReader::new();
    reader.try_parse(&file).ok()?;
    let metadata = reader.finish().ok()?;
    let notes = metadata.file_metadata().key_value_metadata()?;
    notes.iter().find(|note| note.key == key)?.value.clone()
}
