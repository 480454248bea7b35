//! The form without a macro of the crate of this repository.

use std::pin::pin;

use futures_core::Stream;
use futures_util::StreamExt;
use unspool_core::{stream_fn, try_stream_fn};

use crate::generators::case::{Item, Refused, admit, nap};
use crate::generators::probe::Engine;

pub(crate) struct StreamFn;

impl Engine for StreamFn {
    fn items<T: Item + From<u64>>(count: u64) -> impl Stream<Item = T> + 'static {
        stream_fn(async move |mut y| {
            for index in 0..count {
                y.yield_item(T::from(index)).await;
            }
        })
    }

    fn naps(count: u64) -> impl Stream<Item = u64> {
        stream_fn(async move |mut y| {
            for index in 0..count {
                nap().await;
                y.yield_item(index).await;
            }
        })
    }

    fn tries(limit: u64) -> Option<impl Stream<Item = Result<u64, Refused>>> {
        Some(try_stream_fn(async move |mut y| {
            for index in 0.. {
                y.yield_item(Ok(admit(index, limit)?)).await;
            }
            Ok(())
        }))
    }

    fn over(inner: impl Stream<Item = u64> + 'static) -> impl Stream<Item = u64> + 'static {
        stream_fn(async move |mut y| {
            let mut inner = pin!(inner);
            while let Some(item) = inner.next().await {
                y.yield_item(item).await;
            }
        })
    }
}
