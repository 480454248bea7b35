//! One tokio runtime, and one HTTP client, for each process.
//!
//! A fork copies no threads, so that a child's copy of the runtime would wait for ever. Both are
//! tagged with the process that made them; a child makes its own, and never drops the copies,
//! whose threads it could not join.

use std::process;
use std::sync::{Mutex, PoisonError};

use pyo3::PyResult;
use tokio::runtime::{Builder, Runtime};
use unspool::Http;

/// How many threads read sockets: the work for an item is done on the interpreter's. A second one
/// would be woken for each page, to find that the first has done what there was to do.
const THREADS: usize = 1;

static RUNTIME: OfProcess<Runtime> = OfProcess::new();
static HTTP: OfProcess<Http> = OfProcess::new();

/// The runtime of this process.
pub(crate) fn runtime() -> PyResult<&'static Runtime> {
    RUNTIME.get_or_make(|| {
        let made = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("unspool")
            .enable_all()
            .build()?;
        Ok(made)
    })
}

/// The HTTP client of this process: sources share its connections, and its budget for each
/// origin.
pub(crate) fn http() -> PyResult<&'static Http> {
    HTTP.get_or_make(|| Ok(Http::new()))
}

/// A value that each process makes for itself, and that lives as long as it.
struct OfProcess<T: 'static> {
    made: Mutex<Option<(u32, &'static T)>>,
}

impl<T> OfProcess<T> {
    const fn new() -> Self {
        OfProcess {
            made: Mutex::new(None),
        }
    }

    fn get_or_make(&self, make: impl FnOnce() -> PyResult<T>) -> PyResult<&'static T> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match *made {
            Some((pid, value)) if pid == process::id() => Ok(value),
            _ => {
                let value: &'static T = Box::leak(Box::new(make()?));
                *made = Some((process::id(), value));
                Ok(value)
            }
        }
    }
}
