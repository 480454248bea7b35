//! `unspool events`.

use std::time::Duration;

use clap::Parser;
use serde_json::Value;
use unspool::Pointer;
use unspool::events::{Doubt, Request, ResumeAs, Transport, Until};

use crate::addresses;
use crate::args::{Common, HttpArgs, Query, TableArgs};
use crate::credentials::{self, Credentials};
use crate::destination::{self, Content, Destination};
use crate::exit::Exit;
use crate::flags;
use crate::output::{Output, line};
use crate::pull::pull;
use crate::report::{self, events::EventsReport};

#[derive(Parser)]
#[command(after_long_help = after_long_help())]
pub(crate) struct Args {
    /// Where the feed is; of several, the events come as they arrive.
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,

    /// Read the feed as KIND; `--help` has the kinds.
    ///
    /// By default its address and its answer tell.
    #[arg(long = "as", value_name = "KIND")]
    transport: Option<Transport>,

    /// Embed data that is JSON as JSON.
    ///
    /// By default `data` is the text as it came. What is not JSON stays a text.
    #[arg(long)]
    parse: bool,

    /// Add `source` and `received` to each line.
    ///
    /// The address of the feed, and when the event came (RFC 3339).
    #[arg(long)]
    meta: bool,

    /// Stop after TIME.
    ///
    /// Unlike `--deadline`, that is no error.
    #[arg(long = "for", value_name = "TIME", value_parser = flags::duration)]
    stop_after: Option<Duration>,

    /// Stop after the event whose data has VALUE at POINTER.
    ///
    /// VALUE is JSON, or else a text: `/status=done`. Without POINTER, it is all of the data:
    /// `=[DONE]`.
    #[arg(long, value_name = "POINTER=VALUE")]
    until: Option<Until>,

    /// Stop at the end of the body.
    ///
    /// By default that is the end of a connection, and the next one is made.
    #[arg(long)]
    once: bool,

    /// Connect again after a silence of TIME.
    ///
    /// Comments count as life. By default three times the longest pause that the feed has made,
    /// and at least a minute.
    #[arg(long, value_name = "TIME", value_parser = flags::duration)]
    idle: Option<Duration>,

    /// Give up after N connections in a row that came to nothing.
    #[arg(long, value_name = "N", default_value_t = 20)]
    reconnects: usize,

    /// Ask for the same document every TIME, and write what is new in it.
    ///
    /// The oldest first. The upstream may ask for a longer time (`X-Poll-Interval`).
    #[arg(long, value_name = "TIME", value_parser = flags::duration)]
    every: Option<Duration>,

    /// Tell what is new by the value at POINTER in an item, such as `/id`.
    ///
    /// With `--every`; by default by all of the item.
    #[arg(long, value_name = "POINTER", requires = "every")]
    id: Option<Pointer>,

    /// Ask again with the value at POINTER in the answer before, such as `/next_batch`.
    ///
    /// Once its items are taken. `--resume-as` says where it goes.
    #[arg(
        long,
        value_name = "POINTER",
        requires = "resume_as",
        conflicts_with = "every"
    )]
    cursor: Option<Pointer>,

    /// Take the items from the array at POINTER in an answer.
    ///
    /// With `--every` and long polling; by default the answer is that array, or the only item.
    #[arg(long, value_name = "POINTER")]
    items: Option<Pointer>,

    /// Send a message first, with each connection of a WebSocket.
    ///
    /// May be given several times; `@FILE` reads it from a file.
    #[arg(long, value_name = "TEXT", value_parser = flags::text)]
    send: Vec<String>,

    /// Offer a subprotocol to a WebSocket.
    #[arg(long, value_name = "NAME")]
    subprotocol: Vec<String>,

    /// Take the position of an item from POINTER, such as `/seq`.
    ///
    /// For feeds of JSON; it is the `id` of the event, and goes where `--resume-as` says. With
    /// `--as long-poll`, the next request has that of the last item.
    #[arg(long, value_name = "POINTER")]
    position: Option<Pointer>,

    /// Send the position as the parameter NAME, to go on after it.
    ///
    /// Or in a header, as `header:NAME`; `NAME+1` sends the number after it. By default in
    /// `Last-Event-ID`, for server-sent events.
    #[arg(long, value_name = "NAME")]
    resume_as: Option<ResumeAs>,

    /// Doubt when an event called NAME comes, with which the feed says that others are missing.
    #[arg(long, value_name = "NAME")]
    gap_event: Vec<String>,

    /// Leave out events after a reconnect whose id is not above the last one.
    ///
    /// For feeds whose ids are numbers that only grow. By default the last 1,000 events are known
    /// again.
    #[arg(long)]
    ordered_ids: bool,

    #[command(flatten)]
    query: Query,

    /// Send a JSON document, with `POST`; `@FILE` reads it from a file.
    ///
    /// `@-` reads it from standard input. It is sent again with each connection.
    #[arg(short, long, value_name = "JSON", value_parser = flags::json, aliases = ["data-raw", "data-binary", "json"])]
    data: Option<Value>,

    /// Refuse an event above SIZE bytes, its lines together.
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

/// Writes the events of feeds to `output` as they arrive.
pub(crate) async fn run(mut args: Args, output: &mut Output) -> Exit {
    args.http.network.begin(&mut args.common);
    let request = match request(&args) {
        Ok(request) => request,
        Err(message) => {
            report::problem(&message);
            return Exit::WrongRequest;
        }
    };
    follow(request, &args.common, &args.table, output).await
}

/// Writes the events of a request to `output` as they arrive.
pub(crate) async fn follow(
    mut request: Request,
    common: &Common,
    table: &TableArgs,
    output: &mut Output,
) -> Exit {
    let content = match Content::of_items(request.identity(), table) {
        Ok(content) => content,
        Err(exit) => return exit,
    };
    let destination = match Destination::open(common, content, output).await {
        Ok(destination) => destination,
        Err(exit) => return exit,
    };
    if let Some(position) = destination.begun().position {
        request = request.from(position);
    }
    let keeps_state = destination.keeps_state(common);
    request = flagged(request, keeps_state, Request::await_durable);
    pull(request.raw(), common, destination, &EventsReport, line).await
}

fn request(args: &Args) -> Result<Request, String> {
    let urls: Vec<String> = (args.urls.iter())
        .map(|url| args.query.add_to(addresses::of_feed(url)?))
        .collect::<Result<_, _>>()?;
    check_network(args, &urls)?;
    let (first, others) = urls.split_first().ok_or("expected a URL")?;
    let mut request = unspool::events(first)
        .retries(args.http.retries)
        .reconnects(args.reconnects)
        .max_item(args.max_item)
        .on_doubt(|doubt: &Doubt| report::problem(&format!("doubt: {doubt}")));
    request = others.iter().fold(request, Request::and);
    request = given(request, &args.data, Request::data);
    request = given(request, &args.idle, Request::idle);
    request = given(request, &args.until, Request::until);
    request = given(request, &args.stop_after, Request::stop_after);
    request = given(request, &args.http.rate, Request::rate);
    request = given(request, &args.http.timeout, Request::timeout);
    request = flagged(request, args.parse, Request::parse_data);
    request = flagged(request, args.meta, Request::with_meta);
    request = flagged(request, args.once, Request::once);
    if let Some(http) = args.http.network.http()? {
        request = request.http(&http);
    }
    for (name, value) in credentials::headers(&args.http.headers)? {
        request = request.header(name, value);
    }
    request = carried(request, args);
    args.credentials.apply(request, first)
}

/// That no flag is left out in silence that only requests of HTTP obey.
fn check_network(args: &Args, urls: &[String]) -> Result<(), String> {
    let is_http = |url: &String| {
        let scheme = url
            .split(':')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        matches!(&*scheme, "http" | "https" | "ws" | "wss")
    };
    match args.http.network.of_http() {
        Some(flag) if !urls.iter().all(is_http) => Err(format!(
            "`{flag}` is for feeds over HTTP; for others `SSL_CERT_FILE=FILE` in the environment \
             names the certificates to trust"
        )),
        _ => Ok(()),
    }
}

/// The request with how the feed is carried, and where its position is.
fn carried(mut request: Request, args: &Args) -> Request {
    request = given(request, &args.transport, Request::transport);
    request = given(request, &args.every, Request::every);
    request = given(request, &args.id, Request::id);
    request = given(request, &args.cursor, Request::cursor);
    request = given(request, &args.items, Request::items_at);
    request = given(request, &args.position, Request::position);
    request = given(request, &args.resume_as, Request::resume_as);
    request = flagged(request, args.ordered_ids, Request::ordered_ids);
    request = args.send.iter().fold(request, Request::send);
    request = (args.gap_event.iter()).fold(request, Request::gap_event);
    args.subprotocol.iter().fold(request, Request::subprotocol)
}

/// The request with the value of a flag that may be given.
fn given<T: Clone>(request: Request, value: &Option<T>, add: fn(Request, T) -> Request) -> Request {
    match value {
        Some(value) => add(request, value.clone()),
        None => request,
    }
}

fn flagged(request: Request, is_set: bool, set: fn(Request) -> Request) -> Request {
    if is_set { set(request) } else { request }
}

/// The transports, from the library's own table.
fn after_long_help() -> String {
    let transports: Vec<String> = Transport::all()
        .map(|(name, about)| format!("  {name}\n          {about}"))
        .collect();
    format!(
        "Kinds of feeds:\n{}\n\n{}\n\n{}\n\n{}",
        transports.join("\n"),
        destination::help(),
        crate::credentials::HELP,
        crate::exit::HELP
    )
}
