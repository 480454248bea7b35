//! SQLite: values, keys, resuming, and who else writes.

use std::pin::pin;

use rusqlite::Connection;
use rusqlite::types::Value;

use super::*;

struct Database {
    folder: tempfile::TempDir,
}

impl Database {
    fn new() -> Self {
        Database {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self) -> String {
        self.folder.path().join("a.db").to_str().unwrap().to_owned()
    }

    fn target(&self) -> String {
        format!("sqlite:{}#t", self.file())
    }

    fn connection(&self) -> Connection {
        Connection::open(self.file()).unwrap()
    }

    fn count(&self) -> i64 {
        let count = |row: &rusqlite::Row<'_>| row.get(0);
        self.connection()
            .query_row("select count(*) from t", [], count)
            .unwrap()
    }

    /// The first column of each row.
    fn values(&self, sql: &str) -> Vec<Value> {
        let connection = self.connection();
        let mut statement = connection.prepare(sql).unwrap();
        let values = statement.query_map([], |row| row.get(0)).unwrap();
        values.collect::<Result<_, _>>().unwrap()
    }

    fn columns(&self) -> Vec<String> {
        let connection = self.connection();
        let statement = connection.prepare("select * from t").unwrap();
        statement.column_names().map(str::to_owned).collect()
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[tokio::test]
async fn values_stay_what_they_were() {
    let database = Database::new();
    let long = "ä".repeat(5_000_000);
    let values = [
        ("9223372036854775807", Value::Integer(i64::MAX)),
        ("2.5", Value::Real(2.5)),
        (
            "1234567890123456789012.345",
            text("1234567890123456789012.345"),
        ),
        ("null", Value::Null),
    ];
    let items = values.iter().map(|(json, _)| format!(r#"{{"a":{json}}}"#));
    write(&database.target(), options(), items).await.unwrap();
    let expected: Vec<Value> = values.into_iter().map(|(_, value)| value).collect();
    assert_eq!(database.values("select a from t"), expected);

    let database = Database::new();
    let items = [
        r#"{"a":"01234","b":true,"c":[1,{"x":"y"}],"d":1}"#.to_owned(),
        r#"{"a":"nul \u0000 \ud83d\ude00 😀 \"","b":false,"c":[],"d":"1"}"#.to_owned(),
        format!(r#"{{"a":"{long}"}}"#),
    ];
    write(&database.target(), options(), items).await.unwrap();
    let expected = [text("01234"), text("nul \0 😀 😀 \""), text(&long)];
    assert_eq!(database.values("select a from t"), expected);
    let expected = [Value::Integer(1), Value::Integer(0), Value::Null];
    assert_eq!(database.values("select b from t"), expected);
    let expected = [text(r#"[1,{"x":"y"}]"#), text("[]"), Value::Null];
    assert_eq!(database.values("select c from t"), expected);
    // What has no common type is JSON text, so that 1 and "1" are told apart.
    let expected = [text("1"), text(r#""1""#), Value::Null];
    assert_eq!(database.values("select d from t"), expected);
}

#[tokio::test]
async fn no_key_is_dropped() {
    let database = Database::new();
    let items = [
        r#"{"Id":1,"id":2,"ID":3,"":4,"only null":null,"a\"b":5,"rowid":6}"#,
        r#"{"id":7,"late":8}"#,
    ];
    let account = write(&database.target(), options(), items).await.unwrap();
    let note = "the column of the key `id` is `id_2`".to_owned();
    assert!(account.notes.contains(&note), "{:?}", account.notes);
    let expected = [
        "Id",
        "id_2",
        "ID_3",
        "",
        "only null",
        "a\"b",
        "rowid",
        "late",
    ];
    assert_eq!(database.columns(), expected);
    let many: Vec<String> = (0..1000).map(|n| format!("\"k{n}\":{n}")).collect();
    let database = Database::new();
    let item = format!("{{{}}}", many.join(","));
    write(&database.target(), options(), [item]).await.unwrap();
    assert_eq!(database.columns().len(), 1000);
}

#[tokio::test]
async fn more_columns_than_a_table_can_have_stop_the_run() {
    let many: Vec<String> = (0..=2000).map(|n| format!("\"k{n}\":{n}")).collect();
    let items = format!("{{{}}}", many.join(","));
    let words = [
        "the key `k2000` is one too many",
        "2000 columns",
        "`FILE.jsonl`",
    ];
    let database = Database::new();
    check_refused(write(&database.target(), options(), [&items]).await, &words);
    let late = after_many(&items);
    let words = ["the key `k1999` is one too many"];
    check_refused(write(&database.target(), options(), late).await, &words);
}

#[tokio::test]
async fn columns_are_added_as_they_appear() {
    let database = Database::new();
    let items = after_many(r#"{"b":[1],"a":2.5}"#);
    write(&database.target(), options(), items).await.unwrap();
    assert_eq!(database.columns(), ["a", "b"]);
    let last = "select a || ' ' || b from t where b is not null";
    assert_eq!(database.values(last), [text("2.5 [1]")]);
}

#[tokio::test]
async fn late_text_stands_beside_numbers_as_text() {
    let database = Database::new();
    write(&database.target(), options(), after_many(r#"{"a":"7"}"#))
        .await
        .unwrap();
    let types = "select typeof(a) from t group by 1 order by 1";
    assert_eq!(database.values(types), [text("integer"), text("text")]);
}

#[tokio::test]
async fn what_would_be_mistaken_for_another_value_stops_the_run() {
    for (last, words) in [
        (r#"{"a":true}"#, "bool (`true`)"),
        (r#"{"a":{"x":1}}"#, "an object"),
    ] {
        let database = Database::new();
        let result = write(&database.target(), options(), after_many(last)).await;
        let item = format!("item {}: the field `a`", LATE + 1);
        let words = [&item, words, "for int", "`a json` (or `a text`)"];
        check_refused(result, &words);
    }
}

#[tokio::test]
async fn a_pinned_column_takes_its_type_only() {
    for (schema, item) in [
        ("a int", r#"{"a":2.5}"#),
        ("a double", r#"{"a":9007199254740993}"#),
        ("a decimal(38,1)", r#"{"a":1.25}"#),
        ("a date", r#"{"a":"2024-02-30"}"#),
        ("a bool", r#"{"a":1}"#),
    ] {
        let database = Database::new();
        let result = write(&database.target(), with_schema(schema), [item]).await;
        check_refused(result, &["item 1: the field `a` is", "its column is for"]);
    }
}

#[tokio::test]
async fn a_schema_settles_what_stopped_the_run() {
    let database = Database::new();
    let items = after_many(r#"{"a":true}"#);
    write(&database.target(), with_schema("a text"), items)
        .await
        .unwrap();
    let sql = "select a from t order by rowid desc limit 2";
    assert_eq!(database.values(sql), [text("true"), text("29999")]);
}

#[tokio::test]
async fn a_key_replaces_rows() {
    let database = Database::new();
    let items = [
        r#"{"id":1,"a":1,"b":1}"#,
        r#"{"id":"1","a":2}"#,
        r#"{"a":3,"id":1}"#,
    ];
    write(&database.target(), with_key("id"), items)
        .await
        .unwrap();
    let sql = "select id || ' ' || a || ' ' || ifnull(b, 'null') from t order by rowid";
    // What has no common type is JSON text: the two keys differ.
    assert_eq!(
        database.values(sql),
        [text("1 3 null"), text("\"1\" 2 null")]
    );
    let database = Database::new();
    let items = [r#"{"id":1}"#, r#"{"id":null}"#];
    let result = write(&database.target(), with_key("id"), items).await;
    check_refused(result, &["item 2 has no `id`"]);
    let result = write(&database.target(), with_key("id"), [r#"{"a":1}"#]).await;
    check_refused(result, &["no item has `id`"]);
}

#[tokio::test]
async fn an_empty_run_leaves_an_empty_table() {
    let database = Database::new();
    let none: [&str; 0] = [];
    write(&database.target(), options(), none).await.unwrap();
    assert_eq!(database.count(), 0);
}

#[tokio::test]
async fn a_run_goes_on_where_the_last_one_stopped() {
    let database = Database::new();
    write_some(&database.target(), options(), [r#"{"a":1}"#])
        .await
        .unwrap();
    let account = write_some(&database.target(), options(), [r#"{"a":2,"b":"x"}"#])
        .await
        .unwrap();
    assert_eq!((account.before, account.items), (1, 2));
    write(&database.target(), options(), [r#"{"b":"y"}"#])
        .await
        .unwrap();
    assert_eq!(database.count(), 3);
    let writer = Writer::open(sinks::open(&database.target(), options()).unwrap())
        .await
        .unwrap();
    assert!(writer.begun().ended.is_some());
    assert_eq!(writer.begun().items, 3);
}

#[tokio::test]
async fn what_was_not_committed_is_not_there() {
    let database = Database::new();
    let mut writer = Writer::open(sinks::open(&database.target(), options()).unwrap())
        .await
        .unwrap();
    for item in after_many(r#"{"a":1}"#) {
        writer.put(item.as_bytes()).await.unwrap();
    }
    writer.checkpoint(None).await.unwrap();
    for _ in 0..20_000 {
        writer.put(br#"{"a":2}"#).await.unwrap();
    }
    while writer.durable().items == 0 {
        writer.due().await.unwrap();
        writer.newly_durable();
    }
    drop(writer);
    // The sink closes on its thread; the next run waits for its lock.
    let expected = i64::try_from(LATE + 1).unwrap();
    loop {
        match Writer::open(sinks::open(&database.target(), options()).unwrap()).await {
            Ok(writer) => {
                assert_eq!(i64::try_from(writer.begun().items).unwrap(), expected);
                break;
            }
            Err(error) => assert!(
                error.to_string().contains("another run writes to"),
                "{error}"
            ),
        }
    }
    assert_eq!(database.count(), expected);
}

#[tokio::test]
async fn a_table_that_is_dropped_under_way_ends_the_run() {
    let database = Database::new();
    let mut writer = Writer::open(sinks::open(&database.target(), options()).unwrap())
        .await
        .unwrap();
    for item in after_many(r#"{"a":1}"#) {
        writer.put(item.as_bytes()).await.unwrap();
    }
    writer.checkpoint(None).await.unwrap();
    while writer.durable().items == 0 {
        writer.due().await.unwrap();
        writer.newly_durable();
    }
    database.connection().execute_batch("drop table t").unwrap();
    writer.put(br#"{"a":2}"#).await.unwrap();
    let error = writer.end(None, None).await.unwrap_err().to_string();
    assert!(error.contains("no such table"), "{error}");
    let result = write(&database.target(), options(), [r#"{"a":1}"#]).await;
    check_refused(result, &["somebody else has changed"]);
}

#[tokio::test]
async fn another_command_is_refused_with_what_differs() {
    let database = Database::new();
    write_some(&database.target(), options(), [r#"{"a":1}"#])
        .await
        .unwrap();
    let mut other = options();
    other.identity = Identity::new("test").with("url", "http://b.test/");
    let result = write(&database.target(), other.clone(), [r#"{"a":1}"#]).await;
    check_refused(
        result,
        &["belongs to another command", "`url` is `http://b.test/`"],
    );
    other.overwrite = true;
    write(&database.target(), other, [r#"{"a":1}"#])
        .await
        .unwrap();
    assert_eq!(database.count(), 1);
}

#[tokio::test]
async fn a_table_of_others_is_left_alone() {
    let database = Database::new();
    database
        .connection()
        .execute_batch("create table T (x)")
        .unwrap();
    let result = write(&database.target(), options(), [r#"{"a":1}"#]).await;
    check_refused(
        result,
        &["has a table `t` that no run has begun", "--overwrite"],
    );
}

#[tokio::test]
async fn a_table_that_others_changed_is_left_alone() {
    for change in [
        "delete from t where rowid = 2",
        "insert into t values (3)",
        "drop table t",
        "alter table t rename column a to b",
    ] {
        let database = Database::new();
        write_some(&database.target(), options(), [r#"{"a":1}"#, r#"{"a":2}"#])
            .await
            .unwrap();
        database.connection().execute_batch(change).unwrap();
        let result = write(&database.target(), options(), [r#"{"a":1}"#]).await;
        check_refused(result, &["somebody else has changed"]);
    }
}

#[tokio::test]
async fn a_second_run_at_the_same_time_is_refused() {
    let database = Database::new();
    let open = || sinks::open(&database.target(), options()).unwrap();
    let first = Writer::open(open()).await.unwrap();
    let error = Writer::open(open()).await.unwrap_err().to_string();
    let words = format!("process {} on", std::process::id());
    assert!(error.contains("another run writes to"), "{error}");
    assert!(error.contains(&words), "{error}");
    drop(first);
}

#[tokio::test]
async fn runs_that_begin_at_once_in_a_new_file_do_not_get_into_each_others_way() {
    for _ in 0..8 {
        let database = Database::new();
        let targets = (0..8).map(|n| format!("sqlite:{}#t{n}", database.file()));
        write_at_once(targets.collect()).await;
        let states = database.values("select count(*) from _unspool");
        assert_eq!(states, [Value::Integer(8)]);
    }
}

#[tokio::test]
async fn a_run_that_writes_all_the_time_lets_others_write_to_their_tables() {
    let database = Database::new();
    let mut busy = Writer::open(sinks::open(&database.target(), options()).unwrap())
        .await
        .unwrap();
    // So long that it has always something to write.
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(100_000));
    let other = format!("sqlite:{}#other", database.file());
    let mut other = pin!(write(&other, options(), after_many(r#"{"a":1}"#)));
    let account = loop {
        let next = async {
            for _ in 0..20 {
                busy.put(long.as_bytes()).await.unwrap();
            }
            busy.checkpoint(None).await.unwrap();
        };
        tokio::select! {
            account = &mut other => break account.unwrap(),
            () = next => {}
        }
    };
    assert_eq!(account.items, LATE as u64 + 1);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_an_error() {
    let result = write("sqlite:/nowhere/a.db#t", options(), [r#"{"a":1}"#]).await;
    check_refused(result, &["cannot lock `/nowhere/a.db#t.lock`"]);
    let result = write("sqlite:#t", options(), [r#"{"a":1}"#]).await;
    check_refused(result, &["expected `sqlite:FILE#TABLE`"]);
}

#[tokio::test]
async fn python_reads_what_was_written() {
    let database = Database::new();
    let items = [r#"{"a":1,"b":"😀"}"#, r#"{"a":2.5,"b":null}"#];
    write(&database.target(), options(), items).await.unwrap();
    let script = "import sqlite3, sys\n\
        print(sqlite3.connect(sys.argv[1]).execute('select a, b from t').fetchall())";
    let printed = python(Path::new("python3"), script, &[&database.file()]);
    assert_eq!(printed, "[(1, '😀'), (2.5, None)]\n");
}
