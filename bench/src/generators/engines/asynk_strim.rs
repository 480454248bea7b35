//! asynk-strim: functions, and a waker that carries the slot.

use std::pin::pin;

use asynk_strim::{stream_fn, try_stream_fn};
use futures_core::Stream;
use futures_util::StreamExt;

use crate::generators::case::{Item, Refused, admit, nap};
use crate::generators::probe::Engine;

pub(crate) struct AsynkStrim;

impl Engine for AsynkStrim {
    fn items<T: Item + From<u64>>(count: u64) -> impl Stream<Item = T> + 'static {
        stream_fn(move |mut yielder| async move {
            for index in 0..count {
                yielder.yield_item(T::from(index)).await;
            }
        })
    }

    fn naps(count: u64) -> impl Stream<Item = u64> {
        stream_fn(move |mut yielder| async move {
            for index in 0..count {
                nap().await;
                yielder.yield_item(index).await;
            }
        })
    }

    fn tries(limit: u64) -> Option<impl Stream<Item = Result<u64, Refused>>> {
        Some(try_stream_fn(move |mut yielder| async move {
            for index in 0.. {
                yielder.yield_ok(admit(index, limit)?).await;
            }
            Ok(())
        }))
    }

    fn over(inner: impl Stream<Item = u64> + 'static) -> impl Stream<Item = u64> + 'static {
        stream_fn(move |mut yielder| async move {
            let mut inner = pin!(inner);
            while let Some(item) = inner.next().await {
                yielder.yield_item(item).await;
            }
        })
    }
}
