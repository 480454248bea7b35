//! Items out of a body as its bytes arrive.

mod checker;
mod elements;
mod guess;
mod outline;
pub(crate) mod partial;
mod place;
mod pointer;
mod repeated;
mod splitter;
#[cfg(test)]
mod tests;
mod window;

pub use pointer::Pointer;

pub(crate) use elements::{Check, RECORD};
pub(crate) use place::Place;
pub(crate) use splitter::{End, Envelope, Splitter};
