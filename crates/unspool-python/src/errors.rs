//! The exceptions, which are written in Python.

use pyo3::prelude::*;
use pyo3::types::PyString;
use serde_json::Value;
use unspool::{Error, ErrorKind};

use crate::objects;

/// The class of an error, by its kind.
fn class(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::Request | ErrorKind::MissingKey | ErrorKind::MissingModel => "RequestError",
        ErrorKind::Truncated => "TruncatedError",
        ErrorKind::Looped => "LoopedError",
        ErrorKind::Incomplete => "DoubtError",
        ErrorKind::Timeout => "SilenceError",
        ErrorKind::TooLarge => "TooLargeError",
        ErrorKind::Content | ErrorKind::NoItems => "ContentError",
        ErrorKind::Sink => "SinkError",
        _ if error.is_unauthorized() => "UnauthorizedError",
        ErrorKind::Status => "StatusError",
        _ => "UpstreamError",
    }
}

/// The exception for an error of the library.
pub(crate) fn raised(error: Error) -> PyErr {
    let account = error
        .account()
        .and_then(|account| serde_json::to_value(account).ok());
    Python::attach(|py| made(py, &error, account).unwrap_or_else(|error| error))
}

fn made(py: Python<'_>, error: &Error, account: Option<Value>) -> PyResult<PyErr> {
    let object = named(py, class(error))?.call1((error.to_string(),))?;
    object.setattr("status", error.status())?;
    object.setattr("code", error.code())?;
    object.setattr("is_retryable", error.is_retryable())?;
    object.setattr(
        "retry_after",
        error.retry_after().map(|wait| wait.as_secs_f64()),
    )?;
    object.setattr("partial_text", error.partial_text())?;
    if let Some(account) = account {
        object.setattr("account", objects::of_json(py, &account)?)?;
    }
    Ok(PyErr::from_value(object))
}

fn named<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("unspool._errors")?
        .getattr(PyString::new(py, name))
}

/// A request that is wrong.
pub(crate) fn wrong(message: &str) -> PyErr {
    raised(Error::wrong(message.to_owned()))
}
