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
        &["-f", "--fail", "--fail-with-body", "--check-status"],
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
        &[
            "--jq",
            "--filter",
            "-q",
            "-r",
            "--raw",
            "-t",
            "--template",
            "--pretty",
            "--print",
            "--body",
        ],
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
    (
        &["-G", "--get", "--data-urlencode", "--field", "--raw-field"],
        "`--query NAME=VALUE` adds to the URL; `--data` sends a JSON document",
    ),
    (
        &["--url", "--hostname"],
        "write the whole URL, without a flag",
    ),
    (
        &["-N", "--no-buffer", "--stream"],
        "items are written as they arrive in any case",
    ),
    (
        &[
            "--http1.0",
            "--http1.1",
            "--http2",
            "--http3",
            "--http-version",
        ],
        "the version of HTTP is agreed on with the server",
    ),
    (
        &["-w", "--write-out", "-D", "--dump-header", "--headers"],
        "`-v` shows each request with its status; `--account FILE` has what was done as JSON",
    ),
    (
        &["--trace", "--trace-ascii", "--debug"],
        "`-v` shows each request; `--trace-to URL` sends spans to a collector",
    ),
    (
        &["-c", "--cookie-jar", "--session"],
        "cookies are kept while the command runs; `--cookie` sends some from the start",
    ),
    (
        &["-C", "--continue-at", "--continue", "--cache"],
        "`--to FILE --resume` goes on where the run before ended",
    ),
    (
        &["-O", "--remote-name", "--download"],
        "write `--to FILE`, such as `--to posts.jsonl`",
    ),
    (
        &["--max-redirs", "--max-redirects"],
        "up to ten redirects are followed, to the same origin with the credentials",
    ),
    (
        &["--digest", "--ntlm", "--negotiate", "-E", "--cert"],
        "that way to log in is not supported; `unspool help auth` has those that are",
    ),
    (
        &["--verify"],
        "`--cacert FILE` trusts a certificate of your own; `--insecure` trusts any",
    ),
    (
        &["--no-paginate", "--rsh-no-paginate"],
        "write `--paginate single`",
    ),
    (&["--rsh-header"], "write `-H 'NAME: VALUE'`"),
    (
        &["--noproxy"],
        "`NO_PROXY` in the environment has the hosts that are reached without a proxy",
    ),
    (
        &["-U", "--proxy-user"],
        "write user and password into the URL of `--proxy`",
    ),
    (
        &["--limit-rate"],
        "`--rate N/UNIT` is for requests; a body comes as fast as its items are read",
    ),
    (
        &["--color", "--no-color"],
        "items have no colours; `NO_COLOR` is heard for the rest",
    ),
    (
        &["--resolve", "--connect-to"],
        "the addresses of hosts come from the system",
    ),
    (
        &["--ignore-stdin"],
        "standard input is read only where a value is `@-`",
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
