//! Connections that leave HTTP: the handshake of WebSocket (RFC 6455, section 4).

use reqwest::header::{
    HeaderMap, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL,
};
use reqwest::{StatusCode, Upgraded};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{Call, Refusal, Session, shortened};
use crate::error::{Error, Kind};

/// How much is shown of what a server chose.
const EXCERPT: usize = 120;

impl Session {
    /// Sends a call as the handshake of WebSocket, follows redirects, and gives the connection
    /// once the server has agreed.
    pub(crate) async fn upgrade(
        &self,
        mut call: Call,
        protocols: &[String],
    ) -> Result<Upgraded, Error> {
        let key = generate_key();
        let fields = [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", &key),
        ];
        for (name, value) in fields {
            call.fields.insert(name.to_owned(), value.to_owned());
        }
        if !protocols.is_empty() {
            let protocols = protocols.join(", ");
            call.fields
                .insert("sec-websocket-protocol".to_owned(), protocols);
        }
        let (call, response) = self.follow(&self.clean(call)?).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let is_success = response.status().is_success();
            let error = Refusal::read(self, &call, response).await.into_error();
            if !is_success {
                return Err(error);
            }
            let message = format!("expected a WebSocket, and it {}", error.message());
            return Err(Error::content(message).at_request(call.redacted()));
        }
        let checked = check(response.headers(), &key, protocols);
        checked.map_err(|error| error.at_request(call.redacted()))?;
        response.upgrade().await.map_err(|error| {
            Error::new(Kind::Connection, "the connection broke in its handshake")
                .with_source(error.without_url())
                .at_request(call.redacted())
        })
    }
}

/// Whether the server has agreed to what was asked.
fn check(headers: &HeaderMap, key: &str, protocols: &[String]) -> Result<(), Error> {
    let expected = derive_accept_key(key.as_bytes());
    if headers
        .get(SEC_WEBSOCKET_ACCEPT)
        .is_none_or(|value| *value != expected)
    {
        return Err(Error::content(
            "what answers does not speak WebSocket: its key is wrong",
        ));
    }
    if let Some(chosen) = headers.get(SEC_WEBSOCKET_EXTENSIONS)
        && !chosen.is_empty()
    {
        // None is offered: one that compresses would have to be read with a limit of its own.
        return Err(Error::content(format!(
            "the server chose an extension that was not offered: `{}`",
            shortened(&String::from_utf8_lossy(chosen.as_bytes()), EXCERPT)
        )));
    }
    match headers
        .get(SEC_WEBSOCKET_PROTOCOL)
        .map(|value| value.to_str())
    {
        None => Ok(()),
        Some(Ok(chosen)) if protocols.iter().any(|protocol| protocol == chosen) => Ok(()),
        Some(chosen) => Err(Error::content(format!(
            "the server chose a subprotocol that was not offered: `{}`",
            chosen.unwrap_or("?")
        ))),
    }
}
