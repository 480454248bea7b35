//! Where items go.

pub mod schema;
