use futures_core::{FusedStream, Stream};
use futures_util::StreamExt;
use std::pin::pin;
use unspool_core::{stream, try_stream};

#[tokio::test]
async fn an_error_is_the_last_item() {
    let stream = try_stream! {
        yield "hello";
        Err("world")?;
        unreachable!();
    };
    assert_eq!(
        stream.collect::<Vec<_>>().await,
        [Ok("hello"), Err("world")]
    );
}

#[tokio::test]
async fn the_stream_has_ended_with_its_error() {
    let mut stream = pin!(try_stream! {
        if true {
            Err("gone")?;
        }
        yield 1;
    });
    assert_eq!(stream.next().await, Some(Err("gone")));
    assert!(stream.is_terminated());
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn what_the_body_owns_is_dropped_with_the_error() {
    let (held, mut alive) = tokio::sync::mpsc::channel::<()>(1);
    let mut stream = pin!(try_stream! {
        let _held = held;
        yield 1;
        Err("gone")?;
    });
    assert_eq!(stream.next().await, Some(Ok(1)));
    assert_eq!(stream.next().await, Some(Err("gone")));
    assert_eq!(alive.recv().await, None);
}

#[tokio::test]
async fn errors_are_converted() {
    #[derive(Debug, PartialEq)]
    struct Wide(u16);

    impl From<u8> for Wide {
        fn from(narrow: u8) -> Self {
            Wide(narrow.into())
        }
    }

    fn numbers() -> impl Stream<Item = Result<&'static str, Wide>> {
        try_stream! {
            yield "one";
            if true {
                Err(1u8)?;
            } else {
                Err(Wide(2))?;
            }
            yield "unreachable";
        }
    }
    assert_eq!(
        numbers().collect::<Vec<_>>().await,
        [Ok("one"), Err(Wide(1))]
    );
}

#[tokio::test]
async fn question_marks_nest_and_stand_in_a_yield() {
    fn numbers() -> impl Stream<Item = Result<i32, String>> {
        try_stream! {
            let number = Ok::<_, String>(Ok::<_, &str>(123))??;
            yield number;
            yield Ok::<_, String>(5)?;
            yield Err("six".to_owned())?;
        }
    }
    let items: Vec<_> = numbers().collect().await;
    assert_eq!(items, [Ok(123), Ok(5), Err("six".to_owned())]);
}

#[tokio::test]
async fn a_return_ends_the_stream_without_an_error() {
    fn numbers() -> impl Stream<Item = Result<i32, String>> {
        try_stream! {
            yield "1".parse::<i32>().map_err(|error| error.to_string())?;
            if true {
                return;
            }
            yield 2;
        }
    }
    assert_eq!(numbers().collect::<Vec<_>>().await, [Ok(1)]);
}

#[tokio::test]
async fn a_question_mark_in_a_closure_is_the_closures() {
    fn numbers() -> impl Stream<Item = Result<Option<u8>, String>> {
        try_stream! {
            let first = |text: &str| { let byte = text.bytes().next()?; Some(byte) };
            yield first("");
            yield first("a");
            let later = async { let byte = "b".parse::<u8>().map_err(|_| "no")?; Ok::<_, &str>(byte) };
            yield Some(later.await?);
        }
    }
    let items: Vec<_> = numbers().collect().await;
    assert_eq!(items, [Ok(None), Ok(Some(b'a')), Err("no".to_owned())]);
}

#[tokio::test]
async fn a_body_without_a_yield_can_fail() {
    fn nothing() -> impl Stream<Item = Result<(), u8>> {
        try_stream! { Err(3)?; }
    }
    assert_eq!(nothing().collect::<Vec<_>>().await, [Err(3)]);
}

#[tokio::test]
async fn a_plain_stream_of_results_may_use_the_question_mark_too() {
    fn numbers() -> impl Stream<Item = Result<u8, String>> {
        stream! {
            yield Ok(1);
            yield Err("an item like any other".to_owned());
            Err("the end")?;
            yield Ok(2);
        }
    }
    let items: Vec<_> = numbers().collect().await;
    let expected = [
        Ok(1),
        Err("an item like any other".to_owned()),
        Err("the end".to_owned()),
    ];
    assert_eq!(items, expected);
}
