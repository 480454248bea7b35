//! Which bytes of a block are of which kind, by the vector instructions that the processor
//! has.

use super::grammar::{Classify, EscapeBits, NumberBits, TextBits, TokenBits};
use super::{BLOCK, BlockChecker, Course};

/// Vector instructions that this processor has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Instructions(Set);

/// Each is made in [`Instructions::all`] alone, where the processor has it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Sse2,
}

impl Instructions {
    /// The best that there are, if there are any.
    pub(crate) fn best() -> Option<Self> {
        Instructions::all().next()
    }

    /// All that there are, the best first.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let has_avx2 = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2");
        let avx2 = has_avx2.then_some(Instructions(Set::Avx2));
        // A part of x86-64.
        avx2.into_iter().chain([Instructions(Set::Sse2)])
    }

    /// All that there are, the best first.
    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        std::iter::empty()
    }

    /// Follows a value with these.
    pub(super) fn feed(self, checker: &mut BlockChecker, chunk: &[u8], at: usize) -> Course {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            #[expect(
                unsafe_code,
                reason = "the one way into code for a processor that has AVX2"
            )]
            // SAFETY: the function is safe but for the instructions that it is made of. There
            // is a `Set::Avx2` only where they were found, in `Instructions::all`.
            Set::Avx2 => unsafe { avx2::feed(checker, chunk, at) },
            #[cfg(target_arch = "x86_64")]
            #[expect(
                unsafe_code,
                reason = "the one way into code for a processor that has SSE2"
            )]
            // SAFETY: as above; and every x86-64 has it.
            Set::Sse2 => unsafe { sse2::feed(checker, chunk, at) },
        }
    }
}

/// Closures, which are compiled for the instructions of the function that they stand in.
impl<T, E, K, N> Classify for (T, E, K, N)
where
    T: Fn(&[u8; BLOCK]) -> TextBits,
    E: Fn(&[u8; BLOCK]) -> EscapeBits,
    K: Fn(&[u8; BLOCK]) -> TokenBits,
    N: Fn(&[u8; BLOCK]) -> NumberBits,
{
    #[inline(always)]
    fn text(&self, bytes: &[u8; BLOCK]) -> TextBits {
        self.0(bytes)
    }

    #[inline(always)]
    fn escapes(&self, bytes: &[u8; BLOCK]) -> EscapeBits {
        self.1(bytes)
    }

    #[inline(always)]
    fn tokens(&self, bytes: &[u8; BLOCK]) -> TokenBits {
        self.2(bytes)
    }

    #[inline(always)]
    fn numbers(&self, bytes: &[u8; BLOCK]) -> NumberBits {
        self.3(bytes)
    }
}

/// Eight bytes of a block, as a number.
#[inline(always)]
fn word(bytes: &[u8; BLOCK], at: usize) -> i64 {
    i64::from_le_bytes(bytes.as_chunks().0[at])
}

/// 32 bytes at a time.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::super::grammar::{EscapeBits, NumberBits, TextBits, TokenBits};
    use super::super::{BLOCK, BlockChecker, Course};
    use super::word;

    /// A block.
    type Parts = [__m256i; 2];

    #[target_feature(enable = "avx2,bmi1,bmi2")]
    pub(super) fn feed(checker: &mut BlockChecker, chunk: &[u8], at: usize) -> Course {
        let classify = (
            |bytes: &[u8; BLOCK]| text(bytes),
            |bytes: &[u8; BLOCK]| escapes(bytes),
            |bytes: &[u8; BLOCK]| tokens(bytes),
            |bytes: &[u8; BLOCK]| numbers(bytes),
        );
        checker.feed_with(chunk, at, &classify)
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn text(bytes: &[u8; BLOCK]) -> TextBits {
        let all = load(bytes);
        TextBits {
            quotes: bits(equal(all, b'"')),
            backslashes: bits(equal(all, b'\\')),
            controls: bits(at_most(all, 0x1F)),
            non_ascii: bits(all),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn tokens(bytes: &[u8; BLOCK]) -> TokenBits {
        let all = load(bytes);
        let folded = folded(all);
        TokenBits {
            spaces: bits(spaces(all)),
            commas: bits(equal(all, b',')),
            colons: bits(equal(all, b':')),
            opens: bits(equal(folded, b'{')),
            closes: bits(equal(folded, b'}')),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn numbers(bytes: &[u8; BLOCK]) -> NumberBits {
        let all = load(bytes);
        NumberBits {
            digits: bits(range(all, b'0', 9)),
            zeros: bits(equal(all, b'0')),
            minuses: bits(equal(all, b'-')),
            pluses: bits(equal(all, b'+')),
            points: bits(equal(all, b'.')),
            exponents: bits(equal(folded(all), b'e')),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn escapes(bytes: &[u8; BLOCK]) -> EscapeBits {
        let all = load(bytes);
        EscapeBits {
            letters: bits(any(all, b"\"\\/bfnrt")),
            unicode: bits(equal(all, b'u')),
            hex_digits: bits(either(range(all, b'0', 9), range(folded(all), b'a', 5))),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn load(bytes: &[u8; BLOCK]) -> Parts {
        [
            _mm256_set_epi64x(
                word(bytes, 3),
                word(bytes, 2),
                word(bytes, 1),
                word(bytes, 0),
            ),
            _mm256_set_epi64x(
                word(bytes, 7),
                word(bytes, 6),
                word(bytes, 5),
                word(bytes, 4),
            ),
        ]
    }

    /// The highest bit of each byte.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn bits([a, b]: Parts) -> u64 {
        let low = u64::from(_mm256_movemask_epi8(a).cast_unsigned());
        let high = u64::from(_mm256_movemask_epi8(b).cast_unsigned());
        low | high << 32
    }

    /// `[` and `{` differ in this bit only, and so do `]` and `}`, and letters of both cases.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn folded([a, b]: Parts) -> Parts {
        let bit = _mm256_set1_epi8(0x20);
        [_mm256_or_si256(a, bit), _mm256_or_si256(b, bit)]
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn equal([a, b]: Parts, byte: u8) -> Parts {
        let byte = _mm256_set1_epi8(byte.cast_signed());
        [_mm256_cmpeq_epi8(a, byte), _mm256_cmpeq_epi8(b, byte)]
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn either([a, b]: Parts, [a2, b2]: Parts) -> Parts {
        [_mm256_or_si256(a, a2), _mm256_or_si256(b, b2)]
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn any(all: Parts, among: &[u8; 8]) -> Parts {
        let mut found = equal(all, among[0]);
        for &byte in &among[1..] {
            found = either(found, equal(all, byte));
        }
        found
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn at_most([a, b]: Parts, most: u8) -> Parts {
        let most = _mm256_set1_epi8(most.cast_signed());
        [
            _mm256_cmpeq_epi8(_mm256_min_epu8(a, most), a),
            _mm256_cmpeq_epi8(_mm256_min_epu8(b, most), b),
        ]
    }

    /// The bytes from `first` on, and as many after it.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn range([a, b]: Parts, first: u8, more: u8) -> Parts {
        let first = _mm256_set1_epi8(first.cast_signed());
        at_most([_mm256_sub_epi8(a, first), _mm256_sub_epi8(b, first)], more)
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn spaces([a, b]: Parts) -> Parts {
        // Each kind of white space where its lowest four bits look it up; elsewhere what no
        // byte that looks it up is equal to.
        let table = _mm256_broadcastsi128_si256(_mm_setr_epi8(
            b' ' as i8,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            b'\t' as i8,
            b'\n' as i8,
            0,
            0,
            b'\r' as i8,
            0,
            0,
        ));
        [
            _mm256_cmpeq_epi8(_mm256_shuffle_epi8(table, a), a),
            _mm256_cmpeq_epi8(_mm256_shuffle_epi8(table, b), b),
        ]
    }
}

/// 16 bytes at a time.
#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::*;

    use super::super::grammar::{EscapeBits, NumberBits, TextBits, TokenBits};
    use super::super::{BLOCK, BlockChecker, Course};
    use super::word;

    /// A block.
    type Parts = [__m128i; 4];

    #[target_feature(enable = "sse2")]
    pub(super) fn feed(checker: &mut BlockChecker, chunk: &[u8], at: usize) -> Course {
        let classify = (
            |bytes: &[u8; BLOCK]| text(bytes),
            |bytes: &[u8; BLOCK]| escapes(bytes),
            |bytes: &[u8; BLOCK]| tokens(bytes),
            |bytes: &[u8; BLOCK]| numbers(bytes),
        );
        checker.feed_with(chunk, at, &classify)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn text(bytes: &[u8; BLOCK]) -> TextBits {
        let all = load(bytes);
        TextBits {
            quotes: bits(equal(all, b'"')),
            backslashes: bits(equal(all, b'\\')),
            controls: bits(at_most(all, 0x1F)),
            non_ascii: bits(all),
        }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn tokens(bytes: &[u8; BLOCK]) -> TokenBits {
        let all = load(bytes);
        let folded = folded(all);
        TokenBits {
            spaces: bits(spaces(all)),
            commas: bits(equal(all, b',')),
            colons: bits(equal(all, b':')),
            opens: bits(equal(folded, b'{')),
            closes: bits(equal(folded, b'}')),
        }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn numbers(bytes: &[u8; BLOCK]) -> NumberBits {
        let all = load(bytes);
        NumberBits {
            digits: bits(range(all, b'0', 9)),
            zeros: bits(equal(all, b'0')),
            minuses: bits(equal(all, b'-')),
            pluses: bits(equal(all, b'+')),
            points: bits(equal(all, b'.')),
            exponents: bits(equal(folded(all), b'e')),
        }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn escapes(bytes: &[u8; BLOCK]) -> EscapeBits {
        let all = load(bytes);
        EscapeBits {
            letters: bits(any(all, b"\"\\/bfnrt")),
            unicode: bits(equal(all, b'u')),
            hex_digits: bits(either(range(all, b'0', 9), range(folded(all), b'a', 5))),
        }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn load(bytes: &[u8; BLOCK]) -> Parts {
        [
            _mm_set_epi64x(word(bytes, 1), word(bytes, 0)),
            _mm_set_epi64x(word(bytes, 3), word(bytes, 2)),
            _mm_set_epi64x(word(bytes, 5), word(bytes, 4)),
            _mm_set_epi64x(word(bytes, 7), word(bytes, 6)),
        ]
    }

    /// The highest bit of each byte.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn bits([a, b, c, d]: Parts) -> u64 {
        let a = u64::from(_mm_movemask_epi8(a).cast_unsigned());
        let b = u64::from(_mm_movemask_epi8(b).cast_unsigned());
        let c = u64::from(_mm_movemask_epi8(c).cast_unsigned());
        let d = u64::from(_mm_movemask_epi8(d).cast_unsigned());
        a | b << 16 | c << 32 | d << 48
    }

    /// `[` and `{` differ in this bit only, and so do `]` and `}`, and letters of both cases.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn folded([a, b, c, d]: Parts) -> Parts {
        let bit = _mm_set1_epi8(0x20);
        [
            _mm_or_si128(a, bit),
            _mm_or_si128(b, bit),
            _mm_or_si128(c, bit),
            _mm_or_si128(d, bit),
        ]
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn equal([a, b, c, d]: Parts, byte: u8) -> Parts {
        let byte = _mm_set1_epi8(byte.cast_signed());
        [
            _mm_cmpeq_epi8(a, byte),
            _mm_cmpeq_epi8(b, byte),
            _mm_cmpeq_epi8(c, byte),
            _mm_cmpeq_epi8(d, byte),
        ]
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn either([a, b, c, d]: Parts, [a2, b2, c2, d2]: Parts) -> Parts {
        [
            _mm_or_si128(a, a2),
            _mm_or_si128(b, b2),
            _mm_or_si128(c, c2),
            _mm_or_si128(d, d2),
        ]
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn any(all: Parts, among: &[u8; 8]) -> Parts {
        let mut found = equal(all, among[0]);
        for &byte in &among[1..] {
            found = either(found, equal(all, byte));
        }
        found
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn at_most([a, b, c, d]: Parts, most: u8) -> Parts {
        let most = _mm_set1_epi8(most.cast_signed());
        [
            _mm_cmpeq_epi8(_mm_min_epu8(a, most), a),
            _mm_cmpeq_epi8(_mm_min_epu8(b, most), b),
            _mm_cmpeq_epi8(_mm_min_epu8(c, most), c),
            _mm_cmpeq_epi8(_mm_min_epu8(d, most), d),
        ]
    }

    /// The bytes from `first` on, and as many after it.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn range([a, b, c, d]: Parts, first: u8, more: u8) -> Parts {
        let first = _mm_set1_epi8(first.cast_signed());
        at_most(
            [
                _mm_sub_epi8(a, first),
                _mm_sub_epi8(b, first),
                _mm_sub_epi8(c, first),
                _mm_sub_epi8(d, first),
            ],
            more,
        )
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn spaces(all: Parts) -> Parts {
        let breaks = either(equal(all, b'\n'), equal(all, b'\r'));
        either(breaks, either(equal(all, b' '), equal(all, b'\t')))
    }
}
