//! API servers that were written elsewhere, started here and pulled whole.
//!
//! `scripts/test` installs them and names their place in `UNSPOOL_TEST_SERVERS`;
//! without it these tests say that they are skipped, and why.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::run;

const ROWS: usize = 1234;

pub(crate) struct RealServer {
    process: Child,
    pub(crate) url: String,
}

impl Drop for RealServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl RealServer {
    /// Starts a script of `tests/servers` with a program of the installation.
    pub(crate) fn start(program: &str, script: &str) -> Option<Self> {
        let Some(folder) = std::env::var_os("UNSPOOL_TEST_SERVERS") else {
            eprintln!(
                "skipped: UNSPOOL_TEST_SERVERS is not set; scripts/test installs the servers"
            );
            return None;
        };
        let folder = PathBuf::from(folder);
        let bundled = folder.join("bin").join(program);
        let program = if bundled.exists() {
            bundled
        } else {
            program.into()
        };
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/servers")
            .join(script);
        let mut process = Command::new(program)
            .arg(script)
            .args(["0", &ROWS.to_string()])
            .env("NODE_PATH", folder.join("node_modules"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line
            .trim()
            .strip_prefix("listening on ")
            .unwrap()
            .to_owned();
        Some(RealServer { process, url })
    }

    /// Pulls an endpoint whole and checks that each of its rows came once.
    #[track_caller]
    fn check(&self, target: &str, flags: &[&str], key: impl Fn(&Value) -> String, words: &str) {
        let (code, lines, report) =
            run(&[&["pages", &format!("{}{target}", self.url)], flags].concat());
        assert_eq!(code, 0, "{target}: {report}");
        let keys: HashSet<_> = lines
            .iter()
            .map(|line| key(&serde_json::from_str(line).unwrap()))
            .collect();
        assert_eq!(
            (lines.len(), keys.len()),
            (ROWS, ROWS),
            "{target}: {report}"
        );
        assert!(report.contains(words), "{target}: {report}");
    }
}

fn id(item: &Value) -> String {
    item["id"].to_string()
}

#[test]
fn django_rest_framework() {
    let Some(server) = RealServer::start("python", "drf.py") else {
        return;
    };
    server.check("/page/", &[], id, "the upstream's own count agrees");
    server.check(
        "/page/?page_size=7",
        &["--paginate", "next:/next"],
        id,
        "177 pages",
    );
    server.check(
        "/page/",
        &["--paginate", "page", "--in-flight", "4"],
        id,
        "in 13 requests",
    );
    server.check(
        "/page/",
        &["--paginate", "page:page,last=13"],
        id,
        "13 pages",
    );
    server.check("/offset/", &[], id, "the upstream's own count agrees");
    server.check("/cursor/", &[], id, "the last page names no next one");
    server.check("/all/", &[], id, "from 1 page");
    server.check(
        "/private/",
        &["-u", "ada:lovelace"],
        id,
        "the upstream's own count agrees",
    );
    server.check(
        "/jsonapi/",
        &[],
        id,
        "--paginate next:/links/next --items /data",
    );
    server.check(
        "/jsonapi/",
        &["--paginate", "page:page[number]", "--in-flight", "4"],
        id,
        "in 13 requests",
    );
    let (code, _, report) = run(&[
        "pages",
        &format!("{}/private/", server.url),
        "-u",
        "ada:wrong",
    ]);
    assert_eq!(code, 1);
    assert!(report.contains("answered 401"), "{report}");
}

#[test]
fn datasette() {
    let Some(server) = RealServer::start("python", "datasette_server.py") else {
        return;
    };
    server.check(
        "/shop/orders.json?_shape=array",
        &[],
        id,
        "the last page names no next one",
    );
    server.check(
        "/shop/orders.json?_shape=objects",
        &[],
        id,
        "the last page names no next one",
    );
    server.check(
        "/shop/orders.json?_shape=objects",
        &["--paginate", "next:/next_url", "--items", "/rows"],
        id,
        "13 pages",
    );
    server.check(
        "/shop/orders.json",
        &[],
        |row| row[0].to_string(),
        "13 pages",
    );
    server.check(
        "/shop/visits.json?_shape=objects&_sort_desc=at",
        &[],
        |row| row["rowid"].to_string(),
        "13 pages",
    );
    // Datasette stops at 1,000 rows of a query and says so: that is a doubt.
    let target = "/shop.json?sql=select+*+from+orders&_shape=objects";
    let (code, lines, report) = run(&["pages", &format!("{}{target}", server.url)]);
    assert_eq!((code, lines.len()), (3, 1000), "{report}");
    assert!(
        report.contains("`/truncated` says that there is more"),
        "{report}"
    );
}

#[test]
fn json_server() {
    let Some(server) = RealServer::start("node", "json_server.js") else {
        return;
    };
    server.check(
        "/orders?_page=1&_limit=100",
        &[],
        id,
        "the upstream's own count agrees",
    );
    server.check("/orders", &[], id, "from 1 page");
}

/// Who asks which service of AWS; nobody checks the signature.
fn signed(service: &str) -> String {
    format!(
        "Authorization: AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/{service}/aws4_request"
    )
}

#[test]
fn amazon_web_services() {
    let Some(server) = RealServer::start("python", "moto_server.py") else {
        return;
    };
    let key = |object: &Value| object["Key"].to_string();
    server.check(
        "/orders?list-type=2&max-keys=100",
        &[],
        key,
        "--paginate cursor:/ListBucketResult/NextContinuationToken,to=continuation-token",
    );
    server.check(
        "/orders?list-type=2&max-keys=100",
        &[
            "--paginate",
            "cursor:/ListBucketResult/NextContinuationToken,to=continuation-token",
            "--items",
            "/ListBucketResult/Contents",
        ],
        key,
        "13 pages",
    );
    server.check(
        "/orders?max-keys=100",
        &[
            "--paginate",
            "last:/Key,to=marker,more=/ListBucketResult/IsTruncated",
            "--items",
            "/ListBucketResult/Contents",
        ],
        key,
        "13 pages",
    );
    let (dynamodb, logs) = (signed("dynamodb"), signed("logs"));
    let scan = [
        "-H",
        &dynamodb,
        "-H",
        "X-Amz-Target: DynamoDB_20120810.Scan",
        "-H",
        "Content-Type: application/x-amz-json-1.0",
        "--data",
        r#"{"TableName": "orders", "Limit": 100}"#,
    ];
    let order = |item: &Value| item["id"]["S"].to_string();
    server.check(
        "/",
        &scan,
        order,
        "--paginate cursor:/LastEvaluatedKey,to=body:/ExclusiveStartKey",
    );
    let pinned = [
        "--paginate",
        "cursor:/LastEvaluatedKey,to=body:/ExclusiveStartKey",
        "--items",
        "/Items",
    ];
    server.check("/", &[&scan[..], &pinned].concat(), order, "13 pages");
    let events = [
        "-H",
        &logs,
        "-H",
        "X-Amz-Target: Logs_20140328.GetLogEvents",
        "--data",
        r#"{"logGroupName": "shop", "logStreamName": "orders", "startFromHead": true, "limit": 100}"#,
    ];
    let message = |event: &Value| event["message"].to_string();
    server.check(
        "/",
        &events,
        message,
        "repeats its token after the last item",
    );
    let pinned = ["--paginate", "cursor:/nextForwardToken,to=body:/nextToken"];
    server.check("/", &[&events[..], &pinned].concat(), message, "14 pages");
}

#[test]
fn a_graphql_connection_of_strawberry() {
    let Some(server) = RealServer::start("python", "strawberry_server.py") else {
        return;
    };
    let query = |page_info: &str| {
        let orders = format!(
            "orders(first: 100, after: $cursor) {{ edges {{ node {{ id }} }} {page_info} }}"
        );
        let query = format!("query ($cursor: String) {{ shop {{ {orders} }} }}");
        serde_json::json!({ "query": query }).to_string()
    };
    let whole = query("pageInfo { hasNextPage endCursor }");
    let node = |edge: &Value| edge["node"]["id"].to_string();
    server.check(
        "/graphql",
        &["--data", &whole],
        node,
        "--paginate relay:/data/shop/orders/pageInfo,to=body:/variables/cursor",
    );
    server.check(
        "/graphql",
        &[
            "--data",
            &whole,
            "--paginate",
            "relay,to=body:/variables/cursor",
            "--in-flight",
            "2",
        ],
        node,
        "13 pages",
    );
    let url = format!("{}/graphql", server.url);
    // Nobody can go on where the query does not ask how.
    let (code, lines, report) = run(&["pages", &url, "--data", &query("")]);
    assert_eq!((code, lines.len()), (3, 100), "{report}");
    let wrong = query("nothing");
    let (code, lines, report) = run(&["pages", &url, "--data", &wrong, "--items", "/data/shop"]);
    assert_eq!((code, lines.len()), (1, 0), "{report}");
    assert!(report.contains("Cannot query field"), "{report}");
}

#[test]
fn fastapi_pagination() {
    let Some(server) = RealServer::start("python", "fastapi_server.py") else {
        return;
    };
    server.check("/page", &[], id, "--paginate page:page --items /items");
    server.check(
        "/page?size=100",
        &["--paginate", "page", "--in-flight", "4"],
        id,
        "in 13 requests",
    );
    server.check("/offset", &[], id, "--paginate offset:offset");
    server.check(
        "/offset?limit=100",
        &["--paginate", "offset", "--in-flight", "4"],
        id,
        "in 13 requests",
    );
    server.check(
        "/cursor",
        &[],
        id,
        "--paginate cursor:/next_page,to=cursor --items /items",
    );
    server.check(
        "/cursor",
        &["--paginate", "cursor:/next_page,to=cursor"],
        id,
        "in 13 requests",
    );
}

#[test]
fn pouchdb() {
    let Some(server) = RealServer::start("node", "pouchdb_server.js") else {
        return;
    };
    let all = "/orders/_all_docs?limit=100";
    server.check(all, &[], id, "--paginate offset:skip --items /rows");
    server.check(
        all,
        &["--paginate", "last:/key,to=startkey,next=json"],
        id,
        "there is nothing after the last key, and the upstream's own count agrees",
    );
    server.check(
        all,
        &["--paginate", "offset:skip", "--in-flight", "4"],
        id,
        "in 13 requests",
    );
    let changes = "/orders/_changes?limit=100";
    server.check(
        changes,
        &["--paginate", "cursor:/last_seq,to=since"],
        id,
        "repeats its token after the last item",
    );
    server.check(changes, &[], id, "--paginate cursor:/last_seq,to=since");
}
