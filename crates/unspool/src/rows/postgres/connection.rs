//! A connection to a server, for whoever reads there or writes.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Connection, Socket};

use super::failure::{handshake, unconnected};
use super::settings::Settings;
use super::tls::{Encrypted, Tls};
use crate::error::{Error, Kind};

pub(crate) type PgConnection = Connection<Socket, Encrypted<Socket>>;

/// A connection that a task drives until its client is dropped.
pub(crate) async fn client(dsn: &str, longest: Duration) -> Result<Client, Error> {
    let (client, connection, _) = connect(dsn, longest).await?;
    // What goes wrong with it, the client is told.
    tokio::spawn(connection);
    Ok(client)
}

pub(super) async fn connect(
    dsn: &str,
    longest: Duration,
) -> Result<(Client, PgConnection, Tls), Error> {
    let Settings {
        mut config,
        tls,
        otherwise,
    } = Settings::read(dsn, longest)?;
    let tls = Tls::new(&tls)?;
    let first = once(&config, &tls, longest).await?;
    let connected = match (first, otherwise) {
        (Err(refused), Some(mode)) if may_be_for_encryption(&refused) => {
            config.ssl_mode(mode);
            let second = once(&config, &tls, longest).await?;
            second.map_err(|error| told(refused, error, mode))
        }
        (first, _) => first,
    };
    let (client, connection) = connected.map_err(unconnected)?;
    Ok((client, connection, tls))
}

type Connected = Result<(Client, PgConnection), tokio_postgres::Error>;

async fn once(config: &Config, tls: &Tls, longest: Duration) -> Result<Connected, Error> {
    let connected = timeout(longest, config.connect(tls.clone())).await;
    connected.map_err(|_| Error::new(Kind::Timeout, format!("no connection within {longest:?}")))
}

/// Whether a server that refuses this connection may take one that differs in whether it is
/// encrypted. A wrong password is as wrong then.
fn may_be_for_encryption(error: &tokio_postgres::Error) -> bool {
    let code = error.code().map(SqlState::code);
    handshake(error).is_some() || code.is_some_and(|code| code == "28000" || code == "08P01")
}

/// Which of two refusals says more: that of the encrypted connection, unless the server has no
/// encryption.
fn told(
    first: tokio_postgres::Error,
    second: tokio_postgres::Error,
    second_mode: SslMode,
) -> tokio_postgres::Error {
    if second_mode == SslMode::Require && second.as_db_error().is_some() {
        second
    } else {
        first
    }
}
