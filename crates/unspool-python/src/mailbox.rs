//! Wakes an event loop once for all sources that have something for it.
//!
//! A mailbox belongs to one event loop, which watches its descriptor. A waker of tokio's puts the
//! number of its waiter into the mailbox and, if nobody has done so since the loop looked last,
//! writes to the descriptor: no thread of the runtime ever waits for the interpreter. Where nobody
//! waits, nothing happens at all.
//!
//! What a mailbox knows of Python it holds weakly: a loop that goes away takes its mailbox with
//! it, and so does a task that is never resumed.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyWeakrefReference;

static WAKES: AtomicU64 = AtomicU64::new(0);

/// How often an event loop was woken, of all in this process.
#[pyfunction]
pub(crate) fn wakes() -> u64 {
    WAKES.load(Ordering::Relaxed)
}

/// Where wakers leave word for an event loop.
pub(crate) struct Mailbox {
    signal: Signal,
    is_signalled: AtomicBool,
    woken: Mutex<Vec<usize>>,
    /// The futures that are waited for, weakly: their tasks hold them.
    waiting: Mutex<HashMap<usize, Py<PyWeakrefReference>>>,
    next: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mailbox {
    /// A mailbox whose descriptor its only waiter watches.
    pub(crate) fn alone() -> PyResult<Arc<Self>> {
        Ok(Arc::new(Mailbox {
            signal: Signal::new()?,
            is_signalled: AtomicBool::new(false),
            woken: Mutex::default(),
            waiting: Mutex::default(),
            next: AtomicUsize::new(0),
        }))
    }

    /// The mailbox of an event loop of asyncio.
    pub(crate) fn of_loop(event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<Self>> {
        static MAILBOXES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = event_loop.py();
        let mailboxes = MAILBOXES.get_or_try_init(py, || {
            let made = py.import("weakref")?.call_method0("WeakKeyDictionary")?;
            Ok::<_, PyErr>(made.unbind())
        })?;
        let mailboxes = mailboxes.bind(py);
        if let Ok(found) = mailboxes
            .call_method1("get", (event_loop,))?
            .cast::<Postman>()
        {
            let mailbox = &found.get().mailbox;
            if found.get().pid == std::process::id() {
                return Ok(Arc::clone(mailbox));
            }
        }
        let mailbox = Mailbox::alone()?;
        let postman = Postman {
            mailbox: Arc::clone(&mailbox),
            pid: std::process::id(),
        };
        let postman = Bound::new(py, postman)?;
        // The callback holds the mailbox and no source: nothing has to be removed when one ends.
        event_loop.call_method1("add_reader", (mailbox.fd(), postman.getattr("deliver")?))?;
        mailboxes.set_item(event_loop, postman)?;
        Ok(mailbox)
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.signal.read.as_raw_fd()
    }

    /// A number for a waiter.
    pub(crate) fn number(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn wait(&self, number: usize, future: Py<PyWeakrefReference>) {
        let before = lock(&self.waiting).insert(number, future);
        // Without the lock: to drop it may run anything.
        drop(before);
    }

    pub(crate) fn forget(&self, number: usize) {
        let future = lock(&self.waiting).remove(&number);
        drop(future);
    }

    fn post(&self, number: usize) {
        lock(&self.woken).push(number);
        if !self.is_signalled.swap(true, Ordering::AcqRel) {
            WAKES.fetch_add(1, Ordering::Relaxed);
            self.signal.set();
        }
    }

    /// Takes out what is there: the numbers of those that were woken.
    pub(crate) fn empty(&self) -> Vec<usize> {
        self.signal.clear();
        self.is_signalled.store(false, Ordering::Release);
        std::mem::take(&mut *lock(&self.woken))
    }

    fn deliver(&self, py: Python<'_>) -> PyResult<()> {
        for number in self.empty() {
            let future = lock(&self.waiting).remove(&number);
            let Some(future) = future.and_then(|future| future.bind(py).upgrade()) else {
                continue;
            };
            if !future.call_method0(intern!(py, "done"))?.is_truthy()? {
                future.call_method1(intern!(py, "set_result"), (py.None(),))?;
            }
        }
        Ok(())
    }
}

/// A descriptor that becomes readable.
struct Signal {
    read: OwnedFd,
    /// Its other end, where it has two.
    #[cfg(not(target_os = "linux"))]
    write: OwnedFd,
}

impl Signal {
    #[cfg(target_os = "linux")]
    fn new() -> PyResult<Self> {
        use rustix::event::{EventfdFlags, eventfd};
        let read = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        Ok(Signal {
            read: read.map_err(std::io::Error::from)?,
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn new() -> PyResult<Self> {
        let (read, write) = rustix::pipe::pipe().map_err(std::io::Error::from)?;
        for end in [&read, &write] {
            rustix::io::ioctl_fionbio(end, true).map_err(std::io::Error::from)?;
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)
                .map_err(std::io::Error::from)?;
        }
        Ok(Signal { read, write })
    }

    fn set(&self) {
        #[cfg(target_os = "linux")]
        let end = self.read.as_fd();
        #[cfg(not(target_os = "linux"))]
        let end = self.write.as_fd();
        // It fails where it is full, and then it is set.
        let _ = rustix::io::write(end, &1_u64.to_ne_bytes());
    }

    fn clear(&self) {
        let _ = rustix::io::read(self.read.as_fd(), &mut [0_u8; 64]);
    }
}

/// What an event loop calls when the descriptor of its mailbox is readable.
#[pyclass(frozen, module = "unspool._unspool")]
struct Postman {
    mailbox: Arc<Mailbox>,
    pid: u32,
}

#[pymethods]
impl Postman {
    fn deliver(&self, py: Python<'_>) -> PyResult<()> {
        self.mailbox.deliver(py)
    }
}

const IDLE: u8 = 0;
const WAITING: u8 = 1;
const NOTIFIED: u8 = 2;

/// The waker of one source: it does something only while somebody waits.
#[derive(Default)]
pub(crate) struct Bell {
    state: AtomicU8,
    rings: Mutex<Option<(Arc<Mailbox>, usize)>>,
}

impl Bell {
    /// Before a poll.
    pub(crate) fn reset(&self) {
        self.state.store(IDLE, Ordering::Release);
    }

    /// After a poll that came to nothing: whether to wait now, which is not so if it has rung
    /// since.
    pub(crate) fn arm(&self, mailbox: &Arc<Mailbox>, number: usize) -> bool {
        *lock(&self.rings) = Some((Arc::clone(mailbox), number));
        self.state
            .compare_exchange(IDLE, WAITING, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(NOTIFIED, Ordering::AcqRel) == WAITING {
            let rings = lock(&self.rings).clone();
            if let Some((mailbox, number)) = rings {
                mailbox.post(number);
            }
        }
    }
}
