//! `unspool pages`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use futures_util::{FutureExt, StreamExt};
use serde_json::Value;
use tokio::time::MissedTickBehavior;
use unspool::pages::{Doubt, Ended, Pages, Paginate, RawItem};
use unspool::{Error, Pointer, Rate};

use crate::account::AccountFile;
use crate::credentials::Credentials;
use crate::exit::Exit;
use crate::expand;
use crate::flags;
use crate::output::{LAST_FLUSH, Output, Stop};
use crate::report::{self, Progress};

/// How often the progress line is renewed while items flow.
const ITEMS_PER_UPDATE: u64 = 4096;

/// The kind that the first page decides.
const AUTO: &str = "auto";

#[derive(Parser)]
#[command(after_long_help = after_long_help())]
pub(crate) struct Args {
    /// Where the first page is.
    url: String,

    /// Stop after N items, without asking for a page that they do not need.
    #[arg(long, value_name = "N")]
    take: Option<u64>,

    /// Where in a page the array of items is, as a JSON pointer (RFC 6901) such as
    /// `/data/items`; `` is the whole page. By default it is found.
    #[arg(long, value_name = "POINTER")]
    items: Option<Pointer>,

    /// How to get to the next page; by default the first page decides. The kinds
    /// are listed below.
    #[arg(long, value_name = "KIND", default_value = AUTO, hide_default_value = true, value_parser = paginate)]
    paginate: String,

    /// A JSON document to send, which makes the requests `POST`s; `@FILE` reads it from a
    /// file, `@-` from standard input.
    #[arg(short, long, value_name = "JSON", value_parser = flags::json)]
    data: Option<Value>,

    /// Read up to N pages at a time, where their requests can be told before; their
    /// items come in order.
    #[arg(long, value_name = "N", default_value = "1", hide_default_value = true)]
    in_flight: NonZeroUsize,

    /// Leave out items whose value at POINTER has come before, such as `/id`; the last
    /// million are remembered.
    #[arg(long, value_name = "POINTER")]
    unique: Option<Pointer>,

    /// Say at the end what was tried to find the next page, and what came of it.
    #[arg(long)]
    explain: bool,

    /// How often to repeat a request that failed in a way that may pass: no
    /// connection, no answer, or status 408, 429 or 5xx.
    #[arg(long, value_name = "N", default_value_t = 5)]
    retries: usize,

    /// How fast requests may follow each other, such as `10/s`, `600/m` or `100/h`.
    /// What the upstream says of its limits is obeyed in any case.
    #[arg(long, value_name = "N/UNIT")]
    rate: Option<Rate>,

    /// The longest silence of the upstream, in seconds, or with a unit: `500ms`, `2m`.
    #[arg(long, value_name = "TIME", default_value = "30", value_parser = flags::duration)]
    timeout: Duration,

    /// The largest item, and the largest text around the items of a page, in bytes.
    #[arg(long, value_name = "SIZE", default_value = "16M", value_parser = flags::bytes)]
    max_item: usize,

    /// Show no progress and no closing sentence, only errors and doubts.
    #[arg(short, long)]
    quiet: bool,

    /// Write the account as JSON to FILE at the end; `-` is standard error, as
    /// standard output holds items only.
    #[arg(long, value_name = "FILE")]
    account: Option<PathBuf>,

    #[command(flatten)]
    credentials: Credentials,
}

impl Args {
    /// How many pages may be read at a time.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.get()
    }
}

/// Pulls the items of an API to `output`.
pub(crate) async fn run(args: Args, output: &mut Output) -> Exit {
    let opened = AccountFile::open(args.account.as_deref());
    let (account_file, mut pages) = match opened.and_then(|file| Ok((file, request(&args)?))) {
        Ok(opened) => opened,
        Err(message) => {
            report::problem(&message);
            return Exit::WrongRequest;
        }
    };
    let progress = Progress::new(!args.quiet && !output.is_terminal());
    let stop = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => End::Interrupted,
        end = pull(&mut pages, args.take, output, &progress) => end,
    };
    // Ctrl-C must not hang on a reader that has stopped reading.
    let stop = match tokio::time::timeout(LAST_FLUSH, output.flush()).await {
        Ok(Err(Stop::Failed(error))) => End::Output(error),
        _ => stop,
    };
    let took = progress.end();
    if args.explain {
        report::explain(&pages.account());
    }
    conclude(&pages, stop, took, &args, account_file)
}

/// How pulling ended.
enum End {
    /// The source came to its end.
    Source,
    /// All that was asked for is there.
    Taken,
    /// Nobody reads any more.
    Closed,
    Interrupted,
    Upstream(Error),
    Output(std::io::Error),
}

impl From<Stop> for End {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Closed => End::Closed,
            Stop::Failed(error) => End::Output(error),
        }
    }
}

/// Takes items and writes them, and says why it stopped.
async fn pull(
    pages: &mut Pages<RawItem>,
    take: Option<u64>,
    output: &mut Output,
    progress: &Progress,
) -> End {
    let mut taken = 0;
    while take.is_none_or(|take| taken < take) {
        let item = match pages.next().now_or_never() {
            Some(item) => item,
            None => match wait(pages, output, progress).await {
                Ok(item) => item,
                Err(stop) => return stop.into(),
            },
        };
        let item = match item {
            Some(Ok(item)) => item,
            Some(Err(error)) => return End::Upstream(error),
            None => return End::Source,
        };
        if let Err(stop) = output.line(item.as_bytes()).await {
            return stop.into();
        }
        taken += 1;
        if progress.is_shown() && taken % ITEMS_PER_UPDATE == 0 {
            progress.update(&pages.account(), None);
        }
    }
    End::Taken
}

/// Waits for the next item, or until nobody reads any more.
async fn wait(
    pages: &mut Pages<RawItem>,
    output: &mut Output,
    progress: &Progress,
) -> Result<Option<Result<RawItem, Error>>, Stop> {
    output.pause().await?;
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            item = pages.next() => return Ok(item),
            () = output.closed() => return Err(Stop::Closed),
            _ = tick.tick(), if progress.is_shown() => {
                progress.update(&pages.account(), pages.waiting());
            }
        }
    }
}

/// Says how it ended, in words, in the account and as an exit code.
fn conclude(
    pages: &Pages<RawItem>,
    end: End,
    took: Duration,
    args: &Args,
    account_file: AccountFile,
) -> Exit {
    let account = pages.account();
    let (exit, error) = match end {
        End::Source | End::Taken | End::Closed => match account.doubts.is_empty() {
            true => (Exit::Complete, None),
            false => (Exit::NotProved, None),
        },
        End::Interrupted => (Exit::Interrupted, None),
        End::Upstream(ref error) => (Exit::of_error(error), Some(error.to_string())),
        End::Output(ref error) => (
            Exit::Failed,
            Some(format!("cannot write the items: {error}")),
        ),
    };
    let (verdict, why) = match end {
        End::Interrupted => ("interrupted", None),
        End::Upstream(_) | End::Output(_) => ("failed", None),
        _ if !account.doubts.is_empty() => ("not proved complete", Some(account.ended.to_string())),
        End::Taken => ("stopped as asked", Some("no more was asked for".to_owned())),
        End::Closed => ("stopped as asked", Some("nobody reads any more".to_owned())),
        End::Source if account.ended == Ended::Asked => {
            ("stopped as asked", Some(account.ended.to_string()))
        }
        End::Source => ("complete", Some(account.ended.to_string())),
    };
    if let Some(message) = &error {
        report::problem(&format!("error: {message}"));
    }
    for doubt in &account.doubts {
        report::problem(&format!("doubt: {doubt}"));
    }
    let is_lost = |doubt: &Doubt| matches!(doubt, Doubt::MorePages { .. });
    if !args.explain && account.doubts.iter().any(is_lost) {
        report::tried(&account);
    }
    if let Some(hint) = hint(&end, &account.doubts) {
        report::hint(hint);
    }
    if !args.quiet {
        if args.paginate == AUTO
            && let Some(pinned) = report::pinned(&account)
        {
            report::problem(&pinned);
        }
        report::problem(&report::closing(&account, verdict, why.as_deref(), took));
    }
    account_file.write(serde_json::json!(account), error.as_deref(), exit)
}

/// The next step, where it is known.
fn hint(end: &End, doubts: &[Doubt]) -> Option<&'static str> {
    match (end, doubts.first()) {
        (End::Upstream(error), _) if error.is_too_large() => {
            Some("`--max-item SIZE` raises the limit; `--items POINTER` says where the items are")
        }
        (End::Upstream(error), _) if error.to_string().contains("array") => {
            Some("`--items POINTER` says where the items are")
        }
        (End::Upstream(error), _) if error.is_unauthorized() => Some(
            "`--bearer '${TOKEN}'`, `-u user:password`, `--api-key NAME=VALUE` and others say who \
             you are; `unspool pages --help` has them",
        ),
        (End::Upstream(error), _) if error.status() == Some(429) => {
            Some("`--rate N/UNIT`, such as `--rate 1/s`, makes fewer requests in that time")
        }
        (_, Some(Doubt::MorePages { .. })) => Some(
            "`--paginate KIND` says how to get to the next page, `--paginate single` that one is all \
             you want; `unspool pages --help` has the kinds",
        ),
        (_, Some(Doubt::OtherItems { .. })) => Some("`--items POINTER` says which is meant"),
        _ => None,
    }
}

fn request(args: &Args) -> Result<Pages<RawItem>, String> {
    let url = expand::address(&args.url)?;
    let paginate: Paginate = (args.paginate.parse()).map_err(|error: Error| error.to_string())?;
    let mut request = unspool::pages(&url)
        .paginate(paginate)
        .retries(args.retries)
        .timeout(args.timeout)
        .max_item(args.max_item)
        .in_flight(args.in_flight());
    if let Some(pointer) = &args.items {
        request = request.items_at(pointer.clone());
    }
    if let Some(body) = &args.data {
        request = request.data(body.clone());
    }
    if let Some(key) = &args.unique {
        request = request.unique(key.clone());
    }
    if let Some(rate) = args.rate {
        request = request.rate(rate);
    }
    Ok(args.credentials.apply(request, &url)?.raw())
}

fn paginate(text: &str) -> Result<String, String> {
    match text.parse::<Paginate>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The kinds of pagination, from the library's own table.
fn after_long_help() -> String {
    let kinds: Vec<String> = Paginate::kinds()
        .map(|(syntax, about)| format!("  {syntax}\n          {about}"))
        .collect();
    format!(
        "Kinds of pagination:\n{}\n\n{}\n\n{}",
        kinds.join("\n"),
        crate::credentials::HELP,
        crate::exit::HELP
    )
}
