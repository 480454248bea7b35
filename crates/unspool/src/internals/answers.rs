use std::convert::Infallible;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use reqwest::Response;
use unspool_core::stream;

use super::{Random, cut};
use crate::Error;
use crate::ask::{Event, Frames, Provider};
use crate::http::Body;

/// The first three bytes choose a protocol, what the body is said to be and the chunks;
/// the others are the body.
///
/// # Panics
///
/// The events depend on the chunks, an answer is whole without its last event, or an event
/// is none that can be written.
pub fn check_answer(data: &[u8]) {
    let [first, second, third, body @ ..] = data else {
        return;
    };
    let providers: Vec<Provider> = Provider::all().collect();
    let provider = providers[usize::from(*first) % providers.len()];
    let content_type = match second % 3 {
        0 => Some("text/event-stream"),
        1 => Some("application/json"),
        _ => None,
    };
    let whole = described(read_answer(provider, content_type, &[body]));
    let mut random = Random::new(u64::from(*second) << 8 | u64::from(*third));
    let cut = cut(body, &mut random);
    assert_eq!(described(read_answer(provider, content_type, &cut)), whole);
}

/// What happened, with pieces that stand side by side joined, and how it ended. The words of
/// an error may depend on the chunks.
fn described((events, end): (Vec<Event>, Result<(), Error>)) -> (Vec<String>, Result<(), bool>) {
    let stops = events
        .iter()
        .filter(|event| matches!(event, Event::Stop { .. }));
    match end {
        Ok(()) => {
            assert_eq!(
                stops.count(),
                1,
                "an answer is whole without its last event"
            );
            assert!(matches!(events.last(), Some(Event::Stop { .. })));
        }
        Err(_) => assert_eq!(stops.count(), 0, "an answer that fails has its last event"),
    }
    let written = events.iter().map(|event| {
        let Ok(written) = serde_json::to_string(event) else {
            panic!("{event:?} cannot be written");
        };
        assert!(!written.contains('\n'), "{written} is on several lines");
        written
    });
    (written.collect(), end.map_err(|error| error.is_truncated()))
}

/// The events of a body that arrives in these chunks, and how it ends.
///
/// # Panics
///
/// The reader waits, though all is there.
pub fn read_answer(
    provider: Provider,
    content_type: Option<&str>,
    chunks: &[&[u8]],
) -> (Vec<Event>, Result<(), Error>) {
    let chunks: Vec<_> = chunks
        .iter()
        .map(|chunk| Bytes::copy_from_slice(chunk))
        .collect();
    let chunks = stream! {
        for chunk in chunks {
            yield Ok::<_, Infallible>(Frame::data(chunk));
        }
    };
    let body = reqwest::Body::wrap(StreamBody::new(chunks));
    let body = Body::of(Response::from(hyper::Response::new(body)));
    let mut reader = provider.read(Frames::of(body, content_type, 1 << 20));
    let mut events = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match pin!(reader.next()).poll(&mut context) {
            Poll::Ready(Ok(Some(event))) => events.push(event),
            Poll::Ready(Ok(None)) => return (events, Ok(())),
            Poll::Ready(Err(error)) => return (events, Err(error)),
            Poll::Pending => panic!("the reader waits, though all is there"),
        }
    }
}

#[cfg(test)]
#[test]
fn random_answers_hold_the_properties_that_are_fuzzed() {
    let parts: &[&[u8]] = &[
        b"data: ",
        b"event: error\n",
        b"\n",
        b"\n\n",
        b"\r\n\r\n",
        b": ping\n\n",
        b"[DONE]",
        b"{\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":1}}}",
        b"{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"a\\ud83d\"}}",
        b"{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"name\":\"t\"}}",
        b"{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}",
        b"{\"type\":\"message_stop\"}",
        b"{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\ude00b\"}}]}",
        b"{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}",
        b"{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"t\",\"arguments\":\"{\"}}]}}]}",
        b"{\"type\":\"response.output_text.delta\",\"delta\":\"a\"}",
        b"{\"type\":\"response.completed\",\"response\":{\"id\":\"r\"}}",
        b"{\"message\":{\"content\":\"a\"},\"done\":false}",
        b"{\"done\":true,\"done_reason\":\"stop\"}",
        b"{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"finishReason\":\"STOP\"}]}",
        b"{\"error\":{\"message\":\"m\",\"type\":\"overloaded_error\"}}",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b"\xFF",
        b"\xEF\xBB\xBF",
    ];
    super::check_random(parts, check_answer);
}

#[cfg(test)]
#[test]
fn the_seeds_end_where_their_answers_end() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/answer");
    let providers: Vec<Provider> = Provider::all().collect();
    let mut seeds = 0;
    for seed in std::fs::read_dir(folder).unwrap() {
        let path = seed.unwrap().path();
        let seed = std::fs::read(&path).unwrap();
        let (events, end) = read_answer(providers[usize::from(seed[0])], None, &[&seed[3..]]);
        assert!(
            end.is_ok() && events.len() > 2,
            "{}: {end:?}",
            path.display()
        );
        // What is longer is cut by the fuzzer.
        assert!(seed.len() <= 4000, "{}", path.display());
        seeds += 1;
    }
    assert!(seeds >= 15);
}
