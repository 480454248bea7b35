//! PostgreSQL: values, keys, widening, resuming, and a server that crashes.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::server::Postgres;

use super::*;

/// A database of the server that the tests share.
struct Database {
    server: Arc<Postgres>,
    address: String,
}

/// A new database; none where there is no server.
fn database() -> Option<Database> {
    match Postgres::shared() {
        Ok(server) => {
            let address = server.database();
            Some(Database { server, address })
        }
        Err(why) => {
            eprintln!("skipped: {why}");
            None
        }
    }
}

impl Database {
    fn target(&self) -> String {
        format!("{}#t", self.address)
    }

    fn ask(&self, sql: &str) -> String {
        self.server.psql(&self.address, sql)
    }

    fn types(&self) -> String {
        let sql = "select string_agg(column_name || ' ' || data_type, ', ' order by ordinal_position) \
                   from information_schema.columns where table_name = 't'";
        self.ask(sql).trim_end().to_owned()
    }
}

#[tokio::test]
async fn values_stay_what_they_were() {
    let Some(database) = database() else { return };
    let long = "ä".repeat(5_000_000);
    let items = [
        r#"{"int":9223372036854775807,"double":0.1,"decimal":1234567890123456789012345.678,"huge":1e50}"#.to_owned(),
        r#"{"double":1e300,"text":"\\N \\ \n\t\r \ud83d\ude00 \"","bool":true,"json":[1,{"x":"\u0000 \\ \ud800"}]}"#.to_owned(),
        r#"{"huge":0.123456789012345678901234567890123456789012345678901234567890,"null":null,"nul":"\u0000","mixed":1}"#.to_owned(),
        format!(r#"{{"text":"{long}","bool":false,"mixed":"1","at":"2024-01-01T10:00:00Z","day":"2024-01-31"}}"#),
    ];
    let schema = with_schema("at timestamp\nday date");
    write(&database.target(), schema, items).await.unwrap();
    assert_eq!(
        database.types(),
        "at timestamp with time zone, day date, int bigint, double double precision, \
         decimal numeric, huge numeric, text text, bool boolean, json json, null text, nul json, \
         mixed json"
    );
    let one = |sql: &str| database.ask(sql).trim_end_matches('\n').to_owned();
    assert_eq!(
        one("select int, double, decimal from t limit 1"),
        "9223372036854775807|0.1|1234567890123456789012345.678"
    );
    assert_eq!(
        one("select sum(huge)::text from t"),
        "100000000000000000000000000000000000000000000000000.123456789012345678901234567890123456789012345678901234567890"
    );
    assert_eq!(
        one("select text from t where double = 1e300"),
        "\\N \\ \n\t\r 😀 \""
    );
    assert_eq!(
        one("select json from t where json is not null"),
        r#"[1,{"x":"\u0000 \\ \ud800"}]"#
    );
    assert_eq!(
        one("select string_agg(mixed::text, ' ') from t"),
        r#"1 "1""#
    );
    assert_eq!(
        one("select nul from t where nul is not null"),
        r#""\u0000""#
    );
    assert_eq!(one("select length(text) from t where not bool"), "5000000");
    assert_eq!(
        one("select extract(epoch from at)::bigint, day from t where at is not null"),
        "1704103200|2024-01-31"
    );
}

#[tokio::test]
async fn no_key_is_dropped() {
    let Some(database) = database() else { return };
    let long = "x".repeat(70);
    let many: Vec<String> = (0..1000).map(|n| format!("\"k{n}\":{n}")).collect();
    let items = [
        format!(r#"{{"Id":1,"id":2,"":3,"{long}1":4,"{long}2":5,"a\"b":6}}"#),
        format!("{{{}}}", many.join(",")),
    ];
    write(&database.target(), options(), items).await.unwrap();
    let cut = &long[..63];
    let sql = format!(
        r#"select "Id", id, "_", "{cut}", "{}_2", "a""b" from t limit 1"#,
        &long[..61]
    );
    assert_eq!(database.ask(&sql), "1|2|3|4|5|6\n");
    assert_eq!(database.ask("select k999 from t where k0 = 0"), "999\n");
}

#[tokio::test]
async fn keys_with_the_names_of_system_columns_get_numbers() {
    let Some(database) = database() else { return };
    let options = with_key("id");
    let items = [
        r#"{"id":1,"xmin":-1.5,"xmax":2,"ctid":"c","_unspool_order":3}"#,
        r#"{"id":1,"xmin":-2.5,"xmax":2,"ctid":"d","_unspool_order":4}"#,
    ];
    let account = write(&database.target(), options, items).await.unwrap();
    let note = "the column of the key `xmin` is `xmin_2`".to_owned();
    assert!(account.notes.contains(&note), "{:?}", account.notes);
    let sql = "select id, xmin_2, xmax_2, ctid_2, _unspool_order_2 from t";
    assert_eq!(database.ask(sql), "1|-2.5|2|d|4\n");
}

#[tokio::test]
async fn more_columns_than_a_table_can_have_stop_the_run() {
    let Some(database) = database() else { return };
    let many: Vec<String> = (0..=1600).map(|n| format!("\"k{n}\":null")).collect();
    let item = format!("{{{}}}", many.join(","));
    let result = write(&database.target(), options(), [item]).await;
    check_refused(result, &["the key `k1600` is one too many", "1600 columns"]);
}

#[tokio::test]
async fn columns_widen_where_no_value_changes() {
    let Some(database) = database() else { return };
    let numbers = (0..LATE).map(|n| format!(r#"{{"a":{n},"b":0.1,"c":null}}"#));
    let late = [
        r#"{"a":9223372036854775808,"b":12345678901234567890.125,"c":7,"d":[1]}"#,
        r#"{"a":2.5,"c":8}"#,
    ];
    let items = numbers.chain(late.map(str::to_owned));
    write(&database.target(), options(), items).await.unwrap();
    assert_eq!(database.types(), "a numeric, b numeric, c bigint, d json");
    let sql = "select a, b, c, d from t where c is not null order by c";
    assert_eq!(
        database.ask(sql),
        "9223372036854775808|12345678901234567890.125|7|[1]\n2.5||8|\n"
    );
    assert_eq!(
        database.ask("select sum(b), count(*) from t where c is null"),
        format!("{}.0|{LATE}\n", LATE / 10)
    );
}

#[tokio::test]
async fn what_no_column_holds_stops_the_run() {
    let Some(database) = database() else { return };
    for (index, (first, last, words)) in [
        (
            "1",
            r#"{"a":"x"}"#,
            "the field `a` is text (`\"x\"`), and its column is for int",
        ),
        (
            "true",
            r#"{"a":1}"#,
            "is a number (`1`), and its column is for bool",
        ),
        ("\"x\"", r#"{"a":"\u0000"}"#, "its column is for text"),
    ]
    .into_iter()
    .enumerate()
    {
        let target = format!("{}#t{index}", database.address);
        let items = (0..LATE).map(|_| format!(r#"{{"a":{first}}}"#));
        let items = items.chain([last.to_owned()]);
        let item = format!("item {}", LATE + 1);
        check_refused(
            write(&target, options(), items).await,
            &[&item, words, "`a json`"],
        );
    }
}

#[tokio::test]
async fn a_pinned_column_takes_its_type_only() {
    let Some(database) = database() else { return };
    for (index, (schema, item)) in [
        ("a int", r#"{"a":2.5}"#),
        ("a decimal(38,1)", r#"{"a":1.25}"#),
        ("a timestamp", r#"{"a":"2024-02-01"}"#),
        ("a text", r#"{"a":"\u0000"}"#),
    ]
    .into_iter()
    .enumerate()
    {
        let target = format!("{}#t{index}", database.address);
        let result = write(&target, with_schema(schema), [item]).await;
        check_refused(result, &["item 1: the field `a` is", "its column is for"]);
    }
}

#[tokio::test]
async fn a_key_replaces_rows() {
    let Some(database) = database() else { return };
    let first = [
        r#"{"id":1,"a":1,"b":1}"#,
        r#"{"id":2,"a":2}"#,
        r#"{"a":3,"id":1}"#,
    ];
    write_some(&database.target(), with_key("id"), first)
        .await
        .unwrap();
    let later = [
        r#"{"id":2,"a":5.5,"c":"x"}"#,
        r#"{"id":3}"#,
        r#"{"id":3,"c":"y"}"#,
    ];
    write(&database.target(), with_key("id"), later)
        .await
        .unwrap();
    let sql = "select id, a, b, c from t order by id";
    assert_eq!(database.ask(sql), "1|3||\n2|5.5||x\n3|||y\n");
    let target = format!("{}#u", database.address);
    let result = write(&target, with_key("id"), [r#"{"id":1}"#, r#"{"id":null}"#]).await;
    check_refused(result, &["item 2 has no `id`"]);
}

#[tokio::test]
async fn an_empty_run_leaves_an_empty_table() {
    let Some(database) = database() else { return };
    let none: [&str; 0] = [];
    write(&database.target(), options(), none).await.unwrap();
    assert_eq!(database.ask("select count(*) from t"), "0\n");
    let target = format!("{}#u", database.address);
    write(&target, with_key("id"), none).await.unwrap();
    assert_eq!(database.ask("select count(id) from u"), "0\n");
}

#[tokio::test]
async fn a_run_goes_on_where_the_last_one_stopped() {
    let Some(database) = database() else { return };
    write_some(&database.target(), options(), [r#"{"a":1}"#])
        .await
        .unwrap();
    let account = write_some(&database.target(), options(), [r#"{"a":2,"b":"x"}"#])
        .await
        .unwrap();
    assert_eq!((account.before, account.items), (1, 2));
    database.ask("delete from t where a = 1");
    let result = write(&database.target(), options(), [r#"{"a":3}"#]).await;
    check_refused(
        result,
        &[
            "somebody else has changed",
            "expected 2 rows, and there are 1",
        ],
    );
    database.ask("alter table t drop column b");
    let result = write(&database.target(), options(), [r#"{"a":3}"#]).await;
    check_refused(result, &["somebody else has changed"]);
}

#[tokio::test]
async fn another_command_and_a_table_of_others_are_refused() {
    let Some(database) = database() else { return };
    write_some(&database.target(), options(), [r#"{"a":1}"#])
        .await
        .unwrap();
    let mut other = options();
    other.identity = Identity::new("other");
    let result = write(&database.target(), other.clone(), [r#"{"a":1}"#]).await;
    check_refused(
        result,
        &["belongs to another command", "`source` is `other`"],
    );
    other.overwrite = true;
    write(&database.target(), other, [r#"{"a":1}"#])
        .await
        .unwrap();
    assert_eq!(database.ask("select count(*) from t"), "1\n");
    database.ask("create table u (x int)");
    let result = write(
        &format!("{}#u", database.address),
        options(),
        [r#"{"a":1}"#],
    )
    .await;
    check_refused(
        result,
        &["has a table `u` that no run has begun", "--overwrite"],
    );
}

#[tokio::test]
async fn a_second_run_at_the_same_time_is_refused_and_told_who_the_first_is() {
    let Some(database) = database() else { return };
    let open = || sinks::open(&database.target(), options()).unwrap();
    let first = Writer::open(open()).await.unwrap();
    let error = Writer::open(open()).await.unwrap_err().to_string();
    let words = format!(
        "another run writes to `{}`: process `{}` on `",
        database.target(),
        std::process::id()
    );
    assert!(error.contains(&words), "{error}");
    drop(first);
}

#[tokio::test]
async fn runs_that_begin_at_once_in_a_new_database_do_not_get_into_each_others_way() {
    let Some(database) = database() else { return };
    let targets = (0..8).map(|n| format!("{}#t{n}", database.address));
    write_at_once(targets.collect()).await;
    assert_eq!(database.ask("select count(*) from _unspool"), "8\n");
}

#[tokio::test]
async fn a_table_that_is_dropped_under_way_ends_the_run() {
    let Some(database) = database() else { return };
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
    database.ask("drop table t");
    writer.put(br#"{"a":2}"#).await.unwrap();
    let error = writer.end(None, None).await.unwrap_err().to_string();
    assert!(error.contains("relation \"t\" does not exist"), "{error}");
    let result = write(&database.target(), options(), [r#"{"a":1}"#]).await;
    check_refused(result, &["somebody else has changed"]);
}

#[tokio::test]
async fn a_server_that_crashes_keeps_whole_commits_only() {
    let Ok(server) = Postgres::start() else {
        return;
    };
    let address = server.database();
    let target = format!("{address}#t");
    let mut writer = Writer::open(sinks::open(&target, options()).unwrap())
        .await
        .unwrap();
    for n in 0..LATE {
        writer
            .put(format!(r#"{{"a":{n}}}"#).as_bytes())
            .await
            .unwrap();
    }
    writer.checkpoint(None).await.unwrap();
    while writer.durable().items == 0 {
        writer.due().await.unwrap();
        writer.newly_durable();
    }
    writer.put(br#"{"a":1}"#).await.unwrap();
    server.crash();
    assert!(writer.end(None, None).await.is_err());
    let writer = Writer::open(sinks::open(&target, options()).unwrap())
        .await
        .unwrap();
    assert_eq!(writer.begun().items, LATE as u64);
    assert_eq!(
        server.psql(&address, "select count(*), max(a) from t"),
        format!("{LATE}|{}\n", LATE - 1)
    );
}

/// What goes wrong with the connection in whose middle a commit is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Loss {
    BeforeTheCommit,
    WhileItIsMade,
    BeforeItsAnswer,
}

/// The port of a proxy before a server, which loses the connection that sends commit `nth`.
async fn losing(server: Arc<Postgres>, loss: Loss, nth: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut commits = 0;
        while let Ok((mut client, _)) = listener.accept().await {
            let mut connection = UnixStream::connect(server.socket()).await.unwrap();
            if pass_on(&mut client, &mut connection, loss, &mut commits, nth).await
                && loss == Loss::WhileItIsMade
            {
                let sql = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
                while server.psql("postgres", sql) == "0\n" {}
            }
        }
    });
    port
}

/// Passes on what both say, until one of them leaves, or the connection is to be lost.
/// Whether it is.
async fn pass_on(
    client: &mut TcpStream,
    server: &mut UnixStream,
    loss: Loss,
    commits: &mut usize,
    nth: usize,
) -> bool {
    const COMMIT: &[u8] = b"Q\0\0\0\x0bcommit\0";
    let (mut asked, mut told) = ([0; 64 << 10], [0; 64 << 10]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return false };
                let asked = &asked[..length];
                // What was prepared before may be closed in the same breath.
                let is_commit = asked.ends_with(COMMIT);
                *commits += usize::from(is_commit);
                let is_lost = is_commit && *commits == nth;
                if is_lost && loss == Loss::BeforeTheCommit {
                    return true;
                }
                server.write_all(asked).await.unwrap();
                if is_lost && loss == Loss::BeforeItsAnswer {
                    server.readable().await.unwrap();
                }
                if is_lost {
                    return true;
                }
            }
            read = server.read(&mut told) => {
                let Ok(length @ 1..) = read else { return false };
                client.write_all(&told[..length]).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_lost_in_a_commit_loses_nothing_and_doubles_nothing() {
    for (loss, key) in [
        (Loss::BeforeTheCommit, None),
        (Loss::WhileItIsMade, None),
        (Loss::BeforeItsAnswer, None),
        (Loss::BeforeItsAnswer, Some("a")),
    ] {
        let Some(database) = database() else { return };
        // What begins the table is committed first.
        let port = losing(Arc::clone(&database.server), loss, 2).await;
        let name = database.address.rsplit_once('/').unwrap().1;
        let target = format!("postgres://postgres@127.0.0.1:{port}/{name}?sslmode=disable#t");
        let options = key.map_or_else(options, with_key);
        let mut writer = Writer::open(sinks::open(&target, options.clone()).unwrap())
            .await
            .unwrap();
        if loss == Loss::WhileItIsMade {
            database.ask(
                "create function wait() returns trigger language plpgsql as \
                 'begin perform pg_sleep(2); return null; end'; \
                 create constraint trigger slow after update on _unspool \
                 deferrable initially deferred for each row execute function wait()",
            );
        }
        for n in 0..LATE {
            let item = format!(r#"{{"a":{n}}}"#);
            writer.put(item.as_bytes()).await.unwrap();
        }
        writer.checkpoint(None).await.unwrap();
        writer.put(br#"{"a":-1}"#).await.unwrap();
        let result = writer.end(None, Some(Ended::default())).await;
        if loss == Loss::BeforeTheCommit {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("the last rows are not there"), "{error}");
            let again = Writer::open(sinks::open(&target, options).unwrap()).await;
            assert_eq!(again.unwrap().begun().items, 0);
        } else {
            result.unwrap();
            let count = database.ask("select count(*), count(distinct a) from t");
            assert_eq!(count, format!("{0}|{0}\n", LATE + 1), "{loss:?}");
        }
    }
}

#[tokio::test]
async fn a_server_is_reached_as_a_query_reaches_it() {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let started = Postgres::start_with_tls(&own.cert.pem(), &own.signing_key.serialize_pem());
    let (server, port) = match started {
        Ok(started) => started,
        Err(why) if std::env::var_os("CI").is_none() => return eprintln!("skipped: {why}"),
        Err(why) => panic!("{why}"),
    };
    server.psql("postgres", "create user ada superuser password 'hush-hush'");
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (own, other) = (
        file("own", &own.cert.pem()),
        file("other", &other.cert.pem()),
    );
    let passwords = file("passwords", "localhost:*:*:ada:hush-hush\n");
    let services = format!("[prod]\nhost=localhost\nport={port}\nuser=ada\ndbname=postgres\n");
    let services = file("services", &services);
    let full = |root: &str| format!("sslmode=verify-full&sslrootcert={root}&passfile={passwords}");
    let by_name = format!("postgres:///?service=prod&servicefile={services}");
    let by_host = format!("postgres://ada@localhost:{port}/postgres?");
    for (target, table) in [(&by_host, "t"), (&by_name, "u")] {
        let target = format!("{target}&{}#{table}", full(&own));
        write(&target, options(), [r#"{"a":1}"#]).await.unwrap();
        let sql = format!("select a from {table}");
        assert_eq!(server.psql("postgres", &sql), "1\n");
    }
    let refused = format!("{by_host}{}#v", full(&other));
    let result = write(&refused, options(), [r#"{"a":1}"#]).await;
    check_refused(result, &["cannot connect to", "invalid peer certificate"]);
    let plain = format!("{by_host}sslmode=disable&passfile={passwords}#v");
    let result = write(&plain, options(), [r#"{"a":1}"#]).await;
    check_refused(result, &["cannot connect to", "no encryption"]);
}

#[tokio::test]
async fn a_password_is_in_no_message() {
    let target = "postgres://me:geheim@127.0.0.1:1/db#t";
    let error = write(target, options(), [r#"{"a":1}"#]).await.unwrap_err();
    let words = format!("{error} {error:?}");
    assert!(
        words.contains("cannot connect to `postgres://me@127.0.0.1:1/db#t`"),
        "{words}"
    );
    assert!(!words.contains("geheim"), "{words}");
}
