//! Server-sent events: the format of live feeds and of streamed answers.
//!
//! [`Decoder`] reads it as the HTML standard says ([section 9.2.6, "Interpreting an event
//! stream"](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation)),
//! from bytes in whatever chunks they arrive in.
//!
//! ```
//! use unspool::sse::Decoder;
//!
//! # fn main() -> Result<(), unspool::Error> {
//! let mut decoder = Decoder::new();
//! for chunk in ["event: tick\ndata: on", "e\ndata: two\n", "\n: a comment\n\n"] {
//!     decoder.push(chunk.into());
//!     while let Some(event) = decoder.next_event()? {
//!         assert_eq!(&*event.name, "tick");
//!         assert_eq!(&*event.data, "one\ntwo");
//!     }
//! }
//! # Ok(())
//! # }
//! ```

#[cfg(test)]
mod tests;

use std::fmt;
use std::mem;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;

use crate::error::{Error, Kind};
use crate::lines::{BYTE_ORDER_MARK, Lines};

/// How most events without a name begin.
const NAMELESS: &str = "data: ";

/// The largest event where nobody says otherwise.
const MAX_EVENT: usize = 16 << 20;

/// One event of a stream.
///
/// Its texts are slices of the chunk that it arrived in, which lives as long as the
/// event does: whoever keeps many events for long copies them.
///
/// It is in the example of [`Decoder`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Event {
    /// What kind of event it is: the last `event` field; `message` where there is none.
    pub name: ByteString,
    /// The `data` fields, with a line feed between two.
    pub data: ByteString,
    /// The last `id` field of the stream so far; empty if there was none.
    pub last_event_id: ByteString,
}

/// Events out of a stream of bytes: [`push`](Decoder::push) each chunk and take the
/// events that have come.
///
/// An event ends with an empty line. What came after the last one when the stream ends
/// is no event, as the standard says. Bytes that are not UTF-8 become U+FFFD. Memory is
/// bounded by one chunk and the largest event.
///
/// ```
/// use unspool::sse::Decoder;
///
/// let mut decoder = Decoder::new();
/// // Chunks end anywhere.
/// decoder.push("id: 7\nevent: greeting\ndata: hel".into());
/// assert!(decoder.next_event()?.is_none());
/// decoder.push("lo\n\n".into());
/// let event = decoder.next_event()?.unwrap();
/// assert_eq!((&*event.name, &*event.data), ("greeting", "hello"));
/// assert_eq!(decoder.last_event_id(), "7");
/// # Ok::<(), unspool::Error>(())
/// ```
pub struct Decoder {
    max_bytes: usize,
    lines: Lines,
    is_begun: bool,
    name: ByteString,
    /// The last name in the stream: most events have that of the one before.
    known_name: ByteString,
    /// How most events begin that are like the last one; empty where that is to be found out.
    begin: String,
    data: Data,
    /// The last `id` field, which counts once its event has been dispatched.
    id: ByteString,
    last_event_id: ByteString,
    retry: Option<Duration>,
}

/// The `data` fields of an event that has not ended.
enum Data {
    None,
    /// One field, as a slice of what it came in.
    One(ByteString),
    Many(String),
}

impl Decoder {
    /// For a stream that has not begun. An event may have 16 MiB.
    #[must_use]
    pub fn new() -> Self {
        Decoder {
            max_bytes: MAX_EVENT,
            lines: Lines::new(MAX_EVENT),
            is_begun: false,
            name: ByteString::new(),
            known_name: ByteString::new(),
            begin: NAMELESS.to_owned(),
            data: Data::None,
            id: ByteString::new(),
            last_event_id: ByteString::new(),
            retry: None,
        }
    }

    /// The largest event, in bytes.
    #[must_use]
    pub fn max_event(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self.lines = Lines::new(bytes);
        self
    }

    /// For a stream that goes on after the event with this id, on a new connection: its
    /// events have it until the stream gives another.
    #[must_use]
    pub fn after(mut self, last_event_id: ByteString) -> Self {
        self.id = last_event_id.clone();
        self.last_event_id = last_event_id;
        self
    }

    /// Gives the next bytes of the stream; the events of those before must have been
    /// taken.
    pub fn push(&mut self, chunk: Bytes) {
        self.lines.push(chunk);
    }

    /// The next event; none where more bytes are needed.
    ///
    /// # Errors
    ///
    /// If an event is above the limit ([`Error::is_too_large`]).
    pub fn next_event(&mut self) -> Result<Option<Event>, Error> {
        if let Some(event) = self.usual_event() {
            return Ok(Some(event));
        }
        while let Some((whole, mut range)) = self.lines.next_line()? {
            if !mem::replace(&mut self.is_begun, true)
                && whole[range.clone()].starts_with(BYTE_ORDER_MARK)
            {
                range.start += BYTE_ORDER_MARK.len();
            }
            let line = &whole[range.clone()];
            if line.is_empty() {
                // Without data there is no event, but the id counts all the same.
                self.dispatch_id();
                match mem::replace(&mut self.data, Data::None).into_text() {
                    Some(data) => {
                        self.expect_alike();
                        return Ok(Some(self.event(data)));
                    }
                    None => self.name = ByteString::new(),
                }
                continue;
            }
            let (field, value) = split_field(line);
            match field {
                b"data" => {
                    let start = range.end - value.len();
                    self.data.add(text(whole.slice(start..range.end), value));
                    if self.data.len() > self.max_bytes {
                        return Err(Error::new(
                            Kind::TooLarge,
                            format!("an event is over the limit of {} bytes", self.max_bytes),
                        ));
                    }
                }
                b"event" => {
                    if *self.known_name.as_bytes() != *value {
                        self.known_name = text(Bytes::copy_from_slice(value), value);
                        self.begin.clear();
                    }
                    self.name = self.known_name.clone();
                }
                b"id" if !value.contains(&0) => {
                    self.id = text(Bytes::copy_from_slice(value), value);
                }
                b"retry" => {
                    if let Some(milliseconds) = digits(value) {
                        self.retry = Some(Duration::from_millis(milliseconds));
                    }
                }
                // A comment, or a field that is for somebody else.
                _ => {}
            }
        }
        Ok(None)
    }

    /// The id of the last event that ended: what a client that connects again sends as
    /// `Last-Event-ID`. Empty if there was none. The `id` field of an event that has not
    /// ended does not count: the client has not had that event.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// Whether an event has begun that has not ended, or may have.
    pub(crate) fn is_inside(&self) -> bool {
        !matches!(self.data, Data::None) || self.lines.is_inside()
    }

    /// How long to wait before connecting again, if the stream has said so.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// The next event, if it is like the last one: a name, or none, and one line of data.
    fn usual_event(&mut self) -> Option<Event> {
        let is_between = self.name.is_empty() && matches!(self.data, Data::None);
        if self.begin.is_empty() || !is_between {
            return None;
        }
        let (whole, range) = self.lines.next_block(self.begin.as_bytes())?;
        let data = text(whole.slice(range.clone()), &whole[range]);
        self.is_begun = true;
        self.dispatch_id();
        if self.begin != NAMELESS {
            self.name = self.known_name.clone();
        }
        Some(self.event(data))
    }

    fn dispatch_id(&mut self) {
        // Two empty texts are not compared: glibc does that by a masked load from where there is
        // nothing, which takes a hundred times as long as any other.
        let is_any = !self.id.is_empty() || !self.last_event_id.is_empty();
        if is_any && self.last_event_id != self.id {
            self.last_event_id = self.id.clone();
        }
    }

    /// How the next event begins, if it is like this one.
    fn expect_alike(&mut self) {
        let (is_named, was_named) = (!self.name.is_empty(), self.begin != NAMELESS);
        if self.begin.is_empty() || is_named != was_named {
            self.begin = match is_named {
                true => format!("event: {}\ndata: ", self.name),
                false => NAMELESS.to_owned(),
            };
        }
    }

    fn event(&mut self, data: ByteString) -> Event {
        let name = match self.name.is_empty() {
            true => ByteString::from_static("message"),
            false => mem::take(&mut self.name),
        };
        Event {
            name,
            data,
            last_event_id: self.last_event_id.clone(),
        }
    }
}

impl Data {
    fn add(&mut self, field: ByteString) {
        *self = match mem::replace(self, Data::None) {
            Data::None => Data::One(field),
            Data::One(first) => Data::Many([&*first, "\n", &*field].concat()),
            Data::Many(mut all) => {
                all.push('\n');
                all.push_str(&field);
                Data::Many(all)
            }
        };
    }

    fn len(&self) -> usize {
        match self {
            Data::None => 0,
            Data::One(one) => one.len(),
            Data::Many(all) => all.len(),
        }
    }

    fn into_text(self) -> Option<ByteString> {
        match self {
            Data::None => None,
            Data::One(one) => Some(one),
            Data::Many(all) => Some(all.into()),
        }
    }
}

/// The name and the value of a field. One space after the colon is not a part of the
/// value; a comment has an empty name.
fn split_field(line: &[u8]) -> (&[u8], &[u8]) {
    let colon = match line {
        // What most lines are needs no search.
        [b'd', b'a', b't', b'a', b':', ..] => Some(4),
        [b'e', b'v', b'e', b'n', b't', b':', ..] => Some(5),
        _ => memchr::memchr(b':', line),
    };
    match colon {
        None => (line, b""),
        Some(colon) => {
            let value = &line[colon + 1..];
            (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
        }
    }
}

/// A value as text, of which `bytes` holds what it is a slice of; what is not UTF-8 becomes
/// U+FFFD.
fn text(bytes: Bytes, value: &[u8]) -> ByteString {
    match ByteString::try_from(bytes) {
        Ok(text) => text,
        Err(_) => ByteString::from(String::from_utf8_lossy(value).into_owned()),
    }
}

/// The number, if the value is made of ASCII digits alone.
fn digits(value: &[u8]) -> Option<u64> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    is_number
        .then(|| std::str::from_utf8(value).ok()?.parse().ok())
        .flatten()
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder::new()
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("last_event_id", &self.last_event_id)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("name", &&*self.name)
            .field("data", &&*self.data)
            .field("last_event_id", &&*self.last_event_id)
            .finish()
    }
}
