//! `unspool rows`.

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use unspool::rows::{Mode, Param, Request};

use crate::args::{Common, RowKey, TableArgs};
use crate::destination::{self, Content, Destination};
use crate::exit::Exit;
use crate::expand;
use crate::flags;
use crate::output::{Output, line};
use crate::pull::{AsArrow, pull};
use crate::report::{self, rows::RowsReport};

#[derive(Parser)]
#[command(after_long_help = after_long_help())]
pub(crate) struct Args {
    /// Where the database is; `--help` has the forms.
    ///
    /// `${NAME}` is replaced by a variable of the environment.
    dsn: String,

    /// The statement; `@FILE` reads it from a file.
    ///
    /// `-`, or nothing, is what comes on standard input.
    #[arg(value_parser = flags::text)]
    sql: Option<String>,

    /// Take all rows of a table, in the place of SQL.
    #[arg(long, value_name = "NAME", conflicts_with = "sql")]
    table: Option<String>,

    /// Give the statement's next parameter a value; may be given several times.
    ///
    /// A number, `true`, `false`, `null`, a text in double quotes as in JSON, or any other text as it
    /// stands. `${NAME}` is replaced by a variable of the environment, `@FILE` by what is in a file.
    #[arg(long = "param", value_name = "VALUE")]
    params: Vec<String>,

    /// Fetch by key: columns that tell the rows apart, and order them.
    ///
    /// Such as `id` or `day,id`. In short statements, each after the last row of the one before, so
    /// that a lost connection is made again and the query resumes.
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    key: Vec<String>,

    /// Begin at VALUE of the key's first column, where it does not resume.
    #[arg(long, value_name = "VALUE", requires = "key")]
    since: Option<String>,

    /// Begin so much before that, for rows that came late.
    ///
    /// A number for a key of numbers, an interval such as `1 hour` for a key of times.
    #[arg(long, value_name = "AMOUNT", requires = "key")]
    overlap: Option<String>,

    /// Read N ranges of the key side by side.
    ///
    /// They are about equal by the statistics of PostgreSQL, and between the least and the greatest
    /// whole number elsewhere. A `--table` of PostgreSQL is cut by its blocks where there is no key.
    /// All see PostgreSQL in one state; rows come as they arrive.
    #[arg(long, value_name = "N")]
    partitions: Option<NonZeroUsize>,

    /// Read up to N of the partitions at a time; all of them by default.
    #[arg(long, value_name = "N", requires = "partitions")]
    in_flight: Option<NonZeroUsize>,

    /// Fetch up to N rows at a time.
    ///
    /// And up to about 1 MiB of them.
    #[arg(long, value_name = "N", default_value = "8192")]
    batch: NonZeroUsize,

    /// Fetch by MODE: `copy`, `portal` or `keyset`.
    ///
    /// By default what the statement allows and costs least.
    #[arg(long, value_name = "MODE", value_parser = mode)]
    mode: Option<Mode>,

    /// Let the statement change the database.
    ///
    /// As `insert … returning` does. By default the database is opened to be read only.
    #[arg(long)]
    write: bool,

    /// Say how the rows were fetched, and why so.
    #[arg(long)]
    explain: bool,

    /// Connect again up to N times in a row after a transient failure.
    ///
    /// Once rows have come, only with a key.
    #[arg(long, value_name = "N", default_value_t = 5)]
    retries: usize,

    /// Wait no longer than TIME for a connection, or for a lock of SQLite.
    ///
    /// How long the statement may take is up to `--deadline`.
    #[arg(long, value_name = "TIME", default_value = "30", value_parser = flags::duration)]
    timeout: Duration,

    /// Replace a row of the same key by the later one.
    ///
    /// In tables, as for rows that come again within `--overlap`.
    #[arg(long, requires = "key", requires = "to")]
    upsert: bool,

    /// Take the columns of a table from FILE.
    ///
    /// A JSON Schema, or lines of `name type`; by default they are found from the rows.
    #[arg(long, value_name = "FILE", requires = "to")]
    schema: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) common: Common,
}

/// Pulls the rows of a query to `output`.
pub(crate) async fn run(args: Args, output: &mut Output) -> Exit {
    let request = match request(&args) {
        Ok(request) => request,
        Err(message) => {
            report::problem(&message);
            return Exit::WrongRequest;
        }
    };
    let upserted = args.key.iter().filter(|_| args.upsert);
    let table = TableArgs {
        row: RowKey {
            key: upserted.cloned().collect(),
        },
        schema: args.schema,
    };
    let report = RowsReport {
        explains: args.explain,
    };
    // Without a key nothing says which rows are there already.
    let resumes = !args.key.is_empty();
    fetch(request, resumes, &args.common, &table, output, &report).await
}

/// Pulls the rows of a request to `output`.
pub(crate) async fn fetch(
    mut request: Request,
    resumes: bool,
    common: &Common,
    table: &TableArgs,
    output: &mut Output,
    report: &RowsReport,
) -> Exit {
    let content = match Content::of_items(Ok(request.identity()), table) {
        Ok(content) => Content { resumes, ..content },
        Err(exit) => return exit,
    };
    let destination = match Destination::open(common, content, output).await {
        Ok(destination) => destination,
        Err(exit) => return exit,
    };
    if let Some(position) = destination.begun().position {
        request = request.from(position);
    }
    if let Some(take) = common.take {
        request = request.take(take.saturating_sub(destination.begun().items));
    }
    // Chosen once for the whole run.
    if destination.takes_arrow() {
        pull(request.batches(), common, destination, report, AsArrow).await
    } else {
        pull(request.raw(), common, destination, report, line).await
    }
}

fn request(args: &Args) -> Result<Request, String> {
    let dsn = expand::address(&args.dsn)?;
    let mut request = match &args.table {
        Some(table) => unspool::rows::table(dsn, table),
        None => unspool::rows(dsn, sql(args)?),
    };
    for param in &args.params {
        request = request.bind(Param::parse(&expand::value(param)?));
    }
    request = (args.key.iter()).fold(request, Request::key);
    if let Some(since) = &args.since {
        request = request.since(Param::parse(since));
    }
    if let Some(overlap) = &args.overlap {
        request = request.overlap(overlap);
    }
    if let Some(mode) = args.mode {
        request = request.mode(mode);
    }
    if args.write {
        request = request.allow_writes();
    }
    if let Some(partitions) = args.partitions {
        request = request.partitions(partitions);
    }
    if let Some(in_flight) = args.in_flight {
        request = request.in_flight(in_flight);
    }
    let request = request
        .batch(args.batch)
        .retries(args.retries)
        .timeout(args.timeout);
    Ok(request)
}

/// The statement, from the argument or from standard input.
fn sql(args: &Args) -> Result<String, String> {
    if let Some(sql) = args.sql.as_deref().filter(|sql| *sql != "-") {
        return Ok(sql.to_owned());
    }
    if std::io::stdin().is_terminal() {
        return Err("there is no statement: give SQL or `--table NAME`, or pipe it in".to_owned());
    }
    flags::text_of(std::io::stdin().lock(), "standard input")
}

fn mode(text: &str) -> Result<Mode, String> {
    let modes = [Mode::Copy, Mode::Portal, Mode::Keyset, Mode::Stream];
    (modes.into_iter().find(|mode| mode.to_string() == text))
        .ok_or_else(|| "expected `copy`, `portal`, `keyset` or `stream`".to_owned())
}

fn after_long_help() -> String {
    format!("{DSNS}\n\n{}\n\n{}", destination::help(), crate::exit::HELP)
}

const DSNS: &str = "\
Databases:
  sqlite:FILE, or a FILE whose name ends in .db, .db3, .sqlite or .sqlite3
          SQLite
  postgres://USER@HOST/NAME, or `host=… dbname=… sslmode=…`
          PostgreSQL; what is not said comes from `PGHOST` and its kin, `~/.pgpass` and service
          files, as for psql
  mysql://USER@HOST/NAME
          MySQL and MariaDB; the password comes from `MYSQL_PWD` where it is not said";
