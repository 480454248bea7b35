//! What `for` asks, and awaitables that are done.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;

use crate::stream::{Stream, exception};

/// The iterator of one `for`. When the loop is left, nothing holds it, and the source is closed.
#[pyclass(frozen, module = "unspool._unspool")]
pub(crate) struct ItemsIterator {
    stream: Py<Stream>,
}

impl ItemsIterator {
    pub(crate) fn new(stream: &Bound<'_, Stream>) -> Self {
        ItemsIterator {
            stream: stream.clone().unbind(),
        }
    }
}

impl Drop for ItemsIterator {
    fn drop(&mut self) {
        self.stream.get().leave();
    }
}

#[pymethods]
impl ItemsIterator {
    fn __iter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.stream.get().blocking(py)
    }
}

/// An awaitable that is done, in the form of a coroutine.
#[pyclass(frozen, module = "unspool._unspool")]
pub(crate) struct Done {
    value: Option<Py<PyAny>>,
    error: Mutex<Option<PyErr>>,
}

impl Done {
    pub(crate) fn with(value: Option<Py<PyAny>>) -> Self {
        Done {
            value,
            error: Mutex::default(),
        }
    }

    pub(crate) fn failed(error: PyErr) -> Self {
        Done {
            value: None,
            error: Mutex::new(Some(error)),
        }
    }
}

#[pymethods]
impl Done {
    fn __await__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let error = (self.error.lock().unwrap_or_else(PoisonError::into_inner)).take();
        if let Some(error) = error {
            return Err(error);
        }
        let value = self.value.as_ref();
        let value = value.map_or_else(|| py.None(), |value| value.clone_ref(py));
        Err(PyStopIteration::new_err((value,)))
    }

    fn send(&self, py: Python<'_>, _value: Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.__next__(py)
    }

    #[pyo3(signature = (typ, val = None, tb = None))]
    fn throw(
        &self,
        typ: Bound<'_, PyAny>,
        val: Option<Bound<'_, PyAny>>,
        tb: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        Err(exception(typ, val, tb)?)
    }

    fn close(&self) {}
}
