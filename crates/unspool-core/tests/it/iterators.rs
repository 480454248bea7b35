use std::pin::pin;

use futures_core::FusedStream;
use futures_util::{StreamExt, stream as streams};
use tokio::task::yield_now;
use unspool_core::{AnextExt, AsyncIterator, TryAsyncIterator, aiter, try_aiter};

/// Hands out rows from batches, and fetches a batch when the last is used up.
struct Cursor {
    batches: Vec<Vec<u8>>,
    rows: std::vec::IntoIter<u8>,
    fetched: usize,
}

impl Cursor {
    fn new(batches: &[&[u8]]) -> Self {
        Cursor {
            batches: batches.iter().rev().map(|batch| batch.to_vec()).collect(),
            rows: Vec::new().into_iter(),
            fetched: 0,
        }
    }
}

impl AsyncIterator for Cursor {
    type Item = (u8, usize);

    async fn anext(&mut self) -> Option<(u8, usize)> {
        loop {
            if let Some(row) = self.rows.next() {
                return Some((row, self.fetched));
            }
            yield_now().await;
            self.rows = self.batches.pop()?.into_iter();
            self.fetched += 1;
        }
    }
}

#[tokio::test]
async fn a_type_with_one_method_becomes_a_stream() {
    let cursor = Cursor::new(&[&[1, 2], &[], &[3]]);
    let mut rows = pin!(aiter(cursor));
    assert_eq!(rows.anext().await, Some((1, 1)));
    assert_eq!(rows.anext().await, Some((2, 1)));
    assert_eq!(rows.anext().await, Some((3, 3)));
    assert_eq!(rows.anext().await, None);
    assert!(rows.is_terminated());
}

#[tokio::test]
async fn a_fallible_one_ends_with_its_error() {
    struct Failing(u8);

    impl TryAsyncIterator for Failing {
        type Item = u8;
        type Error = &'static str;

        async fn anext(&mut self) -> Result<Option<u8>, &'static str> {
            self.0 -= 1;
            match self.0 {
                0 => Err("used up"),
                left => Ok(Some(left)),
            }
        }
    }

    let items: Vec<_> = try_aiter(Failing(3)).collect().await;
    assert_eq!(items, [Ok(2), Ok(1), Err("used up")]);
}

#[test]
fn the_stream_is_send_if_the_iterator_is() {
    fn assert_send(_: impl Send) {}
    assert_send(aiter(Cursor::new(&[])));
}

#[tokio::test]
async fn any_stream_has_anext_and_a_cancelled_one_loses_nothing() {
    use futures_util::FutureExt;

    let mut items = streams::iter([1, 2]);
    assert_eq!(items.anext().await, Some(1));
    let mut slow = pin!(unspool_core::stream! { yield_now().await; yield 7; });
    assert_eq!(slow.anext().now_or_never(), None);
    assert_eq!(slow.anext().await, Some(7));
}
