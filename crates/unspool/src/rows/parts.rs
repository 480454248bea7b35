//! Queries cut into parts.

use serde::Deserialize;
use unspool_core::AnextExt;

use super::database::{Cuts, Database, Query, Range};
use super::request::{Request, What};
use super::sql::quoted;
use crate::error::{Error, ErrorKind};

/// What is said of a query that cannot be cut.
pub(super) fn needs_key() -> Error {
    Error::request("only what has a key can be cut into partitions")
}

/// The least and the greatest key, signed or unsigned.
#[derive(Deserialize)]
pub(super) struct Bounds {
    pub(super) least: Option<i128>,
    pub(super) greatest: Option<i128>,
}

/// Cuts a query whose key begins with a whole number.
pub(super) async fn by_whole_numbers(
    database: &Database,
    query: Query,
    count: usize,
) -> Result<Cuts, Error> {
    let Some(column) = query.key.first() else {
        return Err(needs_key());
    };
    let mut ranges = vec![query.range.clone()];
    if count > 1 {
        let sql = bounds(&query, &quoted(column, database.quote));
        let request = Request::new(query.dsn.clone(), What::Sql(sql));
        let request = (query.params.iter().cloned()).fold(request, Request::bind);
        let found = request.retries(0).items::<Bounds>().anext().await;
        let found = found.transpose().map_err(no_whole_number)?;
        if let Some(bounds) = found {
            ranges = within(&query.range, &inner(&bounds, count));
        }
    }
    Ok(Cuts {
        ranges,
        snapshot: None,
        hold: None,
    })
}

fn no_whole_number(error: Error) -> Error {
    let needed = "partitions need a key whose first column holds whole numbers";
    if error.kind() == ErrorKind::Content {
        return Error::request(needed).with_source(error);
    }
    error.with_note(needed)
}

/// The statement for the least and the greatest value of a column.
pub(super) fn bounds(query: &Query, column: &str) -> String {
    let sql = &query.statement.text;
    format!(
        "select min({column}) as least, max({column}) as greatest from ({sql}\n) as unspool_rows"
    )
}

/// Keys between the least and the greatest one, as JSON texts, at which those are cut into so
/// many parts.
pub(super) fn inner(bounds: &Bounds, count: usize) -> Vec<String> {
    let (Some(least), Some(greatest)) = (bounds.least, bounds.greatest) else {
        return Vec::new();
    };
    let width = greatest - least + 1;
    // More parts than there are keys would be empty.
    let count = i128::try_from(count).unwrap_or(1).min(width);
    let bound = |index: i128| (least + width * index / count - 1).to_string();
    (1..count).map(bound).collect()
}

/// Ranges that meet at these keys, each after one and up to another, of which the first has
/// no begin and the last no end.
pub(super) fn within(whole: &Range, keys: &[String]) -> Vec<Range> {
    let key = |at: Option<usize>| Some(vec![keys.get(at?)?.clone()]);
    let range = |index: usize| Range {
        after: key(index.checked_sub(1)),
        until: key(Some(index)),
        ..whole.clone()
    };
    (0..=keys.len()).map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_meet_and_leave_nothing_out() {
        let cut = |least: i64, greatest: i64, count| {
            let bounds = Bounds {
                least: Some(least.into()),
                greatest: Some(greatest.into()),
            };
            let ranges = within(&Range::default(), &inner(&bounds, count));
            let first = |key: Option<Vec<String>>| key.map(|key| key[0].clone());
            let ends = |range: Range| (first(range.after), first(range.until));
            ranges.into_iter().map(ends).collect::<Vec<_>>()
        };
        let bound = |text: &str| Some(text.to_owned());
        let expected = [
            (None, bound("3")),
            (bound("3"), bound("6")),
            (bound("6"), None),
        ];
        assert_eq!(cut(1, 10, 3), expected);
        assert_eq!(cut(5, 5, 9), [(None, None)]);
        assert_eq!(
            cut(i64::MIN, i64::MAX, 2),
            [(None, bound("-1")), (bound("-1"), None)]
        );
    }
}
