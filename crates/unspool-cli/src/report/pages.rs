//! What is said of a walk over pages.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount};
use unspool::pages::{Account, Doubt, Walked};
use unspool::{Error, ErrorKind};

use super::{Report, count, problem, quoted};
use crate::pull::End;

/// The kind that the first page decides.
pub(crate) const AUTO: &str = "auto";

pub(crate) struct PagesReport {
    /// Whether it is said what was tried to find the next page.
    pub(crate) explains: bool,
    /// Whether the first page decides how to get to the next.
    pub(crate) is_auto: bool,
    /// The name of the member that takes the key of each item, where they have keys.
    pub(crate) items_of_object: Option<String>,
}

impl Report<Walked> for PagesReport {
    fn so_far(&self, account: &Account, elapsed: Duration) -> String {
        let rate = account.items as f64 / elapsed.as_secs_f64().max(0.001);
        let mut text = HumanCount(account.items).to_string();
        // Writing to a string does not fail.
        if let Some(total) = account.stated_total {
            let _ = write!(text, " of {}", HumanCount(total));
        }
        let _ = write!(
            text,
            " items, {} pages, {}, {}/s",
            HumanCount(account.pages),
            HumanBytes(account.bytes),
            HumanCount(rate as u64)
        );
        text
    }

    fn total(&self, account: &Account) -> Option<u64> {
        account.stated_total
    }

    fn summary(&self, account: &Account, took: Duration) -> String {
        let mut text = format!(
            "{} from {} in {}",
            count(account.items, "item"),
            count(account.pages, "page"),
            count(account.requests, "request"),
        );
        // Writing to a string does not fail.
        if account.retries > 0 {
            let _ = write!(text, " ({} repeated)", HumanCount(account.retries));
        }
        let _ = write!(
            text,
            ", {}, {:.1} s",
            HumanBytes(account.bytes),
            took.as_secs_f64()
        );
        if account.left_out > 0 {
            let left_out = count(account.left_out, "repeated item");
            let _ = write!(text, "; {left_out} left out");
        } else if account.repeated > 0 {
            let repeated = count(account.repeated, "item");
            let _ = write!(text, "; {repeated} came more than once");
        }
        text
    }

    fn agreement(&self, account: &Account) -> &'static str {
        if account.stated_total == Some(account.items) {
            ", and the upstream's own count agrees"
        } else {
            ""
        }
    }

    fn notes(&self, account: &Account, _: &End, is_quiet: bool) {
        if self.explains {
            explain(account);
        } else if (account.doubts.iter()).any(|doubt| matches!(doubt, Doubt::MorePages { .. })) {
            tried(account);
        }
        if !is_quiet
            && self.is_auto
            && let Some(pinned) = pinned(account)
        {
            let key = self.items_of_object.as_deref();
            let key = key.map_or_else(String::new, |key| {
                format!(" --items-of-object={}", quoted(key))
            });
            problem(&format!("{pinned}{key}"));
        }
    }

    fn hint(&self, account: &Account, error: Option<&Error>) -> Option<String> {
        let hint = match (error, account.doubts.first()) {
            (Some(error), _) => hint_for(error)?,
            (_, Some(Doubt::MorePages { .. })) => {
                "`--paginate KIND` says how to get to the next page, `--paginate single` that one is \
                 all you want; `unspool pages --help` has the kinds"
            }
            (_, Some(Doubt::OtherItems { .. })) => "`--items POINTER` says which is meant",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn hint_for(error: &Error) -> Option<&'static str> {
    if error.withheld_from().is_some() {
        return Some(
            "if that is another name of the same server, `--also-origin URL` sends the credentials \
             and the body there, too",
        );
    }
    if let Some(hint) = error.media_type().and_then(hint_for_media) {
        return Some(hint);
    }
    Some(match error.kind() {
        ErrorKind::Unreachable if error.is_untrusted() => {
            "`--cacert FILE` trusts the certificates in FILE, such as that of your company"
        }
        ErrorKind::Status if error.status() == Some(405) => {
            "`--data JSON` makes the requests `POST`s; without it they are `GET`s"
        }
        ErrorKind::TooLarge => {
            "`--max-item SIZE` raises the limit; `--items POINTER` says where the items are"
        }
        ErrorKind::Timeout => {
            "`--timeout TIME` is how long the upstream may be silent, and 30 times that how long it may \
             send what is no item; `--deadline TIME` limits all of it"
        }
        ErrorKind::NoItems => {
            "`--items POINTER` says where the items are, and `--items-of-object` that they are the \
             members of an object"
        }
        ErrorKind::Status if error.status() == Some(429) => {
            "`--rate N/UNIT`, such as `--rate 1/s`, makes fewer requests in that time"
        }
        _ if error.is_unauthorized() => {
            "`--bearer '${TOKEN}'`, `-u user:password`, `--api-key NAME=VALUE` and others say who you \
             are; `unspool pages --help` has them"
        }
        _ => return None,
    })
}

/// What to do about a body that is no JSON.
fn hint_for_media(media_type: &str) -> Option<&'static str> {
    Some(match media_type.to_ascii_lowercase().as_str() {
        "text/event-stream" => "that is a live feed: `unspool events URL` reads it",
        "text/html" | "application/xhtml+xml" => {
            "that is a web page: is it the address of the API, and does it want to know who you are? \
             `unspool help auth` says how to tell it"
        }
        "text/csv" | "text/tab-separated-values" | "application/csv" => {
            "that is one table, not pages of items: `curl` saves it, and `sqlite3`, `duckdb` or `xsv` \
             read it; many APIs have JSON at another address, or by `-H 'Accept: application/json'`"
        }
        "application/gzip" | "application/x-gzip" | "application/zip" | "application/zstd" => {
            "that is a compressed file, not a compressed answer: `curl` saves it"
        }
        _ => return None,
    })
}

/// The flags that make a walk go the way that was found, if one was, and take the items
/// from where they were found.
fn pinned(account: &Account) -> Option<String> {
    let items_at = account.items_at.as_ref()?;
    if account.paginate == AUTO {
        // Of a bare list there is nothing to choose.
        return (!items_at.is_empty()).then(|| format!("found: --items {}", quoted(items_at)));
    }
    Some(format!(
        "found: --paginate {} --items {}",
        quoted(&account.paginate),
        quoted(items_at)
    ))
}

/// Says in a line what was tried in vain to find the next page.
fn tried(account: &Account) {
    let ways: Vec<String> = (account.tried.iter())
        .map(|tried| quoted(&tried.paginate))
        .collect();
    if !ways.is_empty() {
        problem(&format!("tried in vain: {}", ways.join(" ")));
    }
}

/// Says what was tried to find the next page, and what came of it.
fn explain(account: &Account) {
    for tried in &account.tried {
        problem(&format!(
            "tried {}, as {}: {}",
            quoted(&tried.paginate),
            tried.evidence,
            tried.verdict
        ));
    }
    if account.tried.is_empty() {
        problem(
            "tried nothing: nothing on the first page speaks of another, or it was said how to get \
             there",
        );
    }
}
