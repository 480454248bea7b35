//! A source into a sink, in the background: what `Items.to` and `unspool.pull` wait for.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use futures_core::{FusedStream, Stream};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use serde_json::Value;
use tokio::sync::oneshot;
use unspool::sinks::{self, Options};
use unspool::{Account, AnySource, Error, Position, Pulled, RawItem, Source};

use crate::errors::{raised, wrong};
use crate::objects;
use crate::opened::{Described, Opening};
use crate::runtime::runtime;

/// How often the account is looked at for a progress bar.
const LOOK: Duration = Duration::from_millis(100);

/// A run from a source into a sink. Dropped, it stops; the target keeps what was durable.
#[pyclass(frozen, module = "unspool._unspool")]
pub(crate) struct Pulling {
    /// What it ends with; none once that has been told.
    end: Mutex<Option<Receiver<Result<Pulled, Error>>>>,
    /// Stops it, dropped or sent to.
    stop: Mutex<Option<oneshot::Sender<()>>>,
    seen: Arc<Mutex<Option<Account>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[pymethods]
impl Pulling {
    /// Starts the run.
    #[new]
    #[pyo3(signature = (
        description, target, *, state = None, key = Vec::new(), schema = None, overwrite = false,
        checkpoint_after = None, allows_doubts = false
    ))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn new(
        description: &str,
        target: &str,
        state: Option<PathBuf>,
        key: Vec<String>,
        schema: Option<String>,
        overwrite: bool,
        checkpoint_after: Option<f64>,
        allows_doubts: bool,
    ) -> PyResult<Self> {
        let invalid = |error: &dyn std::fmt::Display| wrong(&error.to_string());
        let description: Value =
            serde_json::from_str(description).map_err(|error| invalid(&error))?;
        let mut options = Options::new(Described::of(&description)?.identity()?);
        options.state = state;
        options.key = key;
        options.schema = schema;
        options.overwrite = overwrite;
        options.checkpoint_after = checkpoint_after
            .map(Duration::try_from_secs_f64)
            .transpose()
            .map_err(|error| invalid(&error))?;
        let sink = sinks::open(target, options).map_err(raised)?;
        // What is wrong with the description is said now; it is opened where it resumes.
        Opening::default().items(&description)?;
        let seen = Arc::new(Mutex::new(None));
        let looked_at = Arc::clone(&seen);
        let open = move |position: Option<Position>| {
            let opening = Opening {
                position,
                allows_doubts,
            };
            let source = opening.items(&description);
            let source = source.map_err(|error| Error::wrong(error.to_string()))?;
            Ok(Watched::new(source, looked_at))
        };
        let (stop, stopped) = oneshot::channel();
        let (tell, end) = mpsc::channel();
        let runtime = runtime()?;
        // A source may stay on its thread.
        thread::Builder::new()
            .name("unspool-pull".to_owned())
            .spawn(move || {
                let pulled = runtime.block_on(async {
                    tokio::select! {
                        pulled = unspool::pull(open, sink) => Some(pulled),
                        _ = stopped => None,
                    }
                });
                if let Some(pulled) = pulled {
                    // Nobody may listen any more.
                    let _ = tell.send(pulled);
                }
            })?;
        Ok(Pulling {
            end: Mutex::new(Some(end)),
            stop: Mutex::new(Some(stop)),
            seen,
        })
    }

    /// Waits up to so many seconds for the end: what was done, or nothing if there is more to do.
    fn wait<'py>(&self, py: Python<'py>, seconds: f64) -> PyResult<Option<Bound<'py, PyAny>>> {
        let over = || PyRuntimeError::new_err("the run is over, or waited for elsewhere");
        let end = lock(&self.end).take().ok_or_else(over)?;
        let limit = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let (end, ended) = py.detach(move || {
            let ended = end.recv_timeout(limit);
            (end, ended)
        });
        match ended {
            Err(RecvTimeoutError::Timeout) => {
                *lock(&self.end) = Some(end);
                Ok(None)
            }
            Ok(Ok(pulled)) => objects::of_json(py, &pulled).map(Some),
            Ok(Err(error)) => Err(raised(error)),
            Err(RecvTimeoutError::Disconnected) => {
                Err(PyRuntimeError::new_err("the run broke off, which is a bug"))
            }
        }
    }

    /// Stops the run and waits until it has stopped.
    fn cancel(&self, py: Python<'_>) {
        drop(lock(&self.stop).take());
        if let Some(end) = lock(&self.end).take() {
            // Until its thread is gone.
            let _ = py.detach(move || end.recv());
        }
    }

    /// What the source had done a moment ago.
    #[getter]
    fn account<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let account = lock(&self.seen).clone();
        objects::of_json(py, &account)
    }
}

/// A source whose account is copied from time to time.
struct Watched {
    source: AnySource,
    seen: Arc<Mutex<Option<Account>>>,
    next: Instant,
}

impl Watched {
    fn new(source: AnySource, seen: Arc<Mutex<Option<Account>>>) -> Self {
        Watched {
            source,
            seen,
            next: Instant::now(),
        }
    }
}

impl Stream for Watched {
    type Item = Result<RawItem, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.source.as_mut().poll_next(cx);
        // An item of a batch costs no look at the clock.
        if !self.source.is_ready() {
            let now = Instant::now();
            if now >= self.next {
                self.next = now + LOOK;
                let account = self.source.account();
                *lock(&self.seen) = Some(account);
            }
        }
        polled
    }
}

impl FusedStream for Watched {
    fn is_terminated(&self) -> bool {
        self.source.is_terminated()
    }
}

impl Source<RawItem> for Watched {
    fn name(&self) -> &'static str {
        self.source.name()
    }

    fn position(&self) -> Option<Position> {
        self.source.position()
    }

    fn account(&self) -> Account {
        self.source.account()
    }

    fn waiting(&self) -> Option<String> {
        self.source.waiting()
    }

    fn is_ready(&self) -> bool {
        self.source.is_ready()
    }

    fn acknowledge(mut self: Pin<&mut Self>, position: &Position) {
        self.source.as_mut().acknowledge(position);
    }

    fn awaits_durable(&self) -> bool {
        self.source.awaits_durable()
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.source.as_mut().poll_close(cx)
    }
}
