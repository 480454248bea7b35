//! How an `await` waits: with a future of asyncio's, or with a coroutine of trio's.

use std::sync::Arc;

use pyo3::call::PyCallArgs;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyWeakrefReference;

use crate::mailbox::{Bell, Mailbox};

/// Who waits for the next item, and where.
#[derive(Default)]
pub(crate) struct Waiter {
    place: Option<Place>,
    /// What one task waits for, weakly; another one may not wait as well.
    future: Option<Py<PyWeakrefReference>>,
}

enum Place {
    Asyncio {
        event_loop: Py<PyWeakrefReference>,
        mailbox: Arc<Mailbox>,
        number: usize,
    },
    Trio {
        mailbox: Arc<Mailbox>,
        /// A coroutine of trio's that is being driven, and the task that drives it.
        driven: Option<(Py<PyAny>, usize)>,
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
        if let Some(future) = self
            .future
            .take()
            .and_then(|future| future.bind(py).upgrade())
            && !future.call_method0(intern!(py, "done"))?.is_truthy()?
        {
            self.future = Some(PyWeakrefReference::new(&future)?.unbind());
            return Err(occupied());
        }
        let Some(Place::Trio { mailbox, driven }) = &mut self.place else {
            return Ok(None);
        };
        let Some((coroutine, task)) = driven.take() else {
            return Ok(None);
        };
        if task != current_task(py)? {
            *driven = Some((coroutine, task));
            return Err(occupied());
        }
        let sent = sent.map_or_else(|| py.None(), |sent| sent.clone().unbind());
        match coroutine.call_method1(py, intern!(py, "send"), (sent,)) {
            Ok(message) => {
                *driven = Some((coroutine, task));
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
        match self.place(py)? {
            (
                Place::Asyncio {
                    mailbox, number, ..
                },
                Some(event_loop),
            ) => {
                let future = event_loop.call_method0(intern!(py, "create_future"))?;
                future.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
                let weak = PyWeakrefReference::new(&future)?;
                mailbox.wait(*number, weak.clone().unbind());
                if bell.arm(mailbox, *number) {
                    self.future = Some(weak.unbind());
                    Ok(Some(future.unbind()))
                } else {
                    mailbox.forget(*number);
                    Ok(None)
                }
            }
            (Place::Trio { mailbox, driven }, _) => {
                let coroutine = trio(py, "wait_readable", (mailbox.fd(),))?;
                if bell.arm(mailbox, 0) {
                    begin(coroutine, driven).map(Some)
                } else {
                    coroutine.call_method0("close")?;
                    Ok(None)
                }
            }
            _ => Err(no_loop()),
        }
    }

    /// Lets other tasks run, though there is more: what to yield.
    pub(crate) fn rest(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.place(py)? {
            // What `asyncio.sleep(0)` does.
            (Place::Asyncio { .. }, _) => Ok(py.None()),
            (Place::Trio { driven, .. }, _) => begin(trio(py, "checkpoint", ())?, driven),
        }
    }

    /// Nobody waits any more: an exception comes in the place of the item. What to yield, where
    /// trio still has something to do.
    pub(crate) fn thrown(&mut self, py: Python<'_>, error: PyErr) -> PyResult<Py<PyAny>> {
        self.future = None;
        match &mut self.place {
            Some(Place::Asyncio {
                mailbox, number, ..
            }) => mailbox.forget(*number),
            Some(Place::Trio { driven, .. }) => {
                if let Some((coroutine, task)) = driven.take() {
                    let message = coroutine.call_method1(py, intern!(py, "throw"), (error,))?;
                    *driven = Some((coroutine, task));
                    return Ok(message);
                }
            }
            None => {}
        }
        Err(error)
    }

    /// Whether a task waits.
    pub(crate) fn is_waited_for(&self, py: Python<'_>) -> PyResult<bool> {
        if let Some(Place::Trio {
            driven: Some(_), ..
        }) = &self.place
        {
            return Ok(true);
        }
        match self
            .future
            .as_ref()
            .and_then(|future| future.bind(py).upgrade())
        {
            Some(future) => Ok(!future.call_method0(intern!(py, "done"))?.is_truthy()?),
            None => Ok(false),
        }
    }

    /// Where this is called: the mailbox of the running event loop, or of this waiter's own.
    fn place<'py>(&mut self, py: Python<'py>) -> PyResult<(&mut Place, Option<Bound<'py, PyAny>>)> {
        let event_loop = running_loop(py)?;
        let is_same = match (&self.place, &event_loop) {
            (
                Some(Place::Asyncio {
                    event_loop: known, ..
                }),
                Some(event_loop),
            ) => known
                .bind(py)
                .upgrade()
                .is_some_and(|known| known.is(event_loop)),
            (Some(Place::Trio { .. }), None) => true,
            _ => false,
        };
        if !is_same {
            self.place = Some(match &event_loop {
                Some(event_loop) => {
                    let mailbox = Mailbox::of_loop(event_loop)?;
                    Place::Asyncio {
                        event_loop: PyWeakrefReference::new(event_loop)?.unbind(),
                        number: mailbox.number(),
                        mailbox,
                    }
                }
                None => {
                    current_task(py).map_err(|_| no_loop())?;
                    Place::Trio {
                        mailbox: Mailbox::alone()?,
                        driven: None,
                    }
                }
            });
        }
        let place = self.place.as_mut().ok_or_else(no_loop)?;
        Ok((place, event_loop))
    }
}

/// The running event loop of asyncio, if there is one.
fn running_loop(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    static RUNNING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let running = RUNNING.get_or_try_init(py, || {
        let found = py.import("asyncio")?.getattr("_get_running_loop")?;
        Ok::<_, PyErr>(found.unbind())
    })?;
    let event_loop = running.bind(py).call0()?;
    Ok((!event_loop.is_none()).then_some(event_loop))
}

/// Begins to drive a coroutine of trio's: what it yields first.
fn begin(
    coroutine: Bound<'_, PyAny>,
    driven: &mut Option<(Py<PyAny>, usize)>,
) -> PyResult<Py<PyAny>> {
    let py = coroutine.py();
    let task = current_task(py)?;
    let message = coroutine.call_method1(intern!(py, "send"), (py.None(),))?;
    *driven = Some((coroutine.unbind(), task));
    Ok(message.unbind())
}

/// What tells the running task of trio's from others while it lives.
fn current_task(py: Python<'_>) -> PyResult<usize> {
    Ok(trio(py, "current_task", ())?.as_ptr() as usize)
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
    py.import("trio.lowlevel")?
        .getattr(function)?
        .call1(arguments)
}

fn no_loop() -> PyErr {
    PyRuntimeError::new_err("expected a running event loop of asyncio or trio")
}

fn occupied() -> PyErr {
    PyRuntimeError::new_err("another task waits for the next item already")
}
