//! `--save`: the flags of a command as a pull in a file.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;
use serde_json::{Map, Value, json};
use unspool::rows::Param;
use unspool::{Description, ask, events, pages, rows};

use super::{FILE, Pull, Pulls};
use crate::exit::Exit;
use crate::{addresses, flags, report};

/// A flag by its name in the program, where its value stands in a pull, and how.
type Member = (&'static str, &'static str, Form);

/// A flag that is not here cannot be saved.
const MEMBERS: &[Member] = &[
    ("url", "from.url", Form::Url),
    ("urls", "from.url", Form::Urls),
    ("query", "from.url", Form::Query),
    ("dsn", "from.dsn", Form::Text),
    ("sql", "from.sql", Form::Content),
    ("table", "from.table", Form::Text),
    ("params", "from.params", Form::Params),
    ("mode", "from.mode", Form::Text),
    ("batch", "from.batch", Form::Number),
    ("partitions", "from.partitions", Form::Number),
    ("since", "from.since", Form::Param),
    ("overlap", "from.overlap", Form::Text),
    ("write", "from.write", Form::Flag),
    ("paginate", "from.paginate", Form::Text),
    ("items", "from.items", Form::Text),
    ("items_of_object", "from.items_of_object", Form::Text),
    ("data", "from.data", Form::Json),
    ("in_flight", "from.in_flight", Form::Number),
    ("unique", "from.unique", Form::Text),
    ("max_item", "from.max_item", Form::Size),
    ("transport", "from.transport", Form::Text),
    ("parse", "from.parse", Form::Flag),
    ("meta", "from.meta", Form::Flag),
    ("stop_after", "from.stop_after", Form::Time),
    ("until", "from.until", Form::Text),
    ("once", "from.once", Form::Flag),
    ("idle", "from.idle", Form::Time),
    ("reconnects", "from.reconnects", Form::Number),
    ("every", "from.every", Form::Time),
    ("id", "from.id", Form::Text),
    ("cursor", "from.cursor", Form::Text),
    ("send", "from.send", Form::Contents),
    ("subprotocol", "from.subprotocols", Form::Texts),
    ("position", "from.position", Form::Text),
    ("resume_as", "from.resume_as", Form::Text),
    ("gap_event", "from.gap_events", Form::Texts),
    ("ordered_ids", "from.ordered_ids", Form::Flag),
    ("prompt", "from.prompt", Form::Content),
    ("model", "from.model", Form::Text),
    ("provider", "from.provider", Form::Text),
    ("base_url", "from.base_url", Form::Text),
    ("system", "from.system", Form::Content),
    ("tools", "from.tools", Form::Json),
    ("max_tokens", "from.max_tokens", Form::Number),
    ("temperature", "from.temperature", Form::Number),
    ("stop", "from.stop", Form::Texts),
    ("extra", "from.extra", Form::Json),
    ("stop_at", "from.stop_at", Form::Text),
    ("first_byte", "from.first_byte", Form::Time),
    ("file", "from.each.file", Form::Text),
    ("template", "from.each.template", Form::Content),
    ("failed", "from.each.failed", Form::Text),
    ("again", "from.each.again", Form::Flag),
    ("give_up_after", "from.each.give_up_after", Form::Number),
    ("price", "from.each.price", Form::Text),
    ("max_cost", "from.each.max_cost", Form::Number),
    (
        "max_tokens_total",
        "from.each.max_tokens_total",
        Form::Number,
    ),
    ("headers", "from.http.headers", Form::Pairs(':')),
    ("user", "from.http.user", Form::Text),
    ("bearer", "from.http.bearer", Form::Text),
    ("api_key_query", "from.http.api_key_query", Form::Pairs('=')),
    ("cookie", "from.http.cookies", Form::Cookies),
    ("also_origin", "from.http.also_origins", Form::Texts),
    ("oauth2_token_url", "from.http.oauth2.token_url", Form::Text),
    ("oauth2_client_id", "from.http.oauth2.client_id", Form::Text),
    (
        "oauth2_client_secret",
        "from.http.oauth2.client_secret",
        Form::Text,
    ),
    (
        "oauth2_scope",
        "from.http.oauth2.parameters.scope",
        Form::Text,
    ),
    (
        "oauth2_param",
        "from.http.oauth2.parameters",
        Form::Pairs('='),
    ),
    ("oauth2_in_body", "from.http.oauth2.in_body", Form::Flag),
    ("api_key", "from.http.api_key", Form::Pairs('=')),
    ("retries", "from.http.retries", Form::Number),
    ("timeout", "from.http.timeout", Form::Time),
    ("rate", "from.http.rate", Form::Text),
    ("key", "key", Form::Texts),
    ("to", "to", Form::Text),
    ("state", "state", Form::Text),
    ("resume", "resume", Form::Flag),
    ("schema", "schema", Form::Text),
    ("take", "take", Form::Number),
    ("checkpoint", "checkpoint", Form::Time),
    ("deadline", "deadline", Form::Time),
];

/// Those that stand elsewhere in the pulls of one command.
const MEMBERS_OF: &[(&str, Member)] = &[
    ("ask", ("api_key", "from.api_key", Form::Text)),
    ("ask", ("schema", "from.schema", Form::JsonFile)),
    ("ask", ("messages", "from.messages", Form::JsonFile)),
    ("ask", ("in_flight", "from.each.in_flight", Form::Number)),
    ("rows", ("key", "from.key", Form::Texts)),
    ("rows", ("retries", "from.retries", Form::Number)),
    ("rows", ("timeout", "from.timeout", Form::Time)),
];

/// What only concerns the one run.
const OF_THE_RUN: [&str; 5] = ["save", "quiet", "explain", "upsert", "trace_to"];

/// How the text of a flag becomes a value.
#[derive(Clone, Copy)]
enum Form {
    /// The text as it is, with its `${NAME}` and `@FILE`.
    Text,
    Texts,
    /// A text, or what the file holds now.
    Content,
    Contents,
    Json,
    /// What the file of that name holds now.
    JsonFile,
    Number,
    Size,
    Time,
    Flag,
    Url,
    /// The first is where the feed is, the others are further ones.
    Urls,
    /// Parameters to add to the URL.
    Query,
    Param,
    Params,
    /// Names and values with this in between.
    Pairs(char),
    Cookies,
}

/// Writes the pull that the flags of a command say to [`FILE`], and sends nothing.
pub(crate) fn save(name: &str, command: &str, matches: &ArgMatches) -> Exit {
    match pull_of(command, matches).and_then(|pull| append(Path::new(FILE), name, &pull)) {
        Ok(()) => {
            report::problem(&format!("saved: `unspool run {FILE} {name}` runs it"));
            Exit::Complete
        }
        Err(message) => {
            report::problem(&format!("--save: {message}"));
            Exit::WrongRequest
        }
    }
}

/// What the flags of a command say.
fn pull_of(command: &str, matches: &ArgMatches) -> Result<Pull, String> {
    let mut pull = json!({"from": {"source": command}});
    let given: Vec<&str> = (matches.ids())
        .map(clap::Id::as_str)
        .filter(|id| matches.value_source(id) == Some(ValueSource::CommandLine))
        .filter(|id| !OF_THE_RUN.contains(id))
        .collect();
    let own = MEMBERS_OF.iter().filter(|(name, _)| *name == command);
    let own: Vec<Member> = own.map(|(_, member)| *member).collect();
    let is_own = |flag: &str| own.iter().any(|(own, ..)| *own == flag);
    // In the order of the table: some build on others.
    let others = MEMBERS.iter().filter(|(flag, ..)| !is_own(flag));
    let members = own.iter().chain(others);
    for (flag, path, form) in members.clone().filter(|(flag, ..)| given.contains(flag)) {
        let texts = texts_of(matches, flag);
        let in_flag = |error| format!("`--{}`: {error}", flag.replace('_', "-"));
        form.put(&texts, path, &mut pull).map_err(in_flag)?;
    }
    let is_known = |id: &&str| members.clone().any(|(flag, ..)| flag == id);
    // The names of groups of flags are in capitals.
    let is_flag = |id: &&str| id.starts_with(|char: char| char.is_ascii_lowercase());
    if let Some(other) = given
        .iter()
        .copied()
        .filter(is_flag)
        .find(|id| !is_known(id))
    {
        return Err(format!(
            "a pull in a file has nothing for `--{}`",
            other.replace('_', "-")
        ));
    }
    if matches.try_get_one("upsert").ok().flatten() == Some(&true) {
        pull["key"] = pull["from"]["key"].clone();
    }
    checked(pull)
}

/// The pull, if its description can be written down.
fn checked(pull: Value) -> Result<Pull, String> {
    let mut pull: Pull = serde_json::from_value(pull).map_err(|error| error.to_string())?;
    let said = |error: unspool::Error| error.to_string();
    let own = &pull.from;
    // Each refuses credentials that are given as they are.
    let written: Result<Description, _> = match own.source() {
        "pages" => (&own.own::<pages::Description>().map_err(said)?).try_into(),
        "ask" => (&own.own::<ask::Description>().map_err(said)?).try_into(),
        "events" => (&own.own::<events::Description>().map_err(said)?).try_into(),
        _ => (&own.own::<rows::Description>().map_err(said)?).try_into(),
    };
    pull.from = written.map_err(said)?;
    Ok(pull)
}

/// Adds a pull to the end of a file, which keeps what it holds.
fn append(path: &Path, name: &str, pull: &Pull) -> Result<(), String> {
    let shown = format!("`{}`", path.display());
    if path.exists() && Pulls::of_file(path)?.has(name) {
        return Err(format!(
            "{shown} has a pull `{name}` already: take another name, or remove that one"
        ));
    }
    let table = Map::from_iter([(name.to_owned(), json!(pull))]);
    let text = toml::to_string(&table)
        .map_err(|error| format!("this cannot be written as TOML: {error}"))?;
    let unwritable = |error: std::io::Error| format!("cannot write {shown}: {error}");
    let mut file = (OpenOptions::new().create(true).append(true).open(path)).map_err(unwritable)?;
    let begins = file.metadata().map_err(unwritable)?.len() == 0;
    let space = if begins { "" } else { "\n" };
    (file.write_all(format!("{space}{text}").as_bytes())).map_err(unwritable)
}

/// The texts of a flag as they were written.
fn texts_of(matches: &ArgMatches, flag: &str) -> Vec<String> {
    let raw = matches.try_get_raw(flag).ok().flatten();
    raw.map(|texts| {
        texts
            .map(|text| text.to_string_lossy().into_owned())
            .collect()
    })
    .unwrap_or_default()
}

impl Form {
    /// Puts the value of a flag there.
    fn put(self, texts: &[String], path: &str, pull: &mut Value) -> Result<(), String> {
        let Some(text) = texts.last() else {
            return Ok(());
        };
        let value = match self {
            Form::Text => json!(text),
            Form::Texts => json!(texts),
            Form::Content => json!(flags::text(text)?),
            Form::Contents => json!(
                texts
                    .iter()
                    .map(|t| flags::text(t))
                    .collect::<Result<Vec<_>, _>>()?
            ),
            Form::Json => flags::json(text)?,
            Form::JsonFile => flags::json(&format!("@{}", text.trim_start_matches('@')))?,
            Form::Number => serde_json::from_str(text).map_err(|error| error.to_string())?,
            Form::Size => json!(flags::bytes(text)?),
            Form::Time => json!(flags::duration(text)?.as_secs_f64()),
            Form::Flag => json!(true),
            Form::Url => json!(address(text)?),
            Form::Urls => {
                if let [_, others @ ..] = texts
                    && !others.is_empty()
                {
                    pull["from"]["and"] = json!(others);
                }
                json!(texts[0])
            }
            Form::Query => json!(with_query(pull["from"]["url"].as_str(), texts)?),
            Form::Param => json!(param(text)?),
            Form::Params => json!(
                texts
                    .iter()
                    .map(|t| param(t))
                    .collect::<Result<Vec<_>, _>>()?
            ),
            Form::Pairs(between) => return put_pairs(texts, between, at(pull, path)),
            Form::Cookies => {
                let cookies: Vec<String> = texts
                    .iter()
                    .flat_map(|text| text.split(';'))
                    .map(str::to_owned)
                    .collect();
                return put_pairs(&cookies, '=', at(pull, path));
            }
        };
        *at(pull, path) = value;
        Ok(())
    }
}

/// The member at a path, made where it is not there.
fn at<'p>(pull: &'p mut Value, path: &str) -> &'p mut Value {
    path.split('.').fold(pull, |value, name| &mut value[name])
}

/// An address with what it names by `${NAME}`, which is looked up when it is asked.
fn address(text: &str) -> Result<String, String> {
    if text.contains("${") {
        return Ok(text.to_owned());
    }
    addresses::of_web(text)
}

fn with_query(url: Option<&str>, parameters: &[String]) -> Result<String, String> {
    let mut url = reqwest::Url::parse(url.unwrap_or_default())
        .map_err(|error| format!("the URL takes no parameters: {error}"))?;
    for parameter in parameters {
        let (name, value) = (parameter.split_once('=')).ok_or("expected `NAME=VALUE`")?;
        if names_another(value) {
            return Err(
                "put a value that is looked up into the URL, or into `--api-key-query`".to_owned(),
            );
        }
        url.query_pairs_mut().append_pair(name, value);
    }
    Ok(url.into())
}

fn param(text: &str) -> Result<Param, String> {
    if names_another(text) {
        return Err("a value that is looked up cannot be a parameter in a file".to_owned());
    }
    Ok(Param::parse(text))
}

fn names_another(text: &str) -> bool {
    text.contains("${") || text.starts_with('@')
}

/// Adds names and values to a table.
fn put_pairs(texts: &[String], between: char, table: &mut Value) -> Result<(), String> {
    for text in texts {
        let (name, value) = (text.split_once(between)).ok_or_else(|| {
            format!(
                "expected a name and a value with `{between}` in between, and not a file of them"
            )
        })?;
        let (name, value) = (name.trim(), value.trim());
        if !table[name].is_null() {
            return Err(format!("`{name}` can stand in a file only once"));
        }
        table[name] = json!(value);
    }
    Ok(())
}
