//! The object that Python iterates over, with `for` and with `async for`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};
use std::{process, ptr};

use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCapsule, PyTuple, PyType};
use serde_json::Value;
use unspool::{Account, Error, Position};

use crate::ahead::Ahead;
use crate::arrow::{self, Batch, BatchIterator, Batched, Read, Reader, SharedReader};
use crate::cursor;
use crate::errors::{raised, wrong};
use crate::iterator::{Done, ItemsIterator};
use crate::mailbox::Bell;
use crate::objects::{self, Form};
use crate::opened::{Item, Opened, Opening};
use crate::runtime::runtime;
use crate::wait::Waiter;

/// How long an event loop may be kept from its other tasks. One that sleeps waits for three of these,
/// as asyncio sees that its time has come, then wakes it, then runs it.
const SLICE: Duration = Duration::from_millis(1);

/// How long a blocking call may not notice a signal.
const SIGNALS: Duration = Duration::from_millis(100);

/// The items of a source. `unspool.Items` is the class that people see.
#[pyclass(frozen, subclass, weakref, module = "unspool._unspool")]
pub(crate) struct Stream {
    shared: Arc<Shared>,
    /// What capsules of batches read from, once there is one.
    reader: PyOnceLock<SharedReader>,
    bell: Arc<Bell>,
    waker: Waker,
    form: Form,
}

/// The source, for the stream and for readers of batches.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// The thread that is at work on the state, and may need the interpreter meanwhile; or nobody.
    taker: AtomicUsize,
    /// How many threads want to look at the state.
    lookers: AtomicUsize,
}

struct State {
    feed: Feed,
    waiter: Waiter,
    /// Since when the event loop has had no pause.
    since: Option<Instant>,
    /// What was opened, until it is polled.
    opening: Option<(Value, Opening)>,
    /// The process that polled it first.
    process: Option<u32>,
    /// What there was to say of the source when it was closed.
    account: Option<Account>,
    position: Option<Position>,
}

enum Feed {
    Here(Opened),
    Ahead(Ahead),
    Gone(Why),
}

/// Why there are no more items.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Why {
    /// The source came to its end, which was told.
    Over,
    /// The caller closed it.
    Closed,
    /// A loop over it was left.
    Left,
}

/// The state in the hands of the only one who may have it for long.
struct Taken<'s> {
    state: MutexGuard<'s, State>,
    taker: &'s AtomicUsize,
}

/// No thread.
const NOBODY: usize = 0;

/// This thread, by where something of its own lies.
fn this_thread() -> usize {
    thread_local! {
        static OWN: u8 = const { 0 };
    }
    OWN.with(|own| ptr::from_ref(own).addr())
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.taker.store(NOBODY, Ordering::Release);
    }
}

/// What polling comes to, where it is not pending.
enum Next {
    Object(Py<PyAny>),
    /// Nothing to hand out yet; there is more to poll.
    More,
    End,
}

/// What one step of an await comes to.
pub(crate) enum Step {
    Value(Py<PyAny>),
    Wait(Py<PyAny>),
}

impl Feed {
    fn is_ready(&self) -> bool {
        match self {
            Feed::Here(source) => source.is_ready(),
            Feed::Ahead(ahead) => ahead.is_ready(),
            Feed::Gone(_) => false,
        }
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item, Error>>> {
        match self {
            Feed::Here(source) => source.poll_item(cx),
            Feed::Ahead(ahead) => ahead.poll_item(cx),
            Feed::Gone(_) => Poll::Ready(None),
        }
    }

    fn account(&self) -> Option<Account> {
        match self {
            Feed::Here(source) => Some(source.account()),
            Feed::Ahead(ahead) => ahead.account(),
            Feed::Gone(_) => None,
        }
    }

    fn position(&self) -> Option<Position> {
        match self {
            Feed::Here(source) => source.position(),
            Feed::Ahead(_) | Feed::Gone(_) => None,
        }
    }

    /// The next item, without the interpreter; none where it is time to look for signals.
    fn block(&mut self) -> PyResult<Option<Option<Result<Item, Error>>>> {
        let next = std::future::poll_fn(|cx| self.poll_item(cx));
        runtime()?.block_on(async {
            let limited = tokio::time::timeout(SIGNALS, next);
            Ok(limited.await.ok())
        })
    }
}

impl State {
    /// Looks whether there can be more before a source is polled.
    fn check(&mut self) -> PyResult<()> {
        match &mut self.feed {
            Feed::Gone(Why::Left) => Err(PyRuntimeError::new_err(
                "a loop over these items was left, which closed their source: \
                 loop over one `aiter(items)` or `iter(items)` to go on where a loop ends",
            )),
            Feed::Gone(_) => Ok(()),
            Feed::Ahead(ahead) => ahead.begin(),
            Feed::Here(_) => Ok(()),
        }?;
        match self.process {
            Some(process) if process != process::id() => Err(PyRuntimeError::new_err(
                "these items were begun in another process, before a fork: make them anew in this one",
            )),
            _ => {
                self.process = Some(process::id());
                self.opening = None;
                Ok(())
            }
        }
    }

    /// Closes the source: its sockets, its queries, its tasks.
    fn close(&mut self, why: Why) {
        if let Feed::Gone(_) = self.feed {
            return;
        }
        self.account = self.feed.account();
        self.position = self.feed.position();
        let feed = std::mem::replace(&mut self.feed, Feed::Gone(why));
        match (self.process, runtime()) {
            (Some(process), _) if process != process::id() => std::mem::forget(feed),
            (_, Ok(runtime)) => {
                let _context = runtime.enter();
                drop(feed);
            }
            (_, Err(_)) => drop(feed),
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.close(Why::Closed);
    }
}

impl Shared {
    /// The state, for whoever may need the interpreter while it has it: one at a time, and no
    /// other one waits, as who waited with the interpreter in hand would wait for ever.
    fn take(&self) -> PyResult<Taken<'_>> {
        let taken = self.taker.compare_exchange(
            NOBODY,
            this_thread(),
            Ordering::Acquire,
            Ordering::Relaxed,
        );
        if taken.is_err() {
            return Err(PyRuntimeError::new_err(
                "the next item is being taken in another thread",
            ));
        }
        // Others only look at it, without the interpreter.
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Taken {
            state,
            taker: &self.taker,
        })
    }

    /// What is known of the source, also while another thread waits for its next item; not while
    /// this one takes it, of which finalizers may ask that the collector runs meanwhile.
    fn look<T: Send>(&self, py: Python<'_>, look: impl FnOnce(&State) -> T + Send) -> PyResult<T> {
        if self.taker.load(Ordering::Relaxed) == this_thread() {
            return Err(PyRuntimeError::new_err("the next item is being taken"));
        }
        self.lookers.fetch_add(1, Ordering::Relaxed);
        let seen = py.detach(|| look(&self.state.lock().unwrap_or_else(PoisonError::into_inner)));
        self.lookers.fetch_sub(1, Ordering::Relaxed);
        Ok(seen)
    }

    /// Lets those who want to look do so, before the state is taken again.
    fn show(&self, py: Python<'_>) {
        let mut rounds = 0;
        while self.lookers.load(Ordering::Relaxed) > 0 && rounds < 20 {
            py.detach(|| thread::sleep(Duration::from_micros(50)));
            rounds += 1;
        }
    }

    /// Gives all items that have arrived to `take`, as long as it wants more; waits for one if there
    /// is none. Whether there may be more; none where it is time to look for signals.
    pub(crate) fn each_ready(&self, mut take: impl FnMut(Item) -> bool) -> PyResult<Option<bool>> {
        let mut taken = self.take()?;
        let state = &mut *taken.state;
        state.check()?;
        let Some(mut next) = state.feed.block()? else {
            return Ok(None);
        };
        loop {
            match next {
                Some(Ok(item)) => {
                    if !take(item) || !state.feed.is_ready() {
                        return Ok(Some(true));
                    }
                }
                Some(Err(error)) => {
                    state.close(Why::Over);
                    return Err(raised(error));
                }
                None => {
                    state.close(Why::Over);
                    return Ok(Some(false));
                }
            }
            let polled = (state.feed).poll_item(&mut Context::from_waker(Waker::noop()));
            let Poll::Ready(item) = polled else {
                return Ok(Some(true));
            };
            next = item;
        }
    }

    /// Whether the source gives batches of its own from now on: it can where it is a query of which
    /// nothing has been asked.
    pub(crate) fn gives_batches(&self) -> PyResult<bool> {
        let mut taken = self.take()?;
        let state = &mut *taken.state;
        if let Some((description, opening)) = state.opening.take()
            && let Some(batches) = opening.batches(&description)?
        {
            state.feed = Feed::Here(batches);
        }
        Ok(matches!(state.feed, Feed::Here(Opened::Batches(_))))
    }

    /// Closes the source, as its reader has what it wants.
    pub(crate) fn leave(&self) {
        if let Ok(mut taken) = self.take() {
            taken.state.close(Why::Left);
        }
    }

    /// Closes the source, whose items cannot be taken.
    pub(crate) fn fail(&self) {
        if let Ok(mut taken) = self.take() {
            taken.state.close(Why::Over);
        }
    }
}

impl Stream {
    /// One step of `await anext(items)`.
    pub(crate) fn step(&self, py: Python<'_>, sent: Option<&Bound<'_, PyAny>>) -> PyResult<Step> {
        self.step_by(py, sent, |state| {
            Ok(match self.poll(py, state)? {
                Poll::Ready(Some(object)) => Poll::Ready(Next::Object(object)),
                Poll::Ready(None) => Poll::Ready(Next::End),
                Poll::Pending => Poll::Pending,
            })
        })
    }

    /// One step of waiting for the next batch.
    pub(crate) fn batch_step(
        &self,
        py: Python<'_>,
        reader: &SharedReader,
        sent: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Step> {
        self.step_by(py, sent, |state| {
            let mut reader = reader.try_lock()?;
            match reader.ready() {
                Read::Batch(batch) => {
                    return Ok(Poll::Ready(Next::Object(Batch::object(py, batch)?)));
                }
                Read::End => return Ok(Poll::Ready(Next::End)),
                Read::Nothing => {}
            }
            let Poll::Ready(next) = self.poll_item(py, state)? else {
                return Ok(Poll::Pending);
            };
            let item = next.transpose();
            if !matches!(item, Ok(Some(_))) {
                state.close(Why::Over);
            }
            let taken = reader.take(item.map_err(raised)?.as_ref());
            taken.inspect_err(|_| state.close(Why::Over))?;
            Ok(Poll::Ready(Next::More))
        })
    }

    /// A step that polls until it has an object, has to wait, or has had its time.
    fn step_by(
        &self,
        py: Python<'_>,
        sent: Option<&Bound<'_, PyAny>>,
        mut poll: impl FnMut(&mut State) -> PyResult<Poll<Next>>,
    ) -> PyResult<Step> {
        let mut taken = self.shared.take()?;
        let state = &mut *taken.state;
        if let Some(message) = state.waiter.resume(py, sent)? {
            return Ok(Step::Wait(message));
        }
        loop {
            // Another task's turn, though there is more.
            let now = Instant::now();
            match state.since {
                Some(since) if now - since > SLICE => {
                    state.since = None;
                    return state.waiter.rest(py).map(Step::Wait);
                }
                Some(_) => {}
                None => state.since = Some(now),
            }
            match poll(state)? {
                Poll::Ready(Next::Object(object)) => return Ok(Step::Value(object)),
                Poll::Ready(Next::End) => return Err(PyStopAsyncIteration::new_err(())),
                Poll::Ready(Next::More) => {}
                Poll::Pending => {
                    if let Some(message) = state.waiter.wait(py, &self.bell)? {
                        state.since = None;
                        return Ok(Step::Wait(message));
                    }
                }
            }
        }
    }

    fn poll(&self, py: Python<'_>, state: &mut State) -> PyResult<Poll<Option<Py<PyAny>>>> {
        match self.poll_item(py, state)? {
            Poll::Ready(next) => self.given(py, state, next).map(Poll::Ready),
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    fn poll_item(
        &self,
        py: Python<'_>,
        state: &mut State,
    ) -> PyResult<Poll<Option<Result<Item, Error>>>> {
        if state.feed.is_ready() {
            return Ok(state.feed.poll_item(&mut Context::from_waker(&self.waker)));
        }
        state.check()?;
        self.bell.reset();
        let runtime = runtime()?;
        let feed = &mut state.feed;
        Ok(py.detach(|| {
            let _context = runtime.enter();
            feed.poll_item(&mut Context::from_waker(&self.waker))
        }))
    }

    /// The object of what a source gave.
    fn given(
        &self,
        py: Python<'_>,
        state: &mut State,
        next: Option<Result<Item, Error>>,
    ) -> PyResult<Option<Py<PyAny>>> {
        match next {
            Some(Ok(item)) => {
                let text = item.text().ok_or_else(|| {
                    PyRuntimeError::new_err("these rows are read as batches, and not one by one")
                })?;
                let object = objects::object(py, self.form, text)?;
                Ok(Some(object.unbind()))
            }
            Some(Err(error)) => {
                state.close(Why::Over);
                Err(raised(error))
            }
            None => {
                state.close(Why::Over);
                Ok(None)
            }
        }
    }

    /// An exception that comes while an item is waited for. Nothing is lost: what is on its way
    /// is the next item.
    pub(crate) fn thrown(&self, py: Python<'_>, error: PyErr) -> PyResult<Step> {
        let mut taken = self.shared.take()?;
        taken.state.waiter.thrown(py, error).map(Step::Wait)
    }

    /// The next item, waited for by this thread.
    pub(crate) fn blocking(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        loop {
            self.shared.show(py);
            let mut taken = self.shared.take()?;
            let state = &mut *taken.state;
            if let Poll::Ready(next) = self.poll(py, state)? {
                return Ok(next);
            }
            let feed = &mut state.feed;
            if let Some(next) = py.detach(|| feed.block())? {
                return self.given(py, state, next);
            }
            drop(taken);
            py.check_signals()?;
        }
    }

    /// Closes the source, unless an item is being taken in another thread.
    pub(crate) fn leave(&self) {
        self.shared.leave();
    }

    fn end(&self, py: Python<'_>) -> PyResult<()> {
        let mut taken = self.shared.take()?;
        let state = &mut *taken.state;
        if state.waiter.is_waited_for(py)? {
            return Err(PyRuntimeError::new_err(
                "a task waits for the next item: cancel it before these items are closed",
            ));
        }
        state.close(Why::Closed);
        Ok(())
    }
}

#[pymethods]
impl Stream {
    #[new]
    #[pyo3(signature = (description, *, items, position = None, allows_doubts = false))]
    fn new(
        description: &str,
        items: &str,
        position: Option<&str>,
        allows_doubts: bool,
    ) -> PyResult<Self> {
        let form = Form::of(items)?;
        let invalid = |error: serde_json::Error| wrong(&error.to_string());
        let description: Value = serde_json::from_str(description).map_err(invalid)?;
        let position = position
            .map(serde_json::from_str)
            .transpose()
            .map_err(invalid)?;
        let opening = Opening {
            position,
            allows_doubts,
        };
        let reopening = opening.clone();
        let source = match form {
            Form::Str => opening.text(&description)?,
            Form::Dict | Form::Bytes => Opened::Items(opening.items(&description)?),
        };
        let feed = match source {
            Opened::Text(_) => Feed::Ahead(Ahead::new(source)),
            Opened::Items(_) | Opened::Batches(_) => Feed::Here(source),
        };
        let bell = Arc::new(Bell::default());
        Ok(Stream {
            shared: Arc::new(Shared {
                taker: AtomicUsize::new(NOBODY),
                lookers: AtomicUsize::new(0),
                state: Mutex::new(State {
                    feed,
                    waiter: Waiter::default(),
                    since: None,
                    opening: Some((description, reopening)),
                    process: None,
                    account: None,
                    position: None,
                }),
            }),
            reader: PyOnceLock::new(),
            waker: Waker::from(Arc::clone(&bell)),
            bell,
            form,
        })
    }

    fn __aiter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        cursor::of_loop(slf)
    }

    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        cursor::of_item(slf)
    }

    fn __iter__(slf: &Bound<'_, Self>) -> ItemsIterator {
        ItemsIterator::new(slf)
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.blocking(py)
    }

    /// Awaits the next item. No source takes values.
    fn asend<'py>(slf: &Bound<'py, Self>, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if value.is_none() {
            cursor::of_item(slf)
        } else {
            Err(PyTypeError::new_err(
                "this source takes no values: send None",
            ))
        }
    }

    /// Closes the source and raises the exception, as no source catches one.
    #[pyo3(signature = (typ, val = None, tb = None))]
    fn athrow(
        &self,
        py: Python<'_>,
        typ: Bound<'_, PyAny>,
        val: Option<Bound<'_, PyAny>>,
        tb: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Done> {
        let error = exception(typ, val, tb)?;
        self.end(py)?;
        Ok(Done::failed(error))
    }

    /// Closes the source: its connection, its query. There are no more items.
    fn aclose(&self, py: Python<'_>) -> PyResult<Done> {
        self.end(py)?;
        Ok(Done::with(None))
    }

    /// The same, for those who do not await.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.end(py)
    }

    fn __aenter__(slf: &Bound<'_, Self>) -> Done {
        Done::with(Some(slf.clone().into_any().unbind()))
    }

    #[pyo3(signature = (*_error))]
    fn __aexit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) -> PyResult<Done> {
        self.aclose(py)
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.end(py)
    }

    #[classmethod]
    fn __class_getitem__<'py>(
        class: &Bound<'py, PyType>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let alias = class.py().import("types")?.getattr("GenericAlias")?;
        alias.call1((class, item))
    }

    /// All items that are still to come as record batches, through Arrow's PyCapsule interface.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // It may be ignored: what the batches are converted to is up to the taker.
        let _ = requested_schema;
        let make = || Reader::new(Arc::clone(&self.shared)).map(SharedReader::new);
        arrow::capsule(py, self.reader.get_or_try_init(py, make)?.clone())
    }

    /// The same one by one, with columns that widen: later batches may have more.
    #[pyo3(signature = (schema = None))]
    fn arrow_batches(slf: &Bound<'_, Self>, schema: Option<&str>) -> PyResult<BatchIterator> {
        let reader = Reader::widening(Arc::clone(&slf.get().shared), schema, None)?;
        Ok(BatchIterator::new(slf, reader))
    }

    /// All of them, or so many at most, with the columns that all of these need.
    #[pyo3(signature = (schema = None, most = None))]
    fn arrow_table(
        &self,
        py: Python<'_>,
        schema: Option<&str>,
        most: Option<u64>,
    ) -> PyResult<Batched> {
        let reader = Reader::widening(Arc::clone(&self.shared), schema, most)?;
        // What was read is lost with this call.
        Batched::read(py, reader).inspect_err(|_| self.shared.fail())
    }

    /// What the source did so far, and after the end how it ended.
    #[getter]
    fn account<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let account = self.shared.look(py, |state| {
            state.feed.account().or_else(|| state.account.clone())
        })?;
        objects::of_json(py, &account)
    }

    /// Where the source stands after the item that was handed out last.
    #[getter]
    fn position<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let position = self.shared.look(py, |state| match &state.feed {
            Feed::Gone(_) => state.position.clone(),
            feed => feed.position(),
        })?;
        objects::of_json(py, &position)
    }

    /// What the source waits for before its next request, if it does.
    #[getter]
    fn waiting(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.shared.look(py, |state| match &state.feed {
            Feed::Here(source) => source.waiting(),
            Feed::Ahead(ahead) => ahead.waiting(),
            Feed::Gone(_) => None,
        })
    }

    /// Whether the source has come to its end, or was closed.
    #[getter]
    fn is_closed(&self, py: Python<'_>) -> PyResult<bool> {
        self.shared
            .look(py, |state| matches!(state.feed, Feed::Gone(_)))
    }
}

/// The exception that the arguments of `throw` mean.
pub(crate) fn exception(
    kind: Bound<'_, PyAny>,
    value: Option<Bound<'_, PyAny>>,
    traceback: Option<Bound<'_, PyAny>>,
) -> PyResult<PyErr> {
    let object = match value {
        _ if !kind.is_instance_of::<PyType>() => kind,
        Some(value) if value.is_instance(&kind)? => value,
        Some(value) if !value.is_none() => kind.call1((value,))?,
        _ => kind.call0()?,
    };
    if let Some(traceback) = traceback.filter(|traceback| !traceback.is_none()) {
        object.call_method1("with_traceback", (traceback,))?;
    }
    Ok(PyErr::from_value(object))
}
