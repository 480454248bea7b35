//! `bench rows`: what it costs to get a million rows of six columns (a whole number, a time, a
//! decimal number, a floating point number, a text and a JSON document) out of a database and
//! onto standard output as lines of JSON: CPU time of the client process, its peak memory, and
//! the ratio to sqlx in the same run. The databases are started for the run, in a temporary
//! folder; `rust-peers` has the programs of sqlx and tokio-postgres.
//!
//! Each client runs three times; the run with the least CPU time counts. What other clients
//! take is measured with the same table by hand, for example:
//!
//! ```text
//! python -c 'import asyncio, asyncpg, …'   # asyncpg: conn.cursor(sql, prefetch=1000) in a transaction
//! sqlite3 -readonly FILE 'select * from orders'
//! psql DSN -c 'copy (select * from orders order by id) to stdout'
//! ```

use std::error::Error;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use test_servers::{MariaDb, Postgres};

use crate::figures::{megabytes, print_target};
use crate::process::{Cost, measure};
use crate::programs::{rust_peers, unspool};

const ROWS: usize = 1_000_000;
const RUNS: usize = 3;

/// The most that a client may have in memory, in megabytes.
const MOST_MEMORY: f64 = 20.0;

const POSTGRES: &str = "create table orders as select i::int8 as id,
        timestamptz '2024-01-01' + i * interval '1 second' as ts,
        case when i % 10 = 0 then null else (i % 100000)::numeric / 100 end::numeric(12,2) as amount,
        i * 1.1::float8 as price, 'name of row ' || i as name,
        jsonb_build_object('a', i, 'b', repeat('x', 40), 'tags', array['one', 'two']) as payload
    from generate_series(1, 1000000) as i;
    alter table orders add primary key (id);
    analyze orders;";

const MYSQL: &str = "create table orders (id bigint primary key, ts timestamp(6) not null,
        amount decimal(12,2), price double not null, name varchar(40) not null, payload json not null);
    insert into orders select seq, timestamp '2024-01-01' + interval seq second,
        if(seq % 10 = 0, null, (seq % 100000) / 100), seq * 1.1, concat('name of row ', seq),
        concat('{\"a\": ', seq, ', \"b\": \"', repeat('x', 40), '\", \"tags\": [\"one\", \"two\"]}')
    from seq_1_to_1000000;";

const SQLITE: &str = "create table orders (id integer primary key, ts text, amount real, price real,
        name text, payload text);
    with recursive ids (i) as (select 1 union all select i + 1 from ids where i < 1000000)
    insert into orders select i, strftime('%Y-%m-%dT%H:%M:%S+00:00', 1704067200 + i, 'unixepoch'),
        case when i % 10 = 0 then null else (i % 100000) / 100.0 end, i * 1.1, 'name of row ' || i,
        '{\"a\": ' || i || ', \"b\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\", \"tags\": [\"one\", \"two\"]}'
    from ids;";

const IN_ORDER: &str = "select * from orders order by id";
const ALL: &str = "select * from orders";

/// A way to get the rows, and how much of sqlx's CPU time it may take.
struct Case {
    name: &'static str,
    program: Program,
    arguments: &'static [&'static str],
    target: Option<f64>,
}

#[derive(Clone, Copy, PartialEq)]
enum Program {
    Unspool,
    /// An engine of `rust-peers`.
    Peer(&'static str),
    /// The database's own shell.
    Shell,
}

/// The first of each is what the others are compared with.
const POSTGRES_CASES: &[Case] = &[
    peer("sqlx", "sqlx-postgres", &[IN_ORDER]),
    peer("tokio-postgres", "tokio-postgres", &[IN_ORDER]),
    ours("copy", &[IN_ORDER], Some(0.5)),
    ours("portal", &[IN_ORDER, "--mode", "portal"], Some(0.75)),
    ours("keyset", &[ALL, "--key", "id"], Some(0.75)),
    ours("parts", &[ALL, "--key", "id", "--partitions", "4"], None),
    ours(
        "Parquet by Arrow",
        &[IN_ORDER, "--to", "{out}.parquet", "--overwrite"],
        None,
    ),
];

const MYSQL_CASES: &[Case] = &[
    peer("sqlx", "sqlx-mysql", &[IN_ORDER]),
    ours("stream", &[IN_ORDER], Some(0.6)),
    ours("keyset", &[ALL, "--key", "id"], None),
];

const SQLITE_CASES: &[Case] = &[
    peer("sqlx", "sqlx-sqlite", &[IN_ORDER]),
    Case {
        program: Program::Shell,
        ..peer("sqlite3 shell", "", &[IN_ORDER])
    },
    ours("stream", &[IN_ORDER], Some(0.2)),
    ours("keyset", &[ALL, "--key", "id"], None),
];

const fn ours(name: &'static str, arguments: &'static [&'static str], target: Option<f64>) -> Case {
    Case {
        name,
        program: Program::Unspool,
        arguments,
        target,
    }
}

const fn peer(
    name: &'static str,
    engine: &'static str,
    arguments: &'static [&'static str],
) -> Case {
    Case {
        name,
        program: Program::Peer(engine),
        arguments,
        target: None,
    }
}

/// Measures all databases, or those that are named, and prints a table for each.
///
/// # Errors
///
/// An argument names nothing, or a run fails.
pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let names = ["postgres", "mysql", "sqlite"];
    if let Some(word) = arguments
        .iter()
        .find(|word| !names.contains(&word.as_str()))
    {
        return Err(format!("no database `{word}`; there are `{}`", names.join("`, `")).into());
    }
    let is_named = |name: &str| arguments.is_empty() || arguments.iter().any(|word| word == name);
    let folder = std::env::temp_dir().join(format!("unspool-rows-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let bench = Bench {
        unspool: unspool()??,
        peers: rust_peers()?,
        folder: folder.clone(),
    };
    let result = bench.databases(is_named);
    fs::remove_dir_all(&folder)?;
    result
}

struct Bench {
    unspool: PathBuf,
    peers: Result<PathBuf, String>,
    folder: PathBuf,
}

impl Bench {
    fn databases(&self, is_named: impl Fn(&str) -> bool) -> Result<(), Box<dyn Error>> {
        if is_named("postgres") {
            let server = Postgres::shared()?;
            let dsn = server.database();
            server.psql(&dsn, POSTGRES);
            self.table("PostgreSQL", &dsn, &dsn, POSTGRES_CASES)?;
        }
        if is_named("mysql") {
            let server = MariaDb::shared()?;
            let dsn = server.database();
            server.sql(&dsn, MYSQL);
            self.table("MariaDB", &dsn, &dsn, MYSQL_CASES)?;
        }
        if is_named("sqlite") {
            let file = self.folder.join("orders.db");
            rusqlite::Connection::open(&file)?.execute_batch(SQLITE)?;
            let path = file.to_string_lossy();
            self.table(
                "SQLite",
                &path,
                &format!("sqlite://{path}?mode=ro"),
                SQLITE_CASES,
            )?;
        }
        Ok(())
    }

    fn table(
        &self,
        name: &str,
        dsn: &str,
        peer_dsn: &str,
        cases: &[Case],
    ) -> Result<(), Box<dyn Error>> {
        println!("{name}: {ROWS} rows; CPU seconds of the client, peak in MB");
        println!("| client | CPU | of the first | wall | peak |\n|---|---|---|---|---|");
        let mut first = None;
        let mut targets = Vec::new();
        for case in cases {
            let cost = match self.best(case, dsn, peer_dsn) {
                Ok(cost) => cost,
                Err(why) if case.program != Program::Unspool => {
                    println!("| {} | skipped: {why} | | | |", case.name);
                    continue;
                }
                Err(why) => return Err(why),
            };
            let cpu = cost.cpu.as_secs_f64();
            let ratio = cpu / *first.get_or_insert(cpu);
            let (wall, peak) = (cost.wall.as_secs_f64(), megabytes(cost.peak));
            println!(
                "| {} | {cpu:.2} | {ratio:.2} | {wall:.2} | {peak:.0} |",
                case.name
            );
            if let Some(target) = case.target {
                targets.push((
                    format!("{} at {target} of the first", case.name),
                    ratio <= target,
                ));
            }
            let is_lines = case.program == Program::Unspool && !case.arguments.contains(&"--to");
            if is_lines {
                let text = format!("{} in {MOST_MEMORY} MB", case.name);
                targets.push((text, peak <= MOST_MEMORY));
            }
        }
        for (text, is_met) in targets {
            print_target(&text, is_met);
        }
        Ok(())
    }

    /// The best of some runs, the output of which has all rows.
    fn best(&self, case: &Case, dsn: &str, peer_dsn: &str) -> Result<Cost, Box<dyn Error>> {
        let out = self.folder.join("out");
        let mut costs = Vec::new();
        for _ in 0..RUNS {
            costs.push(measure(&mut self.command(case, dsn, peer_dsn)?, &out)?);
            let is_file = case.arguments.contains(&"--to");
            let lines = if is_file { ROWS } else { lines(&out)? };
            if lines != ROWS {
                return Err(format!("`{}` gave {lines} rows", case.name).into());
            }
        }
        Cost::best(&costs).ok_or_else(|| "no run".into())
    }

    fn command(&self, case: &Case, dsn: &str, peer_dsn: &str) -> Result<Command, String> {
        let out = self.folder.join("out");
        let arguments =
            (case.arguments.iter()).map(|word| word.replace("{out}", &out.to_string_lossy()));
        let mut command = match case.program {
            Program::Unspool => {
                let mut command = Command::new(&self.unspool);
                command.args(["rows", dsn, "--quiet"]);
                command
            }
            Program::Peer(engine) => {
                let mut command = Command::new(self.peers.clone()?.join("rows"));
                command.args([engine, peer_dsn]);
                command
            }
            Program::Shell => {
                let mut command = Command::new("sqlite3");
                command.args(["-readonly", dsn]);
                command
            }
        };
        command.args(arguments);
        Ok(command)
    }
}

/// How many lines a file has. It is not read whole: what this process has in memory would
/// count as the next client's.
fn lines(path: &Path) -> Result<usize, Box<dyn Error>> {
    let mut file = File::open(path)?;
    let (mut buffer, mut lines) = (vec![0; 1 << 16], 0);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(lines),
            length => lines += memchr::memchr_iter(b'\n', &buffer[..length]).count(),
        }
    }
}
