//! Answers of language models, from servers that do what a test tells them to, over all
//! protocols.

mod answers;
mod cancel;
mod faults;
mod items;
mod kinds;
mod requests;
mod secrets;
mod table;

use std::time::Duration;

use futures_util::StreamExt;
use unspool::ask::{Answer, Outcome, Provider, Request};
use unspool::{Error, ask};

use crate::server::{Server, dialect};
use dialect::Protocol;

/// A question to a server that speaks the protocol, which is not patient.
fn question(protocol: Protocol, server: &Server) -> Request {
    question_without_key(protocol, server).api_key("sk-test-0123456789")
}

fn question_without_key(protocol: Protocol, server: &Server) -> Request {
    question_at(protocol, server.url(""))
}

pub(crate) fn question_at(protocol: Protocol, url: String) -> Request {
    ask("Who is there?")
        .provider(provider(protocol))
        .model("m-1")
        .base_url(url)
        .retries(2)
        .first_wait(Duration::from_millis(1))
}

fn provider(protocol: Protocol) -> Provider {
    let mut known = Provider::all();
    known
        .find(|known| known.name() == protocol.provider())
        .unwrap()
}

/// What an answer hands out, and how it ends.
async fn drain<T: Send>(answer: Answer<T>) -> (Vec<T>, Result<Outcome, Error>) {
    let mut answer = answer.allow_doubts();
    let mut pieces = Vec::new();
    while let Some(piece) = answer.next().await {
        match piece {
            Ok(piece) => pieces.push(piece),
            Err(error) => {
                assert!(answer.next().await.is_none(), "an error is the last");
                return (pieces, Err(error));
            }
        }
    }
    (pieces, Ok(answer.outcome()))
}
