//! Which table of which database.

use url::Url;

use crate::error::Error;
use crate::sinks::tables::{quoted, split_table};

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
        let mut shown = Url::parse(address).map_err(|error| {
            Error::request(format!(
                "expected `postgres://USER@HOST/DATABASE#TABLE`: the address is invalid: {error}"
            ))
        })?;
        // Neither fails for an address with a scheme that has hosts.
        let _ = shown.set_password(None);
        shown.set_query(None);
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
        Ok(Target {
            address: address.to_owned(),
            shown: format!("{shown}#{table}"),
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
        assert!(Target::parse("postgres://a/b#_unspool").is_err());
    }
}
