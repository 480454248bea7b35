//! `unspool ask`.

pub(crate) mod each;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use serde_json::Value;
use unspool::Pointer;
use unspool::ask::{Attachment, Event, Message, Provider, Request, Tool};
use unspool::sinks::Identity;

use crate::args::{Common, HttpArgs, RowKey};
use crate::credentials;
use crate::destination::{self, Content, Destination};
use crate::exit::Exit;
use crate::expand;
use crate::flags;
use crate::output::{Output, line};
use crate::pull::pull;
use crate::report::SECRETS;
use crate::report::{self, ask::AskReport};
use crate::stdin;

#[derive(Parser)]
#[command(after_long_help = after_long_help())]
pub(crate) struct Args {
    /// What to ask; `@FILE` reads it from a file.
    ///
    /// What comes through a pipe on standard input is put before it; `-`, or nothing, is what
    /// comes there alone.
    #[arg(value_parser = flags::text)]
    prompt: Option<String>,

    /// Ask this model, by its provider's name for it.
    ///
    /// By default that of the provider whose key is set. Its name or the environment tells whom
    /// to ask.
    #[arg(short, long, value_name = "NAME")]
    model: Option<String>,

    /// Ask this provider; `--help` has their names.
    ///
    /// Where the name of the model does not tell.
    #[arg(long, value_name = "NAME")]
    provider: Option<Provider>,

    /// Ask at URL, such as `http://localhost:8080/v1`.
    ///
    /// For a server of your own, or one that is compatible.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,

    /// Use this key; by default that of the environment.
    ///
    /// `${NAME}` is replaced by a variable of the environment, `@FILE` by what is in a file.
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,

    /// Tell the model this first; `@FILE` reads it from a file.
    #[arg(short, long, value_name = "TEXT", value_parser = flags::text)]
    system: Option<String>,

    /// Go on from the messages in FILE, a JSON array.
    ///
    /// Of `{"role": …, "content": …}`, with tool calls, their results and parts as the protocol
    /// has them; PROMPT comes after them.
    #[arg(long, value_name = "FILE")]
    messages: Option<PathBuf>,

    /// Send an image or a PDF with PROMPT.
    ///
    /// May be given several times.
    #[arg(long, value_name = "FILE")]
    attach: Vec<PathBuf>,

    /// Ask for an answer that matches the JSON schema in FILE.
    ///
    /// The upstream is asked for that, and an answer that does not match ends with exit code 3.
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,

    /// Offer tools, a JSON array; `@FILE` reads it from a file.
    ///
    /// Of `{"name", "description", "parameters"}`. The calls are in `--events`.
    #[arg(long, value_name = "JSON", value_parser = flags::json)]
    tools: Option<Value>,

    /// Allow the answer N tokens.
    ///
    /// By default the upstream decides; Anthropic's protocol asks for a number, which is 1,024
    /// then.
    #[arg(long, value_name = "N")]
    max_tokens: Option<u64>,

    /// Set the sampling temperature.
    #[arg(long, value_name = "NUMBER")]
    temperature: Option<f64>,

    /// End the answer at TEXT, on the upstream's side.
    ///
    /// May be given several times.
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,

    /// Merge fields into the request's body; `@FILE` reads them.
    ///
    /// Fields that have no flag (RFC 7396).
    #[arg(long, value_name = "JSON", value_parser = flags::json)]
    extra: Option<Value>,

    /// Write what happens in the answer as lines of JSON.
    ///
    /// Text, thinking, tool calls, citations, usage, and why it stopped.
    #[arg(long, conflicts_with = "items")]
    events: bool,

    /// Write the elements of a JSON array in the answer.
    ///
    /// Each as soon as it is whole: the array at POINTER (RFC 6901), such as `/items`, of the
    /// document in the text.
    #[arg(long, value_name = "POINTER")]
    items: Option<Pointer>,

    /// End the answer where its text matches REGEX.
    ///
    /// As early as that can be; the connection is closed.
    #[arg(long, value_name = "REGEX")]
    stop_at: Option<String>,

    /// Wait no longer than TIME for the first byte.
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = flags::duration)]
    first_byte: Duration,

    #[command(flatten)]
    row: RowKey,

    #[command(flatten)]
    each: each::EachArgs,

    #[command(flatten)]
    pub(crate) common: Common,

    #[command(flatten)]
    pub(crate) http: HttpArgs,

    /// Whether standard input is somebody else's.
    #[arg(skip)]
    pub(crate) is_without_input: bool,
}

/// Writes an answer to `output` as it arrives.
pub(crate) async fn run(mut args: Args, output: Output) -> Exit {
    args.http.network.begin(&mut args.common);
    let (request, identity) = match request(&args) {
        Ok(asked) => asked,
        Err(message) => {
            report::problem(&message);
            return Exit::WrongRequest;
        }
    };
    if let Some(file) = &args.each.file {
        return each::run(
            &args.each,
            file,
            request,
            (identity, &args.row.key),
            &args.common,
            output,
        )
        .await;
    }
    let form = match (args.items.clone(), args.events) {
        (Some(pointer), _) => Form::Items(pointer),
        (None, true) => Form::Events,
        (None, false) => Form::Text,
    };
    answer(request, identity, form, &args.common, args.row, output).await
}

/// What is written of an answer.
pub(crate) enum Form {
    /// The elements of the array at the pointer.
    Items(Pointer),
    Events,
    Text,
}

/// Writes the answer to a request to `output` as it arrives.
pub(crate) async fn answer(
    request: Request,
    identity: Identity,
    form: Form,
    common: &Common,
    row: RowKey,
    output: Output,
) -> Exit {
    let mut output = output.for_text();
    let content = Content {
        identity,
        key: row.key,
        schema: None,
        is_text: matches!(form, Form::Text),
        // An answer is another one each time.
        resumes: false,
    };
    let destination = match Destination::open(common, content, &mut output).await {
        Ok(destination) => destination,
        Err(exit) => return exit,
    };
    match form {
        Form::Items(pointer) => {
            let items = request.raw_items(pointer);
            pull(items, common, destination, &AskReport, line).await
        }
        Form::Events => {
            let json = |event: &Event, buffer: &mut Vec<u8>| {
                // An event is made of texts and numbers, and a buffer takes all.
                let _ = serde_json::to_writer(&mut *buffer, event);
                buffer.push(b'\n');
            };
            pull(request.events(), common, destination, &AskReport, json).await
        }
        Form::Text => {
            let text =
                |piece: &String, buffer: &mut Vec<u8>| buffer.extend_from_slice(piece.as_bytes());
            pull(request.text(), common, destination, &AskReport, text).await
        }
    }
}

/// What makes a question the same as an earlier one, but for what it takes from files and
/// standard input: that is added where it is read.
fn identity(args: &Args) -> Identity {
    let json = |value: &Option<Value>| value.as_ref().map(ToString::to_string);
    Identity::new("ask")
        .with_text("system", args.system.as_deref())
        .with_digest("tools", json(&args.tools))
        // There may be a credential in it.
        .with_digest("extra", json(&args.extra))
        .with("temperature", args.temperature)
        .with("stop", args.stop.clone())
        .with("stop_at", args.stop_at.clone())
        .with("model", args.model.clone())
        .with("provider", args.provider.map(|provider| provider.name()))
        .with("base_url", args.base_url.as_deref().map(without_user))
        .with("items", args.items.as_ref().map(ToString::to_string))
        .with("events", args.events)
}

/// An address without who asks.
fn without_user(url: &str) -> String {
    match reqwest::Url::parse(url) {
        Ok(mut parsed) => {
            // Neither fails for an address that is asked over HTTP.
            let _ = parsed.set_password(None);
            let _ = parsed.set_username("");
            parsed.into()
        }
        Err(_) => url.to_owned(),
    }
}

/// What is asked, and what makes it the same as an earlier question.
fn request(args: &Args) -> Result<(Request, Identity), String> {
    let mut identity = identity(args);
    for name in Provider::all().flat_map(Provider::key_variables) {
        if let Ok(key) = std::env::var(name) {
            SECRETS.keep(&key);
        }
    }
    let messages = match &args.messages {
        Some(path) => {
            let (messages, content) = messages(path)?;
            identity = identity.with_digest("messages", Some(content));
            messages
        }
        None => Vec::new(),
    };
    let prompt = if args.is_without_input || args.each.file.is_some() {
        args.prompt.clone()
    } else {
        stdin::prompt(args.prompt.as_deref(), messages.is_empty())?
    };
    identity = identity.with_text("prompt", prompt.as_deref());
    let mut request = unspool::ask::conversation(messages)
        .retries(args.http.retries)
        .first_byte(args.first_byte);
    if let Some(tokens) = args.max_tokens {
        request = request.max_tokens(tokens);
    }
    if let Some(limit) = args.http.timeout {
        request = request.idle(limit);
    }
    if let Some(rate) = args.http.rate {
        request = request.rate(rate);
    }
    if let Some(prompt) = prompt {
        request = request.message(Message::user(prompt));
    }
    request = addressed(request, args)?;
    request = shaped(request, args)?;
    for path in &args.attach {
        let (attached, content) = attachment(path)?;
        let name = format!("attach `{}`", path.display());
        identity = identity.with_digest(&name, Some(content));
        request = request.attach(attached);
    }
    if let Some(path) = &args.schema {
        let (schema, content) = schema(path)?;
        identity = identity.with_digest("schema of the answer", Some(content));
        request = request.schema(schema);
    }
    if let Some(pattern) = &args.stop_at {
        request = request.stop_at(pattern);
    }
    // That of all records together is kept by whoever pulls them.
    if let Some(limit) = args.common.deadline.filter(|_| args.each.file.is_none()) {
        request = request.deadline(limit);
    }
    Ok((request, identity))
}

/// The request with whom it is sent to, and as whom.
fn addressed(mut request: Request, args: &Args) -> Result<Request, String> {
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
    if let Some(http) = args.http.network.http()? {
        request = request.http(&http);
    }
    for (name, value) in credentials::headers(&args.http.headers)? {
        request = request.header(name, value);
    }
    Ok(request)
}

/// The request with what decides on the answer, beside the messages.
fn shaped(mut request: Request, args: &Args) -> Result<Request, String> {
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
        None => Ok(request),
        Some(Value::Object(fields)) => Ok(request.extras(fields.clone())),
        Some(_) => Err("--extra: expected an object".to_owned()),
    }
}

/// The file of a flag; `@FILE` is the same as FILE.
fn read_file(flag: &str, path: &Path) -> Result<(String, Vec<u8>), String> {
    let path = match path.to_str().and_then(|path| path.strip_prefix('@')) {
        Some(path) => Path::new(path),
        None => path,
    };
    let shown = path.display().to_string();
    let file = File::open(path).map_err(|error| format!("cannot read `{shown}`: {error}"));
    let content = file.and_then(|file| flags::content_of(file, &format!("`{shown}`")));
    match content {
        Ok(content) => Ok((shown, content)),
        Err(error) => Err(format!("{flag}: {error}")),
    }
}

fn attachment(path: &Path) -> Result<(Attachment, Vec<u8>), String> {
    let (shown, content) = read_file("--attach", path)?;
    let name = Path::new(&shown).file_name().and_then(|name| name.to_str());
    let attached = Attachment::new(name.unwrap_or(&shown), &content);
    let attached = attached.map_err(|error| format!("--attach: {error}"))?;
    Ok((attached, content))
}

fn schema(path: &Path) -> Result<(Value, Vec<u8>), String> {
    let (shown, content) = read_file("--schema", path)?;
    let schema = serde_json::from_slice(&content)
        .map_err(|error| format!("--schema: expected a JSON schema in `{shown}`: {error}"))?;
    Ok((schema, content))
}

fn messages(path: &Path) -> Result<(Vec<Message>, Vec<u8>), String> {
    let (shown, content) = read_file("--messages", path)?;
    let messages: Vec<Message> = serde_json::from_slice(&content).map_err(|error| {
        format!(
            "--messages: expected an array of `{{\"role\", \"content\"}}` in `{shown}`: {error}"
        )
    })?;
    if messages.is_empty() {
        return Err(format!("--messages: `{shown}` holds no message"));
    }
    Ok((messages, content))
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
         Without a model, the first one whose key is set is asked.\n\n{}\n\n{}",
        providers.join("\n"),
        destination::help(),
        crate::exit::HELP
    )
}
