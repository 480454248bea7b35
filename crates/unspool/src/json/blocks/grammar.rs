//! JSON's grammar as arithmetic on the bits of a block.
//!
//! The lowest bit is the first byte. A set of bits that is shifted left by one stands on
//! the bytes after those of the set; one that is added to runs of ones leaves the bits
//! after the runs that it stood at the beginning of. What leaves a block at its upper end
//! is carried into the next.

use super::BLOCK;

/// The bytes of a block that mean something in strings, wherever they stand.
#[derive(Clone, Copy)]
pub(super) struct TextBits {
    pub(super) quotes: u64,
    pub(super) backslashes: u64,
    /// Bytes below the space.
    pub(super) controls: u64,
    /// Not 0 where there is anything but ASCII.
    pub(super) non_ascii: u64,
}

/// Those that mean something between strings.
#[derive(Clone, Copy)]
pub(super) struct TokenBits {
    /// White space.
    pub(super) spaces: u64,
    pub(super) commas: u64,
    pub(super) colons: u64,
    /// `[` and `{`.
    pub(super) opens: u64,
    /// `]` and `}`.
    pub(super) closes: u64,
}

/// Those that mean something in numbers.
#[derive(Clone, Copy)]
pub(super) struct NumberBits {
    pub(super) digits: u64,
    pub(super) zeros: u64,
    pub(super) minuses: u64,
    pub(super) points: u64,
}

/// Those that only numbers with exponents have.
#[derive(Clone, Copy)]
pub(super) struct ExponentBits {
    /// `e` and `E`.
    pub(super) letters: u64,
    pub(super) pluses: u64,
}

/// What may come after a backslash.
#[derive(Clone, Copy)]
pub(super) struct EscapeBits {
    /// What is a whole escape sequence with it.
    pub(super) letters: u64,
    /// `u`.
    pub(super) unicode: u64,
}

/// What makes bits of bytes.
pub(super) trait Classify {
    fn text(&self, bytes: &[u8; BLOCK]) -> TextBits;
    fn escapes(&self, bytes: &[u8; BLOCK]) -> EscapeBits;
    fn hex_digits(&self, bytes: &[u8; BLOCK]) -> u64;
    fn tokens(&self, bytes: &[u8; BLOCK]) -> TokenBits;
    fn numbers(&self, bytes: &[u8; BLOCK]) -> NumberBits;
    fn exponents(&self, bytes: &[u8; BLOCK]) -> ExponentBits;
    /// Where in a string there is neither its end nor a backslash nor a control character,
    /// whether there is anything but ASCII.
    fn plain_text(&self, bytes: &[u8; BLOCK]) -> Option<bool>;
    /// Whether the number of ones up to a bit, itself included, is odd.
    fn prefix_xor(&self, bits: u64) -> u64;
}

/// What a block shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seen {
    /// The commas between elements of the list, up to the first fault.
    pub(super) commas: u64,
    /// Something is wrong with these bytes, or they nest deeper than [`MAX_DEPTH`].
    pub(super) faults: u64,
    /// The last byte of the value, or the end of the list.
    pub(super) end: u64,
    /// There is nothing but plain text of a string, which goes on.
    pub(super) is_plain: bool,
}

/// What stands before the first byte of a list that is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Before {
    /// The bracket that opens the list.
    Open,
    Comma,
    Element,
}

/// The deepest nesting that is followed, that of a list included: the bits of `containers`
/// but one.
pub(crate) const MAX_DEPTH: u32 = 63;

/// What is known at the beginning of a block. The carries are 0 or 1 where nothing else is
/// said: whether the first byte of the block is one of that set.
///
/// Carries that are made alike do not stand side by side: the compiler would gather them into
/// vectors, which takes longer.
#[derive(Clone, Copy)]
pub(super) struct Grammar {
    /// What comes is after a comma, and white space perhaps.
    after_comma: u64,
    /// A one, and below it a bit for each open container, the innermost the lowest: whether
    /// it is an object.
    containers: u64,
    after_open: u64,
    /// All ones where the outermost container is a list, whose elements are told apart.
    is_list: u64,
    after_key: u64,
    /// All ones inside of a string.
    in_string: u64,
    after_colon: u64,
    /// The digits of `\u` that are to come: up to four bits.
    hex_digits: u64,
    is_key: u64,
    escaped: u64,
    after_scalar: u64,
    number: Number,
    /// What is to come of `true`, `false` or `null`.
    literal: &'static [u8],
    after_literal: u64,
    non_ascii: u64,
}

/// Nothing is open.
const TOP: u64 = 1;

/// The list is open, and nothing in it.
const LIST: u64 = 0b10;

/// What is carried of a number into the next block.
#[derive(Clone, Copy, Default)]
struct Number {
    after_minus: u64,
    after_zero: u64,
    after_integer: u64,
    after_point: u64,
    after_exponent: u64,
    after_sign: u64,
    /// After the digits of an exponent.
    after_power: u64,
}

/// The strings of a block.
struct Strings {
    /// Quotes that open one, and that close one.
    opening: u64,
    closing: u64,
    /// From the quote that opens it up to the last byte before the one that closes it.
    inside: u64,
    faults: u64,
}

impl Strings {
    const NONE: Strings = Strings {
        opening: 0,
        closing: 0,
        inside: 0,
        faults: 0,
    };
}

/// What stands between strings.
struct Tokens {
    spaces: u64,
    commas: u64,
    colons: u64,
    opens: u64,
    closes: u64,
    begin_scalars: u64,
}

/// Which bytes stand where.
struct Nesting {
    in_object: u64,
    /// In the list itself, and not in an element.
    in_list: u64,
    /// The bracket that closes the outermost container.
    end: u64,
    /// A bracket that closes another one than is open, or opens too many.
    faults: u64,
}

impl Seen {
    const NOTHING: Seen = Seen {
        commas: 0,
        faults: 0,
        end: 0,
        is_plain: false,
    };

    /// What of this counts: what comes after the end is not its own, and nothing does after
    /// a fault.
    #[inline(always)]
    fn up_to(faults: u64, commas: u64, end: u64) -> Self {
        let own = end ^ end.wrapping_sub(1);
        let faults = faults & own;
        let before_faults = !faults & faults.wrapping_sub(1);
        Seen {
            commas: commas & own & before_faults,
            faults,
            end: end & before_faults,
            is_plain: false,
        }
    }
}

impl Grammar {
    /// Before an object or an array.
    pub(super) fn of_value() -> Self {
        Grammar {
            after_comma: 0,
            containers: TOP,
            after_open: 0,
            is_list: 0,
            after_key: 0,
            in_string: 0,
            // A value may come.
            after_colon: 1,
            is_key: 0,
            after_scalar: 0,
            escaped: 0,
            hex_digits: 0,
            number: Number::default(),
            literal: b"",
            after_literal: 0,
            non_ascii: 0,
        }
    }

    /// In an array.
    pub(super) fn of_list(before: Before) -> Self {
        Grammar {
            containers: LIST,
            is_list: u64::MAX,
            after_open: u64::from(before == Before::Open),
            after_comma: u64::from(before == Before::Comma),
            after_colon: 0,
            ..Grammar::of_value()
        }
    }

    pub(super) fn is_ascii(&self) -> bool {
        self.non_ascii == 0
    }

    /// Whether an element of the list has ended, and nothing but white space has come after
    /// it.
    pub(super) fn is_after_element(&self) -> bool {
        let is_before_value =
            self.after_comma | self.after_open | self.after_key | self.after_colon != 0;
        let is_inside = self.in_string | self.after_scalar != 0;
        self.is_list != 0 && self.containers == LIST && !is_before_value && !is_inside
    }

    /// What was known before a block that will be looked at again; but that it is not ASCII
    /// stays known.
    pub(super) fn go_back_to(&mut self, before: Self) {
        let non_ascii = self.non_ascii;
        *self = Grammar {
            non_ascii,
            ..before
        };
    }

    /// Checks the next block, of which these bytes are `known`; the rest must be spaces.
    #[inline(always)]
    pub(super) fn check(
        &mut self,
        bytes: &[u8; BLOCK],
        known: u64,
        classify: &impl Classify,
    ) -> Seen {
        let text = classify.text(bytes);
        self.non_ascii |= text.non_ascii;
        let was_in_string = self.in_string != 0;
        let has_strings = text.quotes | self.in_string != 0;
        let strings = if has_strings {
            self.strings(bytes, &text, classify)
        } else {
            Strings::NONE
        };
        if was_in_string && strings.inside == u64::MAX {
            // Nothing else means anything, and what is carried besides stays as it is.
            return Seen {
                faults: strings.faults & known,
                is_plain: text.backslashes | self.hex_digits == 0,
                ..Seen::NOTHING
            };
        }

        let outside = !(strings.inside | strings.closing);
        let tokens = classify.tokens(bytes);
        let commas = tokens.commas & outside;
        let opens = tokens.opens & outside;
        let closes = tokens.closes & outside;
        let nesting = self.nesting(bytes, opens, closes);
        let mut faults = strings.faults | nesting.faults;

        let spaces = tokens.spaces & outside;
        let colons = tokens.colons & outside;
        let scalars = outside & !(spaces | commas | colons | opens | closes);
        let before_scalars = self.after_scalar;
        let begin_scalars = scalars & !(scalars << 1 | before_scalars);
        self.after_scalar = scalars >> 63;
        if scalars | before_scalars != 0 {
            faults |= self.scalars(bytes, classify, scalars, begin_scalars);
        }

        let tokens = Tokens {
            spaces,
            commas,
            colons,
            opens,
            closes,
            begin_scalars,
        };
        // White space costs some more, and is seldom there; without strings it costs less.
        let in_object = nesting.in_object;
        faults |= if spaces != 0 {
            self.order(&tokens, &strings, in_object, after_spaces)
        } else if has_strings {
            self.order(&tokens, &strings, in_object, after)
        } else {
            self.order(&tokens, &Strings::NONE, in_object, after)
        };

        let commas = commas & nesting.in_list;
        if faults | commas | nesting.end == 0 {
            return Seen::NOTHING;
        }
        Seen::up_to(faults & known, commas, nesting.end)
    }

    /// Whether the next block is plain text of a string that goes on, where the one before
    /// was.
    #[inline(always)]
    pub(super) fn is_text(&mut self, bytes: &[u8; BLOCK], classify: &impl Classify) -> bool {
        let text = classify.plain_text(bytes);
        self.non_ascii |= u64::from(text.unwrap_or_default());
        text.is_some()
    }

    /// What cannot come where it does.
    #[inline(always)]
    fn order(
        &mut self,
        tokens: &Tokens,
        strings: &Strings,
        in_object: u64,
        after: impl Fn(u64, &mut u64, u64) -> u64,
    ) -> u64 {
        let spaces = tokens.spaces;
        let after_comma = after(tokens.commas, &mut self.after_comma, spaces);
        let after_open = after(tokens.opens, &mut self.after_open, spaces);
        let begin_members = after_comma | after_open;
        let begin_keys = begin_members & in_object & strings.opening;
        let keys = through(begin_keys, &mut self.is_key, strings.inside) & strings.closing;
        let after_key = after(keys, &mut self.after_key, spaces);
        let after_colon = after(tokens.colons, &mut self.after_colon, spaces);

        // Values begin there and nowhere else, so that commas and closing brackets come after
        // values, but for the brackets of empty containers.
        let begin_values = strings.opening | tokens.begin_scalars | tokens.opens;
        let is_empty = after_open & tokens.closes;
        let mut faults = begin_values & !(begin_members | after_colon);
        faults |= (begin_members | after_colon) & !(begin_values | is_empty);
        faults |= begin_members & in_object & !(strings.opening | is_empty);
        faults | (after_key ^ tokens.colons)
    }

    /// Where strings are, and what is wrong in them.
    #[inline(always)]
    fn strings(
        &mut self,
        bytes: &[u8; BLOCK],
        text: &TextBits,
        classify: &impl Classify,
    ) -> Strings {
        let mut faults = 0;
        let mut quotes = text.quotes;
        if text.backslashes | self.escaped | self.hex_digits != 0 {
            let escaped = self.escaped(text.backslashes);
            quotes &= !escaped;
            faults = self.escapes(bytes, escaped, classify);
        }
        let inside = classify.prefix_xor(quotes) ^ self.in_string;
        self.in_string = 0_u64.wrapping_sub(inside >> 63);
        Strings {
            opening: quotes & inside,
            closing: quotes & !inside,
            inside,
            faults: faults | (text.controls & inside),
        }
    }

    /// The bytes that a backslash stands before which is not itself escaped.
    #[inline(always)]
    fn escaped(&mut self, backslashes: u64) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        let backslashes = backslashes & !self.escaped;
        let follow = backslashes << 1 | self.escaped;
        let odd_begins = backslashes & !EVEN & !follow;
        let (even_runs, overflow) = odd_begins.overflowing_add(backslashes);
        self.escaped = u64::from(overflow);
        (EVEN ^ (even_runs << 1)) & follow
    }

    /// What is wrong in escape sequences.
    #[inline(always)]
    fn escapes(&mut self, bytes: &[u8; BLOCK], escaped: u64, classify: &impl Classify) -> u64 {
        let escapes = classify.escapes(bytes);
        let unicode = escaped & escapes.unicode;
        let mut faults = escaped & !(escapes.letters | unicode);
        if unicode | self.hex_digits != 0 {
            let digits =
                unicode << 1 | unicode << 2 | unicode << 3 | unicode << 4 | self.hex_digits;
            self.hex_digits = unicode >> 63 | unicode >> 62 | unicode >> 61 | unicode >> 60;
            faults |= digits & !classify.hex_digits(bytes);
        }
        faults
    }

    /// Goes through the brackets, up to the end or to one that is wrong.
    #[inline(always)]
    fn nesting(&mut self, bytes: &[u8; BLOCK], opens: u64, closes: u64) -> Nesting {
        let mut containers = self.containers;
        let mut nesting = Nesting {
            in_object: 0_u64.wrapping_sub(containers & 1),
            in_list: if containers == LIST { self.is_list } else { 0 },
            end: 0,
            faults: 0,
        };
        let mut brackets = opens | closes;
        while brackets != 0 {
            // Of a block there are 64, so that its bytes can be looked up without a check.
            let index = brackets.trailing_zeros() as usize % BLOCK;
            let up_to = brackets ^ (brackets - 1);
            brackets &= brackets - 1;
            // `{` and `}` have a bit that `[` and `]` have not.
            let is_object = u64::from(bytes[index] >> 5 & 1);
            let before = containers;
            if opens >> index & 1 == 1 {
                if before >> MAX_DEPTH != 0 {
                    nesting.faults = 1 << index;
                    break;
                }
                if before == LIST {
                    nesting.in_list &= up_to;
                }
                containers = before << 1 | is_object;
            } else {
                if before & 1 != is_object || before == TOP {
                    nesting.faults = 1 << index;
                    break;
                }
                containers = before >> 1;
                if containers == LIST {
                    nesting.in_list |= !up_to & self.is_list;
                } else if containers == TOP {
                    nesting.end = 1 << index;
                    break;
                }
            }
            let changes = 0_u64.wrapping_sub((before ^ containers) & 1);
            nesting.in_object ^= changes & !up_to;
        }
        self.containers = containers;
        nesting
    }

    /// What is wrong in numbers and literals.
    #[inline(always)]
    fn scalars(
        &mut self,
        bytes: &[u8; BLOCK],
        classify: &impl Classify,
        scalars: u64,
        begins: u64,
    ) -> u64 {
        let bits = classify.numbers(bytes);
        let words = begins & !(bits.digits | bits.minuses);
        let mut faults = 0;
        let mut numbers = scalars;
        if words | self.after_literal != 0 || !self.literal.is_empty() {
            let (literals, wrong) = self.literals(bytes, scalars, words);
            numbers &= !literals;
            faults = wrong;
        }
        faults | (self.number).check(bytes, classify, &bits, numbers, begins)
    }

    /// Where `true`, `false` and `null` are, and what is wrong in them.
    #[inline(always)]
    fn literals(&mut self, bytes: &[u8; BLOCK], scalars: u64, begins: u64) -> (u64, u64) {
        let mut literals = 0;
        let mut ends = 0;
        let mut others = 0;
        for at in Bits(begins) {
            let begin = 1 << at;
            let end = match bytes.get(at..at + 6) {
                Some([b't', b'r', b'u', b'e', ..] | [b'n', b'u', b'l', b'l', ..]) => begin << 4,
                Some([b'f', b'a', b'l', b's', b'e', _]) => begin << 5,
                _ => {
                    others |= begin;
                    continue;
                }
            };
            literals |= end - begin;
            ends |= end;
        }
        if others | self.after_literal != 0 || !self.literal.is_empty() {
            let (more, wrong) = self.cut_literals(bytes, scalars, others);
            return (literals | more, (scalars & ends) | wrong);
        }
        (literals, scalars & ends)
    }

    /// The same for one that began in the block before, and for others that are not in this
    /// one as a whole: the last may go on in the next, and all else is none.
    #[cold]
    fn cut_literals(&mut self, bytes: &[u8; BLOCK], scalars: u64, begins: u64) -> (u64, u64) {
        let mut literals = 0;
        let mut faults = scalars & std::mem::take(&mut self.after_literal);
        let begun = (!self.literal.is_empty()).then_some((0, self.literal));
        let words = Bits(begins).map(|at| match bytes[at] {
            b't' => (at, &b"true"[..]),
            b'f' => (at, &b"false"[..]),
            _ => (at, &b"null"[..]),
        });
        for (at, word) in begun.into_iter().chain(words) {
            let (here, after) = word.split_at(word.len().min(BLOCK - at));
            let end = at + here.len();
            literals |= ((1 << here.len()) - 1) << at;
            let pairs = bytes[at..].iter().zip(here);
            match pairs.take_while(|(found, word)| found == word).count() {
                same if same < here.len() => faults |= 1 << (at + same),
                _ if end < BLOCK => faults |= scalars & (1 << end),
                _ => self.after_literal = u64::from(after.is_empty()),
            }
            self.literal = after;
        }
        (literals, faults)
    }
}

impl Number {
    /// What is wrong in numbers, which are these bytes; those that begin something begin a
    /// number with a digit or a minus.
    #[inline(always)]
    fn check(
        &mut self,
        bytes: &[u8; BLOCK],
        classify: &impl Classify,
        bits: &NumberBits,
        numbers: u64,
        begins: u64,
    ) -> u64 {
        let digits = bits.digits & numbers;
        let minuses = bits.minuses & numbers & begins;
        let points = bits.points & numbers;

        let after_minus = next(minuses, &mut self.after_minus);
        let mut faults = after_minus & !digits;
        let integers = (digits & begins) | (after_minus & digits);
        let after_zero = next(integers & bits.zeros, &mut self.after_zero);
        faults |= after_zero & digits;
        let after_integer = through(integers, &mut self.after_integer, digits) & !digits;
        faults |= points & !after_integer;

        let after_point = next(points, &mut self.after_point);
        faults |= after_point & !digits;

        let others = numbers & !(digits | minuses | points);
        if others | self.after_exponent | self.after_sign | self.after_power != 0 {
            let exponents = classify.exponents(bytes);
            let signs = (bits.minuses | exponents.pluses) & others;
            let letters = exponents.letters & others;
            faults |= self.exponents(others, letters, signs, digits);
        }
        faults
    }

    /// What is wrong in exponents and beside them. A letter comes after a digit, or something is
    /// wrong with what is before it.
    #[inline(always)]
    fn exponents(&mut self, others: u64, letters: u64, signs: u64, digits: u64) -> u64 {
        let after_letter = next(letters, &mut self.after_exponent);
        let mut faults = after_letter & !(digits | signs);
        let exponent_signs = after_letter & signs;
        let after_sign = next(exponent_signs, &mut self.after_sign);
        faults |= after_sign & !digits;
        let powers = (after_letter | after_sign) & digits;
        let after_power = through(powers, &mut self.after_power, digits) & !digits;
        faults |= after_power & letters;
        faults | (others & !(letters | exponent_signs))
    }
}

/// The bytes after these.
#[inline(always)]
fn next(bytes: u64, carry: &mut u64) -> u64 {
    let next = bytes << 1 | *carry;
    *carry = bytes >> 63;
    next
}

/// The bytes after these, where there is no white space.
#[inline(always)]
fn after(bytes: u64, carry: &mut u64, _: u64) -> u64 {
    next(bytes, carry)
}

/// The first bytes after these that are no spaces.
#[inline(always)]
fn after_spaces(bytes: u64, carry: &mut u64, spaces: u64) -> u64 {
    let (sum, overflow) = (bytes << 1 | *carry).overflowing_add(spaces);
    *carry = bytes >> 63 | u64::from(overflow);
    sum & !spaces
}

/// Adds these bytes to the runs that they stand at the beginning of.
#[inline(always)]
fn through(begins: u64, carry: &mut u64, runs: u64) -> u64 {
    let (sum, overflow) = (begins | *carry).overflowing_add(runs);
    *carry = u64::from(overflow);
    sum
}

/// The places of ones, from the lowest on.
struct Bits(u64);

impl Iterator for Bits {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        let bits = self.0;
        if bits == 0 {
            return None;
        }
        self.0 = bits & (bits - 1);
        // Of a block there are 64, so that its bytes can be looked up without a check.
        Some(bits.trailing_zeros() as usize % BLOCK)
    }
}
