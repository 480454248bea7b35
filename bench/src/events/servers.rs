//! Upstreams that cost their clients nothing but what they send.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// How many bytes are written at a time.
const BLOCK: usize = 64 << 10;

/// A WebSocket that sends `count` text messages of 101 bytes and closes: its address.
pub(super) fn sockets(count: usize) -> std::io::Result<String> {
    let message = format!("{{\"number\":1,\"title\":\"{}\"}}", "x".repeat(78));
    assert_eq!(message.len(), 101, "the message of the research");
    let mut frame = vec![0x81, 101];
    frame.extend(message.as_bytes());
    let address = listen(move |stream, head| {
        let key = field(head, "sec-websocket-key").unwrap_or_default();
        let accept = derive_accept_key(key.as_bytes());
        write!(
            stream,
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )?;
        let block = frame.repeat(BLOCK / frame.len());
        let mut left = count * frame.len();
        while left > 0 {
            let size = left.min(block.len());
            stream.write_all(&block[..size])?;
            left -= size;
        }
        stream.write_all(&[0x88, 2, 0x03, 0xe8])?;
        // The client closes.
        stream.read_to_end(&mut Vec::new()).map(drop)
    })?;
    Ok(format!("ws://{address}/feed"))
}

/// A feed of one event, which then says nothing: its address. Each connection costs no thread.
pub(super) fn quiet() -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming().flatten() {
            if let Ok(stream) = begin_quiet(stream) {
                open.push(stream);
            }
        }
    });
    Ok(format!("http://{address}/feed"))
}

fn begin_quiet(stream: TcpStream) -> std::io::Result<TcpStream> {
    let mut reader = BufReader::new(stream);
    read_head(&mut reader)?;
    let mut stream = reader.into_inner();
    let event = "id: 1\ndata: {\"number\":1}\n\n";
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{event}\r\n",
        event.len()
    )?;
    Ok(stream)
}

/// A feed that begins so, goes on with a block until `size` bytes of it have been sent, and ends
/// so: its address.
pub(super) fn large(size: usize, end: &'static str) -> std::io::Result<String> {
    let address = listen(move |stream, _| {
        let begin = "id: 1\ndata: ";
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {}\r\n\r\n{begin}",
            begin.len() + size + end.len()
        )?;
        let block = vec![b'x'; BLOCK];
        let mut left = size;
        while left > 0 {
            let size = left.min(block.len());
            stream.write_all(&block[..size])?;
            left -= size;
        }
        stream.write_all(end.as_bytes())
    })?;
    Ok(format!("http://{address}/feed"))
}

/// Serves each connection so on a thread of its own, with the head of its request.
fn listen(
    serve: impl Fn(&mut TcpStream, &[String]) -> std::io::Result<()> + Clone + Send + 'static,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            // A client that goes away ends its connection, and that is all.
            thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                let head = read_head(&mut reader)?;
                serve(&mut reader.into_inner(), &head)
            });
        }
    });
    Ok(address)
}

fn read_head(reader: &mut impl BufRead) -> std::io::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            return Ok(lines);
        }
        lines.push(line);
    }
}

fn field(head: &[String], name: &str) -> Option<String> {
    head.iter().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.eq_ignore_ascii_case(name)).then(|| value.trim().to_owned())
    })
}
