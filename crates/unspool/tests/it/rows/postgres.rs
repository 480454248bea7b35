use std::error::Error as _;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt};
use serde_json::Value;
use unspool::rows::{Mode, RawItem, Request, Rows, SqlPosition};
use unspool::{ErrorKind, Position, Verdict, rows};

use super::{complete, drain, failure};
use crate::server::Postgres;

pub(super) struct Database {
    server: Arc<Postgres>,
    pub(super) dsn: String,
}

/// A database that this makes; none where there is no server, which is said.
pub(super) fn database(sql: &str) -> Option<Database> {
    let server = match Postgres::shared() {
        Ok(server) => server,
        Err(why) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: {why}");
            return None;
        }
        Err(why) => panic!("{why}"),
    };
    let dsn = server.database();
    let database = Database { server, dsn };
    database.psql(sql);
    Some(database)
}

impl Database {
    pub(super) fn psql(&self, sql: &str) -> String {
        self.server.psql(&self.dsn, sql)
    }

    pub(super) fn rows(&self, sql: &str) -> Request {
        rows(self.dsn.clone(), sql)
    }

    /// How many queries run that have this in them, by the server's word.
    pub(super) fn running(&self, words: &str) -> usize {
        let sql = format!(
            "select count(*) from pg_stat_activity where state = 'active' and query like \
             '%{words}%' and datname = current_database() and leader_pid is null and pid <> pg_backend_pid()"
        );
        self.psql(&sql).trim().parse().unwrap()
    }
}

const USERS: &str = "create table users (id int primary key, name text);
    insert into users select id, 'user ' || id from generate_series(1, 30) as id;";

/// A column of every type that is told apart, with values at the edges.
const TYPES: &str = r#"
create extension if not exists hstore;
create type mood as enum ('sad', 'o"k');
create type pair as (a int, b text);
create domain positive as int check (value > 0);
create table types (
  id int primary key, bool bool, int2 int2, int4 int4, int8 int8, oid oid, float4 float4,
  float8 float8, num numeric, num2 numeric(12,2), text text, vc varchar(20), bpchar char(5),
  name name, "char" "char", json json, jsonb jsonb, uuid uuid, date date, time time,
  timetz timetz, ts timestamp, tstz timestamptz, iv interval, inet inet, cidr cidr,
  mac macaddr, money money, bit bit(3), varbit varbit, int4range int4range,
  tsrange tsrange, ints int[], texts text[], nums numeric[], pair pair, pairs pair[],
  mood mood, moods mood[], dom positive, hstore hstore, point point, xml xml, tsv tsvector,
  lsn pg_lsn, multi int4multirange, nul text
);
insert into types values
 (1, true, -32768, 2147483647, -9223372036854775808, 4294967295, 3.4e38, 1e300,
  '123456789012345678901234567890.123456789012345678901234567890', 12.30, E'é"\\\n\t',
  'v', 'ab', 'n', 'c', E'{"a" :\n 1}', '{"b": [1, null, "x"], "n": 12345678901234567890.10}',
  'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '2024-02-29', '23:59:59.999999', '01:02:03+04',
  '2024-02-29 12:34:56.5', '2024-02-29 12:34:56.789+02', '1 year -2 days 03:04:05.6',
  '192.168.0.1', '10.0.0.0/8', '08:00:2b:01:02:03', 1234.56, '101', '1', '[1,5)',
  '["2024-01-01 00:00","2024-02-01 00:00")', '{1,null,-3}', '{a,"b\"c",null}', '{1.10,NaN}',
  '(1,"x y")', array[row(1,'a')::pair, null], 'o"k', '{sad}', 7, 'a=>1, b=>NULL', '(1,2)',
  '<a/>', 'a fat cat', '16/B374D848', '{[1,3),[5,7)}', null),
 (2, false, 32767, -1, 9223372036854775807, 0, 'NaN', 'Infinity', 'NaN', -0.01, '', '', '',
  '', '', 'null', '"s"', '00000000-0000-0000-0000-000000000000', 'infinity', '00:00',
  '23:59:59.5-12:30', '-infinity', 'infinity', '-1 month', '::1', '::/0',
  'ff:ff:ff:ff:ff:ff', -1, '000', '', 'empty', '(,)', '{}', '{}', '{}', '(,)', '{}', 'sad',
  '{}', 1, '', '(0,0)', '<b>x</b>', '', '0/0', '{}', null),
 (3, null, 0, 0, 0, 1, 0.1, -0.1, 0, 99999999.99, 'x', 'x', 'x', 'x', 'x', '[]', '{}',
  'ffffffff-ffff-ffff-ffff-ffffffffffff', '0044-03-15 BC', '12:00', '12:00:00+00',
  '0044-03-15 12:00:00.000001 BC', '0001-01-01 00:00:00+00 BC', '0', '10.1.2.3/24',
  '1.2.3.0/24', '00:00:00:00:00:00', 0, '111', '1010', '[3,3]', '[2024-01-01 00:00,)',
  '{{1,2},{3,4}}', '{null}', '{0.000000001}', null, null, null, null, null, null, null, null,
  null, null, null, null),
 (4, null, null, null, null, null, 1e-45, 5e-324, 1e-20, null, null, null, null, null, null,
  null, null, null, '99999-12-31', null, null, '99999-12-31 23:59:59.999999',
  '1582-10-04 00:00:00+00', null, null, null, null, null, null, null, null, null, null, null,
  null, null, null, null, null, null, null, null, null, null, null, null, null),
 (5, null, null, null, null, null, '-Infinity', '-Infinity', '-Infinity', null, null, null,
  null, null, null, null, null, null, '-infinity', null, null, 'infinity', '-infinity', null,
  null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
  null, null, null, null, null, null, null, null);
"#;

/// The rows as the database's own JSON.
const OWN: &str = "set timezone = 'UTC'; set intervalstyle = 'iso_8601';
    select replace(row_to_json(t)::text, E'\\n', ' ') from (select * from types) t order by id";

/// As `text` has it, but for what is a number, of which the value counts.
fn same(found: &Value, own: &Value, column: &str) {
    match (found, own) {
        (Value::Number(found), Value::Number(own)) if column.starts_with("float") => {
            let (found, own) = (found.as_f64().unwrap(), own.as_f64().unwrap());
            assert!(
                found == own || (found as f32) == (own as f32),
                "{column}: {found} {own}"
            );
        }
        _ => assert_eq!(found, own, "{column}"),
    }
}

#[tokio::test]
async fn every_type_is_what_the_database_itself_makes_of_it() {
    let Some(database) = database(TYPES) else {
        return;
    };
    let own = database.psql(OWN);
    let own: Vec<&str> = own.lines().filter(|line| line.starts_with('{')).collect();
    assert_eq!(own.len(), 5);
    let copied = complete(database.rows("select * from types order by id").raw()).await;
    let bound = database
        .rows("select * from types where id > $1 order by id")
        .bind(0);
    assert_eq!(complete(bound.raw()).await, copied);
    let keyed = database
        .rows("table types")
        .key("id")
        .batch(NonZeroUsize::MIN);
    assert_eq!(complete(keyed.raw()).await, copied);
    for (found, own) in copied.iter().zip(own) {
        let value =
            |text: &str| serde_json::from_str::<serde_json::Map<String, Value>>(text).unwrap();
        let (mut found_row, own_row) = (value(found), value(own));
        for (column, own) in &own_row {
            let found = found_row.remove(column).unwrap();
            match column.as_str() {
                // Its own cast to JSON is not its text.
                "hstore" => {}
                // Which makes a text of what is a number.
                "oid" => assert_eq!(
                    Some(found.to_string().as_str()),
                    own.as_str().or(Some("null"))
                ),
                _ => same(&found, own, column),
            }
        }
        assert!(found_row.is_empty(), "{found_row:?}");
    }
    // With every digit, which a value that was parsed does not have.
    for (digits, row) in [
        (
            "\"num\":123456789012345678901234567890.123456789012345678901234567890,",
            0,
        ),
        ("\"num2\":12.30,", 0),
        ("\"n\": 12345678901234567890.10}", 0),
        ("\"hstore\":\"\\\"a\\\"=>\\\"1\\\", \\\"b\\\"=>NULL\"", 0),
        ("\"num\":0.00000000000000000001,", 3),
        ("\"nums\":[0.000000001]", 2),
    ] {
        assert!(copied[row].contains(digits), "{digits} in {}", copied[row]);
    }
    check_document(&database, &copied.concat()).await;
    let bytes = database.rows("select '\\x00ff10'::bytea as b").raw();
    assert_eq!(complete(bytes).await, [r#"{"b":"AP8Q"}"#]);
}

/// The table in the document names types that there are, and shows values that came.
async fn check_document(database: &Database, found: &str) {
    let document = include_str!("../../../../../docs/rows.md");
    let (_, section) = document.split_once("### PostgreSQL").unwrap();
    let (table, _) = section.split_once("### SQLite").unwrap();
    let (mut types, mut shown) = (0, 0);
    for line in table
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains('`'))
    {
        let cells: Vec<&str> = line.split(" | ").collect();
        let words = |cell: &'static str| cell.split('`').skip(1).step_by(2);
        for ty in words(cells[0]) {
            let sql = format!("select null::{ty} as v");
            assert_eq!(
                complete(database.rows(&sql).raw()).await,
                [r#"{"v":null}"#],
                "{ty}"
            );
            types += 1;
        }
        for value in words(cells[1]).filter(|value| value.starts_with('"')) {
            assert!(found.contains(value), "{value} is in the document only");
            shown += 1;
        }
    }
    assert!(types > 25 && shown > 10, "{types} types, {shown} values");
}

#[cfg(feature = "arrow")]
#[tokio::test]
async fn batches_have_the_types_of_the_columns_and_every_value_is_exact() {
    use super::arrow::{batches, check_resume, failure, row, schema};
    let Some(database) = database(
        "create table t (id int8 primary key, b bool, i2 int2, i4 int4, o oid, f4 float4, f8 float8,
           n numeric, n2 numeric(12,2), n38 numeric(38,10), neg numeric(3,-2), small numeric(2,4),
           n39 numeric(39,1), t text, j json, jb jsonb, u uuid, by bytea, d date, ti time, ts
           timestamp, tz timestamptz, iv interval, a int[]);
         insert into t values (1, true, -32768, 2147483647, 4294967295, 0.1, 1e300,
           '123456789012345678901234567890.12345678901234567890', 12.30,
           '9999999999999999999999999999.9999999999', 12345, 0.0012, 1.5, 'é\"', '{\"a\" : 1}', '\"s\"',
           'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\\x00ff', '2024-02-29', '23:59:59.999999',
           '2024-02-29 12:34:56.5', '1969-12-31 23:59:59.999999+00', '1 year', '{1,null}'),
          (2, false, 0, 0, 0, 'NaN', '-Infinity', 'NaN', -0.01,
           '-9999999999999999999999999999.9999999999', -99900, -0.0099, 0, '', 'null', '{}',
           '00000000-0000-0000-0000-000000000000', '', '0044-03-15 BC', '00:00', '0001-01-01',
           '99999-12-31 23:59:59+00', '-1 month', '{}');
         insert into t (id, n38) values (3, 0), (4, 10000.5);",
    ) else {
        return;
    };
    let query = || database.rows("select * from t order by id");
    let [batch] = &batches(query()).await[..] else {
        panic!()
    };
    let expected = "id Int64, b Boolean, i2 Int16, i4 Int32, o UInt32, f4 Float32, f8 Float64, n Utf8, \
         n2 Decimal128(12, 2), n38 Decimal128(38, 10), neg Decimal128(5, 0), small Decimal128(4, 4), \
         n39 Utf8, t Utf8, j Utf8, jb Utf8, u Utf8, by Binary, d Date32, ti Time64(µs), ts Timestamp(µs), \
         tz Timestamp(µs, \"UTC\"), iv Utf8, a Utf8";
    assert_eq!(schema(batch).join(", "), expected);
    assert_eq!(
        row(batch, 0).join(" | "),
        "1 | true | -32768 | 2147483647 | 4294967295 | 0.1 | 1e300 | \
         123456789012345678901234567890.12345678901234567890 | 12.30 | \
         9999999999999999999999999999.9999999999 | 12300 | 0.0012 | 1.5 | é\" | {\"a\" : 1} | \"s\" | \
         a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 | [00, ff] | 19782 | 86399999999 | 1709210096500000 | -1 | \
         P1Y | [1,null]"
    );
    assert_eq!(
        row(batch, 1).join(" | "),
        "2 | false | 0 | 0 | 0 | NaN | -inf | NaN | -0.01 | \
         -9999999999999999999999999999.9999999999 | -99900 | -0.0099 | 0.0 |  | null | {} | \
         00000000-0000-0000-0000-000000000000 | [] | -735160 | 0 | -62135596800000000 | \
         3093527980799000000 | P-1M | []"
    );
    assert_eq!(row(batch, 2)[9], "0.0000000000");
    assert_eq!(row(batch, 3)[9], "10000.5000000000");
    assert!(row(batch, 3)[10..].iter().all(|value| value == "null"));
    // By every way in which rows are fetched.
    let bound = database
        .rows("select * from t where id > $1 order by id")
        .bind(0);
    let keyed = || {
        let query = database.rows("table t").key("id");
        query.batch(NonZeroUsize::new(2).unwrap())
    };
    for request in [bound, keyed()] {
        let found = batches(request).await;
        let rows = found
            .iter()
            .flat_map(|batch| (0..batch.num_rows()).map(|at| row(batch, at)));
        let whole: Vec<_> = (0..4).map(|at| row(batch, at)).collect();
        assert_eq!(rows.collect::<Vec<_>>(), whole);
    }
    check_resume(keyed, 4).await;
    let none = batches(database.rows("select * from t where id < 0")).await;
    assert_eq!((none.len(), none[0].num_rows()), (1, 0));
    assert_eq!(none[0].schema(), batch.schema());
    for (value, words) in [
        ("'infinity'::date", "infinite time"),
        ("'-infinity'::timestamptz", "infinite time"),
        ("'24:00'::time", "24:00:00"),
        ("'NaN'::numeric(4,2)", "neither NaN"),
    ] {
        let error = failure(database.rows(&format!("select {value} as v"))).await;
        assert!(error.to_string().contains("row 1, column `v`"), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn the_mode_follows_from_the_statement() {
    let Some(database) = database(USERS) else {
        return;
    };
    for (query, mode) in [
        (database.rows("select id from users"), Mode::Copy),
        (database.rows("values (1)"), Mode::Copy),
        (
            database.rows("select id from users where id < $1").bind(9),
            Mode::Portal,
        ),
        (database.rows("show server_version"), Mode::Portal),
        (database.rows("explain select 1"), Mode::Portal),
        (
            database.rows("select id from users").key("id"),
            Mode::Keyset,
        ),
        (
            database.rows("select id from users").mode(Mode::Portal),
            Mode::Portal,
        ),
    ] {
        let (rows, account) = drain(query.raw()).await;
        let account = account.unwrap();
        assert_eq!(
            (account.mode, account.verdict()),
            (Some(mode), Verdict::Complete)
        );
        assert_eq!(account.items, rows.len() as u64);
        assert!(account.bytes > 0 && account.batches > 0);
    }
}

/// Queries that are wrong, and what is said of them.
fn wrong(database: &Database) -> Vec<(Request, &'static str)> {
    vec![
        (
            database.rows("select id, id from users"),
            "`id` comes twice",
        ),
        (
            database.rows("select 1; select 2"),
            "expected one statement",
        ),
        (database.rows("delete from users"), "returns none"),
        (
            database.rows("delete from users returning id"),
            "read-only transaction",
        ),
        (
            database
                .rows("insert into users values (99) returning id")
                .mode(Mode::Portal),
            "read-only",
        ),
        (
            database.rows("select naem from users"),
            "line 1, column 8: column \"naem\" does not",
        ),
        (
            database.rows("select $1::int as a"),
            "1 parameters, and 0 values",
        ),
        (
            database.rows("select 1 as a").bind(1).mode(Mode::Copy),
            "0 parameters, and 1 values",
        ),
        (
            database.rows("select id from users").key("name"),
            "`name` is not among",
        ),
        (
            database
                .rows("select id, '{1}'::int[] as a from users")
                .key("a"),
            "cannot be a key",
        ),
        (
            database.rows("select id from users").mode(Mode::Keyset),
            "needs a key",
        ),
        (
            database.rows("select $1::int as a").bind("x"),
            "invalid input syntax",
        ),
        (
            rows(format!("{}x", database.dsn), "select 1"),
            "does not exist",
        ),
    ]
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let Some(database) = database(USERS) else {
        return;
    };
    for (query, words) in wrong(&database) {
        let error = failure(query.raw()).await;
        assert!(error.is_request(), "{error:?}");
        assert!(error.to_string().contains(words), "{words}: {error}");
        assert!(
            error.to_string().starts_with("postgres://postgres@"),
            "{error}"
        );
    }
    assert_eq!(database.psql("select count(*) from users").trim(), "30");
}

#[tokio::test]
async fn where_a_statement_or_a_row_is_wrong_is_said() {
    let Some(database) = database(USERS) else {
        return;
    };
    let error = failure(database.rows("select id,\n  é, naem from users").raw()).await;
    let position = error
        .source()
        .unwrap()
        .downcast_ref::<SqlPosition>()
        .unwrap();
    assert_eq!(position.to_string(), "  é, naem from users\n  ^");
    // A fault in the middle comes after the rows before it.
    let (found, account) = drain(database.rows("select 1 / (3 - id) as a from users").raw()).await;
    let error = account.unwrap_err();
    assert_eq!(
        (found.len(), error.kind()),
        (2, ErrorKind::Content),
        "{error}"
    );
    assert_eq!(error.code(), Some("22012"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    for dsn in [
        "postgres://u@127.0.0.1:1/d",
        "postgres://u@no.such.host.invalid/d",
    ] {
        let begin = Instant::now();
        let error = failure(
            rows(dsn, "select 1")
                .first_wait(Duration::from_millis(1))
                .raw(),
        )
        .await;
        assert!(error.is_unreachable(), "{error:?}");
        assert!(error.to_string().starts_with(dsn), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(20));
    }
}

#[tokio::test]
async fn a_statement_writes_only_where_it_may() {
    let Some(database) = database(USERS) else {
        return;
    };
    let sql = "insert into users values (31, 'x') returning id, '{1}'::int[] as a";
    let found = complete(database.rows(sql).allow_writes().raw()).await;
    assert_eq!(found, [r#"{"id":31,"a":[1]}"#]);
    let sql = "delete from users where id = $1 returning id";
    let found = complete(database.rows(sql).bind(31).allow_writes().raw()).await;
    assert_eq!(found, [r#"{"id":31}"#]);
    assert_eq!(database.psql("select count(*) from users").trim(), "30");
}

#[tokio::test]
async fn a_key_resumes_after_any_row() {
    let Some(database) = database(
        "create table t (day timestamptz, n numeric, s text, primary key (day, n, s));
         insert into t select timestamptz '2024-01-01 00:00:00.123456+00' + (i / 7) * interval '1 us',
             (i % 7) / 3.0, 'é\"' || i from generate_series(1, 40) as i;",
    ) else {
        return;
    };
    let query = || {
        let query = database
            .rows("select s, n, day from t;")
            .batch(NonZeroUsize::new(6).unwrap());
        query.key("day").key("n").key("s")
    };
    let all = complete(query().raw()).await;
    let whole = database.rows("select s, n, day from t order by day, n, s");
    assert_eq!(all, complete(whole.raw()).await);
    for count in [1, 5, 6, 7, 12, 39, 40] {
        let mut rows = query().raw();
        for row in &all[..count] {
            assert_eq!(rows.try_next().await.unwrap().unwrap().to_string(), *row);
        }
        let position = serde_json::to_string(&rows.position().unwrap()).unwrap();
        drop(rows);
        let position: Position = serde_json::from_str(&position).unwrap();
        assert_eq!(
            complete(query().from(position).raw()).await,
            all[count..],
            "after {count}"
        );
    }
    let mut rows = query().raw();
    while rows.try_next().await.unwrap().is_some() {}
    let late = query()
        .overlap("1.5 us")
        .from(rows.position().unwrap())
        .raw();
    // Those of the last two microseconds: an interval is rounded to them.
    let late = complete(late).await;
    assert_eq!(late, all[all.len() - late.len()..]);
    assert!((6..20).contains(&late.len()), "{}", late.len());
}

#[tokio::test]
async fn rows_without_a_key_are_a_doubt() {
    let Some(database) = database("create table t (a int); insert into t values (1), (2), (null);")
    else {
        return;
    };
    let query = || {
        database
            .rows("select a from t")
            .key("a")
            .batch(NonZeroUsize::MIN)
    };
    let (found, account) = drain(query().raw()).await;
    assert_eq!(
        (found.len(), account.unwrap().verdict()),
        (2, Verdict::NotProved)
    );
    // On a page it is seen at once.
    let error = failure(database.rows("select a from t").key("a").raw()).await;
    assert!(error.to_string().contains("the key is null"), "{error}");
}

#[tokio::test]
async fn rows_with_the_same_key_on_two_pages_are_noticed() {
    // As the database compares them: as numbers.
    let Some(database) = database(
        "create table t (a numeric, s text);
         insert into t values (1, 'a'), (2, 'b'), (2.0, 'c'), (3, 'd');",
    ) else {
        return;
    };
    let query = || {
        let query = database.rows("select * from t").key("a");
        query.batch(NonZeroUsize::new(2).unwrap())
    };
    let words = "in `a`; a key that is not unique";
    let (found, account) = drain(query().raw()).await;
    let error = account.unwrap_err();
    assert_eq!(found.len(), 2);
    assert!(error.to_string().contains(words), "{error}");
    // Nor do parts go on after the first of them.
    let mut rows = query().raw();
    rows.try_next().await.unwrap().unwrap();
    rows.try_next().await.unwrap().unwrap();
    let position = rows.position().unwrap();
    let error = failure(query().from(position.clone()).raw()).await;
    assert!(error.to_string().contains(words), "{error}");
    let cut = || query().key("s");
    assert_eq!(complete(cut().raw()).await.len(), 4);
    assert_eq!(
        complete(cut().partitions(NonZeroUsize::MIN).raw())
            .await
            .len(),
        4
    );
}

#[tokio::test]
async fn a_server_that_crashes_is_asked_again_after_the_last_key() {
    let server = match Postgres::start() {
        Ok(server) => Arc::new(server),
        Err(why) if std::env::var_os("CI").is_none() => return eprintln!("skipped: {why}"),
        Err(why) => panic!("{why}"),
    };
    let dsn = server.database();
    server.psql(&dsn, USERS);
    server.psql(&dsn, "checkpoint");
    let mut crash = None;
    let socket = server.socket();
    let query = rows(dsn, "select id from users").key("id").retries(50);
    let query = query.batch(NonZeroUsize::new(2).unwrap());
    let mut rows = query.first_wait(Duration::from_millis(1)).raw();
    let mut found = Vec::new();
    while let Some(row) = rows.try_next().await.unwrap() {
        found.push(row.to_string());
        if found.len() == 10 {
            // Nobody listens until it is there again.
            let server = Arc::clone(&server);
            crash = Some(std::thread::spawn(move || server.crash()));
            while std::os::unix::net::UnixStream::connect(&socket).is_ok() {}
        }
    }
    crash.unwrap().join().unwrap();
    let account = rows.account();
    assert_eq!(found.len(), 30);
    assert!(account.complete && account.retries > 0, "{account:?}");
}

#[tokio::test]
async fn tls_that_a_server_does_not_have_is_said_at_once() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            stream.read_exact(&mut [0; 8]).await.unwrap();
            stream.write_all(b"N").await.unwrap();
        }
    });
    let dsn = format!("postgres://ada:hush-hush@127.0.0.1:{port}/d?sslmode=require");
    let error = failure(rows(dsn, "select 1").raw()).await;
    assert!(
        error.to_string().contains("does not support TLS"),
        "{error}"
    );
    assert!(!error.to_string().contains("hush"), "{error}");
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_text_that_is_not_utf8_is_an_error_with_its_place() {
    let Some(database) = database("") else {
        return;
    };
    let name = database.dsn.rsplit_once('/').unwrap().1;
    database.psql(&format!(
        "create database raw_{name} encoding 'SQL_ASCII' template template0"
    ));
    let dsn = database.dsn.replace(name, &format!("raw_{name}"));
    for mode in [Mode::Copy, Mode::Portal] {
        let sql = "select 1 as a, E'\\xff' as b";
        let error = failure(rows(dsn.clone(), sql).mode(mode).raw()).await;
        assert_eq!(error.kind(), ErrorKind::Content, "{error}");
        println!("{mode}: {error}");
    }
}

/// Rows whose sum takes a while, and of which there are many.
const LONG: &str = "select i, repeat('x', 100) as pad, 'to be stopped' as s from generate_series(1, 20000000) as i";

#[tokio::test]
async fn to_drop_the_rows_stops_the_query_on_the_server() {
    let Some(database) = database("create table t (a int)") else {
        return;
    };
    for number in 0..5 {
        for closes in [false, true] {
            let mut rows = stoppable(&database, number).raw();
            let _ = tokio::time::timeout(Duration::from_millis(400), rows.next()).await;
            assert_eq!(
                database.running("to be stopped"),
                1,
                "query {number} does not run"
            );
            let begin = Instant::now();
            if closes {
                rows.close().await;
            } else {
                drop(rows);
                // The cancellation is a task.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            while database.running("to be stopped") > 0 {
                assert!(
                    begin.elapsed() < Duration::from_secs(5),
                    "query {number} still runs"
                );
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let took = begin.elapsed();
            println!("query {number}, closes {closes}: gone after {took:?}");
            assert!(took < Duration::from_millis(500), "{took:?}");
        }
    }
}

/// Queries that give many rows, and none, in each mode.
fn stoppable(database: &Database, number: usize) -> Request {
    let silent = "select 1 as a from pg_sleep(60), (values ('to be stopped')) as s";
    match number {
        0 => database.rows(LONG),
        1 => database.rows(LONG).mode(Mode::Portal),
        2 => database.rows(silent),
        3 => database.rows(silent).mode(Mode::Portal),
        _ => {
            let sql =
                "select i from generate_series(1, 9) i, pg_sleep(60), (values ('to be stopped')) s";
            database.rows(sql).key("i")
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_terminated_is_truncated_and_with_a_key_made_again() {
    let Some(database) = database(USERS) else {
        return;
    };
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = \
                'unspool' and datname = current_database()";
    for mode in [Mode::Copy, Mode::Portal] {
        let mut rows = database.rows(LONG).mode(mode).raw();
        rows.try_next().await.unwrap();
        assert_eq!(database.psql(kill).trim(), "t", "{mode}");
        let error = loop {
            match rows.next().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break error,
                None => panic!("it ended well"),
            }
        };
        assert!(error.is_truncated(), "{error:?}");
    }
    let query = database
        .rows("select id from users")
        .key("id")
        .batch(NonZeroUsize::new(2).unwrap());
    // After each failure rows come, so that each is the first.
    let query = query.retries(1);
    let mut rows = query.first_wait(Duration::from_millis(1)).raw();
    let mut found = Vec::new();
    while let Some(row) = rows.try_next().await.unwrap() {
        found.push(row.to_string());
        if found.len() % 10 == 5 {
            database.psql(kill);
        }
    }
    let account = rows.account();
    assert_eq!(found.len(), 30);
    assert_eq!(found[29], r#"{"id":30}"#);
    assert!(account.complete && account.retries > 0, "{account:?}");
}

/// A row waits until the gate is open for its number. A sequence is the same in all
/// snapshots.
const GATE: &str = "create sequence gate;
    create function passed(i int) returns int volatile language plpgsql as $$
    begin
      loop
        exit when (select last_value from gate) >= i;
        perform pg_sleep(0.01);
      end loop;
      return i;
    end $$;";

#[tokio::test]
async fn rows_that_trickle_are_delivered_as_they_come() {
    let Some(database) = database(GATE) else {
        return;
    };
    // Each is larger than the 8 KiB that the server sends at a time; it keeps back the rest of
    // a row until the next one.
    let sql = "select passed(i) as i, repeat('x', 9000) as pad from generate_series(1, 9) as i";
    for mode in [Mode::Copy, Mode::Portal] {
        database.psql("select setval('gate', 2)");
        let mut rows = database.rows(sql).mode(mode).raw();
        for number in 1..=9 {
            let next = tokio::time::timeout(Duration::from_secs(60), rows.try_next());
            let row = next.await.expect("a row is kept back").unwrap().unwrap();
            assert!(row.as_str().starts_with(&format!("{{\"i\":{number},")));
            database.psql(&format!("select setval('gate', {})", number + 2));
        }
        assert_eq!(rows.try_next().await.unwrap(), None);
    }
}

#[cfg(feature = "arrow")]
#[tokio::test]
async fn batches_are_large_where_rows_come_fast_and_do_not_wait_for_those_that_trickle() {
    let Some(database) = database(GATE) else {
        return;
    };
    let rows = 100_000;
    let sql = format!("select i, repeat('x', 20) as pad from generate_series(1, {rows}) as i");
    for mode in [Mode::Copy, Mode::Portal] {
        let batches = super::arrow::batches(database.rows(&sql).mode(mode)).await;
        // Those of what has come at a time, of the 8 KiB that the server sends, were 300 or more.
        assert!(batches.len() < 100, "{mode:?}: {}", batches.len());
    }
    let sql = "select passed(i) as i, repeat('x', 9000) as pad from generate_series(1, 5) as i";
    database.psql("select setval('gate', 2)");
    let mut rows = database.rows(sql).batches();
    let mut came = 0;
    while came < 5 {
        let next = tokio::time::timeout(Duration::from_secs(60), rows.try_next());
        let batch = next.await.expect("a row is kept back").unwrap().unwrap();
        assert_eq!(super::arrow::row(&batch, 0)[0], (came + 1).to_string());
        came += batch.num_rows();
        // The next row is made, and with it the rest of this one is sent.
        database.psql(&format!("select setval('gate', {})", came + 2));
    }
    assert!(rows.try_next().await.unwrap().is_none());
}

/// A server that wants TLS and a password, and files beside it.
struct Secured {
    /// It ends with this.
    server: Postgres,
    port: u16,
    folder: tempfile::TempDir,
    /// The file of its certificate, and that of another one.
    own: String,
    other: String,
}

impl Secured {
    fn start() -> Option<Self> {
        let names = || vec!["localhost".to_owned()];
        let own = rcgen::generate_simple_self_signed(names()).unwrap();
        let other = rcgen::generate_simple_self_signed(names()).unwrap();
        let started = Postgres::start_with_tls(&own.cert.pem(), &own.signing_key.serialize_pem());
        let (server, port) = match started {
            Ok(started) => started,
            Err(why) if std::env::var_os("CI").is_none() => {
                eprintln!("skipped: {why}");
                return None;
            }
            Err(why) => panic!("{why}"),
        };
        server.psql("postgres", "create user ada password 'hush-hush'");
        let mut secured = Secured {
            server,
            port,
            folder: tempfile::tempdir().unwrap(),
            own: String::new(),
            other: String::new(),
        };
        secured.own = secured.file("own", &own.cert.pem());
        secured.other = secured.file("other", &other.cert.pem());
        Some(secured)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let file = self.folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// Its address, with parameters in which `OWN` and `OTHER` stand for certificates.
    fn dsn(&self, host: &str, more: &str) -> String {
        let more = more.replace("OWN", &self.own).replace("OTHER", &self.other);
        let port = self.port;
        format!("postgres://ada:hush-hush@{host}:{port}/postgres?connect_timeout=20{more}")
    }

    /// Changes who may connect, and other settings, the last of which says when it is done.
    fn configure(&self, access: &str, settings: &[(&str, &str)]) {
        let file = self.server.psql("postgres", "show hba_file");
        let access = format!("local all all trust\n{access}");
        self.server.psql("postgres", &copy_to(&access, file.trim()));
        for (name, value) in settings {
            self.server
                .psql("postgres", &format!("alter system set {name} = '{value}'"));
        }
        self.server.psql("postgres", "select pg_reload_conf()");
        let (name, value) = settings.last().unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        while self.server.psql("postgres", &format!("show {name}")).trim() != *value {
            assert!(Instant::now() < until, "it is not reloaded");
        }
    }

    /// Whether the connection is encrypted.
    fn is_encrypted(dsn: String) -> Rows<RawItem> {
        let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
        rows(dsn, sql).first_wait(Duration::from_millis(1)).raw()
    }
}

const ENCRYPTED: [&str; 1] = [r#"{"ssl":true}"#];

#[tokio::test]
async fn sslmode_decides_what_of_a_certificate_is_looked_at() {
    let Some(secured) = Secured::start() else {
        return;
    };
    for (host, more) in [
        ("localhost", "&sslmode=verify-full&sslrootcert=OWN"),
        ("127.0.0.1", "&sslmode=verify-ca&sslrootcert=OWN"),
        ("127.0.0.1", "&sslmode=require"),
        ("127.0.0.1", "&sslmode=prefer"),
        ("127.0.0.1", "&sslmode=allow"),
        ("127.0.0.1", ""),
    ] {
        let found = complete(Secured::is_encrypted(secured.dsn(host, more))).await;
        assert_eq!(found, ENCRYPTED, "{host} {more}");
    }
    let wrong_certificate = "invalid peer certificate";
    for (host, more, words) in [
        (
            "127.0.0.1",
            "&sslmode=verify-full&sslrootcert=OWN",
            "not valid for name",
        ),
        (
            "localhost",
            "&sslmode=verify-full&sslrootcert=OTHER",
            wrong_certificate,
        ),
        (
            "localhost",
            "&sslmode=verify-ca&sslrootcert=OTHER",
            wrong_certificate,
        ),
        ("localhost", "&sslrootcert=system", wrong_certificate),
        ("127.0.0.1", "&sslmode=disable", "pg_hba.conf"),
    ] {
        let error = failure(Secured::is_encrypted(secured.dsn(host, more))).await;
        assert!(!error.is_request(), "{more}: {error:?}");
        assert!(error.to_string().contains(words), "{more}: {error:?}");
        assert!(!format!("{error:?} {error}").contains("hush"), "{error:?}");
    }
}

#[tokio::test]
async fn a_password_comes_from_the_address_or_from_files_and_is_never_said() {
    let Some(secured) = Secured::start() else {
        return;
    };
    let wrong = secured
        .dsn("127.0.0.1", "")
        .replace("hush-hush", "not-the-one");
    let error = failure(Secured::is_encrypted(wrong)).await;
    assert_eq!(
        (error.code(), error.is_request()),
        (Some("28P01"), false),
        "{error}"
    );
    assert!(
        !format!("{error:?} {error}").contains("not-the-one"),
        "{error:?}"
    );
    // Without one, and then with the file that has it.
    let port = secured.port;
    let keywords = format!("host=127.0.0.1 port={port} user=ada dbname=postgres");
    let none = secured.file("none", "");
    let error = failure(Secured::is_encrypted(format!("{keywords} passfile={none}"))).await;
    assert!(error.to_string().contains("password"), "{error}");
    let passfile = secured.file("pgpass", &format!("127.0.0.1:{port}:*:ada:hush-hush\n"));
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&passfile, private).unwrap();
    let found = Secured::is_encrypted(format!("{keywords} passfile={passfile}"));
    assert_eq!(complete(found).await, ENCRYPTED);
    let service = format!("[own]\nhost=127.0.0.1\nport={port}\nuser=ada\ndbname=postgres\n");
    let service = secured.file("services", &service);
    let service = format!("service=own servicefile={service} password=hush-hush");
    assert_eq!(complete(Secured::is_encrypted(service)).await, ENCRYPTED);
}

/// A certificate that its own key has signed, for a user of the database.
fn certificate_of(user: &str) -> (String, String) {
    let mut params = rcgen::CertificateParams::default();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, user);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn make_private(file: &str, mode: u32) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(file, mode).unwrap();
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_shown_to_a_server_that_asks() {
    let Some(secured) = Secured::start() else {
        return;
    };
    let (certificate, key) = certificate_of("bea");
    secured.server.psql("postgres", "create user bea");
    let roots = secured.server.psql(
        "postgres",
        "select current_setting('data_directory') || '/bea.crt'",
    );
    secured.server.psql(
        "postgres",
        &format!("alter system set ssl_ca_file = '{}'", roots.trim()),
    );
    secured
        .server
        .psql("postgres", &copy_to(&certificate, roots.trim()));
    secured.configure(
        "hostssl all bea 127.0.0.1/32 cert\n",
        &[("ssl_ca_file", roots.trim())],
    );
    let (_, other_key) = certificate_of("bea");
    let file = |name: &str, text: &str| {
        let file = secured.file(name, text);
        make_private(&file, 0o600);
        file
    };
    let own = file("bea.crt", &certificate);
    let key = file("bea.key", &key);
    let dsn = |more: &str| {
        let port = secured.port;
        format!("postgres://bea@127.0.0.1:{port}/postgres?sslmode=require&connect_timeout=20{more}")
    };
    let shown = dsn(&format!("&sslcert={own}&sslkey={key}"));
    assert_eq!(complete(Secured::is_encrypted(shown)).await, ENCRYPTED);
    let open = file("open.key", "");
    make_private(&open, 0o644);
    let encrypted = file(
        "encrypted.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let other = file("other.key", &other_key);
    for (more, words, is_request) in [
        (String::new(), "client certificate", false),
        (format!("&sslcert={own}"), "no key: `sslkey=FILE`", true),
        (format!("&sslcert={own}&sslkey={open}"), "0600", true),
        (format!("&sslcert={own}&sslkey={own}x"), "bea.crtx", true),
        (
            format!("&sslcert={own}&sslkey={encrypted}"),
            "that is not encrypted",
            true,
        ),
        (format!("&sslcert={own}&sslkey={other}"), "no TLS", true),
        (format!("&sslcert={own}x&sslkey={key}"), "bea.crtx", true),
        (
            format!("&sslcert={key}&sslkey={key}"),
            "there is none in it",
            true,
        ),
    ] {
        let error = failure(Secured::is_encrypted(dsn(&more))).await;
        assert_eq!(error.is_request(), is_request, "{more}: {error:?}");
        assert!(error.to_string().contains(words), "{more}: {error}");
    }
}

fn copy_to(text: &str, file: &str) -> String {
    format!(
        "do $do$ begin execute format('copy (select regexp_split_to_table(%L, E''\\n'')) to %L', \
         $text${text}$text$, '{file}'); end $do$"
    )
}

#[tokio::test]
async fn a_password_is_bound_to_the_certificate() {
    let Some(secured) = Secured::start() else {
        return;
    };
    for more in [
        "&channel_binding=require",
        "&channel_binding=require&sslmode=require",
        "&channel_binding=disable",
    ] {
        let found = complete(Secured::is_encrypted(secured.dsn("127.0.0.1", more))).await;
        assert_eq!(found, ENCRYPTED, "{more}");
    }
    // What is not encrypted, or asks for no proof, cannot be bound.
    secured.configure(
        "hostnossl all all 127.0.0.1/32 scram-sha-256\nhostssl all all 127.0.0.1/32 trust\n",
        &[("deadlock_timeout", "2s")],
    );
    for mode in ["disable", "require"] {
        let more = format!("&channel_binding=require&sslmode={mode}");
        let error = failure(Secured::is_encrypted(secured.dsn("127.0.0.1", &more))).await;
        assert!(
            error.to_string().contains("channel binding"),
            "{mode}: {error}"
        );
        assert!(!error.is_retryable(), "{error:?}");
    }
}

#[tokio::test]
async fn prefer_falls_back_where_a_server_does_not_take_what_is_encrypted() {
    const PLAIN: [&str; 1] = [r#"{"ssl":false}"#];
    let Some(secured) = Secured::start() else {
        return;
    };
    // Refused for its encryption.
    let access = "hostnossl all all 127.0.0.1/32 scram-sha-256\n";
    secured.configure(access, &[("deadlock_timeout", "2s")]);
    for more in ["", "&sslmode=prefer", "&sslmode=allow"] {
        let found = complete(Secured::is_encrypted(secured.dsn("127.0.0.1", more))).await;
        assert_eq!(found, PLAIN, "{more}");
    }
    let error = failure(Secured::is_encrypted(
        secured.dsn("127.0.0.1", "&sslmode=require"),
    ))
    .await;
    assert_eq!(error.code(), Some("28000"), "{error}");
    // No handshake at all: the server has older versions of TLS alone.
    let old = [
        ("ssl_min_protocol_version", "TLSv1"),
        ("ssl_max_protocol_version", "TLSv1.1"),
    ];
    secured.configure(access, &old);
    for more in ["", "&sslmode=prefer"] {
        let found = complete(Secured::is_encrypted(secured.dsn("127.0.0.1", more))).await;
        assert_eq!(found, PLAIN, "{more}");
    }
    let error = failure(Secured::is_encrypted(
        secured.dsn("127.0.0.1", "&sslmode=require"),
    ))
    .await;
    assert!(error.to_string().contains("TLS"), "{error}");
    // A wrong password is not tried again in the clear, and said as it is.
    secured.configure(
        "host all all 127.0.0.1/32 scram-sha-256\n",
        &[("ssl_max_protocol_version", "")],
    );
    let wrong = secured
        .dsn("127.0.0.1", "")
        .replace("hush-hush", "not-the-one");
    let error = failure(Secured::is_encrypted(wrong)).await;
    assert_eq!(error.code(), Some("28P01"), "{error}");
}
