//! Generators that are closed though nobody closes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep};
use unspool::{AsyncGenerator, Generators, generator};
use unspool_core::GeneratorState;

const SECOND: Duration = Duration::from_secs(1);

/// Endless numbers; what is waited for in its `finally`, and how often it ran.
fn numbers(
    cleanup: Duration,
    closed: &Arc<AtomicUsize>,
) -> impl AsyncGenerator<Yield = u64> + Send + use<> {
    let closed = Arc::clone(closed);
    generator! {
        try {
            for number in 0.. {
                sleep(SECOND).await;
                yield number;
            }
        } finally {
            sleep(cleanup).await;
            closed.fetch_add(1, Relaxed);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_generator_that_is_dropped_half_way_is_closed_on_the_runtime() {
    let (generators, closed) = (Generators::new(), Arc::default());
    let mut generator = generators.boxed(numbers(SECOND, &closed));
    assert_eq!(generator.anext().await, Some(0));
    assert_eq!(generator.anext().await, Some(1));
    drop(generator);
    assert_eq!(closed.load(Relaxed), 0);
    sleep(2 * SECOND).await;
    assert_eq!(closed.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_those_that_were_dropped_and_closes_those_that_are_held() {
    let (generators, closed) = (Generators::new(), Arc::default());
    let mut dropped = generators.boxed(numbers(SECOND, &closed));
    let mut held = generators.boxed(numbers(2 * SECOND, &closed));
    let mut waiting = generators.boxed(numbers(SECOND, &closed));
    let unstarted = generators.boxed(numbers(SECOND, &closed));
    assert_eq!(dropped.anext().await, Some(0));
    assert_eq!(held.anext().await, Some(0));
    assert!(waiting.anext().now_or_never().is_none());
    drop(dropped);

    let begin = Instant::now();
    let done = generators.shutdown(10 * SECOND).await;
    assert_eq!(
        (done.closed, done.ignored, done.panicked, done.unfinished),
        (3, 0, 0, 0)
    );
    assert_eq!(closed.load(Relaxed), 3);
    // All at once, and not one after the other.
    assert_eq!(begin.elapsed().as_secs(), 2);
    for mut generator in [held, waiting, unstarted] {
        assert_eq!(generator.state(), GeneratorState::Ended);
        assert_eq!(generator.anext().await, None);
    }
    assert_eq!(generators.shutdown(SECOND).await.closed, 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_generator_that_is_shut_down_is_woken() {
    let (generators, closed) = (Generators::new(), Arc::default());
    let mut generator = generators.boxed(numbers(SECOND, &closed));
    let reader = tokio::spawn(async move {
        let mut count = 0;
        while generator.anext().await.is_some() {
            count += 1;
        }
        count
    });
    sleep(SECOND * 7 / 2).await;
    assert_eq!(generators.shutdown(2 * SECOND).await.closed, 1);
    assert_eq!(reader.await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_beyond_its_limit() {
    let (generators, closed) = (Generators::new(), Arc::default());
    let mut quick = generators.boxed(numbers(SECOND, &closed));
    let mut slow = generators.boxed(numbers(1000 * SECOND, &closed));
    assert_eq!(
        (quick.anext().await, slow.anext().await),
        (Some(0), Some(0))
    );
    let begin = Instant::now();
    let done = generators.shutdown(5 * SECOND).await;
    assert_eq!((done.closed, done.unfinished), (1, 1));
    assert_eq!(begin.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn those_that_yield_or_panic_while_closing_are_counted() {
    let generators = Generators::new();
    let mut yields = generators.boxed(generator! {
        try { yield 1; } finally { yield 2; }
    });
    let mut panics = generators.boxed(generator! {
        try { yield 1; } finally { if true { panic!("on purpose"); } }
    });
    assert_eq!(
        (yields.anext().await, panics.anext().await),
        (Some(1), Some(1))
    );
    let done = generators.shutdown(SECOND).await;
    assert_eq!((done.closed, done.ignored, done.panicked), (0, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn one_that_has_ended_or_was_closed_leaves_nothing_to_do() {
    let (generators, closed) = (Generators::new(), Arc::default());
    let mut ended = generators.boxed(generator! { yield 1; "over" });
    assert_eq!((ended.anext().await, ended.anext().await), (Some(1), None));
    assert_eq!(std::pin::Pin::new(&mut ended).take_return(), Some("over"));
    let mut shut = generators.boxed(numbers(SECOND, &closed));
    assert_eq!(shut.anext().await, Some(0));
    assert_eq!(shut.aclose().await, Ok(()));
    drop((ended, shut));
    assert_eq!(
        generators.shutdown(SECOND).await,
        unspool::Shutdown::default()
    );
    assert_eq!(closed.load(Relaxed), 1);
}

#[test]
fn without_a_runtime_a_drop_is_a_drop() {
    let (generators, closed) = (Generators::new(), Arc::new(AtomicUsize::new(0)));
    let held = Arc::clone(&closed);
    let mut generator = generators.boxed(generator! {
        let _held = held;
        try { yield 1; } finally { unreachable!(); }
    });
    assert_eq!(generator.anext().now_or_never(), Some(Some(1)));
    drop(generator);
    assert_eq!(Arc::strong_count(&closed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_shuts_its_own_registry_down_does_not_hang() {
    let generators = Generators::new();
    let own = generators.clone();
    let mut generator = generators.boxed(generator! {
        yield own.shutdown(SECOND).await;
    });
    assert_eq!(generator.anext().await.map(|done| done.unfinished), Some(1));
    assert_eq!(generator.anext().await, None);
}
