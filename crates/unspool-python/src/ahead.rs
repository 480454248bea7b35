//! A source whose items come in many small parts, polled by a task of the runtime's.
//!
//! An answer is a frame for each few letters. Polled where the items are wanted, each frame
//! costs a hop between threads; a task takes what comes and leaves it in a queue, which is taken
//! whole: the more the taker has to do, the fewer are the hops. It runs ahead by a bounded
//! number of bytes, and of one request only, so that nothing is asked for that nobody wants.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use pyo3::PyResult;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use unspool::{Account, Error};

use crate::opened::{Item, Opened};
use crate::runtime::runtime;

/// How many bytes may wait to be taken.
const MOST: usize = 256 << 10;

/// How many items are put into the queue at a time.
const RUN: usize = 256;

/// A source, and the task that polls it. Dropped, it closes the source at once.
pub(crate) struct Ahead {
    shared: Arc<Shared>,
    taken: VecDeque<Item>,
    task: Option<AbortHandle>,
}

struct Shared {
    source: Mutex<Option<Opened>>,
    queue: Mutex<Queue>,
    room: Notify,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    end: Option<Result<(), Error>>,
    taker: Option<Waker>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ahead {
    pub(crate) fn new(source: Opened) -> Self {
        Ahead {
            shared: Arc::new(Shared {
                source: Mutex::new(Some(source)),
                queue: Mutex::default(),
                room: Notify::new(),
            }),
            taken: VecDeque::new(),
            task: None,
        }
    }

    /// Starts the task, the first time that an item is asked for.
    pub(crate) fn begin(&mut self) -> PyResult<()> {
        if self.task.is_none() {
            let task = runtime()?.spawn(run(Arc::clone(&self.shared)));
            self.task = Some(task.abort_handle());
        }
        Ok(())
    }

    pub(crate) fn is_ready(&self) -> bool {
        !self.taken.is_empty()
    }

    pub(crate) fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item, Error>>> {
        if let Some(item) = self.taken.pop_front() {
            return Poll::Ready(Some(Ok(item)));
        }
        let mut queue = lock(&self.shared.queue);
        if queue.items.is_empty() {
            return match queue.end.take() {
                Some(end) => Poll::Ready(end.err().map(Err)),
                None => {
                    queue.taker = Some(cx.waker().clone());
                    Poll::Pending
                }
            };
        }
        std::mem::swap(&mut self.taken, &mut queue.items);
        queue.bytes = 0;
        drop(queue);
        self.shared.room.notify_one();
        Poll::Ready(self.taken.pop_front().map(Ok))
    }

    /// What the source did; what has not been handed out yet is not counted.
    pub(crate) fn account(&self) -> Option<Account> {
        let source = lock(&self.shared.source);
        let mut account = source.as_ref()?.account();
        let waiting = self.taken.len() + lock(&self.shared.queue).items.len();
        account.items = account.items.saturating_sub(waiting as u64);
        Some(account)
    }

    pub(crate) fn waiting(&self) -> Option<String> {
        lock(&self.shared.source).as_ref()?.waiting()
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        // The task may end later than this.
        drop(lock(&self.shared.source).take());
    }
}

/// Polls the source until its end, or until it is gone.
async fn run(shared: Arc<Shared>) {
    loop {
        let room = shared.room.notified();
        if lock(&shared.queue).bytes >= MOST {
            room.await;
            continue;
        }
        let mut items = VecDeque::new();
        let filled = poll_fn(|cx| shared.poll_fill(cx, &mut items)).await;
        let is_over = filled.is_some();
        let taker = {
            let mut queue = lock(&shared.queue);
            queue.bytes += (items.iter().filter_map(Item::text).map(str::len)).sum::<usize>();
            queue.items.append(&mut items);
            queue.end = filled;
            queue.taker.take()
        };
        if let Some(taker) = taker {
            taker.wake();
        }
        if is_over {
            return;
        }
    }
}

impl Shared {
    /// Takes what is there, up to a run; pending only if that is nothing. What is returned is
    /// how the source ended, if it has.
    fn poll_fill(
        &self,
        cx: &mut Context<'_>,
        into: &mut VecDeque<Item>,
    ) -> Poll<Option<Result<(), Error>>> {
        let mut source = lock(&self.source);
        let Some(source) = source.as_mut() else {
            return Poll::Ready(Some(Ok(())));
        };
        while into.len() < RUN {
            match source.poll_item(cx) {
                Poll::Ready(Some(Ok(item))) => into.push_back(item),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => return Poll::Ready(Some(Ok(()))),
                Poll::Pending if into.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(None)
    }
}
