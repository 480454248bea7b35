//! What to ask for: the description of a query.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Rows;
use super::account::Mode;
use super::batch::{Face, Limits};
use super::database::{Query, Range};
use super::dsn;
use super::fetch::Fetch;
use super::param::Param;
use super::position::NAME;
use super::progress::Cursor;
use super::source::{HandOut, decoded, rows};
use super::sql::Statement;
use crate::error::Error;
use crate::http::Retry;
use crate::item::RawItem;
use crate::position::Position;
use crate::sinks::Identity;

/// The longest wait for a connection, by default.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A query that has not been asked. Made by [`rows`](super::rows()) and
/// [`table`](super::table).
#[must_use = "a query does nothing until its rows are asked for"]
pub struct Request {
    plan: Plan,
}

/// What to ask, and how.
pub(super) struct Plan {
    pub(super) dsn: String,
    pub(super) what: What,
    /// Without what the first poll puts in.
    pub(super) query: Query,
    pub(super) from: Option<Box<Position>>,
    pub(super) retry: Retry,
    /// After how many rows it stops.
    pub(super) take: Option<u64>,
    /// How many parts there are to be, and how many are read at a time.
    pub(super) partitions: usize,
    pub(super) in_flight: usize,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) enum What {
    Sql(String),
    Table(String),
}

impl Request {
    pub(super) fn new(dsn: String, what: What) -> Self {
        let query = Query {
            dsn: String::new(),
            statement: Statement {
                text: String::new(),
                first_word: String::new(),
                table: None,
            },
            params: Vec::new(),
            key: Vec::new(),
            range: Range::default(),
            snapshot: None,
            looks_for_nulls: true,
            face: Face::Text,
            limits: Limits::default(),
            may_write: false,
            timeout: TIMEOUT,
            mode: None,
        };
        Request {
            plan: Plan {
                dsn,
                what,
                query,
                from: None,
                retry: Retry::default(),
                take: None,
                partitions: 1,
                in_flight: usize::MAX,
            },
        }
    }

    /// What makes this query the same as an earlier one, whose rows go on where those ended:
    /// the database, the statement, its parameters and its key; without passwords and limits.
    pub fn identity(&self) -> Identity {
        let (database, _) = dsn::shown(&self.plan.dsn);
        let query = &self.plan.query;
        let params = serde_json::to_string(&query.params).ok();
        let identity = Identity::new(NAME)
            .with("database", database)
            .with_text("params", params.filter(|text| text != "[]").as_deref())
            .with("by", (!query.key.is_empty()).then(|| query.key.clone()));
        match &self.plan.what {
            What::Sql(sql) => identity.with_text("sql", Some(sql)),
            What::Table(table) => identity.with("table", table.as_str()),
        }
    }

    /// A value for the next parameter of the statement: `?`, or `$1` and so on.
    pub fn bind(mut self, value: impl Into<Param>) -> Self {
        self.plan.query.params.push(value.into());
        self
    }

    /// A column of the key, after those that were given before: together the columns tell
    /// the rows apart, are never null, and the rows come in their order.
    ///
    /// With a key the rows are asked for in short statements, each after the last row of the
    /// one before. So no snapshot is held, a lost connection is made again, and
    /// [`from`](Request::from) resumes after any row. An index on the columns makes that
    /// cheap.
    pub fn key(mut self, column: impl Into<String>) -> Self {
        self.plan.query.key.push(column.into());
        self
    }

    /// Goes on after a position of the same query, which has a [key](Request::key).
    pub fn from(mut self, position: Position) -> Self {
        self.plan.from = Some(Box::new(position));
        self
    }

    /// Leaves out rows whose first column of the [key](Request::key) is less than this,
    /// where it does not resume: the key or time of the last complete run.
    pub fn since(mut self, value: impl Into<Param>) -> Self {
        self.plan.query.range.since = serde_json::to_string(&value.into()).ok();
        self
    }

    /// How much before where it resumes, or before [`since`](Request::since), the rows
    /// begin: those that came late come too, and some others a second time, for a sink that
    /// replaces them. A number for a key of numbers, an interval for a key of times.
    pub fn overlap(mut self, overlap: impl Into<String>) -> Self {
        self.plan.query.range.overlap = Some(overlap.into());
        self
    }

    pub(super) fn range(mut self, range: Range) -> Self {
        self.plan.query.range = range;
        self
    }

    /// Cuts the query into so many parts at most, which are read side by side: rows come as
    /// they arrive, those of each part in the order of the key.
    ///
    /// The parts are ranges of the key's first column, about equal by PostgreSQL's statistics
    /// of it, and otherwise between its least and its greatest whole number. A
    /// [table](super::table) of PostgreSQL is cut by its blocks where there is no key. All
    /// parts see PostgreSQL in one state, and rows that others add meanwhile do not come. The
    /// [position](Rows::position) is that of all parts.
    pub fn partitions(mut self, count: NonZeroUsize) -> Self {
        self.plan.partitions = count.get();
        self
    }

    /// How many [parts](Request::partitions) are read at the same time; all of them by
    /// default.
    pub fn in_flight(mut self, count: NonZeroUsize) -> Self {
        self.plan.in_flight = count.get();
        self
    }

    /// The ranges of so many parts at most.
    pub(super) async fn parts(self, count: NonZeroUsize) -> Result<Vec<Range>, Error> {
        let fetch = Fetch::begin(self.plan, Arc::default())?;
        Ok(fetch.cuts(count.get()).await?.ranges)
    }

    /// How many rows travel together at most; 8192 by default.
    pub fn batch(mut self, rows: NonZeroUsize) -> Self {
        self.plan.query.limits.rows = rows.get();
        self
    }

    /// How many bytes of rows travel together, but for the last row; 1 MiB by default.
    pub fn batch_bytes(mut self, bytes: NonZeroUsize) -> Self {
        self.plan.query.limits.bytes = bytes.get();
        self
    }

    /// How the rows are fetched; by default what the statement allows and costs least.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.plan.query.mode = Some(mode);
        self
    }

    /// Lets the statement change the database, as `insert … returning` does. By default it
    /// is opened to be read only.
    pub fn allow_writes(mut self) -> Self {
        self.plan.query.may_write = true;
        self
    }

    /// How often a connection is made again that failed in a way that may pass; 5 by
    /// default. Once rows have come, only with a [key](Request::key).
    pub fn retries(mut self, retries: usize) -> Self {
        self.plan.retry.retries = retries;
        self
    }

    /// The wait before the first retry, which doubles from there; 250 ms by default.
    pub fn first_wait(mut self, wait: Duration) -> Self {
        self.plan.retry.first_wait = wait;
        self
    }

    /// The longest wait for a connection, and for a database that somebody else has locked;
    /// 30 seconds by default. How long a statement may take is up to the caller.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.plan.query.timeout = timeout;
        self
    }

    /// Stops after so many rows, and lets the database know.
    pub fn take(mut self, rows: u64) -> Self {
        self.plan.take = Some(rows);
        self
    }

    /// The rows as values of a type of yours, whose fields are columns.
    pub fn items<T>(self) -> Rows<T>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.handed_out(|batch, before| {
            decoded(batch, before, |row: &Bytes| serde_json::from_slice(row))
        })
    }

    /// The values of the only column, such as a `String` for each row of
    /// `select name from users`.
    pub fn values<T>(self) -> Rows<T>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.handed_out(|batch, before| {
            let value = |row: &Bytes| serde_json::from_slice(row).map(|Only(value)| value);
            decoded(batch, before, value)
        })
    }

    /// The rows as JSON text.
    pub fn raw(self) -> Rows<RawItem> {
        self.handed_out(|batch, before| {
            decoded(batch, before, |row: &Bytes| {
                Ok(RawItem::of_line(row.clone()))
            })
        })
    }

    /// The rows as Arrow batches, of all the same schema.
    ///
    /// Values go from the database's form into arrays without a text in between, and each is
    /// exact or an error: `docs/rows.md` has the type of each column. An item of the stream is
    /// a batch; its position is that after the batch, and its [account](Rows::account) counts
    /// rows. Where there are no rows at all there is one batch without rows, which has the
    /// schema.
    ///
    /// ```no_run
    /// use futures_util::TryStreamExt;
    ///
    /// # async fn example() -> Result<(), unspool::Error> {
    /// let users = unspool::rows("postgres://ada@db.example.com/shop", "select * from users");
    /// let mut batches = users.batches();
    /// while let Some(batch) = batches.try_next().await? {
    ///     println!("{} users", batch.num_rows());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "arrow")]
    pub fn batches(mut self) -> Rows<arrow_array::RecordBatch> {
        self.plan.query.face = Face::Arrow;
        self.handed_out(|batch, before| {
            let place = before + batch.len() as u64;
            let columns = batch.columns.clone().map(|columns| (columns, place));
            (columns.into_iter().collect::<Vec<_>>().into_iter(), None)
        })
    }

    fn handed_out<T: Send + 'static>(self, hand_out: HandOut<T>) -> Rows<T> {
        let cursor = Arc::new(Cursor::default());
        Rows::new(
            Box::pin(rows(self.plan, Arc::clone(&cursor), hand_out)),
            cursor,
        )
    }
}

/// The value of an object's only member.
struct Only<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Only<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyMember<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyMember<T> {
            type Value = Only<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row with one column")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Only<T>, A::Error> {
                let first = map.next_entry::<IgnoredAny, T>()?;
                let (_, value) = first.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                match map.next_key::<IgnoredAny>()? {
                    None => Ok(Only(value)),
                    Some(_) => Err(A::Error::invalid_length(2, &self)),
                }
            }
        }

        deserializer.deserialize_map(OnlyMember(PhantomData))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("what", &self.plan.what)
            .field("key", &self.plan.query.key)
            .finish_non_exhaustive()
    }
}
