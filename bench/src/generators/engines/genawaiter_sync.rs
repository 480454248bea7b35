//! genawaiter, the form that is `Send`: an `Arc` of a locked slot.

use std::pin::pin;

use futures_core::Stream;
use futures_util::StreamExt;
use genawaiter::sync::{Co, Gen};

use crate::generators::case::{Item, Refused, nap};
use crate::generators::probe::Engine;

pub(crate) struct GenawaiterSync;

impl Engine for GenawaiterSync {
    fn items<T: Item + From<u64>>(count: u64) -> impl Stream<Item = T> + 'static {
        Gen::new(move |co: Co<T>| async move {
            for index in 0..count {
                co.yield_(T::from(index)).await;
            }
        })
    }

    fn naps(count: u64) -> impl Stream<Item = u64> {
        Gen::new(move |co: Co<u64>| async move {
            for index in 0..count {
                nap().await;
                co.yield_(index).await;
            }
        })
    }

    /// A stream of it returns nothing, so that its body has no place for `?`.
    fn tries(_: u64) -> Option<impl Stream<Item = Result<u64, Refused>>> {
        None::<futures_util::stream::Pending<_>>
    }

    fn over(inner: impl Stream<Item = u64> + 'static) -> impl Stream<Item = u64> + 'static {
        Gen::new(move |co: Co<u64>| async move {
            let mut inner = pin!(inner);
            while let Some(item) = inner.next().await {
                co.yield_(item).await;
            }
        })
    }
}
