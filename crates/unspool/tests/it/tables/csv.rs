//! CSV, as Python reads it.

use super::*;

const SCRIPT: &str = "import csv, gzip, sys\n\
    file = (gzip.open if sys.argv[1].endswith('.gz') else open)(sys.argv[1], 'rt', newline='')\n\
    csv.field_size_limit(1 << 30)\n\
    for row in csv.reader(file, delimiter=sys.argv[2]): print(row if len(str(row)) < 999 else len(row[0]))";

#[tokio::test]
async fn python_reads_what_was_written() {
    let items = [
        r#"{"a":1,"b":"x, \"y\"\r\n\tz","c":[1,"é"]}"#.to_owned(),
        r#"{"a":12345678901234567890.5,"Ä":"😀","c":null}"#.to_owned(),
        format!(r#"{{"a":"{}"}}"#, "ä".repeat(5_000_000)),
    ];
    let expected = "['a', 'b', 'c', 'Ä']\n\
        ['1', 'x, \"y\"\\r\\n\\tz', '[1,\"é\"]', '']\n\
        ['12345678901234567890.5', '', '', '😀']\n\
        5000000\n";
    for (name, delimiter) in [("a.csv", ","), ("a.tsv", "\t"), ("a.csv.gz", ",")] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let target = path.to_str().unwrap();
        write(target, options(), &items).await.unwrap();
        assert_eq!(
            python(Path::new("python3"), SCRIPT, &[target, delimiter]),
            expected
        );
    }
}

#[tokio::test]
async fn a_run_goes_on_under_the_same_header() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let target = path.to_str().unwrap();
    let mut resumed = options();
    resumed.state = Some(folder.path().join("a.state"));
    write_some(target, resumed.clone(), [r#"{"a":1,"b":2}"#])
        .await
        .unwrap();
    let account = write(target, resumed.clone(), [r#"{"b":3}"#])
        .await
        .unwrap();
    assert_eq!((account.before, account.items), (1, 2));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a,b\n1,2\n,3\n");
}

#[tokio::test]
async fn a_key_after_the_header_stops_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let result = write(path.to_str().unwrap(), options(), after_many(r#"{"b":1}"#)).await;
    let item = format!("item {} has the key `b`", LATE + 1);
    check_refused(result, &[&item, "`b text`"]);
}
