use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

use crate::error::Error;

/// A pattern that is looked for in a text while it arrives, in constant memory.
///
/// The text ends where the first match is complete: at the earliest place after which the
/// text so far holds a match, however it was cut into pieces.
pub(crate) struct StopAt {
    dfa: DFA,
    cache: Cache,
    state: LazyStateID,
    /// Whether what follows can change whether the text so far matches, as with `\b`.
    looks_around: bool,
}

impl StopAt {
    /// # Errors
    ///
    /// The pattern is invalid, or matches the empty text.
    pub(crate) fn new(pattern: &str) -> Result<Self, Error> {
        let wrong = |what: &str| Error::request(format!("cannot stop at `{pattern}`: {what}"));
        // The parser draws the pattern over several lines; the last one says what it is.
        let parsed = syntax::parse(pattern).map_err(|error| {
            let drawn = error.to_string();
            let last = drawn.lines().last().unwrap_or_default();
            wrong(last.trim_start_matches("error: "))
        })?;
        if parsed.properties().minimum_len() == Some(0) {
            return Err(wrong("it matches the empty text"));
        }
        let dfa = DFA::new(pattern).map_err(|error| wrong(&error.to_string()))?;
        let mut cache = dfa.create_cache();
        let input = Input::new("").anchored(Anchored::No);
        let state = dfa
            .start_state_forward(&mut cache, &input)
            .map_err(|error| wrong(&error.to_string()))?;
        Ok(StopAt {
            dfa,
            cache,
            state,
            looks_around: !parsed.properties().look_set().is_empty(),
        })
    }

    /// Where the text ends, in this piece of it, if it does.
    pub(crate) fn end(&mut self, piece: &str) -> Result<Option<usize>, Error> {
        let failed =
            |error| Error::request(format!("the pattern to stop at is too large: {error}"));
        for (at, byte) in piece.bytes().enumerate() {
            self.state = self
                .dfa
                .next_state(&mut self.cache, self.state, byte)
                .map_err(failed)?;
            // A match is seen one byte after its end.
            if self.state.is_match() {
                return Ok(Some(at));
            }
        }
        if self.looks_around || piece.is_empty() {
            return Ok(None);
        }
        let end = self
            .dfa
            .next_eoi_state(&mut self.cache, self.state)
            .map_err(failed)?;
        Ok(end.is_match().then_some(piece.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text up to where it stops, the same however it is cut.
    #[track_caller]
    fn check(pattern: &str, text: &str, expected: Option<&str>) {
        let pieces_of = |size| {
            let chars: Vec<char> = text.chars().collect();
            let pieces = chars
                .chunks(size)
                .map(|piece| piece.iter().collect::<String>());
            pieces.collect::<Vec<_>>()
        };
        for size in 1..=text.chars().count() {
            let mut stop = StopAt::new(pattern).unwrap();
            let mut seen = String::new();
            let mut is_found = false;
            for piece in pieces_of(size) {
                if let Some(end) = stop.end(&piece).unwrap() {
                    seen.push_str(&piece[..end]);
                    is_found = true;
                    break;
                }
                seen.push_str(&piece);
            }
            let found = is_found.then_some(seen.as_str());
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_text_ends_where_the_first_match_is_complete() {
        check("\n\n", "one\n\ntwo\n\n", Some("one\n\n"));
        check(r"\d+", "a12b", Some("a1"));
        check(
            "(?i)the end",
            "It is The End, and more",
            Some("It is The End"),
        );
        check("ö😀", "aö😀b", Some("aö😀"));
        check("foobar|o", "foobar", Some("fo"));
        check("x", "abc", None);
    }

    #[test]
    fn what_looks_around_waits_for_what_follows() {
        check(r"(?m)^---$", "a\n---b\n---\nc", Some("a\n---b\n---"));
        check(
            r"(?-u:\bend\b)",
            "ending, the end.",
            Some("ending, the end"),
        );
    }

    #[test]
    fn what_cannot_be_looked_for_is_refused() {
        for wrong in ["", "x*", "(", r"\bword\b"] {
            let error = StopAt::new(wrong).err().unwrap();
            assert!(error.is_request(), "{wrong}: {error}");
        }
    }
}
