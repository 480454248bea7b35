//! Private parts, for the bench and the fuzz targets of this repository.
//!
//! Nothing here is part of the library's interface: it changes without notice.
//! For each fuzz target there is a function that takes any bytes and panics where
//! a property does not hold; the tests call it too, with random bytes.

mod answers;
mod blocks;
mod description;
mod detection;
mod envelope;
mod feed;
mod headers;
mod link;
mod pieces;
mod secrets;
mod splitter;
mod sse;
mod stop_at;
mod xml;

pub use answers::{check_answer, read_answer};
pub use blocks::check_blocks;
pub use description::check_description;
pub use detection::check_detection;
pub use envelope::check_envelope;
pub use feed::check_feed;
pub use headers::check_headers;
pub use link::check_link;
pub use pieces::check_pieces;
pub use secrets::check_secrets;
pub use splitter::{Items, check_splitter, split};
pub use sse::check_sse;
pub use stop_at::check_stop_at;
pub use xml::check_xml;

/// Random numbers from a seed (xorshift).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// The document in random chunks, which are small or not so small.
fn cut<'d>(document: &'d [u8], random: &mut Random) -> Vec<&'d [u8]> {
    let longest = [1, 3, 20, 200][random.below(4)];
    let mut chunks = Vec::new();
    let mut rest = document;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at((1 + random.below(longest)).min(rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

/// Calls `check` with some thousands of texts made of these parts, one after the
/// other, some bytes of them changed; with many more in a test that may take long.
#[cfg(test)]
fn check_random(parts: &[&[u8]], check: fn(&[u8])) {
    let is_full = std::env::var_os("UNSPOOL_TEST_FULL").is_some();
    let rounds = if is_full { 40_000 } else { 8_000 };
    for seed in 0..rounds {
        let mut random = Random::new(seed);
        let mut text = vec![random.below(256) as u8, random.below(256) as u8];
        for _ in 0..random.below(20) {
            text.extend_from_slice(parts[random.below(parts.len())]);
        }
        for _ in 0..random.below(3) {
            let at = random.below(text.len());
            text[at] = random.below(256) as u8;
        }
        check(&text);
    }
}
