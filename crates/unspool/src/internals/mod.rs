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
mod random;
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

#[cfg(test)]
pub(crate) use random::check_random;
pub(crate) use random::{Random, cut};
