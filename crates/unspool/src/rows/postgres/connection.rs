//! A connection to a server, for whoever reads there or writes.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Connection, Socket};

use super::failure::unconnected;
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
        verify,
        allows_tls,
    } = Settings::read(dsn, longest)?;
    let tls = Tls::new(&verify)?;
    let late = |_| Error::new(Kind::Timeout, format!("no connection within {longest:?}"));
    let connected = timeout(longest, config.connect(tls.clone()))
        .await
        .map_err(late)?;
    let connected = match connected {
        Err(error) if allows_tls && error.as_db_error().is_some() => {
            config.ssl_mode(SslMode::Require);
            timeout(longest, config.connect(tls.clone()))
                .await
                .map_err(late)?
        }
        connected => connected,
    };
    let (client, connection) = connected.map_err(unconnected)?;
    Ok((client, connection, tls))
}
