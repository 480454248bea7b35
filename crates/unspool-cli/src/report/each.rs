//! What is said of a question for each record.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{HumanCount, HumanDuration};
use unspool::ask::{EachAnswered, EachStop};
use unspool::{Account, Error};

use super::ask::hint_of;
use super::{Report, count};
use crate::exit::Exit;
use crate::pull::End;

pub(crate) struct EachReport {
    /// How many records earlier runs have done.
    before: u64,
    /// A terminal has a bar, which knows the rest.
    is_terminal: bool,
}

type EachAccount = Account<EachAnswered>;

impl EachReport {
    pub(crate) fn new(before: u64) -> Self {
        EachReport {
            before,
            is_terminal: std::io::stderr().is_terminal(),
        }
    }

    /// How many records are left, where that is known.
    fn left(&self, account: &EachAccount) -> Option<u64> {
        let done = self.before + account.items;
        account.records.map(|records| records.saturating_sub(done))
    }
}

impl Report<EachAnswered> for EachReport {
    fn so_far(&self, account: &EachAccount, elapsed: Duration) -> String {
        let mut text = described(account);
        let left = self.left(account).filter(|_| !self.is_terminal);
        if let Some(left) = left.filter(|left| *left > 0 && account.items > 0) {
            let each = elapsed.as_secs_f64() / account.items as f64;
            let rest = Duration::try_from_secs_f64(each * left as f64).unwrap_or(Duration::MAX);
            text.push_str(&format!(
                ", {} left, about {}",
                count(left, "record"),
                HumanDuration(rest)
            ));
        }
        text
    }

    fn total(&self, account: &EachAccount) -> Option<u64> {
        account.records
    }

    fn summary(&self, account: &EachAccount, took: Duration) -> String {
        let mut text = described(account);
        text.push_str(&format!(
            ", {}, {:.1} s",
            count(account.requests, "request"),
            took.as_secs_f64()
        ));
        text
    }

    fn why(&self, account: &EachAccount) -> String {
        match self.left(account) {
            Some(left) if left > 0 && is_budget(account) => {
                format!("{}, with {} left", account.ended, count(left, "record"))
            }
            _ => account.ended.to_string(),
        }
    }

    fn notes(&self, _: &EachAccount, _: &End, _: bool) {}

    fn exit(&self, account: &EachAccount, exit: Exit) -> Exit {
        match (exit, account.ended) {
            (Exit::NotProved, EachStop::SomeFailed) => Exit::Failed,
            (Exit::Complete, _) if is_budget(account) => Exit::Incomplete,
            (exit, _) => exit,
        }
    }

    fn hint(&self, account: &EachAccount, error: Option<&Error>) -> Option<String> {
        if let Some(error) = error {
            return hint_of(error, None);
        }
        let hint = match account.ended {
            EachStop::TokenBudget => "a larger `--max-tokens-total` goes on, with `--resume`",
            EachStop::CostBudget => "a larger `--max-cost` goes on, with `--resume`",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn is_budget(account: &EachAccount) -> bool {
    matches!(account.ended, EachStop::TokenBudget | EachStop::CostBudget)
}

/// What came, in words.
fn described(account: &EachAccount) -> String {
    let mut parts = vec![count(account.items, "record")];
    for (number, what) in [
        (account.failed, "failed"),
        (account.incomplete, "not whole"),
        (account.doubtful, "in doubt"),
    ] {
        if number > 0 {
            parts.push(format!("{} {what}", HumanCount(number)));
        }
    }
    let tokens = account.input_tokens + account.output_tokens;
    parts.push(format!(
        "{} ({} in)",
        count(tokens, "token"),
        HumanCount(account.input_tokens)
    ));
    if let Some(cost) = account.cost {
        parts.push(format!("{cost:.4} in cost"));
    }
    parts.join(", ")
}
