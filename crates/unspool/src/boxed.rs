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
    closing: Mutex<Handover>,
    next: Mutex<u64>,
}

/// Those that were dropped half-way.
#[derive(Default)]
struct Handover {
    /// On the runtime.
    tasks: JoinSet<Closed>,
    /// On their way there: taken out of their place, or about to be. A count and not
    /// a lock that is held meanwhile, since what a generator holds may be dropped in
    /// between, and with it other generators.
    coming: usize,
}

/// How a closing ended.
enum Closed {
    Well,
    /// The generator yielded in a `finally`.
    Ignored,
}

/// What [`Generators::shutdown`] did.
///
/// It is in the example of [`Generators`].
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
    /// `limit`. Those that are dropped or boxed elsewhere while it runs are waited for
    /// and closed, too; those that are boxed when it has ended are not.
    pub async fn shutdown(&self, limit: Duration) -> Shutdown {
        let mut places: Vec<Arc<dyn Close>> = Vec::new();
        // One of our own, and those of generators that were dropped.
        let mut sets = vec![JoinSet::new()];
        let mut coming = 0;
        let mut done = Shutdown::default();
        let all = async {
            loop {
                places.extend(self.registry.take_live());
                places.retain(|place| match place.try_close() {
                    Ok(Some(close)) => {
                        sets[0].spawn(close);
                        false
                    }
                    Ok(None) => false,
                    Err(Busy) => true,
                });
                // Only now: a place that was found empty had been announced before.
                let dropped;
                (dropped, coming) = self.registry.take_dropped();
                sets.extend(dropped);
                if let (Some(set), true) = (
                    sets.iter_mut().find(|set| !set.is_empty()),
                    places.is_empty(),
                ) {
                    match set.join_next().await {
                        Some(Ok(Closed::Well)) => done.closed += 1,
                        Some(Ok(Closed::Ignored)) => done.ignored += 1,
                        Some(Err(_)) => done.panicked += 1,
                        None => {}
                    }
                } else if places.is_empty() && coming == 0 && lock(&self.registry.live).is_empty() {
                    break;
                } else {
                    sleep(Duration::from_millis(1)).await;
                }
            }
        };
        // What is left when the time is up is counted below.
        let _ = timeout(limit, all).await;
        done.unfinished = sets.iter().map(JoinSet::len).sum::<usize>() + places.len() + coming;
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

    fn take_return_if(self: Pin<&mut Self>, is_wanted: fn(&R) -> bool) -> Option<R> {
        let mut place = lock(&self.place.generator);
        place.as_mut()?.as_mut().take_return_if(is_wanted)
    }
}

impl<Y, R, S: Send, T: Send> Drop for BoxGenerator<Y, R, S, T> {
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else {
            lock(&self.registry.live).remove(&self.id);
            return;
        };
        let announced = Announced::new(&self.registry);
        lock(&self.registry.live).remove(&self.id);
        let generator = lock(&self.place.generator).take();
        if let Some(close) = self.place.close(generator) {
            let mut closing = lock(&self.registry.closing);
            closing.tasks.spawn_on(close, &runtime);
            // Those that are done need not be kept until the end.
            while closing.tasks.len() > KEPT && closing.tasks.try_join_next().is_some() {}
        }
        drop(announced);
    }
}

/// While it is there, one more generator is on its way to be closed.
struct Announced<'r> {
    registry: &'r Registry,
}

impl<'r> Announced<'r> {
    fn new(registry: &'r Registry) -> Self {
        lock(&registry.closing).coming += 1;
        Announced { registry }
    }
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        lock(&self.registry.closing).coming -= 1;
    }
}

impl Registry {
    fn take_live(&self) -> Vec<Arc<dyn Close>> {
        let live: Vec<_> = lock(&self.live).drain().collect();
        live.into_iter()
            .filter_map(|(_, place)| place.upgrade())
            .collect()
    }

    /// Those that were dropped, if there are any, and how many more are coming.
    fn take_dropped(&self) -> (Option<JoinSet<Closed>>, usize) {
        let mut closing = lock(&self.closing);
        let tasks = std::mem::take(&mut closing.tasks);
        ((!tasks.is_empty()).then_some(tasks), closing.coming)
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
    #[cfg(test)]
    tests::before(mutex);
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    //! All that threads share is behind the locks above. So this runs two threads
    //! through every order of their locks, one thread at a time.

    use std::cell::RefCell;
    use std::sync::Condvar;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::thread;

    use unspool_core::generator;

    use super::*;

    /// Whose turn it is.
    #[derive(Default)]
    struct Turns {
        state: Mutex<State>,
        changed: Condvar,
    }

    #[derive(Default)]
    struct State {
        turn: usize,
        has_ended: [bool; 2],
        /// Whether to pass the turn on at each step: what this run is about, and
        /// after that, alternately.
        plan: Vec<bool>,
        steps: usize,
    }

    thread_local! {
        static THREAD: RefCell<Option<(Arc<Turns>, usize)>> = const { RefCell::new(None) };
    }

    /// Another thread may go on before a lock, and has to if it holds that.
    pub(super) fn before<T: ?Sized>(mutex: &Mutex<T>) {
        let Some((turns, own)) = THREAD.with_borrow(Clone::clone) else {
            return;
        };
        turns.step(own, false);
        while let Err(TryLockError::WouldBlock) = mutex.try_lock() {
            turns.step(own, true);
        }
    }

    impl Turns {
        fn guard(&self) -> MutexGuard<'_, State> {
            self.state.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn step(&self, own: usize, must_wait: bool) {
            let mut state = self.guard();
            let passes_on = state.plan.get(state.steps).copied();
            let passes_on = must_wait || passes_on.unwrap_or(state.steps.is_multiple_of(2));
            if passes_on && !state.has_ended[1 - own] {
                state.turn = 1 - own;
            }
            state.steps += 1;
            self.changed.notify_all();
            drop(self.wait(state, own));
        }

        fn wait<'s>(&'s self, state: MutexGuard<'s, State>, own: usize) -> MutexGuard<'s, State> {
            let others = |state: &mut State| state.turn != own;
            (self.changed.wait_while(state, others)).unwrap_or_else(PoisonError::into_inner)
        }

        /// Runs one thread, from the first to its last turn.
        fn run<T>(self: &Arc<Self>, own: usize, work: impl FnOnce() -> T) -> T {
            drop(self.wait(self.guard(), own));
            THREAD.set(Some((Arc::clone(self), own)));
            let done = work();
            THREAD.set(None);
            let mut state = self.guard();
            state.has_ended[own] = true;
            state.turn = 1 - own;
            self.changed.notify_all();
            done
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn guarded(
        closed: &Arc<AtomicUsize>,
    ) -> impl AsyncGenerator<Yield = u8, Return = ()> + Send + use<> {
        let closed = Arc::clone(closed);
        generator! {
            try {
                yield 1;
            } finally {
                sleep(SECOND).await;
                closed.fetch_add(1, Relaxed);
            }
        }
    }

    /// How many of the first steps are tried both ways.
    const PLANNED: u32 = 11;

    /// Runs `other` in a thread while a shutdown runs in this one, in every order.
    fn check(
        other: impl Fn(&Generators, BoxGenerator<u8>, &Arc<AtomicUsize>) + Sync,
        expected: impl Fn(Shutdown, usize) -> bool,
    ) {
        for plan in 0..1u32 << PLANNED {
            let turns = Arc::new(Turns::default());
            turns.guard().plan = (0..PLANNED).map(|step| plan >> step & 1 == 1).collect();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build();
            let Ok(runtime) = runtime else {
                panic!("no runtime");
            };
            let (generators, closed) = (Generators::new(), Arc::default());
            let mut generator = generators.boxed(guarded(&closed));
            assert_eq!(runtime.block_on(generator.anext()), Some(1));
            let done = thread::scope(|scope| {
                scope.spawn(|| {
                    let _entered = runtime.enter();
                    turns.run(1, || other(&generators, generator, &closed));
                });
                turns.run(0, || runtime.block_on(generators.shutdown(10 * SECOND)))
            });
            let closed = closed.load(Relaxed);
            assert!(
                expected(done, closed),
                "plan {plan:b}: {done:?}, {closed} closed"
            );
        }
    }

    #[test]
    fn a_drop_hands_over_while_all_is_shut_down_and_is_waited_for() {
        check(
            |_, generator, _| drop(generator),
            |done, closed| (done.closed, done.unfinished, closed) == (1, 0, 1),
        );
    }

    #[test]
    fn one_that_is_boxed_while_all_is_shut_down_is_closed_or_left_whole() {
        check(
            |generators, generator, closed| {
                // It has not been started when it is shut down, if it is.
                drop(generators.boxed(guarded(closed)));
                drop(generator);
            },
            |done, closed| (done.closed, done.unfinished, closed) == (1, 0, 1),
        );
    }

    #[test]
    fn one_that_is_polled_while_all_is_shut_down_ends_and_is_closed_once() {
        check(
            |_, mut generator, _| {
                let mut cx = Context::from_waker(Waker::noop());
                let mut send = Some(Resume::Send(()));
                let _ = Pin::new(&mut generator).poll_resume(&mut cx, &mut send);
                let _ = generator.state();
            },
            |done, closed| (done.closed, done.unfinished, closed) == (1, 0, 1),
        );
    }
}
