use super::{Random, cut};
use crate::json::blocks::{BlockChecker, Course, Instructions, MAX_DEPTH};
use crate::json::checker::Checker;

/// How the bytes leave the value that begins with the first of them.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// It ends before this byte, and whether it is ASCII.
    End(usize, bool),
    More,
    /// It is refused with this chunk.
    Refused(usize),
}

/// The first byte says how the rest, an object or an array, is cut into chunks.
///
/// # Panics
///
/// With one of the sets of instructions of this processor a value ends elsewhere than where
/// the checker that goes byte by byte finds its end, or one of the two refuses it and the
/// other does not, or does with another chunk.
pub fn check_blocks(data: &[u8]) {
    let [seed, text @ ..] = data else {
        return;
    };
    if !matches!(text.first(), Some(b'{' | b'[')) {
        return;
    }
    let chunks = cut(text, &mut Random::new(u64::from(*seed)));
    let expected = by_bytes(&chunks);
    let opens = text
        .iter()
        .filter(|byte| matches!(byte, b'{' | b'['))
        .count();
    for instructions in Instructions::all() {
        let found = by_blocks(instructions, &chunks);
        let is_too_deep = matches!(found, Outcome::Refused(_)) && opens > MAX_DEPTH as usize;
        let is_same = match (&found, &expected) {
            // What is known not to be ASCII may stand after the value, too.
            (Outcome::End(found, found_ascii), Outcome::End(expected, expected_ascii)) => {
                let is_ascii = text[..*expected].is_ascii();
                found == expected && (is_ascii || !found_ascii && !expected_ascii)
            }
            _ => found == expected,
        };
        assert!(
            is_same || is_too_deep,
            "{instructions:?}: {found:?}, not {expected:?}"
        );
    }
}

fn by_bytes(chunks: &[&[u8]]) -> Outcome {
    let mut checker = Checker::new();
    let mut offset = 0;
    for (index, chunk) in chunks.iter().enumerate() {
        checker.begin_chunk();
        match checker.feed(chunk, 0) {
            Ok(Some(end)) => return Outcome::End(offset + end, checker.is_ascii()),
            Ok(None) => offset += chunk.len(),
            Err(_) => return Outcome::Refused(index),
        }
    }
    Outcome::More
}

fn by_blocks(instructions: Instructions, chunks: &[&[u8]]) -> Outcome {
    let mut checker = BlockChecker::new(instructions);
    checker.begin_value(0);
    let mut offset = 0;
    for (index, chunk) in chunks.iter().enumerate() {
        checker.begin_chunk();
        match checker.next(chunk) {
            Course::End(end) => return Outcome::End(offset + end, checker.is_ascii()),
            Course::More => offset += chunk.len(),
            Course::Doubtful => return Outcome::Refused(index),
            course => panic!("{course:?} in a value"),
        }
    }
    Outcome::More
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: &[&[u8]] = &[
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b":",
        b"\"a\":1",
        b"{}",
        b"[]",
        b"\"",
        b"\\",
        b"\\u00e9",
        b"\\\\\\\"",
        b"12",
        b"-0.5e+1",
        b"1E",
        b"0",
        b"true",
        b"false",
        b"null",
        b" ",
        b"\n",
        b"\"key\" : ",
        b",\"x\":[",
        b"1.25,",
        b"\x01",
        b"[1,2,[3,{\"b\":[]}]]",
        b"\"a text that is longer than a block of sixty-four bytes, which is not very long\"",
        b"                                                                     ",
        b"1234567890123456789012345678901234567890123456789012345678901234567890",
    ];

    #[test]
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn this_processor_has_instructions() {
        assert!(Instructions::best().is_some());
    }

    #[test]
    fn random_values_hold_the_properties_that_are_fuzzed() {
        crate::internals::check_random(PARTS, |data| {
            let (seed, text) = (data[0], &data[2..]);
            check_blocks(&[&[seed, b'['][..], text].concat());
            check_blocks(&[&[seed, b'{'][..], b"\"a\":", text].concat());
        });
    }

    /// What stands where in a block, and what follows it in the next.
    #[test]
    fn whole_values_and_damaged_ones_are_the_same_at_all_places_of_a_block() {
        let value = r#"{"a\\\"b": [0, -1.50e+10, true,false ,null, "\u00e9é\n"], "": {"x":{}}}"#;
        for spaces in (0..70).step_by(if cfg!(miri) { 37 } else { 1 }) {
            let front = format!("[{}", " ".repeat(spaces));
            for damaged in (0..=value.len()).step_by(if cfg!(miri) { 11 } else { 1 }) {
                for byte in [b'"', b'\\', b'1', b',', b'}', b' '] {
                    let mut text = [front.as_bytes(), value.as_bytes(), b"]x"].concat();
                    if damaged < value.len() {
                        text[front.len() + damaged] = byte;
                    }
                    check_whole(&text);
                }
            }
        }
    }

    fn check_whole(text: &[u8]) {
        let expected = by_bytes(&[text]);
        for instructions in Instructions::all() {
            let found = by_blocks(instructions, &[text]);
            let is_same = match (&found, &expected) {
                (Outcome::End(found, _), Outcome::End(expected, _)) => found == expected,
                _ => found == expected,
            };
            assert!(
                is_same,
                "{found:?}, not {expected:?}: {}",
                text.escape_ascii()
            );
        }
    }

    /// Beside the cases of JSONTestSuite, which items go through at all cuts.
    #[test]
    fn each_rule_of_the_grammar_is_kept() {
        let taken = [
            "[]",
            "[ ]",
            "{}",
            "{ \n }",
            "[0]",
            "[-0]",
            "[0.0]",
            "[1e5]",
            "[1E-05]",
            "[-1.5e+07 ]",
            "[true,false,null]",
            "[\"\",\"\\\\\"]",
            "{\"\":0}",
            "{\"a\" : {\"b\":[1 , 2]} , \"c\":\"\"}",
            "[\"\\u0041\\uD800\"]",
            "[[],{},[{}]]",
            "{\"a\":\"b\",\"c\":\"d\"}",
        ];
        let refused = [
            "[,]",
            "[1,]",
            "[1 2]",
            "[1:2]",
            "[\"a\":1]",
            "{1}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\",1}",
            "{,}",
            "{\"a\":1 \"b\":2}",
            "{\"a\" \"b\":1}",
            "{\"a\"::1}",
            "[}",
            "{]",
            "[01]",
            "[-]",
            "[-a]",
            "[+1]",
            "[1.]",
            "[.5]",
            "[1.e5]",
            "[1e]",
            "[1e+]",
            "[1e5.5]",
            "[1e5e5]",
            "[1.5.5]",
            "[1-2]",
            "[1+2]",
            "[--1]",
            "[-01]",
            "[tru]",
            "[truee]",
            "[nul l]",
            "[True]",
            "[1true]",
            "[true1]",
            "[\"a\"\"b\"]",
            "[\"\\x\"]",
            "[\"\\u12g4\"]",
            "[\"\\u12\"]",
            "[\"\t\"]",
            "[\\]",
            "[a]",
            "[1\x0C]",
            "[\u{e9}]",
            "[null\"a\"]",
            "[{}{}]",
            "[[][]]",
        ];
        for (texts, is_taken) in [(&taken[..], true), (&refused[..], false)] {
            for text in texts {
                for spaces in (0..130).step_by(if cfg!(miri) { 61 } else { 1 }) {
                    let text = format!("[{}{text}]", " ".repeat(spaces));
                    for instructions in Instructions::all() {
                        let found = by_blocks(instructions, &[text.as_bytes()]);
                        let is_end = matches!(found, Outcome::End(end, _) if end == text.len());
                        assert_eq!(is_end, is_taken, "{text} with {instructions:?}: {found:?}");
                        assert!(is_end || matches!(found, Outcome::Refused(0)), "{text}");
                    }
                }
            }
        }
    }
}
