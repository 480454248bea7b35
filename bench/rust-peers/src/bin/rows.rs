//! Rows of a query as lines of JSON, as one writes that with sqlx and tokio-postgres: typed
//! rows, as they come, through serde.
//!
//! ```text
//! rows ENGINE ADDRESS SQL
//! ```

use std::error::Error;
use std::io::{BufWriter, Write};
use std::pin::pin;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::types::Json;
use sqlx::{Connection, FromRow};

/// A row of PostgreSQL and MySQL.
#[derive(FromRow, Serialize)]
struct Order {
    id: i64,
    ts: DateTime<Utc>,
    amount: Option<Decimal>,
    price: f64,
    name: String,
    payload: Json<Box<RawValue>>,
}

/// A row of SQLite, which has fewer types.
#[derive(FromRow, Serialize)]
struct Lite {
    id: i64,
    ts: String,
    amount: Option<f64>,
    price: f64,
    name: String,
    payload: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [engine, address, sql] = &arguments[..] else {
        return Err("expected an engine, an address and a statement".into());
    };
    let mut out = BufWriter::with_capacity(64 << 10, std::io::stdout().lock());
    match engine.as_str() {
        "sqlx-postgres" => {
            let mut connection = sqlx::PgConnection::connect(address).await?;
            let rows = sqlx::query_as::<_, Order>(sqlx::AssertSqlSafe(sql.as_str()));
            let mut rows = rows.fetch(&mut connection);
            while let Some(row) = rows.next().await {
                line(&mut out, &row?)?;
            }
        }
        "sqlx-mysql" => {
            let mut connection = sqlx::MySqlConnection::connect(address).await?;
            let rows = sqlx::query_as::<_, Order>(sqlx::AssertSqlSafe(sql.as_str()));
            let mut rows = rows.fetch(&mut connection);
            while let Some(row) = rows.next().await {
                line(&mut out, &row?)?;
            }
        }
        "sqlx-sqlite" => {
            let mut connection = sqlx::SqliteConnection::connect(address).await?;
            let rows = sqlx::query_as::<_, Lite>(sqlx::AssertSqlSafe(sql.as_str()));
            let mut rows = rows.fetch(&mut connection);
            while let Some(row) = rows.next().await {
                line(&mut out, &row?)?;
            }
        }
        "tokio-postgres" => tokio_postgres(&mut out, address, sql).await?,
        _ => return Err(format!("no engine `{engine}`").into()),
    }
    out.flush()?;
    Ok(())
}

async fn tokio_postgres(
    out: &mut impl Write,
    address: &str,
    sql: &str,
) -> Result<(), Box<dyn Error>> {
    let (client, connection) = tokio_postgres::connect(address, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let none: [&(dyn tokio_postgres::types::ToSql + Sync); 0] = [];
    let mut rows = pin!(client.query_raw(sql, none).await?);
    while let Some(row) = rows.next().await {
        let row = row?;
        let payload: tokio_postgres::types::Json<Box<RawValue>> = row.try_get(5)?;
        let order = Order {
            id: row.try_get(0)?,
            ts: row.try_get(1)?,
            amount: row.try_get(2)?,
            price: row.try_get(3)?,
            name: row.try_get(4)?,
            payload: Json(payload.0),
        };
        line(out, &order)?;
    }
    Ok(())
}

fn line(out: &mut impl Write, row: &impl Serialize) -> Result<(), Box<dyn Error>> {
    serde_json::to_writer(&mut *out, row)?;
    Ok(out.write_all(b"\n")?)
}
