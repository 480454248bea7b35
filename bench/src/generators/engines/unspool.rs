//! The crate of this repository.

use futures_core::Stream;
use unspool_core::{stream, try_stream};

use crate::generators::case::{Item, Refused, admit, nap};
use crate::generators::probe::Engine;

pub(crate) struct Unspool;

impl Engine for Unspool {
    fn items<T: Item + From<u64>>(count: u64) -> impl Stream<Item = T> + 'static {
        stream! {
            for index in 0..count {
                yield T::from(index);
            }
        }
    }

    fn naps(count: u64) -> impl Stream<Item = u64> {
        stream! {
            for index in 0..count {
                nap().await;
                yield index;
            }
        }
    }

    fn tries(limit: u64) -> Option<impl Stream<Item = Result<u64, Refused>>> {
        Some(try_stream! {
            for index in 0.. {
                yield admit(index, limit)?;
            }
        })
    }

    fn over(inner: impl Stream<Item = u64> + 'static) -> impl Stream<Item = u64> + 'static {
        stream! {
            for await item in inner {
                yield item;
            }
        }
    }
}
