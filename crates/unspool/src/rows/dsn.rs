//! Addresses of databases, as far as all have them.

use url::form_urlencoded;

use crate::error::Error;
use crate::secret::Secret;

/// The address as people may see it, and the passwords in it: those of a URL, in its user
/// part and in its query, and of libpq's keywords.
pub(super) fn shown(dsn: &str) -> (String, Vec<String>) {
    match passwords(dsn) {
        words if words.is_empty() => (dsn.to_owned(), words),
        words => {
            let shown = words
                .iter()
                .fold(dsn.to_owned(), |shown, word| shown.replace(word, "…"));
            (shown, words)
        }
    }
}

/// That no password stands in an address as it is.
pub(super) fn check_named(dsn: &str) -> Result<(), Error> {
    match passwords(dsn)
        .iter()
        .all(|word| Secret::new(word.as_str()).is_named())
    {
        true => Ok(()),
        false => Err(Error::request(
            "the address holds a password: to write it down, name it as `${NAME}`",
        )),
    }
}

/// The passwords in an address, as they stand there and as they are.
fn passwords(dsn: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut keep = |word: &str| {
        let decoded = percent_encoding::percent_decode_str(word).decode_utf8_lossy();
        for word in [word, &decoded] {
            if !word.is_empty() && !words.iter().any(|known| known == word) {
                words.push(word.to_owned());
            }
        }
    };
    // What stands there, whether or not it can be read as a URL: several hosts cannot.
    let pairs = match dsn.split_once("://") {
        Some((_, rest)) => {
            user_password(rest).map(&mut keep);
            let (_, query) = rest.split_once('?').unwrap_or_default();
            let query = form_urlencoded::parse(query.as_bytes());
            query.into_owned().collect()
        }
        None => keywords(dsn).unwrap_or_default(),
    };
    for (name, value) in pairs {
        if is_password(&name) {
            keep(&value);
        }
    }
    words
}

/// The password before the host of a URL; what stands there as a port and is none is one that a
/// mistake put there.
fn user_password(rest: &str) -> Option<&str> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let authority = &rest[..end];
    if let Some((user, _)) = authority.rsplit_once('@') {
        return Some(user.split_once(':')?.1);
    }
    let (_, port) = authority.rsplit_once(':')?;
    if port.ends_with(']') || port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // It has characters in it that should have been encoded, or is without a host.
    let user = rest.rsplit_once('@').map(|(user, _)| user);
    user.map_or(Some(port), |user| Some(user.split_once(':')?.1))
}

fn is_password(name: &str) -> bool {
    ["password", "sslpassword", "passwd", "pwd"].contains(&name.to_ascii_lowercase().as_str())
}

/// `name=value name='va lue'`, as libpq reads it.
pub(super) fn keywords(text: &str) -> Result<Vec<(String, String)>, Error> {
    let mut pairs = Vec::new();
    let mut chars = text.trim().chars().peekable();
    while chars.peek().is_some() {
        let mut name = String::new();
        while let Some(char) = chars.next_if(|char| *char != '=') {
            name.push(char);
        }
        if chars.next() != Some('=') {
            return Err(Error::request(
                "expected `name=value` in the address of the database",
            ));
        }
        while chars.next_if(|char| char.is_whitespace()).is_some() {}
        let is_quoted = chars.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match chars.next() {
                Some('\\') => value.extend(chars.next()),
                Some('\'') if is_quoted => break,
                Some(char) if char.is_whitespace() && !is_quoted => break,
                Some(char) => value.push(char),
                None if is_quoted => {
                    return Err(Error::request(
                        "a `'` is missing in the address of the database",
                    ));
                }
                None => break,
            }
        }
        while chars.next_if(|char| char.is_whitespace()).is_some() {}
        pairs.push((name.trim().to_owned(), value));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        for dsn in [
            "postgres://ada:hush-hush@localhost/db",
            "mysql://ada:hush-hush@[::1]:3306/db?ssl=1",
            "postgres:///db?user=ada&password=hush-hush",
            "host=localhost password=hush-hush dbname=db",
            "host=localhost password='hush-hush'",
            "postgres://ada:hush%2Dhush@localhost",
            // No URL has several hosts, or such a port.
            "postgres://ada:hush-hush@one:1,two:2/db",
            "postgres://ada:hush-hush@h:99999/db",
            "postgres://one:1,two:2/db?user=ada&password=hush-hush",
            "postgres://ada@[::1/db?password=hush-hush",
            "mysql://ada:hush-hush",
            "mysql://ada:hush-hush/or?@h/db",
        ] {
            let (shown, words) = shown(dsn);
            assert!(
                words.iter().any(|word| word.starts_with("hush-hush")),
                "{dsn}: {words:?}"
            );
            assert!(!shown.contains("hush"), "{shown}");
            assert!(check_named(dsn).is_err(), "{dsn}");
        }
        for dsn in [
            "sqlite:users.db",
            "postgres://ada@localhost/db",
            "postgres://a:${PW}@h/d",
            "postgres://one:1,two:2/d@x?application_name=a@b",
            "postgres://h:5432?user=ada@h",
            "postgres://[::1]/d",
        ] {
            assert!(check_named(dsn).is_ok(), "{dsn}");
        }
    }

    #[test]
    fn keywords_are_read_as_libpq_does() {
        let pairs = keywords(r" host = localhost  dbname='a \' b' user=x\ y password='' ").unwrap();
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let expected = [
            ("host", "localhost"),
            ("dbname", "a ' b"),
            ("user", "x y"),
            ("password", ""),
        ];
        assert_eq!(pairs, expected);
        assert!(keywords("host").is_err() && keywords("a='b").is_err());
    }
}
