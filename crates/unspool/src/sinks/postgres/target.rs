//! Which table of which database.

use crate::error::Error;
use crate::sinks::tables::{quoted, split_table};

/// The most bytes of a name.
pub(super) const MOST_BYTES: usize = 63;

/// A table of a database.
pub(super) struct Target {
    /// The whole address, with its password.
    pub(super) address: String,
    /// The same for people and files, without what a password may be in.
    pub(super) shown: String,
    /// The table, as it was written.
    pub(super) table: String,
    /// The same as SQL has it.
    pub(super) quoted: String,
    /// Where the state of the tables beside it is, as SQL has it.
    pub(super) state: String,
}

pub(super) fn is_named(target: &str) -> bool {
    target.starts_with("postgres://") || target.starts_with("postgresql://")
}

impl Target {
    pub(super) fn parse(target: &str) -> Result<Self, Error> {
        let (address, table) = split_table(target);
        let (quoted, state) = match table.split_once('.') {
            Some((schema, name)) => (
                format!("{}.{}", quoted(schema), quoted(name)),
                format!("{}._unspool", quoted(schema)),
            ),
            None => (quoted(table), "_unspool".to_owned()),
        };
        if quoted == state || table == "_unspool" {
            return Err(Error::request(
                "expected a table; `_unspool` is for the state of tables",
            ));
        }
        if let Some(name) = table.splitn(2, '.').find(|name| name.len() > MOST_BYTES) {
            return Err(Error::request(format!(
                "expected a name of {MOST_BYTES} bytes at most, as the server cuts longer ones; \
                 found `{name}`"
            )));
        }
        Ok(Target {
            address: address.to_owned(),
            shown: format!("{}#{table}", shown(address)),
            table: table.to_owned(),
            quoted,
            state,
        })
    }

    /// Where its state is, as messages name it.
    pub(super) fn state_place(&self) -> String {
        format!("`{}` of `{}`", self.state, self.shown)
    }
}

/// An address without its password, and without its settings, of which one may be a password.
fn shown(address: &str) -> String {
    let (address, _) = address.split_once('?').unwrap_or((address, ""));
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.to_owned();
    };
    match rest.rsplit_once('@') {
        Some((user, place)) => {
            let (user, _) = user.split_once(':').unwrap_or((user, ""));
            format!("{scheme}://{user}@{place}")
        }
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let address =
            "postgres://me:geheim@db.test:5433/shop?password=auch&sslmode=disable#s.Posts";
        let target = Target::parse(address).unwrap();
        assert_eq!(target.shown, "postgres://me@db.test:5433/shop#s.Posts");
        assert_eq!(target.quoted, r#""s"."Posts""#);
        assert_eq!(target.state, r#""s"._unspool"#);
        assert!(target.address.contains("geheim"));
        for (address, expected) in [
            ("postgres://me:a@b@h1:1,h2:2/d", "postgres://me@h1:1,h2:2/d"),
            ("postgres:///d?host=/run&password=x", "postgres:///d"),
            ("postgres://h/d", "postgres://h/d"),
        ] {
            assert_eq!(shown(address), expected);
        }
        assert!(Target::parse("postgres://a/b#_unspool").is_err());
    }

    #[test]
    fn a_name_that_the_server_would_cut_is_refused() {
        let table = |schema: usize, name: usize| {
            let (schema, name) = ("s".repeat(schema), "é".repeat(name));
            Target::parse(&format!("postgres://a/b#{schema}.{name}"))
        };
        assert!(table(63, 31).is_ok());
        assert!(table(64, 31).is_err());
        assert!(table(63, 32).is_err());
    }
}
