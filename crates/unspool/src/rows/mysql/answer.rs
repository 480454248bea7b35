//! The task that answers a query: connects, prepares, and hands over batches.

use std::sync::Arc;

use futures_util::Stream;
use mysql_async::prelude::Queryable;
use mysql_async::{Column, Conn, Params, Row, Statement, Value};
use serde_json::Value as Json;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::failure::{failed, unconnected};
use super::kill::Killer;
use super::settings;
use super::types::Form;
use crate::error::{Error, Kind};
use crate::rows::account::{Doubt, Mode};
#[cfg(feature = "arrow")]
use crate::rows::arrow::ColumnType;
use crate::rows::batch::Face;
use crate::rows::database::Query;
use crate::rows::keyset::{self, Bound, Style, Wanted, text_of};
use crate::rows::param::Param;
use crate::rows::progress::Cursor;
use crate::rows::task::{Message, Outlet};
use crate::rows::write::RowWriter;

/// Answers a query.
pub(super) async fn answer(
    query: Query,
    cursor: Arc<Cursor>,
    killer: Arc<Killer>,
    sender: mpsc::Sender<Message>,
) {
    let asking = Asking {
        query: &query,
        cursor: &cursor,
        sender: &sender,
    };
    let end = asking.run(&killer).await;
    killer.disarm();
    // Whoever does not want the rows does not want their end.
    let _ = sender.send(Message::End(end)).await;
}

/// A query and who wants its rows.
struct Asking<'a> {
    query: &'a Query,
    cursor: &'a Cursor,
    sender: &'a mpsc::Sender<Message>,
}

impl Asking<'_> {
    async fn run(&self, killer: &Killer) -> Result<(), Error> {
        let (mode, because) = match self.query.key.is_empty() {
            true => (Mode::Stream, "there is no key"),
            false => (Mode::Keyset, "there is a key"),
        };
        if self.query.mode.is_some_and(|asked| asked != mode) {
            return Err(Error::request(format!(
                "MySQL has two modes: `keyset` with a key, and `stream` without; this one is `{mode}`"
            )));
        }
        self.cursor.settled(mode, because);
        let opts = settings::read(&self.query.dsn, self.query.may_write)?;
        let late = |_| {
            Error::new(
                Kind::Timeout,
                format!("no connection within {:?}", self.query.timeout),
            )
        };
        let connected = timeout(self.query.timeout, Conn::new(opts.clone()))
            .await
            .map_err(late)?;
        let mut connection = connected.map_err(unconnected)?;
        killer.arm(connection.id(), opts);
        let text = &self.query.statement.text;
        let statement = connection
            .prep(text.as_str())
            .await
            .map_err(|error| failed(error, Some(text)))?;
        self.check(&statement)?;
        if statement.columns().is_empty() && self.returns_later() {
            return self.changed(&mut connection, &statement).await;
        }
        let (writer, forms) = self.columns(&statement.columns())?;
        self.check_since(&statement.columns(), &forms)?;
        let mut out = Outlet::new(writer, self.sender);
        match mode {
            Mode::Keyset => self.pages(&mut connection, &mut out, &forms).await?,
            _ => drop(
                self.rows(&mut connection, &statement, &mut out, &forms, &[])
                    .await?,
            ),
        }
        out.end().await;
        Ok(())
    }

    /// Whether the columns are known only once it has run: so MariaDB has it where a
    /// statement returns what it changes.
    fn returns_later(&self) -> bool {
        let text = self.query.statement.text.to_ascii_lowercase();
        self.query.may_write && self.query.key.is_empty() && text.contains("returning")
    }

    async fn changed(&self, connection: &mut Conn, statement: &Statement) -> Result<(), Error> {
        let lost = |error| failed(error, None);
        self.cursor.meter.request();
        let stream = connection.exec_stream::<Row, _, _>(statement, self.params(&[]));
        let stream = stream.await.map_err(lost)?;
        let (writer, forms) = self.columns(&stream.columns())?;
        let mut out = Outlet::new(writer, self.sender);
        self.pour(&mut out, stream, &forms).await?;
        out.end().await;
        Ok(())
    }

    /// That there are the values that it needs.
    fn check(&self, statement: &Statement) -> Result<(), Error> {
        let (expected, found) = (usize::from(statement.num_params()), self.query.params.len());
        if expected != found {
            return Err(Error::request(format!(
                "the statement has {expected} parameters, and {found} values are given"
            )));
        }
        Ok(())
    }

    /// What is written of the columns.
    fn columns(&self, columns: &[Column]) -> Result<(RowWriter, Vec<Form>), Error> {
        let names: Vec<String> = columns
            .iter()
            .map(|column| column.name_str().into_owned())
            .collect();
        let forms: Vec<Form> = columns.iter().map(Form::of).collect();
        let unfit = names
            .iter()
            .zip(&forms)
            .find(|(name, form)| self.query.key.contains(name) && !form.may_be_key());
        if let Some((name, form)) = unfit {
            return Err(Error::request(format!(
                "the column `{name}` cannot be a key: it is {form:?}"
            )));
        }
        let writer = RowWriter::new(names, &self.query.key, self.query.limits)?;
        let writer = match self.query.face {
            Face::Text => writer,
            #[cfg(feature = "arrow")]
            Face::Arrow => {
                let types = columns.iter().map(super::arrow::column_type);
                writer.into_arrays(types.map(ColumnType::Fixed).collect())
            }
        };
        Ok((writer, forms))
    }

    /// Hands over the rows of a statement; gives how many there were.
    async fn rows(
        &self,
        connection: &mut Conn,
        statement: &Statement,
        out: &mut Outlet<'_>,
        forms: &[Form],
        more: &[Value],
    ) -> Result<usize, Error> {
        let lost = |error| failed(error, None);
        self.cursor.meter.request();
        let stream = connection.exec_stream::<Row, _, _>(statement, self.params(more));
        self.pour(out, stream.await.map_err(lost)?, forms).await
    }

    async fn pour(
        &self,
        out: &mut Outlet<'_>,
        stream: impl Stream<Item = Result<Row, mysql_async::Error>>,
        forms: &[Form],
    ) -> Result<usize, Error> {
        out.pour(
            stream,
            |error| failed(error, None),
            |writer, row: Row| {
                let before = writer.bytes();
                for (column, form) in forms.iter().enumerate() {
                    let value = row.as_ref(column).unwrap_or(&Value::NULL);
                    writer.put(column, form, value)?;
                }
                self.cursor.meter.bytes(writer.bytes() - before);
                writer.end_row()
            },
        )
        .await
    }

    /// The values of the statement's parameters, and these after them.
    fn params(&self, more: &[Value]) -> Params {
        let own = self.query.params.iter().map(value_of_param);
        let values: Vec<Value> = own.chain(more.iter().cloned()).collect();
        match values.is_empty() {
            true => Params::Empty,
            false => Params::Positional(values),
        }
    }

    async fn pages(
        &self,
        connection: &mut Conn,
        out: &mut Outlet<'_>,
        forms: &[Form],
    ) -> Result<(), Error> {
        let lost = |error| failed(error, None);
        let mut after = self.query.range.after.clone();
        loop {
            if let Some(key) = keyset::whole(self.query, after.as_deref()) {
                let (sql, values) = self.page(Wanted::Second(key));
                if self.finds(connection, sql, &values).await? {
                    return Err(keyset::not_unique(self.query, key));
                }
            }
            let (sql, values) = self.page(Wanted::Rows {
                after: after.as_deref(),
                limit: Some(self.query.limits.rows),
            });
            let statement = connection.prep(sql).await.map_err(lost)?;
            let count = self
                .rows(connection, &statement, out, forms, &values)
                .await?;
            if count < self.query.limits.rows {
                break;
            }
            after = out.writer.last_key();
        }
        if !self.query.looks_for_nulls {
            return Ok(());
        }
        let nulls = keyset::nulls(self.query, '`');
        if self.finds(connection, nulls, &[]).await? {
            self.cursor.doubt(Doubt::NullKeys);
        }
        Ok(())
    }

    /// That the value from which on rows are asked for is of the kind of the key: MySQL takes
    /// the number at the begin of a text, and 0 where there is none.
    fn check_since(&self, columns: &[Column], forms: &[Form]) -> Result<(), Error> {
        let (Some(since), Some(key)) = (&self.query.range.since, self.query.key.first()) else {
            return Ok(());
        };
        let mut named = columns.iter().zip(forms);
        let form = named.find(|(column, _)| column.name_str() == key.as_str());
        match (form.map(|(_, form)| *form), since.starts_with('"')) {
            (Some(Form::Number | Form::Decimal | Form::LongDecimal), true) => {
                Err(keyset::other_kind(key, "numbers", since))
            }
            (Some(Form::Text), false) => Err(keyset::other_kind(key, "texts", since)),
            _ => Ok(()),
        }
    }

    /// Whether a statement gives a row.
    async fn finds(
        &self,
        connection: &mut Conn,
        sql: String,
        values: &[Value],
    ) -> Result<bool, Error> {
        let found = connection.exec_first::<Row, _, _>(sql, self.params(values));
        let found = found.await.map_err(|error| failed(error, None))?;
        Ok(found.is_some())
    }

    /// The statement for what is wanted, and the values in it.
    fn page(&self, wanted: Wanted<'_>) -> (String, Vec<Value>) {
        let range = &self.query.range;
        let mut values = Vec::new();
        let mut place = |bound: Bound, column: usize| {
            let key = match bound {
                Bound::After => wanted.key().and_then(|key| key.get(column)),
                Bound::Until => range.until.as_ref().and_then(|key| key.get(column)),
                Bound::Since => range.since.as_ref(),
            };
            let token = key.map_or("null", String::as_str);
            values.push(value_of_token(token));
            // A number that is not whole comes as text, and is to be compared as a number.
            let is_decimal =
                !token.starts_with('"') && token.contains('.') && !token.contains(['e', 'E']);
            let written = if is_decimal {
                "cast(? as decimal(65, 30))"
            } else {
                "?"
            };
            match (bound, &range.overlap) {
                (Bound::Since, Some(overlap)) if token.starts_with('"') => {
                    values.push(Value::from(overlap.as_str()));
                    "(cast(? as datetime(6)) - interval ? second)".to_owned()
                }
                (Bound::Since, Some(overlap)) => {
                    values.push(Value::from(overlap.as_str()));
                    format!("({written} - ?)")
                }
                _ => written.to_owned(),
            }
        };
        let style = Style {
            quote: '`',
            select_list: "*",
            compares_rows: false,
            place: &mut place,
        };
        (keyset::statement(self.query, wanted, style), values)
    }
}

fn value_of_param(param: &Param) -> Value {
    match (&param.0, param.text()) {
        (_, None) => Value::NULL,
        (Json::Bool(value), _) => Value::Int((*value).into()),
        (Json::Number(number), Some(text)) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::Int(integer),
            (None, Some(real)) => Value::Double(real),
            (None, None) => Value::from(text),
        },
        (_, Some(text)) => Value::from(text),
    }
}

/// What a key was before it was written as JSON.
fn value_of_token(token: &str) -> Value {
    let is_text = token.starts_with('"');
    let text = text_of(token);
    if is_text {
        // The zone of a time, which is that of the session.
        let text = match text.strip_suffix("+00:00") {
            Some(time) if time.len() >= 19 && time.as_bytes()[10] == b'T' => time,
            _ => &text,
        };
        return Value::from(text);
    }
    match (text.parse(), text.parse(), text.parse()) {
        (Ok(integer), _, _) => Value::Int(integer),
        (_, Ok(integer), _) => Value::UInt(integer),
        (_, _, Ok(real)) if text.contains(['e', 'E']) => Value::Double(real),
        _ => Value::from(text),
    }
}
