//! `bench rows`: what it costs to get a million rows of six columns (a whole number, a time, a
//! decimal number, a floating point number, a text and a JSON document) out of a database and
//! onto standard output as lines of JSON: CPU time of the client process, its peak memory, and
//! the ratio to sqlx in the same run. The databases are started for the run, in a temporary
//! folder; `rust-peers` has the programs of sqlx and tokio-postgres, `peers/rows` those of
//! asyncpg, psycopg and ADBC.
//!
//! Each client runs three times; the run with the least CPU time counts.
//!
//! `bench rows memory` measures the peak at ten million rows in each mode, read through and
//! with a reader that stops; `bench rows stop` what comes after an early end, and how soon the
//! first row comes.

mod memory;
mod stop;

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use test_servers::{MariaDb, Postgres};

use crate::figures::{megabytes, print_target};
use crate::process::{Cost, measure};
use crate::programs::{python_of_rows, rust_peers, unspool};

const ROWS: usize = 1_000_000;
const RUNS: usize = 3;

/// The most that a client may have in memory, in megabytes.
const MOST_MEMORY: f64 = 20.0;

/// The statements that make the table with as many rows as replace `ROWS`.
const POSTGRES: &str = "create table orders as select i::int8 as id,
        timestamptz '2024-01-01' + i * interval '1 second' as ts,
        case when i % 10 = 0 then null else (i % 100000)::numeric / 100 end::numeric(12,2) as amount,
        i * 1.1::float8 as price, 'name of row ' || i as name,
        jsonb_build_object('a', i, 'b', repeat('x', 40), 'tags', array['one', 'two']) as payload
    from generate_series(1, ROWS) as i;
    alter table orders add primary key (id);
    analyze orders;";

const MYSQL: &str = "create table orders (id bigint primary key, ts timestamp(6) not null,
        amount decimal(12,2), price double not null, name varchar(40) not null, payload json not null);
    set time_zone = '+00:00';
    insert into orders select seq, timestamp '2024-01-01 00:00:00' + interval seq second,
        if(seq % 10 = 0, null, (seq % 100000) / 100), seq * 1.1, concat('name of row ', seq),
        concat('{\"a\": ', seq, ', \"b\": \"', repeat('x', 40), '\", \"tags\": [\"one\", \"two\"]}')
    from seq_1_to_ROWS;";

const SQLITE: &str = "create table orders (id integer primary key, ts text, amount real, price real,
        name text, payload text);
    with recursive ids (i) as (select 1 union all select i + 1 from ids where i < ROWS)
    insert into orders select i, strftime('%Y-%m-%dT%H:%M:%S+00:00', 1704067200 + i, 'unixepoch'),
        case when i % 10 = 0 then null else (i % 100000) / 100.0 end, i * 1.1, 'name of row ' || i,
        '{\"a\": ' || i || ', \"b\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\", \"tags\": [\"one\", \"two\"]}'
    from ids;";

const IN_ORDER: &str = "select * from orders order by id";
const ALL: &str = "select * from orders";

/// A way to get the rows.
struct Case {
    name: &'static str,
    program: Program,
    arguments: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq)]
enum Program {
    Unspool,
    /// An engine of `rust-peers`.
    Rust(&'static str),
    /// An engine of `peers/rows/rows.py`.
    Python(&'static str),
    /// The database's own shell.
    Shell,
}

/// How much of another one's CPU time a case may take.
struct Target {
    case: &'static str,
    other: &'static str,
    factor: f64,
}

/// The cases of a database, the first of which is what the others are compared with.
struct Table {
    name: &'static str,
    cases: &'static [Case],
    targets: &'static [Target],
}

const TABLES: &[Table] = &[
    Table {
        name: "postgres",
        cases: &[
            case("sqlx", Program::Rust("sqlx-postgres"), &[IN_ORDER]),
            case(
                "tokio-postgres",
                Program::Rust("tokio-postgres"),
                &[IN_ORDER],
            ),
            case("asyncpg", Program::Python("asyncpg"), &[IN_ORDER]),
            case("psycopg", Program::Python("psycopg"), &[IN_ORDER]),
            case("copy", Program::Unspool, &[IN_ORDER]),
            case("portal", Program::Unspool, &[IN_ORDER, "--mode", "portal"]),
            case("keyset", Program::Unspool, &[ALL, "--key", "id"]),
            case(
                "parts",
                Program::Unspool,
                &[ALL, "--key", "id", "--partitions", "4"],
            ),
            case(
                "ADBC + pyarrow to Parquet",
                Program::Python("adbc"),
                &[IN_ORDER, "{out}.parquet"],
            ),
            case(
                "copy to Parquet",
                Program::Unspool,
                &[IN_ORDER, "--to", "{out}.parquet", "--overwrite"],
            ),
        ],
        targets: &[
            target("copy", "sqlx", 0.5),
            target("copy", "asyncpg", 1.0 / 7.0),
            target("portal", "sqlx", 0.75),
            target("keyset", "sqlx", 0.75),
            target("copy to Parquet", "ADBC + pyarrow to Parquet", 1.0),
        ],
    },
    Table {
        name: "mysql",
        cases: &[
            case("sqlx", Program::Rust("sqlx-mysql"), &[IN_ORDER]),
            case("stream", Program::Unspool, &[IN_ORDER]),
            case("keyset", Program::Unspool, &[ALL, "--key", "id"]),
        ],
        targets: &[target("stream", "sqlx", 0.6)],
    },
    Table {
        name: "sqlite",
        cases: &[
            case("sqlx", Program::Rust("sqlx-sqlite"), &[IN_ORDER]),
            case("sqlite3 shell", Program::Shell, &[IN_ORDER]),
            case("stream", Program::Unspool, &[IN_ORDER]),
            case("keyset", Program::Unspool, &[ALL, "--key", "id"]),
        ],
        targets: &[
            target("stream", "sqlx", 0.2),
            target("stream", "sqlite3 shell", 0.65),
        ],
    },
];

const fn case(name: &'static str, program: Program, arguments: &'static [&'static str]) -> Case {
    Case {
        name,
        program,
        arguments,
    }
}

const fn target(case: &'static str, other: &'static str, factor: f64) -> Target {
    Target {
        case,
        other,
        factor,
    }
}

/// Measures all databases, or those that are named, and prints a table for each.
///
/// # Errors
///
/// An argument names nothing, or a run fails.
pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    match arguments.split_first() {
        Some((word, names)) if word == "memory" => memory::run(&named(names)?),
        Some((word, names)) if word == "stop" => stop::run(&named(names)?),
        _ => tables(&named(arguments)?),
    }
}

/// The tables of these names; all where there is none.
fn named(names: &[String]) -> Result<Vec<&'static Table>, Box<dyn Error>> {
    if names.is_empty() {
        return Ok(TABLES.iter().collect());
    }
    let find = |name: &String| TABLES.iter().find(|table| table.name == name);
    let tables = names
        .iter()
        .map(|name| find(name).ok_or("expected `postgres`, `mysql` or `sqlite`"));
    Ok(tables.collect::<Result<_, _>>()?)
}

fn tables(tables: &[&'static Table]) -> Result<(), Box<dyn Error>> {
    let bench = Bench::new()?;
    for table in tables {
        let database = Database::start(table.name, ROWS)?;
        bench.table(table, &database)?;
    }
    Ok(())
}

/// A database with the table.
struct Database {
    dsn: String,
    /// Its address for other clients.
    peer_dsn: String,
    /// Whatever has to stay there meanwhile.
    _kept: Box<dyn std::any::Any>,
}

impl Database {
    fn start(name: &str, rows: usize) -> Result<Self, Box<dyn Error>> {
        let filled = |sql: &str| sql.replace("ROWS", &rows.to_string());
        Ok(match name {
            "postgres" => {
                let server = Postgres::shared()?;
                let dsn = server.database();
                server.psql(&dsn, &filled(POSTGRES));
                Database::new(dsn.clone(), dsn, server)
            }
            "mysql" => {
                let server = MariaDb::shared()?;
                let dsn = server.database();
                server.sql(&dsn, &filled(MYSQL));
                Database::new(dsn.clone(), dsn, server)
            }
            _ => {
                let folder = tempfile::tempdir()?;
                let path = folder.path().join("orders.db");
                rusqlite::Connection::open(&path)?.execute_batch(&filled(SQLITE))?;
                let path = path.to_string_lossy().into_owned();
                Database::new(path.clone(), format!("sqlite://{path}?mode=ro"), folder)
            }
        })
    }

    fn new(dsn: String, peer_dsn: String, kept: impl std::any::Any) -> Self {
        Database {
            dsn,
            peer_dsn,
            _kept: Box::new(kept),
        }
    }
}

struct Bench {
    unspool: PathBuf,
    rust: Result<PathBuf, String>,
    python: Result<PathBuf, String>,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Result<Self, Box<dyn Error>> {
        Ok(Bench {
            unspool: unspool()??,
            rust: rust_peers()?,
            python: python_of_rows()?,
            folder: tempfile::tempdir()?,
        })
    }

    fn table(&self, table: &Table, database: &Database) -> Result<(), Box<dyn Error>> {
        println!(
            "{}: {ROWS} rows; CPU seconds of the client, peak in MB",
            table.name
        );
        println!("| client | CPU | of the first | wall | peak |\n|---|---|---|---|---|");
        let mut costs: Vec<(&str, Cost)> = Vec::new();
        for case in table.cases {
            match self.best(case, database) {
                Ok(cost) => {
                    costs.push((case.name, cost));
                    print_row(case.name, &cost, &costs[0].1);
                }
                Err(why) if case.program != Program::Unspool => {
                    println!("| {} | skipped: {why} | | | |", case.name);
                }
                Err(why) => return Err(why),
            }
        }
        let cost = |name: &str| costs.iter().find(|(case, _)| *case == name);
        for target in table.targets {
            let Target {
                case,
                other,
                factor,
            } = target;
            if let (Some((_, own)), Some((_, of))) = (cost(case), cost(other)) {
                let is_met = own.cpu <= of.cpu.mul_f64(*factor);
                print_target(&format!("{case} at {factor:.2} of {other}"), is_met);
            }
        }
        for case in table.cases.iter().filter(|case| case.writes_lines()) {
            if let Some((name, cost)) = cost(case.name) {
                let is_met = megabytes(cost.peak) <= MOST_MEMORY;
                print_target(&format!("{name} in {MOST_MEMORY} MB"), is_met);
            }
        }
        Ok(())
    }

    /// The best of some runs, the output of which has all rows.
    fn best(&self, case: &Case, database: &Database) -> Result<Cost, Box<dyn Error>> {
        let out = self.folder.path().join("out");
        let mut costs = Vec::new();
        for _ in 0..RUNS {
            costs.push(measure(&mut self.command(case, database)?, &out)?);
            if case.has_lines() {
                let lines = lines(&out)?;
                if lines != ROWS {
                    return Err(format!("`{}` gave {lines} rows", case.name).into());
                }
            }
        }
        Cost::best(&costs).ok_or_else(|| "no run".into())
    }

    fn command(&self, case: &Case, database: &Database) -> Result<Command, String> {
        let out = self.folder.path().join("out");
        let arguments =
            (case.arguments.iter()).map(|word| word.replace("{out}", &out.to_string_lossy()));
        let mut command = match case.program {
            Program::Unspool => {
                let mut command = Command::new(&self.unspool);
                command.args(["rows", &database.dsn, "--quiet"]);
                command
            }
            Program::Rust(engine) => {
                let mut command = Command::new(self.rust.clone()?.join("rows"));
                command.args([engine, &database.peer_dsn]);
                command
            }
            Program::Python(engine) => {
                let mut command = Command::new(self.python.clone()?);
                command.args(["rows/rows.py", engine, &database.peer_dsn]);
                command.current_dir(crate::programs::PEERS);
                command
            }
            Program::Shell => {
                let mut command = Command::new("sqlite3");
                command.args(["-readonly", &database.dsn]);
                command
            }
        };
        command.args(arguments);
        Ok(command)
    }
}

impl Case {
    /// Whether its output is a line for each row.
    fn has_lines(&self) -> bool {
        !self.arguments.contains(&"{out}.parquet")
    }

    /// Whether it is ours, and promises to take little memory.
    fn writes_lines(&self) -> bool {
        self.program == Program::Unspool && self.has_lines()
    }
}

fn print_row(name: &str, cost: &Cost, first: &Cost) {
    let cpu = cost.cpu.as_secs_f64();
    println!(
        "| {name} | {cpu:.2} | {:.2} | {:.2} | {:.0} |",
        cpu / first.cpu.as_secs_f64(),
        cost.wall.as_secs_f64(),
        megabytes(cost.peak)
    );
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
