//! Waits that a macro hides in a `try`: closing gives them up like any other.

use std::cell::RefCell;
use std::future::pending;
use std::pin::{Pin, pin};

use futures_util::{FutureExt, stream as streams};
use unspool_core::{AsyncGenerator, GeneratorState, generator};

type Log = RefCell<Vec<&'static str>>;

macro_rules! wait {
    ($future:expr) => {
        $future.await
    };
}

/// Cancels the step in which the generator waits, and closes it.
fn close<G>(mut generator: Pin<&mut G>, log: &Log, expected: &[&str])
where
    G: AsyncGenerator<Yield = u8>,
{
    assert_eq!(generator.anext().now_or_never(), None);
    assert_eq!(generator.state(), GeneratorState::Running);
    assert_eq!(generator.aclose().now_or_never(), Some(Ok(())));
    assert_eq!(generator.state(), GeneratorState::Ended);
    assert_eq!(*log.borrow(), expected);
}

#[test]
fn a_wait_in_select_is_given_up() {
    let log = &Log::default();
    let generator = pin!(generator! {
        try {
            tokio::select! {
                () = pending() => yield 1,
                () = pending() => { yield 2; }
            }
        } finally {
            log.borrow_mut().push("finally");
        }
    });
    close(generator, log, &["finally"]);
}

#[test]
fn a_wait_in_join_is_given_up() {
    let log = &Log::default();
    let generator = pin!(generator! {
        try {
            tokio::join!(pending::<()>(), async { log.borrow_mut().push("joined") });
            yield 1;
        } finally {
            log.borrow_mut().push("finally");
        }
    });
    close(generator, log, &["joined", "finally"]);
}

#[test]
fn a_wait_in_a_macro_of_ones_own_is_given_up() {
    let log = &Log::default();
    let generator = pin!(generator! {
        let mut number = 7;
        try {
            number += 1;
            wait!(pending::<()>());
            yield number;
        } finally {
            assert_eq!(number, 8);
            log.borrow_mut().push("finally");
        }
    });
    close(generator, log, &["finally"]);
}

#[test]
fn a_wait_after_an_item_of_an_arm_is_given_up() {
    let log = &Log::default();
    let mut generator = pin!(generator! {
        try {
            loop {
                tokio::select! {
                    biased;
                    item = async { 1 }, if log.borrow().is_empty() => {
                        log.borrow_mut().push("item");
                        yield item;
                    }
                    () = pending() => {}
                }
            }
        } finally {
            log.borrow_mut().push("finally");
        }
    });
    assert_eq!(generator.anext().now_or_never(), Some(Some(1)));
    close(generator, log, &["item", "finally"]);
}

#[test]
fn tries_around_a_hidden_wait_close_from_the_inside_out() {
    let log = &Log::default();
    let generator = pin!(generator! {
        try {
            try {
                tokio::select! {
                    () = async {} => try {
                        for await _ in streams::iter([1]) {
                            wait!(pending::<()>());
                        }
                        yield 1;
                    } finally {
                        log.borrow_mut().push("innermost");
                    }
                }
            } finally {
                log.borrow_mut().push("inner");
            }
            wait!(pending::<()>());
        } finally {
            log.borrow_mut().push("outer");
        }
    });
    close(generator, log, &["innermost", "inner", "outer"]);
}

#[test]
fn a_hidden_wait_in_a_finally_is_waited_for() {
    let (log, gate) = (&Log::default(), &tokio::sync::Notify::new());
    let mut generator = pin!(generator! {
        try {
            yield 1;
        } finally {
            tokio::select! {
                () = gate.notified() => log.borrow_mut().push("finally"),
            }
        }
    });
    assert_eq!(generator.anext().now_or_never(), Some(Some(1)));
    assert_eq!(generator.aclose().now_or_never(), None);
    gate.notify_one();
    assert_eq!(generator.aclose().now_or_never(), Some(Ok(())));
    assert_eq!(*log.borrow(), ["finally"]);
}

#[test]
fn a_loop_in_an_argument_keeps_its_breaks() {
    let log = &Log::default();
    let mut generator = pin!(generator! {
        for round in 0.. {
            try {
                tokio::select! {
                    () = async {} => for _ in 0.. {
                        try {
                            yield 1;
                            if round == 0 {
                                break;
                            }
                        } finally {
                            log.borrow_mut().push("inner");
                        }
                    }
                }
                log.borrow_mut().push("after the loop in the argument");
            } finally {
                log.borrow_mut().push("outer");
            }
            if round == 0 {
                break;
            }
        }
    });
    assert_eq!(generator.anext().now_or_never(), Some(Some(1)));
    assert_eq!(generator.anext().now_or_never(), Some(None));
    let expected = ["inner", "after the loop in the argument", "outer"];
    assert_eq!(*log.borrow(), expected);
}
