use std::io::Write;
use std::process::Stdio;

use crate::{run, unspool};

/// A database with `users`.
fn database() -> (tempfile::TempDir, String) {
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
    let (_folder, path) = database();
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
    let (folder, path) = database();
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
    let (_folder, path) = database();
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
    let (_folder, path) = database();
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
