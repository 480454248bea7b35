use futures_util::{StreamExt, stream as streams};
use unspool_core::{stream, try_stream};

#[tokio::test]
async fn it_loops_over_the_items_of_a_stream() {
    let words = stream! {
        yield "hello";
        yield "world";
    };
    let louder = stream! {
        for await word in words {
            yield word.to_owned() + "!";
        }
    };
    assert_eq!(louder.collect::<Vec<_>>().await, ["hello!", "world!"]);
}

#[tokio::test]
async fn labels_break_and_continue_work() {
    let stream = stream! {
        'outer: for await (row, width) in streams::iter([(1, 3), (2, 1), (3, 9)]) {
            for await column in streams::iter(0..width) {
                if column == 2 {
                    continue 'outer;
                }
                if row == 3 {
                    break 'outer;
                }
                yield (row, column);
            }
        }
    };
    assert_eq!(stream.collect::<Vec<_>>().await, [(1, 0), (1, 1), (2, 0)]);
}

#[tokio::test]
async fn the_head_may_hold_temporaries_and_the_body_may_ask() {
    struct Source(Vec<Result<u8, &'static str>>);

    impl Source {
        fn each(&self) -> impl futures_core::Stream<Item = Result<u8, &'static str>> {
            streams::iter(&self.0).map(|item| *item)
        }
    }

    let stream = try_stream! {
        for await number in Source(vec![Ok(1), Err("two"), Ok(3)]).each() {
            yield number?;
        }
    };
    assert_eq!(stream.collect::<Vec<_>>().await, [Ok(1), Err("two")]);
}

#[tokio::test]
async fn it_works_in_an_async_block_in_the_body() {
    let stream = stream! {
        let sum = async {
            let mut sum = 0;
            for await number in streams::iter(1..=4) {
                sum += number;
            }
            sum
        };
        yield sum.await;
    };
    assert_eq!(stream.collect::<Vec<_>>().await, [10]);
}

#[tokio::test]
async fn a_stream_that_cannot_move_is_looped_over_in_place() {
    let stream = stream! {
        for await number in stream! { yield 1; yield 2; } {
            #[expect(clippy::needless_borrow, reason = "an attribute inside of the loop")]
            let text = (&number).to_string();
            yield text;
        }
    };
    assert_eq!(stream.collect::<Vec<_>>().await, ["1", "2"]);
}
