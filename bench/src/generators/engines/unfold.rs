//! `futures_util::stream::unfold`: a closure from state to item and state.

use futures_core::Stream;
use futures_util::StreamExt;
use futures_util::stream::{try_unfold, unfold};

use crate::generators::case::{Item, Refused, admit, nap};
use crate::generators::probe::Engine;

pub(crate) struct Unfold;

impl Engine for Unfold {
    fn items<T: Item + From<u64>>(count: u64) -> impl Stream<Item = T> + 'static {
        unfold(0..count, async |mut indices| {
            let index = indices.next()?;
            Some((T::from(index), indices))
        })
    }

    fn naps(count: u64) -> impl Stream<Item = u64> {
        unfold(0..count, async |mut indices| {
            let index = indices.next()?;
            nap().await;
            Some((index, indices))
        })
    }

    fn tries(limit: u64) -> Option<impl Stream<Item = Result<u64, Refused>>> {
        Some(try_unfold(0, move |index| async move {
            Ok(Some((admit(index, limit)?, index + 1)))
        }))
    }

    fn over(inner: impl Stream<Item = u64> + 'static) -> impl Stream<Item = u64> + 'static {
        unfold(Box::pin(inner), async |mut inner| {
            let item = inner.next().await?;
            Some((item, inner))
        })
    }
}
