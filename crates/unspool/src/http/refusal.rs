use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};
use tokio::time::timeout;

use super::failure::excerpt;
use super::{Body, CleanCall, Session, retry};
use crate::error::{Error, Kind};

/// How much of the body of a refusal is read: enough for an error object.
const MAX_BODY: usize = 64 << 10;

/// An answer that is not a success, read as far as it says why.
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The begin of the body, without credentials that it may have repeated.
    pub(crate) body: String,
    request: String,
    /// The origin of the request, if it got none of the credentials that there are.
    withheld_from: Option<String>,
}

impl Refusal {
    pub(super) async fn read(session: &Session, call: &CleanCall, response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let mut text = Vec::new();
        // What does not come does not matter: the status says enough.
        let _ = timeout(session.idle, async {
            let mut body = Body::new(response, session.idle, None)?;
            while text.len() < MAX_BODY
                && let Some(chunk) = body.chunk().await?
            {
                text.extend_from_slice(&chunk);
            }
            Ok::<(), Error>(())
        })
        .await;
        text.truncate(MAX_BODY);
        Refusal {
            status,
            headers,
            body: session.secrets().masked(&String::from_utf8_lossy(&text)),
            request: call.redacted(),
            withheld_from: session.withheld_from(call.call()),
        }
    }

    #[cfg(test)]
    pub(crate) fn of(status: u16, body: String) -> Self {
        Refusal {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body,
            request: String::new(),
            withheld_from: None,
        }
    }

    /// The error with the begin of the body.
    pub(crate) fn into_error(self) -> Error {
        let body = excerpt(self.body.as_bytes());
        self.error_that_says(&body)
    }

    /// The error with words of the body that say what is wrong.
    pub(crate) fn error_that_says(&self, words: &str) -> Error {
        let status = match self.status.canonical_reason() {
            Some(reason) => format!("{} {reason}", self.status.as_u16()),
            None => self.status.as_u16().to_string(),
        };
        let message = match words {
            "" => format!("answered {status}"),
            words => format!("answered {status}: {words}"),
        };
        let error = Error::new(Kind::Status(self.status.as_u16()), message)
            .with_retry_after(retry::wait_for_refused(
                self.status,
                &self.headers,
                &self.body,
            ))
            .at_request(&self.request);
        let is_about_credentials = matches!(self.status.as_u16(), 401 | 403);
        match &self.withheld_from {
            Some(origin) if is_about_credentials => error
                .with_note(format!("the credentials were not sent to {origin}"))
                .with_withheld_from(origin.clone()),
            _ => error,
        }
    }
}
