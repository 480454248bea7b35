//! Items out of a body as its bytes arrive.

pub(crate) mod blocks;
pub(crate) mod checker;
mod document;
mod envelope;
mod guess;
mod items;
mod members;
pub(crate) mod partial;
mod place;
mod pointer;
mod splitter;
#[cfg(test)]
mod tests;
mod window;

pub use pointer::Pointer;

pub(crate) use checker::is_space;
pub(crate) use document::{Document, member, members, valid_members, value_at};
pub(crate) use items::{Check, RECORD};
pub(crate) use place::Place;
pub(crate) use splitter::{End, Envelope, Splitter};
