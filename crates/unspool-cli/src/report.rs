//! What people read: the progress line, the closing sentence, errors.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use unspool::ask::{Outcome, Stop};
use unspool::pages::Account;

use crate::secrets;

/// The shortest answer whose rate is told.
const RATED: Duration = Duration::from_millis(500);

/// Says on standard error that something is wrong.
pub(crate) fn problem(message: &str) {
    eprintln!("unspool: {}", secrets::without(message));
}

/// Says on standard error what to do about it.
pub(crate) fn hint(message: &str) {
    eprintln!("  hint: {message}");
}

/// A line on the terminal that shows how far a walk is.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    begin: Instant,
}

impl Progress {
    /// A line if `is_wanted` and standard error is a terminal.
    pub(crate) fn new(is_wanted: bool) -> Self {
        let bar = (is_wanted && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Progress {
            bar,
            begin: Instant::now(),
        }
    }

    pub(crate) fn is_shown(&self) -> bool {
        self.bar.is_some()
    }

    /// Shows a text, and what is waited for.
    pub(crate) fn say(&self, mut text: String, waiting: Option<String>) {
        let Some(bar) = &self.bar else { return };
        if let Some(waiting) = waiting {
            // Writing to a string does not fail.
            let _ = write!(text, "; {}", secrets::without(&waiting));
        }
        bar.set_message(text);
    }

    pub(crate) fn update(&self, account: &Account, waiting: Option<String>) {
        let seconds = self.begin.elapsed().as_secs_f64();
        let rate = account.items as f64 / seconds.max(0.001);
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
        self.say(text, waiting);
    }

    /// Takes the line away; the time that it was there.
    pub(crate) fn end(&self) -> Duration {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.begin.elapsed()
    }
}

/// The closing sentence of a walk.
pub(crate) fn closing(
    account: &Account,
    verdict: &str,
    why: Option<&str>,
    took: Duration,
) -> String {
    let mut text = format!(
        "{verdict}: {} from {} in {}",
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
        let _ = write!(
            text,
            "; {} left out",
            count(account.left_out, "repeated item")
        );
    } else if account.repeated > 0 {
        let _ = write!(
            text,
            "; {} came more than once",
            count(account.repeated, "item")
        );
    }
    if let Some(why) = why {
        let _ = write!(text, "; {why}");
    }
    if account.stated_total == Some(account.items) {
        text.push_str(", and the upstream's own count agrees");
    }
    text
}

/// How far an answer is.
pub(crate) fn answer_so_far(outcome: &Outcome) -> String {
    let model = outcome.model.as_deref().unwrap_or("the model");
    let seconds = outcome.took.as_secs_f64();
    match outcome.text_bytes {
        0 => format!("{model}, {seconds:.1} s"),
        bytes => format!("{model}, {} of text, {seconds:.1} s", HumanBytes(bytes)),
    }
}

/// The closing sentence of an answer.
pub(crate) fn closing_of_answer(outcome: &Outcome, verdict: &str, why: Option<&str>) -> String {
    let mut parts = Vec::new();
    let usage = &outcome.usage;
    // What was counted before an end that never came says little.
    let is_counted = !matches!(outcome.stop, Stop::Stopped | Stop::Failed | Stop::Asked);
    let output = usage.output_tokens.filter(|_| is_counted);
    match (output, usage.input_tokens) {
        (Some(output), Some(input)) => parts.push(format!(
            "{} ({} in)",
            count(output, "token"),
            HumanCount(input)
        )),
        (Some(output), None) => parts.push(count(output, "token")),
        (None, _) => parts.push(format!("{} of text", HumanBytes(outcome.text_bytes))),
    }
    if let Some(cached) = usage.cache_read_tokens.filter(|cached| *cached > 0) {
        parts.push(format!("{} from the cache", HumanCount(cached)));
    }
    if let Some(first) = outcome.first_token {
        parts.push(format!("the first after {:.2} s", first.as_secs_f64()));
    }
    parts.push(format!("{:.1} s", outcome.took.as_secs_f64()));
    // Over a moment there is no rate.
    let rate = outcome.tokens_per_second();
    if let Some(rate) = rate.filter(|_| is_counted && outcome.took > RATED) {
        parts.push(format!("{rate:.0} tokens/s"));
    }
    if outcome.retries > 0 {
        parts.push(format!(
            "{} ({} repeated)",
            count(outcome.requests, "request"),
            HumanCount(outcome.retries)
        ));
    }
    let mut text = format!("{verdict}: {}", parts.join(", "));
    if let Some(why) = why {
        let _ = write!(text, "; {why}");
    }
    text
}

/// The flags that make a walk go the way that was found, if one was, and take the items
/// from where they were found.
pub(crate) fn pinned(account: &Account) -> Option<String> {
    let items_at = account.items_at.as_ref()?;
    if account.paginate == "auto" {
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
pub(crate) fn tried(account: &Account) {
    let ways: Vec<String> = (account.tried.iter())
        .map(|tried| quoted(&tried.paginate))
        .collect();
    if !ways.is_empty() {
        problem(&format!("tried in vain: {}", ways.join(" ")));
    }
}

/// Says what was tried to find the next page, and what came of it.
pub(crate) fn explain(account: &Account) {
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
            "tried nothing: nothing on the first page speaks of another, or it was said how to get there",
        );
    }
}

/// A word for a shell.
fn quoted(text: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./:,=@%+".contains(char);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", HumanCount(number))
}
