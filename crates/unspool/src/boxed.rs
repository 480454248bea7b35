//! Generators that are closed though nobody closes them: Python's hooks for
//! asynchronous generators, on tokio.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use unspool_core::{AsyncGenerator, GeneratorState, Resume};

/// Keeps track of the generators of a program, so that each is closed: when it is
/// dropped half-way, on the runtime, or at the [end of the program](Self::shutdown).
///
/// Python's `sys.set_asyncgen_hooks` and `loop.shutdown_asyncgens()`.
///
/// ```
/// use std::time::Duration;
/// use unspool::{AsyncGenerator, Generators, generator};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let generators = Generators::new();
/// let mut numbers = generators.boxed(generator! {
///     try {
///         for number in 0.. {
///             yield number;
///         }
///     } finally {
///         tokio::time::sleep(Duration::from_millis(1)).await;
///         println!("closed");
///     }
/// });
/// assert_eq!(numbers.anext().await, Some(0));
/// drop(numbers);
/// assert_eq!(generators.shutdown(Duration::from_secs(1)).await.closed, 1);
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Generators {
    registry: Arc<Registry>,
}

#[derive(Default)]
struct Registry {
    live: Mutex<HashMap<u64, Weak<dyn Close>>>,
    closing: Mutex<JoinSet<Closed>>,
    next: Mutex<u64>,
}

/// How a closing ended.
enum Closed {
    Well,
    /// The generator yielded in a `finally`.
    Ignored,
}

/// What [`Generators::shutdown`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shutdown {
    /// Generators that were closed, those included that had been dropped before and
    /// not been waited for yet.
    pub closed: usize,
    /// Generators that yielded in a `finally`, and were dropped there.
    pub ignored: usize,
    /// Generators that panicked while they were closed.
    pub panicked: usize,
    /// Generators that had not closed when the time was up, and were dropped.
    pub unfinished: usize,
}

impl Generators {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Generators::default()
    }

    /// Puts a generator on the heap, where it is closed when it is dropped.
    pub fn boxed<G, S, T>(&self, generator: G) -> BoxGenerator<G::Yield, G::Return, S, T>
    where
        G: AsyncGenerator<S, T> + Send + 'static,
        G::Yield: 'static,
        G::Return: 'static,
        S: Send + 'static,
        T: Send + 'static,
    {
        let place = Arc::new(Place {
            generator: Mutex::new(Some(Box::pin(generator) as Inner<_, _, S, T>)),
            waker: Mutex::new(None),
        });
        let id = {
            let mut next = lock(&self.registry.next);
            *next += 1;
            *next
        };
        let weak: Weak<Place<G::Yield, G::Return, S, T>> = Arc::downgrade(&place);
        lock(&self.registry.live).insert(id, weak);
        BoxGenerator {
            place,
            id,
            registry: Arc::clone(&self.registry),
        }
    }

    /// Closes all generators, also those that somebody still holds and that end for
    /// their holders, and waits for those that are being closed; not longer than
    /// `limit`.
    pub async fn shutdown(&self, limit: Duration) -> Shutdown {
        let live: Vec<_> = lock(&self.registry.live).drain().collect();
        let mut places: Vec<_> = (live.into_iter())
            .filter_map(|(_, place)| place.upgrade())
            .collect();
        let mut closing = std::mem::take(&mut *lock(&self.registry.closing));
        let mut done = Shutdown::default();
        let all = async {
            while !places.is_empty() {
                places.retain(|place| match place.try_close() {
                    Ok(Some(close)) => {
                        closing.spawn(close);
                        false
                    }
                    Ok(None) => false,
                    Err(Busy) => true,
                });
                if !places.is_empty() {
                    sleep(Duration::from_millis(1)).await;
                }
            }
            while let Some(closed) = closing.join_next().await {
                match closed {
                    Ok(Closed::Well) => done.closed += 1,
                    Ok(Closed::Ignored) => done.ignored += 1,
                    Err(_) => done.panicked += 1,
                }
            }
        };
        // What is left when the time is up is counted below.
        let _ = timeout(limit, all).await;
        done.unfinished = closing.len() + places.len();
        done
    }
}

impl fmt::Debug for Generators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generators")
            .field("live", &lock(&self.registry.live).len())
            .finish_non_exhaustive()
    }
}

/// A generator on the heap. Made by [`Generators::boxed`].
///
/// # Dropping
///
/// If it has been started and has not ended, it is closed in a task of the runtime
/// that it is dropped on: its `finally` blocks run. Where there is no runtime, the
/// body is dropped as it stands.
pub struct BoxGenerator<
    Y: 'static,
    R: 'static = (),
    S: Send + 'static = (),
    T: Send + 'static = Infallible,
> {
    place: Arc<Place<Y, R, S, T>>,
    id: u64,
    registry: Arc<Registry>,
}

type Inner<Y, R, S, T> = Pin<Box<dyn AsyncGenerator<S, T, Yield = Y, Return = R> + Send>>;

/// A generator that its holder and the registry share.
struct Place<Y, R, S, T> {
    /// None once it is being closed.
    generator: Mutex<Option<Inner<Y, R, S, T>>>,
    /// Whoever waits for its next item.
    waker: Mutex<Option<Waker>>,
}

type Closing = Pin<Box<dyn Future<Output = Closed> + Send>>;

trait Close: Send + Sync {
    /// Takes the generator away from its holder and closes it; none if there is
    /// nothing to do.
    fn try_close(&self) -> Result<Option<Closing>, Busy>;
}

/// The generator is being polled: by another thread, or by the one that asks, if
/// its own body does.
struct Busy;

impl<Y, R, S, T> Close for Place<Y, R, S, T>
where
    Y: 'static,
    R: 'static,
    S: Send + 'static,
    T: Send + 'static,
{
    fn try_close(&self) -> Result<Option<Closing>, Busy> {
        match self.generator.try_lock() {
            Ok(mut place) => Ok(self.close(place.take())),
            Err(TryLockError::Poisoned(place)) => Ok(self.close(place.into_inner().take())),
            Err(TryLockError::WouldBlock) => Err(Busy),
        }
    }
}

impl<Y, R, S, T> Place<Y, R, S, T>
where
    Y: 'static,
    R: 'static,
    S: Send + 'static,
    T: Send + 'static,
{
    /// Closes the generator, which has been taken out of its place.
    fn close(&self, generator: Option<Inner<Y, R, S, T>>) -> Option<Closing> {
        let mut generator = generator?;
        if let Some(waker) = lock(&self.waker).take() {
            waker.wake();
        }
        match generator.state() {
            GeneratorState::Unstarted | GeneratorState::Ended => None,
            GeneratorState::Suspended | GeneratorState::Running => Some(Box::pin(async move {
                let ignored = std::future::poll_fn(|cx| {
                    generator
                        .as_mut()
                        .poll_resume(cx, &mut Some(Resume::Close))
                        .map(|item| item.is_some())
                });
                match ignored.await {
                    true => Closed::Ignored,
                    false => Closed::Well,
                }
            })),
        }
    }
}

impl<Y, R, S: Send, T: Send> AsyncGenerator<S, T> for BoxGenerator<Y, R, S, T> {
    type Yield = Y;
    type Return = R;

    fn state(&self) -> GeneratorState {
        match &*lock(&self.place.generator) {
            Some(generator) => generator.state(),
            None => GeneratorState::Ended,
        }
    }

    fn poll_resume(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        input: &mut Option<Resume<S, T>>,
    ) -> Poll<Option<Y>> {
        let mut place = lock(&self.place.generator);
        let Some(generator) = &mut *place else {
            return Poll::Ready(None);
        };
        let item = generator.as_mut().poll_resume(cx, input);
        if item.is_pending() {
            *lock(&self.place.waker) = Some(cx.waker().clone());
        }
        item
    }

    fn take_return(self: Pin<&mut Self>) -> Option<R> {
        let mut place = lock(&self.place.generator);
        place.as_mut()?.as_mut().take_return()
    }
}

impl<Y, R, S: Send, T: Send> Drop for BoxGenerator<Y, R, S, T> {
    fn drop(&mut self) {
        lock(&self.registry.live).remove(&self.id);
        if let Ok(runtime) = Handle::try_current()
            && let Some(close) = self.place.close(lock(&self.place.generator).take())
        {
            let mut closing = lock(&self.registry.closing);
            closing.spawn_on(close, &runtime);
            // Those that are done need not be kept until the end.
            while closing.len() > KEPT && closing.try_join_next().is_some() {}
        }
    }
}

/// How many closings are kept, done or not, to be counted at the end.
const KEPT: usize = 1024;

impl<Y, R, S: Send, T: Send> fmt::Debug for BoxGenerator<Y, R, S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxGenerator")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// A panic in a generator leaves nothing half-done here.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
