//! A loopback HTTP/1.1 server that answers as a language model does, at little cost: a
//! thread for each connection, and events copied from templates, each a chunk of its own.
//!
//! It speaks the Messages API of Anthropic (`…/messages`) and the Chat Completions of
//! OpenAI (`…/chat/completions`). The first segment of the path says what it answers:
//!
//! - a number: so many deltas of text, as fast as the client reads;
//! - `held`: one delta, and the end a second later.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use crate::http1::{Head, LAST_CHUNK, NOT_FOUND, chunk, listen, stated_length};

/// As many bytes in each write, so that the server is not what the client waits for.
const WRITE: usize = 64 * 1024;

const HOLD: Duration = Duration::from_secs(1);

/// The server; it runs until the process ends.
pub struct Server {
    address: SocketAddr,
    sent: Arc<AtomicU64>,
    protocols: Arc<[Protocol; 2]>,
}

impl Server {
    /// Starts one whose answers have these words as their deltas, over and over again;
    /// they are written into JSON strings as they are.
    ///
    /// # Errors
    /// There is no free port.
    pub fn start(words: &[&str]) -> io::Result<Server> {
        let protocols = Arc::new([Protocol::anthropic(words), Protocol::chat(words)]);
        let sent = Arc::new(AtomicU64::new(0));
        let (shared, counter) = (Arc::clone(&protocols), Arc::clone(&sent));
        let address = listen(move |connection| serve(&connection, &shared[..], &counter))?;
        Ok(Server {
            address,
            sent,
            protocols,
        })
    }

    /// Where it is, without `/v1`, for answers of so many deltas.
    pub fn url(&self, deltas: usize) -> String {
        format!("http://{}/{deltas}", self.address)
    }

    /// Where it is, for an answer that goes on after its first delta.
    pub fn held_url(&self) -> String {
        format!("http://{}/held", self.address)
    }

    /// Bytes that clients and the kernel have taken so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// The bytes of an answer of Anthropic's, without those of HTTP's chunks.
    pub fn body_bytes(&self, deltas: usize) -> usize {
        self.protocols[0].bytes(deltas)
    }
}

/// The answers of a protocol.
struct Protocol {
    /// How the target of its requests ends.
    path: &'static str,
    begin: String,
    deltas: Vec<Delta>,
    end: String,
}

/// The event of one of the words.
struct Delta {
    chunk: Vec<u8>,
    /// Its length without that of the chunk around it.
    bytes: usize,
}

impl Protocol {
    fn anthropic(words: &[&str]) -> Protocol {
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
            deltas: (words.iter())
                .map(|word| Delta::new(&anthropic_delta(word)))
                .collect(),
            end: end.concat(),
        }
    }

    fn chat(words: &[&str]) -> Protocol {
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
            deltas: (words.iter())
                .map(|word| Delta::new(&data(&format!(r#"{{"content":"{word}"}}"#), "null")))
                .collect(),
            end,
        }
    }

    fn delta(&self, number: usize) -> &Delta {
        &self.deltas[number % self.deltas.len()]
    }

    /// The length of an answer of so many deltas.
    fn bytes(&self, deltas: usize) -> usize {
        let words: usize = (0..deltas).map(|number| self.delta(number).bytes).sum();
        self.begin.len() + words + self.end.len()
    }
}

impl Delta {
    fn new(event: &str) -> Delta {
        Delta {
            chunk: chunk(event.as_bytes()),
            bytes: event.len(),
        }
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

/// Answers the requests of a connection, one after the other.
fn serve(mut connection: &TcpStream, protocols: &[Protocol], sent: &AtomicU64) -> io::Result<()> {
    let mut reader = BufReader::new(connection);
    let mut length = 0;
    while let Some(head) = Head::read(&mut reader, |name, value| {
        length = stated_length(name, value).unwrap_or(length);
    })? {
        io::copy(&mut (&mut reader).take(length as u64), &mut io::sink())?;
        length = 0;
        let target = head.target();
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
            _ => connection.write_all(NOT_FOUND)?,
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
    bytes.extend(chunk(protocol.begin.as_bytes()));
    for number in 0..deltas {
        bytes.extend_from_slice(&protocol.delta(number).chunk);
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
    bytes.extend(chunk(protocol.end.as_bytes()));
    bytes.extend_from_slice(LAST_CHUNK);
    write(&bytes)
}
