//! What decoders of server-sent events cost that are made for streams of chunks.
//!
//! `sse_decoders ENGINE CHUNKS`: CHUNKS is the number of one of the ways to cut. Prints the number of
//! events, of bytes of their data, and of nanoseconds of CPU time.

#[path = "../../../src/sse/corpus.rs"]
#[allow(dead_code, reason = "what `bench` alone needs")]
mod corpus;

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::hint::black_box;
use std::ops::Deref;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use eventsource_stream::Eventsource;
use futures_util::{Stream, StreamExt, stream};
use rustix::time::{ClockId, clock_gettime};
use sse_stream::SseByteStream;
use sseer::EventStream;

use corpus::Cut;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [engine, cut] = &arguments[..] else {
        return Err("expected ENGINE CHUNKS".into());
    };
    let chunks = chunks(Cut::ALL[cut.parse::<usize>()?]);
    let begin = cpu_time()?;
    let (events, bytes) = match engine.split(' ').next() {
        Some("eventsource-stream") => {
            let events = chunks
                .eventsource()
                .map(|event| event.map(|event| event.data));
            count(events)?
        }
        Some("sse-stream") => {
            let events = SseByteStream::new(chunks);
            count(events.map(|event| event.map(|event| event.data.unwrap_or_default())))?
        }
        Some("sseer") => {
            let events = EventStream::new(chunks);
            count(events.map(|event| event.map(|event| event.data)))?
        }
        _ => return Err("no such engine".into()),
    };
    let took = cpu_time()? - begin;
    println!("{events} {bytes} {}", took.as_nanos());
    Ok(())
}

fn chunks(cut: Cut) -> impl Stream<Item = Result<Bytes, Infallible>> + Unpin {
    let whole = Bytes::from(corpus::stream());
    let mut at = 0;
    stream::iter(cut.lengths().into_iter().map(move |length| {
        let begin = at;
        at += length;
        Ok(whole.slice(begin..at))
    }))
}

/// The number of events, and of bytes of their data.
fn count<T, E>(events: impl Stream<Item = Result<T, E>>) -> Result<(usize, usize), Box<dyn Error>>
where
    T: Deref<Target = str>,
    E: Error + 'static,
{
    let all = pin!(events.fold(Ok((0, 0)), async |found: Result<_, E>, data| {
        let ((events, bytes), data) = (found?, data?);
        let length = data.len();
        black_box(data);
        Ok((events + 1, bytes + length))
    }));
    match all.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(found) => Ok(found?),
        Poll::Pending => Err("it waits, though all is there".into()),
    }
}

fn cpu_time() -> Result<Duration, Box<dyn Error>> {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Ok(Duration::new(
        time.tv_sec.try_into()?,
        time.tv_nsec.try_into()?,
    ))
}
