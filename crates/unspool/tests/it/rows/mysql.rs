use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt};
use unspool::rows::{Mode, Request};
use unspool::{Position, Verdict, rows};

use super::{complete, drain, failure};
use crate::server::MariaDb;

struct Database {
    server: Arc<MariaDb>,
    dsn: String,
}

/// A database that this makes; none where there is no server, which is said.
fn database(sql: &str) -> Option<Database> {
    let server = match MariaDb::shared() {
        Ok(server) => server,
        Err(why) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: {why}");
            return None;
        }
        Err(why) => panic!("{why}"),
    };
    let dsn = server.database();
    server.sql(&dsn, sql);
    Some(Database { server, dsn })
}

impl Database {
    fn rows(&self, sql: &str) -> Request {
        rows(self.dsn.clone(), sql)
    }

    fn sql(&self, sql: &str) -> String {
        self.server.sql(&self.dsn, sql)
    }

    /// Ends all other connections.
    fn kill(&self) {
        let others = "select id from information_schema.processlist where db = database() and id <> \
                      connection_id()";
        for id in self.sql(others).lines() {
            self.sql(&format!("kill {id}"));
        }
    }

    /// How many queries run that have this in them, by the server's word.
    fn running(&self, words: &str) -> usize {
        let sql = format!(
            "select count(*) from information_schema.processlist where command <> 'Sleep' and info \
             like '%{words}%' and id <> connection_id() and db = database()"
        );
        self.sql(&sql).trim().parse().unwrap()
    }
}

const USERS: &str = "create table users (id int primary key, name text);
    insert into users select seq, concat('user ', seq) from seq_1_to_30;";

#[cfg(feature = "arrow")]
#[tokio::test]
async fn batches_have_the_types_of_the_columns_and_every_value_is_exact() {
    use super::arrow::{batches, check_resume, failure, row, schema};
    let Some(database) = database(
        "set sql_mode = ''; set time_zone = '+00:00';
         create table t (id bigint unsigned primary key, tiny tinyint, u int unsigned, i int, big
             bigint, d65 decimal(65,30), d decimal(38,10), dz decimal(6,2) zerofill, f float, g
             double, b1 bit(9), t text, bin binary(2), e enum('a','ü'), dt date, dtm datetime(6), ts
             timestamp(3) null, tm time(6), y year);
         insert into t values (18446744073709551615, -128, 4294967295, -2147483648,
             -9223372036854775808, '12345678901234567890123456789012345.5',
             '-9999999999999999999999999999.9999999999', 12.3, 0.1, 1e300, b'100000001', 'a\"日', 'ab',
             'ü', '2024-02-29', '2024-02-29 12:34:56.5', '2024-02-29 12:34:56.789', '-838:59:59', 2024);
         insert into t (id) values (1);",
    ) else {
        return;
    };
    let query = || database.rows("select * from t order by id desc");
    let [batch] = &batches(query()).await[..] else {
        panic!()
    };
    let expected = "id UInt64, tiny Int32, u UInt32, i Int32, big Int64, d65 Utf8, \
         d Decimal128(38, 10), dz Decimal128(6, 2), f Float32, g Float64, b1 UInt64, t Utf8, bin Binary, \
         e Utf8, dt Date32, dtm Timestamp(µs), ts Timestamp(µs, \"UTC\"), tm Utf8, y Int32";
    assert_eq!(schema(batch).join(", "), expected);
    assert_eq!(
        row(batch, 0).join(" | "),
        "18446744073709551615 | -128 | 4294967295 | -2147483648 | -9223372036854775808 | \
         12345678901234567890123456789012345.500000000000000000000000000000 | \
         -9999999999999999999999999999.9999999999 | 12.30 | 0.1 | 1e300 | 257 | a\"日 | [61, 62] | ü | \
         19782 | 1709210096500000 | 1709210096789000 | -838:59:59 | 2024"
    );
    assert!(row(batch, 1)[1..].iter().all(|value| value == "null"));
    check_resume(
        || {
            database
                .rows("select * from t")
                .key("id")
                .batch(NonZeroUsize::MIN)
        },
        2,
    )
    .await;
    let none = batches(database.rows("select * from t where id = 0")).await;
    assert_eq!((none.len(), none[0].num_rows()), (1, 0));
    assert_eq!(none[0].schema(), batch.schema());
    let error = failure(database.rows("select cast('0000-00-00' as date) as v")).await;
    assert!(
        error
            .to_string()
            .contains("row 1, column `v`: a date with zeros"),
        "{error}"
    );
}

#[tokio::test]
async fn every_type_is_exact() {
    let Some(database) = database(
        "set sql_mode = ''; set time_zone = '+00:00';
         create table types (id int primary key, tiny tinyint, bigu bigint unsigned, big bigint, d
             decimal(65,30), dz decimal(6,2) zerofill, f float, g double, y year, b1 bit(1), b64
             bit(64), c char(5), v varchar(20) character set latin1, t text, bin binary(3), blb blob, e
             enum('a','ü'), s set('x','y'), dt date, dtm datetime(6), ts timestamp(3) null, tm
             time(6), bo bool);
         insert into types values (1, -128, 18446744073709551615, -9223372036854775808,
             '12345678901234567890123456789012345.123456789012345678901234567890', 12.3, 0.1, 1e300,
             2024, b'1', b'1111111111111111111111111111111111111111111111111111111111111111', 'é', 'ü€',
             'a\"\\n日', 'ab', x'00ff', 'ü', 'x,y', '2024-02-29', '2024-02-29 12:34:56.5',
             '2024-02-29 12:34:56.789', '-838:59:59', true),
           (2, null, 0, 0, 0, 0, -1.5, 0, 0, b'0', 0, '', '', '', '', '', 'a', '', '0000-00-00',
             '0000-00-00 00:00:00', null, '00:00:00', false);",
    ) else {
        return;
    };
    let found = complete(database.rows("select * from types order by id").raw()).await;
    assert_eq!(
        found,
        [
            concat!(
                r#"{"id":1,"tiny":-128,"bigu":18446744073709551615,"big":-9223372036854775808,"#,
                r#""d":12345678901234567890123456789012345.123456789012345678901234567890,"#,
                r#""dz":12.30,"f":0.1,"g":1e+300,"y":2024,"b1":1,"b64":18446744073709551615,"#,
                r#""c":"é","v":"ü€","t":"a\"\n日","bin":"YWIA","blb":"AP8=","e":"ü","s":"x,y","#,
                r#""dt":"2024-02-29","dtm":"2024-02-29T12:34:56.5","#,
                r#""ts":"2024-02-29T12:34:56.789+00:00","tm":"-838:59:59","bo":1}"#
            ),
            concat!(
                r#"{"id":2,"tiny":null,"bigu":0,"big":0,"d":0.000000000000000000000000000000,"#,
                r#""dz":0.00,"f":-1.5,"g":0.0,"y":0,"b1":0,"b64":0,"c":"","v":"","t":"","#,
                r#""bin":"AAAA","blb":"","e":"a","s":"","dt":"0000-00-00","#,
                r#""dtm":"0000-00-00T00:00:00","ts":null,"tm":"00:00:00","bo":0}"#
            ),
        ]
    );
}

#[tokio::test]
async fn ssl_mode_decides_what_of_a_certificate_is_looked_at() {
    let certificate = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (own, other, client) = (
        certificate("localhost"),
        certificate("localhost"),
        certificate("bea"),
    );
    let started = MariaDb::start_with_tls(
        &own.cert.pem(),
        &own.signing_key.serialize_pem(),
        &client.cert.pem(),
    );
    let (server, port) = match started {
        Ok(started) => started,
        Err(why) if std::env::var_os("CI").is_none() => return eprintln!("skipped: {why}"),
        Err(why) => panic!("{why}"),
    };
    server.sql(
        "mysql",
        "create user ada identified by 'hush-hush' require ssl; create user bea require x509;",
    );
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let own = file("own", own.cert.pem());
    let other = file("other", other.cert.pem());
    let shown = format!(
        "&ssl-cert={}&ssl-key={}",
        file("bea.crt", client.cert.pem()),
        file("bea.key", client.signing_key.serialize_pem())
    );
    let query = |user: &str, host: &str, more: &str| {
        let more = more.replace("OWN", &own).replace("OTHER", &other);
        let dsn =
            format!("mysql://{user}@{host}:{port}/information_schema?prefer_socket=false{more}");
        let sql = "select variable_value <> '' as encrypted from session_status where variable_name = 'ssl_cipher'";
        rows(dsn, sql).first_wait(Duration::from_millis(1)).raw()
    };
    let ada = "ada:hush-hush";
    for (user, host, more) in [
        (ada, "127.0.0.1", "&ssl-mode=REQUIRED".to_owned()),
        (
            ada,
            "localhost",
            "&ssl-mode=VERIFY_CA&ssl-ca=OWN".to_owned(),
        ),
        (
            ada,
            "localhost",
            "&ssl-mode=VERIFY_IDENTITY&ssl-ca=OWN".to_owned(),
        ),
        ("bea", "127.0.0.1", format!("&ssl-mode=required{shown}")),
    ] {
        let found = complete(query(user, host, &more)).await;
        assert_eq!(found, [r#"{"encrypted":1}"#], "{user} {host} {more}");
    }
    for (user, host, more, words) in [
        (ada, "127.0.0.1", "", "Access denied"),
        ("bea", "127.0.0.1", "&ssl-mode=required", "Access denied"),
        (
            ada,
            "127.0.0.1",
            "&ssl-mode=verify_identity&ssl-ca=OWN",
            "certificate",
        ),
        (
            ada,
            "localhost",
            "&ssl-mode=verify_identity&ssl-ca=OTHER",
            "certificate",
        ),
        (
            ada,
            "localhost",
            "&ssl-mode=verify_ca&ssl-ca=OTHER",
            "certificate",
        ),
        (ada, "localhost", "&ssl-mode=verify_identity", "certificate"),
        (
            ada,
            "localhost",
            "&ssl-mode=verify_ca&ssl-ca=/no/such/file",
            "/no/such/file",
        ),
    ] {
        let error = failure(query(user, host, more)).await;
        assert!(error.to_string().contains(words), "{more}: {error:?}");
        assert!(!format!("{error:?} {error}").contains("hush"), "{error:?}");
    }
}

#[tokio::test]
async fn the_parts_together_are_the_table() {
    let Some(database) = database(
        "create table t (id bigint primary key, name text);
         insert into t select seq * seq, concat('row ', seq) from seq_1_to_3000;
         create table u (id bigint unsigned primary key);
         insert into u values (0), (18446744073709551615), (9223372036854775808);
         create table nothing (id int primary key);",
    ) else {
        return;
    };
    let count = |count: usize| NonZeroUsize::new(count).unwrap();
    for (table, rows) in [("t", 3000), ("u", 3), ("nothing", 0)] {
        for parts in [1, 2, 7, 60] {
            let request = database.rows(&format!("select * from {table}")).key("id");
            let request = request.partitions(count(parts)).in_flight(count(4));
            let found: std::collections::BTreeSet<String> =
                complete(request.batch(count(100)).raw())
                    .await
                    .into_iter()
                    .collect();
            assert_eq!(found.len(), rows, "{table} in {parts}");
        }
    }
    let request = || {
        let request = database.rows("select id from t").key("id");
        request.partitions(count(4)).batch(count(100))
    };
    for taken in [1, 100, 1234, 3000] {
        let mut rows = request().raw();
        let mut found = std::collections::BTreeSet::new();
        while found.len() < taken {
            found.insert(rows.try_next().await.unwrap().unwrap().to_string());
        }
        let position = serde_json::to_string(&rows.position().unwrap()).unwrap();
        let position: Position = serde_json::from_str(&position).unwrap();
        rows.close().await;
        let rest = complete(request().from(position).raw()).await;
        assert_eq!(found.len() + rest.len(), 3000, "after {taken}");
        found.extend(rest);
        assert_eq!(found.len(), 3000, "after {taken}");
    }
    for (request, words) in [
        (database.rows("select id from t"), "only what has a key"),
        (
            database.rows("select name from t").key("name"),
            "whole numbers",
        ),
    ] {
        let error = failure(request.partitions(count(2)).raw()).await;
        assert!(error.is_request(), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn rows_with_the_same_key_on_two_pages_are_noticed() {
    // As the database compares them: whatever the case.
    let Some(database) = database(
        "create table t (a int, s varchar(9));
         insert into t values (1, 'a'), (1, 'b'), (2, 'B'), (3, 'd');",
    ) else {
        return;
    };
    let query = |keys: &[&str], batch: usize| {
        let query = database.rows("select * from t");
        let query = query.batch(NonZeroUsize::new(batch).unwrap());
        keys.iter().fold(query, |query, key| query.key(*key))
    };
    for (key, batch) in [("a", 1), ("s", 2)] {
        let error = failure(query(&[key], batch).raw()).await;
        let words = format!("in `{key}`; a key that is not unique");
        assert!(error.to_string().contains(&words), "{error}");
    }
    assert_eq!(complete(query(&["s", "a"], 1).raw()).await.len(), 4);
    assert_eq!(complete(query(&["a", "s"], 1).raw()).await.len(), 4);
}

#[tokio::test]
async fn parameters_are_bound() {
    let Some(database) = database(USERS) else {
        return;
    };
    let query = database.rows("select name from users where id = ? or name = ?");
    let found = complete(query.bind(3).bind("user 5").raw()).await;
    assert_eq!(found, [r#"{"name":"user 3"}"#, r#"{"name":"user 5"}"#]);
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let Some(database) = database(USERS) else {
        return;
    };
    for (query, words) in [
        (
            database.rows("select id, id from users"),
            "`id` comes twice",
        ),
        (
            database.rows("select 1; select 2"),
            "expected one statement",
        ),
        (database.rows("delete from users"), "READ ONLY"),
        (database.rows("do 1"), "returns none"),
        (database.rows("delete from users returning id"), "READ ONLY"),
        (
            database.rows("select id frm users where x"),
            "at line 1, column 15",
        ),
        (database.rows("select naem from users"), "naem"),
        (database.rows("select ? as a"), "1 parameters, and 0 values"),
        (
            database.rows("select id from users").mode(Mode::Copy),
            "two modes",
        ),
        (
            database.rows("select id, x'00' as a from users").key("a"),
            "cannot be a key",
        ),
        (
            rows(database.dsn.replace("/d", "/no"), "select 1"),
            "Unknown database",
        ),
    ] {
        let error = failure(query.raw()).await;
        assert!(error.is_request(), "{error:?}");
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    assert_eq!(database.sql("select count(*) from users").trim(), "30");
    let sql = "delete from users where id = 30 returning id";
    let found = complete(database.rows(sql).allow_writes().raw()).await;
    assert_eq!(found, [r#"{"id":30}"#]);
    let dsn = database.dsn.replace("root@", "root:hush-hush@");
    let error = failure(rows(dsn, "select 1").raw()).await;
    assert!(
        !error.is_request() && error.code() == Some("1045"),
        "{error:?}"
    );
    assert!(!error.to_string().contains("hush"), "{error}");
}

#[tokio::test]
async fn a_key_resumes_after_any_row() {
    let Some(database) = database(
        "create table t (day timestamp(6), n decimal(20,10), s varchar(20), primary key (day, n, s));
         set time_zone = '+00:00';
         insert into t select timestamp'2024-01-01 00:00:00.123456' + interval (seq div 7) microsecond,
             (seq mod 7) / 3, concat('é\"', seq) from seq_1_to_40;",
    ) else {
        return;
    };
    let query = || {
        let query = database
            .rows("select s, n, day from t")
            .batch(NonZeroUsize::new(6).unwrap());
        query.key("day").key("n").key("s")
    };
    let all = complete(query().raw()).await;
    let whole = database.rows("select s, n, day from t order by day, n, s");
    assert_eq!(all, complete(whole.raw()).await);
    for count in [1, 6, 7, 39, 40] {
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
}

#[tokio::test]
async fn to_drop_the_rows_stops_the_query_on_the_server() {
    let Some(database) = database("create table t (a int)") else {
        return;
    };
    let many = "select a.seq as a, 'to be stopped' as s from seq_1_to_100000 a, seq_1_to_100000 b";
    let silent = "select sum(a.seq * b.seq) as s, 'to be stopped' as t from seq_1_to_1000000 a, seq_1_to_100000 b";
    for sql in [many, silent] {
        for closes in [false, true] {
            let mut rows = database.rows(sql).raw();
            let _ = tokio::time::timeout(Duration::from_millis(400), rows.next()).await;
            assert_eq!(database.running("to be stopped"), 1, "it does not run");
            let begin = Instant::now();
            if closes {
                rows.close().await;
            } else {
                drop(rows);
                // To kill it is a task.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            while database.running("to be stopped") > 0 {
                assert!(begin.elapsed() < Duration::from_secs(5), "it still runs");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            println!("closes {closes}: gone after {:?}", begin.elapsed());
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_killed_is_truncated_and_with_a_key_made_again() {
    let Some(database) = database(USERS) else {
        return;
    };
    let many = "select a.seq as a from seq_1_to_100000 a, seq_1_to_100000 b";
    let mut rows = database.rows(many).raw();
    rows.try_next().await.unwrap();
    database.kill();
    let error = loop {
        match rows.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("it ended well"),
        }
    };
    assert!(error.is_truncated(), "{error:?}");
    let query = database
        .rows("select id from users")
        .key("id")
        .batch(NonZeroUsize::new(2).unwrap());
    let mut rows = query.first_wait(Duration::from_millis(1)).raw();
    let mut found = Vec::new();
    while let Some(row) = rows.try_next().await.unwrap() {
        found.push(row.to_string());
        if found.len() % 10 == 5 {
            database.kill();
        }
    }
    let account = rows.account();
    assert_eq!(found.len(), 30);
    assert!(
        account.verdict() == Verdict::Complete && account.retries > 0,
        "{account:?}"
    );
}

#[tokio::test]
async fn a_begin_of_another_kind_than_the_key_leaves_nothing_out() {
    let Some(database) =
        database("create table t (a int, b varchar(9)); insert into t values (1, 'x'), (2, 'y')")
    else {
        return;
    };
    let rows = |key: &str| database.rows("select a, b from t").key(key);
    for (query, words) in [
        (rows("a").since("2026-01-01"), "`a` holds numbers"),
        (rows("b").since(5), "`b` holds texts"),
    ] {
        let error = drain(query.raw()).await.1.unwrap_err();
        let error = error.to_string();
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(drain(rows("b").since("y").raw()).await.0.len(), 1);
}

#[tokio::test]
async fn rows_without_a_key_are_a_doubt() {
    let Some(database) = database("create table t (a int); insert into t values (1), (2), (null)")
    else {
        return;
    };
    let query = database.rows("select a from t").key("a").since(1);
    let (found, account) = drain(query.raw()).await;
    assert_eq!(
        (found.len(), account.unwrap().verdict()),
        (2, Verdict::NotProved)
    );
}
