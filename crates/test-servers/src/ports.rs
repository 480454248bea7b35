//! Ports that are free.

use std::net::TcpListener;

/// A port of 127.0.0.1 that was free a moment ago, for a server that takes no socket.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
