//! What is said of a query.

use std::error::Error as _;
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount};
use unspool::Error;
use unspool::rows::{Account, Fetched, SqlPosition};

use super::{Report, count, problem, say};
use crate::pull::End;

pub(crate) struct RowsReport {
    /// Whether it is said how the rows were fetched.
    pub(crate) explains: bool,
}

impl Report<Fetched> for RowsReport {
    fn so_far(&self, account: &Account, elapsed: Duration) -> String {
        let rate = account.items as f64 / elapsed.as_secs_f64().max(0.001);
        format!(
            "{} rows, {}, {}/s",
            HumanCount(account.items),
            HumanBytes(account.bytes),
            HumanCount(rate as u64)
        )
    }

    fn summary(&self, account: &Account, took: Duration) -> String {
        let repeated = match account.retries {
            0 => String::new(),
            retries => format!(" ({} repeated)", HumanCount(retries)),
        };
        format!(
            "{} from {}{repeated}, {}, {:.1} s",
            count(account.items, "row"),
            count(account.requests, "statement"),
            HumanBytes(account.bytes),
            took.as_secs_f64()
        )
    }

    fn notes(&self, account: &Account, end: &End, _: bool) {
        if let End::Upstream(error) = end
            && let Some(position) = error
                .source()
                .and_then(|source| source.downcast_ref::<SqlPosition>())
        {
            for line in position.to_string().lines() {
                say(&format!("  {}", super::SECRETS.shown(line)));
            }
        }
        if let (true, Some(mode)) = (self.explains, account.mode) {
            let because = account.because.unwrap_or_default();
            problem(&format!("mode `{mode}`, as {because}: {}", mode.about()));
        }
    }

    fn hint(&self, account: &Account, error: Option<&Error>) -> Option<String> {
        let Some(error) = error else {
            return (!account.doubts.is_empty())
                .then(|| "`--key` takes columns that are never null".to_owned());
        };
        let hint = match error.code() {
            Some("read-only" | "25006") => "`--write` lets the statement change the database",
            Some("28P01" | "28000" | "1045") => {
                "the password comes from the address, as in `postgres://user:${PASSWORD}@host/name`, \
                 or from where the database's own programs take it"
            }
            _ if error.is_truncated() && account.key.is_empty() => {
                "with `--key COLUMN` a lost connection is made again, and the rows go on after the last"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
