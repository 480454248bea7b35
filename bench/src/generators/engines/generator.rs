//! The two-way generator of this repository: each `yield` is sent a value.

use std::hint::black_box;

use futures_core::Stream;
use unspool_core::{AsyncGenerator, generator};

use crate::generators::case::{Item, Refused, nap};
use crate::generators::probe::Engine;

pub(crate) struct Generator;

impl Engine for Generator {
    fn items<T: Item + From<u64>>(count: u64) -> impl Stream<Item = T> + 'static {
        generator! {
            for index in 0..count {
                let sent: u64 = yield T::from(index);
                black_box(sent);
            }
        }
        .into_stream()
    }

    fn naps(count: u64) -> impl Stream<Item = u64> {
        generator! {
            for index in 0..count {
                nap().await;
                let sent: u64 = yield index;
                black_box(sent);
            }
        }
        .into_stream()
    }

    fn tries(_: u64) -> Option<impl Stream<Item = Result<u64, Refused>>> {
        // A generator returns its error.
        None::<futures_util::stream::Empty<_>>
    }

    fn over(inner: impl Stream<Item = u64> + 'static) -> impl Stream<Item = u64> + 'static {
        generator! {
            for await item in inner {
                let sent: u64 = yield item;
                black_box(sent);
            }
        }
        .into_stream()
    }
}
