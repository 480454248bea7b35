//! Queries cut into parts that are read side by side.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt};
use unspool::rows::{Mode, RawItem, Request, Rows};
use unspool::{Description, Position};

use super::postgres::{Database, database};
use super::{drain, failure};

fn count(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

/// The ids of the rows, each of which must come once, and how they were fetched.
async fn ids(request: Request) -> (BTreeSet<i64>, Option<Mode>) {
    let (found, account) = drain(request.raw()).await;
    let account = account.unwrap();
    assert!(account.complete, "{account:?}");
    let ids: BTreeSet<i64> = found.iter().map(|row| id(row)).collect();
    assert_eq!(ids.len(), found.len(), "a row came twice");
    (ids, account.mode)
}

fn id(row: &str) -> i64 {
    let row: serde_json::Value = serde_json::from_str(row).unwrap();
    row["id"].as_i64().unwrap()
}

/// Tables whose keys are spread in some way.
const TABLES: &str = r#"
    create table even (id int8 primary key, a text);
    insert into even select i, 'x' from generate_series(1, 5000) as i;
    create table skewed (id int8 primary key, a text);
    insert into skewed select i, null from generate_series(1, 4000) as i;
    insert into skewed select i * 1000000000::int8, null from generate_series(1, 1000) as i;
    create table fresh (id int8 primary key, a text) with (autovacuum_enabled = off);
    insert into fresh select i * i, 'y' from generate_series(1, 3000) as i;
    create table nothing (id int8 primary key, a text);
    create table one (id int8 primary key, a text);
    insert into one values (7, 'z');
    create table names (name text primary key, id int8);
    insert into names select 'é"\' || i || '''', i from generate_series(1, 2000) as i;
    create table times (at timestamptz, n numeric, id int8, primary key (at, n));
    insert into times select timestamptz '2024-01-01' + i / 3 * interval '1 second', i % 3 / 3.0, i
        from generate_series(1, 2000) as i;
    analyze even, skewed, nothing, one, names;"#;

#[tokio::test]
async fn the_parts_together_are_the_table() {
    let Some(database) = database(TABLES) else {
        return;
    };
    for (table, key) in [
        ("even", &["id"][..]),
        ("skewed", &["id"]),
        ("fresh", &["id"]),
        ("nothing", &["id"]),
        ("one", &["id"]),
        ("names", &["name"]),
        ("times", &["at", "n"]),
    ] {
        let sql = format!("select * from {table}");
        let (all, _) = ids(database.rows(&sql)).await;
        for parts in [1, 2, 7, 60] {
            let request = (key.iter()).fold(database.rows(&sql), |request, key| request.key(*key));
            let (found, mode) = ids(request.partitions(count(parts)).in_flight(count(9))).await;
            assert_eq!(found, all, "{table} in {parts}");
            assert_eq!(mode == Some(Mode::Parts), parts > 1, "{mode:?}");
            // Without a key by its blocks.
            let blocks = unspool::rows::table(database.dsn.clone(), table);
            let (found, _) = ids(blocks.partitions(count(parts)).in_flight(count(3))).await;
            assert_eq!(found, all, "{table} in {parts}, by blocks");
        }
    }
    let sql = "select id, a from skewed where id > $1";
    let bound = database.rows(sql).bind(3990).key("id");
    let (found, mode) = ids(bound.partitions(count(4))).await;
    assert_eq!((found.len(), mode), (1010, Some(Mode::Keyset)));
    let since = database.rows("select id from even").key("id").since(4000);
    let (found, _) = ids(since.partitions(count(5))).await;
    assert_eq!(found, (4000..=5000).collect());
}

#[tokio::test]
async fn parts_are_about_equal_by_the_statistics() {
    let Some(database) = database(TABLES) else {
        return;
    };
    let mut described = unspool::rows::Description::new(&database.dsn, "select id from skewed");
    described.key = vec!["id".to_owned()];
    described.partitions = Some(count(5));
    let description = Description::try_from(&described).unwrap();
    let parts = description.partitions().await.unwrap();
    assert_eq!(parts.len(), 5);
    let mut found = Vec::new();
    for part in &parts {
        let rows: Vec<RawItem> = part.open(None).unwrap().try_collect().await.unwrap();
        assert!((800..1200).contains(&rows.len()), "{} rows", rows.len());
        found.extend(rows.iter().map(|row| id(row.as_str())));
    }
    assert!(found.is_sorted());
    assert_eq!(found.len(), 5000);
}

#[tokio::test]
async fn rows_that_are_added_meanwhile_are_in_no_part() {
    let Some(database) = database(TABLES) else {
        return;
    };
    let by_key = |database: &Database| database.rows("select * from even").key("id");
    let by_block = |database: &Database| unspool::rows::table(database.dsn.clone(), "even");
    for request in [by_key(&database), by_block(&database)] {
        let all = database.psql("select count(*) from even");
        // One after the other, so that most parts begin after the change.
        let request = request.partitions(count(8)).in_flight(NonZeroUsize::MIN);
        let mut rows = request.raw();
        rows.try_next().await.unwrap().unwrap();
        database.psql(
            "insert into even select max(id) + 1, 'late' from even; \
             update even set a = 'late' where id % 2 = 0",
        );
        let mut found = 1;
        while let Some(row) = rows.try_next().await.unwrap() {
            assert!(!row.as_str().contains("late"), "{row}");
            found += 1;
        }
        assert_eq!(found.to_string(), all.trim());
        database.psql("update even set a = 'x'");
    }
}

#[tokio::test]
async fn parts_resume_each_after_its_last_row() {
    let Some(database) = database(TABLES) else {
        return;
    };
    let request = || {
        let request = database.rows("select id from skewed").key("id");
        request.partitions(count(4)).batch(count(100))
    };
    for taken in [1, 99, 100, 101, 1234, 4999, 5000] {
        let mut rows: Rows<RawItem> = request().raw();
        let mut found = BTreeSet::new();
        while found.len() < taken {
            found.insert(id(rows.try_next().await.unwrap().unwrap().as_str()));
        }
        let position = serde_json::to_string(&rows.position().unwrap()).unwrap();
        let position: Position = serde_json::from_str(&position).unwrap();
        rows.close().await;
        let (rest, _) = ids(request().from(position)).await;
        assert!(found.is_disjoint(&rest), "after {taken}");
        assert_eq!(found.len() + rest.len(), 5000, "after {taken}");
    }
    // A complete run goes on with the rows that were added at its end.
    let mut rows = request().raw();
    while rows.try_next().await.unwrap().is_some() {}
    let position = rows.position().unwrap();
    database.psql("insert into skewed select max(id) + 1 from skewed");
    let (rest, _) = ids(request().from(position)).await;
    assert_eq!(rest.len(), 1);
}

#[tokio::test]
async fn a_part_whose_connection_is_terminated_goes_on_in_the_same_snapshot() {
    let Some(database) = database(TABLES) else {
        return;
    };
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = \
                'unspool' and datname = current_database() and query like 'copy%'";
    let request = database
        .rows("select id, repeat('x', 50000) as pad from even")
        .key("id");
    let request = request
        .partitions(count(3))
        .first_wait(Duration::from_millis(1));
    let mut rows = request.raw();
    let mut found = BTreeSet::new();
    while let Some(row) = rows.try_next().await.unwrap() {
        if found.len() == 100 {
            assert!(!database.psql(kill).trim().is_empty());
            database.psql("insert into even select max(id) + 1 from even");
        }
        assert!(found.insert(id(row.as_str())));
    }
    let account = rows.account();
    assert_eq!(found.len(), 5000);
    assert!(account.complete && account.retries > 0, "{account:?}");
}

#[tokio::test]
async fn to_close_the_rows_stops_all_parts() {
    let Some(database) = database(TABLES) else {
        return;
    };
    let slow = "select id, 'to be stopped' as s, pg_sleep(0.01) from even";
    for closes in [true, false] {
        let request = database.rows(slow).key("id").partitions(count(4));
        let mut rows = request.batch(count(5)).raw();
        rows.next().await.unwrap().unwrap();
        if closes {
            rows.close().await;
        } else {
            drop(rows);
        }
        let begin = Instant::now();
        while database.running("to be stopped") > 0 {
            assert!(begin.elapsed() < Duration::from_secs(5), "{closes}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn what_cannot_be_cut_is_said() {
    let Some(database) = database(TABLES) else {
        return;
    };
    let needs_key = "only what has a key can be cut";
    let system = unspool::rows::table(database.dsn.clone(), "pg_stats");
    let even = || database.rows("select id from even");
    for (request, words) in [
        (even(), needs_key),
        (system, needs_key),
        (even().key("id").mode(Mode::Copy), "leave out `mode`"),
        (even().key("id").allow_writes(), "what changes the database"),
        (even().key("name"), "`name` is not among"),
    ] {
        let error = failure(request.partitions(count(2)).raw()).await;
        assert!(error.is_request(), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
}
