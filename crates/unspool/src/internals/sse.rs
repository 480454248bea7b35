use std::time::Duration;

use bytes::Bytes;

use super::{Random, cut};
use crate::sse::{Decoder, Event};

/// The first two bytes choose the chunks, the others are the stream.
///
/// # Panics
///
/// The events are not those that the standard's rules give when they are followed word
/// by word over the whole stream.
pub fn check_sse(data: &[u8]) {
    let [first, second, stream @ ..] = data else {
        return;
    };
    let expected = by_the_book(stream);
    let mut random = Random::new(u64::from(*first) << 8 | u64::from(*second));
    for chunks in [vec![stream], cut(stream, &mut random)] {
        let mut decoder = Decoder::new();
        let mut events = Vec::new();
        for chunk in &chunks {
            decoder.push(Bytes::copy_from_slice(chunk));
            // The limit is higher than what is fuzzed.
            while let Ok(Some(event)) = decoder.next_event() {
                events.push(event);
            }
        }
        let found = (events, decoder.last_event_id().to_owned(), decoder.retry());
        assert_eq!(found, expected, "in {} chunks", chunks.len());
    }
}

/// The events, the last id and the reconnection time, found by the steps of the HTML
/// standard, with its buffers, over the decoded text.
fn by_the_book(stream: &[u8]) -> (Vec<Event>, String, Option<Duration>) {
    let text = String::from_utf8_lossy(stream);
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
    let (mut data, mut name, mut id) = (String::new(), String::new(), String::new());
    let (mut events, mut last_id, mut retry) = (Vec::new(), String::new(), None);
    // Without a line feed there is no line at all.
    let lines = text.contains('\n').then(|| whole.split('\n'));
    for line in lines.into_iter().flatten() {
        if line.is_empty() {
            last_id.clone_from(&id);
            if !data.is_empty() {
                data.pop();
                let name = if name.is_empty() { "message" } else { &name };
                events.push(Event {
                    name: name.into(),
                    data: data.as_str().into(),
                    last_event_id: id.as_str().into(),
                });
            }
            data.clear();
            name.clear();
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => name = value.to_owned(),
            "data" => {
                data.push_str(value);
                data.push('\n');
            }
            "id" if !value.contains('\0') => id = value.to_owned(),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                retry = value.parse().map(Duration::from_millis).ok().or(retry);
            }
            _ => {}
        }
    }
    (events, last_id, retry)
}

#[cfg(test)]
#[test]
fn random_streams_are_read_by_the_book() {
    let parts: &[&[u8]] = &[
        b"data",
        b"data:",
        b"data: x",
        b"data:  x:y",
        b"event",
        b"event: e",
        b"event:",
        b"id",
        b"id: 7",
        b"id: \0",
        b"retry: 1000",
        b"retry: 1x",
        b"retry:",
        b":",
        b": comment",
        b"\n",
        b"\n\n",
        b"\r",
        b"\r\r",
        b"\r\n",
        b"\r\n\r\n",
        b" ",
        b"\xEF\xBB\xBF",
        b"\xEF",
        b"\xC3\xA4",
        b"\xF0\x9F\x98\x80",
        b"\xED\xA0\xBD",
        b"\xFF",
    ];
    super::check_random(parts, check_sse);
}
