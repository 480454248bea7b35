//! The async iterator, which is the awaitable of each of its items as well.
//!
//! `__aiter__` gives one small object; its `__anext__` and its `__await__` return itself, and a
//! step of it takes the next item then. So an item costs nothing but itself, and an `await` that
//! is cancelled has nothing to lose. It is a type made of slots by hand, because the wrappers of
//! PyO3's methods cost as much as the rest of a step.
#![expect(
    unsafe_code,
    reason = "slots of a type are C functions; each does only what it says here"
)]

use std::ffi::{c_int, c_uint, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::stream::{Step, Stream, exception};

/// What lies in memory.
#[repr(C)]
struct Cursor {
    base: ffi::PyObject,
    /// A `Stream`, which this owns a reference to.
    stream: *mut ffi::PyObject,
    /// Whether it is of a loop, which closes the source when it is left.
    is_of_loop: bool,
}

/// What `am_send` returns (`PySendResult`).
const RETURN: c_int = 0;
const ERROR: c_int = -1;
const NEXT: c_int = 1;

/// The iterator of one `async for`: when the loop is left, the source is closed.
pub(crate) fn of_loop<'py>(stream: &Bound<'py, Stream>) -> PyResult<Bound<'py, PyAny>> {
    cursor(stream, true)
}

/// The awaitable of one item.
pub(crate) fn of_item<'py>(stream: &Bound<'py, Stream>) -> PyResult<Bound<'py, PyAny>> {
    cursor(stream, false)
}

fn cursor<'py>(stream: &Bound<'py, Stream>, is_of_loop: bool) -> PyResult<Bound<'py, PyAny>> {
    static TYPE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = stream.py();
    let kind = TYPE.get_or_try_init(py, || make(py))?;
    // SAFETY: the type is the one that `make` made, of the size of a `Cursor`; its objects are
    // allocated zeroed, and filled here before anybody sees them.
    unsafe {
        let object = ffi::PyType_GenericAlloc(kind.as_ptr().cast(), 0);
        let object = Bound::from_owned_ptr_or_err(py, object)?;
        let raw = object.as_ptr().cast::<Cursor>();
        (*raw).stream = stream.clone().into_ptr();
        (*raw).is_of_loop = is_of_loop;
        Ok(object)
    }
}

/// Does a step of the stream of a cursor.
///
/// # Safety
///
/// The interpreter is attached, and `this` is an object of the type.
unsafe fn step(
    this: *mut ffi::PyObject,
    with: impl FnOnce(Python<'_>, &Stream) -> PyResult<Step>,
) -> (c_int, *mut ffi::PyObject) {
    // SAFETY: as this function's; `stream` is a `Stream` or an object of a class under it.
    let (py, stream) = unsafe {
        let py = Python::assume_attached();
        let stream = Bound::from_borrowed_ptr(py, (*this.cast::<Cursor>()).stream);
        (py, stream.cast_into_unchecked::<Stream>())
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| with(py, stream.get()))).unwrap_or_else(|_| {
        Err(PyRuntimeError::new_err(
            "a panic in unspool, which is a bug",
        ))
    });
    match outcome {
        Ok(Step::Value(object)) => (RETURN, object.into_ptr()),
        Ok(Step::Wait(object)) => (NEXT, object.into_ptr()),
        Err(error) => {
            error.restore(py);
            (ERROR, ptr::null_mut())
        }
    }
}

/// A step as `tp_iternext` tells it: a value is the end of the await.
///
/// # Safety
///
/// The interpreter is attached; where the step is a return, the object is owned.
unsafe fn as_iterator((how, object): (c_int, *mut ffi::PyObject)) -> *mut ffi::PyObject {
    if how != RETURN {
        return object;
    }
    // `PyErr_SetObject` with a tuple would make its elements the arguments.
    // SAFETY: as this function's; both references are given up once.
    unsafe {
        let error = ffi::PyObject_CallFunctionObjArgs(
            ffi::PyExc_StopIteration,
            object,
            ptr::null_mut::<ffi::PyObject>(),
        );
        ffi::Py_DecRef(object);
        if !error.is_null() {
            ffi::PyErr_SetObject(ffi::PyExc_StopIteration, error);
            ffi::Py_DecRef(error);
        }
    }
    ptr::null_mut()
}

// The functions below are slots and methods: the interpreter calls them attached, with an object
// of the type, and with borrowed arguments.

unsafe extern "C" fn itself(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: a new reference to an object that the caller holds.
    unsafe { ffi::Py_IncRef(this) };
    this
}

unsafe extern "C" fn next(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: as every slot.
    unsafe { as_iterator(step(this, |py, stream| stream.step(py, None))) }
}

unsafe extern "C" fn am_send(
    this: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> c_int {
    // SAFETY: as every slot; `result` may be written.
    unsafe {
        let (how, object) = step(this, |py, stream| {
            let value = Bound::from_borrowed_ptr(py, value);
            stream.step(py, Some(&value))
        });
        *result = object;
        how
    }
}

unsafe extern "C" fn send(
    this: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as every method.
    unsafe {
        as_iterator(step(this, |py, stream| {
            let value = Bound::from_borrowed_ptr(py, value);
            stream.step(py, Some(&value))
        }))
    }
}

unsafe extern "C" fn throw(
    this: *mut ffi::PyObject,
    arguments: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as every method; the arguments of one with `METH_VARARGS` are a tuple.
    unsafe {
        as_iterator(step(this, |py, stream| {
            let arguments = Bound::from_borrowed_ptr(py, arguments);
            let argument = |index: usize| arguments.get_item(index).ok();
            let error = exception(arguments.get_item(0)?, argument(1), argument(2))?;
            stream.thrown(py, error)
        }))
    }
}

unsafe extern "C" fn close(_: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: a new reference to `None`.
    unsafe {
        let none = ffi::Py_None();
        ffi::Py_IncRef(none);
        none
    }
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: nobody holds the object any more. What it owns is given up once; the type goes
    // last, as objects of a heap type hold it. An exception on its way is kept.
    unsafe {
        let py = Python::assume_attached();
        let kind = ffi::Py_TYPE(this);
        let stream = Bound::from_owned_ptr_or_opt(py, (*this.cast::<Cursor>()).stream);
        if let Some(stream) = stream {
            let pending = PyErr::take(py);
            let stream = stream.cast_into_unchecked::<Stream>();
            if (*this.cast::<Cursor>()).is_of_loop {
                let _ = catch_unwind(AssertUnwindSafe(|| stream.get().leave()));
            }
            drop(stream);
            if let Some(pending) = pending {
                pending.restore(py);
            }
        }
        let free: ffi::freefunc = std::mem::transmute(ffi::PyType_GetSlot(kind, ffi::Py_tp_free));
        free(this.cast());
        ffi::Py_DecRef(kind.cast());
    }
}

/// Makes the type; what its description points to lives as long as the process.
fn make(py: Python<'_>) -> PyResult<Py<PyAny>> {
    let method = |name: &'static std::ffi::CStr, function: ffi::PyCFunction, flags: c_int| {
        ffi::PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: ffi::PyMethodDefPointer {
                PyCFunction: function,
            },
            ml_flags: flags,
            ml_doc: ptr::null(),
        }
    };
    let methods = Box::leak(Box::new([
        method(c"send", send, ffi::METH_O),
        method(c"throw", throw, ffi::METH_VARARGS),
        method(c"close", close, ffi::METH_NOARGS),
        ffi::PyMethodDef::zeroed(),
    ]));
    let slot = |slot: c_int, function: *mut c_void| ffi::PyType_Slot {
        slot,
        pfunc: function,
    };
    let slots = Box::leak(Box::new([
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_iter, itself as *mut c_void),
        slot(ffi::Py_tp_iternext, next as *mut c_void),
        slot(ffi::Py_am_await, itself as *mut c_void),
        slot(ffi::Py_am_aiter, itself as *mut c_void),
        slot(ffi::Py_am_anext, itself as *mut c_void),
        slot(ffi::Py_am_send, am_send as *mut c_void),
        slot(ffi::Py_tp_methods, methods.as_mut_ptr().cast()),
        slot(0, ptr::null_mut()),
    ]));
    let mut spec = ffi::PyType_Spec {
        name: c"unspool._unspool.ItemsCursor".as_ptr(),
        basicsize: size_of::<Cursor>() as c_int,
        itemsize: 0,
        flags: ffi::Py_TPFLAGS_DEFAULT as c_uint,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the spec is well-formed, and what it points to is leaked.
    unsafe {
        Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(&raw mut spec)).map(Bound::unbind)
    }
}
