//! How soon the first row of ten million comes, how soon a query is gone from the server after
//! its rows were dropped, and how soon the next one is answered.

use std::error::Error;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls};
use unspool::rows::{Mode, Request};

use super::{ALL, Database, IN_ORDER, Table};
use crate::figures::print_target;

const ROWS: usize = 10_000_000;
const RUNS: usize = 11;

/// How much later than the server's own first row ours may come.
const LATEST_FIRST: Duration = Duration::from_millis(30);
const LATEST_NEXT: Duration = Duration::from_millis(20);
const LATEST_GONE: Duration = Duration::from_millis(100);

/// Medians of some runs.
struct Times {
    first: Duration,
    /// The answer of the next query, from the drop on.
    next: Duration,
    /// Until the server knows of no query any more; where it is asked.
    gone: Option<Duration>,
}

pub(super) fn run(tables: &[&'static Table]) -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    println!("{ROWS} rows, of which ten are taken; medians of {RUNS} runs");
    println!("| database | mode | first row | next query | gone |\n|---|---|---|---|---|");
    for table in tables {
        let database = Database::start(table.name, ROWS)?;
        let own = own_first(&runtime, table.name, &database)?;
        for mode in modes(table.name) {
            let times = runtime.block_on(times(table.name, &database, mode))?;
            let gone = times
                .gone
                .map_or(String::new(), |gone| format!("{gone:.1?}"));
            println!(
                "| {} | {mode} | {:.1?} | {:.1?} | {gone} |",
                table.name, times.first, times.next
            );
            let name = format!("{mode} of {}", table.name);
            let is_met = times.first <= own + LATEST_FIRST;
            print_target(
                &format!("{name}: first row within {own:.1?} + {LATEST_FIRST:?}"),
                is_met,
            );
            let is_met = times.next <= LATEST_NEXT;
            print_target(
                &format!("{name}: next query within {LATEST_NEXT:?}"),
                is_met,
            );
            if let Some(gone) = times.gone {
                let is_met = gone <= LATEST_GONE;
                print_target(&format!("{name}: gone within {LATEST_GONE:?}"), is_met);
            }
        }
    }
    Ok(())
}

fn modes(database: &str) -> Vec<Mode> {
    match database {
        "postgres" => vec![Mode::Copy, Mode::Portal, Mode::Keyset],
        _ => vec![Mode::Stream, Mode::Keyset],
    }
}

fn request(dsn: &str, mode: Mode) -> Request {
    if mode == Mode::Keyset {
        unspool::rows(dsn, ALL).key("id")
    } else {
        unspool::rows(dsn, IN_ORDER).mode(mode)
    }
}

/// How long the server itself takes for a first row, by a bare client; nothing where there is
/// none here.
fn own_first(
    runtime: &Runtime,
    name: &str,
    database: &Database,
) -> Result<Duration, Box<dyn Error>> {
    if name != "postgres" {
        return Ok(Duration::ZERO);
    }
    runtime.block_on(async {
        let mut times = Vec::new();
        for _ in 0..RUNS {
            let begin = Instant::now();
            let client = client(&database.dsn).await?;
            let copy = format!("copy ({IN_ORDER}) to stdout (format binary)");
            let rows = client.copy_out(&copy).await?;
            let mut rows = std::pin::pin!(rows);
            rows.next().await.ok_or("no row")??;
            times.push(begin.elapsed());
            client.cancel_token().cancel_query(NoTls).await?;
        }
        Ok(median(times))
    })
}

async fn times(name: &str, database: &Database, mode: Mode) -> Result<Times, Box<dyn Error>> {
    let watch = match name {
        "postgres" => Some(client(&database.dsn).await?),
        _ => None,
    };
    let (mut firsts, mut nexts, mut gones) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let begin = Instant::now();
        let mut rows = request(&database.dsn, mode).raw();
        rows.next().await.ok_or("no row")??;
        firsts.push(begin.elapsed());
        for _ in 1..10 {
            rows.next().await.ok_or("no row")??;
        }
        let begin = Instant::now();
        drop(rows);
        let mut next = unspool::rows(&database.dsn, "select 1 as one").raw();
        next.next().await.ok_or("no row")??;
        nexts.push(begin.elapsed());
        if let Some(watch) = &watch {
            let mut rows = request(&database.dsn, mode).raw();
            rows.next().await.ok_or("no row")??;
            let begin = Instant::now();
            drop(rows);
            while is_running(watch).await? {}
            gones.push(begin.elapsed());
        }
    }
    Ok(Times {
        first: median(firsts),
        next: median(nexts),
        gone: (!gones.is_empty()).then(|| median(gones)),
    })
}

async fn is_running(watch: &Client) -> Result<bool, tokio_postgres::Error> {
    let sql = "select 1 from pg_stat_activity where state = 'active' and query like '%orders%' and \
               pid <> pg_backend_pid()";
    Ok(watch.query_opt(sql, &[]).await?.is_some())
}

async fn client(dsn: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(dsn, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
