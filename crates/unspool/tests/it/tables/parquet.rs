//! Parquet: types, parts, and readers of others.

use std::fs;
use std::path::PathBuf;

use super::*;

struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Folder {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn target(&self) -> String {
        self.path("a.parquet").to_str().unwrap().to_owned()
    }

    /// With a state, so that there are parts.
    fn resumed(&self) -> Options {
        let mut options = options();
        options.state = Some(self.path("a.state"));
        options
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// What another reader finds in a file, row by row, after a line of its columns.
    fn read(&self, name: &str) -> Option<String> {
        let Ok(servers) = std::env::var("UNSPOOL_TEST_SERVERS") else {
            eprintln!("skipped: `UNSPOOL_TEST_SERVERS` is not set");
            return None;
        };
        let script = "import pyarrow.parquet as pq, sys, json\n\
            table = pq.read_table(sys.argv[1])\n\
            print(', '.join(f'{f.name} {f.type}' for f in table.schema))\n\
            for row in table.to_pylist(): print(json.dumps(row, default=str, ensure_ascii=False))\n\
            import duckdb\n\
            count = duckdb.sql(f\"select count(*) from read_parquet('{sys.argv[1]}')\").fetchall()[0][0]\n\
            assert count == table.num_rows, count";
        let path = self.path(name);
        let python_path = Path::new(&servers).join("bin/python");
        Some(python(&python_path, script, &[path.to_str().unwrap()]))
    }
}

/// How many rows and which columns a file has, as this library's reader sees it.
fn rows(path: &Path) -> (i64, Vec<String>) {
    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let metadata = reader.metadata().file_metadata();
    let fields = metadata.schema().get_fields();
    let names = fields.iter().map(|field| field.name().to_owned()).collect();
    (metadata.num_rows(), names)
}

#[tokio::test]
async fn values_stay_what_they_were() {
    let folder = Folder::new();
    let long = "ä".repeat(5_000_000);
    let items = [
        r#"{"int":9223372036854775807,"double":0.1,"decimal":1234567890123456789012345.678,"huge":1e400,"null":null}"#.to_owned(),
        r#"{"text":"nul \u0000 \ud83d\ude00 😀","bool":true,"mixed":1,"list":[1,null,3],"map":{"x":1.5,"y":["a"]}}"#.to_owned(),
        r#"{"mixed":"1","list":[],"map":{"y":null},"deep":[{"a":1},{"b":[true]}],"empty":[],"at":"2024-01-01T10:00:00.5Z","day":"2024-01-31"}"#.to_owned(),
    ];
    write(
        &folder.target(),
        with_schema("at timestamp\nday date"),
        items,
    )
    .await
    .unwrap();
    assert_eq!(folder.names(), ["a.parquet"]);
    assert_eq!(rows(&folder.path("a.parquet")).0, 3);
    if let Some(read) = folder.read("a.parquet") {
        assert_eq!(
            read,
            "at timestamp[us, tz=UTC], day date32[day], int int64, double double, \
             decimal decimal128(38, 3), huge string, null null, text string, bool bool, \
             mixed string, list list<element: int64>, map struct<x: double, y: list<element: string>>, \
             deep list<element: struct<a: int64, b: list<element: bool>>>, empty list<element: null>\n\
             {\"at\": null, \"day\": null, \"int\": 9223372036854775807, \"double\": 0.1, \
             \"decimal\": \"1234567890123456789012345.678\", \"huge\": \"1e400\", \"null\": null, \
             \"text\": null, \"bool\": null, \"mixed\": null, \"list\": null, \"map\": null, \
             \"deep\": null, \"empty\": null}\n\
             {\"at\": null, \"day\": null, \"int\": null, \"double\": null, \"decimal\": null, \
             \"huge\": null, \"null\": null, \"text\": \"nul \\u0000 😀 😀\", \"bool\": true, \
             \"mixed\": \"1\", \"list\": [1, null, 3], \"map\": {\"x\": 1.5, \"y\": [\"a\"]}, \
             \"deep\": null, \"empty\": null}\n\
             {\"at\": \"2024-01-01 10:00:00.500000+00:00\", \"day\": \"2024-01-31\", \"int\": null, \
             \"double\": null, \"decimal\": null, \"huge\": null, \"null\": null, \"text\": null, \
             \"bool\": null, \"mixed\": \"\\\"1\\\"\", \"list\": [], \"map\": {\"x\": null, \"y\": null}, \
             \"deep\": [{\"a\": 1, \"b\": null}, {\"a\": null, \"b\": [true]}], \"empty\": []}\n"
        );
    }
    let folder = Folder::new();
    write(
        &folder.target(),
        options(),
        [format!(r#"{{"a":"{long}"}}"#)],
    )
    .await
    .unwrap();
    if let Some(read) = folder.read("a.parquet") {
        assert!(read.contains(&long));
    }
}

#[tokio::test]
async fn no_key_is_dropped() {
    let folder = Folder::new();
    let many: Vec<String> = (0..1000).map(|n| format!("\"k{n}\":{n}")).collect();
    let items = [
        r#"{"Id":1,"id":2,"ID":3,"":4}"#.to_owned(),
        format!("{{{}}}", many.join(",")),
    ];
    write(&folder.target(), options(), items).await.unwrap();
    let (count, names) = rows(&folder.path("a.parquet"));
    assert_eq!((count, names.len()), (2, 1004));
    assert_eq!(names[..4], ["Id", "id", "ID", ""]);
}

#[tokio::test]
async fn without_a_state_there_is_one_file_at_the_end() {
    let folder = Folder::new();
    let mut writer = Writer::open(sinks::open(&folder.target(), options()).unwrap())
        .await
        .unwrap();
    for item in after_many(r#"{"a":1}"#) {
        writer.put(item.as_bytes()).await.unwrap();
    }
    writer.checkpoint(None).await.unwrap();
    assert!(!folder.path("a.parquet").exists());
    writer.end(None, Some(Ended::default())).await.unwrap();
    let count = i64::try_from(LATE + 1).unwrap();
    assert_eq!(
        rows(&folder.path("a.parquet")),
        (count, vec!["a".to_owned()])
    );
    assert_eq!(folder.names(), ["a.parquet"]);
    check_refused(
        write(&folder.target(), options(), ["1"]).await,
        &["is there already", "--overwrite"],
    );
    let mut again = options();
    again.overwrite = true;
    write(&folder.target(), again, ["1"]).await.unwrap();
    assert_eq!(
        rows(&folder.path("a.parquet")),
        (1, vec!["value".to_owned()])
    );
}

#[tokio::test]
async fn what_does_not_fit_into_one_file_stops_the_run_and_leaves_none() {
    for (last, words) in [
        (
            r#"{"a":"x"}"#,
            "the field `a` is text (`\"x\"`), and its column is for int",
        ),
        (r#"{"a":2.5}"#, "is a number (`2.5`)"),
        (r#"{"b":1}"#, "has the key `b`, which no item before it had"),
    ] {
        let folder = Folder::new();
        let result = write(&folder.target(), options(), after_many(last)).await;
        let item = format!("item {}", LATE + 1);
        check_refused(result, &[&item, words, "--schema FILE", "--resume"]);
        assert!(folder.names().is_empty(), "{:?}", folder.names());
    }
}

#[tokio::test]
async fn with_a_state_the_next_part_has_wider_columns() {
    let folder = Folder::new();
    let items = after_many(r#"{"a":2.5,"b":[1]}"#).chain([r#"{"a":3}"#.to_owned()]);
    let account = write(&folder.target(), folder.resumed(), items)
        .await
        .unwrap();
    let note = format!(
        "the column `a` is decimal(38,1) in the parts from item {} on",
        LATE + 1
    );
    assert_eq!(account.notes[0], note);
    assert_eq!(
        folder.names(),
        ["a-00001.parquet", "a-00002.parquet", "a.state"]
    );
    let count = i64::try_from(LATE).unwrap();
    assert_eq!(
        rows(&folder.path("a-00001.parquet")),
        (count, vec!["a".to_owned()])
    );
    assert_eq!(rows(&folder.path("a-00002.parquet")).0, 2);
    if let Some(read) = folder.read("a-00002.parquet") {
        let expected = "a decimal128(38, 1), b list<element: int64>\n\
                        {\"a\": \"2.5\", \"b\": [1]}\n{\"a\": \"3.0\", \"b\": null}\n";
        assert_eq!(read, expected);
    }
}

#[tokio::test]
async fn a_run_goes_on_with_the_next_part() {
    let folder = Folder::new();
    write_some(&folder.target(), folder.resumed(), [r#"{"a":1}"#])
        .await
        .unwrap();
    // As a run leaves them that was killed.
    fs::write(folder.path("a-00002.parquet"), "not whole").unwrap();
    fs::write(folder.path("a-00003.parquet.tmp"), "not whole").unwrap();
    let account = write_some(&folder.target(), folder.resumed(), [r#"{"a":2,"b":"x"}"#])
        .await
        .unwrap();
    assert_eq!((account.before, account.items), (1, 2));
    let none: [&str; 0] = [];
    write(&folder.target(), folder.resumed(), none)
        .await
        .unwrap();
    write(&folder.target(), folder.resumed(), none)
        .await
        .unwrap();
    assert_eq!(
        folder.names(),
        ["a-00001.parquet", "a-00002.parquet", "a.state"]
    );
    let mut other = folder.resumed();
    other.identity = Identity::new("other");
    check_refused(
        write(&folder.target(), other, none).await,
        &["belongs to another command"],
    );
    let part = fs::read(folder.path("a-00001.parquet")).unwrap();
    fs::write(folder.path("a-00001.parquet"), &part[..part.len() - 9]).unwrap();
    let result = write(&folder.target(), folder.resumed(), none).await;
    check_refused(result, &["somebody else has changed", "a-00001.parquet"]);
    fs::remove_file(folder.path("a-00001.parquet")).unwrap();
    let result = write(&folder.target(), folder.resumed(), none).await;
    check_refused(result, &["a-00001.parquet` is gone"]);
}

#[tokio::test]
async fn a_part_whose_state_was_not_written_any_more_is_kept() {
    let folder = Folder::new();
    write_some(&folder.target(), folder.resumed(), [r#"{"a":1}"#])
        .await
        .unwrap();
    let state = fs::read(folder.path("a.state")).unwrap();
    write_some(&folder.target(), folder.resumed(), [r#"{"a":2}"#])
        .await
        .unwrap();
    fs::write(folder.path("a.state"), state).unwrap();
    let open = sinks::open(&folder.target(), folder.resumed()).unwrap();
    let writer = Writer::open(open).await.unwrap();
    assert_eq!(writer.begun().items, 2);
    assert_eq!(rows(&folder.path("a-00002.parquet")).0, 1);
}

#[tokio::test]
async fn an_empty_run_leaves_an_empty_table() {
    let folder = Folder::new();
    let none: [&str; 0] = [];
    write(&folder.target(), options(), none).await.unwrap();
    assert_eq!(
        rows(&folder.path("a.parquet")),
        (0, vec!["value".to_owned()])
    );
    folder.read("a.parquet");
    let folder = Folder::new();
    write(&folder.target(), folder.resumed(), none)
        .await
        .unwrap();
    assert_eq!(folder.names(), ["a-00001.parquet", "a.state"]);
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn arrow_batches_keep_their_types_and_resume_part_by_part() {
    let folder = Folder::new();
    let database = folder.path("users.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    let users = "create table users (id integer primary key, name text, weight real);
        with recursive ids (id) as (select 1 union all select id + 1 from ids where id < 10)
        insert into users select id, 'user ' || id, id / 4.0 from ids;";
    connection.execute_batch(users).unwrap();
    let request = || {
        let dsn = format!("sqlite:{}", database.display());
        unspool::rows(dsn, "select * from users").key("id")
    };
    // A run that stops in the middle, and one that goes on.
    for (take, parts) in [(Some(4), 1), (None, 2)] {
        let sink = sinks::open(&folder.target(), folder.resumed()).unwrap();
        assert!(sink.takes_arrow());
        let open = |from| {
            let request = match from {
                Some(position) => request().from(position),
                None => request(),
            };
            Ok(match take {
                Some(rows) => request.take(rows).batches(),
                None => request.batches(),
            })
        };
        let pulled = unspool::pull(open, sink).await.unwrap();
        assert_eq!(pulled.sink.items, take.unwrap_or(10));
        assert_eq!(
            folder
                .names()
                .iter()
                .filter(|name| name.ends_with("parquet"))
                .count(),
            parts
        );
    }
    let columns = ["id", "name", "weight"].map(str::to_owned).to_vec();
    assert_eq!(rows(&folder.path("a-00001.parquet")), (4, columns.clone()));
    assert_eq!(rows(&folder.path("a-00002.parquet")), (6, columns));
    if let Some(found) = folder.read("a-00002.parquet") {
        let lines: Vec<&str> = found.lines().collect();
        assert_eq!(lines[0], "id int64, name string, weight double");
        assert_eq!(lines[1], r#"{"id": 5, "name": "user 5", "weight": 1.25}"#);
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn arrow_batches_go_only_where_they_are_taken() {
    let folder = Folder::new();
    let lines = sinks::open(folder.path("a.jsonl").to_str().unwrap(), options()).unwrap();
    let open = |_| Ok(unspool::rows("sqlite::memory:", "select 1 as a").batches());
    let error = unspool::pull(open, lines).await.unwrap_err();
    assert!(
        error.to_string().contains("takes no Arrow batches"),
        "{error}"
    );
    // Without rows there are the columns.
    let sink = sinks::open(&folder.target(), options()).unwrap();
    let open = |_| Ok(unspool::rows("sqlite::memory:", "select 1 as a limit 0").batches());
    assert_eq!(unspool::pull(open, sink).await.unwrap().sink.items, 0);
    assert_eq!(rows(&folder.path("a.parquet")), (0, vec!["a".to_owned()]));
    // A schema is for texts.
    let mut options = options();
    options.schema = Some("a text".to_owned());
    assert!(
        !sinks::open(&folder.target(), options)
            .unwrap()
            .takes_arrow()
    );
}
