//! `yield in`: one generator yields from another.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::task::yield_now;
use unspool_core::{
    AsyncGenerator, GeneratorState, IgnoredClose, Rejected, from_stream, generator,
};

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

type Summing<'l> = Pin<
    Box<
        dyn AsyncGenerator<u32, &'static str, Yield = u32, Return = Result<u32, &'static str>> + 'l,
    >,
>;

/// A [`summing`] at the bottom of so many generators, each of which adds one.
fn deep(depth: u32, log: &Log) -> Summing<'_> {
    if depth == 0 {
        return Box::pin(summing(log));
    }
    Box::pin(generator! {
        #![throws(&'static str)]
        let sum = (yield in deep(depth - 1, log))?;
        Ok(sum + 1)
    })
}

#[tokio::test]
async fn a_deep_chain_passes_everything_in_and_out() {
    let log = Log::default();
    let mut generator = deep(100, &log);
    assert_eq!(generator.state(), GeneratorState::Unstarted);
    assert_eq!(generator.start().await, Ok(Some(0)));
    assert_eq!(generator.state(), GeneratorState::Suspended);
    for sum in [2, 4, 6] {
        assert_eq!(generator.asend(2).await, Ok(Some(sum)));
    }
    assert_eq!(generator.athrow("again").await, Ok(Some(0)));
    assert_eq!(generator.asend(5).await, Ok(Some(5)));
    assert_eq!(generator.asend(0).await, Ok(None));
    assert_eq!(generator.state(), GeneratorState::Ended);
    assert_eq!(generator.as_mut().take_return(), Some(Ok(105)));
    assert_eq!(*log.borrow(), ["inner"]);

    let mut thrown = deep(100, &log);
    assert_eq!(thrown.start().await, Ok(Some(0)));
    assert_eq!(thrown.athrow("enough").await, Ok(None));
    assert_eq!(thrown.as_mut().take_return(), Some(Err("enough")));

    let mut closed = deep(100, &log);
    assert_eq!(closed.start().await, Ok(Some(0)));
    assert_eq!(closed.aclose().await, Ok(()));
    assert_eq!(*log.borrow(), ["inner", "inner", "inner"]);
}

#[tokio::test]
async fn what_is_sent_in_the_middle_of_a_step_comes_back_from_the_root() {
    let gate = &Notify::new();
    let mut generator = pin!(generator! {
        let () = yield in generator! {
            let () = yield in generator! {
                let mut sent: u8 = yield 0;
                loop {
                    gate.notified().await;
                    sent = yield sent + 1;
                }
            };
        };
    });
    assert_eq!(generator.start().await, Ok(Some(0)));
    assert!(generator.asend(4).now_or_never().is_none());
    let state = GeneratorState::Running;
    assert_eq!(generator.state(), state);
    let value = 9;
    assert_eq!(generator.asend(9).await, Err(Rejected { state, value }));
    gate.notify_one();
    assert_eq!(generator.anext().await, Some(5));
    assert_eq!(generator.state(), GeneratorState::Suspended);
}

#[tokio::test]
async fn an_error_can_be_caught_half_way_up() {
    let log = &Log::default();
    let mut generator = pin!(generator! {
        #![throws(&'static str)]
        let total = yield in generator! {
            #![throws(&'static str)]
            let mut total = 0;
            loop {
                match yield in deep(3, log) {
                    Ok(sum) => total += sum,
                    Err("done") => return total,
                    Err(_) => total += 1000,
                }
            }
        };
        total
    });
    assert_eq!(generator.start().await, Ok(Some(0)));
    assert_eq!(generator.asend(7).await, Ok(Some(7)));
    assert_eq!(generator.asend(0).await, Ok(Some(0)));
    assert_eq!(generator.athrow("other").await, Ok(Some(0)));
    assert_eq!(generator.athrow("done").await, Ok(None));
    assert_eq!(generator.as_mut().take_return(), Some(1010));
    assert_eq!(*log.borrow(), ["inner", "inner", "inner"]);
}

/// Three levels; the middle one yields and waits in its `finally`.
fn slow_to_close<'a>(
    log: &'a Log,
    gate: &'a Notify,
) -> impl AsyncGenerator<Yield = u8, Return = ()> + 'a {
    generator! {
        try {
            let () = yield in generator! {
                try {
                    let () = yield in generator! {
                        try {
                            yield 1;
                            yield 2;
                        } finally {
                            log.borrow_mut().push("inner");
                        }
                    };
                } finally {
                    yield 3;
                    gate.notified().await;
                    let () = yield in generator! {
                        try { yield 4; } finally { log.borrow_mut().push("last"); }
                    };
                    log.borrow_mut().push("middle");
                }
            };
        } finally {
            log.borrow_mut().push("outer");
        }
    }
}

#[tokio::test]
async fn a_middle_level_may_yield_and_wait_in_its_finally() {
    let (log, gate) = (&Log::default(), &Notify::new());
    let mut generator = pin!(slow_to_close(log, gate));
    assert_eq!(generator.anext().await, Some(1));
    assert_eq!(generator.anext().await, Some(2));
    assert_eq!(generator.anext().await, Some(3));
    assert!(generator.anext().now_or_never().is_none());
    gate.notify_one();
    assert_eq!(generator.anext().await, Some(4));
    assert_eq!(generator.anext().await, None);
    assert_eq!(*log.borrow(), ["inner", "last", "middle", "outer"]);
}

#[tokio::test]
async fn closing_goes_on_through_a_finally_that_yields() {
    let (log, gate) = (&Log::default(), &Notify::new());
    let mut generator = pin!(slow_to_close(log, gate));
    assert_eq!(generator.anext().await, Some(1));
    assert_eq!(generator.aclose().await, Err(IgnoredClose(3)));
    assert_eq!(generator.state(), GeneratorState::Suspended);
    // What closes it does not change its mind: whatever comes, it closes.
    assert_eq!(generator.anext().await, None);
    assert_eq!(*log.borrow(), ["inner", "outer"]);
}

#[tokio::test]
async fn closing_a_chain_in_a_wait_gives_it_up_or_waits_for_a_finally() {
    let (log, gate) = (&Log::default(), &Notify::new());
    let mut generator = pin!(slow_to_close(log, gate));
    for item in [1, 2, 3] {
        assert_eq!(generator.anext().await, Some(item));
    }
    assert!(generator.anext().now_or_never().is_none());
    // It waits in a `finally`, which runs to its end; what that yields from is closed.
    assert!(generator.aclose().now_or_never().is_none());
    gate.notify_one();
    assert_eq!(generator.aclose().await, Err(IgnoredClose(4)));
    assert_eq!(generator.aclose().await, Ok(()));
    assert_eq!(*log.borrow(), ["inner", "last", "outer"]);
}

#[tokio::test]
async fn one_that_was_only_borrowed_lives_on_where_it_stands() {
    let (log, gate) = (&Log::default(), &Notify::new());
    let mut inner = pin!(generator! {
        let () = yield in generator! {
            let mut sent: u8 = yield 0;
            for _ in 0..3 {
                gate.notified().await;
                sent = yield sent + 1;
            }
        };
        log.borrow_mut().push("inner");
    });
    {
        let borrowed = inner.as_mut();
        let mut outer = Box::pin(generator! {
            let () = yield in generator! {
                let () = yield in borrowed;
            };
        });
        assert_eq!(outer.start().await, Ok(Some(0)));
        gate.notify_one();
        assert_eq!(outer.asend(3).await, Ok(Some(4)));
        assert!(outer.asend(5).now_or_never().is_none());
    }
    // The outer ones are gone in the middle of a step.
    assert_eq!(inner.state(), GeneratorState::Running);
    assert!(inner.asend(1).await.is_err());
    gate.notify_one();
    assert_eq!(inner.anext().await, Some(6));
    assert_eq!(inner.state(), GeneratorState::Suspended);
    gate.notify_one();
    assert_eq!(inner.asend(7).await, Ok(Some(8)));
    assert_eq!(inner.anext().await, None);
    assert_eq!(*log.borrow(), ["inner"]);
}

#[tokio::test]
async fn one_that_is_in_a_wait_can_be_yielded_from() {
    let gate = &Notify::new();
    let mut inner = pin!(generator! {
        let () = yield in generator! {
            gate.notified().await;
            yield 1;
            yield 2;
        };
        "returned"
    });
    assert!(inner.anext().now_or_never().is_none());
    {
        let borrowed = inner.as_mut();
        let mut forgotten = Box::pin(generator! { yield in borrowed; });
        assert!(forgotten.anext().now_or_never().is_none());
        gate.notify_one();
        assert_eq!(forgotten.anext().await, Some(1));
        std::mem::forget(forgotten);
    }
    assert_eq!(inner.anext().await, Some(2));
    assert_eq!(inner.anext().await, None);
    assert_eq!(inner.as_mut().take_return(), Some("returned"));
}

#[tokio::test]
async fn a_chain_can_move_in_its_boxes_and_be_polled_among_others() {
    let log = Log::default();
    let mut chains = vec![deep(3, &log), deep(5, &log)];
    for chain in &mut chains {
        assert_eq!(chain.start().await, Ok(Some(0)));
    }
    chains.reverse();
    let [left, right] = chains.as_mut_slice() else {
        panic!("two of them");
    };
    let both = futures_util::future::join(left.asend(1), right.asend(2)).await;
    assert_eq!(both, (Ok(Some(1)), Ok(Some(2))));
    tokio::select! {
        item = left.asend(1) => assert_eq!(item, Ok(Some(2))),
        _ = std::future::pending::<()>() => {}
    }
    drop(chains);
    assert_eq!(*log.borrow(), [""; 0]);
}

#[tokio::test]
async fn a_panic_breaks_all_that_yield_from_it() {
    let held = Rc::new(());
    let token = &held;
    let mut generator = Box::pin(generator! {
        let _outer = Rc::clone(token);
        let () = yield in generator! {
            let _middle = Rc::clone(token);
            let () = yield in generator! {
                let _inner = Rc::clone(token);
                yield 1;
                if true { panic!("on purpose"); }
            };
        };
    });
    assert_eq!(generator.anext().await, Some(1));
    let step = |generator: &mut Pin<Box<_>>| {
        catch_unwind(AssertUnwindSafe(|| {
            AsyncGenerator::<(), _>::anext(generator).now_or_never()
        }))
        .is_err()
    };
    assert!(step(&mut generator) && step(&mut generator));
    assert!(catch_unwind(AssertUnwindSafe(|| generator.aclose().now_or_never())).is_err());
    assert_eq!(generator.state(), GeneratorState::Running);
    drop(generator);
    assert_eq!(Rc::strong_count(&held), 1);
}

#[tokio::test]
async fn an_arm_of_a_macro_can_yield_from_another() {
    let mut generator = pin!(generator! {
        tokio::select! {
            () = yield_now() => { yield in generator! { yield 1; yield 2; }; }
        }
    });
    assert_eq!(generator.anext().await, Some(1));
    assert_eq!(generator.anext().await, Some(2));
    assert_eq!(generator.anext().await, None);
}

#[test]
fn a_chain_is_send_if_all_of_it_is() {
    fn assert_send<T: Send>(generator: T) -> T {
        generator
    }
    let _ = assert_send(generator! {
        try {
            let () = yield in Box::pin(generator! {
                let () = yield in generator! { let _: String = yield 1; };
            });
        } finally {
            yield_now().await;
        }
    });
}

#[tokio::test]
async fn a_stream_can_be_yielded_from() {
    fn numbers() -> impl AsyncGenerator<u8, &'static str, Yield = i32, Return = &'static str> {
        generator! {
            #![throws(&'static str)]
            match yield in from_stream(futures_util::stream::iter([1, 2])) {
                Ok(()) => "all",
                Err(error) => error,
            }
        }
    }
    let mut all = pin!(numbers());
    assert_eq!(all.start().await, Ok(Some(1)));
    assert_eq!(all.asend(7).await, Ok(Some(2)));
    assert_eq!(all.asend(7).await, Ok(None));
    assert_eq!(all.as_mut().take_return(), Some("all"));

    let mut stopped = pin!(numbers());
    assert_eq!(stopped.start().await, Ok(Some(1)));
    assert_eq!(stopped.athrow("thrown").await, Ok(None));
    assert_eq!(stopped.as_mut().take_return(), Some("thrown"));

    let mut closed = pin!(numbers());
    assert_eq!(closed.start().await, Ok(Some(1)));
    assert_eq!(closed.aclose().await, Ok(()));
}
