use std::error::Error as _;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt, TryStreamExt};
use rusqlite::Connection;
use serde::Deserialize;
use unspool::rows::{Mode, Param, Request, SqlPosition};
use unspool::{Description, Position, Verdict, rows};

use super::{complete, drain, failure};

struct File {
    folder: tempfile::TempDir,
}

/// A database that this makes.
fn file(sql: &str) -> File {
    let file = File {
        folder: tempfile::tempdir().unwrap(),
    };
    Connection::open(file.path())
        .unwrap()
        .execute_batch(sql)
        .unwrap();
    file
}

impl File {
    fn path(&self) -> String {
        self.folder
            .path()
            .join("test.sqlite")
            .to_str()
            .unwrap()
            .to_owned()
    }

    /// Whether a thread of this process reads it.
    fn is_open(&self) -> bool {
        let path = std::path::PathBuf::from(self.path());
        let files = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let mut targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        targets.any(|target| target == path)
    }

    fn rows(&self, sql: &str) -> Request {
        rows(format!("sqlite:{}", self.path()), sql)
    }
}

#[cfg(feature = "arrow")]
#[tokio::test]
async fn what_main_returns_shows_the_place_in_the_statement() {
    let mut rows = unspool::rows("sqlite::memory:", "select 1,\n  naem from x").raw();
    let error = futures_util::StreamExt::next(&mut rows).await;
    let error = error.unwrap().unwrap_err();
    let sql = "select 1 as x, naem from sqlite_master";
    let mut wrong = unspool::rows("sqlite::memory:", sql).raw();
    let wrong = futures_util::StreamExt::next(&mut wrong).await;
    let wrong = wrong.unwrap().unwrap_err();
    assert_eq!(
        format!("{wrong:?}"),
        "sqlite::memory:: the statement is wrong at line 1, column 16: no such column: naem\n  \
         caused by:\n    select 1 as x, naem from sqlite_master\n                   ^"
    );
    assert!(
        format!("{error:?}").contains("no such table: x"),
        "{error:?}"
    );
}

#[tokio::test]
async fn batches_have_one_type_for_a_column_and_no_value_loses_anything() {
    use super::arrow::{batches, check_resume, failure, row, schema};
    let file = file(
        "create table t (id integer primary key, n, r real, t text, b blob, m numeric, u, x date);
         insert into t values (1, null, 1, 'é', x'00ff', 5, null, '2024-01-01'),
             (2, 3, 2.5, null, null, 1.5, null, null), (3, 9007199254740993, 0.1, '', x'', 7, null, '');",
    );
    let query = || file.rows("select *, id * 2 as twice from t order by id");
    let [batch] = &batches(query()).await[..] else {
        panic!()
    };
    assert_eq!(
        schema(batch).join(", "),
        "id Int64, n Int64, r Float64, t Utf8, b Binary, m Float64, u Utf8, x Utf8, twice Int64"
    );
    let found: Vec<_> = (0..3).map(|at| row(batch, at).join(" | ")).collect();
    assert_eq!(
        found,
        [
            "1 | null | 1.0 | é | [00, ff] | 5.0 | null | 2024-01-01 | 2",
            "2 | 3 | 2.5 | null | null | 1.5 | null | null | 4",
            "3 | 9007199254740993 | 0.1 |  | [] | 7.0 | null |  | 6",
        ]
    );
    check_resume(
        || {
            file.rows("select id, t, r from t")
                .key("id")
                .batch(NonZeroUsize::MIN)
        },
        3,
    )
    .await;
    let none = batches(file.rows("select * from t where id = 0")).await;
    assert_eq!((none.len(), none[0].num_rows()), (1, 0));
    for (values, words) in [
        // Neither is rounded, nor made a text.
        (
            "(1), (1.5), (9007199254740993)",
            "row 3, column `v`: the value does not fit",
        ),
        (
            "(9007199254740993), (1.5)",
            "row 2, column `v`: the value does not fit",
        ),
        ("(1), ('a')", "its column is Int64"),
        ("('a'), (1)", "its column is Utf8"),
        ("(x'00'), ('a')", "its column is Binary"),
    ] {
        let sql = format!("with t(v) as (values {values}) select v from t");
        let error = failure(file.rows(&sql)).await;
        assert!(error.to_string().contains(words), "{values}: {error}");
    }
    // What the first batch settled stays.
    let sql = "with t(v) as (values (1), (1.5)) select v from t";
    let error = failure(file.rows(sql).batch(NonZeroUsize::MIN)).await;
    assert!(error.to_string().contains("row 2, column `v`"), "{error}");
}

#[tokio::test]
async fn parts_are_read_side_by_side() {
    let file = users(5000);
    let query = || file.rows("select id from users").key("id");
    let all: Vec<String> = complete(query().raw()).await;
    let parts = |count| NonZeroUsize::new(count).unwrap();
    for count in [1, 3, 60] {
        let mut found = complete(query().partitions(parts(count)).raw()).await;
        found.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
        assert_eq!(found, all, "{count}");
    }
    let error = failure(
        file.rows("select name from users")
            .partitions(parts(2))
            .raw(),
    )
    .await;
    assert!(error.to_string().contains("only what has a key"), "{error}");
}

#[tokio::test]
async fn to_take_some_rows_ends_after_them() {
    let file = users(9);
    let query = || {
        file.rows("select id from users")
            .batch(NonZeroUsize::new(4).unwrap())
    };
    for count in [0, 1, 4, 5, 9] {
        let (found, account) = drain(query().take(count).raw()).await;
        assert_eq!(found.len() as u64, count);
        assert_eq!(account.unwrap().verdict(), Verdict::Stopped);
    }
    let mut rows = query().key("id").take(5).raw();
    while rows.try_next().await.unwrap().is_some() {}
    let rest = query().key("id").from(rows.position().unwrap()).raw();
    assert_eq!(complete(rest).await.len(), 4);
}

/// `users` with ids from 1.
fn users(count: u32) -> File {
    file(&format!(
        "create table users (id integer primary key, name text);
         with recursive ids (id) as (select 1 union all select id + 1 from ids where id < {count})
         insert into users select id, 'user ' || id from ids;"
    ))
}

fn few() -> NonZeroUsize {
    NonZeroUsize::new(7).unwrap()
}

const ENDLESS: &str =
    "with recursive n (n) as (select 1 union all select n + 1 from n) select n from n";

#[tokio::test]
async fn every_value_comes_exactly() {
    let file = file(
        "create table t (id integer primary key, a);
         insert into t (a) values (null), (9007199254740993), (-9223372036854775808), (0.1), (1e300),
             (9e999), (-9e999), ('é\"\\' || char(10)), (''), (x'00ff10'), (x''), (true);",
    );
    let found = complete(file.rows("select a from t order by id").raw()).await;
    let values = [
        "null",
        "9007199254740993",
        "-9223372036854775808",
        "0.1",
        "1e+300",
        "\"Infinity\"",
        "\"-Infinity\"",
        "\"é\\\"\\\\\\n\"",
        "\"\"",
        "\"AP8Q\"",
        "\"\"",
        "1",
    ];
    assert_eq!(found, values.map(|value| format!("{{\"a\":{value}}}")));
}

#[tokio::test]
async fn rows_are_values_of_a_type() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct User {
        id: u8,
        name: Option<String>,
    }
    let file = users(300);
    let query = || file.rows("select id, name from users order by id");
    let (mut typed, mut seen) = (query().items::<User>(), 0);
    // The number of a row that does not fit is said, after those before it.
    let error = loop {
        match typed.next().await.unwrap() {
            Ok(user) => {
                seen += 1;
                assert_eq!(user.name, Some(format!("user {}", user.id)));
            }
            Err(error) => break error.to_string(),
        }
    };
    assert_eq!(seen, 255);
    assert!(
        error.contains("row 256 is not what was expected"),
        "{error}"
    );
}

#[tokio::test]
async fn parameters_are_bound_by_their_kind() {
    let file = users(9);
    let sql = "select typeof(?1) as a, typeof(?2) as b, typeof(?3) as c, typeof(?4) as d";
    let query = ["7", "\"7\"", "null", "1.5"].map(Param::parse);
    let found = complete(query.into_iter().fold(file.rows(sql), Request::bind).raw()).await;
    assert_eq!(
        found,
        [r#"{"a":"integer","b":"text","c":"null","d":"real"}"#]
    );
    let error = failure(file.rows("select ? as a").raw()).await;
    assert!(error.is_request());
    assert!(
        error.to_string().contains("1 parameters, and 0 values"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_wrong_is_said_before_anything_runs() {
    let file = users(1);
    for (sql, words) in [
        ("select id, id from users", "`id` comes twice"),
        ("select 1; select 2", "expected one statement"),
        (" -- nothing", "expected a statement"),
        ("delete from users", "returns none"),
        ("delete from users returning id", "read only"),
        (
            "select naem from users",
            "at line 1, column 8: no such column: naem",
        ),
        ("create table x (a)", "returns none"),
    ] {
        let (found, account) = drain(file.rows(sql).raw()).await;
        let error = account.unwrap_err();
        assert!(error.is_request() && found.is_empty(), "{sql}: {error:?}");
        assert!(error.to_string().contains(words), "{sql}: {error}");
        assert!(error.to_string().contains("test.sqlite"), "{error}");
    }
    let error = failure(file.rows("select id,\n  naem from users").raw()).await;
    let position = error
        .source()
        .unwrap()
        .downcast_ref::<SqlPosition>()
        .unwrap();
    assert_eq!((position.line(), position.column()), (2, 3));
    assert_eq!(position.to_string(), "  naem from users\n  ^");
    // Nothing was deleted.
    assert_eq!(
        complete(file.rows("select id from users").raw())
            .await
            .len(),
        1
    );
    let error = failure(rows("sqlite:/no/such/file", "select 1").raw()).await;
    assert!(error.is_request(), "{error}");
    let error = failure(rows("gopher://x", "select 1").raw()).await;
    assert!(
        error.is_request() && error.to_string().contains("`sqlite:"),
        "{error}"
    );
    std::fs::write(
        file.path(),
        "this is no database, but a text that is long enough".repeat(99),
    )
    .unwrap();
    let error = failure(file.rows("select 1").raw()).await;
    assert!(
        error.to_string().contains("is not an SQLite database"),
        "{error}"
    );
}

#[tokio::test]
async fn a_text_that_is_not_utf8_is_an_error_with_its_place() {
    let file = file("create table t (a); insert into t values ('x'), (cast(x'ff' as text));");
    let (found, account) = drain(file.rows("select a from t").raw()).await;
    let error = account.unwrap_err().to_string();
    assert!(found.len() <= 1);
    assert!(
        error.contains("row 2, column `a`") && error.contains("UTF-8"),
        "{error}"
    );
}

#[tokio::test]
async fn a_statement_writes_only_where_it_may() {
    let file = users(2);
    let sql = "insert into users (name) values ('x') returning id";
    assert!(failure(file.rows(sql).raw()).await.is_request());
    let found = complete(file.rows(sql).allow_writes().raw()).await;
    assert_eq!(found, [r#"{"id":3}"#]);
    assert_eq!(
        complete(file.rows("select id from users").raw())
            .await
            .len(),
        3
    );
}

#[tokio::test]
async fn a_key_resumes_after_any_row() {
    let file = users(30);
    let query = || {
        file.rows("select name, id from users;")
            .key("id")
            .batch(few())
    };
    let all = complete(query().raw()).await;
    assert_eq!(all.len(), 30);
    for count in 1..=30 {
        let mut rows = query().raw();
        for row in &all[..count] {
            assert_eq!(rows.try_next().await.unwrap().unwrap().to_string(), *row);
        }
        let position = serde_json::to_string(&rows.position().unwrap()).unwrap();
        drop(rows);
        let position: Position = serde_json::from_str(&position).unwrap();
        let rest = complete(query().from(position).raw()).await;
        assert_eq!(rest, all[count..], "after {count}");
    }
}

#[tokio::test]
async fn keys_of_several_columns_and_of_texts_order_the_rows() {
    let file = file(
        "create table t (a, b real, primary key (a, b));
         insert into t values ('x', 1), ('x', 0.5), ('é\"', 2), ('a', -1), (3, 1), (2.5, 1);",
    );
    let query = || {
        let query = file.rows("select b, a from t").key("a").key("b");
        query.batch(NonZeroUsize::MIN)
    };
    let all = complete(query().raw()).await;
    let whole = complete(file.rows("select b, a from t order by a, b").raw()).await;
    assert_eq!(all, whole);
    let mut rows = query().raw();
    rows.try_next().await.unwrap();
    let position = rows.position().unwrap();
    assert_eq!(complete(query().from(position).raw()).await, whole[1..]);
}

#[tokio::test]
async fn a_key_that_loses_rows_is_noticed() {
    let file = file("create table t (a, b); insert into t values (1, 1), (1, 2), (2, 3);");
    let error = failure(file.rows("select * from t").key("a").raw()).await;
    assert!(
        error
            .to_string()
            .contains("a key that is not unique loses rows"),
        "{error}"
    );
    let file = file_with_null();
    // Null comes first in SQLite, and then the row is there to be seen.
    let error = failure(file.rows("select * from t").key("a").raw()).await;
    assert!(error.to_string().contains("the key is null"), "{error}");
    // After a key it is not.
    let query = file.rows("select * from t").key("a").since(1);
    let (found, account) = drain(query.raw()).await;
    let account = account.unwrap();
    assert_eq!((found.len(), account.verdict()), (2, Verdict::NotProved));
    let error = failure(file.rows("select a from t").key("b").raw()).await;
    assert!(
        error.is_request() && error.to_string().contains("`b` is not among"),
        "{error}"
    );
}

#[tokio::test]
async fn rows_with_the_same_key_on_two_pages_are_noticed() {
    // As the database compares them: as numbers, and whatever the case.
    let file = file(
        "create table t (a, b text collate nocase);
         insert into t values (1, 'a'), (2, 'b'), (2.0, 'C'), (3, 'c'), (4, 'd');",
    );
    for (key, before) in [("a", 2), ("b", 3)] {
        let query = || {
            let query = file.rows("select * from t order by a").key(key);
            query.batch(NonZeroUsize::new(before).unwrap())
        };
        let (found, account) = drain(query().raw()).await;
        let error = account.unwrap_err();
        assert_eq!(found.len(), before, "{error}");
        let words = format!("in `{key}`; a key that is not unique");
        assert!(error.to_string().contains(&words), "{error}");
        assert!(!error.is_retryable() && !error.is_request(), "{error:?}");
        // Nor does it go on after the first of them.
        let mut rows = query().raw();
        for _ in 0..before {
            rows.try_next().await.unwrap().unwrap();
        }
        let position = rows.position().unwrap();
        let error = failure(query().from(position).raw()).await;
        assert!(error.to_string().contains(&words), "{error}");
    }
}

fn file_with_null() -> File {
    file("create table t (a unique, b); insert into t values (null, 1), (1, 2), (2, 3);")
}

#[tokio::test]
async fn a_position_of_another_query_is_refused() {
    let file = users(3);
    let mut rows = file.rows("select id from users").key("id").raw();
    rows.try_next().await.unwrap();
    let position = rows.position().unwrap();
    for (query, words) in [
        (
            file.rows("select id, name from users").key("id"),
            "another query",
        ),
        (
            file.rows("select id from users where id > ?")
                .bind(1)
                .key("id"),
            "another query",
        ),
        (file.rows("select id from users"), "only with a key"),
        (
            file.rows("select id, name from users").key("name"),
            "another key",
        ),
    ] {
        let error = failure(query.from(position.clone()).raw()).await;
        assert!(
            error.is_request() && error.to_string().contains(words),
            "{error}"
        );
    }
}

#[tokio::test]
async fn only_what_is_new_comes_since_the_last_run() {
    let file = users(10);
    let query = || file.rows("select id from users").key("id").batch(few());
    let mut rows = query().raw();
    while rows.try_next().await.unwrap().is_some() {}
    let position = rows.position().unwrap();
    assert!(
        complete(query().from(position.clone()).raw())
            .await
            .is_empty()
    );
    let connection = Connection::open(file.path()).unwrap();
    connection
        .execute("insert into users (id) values (11)", [])
        .unwrap();
    assert_eq!(
        complete(query().from(position.clone()).raw()).await,
        [r#"{"id":11}"#]
    );
    let late = complete(query().overlap("1").from(position).raw()).await;
    assert_eq!(late, [r#"{"id":9}"#, r#"{"id":10}"#, r#"{"id":11}"#]);
    let since = complete(query().since(10).raw()).await;
    assert_eq!(since, [r#"{"id":10}"#, r#"{"id":11}"#]);
    let error = failure(query().since(10).overlap("1 hour").raw()).await;
    assert!(
        error.is_request() && error.to_string().contains("expected a number"),
        "{error}"
    );
}

#[tokio::test]
async fn a_begin_of_another_kind_than_the_key_leaves_nothing_out() {
    let file = users(10);
    for sql in ["select id from users", "select id + 0 as id from users"] {
        let error = failure(file.rows(sql).key("id").since("2026-01-01").raw()).await;
        assert!(
            error.is_request() && error.to_string().contains("`id` holds numbers"),
            "{error}"
        );
    }
    let sql = "select cast(id as text) as id from users";
    let since = complete(file.rows(sql).key("id").since("8").raw()).await;
    assert_eq!(since, [r#"{"id":"8"}"#, r#"{"id":"9"}"#]);
}

#[tokio::test]
async fn batches_are_bound_by_rows_and_by_bytes() {
    let file = users(1000);
    for (query, least) in [
        (file.rows("select id from users").batch(few()), 1000 / 7),
        (file.rows("select id from users").batch_bytes(few()), 1000),
        (
            file.rows("select id from users").key("id").batch(few()),
            1000 / 7,
        ),
    ] {
        let (found, account) = drain(query.raw()).await;
        let account = account.unwrap();
        assert_eq!(found.len(), 1000);
        assert!(account.batches >= least, "{account:?}");
        let key = !account.key.is_empty();
        assert_eq!(
            account.mode,
            Some(if key { Mode::Keyset } else { Mode::Stream })
        );
        assert_eq!(account.requests, if key { 1000 / 7 + 1 } else { 1 });
    }
}

#[tokio::test]
async fn rows_that_trickle_are_not_kept_back() {
    // The second row never comes.
    let file = users(1);
    let sql = format!("select 1 as n union all select n from ({ENDLESS}) where n < 0");
    let mut rows = file.rows(&sql).raw();
    let first = tokio::time::timeout(Duration::from_secs(9), rows.next()).await;
    assert_eq!(first.unwrap().unwrap().unwrap().to_string(), r#"{"n":1}"#);
    assert!(rows.next().now_or_never().is_none());
}

#[tokio::test]
async fn to_drop_the_rows_stops_the_query() {
    let file = users(1);
    // One that gives rows and waits for room, and one that gives none.
    for sql in [
        ENDLESS.to_owned(),
        format!("select n from ({ENDLESS}) where n < 0"),
    ] {
        let mut rows = file.rows(&sql).raw();
        let _ = tokio::time::timeout(Duration::from_millis(50), rows.next()).await;
        assert!(file.is_open());
        drop(rows);
        let begin = Instant::now();
        while file.is_open() {
            assert!(begin.elapsed() < Duration::from_secs(5), "it still runs");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(
            begin.elapsed() < Duration::from_millis(500),
            "{:?}",
            begin.elapsed()
        );
    }
}

#[tokio::test]
async fn a_description_opens_the_same_rows() {
    let file = users(5);
    let mut own = rows::Description::new(format!("sqlite:{}", file.path()), "select id from users");
    own.key = vec!["id".to_owned()];
    let text = serde_json::to_string(&Description::try_from(&own).unwrap()).unwrap();
    let description: Description = serde_json::from_str(&text).unwrap();
    let mut source = description.open(None).unwrap();
    source.try_next().await.unwrap();
    let position = source.position().unwrap();
    let rest: Vec<_> = description
        .open(Some(&position))
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(rest.len(), 4);
    own.dsn = "postgres://ada:hush@localhost/db".to_owned();
    assert!(
        Description::try_from(&own)
            .unwrap_err()
            .to_string()
            .contains("password")
    );
}

#[tokio::test]
async fn a_table_is_all_of_its_rows() {
    let file = file("create table \"Odd \"\"name\" (a); insert into \"Odd \"\"name\" values (1);");
    let table = rows::table(file.path(), "Odd \"name").raw();
    assert_eq!(complete(table).await, [r#"{"a":1}"#]);
}

#[tokio::test]
async fn partitions_are_ranges_of_the_key() {
    let file = users(100);
    let mut own = rows::Description::new(
        format!("sqlite:{}", file.path()),
        "select id, name from users",
    );
    own.key = vec!["id".to_owned(), "name".to_owned()];
    own.partitions = NonZeroUsize::new(4);
    let parts = Description::try_from(&own)
        .unwrap()
        .partitions()
        .await
        .unwrap();
    let mut all = Vec::new();
    for part in &parts {
        // Each is plain data, and resumes by itself.
        let text = serde_json::to_string(part).unwrap();
        let part: Description = serde_json::from_str(&text).unwrap();
        let mut source = part.open(None).unwrap();
        all.push(source.try_next().await.unwrap().unwrap().to_string());
        let position = source.position().unwrap();
        let rest: Vec<_> = part
            .open(Some(&position))
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        assert_eq!(rest.len(), 24);
        all.extend(rest.iter().map(ToString::to_string));
        let other = parts.iter().find(|other| **other != part).unwrap();
        let error = other
            .open(Some(&position))
            .unwrap()
            .try_next()
            .await
            .unwrap_err();
        assert!(error.to_string().contains("another query"), "{error}");
    }
    let whole = file.rows("select id, name from users order by id");
    assert_eq!(all, complete(whole.raw()).await);
    own.key = vec!["name".to_owned()];
    let error = Description::try_from(&own)
        .unwrap()
        .partitions()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("whole numbers"), "{error}");
}

#[tokio::test]
async fn a_column_alone_is_its_values() {
    let file = users(3);
    let names = file.rows("select name from users").values::<String>();
    let names: Vec<_> = names.try_collect().await.unwrap();
    assert_eq!(names, ["user 1", "user 2", "user 3"]);
    let mut two = file.rows("select id, name from users").values::<i64>();
    let error = two.try_next().await.unwrap_err().to_string();
    assert!(error.contains("a row with one column"), "{error}");
}
