//! What CPython's asynchronous generators do in the corners, case by case. The
//! table in `docs/generators.md` names these tests.

use std::cell::RefCell;
use std::pin::{Pin, pin};

use futures_util::{FutureExt, StreamExt};
use tokio::sync::{Notify, oneshot};
use tokio::task::yield_now;
use unspool_core::{AsyncGenerator, GeneratorState, IgnoredClose, Rejected, generator};

/// What happened, in order.
#[derive(Default)]
struct Log(RefCell<Vec<&'static str>>);

impl Log {
    fn add(&self, entry: &'static str) {
        self.0.borrow_mut().push(entry);
    }

    #[track_caller]
    fn check(&self, expected: &[&str]) {
        assert_eq!(*self.0.borrow(), expected);
    }
}

/// Two items and a `finally` that waits.
fn guarded(log: &Log) -> impl AsyncGenerator<Yield = u8, Return = &'static str> {
    generator! {
        log.add("begin");
        try {
            yield 1;
            log.add("between");
            yield 2;
            log.add("end");
        } finally {
            log.add("finally");
            yield_now().await;
            log.add("finally waited");
        }
        log.add("after");
        "done"
    }
}

#[tokio::test]
async fn nothing_runs_before_the_first_item_is_asked_for() {
    let log = &Log::default();
    let mut generator = pin!(guarded(log));
    assert_eq!(generator.state(), GeneratorState::Unstarted);
    log.check(&[]);
    assert_eq!(generator.anext().await, Some(1));
    assert_eq!(generator.state(), GeneratorState::Suspended);
    log.check(&["begin"]);
}

#[tokio::test]
async fn items_come_in_order_and_what_stands_for_the_end_after_them() {
    let mut generator = pin!(generator! {
        for number in 1..4 {
            yield_now().await;
            yield number;
        }
    });
    for expected in [1, 2, 3, 7, 7] {
        assert_eq!(generator.anext().await.unwrap_or(7), expected);
    }
}

#[tokio::test]
async fn a_body_that_ends_runs_finally_and_what_is_after_it() {
    let log = &Log::default();
    let mut generator = pin!(guarded(log));
    assert_eq!(generator.anext().await, Some(1));
    assert_eq!(generator.anext().await, Some(2));
    assert_eq!(generator.anext().await, None);
    log.check(&[
        "begin",
        "between",
        "end",
        "finally",
        "finally waited",
        "after",
    ]);
    assert_eq!(generator.as_mut().take_return(), Some("done"));
}

#[tokio::test]
async fn the_end_is_the_end_for_ever() {
    let log = &Log::default();
    let mut generator = pin!(guarded(log));
    while generator.anext().await.is_some() {}
    for _ in 0..3 {
        assert_eq!(generator.anext().await, None);
    }
    assert_eq!(generator.state(), GeneratorState::Ended);
}

#[tokio::test]
async fn an_error_ends_the_generator_and_runs_finally() {
    let log = &Log::default();
    let mut generator = pin!(generator! {
        try {
            yield 1;
            Err("gone")?;
        } finally {
            log.add("finally");
        }
        Ok::<(), String>(())
    });
    assert_eq!(generator.try_anext().await, Ok(Some(1)));
    // As an exception: it comes once, in the place of the end.
    assert_eq!(generator.try_anext().await, Err("gone".to_owned()));
    assert_eq!(generator.try_anext().await, Ok(None));
    assert_eq!(generator.as_mut().take_return(), None);
    log.check(&["finally"]);
}

#[tokio::test]
async fn a_return_in_a_try_runs_finally_on_its_way() {
    let log = &Log::default();
    let mut generator = pin!(generator! {
        try {
            for number in 0.. {
                if number == 2 {
                    return number;
                }
                yield number;
            }
        } finally {
            log.add("finally");
        }
        7
    });
    assert_eq!(generator.anext().await, Some(0));
    assert_eq!(generator.anext().await, Some(1));
    assert_eq!(generator.anext().await, None);
    assert_eq!(generator.as_mut().take_return(), Some(2));
    log.check(&["finally"]);
}

/// Counts on by what it is sent; a `Reset` begins again.
fn counter(log: &Log) -> impl AsyncGenerator<i32, Reset, Yield = i32, Return = Result<(), Reset>> {
    generator! {
        #![throws(Reset)]
        let mut count = 0;
        try {
            loop {
                let input: Result<i32, Reset> = yield count;
                match input {
                    Ok(step) => count += step,
                    Err(Reset { is_caught: true }) => count = 0,
                    Err(reset) => Err(reset)?,
                }
                if count > 99 {
                    return Ok(());
                }
            }
        } finally {
            yield_now().await;
            log.add("finally");
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Reset {
    is_caught: bool,
}

const CAUGHT: Reset = Reset { is_caught: true };
const UNCAUGHT: Reset = Reset { is_caught: false };

#[tokio::test]
async fn a_sent_value_is_what_the_yield_gives() {
    let log = &Log::default();
    let mut counter = pin!(counter(log));
    assert_eq!(counter.start().await, Ok(Some(0)));
    assert_eq!(counter.asend(3).await, Ok(Some(3)));
    assert_eq!(counter.asend(4).await, Ok(Some(7)));
    // To ask for the next item sends the default.
    assert_eq!(counter.try_anext().await, Ok(Some(7)));
    assert_eq!(counter.asend(100).await, Ok(None));
    log.check(&["finally"]);
}

#[tokio::test]
async fn nothing_can_be_sent_before_the_start_or_after_the_end() {
    let log = &Log::default();
    let mut counter = pin!(counter(log));
    let rejected = |state| Err(Rejected { state, value: 5 });
    assert_eq!(counter.asend(5).await, rejected(GeneratorState::Unstarted));
    assert_eq!(counter.start().await, Ok(Some(0)));
    assert_eq!(
        counter.start().await,
        Err(Rejected {
            state: GeneratorState::Suspended,
            value: ()
        })
    );
    assert_eq!(counter.asend(100).await, Ok(None));
    assert_eq!(counter.asend(5).await, rejected(GeneratorState::Ended));
}

#[tokio::test]
async fn a_thrown_error_that_is_caught_lets_the_body_go_on() {
    let log = &Log::default();
    let mut counter = pin!(counter(log));
    assert_eq!(counter.start().await, Ok(Some(0)));
    assert_eq!(counter.asend(3).await, Ok(Some(3)));
    assert_eq!(counter.athrow(CAUGHT).await, Ok(Some(0)));
    assert_eq!(counter.asend(1).await, Ok(Some(1)));
    log.check(&[]);
}

#[tokio::test]
async fn a_thrown_error_that_is_not_caught_runs_finally_and_is_returned() {
    let log = &Log::default();
    let mut counter = pin!(counter(log));
    assert_eq!(counter.start().await, Ok(Some(0)));
    assert_eq!(counter.athrow(UNCAUGHT).await, Ok(None));
    assert_eq!(counter.as_mut().take_return(), Some(Err(UNCAUGHT)));
    assert_eq!(counter.try_anext().await, Ok(None));
    log.check(&["finally"]);
}

#[tokio::test]
async fn a_thrown_error_that_is_swallowed_ends_the_body_well() {
    let mut generator = pin!(generator! {
        #![throws(Reset)]
        if let Err(Reset { .. }) = yield 1 {
            return "swallowed";
        }
        let (): () = (yield 2).unwrap();
        "not thrown"
    });
    assert_eq!(generator.start().await, Ok(Some(1)));
    assert_eq!(generator.athrow(UNCAUGHT).await, Ok(None));
    assert_eq!(generator.as_mut().take_return(), Some("swallowed"));
}

#[tokio::test]
async fn an_error_thrown_before_the_start_comes_back_and_the_body_never_runs() {
    let log = &Log::default();
    let mut counter = pin!(counter(log));
    let rejected = |state| {
        Err(Rejected {
            state,
            value: CAUGHT,
        })
    };
    assert_eq!(
        counter.athrow(CAUGHT).await,
        rejected(GeneratorState::Unstarted)
    );
    assert_eq!(counter.state(), GeneratorState::Ended);
    assert_eq!(counter.try_anext().await, Ok(None));
    assert_eq!(
        counter.athrow(CAUGHT).await,
        rejected(GeneratorState::Ended)
    );
    log.check(&[]);
}

#[tokio::test]
async fn closing_runs_finally_which_may_wait_and_nothing_after_it() {
    let log = &Log::default();
    let mut generator = pin!(guarded(log));
    assert_eq!(generator.anext().await, Some(1));
    assert_eq!(generator.aclose().await, Ok(()));
    log.check(&["begin", "finally", "finally waited"]);
    assert_eq!(generator.state(), GeneratorState::Ended);
    assert_eq!(generator.as_mut().take_return(), None);
    assert_eq!(generator.anext().await, None);
}

#[tokio::test]
async fn closing_an_unstarted_generator_runs_nothing() {
    let log = &Log::default();
    let mut generator = pin!(guarded(log));
    assert_eq!(generator.aclose().await, Ok(()));
    assert_eq!(generator.anext().await, None);
    log.check(&[]);
}

#[tokio::test]
async fn closing_twice_or_after_the_end_does_nothing() {
    let log = &Log::default();
    let mut generator = pin!(guarded(log));
    assert_eq!(generator.anext().await, Some(1));
    for _ in 0..3 {
        assert_eq!(generator.aclose().await, Ok(()));
    }
    log.check(&["begin", "finally", "finally waited"]);

    let log = &Log::default();
    let mut generator = pin!(guarded(log));
    while generator.anext().await.is_some() {}
    assert_eq!(generator.aclose().await, Ok(()));
    assert_eq!(
        log.0
            .borrow()
            .iter()
            .filter(|entry| **entry == "finally")
            .count(),
        1
    );
    assert_eq!(generator.as_mut().take_return(), Some("done"));
}

#[tokio::test]
async fn closing_a_body_without_finally_drops_it() {
    let (held, mut alive) = oneshot::channel::<()>();
    let mut generator = pin!(generator! {
        let _held = held;
        let _: u8 = yield 1;
    });
    assert_eq!(generator.anext().await, Some(1));
    assert_eq!(generator.aclose().await, Ok(()));
    assert!(
        alive
            .try_recv()
            .is_err_and(|error| error == oneshot::error::TryRecvError::Closed)
    );
}

#[tokio::test]
async fn a_yield_in_finally_while_closing_is_an_ignored_close() {
    let log = &Log::default();
    let mut generator = pin!(generator! {
        try {
            yield 1;
        } finally {
            log.add("finally");
            yield 2;
            log.add("after the yield");
        }
        log.add("after");
    });
    assert_eq!(generator.anext().await, Some(1));
    assert_eq!(generator.aclose().await, Err(IgnoredClose(2)));
    assert_eq!(generator.state(), GeneratorState::Suspended);
    // Closed again, it leaves the `finally`.
    assert_eq!(generator.aclose().await, Ok(()));
    log.check(&["finally"]);

    // Resumed, it goes through the `finally`, and then closes.
    let log = &Log::default();
    let mut generator = pin!(generator! {
        try {
            yield 1;
        } finally {
            yield 2;
            log.add("after the yield");
        }
        log.add("after");
    });
    assert_eq!(generator.anext().await, Some(1));
    assert_eq!(generator.aclose().await, Err(IgnoredClose(2)));
    assert_eq!(generator.anext().await, None);
    log.check(&["after the yield"]);
}

#[tokio::test]
async fn a_return_in_finally_while_closing_ends_the_body_well() {
    let mut generator = pin!(generator! {
        try {
            yield 1;
        } finally {
            if true {
                return "from finally";
            }
        }
        "after"
    });
    assert_eq!(generator.anext().await, Some(1));
    assert_eq!(generator.aclose().await, Ok(()));
    assert_eq!(generator.as_mut().take_return(), Some("from finally"));
}

#[tokio::test]
async fn finally_may_wait_for_a_task_that_fails() {
    let mut generator = pin!(generator! {
        try {
            yield 1;
        } finally {
            let task = tokio::spawn(async { yield_now().await; Err::<(), _>("no farewell") });
            task.await.unwrap()?;
        }
        Ok::<(), &str>(())
    });
    assert_eq!(generator.try_anext().await, Ok(Some(1)));
    assert_eq!(generator.aclose().await, Ok(()));
    assert_eq!(generator.as_mut().take_return(), Some(Err("no farewell")));
}

#[tokio::test]
async fn nested_tries_close_from_the_inside_out() {
    let log = &Log::default();
    let mut generator = pin!(generator! {
        try {
            try {
                yield 1;
                log.add("between");
            } finally {
                yield_now().await;
                log.add("inner");
            }
            log.add("after inner");
            yield 2;
        } finally {
            yield_now().await;
            log.add("outer");
        }
        log.add("after outer");
    });
    assert_eq!(generator.anext().await, Some(1));
    assert_eq!(generator.aclose().await, Ok(()));
    log.check(&["inner", "outer"]);
}

#[tokio::test]
async fn a_try_in_finally_is_guarded_too() {
    let log = &Log::default();
    let mut generator = pin!(generator! {
        try {
            yield 1;
        } finally {
            try {
                yield 2;
            } finally {
                log.add("inner");
            }
            log.add("after inner");
        }
    });
    assert_eq!(generator.anext().await, Some(1));
    assert_eq!(generator.aclose().await, Err(IgnoredClose(2)));
    assert_eq!(generator.aclose().await, Ok(()));
    log.check(&["inner"]);
}

/// Waits for a gate between its items, in a `try`.
fn waiting<'a>(
    log: &'a Log,
    gate: &'a Notify,
) -> impl AsyncGenerator<u8, Yield = u8, Return = ()> + 'a {
    generator! {
        try {
            let mut sent: u8 = yield 0;
            loop {
                gate.notified().await;
                log.add("through");
                sent = yield sent + 1;
            }
        } finally {
            yield_now().await;
            log.add("finally");
        }
    }
}

/// A generator in the middle of a step that was cancelled.
async fn cancelled<G: AsyncGenerator<u8, Yield = u8>>(mut generator: Pin<&mut G>) {
    assert_eq!(generator.start().await, Ok(Some(0)));
    assert!(generator.asend(4).now_or_never().is_none());
    assert_eq!(generator.state(), GeneratorState::Running);
}

#[tokio::test]
async fn a_cancelled_step_goes_on_with_the_next_one() {
    let (log, gate) = (Log::default(), Notify::new());
    let mut generator = pin!(waiting(&log, &gate));
    cancelled(generator.as_mut()).await;
    gate.notify_one();
    // What was sent has not been lost.
    assert_eq!(generator.anext().await, Some(5));
    log.check(&["through"]);
}

#[tokio::test]
async fn nothing_can_be_sent_into_a_cancelled_step() {
    let (log, gate) = (Log::default(), Notify::new());
    let mut generator = pin!(waiting(&log, &gate));
    cancelled(generator.as_mut()).await;
    let rejected = Err(Rejected {
        state: GeneratorState::Running,
        value: 9,
    });
    assert_eq!(generator.asend(9).await, rejected);
    gate.notify_one();
    assert_eq!(generator.anext().await, Some(5));
}

#[tokio::test]
async fn closing_gives_up_the_wait_of_a_cancelled_step() {
    let (log, gate) = (Log::default(), Notify::new());
    let mut generator = pin!(waiting(&log, &gate));
    cancelled(generator.as_mut()).await;
    assert_eq!(generator.aclose().await, Ok(()));
    log.check(&["finally"]);
}

#[tokio::test]
async fn a_cancelled_close_goes_on_and_finally_runs_once() {
    let (log, gate) = (&Log::default(), &Notify::new());
    let generator = || {
        generator! {
            try {
                yield 1;
            } finally {
                log.add("finally");
                gate.notified().await;
                log.add("finally waited");
            }
            yield 2;
        }
    };
    let mut closed = pin!(generator());
    assert_eq!(closed.anext().await, Some(1));
    assert!(closed.aclose().now_or_never().is_none());
    assert!(closed.aclose().now_or_never().is_none());
    gate.notify_one();
    assert_eq!(closed.aclose().await, Ok(()));
    log.check(&["finally", "finally waited"]);

    // A `finally` that ran anyway is waited for; then the body closes.
    let mut ended = pin!(generator());
    assert_eq!(ended.anext().await, Some(1));
    assert!(ended.anext().now_or_never().is_none());
    gate.notify_one();
    assert_eq!(ended.aclose().await, Ok(()));
    assert_eq!(ended.anext().await, None);
    log.check(&["finally", "finally waited", "finally", "finally waited"]);
}

#[tokio::test]
async fn a_drop_runs_no_finally_but_drops_what_the_body_holds() {
    let log = &Log::default();
    let (held, mut alive) = oneshot::channel::<()>();
    {
        let mut generator = pin!(generator! {
            let _held = held;
            try {
                yield 1;
            } finally {
                log.add("finally");
            }
        });
        assert_eq!(generator.anext().await, Some(1));
    }
    log.check(&[]);
    assert!(alive.try_recv().is_err());
}

#[tokio::test]
async fn generators_in_generators_are_independent() {
    let mut generator = pin!(generator! {
        let mut inner = pin!(generator! {
            let sent: u8 = yield 10;
            yield sent + 1;
        });
        let sent: u8 = yield inner.start().await.unwrap().unwrap();
        let item = inner.asend(sent + 1).await.unwrap();
        let _: u8 = yield item.unwrap();
    });
    assert_eq!(generator.start().await, Ok(Some(10)));
    assert_eq!(generator.asend(5).await, Ok(Some(7)));
    assert_eq!(generator.asend(0).await, Ok(None));
}

#[tokio::test]
async fn a_generator_is_a_stream_if_its_yields_can_be_sent_a_default() {
    let log = &Log::default();
    let mut stream = pin!(guarded(log).into_stream());
    assert_eq!(stream.as_mut().collect::<Vec<_>>().await, [1, 2]);
    assert_eq!(stream.as_mut().generator().take_return(), Some("done"));
}

#[tokio::test]
async fn loops_inside_of_a_try_can_be_left() {
    let mut generator = pin!(generator! {
        let mut kept = 0;
        try {
            'outer: for row in 0..9 {
                let mut column = 0;
                while column < 9 {
                    column += 1;
                    if column == 2 {
                        continue 'outer;
                    }
                    if row == 2 {
                        break 'outer;
                    }
                    yield (row, column);
                }
            }
            kept = 'block: {
                if kept == 0 {
                    break 'block 5;
                }
                6
            };
        } finally {
            kept += 1;
        }
        kept
    });
    assert_eq!(generator.anext().await, Some((0, 1)));
    assert_eq!(generator.anext().await, Some((1, 1)));
    assert_eq!(generator.anext().await, None);
    assert_eq!(generator.as_mut().take_return(), Some(6));
}

#[tokio::test]
async fn break_and_continue_out_of_a_try_pass_its_finally() {
    let log = &Log::default();
    let mut generator = pin!(generator! {
        'rows: for row in 0..9 {
            try {
                for column in 0.. {
                    try {
                        match (row, column) {
                            (0, 1) => continue 'rows,
                            (1, 0) => continue,
                            (1, 2) => break,
                            (2, _) => break 'rows,
                            _ => yield (row, column),
                        }
                        log.add("inner end");
                    } finally {
                        yield_now().await;
                        log.add("inner");
                    }
                }
                log.add("row end");
            } finally {
                log.add("outer");
            }
        }
        "after"
    });
    assert_eq!(generator.anext().await, Some((0, 0)));
    log.check(&[]);
    assert_eq!(generator.anext().await, Some((1, 1)));
    log.check(&["inner end", "inner", "inner", "outer", "inner"]);
    log.0.borrow_mut().clear();
    assert_eq!(generator.anext().await, None);
    log.check(&[
        "inner end",
        "inner",
        "inner",
        "row end",
        "outer",
        "inner",
        "outer",
    ]);
    assert_eq!(generator.as_mut().take_return(), Some("after"));
}

#[tokio::test]
async fn closing_goes_before_a_jump_and_a_jump_out_of_finally_before_closing() {
    let log = &Log::default();
    let mut closed = pin!(generator! {
        loop {
            try {
                yield 1;
                break;
            } finally {
                log.add("finally");
            }
        }
        log.add("after");
    });
    assert_eq!(closed.anext().await, Some(1));
    assert_eq!(closed.aclose().await, Ok(()));
    log.check(&["finally"]);

    let mut stubborn = pin!(generator! {
        for number in 0..3 {
            try {
                yield number;
            } finally {
                if number < 2 {
                    continue;
                }
            }
        }
    });
    assert_eq!(stubborn.anext().await, Some(0));
    assert_eq!(stubborn.aclose().await, Err(IgnoredClose(1)));
    assert_eq!(stubborn.aclose().await, Err(IgnoredClose(2)));
    assert_eq!(stubborn.aclose().await, Ok(()));
}

#[test]
fn a_two_way_generator_is_send_if_its_body_is() {
    fn assert_send<T: Send>(generator: T) -> T {
        generator
    }
    let _ = assert_send(generator! {
        #![throws(Reset)]
        try {
            let sent: Result<String, Reset> = yield vec![1];
            yield_now().await;
            drop(sent);
        } finally {
            yield_now().await;
        }
    });
}
