//! A query cut into parts, which see one snapshot.

use tokio::task::JoinHandle;
use tokio_postgres::{Client, Column};

use super::answer::{SESSION, TextParam, borrowed};
use super::connection::connect;
use super::failure::failed;
use crate::error::Error;
use crate::rows::database::{Cuts, Query, Range};
use crate::rows::parts::{Bounds, bounds, inner, needs_key, within};
use crate::rows::sql::quoted;

/// How the transaction is set up whose snapshot the parts see: it waits as long as they take.
const BEGIN: &str = "set idle_in_transaction_session_timeout = 0; \
     begin isolation level repeatable read read only";

/// What the statistics have of a column: values between which there are about equally many
/// rows.
const HISTOGRAM: &str = "select array_to_json(s.histogram_bounds::text::text[])::text \
     from pg_catalog.pg_stats s \
     join pg_catalog.pg_namespace n on n.nspname = s.schemaname \
     join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = s.tablename \
     join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = s.attname \
     where c.oid = $1::text::oid and a.attnum = $2::text::int2 \
     and s.histogram_bounds is not null order by s.inherited desc limit 1";

/// How many blocks a table has; only of one whose rows are in blocks of its own.
const BLOCKS: &str = "select (pg_catalog.pg_relation_size(c.oid) / \
     pg_catalog.current_setting('block_size')::int8)::text \
     from pg_catalog.pg_class c where c.oid = $1::text::regclass and c.relkind in ('r', 'm')";

/// Cuts a query into so many parts at most.
pub(super) async fn cut(query: Query, count: usize) -> Result<Cuts, Error> {
    if query.may_write {
        return Err(Error::request(
            "what changes the database is not cut into partitions",
        ));
    }
    let lost = |error| failed(error, None);
    let (client, connection, _) = connect(&query.dsn, query.timeout).await?;
    let driven = tokio::spawn(async move {
        // What went wrong with it, its statements say.
        let _ = connection.await;
    });
    let holder = Holder { client, driven };
    let client = &holder.client;
    client.batch_execute(SESSION).await.map_err(lost)?;
    client.batch_execute(BEGIN).await.map_err(lost)?;
    let snapshot = client.query_one("select pg_export_snapshot()", &[]).await;
    let snapshot = snapshot.and_then(|row| row.try_get(0)).map_err(lost)?;
    let ranges = match (count, query.key.first()) {
        (..=1, _) => vec![query.range.clone()],
        (_, Some(column)) => by_key(client, &query, column, count).await?,
        (_, None) => by_blocks(client, &query, count).await?,
    };
    Ok(Cuts {
        ranges,
        snapshot: Some(snapshot),
        hold: Some(Box::new(holder)),
    })
}

/// A connection whose transaction the parts see the database by.
struct Holder {
    client: Client,
    driven: JoinHandle<()>,
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.driven.abort();
    }
}

/// Ranges of the key's first column.
async fn by_key(
    client: &Client,
    query: &Query,
    name: &str,
    count: usize,
) -> Result<Vec<Range>, Error> {
    let text = &query.statement.text;
    let statement = client.prepare(text).await;
    let statement = statement.map_err(|error| failed(error, Some(text)))?;
    let column = statement
        .columns()
        .iter()
        .find(|column| column.name() == name);
    // One that is missing is said where the rows are asked for.
    let Some(column) = column else {
        return Ok(vec![query.range.clone()]);
    };
    let keys = match histogram(client, column, count).await? {
        Some(keys) => keys,
        None if ["int2", "int4", "int8"].contains(&column.type_().name()) => {
            by_bounds(client, query, name, count).await?
        }
        None => by_order(client, query, name, count).await?,
    };
    Ok(within(&query.range, &keys))
}

/// Keys with about equally many rows between them, by the statistics of the table that the
/// column is of; none where there are none.
async fn histogram(
    client: &Client,
    column: &Column,
    count: usize,
) -> Result<Option<Vec<String>>, Error> {
    let (Some(table), Some(number)) = (column.table_oid(), column.column_id()) else {
        return Ok(None);
    };
    let params = [table.to_string(), number.to_string()].map(|text| TextParam(Some(text)));
    let found = client.query_opt(HISTOGRAM, &borrowed(&params)).await;
    let found = found.map_err(|error| failed(error, None))?;
    let keys: Vec<String> = match found {
        Some(row) => texts(row.try_get(0).map_err(|error| failed(error, None))?),
        None => return Ok(None),
    };
    let Some(steps) = keys.len().checked_sub(1).filter(|steps| *steps >= count) else {
        return Ok(None);
    };
    let inner = (1..count).map(|index| &keys[index * steps / count]);
    Ok(Some(tokens(inner.cloned())))
}

/// Between the least and the greatest key.
async fn by_bounds(
    client: &Client,
    query: &Query,
    name: &str,
    count: usize,
) -> Result<Vec<String>, Error> {
    let sql = bounds(query, &quoted(name, '"'));
    let sql = format!("select least::int8, greatest::int8 from ({sql}) as unspool_bounds");
    let row = client.query_one(&sql, &borrowed(&params(query))).await;
    let found = row.and_then(|row| {
        Ok(Bounds {
            least: row.try_get::<_, Option<i64>>(0)?.map(i128::from),
            greatest: row.try_get::<_, Option<i64>>(1)?.map(i128::from),
        })
    });
    Ok(inner(&found.map_err(|error| failed(error, None))?, count))
}

/// Keys that are so far in the order of all, which the server has to sort.
async fn by_order(
    client: &Client,
    query: &Query,
    name: &str,
    count: usize,
) -> Result<Vec<String>, Error> {
    let parts = (1..count).map(|index| format!("{index}::float8 / {count}"));
    let sql = format!(
        "select array_to_json((percentile_disc(array[{}]) within group (order by {}))::text::text[])::text \
         from ({}\n) as unspool_rows",
        parts.collect::<Vec<_>>().join(", "),
        quoted(name, '"'),
        query.statement.text
    );
    let row = client.query_one(&sql, &borrowed(&params(query))).await;
    let found = row.and_then(|row| row.try_get(0));
    let found: Option<String> = found.map_err(|error| failed(error, None))?;
    Ok(tokens(texts(found).into_iter()))
}

/// Ranges of a table's blocks.
async fn by_blocks(client: &Client, query: &Query, count: usize) -> Result<Vec<Range>, Error> {
    let Some(table) = &query.statement.table else {
        return Err(needs_key().with_note("a table is cut without one, where it is given by name"));
    };
    let params = [TextParam(Some(table.clone()))];
    let row = client.query_opt(BLOCKS, &borrowed(&params)).await;
    let row = row
        .map_err(|error| failed(error, None))?
        .ok_or_else(needs_key)?;
    let blocks: String = row.try_get(0).map_err(|error| failed(error, None))?;
    let blocks: u64 = blocks.parse().unwrap_or(0);
    let count = (count as u64).min(blocks).max(1);
    let at = |index: u64| blocks * index / count;
    let range = |index: u64| Range {
        blocks: Some((at(index), (index + 1 < count).then(|| at(index + 1)))),
        ..query.range.clone()
    };
    Ok((0..count).map(range).collect())
}

fn params(query: &Query) -> Vec<TextParam> {
    let params = query.params.iter();
    params.map(|param| TextParam(param.text())).collect()
}

/// The texts in an array of JSON.
fn texts(array: Option<String>) -> Vec<String> {
    let texts: Option<Vec<Option<String>>> =
        array.and_then(|array| serde_json::from_str(&array).ok());
    texts.unwrap_or_default().into_iter().flatten().collect()
}

/// Keys as JSON texts, each once.
fn tokens(keys: impl Iterator<Item = String>) -> Vec<String> {
    let mut tokens: Vec<String> = keys.map(|key| serde_json::json!(key).to_string()).collect();
    tokens.dedup();
    tokens
}
