use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_core::{FusedStream, Stream};
use futures_util::{FutureExt, StreamExt};
use tokio::task::yield_now;
use unspool_core::{YieldItem, stream_fn, try_stream_fn};

#[tokio::test]
async fn items_come_in_order_and_end() {
    let mut stream = pin!(stream_fn(async |mut y| {
        y.yield_item(1).await;
        yield_now().await;
        for number in 2..4 {
            y.yield_item(number).await;
        }
    }));
    assert_eq!(stream.by_ref().collect::<Vec<_>>().await, [1, 2, 3]);
    assert!(stream.is_terminated());
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn an_error_is_the_last_item() {
    let stream = try_stream_fn(async |mut y| {
        y.yield_item(Ok(1)).await;
        Err("two")?;
        y.yield_item(Ok(3)).await;
        Ok(())
    });
    assert_eq!(stream.collect::<Vec<_>>().await, [Ok(1), Err("two")]);
}

#[tokio::test]
async fn it_may_borrow_what_it_runs_over() {
    fn words(text: &str) -> impl Stream<Item = &str> {
        stream_fn(async move |mut y| {
            for word in text.split(' ') {
                y.yield_item(word).await;
            }
        })
    }
    let text = String::from("a b");
    assert_eq!(words(&text).collect::<Vec<_>>().await, ["a", "b"]);
}

#[tokio::test]
async fn an_item_can_be_handed_out_from_a_function_that_is_called() {
    async fn twice(y: &mut unspool_core::Yields<'_, String>, word: &str) {
        y.yield_item(word.to_owned()).await;
        y.yield_item(word.to_owned()).await;
    }
    let stream = stream_fn(async |mut y| {
        twice(&mut y, "a").await;
        twice(&mut y, "b").await;
    });
    assert_eq!(stream.collect::<Vec<_>>().await, ["a", "a", "b", "b"]);
}

#[tokio::test]
async fn an_item_whose_future_was_dropped_after_its_poll_is_not_lost() {
    let stream = stream_fn(async |mut y| {
        // Polled once, then dropped; all of it in one poll of the body.
        assert!(y.yield_item(String::from("a")).now_or_never().is_none());
        y.yield_item(String::from("b")).await;
        assert!(y.yield_item(String::from("c")).now_or_never().is_none());
    });
    assert_eq!(stream.collect::<Vec<_>>().await, ["a", "b", "c"]);

    let stream = try_stream_fn(async |mut y| {
        assert!(y.yield_item(Ok(1)).now_or_never().is_none());
        Err("two")
    });
    assert_eq!(stream.collect::<Vec<_>>().await, [Ok(1), Err("two")]);
}

#[tokio::test]
async fn an_item_that_was_never_polled_is_not_handed_out() {
    let stream = stream_fn(async |mut y| {
        drop(y.yield_item(1));
        y.yield_item(2).await;
    });
    assert_eq!(stream.collect::<Vec<_>>().await, [2]);
}

#[tokio::test]
async fn streams_in_streams_do_not_mix() {
    let stream = stream_fn(async |mut y| {
        let mut inner = pin!(stream_fn(async |mut y| {
            for number in 0..3u8 {
                y.yield_item(number).await;
                yield_now().await;
            }
        }));
        while let Some(number) = inner.next().await {
            y.yield_item(number.to_string()).await;
        }
    });
    assert_eq!(stream.collect::<Vec<_>>().await, ["0", "1", "2"]);
}

#[test]
fn the_stream_is_send_if_its_body_is() {
    fn assert_send<S: Stream + Send>(stream: S) -> S {
        stream
    }
    let mut stream = pin!(assert_send(stream_fn(async |mut y| {
        yield_now().await;
        y.yield_item(vec![1]).await;
    })));
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(stream.as_mut().poll_next(&mut cx), Poll::Pending);
}

#[test]
fn a_stream_that_is_dropped_half_way_drops_its_item() {
    let shared = std::sync::Arc::new(());
    let mut stream = Box::pin(stream_fn(async |mut y| {
        y.yield_item(std::sync::Arc::clone(&shared)).await;
        assert!(
            y.yield_item(std::sync::Arc::clone(&shared))
                .now_or_never()
                .is_none()
        );
        std::future::pending::<()>().await;
    }));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(stream.as_mut().poll_next(&mut cx).is_ready());
    drop(stream);
    assert_eq!(std::sync::Arc::strong_count(&shared), 1);
}

/// Polls the future of an item when it is dropped.
struct Late<'y>(YieldItem<'y, Rc<()>>);

impl Drop for Late<'_> {
    fn drop(&mut self) {
        let _ = (&mut self.0).now_or_never();
    }
}

#[test]
fn an_item_that_is_handed_out_too_late_is_dropped() {
    let token = Rc::new(());
    for polls in 0..4 {
        let shared = Rc::clone(&token);
        let mut stream = Box::pin(stream_fn(async move |mut y| {
            y.yield_item(Rc::clone(&shared)).await;
            let _late = Late(y.yield_item(Rc::clone(&shared)));
            std::future::pending::<()>().await;
        }));
        for _ in 0..polls {
            drop(stream.next().now_or_never());
        }
        drop(stream);
        assert_eq!(Rc::strong_count(&token), 1);
    }
}
