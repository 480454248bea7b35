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
            problem(&pinned);
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
    Some(match error.kind() {
        ErrorKind::TooLarge => {
            "`--max-item SIZE` raises the limit; `--items POINTER` says where the items are"
        }
        ErrorKind::NoItems => "`--items POINTER` says where the items are",
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
