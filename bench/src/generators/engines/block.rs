//! The equal async blocks: what the compiler keeps of each body between two
//! items, without anything that hands them out. Only their size means anything.

use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::StreamExt;
use pin_project_lite::pin_project;

use crate::generators::case::{Item, Refused, admit, nap};
use crate::generators::probe::Engine;

pub(crate) struct Block;

impl Engine for Block {
    fn items<T: Item + From<u64>>(count: u64) -> impl Stream<Item = T> + 'static {
        barren(async move {
            for index in 0..count {
                black_box(T::from(index));
                nap().await;
            }
        })
    }

    fn naps(count: u64) -> impl Stream<Item = u64> {
        barren(async move {
            for index in 0..count {
                nap().await;
                black_box(index);
                nap().await;
            }
        })
    }

    fn tries(limit: u64) -> Option<impl Stream<Item = Result<u64, Refused>>> {
        Some(barren(async move {
            for index in 0.. {
                match admit(index, limit) {
                    Ok(item) => black_box(item),
                    Err(_) => return,
                };
                nap().await;
            }
        }))
    }

    fn over(inner: impl Stream<Item = u64> + 'static) -> impl Stream<Item = u64> + 'static {
        barren(async move {
            let mut inner = pin!(inner);
            while let Some(item) = inner.next().await {
                black_box(item);
                nap().await;
            }
        })
    }
}

/// A stream that is nothing but a future, and yields nothing.
fn barren<F: Future<Output = ()>, T>(body: F) -> impl Stream<Item = T> {
    Barren {
        body,
        item: std::marker::PhantomData,
    }
}

pin_project! {
    struct Barren<F, T> {
        #[pin]
        body: F,
        item: std::marker::PhantomData<fn() -> T>,
    }
}

impl<F: Future<Output = ()>, T> Stream for Barren<F, T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.project().body.poll(context).map(|()| None)
    }
}
