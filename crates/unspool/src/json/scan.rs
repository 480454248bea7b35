//! Where a JSON value ends, from bytes that come in pieces.

use memchr::memchr2;

/// The deepest nesting that is followed. Readers further down the pipe give up
/// at depths between 128 and 10,000; a page that goes beyond this is not data.
pub(crate) const MAX_DEPTH: u32 = 1024;

/// What has been seen of a value so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scan {
    /// Nothing yet: the next byte is the value's first.
    Start,
    /// A number or a literal, which ends before a byte that cannot be in one.
    Scalar,
    /// In a string that is the value, or that is `depth` containers down in it.
    String { depth: u32, escaped: bool },
    /// Between the tokens of a container.
    Nested { depth: u32 },
}

/// The value nests more deeply than [`MAX_DEPTH`].
#[derive(Debug, PartialEq)]
pub(crate) struct TooDeep;

impl Scan {
    /// Follows the value through `bytes`: the index behind its last byte, if it
    /// ends in them.
    ///
    /// Brackets are counted, not matched, and numbers are not read: whoever
    /// parses the value finds what is wrong in it.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Option<usize>, TooDeep> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match *self {
                Scan::Start => {
                    at += 1;
                    *self = match byte {
                        b'{' | b'[' => Scan::Nested { depth: 1 },
                        b'"' => Scan::String {
                            depth: 0,
                            escaped: false,
                        },
                        _ => Scan::Scalar,
                    };
                }
                Scan::Scalar => match bytes[at..].iter().position(|byte| ends_scalar(*byte)) {
                    Some(length) => return Ok(Some(at + length)),
                    None => return Ok(None),
                },
                Scan::String { depth, escaped } => {
                    if escaped {
                        at += 1;
                        *self = Scan::String {
                            depth,
                            escaped: false,
                        };
                        continue;
                    }
                    let Some(length) = memchr2(b'"', b'\\', &bytes[at..]) else {
                        return Ok(None);
                    };
                    at += length + 1;
                    match (bytes[at - 1], depth) {
                        (b'\\', _) => {
                            *self = Scan::String {
                                depth,
                                escaped: true,
                            }
                        }
                        (_, 0) => return Ok(Some(at)),
                        _ => *self = Scan::Nested { depth },
                    }
                }
                Scan::Nested { mut depth } => {
                    let structure = bytes[at..].iter().position(|byte| is_structure(*byte));
                    let Some(length) = structure else {
                        return Ok(None);
                    };
                    at += length + 1;
                    match bytes[at - 1] {
                        b'"' => {
                            *self = Scan::String {
                                depth,
                                escaped: false,
                            };
                            continue;
                        }
                        b'{' | b'[' => depth += 1,
                        _ => depth -= 1,
                    }
                    match depth {
                        0 => return Ok(Some(at)),
                        1..=MAX_DEPTH => *self = Scan::Nested { depth },
                        _ => return Err(TooDeep),
                    }
                }
            }
        }
        Ok(None)
    }
}

pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn ends_scalar(byte: u8) -> bool {
    is_space(byte) || matches!(byte, b',' | b']' | b'}' | b':' | b'"' | b'[' | b'{')
}

fn is_structure(byte: u8) -> bool {
    matches!(byte, b'"' | b'{' | b'}' | b'[' | b']')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The length of the value at the front, for every way to cut the text in two.
    fn check(text: &str, expected: Result<Option<usize>, TooDeep>) {
        for cut in 0..=text.len() {
            let (front, back) = text.as_bytes().split_at(cut);
            let mut scan = Scan::Start;
            let found = scan.feed(front).and_then(|end| match end {
                Some(end) => Ok(Some(end)),
                None => Ok(scan.feed(back)?.map(|end| cut + end)),
            });
            assert_eq!(found, expected, "{text} cut at {cut}");
        }
    }

    #[test]
    fn a_value_ends_where_its_last_bracket_closes() {
        check(r#"{"a":[1,{"b":"}]"}]},2"#, Ok(Some(20)));
        check("[[],[[]]] ", Ok(Some(9)));
    }

    #[test]
    fn quotes_and_brackets_in_strings_do_not_count() {
        check(r#""a\"]\\","#, Ok(Some(8)));
        check(r#"["\\\"",1]]"#, Ok(Some(10)));
    }

    #[test]
    fn a_scalar_ends_before_what_follows_it() {
        check("-12.5e3,", Ok(Some(7)));
        check("true]", Ok(Some(4)));
        check("null \n", Ok(Some(4)));
    }

    #[test]
    fn an_unfinished_value_has_no_end() {
        check("12", Ok(None));
        check(r#"{"a":"b\"#, Ok(None));
    }

    #[test]
    fn nesting_has_a_limit() {
        let depth = MAX_DEPTH as usize;
        check(
            &format!("{}{}", "[".repeat(depth), "]".repeat(depth)),
            Ok(Some(2 * depth)),
        );
        check(&"[".repeat(depth + 1), Err(TooDeep));
    }
}
