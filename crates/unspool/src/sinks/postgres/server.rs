//! The connection to the server, and what is asked of it.

use std::time::Duration;

use bytes::Bytes;
use tokio_postgres::{Client, Config, CopyInSink, NoTls};
use twox_hash::XxHash3_64;

use super::target::Target;
use crate::error::Error;
use crate::sinks::lock;
use crate::sinks::tables::failed;

/// How long a server that went away is waited for, to ask what came of a commit.
const LONGEST_RESTART: Duration = Duration::from_secs(30);

/// How often it is tried meanwhile.
const BETWEEN: Duration = Duration::from_millis(250);

pub(super) struct Server {
    client: Client,
    shown: String,
}

impl Server {
    pub(super) async fn connect(target: &Target) -> Result<Self, Error> {
        let cannot = |error| {
            Error::sink(
                format!("cannot connect to `{}`", target.shown),
                said(&error),
            )
        };
        let mut config: Config = target.address.parse().map_err(cannot)?;
        config.application_name(format!("unspool {}@{}", std::process::id(), lock::host()));
        let (client, connection) = config.connect(NoTls).await.map_err(cannot)?;
        // It ends with the client, which is told what goes wrong.
        tokio::spawn(connection);
        Ok(Server {
            client,
            shown: target.shown.clone(),
        })
    }

    /// The same for a server that was there and may be starting again.
    pub(super) async fn connect_again(target: &Target) -> Result<Self, Error> {
        let limit = tokio::time::Instant::now() + LONGEST_RESTART;
        loop {
            match Server::connect(target).await {
                Err(_) if tokio::time::Instant::now() < limit => tokio::time::sleep(BETWEEN).await,
                connected => return connected,
            }
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.client.is_closed()
    }

    /// Takes the lock of a table, which the server gives back when the connection ends.
    pub(super) async fn lock(&self, target: &Target) -> Result<(), Error> {
        let key =
            XxHash3_64::oneshot(format!("unspool {}", target.quoted).as_bytes()).cast_signed();
        let sql = "select pg_try_advisory_lock($1)";
        let row = self.client.query_one(sql, &[&key]).await;
        if row.map_err(|error| self.failure(&error))?.get(0) {
            return Ok(());
        }
        let sql = "select a.application_name, a.backend_start::text from pg_locks l \
                   join pg_stat_activity a on a.pid = l.pid \
                   where l.locktype = 'advisory' and l.granted \
                   and (l.classid::bigint << 32 | l.objid::bigint) = $1";
        let row = self.client.query_opt(sql, &[&key]).await;
        let who = match row.map_err(|error| self.failure(&error))? {
            Some(row) => {
                let (name, since): (String, String) = (row.get(0), row.get(1));
                let process = name
                    .trim_start_matches("unspool ")
                    .replacen('@', "` on `", 1);
                format!(": process `{process}`, since {since}")
            }
            None => String::new(),
        };
        let shown = &target.shown;
        Err(Error::request(format!(
            "another run writes to `{shown}`{who}"
        )))
    }

    /// What is kept of a table.
    pub(super) async fn state(&self, target: &Target) -> Result<Option<String>, Error> {
        // Asked for first, as those who may write a table may not all make one.
        let sql = "select to_regclass($1) is not null";
        let row = self.client.query_one(sql, &[&target.state]).await;
        let is_there: bool = row.map_err(|error| self.failure(&error))?.get(0);
        if !is_there {
            let sql = format!(
                "create table if not exists {} (name text primary key, state text not null)",
                target.state
            );
            self.run(&sql).await?;
        }
        let sql = format!("select state from {} where name = $1", target.state);
        let row = self.client.query_opt(&sql, &[&target.table]).await;
        Ok(row
            .map_err(|error| self.failure(&error))?
            .map(|row| row.get(0)))
    }

    pub(super) async fn keep(&self, target: &Target, state: &str) -> Result<(), Error> {
        let sql = format!(
            "insert into {} values ($1, $2) on conflict (name) do update set state = excluded.state",
            target.state
        );
        let kept = self.client.execute(&sql, &[&target.table, &state]).await;
        kept.map(drop).map_err(|error| self.failure(&error))
    }

    pub(super) async fn has_table(&self, target: &Target) -> Result<bool, Error> {
        let sql = "select to_regclass($1) is not null";
        let row = self.client.query_one(sql, &[&target.quoted]).await;
        Ok(row.map_err(|error| self.failure(&error))?.get(0))
    }

    pub(super) async fn count(&self, target: &Target) -> Result<u64, Error> {
        let sql = format!("select count(*) from {}", target.quoted);
        let row = self.client.query_one(&sql, &[]).await;
        let count: i64 = row.map_err(|error| self.failure(&error))?.get(0);
        Ok(count.unsigned_abs())
    }

    pub(super) async fn run(&self, sql: &str) -> Result<(), Error> {
        (self.client.batch_execute(sql).await).map_err(|error| self.failure(&error))
    }

    pub(super) async fn copy_in(&self, sql: &str) -> Result<CopyInSink<Bytes>, Error> {
        (self.client.copy_in(sql).await).map_err(|error| self.failure(&error))
    }

    pub(super) fn failure(&self, error: &tokio_postgres::Error) -> Error {
        failed(format!("cannot write to `{}`: {}", self.shown, said(error)))
    }
}

/// What a server says of a failure, or why there is no server.
fn said(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => {
            let place = error
                .where_()
                .map(|place| format!(" ({place})"))
                .unwrap_or_default();
            format!("{}{place}", error.message())
        }
        None => error.to_string(),
    }
}
