//! `unspool run`: the pulls of a file, one after the other.

use std::path::PathBuf;

use clap::Parser;
use serde_json::json;
use tracing::{Instrument, info_span};
use unspool::{Error, ask, events, pages, rows};

use super::{FILE, Pull, Pulls};
use crate::account::{AccountFile, Gathered};
use crate::args::{Common, RowKey, TableArgs};
use crate::ask::Form;
use crate::exit::Exit;
use crate::output::{Output, line};
use crate::pull::account_file;
use crate::report;
use crate::report::pages::{AUTO, PagesReport};
use crate::report::rows::RowsReport;

#[derive(Parser)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Where the pulls stand.
    #[arg(default_value = FILE)]
    file: PathBuf,

    /// Run these only; by default all, in the order of the file.
    names: Vec<String>,

    /// Replace what the targets hold, and start over.
    #[arg(long)]
    overwrite: bool,

    /// Show no progress and no closing sentences.
    ///
    /// Errors and doubts are shown all the same.
    #[arg(short, long, alias = "silent")]
    quiet: bool,

    /// Write one account of all pulls as JSON to FILE; `-` is standard error.
    #[arg(long, value_name = "FILE")]
    account: Option<PathBuf>,

    /// Send spans of what is done to a collector of OpenTelemetry (OTLP over HTTP).
    ///
    /// Such as `http://localhost:4318`; `env` is what OTEL_EXPORTER_OTLP_ENDPOINT says.
    #[arg(long, value_name = "URL")]
    pub(crate) trace_to: Option<String>,
}

const HELP: &str = "\
Each table of the file is a pull:

  [posts]
  to = \"posts.parquet\"             # as `--to` takes it; by default standard output
  resume = true                    # or state = \"FILE\"
  key = [\"id\"]                     # and schema, take, checkpoint, deadline, as the flags
  [posts.from]
  source = \"pages\"                 # or ask, events, rows
  url = \"https://api.example.com/posts\"
  http.bearer = \"${API_TOKEN}\"     # credentials by name, from the environment or `@FILE`

`--save NAME` with the flags of a pull writes such a table. One that fails holds up none of the
others; the exit code is 0 if all are complete, and else that of the first that is not.";

/// Runs the pulls that are named.
pub(crate) async fn run(args: Args) -> Exit {
    let pulls = match Pulls::of_file(&args.file).and_then(|pulls| pulls.named(&args.names)) {
        Ok(pulls) => pulls,
        Err(message) => {
            report::problem(&message);
            return Exit::WrongRequest;
        }
    };
    let common = Common {
        account: args.account,
        ..Common::default()
    };
    let account = match account_file(&common).await {
        Ok(account) => account,
        Err(exit) => return exit,
    };
    let gathered = Gathered::default();
    let mut exits = Vec::new();
    for (name, pull) in pulls {
        if !args.quiet {
            report::problem(&format!("pull `{name}`"));
        }
        let common = pull.common(args.overwrite, args.quiet, gathered.named(&name));
        let span = info_span!(target: "unspool::pull", "pull", otel.name = name.as_str());
        let exit = pull.run(&common).instrument(span).await;
        exits.push((name, exit));
        if exit == Exit::Interrupted {
            break;
        }
    }
    conclude(&exits, args.quiet, &gathered, account)
}

impl Pull {
    /// How far to go, and where the items go.
    fn common(&self, overwrite: bool, quiet: bool, gathered: Gathered) -> Common {
        Common {
            take: self.take,
            to: self.to.clone(),
            state: self.state.clone(),
            resume: self.resume,
            checkpoint: self.checkpoint.map(|time| time.0),
            overwrite: overwrite && self.to.is_some(),
            deadline: self.deadline.map(|time| time.0),
            quiet,
            gathered: Some(gathered),
            ..Common::default()
        }
    }

    /// Refuses what has no meaning without a target, as the flags do.
    fn check(&self) -> Result<(), Error> {
        let of_target = [
            ("state", self.state.is_some()),
            ("resume", self.resume),
            ("key", !self.key.is_empty()),
            ("schema", self.schema.is_some()),
            ("checkpoint", self.checkpoint.is_some()),
        ];
        let given = of_target.into_iter().find(|(_, is_given)| *is_given);
        match given {
            Some((name, _)) if self.to.is_none() => Err(Error::wrong(format!(
                "`{name}` needs a target, which `to` names"
            ))),
            _ if self.resume && self.state.is_some() => Err(Error::wrong(
                "`state` and `resume` exclude each other".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    async fn run(self, common: &Common) -> Exit {
        match self.begin(common).await {
            Ok(exit) => exit,
            Err(error) => {
                let message = error.to_string();
                report::problem(&message);
                let file = common.gathered.clone().unwrap_or_default();
                AccountFile::Gathered(file).write(json!({}), Some(&message), Exit::WrongRequest)
            }
        }
    }

    /// Runs it by the command of its source. To add one: a line here.
    async fn begin(self, common: &Common) -> Result<Exit, Error> {
        self.check()?;
        let table = TableArgs {
            row: RowKey { key: self.key },
            schema: self.schema,
        };
        let mut output = Output::stdout();
        Ok(match self.from.source() {
            "pages" => {
                let pages: pages::Description = self.from.own()?;
                let report = PagesReport {
                    explains: false,
                    is_auto: pages.paginate.as_deref().is_none_or(|kind| kind == AUTO),
                    items_of_object: pages.items_of_object.clone(),
                };
                let request = pages.request()?;
                crate::pages::walk(request, common, &table, &mut output, &report, line).await
            }
            "ask" => {
                let ask: ask::Description = self.from.own()?;
                let form = match &ask.items {
                    Some(pointer) => Form::Items(pointer.parse()?),
                    None => Form::Text,
                };
                let (request, identity) = (ask.request()?, ask.identity());
                if let Some(each) = &ask.each {
                    let each = each.of(request)?;
                    let same = (identity, &*table.row.key);
                    return Ok(crate::ask::each::answer(each, same, common, output).await);
                }
                crate::ask::answer(request, identity, form, common, table.row, output).await
            }
            "events" => {
                let events: events::Description = self.from.own()?;
                crate::events::follow(events.request()?, common, &table, &mut output).await
            }
            "rows" => {
                let rows: rows::Description = self.from.own()?;
                let resumes = !rows.key.is_empty();
                let report = RowsReport { explains: false };
                let mut request = rows.request()?;
                if let Some(count) = rows.partitions {
                    request = request.partitions(count);
                }
                crate::rows::fetch(request, resumes, common, &table, &mut output, &report).await
            }
            // Which the description itself refuses, with those that there are.
            _ => return self.from.open(None).map(|_| Exit::WrongRequest),
        })
    }
}

/// Says how all ended, and writes their account.
fn conclude(exits: &[(String, Exit)], quiet: bool, gathered: &Gathered, file: AccountFile) -> Exit {
    let ended_otherwise = exits.iter().filter(|(_, exit)| *exit != Exit::Complete);
    let first = ended_otherwise.clone().map(|(_, exit)| *exit).next();
    let names: Vec<_> = ended_otherwise
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    if !quiet {
        let complete = exits.len() - names.len();
        let others = match names.as_slice() {
            [] => String::new(),
            names => format!("; not {}", names.join(", ")),
        };
        let pulls = report::count(exits.len() as u64, "pull");
        report::problem(&format!("{complete} of {pulls} complete{others}"));
    }
    let exit = match exits.last() {
        Some((_, Exit::Interrupted)) => Exit::Interrupted,
        _ => first.unwrap_or(Exit::Complete),
    };
    file.write(json!({"pulls": gathered.take()}), None, exit)
}
