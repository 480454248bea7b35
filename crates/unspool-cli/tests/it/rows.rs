use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::{run, unspool};

/// A database with `users`.
fn database_file() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.db");
    let connection = rusqlite::Connection::open(&file).unwrap();
    let sql = "create table users (id integer primary key, name text);
               insert into users (name) values ('Ada'), ('Grace'), ('Edsger');";
    connection.execute_batch(sql).unwrap();
    let path = file.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn rows_are_lines_of_json() {
    let (_folder, path) = database_file();
    let (code, lines, words) = run(&[
        "rows",
        &path,
        "select * from users where id < ?",
        "--param",
        "3",
    ]);
    assert_eq!(code, 0, "{words}");
    assert_eq!(
        lines,
        [r#"{"id":1,"name":"Ada"}"#, r#"{"id":2,"name":"Grace"}"#]
    );
    let expected = "unspool: complete: 2 rows from 1 statement, ";
    assert!(words.starts_with(expected), "{words}");
    let (code, lines, _) = run(&["rows", &path, "--table", "users", "--take", "1"]);
    assert_eq!((code, lines.len()), (0, 1));
}

#[test]
fn sql_comes_from_a_file_or_standard_input() {
    let (folder, path) = database_file();
    let file = folder.path().join("query.sql");
    std::fs::write(&file, "select name\nfrom users -- all\n;\n").unwrap();
    let argument = format!("@{}", file.display());
    let (code, lines, words) = run(&["rows", &path, &argument]);
    assert_eq!((code, lines.len()), (0, 3), "{words}");
    for args in [vec!["rows", &path], vec!["rows", &path, "-"]] {
        let mut child = unspool(&args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(b"select 1 as one").unwrap();
        drop(input);
        assert_eq!(child.wait_with_output().unwrap().stdout, b"{\"one\":1}\n");
    }
}

#[test]
fn a_wrong_statement_is_shown_with_a_caret() {
    let (_folder, path) = database_file();
    let (code, lines, words) = run(&["rows", &path, "select id, naem from users"]);
    assert_eq!((code, lines.len()), (2, 0), "{words}");
    assert!(
        words.contains("\n  select id, naem from users\n             ^\n"),
        "{words}"
    );
    let (code, _, words) = run(&["rows", &path, "delete from users returning id"]);
    assert_eq!(code, 2);
    assert!(words.contains("hint: `--write`"), "{words}");
    let (code, lines, _) = run(&["rows", &path, "delete from users returning id", "--write"]);
    assert_eq!((code, lines.len()), (0, 3));
}

#[test]
fn explain_says_how_the_rows_were_fetched() {
    let (_folder, path) = database_file();
    for (flags, mode) in [(&[][..], "stream"), (&["--key", "id"], "keyset")] {
        let args = [&["rows", &path, "--table", "users", "--explain"], flags].concat();
        let (code, _, words) = run(&args);
        assert_eq!(code, 0);
        assert!(
            words.contains(&format!("unspool: mode `{mode}`, as ")),
            "{words}"
        );
    }
}

/// A PostgreSQL server and the address of a database; none where there is no server.
fn postgres() -> Option<(std::sync::Arc<crate::server::Postgres>, String)> {
    match crate::server::Postgres::shared() {
        Ok(server) => {
            let database = server.database();
            Some((server, database))
        }
        Err(why) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: {why}");
            None
        }
        Err(why) => panic!("{why}"),
    }
}

#[test]
fn a_killed_process_leaves_no_query_running() {
    let Some((server, database)) = postgres() else {
        return;
    };
    let running = || {
        let sql = "select count(*) from pg_stat_activity where state = 'active' and query like \
                   '%to be stopped%' and pid <> pg_backend_pid()";
        server.psql(&database, sql).trim() != "0"
    };
    let sql = "select 'to be stopped' as s, sum(i) as n from generate_series(1, 10000000000) as i";
    let mut child = unspool(&["rows", &database, sql, "--quiet"])
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while !running() {
        assert!(begin.elapsed() < Duration::from_secs(30), "it does not run");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let begin = Instant::now();
    while running() {
        assert!(begin.elapsed() < Duration::from_secs(10), "it still runs");
    }
}

/// How many rows the tests of memory have: 10 million where all of it is run.
fn many() -> usize {
    let is_full = std::env::var_os("UNSPOOL_TEST_FULL").is_some();
    if is_full { 10_000_000 } else { 1_000_000 }
}

/// The most memory that rows may take, without the pages of the program itself, which are many
/// in a build for tests.
const MOST_MEMORY_KB: u64 = 20 << 10;

/// Reads so many rows, and looks now and then at the memory that the process has; with `stops`
/// it stays away until the process has nothing to do any more, and kills it.
fn check_memory(args: &[&str], rows: usize, stops: bool) {
    let mut child = unspool(&[args, &["--quiet"]].concat())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::with_capacity(1 << 16, child.stdout.take().unwrap());
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", child.id()));
    let mut peak = 0_u64;
    let mut measure = || {
        let status = read("status").unwrap();
        let size = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        // With its last lines it may have ended, and has no memory any more.
        if let Some(size) = size {
            let size = size.trim().trim_end_matches(" kB").parse().unwrap();
            peak = std::cmp::max(peak, size);
        }
    };
    let (mut lines, mut line) = (0, Vec::new());
    while output.read_until(b'\n', &mut line).unwrap() > 0 {
        lines += 1;
        line.clear();
        if lines % (rows / 50) == 0 {
            measure();
        }
        if stops && lines == 1000 {
            wait_until_idle(|| read("stat").unwrap());
            measure();
            break;
        }
    }
    if stops {
        child.kill().unwrap();
        child.wait().unwrap();
    } else {
        assert_eq!((lines, child.wait().unwrap().code()), (rows, Some(0)));
    }
    println!("{args:?}, stops {stops}: {peak} kB");
    assert!(
        (1..MOST_MEMORY_KB).contains(&peak),
        "{args:?}, stops {stops}: {peak} kB"
    );
}

/// Waits until a process takes no time of a processor for a second; a minute longer where all
/// is run.
fn wait_until_idle(stat: impl Fn() -> String) {
    let used = || -> u64 {
        let stat = stat();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        // User and system time (proc_pid_stat(5)).
        let times = fields.split_whitespace().skip(11).take(2);
        times.map(|time| time.parse::<u64>().unwrap()).sum()
    };
    let is_full = std::env::var_os("UNSPOOL_TEST_FULL").is_some();
    if is_full {
        std::thread::sleep(Duration::from_secs(60));
    }
    let mut before = used();
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let now = used();
        if now == before {
            return;
        }
        before = now;
    }
}

#[test]
fn a_million_rows_of_postgres_take_little_memory_in_every_mode_and_with_a_reader_that_stops() {
    let Some((server, database)) = postgres() else {
        return;
    };
    let rows = many();
    let sql = format!(
        "select i::int8 as id, timestamptz '2024-01-01' as ts, (i / 7)::numeric as amount, \
         repeat('x', 60) as name from generate_series(1, {rows}) as i"
    );
    server.psql(
        &database,
        &format!("create table t as {sql}; alter table t add primary key (id)"),
    );
    server.psql(&database, "analyze t");
    let all = "select * from t";
    for flags in [
        &[][..],
        &["--mode", "portal"],
        &["--key", "id"],
        &["--key", "id", "--partitions", "4"],
    ] {
        let args = [&["rows", &database, all], flags].concat();
        check_memory(&args, rows, false);
        check_memory(&args, rows, true);
    }
}

#[test]
fn a_million_rows_of_mariadb_take_little_memory_in_every_mode_and_with_a_reader_that_stops() {
    let server = match crate::server::MariaDb::shared() {
        Ok(server) => server,
        Err(why) if std::env::var_os("CI").is_none() => return eprintln!("skipped: {why}"),
        Err(why) => panic!("{why}"),
    };
    let (database, rows) = (server.database(), many());
    let sql = format!(
        "select seq as id, now(6) as ts, seq / 7 as amount, repeat('x', 60) as name from seq_1_to_{rows}"
    );
    for flags in [&[][..], &["--key", "id"]] {
        let args = [&["rows", &database, &sql], flags].concat();
        check_memory(&args, rows, false);
        check_memory(&args, rows, true);
    }
}

#[test]
fn a_million_rows_of_sqlite_take_little_memory_in_every_mode_and_with_a_reader_that_stops() {
    let (_folder, file) = database_file();
    let rows = many();
    let sql = format!(
        "with i (i) as (select 1 union all select i + 1 from i where i < {rows}) \
         select i as id, i / 7.0 as amount, printf('%060d', i) as name from i"
    );
    let connection = rusqlite::Connection::open(&file).unwrap();
    let table =
        format!("create table t (id integer primary key, amount, name); insert into t {sql}");
    connection.execute_batch(&table).unwrap();
    for args in [
        ["rows", &file, &sql].to_vec(),
        ["rows", &file, "select * from t", "--key", "id"].to_vec(),
    ] {
        check_memory(&args, rows, false);
        check_memory(&args, rows, true);
    }
}

#[test]
fn partitions_are_read_side_by_side_and_resume() {
    let Some((server, database)) = postgres() else {
        return;
    };
    server.psql(
        &database,
        "create table users (id int8 primary key, name text); \
         insert into users select i, 'user ' || i from generate_series(1, 20000) as i",
    );
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("users.jsonl");
    let to = to.to_str().unwrap();
    let args = [
        "rows",
        &database,
        "--table",
        "users",
        "--key",
        "id",
        "--partitions",
        "4",
        "--in-flight",
        "2",
        "--explain",
        "--to",
        to,
        "--resume",
    ];
    for (take, expected) in [("7777", 7777), ("99999", 20_000)] {
        let (code, _, words) = run(&[&args[..], &["--take", take]].concat());
        assert_eq!(code, 0, "{words}");
        assert!(
            words.contains("mode `parts`, as the query is cut"),
            "{words}"
        );
        let found: std::collections::BTreeSet<u64> = ids(to).into_iter().collect();
        assert_eq!(found.len(), expected, "{words}");
        assert_eq!(ids(to).len(), expected, "a row came twice: {words}");
    }
}

/// The ids of the users in a file of lines.
fn ids(path: &str) -> Vec<u64> {
    let items = crate::read_back::items(path.as_ref(), crate::read_back::Whole::Yes);
    items
        .iter()
        .map(|item| item["id"].as_u64().unwrap())
        .collect()
}

#[test]
fn rows_without_a_key_start_over_and_say_so() {
    let (folder, path) = database_file();
    let file = folder
        .path()
        .join("items.jsonl")
        .to_str()
        .unwrap()
        .to_owned();
    let table = format!("sqlite:{}#items", folder.path().join("items.db").display());
    for (to, state) in [(&file, &["--resume"][..]), (&table, &[])] {
        let sql = "select id, name from users order by id";
        let args = [&["rows", &path, sql, "--to", to], state].concat();
        let (code, _, words) = run(&[&args[..], &["--take", "2"]].concat());
        assert_eq!(code, 0, "{words}");
        let (code, _, words) = run(&args);
        assert_eq!(code, 0, "{words}");
        assert!(words.contains("it starts over"), "{words}");
        assert!(words.contains("; 3 items in "), "{words}");
        let (code, _, words) = run(&args);
        assert_eq!(code, 0, "{words}");
        assert!(words.contains("complete already: 3 items"), "{words}");
    }
    assert_eq!(ids(&file), [1, 2, 3]);
    let held = rusqlite::Connection::open(folder.path().join("items.db")).unwrap();
    let count = held.query_row("select count(*) from items", (), |row| row.get::<_, i64>(0));
    assert_eq!(count.unwrap(), 3);
}

#[test]
fn rows_with_a_key_go_on_and_take_counts_those_of_all_runs() {
    let (folder, path) = database_file();
    let to = folder
        .path()
        .join("items.jsonl")
        .to_str()
        .unwrap()
        .to_owned();
    let args = [
        "rows", &path, "--table", "users", "--key", "id", "--to", &to, "--resume",
    ];
    for (take, expected) in [("1", 1), ("2", 2), ("2", 2), ("9", 3)] {
        let (code, _, words) = run(&[&args[..], &["--take", take]].concat());
        assert_eq!(code, 0, "{words}");
        assert!(ids(&to).into_iter().eq(1..=expected), "{take}: {words}");
    }
}

#[test]
fn parquet_gets_the_types_of_the_database_and_take_counts_rows() {
    let (folder, path) = database_file();
    let to = folder.path().join("users.parquet");
    let target = to.to_str().unwrap();
    let sql = "select id, name, cast(id as real) as weight from users";
    let args = [
        "rows", &path, sql, "--key", "id", "--to", target, "--resume",
    ];
    for (take, expected) in [("2", 2), ("2", 2), ("9", 3)] {
        let (code, _, words) = run(&[&args[..], &["--take", take]].concat());
        assert_eq!(code, 0, "{words}");
        let found = crate::read_tables::parquet(&to);
        assert_eq!(found.len(), expected, "{words}");
        // As text it would be a whole number.
        assert_eq!(found[0]["weight"].to_string(), "1.0", "{words}");
    }
}

#[test]
fn another_query_is_refused_by_what_differs_and_no_password_is_said() {
    let (folder, path) = database_file();
    let to = folder
        .path()
        .join("items.jsonl")
        .to_str()
        .unwrap()
        .to_owned();
    let sql = "select id, name from users where id > ?";
    let more = ["--key", "id", "--to", &to, "--resume"];
    let command = |dsn: &str, sql: &str, param: &str| {
        run(&[&["rows", dsn, sql, "--param", param], &more[..]].concat())
    };
    let (code, _, words) = command(&path, sql, "0");
    assert_eq!(code, 0, "{words}");
    let other = "postgres://me:hush@127.0.0.1:1/shop?password=hush";
    for (dsn, sql, param, differs) in [
        (
            path.as_str(),
            "select * from users where id > ?",
            "0",
            "`sql` is `select *",
        ),
        (&path, sql, "1", "`params` is `[1]` and was `[0]`"),
        (other, sql, "0", "`database` is `"),
    ] {
        let (code, _, words) = command(dsn, sql, param);
        assert_eq!(code, 2, "{words}");
        assert!(words.contains(differs), "{words}");
        assert!(!words.contains("hush"), "{words}");
    }
    assert_eq!(ids(&to), [1, 2, 3]);
}
