//! Statements that give the rows after a key, and keys as data.

use serde_json::value::RawValue;

use super::database::Query;
use super::sql::quoted;
use crate::error::Error;

/// What a value that is put into a statement bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    After,
    Until,
    Since,
}

/// How a database writes a page.
pub(super) struct Style<'s> {
    pub(super) quote: char,
    /// The columns to select.
    pub(super) select_list: &'s str,
    /// Whether `(a, b) > (1, 2)` uses an index.
    pub(super) compares_rows: bool,
    /// What stands for a value: of this bound, for this column of the key.
    pub(super) place: &'s mut dyn FnMut(Bound, usize) -> String,
}

/// What a statement is to give.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'k> {
    /// The rows in the range, in the order of the key, so many at most: those of them that come
    /// after this key where there is one.
    Rows {
        after: Option<&'k [String]>,
        limit: Option<usize>,
    },
    /// A second row with this key.
    Second(&'k [String]),
}

impl<'k> Wanted<'k> {
    /// The key that rows come after, or have.
    pub(super) fn key(self) -> Option<&'k [String]> {
        match self {
            Wanted::Rows { after, .. } => after,
            Wanted::Second(key) => Some(key),
        }
    }
}

/// The statement for what is wanted of the query.
pub(super) fn statement(query: &Query, wanted: Wanted<'_>, style: Style<'_>) -> String {
    let columns: Vec<String> = (query.key.iter())
        .map(|name| quoted(name, style.quote))
        .collect();
    match wanted {
        Wanted::Rows { after, limit } => page(query, &columns, after, limit, style),
        Wanted::Second(_) => second(query, &columns, style),
    }
}

/// The key of a query after which its rows go on, if it is whole, as it is that of a row: the
/// bounds of parts have fewer columns.
pub(super) fn whole<'k>(query: &Query, after: Option<&'k [String]>) -> Option<&'k [String]> {
    after.filter(|key| key.len() == query.key.len() && !key.is_empty())
}

/// What is said where several rows have a key, as the database compares it: of those after the
/// first nothing would come.
pub(super) fn not_unique(query: &Query, key: &[String]) -> Error {
    Error::content(format!(
        "several rows have the key `{}` in `{}`; a key that is not unique loses rows: add columns to it",
        key.join(", "),
        query.key.join(", ")
    ))
}

/// What is said where the rows are to begin at a value of another kind than their keys: what a
/// database makes of that leaves out rows.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
pub(super) fn other_kind(key: &str, are: &str, since: &str) -> Error {
    Error::request(format!(
        "the key `{key}` holds {are}, and the rows are to begin at `{since}`; a text stands in double quotes"
    ))
}

fn second(query: &Query, columns: &[String], style: Style<'_>) -> String {
    let equal = columns.iter().enumerate().map(|(index, column)| {
        let place = (style.place)(Bound::After, index);
        format!("{column} = {place}")
    });
    format!(
        "select 1 from ({}\n) as unspool_rows where {} limit 1 offset 1",
        query.statement.text,
        equal.collect::<Vec<_>>().join(" and ")
    )
}

fn page(
    query: &Query,
    columns: &[String],
    after: Option<&[String]>,
    limit: Option<usize>,
    mut style: Style<'_>,
) -> String {
    let mut conditions = Vec::new();
    // The bounds of a part have fewer columns than the key.
    let some = |key: &[String]| &columns[..key.len().min(columns.len())];
    if let Some(key) = after {
        conditions.push(compared(some(key), ">", ">", Bound::After, &mut style));
    }
    if query.range.since.is_some() {
        conditions.push(format!(
            "{} >= {}",
            columns[0],
            (style.place)(Bound::Since, 0)
        ));
    }
    if let Some(key) = &query.range.until {
        conditions.push(compared(some(key), "<", "<=", Bound::Until, &mut style));
    }
    let mut sql = format!(
        "select {} from ({}\n) as unspool_rows",
        style.select_list, query.statement.text
    );
    if !conditions.is_empty() {
        sql += &format!(" where {}", conditions.join(" and "));
    }
    sql += &format!(" order by {}", columns.join(", "));
    if let Some(limit) = limit {
        sql += &format!(" limit {limit}");
    }
    sql
}

/// The statement that gives a row if there are rows without a key, which no page has.
pub(super) fn nulls(query: &Query, quote: char) -> String {
    let nulls: Vec<String> = (query.key.iter())
        .map(|name| format!("{} is null", quoted(name, quote)))
        .collect();
    format!(
        "select 1 from ({}\n) as unspool_rows where {} limit 1",
        query.statement.text,
        nulls.join(" or ")
    )
}

/// That a row comes before or after a key: `last` is how their last columns compare.
fn compared(
    columns: &[String],
    strict: &str,
    last: &str,
    bound: Bound,
    style: &mut Style<'_>,
) -> String {
    if style.compares_rows {
        let places: Vec<String> = (0..columns.len())
            .map(|column| (style.place)(bound, column))
            .collect();
        return format!("({}) {last} ({})", columns.join(", "), places.join(", "));
    }
    // a > 1 or (a = 1 and (b > 2 or …)), with what an index needs before it.
    let mut written = String::new();
    for (index, column) in columns.iter().enumerate() {
        if index + 1 == columns.len() {
            written += &format!("{column} {last} {}", (style.place)(bound, index));
        } else {
            let mut place = || (style.place)(bound, index);
            // Some places are told apart by their order alone.
            let (first, second, third) = (place(), place(), place());
            written += &format!(
                "{column} {strict}= {first} and ({column} {strict} {second} or {column} = {third} and ("
            );
        }
    }
    written + &"))".repeat(columns.len() - 1)
}

/// The key of a row, as JSON texts.
pub(super) fn key_of(row: &[u8], key: &[String]) -> Option<Vec<String>> {
    let members: std::collections::HashMap<String, &RawValue> = serde_json::from_slice(row).ok()?;
    key.iter()
        .map(|name| Some(members.get(name)?.get().to_owned()))
        .collect()
}

/// What a JSON text of a key stands for.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) fn text_of(token: &str) -> String {
    serde_json::from_str::<String>(token).unwrap_or_else(|_| token.to_owned())
}
