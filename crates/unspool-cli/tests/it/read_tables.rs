//! Tables of items, as somebody else reads them.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;

/// The items in the text of a CSV file, as Python's `csv` reads it.
pub(crate) fn csv(text: &str) -> Vec<Value> {
    const SCRIPT: &str = "import csv, io, json, sys\n\
        text = io.TextIOWrapper(sys.stdin.buffer, encoding='utf-8', newline='')\n\
        rows = list(csv.DictReader(text))\n\
        for row in rows:\n\
        \x20   row.update(id=int(row['id']), ratio=float(row['ratio']), tags=json.loads(row['tags']))\n\
        print(json.dumps(rows))";
    python(SCRIPT, &[], text)
}

/// The items in a table `items` of a SQLite file, as Python reads it.
pub(crate) fn sqlite(file: &Path) -> Vec<Value> {
    const SCRIPT: &str = "import json, sqlite3, sys\n\
        connection = sqlite3.connect(sys.argv[1])\n\
        connection.row_factory = sqlite3.Row\n\
        has_table = \"select 1 from sqlite_master where name = 'items'\"\n\
        rows = []\n\
        if connection.execute(has_table).fetchone():\n\
        \x20   rows = [dict(row) for row in connection.execute('select * from items order by rowid')]\n\
        for row in rows:\n\
        \x20   if 'tags' in row: row.update(tags=json.loads(row['tags']))\n\
        print(json.dumps(rows))";
    if !file.exists() {
        return Vec::new();
    }
    python(SCRIPT, &[file.to_str().unwrap()], "")
}

/// The items in a table of the PostgreSQL server that the tests share, as `psql` prints it.
#[cfg(unix)]
pub(crate) fn postgres(table: &str) -> Vec<Value> {
    let server = crate::server::Postgres::shared().unwrap();
    let is_there = server.psql(
        "postgres",
        &format!("select to_regclass('{table}') is not null"),
    );
    if is_there != "t\n" {
        return Vec::new();
    }
    let rows = server.psql(
        "postgres",
        &format!("select row_to_json(t) from {table} t order by id"),
    );
    let item = |line: &str| {
        let mut item: Value = serde_json::from_str(line).unwrap();
        // As JSON it has no fraction where that is zero.
        item["ratio"] = Value::from(item["ratio"].as_f64().unwrap());
        item
    };
    rows.lines().map(item).collect()
}

/// The items in the parts of a Parquet file that are durable by its state.
pub(crate) fn durable_parquet(path: &Path, state: &Path) -> Vec<Value> {
    let Ok(text) = fs::read_to_string(state) else {
        return Vec::new();
    };
    let state: Value = serde_json::from_str(&text).unwrap();
    let count = state["saved"]["parts"].as_u64().unwrap_or(0);
    let items: Vec<Value> = (1..=count)
        .flat_map(|number| rows(&part(path, number)))
        .collect();
    assert_eq!(
        items.len() as u64,
        state["items"].as_u64().unwrap(),
        "{state}"
    );
    // What has its name is whole, also where no state tells of it yet.
    let mut number = count + 1;
    while part(path, number).exists() {
        rows(&part(path, number));
        number += 1;
    }
    items
}

/// The items in all parts of a Parquet file.
pub(crate) fn parquet(path: &Path) -> Vec<Value> {
    let parts = (1..)
        .map(|number| part(path, number))
        .take_while(|part| part.exists());
    parts.flat_map(|part| rows(&part)).collect()
}

fn part(path: &Path, number: u64) -> PathBuf {
    let stem = path.file_stem().unwrap().to_str().unwrap();
    path.with_file_name(format!("{stem}-{number:05}.parquet"))
}

fn rows(path: &Path) -> Vec<Value> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| row.unwrap().to_json_value()).collect()
}

/// The array that a Python script prints, with this on its standard input.
fn python(script: &str, arguments: &[&str], input: &str) -> Vec<Value> {
    let mut command = Command::new("python3");
    command.arg("-c").arg(script).args(arguments);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{script}");
    serde_json::from_slice(&output.stdout).unwrap()
}
