//! `unspool ask`.

use std::io::{IsTerminal, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use clap::Parser;
use futures_util::{FutureExt, StreamExt};
use serde_json::Value;
use tokio::time::MissedTickBehavior;
use unspool::ask::{Answer, Attachment, Message, Outcome, Provider, Request, Stop, Tool};
use unspool::{Error, Pointer};

use crate::account::AccountFile;
use crate::credentials;
use crate::exit::Exit;
use crate::expand;
use crate::flags;
use crate::output::{self, LAST_FLUSH, Output};
use crate::report::{self, Progress};
use crate::secrets;

/// How long standard input may take before it is said that it is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// The longest text that is taken from standard input.
const MAX_INPUT: u64 = 16 << 20;

#[derive(Parser)]
#[command(after_long_help = after_long_help())]
pub(crate) struct Args {
    /// What to ask; `@FILE` reads it from a file. What comes through a pipe on standard input
    /// is put before it; `-`, or nothing, is what comes there alone.
    #[arg(value_parser = flags::text)]
    prompt: Option<String>,

    /// The model, by its provider's name for it; by default that of the provider whose key
    /// is set. Its name or the environment tells whom to ask.
    #[arg(short, long, value_name = "NAME")]
    model: Option<String>,

    /// Whom to ask, where the name of the model does not tell: one of those below.
    #[arg(long, value_name = "NAME")]
    provider: Option<Provider>,

    /// Where to ask, for a server of your own or one that is compatible, such as
    /// `http://localhost:8080/v1`.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,

    /// The key; by default that of the environment. `${NAME}` is replaced by a variable of
    /// the environment, `@FILE` by what stands in a file.
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,

    /// A header to send; may be given several times. Its values are as those of `--api-key`.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,

    /// What the model is told before everything else; `@FILE` reads it from a file.
    #[arg(short, long, value_name = "TEXT", value_parser = flags::text)]
    system: Option<String>,

    /// The messages so far: a JSON array of `{"role": …, "content": …}` in FILE, with tool
    /// calls, their results and parts as the protocol has them; PROMPT comes after them.
    #[arg(long, value_name = "FILE")]
    messages: Option<PathBuf>,

    /// An image or a PDF that goes with PROMPT; may be given several times.
    #[arg(long, value_name = "FILE")]
    attach: Vec<PathBuf>,

    /// The JSON schema in FILE that the text of the answer has to match: the upstream is asked
    /// for that, and an answer that does not match ends with exit code 3.
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,

    /// Tools that the model may call: a JSON array of `{"name", "description",
    /// "parameters"}`; `@FILE` reads it from a file. The calls are in `--events`.
    #[arg(long, value_name = "JSON", value_parser = flags::json)]
    tools: Option<Value>,

    /// How many tokens the answer may have. By default the upstream decides; Anthropic's
    /// protocol asks for a number, which is 1,024 then.
    #[arg(long, value_name = "N")]
    max_tokens: Option<u64>,

    /// How far the model may go from what is likeliest.
    #[arg(long, value_name = "NUMBER")]
    temperature: Option<f64>,

    /// A text that ends the answer on the upstream's side; may be given several times.
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,

    /// Fields of the request's body that have no flag, merged into it (RFC 7396); `@FILE`
    /// reads them from a file.
    #[arg(long, value_name = "JSON", value_parser = flags::json)]
    extra: Option<Value>,

    /// Write what happens in the answer as lines of JSON: text, thinking, tool calls,
    /// citations, usage, and why it stopped.
    #[arg(long, conflicts_with = "items")]
    events: bool,

    /// Write the elements of a JSON array in the answer, each as soon as it is whole: the
    /// array at POINTER (RFC 6901), such as `/items`, of the document in the text.
    #[arg(long, value_name = "POINTER")]
    items: Option<Pointer>,

    /// End the answer where its text matches REGEX, as early as that can be, and close the
    /// connection.
    #[arg(long, value_name = "REGEX")]
    stop_at: Option<String>,

    /// Stop after N pieces of text, events or items.
    #[arg(long, value_name = "N")]
    take: Option<u64>,

    /// How often to ask again after a failure that may pass, as long as nothing of the
    /// answer has come.
    #[arg(long, value_name = "N", default_value_t = 5)]
    retries: usize,

    /// How long the first byte of the answer may take.
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = flags::duration)]
    first_byte: Duration,

    /// The longest silence from there on, in seconds, or with a unit: `500ms`, `2m`. Pings
    /// of the upstream are no silence.
    #[arg(long, value_name = "TIME", default_value = "60", value_parser = flags::duration)]
    timeout: Duration,

    /// How long all of it may take, retries included; no limit by default.
    #[arg(long, value_name = "TIME", value_parser = flags::duration)]
    deadline: Option<Duration>,

    /// Show no progress and no closing sentence, only errors.
    #[arg(short, long)]
    quiet: bool,

    /// Write the outcome as JSON to FILE at the end; `-` is standard error, as standard
    /// output holds the answer only.
    #[arg(long, value_name = "FILE")]
    account: Option<PathBuf>,

    /// Whether standard input is somebody else's.
    #[arg(skip)]
    pub(crate) is_without_input: bool,
}

/// Writes an answer to `output` as it arrives.
pub(crate) async fn run(args: Args, output: &mut Output) -> Exit {
    let opened = AccountFile::open(args.account.as_deref());
    let (account_file, request) = match opened.and_then(|file| Ok((file, request(&args)?))) {
        Ok(opened) => opened,
        Err(message) => {
            report::problem(&message);
            return Exit::WrongRequest;
        }
    };
    let written = match (&args.items, args.events) {
        (Some(pointer), _) => {
            let items = request.raw_items(pointer.clone());
            write(items, &args, output, |item| line(item.as_bytes().to_vec())).await
        }
        (None, true) => {
            let json = |event| line(serde_json::to_vec(&event).unwrap_or_default());
            write(request.events(), &args, output, json).await
        }
        (None, false) => write(request.text(), &args, output, String::into_bytes).await,
    };
    conclude(written, &args, account_file)
}

fn line(mut text: Vec<u8>) -> Vec<u8> {
    text.push(b'\n');
    text
}

/// How writing ended, and the answer.
struct Written {
    end: End,
    outcome: Outcome,
}

enum End {
    /// The answer came to its end.
    Answer,
    /// All that was asked for is there.
    Taken,
    /// Nobody reads any more.
    Closed,
    Interrupted,
    Upstream(Error),
    Output(std::io::Error),
}

impl From<output::Stop> for End {
    fn from(stop: output::Stop) -> Self {
        match stop {
            output::Stop::Closed => End::Closed,
            output::Stop::Failed(error) => End::Output(error),
        }
    }
}

async fn write<T>(
    mut answer: Answer<T>,
    args: &Args,
    output: &mut Output,
    bytes: impl Fn(T) -> Vec<u8>,
) -> Written {
    let progress = Progress::new(!args.quiet);
    let end = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => End::Interrupted,
        end = pull(&mut answer, args.take, output, &progress, bytes) => end,
    };
    // Whoever closes the connection first saves the upstream work.
    answer.close();
    let is_shown = output.is_terminal() && !matches!(end, End::Closed | End::Output(_));
    let last_line = async {
        if is_shown && !output.ends_with_line() {
            output.text(b"\n").await?;
        }
        output.flush().await
    };
    // Ctrl-C must not hang on a reader that has stopped reading.
    let end = match tokio::time::timeout(LAST_FLUSH, last_line).await {
        Ok(Err(output::Stop::Failed(error))) => End::Output(error),
        _ => end,
    };
    progress.end();
    Written {
        end,
        outcome: answer.outcome(),
    }
}

/// Takes pieces and writes them, and says why it stopped.
async fn pull<T>(
    answer: &mut Answer<T>,
    take: Option<u64>,
    output: &mut Output,
    progress: &Progress,
    bytes: impl Fn(T) -> Vec<u8>,
) -> End {
    let mut taken = 0;
    while take.is_none_or(|take| taken < take) {
        let piece = match answer.next().now_or_never() {
            Some(piece) => piece,
            None => match wait(answer, output, progress).await {
                Ok(piece) => piece,
                Err(stop) => return stop.into(),
            },
        };
        let piece = match piece {
            Some(Ok(piece)) => piece,
            Some(Err(error)) => return End::Upstream(error),
            None => return End::Answer,
        };
        // On a terminal the answer itself is the progress.
        if taken == 0 && output.is_terminal() {
            progress.end();
        }
        if let Err(stop) = output.text(&bytes(piece)).await {
            return stop.into();
        }
        taken += 1;
    }
    End::Taken
}

/// Waits for the next piece, or until nobody reads any more. What there is goes out
/// meanwhile.
async fn wait<T>(
    answer: &mut Answer<T>,
    output: &mut Output,
    progress: &Progress,
) -> Result<Option<Result<T, Error>>, output::Stop> {
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let flush_at = output.flush_at();
        let due = tokio::time::sleep_until(flush_at.unwrap_or_else(tokio::time::Instant::now));
        tokio::select! {
            biased;
            piece = answer.next() => return Ok(piece),
            () = output.closed() => return Err(output::Stop::Closed),
            () = due, if flush_at.is_some() => output.flush().await?,
            _ = tick.tick(), if progress.is_shown() => {
                let outcome = answer.outcome();
                progress.say(report::answer_so_far(&outcome), answer.waiting());
            }
        }
    }
}

/// Says how it ended, in words, in the account and as an exit code.
fn conclude(written: Written, args: &Args, account_file: AccountFile) -> Exit {
    let Written { end, outcome } = written;
    let (exit, error) = match &end {
        End::Answer => (Exit::of_stop(outcome.stop), None),
        End::Taken | End::Closed => (Exit::Complete, None),
        End::Interrupted => (Exit::Interrupted, None),
        End::Upstream(error) => (Exit::of_error(error), Some(error.to_string())),
        End::Output(error) => (
            Exit::Failed,
            Some(format!("cannot write the answer: {error}")),
        ),
    };
    let (verdict, why) = match &end {
        End::Interrupted => ("interrupted", None),
        End::Upstream(_) | End::Output(_) => ("failed", None),
        End::Taken => ("stopped as asked", Some("no more was asked for".to_owned())),
        End::Closed => ("stopped as asked", Some("nobody reads any more".to_owned())),
        End::Answer => (
            match exit {
                Exit::Complete if outcome.stop == Stop::Asked => "stopped as asked",
                Exit::Complete => "complete",
                Exit::NotProved => "not proved complete",
                _ => "not complete",
            },
            Some(reason(&outcome)),
        ),
    };
    if let Some(message) = &error {
        report::problem(&format!("error: {message}"));
        if outcome.deltas > 0 && matches!(end, End::Upstream(_)) {
            report::problem("what came before is a part of the answer; it was not asked for again");
        }
    }
    if let Some(refusal) = &outcome.refusal {
        report::problem(&format!("the model says: {refusal}"));
    }
    let hint = hint(&end, &outcome);
    if let (Some(hint), Some(_)) = (&hint, &error) {
        report::hint(hint);
    }
    // Of a request that was wrong there is nothing more to say.
    let is_sent = outcome.requests > 0;
    if !args.quiet && is_sent {
        report::problem(&report::closing_of_answer(
            &outcome,
            verdict,
            why.as_deref(),
        ));
    } else if args.quiet && error.is_none() && [Exit::Incomplete, Exit::NotProved].contains(&exit) {
        report::problem(&format!("{verdict}: {}", reason(&outcome)));
    }
    if let (Some(hint), None) = (&hint, &error) {
        report::hint(hint);
    }
    account_file.write(serde_json::json!(outcome), error.as_deref(), exit)
}

/// Why the answer ended, with the upstream's own word where it says more.
fn reason(outcome: &Outcome) -> String {
    match (&outcome.reason, outcome.stop) {
        (Some(reason), Stop::Other | Stop::ContentFilter) => {
            format!("{} (`{reason}`)", outcome.stop)
        }
        (_, Stop::Doubtful | Stop::Mismatch) => {
            format!("{}: {}", outcome.stop, outcome.doubts.join("; "))
        }
        _ => outcome.stop.to_string(),
    }
}

/// The next step, where it is known.
fn hint(end: &End, outcome: &Outcome) -> Option<String> {
    let provider: Option<Provider> = outcome.provider.as_ref().and_then(|name| name.parse().ok());
    match end {
        End::Upstream(error) if error.is_request() && error.to_string().contains("no key") => {
            Some("set the variable, or give `--api-key '${NAME}'`; `--model` and `--provider` choose another".to_owned())
        }
        End::Upstream(error) if error.is_request() && error.to_string().contains("model") => Some(
            "`--model NAME` names one, `--provider NAME` says whose it is; `unspool ask --help` has them".to_owned(),
        ),
        End::Upstream(error) if error.is_unauthorized() => {
            let names: Vec<_> = provider.into_iter().flat_map(Provider::key_variables).collect();
            Some(format!("the key comes from `--api-key` or from `{}`", names.join("`, `")))
        }
        End::Upstream(error) if error.status() == Some(404) => Some(
            "`--base-url` is where the protocol is spoken, which for many servers ends in `/v1`; \
             `--provider` says which protocol that is"
                .to_owned(),
        ),
        End::Upstream(error) if error.is_timeout() => Some(
            "`--first-byte TIME` and `--timeout TIME` say how long the upstream may be silent".to_owned(),
        ),
        End::Answer if outcome.stop == Stop::MaxTokens => {
            Some("`--max-tokens N` raises the limit".to_owned())
        }
        _ => None,
    }
}

fn request(args: &Args) -> Result<Request, String> {
    for name in Provider::all().flat_map(Provider::key_variables) {
        if let Ok(key) = std::env::var(name) {
            secrets::keep(&key);
        }
    }
    let messages = match &args.messages {
        Some(path) => messages(path)?,
        None => Vec::new(),
    };
    let prompt = match args.is_without_input {
        true => args.prompt.clone(),
        false => prompt(args.prompt.as_deref(), messages.is_empty())?,
    };
    let mut request = unspool::ask::conversation(messages)
        .retries(args.retries)
        .first_byte(args.first_byte)
        .idle(args.timeout);
    if let Some(tokens) = args.max_tokens {
        request = request.max_tokens(tokens);
    }
    if let Some(prompt) = prompt {
        request = request.message(Message::user(prompt));
    }
    if let Some(model) = &args.model {
        request = request.model(model);
    }
    if let Some(provider) = args.provider {
        request = request.provider(provider);
    }
    if let Some(url) = &args.base_url {
        request = request.base_url(expand::address(url)?);
    }
    if let Some(key) = &args.api_key {
        request = request.api_key(credentials::secret("--api-key", key)?);
    }
    for (name, value) in credentials::headers(&args.headers)? {
        request = request.header(name, value);
    }
    if let Some(system) = &args.system {
        request = request.system(system);
    }
    if let Some(tools) = &args.tools {
        let tools: Vec<Tool> = serde_json::from_value(tools.clone())
            .map_err(|error| format!("--tools: expected an array of tools: {error}"))?;
        request = tools.into_iter().fold(request, Request::tool);
    }
    if let Some(temperature) = args.temperature {
        request = request.temperature(temperature);
    }
    for text in &args.stop {
        request = request.stop_sequence(text);
    }
    match &args.extra {
        None => {}
        Some(Value::Object(fields)) => request = request.extras(fields.clone()),
        Some(_) => return Err("--extra: expected an object".to_owned()),
    }
    for path in &args.attach {
        request = request.attach(attachment(path)?);
    }
    if let Some(path) = &args.schema {
        request = request.schema(schema(path)?);
    }
    if let Some(pattern) = &args.stop_at {
        request = request.stop_at(pattern);
    }
    if let Some(limit) = args.deadline {
        request = request.deadline(limit);
    }
    Ok(request)
}

/// The file of a flag; `@FILE` is the same as FILE.
fn read_file(flag: &str, path: &Path) -> Result<(String, Vec<u8>), String> {
    let path = match path.to_str().and_then(|path| path.strip_prefix('@')) {
        Some(path) => Path::new(path),
        None => path,
    };
    let shown = path.display().to_string();
    match std::fs::read(path) {
        Ok(content) => Ok((shown, content)),
        Err(error) => Err(format!("{flag}: cannot read `{shown}`: {error}")),
    }
}

fn attachment(path: &Path) -> Result<Attachment, String> {
    let (shown, content) = read_file("--attach", path)?;
    let name = Path::new(&shown).file_name().and_then(|name| name.to_str());
    let attached = Attachment::new(name.unwrap_or(&shown), &content);
    attached.map_err(|error| format!("--attach: {error}"))
}

fn schema(path: &Path) -> Result<Value, String> {
    let (shown, content) = read_file("--schema", path)?;
    serde_json::from_slice(&content)
        .map_err(|error| format!("--schema: expected a JSON schema in `{shown}`: {error}"))
}

fn messages(path: &Path) -> Result<Vec<Message>, String> {
    let (shown, content) = read_file("--messages", path)?;
    let messages: Vec<Message> = serde_json::from_slice(&content).map_err(|error| {
        format!(
            "--messages: expected an array of `{{\"role\", \"content\"}}` in `{shown}`: {error}"
        )
    })?;
    match messages.is_empty() {
        true => Err(format!("--messages: there is none in `{shown}`")),
        false => Ok(messages),
    }
}

/// What to ask, of the argument and of standard input; none is enough if there are
/// messages.
fn prompt(argument: Option<&str>, is_needed: bool) -> Result<Option<String>, String> {
    let argument = argument.filter(|text| *text != "-");
    let is_waited_for = argument.is_none() && is_needed;
    let input = match is_piped() || is_waited_for && !std::io::stdin().is_terminal() {
        true => read_input()?,
        false => String::new(),
    };
    let input = input.trim_end_matches(['\r', '\n']);
    match (input, argument) {
        ("", None) if is_needed => {
            Err("there is nothing to ask: give PROMPT, or pipe it in".to_owned())
        }
        ("", None) => Ok(None),
        ("", Some(argument)) => Ok(Some(argument.to_owned())),
        (input, None) => Ok(Some(input.to_owned())),
        (input, Some(argument)) => Ok(Some(format!("{input}\n\n{argument}"))),
    }
}

/// Whether standard input is a pipe, a file or a socket, and not a terminal or
/// `/dev/null`.
fn is_piped() -> bool {
    let stdin = std::io::stdin();
    let file = stdin.as_fd().try_clone_to_owned().map(std::fs::File::from);
    let kind = file.and_then(|file| Ok(file.metadata()?.file_type()));
    kind.is_ok_and(|kind| kind.is_fifo() || kind.is_file() || kind.is_socket())
}

/// All of standard input. Somebody may have left a pipe open: what is waited for is said.
fn read_input() -> Result<String, String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = std::io::stdin()
            .take(MAX_INPUT + 1)
            .read_to_string(&mut text);
        // Nobody may wait for it any more.
        let _ = sender.send(read.map(|_| text));
    });
    let read = match receiver.recv_timeout(PATIENCE) {
        Ok(read) => read,
        Err(_) => {
            report::problem("waiting for standard input to end; `< /dev/null` leaves it out");
            let ended = || std::io::Error::other("the reader is gone");
            receiver.recv().unwrap_or_else(|_| Err(ended()))
        }
    };
    let text = read.map_err(|error| format!("cannot read standard input: {error}"))?;
    match text.len() as u64 > MAX_INPUT {
        true => Err(format!(
            "standard input has over {MAX_INPUT} bytes, more than any model reads"
        )),
        false => Ok(text),
    }
}

/// The providers, from the library's own table.
fn after_long_help() -> String {
    let providers: Vec<String> = Provider::all()
        .map(|provider| {
            let variables: Vec<_> = provider.variables().collect();
            let model = provider.default_model();
            let model = model.map_or(String::new(), |model| format!("; `{model}` by default"));
            format!(
                "  {}\n          {}; {}; {}{model}",
                provider.name(),
                provider.about(),
                provider.base_url(),
                variables.join(", ")
            )
        })
        .collect();
    format!(
        "Providers, where they are, and the variables of the environment with the key or another \
         address:\n{}\n\n\
         Without a model, the first one whose key is set is asked.\n\n{}",
        providers.join("\n"),
        crate::exit::HELP
    )
}
