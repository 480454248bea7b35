//! Follows a list of values, or one object or array, through bytes that come in pieces, 64
//! bytes at a time, and checks it on the way (RFC 8259).
//!
//! A block of 64 bytes becomes one bit per byte for each kind of byte
//! ([`instructions`]), and JSON's grammar is checked with arithmetic on those bits
//! ([`grammar`]): what a block costs does not depend on what stands in it, except for the
//! brackets, which are looked at one by one. The elements of a list are found by the same
//! bits, so that a block is looked at once however many elements it holds.
//!
//! It says only that something is wrong, or that it cannot tell. What and where is then
//! found by [`Checker`](super::checker::Checker), which reads the element again from its
//! beginning; it also reads where the processor has no instructions for this.

#![cfg_attr(
    not(any(
        target_arch = "x86_64",
        all(target_arch = "aarch64", target_endian = "little")
    )),
    allow(dead_code, unused_imports, reason = "there are no instructions for it")
)]

mod grammar;
mod instructions;

use grammar::{Classify, Grammar, Seen};

pub(crate) use grammar::Before;
#[cfg(any(test, feature = "internals"))]
pub(crate) use grammar::MAX_DEPTH;
pub(crate) use instructions::Instructions;

/// How many bytes are looked at together.
const BLOCK: usize = 64;

/// What has been seen of a list, or of an object or an array, so far.
pub(crate) struct BlockChecker {
    instructions: Instructions,
    grammar: Grammar,
    /// The block that the last chunk ended in: its bytes that have come, then spaces.
    open: [u8; BLOCK],
    /// How many have come.
    open_bytes: usize,
    /// Where in the chunk the bytes begin that have not been looked at.
    at: usize,
    /// Where in the chunk the block that was looked at last begins; less than 0, by wrapping,
    /// where that is in the chunk before.
    block_at: usize,
    /// The commas between elements in that block that have not been given.
    commas: u64,
    /// What there is to say after them, before the next block is looked at.
    then: Option<Course>,
}

/// What comes next in a chunk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Course {
    /// A comma between two elements of the list, at this index of the chunk.
    Comma(usize),
    /// The end of the object, of the array, or of the array that the list is: an index in
    /// the chunk, after its last byte.
    End(usize),
    /// The end of the chunk.
    More,
    /// The same, and the element in hand is whole.
    MoreAfterElement,
    /// It is wrong, or nests deeper than is followed here.
    Doubtful,
}

impl BlockChecker {
    pub(crate) fn new(instructions: Instructions) -> Self {
        BlockChecker {
            instructions,
            grammar: Grammar::of_value(),
            open: [b' '; BLOCK],
            open_bytes: 0,
            at: 0,
            block_at: 0,
            commas: 0,
            then: None,
        }
    }

    /// A chunk begins.
    pub(crate) fn begin_chunk(&mut self) {
        self.at = 0;
    }

    /// An object or an array begins at this index of the chunk.
    pub(crate) fn begin_value(&mut self, at: usize) {
        self.begin(Grammar::of_value(), at);
    }

    /// From this index of the chunk on there are elements of an array with commas between
    /// them, and its end.
    pub(crate) fn begin_list(&mut self, before: Before, at: usize) {
        self.begin(Grammar::of_list(before), at);
    }

    fn begin(&mut self, grammar: Grammar, at: usize) {
        self.grammar = grammar;
        self.open_bytes = 0;
        self.at = at;
        self.commas = 0;
        self.then = None;
    }

    /// Whether there has been nothing but ASCII, up to the end of the block that was looked
    /// at last. If not, what has come must still be checked to be UTF-8.
    pub(crate) fn is_ascii(&self) -> bool {
        self.grammar.is_ascii()
    }

    /// What comes next in the chunk.
    #[inline(always)]
    pub(crate) fn next(&mut self, chunk: &[u8]) -> Course {
        loop {
            if self.commas != 0 {
                let bit = self.commas.trailing_zeros() as usize;
                self.commas &= self.commas - 1;
                return Course::Comma(self.block_at.wrapping_add(bit));
            }
            if let Some(course) = self.then.take() {
                return course;
            }
            self.instructions.advance(self, chunk);
        }
    }

    /// Looks at the whole blocks of a chunk, up to one with a comma between elements or with
    /// something else to say, with these instructions, which are part of the code that calls
    /// this. Whether there is something to say.
    #[inline(always)]
    fn whole_blocks(&mut self, chunk: &[u8], classify: &impl Classify) -> bool {
        if self.open_bytes > 0 {
            return false;
        }
        while let Some(bytes) = chunk[self.at..].first_chunk() {
            let seen = self.grammar.check(bytes, u64::MAX, classify);
            self.block_at = self.at;
            self.at += BLOCK;
            if seen.is_plain {
                self.skip_text(chunk, classify);
            }
            if seen.commas | seen.faults | seen.end != 0 {
                self.note(&seen);
                return true;
            }
        }
        false
    }

    /// Looks at the block that the chunk before ended in, or that this one ends in. Whether
    /// there is something to say.
    #[inline(always)]
    fn open_block(&mut self, chunk: &[u8], classify: &impl Classify) -> bool {
        let known = self.open_bytes;
        let rest = &chunk[self.at..];
        if known == 0 && rest.is_empty() {
            self.then = Some(self.more());
            return true;
        }
        let new = (BLOCK - known).min(rest.len());
        self.open[known..known + new].copy_from_slice(&rest[..new]);
        self.open[known + new..].fill(b' ');
        self.block_at = self.at.wrapping_sub(known);
        self.at += new;
        self.open_bytes = (known + new) % BLOCK;

        let before = self.grammar;
        let all = u64::MAX >> (BLOCK - known - new);
        let mut seen = self.grammar.check(&self.open, all, classify);
        // Those before have been given.
        seen.commas &= u64::MAX << known;
        self.note(&seen);
        if self.open_bytes > 0 && self.then.is_none() {
            // A number or a literal at the end may go on.
            let is_token = b" \t\n\r\"]}".contains(&self.open[self.open_bytes - 1]);
            self.then = Some(if is_token { self.more() } else { Course::More });
            // The block is looked at again when more of it has come.
            self.grammar.go_back_to(before);
        }
        self.commas != 0 || self.then.is_some()
    }

    fn note(&mut self, seen: &Seen) {
        self.commas = seen.commas;
        if seen.faults != 0 {
            self.then = Some(Course::Doubtful);
        } else if seen.end != 0 {
            let bit = seen.end.trailing_zeros() as usize;
            self.then = Some(Course::End(self.block_at.wrapping_add(bit + 1)));
        }
    }

    /// Goes on inside of a string for as long as there is nothing but text.
    #[inline(always)]
    fn skip_text(&mut self, chunk: &[u8], classify: &impl Classify) {
        while let Some(bytes) = chunk[self.at..].first_chunk()
            && self.grammar.is_text(bytes, classify)
        {
            self.at += BLOCK;
        }
    }

    fn more(&self) -> Course {
        if self.grammar.is_after_element() {
            Course::MoreAfterElement
        } else {
            Course::More
        }
    }
}
