//! Servers on loopback, for tests and for the bench: real connections, a thread for each,
//! on a port that is free.
//!
//! - [`Server`] does with each request what a test tells it to, faults included, byte by
//!   byte, and remembers what it was asked.
//! - [`attacks`] has answers that would hang a client, fill it, or speak in its name.
//! - [`dialect`] writes the answer of a language model in the words of each protocol, so
//!   that a fault is written once.
//! - [`orders`] is an API of pages, and [`model`] a language model, that cost their
//!   clients no time: what the bench measures with.
//! - [`Postgres`] and [`MariaDb`] are real database servers, [`Redis`] and [`Nats`] real servers
//!   of streams, and [`Nginx`] one of feeds over HTTP, where they are installed.
//!
//! `unspool demo` has servers of its own: it is published, and this crate is not.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "a helper of a test may fail it"
)]

pub mod attacks;
#[cfg(unix)]
mod daemon;
pub mod dialect;
mod http1;
#[cfg(unix)]
mod mariadb;
pub mod model;
#[cfg(unix)]
mod nats;
#[cfg(unix)]
mod nginx;
pub mod orders;
#[cfg(unix)]
mod ports;
#[cfg(unix)]
mod postgres;
#[cfg(unix)]
mod redis;
mod server;

#[cfg(unix)]
pub use mariadb::MariaDb;
#[cfg(unix)]
pub use nats::Nats;
#[cfg(unix)]
pub use nginx::Nginx;
#[cfg(unix)]
pub use postgres::Postgres;
#[cfg(unix)]
pub use redis::Redis;
pub use server::{Reply, Request, Server, linked_page, numbers};
