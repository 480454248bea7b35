//! Items out of a body as its bytes arrive.

mod elements;
mod guess;
mod outline;
mod place;
mod pointer;
mod scan;
mod splitter;
#[cfg(test)]
mod tests;

pub use pointer::Pointer;

pub(crate) use elements::Check;
pub(crate) use place::Place;
pub(crate) use splitter::{End, Envelope, Splitter};
