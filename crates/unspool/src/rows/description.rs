//! A query as plain data.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::account::Mode;
use super::database::Range;
use super::dsn;
use super::param::Param;
use super::position::NAME;
use super::request::{Request, What};
use crate::description::{self, SourceEntry, from_seconds, to_seconds};
use crate::error::Error;
use crate::secret::Secret;

/// `rows` among the sources.
pub(crate) const SOURCE: SourceEntry = SourceEntry {
    name: NAME,
    open: |members, from| {
        let description: Description = description::read(NAME, members)?;
        let mut request = description.request()?;
        if let Some(position) = from {
            request = request.from(position.clone());
        }
        Ok(Box::pin(request.raw()))
    },
    parts: Some(|members| {
        Box::pin(async move {
            let description: Description = description::read(NAME, members)?;
            let parts = description.parts().await?;
            Ok(parts.iter().map(|part| serde_json::json!(part)).collect())
        })
    }),
};

/// A query as plain data, with the password by name.
///
/// ```
/// use unspool::rows::Description;
///
/// # fn main() -> Result<(), unspool::Error> {
/// let users = Description::new("sqlite:users.db", "select id, name from users");
/// let text = serde_json::to_string(&unspool::Description::try_from(&users)?).unwrap();
/// assert_eq!(
///     text,
///     r#"{"source":"rows","dsn":"sqlite:users.db","sql":"select id, name from users"}"#
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Description {
    /// Where the database is; `${NAME}` in it stands for a variable of the environment.
    pub dsn: String,
    /// The statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    /// A table, all of whose rows are asked for; in the place of a statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Values for the parameters of the statement.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// The columns of the key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// How many rows travel together at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<NonZeroUsize>,
    /// How the rows are fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Whether the statement may change the database.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub write: bool,
    /// How often a connection is made again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<usize>,
    /// How many [partitions](crate::Description::partitions) there are to be at most, as
    /// [`Request::partitions`] cuts them. Those that are opened elsewhere share no snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<NonZeroUsize>,
    /// How many of those are read at a time here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<NonZeroUsize>,
    /// Where the first column of the key begins, where it does not resume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Param>,
    /// How much before that, as [`Request::overlap`] takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
    /// The longest wait for a connection, or for a lock of SQLite, in seconds.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "to_seconds",
        deserialize_with = "from_seconds"
    )]
    pub timeout: Option<Duration>,
    /// Which keys are asked for.
    #[serde(skip_serializing_if = "is_all")]
    range: Range,
}

fn is_all(range: &Range) -> bool {
    *range == Range::default()
}

impl Description {
    /// A query, with nothing else said.
    pub fn new(dsn: impl Into<String>, sql: impl Into<String>) -> Self {
        Description {
            dsn: dsn.into(),
            sql: Some(sql.into()),
            ..Description::default()
        }
    }

    /// The parts, each as a description.
    async fn parts(&self) -> Result<Vec<Self>, Error> {
        let whole = Description {
            partitions: None,
            ..self.clone()
        };
        let Some(count) = self.partitions.filter(|count| count.get() > 1) else {
            return Ok(vec![whole]);
        };
        let parts = self.request()?.parts(count).await?;
        let described = |range| Description {
            range,
            ..whole.clone()
        };
        Ok(parts.into_iter().map(described).collect())
    }

    fn what(&self) -> Result<What, Error> {
        match (&self.sql, &self.table) {
            (Some(sql), None) => Ok(What::Sql(sql.clone())),
            (None, Some(table)) => Ok(What::Table(table.clone())),
            _ => Err(Error::request("expected either `sql` or `table`")),
        }
    }

    /// The request that it describes, with the password looked up.
    ///
    /// # Errors
    ///
    /// A member is wrong, or a password is not to be had.
    pub fn request(&self) -> Result<Request, Error> {
        let dsn = Secret::new(self.dsn.as_str()).resolve()?;
        let mut request = Request::new(dsn, self.what()?).range(self.range.clone());
        request = (self.params.iter().cloned()).fold(request, Request::bind);
        request = self.key.iter().fold(request, Request::key);
        if let Some(rows) = self.batch {
            request = request.batch(rows);
        }
        if let Some(mode) = self.mode {
            request = request.mode(mode);
        }
        if let Some(retries) = self.retries {
            request = request.retries(retries);
        }
        if let Some(since) = &self.since {
            request = request.since(since.clone());
        }
        if let Some(overlap) = &self.overlap {
            request = request.overlap(overlap);
        }
        if let Some(count) = self.in_flight {
            request = request.in_flight(count);
        }
        if let Some(limit) = self.timeout {
            request = request.timeout(limit);
        }
        Ok(if self.write {
            request.allow_writes()
        } else {
            request
        })
    }
}

impl TryFrom<&Description> for crate::Description {
    type Error = Error;

    /// # Errors
    ///
    /// The address holds a password as it is, and not by name.
    fn try_from(own: &Description) -> Result<Self, Error> {
        dsn::check_named(&own.dsn)?;
        crate::Description::new(NAME, own)
    }
}
