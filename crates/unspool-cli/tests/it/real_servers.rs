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
