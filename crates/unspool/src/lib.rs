//! Data out of asynchronous sources.
