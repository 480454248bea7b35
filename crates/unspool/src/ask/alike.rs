//! Frames that are alike but for a piece of text, as nearly all of an answer are.

use memchr::memmem;

use super::event::Event;
use super::frames::Frame;
use super::text::Piece;

/// Whose words a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    Text,
    Thinking,
}

/// How often one is made of frames, and the next is another all the same, before no more
/// is tried: there are servers that number or date each frame.
const TRIES: u8 = 16;

/// What stands around the piece of text in the last frames.
///
/// Two JSON texts that are the same before and after a string differ in nothing but that
/// string. So of a frame like the last two, which were parsed and each found to be one piece
/// of text, only the string is parsed. It takes two, since the first piece of a text may do
/// more than the others: what two alike frames have done, a third does not change.
#[derive(Default)]
pub(super) struct Template {
    last: Option<Around>,
    misses: u8,
}

struct Around {
    name: String,
    /// What stands before the string in a frame, and after it.
    before: String,
    after: String,
    voice: Voice,
    /// Whether two frames were parsed that are like this.
    is_sure: bool,
}

impl Template {
    /// The piece that a frame is.
    pub(super) fn piece(&self, frame: &Frame) -> Option<(Piece, Voice)> {
        let around = self.last.as_ref().filter(|around| around.is_sure)?;
        Some((around.piece(frame)?, around.voice))
    }

    /// Learns from a frame that was parsed, and became these events.
    pub(super) fn learn(&mut self, frame: &Frame, events: &[Event]) {
        let last = self.last.take();
        let (piece, voice) = match events {
            [Event::Text { text }] => (text, Voice::Text),
            [Event::Thinking { text }] => (text, Voice::Thinking),
            _ => return,
        };
        if self.misses >= TRIES {
            return;
        }
        // That it is this string, and not another that happens to be the same, is seen twice.
        let is_it = |last: &Around| {
            let found = last.piece(frame).map(Piece::into_text);
            last.voice == voice && found.as_ref() == Some(piece)
        };
        let again = last.filter(is_it);
        (self.last, self.misses) = match again {
            Some(last) => (Some(last.sure()), 0),
            None => (Around::of(frame, piece, voice), self.misses + 1),
        };
    }
}

impl Around {
    /// None where it is not plain which string of the frame the piece is.
    fn of(frame: &Frame, piece: &str, voice: Voice) -> Option<Self> {
        let written = format!("\"{piece}\"");
        let mut found = memmem::find_iter(frame.data.as_bytes(), &written);
        let (at, other) = (found.next()?, found.next());
        if other.is_some() || string_end(&frame.data.as_bytes()[at..]) != Some(written.len()) {
            return None;
        }
        Some(Around {
            // As slices of their chunk they would keep all of that.
            name: (*frame.name).to_owned(),
            before: frame.data[..at].to_owned(),
            after: frame.data[at + written.len()..].to_owned(),
            voice,
            is_sure: false,
        })
    }

    fn sure(self) -> Self {
        Around {
            is_sure: true,
            ..self
        }
    }

    fn piece(&self, frame: &Frame) -> Option<Piece> {
        let written = self.string(frame)?;
        if written.contains('\\') {
            serde_json::from_str(written).ok()
        } else {
            Some(written[1..written.len() - 1].into())
        }
    }

    /// The string in the place of the piece, as it is written, if the frame is like this
    /// otherwise. One that is empty may be no piece.
    fn string<'f>(&self, frame: &'f Frame) -> Option<&'f str> {
        let string = frame
            .data
            .strip_prefix(&*self.before)?
            .strip_suffix(&*self.after)?;
        let is_one = string.len() > 2 && string_end(string.as_bytes()) == Some(string.len());
        (is_one && *frame.name == *self.name).then_some(string)
    }
}

/// How long the string is that these bytes begin with, quotation marks included. None where
/// a control character is in it, which the parser is left to judge.
fn string_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    bytes.first().filter(|byte| **byte == b'"')?;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            ..b' ' => return None,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(data: &str) -> Frame {
        Frame {
            name: "delta".into(),
            data: data.into(),
        }
    }

    fn text(text: &str) -> Event {
        Event::Text { text: text.into() }
    }

    fn learned(frames: &[(&str, &[Event])]) -> Template {
        let mut template = Template::default();
        for (data, events) in frames {
            template.learn(&frame(data), events);
        }
        template
    }

    fn piece(template: &Template, data: &str) -> Option<String> {
        let (piece, _) = template.piece(&frame(data))?;
        Some(piece.into_text())
    }

    #[test]
    fn after_two_alike_frames_the_piece_of_the_third_is_known() {
        let one = (r#"{"t":"a"}"#, &[text("a")][..]);
        let two = (r#"{"t":"bc"}"#, &[text("bc")][..]);
        let third = r#"{"t":"def ü"}"#;
        assert_eq!(piece(&learned(&[one]), third), None);
        assert_eq!(
            piece(&learned(&[one, two]), third).as_deref(),
            Some("def ü")
        );
        let escaped = piece(&learned(&[one, two]), r#"{"t":"\"a\n\u00fc\\"}"#);
        assert_eq!(escaped.as_deref(), Some("\"a\nü\\"));
        let of_another_name = Frame {
            name: "ping".into(),
            ..frame(third)
        };
        assert!(learned(&[one, two]).piece(&of_another_name).is_none());
    }

    #[test]
    fn what_is_not_one_string_is_parsed() {
        let one = (r#"{"t":"a"}"#, &[text("a")][..]);
        let template = learned(&[one, one]);
        for other in [
            r#"{"t":"a","u":"a"}"#,
            r#"{"t":"a\"}"#,
            r#"{"t":"a\x"}"#,
            r#"{"t":5}"#,
            "{\"t\":\"a\u{1}\"}",
            r#"{"t":""}"#,
            r#"{"t":"}"#,
            r#"{"t": "a"}"#,
        ] {
            assert_eq!(piece(&template, other), None, "{other}");
        }
    }

    #[test]
    fn a_frame_of_another_kind_ends_it() {
        let one = (r#"{"t":"a"}"#, &[text("a")][..]);
        for events in [
            &[][..],
            &[text("a"), text("a")],
            &[Event::Other {
                name: "x".into(),
                data: Default::default(),
            }],
        ] {
            let template = learned(&[one, one, (r#"{"u":"a"}"#, events)]);
            assert_eq!(piece(&template, one.0), None);
        }
    }

    #[test]
    fn where_the_piece_stands_twice_it_is_not_known_which_one_it_is() {
        let one = (r#"{"t":"a","u":"a"}"#, &[text("a")][..]);
        assert_eq!(piece(&learned(&[one, one]), one.0), None);
        let escaped = (r#"{"t":"\u0061"}"#, &[text("a")][..]);
        assert_eq!(piece(&learned(&[escaped, escaped]), escaped.0), None);
    }

    #[test]
    fn a_string_that_is_the_piece_only_once_is_another() {
        let one = (r#"{"id":"a","t":"\u0061"}"#, &[text("a")][..]);
        let two = (r#"{"id":"b","t":"\u0061"}"#, &[text("a")][..]);
        let third = r#"{"id":"c","t":"\u0061"}"#;
        assert_eq!(piece(&learned(&[one, two]), third), None);
    }

    #[test]
    fn frames_that_are_never_alike_are_given_up() {
        let mut template = Template::default();
        for number in 0..u8::MAX {
            let frame = frame(&format!(r#"{{"n":{number},"t":"a"}}"#));
            template.learn(&frame, &[text("a")]);
        }
        assert!(template.last.is_none());
    }
}
