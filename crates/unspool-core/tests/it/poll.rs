//! What happens between polls: moves, drops, panics, wakers, reuse of a place.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream;
use unspool_core::{AsyncGenerator, generator, stream};

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll<S: Stream>(stream: Pin<&mut S>) -> Poll<Option<S::Item>> {
    stream.poll_next(&mut Context::from_waker(Waker::noop()))
}

fn nap() -> impl Future<Output = ()> {
    let mut slept = false;
    std::future::poll_fn(move |cx| {
        if std::mem::replace(&mut slept, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

#[test]
fn the_body_gets_the_callers_waker_and_a_yield_wakes_nobody() {
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut cx = Context::from_waker(&waker);
    let mut stream = pin!(stream! {
        yield 1;
        nap().await;
        yield 2;
    });
    assert_eq!(stream.as_mut().poll_next(&mut cx), Poll::Ready(Some(1)));
    assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
    assert_eq!(stream.as_mut().poll_next(&mut cx), Poll::Pending);
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert_eq!(stream.as_mut().poll_next(&mut cx), Poll::Ready(Some(2)));
    assert_eq!(stream.as_mut().poll_next(&mut cx), Poll::Ready(None));
}

#[test]
fn an_unstarted_stream_may_move() {
    let stream = stream! {
        let text = String::from("here");
        yield text.len();
        yield text.len() + 1;
    };
    let [moved] = [stream];
    let mut boxed = Box::pin(moved);
    assert_eq!(poll(boxed.as_mut()), Poll::Ready(Some(4)));
    let mut moved_again = boxed;
    assert_eq!(poll(moved_again.as_mut()), Poll::Ready(Some(5)));
}

#[test]
fn a_new_stream_in_the_place_of_another_gets_its_own_items() {
    fn numbers(from: u32) -> impl Stream<Item = Box<u32>> {
        stream! {
            for number in from.. {
                yield Box::new(number);
            }
        }
    }
    let mut place = pin!(numbers(1));
    assert_eq!(poll(place.as_mut()), Poll::Ready(Some(Box::new(1))));
    place.set(numbers(10));
    assert_eq!(poll(place.as_mut()), Poll::Ready(Some(Box::new(10))));
    assert_eq!(poll(place.as_mut()), Poll::Ready(Some(Box::new(11))));
}

#[test]
fn streams_polled_in_turns_do_not_mix() {
    fn numbers<T: Clone>(item: T) -> impl Stream<Item = T> {
        stream! {
            loop {
                nap().await;
                yield item.clone();
            }
        }
    }
    let mut words = pin!(numbers(String::from("word")));
    let mut bytes = pin!(numbers([7u8; 256]));
    for _ in 0..3 {
        assert_eq!(poll(words.as_mut()), Poll::Pending);
        assert_eq!(poll(bytes.as_mut()), Poll::Pending);
        assert_eq!(poll(words.as_mut()), Poll::Ready(Some("word".to_owned())));
        assert_eq!(poll(bytes.as_mut()), Poll::Ready(Some([7; 256])));
    }
}

#[test]
fn dropping_half_way_drops_what_the_body_owns_and_a_taken_item_lives_on() {
    let shared = Arc::new(());
    let item = {
        let owned = Arc::clone(&shared);
        let mut stream = Box::pin(stream! {
            let kept = owned;
            yield Arc::clone(&kept);
            yield kept;
        });
        let Poll::Ready(Some(item)) = poll(stream.as_mut()) else {
            panic!("no item");
        };
        assert_eq!(Arc::strong_count(&shared), 3);
        item
    };
    assert_eq!(Arc::strong_count(&item), 2);
}

#[test]
fn a_stream_that_is_never_polled_drops_its_captures() {
    let shared = Arc::new(());
    drop({
        let owned = Arc::clone(&shared);
        stream! { yield owned; }
    });
    assert_eq!(Arc::strong_count(&shared), 1);
}

#[test]
fn a_panic_in_the_body_loses_no_memory_and_does_not_resume() {
    let shared = Arc::new(());
    let owned = Arc::clone(&shared);
    let mut stream = Box::pin(stream! {
        let kept = owned;
        yield 1;
        if Arc::strong_count(&kept) > 0 {
            panic!("on purpose");
        }
        yield 2;
    });
    assert_eq!(poll(stream.as_mut()), Poll::Ready(Some(1)));
    for _ in 0..2 {
        assert!(catch_unwind(AssertUnwindSafe(|| poll(stream.as_mut()))).is_err());
    }
    drop(stream);
    assert_eq!(Arc::strong_count(&shared), 1);
}

#[test]
fn a_forgotten_stream_does_no_harm() {
    let mut stream = Box::pin(stream! {
        let text = String::from("leaked");
        yield text.len();
        yield text.len();
    });
    assert_eq!(poll(stream.as_mut()), Poll::Ready(Some(6)));
    std::mem::forget(stream);
}

/// A generator is at most an item, a sent value and two words larger than its body,
/// which waits where the generator yields.
#[track_caller]
fn check_size<B>(_body: &B, size: usize, item: usize, value: usize) {
    let limit = size_of::<B>() + item + value + 2 * size_of::<usize>();
    assert!(size <= limit, "{size} against {limit}");
}

#[test]
fn a_generator_is_an_item_a_value_and_two_words_larger_than_its_body_at_most() {
    let numbers = [1u64; 8];
    let body = async move {
        for number in numbers {
            nap().await;
            std::hint::black_box(number);
            nap().await;
        }
    };
    let one_way = stream! {
        for number in numbers {
            nap().await;
            yield number;
        }
    };
    check_size(&body, size_of_val(&one_way), 8, 0);
    let two_way = generator! {
        for number in numbers {
            nap().await;
            let _: u64 = yield number;
        }
    };
    check_size(&body, size_of_val(&two_way), 8, 8);
    let guarded = generator! {
        #![throws(u64)]
        try {
            for number in numbers {
                let _: () = (yield number)?;
            }
        } finally {
            nap().await;
        }
        Ok::<(), u64>(())
    };
    let guarded_body = async move {
        for number in numbers {
            nap().await;
            std::hint::black_box(number);
        }
        nap().await;
        Ok::<(), u64>(())
    };
    // The block of a `try` is an async block of its own.
    let own_block = 4 * size_of::<usize>();
    check_size(&guarded_body, size_of_val(&guarded), 8, 16 + own_block);
}

#[test]
fn a_generator_that_uses_nothing_more_is_as_large_as_a_stream() {
    let stream = stream! { yield 1u64; nap().await; };
    let generator = generator! { yield 1u64; nap().await; };
    assert_eq!(size_of_val(&generator), size_of_val(&stream));
}

/// For all types, and twice for those that are `Sync`: where that is so, nobody can say
/// which of the two is meant, and `check` does not compile.
trait UnlessSync<Which> {
    fn check(&self) {}
}

struct BecauseItIs;

impl<T> UnlessSync<()> for T {}
impl<T: Sync> UnlessSync<BecauseItIs> for T {}

fn holds_a_cell() -> impl AsyncGenerator<Yield = u8, Return = ()> {
    generator! {
        let cell = std::cell::Cell::new(1);
        let () = yield 1;
        cell.set(2);
    }
}

fn yields_from_one() -> impl AsyncGenerator<Yield = u8, Return = ()> {
    generator! {
        let () = yield in Box::pin(holds_a_cell());
    }
}

#[test]
fn a_generator_is_sync_if_its_body_is_and_not_otherwise() {
    fn assert_sync<T: Sync>(shared: T) -> T {
        shared
    }
    let plain = assert_sync(stream! { yield 1u8; });
    drop(assert_sync(generator! {
        for await item in plain {
            let _: u8 = yield item;
        }
    }));
    UnlessSync::check(&holds_a_cell());
    UnlessSync::check(&yields_from_one());
}
