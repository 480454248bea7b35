//! Texts as people may see them.

use std::borrow::Cow;

/// Characters that show nothing themselves and change how others are shown (category Cf
/// of Unicode 17, and the two separators of lines and paragraphs).
const FORMATS: &[(char, char)] = &[
    ('\u{AD}', '\u{AD}'),
    ('\u{600}', '\u{605}'),
    ('\u{61C}', '\u{61C}'),
    ('\u{6DD}', '\u{6DD}'),
    ('\u{70F}', '\u{70F}'),
    ('\u{890}', '\u{891}'),
    ('\u{8E2}', '\u{8E2}'),
    ('\u{180E}', '\u{180E}'),
    ('\u{200B}', '\u{200F}'),
    ('\u{2028}', '\u{202E}'),
    ('\u{2060}', '\u{206F}'),
    ('\u{FEFF}', '\u{FEFF}'),
    ('\u{FFF9}', '\u{FFFB}'),
    ('\u{110BD}', '\u{110BD}'),
    ('\u{110CD}', '\u{110CD}'),
    ('\u{13430}', '\u{1343F}'),
    ('\u{1BCA0}', '\u{1BCA3}'),
    ('\u{1D173}', '\u{1D17A}'),
    ('\u{E0001}', '\u{E007F}'),
];

/// The text on one line, without characters that a terminal obeys or that change how
/// others are shown.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let is_plain = |char: char| char.is_ascii_graphic() || char == ' ';
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let shown = text.chars().filter_map(|char| match char {
        '\t' | '\n' | '\r' | '\u{B}' | '\u{C}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some(' '),
        char if char.is_control() || is_format(char) => None,
        char => Some(char),
    });
    Cow::Owned(shown.collect())
}

/// At most so many characters of a text.
pub(crate) fn shortened_to(text: &str, length: usize) -> Cow<'_, str> {
    match text.char_indices().nth(length) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// At most so many characters of a text, on one line, with one space between words, and
/// none that a terminal obeys.
pub(crate) fn shortened(text: &str, length: usize) -> String {
    let end = text.char_indices().nth(4 * length);
    let text = visible(&text[..end.map_or(text.len(), |(end, _)| end)]);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    shortened_to(&words, length).into_owned()
}

fn is_format(char: char) -> bool {
    (FORMATS.iter()).any(|(first, last)| (*first..=*last).contains(&char))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        for (text, expected) in [
            ("plain: 100 %", "plain: 100 %"),
            ("größer, 日本語, 👍", "größer, 日本語, 👍"),
            ("\u{1b}[2J\u{1b}]0;title\u{7}x", "[2J]0;titlex"),
            ("a\r\nunspool: complete", "a  unspool: complete"),
            ("\u{9b}31mred", "31mred"),
            ("abc\u{202e}fed\u{2066}x\u{2069}", "abcfedx"),
            ("z\u{200b}w\u{feff}\u{ad}", "zw"),
            ("a\u{2028}b\u{85}c", "a b c"),
            ("tag\u{e0041}", "tag"),
        ] {
            assert_eq!(visible(text), expected);
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(shortened_to("größer", 3), "grö…");
        assert_eq!(shortened_to("größer", 6), "größer");
        assert_eq!(shortened_to("", 0), "");
        assert_eq!(shortened("  a \n b\u{1b}  c d", 5), "a b c…");
    }
}
