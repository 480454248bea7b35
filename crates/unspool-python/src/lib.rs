//! `unspool` for Python: the extension module that the package is built on.
//!
//! One object, [`Stream`](stream::Stream), hands out the items of any source, to `for` and to
//! `async for`. What people call is written in Python, in `python/unspool`: it describes a
//! source as plain data, and this module opens the description.
//!
//! No thread of the runtime ever takes the interpreter: a waker writes to a descriptor that the
//! event loop watches (`mailbox`), and the interpreter's own thread polls the source. An item
//! costs its object and nothing else: the awaitable of an item is the iterator itself
//! (`cursor`).
#![deny(unsafe_code)]

#[cfg(not(unix))]
compile_error!("unspool for Python needs a descriptor to wake event loops with, as Unix has it");

mod ahead;
mod arrow;
mod command;
mod cursor;
mod errors;
mod iterator;
mod mailbox;
mod objects;
mod opened;
mod parts;
mod pulling;
mod runtime;
mod stream;
mod wait;

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
fn _unspool(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<stream::Stream>()?;
    module.add_class::<pulling::Pulling>()?;
    module.add_function(wrap_pyfunction!(objects::loads, module)?)?;
    module.add_function(wrap_pyfunction!(parts::partitions, module)?)?;
    module.add_function(wrap_pyfunction!(parts::written, module)?)?;
    module.add_function(wrap_pyfunction!(command::main, module)?)?;
    module.add_function(wrap_pyfunction!(mailbox::wakes, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
