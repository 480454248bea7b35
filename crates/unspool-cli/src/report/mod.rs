//! What people read: the progress line, the closing sentence, errors.

pub(crate) mod ask;
pub(crate) mod each;
pub(crate) mod events;
pub(crate) mod pages;
pub(crate) mod rows;

use std::io::Write as _;
use std::time::Duration;

use indicatif::HumanCount;
use unspool::{Account, Details, Error, Secrets};

use crate::exit::Exit;
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

/// What a command says of its source, in words.
pub(crate) trait Report<D: Details> {
    /// How far it is, for the progress line.
    fn so_far(&self, account: &Account<D>, elapsed: Duration) -> String;

    /// How many items there are, where the upstream states it.
    fn total(&self, _account: &Account<D>) -> Option<u64> {
        None
    }

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

    /// Whether doubts have been said when they came up, and need not be said at the end.
    fn says_doubts_at_once(&self) -> bool {
        false
    }

    /// Says what else there is to say, before the closing sentence.
    fn notes(&self, account: &Account<D>, end: &End, is_quiet: bool);

    /// The exit code, where it says more than the verdict does.
    fn exit(&self, _account: &Account<D>, exit: Exit) -> Exit {
        exit
    }

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
