//! Finds the ends of strings, 64 bytes at a time.

const BLOCK: usize = 64;

/// The part of a chunk that is looked at: which bytes in it end a run of plain
/// text in a string, found for all of them at once.
///
/// The strings of an API are so short that a search that starts anew in each of
/// them takes longer.
pub(super) struct Window {
    /// Which block of the chunk it is.
    index: usize,
    /// A bit for each quote, backslash and control character.
    ends: u64,
    is_ascii: bool,
}

impl Window {
    /// Over no block of a chunk.
    pub(super) fn new() -> Self {
        Window {
            index: usize::MAX,
            ends: 0,
            is_ascii: true,
        }
    }

    /// Whether the block has nothing but ASCII.
    pub(super) fn is_ascii(&self) -> bool {
        self.is_ascii
    }

    /// The index of the first quote, backslash or control character from `at` on,
    /// or of the end of the chunk; and whether all blocks up to there are ASCII.
    #[inline(always)]
    pub(super) fn plain(&mut self, chunk: &[u8], mut at: usize) -> (usize, bool) {
        let mut is_ascii = true;
        loop {
            if at / BLOCK != self.index {
                if at >= chunk.len() {
                    return (chunk.len(), is_ascii);
                }
                self.slide(chunk, at / BLOCK);
                is_ascii &= self.is_ascii;
            }
            let ends = self.ends >> (at % BLOCK);
            if ends != 0 {
                let end = at + ends.trailing_zeros() as usize;
                return (end.min(chunk.len()), is_ascii);
            }
            at = (at / BLOCK + 1) * BLOCK;
        }
    }

    #[inline(never)]
    fn slide(&mut self, chunk: &[u8], index: usize) {
        let rest = &chunk[index * BLOCK..];
        // The end of the chunk is an end of plain text, too.
        let mut padded = [b'"'; BLOCK];
        let block: &[u8; BLOCK] = match rest.first_chunk() {
            Some(block) => block,
            None => {
                padded[..rest.len()].copy_from_slice(rest);
                &padded
            }
        };
        // The compiler makes vector instructions of this loop, but not of one
        // that sets bits.
        let mut flags = [0_u8; BLOCK];
        let mut all = 0;
        for (flag, &byte) in flags.iter_mut().zip(block) {
            *flag = u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from(byte < 0x20);
            all |= byte;
        }
        self.index = index;
        self.is_ascii = all.is_ascii();
        self.ends = 0;
        for (word, flags) in flags.as_chunks::<8>().0.iter().enumerate() {
            self.ends |= bits(u64::from_le_bytes(*flags)) << (8 * word);
        }
    }
}

/// The lowest bits of eight bytes, which have no others, in one byte.
fn bits(flags: u64) -> u64 {
    flags.wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_plain_text_are_found_wherever_they_are() {
        for end in [b'"', b'\\', b'\n', 0, 0x1F] {
            for length in 0..200 {
                let mut chunk = vec![b'x'; 300];
                chunk[length] = end;
                for at in 0..=length {
                    let found = Window::new().plain(&chunk, at);
                    assert_eq!(found, (length, true), "{end} from {at}");
                }
            }
        }
    }

    #[test]
    fn other_bytes_are_plain_up_to_the_end_of_the_chunk() {
        for length in 0..200 {
            let chunk = vec![b' '; length];
            assert_eq!(Window::new().plain(&chunk, 0), (length, true));
        }
        for byte in (0x20..=0xFF).filter(|byte| !matches!(byte, b'"' | b'\\')) {
            let found = Window::new().plain(&[byte; 70], 3);
            assert_eq!(found, (70, byte.is_ascii()), "{byte:#x}");
        }
    }
}
