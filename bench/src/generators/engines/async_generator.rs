//! async-generator: functions, and a thread-local that points to the slot.

use std::pin::pin;

use async_generator::{generator, try_generator};
use futures_core::Stream;
use futures_util::StreamExt;

use crate::generators::case::{Item, Refused, admit, nap};
use crate::generators::probe::Engine;

pub(crate) struct AsyncGenerator;

impl Engine for AsyncGenerator {
    fn items<T: Item + From<u64>>(count: u64) -> impl Stream<Item = T> + 'static {
        generator(move |yielder| async move {
            for index in 0..count {
                yielder.send(T::from(index)).await;
            }
        })
    }

    fn naps(count: u64) -> impl Stream<Item = u64> {
        generator(move |yielder| async move {
            for index in 0..count {
                nap().await;
                yielder.send(index).await;
            }
        })
    }

    fn tries(limit: u64) -> Option<impl Stream<Item = Result<u64, Refused>>> {
        Some(try_generator(move |yielder| async move {
            for index in 0.. {
                yielder.send(admit(index, limit)?).await;
            }
            Ok(())
        }))
    }

    fn over(inner: impl Stream<Item = u64> + 'static) -> impl Stream<Item = u64> + 'static {
        generator(move |yielder| async move {
            let mut inner = pin!(inner);
            while let Some(item) = inner.next().await {
                yielder.send(item).await;
            }
        })
    }
}
