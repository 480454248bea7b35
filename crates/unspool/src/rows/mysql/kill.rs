//! Stops a query on the server.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use tokio::time::timeout;

use crate::rows::database::Answer;
use crate::rows::task::Stop;

/// How long a server may take to hear of it.
const LONGEST: Duration = Duration::from_secs(2);

/// What it takes to stop a query while it runs: another connection says so.
#[derive(Default)]
pub(super) struct Killer {
    running: Mutex<Option<(u32, Opts)>>,
}

impl Killer {
    /// A query runs from now on, on this connection.
    pub(super) fn arm(&self, connection: u32, opts: Opts) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some((connection, opts));
    }

    /// It is over.
    pub(super) fn disarm(&self) {
        self.take();
    }

    fn take(&self) -> Option<(u32, Opts)> {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Stop for Killer {
    fn stop(&self) -> Answer<'_, ()> {
        Box::pin(async {
            let Some((connection, opts)) = self.take() else {
                return;
            };
            let kill = async {
                let mut other = Conn::new(opts).await?;
                // With its connection: a query whose rows nobody reads waits in a write,
                // which `kill query` does not end. It may be over by now, which is as good.
                let _ = other.query_drop(format!("kill {connection}")).await;
                other.disconnect().await
            };
            // Whether the server has heard of it or not: the connection is closed then.
            let _ = timeout(LONGEST, kill).await;
        })
    }
}
