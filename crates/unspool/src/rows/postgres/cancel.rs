//! Stops a query on the server.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::CancelToken;

use super::tls::Tls;
use crate::rows::database::Answer;
use crate::rows::task::Stop;

/// How long a server may take to hear of it.
const LONGEST: Duration = Duration::from_secs(2);

/// What it takes to stop a query while it runs.
#[derive(Default)]
pub(super) struct Canceler {
    running: Mutex<Option<(CancelToken, Tls)>>,
}

impl Canceler {
    /// A query runs from now on.
    pub(super) fn arm(&self, token: CancelToken, tls: Tls) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some((token, tls));
    }

    /// It is over.
    pub(super) fn disarm(&self) {
        self.take();
    }

    fn take(&self) -> Option<(CancelToken, Tls)> {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Stop for Canceler {
    fn stop(&self) -> Answer<'_, ()> {
        Box::pin(async {
            if let Some((token, tls)) = self.take() {
                // Whether the server has heard of it or not: the connection is closed then.
                let _ = timeout(LONGEST, token.cancel_query(tls)).await;
            }
        })
    }
}
