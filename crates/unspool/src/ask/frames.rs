//! What a protocol reads: the JSON texts in a body, whatever carries them.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::text::Word;
use crate::error::{Error, Kind};
use crate::http::{Answer, Body, Secrets, most_filler, shortened};
use crate::lines::{BYTE_ORDER_MARK, Lines};
use crate::sse::Decoder;

/// How long what may follow after a proved end, such as the usage, is waited for.
const GRACE: Duration = Duration::from_secs(2);

/// How much of a frame that cannot be read goes into the error.
const EXCERPT: usize = 120;

/// One JSON text of an answer.
#[derive(Debug)]
pub(super) struct Frame {
    /// What the upstream calls it: the name of a server-sent event.
    pub(super) name: ByteString,
    pub(super) data: ByteString,
}

impl Frame {
    /// The documents that it consists of, where those are several, one after the other.
    pub(super) fn documents(&self) -> Option<Vec<Frame>> {
        let mut documents = Vec::new();
        let mut rest = self.data.trim();
        while !rest.is_empty() {
            let length = match rest.starts_with("[DONE]") {
                true => "[DONE]".len(),
                false => {
                    let mut values = serde_json::Deserializer::from_str(rest).into_iter();
                    values
                        .next()?
                        .map(|_: IgnoredAny| values.byte_offset())
                        .ok()?
                }
            };
            let (document, after) = rest.split_at(length);
            documents.push(Frame {
                name: self.name.clone(),
                data: document.into(),
            });
            rest = after.trim_start();
        }
        (documents.len() > 1).then_some(documents)
    }
}

/// The frames of one body: server-sent events, lines of JSON, or one document that came in
/// the place of a stream.
pub(crate) struct Frames {
    body: Body,
    content_type: String,
    /// Whether the end of the body says no more than that the connection has ended.
    ends_with_connection: bool,
    max_bytes: usize,
    secrets: Secrets,
    form: Form,
    count: u64,
    /// Until when to wait for what may follow, once the end is proved.
    proved_until: Option<Instant>,
}

enum Form {
    /// So far there has been nothing, or so much white space. What comes then tells the form,
    /// for the content type does not always.
    Unknown(BytesMut, usize),
    Events(Box<Decoder>),
    /// JSON on lines; whether the first one has come.
    Lines(Lines, bool),
    /// A document over several lines, as far as it has come.
    Document(BytesMut),
    /// The elements of a document that was an array.
    Elements(VecDeque<ByteString>),
}

impl Frames {
    pub(super) fn new(answer: Answer, max_bytes: usize, secrets: Secrets) -> Self {
        let content_type = answer.headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        Frames {
            secrets,
            ends_with_connection: answer.ends_with_connection,
            ..Frames::of(answer.body, content_type, max_bytes)
        }
    }

    pub(crate) fn of(mut body: Body, content_type: Option<&str>, max_bytes: usize) -> Self {
        body.wants("piece of the answer", most_filler(max_bytes));
        let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
        Frames {
            body,
            content_type,
            ends_with_connection: false,
            max_bytes,
            secrets: Secrets::default(),
            form: Form::Unknown(BytesMut::new(), 0),
            count: 0,
            proved_until: None,
        }
    }

    /// The next frame; none at the end of the body.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            if let Some(frame) = self.buffered()? {
                self.count += 1;
                return Ok(Some(frame));
            }
            // Keep-alives do not make this longer.
            if let Some(until) = self.proved_until {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(None);
                }
                self.body.wait_for_next(left);
            }
            match self.body.chunk().await {
                Ok(Some(chunk)) => self.push(chunk)?,
                Ok(None) => return self.last(),
                Err(_) if self.proved_until.is_some() => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// A piece of the answer has come, and not only a sign of life.
    pub(super) fn brought(&mut self) {
        self.body.brought();
    }

    /// What has come proves that the answer is whole. What may follow is waited for a
    /// little, and if it does not come, nothing is wrong.
    pub(super) fn end_is_proved(&mut self) {
        self.proved_until
            .get_or_insert_with(|| Instant::now() + GRACE);
    }

    /// What seemed to prove it did not.
    pub(super) fn end_is_open(&mut self) {
        self.proved_until = None;
    }

    pub(super) fn ends_with_connection(&self) -> bool {
        self.ends_with_connection
    }

    /// Reads a frame.
    pub(super) fn parse<'f, T: Deserialize<'f>>(&self, frame: &'f Frame) -> Result<T, Error> {
        serde_json::from_str(&frame.data).map_err(|error| self.unfit(frame, &error.to_string()))
    }

    /// Reads a frame of a protocol whose events have names; none where it cannot be read, and
    /// is none that is known.
    pub(super) fn parse_known<'f, T: Deserialize<'f>>(
        &self,
        frame: &'f Frame,
        is_known: impl Fn(&str) -> bool,
    ) -> Result<Option<T>, Error> {
        #[derive(Deserialize)]
        struct Named<'n> {
            #[serde(rename = "type", borrow)]
            name: Option<Word<'n>>,
        }
        let error = match serde_json::from_str(&frame.data) {
            Ok(event) => return Ok(Some(event)),
            Err(error) => error,
        };
        let named: Option<Named<'_>> = serde_json::from_str(&frame.data).ok();
        let name = named.as_ref().and_then(|named| named.name.as_deref());
        let name = name.unwrap_or(&frame.name);
        // That is what an event is called that has no name.
        let is_nameless = matches!(name, "message" | "");
        // What begins as JSON is a part of an event that may have been known.
        let is_cut = named.is_none() && frame.data.starts_with(['{', '[']);
        match is_known(name) || is_nameless || is_cut {
            true => Err(self.unfit(frame, &error.to_string())),
            false => Ok(None),
        }
    }

    /// The error for a frame that is not what it should be.
    pub(super) fn unfit(&self, frame: &Frame, what: &str) -> Error {
        Error::content(format!(
            "event {} of the answer cannot be read: {what}, in `{}`",
            self.count,
            self.excerpt(&frame.data)
        ))
    }

    /// The begin of a text of the upstream. A secret is taken out before it could be cut.
    fn excerpt(&self, text: &str) -> String {
        shortened(&self.secrets.masked(text), EXCERPT)
    }

    /// The error for a body that ended without what proves the end of an answer.
    pub(super) fn truncated(&self, end_mark: &str) -> Error {
        let message = match self.count {
            0 if self.content_type.is_empty() => "the answer is empty".to_owned(),
            0 => format!("the answer, a `{}`, holds no event", self.content_type),
            count => format!("the answer ended after {count} events, without {end_mark}"),
        };
        Error::new(Kind::Truncated, message)
    }

    fn push(&mut self, chunk: Bytes) -> Result<(), Error> {
        match &mut self.form {
            Form::Events(decoder) => decoder.push(chunk),
            Form::Lines(lines, _) => lines.push(chunk),
            Form::Document(document) => {
                document.extend_from_slice(&chunk);
                self.check_size()?;
            }
            Form::Unknown(begin, blank) => {
                begin.extend_from_slice(&chunk);
                match begin_of_text(begin, blank) {
                    Some(at) => {
                        let begun = begin.split().freeze();
                        self.begin(begun, at)?;
                    }
                    None => self.check_size()?,
                }
            }
            Form::Elements(_) => {}
        }
        Ok(())
    }

    /// Sees what the body is whose text begins there.
    fn begin(&mut self, begun: Bytes, at: usize) -> Result<(), Error> {
        let text = begun.slice(at..);
        match text.first() {
            // No protocol has arrays on lines.
            Some(b'[') => {
                self.form = Form::Document(BytesMut::from(text));
                self.check_size()?;
            }
            Some(b'{') => {
                let mut lines = Lines::new(self.max_bytes);
                lines.push(text);
                self.form = Form::Lines(lines, false);
            }
            Some(b'<') => {
                return Err(Error::content(format!(
                    "expected a stream of events, found `{}`: {}",
                    self.content_type,
                    self.excerpt(&String::from_utf8_lossy(&text))
                )));
            }
            _ => {
                let mut decoder = Decoder::new().max_event(self.max_bytes);
                decoder.push(begun);
                self.form = Form::Events(Box::new(decoder));
            }
        }
        Ok(())
    }

    /// The next frame of what has come.
    fn buffered(&mut self) -> Result<Option<Frame>, Error> {
        match &mut self.form {
            Form::Unknown(..) | Form::Document(_) => Ok(None),
            Form::Events(decoder) => Ok(decoder.next_event()?.map(|event| Frame {
                name: event.name,
                data: event.data,
            })),
            Form::Elements(elements) => Ok(elements.pop_front().map(unnamed)),
            Form::Lines(lines, is_begun) => {
                while let Some((whole, range)) = lines.next_line()? {
                    let line = whole.slice(range);
                    if line.trim_ascii().is_empty() {
                        continue;
                    }
                    if *is_begun || is_json(&line) {
                        *is_begun = true;
                        return text(line).map(|line| Some(unnamed(line)));
                    }
                    // The first line is not all of it.
                    let mut document = BytesMut::from(line);
                    while let Some((whole, range)) = lines.next_line()? {
                        document.extend_from_slice(b"\n");
                        document.extend_from_slice(&whole[range]);
                    }
                    document.extend_from_slice(b"\n");
                    document.extend_from_slice(&lines.end());
                    self.form = Form::Document(document);
                    break;
                }
                Ok(None)
            }
        }
    }

    /// The body is over: what is a frame though nothing ends it.
    fn last(&mut self) -> Result<Option<Frame>, Error> {
        let rest = match &mut self.form {
            Form::Lines(lines, _) => lines.end(),
            Form::Document(document) => document.split().freeze(),
            Form::Unknown(..) | Form::Events(_) | Form::Elements(_) => return Ok(None),
        };
        if rest.first() == Some(&b'[')
            && let Ok(elements) = serde_json::from_slice::<Vec<&RawValue>>(&rest)
        {
            let elements = elements.iter().map(|element| element.get().into());
            self.form = Form::Elements(elements.collect());
        } else if serde_json::from_slice::<IgnoredAny>(&rest).is_ok() {
            self.form = Form::Elements(VecDeque::from([text(rest)?]));
        }
        // If it is not a document, it was cut.
        let frame = self.buffered()?;
        self.count += u64::from(frame.is_some());
        Ok(frame)
    }

    fn check_size(&self) -> Result<(), Error> {
        let size = match &self.form {
            Form::Unknown(begin, _) => begin.len(),
            Form::Document(document) => document.len(),
            _ => 0,
        };
        match size > self.max_bytes {
            false => Ok(()),
            true => Err(Error::new(
                Kind::TooLarge,
                format!(
                    "the answer is one document of over {} bytes",
                    self.max_bytes
                ),
            )),
        }
    }
}

/// Where a text begins, after a byte order mark and white space; none as long as nothing else
/// has come. So much of it is known to be that, and is not looked at again.
fn begin_of_text(begun: &[u8], blank: &mut usize) -> Option<usize> {
    if BYTE_ORDER_MARK.starts_with(begun) {
        return None;
    }
    if *blank == 0 && begun.starts_with(BYTE_ORDER_MARK) {
        *blank = BYTE_ORDER_MARK.len();
    }
    let rest = &begun[*blank..];
    let length = rest.iter().position(|byte| !byte.is_ascii_whitespace());
    let begin = length.map(|length| *blank + length);
    *blank = begin.unwrap_or(begun.len());
    begin
}

/// Whether this is one document, or several.
fn is_json(line: &[u8]) -> bool {
    let mut values = serde_json::Deserializer::from_slice(line).into_iter::<IgnoredAny>();
    values.all(|value| value.is_ok())
}

fn unnamed(data: ByteString) -> Frame {
    Frame {
        name: ByteString::new(),
        data,
    }
}

fn text(bytes: Bytes) -> Result<ByteString, Error> {
    ByteString::try_from(bytes).map_err(|error| {
        Error::content(format!("the answer is not UTF-8: {error}")).with_source(error)
    })
}
