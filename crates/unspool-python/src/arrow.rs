//! Items as record batches of Arrow, read without the interpreter.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use arrow_array::ffi::{FFI_ArrowSchema, to_ffi};
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{Array, RecordBatch, RecordBatchIterator, RecordBatchReader, StructArray};
use arrow_schema::{ArrowError, Schema as ArrowSchema, SchemaRef};
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use unspool::Error;
use unspool::sinks::Batches;

use crate::errors::raised;
use crate::opened::Item;
use crate::stream::{Shared, Step, Stream, exception};

/// Batches of the items of a stream.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    made: Made,
    is_over: bool,
    /// How many more items are to be read, where that is limited.
    left: Option<u64>,
    /// Whether somebody was told that there are no more.
    has_told: bool,
}

/// Where batches come from.
enum Made {
    /// From items, whose columns are found.
    Here(Box<Batches>),
    /// From the database, which knows its columns.
    There {
        schema: Option<SchemaRef>,
        whole: VecDeque<RecordBatch>,
    },
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

impl Made {
    fn there() -> Self {
        Made::There {
            schema: None,
            whole: VecDeque::new(),
        }
    }

    fn push(&mut self, item: &Item) -> Result<(), Error> {
        match (self, item) {
            (Made::Here(batches), Item::Json(item)) => batches.push(item.as_str()),
            (Made::There { schema, whole }, Item::Batch(batch)) => {
                schema.get_or_insert_with(|| batch.schema());
                if batch.num_rows() > 0 {
                    whole.push_back(batch.clone());
                }
                Ok(())
            }
            (_, Item::Text(_)) => Err(Error::wrong(
                "a text has no columns: ask for `items=\"dict\"`".to_owned(),
            )),
            _ => Err(Error::wrong(
                "these rows are read as batches already: open the source once more".to_owned(),
            )),
        }
    }

    fn end(&mut self) -> Result<(), Error> {
        match self {
            Made::Here(batches) => batches.end(),
            Made::There { .. } => Ok(()),
        }
    }

    fn next(&mut self) -> Option<RecordBatch> {
        match self {
            Made::Here(batches) => batches.next(),
            Made::There { whole, .. } => whole.pop_front(),
        }
    }

    fn schema(&self) -> Option<SchemaRef> {
        match self {
            Made::Here(batches) => batches.schema(),
            Made::There { schema, .. } => schema.clone(),
        }
    }

    fn unified(&self, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        match self {
            Made::Here(batches) => batches.unified(batch),
            Made::There { .. } => Ok(batch.clone()),
        }
    }
}

impl Reader {
    /// A reader whose batches have all the same columns: an item that does not fit is an error.
    pub(crate) fn new(shared: Arc<Shared>) -> PyResult<Self> {
        let made = if shared.gives_batches()? {
            Made::there()
        } else {
            Made::Here(Box::new(Batches::new(None).map_err(raised)?))
        };
        Ok(Reader::of(shared, made, None))
    }

    /// One whose columns widen where an item does not fit, of so many items at most.
    pub(crate) fn widening(
        shared: Arc<Shared>,
        schema: Option<&str>,
        most: Option<u64>,
    ) -> PyResult<Self> {
        // Batches of a query are not of some number of rows.
        let made = if schema.is_none() && most.is_none() && shared.gives_batches()? {
            Made::there()
        } else {
            Made::Here(Box::new(Batches::new(schema).map_err(raised)?.widening()))
        };
        Ok(Reader::of(shared, made, most))
    }

    fn of(shared: Arc<Shared>, made: Made, left: Option<u64>) -> Self {
        Reader {
            shared,
            made,
            is_over: false,
            left,
            has_told: false,
        }
    }

    /// Reads until there is a batch, or for as long as a signal may wait.
    fn read(&mut self) -> PyResult<Read> {
        self.read_until(|made| made.next().map(Read::Batch))
    }

    /// Reads until the schema is known.
    fn read_schema(&mut self) -> PyResult<bool> {
        let read = self.read_until(|made| made.schema().map(|_| Read::End))?;
        Ok(matches!(read, Read::End))
    }

    fn read_until(&mut self, wanted: impl Fn(&mut Made) -> Option<Read>) -> PyResult<Read> {
        loop {
            if let Some(read) = wanted(&mut self.made) {
                return Ok(read);
            }
            if self.is_over {
                return Ok(Read::End);
            }
            if self.left == Some(0) {
                self.shared.leave();
                self.end()?;
                continue;
            }
            let (made, left) = (&mut self.made, &mut self.left);
            let mut failed: Result<(), Error> = Ok(());
            let more = self.shared.each_ready(|item| {
                failed = made.push(&item);
                *left = left.map(|left| left.saturating_sub(1));
                failed.is_ok() && *left != Some(0)
            })?;
            if failed.is_err() {
                self.shared.fail();
            }
            failed.map_err(raised)?;
            match more {
                Some(true) => {}
                Some(false) => self.end()?,
                None => return Ok(Read::Nothing),
            }
        }
    }

    /// Takes in what a stream gave; nothing is its end.
    pub(crate) fn take(&mut self, item: Option<&Item>) -> PyResult<()> {
        match item {
            Some(item) => self.made.push(item).map_err(raised),
            None => self.end(),
        }
    }

    fn end(&mut self) -> PyResult<()> {
        self.is_over = true;
        self.made.end().map_err(raised)
    }

    /// A batch that is there, or whether there are no more.
    pub(crate) fn ready(&mut self) -> Read {
        match self.made.next() {
            Some(batch) => Read::Batch(batch),
            None if self.is_over => Read::End,
            None => Read::Nothing,
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

    /// The reader for somebody who has the interpreter, which whoever has the reader may wait for.
    pub(crate) fn try_lock(&self) -> PyResult<MutexGuard<'_, Reader>> {
        match self.reader.try_lock() {
            Ok(reader) => Ok(reader),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(PyRuntimeError::new_err(
                "the next batch is being read in another thread",
            )),
        }
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
        let known = self.lock().made.schema();
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

/// Batches one after the other, for Python. When the loop is left, the source is closed.
#[pyclass(frozen, module = "unspool._unspool")]
pub(crate) struct BatchIterator {
    stream: Py<Stream>,
    reader: SharedReader,
}

impl BatchIterator {
    pub(crate) fn new(stream: &Bound<'_, Stream>, reader: Reader) -> Self {
        BatchIterator {
            stream: stream.clone().unbind(),
            reader: SharedReader::new(reader),
        }
    }
}

impl Drop for BatchIterator {
    fn drop(&mut self) {
        self.stream.get().leave();
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

    fn __aiter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    fn __anext__(&self, py: Python<'_>) -> NextBatch {
        NextBatch {
            stream: self.stream.clone_ref(py),
            reader: self.reader.clone(),
        }
    }
}

/// The awaitable of the next batch, in the form of a coroutine. What it has read when it is
/// cancelled stays where it is.
#[pyclass(frozen, module = "unspool._unspool")]
pub(crate) struct NextBatch {
    stream: Py<Stream>,
    reader: SharedReader,
}

impl NextBatch {
    /// A value is the end of an await.
    fn told(step: Step) -> PyResult<Py<PyAny>> {
        match step {
            Step::Value(batch) => Err(PyStopIteration::new_err((batch,))),
            Step::Wait(message) => Ok(message),
        }
    }
}

#[pymethods]
impl NextBatch {
    fn __await__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        NextBatch::told(self.stream.get().batch_step(py, &self.reader, None)?)
    }

    fn send(&self, py: Python<'_>, value: Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        NextBatch::told((self.stream.get()).batch_step(py, &self.reader, Some(&value))?)
    }

    #[pyo3(signature = (typ, val = None, tb = None))]
    fn throw(
        &self,
        py: Python<'_>,
        typ: Bound<'_, PyAny>,
        val: Option<Bound<'_, PyAny>>,
        tb: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        NextBatch::told(self.stream.get().thrown(py, exception(typ, val, tb)?)?)
    }

    fn close(&self) {}
}

/// All items of a stream as batches with the same columns.
#[pyclass(frozen, module = "unspool._unspool")]
pub(crate) struct Batched {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Batched {
    /// Reads them all.
    pub(crate) fn read(py: Python<'_>, mut reader: Reader) -> PyResult<Self> {
        let mut batches = Vec::new();
        loop {
            match py.detach(|| reader.read())? {
                Read::Batch(batch) => batches.push(batch),
                Read::Nothing => py.check_signals()?,
                Read::End => break,
            }
        }
        py.detach(|| {
            let unified = batches.iter().map(|batch| reader.made.unified(batch));
            Ok(Batched {
                batches: unified.collect::<Result<_, _>>().map_err(raised)?,
                schema: (reader.made.schema()).unwrap_or_else(|| Arc::new(ArrowSchema::empty())),
            })
        })
    }
}

#[pymethods]
impl Batched {
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        schema_capsule(py, &self.schema)
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // It may be ignored: what the batches are converted to is up to the taker.
        let _ = requested_schema;
        let batches = self.batches.clone().into_iter().map(Ok);
        let batches = RecordBatchIterator::new(batches, Arc::clone(&self.schema));
        let stream = FFI_ArrowArrayStream::new(Box::new(batches));
        PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
    }
}

/// A record batch that others take without a copy.
#[pyclass(frozen, module = "unspool._unspool")]
pub(crate) struct Batch {
    batch: RecordBatch,
}

impl Batch {
    pub(crate) fn object(py: Python<'_>, batch: RecordBatch) -> PyResult<Py<PyAny>> {
        Ok(Bound::new(py, Batch { batch })?.into_any().unbind())
    }
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

fn schema_capsule<'py>(py: Python<'py>, schema: &SchemaRef) -> PyResult<Bound<'py, PyCapsule>> {
    let schema = FFI_ArrowSchema::try_from(schema.as_ref()).map_err(arrow)?;
    PyCapsule::new_with_value(py, schema, c"arrow_schema")
}

fn arrow(error: ArrowError) -> PyErr {
    raised(Error::wrong(error.to_string()))
}
