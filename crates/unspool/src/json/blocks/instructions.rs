//! Which bytes of a block are of which kind, by the vector instructions that the processor
//! has.

use super::grammar::{Classify, EscapeBits, ExponentBits, NumberBits, TextBits, TokenBits};
use super::{BLOCK, BlockChecker};

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
    #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
    Neon,
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
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("pclmulqdq");
        let avx2 = has_avx2.then_some(Instructions(Set::Avx2));
        // A part of x86-64.
        avx2.into_iter().chain([Instructions(Set::Sse2)])
    }

    /// All that there are, the best first.
    #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let has_neon = std::arch::is_aarch64_feature_detected!("neon");
        has_neon.then_some(Instructions(Set::Neon)).into_iter()
    }

    /// All that there are, the best first.
    #[cfg(not(any(
        target_arch = "x86_64",
        all(target_arch = "aarch64", target_endian = "little")
    )))]
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        std::iter::empty()
    }

    /// Goes on through a chunk with these.
    pub(super) fn advance(self, checker: &mut BlockChecker, chunk: &[u8]) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            #[expect(
                unsafe_code,
                reason = "the one way into code for a processor that has AVX2"
            )]
            // SAFETY: the function is safe but for the instructions that it is made of. There
            // is a `Set::Avx2` only where they were found, in `Instructions::all`.
            Set::Avx2 => unsafe { avx2::advance(checker, chunk) },
            #[cfg(target_arch = "x86_64")]
            #[expect(
                unsafe_code,
                reason = "the one way into code for a processor that has SSE2"
            )]
            // SAFETY: as above; and every x86-64 has it.
            Set::Sse2 => unsafe { sse2::advance(checker, chunk) },
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            #[expect(
                unsafe_code,
                reason = "the one way into code for a processor that has NEON"
            )]
            // SAFETY: as for AVX2: there is a `Set::Neon` only where it was found.
            Set::Neon => unsafe { neon::advance(checker, chunk) },
        }
    }
}

/// Closures, which are compiled for the instructions of the function that they stand in.
impl<T, E, H, K, N, X, L, P> Classify for (T, E, H, K, N, X, L, P)
where
    T: Fn(&[u8; BLOCK]) -> TextBits,
    E: Fn(&[u8; BLOCK]) -> EscapeBits,
    H: Fn(&[u8; BLOCK]) -> u64,
    K: Fn(&[u8; BLOCK]) -> TokenBits,
    N: Fn(&[u8; BLOCK]) -> NumberBits,
    X: Fn(&[u8; BLOCK]) -> ExponentBits,
    L: Fn(&[u8; BLOCK]) -> Option<bool>,
    P: Fn(u64) -> u64,
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
    fn hex_digits(&self, bytes: &[u8; BLOCK]) -> u64 {
        self.2(bytes)
    }

    #[inline(always)]
    fn tokens(&self, bytes: &[u8; BLOCK]) -> TokenBits {
        self.3(bytes)
    }

    #[inline(always)]
    fn numbers(&self, bytes: &[u8; BLOCK]) -> NumberBits {
        self.4(bytes)
    }

    #[inline(always)]
    fn exponents(&self, bytes: &[u8; BLOCK]) -> ExponentBits {
        self.5(bytes)
    }

    #[inline(always)]
    fn plain_text(&self, bytes: &[u8; BLOCK]) -> Option<bool> {
        self.6(bytes)
    }

    #[inline(always)]
    fn prefix_xor(&self, bits: u64) -> u64 {
        self.7(bits)
    }
}

/// Eight bytes of a block, as a number.
#[inline(always)]
fn word(bytes: &[u8; BLOCK], at: usize) -> u64 {
    u64::from_le_bytes(bytes.as_chunks().0[at])
}

/// Whether the number of ones up to a bit, itself included, is odd.
#[inline(always)]
fn prefix_xor_by_shifts(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// Each kind of white space where its lowest four bits look it up; elsewhere what no byte that
/// looks it up is equal to.
const SPACES: [u8; 16] = [
    b' ', 0, 0, 0, 0, 0, 0, 0, 0, b'\t', b'\n', 0, 0, b'\r', 0, 0,
];

/// The same with what may come after a backslash, but for `"` and `r`, which have the lowest
/// bits of `b`; and for `u`, which is not all of an escape sequence.
const ESCAPES: [u8; 16] = [
    b'b', 0, b'b', 0, b't', 0, b'f', 0, 0, 0, 0, 0, b'\\', 0, b'n', b'/',
];

/// A table as two numbers.
fn halves(table: [u8; 16]) -> [u64; 2] {
    let number = u128::from_le_bytes(table);
    [number as u64, (number >> 64) as u64]
}

/// Makes `advance` of what the instruction sets differ in, which is beside it in a module of
/// its own: `Part`, a vector; `PARTS`, how many a block has; `load`, which makes them;
/// `bits`, which takes one bit of each byte that is all ones or all zeros, and `non_ascii`,
/// which says whether any byte has its highest; `splat`, `same`, `or`, `within`, which compares with
/// a range of bytes; `space`, `escape`, which look for some; and `prefix_xor`.
#[cfg(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_endian = "little")
))]
macro_rules! classify_with {
    ($features:literal) => {
        use super::super::grammar::{
            Classify, EscapeBits, ExponentBits, NumberBits, TextBits, TokenBits,
        };
        use super::super::{BLOCK, BlockChecker};
        use super::word;

        type Parts = [Part; PARTS];

        #[target_feature(enable = $features)]
        pub(super) fn advance(checker: &mut BlockChecker, chunk: &[u8]) {
            while !checker.whole_blocks(chunk, &classify()) && !open_block(checker, chunk) {}
        }

        /// This is not in the loop over whole blocks, so that the loop has all registers.
        #[inline(never)]
        #[target_feature(enable = $features)]
        fn open_block(checker: &mut BlockChecker, chunk: &[u8]) -> bool {
            checker.open_block(chunk, &classify())
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn classify() -> impl Classify {
            (
                |bytes: &[u8; BLOCK]| text(bytes),
                |bytes: &[u8; BLOCK]| escapes(bytes),
                |bytes: &[u8; BLOCK]| hex_digits(bytes),
                |bytes: &[u8; BLOCK]| tokens(bytes),
                |bytes: &[u8; BLOCK]| numbers(bytes),
                |bytes: &[u8; BLOCK]| exponents(bytes),
                |bytes: &[u8; BLOCK]| plain_text(bytes),
                |bits: u64| prefix_xor(bits),
            )
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn text(bytes: &[u8; BLOCK]) -> TextBits {
            let all = load(bytes);
            TextBits {
                quotes: bits(equal(all, b'"')),
                backslashes: bits(equal(all, b'\\')),
                controls: bits(range(all, 0, 0x1F)),
                non_ascii: non_ascii(all),
            }
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn escapes(bytes: &[u8; BLOCK]) -> EscapeBits {
            let all = load(bytes);
            let mut letters = all;
            for part in &mut letters {
                *part = escape(*part);
            }
            EscapeBits {
                letters: bits(letters),
                unicode: bits(equal(all, b'u')),
            }
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn hex_digits(bytes: &[u8; BLOCK]) -> u64 {
            let all = load(bytes);
            bits(either(range(all, b'0', 9), range(folded(all), b'a', 5)))
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn plain_text(bytes: &[u8; BLOCK]) -> Option<bool> {
            let all = load(bytes);
            let ends = either(equal(all, b'"'), equal(all, b'\\'));
            let ends = either(ends, range(all, 0, 0x1F));
            (bits(ends) == 0).then(|| non_ascii(all) != 0)
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn tokens(bytes: &[u8; BLOCK]) -> TokenBits {
            let all = load(bytes);
            let folded = folded(all);
            let mut spaces = all;
            for part in &mut spaces {
                *part = space(*part);
            }
            TokenBits {
                spaces: bits(spaces),
                commas: bits(equal(all, b',')),
                colons: bits(equal(all, b':')),
                opens: bits(equal(folded, b'{')),
                closes: bits(equal(folded, b'}')),
            }
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn numbers(bytes: &[u8; BLOCK]) -> NumberBits {
            let all = load(bytes);
            NumberBits {
                digits: bits(range(all, b'0', 9)),
                zeros: bits(equal(all, b'0')),
                minuses: bits(equal(all, b'-')),
                points: bits(equal(all, b'.')),
            }
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn exponents(bytes: &[u8; BLOCK]) -> ExponentBits {
            let all = load(bytes);
            ExponentBits {
                letters: bits(equal(folded(all), b'e')),
                pluses: bits(equal(all, b'+')),
            }
        }

        /// `[` and `{` differ in this bit only, and so do `]` and `}`, and letters of both
        /// cases.
        #[inline]
        #[target_feature(enable = $features)]
        fn folded(mut all: Parts) -> Parts {
            for part in &mut all {
                *part = or(*part, splat(0x20));
            }
            all
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn equal(mut all: Parts, byte: u8) -> Parts {
            for part in &mut all {
                *part = same(*part, splat(byte));
            }
            all
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn either(mut all: Parts, others: Parts) -> Parts {
            for (part, other) in all.iter_mut().zip(others) {
                *part = or(*part, other);
            }
            all
        }

        /// The bytes from `first` on, and as many after it.
        #[inline]
        #[target_feature(enable = $features)]
        fn range(mut all: Parts, first: u8, more: u8) -> Parts {
            for part in &mut all {
                *part = within(*part, first, more);
            }
            all
        }
    };
}

/// 32 bytes at a time.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{ESCAPES, SPACES, halves};

    classify_with!("avx2,bmi1,bmi2,pclmulqdq");

    type Part = __m256i;
    const PARTS: usize = 2;

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(bytes: &[u8; BLOCK]) -> Parts {
        let half = |at| {
            let [low, high] = [word(bytes, at), word(bytes, at + 1)].map(u64::cast_signed);
            _mm_set_epi64x(high, low)
        };
        [
            _mm256_set_m128i(half(2), half(0)),
            _mm256_set_m128i(half(6), half(4)),
        ]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn bits([a, b]: Parts) -> u64 {
        let low = u64::from(_mm256_movemask_epi8(a).cast_unsigned());
        let high = u64::from(_mm256_movemask_epi8(b).cast_unsigned());
        low | high << 32
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn non_ascii([a, b]: Parts) -> u64 {
        u64::from(_mm256_movemask_epi8(or(a, b)).cast_unsigned())
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn splat(byte: u8) -> Part {
        _mm256_set1_epi8(byte.cast_signed())
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn same(a: Part, b: Part) -> Part {
        _mm256_cmpeq_epi8(a, b)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn or(a: Part, b: Part) -> Part {
        _mm256_or_si256(a, b)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn within(part: Part, first: u8, more: u8) -> Part {
        // They become the greatest numbers with a sign.
        let shift = 0x7F_u8.wrapping_sub(more).wrapping_sub(first);
        _mm256_cmpgt_epi8(_mm256_add_epi8(part, splat(shift)), splat(0x7E - more))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn space(part: Part) -> Part {
        same(part, looked_up(part, SPACES))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn escape(part: Part) -> Part {
        let others = or(same(part, splat(b'"')), same(part, splat(b'r')));
        or(same(part, looked_up(part, ESCAPES)), others)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn looked_up(part: Part, table: [u8; 16]) -> Part {
        let [low, high] = halves(table).map(u64::cast_signed);
        let table = _mm256_set_epi64x(high, low, high, low);
        _mm256_shuffle_epi8(table, part)
    }

    #[inline]
    #[target_feature(enable = "pclmulqdq")]
    fn prefix_xor(bits: u64) -> u64 {
        let bits = _mm_set_epi64x(0, bits.cast_signed());
        let product = _mm_clmulepi64_si128::<0>(bits, _mm_set1_epi8(-1));
        _mm_cvtsi128_si64(product).cast_unsigned()
    }
}

/// 16 bytes at a time.
#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::*;

    use super::prefix_xor_by_shifts as prefix_xor;

    classify_with!("sse2");

    type Part = __m128i;
    const PARTS: usize = 4;

    #[inline]
    #[target_feature(enable = "sse2")]
    fn load(bytes: &[u8; BLOCK]) -> Parts {
        let part = |at| {
            let [low, high] = [word(bytes, at), word(bytes, at + 1)].map(u64::cast_signed);
            _mm_set_epi64x(high, low)
        };
        [part(0), part(2), part(4), part(6)]
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn bits([a, b, c, d]: Parts) -> u64 {
        let a = u64::from(_mm_movemask_epi8(a).cast_unsigned());
        let b = u64::from(_mm_movemask_epi8(b).cast_unsigned());
        let c = u64::from(_mm_movemask_epi8(c).cast_unsigned());
        let d = u64::from(_mm_movemask_epi8(d).cast_unsigned());
        a | b << 16 | c << 32 | d << 48
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn non_ascii([a, b, c, d]: Parts) -> u64 {
        u64::from(_mm_movemask_epi8(or(or(a, b), or(c, d))).cast_unsigned())
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn splat(byte: u8) -> Part {
        _mm_set1_epi8(byte.cast_signed())
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn same(a: Part, b: Part) -> Part {
        _mm_cmpeq_epi8(a, b)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn or(a: Part, b: Part) -> Part {
        _mm_or_si128(a, b)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn within(part: Part, first: u8, more: u8) -> Part {
        // As for AVX2.
        let shift = 0x7F_u8.wrapping_sub(more).wrapping_sub(first);
        _mm_cmpgt_epi8(_mm_add_epi8(part, splat(shift)), splat(0x7E - more))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn space(part: Part) -> Part {
        any(part, b" \t\n\r")
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn escape(part: Part) -> Part {
        any(part, b"\"\\/bfnrt")
    }

    /// It has no instruction that looks bytes up.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn any(part: Part, among: &[u8]) -> Part {
        let mut found = _mm_setzero_si128();
        for &byte in among {
            found = or(found, same(part, splat(byte)));
        }
        found
    }
}

/// 16 bytes at a time.
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod neon {
    use std::arch::aarch64::*;

    use super::prefix_xor_by_shifts as prefix_xor;
    use super::{ESCAPES, SPACES, halves};

    classify_with!("neon");

    type Part = uint8x16_t;
    const PARTS: usize = 4;

    #[inline]
    #[target_feature(enable = "neon")]
    fn load(bytes: &[u8; BLOCK]) -> Parts {
        let part = |at| vector([word(bytes, at), word(bytes, at + 1)]);
        [part(0), part(2), part(4), part(6)]
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn vector([low, high]: [u64; 2]) -> Part {
        vcombine_u8(vcreate_u8(low), vcreate_u8(high))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn bits(all: Parts) -> u64 {
        // Each byte keeps the bit of its place among eight; then neighbours are added up
        // until eight bytes have become one.
        let places = vector([0x8040_2010_0804_0201; 2]);
        let [a, b, c, d] = all.map(|part| vandq_u8(part, places));
        let sums = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d));
        vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn non_ascii([a, b, c, d]: Parts) -> u64 {
        u64::from(vmaxvq_u8(or(or(a, b), or(c, d))) >> 7)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn splat(byte: u8) -> Part {
        vdupq_n_u8(byte)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn same(a: Part, b: Part) -> Part {
        vceqq_u8(a, b)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn or(a: Part, b: Part) -> Part {
        vorrq_u8(a, b)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn within(part: Part, first: u8, more: u8) -> Part {
        vcleq_u8(vsubq_u8(part, splat(first)), splat(more))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn space(part: Part) -> Part {
        same(part, looked_up(part, SPACES))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn escape(part: Part) -> Part {
        let others = or(same(part, splat(b'"')), same(part, splat(b'r')));
        or(same(part, looked_up(part, ESCAPES)), others)
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn looked_up(part: Part, table: [u8; 16]) -> Part {
        vqtbl1q_u8(vector(halves(table)), vandq_u8(part, splat(0x0F)))
    }
}
