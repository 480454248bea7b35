#[path = "../../../crates/unspool/src/internals/blocks.rs"]
mod blocks;
#[path = "../../../crates/unspool/src/internals/random.rs"]
mod random;

pub(crate) use random::{Random, check_random, cut};
