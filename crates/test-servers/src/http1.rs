//! What all the servers stand on: connections, the heads of requests, and chunks.

use std::io::{self, BufRead};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Serves each connection to a free port of loopback on a thread of its own, until the
/// process ends.
pub(crate) fn listen(
    serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            // A client that goes away ends its connection, and that is all.
            thread::spawn(move || {
                connection.set_nodelay(true)?;
                serve(connection)
            });
        }
    });
    Ok(address)
}

/// The first line of a request.
pub(crate) struct Head {
    line: String,
}

impl Head {
    /// Reads the head of a request, and shows its fields one by one; none at the end of
    /// the connection.
    pub(crate) fn read(
        reader: &mut impl BufRead,
        mut field: impl FnMut(&str, &str),
    ) -> io::Result<Option<Head>> {
        let mut head = Head {
            line: String::new(),
        };
        if reader.read_line(&mut head.line)? == 0 {
            return Ok(None);
        }
        let mut line = String::new();
        while reader.read_line(&mut line)? > 2 {
            if let Some((name, value)) = line.split_once(':') {
                field(name, value.trim());
            }
            line.clear();
        }
        Ok(Some(head))
    }

    pub(crate) fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// Path and query, as sent.
    pub(crate) fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }
}

/// The length of a body that a field of a head states, if it does.
pub(crate) fn stated_length(name: &str, value: &str) -> Option<usize> {
    let is_length = name.eq_ignore_ascii_case("content-length");
    is_length.then(|| value.parse().ok()).flatten()
}

/// Bytes as one chunk of a body whose transfer encoding is chunked.
pub(crate) fn chunk(bytes: &[u8]) -> Vec<u8> {
    let size = format!("{:x}\r\n", bytes.len());
    [size.as_bytes(), bytes, b"\r\n"].concat()
}

/// What comes after the last chunk.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The answer to a request for what there is not.
pub(crate) const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
