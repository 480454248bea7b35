//! Follows an object or an array through bytes that come in pieces, 64 bytes at a time,
//! and checks it on the way (RFC 8259).
//!
//! A block of 64 bytes becomes one bit per byte for each kind of byte
//! ([`instructions`]), and JSON's grammar is checked with arithmetic on those bits
//! ([`grammar`]): what a block costs does not depend on what stands in it, except for the
//! brackets, which are looked at one by one.
//!
//! It says only that something is wrong, or that it cannot tell. What and where is then
//! found by [`Checker`](super::checker::Checker), which reads the value again from its
//! beginning; it also reads where the processor has no instructions for this.

mod grammar;
mod instructions;

use grammar::{Classify, Grammar, Seen};

#[cfg(any(test, feature = "internals"))]
pub(crate) use grammar::MAX_DEPTH;
pub(crate) use instructions::Instructions;

/// How many bytes are looked at together.
const BLOCK: usize = 64;

/// What has been seen of an object or an array so far.
pub(crate) struct BlockChecker {
    instructions: Instructions,
    grammar: Grammar,
    /// The block that the last chunk ended in: its bytes that have come, then spaces.
    open: [u8; BLOCK],
    /// How many have come.
    open_bytes: usize,
}

/// How a chunk leaves the value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Course {
    /// The end of the value, an index in the chunk, after its last byte.
    End(usize),
    /// More bytes are needed.
    More,
    /// It is wrong, or nests deeper than is followed here.
    Doubtful,
}

impl BlockChecker {
    pub(crate) fn new(instructions: Instructions) -> Self {
        BlockChecker {
            instructions,
            grammar: Grammar::default(),
            open: [b' '; BLOCK],
            open_bytes: 0,
        }
    }

    /// An object or an array begins with the next byte.
    pub(crate) fn begin(&mut self) {
        self.grammar = Grammar::default();
        self.open_bytes = 0;
    }

    /// Whether the value has nothing but ASCII. If not, it must still be checked to be
    /// UTF-8, once it is there as a whole.
    pub(crate) fn is_ascii(&self) -> bool {
        self.grammar.is_ascii()
    }

    /// Follows the value through a chunk from `at` on.
    pub(crate) fn feed(&mut self, chunk: &[u8], at: usize) -> Course {
        self.instructions.feed(self, chunk, at)
    }

    /// The same with these instructions, which are part of the code that calls this.
    #[inline(always)]
    fn feed_with(&mut self, chunk: &[u8], begin: usize, classify: &impl Classify) -> Course {
        let mut at = begin;
        if self.open_bytes > 0 {
            let known = self.open_bytes;
            let new = (BLOCK - known).min(chunk.len() - at);
            self.open[known..known + new].copy_from_slice(&chunk[at..at + new]);
            self.open_bytes = known + new;
            match self.at_open_block(classify) {
                // Its end was not among the bytes that were known.
                Seen::End(bit) => return Course::End(at + bit + 1 - known),
                Seen::Fault => return Course::Doubtful,
                Seen::More if self.open_bytes < BLOCK => return Course::More,
                Seen::More => self.open_bytes = 0,
            }
            at += new;
        }
        while let Some(bytes) = chunk[at..].first_chunk() {
            match self.grammar.check(bytes, u64::MAX, classify) {
                Seen::End(bit) => return Course::End(at + bit + 1),
                Seen::Fault => return Course::Doubtful,
                Seen::More => at += BLOCK,
            }
        }
        let rest = &chunk[at..];
        if rest.is_empty() {
            return Course::More;
        }
        self.open[..rest.len()].copy_from_slice(rest);
        self.open_bytes = rest.len();
        match self.at_open_block(classify) {
            Seen::End(bit) => Course::End(at + bit + 1),
            Seen::Fault => Course::Doubtful,
            Seen::More => Course::More,
        }
    }

    /// Looks at a block that may not be whole. If the value does not end in it, it is
    /// looked at again when more of it has come.
    #[inline(always)]
    fn at_open_block(&mut self, classify: &impl Classify) -> Seen {
        let before = self.grammar;
        self.open[self.open_bytes..].fill(b' ');
        let known = u64::MAX >> (BLOCK - self.open_bytes);
        let seen = self.grammar.check(&self.open, known, classify);
        if seen == Seen::More && self.open_bytes < BLOCK {
            self.grammar = before;
        }
        seen
    }
}
