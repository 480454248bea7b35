//! The model that the demo asks: a poem over Anthropic's protocol, at the pace of a model.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Response};
use serde_json::{Value, json};

use super::server::{Reply, listen, streamed, whole};

const POEM: &str = "\
A loop was told to bring the pages all;
it brought the first, and said: that was the lot.
Its exit code was nought, its file was small,
and no one missed the pages that were not.

So ask of every stream before it closes
to show the mark that says it came to end:
a tale that stops wherever it supposes
has told you less than silence would, my friend.
";

/// Between two pieces of text.
const PAUSE: Duration = Duration::from_millis(12);

/// A server on loopback, for as long as the runtime lives. Once it reports that it is
/// overloaded, as the services do: after a status of 200.
pub(super) struct Model {
    address: SocketAddr,
}

impl Model {
    pub(super) async fn start() -> io::Result<Self> {
        let was_busy = Arc::new(AtomicBool::new(false));
        let address = listen(move |request| reply(request, Arc::clone(&was_busy))).await?;
        Ok(Model { address })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn reply(request: Request<Incoming>, was_busy: Arc<AtomicBool>) -> io::Result<Reply> {
    let body = request
        .into_body()
        .collect()
        .await
        .map_err(io::Error::other)?;
    let asked: Value = serde_json::from_slice(&body.to_bytes())?;
    let reply = Response::builder().header(CONTENT_TYPE, "text/event-stream");
    if !was_busy.swap(true, Relaxed) {
        let error = json!({"type": "overloaded_error", "message": "Overloaded"});
        return whole(reply, event(&json!({"type": "error", "error": error})));
    }
    let limit = asked["max_tokens"].as_u64().unwrap_or(u64::MAX);
    let prompt = asked["messages"][0]["content"].as_str().unwrap_or_default();
    let is_cut = prompt.contains("briefly");
    let pieces = unspool::stream! {
        for piece in answer(limit, is_cut) {
            yield Ok(Frame::data(event(&piece)));
            tokio::time::sleep(PAUSE).await;
        }
    };
    streamed(reply, pieces)
}

/// The events of an answer of as many words; one that is cut has not its last ones.
fn answer(limit: u64, is_cut: bool) -> Vec<Value> {
    let words = POEM.split_inclusive([' ', '\n']);
    let count = words.clone().count() as u64;
    let (shown, reason) = if limit < count {
        (limit, "max_tokens")
    } else {
        (count, "end_turn")
    };
    let shown = if is_cut { 12 } else { shown };
    let usage = json!({"input_tokens": 14, "output_tokens": 1});
    // With all that the services send, as their own clients rely on it.
    let message = json!({
        "id": "msg_demo", "type": "message", "role": "assistant", "model": "demo-poet-1",
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage,
    });
    let block = json!({"type": "text", "text": ""});
    let mut events = vec![
        json!({"type": "message_start", "message": message}),
        json!({"type": "content_block_start", "index": 0, "content_block": block}),
    ];
    events.extend(words.take(shown as usize).map(|word| {
        let delta = json!({"type": "text_delta", "text": word});
        json!({"type": "content_block_delta", "index": 0, "delta": delta})
    }));
    if !is_cut {
        let delta = json!({"stop_reason": reason, "stop_sequence": null});
        events.extend([
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": shown}}),
            json!({"type": "message_stop"}),
        ]);
    }
    events
}

fn event(data: &Value) -> Bytes {
    let name = data["type"].as_str().unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n").into()
}
