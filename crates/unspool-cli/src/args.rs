//! Flags that every command has.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use unspool::Rate;

use crate::account::Gathered;
use crate::network::Network;
use crate::{expand, flags};

/// How far to go, and what to say.
#[derive(clap::Args, Default)]
pub(crate) struct Common {
    /// Stop after N items, without asking for more than they need.
    #[arg(long, value_name = "N", alias = "limit")]
    pub(crate) take: Option<u64>,

    /// Write the items to TARGET, such as `posts.jsonl.zst`; `--help` has what there is.
    ///
    /// `-`, which is the default, is standard output.
    #[arg(short = 'o', long, value_name = "TARGET", alias = "output")]
    pub(crate) to: Option<String>,

    /// Keep in FILE how far the target is, and resume there.
    ///
    /// The same command again goes on after what is durable, however it ended before. Tables
    /// need no such file.
    #[arg(long, value_name = "FILE", requires = "to")]
    pub(crate) state: Option<PathBuf>,

    /// The same with a file beside the target, `TARGET.state`.
    #[arg(long, requires = "to", conflicts_with = "state")]
    pub(crate) resume: bool,

    /// Make what came durable every TIME; by default every second.
    ///
    /// Or, where items flow fast, after 128 MiB; both are more for Parquet.
    #[arg(long, value_name = "TIME", requires = "to", value_parser = flags::duration)]
    pub(crate) checkpoint: Option<Duration>,

    /// Replace what the target holds, and start over.
    #[arg(long, requires = "to")]
    pub(crate) overwrite: bool,

    /// Stop with an error after TIME, retries included.
    ///
    /// By default there is no limit.
    #[arg(long, alias = "max-time", value_name = "TIME", value_parser = flags::duration)]
    pub(crate) deadline: Option<Duration>,

    /// Show no progress and no closing sentence.
    ///
    /// Errors and doubts are shown all the same.
    #[arg(short, long, alias = "silent")]
    pub(crate) quiet: bool,

    /// Write the account as JSON to FILE; `-` is standard error.
    ///
    /// At the end; FILE keeps what it holds until then.
    #[arg(long, value_name = "FILE")]
    pub(crate) account: Option<PathBuf>,

    /// Send spans of what is done to a collector of OpenTelemetry (OTLP over HTTP).
    ///
    /// Such as `http://localhost:4318`; `env` is what OTEL_EXPORTER_OTLP_ENDPOINT says. Without
    /// credentials; a collector that is not there holds up nothing.
    #[arg(long, value_name = "URL")]
    pub(crate) trace_to: Option<String>,

    /// Write this as a pull of that name to `pulls.toml`, and send nothing.
    ///
    /// `unspool run` runs it. Credentials are to be named, as `'${TOKEN}'` or `@FILE`.
    #[arg(long, value_name = "NAME", help_heading = "Pulls in a file")]
    pub(crate) save: Option<String>,

    /// Where the account goes in its place, as one of several.
    #[arg(skip)]
    pub(crate) gathered: Option<Gathered>,
}

impl Common {
    /// Where the state is kept.
    pub(crate) fn state(&self) -> Option<PathBuf> {
        match (&self.state, &self.to) {
            (Some(path), _) => Some(path.clone()),
            (None, Some(target)) if self.resume => Some(format!("{target}.state").into()),
            _ => None,
        }
    }
}

/// How items become rows of a table.
#[derive(clap::Args, Default)]
pub(crate) struct TableArgs {
    #[command(flatten)]
    pub(crate) row: RowKey,

    /// Take the columns of a table from FILE.
    ///
    /// A JSON Schema, or lines of `name type`; by default they are found from the items.
    #[arg(long, value_name = "FILE", requires = "to")]
    pub(crate) schema: Option<PathBuf>,
}

/// Which rows of a table are the same.
#[derive(clap::Args, Default)]
pub(crate) struct RowKey {
    /// Replace a row of the same NAME by the later one.
    ///
    /// In tables; may be given several times, or with commas.
    #[arg(long, value_name = "NAME", requires = "to", value_delimiter = ',')]
    pub(crate) key: Vec<String>,
}

/// What is added to a URL.
#[derive(clap::Args)]
pub(crate) struct Query {
    /// Add a parameter to the query of URL; may be given several times.
    ///
    /// NAME and VALUE as they are: what a URL cannot hold is encoded.
    #[arg(long, value_name = "NAME=VALUE")]
    query: Vec<String>,
}

impl Query {
    /// The URL with the parameters.
    pub(crate) fn add_to(&self, address: String) -> Result<String, String> {
        if self.query.is_empty() {
            return Ok(address);
        }
        let mut url = Url::parse(&address).map_err(|error| format!("expected a URL: {error}"))?;
        for parameter in &self.query {
            let (name, value) = (parameter.split_once('='))
                .ok_or_else(|| format!("--query: expected `NAME=VALUE`, found `{parameter}`"))?;
            url.query_pairs_mut()
                .append_pair(name, &expand::value(value)?);
        }
        Ok(url.into())
    }
}

/// How requests are sent.
#[derive(clap::Args)]
pub(crate) struct HttpArgs {
    /// Send a header; may be given several times.
    ///
    /// It goes where credentials go. `@FILE` has one a line. `${NAME}` is replaced by a
    /// variable of the environment.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,

    /// Repeat a request up to N times after a transient failure.
    ///
    /// Such are: no connection, no answer, or status 408, 429 or 5xx; in an answer of a model
    /// only before its first word.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) retries: usize,

    /// Send requests no faster than, for example, `10/s` or `600/m`.
    ///
    /// What the upstream says of its limits is obeyed in any case.
    #[arg(long, value_name = "N/UNIT")]
    pub(crate) rate: Option<Rate>,

    /// Wait no longer than TIME while the upstream is silent.
    ///
    /// A number of seconds, or one with a unit: `500ms`, `30`, `2m`. By default 30 seconds, and
    /// in an answer of a model, where pings count as life, 60. What is no item and no part of an
    /// answer, such as pings, counts as life for 30 times as long.
    #[arg(long, value_name = "TIME", value_parser = flags::duration)]
    pub(crate) timeout: Option<Duration>,

    #[command(flatten)]
    pub(crate) network: Network,
}
