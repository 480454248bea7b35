//! async-stream-lite: functions, and a reference-counted slot.

use std::pin::pin;

use async_stream_lite::{async_stream, try_async_stream};
use futures_core::Stream;
use futures_util::StreamExt;

use crate::generators::case::{Item, Refused, admit, nap};
use crate::generators::probe::Engine;

pub(crate) struct AsyncStreamLite;

impl Engine for AsyncStreamLite {
    fn items<T: Item + From<u64>>(count: u64) -> impl Stream<Item = T> + 'static {
        async_stream(move |yielder| async move {
            for index in 0..count {
                yielder.y(T::from(index)).await;
            }
        })
    }

    fn naps(count: u64) -> impl Stream<Item = u64> {
        async_stream(move |yielder| async move {
            for index in 0..count {
                nap().await;
                yielder.y(index).await;
            }
        })
    }

    fn tries(limit: u64) -> Option<impl Stream<Item = Result<u64, Refused>>> {
        Some(try_async_stream(move |yielder| async move {
            for index in 0.. {
                yielder.y(admit(index, limit)?).await;
            }
            Ok(())
        }))
    }

    fn over(inner: impl Stream<Item = u64> + 'static) -> impl Stream<Item = u64> + 'static {
        async_stream(move |yielder| async move {
            let mut inner = pin!(inner);
            while let Some(item) = inner.next().await {
                yielder.y(item).await;
            }
        })
    }
}
