//! What readers of feeds make of any bytes, for the tests and the fuzz target.

use bytes::Bytes;

use super::json::JsonReader;
use super::{Arrival, Over};
use crate::json::Pointer;

/// How many readers there are.
pub(crate) const FEED_READERS: usize = 3;

/// The limit of an item.
const MAX_ITEM: usize = 1 << 20;

/// What one of the readers makes of chunks: items, and how it ended.
pub(crate) fn read_feed(reader: usize, chunks: &[&[u8]]) -> (Vec<String>, String) {
    match reader {
        0 => read_json(chunks),
        #[cfg(feature = "redis")]
        1 => wired(chunks, super::redis::read_any),
        #[cfg(feature = "nats")]
        2 => wired(chunks, super::nats::read_any),
        _ => (Vec::new(), String::new()),
    }
}

fn read_json(chunks: &[&[u8]]) -> (Vec<String>, String) {
    let mut reader = JsonReader::new(Some(Pointer::default()), MAX_ITEM);
    let mut arrivals: Vec<Arrival> = Vec::new();
    for chunk in chunks {
        if let Err(over) = reader.read(Bytes::copy_from_slice(chunk), &mut arrivals) {
            let why = match over {
                Over::Broken(error) => error.to_string(),
                over => format!("{over:?}"),
            };
            return (texts(arrivals), why);
        }
    }
    (texts(arrivals), format!("inside: {}", reader.is_inside()))
}

fn texts(arrivals: Vec<Arrival>) -> Vec<String> {
    (arrivals.into_iter())
        .map(|arrival| arrival.data.to_string())
        .collect()
}

/// Runs a reader over a connection on which these chunks come, and then its end.
#[cfg(any(feature = "redis", feature = "nats"))]
fn wired<F>(
    chunks: &[&[u8]],
    read: impl FnOnce(super::wire::Wire, usize) -> F,
) -> (Vec<String>, String)
where
    F: Future<Output = (Vec<String>, crate::error::Error)>,
{
    let chunks = chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk));
    let wire = super::wire::Wire::over(chunks.collect());
    let read = read(wire, MAX_ITEM);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    match runtime {
        Ok(runtime) => {
            let (items, error) = runtime.block_on(read);
            (items, error.to_string())
        }
        Err(error) => (Vec::new(), error.to_string()),
    }
}
