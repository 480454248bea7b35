//! async-gen: a function over a boxed slot; its macros cost more.

use std::pin::pin;

use async_gen::r#gen;
use futures_core::Stream;
use futures_util::StreamExt;

use crate::generators::case::{Item, Refused, nap};
use crate::generators::probe::Engine;

pub(crate) struct AsyncGen;

impl Engine for AsyncGen {
    fn items<T: Item + From<u64>>(count: u64) -> impl Stream<Item = T> + 'static {
        r#gen(move |mut yielder| async move {
            for index in 0..count {
                yielder.yield_(T::from(index)).await;
            }
            yielder.return_(())
        })
        .into_async_iter()
    }

    fn naps(count: u64) -> impl Stream<Item = u64> {
        r#gen(move |mut yielder| async move {
            for index in 0..count {
                nap().await;
                yielder.yield_(index).await;
            }
            yielder.return_(())
        })
        .into_async_iter()
    }

    /// A stream of it returns nothing, so that its body has no place for `?`.
    fn tries(_: u64) -> Option<impl Stream<Item = Result<u64, Refused>>> {
        None::<futures_util::stream::Pending<_>>
    }

    fn over(inner: impl Stream<Item = u64> + 'static) -> impl Stream<Item = u64> + 'static {
        r#gen(move |mut yielder| async move {
            let mut inner = pin!(inner);
            while let Some(item) = inner.next().await {
                yielder.yield_(item).await;
            }
            yielder.return_(())
        })
        .into_async_iter()
    }
}
