//! What a terminal is shown: texts of others, without what it would obey.

use std::io::Write;

/// Texts on their way to a terminal, piece by piece.
///
/// What moves the cursor, sets titles and colours or turns the order of letters around is
/// written as JSON escapes it, so that lines of JSON stay what they are: in valid JSON such
/// characters stand in strings only.
#[derive(Default)]
pub(crate) struct Visible {
    /// The last piece ended with a carriage return, which is the first half of a line's end or
    /// moves the cursor.
    has_return: bool,
}

impl Visible {
    /// Appends a piece.
    pub(crate) fn put(&mut self, piece: &[u8], buffer: &mut Vec<u8>) {
        for char in String::from_utf8_lossy(piece).chars() {
            if std::mem::take(&mut self.has_return) && char != '\n' {
                escape('\r', buffer);
            }
            match char {
                '\r' => self.has_return = true,
                char if is_obeyed(char) => escape(char, buffer),
                char => buffer.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }

    /// There is no more.
    pub(crate) fn end(&mut self, buffer: &mut Vec<u8>) {
        if std::mem::take(&mut self.has_return) {
            escape('\r', buffer);
        }
    }
}

/// Whether a terminal does something other than to show a sign: control characters, and what
/// embeds, overrides or isolates a direction of writing (Unicode's annex 9). Marks and joiners,
/// which languages and emoji need, are not among them.
fn is_obeyed(char: char) -> bool {
    let is_space = matches!(char, '\n' | '\t');
    let turns = matches!(char, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    turns || char.is_control() && !is_space
}

fn escape(char: char, buffer: &mut Vec<u8>) {
    // A buffer takes all.
    let _ = write!(buffer, "\\u{:04x}", u32::from(char));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pieces: &[&str], expected: &str) {
        let (mut visible, mut buffer) = (Visible::default(), Vec::new());
        for piece in pieces {
            visible.put(piece.as_bytes(), &mut buffer);
        }
        visible.end(&mut buffer);
        assert_eq!(String::from_utf8(buffer).unwrap(), expected);
    }

    #[test]
    fn what_a_terminal_obeys_is_shown_and_all_else_stays() {
        check(&["größer, 日本語,\t👨‍👩‍👧\n"], "größer, 日本語,\t👨‍👩‍👧\n");
        check(
            &["\u{1b}[2J\u{1b}]0;title\u{7}"],
            "\\u001b[2J\\u001b]0;title\\u0007",
        );
        check(
            &["\u{9b}31m\u{7f}\0\u{8}"],
            "\\u009b31m\\u007f\\u0000\\u0008",
        );
        check(&["a\u{202e}b\u{2066}c\u{2069}"], "a\\u202eb\\u2066c\\u2069");
        check(&["שלום\u{200f} \u{200e}a"], "שלום\u{200f} \u{200e}a");
    }

    #[test]
    fn a_carriage_return_is_the_end_of_a_line_or_is_shown() {
        check(&["a\r\nb"], "a\nb");
        check(&["a\r", "\nb"], "a\nb");
        check(&["a\r", "", "b"], "a\\u000db");
        check(&["a\r\r\n"], "a\\u000d\n");
        check(&["a\r"], "a\\u000d");
    }

    #[test]
    fn a_line_of_json_means_the_same() {
        let line = "{\"a\": \"\u{9b}0m\u{202e}\u{7f}\"}";
        let mut buffer = Vec::new();
        Visible::default().put(line.as_bytes(), &mut buffer);
        let shown: serde_json::Value = serde_json::from_slice(&buffer).unwrap();
        assert_eq!(
            shown,
            serde_json::from_str::<serde_json::Value>(line).unwrap()
        );
    }
}
