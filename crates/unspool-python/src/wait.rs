//! How an `await` waits: with a future of asyncio's, or with a coroutine of trio's.

use std::sync::Arc;

use pyo3::call::PyCallArgs;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;

use crate::mailbox::{Bell, Mailbox};

/// Who waits for the next item, and where.
#[derive(Default)]
pub(crate) struct Waiter {
    place: Option<Place>,
    /// The task that waits, weakly, until it is resumed; no other one may wait meanwhile.
    task: Option<Py<PyWeakrefReference>>,
}

enum Place {
    Asyncio {
        event_loop: Py<PyWeakrefReference>,
        mailbox: Arc<Mailbox>,
        number: usize,
    },
    Trio {
        mailbox: Arc<Mailbox>,
        /// A coroutine of trio's that is being driven.
        driven: Option<Py<PyAny>>,
    },
}

impl Waiter {
    /// Goes on with what is waited for, where that is a coroutine: what to yield next, or
    /// nothing if it is over.
    ///
    /// # Errors
    ///
    /// Another task waits already.
    pub(crate) fn resume(
        &mut self,
        py: Python<'_>,
        sent: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Py<PyAny>>> {
        if self.is_waited_for(py)? {
            return Err(PyRuntimeError::new_err(
                "another task waits for the next item already",
            ));
        }
        self.task = None;
        let Some(Place::Trio { mailbox, driven }) = &mut self.place else {
            return Ok(None);
        };
        let Some(coroutine) = driven.take() else {
            return Ok(None);
        };
        let sent = sent.map_or_else(|| py.None(), |sent| sent.clone().unbind());
        match coroutine.call_method1(py, intern!(py, "send"), (sent,)) {
            Ok(message) => {
                *driven = Some(coroutine);
                self.task = self.current_task(py)?;
                Ok(Some(message))
            }
            Err(error) if error.is_instance_of::<PyStopIteration>(py) => {
                mailbox.empty();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until the bell rings: what to yield; nothing if it has rung already.
    pub(crate) fn wait(&mut self, py: Python<'_>, bell: &Bell) -> PyResult<Option<Py<PyAny>>> {
        let message = match self.place(py)? {
            Place::Asyncio {
                event_loop,
                mailbox,
                number,
            } => {
                let event_loop = event_loop.bind(py).upgrade().ok_or_else(no_loop)?;
                let future = event_loop.call_method0(intern!(py, "create_future"))?;
                future.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
                mailbox.wait(*number, weak(&future)?);
                if !bell.arm(mailbox, *number) {
                    mailbox.forget(*number);
                    return Ok(None);
                }
                future.unbind()
            }
            Place::Trio { mailbox, driven } => {
                let coroutine = trio(py, "wait_readable", (mailbox.fd(),))?;
                if !bell.arm(mailbox, 0) {
                    coroutine.call_method0("close")?;
                    return Ok(None);
                }
                begin(coroutine, driven)?
            }
        };
        self.task = self.current_task(py)?;
        Ok(Some(message))
    }

    /// Lets other tasks run, though there is more: what to yield.
    pub(crate) fn rest(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let message = match self.place(py)? {
            // What `asyncio.sleep(0)` does.
            Place::Asyncio { .. } => py.None(),
            Place::Trio { driven, .. } => begin(trio(py, "checkpoint", ())?, driven)?,
        };
        self.task = self.current_task(py)?;
        Ok(message)
    }

    /// Nobody waits any more: an exception comes in the place of the item. What to yield, where
    /// trio still has something to do.
    pub(crate) fn thrown(&mut self, py: Python<'_>, error: PyErr) -> PyResult<Py<PyAny>> {
        match &mut self.place {
            Some(Place::Asyncio {
                mailbox, number, ..
            }) => mailbox.forget(*number),
            Some(Place::Trio { driven, .. }) => {
                if let Some(coroutine) = driven.take() {
                    let message = coroutine.call_method1(py, intern!(py, "throw"), (error,));
                    let message = message.inspect_err(|_| self.task = None)?;
                    *driven = Some(coroutine);
                    return Ok(message);
                }
            }
            None => {}
        }
        self.task = None;
        Err(error)
    }

    /// Whether a task waits that is not the one that runs now.
    pub(crate) fn is_waited_for(&self, py: Python<'_>) -> PyResult<bool> {
        let Some(waiting) = self.task.as_ref().and_then(|task| task.bind(py).upgrade()) else {
            return Ok(false);
        };
        if running_task(py, self.is_in_trio())?.is_some_and(|running| running.is(&waiting)) {
            return Ok(false);
        }
        // A task of asyncio's may have ended without being resumed, with its loop.
        match waiting.getattr_opt(intern!(py, "done"))? {
            Some(done) => Ok(!done.call0()?.is_truthy()?),
            None => Ok(true),
        }
    }

    fn current_task(&self, py: Python<'_>) -> PyResult<Option<Py<PyWeakrefReference>>> {
        let running = running_task(py, self.is_in_trio())?;
        running.map(|task| weak(&task)).transpose()
    }

    fn is_in_trio(&self) -> bool {
        matches!(self.place, Some(Place::Trio { .. }))
    }

    /// Where this is called: the mailbox of the running event loop, or of this waiter's own.
    fn place(&mut self, py: Python<'_>) -> PyResult<&mut Place> {
        let event_loop = running_loop(py)?;
        let is_same = match (&self.place, &event_loop) {
            (
                Some(Place::Asyncio {
                    event_loop: known, ..
                }),
                Some(event_loop),
            ) => (known.bind(py).upgrade()).is_some_and(|known| known.is(event_loop)),
            (Some(Place::Trio { .. }), None) => true,
            _ => false,
        };
        if !is_same {
            self.place = Some(match &event_loop {
                Some(event_loop) => Place::in_loop(event_loop)?,
                None => Place::in_trio(py)?,
            });
        }
        self.place.as_mut().ok_or_else(no_loop)
    }
}

impl Place {
    fn in_loop(event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mailbox = Mailbox::of_loop(event_loop)?;
        Ok(Place::Asyncio {
            event_loop: weak(event_loop)?,
            number: mailbox.number(),
            mailbox,
        })
    }

    fn in_trio(py: Python<'_>) -> PyResult<Self> {
        if running_task(py, true)?.is_none() {
            return Err(no_loop());
        }
        Ok(Place::Trio {
            mailbox: Mailbox::alone()?,
            driven: None,
        })
    }
}

fn weak(object: &Bound<'_, PyAny>) -> PyResult<Py<PyWeakrefReference>> {
    PyWeakrefReference::new(object).map(Bound::unbind)
}

/// The running event loop of asyncio, if there is one.
fn running_loop(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let asyncio = py.import(intern!(py, "asyncio"))?;
    let event_loop = asyncio.call_method0(intern!(py, "_get_running_loop"))?;
    Ok((!event_loop.is_none()).then_some(event_loop))
}

/// The task that runs this, if one does.
fn running_task(py: Python<'_>, is_in_trio: bool) -> PyResult<Option<Bound<'_, PyAny>>> {
    let task = if is_in_trio {
        trio(py, "current_task", ())
    } else {
        let asyncio = py.import(intern!(py, "asyncio"))?;
        asyncio.call_method0(intern!(py, "current_task"))
    };
    match task {
        Ok(task) => Ok((!task.is_none()).then_some(task)),
        Err(error) if error.is_instance_of::<PyRuntimeError>(py) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Begins to drive a coroutine of trio's: what it yields first.
fn begin(coroutine: Bound<'_, PyAny>, driven: &mut Option<Py<PyAny>>) -> PyResult<Py<PyAny>> {
    let py = coroutine.py();
    let message = coroutine.call_method1(intern!(py, "send"), (py.None(),))?;
    *driven = Some(coroutine.unbind());
    Ok(message.unbind())
}

fn trio<'py>(
    py: Python<'py>,
    function: &str,
    arguments: impl PyCallArgs<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    // Not imported where nobody uses it.
    let modules = py.import("sys")?.getattr("modules")?;
    if !modules.contains("trio")? {
        return Err(no_loop());
    }
    let trio = py.import("trio.lowlevel")?;
    trio.getattr(function)?.call1(arguments)
}

fn no_loop() -> PyErr {
    PyRuntimeError::new_err("expected a running event loop of asyncio or trio")
}
