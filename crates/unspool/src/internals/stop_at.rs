use regex_automata::Input;
use regex_automata::hybrid::dfa::DFA;

use super::{Random, cut};
use crate::ask::stop_at::StopAt;

/// A pattern, a line feed, and the text that it is looked for in.
///
/// # Panics
///
/// The place where the text ends depends on how it is cut, is not in it, is not after a match of
/// the pattern, or is not the first such place.
pub fn check_stop_at(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Some((pattern, text)) = text.split_once('\n') else {
        return;
    };
    let Some(whole) = end(pattern, &[text]) else {
        return;
    };
    let mut random = Random::new(text.len() as u64);
    let pieces = cut(text.as_bytes(), &mut random);
    // A piece holds no part of a character.
    let ends = pieces.iter().scan(0, |at, piece| {
        *at += piece.len();
        Some(*at)
    });
    let mut pieces = Vec::new();
    let mut begin = 0;
    for end in ends {
        if text.is_char_boundary(end) {
            pieces.push(&text[begin..end]);
            begin = end;
        }
    }
    assert_eq!(
        end(pattern, &pieces),
        Some(whole),
        "`{pattern}` in {pieces:?}"
    );
    check_first(pattern, text, whole);
}

/// Where the text ends by the pattern, if it does; none if there is no such pattern.
fn end(pattern: &str, pieces: &[&str]) -> Option<Option<usize>> {
    let mut stop = StopAt::new(pattern).ok()?;
    let mut at = 0;
    for piece in pieces {
        match stop.end(piece) {
            Ok(Some(end)) => return Some(Some(at + end)),
            Ok(None) => at += piece.len(),
            // It is too large.
            Err(_) => return None,
        }
    }
    Some(None)
}

/// Compares it with an engine that looks at the whole text: it ends where the first match is
/// complete.
fn check_first(pattern: &str, text: &str, end: Option<usize>) {
    let Ok(dfa) = DFA::new(pattern) else {
        return;
    };
    let input = Input::new(text).earliest(true);
    let Ok(first) = dfa.try_search_fwd(&mut dfa.create_cache(), &input) else {
        return;
    };
    let first = first.map(|found| found.offset());
    match end {
        Some(end) => {
            assert!(
                text.is_char_boundary(end),
                "`{pattern}` cuts a character of {text:?}"
            );
            assert_eq!(first, Some(end), "`{pattern}` in {text:?}");
        }
        // What looks around may match only because the text is over.
        None => assert!(
            first.is_none_or(|first| first == text.len()),
            "`{pattern}` in {text:?}"
        ),
    }
}

#[cfg(test)]
#[test]
fn random_patterns_hold_the_properties_that_are_fuzzed() {
    let parts: &[&[u8]] = &[
        b"a",
        b"b",
        b"\n",
        b"ab",
        b"|",
        b"(",
        b")",
        b"[ab]",
        b"\\d",
        b"1",
        b"+",
        b"{2}",
        b"?",
        b".",
        b"(?m)",
        b"(?i)",
        b"$",
        b"^",
        b"(?-u:\\b)",
        "é".as_bytes(),
        "😀".as_bytes(),
        b"\nabab1\n",
        b"\na b",
    ];
    super::check_random(parts, |data| check_stop_at(&data[2..]));
}
