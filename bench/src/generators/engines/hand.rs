//! The floor: `poll_next` written by hand.

use std::marker::PhantomData;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::generators::case::{Item, Refused, admit};
use crate::generators::probe::Engine;

pub(crate) struct Hand;

impl Engine for Hand {
    fn items<T: Item + From<u64>>(count: u64) -> impl Stream<Item = T> + 'static {
        Items {
            indices: 0..count,
            item: PhantomData,
        }
    }

    fn naps(count: u64) -> impl Stream<Item = u64> {
        Naps {
            indices: 0..count,
            napped: false,
        }
    }

    fn tries(limit: u64) -> Option<impl Stream<Item = Result<u64, Refused>>> {
        Some(Tries {
            next: 0,
            limit,
            failed: false,
        })
    }

    fn over(inner: impl Stream<Item = u64> + 'static) -> impl Stream<Item = u64> + 'static {
        Over { inner }
    }
}

struct Items<T> {
    indices: Range<u64>,
    item: PhantomData<fn() -> T>,
}

impl<T: From<u64>> Stream for Items<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<T>> {
        Poll::Ready(self.indices.next().map(T::from))
    }
}

struct Naps {
    indices: Range<u64>,
    napped: bool,
}

impl Stream for Naps {
    type Item = u64;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<u64>> {
        self.napped = !self.napped && !self.indices.is_empty();
        if self.napped {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.indices.next())
    }
}

struct Tries {
    next: u64,
    limit: u64,
    failed: bool,
}

impl Stream for Tries {
    type Item = Result<u64, Refused>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.failed {
            return Poll::Ready(None);
        }
        let admitted = admit(self.next, self.limit);
        self.next += 1;
        self.failed = admitted.is_err();
        Poll::Ready(Some(admitted))
    }
}

pin_project! {
    struct Over<S> {
        #[pin]
        inner: S,
    }
}

impl<S: Stream> Stream for Over<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.project().inner.poll_next(context)
    }
}
