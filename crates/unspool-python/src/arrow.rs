//! Items as record batches of Arrow, read without the interpreter.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::ffi::{FFI_ArrowSchema, to_ffi};
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{Array, RecordBatch, RecordBatchReader, StructArray};
use arrow_schema::{ArrowError, SchemaRef};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use unspool::Error;
use unspool::sinks::Batches;

use crate::errors::raised;
use crate::opened::Item;
use crate::stream::Shared;

/// Batches of the items of a stream.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    batches: Batches,
    is_over: bool,
    /// Whether somebody was told that there are no more.
    has_told: bool,
}

/// A reader that is asked from several places: some ask a stream for its schema through one
/// capsule, and for its batches through another one, to which nothing may be lost.
#[derive(Clone)]
pub(crate) struct SharedReader {
    reader: Arc<Mutex<Reader>>,
}

/// What comes of reading for some time.
pub(crate) enum Read {
    Batch(RecordBatch),
    /// Nothing yet: it is time to look for signals.
    Nothing,
    End,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, schema: Option<&str>) -> PyResult<Self> {
        Ok(Reader {
            shared,
            batches: Batches::new(schema).map_err(raised)?,
            is_over: false,
            has_told: false,
        })
    }

    /// Reads until there is a batch, or for as long as a signal may wait.
    fn read(&mut self) -> PyResult<Read> {
        self.read_until(|batches| batches.next().map(Read::Batch))
    }

    /// Reads until the schema is known.
    fn read_schema(&mut self) -> PyResult<bool> {
        let read = self.read_until(|batches| batches.schema().map(|_| Read::End))?;
        Ok(matches!(read, Read::End))
    }

    fn read_until(&mut self, wanted: impl Fn(&mut Batches) -> Option<Read>) -> PyResult<Read> {
        loop {
            if let Some(read) = wanted(&mut self.batches) {
                return Ok(read);
            }
            if self.is_over {
                return Ok(Read::End);
            }
            let batches = &mut self.batches;
            let mut failed: Result<(), Error> = Ok(());
            let more = self.shared.each_ready(|item| {
                if failed.is_ok() {
                    failed = match &item {
                        Item::Json(item) => batches.push(item.as_str()),
                        Item::Text(_) => Err(Error::wrong(
                            "a text has no columns: ask for `items=\"dict\"`".to_owned(),
                        )),
                    };
                }
                failed.is_ok()
            })?;
            if failed.is_err() {
                self.shared.fail();
            }
            failed.map_err(raised)?;
            match more {
                Some(true) => {}
                Some(false) => {
                    self.is_over = true;
                    self.batches.end().map_err(raised)?;
                }
                None => return Ok(Read::Nothing),
            }
        }
    }
}

impl SharedReader {
    pub(crate) fn new(reader: Reader) -> Self {
        SharedReader {
            reader: Arc::new(Mutex::new(reader)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Reader> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> PyResult<Read> {
        let mut reader = self.lock();
        let read = reader.read()?;
        reader.has_told |= matches!(read, Read::End);
        Ok(read)
    }

    /// The schema, which takes the first items to know.
    fn wait_for_schema(&self, py: Python<'_>) -> PyResult<SchemaRef> {
        while !py.detach(|| self.lock().read_schema())? {
            py.check_signals()?;
        }
        Ok(self.schema())
    }
}

/// For those who read through the C interface, from threads without the interpreter.
impl Iterator for SharedReader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read() {
                Ok(Read::Batch(batch)) => return Some(Ok(batch)),
                Ok(Read::Nothing) => {}
                Ok(Read::End) => return None,
                Err(error) => return Some(Err(ArrowError::ExternalError(Box::new(error)))),
            }
        }
    }
}

impl RecordBatchReader for SharedReader {
    fn schema(&self) -> SchemaRef {
        let known = self.lock().batches.schema();
        known.unwrap_or_else(|| SchemaRef::new(arrow_schema::Schema::empty()))
    }
}

/// The capsule of a stream of batches (Arrow's PyCapsule interface).
pub(crate) fn capsule<'py>(
    py: Python<'py>,
    reader: SharedReader,
) -> PyResult<Bound<'py, PyCapsule>> {
    if py.detach(|| reader.lock().has_told) {
        return Err(PyRuntimeError::new_err(
            "these items have been read: open the source once more, or keep a `table()` of them",
        ));
    }
    reader.wait_for_schema(py)?;
    let stream = FFI_ArrowArrayStream::new(Box::new(reader));
    PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
}

/// Batches one after the other, for Python.
#[pyclass(frozen, module = "unspool._unspool")]
pub(crate) struct BatchIterator {
    reader: SharedReader,
}

impl BatchIterator {
    pub(crate) fn new(reader: Reader) -> Self {
        BatchIterator {
            reader: SharedReader::new(reader),
        }
    }
}

#[pymethods]
impl BatchIterator {
    fn __iter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Batch>> {
        loop {
            match py.detach(|| self.reader.read())? {
                Read::Batch(batch) => return Ok(Some(Batch { batch })),
                Read::Nothing => py.check_signals()?,
                Read::End => return Ok(None),
            }
        }
    }

    /// The schema, as an object with `__arrow_c_schema__`; reads the first items for it.
    #[getter]
    fn schema(&self, py: Python<'_>) -> PyResult<Schema> {
        let schema = self.reader.wait_for_schema(py)?;
        Ok(Schema { schema })
    }
}

/// A record batch that others take without a copy.
#[pyclass(frozen, module = "unspool._unspool")]
pub(crate) struct Batch {
    batch: RecordBatch,
}

type Capsules<'py> = (Bound<'py, PyCapsule>, Bound<'py, PyCapsule>);

#[pymethods]
impl Batch {
    fn __len__(&self) -> usize {
        self.batch.num_rows()
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        schema_capsule(py, &self.batch.schema())
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Capsules<'py>> {
        // It may be ignored: what the batch is converted to is up to the taker.
        let _ = requested_schema;
        let data = StructArray::from(self.batch.clone()).to_data();
        let (array, _) = to_ffi(&data).map_err(arrow)?;
        let array = PyCapsule::new_with_value(py, array, c"arrow_array")?;
        Ok((self.__arrow_c_schema__(py)?, array))
    }
}

/// A schema that others take.
#[pyclass(frozen, module = "unspool._unspool")]
pub(crate) struct Schema {
    schema: SchemaRef,
}

#[pymethods]
impl Schema {
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        schema_capsule(py, &self.schema)
    }
}

fn schema_capsule<'py>(py: Python<'py>, schema: &SchemaRef) -> PyResult<Bound<'py, PyCapsule>> {
    let schema = FFI_ArrowSchema::try_from(schema.as_ref()).map_err(arrow)?;
    PyCapsule::new_with_value(py, schema, c"arrow_schema")
}

fn arrow(error: ArrowError) -> PyErr {
    raised(Error::wrong(error.to_string()))
}
