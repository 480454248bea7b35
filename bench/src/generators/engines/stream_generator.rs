//! stream_generator: functions, and a channel.

use std::pin::pin;

use futures_core::Stream;
use futures_util::StreamExt;
use stream_generator::{generate_stream, generate_try_stream};

use crate::generators::case::{Item, Refused, admit, nap};
use crate::generators::probe::Engine;

pub(crate) struct StreamGenerator;

impl Engine for StreamGenerator {
    fn items<T: Item + From<u64>>(count: u64) -> impl Stream<Item = T> + 'static {
        generate_stream(move |mut yielder| async move {
            for index in 0..count {
                yielder.send(T::from(index)).await;
            }
        })
    }

    fn naps(count: u64) -> impl Stream<Item = u64> {
        generate_stream(move |mut yielder| async move {
            for index in 0..count {
                nap().await;
                yielder.send(index).await;
            }
        })
    }

    fn tries(limit: u64) -> Option<impl Stream<Item = Result<u64, Refused>>> {
        Some(generate_try_stream(move |mut yielder| async move {
            for index in 0.. {
                yielder.send(Ok(admit(index, limit)?)).await;
            }
            Ok(())
        }))
    }

    fn over(inner: impl Stream<Item = u64> + 'static) -> impl Stream<Item = u64> + 'static {
        generate_stream(move |mut yielder| async move {
            let mut inner = pin!(inner);
            while let Some(item) = inner.next().await {
                yielder.send(item).await;
            }
        })
    }
}
