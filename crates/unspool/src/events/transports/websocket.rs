//! WebSocket (RFC 6455): each message is an event.
//!
//! A task reads the socket, so that pings are answered while the reader pauses. It holds a
//! bounded part of what has come; when that is full it reads no further, and the server is
//! held up, or hangs up when its own patience is over.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytestring::ByteString;
use futures_core::Stream as _;
use futures_util::SinkExt as _;
use reqwest::Upgraded;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message, Utf8Bytes};

use super::{Arrival, Over};
use crate::error::{Error, Kind};
use crate::events::account::Ended;
use crate::http::{Meter, after, shortened};
use crate::json::Pointer;

/// How many messages are read in advance, and how many bytes of them, or one that is larger.
const MESSAGES: usize = 1024;
const BYTES: usize = 1 << 20;

/// How long a socket may be silent, where nobody says another time: half of it passes before
/// it is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(40);

/// How long what follows a close frame is waited for.
const GRACE: Duration = Duration::from_secs(2);

/// How much is shown of why a server closed a connection.
const EXCERPT: usize = 120;

/// What a socket is told besides its address.
#[derive(Clone, Debug, Default)]
pub(in crate::events) struct SocketForm {
    /// Subprotocols that are offered.
    pub(in crate::events) protocols: Vec<String>,
    /// Messages to send first.
    pub(in crate::events) first: Vec<String>,
}

/// A connected WebSocket.
pub(in crate::events) struct SocketFeed {
    incoming: mpsc::Receiver<Incoming>,
    /// Where the position is in a message.
    position: Option<Pointer>,
    has_message: bool,
    is_once: bool,
    meter: Arc<Meter>,
    task: JoinHandle<()>,
}

/// What a task has read.
enum Incoming {
    Message(Message, OwnedSemaphorePermit),
    Over(Over),
}

impl SocketFeed {
    pub(in crate::events) async fn new(
        connection: Upgraded,
        form: &SocketForm,
        position: Option<Pointer>,
        (is_once, max_item, idle): (bool, usize, Option<Duration>),
        meter: Arc<Meter>,
    ) -> Result<Self, Error> {
        let config = WebSocketConfig::default()
            .max_message_size(Some(max_item))
            .max_frame_size(Some(max_item));
        let mut socket =
            WebSocketStream::from_raw_socket(connection, Role::Client, Some(config)).await;
        for message in &form.first {
            socket
                .send(Message::text(message))
                .await
                .map_err(read_error)?;
        }
        let (sender, incoming) = mpsc::channel(MESSAGES);
        Ok(SocketFeed {
            incoming,
            position,
            has_message: false,
            is_once,
            meter,
            task: tokio::spawn(pump(socket, sender, idle.unwrap_or(SILENCE))),
        })
    }

    pub(super) async fn hear(&mut self, arrivals: &mut Vec<Arrival>) -> Result<(), Over> {
        let mut next = self.incoming.recv().await;
        loop {
            match next {
                Some(Incoming::Message(message, _room)) => {
                    self.meter.bytes(message.len());
                    self.has_message = true;
                    arrivals.extend(self.arrival(message)?);
                }
                Some(Incoming::Over(over)) => return Err(self.judged(over)),
                None => {
                    let message = "the task that reads the socket has ended";
                    return Err(Error::new(Kind::Connection, message).into());
                }
            }
            // All that has come is one batch.
            next = match self.incoming.try_recv() {
                Ok(incoming) => Some(incoming),
                Err(_) => return Ok(()),
            };
        }
    }

    fn arrival(&self, message: Message) -> Result<Option<Arrival>, Error> {
        let (name, data) = match message {
            Message::Text(text) => ("message", ByteString::try_from(bytes::Bytes::from(text))),
            Message::Binary(bytes) => ("binary", Ok(BASE64_STANDARD.encode(bytes).into())),
            _ => return Ok(None),
        };
        let data =
            data.map_err(|error| Error::content(format!("a message is not UTF-8: {error}")))?;
        let position = match &self.position {
            Some(pointer) => position_of(pointer, &data),
            None => ByteString::new(),
        };
        Ok(Some(Arrival {
            name: ByteString::from_static(name),
            id: position.clone(),
            data,
            position,
        }))
    }

    /// A feed that closes before it has said anything has not ended.
    fn judged(&self, over: Over) -> Over {
        match over {
            Over::Ended(Ended::Closed) if !self.has_message && !self.is_once => Error::new(
                Kind::Truncated,
                "the feed closed the connection before its first message",
            )
            .into(),
            over => over,
        }
    }
}

impl Drop for SocketFeed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn position_of(pointer: &Pointer, data: &str) -> ByteString {
    let document: Option<Value> = serde_json::from_str(data).ok();
    match document
        .as_ref()
        .and_then(|document| pointer.find(document))
    {
        None | Some(Value::Null) => ByteString::new(),
        Some(Value::String(text)) => text.as_str().into(),
        Some(value) => value.to_string().into(),
    }
}

/// Reads a socket until it ends, and says how it did.
async fn pump(
    mut socket: WebSocketStream<Upgraded>,
    sender: mpsc::Sender<Incoming>,
    silence: Duration,
) {
    let room = Arc::new(Semaphore::new(BYTES));
    let mut is_asked = false;
    let over = loop {
        let half = after(silence / 2);
        let next = tokio::time::timeout_at(half, next(&mut socket)).await;
        let message = match next {
            Ok(Ok(message)) => message,
            Ok(Err(error)) => {
                refuse(&mut socket, &error).await;
                break read_error(error).into();
            }
            Err(_) if is_asked => {
                let message = format!("no byte for {} s", silence.as_secs_f64());
                break Error::new(Kind::Timeout, message).into();
            }
            Err(_) => {
                is_asked = true;
                match timeout(silence / 2, socket.send(Message::Ping(Default::default()))).await {
                    Ok(Ok(())) | Err(_) => continue,
                    Ok(Err(error)) => break read_error(error).into(),
                }
            }
        };
        is_asked = false;
        if let Message::Close(frame) = message {
            // What is answered to it goes out while the end is waited for.
            let _ = timeout(GRACE, until_end(&mut socket)).await;
            break closed(frame);
        }
        if !matches!(message, Message::Text(_) | Message::Binary(_)) {
            continue;
        }
        let size = u32::try_from(message.len().clamp(1, BYTES)).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&room).acquire_many_owned(size).await else {
            return;
        };
        if sender.send(Incoming::Message(message, room)).await.is_err() {
            return;
        }
    };
    // Nobody may listen any more.
    let _ = sender.send(Incoming::Over(over)).await;
}

async fn next(socket: &mut WebSocketStream<Upgraded>) -> Result<Message, SocketError> {
    let next = poll_fn(|cx| Pin::new(&mut *socket).poll_next(cx)).await;
    next.unwrap_or(Err(SocketError::ConnectionClosed))
}

/// Says to a server that breaks the rules, or sends more than we take, which of them it was (RFC
/// 6455, section 7.1.7).
async fn refuse(socket: &mut WebSocketStream<Upgraded>, error: &SocketError) {
    let code = match error {
        SocketError::Capacity(_) => CloseCode::Size,
        SocketError::Utf8(_) => CloseCode::Invalid,
        SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => return,
        SocketError::Protocol(_) => CloseCode::Protocol,
        _ => return,
    };
    let reason = Utf8Bytes::default();
    // It may be gone.
    let _ = timeout(GRACE, socket.close(Some(CloseFrame { code, reason }))).await;
}

async fn until_end(socket: &mut WebSocketStream<Upgraded>) {
    while next(socket).await.is_ok() {}
}

/// What a close frame says (RFC 6455, section 7.4).
fn closed(frame: Option<CloseFrame>) -> Over {
    let (code, reason) = match frame {
        Some(frame) => (u16::from(frame.code), shortened(&frame.reason, EXCERPT)),
        // No status is what this stands for.
        None => (1005, String::new()),
    };
    if matches!(code, 1000 | 1001) {
        return Over::Ended(Ended::Closed);
    }
    let reason = if reason.is_empty() {
        reason
    } else {
        format!(": {reason}")
    };
    let error = Error::new(
        Kind::Truncated,
        format!("the feed closed the connection with code {code}{reason}"),
    );
    // What was sent, or who asks, is wrong, and stays it.
    let is_final = matches!(code, 1002 | 1003 | 1007..=1010);
    error.with_retryable(is_final.then_some(false)).into()
}

fn without_close_frame() -> Error {
    Error::new(
        Kind::Truncated,
        "the connection ended without a close frame",
    )
}

fn read_error(error: SocketError) -> Error {
    match error {
        SocketError::Capacity(CapacityError::MessageTooLong { size, max_size }) => Error::new(
            Kind::TooLarge,
            format!("a message of {size} bytes or more is over the limit of {max_size}"),
        ),
        SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake)
        | SocketError::ConnectionClosed
        | SocketError::AlreadyClosed => without_close_frame(),
        SocketError::Io(error) => {
            Error::new(Kind::Connection, format!("the connection broke: {error}"))
                .with_source(error)
        }
        error => Error::content(format!("not as WebSocket has it: {error}")).with_source(error),
    }
}
