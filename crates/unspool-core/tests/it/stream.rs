use std::pin::pin;

use futures_core::{FusedStream, Stream};
use futures_util::StreamExt;
use tokio::sync::mpsc;
use unspool_core::stream;

#[tokio::test]
async fn an_empty_body_is_an_empty_stream() {
    let stream = stream! {};
    assert_eq!(stream.collect::<Vec<()>>().await, []);
}

#[tokio::test]
async fn a_body_without_a_yield_runs_once() {
    let mut runs = 0;
    {
        let runs = &mut runs;
        let mut stream = pin!(stream! { *runs += 1; });
        assert_eq!(stream.next().await, None);
        assert_eq!(stream.next().await, None);
    }
    assert_eq!(runs, 1);
}

#[tokio::test]
async fn items_come_in_order() {
    let stream = stream! {
        yield "hello";
        for word in ["world", "dizzy"] {
            yield word;
        }
    };
    assert_eq!(
        stream.collect::<Vec<_>>().await,
        ["hello", "world", "dizzy"]
    );
}

#[tokio::test]
async fn nothing_runs_before_the_first_poll_or_beyond_the_demand() {
    let (steps, mut seen) = mpsc::unbounded_channel();
    let mut stream = Box::pin(stream! {
        for step in 0.. {
            steps.send(step).unwrap();
            yield step;
        }
    });
    assert!(seen.try_recv().is_err());
    assert_eq!(stream.next().await, Some(0));
    assert_eq!((seen.try_recv(), seen.try_recv().is_err()), (Ok(0), true));
    drop(stream);
    assert_eq!(seen.recv().await, None);
}

#[tokio::test]
async fn the_end_is_the_end_for_ever() {
    let mut stream = pin!(stream! { yield 1; });
    assert_eq!(stream.size_hint(), (0, None));
    assert_eq!(stream.next().await, Some(1));
    assert!(!stream.is_terminated());
    assert_eq!(stream.next().await, None);
    assert!(stream.is_terminated());
    assert_eq!(stream.size_hint(), (0, Some(0)));
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn a_return_ends_the_stream() {
    let stream = stream! {
        for number in 0.. {
            if number == 3 {
                return;
            }
            yield number;
        }
    };
    assert_eq!(stream.collect::<Vec<_>>().await, [0, 1, 2]);
}

#[tokio::test]
async fn a_function_can_return_a_stream_that_borrows() {
    struct Words(String);

    impl Words {
        fn each(&self) -> impl Stream<Item = &str> {
            stream! {
                for word in self.0.split(' ') {
                    yield word;
                }
            }
        }
    }

    let words = Words("a b".to_owned());
    assert_eq!(words.each().collect::<Vec<_>>().await, ["a", "b"]);
}

#[tokio::test]
async fn a_body_waits_for_what_it_awaits() {
    let (sender, mut receiver) = mpsc::channel(1);
    let mut stream = pin!(stream! {
        while let Some(number) = receiver.recv().await {
            yield number;
        }
    });
    for number in 0..3 {
        sender.send(number).await.unwrap();
        assert_eq!(stream.next().await, Some(number));
    }
    drop(sender);
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn a_yield_is_an_expression_anywhere_in_the_body() {
    let stream = stream! {
        let () = yield 1;
        match 2 {
            2 => yield 2,
            _ => {}
        }
        if async { true }.await {
            yield 3;
        }
        yield 4;
        #[expect(unused_parens, reason = "an attribute on a yield")]
        yield (5);
        let last = { yield 6; 7 };
        yield last
    };
    assert_eq!(stream.collect::<Vec<_>>().await, [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn units_can_be_yielded_without_a_value() {
    let stream = stream! { yield; yield };
    assert_eq!(stream.collect::<Vec<()>>().await.len(), 2);
}

#[tokio::test]
async fn an_attribute_on_a_yield_is_kept() {
    let stream = stream! {
        #[cfg(any())]
        yield 1;
        #[cfg(all())]
        yield 2;
    };
    assert_eq!(stream.collect::<Vec<_>>().await, [2]);
}

#[tokio::test]
async fn items_need_be_neither_unpin_nor_copy() {
    let stream = stream! {
        for number in 0..3 {
            yield async move { number };
        }
    };
    assert_eq!(stream.buffered(1).collect::<Vec<_>>().await, [0, 1, 2]);
}

#[tokio::test]
async fn a_stream_in_a_stream_is_its_own() {
    let stream = stream! {
        let inner = stream! {
            yield 1u8;
            yield 2;
        };
        let mut inner = pin!(inner);
        while let Some(number) = inner.next().await {
            yield number.to_string();
        }
    };
    assert_eq!(stream.collect::<Vec<_>>().await, ["1", "2"]);
}

#[tokio::test]
async fn lines_are_the_users() {
    let expected = line!() + 1;
    let stream = stream! { yield line!(); };
    assert_eq!(stream.collect::<Vec<_>>().await, [expected]);
}

#[test]
fn a_stream_is_send_if_its_body_is() {
    fn assert_send<T: Send>(_: &T) {}
    fn assert_sync<T: Sync>(_: &T) {}

    let stream = stream! { yield Box::new(1); };
    assert_send(&stream);
    assert_sync(&stream);
    // A temporary of the yielded expression is gone before the body suspends.
    assert_send(&stream! { yield std::rc::Rc::new(5u8).count_ones(); });
}

#[tokio::test]
async fn a_stream_moves_between_threads_between_items() {
    let mut stream = Box::pin(stream! {
        for number in 0..3 {
            yield vec![number; 100];
        }
    });
    assert_eq!(stream.next().await.map(|item| item[0]), Some(0));
    let mut stream = std::thread::spawn(move || {
        let item = futures_util::FutureExt::now_or_never(stream.next());
        assert_eq!(item.flatten().map(|item| item[99]), Some(1));
        stream
    })
    .join()
    .unwrap();
    assert_eq!(stream.next().await.map(|item| item[0]), Some(2));
}

#[test]
fn debug_names_the_state() {
    let stream = stream! { yield 1; };
    assert_eq!(
        format!("{stream:?}"),
        r#"Generator { state: "unstarted", .. }"#
    );
}
