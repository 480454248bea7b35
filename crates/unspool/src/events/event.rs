use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{BufMut, BytesMut};
use bytestring::ByteString;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::item::RawItem;

/// How much is allocated at a time for lines.
const BLOCK: usize = 32 << 10;

/// One event of a live feed.
///
/// Its texts are slices of the chunk that it arrived in, which lives as long as the event
/// does: whoever keeps many events for long copies them.
///
/// It is in the example of [`Request`](super::Request).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Event {
    /// What the feed calls it; `message` where it has no name for it.
    pub name: ByteString,
    /// The feed's id for it; empty where there is none. A server-sent event without an id
    /// has that of the last one that had one, as the standard says.
    pub id: ByteString,
    /// What it says, as it came.
    pub data: ByteString,
    /// When its last byte arrived.
    pub received: SystemTime,
    /// The address of its feed, without credentials.
    pub source: Arc<str>,
}

impl Event {
    /// The data as a value of a type of yours.
    ///
    /// # Errors
    ///
    /// Fails where the data is not JSON, or not of that type.
    pub fn parse<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(&self.data)
    }
}

/// What stands in a line beside `event`, `id` and `data`, and how.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LineForm {
    /// Whether data that is JSON stands there as JSON.
    pub(super) parses: bool,
    /// Whether there is also where it is from and when it came.
    pub(super) has_meta: bool,
}

/// Writes events as lines of JSON, many into one allocation.
pub(super) struct LineWriter {
    form: LineForm,
    buffer: BytesMut,
}

impl LineWriter {
    pub(super) fn new(form: LineForm) -> Self {
        LineWriter {
            form,
            buffer: BytesMut::new(),
        }
    }

    pub(super) fn line(&mut self, event: &Event) -> RawItem {
        let buffer = &mut self.buffer;
        let room = event.data.len() + event.id.len() + event.name.len() + 64;
        if buffer.capacity() < room {
            buffer.reserve(room.max(BLOCK));
        }
        buffer.put_slice(b"{\"event\":");
        put_text(buffer, &event.name);
        buffer.put_slice(b",\"id\":");
        if event.id.is_empty() {
            buffer.put_slice(b"null");
        } else {
            put_text(buffer, &event.id);
        }
        buffer.put_slice(b",\"data\":");
        if self.form.parses && serde_json::from_str::<IgnoredAny>(&event.data).is_ok() {
            buffer.put_slice(event.data.as_bytes());
        } else {
            put_text(buffer, &event.data);
        }
        if self.form.has_meta {
            buffer.put_slice(b",\"source\":");
            put_text(buffer, &event.source);
            buffer.put_slice(b",\"received\":");
            put_text(buffer, &timestamp(event.received));
        }
        buffer.put_u8(b'}');
        RawItem::new(buffer.split().freeze())
    }
}

/// A text as JSON.
pub(super) fn put_text(buffer: &mut BytesMut, text: &str) {
    buffer.put_u8(b'"');
    let bytes = text.as_bytes();
    let mut begin = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if !IS_ESCAPED[byte as usize] {
            continue;
        }
        buffer.put_slice(&bytes[begin..at]);
        put_escape(buffer, byte);
        begin = at + 1;
    }
    buffer.put_slice(&bytes[begin..]);
    buffer.put_u8(b'"');
}

/// The bytes that a JSON string holds as escapes only.
static IS_ESCAPED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table
};

fn put_escape(buffer: &mut BytesMut, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => buffer.put_slice(b"\\\""),
        b'\\' => buffer.put_slice(b"\\\\"),
        b'\n' => buffer.put_slice(b"\\n"),
        b'\r' => buffer.put_slice(b"\\r"),
        b'\t' => buffer.put_slice(b"\\t"),
        _ => {
            buffer.put_slice(b"\\u00");
            buffer.put_u8(DIGITS[usize::from(byte >> 4)]);
            buffer.put_u8(DIGITS[usize::from(byte & 15)]);
        }
    }
}

/// A time in UTC, to the millisecond, as RFC 3339 writes it.
fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

/// The date so many days after 1970-01-01, in the Gregorian calendar. Years begin in March
/// here, so that the day that comes every four years is the last of one.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let days = days + 719_468;
    let (era, day_of_era) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era + u64::from(month >= 10);
    (year, if month < 10 { month + 3 } else { month - 9 }, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &str) -> Event {
        Event {
            name: "message".into(),
            id: "7".into(),
            data: data.into(),
            received: UNIX_EPOCH + Duration::from_millis(1_709_210_096_007),
            source: "http://a.test/feed".into(),
        }
    }

    #[test]
    fn a_line_is_json_whatever_the_data_is() {
        let mut writer = LineWriter::new(LineForm::default());
        for data in [
            "",
            "plain",
            "\"q\" \\ \u{1}\u{1f}\n\r\t é \u{2028}",
            "{\"a\": 1}",
        ] {
            let line = writer.line(&event(data));
            let value: serde_json::Value = line.parse().unwrap();
            assert_eq!(value["data"], data, "{line}");
            assert_eq!(
                (&value["event"], &value["id"]),
                (&"message".into(), &"7".into())
            );
        }
        let nameless = Event {
            id: ByteString::new(),
            ..event("x")
        };
        assert_eq!(
            writer.line(&nameless).as_str(),
            r#"{"event":"message","id":null,"data":"x"}"#
        );
    }

    #[test]
    fn data_that_is_json_can_stand_there_as_json_and_with_where_it_is_from() {
        let mut writer = LineWriter::new(LineForm {
            parses: true,
            has_meta: true,
        });
        let line = writer.line(&event("{\"a\":\n 1}"));
        assert_eq!(
            line.as_str(),
            r#"{"event":"message","id":"7","data":{"a":1},"source":"http://a.test/feed","received":"2024-02-29T12:34:56.007Z"}"#
        );
        let line = writer.line(&event("not {"));
        assert!(line.as_str().contains(r#""data":"not {""#), "{line}");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (20_784, (2026, 11, 27)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(date(days), expected);
        }
    }
}
