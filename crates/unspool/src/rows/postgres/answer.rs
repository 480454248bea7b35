//! The task that answers a query: connects, decides how to fetch, and hands over batches.

use std::future::pending;
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type};
use tokio_postgres::{Client, Column, IsolationLevel, Row, Statement};

use super::cancel::Canceler;
use super::connection::connect;
use super::copy::CopyReader;
use super::failure::failed;
use super::types::{Decoder, decoder, may_be_key, select_list};
use crate::error::{Error, Kind};
use crate::rows::account::{Doubt, Mode};
#[cfg(feature = "arrow")]
use crate::rows::arrow::ColumnType;
use crate::rows::batch::Face;
use crate::rows::database::Query;
use crate::rows::keyset::{self, Bound, Style, Wanted, text_of};
use crate::rows::progress::Cursor;
use crate::rows::sql::quoted;
use crate::rows::task::{Message, Outlet};
use crate::rows::write::RowWriter;

/// How every session is set up: texts of values are the same everywhere, and a client that
/// is gone is noticed where the server can do that.
pub(super) const SESSION: &str = "set timezone = 'UTC'; set datestyle = 'ISO'; set intervalstyle = 'iso_8601'; \
     set extra_float_digits = 1; \
     select set_config(name, '500ms', false) from pg_settings \
     where name = 'client_connection_check_interval'";

/// Answers a query.
pub(super) async fn answer(
    query: Query,
    cursor: Arc<Cursor>,
    canceler: Arc<Canceler>,
    sender: mpsc::Sender<Message>,
) {
    let end = run(query, &cursor, &canceler, &sender).await;
    canceler.disarm();
    // Whoever does not want the rows does not want their end.
    let _ = sender.send(Message::End(end)).await;
}

async fn run(
    query: Query,
    cursor: &Cursor,
    canceler: &Canceler,
    sender: &mpsc::Sender<Message>,
) -> Result<(), Error> {
    let (client, connection, tls) = connect(&query.dsn, query.timeout).await?;
    canceler.arm(client.cancel_token(), tls);
    let asking = Asking {
        query: &query,
        cursor,
        sender,
    };
    let driven = async {
        // What went wrong with it, its statements say.
        let _ = connection.await;
        pending().await
    };
    tokio::select! {
        biased;
        end = asking.run(client) => end,
        never = driven => never,
    }
}

/// A query and who wants its rows.
struct Asking<'a> {
    query: &'a Query,
    cursor: &'a Cursor,
    sender: &'a mpsc::Sender<Message>,
}

/// A statement that the server has looked at.
struct Prepared {
    statement: Statement,
    /// The same with all columns of types that are read here.
    sql: String,
    /// Its columns, as `sql` has them.
    select_list: String,
    decoders: Vec<Decoder>,
    writer: RowWriter,
}

impl Asking<'_> {
    async fn run(&self, client: Client) -> Result<(), Error> {
        let session = match self.query.may_write {
            true => SESSION.to_owned(),
            false => format!("set default_transaction_read_only = on; {SESSION}"),
        };
        client
            .batch_execute(&session)
            .await
            .map_err(|error| failed(error, None))?;
        if let Some(snapshot) = &self.query.snapshot {
            enter(&client, snapshot).await?;
        }
        let prepared = self.prepare(&client).await?;
        let (mode, because) = self.mode();
        self.cursor.settled(mode, because);
        match mode {
            Mode::Copy | Mode::Parts => self.copy(&client, prepared).await,
            Mode::Keyset => self.pages(&client, prepared).await,
            _ => self.portal(client, prepared).await,
        }
    }

    /// How to fetch, and why so.
    fn mode(&self) -> (Mode, &'static str) {
        match self.query.mode {
            Some(mode) => (mode, "asked for"),
            None if self.query.snapshot.is_some() && self.query.params.is_empty() => {
                (Mode::Parts, "the query is cut into parts")
            }
            None if !self.query.key.is_empty() => (Mode::Keyset, "there is a key"),
            None if !self.query.params.is_empty() => (
                Mode::Portal,
                "the statement has parameters, and COPY takes none",
            ),
            None if !self.is_copied() => (Mode::Portal, "COPY does not take such a statement"),
            None => (
                Mode::Copy,
                "the statement has no parameters, and there is no key",
            ),
        }
    }

    fn is_copied(&self) -> bool {
        self.is_change() || ["select", "values", "table", "with"].contains(&self.first_word())
    }

    fn is_change(&self) -> bool {
        ["insert", "update", "delete", "merge"].contains(&self.first_word())
    }

    fn first_word(&self) -> &str {
        &self.query.statement.first_word
    }

    async fn prepare(&self, client: &Client) -> Result<Prepared, Error> {
        let text = &self.text();
        let statement = client
            .prepare(text)
            .await
            .map_err(|error| failed(error, Some(text)))?;
        self.check(&statement)?;
        let names = statement
            .columns()
            .iter()
            .map(|column| column.name().to_owned())
            .collect();
        let writer = RowWriter::new(names, &self.query.key, self.query.limits)?;
        let columns = statement
            .columns()
            .iter()
            .map(|column| (column.name(), column.type_()));
        let list = select_list(columns);
        let sql = match &list {
            None => text.clone(),
            Some(list) if self.is_change() => {
                format!("with unspool_rows as ({text}\n) select {list} from unspool_rows")
            }
            Some(list) => format!("select {list} from ({text}\n) as unspool_rows"),
        };
        let (writer, decoders) = self.decoders(writer, statement.columns());
        Ok(Prepared {
            decoders,
            select_list: list.unwrap_or_else(|| "*".to_owned()),
            sql,
            writer,
            statement,
        })
    }

    /// The statement, where it is cut by blocks with those.
    fn text(&self) -> String {
        let text = &self.query.statement.text;
        match self.query.range.blocks {
            None => text.clone(),
            Some((first, None)) => format!("{text} where ctid >= '({first},0)'::tid"),
            Some((first, Some(end))) => {
                format!("{text} where ctid >= '({first},0)'::tid and ctid < '({end},0)'::tid")
            }
        }
    }

    /// How the columns are read, and the writer for what is made of them.
    fn decoders(&self, writer: RowWriter, columns: &[Column]) -> (RowWriter, Vec<Decoder>) {
        let decoders = columns.iter().map(|column| Decoder {
            // What the server turns into text comes as text or as JSON.
            text: decoder(column.type_()).unwrap_or(super::types::turned(column.type_())),
            #[cfg(feature = "arrow")]
            array: super::arrow::column(column).1,
        });
        let decoders = decoders.collect();
        let writer = match self.query.face {
            Face::Text => writer,
            #[cfg(feature = "arrow")]
            Face::Arrow => {
                let types = columns.iter().map(|column| super::arrow::column(column).0);
                writer.into_arrays(types.map(ColumnType::Fixed).collect())
            }
        };
        (writer, decoders)
    }

    /// That there are the values that it needs, and that its modes go together.
    fn check(&self, statement: &Statement) -> Result<(), Error> {
        let (expected, found) = (statement.params().len(), self.query.params.len());
        if expected != found {
            return Err(Error::request(format!(
                "the statement has {expected} parameters, and {found} values are given"
            )));
        }
        let has_key = !self.query.key.is_empty();
        match self.query.mode {
            Some(_) if self.query.snapshot.is_some() => Err(Error::request(
                "parts have a mode of their own: leave out `mode`",
            )),
            Some(Mode::Stream | Mode::Parts) => Err(Error::request(
                "PostgreSQL has the modes `copy`, `portal` and `keyset`",
            )),
            Some(Mode::Copy) if found > 0 => Err(Error::request(
                "COPY takes no parameters: use the mode `portal`",
            )),
            Some(Mode::Keyset) if !has_key => Err(Error::request("the mode `keyset` needs a key")),
            Some(Mode::Copy | Mode::Portal) if has_key => Err(Error::request(
                "with a key there is the mode `keyset` alone",
            )),
            _ => self.check_key(statement),
        }
    }

    fn check_key(&self, statement: &Statement) -> Result<(), Error> {
        let columns = statement.columns().iter();
        let mut key =
            columns.filter(|column| self.query.key.iter().any(|name| name == column.name()));
        match key.find(|column| !may_be_key(column.type_())) {
            Some(column) => Err(Error::request(format!(
                "the column `{}` is of type `{}`, which cannot be a key",
                column.name(),
                column.type_()
            ))),
            None => Ok(()),
        }
    }

    async fn copy(&self, client: &Client, prepared: Prepared) -> Result<(), Error> {
        let sql = match self.query.key.is_empty() {
            true => prepared.sql,
            // A part of the rows, in the order of its key.
            false => {
                let types = self.key_types(&prepared.statement);
                let after = self.query.range.after.as_deref();
                self.check_unique(client, &mut None, &types, after).await?;
                let wanted = Wanted::Rows { after, limit: None };
                let place = Place::InStatement;
                self.page(wanted, place, &prepared.select_list, &types).0
            }
        };
        let sql = format!("copy ({sql}\n) to stdout (format binary)");
        self.cursor.meter.request();
        let stream = client
            .copy_out(&sql)
            .await
            .map_err(|error| failed(error, None))?;
        let mut reader = CopyReader::new(prepared.decoders);
        let mut out = Outlet::new(prepared.writer, self.sender);
        out.pour(
            stream,
            |error| failed(error, None),
            |writer, bytes| {
                self.cursor.meter.bytes(bytes.len());
                reader.read(&bytes, writer)
            },
        )
        .await?;
        // What came before a fault is not lost.
        out.flush().await;
        reader.end()?;
        out.end().await;
        if !self.query.key.is_empty() {
            self.look_for_nulls(client).await?;
        }
        Ok(())
    }

    async fn portal(&self, mut client: Client, prepared: Prepared) -> Result<(), Error> {
        let lost = |error| failed(error, None);
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(!self.query.may_write)
            .start();
        let transaction = transaction.await.map_err(lost)?;
        let statement = match prepared.select_list.as_str() {
            "*" => prepared.statement,
            _ => transaction.prepare(&prepared.sql).await.map_err(lost)?,
        };
        let params = self.params(&[]);
        let rows = i32::try_from(self.query.limits.rows).unwrap_or(i32::MAX);
        self.cursor.meter.request();
        let portal = transaction
            .bind(&statement, &borrowed(&params))
            .await
            .map_err(lost)?;
        let mut out = Outlet::new(prepared.writer, self.sender);
        loop {
            let stream = transaction
                .query_portal_raw(&portal, rows)
                .await
                .map_err(lost)?;
            if self.pour_rows(&mut out, stream, &prepared.decoders).await? < rows as usize {
                break;
            }
        }
        transaction.commit().await.map_err(lost)?;
        out.end().await;
        Ok(())
    }

    async fn pages(&self, client: &Client, prepared: Prepared) -> Result<(), Error> {
        let lost = |error| failed(error, None);
        let types = self.key_types(&prepared.statement);
        let mut after = self.query.range.after.clone();
        let mut out = Outlet::new(prepared.writer, self.sender);
        // It is the same for all pages but the first.
        let mut page: Option<(Option<usize>, Statement)> = None;
        let mut second = None;
        loop {
            let key = after.as_deref();
            self.check_unique(client, &mut second, &types, key).await?;
            let wanted = Wanted::Rows {
                after: key,
                limit: Some(self.query.limits.rows),
            };
            let list = &prepared.select_list;
            let (sql, values) = self.page(wanted, Place::Beside, list, &types);
            let statement = match page.take() {
                Some((bound_by, statement)) if bound_by == after.as_ref().map(Vec::len) => {
                    statement
                }
                _ => client.prepare(&sql).await.map_err(lost)?,
            };
            let params = self.params(&values);
            self.cursor.meter.request();
            let stream = client
                .query_raw(&statement, borrowed(&params))
                .await
                .map_err(lost)?;
            let count = self.pour_rows(&mut out, stream, &prepared.decoders).await?;
            if count < self.query.limits.rows {
                break;
            }
            page = Some((after.as_ref().map(Vec::len), statement));
            after = out.writer.last_key();
        }
        self.look_for_nulls(client).await?;
        out.end().await;
        Ok(())
    }

    /// That no other row has the key after which the rows go on.
    async fn check_unique(
        &self,
        client: &Client,
        prepared: &mut Option<Statement>,
        types: &[Type],
        after: Option<&[String]>,
    ) -> Result<(), Error> {
        let lost = |error| failed(error, None);
        let Some(key) = keyset::whole(self.query, after) else {
            return Ok(());
        };
        let (sql, values) = self.page(Wanted::Second(key), Place::Beside, "1", types);
        let statement = match prepared.take() {
            Some(statement) => statement,
            None => client.prepare(&sql).await.map_err(lost)?,
        };
        let params = self.params(&values);
        let found = client.query_opt(&statement, &borrowed(&params)).await;
        *prepared = Some(statement);
        match found.map_err(lost)? {
            Some(_) => Err(keyset::not_unique(self.query, key)),
            None => Ok(()),
        }
    }

    async fn look_for_nulls(&self, client: &Client) -> Result<(), Error> {
        if !self.query.looks_for_nulls {
            return Ok(());
        }
        let params = self.params(&[]);
        let nulls = keyset::nulls(self.query, '"');
        let found = client.query_opt(&nulls, &borrowed(&params)).await;
        if found.map_err(|error| failed(error, None))?.is_some() {
            self.cursor.doubt(Doubt::NullKeys);
        }
        Ok(())
    }

    /// The types of the columns of the key.
    fn key_types(&self, statement: &Statement) -> Vec<Type> {
        let columns = || statement.columns().iter();
        let of = |name: &String| columns().find(|column| column.name() == name);
        let key = self.query.key.iter().filter_map(of);
        key.map(|column| column.type_().clone()).collect()
    }

    async fn pour_rows(
        &self,
        out: &mut Outlet<'_>,
        stream: impl Stream<Item = Result<Row, tokio_postgres::Error>>,
        decoders: &[Decoder],
    ) -> Result<usize, Error> {
        let lost = |error| failed(error, None);
        out.pour(stream, lost, |writer, row| {
            self.cursor.meter.bytes(row.raw_size_bytes());
            for (column, decoder) in decoders.iter().enumerate() {
                let value: Option<RawValue<'_>> = row.try_get(column).map_err(lost)?;
                writer.put(column, decoder, value.map(|value| value.0))?;
            }
            writer.end_row()
        })
        .await
    }

    /// The statement for what is wanted, and the values beside it.
    fn page(
        &self,
        wanted: Wanted<'_>,
        place: Place,
        list: &str,
        types: &[Type],
    ) -> (String, Vec<String>) {
        let range = &self.query.range;
        let mut values = Vec::new();
        let given = self.query.params.len();
        let mut bound_by = |value: String| {
            if place == Place::InStatement {
                return literal(&value);
            }
            values.push(value);
            format!("${}", given + values.len())
        };
        let mut placed = |bound: Bound, column: usize| {
            let key = match bound {
                Bound::After => wanted.key().and_then(|key| key.get(column)),
                Bound::Until => range.until.as_ref().and_then(|key| key.get(column)),
                Bound::Since => range.since.as_ref(),
            };
            let value = bound_by(text_of(key.map_or("", String::as_str)));
            let ty = types.get(column).unwrap_or(&Type::TEXT);
            let name = format!("{}.{}", quoted(ty.schema(), '"'), quoted(ty.name(), '"'));
            let mut written = format!("({value}::text)::{name}");
            if let (Bound::Since, Some(overlap)) = (bound, &range.overlap) {
                let amount = match *ty {
                    Type::DATE | Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ => "interval",
                    _ => "numeric",
                };
                let overlap = bound_by(overlap.clone());
                written = format!("({written} - ({overlap}::text)::{amount})::{name}");
            }
            written
        };
        let style = Style {
            quote: '"',
            compares_rows: true,
            select_list: list,
            place: &mut placed,
        };
        let sql = keyset::statement(self.query, wanted, style);
        (sql, values)
    }

    /// The values of the statement's parameters, and these after them.
    fn params(&self, more: &[String]) -> Vec<TextParam> {
        let own = self
            .query
            .params
            .iter()
            .map(|param| TextParam(param.text()));
        own.chain(more.iter().map(|text| TextParam(Some(text.clone()))))
            .collect()
    }
}

/// Where the values of a statement are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    InStatement,
    Beside,
}

/// A text in a statement, whatever the setting of `standard_conforming_strings`.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Sees the database as another transaction sees it, which is still there.
async fn enter(client: &Client, snapshot: &str) -> Result<(), Error> {
    let sql = format!(
        "begin isolation level repeatable read read only; set transaction snapshot {}",
        literal(snapshot)
    );
    let entered = client.batch_execute(&sql).await;
    entered.map_err(|error| {
        let message = "the state of the database that all parts are to see is gone";
        Error::new(Kind::Truncated, message).with_source(error)
    })
}

/// The bytes of a value, of whatever type.
struct RawValue<'r>(&'r [u8]);

impl<'r> FromSql<'r> for RawValue<'r> {
    fn from_sql(
        _: &Type,
        bytes: &'r [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(RawValue(bytes))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A value that the server reads as one of the type that it expects.
#[derive(Debug)]
pub(super) struct TextParam(pub(super) Option<String>);

impl ToSql for TextParam {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.0 {
            None => Ok(IsNull::Yes),
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}

pub(super) fn borrowed(params: &[TextParam]) -> Vec<&(dyn ToSql + Sync)> {
    params
        .iter()
        .map(|param| param as &(dyn ToSql + Sync))
        .collect()
}
