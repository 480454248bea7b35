//! The connection to the server, and what is asked of it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, CopyInSink, Row};
use twox_hash::XxHash3_64;

use super::target::Target;
use crate::error::Error;
use crate::rows::postgres::client;
use crate::sinks::lock::{self, IN_USE};
use crate::sinks::tables::failed;

/// How long a connection may take.
const LONGEST_CONNECT: Duration = Duration::from_secs(30);

/// How long a server that went away is waited for, to ask what came of a commit.
const LONGEST_RESTART: Duration = Duration::from_secs(30);

/// How long the lock of a run that has just ended is waited for.
const LONGEST_GOODBYE: Duration = Duration::from_secs(10);

/// How often it is tried meanwhile.
const BETWEEN: Duration = Duration::from_millis(50);

const LOCK: &str = "select pg_try_advisory_lock($1)";

/// Who holds a lock, and since when; a lock is one of its database, of which the server may
/// have several.
const HOLDER: &str = "select a.application_name, a.backend_start::text from pg_locks l \
     join pg_stat_activity a on a.pid = l.pid \
     where l.locktype = 'advisory' and l.granted \
     and l.database = (select oid from pg_database where datname = current_database()) \
     and (l.classid::bigint << 32 | l.objid::bigint) = $1";

pub(super) struct Server {
    client: Client,
    shown: String,
}

impl Server {
    pub(super) async fn connect(target: &Target) -> Result<Self, Error> {
        let connected = client(&target.address, LONGEST_CONNECT).await;
        let client = connected.map_err(|error| {
            let message = format!("cannot connect to `{}`", target.shown);
            if error.is_request() {
                error.with_start(&format!("{message}:"))
            } else {
                Error::sink(message, error)
            }
        })?;
        let server = Server {
            client,
            shown: target.shown.clone(),
        };
        // For the next run, which says who holds the lock.
        let name = format!("unspool {}@{}", std::process::id(), lock::host());
        let sql = "select set_config('application_name', $1, false)";
        server.ask(sql, &name).await?;
        Ok(server)
    }

    /// The same for a server that was there and may be starting again.
    pub(super) async fn connect_again(target: &Target) -> Result<Self, Error> {
        let limit = Instant::now() + LONGEST_RESTART;
        loop {
            match Server::connect(target).await {
                Err(_) if Instant::now() < limit => tokio::time::sleep(BETWEEN).await,
                connected => return connected,
            }
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.client.is_closed()
    }

    /// Takes the lock of a table, which the server gives back when the connection ends.
    pub(super) async fn lock(&self, target: &Target) -> Result<(), Error> {
        let key = format!("unspool {}", target.quoted);
        let key = XxHash3_64::oneshot(key.as_bytes()).cast_signed();
        // Of a run that was killed the server may hear a moment later.
        let limit = Instant::now() + LONGEST_GOODBYE;
        while !self.ask(LOCK, key).await?.get::<_, bool>(0) {
            if Instant::now() >= limit {
                return Err(self.held(target, key).await?);
            }
            tokio::time::sleep(BETWEEN).await;
        }
        Ok(())
    }

    /// That another run holds the lock.
    async fn held(&self, target: &Target, key: i64) -> Result<Error, Error> {
        let holder = self.client.query_opt(HOLDER, &[&key]).await;
        let who = match holder.map_err(|error| self.failure(&error))? {
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
        Ok(
            Error::request(format!("another run writes to `{shown}`{who}"))
                .with_code(Some(IN_USE.to_owned())),
        )
    }

    /// Gives all locks back.
    pub(super) async fn unlock(&self) -> Result<(), Error> {
        self.run("select pg_advisory_unlock_all()").await
    }

    async fn ask(&self, sql: &str, parameter: impl ToSql + Sync) -> Result<Row, Error> {
        let row = self.client.query_one(sql, &[&parameter]).await;
        row.map_err(|error| self.failure(&error))
    }

    /// What is kept of a table.
    pub(super) async fn state(&self, target: &Target) -> Result<Option<String>, Error> {
        // Asked for first, as those who may write a table may not all make one.
        let sql = "select to_regclass($1) is not null";
        let is_there: bool = self.ask(sql, &target.state).await?.get(0);
        if !is_there {
            self.run(&create_state(target)).await?;
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
        Ok(self.ask(sql, &target.quoted).await?.get(0))
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

/// Makes the table of states. `if not exists` alone fails where two runs begin at once: each
/// sees that there is none, and the second one violates a constraint of the catalog. Statements
/// that are sent together are one transaction, at whose end the lock is given back.
fn create_state(target: &Target) -> String {
    let key = XxHash3_64::oneshot(format!("unspool state {}", target.state).as_bytes());
    format!(
        "select pg_advisory_xact_lock({}); \
         create table if not exists {} (name text primary key, state text not null)",
        key.cast_signed(),
        target.state
    )
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
