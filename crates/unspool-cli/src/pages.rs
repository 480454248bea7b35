//! `unspool pages`.

use std::num::NonZeroUsize;

use clap::Parser;
use futures_util::StreamExt;
use serde_json::Value;
use unspool::pages::{Paginate, RawItem, Request};
use unspool::{Error, Pointer};

use crate::addresses;
use crate::args::{Common, HttpArgs, Query, TableArgs};
use crate::credentials::{self, Credentials};
use crate::destination::{self, Content, Destination};
use crate::exit::Exit;
use crate::flags;
use crate::help;
use crate::output::{Output, line};
use crate::pull::pull;
use crate::report::{
    self,
    pages::{AUTO, PagesReport},
};
use crate::signals;

#[derive(Parser)]
#[command(after_long_help = after_long_help())]
pub(crate) struct Args {
    /// Where the first page is.
    url: String,

    /// Take the items from the array at POINTER, such as `/data/items`.
    ///
    /// A JSON pointer (RFC 6901); an empty one is the whole page. By default the array is found.
    #[arg(long, value_name = "POINTER")]
    items: Option<Pointer>,

    /// Take the members of an object as items, each with its key as NAME.
    ///
    /// NAME is `key` by default. `--items` says where the object is; without it the first page
    /// is read whole to find it.
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "key")]
    items_of_object: Option<String>,

    /// Get from page to page by KIND; `--help` has the kinds.
    ///
    /// By default the first page decides, and the second proves it. The kinds are listed below.
    #[arg(long, value_name = "KIND", default_value = AUTO, hide_default_value = true, value_parser = paginate)]
    paginate: String,

    #[command(flatten)]
    query: Query,

    /// Send a JSON document, with `POST`; `@FILE` reads it from a file.
    ///
    /// `@-` reads it from standard input.
    #[arg(short, long, value_name = "JSON", value_parser = flags::json, aliases = ["data-raw", "data-binary", "json"])]
    data: Option<Value>,

    /// Read up to N pages at a time, where their requests are known.
    ///
    /// Their items come in order.
    #[arg(long, value_name = "N", default_value = "1", hide_default_value = true)]
    in_flight: NonZeroUsize,

    /// Leave out items whose value at POINTER has come before.
    ///
    /// Such as `/id`; the last million are remembered.
    #[arg(long, value_name = "POINTER")]
    unique: Option<Pointer>,

    /// Say what was tried to find the next page.
    ///
    /// And what came of it, at the end.
    #[arg(long)]
    explain: bool,

    /// Refuse an item, or a text around the items, above SIZE bytes.
    #[arg(long, value_name = "SIZE", default_value = "16M", value_parser = flags::bytes)]
    max_item: usize,

    #[command(flatten)]
    table: TableArgs,

    #[command(flatten)]
    pub(crate) common: Common,

    #[command(flatten)]
    pub(crate) http: HttpArgs,

    #[command(flatten)]
    credentials: Credentials,
}

impl Args {
    /// How many pages may be read at a time.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    /// Whether the URL is that of a live feed, by the answer to one request; false as well where
    /// there is none, or no use in asking.
    pub(crate) async fn is_feed(&self) -> bool {
        let Some(request) = request(self).ok().filter(|_| self.data.is_none()) else {
            return false;
        };
        let mut pages = request.retries(0).demand(1).raw();
        let first = tokio::select! {
            biased;
            () = signals::interrupted() => None,
            first = pages.next() => first,
        };
        pages.close().await;
        let error = first.and_then(Result::err);
        error.is_some_and(|error| error.media_type() == Some("text/event-stream"))
    }
}

/// Pulls the items of an API to `output`.
pub(crate) async fn run(args: Args, output: &mut Output) -> Exit {
    run_with(args, output, line).await
}

/// Pulls the items of an API, of which `write` makes what goes to `output`.
pub(crate) async fn run_with(
    mut args: Args,
    output: &mut Output,
    write: impl Fn(&RawItem, &mut Vec<u8>),
) -> Exit {
    args.http.network.begin(&mut args.common);
    let request = match request(&args) {
        Ok(request) => request,
        Err(message) => {
            report::problem(&message);
            return Exit::WrongRequest;
        }
    };
    let report = PagesReport {
        explains: args.explain,
        is_auto: args.paginate == AUTO,
        items_of_object: args.items_of_object.clone(),
    };
    walk(request, &args.common, &args.table, output, &report, write).await
}

/// Pulls the items of a walk, of which `write` makes what goes to `output`.
pub(crate) async fn walk(
    mut request: Request,
    common: &Common,
    table: &TableArgs,
    output: &mut Output,
    report: &PagesReport,
    write: impl Fn(&RawItem, &mut Vec<u8>),
) -> Exit {
    let content = match Content::of_items(request.identity(), table) {
        Ok(content) => content,
        Err(exit) => return exit,
    };
    let destination = match Destination::open(common, content, output).await {
        Ok(destination) => destination,
        Err(exit) => return exit,
    };
    let begun = destination.begun();
    if let Some(items) = common.take {
        request = request.demand(items.saturating_sub(begun.items));
    }
    let pages = request.resume(begun.position).raw();
    pull(pages, common, destination, report, write).await
}

fn request(args: &Args) -> Result<Request, String> {
    let url = args.query.add_to(addresses::of_web(&args.url)?)?;
    let paginate: Paginate = (args.paginate.parse()).map_err(|error: Error| error.to_string())?;
    let mut request = unspool::pages(&url)
        .paginate(paginate)
        .retries(args.http.retries)
        .max_item(args.max_item)
        .in_flight(args.in_flight());
    if let Some(pointer) = &args.items {
        request = request.items_at(pointer.clone());
    }
    if let Some(key) = &args.items_of_object {
        request = request.items_of_object(key);
    }
    if let Some(body) = &args.data {
        request = request.data(body.clone());
    }
    if let Some(key) = &args.unique {
        request = request.unique(key.clone());
    }
    if let Some(rate) = args.http.rate {
        request = request.rate(rate);
    }
    if let Some(limit) = args.http.timeout {
        request = request.timeout(limit);
    }
    if let Some(http) = args.http.network.http()? {
        request = request.http(&http);
    }
    for (name, value) in credentials::headers(&args.http.headers)? {
        request = request.header(name, value);
    }
    args.credentials.apply(request, &url)
}

fn paginate(text: &str) -> Result<String, String> {
    match text.parse::<Paginate>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn after_long_help() -> String {
    format!(
        "{}\n\n{}\n\n{}\n\n{}",
        help::pagination(),
        destination::help(),
        crate::credentials::HELP,
        crate::exit::HELP
    )
}
