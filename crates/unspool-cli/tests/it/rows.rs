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

#[test]
fn a_million_rows_take_as_much_memory_as_a_few() {
    let Some((_server, database)) = postgres() else {
        return;
    };
    let sql = "select i as id, now() as ts, i / 7.0 as amount, repeat('x', 60) as name from \
               generate_series(1, 1000000) as i";
    let other = "with i (i) as (select 1 union all select i + 1 from i where i < 1000000) \
                 select i as id, i / 7.0 as amount, printf('%060d', i) as name from i";
    let (_folder, file) = database_file();
    for (dsn, sql) in [(database.as_str(), sql), (file.as_str(), other)] {
        let mut child = unspool(&["rows", dsn, sql, "--quiet"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::with_capacity(1 << 20, child.stdout.take().unwrap());
        let status = format!("/proc/{}/status", child.id());
        let (mut lines, mut peak, mut line) = (0, 0, Vec::new());
        while output.read_until(b'\n', &mut line).unwrap() > 0 {
            lines += 1;
            line.clear();
            if lines % 100_000 == 0 {
                let status = std::fs::read_to_string(&status).unwrap();
                let high = status
                    .lines()
                    .find_map(|line| line.strip_prefix("VmHWM:"))
                    .unwrap();
                peak = high.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
            }
        }
        assert_eq!((lines, child.wait().unwrap().code()), (1_000_000, Some(0)));
        println!("{dsn}: {peak} kB");
        assert!(peak < 48 << 10, "{dsn}: {peak} kB");
    }
}
