//! What the macros promise, topic by topic.
#![forbid(unsafe_code)]

mod stream;
