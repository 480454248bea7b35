//! Sources as plain data, for those who open them elsewhere.

use pyo3::prelude::*;
use serde_json::Value;

use crate::errors::{raised, wrong};
use crate::opened::Described;
use crate::runtime::runtime;

/// A description as it can be written down: the JSON that it is sent as.
///
/// It fails where a credential is given as it is, and not by name.
#[pyfunction]
pub(crate) fn written(description: &str) -> PyResult<String> {
    text(&described(description)?.written()?)
}

/// The descriptions of the partitions that a source knows of itself, in order.
#[pyfunction]
pub(crate) fn partitions(py: Python<'_>, description: &str) -> PyResult<Vec<String>> {
    let description = described(description)?.written()?;
    let runtime = runtime()?;
    let parts = py.detach(|| runtime.block_on(description.partitions()));
    parts.map_err(raised)?.iter().map(text).collect()
}

fn described(description: &str) -> PyResult<Described> {
    let value: Value =
        serde_json::from_str(description).map_err(|error| wrong(&error.to_string()))?;
    Described::of(&value)
}

fn text(description: &unspool::Description) -> PyResult<String> {
    serde_json::to_string(description).map_err(|error| wrong(&error.to_string()))
}
