//! async-fn-stream: functions, a reference-counted slot, and a thread-local.

use std::pin::pin;

use async_fn_stream::{fn_stream, try_fn_stream};
use futures_core::Stream;
use futures_util::StreamExt;

use crate::generators::case::{Item, Refused, admit, nap};
use crate::generators::probe::Engine;

pub(crate) struct AsyncFnStream;

impl Engine for AsyncFnStream {
    fn items<T: Item + From<u64>>(count: u64) -> impl Stream<Item = T> + 'static {
        fn_stream(move |emitter| async move {
            for index in 0..count {
                emitter.emit(T::from(index)).await;
            }
        })
    }

    fn naps(count: u64) -> impl Stream<Item = u64> {
        fn_stream(move |emitter| async move {
            for index in 0..count {
                nap().await;
                emitter.emit(index).await;
            }
        })
    }

    fn tries(limit: u64) -> Option<impl Stream<Item = Result<u64, Refused>>> {
        Some(try_fn_stream(move |emitter| async move {
            for index in 0.. {
                emitter.emit(admit(index, limit)?).await;
            }
            Ok(())
        }))
    }

    fn over(inner: impl Stream<Item = u64> + 'static) -> impl Stream<Item = u64> + 'static {
        fn_stream(move |emitter| async move {
            let mut inner = pin!(inner);
            while let Some(item) = inner.next().await {
                emitter.emit(item).await;
            }
        })
    }
}
