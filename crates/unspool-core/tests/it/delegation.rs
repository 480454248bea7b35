//! `yield in`: one generator yields from another.

use std::cell::RefCell;
use std::pin::pin;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::task::yield_now;
use unspool_core::{AsyncGenerator, GeneratorState, IgnoredClose, generator};

type Log = RefCell<Vec<&'static str>>;

/// Asks for numbers until it gets a zero; returns their sum.
fn summing(
    log: &Log,
) -> impl AsyncGenerator<u32, &'static str, Yield = u32, Return = Result<u32, &'static str>> {
    generator! {
        #![throws(&'static str)]
        let mut sum = 0;
        try {
            loop {
                match yield sum {
                    Ok(0) => return Ok(sum),
                    Ok(number) => sum += number,
                    Err("again") => sum = 0,
                    Err(error) => Err(error)?,
                }
            }
        } finally {
            yield_now().await;
            log.borrow_mut().push("inner");
        }
    }
}

/// Yields from two of them, one after the other, and returns what they did.
fn outer(
    log: &Log,
) -> impl AsyncGenerator<u32, &'static str, Yield = u32, Return = Result<(u32, u32), &'static str>>
{
    generator! {
        #![throws(&'static str)]
        try {
            let first = (yield in summing(log))?;
            let second = (yield in summing(log))?;
            Ok((first, second))
        } finally {
            yield_now().await;
            log.borrow_mut().push("outer");
        }
    }
}

#[tokio::test]
async fn sent_values_go_in_and_the_return_value_is_the_value() {
    let log = Log::default();
    let mut generator = pin!(outer(&log));
    assert_eq!(generator.start().await, Ok(Some(0)));
    assert_eq!(generator.asend(3).await, Ok(Some(3)));
    assert_eq!(generator.asend(4).await, Ok(Some(7)));
    assert_eq!(generator.asend(0).await, Ok(Some(0)));
    assert_eq!(generator.asend(5).await, Ok(Some(5)));
    assert_eq!(generator.asend(0).await, Ok(None));
    assert_eq!(generator.as_mut().take_return(), Some(Ok((7, 5))));
    assert_eq!(*log.borrow(), ["inner", "inner", "outer"]);
}

#[tokio::test]
async fn thrown_errors_go_in_caught_there_or_not() {
    let log = Log::default();
    let mut generator = pin!(outer(&log));
    assert_eq!(generator.start().await, Ok(Some(0)));
    assert_eq!(generator.asend(3).await, Ok(Some(3)));
    assert_eq!(generator.athrow("again").await, Ok(Some(0)));
    assert_eq!(generator.athrow("enough").await, Ok(None));
    assert_eq!(generator.as_mut().take_return(), Some(Err("enough")));
    assert_eq!(*log.borrow(), ["inner", "outer"]);
}

#[tokio::test]
async fn closing_closes_the_inner_one_first() {
    let log = Log::default();
    let mut generator = pin!(outer(&log));
    assert_eq!(generator.start().await, Ok(Some(0)));
    assert_eq!(generator.aclose().await, Ok(()));
    assert_eq!(*log.borrow(), ["inner", "outer"]);
}

#[tokio::test]
async fn a_cancelled_step_and_a_cancelled_close_go_on() {
    let (log, gate) = (&Log::default(), &Notify::new());
    let generator = || {
        generator! {
            let () = yield in generator! {
                try {
                    yield 1;
                    gate.notified().await;
                    yield 2;
                } finally {
                    gate.notified().await;
                    log.borrow_mut().push("inner");
                }
            };
            log.borrow_mut().push("after");
        }
    };
    let mut steps = pin!(generator());
    assert_eq!(steps.anext().await, Some(1));
    assert!(steps.anext().now_or_never().is_none());
    assert_eq!(steps.state(), GeneratorState::Running);
    gate.notify_one();
    assert_eq!(steps.anext().await, Some(2));
    gate.notify_one();
    assert_eq!(steps.anext().await, None);
    assert_eq!(*log.borrow(), ["inner", "after"]);

    // The wait of the inner one is given up; its `finally` waits, and runs once.
    let mut closed = pin!(generator());
    assert_eq!(closed.anext().await, Some(1));
    assert!(closed.anext().now_or_never().is_none());
    assert!(closed.aclose().now_or_never().is_none());
    gate.notify_one();
    assert_eq!(closed.aclose().await, Ok(()));
    assert_eq!(*log.borrow(), ["inner", "after", "inner"]);
}

#[tokio::test]
async fn an_inner_one_that_ignores_its_close_is_closed_all_the_same() {
    let mut generator = pin!(generator! {
        let () = yield in generator! {
            try { yield 1; } finally { yield 2; }
        };
    });
    assert_eq!(generator.anext().await, Some(1));
    assert_eq!(generator.aclose().await, Err(IgnoredClose(2)));
    assert_eq!(generator.aclose().await, Ok(()));
    assert_eq!(generator.state(), GeneratorState::Ended);
}

#[tokio::test]
async fn it_nests_as_deep_as_one_likes() {
    type Boxed = std::pin::Pin<Box<dyn AsyncGenerator<Yield = u32, Return = u32>>>;

    fn tree(depth: u32) -> Boxed {
        Box::pin(generator! {
            yield depth;
            if depth == 0 {
                return 1;
            }
            let left = yield in tree(depth - 1);
            let right = yield in tree(depth - 1);
            left + right
        })
    }
    let mut nodes = tree(3);
    let mut seen = Vec::new();
    while let Some(node) = nodes.anext().await {
        seen.push(node);
    }
    assert_eq!(seen, [3, 2, 1, 0, 0, 1, 0, 0, 2, 1, 0, 0, 1, 0, 0]);
    assert_eq!(nodes.as_mut().take_return(), Some(8));
}
