//! `.netrc`: users and passwords by host, as ftp began it and curl reads it.

use std::path::{Path, PathBuf};

use crate::flags::text_of_file;
use crate::report::SECRETS;

/// User and password for a host.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Entry {
    /// None for the entry that is for all hosts.
    machine: Option<String>,
    pub(crate) login: String,
    pub(crate) password: String,
}

/// Where the file is if nobody says: where `NETRC` does, or in the home directory.
pub(crate) fn usual_path() -> Result<PathBuf, String> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    match (variable("NETRC"), variable("HOME")) {
        (Some(path), _) => Ok(path.into()),
        (None, Some(home)) => Ok(Path::new(&home).join(".netrc")),
        (None, None) => Err("neither `NETRC` nor `HOME` is set".to_owned()),
    }
}

/// The entry of a file for a host, and for a user if one is named.
pub(crate) fn find(path: &Path, host: &str, login: &str) -> Result<Entry, String> {
    let text = text_of_file(path)?;
    let entry = choose(entries(&text), host, login)
        .ok_or_else(|| format!("`{}` has no entry for `{host}`", path.display()))?;
    SECRETS.keep(&entry.password);
    Ok(entry)
}

/// The first that fits; the one for all hosts fits if no other does.
fn choose(entries: Vec<Entry>, host: &str, login: &str) -> Option<Entry> {
    let has_login = |entry: &&Entry| login.is_empty() || entry.login == login;
    let is_host = |entry: &&Entry| {
        let machine = entry.machine.as_deref();
        machine.is_some_and(|machine| machine.eq_ignore_ascii_case(host))
    };
    let of_host = entries.iter().filter(is_host).find(has_login);
    let of_all = || {
        let default = entries.iter().filter(|entry| entry.machine.is_none());
        default.into_iter().find(has_login)
    };
    of_host.or_else(of_all).cloned()
}

fn entries(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut tokens = Tokens { rest: text };
    while let Some(token) = tokens.next() {
        match token.as_str() {
            "machine" => entries.push(Entry {
                machine: Some(tokens.next().unwrap_or_default()),
                ..Entry::default()
            }),
            "default" => entries.push(Entry::default()),
            // A macro goes up to an empty line.
            "macdef" => tokens.skip_macro(),
            name @ ("login" | "password" | "account") => {
                let value = tokens.next().unwrap_or_default();
                match (entries.last_mut(), name) {
                    (Some(entry), "login") => entry.login = value,
                    (Some(entry), "password") => entry.password = value,
                    _ => {}
                }
            }
            _ if token.starts_with('#') => tokens.skip_line(),
            _ => {}
        }
    }
    entries
}

/// Words, some of them in quotes.
struct Tokens<'t> {
    rest: &'t str,
}

impl Tokens<'_> {
    fn next(&mut self) -> Option<String> {
        self.rest = self.rest.trim_start();
        let mut chars = self.rest.char_indices();
        let is_quoted = self.rest.starts_with('"');
        if is_quoted {
            chars.next();
        }
        let mut token = String::new();
        let mut is_escaped = false;
        let end = chars.find_map(|(index, char)| {
            match char {
                'n' if is_escaped => token.push('\n'),
                'r' if is_escaped => token.push('\r'),
                't' if is_escaped => token.push('\t'),
                char if is_escaped => token.push(char),
                '\\' if is_quoted => {
                    is_escaped = true;
                    return None;
                }
                '"' if is_quoted => return Some(index + 1),
                char if !is_quoted && char.is_whitespace() => return Some(index),
                char => token.push(char),
            }
            is_escaped = false;
            None
        });
        let is_there = is_quoted || !token.is_empty();
        self.rest = &self.rest[end.unwrap_or(self.rest.len())..];
        is_there.then_some(token)
    }

    fn skip_line(&mut self) {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        self.rest = &self.rest[end..];
    }

    fn skip_macro(&mut self) {
        let text = self.rest;
        let end = ["\n\n", "\n\r\n"]
            .iter()
            .filter_map(|end| text.find(end))
            .min();
        self.rest = &text[end.unwrap_or(text.len())..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# machine api.test login comment password wrong
machine api.test login ada password love#lace
machine other.test
\tlogin \"grace h\"
\tpassword \"a \\\"b\\\\ c\"
\taccount x
macdef init
machine macro.test login wrong password wrong
cd /pub

machine api.test login bob password password
machine bare.test
default login anonymous password me@home
machine late.test login l password p";

    #[track_caller]
    fn check(host: &str, login: &str, expected: Option<(&str, &str)>) {
        let entry = choose(entries(FILE), host, login);
        let found = (entry.as_ref()).map(|entry| (entry.login.as_str(), entry.password.as_str()));
        assert_eq!(found, expected, "{host} {login}");
    }

    #[test]
    fn the_entry_of_the_host_is_found() {
        check("api.test", "", Some(("ada", "love#lace")));
        check("API.test", "bob", Some(("bob", "password")));
        check("other.test", "", Some(("grace h", "a \"b\\ c")));
        check("bare.test", "", Some(("", "")));
        check("late.test", "", Some(("l", "p")));
    }

    #[test]
    fn other_hosts_get_the_default() {
        let default = Some(("anonymous", "me@home"));
        for host in ["macro.test", "sub.api.test", "test", ""] {
            check(host, "", default);
        }
        check("api.test", "carol", None);
        assert_eq!(choose(entries("machine a login b"), "c", ""), None);
    }

    #[test]
    fn files_that_stop_early_are_read_as_far_as_they_go() {
        for end in 0..=FILE.len() {
            entries(&FILE[..end]);
        }
        for text in [
            "machine",
            "login",
            "\"",
            "machine \"a\\",
            "macdef",
            "#",
            "\\",
        ] {
            entries(text);
        }
    }
}
