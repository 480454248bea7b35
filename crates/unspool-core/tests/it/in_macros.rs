use futures_core::Stream;
use futures_util::{StreamExt, stream as streams};
use tokio::select;
use unspool_core::{stream, try_stream};

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
