//! A loopback HTTP/1.1 server that answers as a language model does, at little cost: a
//! thread for each connection, and events copied from templates, each a chunk of its own.
//!
//! It speaks the Messages API of Anthropic (`…/messages`) and the Chat Completions of
//! OpenAI (`…/chat/completions`). The first segment of the path says what it answers:
//!
//! - a number: so many deltas of text, as fast as the client reads;
//! - `held`: one delta, and the end a second later.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use crate::sse::{WORDS, word};

/// As many bytes in each write, so that the server is not what the client waits for.
const WRITE: usize = 64 * 1024;

const HOLD: Duration = Duration::from_secs(1);

/// The server; it runs until the process ends.
pub(crate) struct Server {
    address: SocketAddr,
    sent: Arc<AtomicU64>,
}

impl Server {
    pub(crate) fn start() -> io::Result<Server> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let sent = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&sent);
        thread::spawn(move || {
            let protocols = Arc::new([Protocol::anthropic(), Protocol::chat()]);
            for connection in listener.incoming().flatten() {
                let protocols = Arc::clone(&protocols);
                let sent = Arc::clone(&counter);
                // A client that goes away ends its connection, and that is all.
                thread::spawn(move || serve(connection, &protocols[..], &sent));
            }
        });
        Ok(Server { address, sent })
    }

    /// Where it is, without `/v1`, for answers of so many deltas.
    pub(crate) fn url(&self, deltas: usize) -> String {
        format!("http://{}/{deltas}", self.address)
    }

    /// Where it is, for an answer that goes on after its first delta.
    pub(crate) fn held_url(&self) -> String {
        format!("http://{}/held", self.address)
    }

    /// Bytes that clients and the kernel have taken so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }
}

/// The bytes of an answer of Anthropic's, without those of HTTP's chunks.
pub(crate) fn body_bytes(deltas: usize) -> usize {
    let protocol = Protocol::anthropic();
    let ends = protocol.begin.len() + protocol.end.len();
    let words: usize = (0..deltas).map(|number| word(number).len()).sum();
    ends + deltas * anthropic_delta("").len() + words
}

/// The answers of a protocol.
struct Protocol {
    /// How the target of its requests ends.
    path: &'static str,
    begin: String,
    /// The event of each of the words, as a chunk.
    deltas: Vec<(&'static str, Vec<u8>)>,
    end: String,
}

impl Protocol {
    fn anthropic() -> Protocol {
        let begin = [
            event(
                "message_start",
                r#"{"type":"message_start","message":{"id":"msg_01","type":"message","role":"assistant","model":"claude-sonnet-4-6","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":14,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}}}"#,
            ),
            event(
                "content_block_start",
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            ),
            event("ping", r#"{"type":"ping"}"#),
        ];
        let end = [
            event(
                "content_block_stop",
                r#"{"type":"content_block_stop","index":0}"#,
            ),
            event(
                "message_delta",
                r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":7}}"#,
            ),
            event("message_stop", r#"{"type":"message_stop"}"#),
        ];
        Protocol {
            path: "/messages",
            begin: begin.concat(),
            deltas: WORDS
                .map(|word| (word, chunk(&anthropic_delta(word))))
                .into(),
            end: end.concat(),
        }
    }

    fn chat() -> Protocol {
        let data = |delta: &str, reason: &str| {
            format!(
                r#"data: {{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1764000000,"model":"gpt-5.1","service_tier":"default","system_fingerprint":null,"choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{reason}}}]}}"#
            ) + "\n\n"
        };
        let usage = r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1764000000,"model":"gpt-5.1","choices":[],"usage":{"prompt_tokens":14,"completion_tokens":7,"total_tokens":21}}"#;
        let end = data("{}", r#""stop""#) + usage + "\n\ndata: [DONE]\n\n";
        Protocol {
            path: "/chat/completions",
            begin: data(r#"{"role":"assistant","content":""}"#, "null"),
            deltas: WORDS
                .map(|word| {
                    let delta = format!(r#"{{"content":"{word}"}}"#);
                    (word, chunk(&data(&delta, "null")))
                })
                .into(),
            end,
        }
    }

    fn delta(&self, number: usize) -> &[u8] {
        let found = self.deltas.iter().find(|(known, _)| *known == word(number));
        found.map_or(b"", |(_, chunk)| chunk)
    }
}

fn anthropic_delta(word: &str) -> String {
    event(
        "content_block_delta",
        &format!(
            r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{word}"}}}}"#
        ),
    )
}

fn event(name: &str, data: &str) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// Answers the requests of a connection, one after the other.
fn serve(mut connection: TcpStream, protocols: &[Protocol], sent: &AtomicU64) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection.try_clone()?);
    while let Some(target) = read_request(&mut reader)? {
        let segment = target.split('/').nth(1).unwrap_or_default();
        let found = protocols.iter().find(|known| target.ends_with(known.path));
        match (found, segment, segment.parse()) {
            (Some(protocol), "held", _) => {
                answer(protocol, 1, HOLD, |bytes| connection.write_all(bytes))?;
            }
            (Some(protocol), _, Ok(deltas)) => {
                answer(protocol, deltas, Duration::ZERO, |bytes| {
                    connection.write_all(bytes)?;
                    sent.fetch_add(bytes.len() as u64, Relaxed);
                    Ok(())
                })?;
            }
            _ => connection.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?,
        }
    }
    Ok(())
}

fn answer(
    protocol: &Protocol,
    deltas: usize,
    hold: Duration,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut bytes =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    bytes.extend(chunk(&protocol.begin));
    for number in 0..deltas {
        bytes.extend_from_slice(protocol.delta(number));
        if bytes.len() >= WRITE {
            write(&bytes)?;
            bytes.clear();
        }
    }
    if !hold.is_zero() {
        write(&bytes)?;
        bytes.clear();
        thread::sleep(hold);
    }
    bytes.extend(chunk(&protocol.end));
    bytes.extend_from_slice(b"0\r\n\r\n");
    write(&bytes)
}

/// Reads one request and gives its target, or nothing at the end of the connection.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut length = 0;
    let mut field = String::new();
    while reader.read_line(&mut field)? > 2 {
        if let Some((name, value)) = field.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        field.clear();
    }
    io::copy(&mut reader.take(length), &mut io::sink())?;
    Ok(request.split(' ').nth(1).map(str::to_owned))
}
