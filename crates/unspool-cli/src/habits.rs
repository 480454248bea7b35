//! What other tools call a thing, and what it is called here.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Flags of curl, HTTPie, xh, restish and gh that are none here, with what to do instead.
const FLAGS: &[(&[&str], &str)] = &[
    (
        &["-X", "--request", "--method"],
        "the method follows from what is sent: `GET`, or `POST` with `--data`",
    ),
    (
        &["-L", "--location", "--follow"],
        "redirects are followed in any case, without the credentials where they leave the origin",
    ),
    (&["-A", "--user-agent"], "write `-H 'User-Agent: NAME'`"),
    (&["-e", "--referer"], "write `-H 'Referer: URL'`"),
    (
        &["-f", "--fail"],
        "an error status is an error in any case, and the exit code is not 0",
    ),
    (
        &["-S", "--show-error"],
        "errors are shown in any case, also with `--quiet`",
    ),
    (&["-s"], "write `-q`, or `--quiet`"),
    (
        &["--compressed"],
        "compressed bodies are asked for and decompressed in any case",
    ),
    (
        &["-F", "--form", "-T", "--upload-file"],
        "nothing is uploaded; `--data` sends a JSON document",
    ),
    (
        &["-I", "--head", "-i", "--include"],
        "`-v` shows each request with its status",
    ),
    (
        &["--paginate-all", "--all", "--all-pages", "--slurp"],
        "all pages are walked in any case, and `--to FILE.json` writes one array",
    ),
    (
        &["--connect-timeout", "-m"],
        "`--timeout` is for each silence of the upstream, `--deadline` for all of it",
    ),
    (&["--retry", "--max-retries"], "write `--retries N`"),
    (
        &["--jq", "--filter", "-q"],
        "pipe the lines into `jq`; `--items POINTER` says which array the items are",
    ),
    (
        &["--page-size", "--per-page", "--page"],
        "write it into the URL as the API has it, such as `--query per_page=100`",
    ),
    (
        &["--concurrency", "--parallel", "-j"],
        "write `--in-flight N`",
    ),
    (
        &["--format", "--output-format", "--csv", "--parquet"],
        "the end of the target's name says the format: `--to FILE.csv`",
    ),
    (
        &["--token", "--auth", "--oauth2-bearer"],
        "write `--bearer '${TOKEN}'`, or `-u USER:PASSWORD`",
    ),
];

/// An error of the command line with what would help: for a flag that another tool has, what is
/// to be done here; and never to pass a flag as a value.
pub(crate) fn explained(mut error: clap::Error) -> clap::Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let name = flag.split('=').next().unwrap_or(flag);
    let known = FLAGS.iter().find(|(names, _)| names.contains(&name));
    match known {
        Some((_, advice)) => {
            let advice = ContextValue::StyledStrs(vec![(*advice).into()]);
            error.remove(ContextKind::SuggestedArg);
            error.insert(ContextKind::Suggested, advice);
        }
        None => {
            error.remove(ContextKind::Suggested);
        }
    }
    error
}
