use std::cell::RefCell;
use std::pin::pin;

use futures_core::Stream;
use futures_util::{StreamExt, stream as streams};
use tokio::select;
use unspool_core::{AsyncGenerator, generator, stream, try_stream};

async fn work() {}

#[tokio::test]
async fn an_arm_of_select_can_yield() {
    let stream = stream! {
        select! {
            _ = work() => yield "done",
            _ = std::future::pending::<()>() => yield "never",
            else => yield "else",
        }
        select! {
            _ = work() => {
                for await number in streams::iter(["one", "two"]) {
                    yield number;
                }
            }
        }
    };
    assert_eq!(stream.collect::<Vec<_>>().await, ["done", "one", "two"]);
}

#[tokio::test]
async fn an_arm_of_select_can_ask_and_return() {
    fn numbers(text: &str) -> impl Stream<Item = Result<u8, std::num::ParseIntError>> {
        try_stream! {
            for _ in 0..text.len() {
                select! {
                    _ = work() => {
                        yield text.parse()?;
                        if text.len() == 1 {
                            return;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(numbers("7").collect::<Vec<_>>().await, [Ok(7)]);
    let error = "x".parse::<u8>().unwrap_err();
    assert_eq!(numbers("x").collect::<Vec<_>>().await, [Err(error)]);
}

#[tokio::test]
async fn a_unit_can_be_yielded_in_an_arm() {
    let stream = stream! {
        select! {
            _ = work() => yield,
            else => yield,
        }
    };
    assert_eq!(stream.count().await, 1);
}

#[tokio::test]
async fn a_stream_in_an_arm_is_its_own() {
    let stream = stream! {
        select! {
            _ = work() => {
                let inner = try_stream! { yield 1; Err("two")?; };
                yield inner.collect::<Vec<Result<u8, &str>>>().await;
            }
        }
    };
    assert_eq!(stream.collect::<Vec<_>>().await, [[Ok(1), Err("two")]]);
}

#[tokio::test]
async fn arguments_of_common_macros_can_yield() {
    let stream = stream! {
        let values = vec![{ yield 1; 10 }, { yield 2; 20 }];
        assert_eq!(values, [10, { yield 3; 20 }], "not {}", values[0]);
        println!("{:?}", { yield 4; });
    };
    assert_eq!(stream.collect::<Vec<_>>().await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn what_an_arm_yields_may_be_sent_a_value() {
    let mut generator = pin!(generator! {
        let sent = select! {
            _ = work() => yield 1,
        };
        let mut sum: u8 = sent;
        select! {
            _ = work() => {
                sum += yield 2;
                yield sum
            }
        }
    });
    assert_eq!(generator.start().await, Ok(Some(1)));
    assert_eq!(generator.asend(3).await, Ok(Some(2)));
    assert_eq!(generator.asend(4).await, Ok(Some(7)));
    assert_eq!(generator.asend(5).await, Ok(None));
    assert_eq!(generator.as_mut().take_return(), Some(5));
}

#[tokio::test]
async fn an_arm_whose_value_is_not_used_yields_nothing_but_items() {
    let mut generator = pin!(generator! {
        select! {
            _ = work() => yield 1,
        }
        select! {
            _ = work() => { yield 2; }
        }
    });
    assert_eq!(generator.anext().await, Some(1));
    assert_eq!(generator.anext().await, Some(2));
    assert_eq!(generator.anext().await, None);
}

#[tokio::test]
async fn an_arm_can_try_and_yield_from_others() {
    let log = &RefCell::new(vec![]);
    let generator = || {
        generator! {
            let mut last = 0;
            select! {
                _ = work() => try {
                    last = yield 1;
                    for await number in streams::iter([2, 3]) {
                        work().await;
                        last = yield number;
                    }
                    let returned: i32 = yield in generator! { (yield 4) + 10 };
                    last += returned;
                    if last == 11 { return last; }
                } finally {
                    log.borrow_mut().push(last);
                }
            }
            last + 100
        }
    };
    let mut closed = pin!(generator());
    assert_eq!(closed.start().await, Ok(Some(1)));
    assert_eq!(closed.asend(7).await, Ok(Some(2)));
    assert_eq!(closed.aclose().await, Ok(()));
    assert_eq!(*log.borrow(), [7]);

    for (sent, returned) in [(1, 11), (0, 110)] {
        let mut ended = pin!(generator());
        assert_eq!(ended.start().await, Ok(Some(1)));
        for item in [2, 3, 4] {
            assert_eq!(ended.asend(0).await, Ok(Some(item)));
        }
        assert_eq!(ended.asend(sent).await, Ok(None));
        assert_eq!(ended.as_mut().take_return(), Some(returned));
    }
    assert_eq!(*log.borrow(), [7, 11, 10]);
}

#[expect(
    clippy::needless_return,
    reason = "a `return` that means nothing still has to compile"
)]
#[tokio::test]
async fn a_return_in_a_closure_or_function_in_an_argument_is_its_own() {
    fn numbers() -> impl Stream<Item = Result<usize, String>> {
        try_stream! {
            let mut seen = vec![];
            select! {
                _ = work() => {
                    [1, 2].iter().for_each(|number| {
                        if *number == 1 {
                            return;
                        }
                        seen.push(*number);
                    });
                    let again = move || { return; };
                    again();
                    let is_any = seen.is_empty() || !seen.is_empty();
                    fn nested(_: fn(u8) -> u8) {
                        return;
                    }
                    nested(|number| { return number; });
                    let later = async |number: usize| { if number == 0 { return; } };
                    later(1).await;
                    match seen.first() {
                        | None | Some(0) => return,
                        Some(_) if is_any || seen.len() == 7 => yield seen.len(),
                        Some(_) => return,
                    }
                    if seen.len() == 1 | 1 {
                        return;
                    }
                }
            }
            yield 9;
        }
    }
    assert_eq!(numbers().collect::<Vec<_>>().await, [Ok(1)]);
}

mod items_of_the_same_names {
    #![expect(
        non_upper_case_globals,
        non_camel_case_types,
        dead_code,
        reason = "the names that an expansion might bind"
    )]
    use std::pin::pin;

    use futures_util::{StreamExt, stream as streams};
    use unspool_core::{AsyncGenerator, generator, try_stream};

    const error: u8 = 1;
    const value: u8 = 2;
    const item: u8 = 3;
    const exit: u8 = 4;
    static inner: u8 = 5;
    static future: u8 = 6;
    struct stream;
    struct yielder;

    #[tokio::test]
    async fn do_not_collide_with_the_expansion() {
        let numbers = try_stream! {
            for await number in streams::iter([1]) {
                yield number;
            }
            Err("two")?;
        };
        assert_eq!(numbers.collect::<Vec<_>>().await, [Ok(1), Err("two")]);
        let mut generator = pin!(generator! {
            try {
                let sent: u8 = yield 1;
                yield in generator! { let _: u8 = yield sent; };
                let number = Ok::<u8, String>(3)?;
                std::future::ready(()).await;
                yield number;
                return Ok(error);
            } finally {
                std::future::ready(()).await;
            }
        });
        assert_eq!(generator.start().await, Ok(Some(1)));
        assert_eq!(generator.asend(2).await, Ok(Some(2)));
        assert_eq!(generator.asend(2).await, Ok(Some(3)));
        assert_eq!(generator.asend(2).await, Ok(None));
        assert_eq!(generator.as_mut().take_return(), Some(Ok::<u8, String>(1)));
    }
}

mod in_the_way {
    use std::pin::pin;

    use futures_util::stream as streams;
    use unspool_core::{AsyncGenerator, generator};

    /// Methods by value of everything, with the names of those that the macros call.
    #[expect(dead_code, reason = "that nobody calls them is what is tested")]
    #[expect(clippy::wrong_self_convention, reason = "to be in the way")]
    trait InTheWay: Sized {
        fn put<T>(self, _: T) {
            unreachable!()
        }
        fn received_or_close(self) {
            unreachable!()
        }
        fn yield_in<T>(self, _: T) {
            unreachable!()
        }
        fn as_mut(self) {
            unreachable!()
        }
    }

    impl<T> InTheWay for T {}

    #[tokio::test]
    async fn methods_of_the_users_do_not_come_in_between() {
        let mut generator = pin!(generator! {
            let mut sent: u8 = yield 1;
            for await item in streams::iter([2, 3]) {
                sent += yield item;
            }
            sent += yield in generator! { (yield 4) + 1 };
            sent
        });
        assert_eq!(generator.start().await, Ok(Some(1)));
        for item in 2..=4 {
            assert_eq!(generator.asend(10).await, Ok(Some(item)));
        }
        assert_eq!(generator.asend(10).await, Ok(None));
        assert_eq!(generator.take_return(), Some(41));
    }
}
