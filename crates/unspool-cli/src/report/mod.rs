//! What people read: the progress line, the closing sentence, errors.

pub(crate) mod ask;
pub(crate) mod pages;
pub(crate) mod rows;

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use unspool::{Account, Details, Error, Secrets};

use crate::pull::End;

/// Values that are in no message: those of the credentials' flags, of the environment and
/// of files.
pub(crate) static SECRETS: Secrets = Secrets::new();

/// Says on standard error that something is wrong.
pub(crate) fn problem(message: &str) {
    say(&format!("unspool: {}", SECRETS.shown(message)));
}

/// Says on standard error what to do about it.
pub(crate) fn hint(message: &str) {
    say(&format!("  hint: {message}"));
}

/// Writes a line to standard error, if that is open and takes it.
pub(crate) fn say(line: &str) {
    // Where nobody can be told, there is nobody to tell that.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
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
            let _ = write!(text, "; {}", SECRETS.shown(&waiting));
        }
        bar.set_message(text);
    }

    /// How long it has been since the begin.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Takes the line away; the time that it was there.
    pub(crate) fn end(&self) -> Duration {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.begin.elapsed()
    }
}

/// What a command says of its source, in words.
pub(crate) trait Report<D: Details> {
    /// How far it is, for the progress line.
    fn so_far(&self, account: &Account<D>, elapsed: Duration) -> String;

    /// What came, for the closing sentence.
    fn summary(&self, account: &Account<D>, took: Duration) -> String;

    /// Why it ended.
    fn why(&self, account: &Account<D>) -> String {
        account.ended.to_string()
    }

    /// What confirms the end, if anything does.
    fn agreement(&self, _account: &Account<D>) -> &'static str {
        ""
    }

    /// Says what else there is to say, before the closing sentence.
    fn notes(&self, account: &Account<D>, end: &End, is_quiet: bool);

    /// The next step, where it is known.
    fn hint(&self, account: &Account<D>, error: Option<&Error>) -> Option<String>;
}

/// A word for a shell.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./:,=@%+".contains(char);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", HumanCount(number))
}
