//! fauxgen: an attribute on a function, over a token that a special waker finds.

use std::pin::pin;

use fauxgen::{GeneratorTryStream, generator};
use futures_core::Stream;
use futures_util::StreamExt;

use crate::generators::case::{Item, Refused, admit, nap};
use crate::generators::probe::Engine;

pub(crate) struct Fauxgen;

impl Engine for Fauxgen {
    fn items<T: Item + From<u64>>(count: u64) -> impl Stream<Item = T> + 'static {
        #[generator(yield = T)]
        async fn items<T: Item + From<u64>>(count: u64) {
            for index in 0..count {
                r#yield!(T::from(index));
            }
        }

        items(count)
    }

    fn naps(count: u64) -> impl Stream<Item = u64> {
        #[generator(yield = u64)]
        async fn naps(count: u64) {
            for index in 0..count {
                nap().await;
                r#yield!(index);
            }
        }

        naps(count)
    }

    fn tries(limit: u64) -> Option<impl Stream<Item = Result<u64, Refused>>> {
        #[generator(yield = u64)]
        async fn tries(limit: u64) -> Result<(), Refused> {
            for index in 0.. {
                r#yield!(admit(index, limit)?);
            }
            Ok(())
        }

        Some(GeneratorTryStream::new(tries(limit)))
    }

    fn over(inner: impl Stream<Item = u64> + 'static) -> impl Stream<Item = u64> + 'static {
        #[generator(yield = u64)]
        async fn over<S: Stream<Item = u64> + 'static>(inner: S) {
            let mut inner = pin!(inner);
            while let Some(item) = inner.next().await {
                r#yield!(item);
            }
        }

        over(inner)
    }
}
