//! PostgreSQL: a task that drives the connection, and hands over batches.

mod answer;
mod cancel;
mod copy;
mod failure;
mod passfile;
mod settings;
mod tls;
mod types;

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::answer::{Message, answer};
use self::cancel::Canceler;
use super::batch::Batch;
use super::database::{Answer, Database, Query, Reader};
use super::dsn;
use super::progress::Cursor;
use super::sql::Dialect;
use crate::error::{Error, Kind};

pub(super) static DATABASE: Database = Database {
    name: "postgres",
    syntax: "`postgres://user@host/name`",
    dialect: Dialect {
        has_backslashes: false,
        nests_comments: true,
        has_dollar_quotes: true,
        has_hash_comments: false,
    },
    quote: '"',
    is_meant,
    shown: dsn::shown,
    open: |query, cursor| Ok(Box::new(Postgres::new(query, cursor))),
};

/// A URL, or keywords as libpq has them.
fn is_meant(dsn: &str) -> bool {
    let is_url = ["postgres:", "postgresql:"]
        .iter()
        .any(|scheme| dsn.starts_with(scheme));
    let has_keywords = || {
        let pairs = dsn::keywords(dsn).unwrap_or_default();
        !pairs.is_empty() && pairs.iter().all(|(name, _)| settings::is_known(name))
    };
    is_url || has_keywords()
}

/// A query that a task answers.
struct Postgres {
    /// None once the task has been started.
    query: Option<Query>,
    cursor: Arc<Cursor>,
    canceler: Arc<Canceler>,
    task: Option<JoinHandle<()>>,
    batches: Option<mpsc::Receiver<Message>>,
}

impl Postgres {
    fn new(query: Query, cursor: &Arc<Cursor>) -> Self {
        Postgres {
            query: Some(query),
            cursor: Arc::clone(cursor),
            canceler: Arc::default(),
            task: None,
            batches: None,
        }
    }

    fn start(&mut self, query: Query) {
        // One batch waits while the next is written.
        let (sender, receiver) = mpsc::channel(1);
        let (cursor, canceler) = (Arc::clone(&self.cursor), Arc::clone(&self.canceler));
        self.task = Some(tokio::spawn(answer(query, cursor, canceler, sender)));
        self.batches = Some(receiver);
    }
}

impl Reader for Postgres {
    fn read(&mut self) -> Answer<'_, Result<Option<Batch>, Error>> {
        Box::pin(async {
            if let Some(query) = self.query.take() {
                self.start(query);
            }
            let message = match &mut self.batches {
                Some(batches) => batches.recv().await,
                None => None,
            };
            match message {
                Some(Message::Batch(batch)) => Ok(Some(batch)),
                Some(Message::End(end)) => end.map(|()| None),
                None => Err(Error::new(
                    Kind::Truncated,
                    "the task that reads the rows is gone",
                )),
            }
        })
    }

    fn close(&mut self) -> Answer<'_, ()> {
        Box::pin(async {
            if let Some(task) = self.task.take() {
                self.canceler.cancel().await;
                task.abort();
            }
        })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            let canceler = Arc::clone(&self.canceler);
            // Where there is no runtime any more, the connection is closed with it, and the
            // server looks for that from time to time.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move {
                    canceler.cancel().await;
                    task.abort();
                });
            } else {
                task.abort();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_urls_or_keywords() {
        for dsn in [
            "postgres://h/d",
            "postgresql:///d",
            "postgres:",
            "host=a dbname=b",
            "service=x",
        ] {
            assert!(is_meant(dsn), "{dsn}");
        }
        for dsn in ["sqlite:a=b", "mysql://h/d", "a=b", "users.db", ""] {
            assert!(!is_meant(dsn), "{dsn}");
        }
    }
}
