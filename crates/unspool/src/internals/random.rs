//! What the tests and the fuzz targets make random inputs with.

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
pub(crate) fn cut<'d>(document: &'d [u8], random: &mut Random) -> Vec<&'d [u8]> {
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
pub(crate) fn check_random(parts: &[&[u8]], check: fn(&[u8])) {
    let is_full = std::env::var_os("UNSPOOL_TEST_FULL").is_some();
    // An interpreter takes its time.
    let rounds = if cfg!(miri) {
        20
    } else if is_full {
        40_000
    } else {
        8_000
    };
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
