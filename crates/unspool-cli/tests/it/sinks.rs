//! Items into files: whole, resumed, refused, and what happens when that fails.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::read_back::{self, Whole};
use crate::read_tables;
use crate::server::{Reply, Server, linked_page};
use crate::{run, unspool};

const HOUR: Duration = Duration::from_secs(3600);

const FILES: &[&str] = &[
    "jsonl",
    "ndjson.gz",
    "jsonl.zst",
    "json",
    "json.gz",
    "json.zst",
];

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn numbers(path: &Path) -> Vec<u64> {
    let items = read_back::items(path, Whole::Yes);
    items.iter().map(|item| item.as_u64().unwrap()).collect()
}

/// Pages that come while `fails` of the number of requests so far says no; 404 then.
fn failing(fails: impl Fn(usize) -> bool + Send + Sync + 'static) -> Server {
    let count = std::sync::atomic::AtomicUsize::new(1);
    Server::start(move |request| {
        if fails(count.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            Reply::status(404).body("gone")
        } else {
            linked_page(request, 5, 100)
        }
    })
}

#[test]
fn every_format_of_files_holds_all_items_and_the_account_says_so() {
    let server = Server::linked_pages(3, 1000);
    for extension in FILES {
        let folder = Folder::new();
        let name = format!("items.{extension}");
        let to = folder.text(&name);
        let account = folder.text("account");
        let args = [
            "pages",
            &server.url("/"),
            "--to",
            &to,
            "--account",
            &account,
        ];
        let (code, lines, words) = run(&args);
        assert_eq!((code, lines.len()), (0, 0), "{words}");
        assert!(
            words.contains(&format!("; 3,000 items in `{to}`")),
            "{words}"
        );
        assert!(
            numbers(&folder.path(&name)).into_iter().eq(0..3000),
            "{extension}"
        );
        let account: Value = serde_json::from_slice(&std::fs::read(&account).unwrap()).unwrap();
        assert_eq!(account["sink"]["items"], 3000);
        assert_eq!(account["sink"]["before"], 0);
        assert!(account["sink"]["checkpoints"].as_u64().unwrap() >= 1);
        assert_eq!(folder.names(), ["account", &name], "nothing else stays");
    }
}

#[test]
fn the_same_command_again_goes_on_where_the_first_one_failed() {
    for extension in FILES {
        let server = failing(|request| request == 3);
        let folder = Folder::new();
        let name = format!("items.{extension}");
        let args = [
            "pages",
            &server.url("/"),
            "--to",
            &folder.text(&name),
            "--resume",
        ];
        let (code, _, words) = run(&args);
        assert_eq!(code, 1, "{words}");
        assert!(
            numbers(&folder.path(&name)).into_iter().eq(0..200),
            "{extension}"
        );
        let (code, _, words) = run(&args);
        assert_eq!(code, 0, "{words}");
        assert!(words.contains("500 items in"), "{words}");
        assert!(words.contains("200 of them from earlier runs"), "{words}");
        assert!(
            numbers(&folder.path(&name)).into_iter().eq(0..500),
            "{extension}"
        );

        let requests = server.targets().len();
        let (code, _, words) = run(&args);
        assert_eq!(code, 0, "{words}");
        assert!(words.contains("complete already: 500 items"), "{words}");
        assert!(words.contains("`--overwrite` starts over"), "{words}");
        assert_eq!(server.targets().len(), requests, "nothing is asked for");
        let (code, _, words) = run(&[&args[..], &["--overwrite"]].concat());
        assert_eq!(code, 0, "{words}");
        assert!(
            numbers(&folder.path(&name)).into_iter().eq(0..500),
            "{extension}"
        );
    }
}

#[test]
fn a_walk_that_is_not_proved_complete_is_not_so_when_it_is_run_again() {
    let server = Server::start(|_| Reply::json("{\"total\": 5, \"items\": [0, 1]}"));
    let folder = Folder::new();
    let to = folder.text("items.jsonl");
    let args = [
        "pages",
        &server.url("/"),
        "--to",
        &to,
        "--state",
        &folder.text("state"),
    ];
    let (code, _, words) = run(&args);
    assert_eq!(code, 3, "{words}");
    let requests = server.targets().len();
    let (again, _, words) = run(&args);
    assert_eq!(again, 3, "{words}");
    assert!(
        words.contains("doubt: the upstream states 5 items, but 2 came"),
        "{words}"
    );
    assert_eq!(server.targets().len(), requests, "nothing is asked for");
}

#[test]
fn take_counts_the_items_of_all_runs() {
    let server = Server::linked_pages(5, 100);
    let folder = Folder::new();
    let url = server.url("/");
    let to = folder.text("items.jsonl");
    let take = |items: &str| run(&["pages", &url, "--to", &to, "--resume", "--take", items]);
    for (items, expected) in [("150", 150), ("150", 150), ("220", 220), ("9999", 500)] {
        let (code, _, words) = take(items);
        assert_eq!(code, 0, "{words}");
        assert!(
            numbers(&folder.path("items.jsonl"))
                .into_iter()
                .eq(0..expected)
        );
    }
}

#[test]
fn a_target_that_holds_something_is_not_replaced_unasked() {
    let server = Server::linked_pages(1, 2);
    let folder = Folder::new();
    std::fs::write(folder.path("items.jsonl"), "mine\n").unwrap();
    let args = [
        "pages",
        &server.url("/"),
        "--to",
        &folder.text("items.jsonl"),
    ];
    for more in [&[][..], &["--resume"]] {
        let (code, _, words) = run(&[&args[..], more].concat());
        assert_eq!(code, 2, "{words}");
        assert!(
            words.contains("holds 5 bytes") && words.contains("--overwrite"),
            "{words}"
        );
    }
    assert_eq!(server.targets().len(), 0);
    let (code, _, words) = run(&[&args[..], &["--overwrite"]].concat());
    assert_eq!(code, 0, "{words}");
    assert_eq!(numbers(&folder.path("items.jsonl")), [0, 1]);
}

#[test]
fn another_command_is_refused_with_what_differs_and_never_with_a_credential() {
    let server = failing(|request| request == 2);
    let folder = Folder::new();
    let (to, state) = (folder.text("items.jsonl"), folder.text("state"));
    let first = server.url("/a?api_key=hunter2hunter2&kind=x");
    let fixed = ["--to", &to, "--state", &state, "--bearer", "sesame-sesame"];
    let (code, _, words) = run(&[&["pages", &first][..], &fixed].concat());
    assert_eq!(code, 1, "{words}");
    let kept = std::fs::read_to_string(&state).unwrap();
    assert!(
        !kept.contains("hunter2") && !kept.contains("sesame"),
        "{kept}"
    );

    let second = server.url("/b");
    let (code, _, words) = run(&[&["pages", &second][..], &fixed].concat());
    assert_eq!(code, 2, "{words}");
    assert!(
        words.contains("belongs to another command: `url` is"),
        "{words}"
    );
    assert!(
        words.contains("/b` and was") && !words.contains("hunter2"),
        "{words}"
    );

    // Neither a credential nor a limit makes it another one.
    let renewed = server.url("/a?api_key=renewed-renewed&kind=x");
    let fixed = [
        "--to", &to, "--state", &state, "--bearer", "other", "--rate", "100/s",
    ];
    let (code, _, words) = run(&[&["pages", &renewed][..], &fixed].concat());
    assert_eq!(code, 0, "{words}");
    assert!(numbers(&folder.path("items.jsonl")).into_iter().eq(0..500));
}

#[test]
fn a_target_that_somebody_else_has_changed_is_refused() {
    let server = failing(|request| request == 3);
    let folder = Folder::new();
    let path = folder.path("items.jsonl");
    let args = [
        "pages",
        &server.url("/"),
        "--to",
        &folder.text("items.jsonl"),
        "--resume",
    ];
    assert_eq!(run(&args).0, 1);
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let (code, _, words) = run(&args);
    assert_eq!(code, 2, "{words}");
    assert!(words.contains("is not as it was left: it has"), "{words}");
    std::fs::write(&path, whole.replace("42", "43")).unwrap();
    let (code, _, words) = run(&args);
    assert_eq!(code, 2, "{words}");
    assert!(words.contains("somebody else has changed"), "{words}");
    std::fs::remove_file(&path).unwrap();
    let (code, _, words) = run(&args);
    assert_eq!(code, 2, "{words}");
    assert!(words.contains("it is gone"), "{words}");
}

#[test]
fn the_second_of_two_runs_into_any_sink_is_told_who_the_first_is() {
    let folder = Folder::new();
    let file = |name: &str| (folder.text(name), vec!["--resume"]);
    let mut targets = vec![
        file("items.jsonl"),
        file("items.jsonl.zst"),
        file("items.json"),
        file("items.csv"),
        file("items.parquet"),
        (folder.text("without-state.jsonl"), vec![]),
        (folder.text("without-parts.parquet"), vec![]),
        (format!("sqlite:{}#items", folder.text("a.db")), vec![]),
        (
            format!("sqlite:{}#items", folder.text("b.db")),
            vec!["--key", "id"],
        ),
    ];
    let server = crate::server::Postgres::start().map_err(|why| println!("skipped: {why}"));
    if let Ok(server) = &server {
        let database = server.database();
        targets.push((format!("{database}#a"), vec![]));
        targets.push((format!("{database}#b"), vec!["--key", "id"]));
    }
    let is_recent = &|since: &str| match (httpdate::parse_http_date(since), &server) {
        (Ok(since), _) => since.elapsed().unwrap() < HOUR,
        (Err(_), Ok(server)) => {
            let sql = format!("select now() - '{since}' between '0' and interval '1 hour'");
            server.psql("postgres", &sql) == "t\n"
        }
        (Err(_), Err(_)) => false,
    };
    std::thread::scope(|scope| {
        for (to, flags) in &targets {
            scope.spawn(move || {
                let since = run_twice_at_once(to, flags);
                assert!(is_recent(&since), "{to}: {since}");
            });
        }
    });
    let kept = std::fs::read_to_string(folder.path("items.jsonl.lock")).unwrap();
    assert!(kept.contains("pid"), "a lock that is left behind: {kept}");
}

#[test]
fn two_runs_do_not_keep_their_states_in_the_same_file() {
    let (server, folder) = (silent_after_a_page(), Folder::new());
    let (url, state) = (server.url("/"), folder.text("state"));
    let (a, b) = (folder.text("a.jsonl"), folder.text("b.jsonl"));
    let first = ["pages", &url, "--to", &a, "--state", &state];
    let mut first = unspool(&first).stderr(Stdio::piped()).spawn().unwrap();
    until_silent(&server, &mut first);
    let (code, _, words) = run(&["pages", &url, "--to", &b, "--state", &state]);
    assert_eq!(code, 2, "{words}");
    assert!(
        words.contains(&format!("process {} on", first.id())),
        "{words}"
    );
    first.kill().unwrap();
    first.wait().unwrap();
}

/// A server of two items, whose second page never comes.
fn silent_after_a_page() -> Server {
    Server::start(|request| match request.page() {
        1 => Reply::json(r#"[{"id": 1}, {"id": 2}]"#).header("link", "</?page=2>; rel=\"next\""),
        _ => Reply::silence(),
    })
}

/// Waits until a run waits for the second page.
fn until_silent(server: &Server, run: &mut Child) {
    while server.targets().len() < 2 {
        std::thread::yield_now();
        if let Some(status) = run.try_wait().unwrap() {
            let mut words = String::new();
            run.stderr
                .as_mut()
                .unwrap()
                .read_to_string(&mut words)
                .unwrap();
            panic!("{status}: {words}");
        }
    }
}

/// Starts a run that waits for its upstream, then the same command again: since when that says
/// that the first one runs.
fn run_twice_at_once(to: &str, flags: &[&str]) -> String {
    let server = silent_after_a_page();
    let url = server.url("/");
    let args = [&["pages", &url, "--to", to][..], flags].concat();
    let mut first = unspool(&args).stderr(Stdio::piped()).spawn().unwrap();
    until_silent(&server, &mut first);
    let (code, _, words) = run(&args);
    assert_eq!(code, 2, "{to}: {words}");
    let process = words.replace('`', "");
    assert!(
        process.contains(&format!("process {} on ", first.id())),
        "{to}: {words}"
    );
    assert!(!words.contains("--overwrite"), "{to}: {words}");
    first.kill().unwrap();
    first.wait().unwrap();
    let (_, since) = words.split_once(", since ").unwrap();
    since.lines().next().unwrap().to_owned()
}

#[test]
fn an_interrupted_run_is_durable_and_resumed() {
    for signal in [Signal::INT, Signal::TERM] {
        let (count, folder) = (std::sync::atomic::AtomicUsize::new(0), Folder::new());
        let server = Server::start(move |request| {
            match count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                1 => Reply::silence(),
                _ => linked_page(request, 3, 10),
            }
        });
        let args = [
            "pages",
            &server.url("/"),
            "--to",
            &folder.text("items.json"),
            "--resume",
        ];
        let mut child = unspool(&args).stderr(Stdio::piped()).spawn().unwrap();
        while server.targets().len() < 2 {
            std::thread::yield_now();
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        let mut words = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut words).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{words}");
        assert!(words.contains("interrupted: 10 items"), "{words}");
        assert!(numbers(&folder.path("items.json")).into_iter().eq(0..10));
        let (code, _, words) = run(&args);
        assert_eq!(code, 0, "{words}");
        assert!(numbers(&folder.path("items.json")).into_iter().eq(0..30));
    }
}

#[test]
fn a_slow_source_is_durable_while_it_waits() {
    let server = Server::start(|request| match request.page() {
        1 => linked_page(request, 2, 3),
        _ => Reply::silence(),
    });
    let folder = Folder::new();
    let state = folder.path("state");
    let mut child = unspool(&["pages", &server.url("/")])
        .args([
            "--to",
            &folder.text("items.jsonl"),
            "--checkpoint",
            "10ms",
            "--state",
        ])
        .arg(&state)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while read_back::durable(&folder.path("items.jsonl"), &state).len() < 3 {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_file_that_cannot_grow_fails_the_run_whole_and_is_resumed() {
    let server = Server::start(|request| {
        let (page, body) = (request.page(), noise(request.page()));
        let next = format!("</?page={}>; rel=\"next\"", page + 1);
        match page {
            9 => Reply::status(200).body(body),
            _ => Reply::status(200).header("link", next).body(body),
        }
    });
    for extension in FILES {
        let folder = Folder::new();
        let name = format!("items.{extension}");
        let (url, to) = (server.url("/?page=1"), folder.text(&name));
        let args = [
            "pages",
            &url,
            "--to",
            &to,
            "--resume",
            "--checkpoint",
            "5ms",
        ];
        let mut limited = Command::new("sh");
        limited
            .args(["-c", "trap '' XFSZ; ulimit -f 1000; exec \"$0\" \"$@\""])
            .arg(unspool(&[]).get_program())
            .args(args);
        let output = limited.output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{extension}: {words}");
        assert!(words.contains("File too large"), "{words}");
        let cut = read_back::items(&folder.path(&name), Whole::No);
        let (code, _, words) = run(&args);
        assert_eq!(code, 0, "{words}");
        let all = read_back::items(&folder.path(&name), Whole::Yes);
        let expected: Vec<Value> = (1..=9)
            .flat_map(|page| serde_json::from_str::<Vec<Value>>(&noise(page)).unwrap())
            .collect();
        assert!(all == expected, "{extension}");
        assert!(cut == all[..cut.len()], "{extension}");
    }
}

/// Fills a file system of 1 MiB, makes it larger, takes the right to write away and gives it
/// back, each with the same command; the exit codes are its output.
const SCRIPT: &str = r#"
set -u
mount -t tmpfs -o size=1m tmpfs "$FOLDER" || exit 99
"$0" "$@"; echo $?
mount -o remount,ro "$FOLDER"
"$0" "$@"; echo $?
mount -o remount,rw,size=64m "$FOLDER"
"$0" "$@"; echo $?
cp -r "$FOLDER/." "$RESULT"
"#;

#[test]
fn a_small_disk_that_is_full_and_then_read_only_is_resumed_on_when_it_is_neither() {
    let server = Server::start(|request| {
        let reply = Reply::status(200).header(
            "link",
            format!("</?page={}>; rel=\"next\"", request.page() + 1),
        );
        match request.page() {
            20 => Reply::status(200).body(noise(20)),
            page => reply.body(noise(page)),
        }
    });
    let expected: Vec<Value> = (1..=20)
        .flat_map(|page| serde_json::from_str::<Vec<Value>>(&noise(page)).unwrap())
        .collect();
    for extension in [
        "jsonl",
        "jsonl.gz",
        "jsonl.zst",
        "json",
        "csv",
        "parquet",
        "db",
    ] {
        let (folder, name) = (Folder::new(), format!("items.{extension}"));
        std::fs::create_dir(folder.path("disk")).unwrap();
        std::fs::create_dir(folder.path("result")).unwrap();
        let (disk, result) = (folder.text("disk"), folder.text("result"));
        let url = server.url("/?page=1");
        let (target, flags, is_full): (_, &[_], _) = match extension {
            "db" => (
                format!("sqlite:{disk}/{name}#items"),
                &[],
                "database or disk is full",
            ),
            _ => (format!("{disk}/{name}"), &["--resume"], "No space left"),
        };
        let args = ["pages", &url, "--to", &target, "--checkpoint", "5ms"];
        let output = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", SCRIPT])
            .arg(unspool(&[]).get_program())
            .args([&args, flags].concat())
            .env("FOLDER", &disk)
            .env("RESULT", &result)
            .output();
        let Ok(output) = output.map(|output| (output.status.code(), output)) else {
            return println!("skipped: there is no `unshare`");
        };
        let (code, output) = output;
        let words = String::from_utf8_lossy(&output.stderr);
        if matches!(code, Some(1 | 99)) && output.stdout.is_empty() {
            return println!("skipped: no file system can be mounted here: {words}");
        }
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "1\n1\n0\n",
            "{words}"
        );
        assert!(words.contains(is_full), "{words}");
        assert!(words.contains("Read-only file system"), "{words}");
        let whole = folder.path("result").join(name);
        let all = match extension {
            "db" => read_tables::sqlite(&whole),
            "parquet" => read_tables::parquet(&whole),
            // A column of texts that need no quotes.
            "csv" => {
                let text = std::fs::read_to_string(&whole).unwrap();
                text.lines().skip(1).map(Value::from).collect()
            }
            _ => read_back::items(&whole, Whole::Yes),
        };
        let texts = all.iter().map(|item| match item {
            Value::Object(row) => row["value"].clone(),
            text => text.clone(),
        });
        assert!(texts.eq(expected.iter().cloned()), "{extension}");
    }
}

/// A page of items that hardly compress.
fn noise(page: u64) -> String {
    let mut state = page;
    let items: Vec<String> = (0..2000)
        .map(|_| {
            let mut next = || {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                state ^ (state >> 31)
            };
            format!(
                "\"{:016x}{:016x}{:016x}{:016x}{:016x}{:016x}\"",
                next(),
                next(),
                next(),
                next(),
                next(),
                next()
            )
        })
        .collect();
    format!("[{}]", items.join(","))
}

#[test]
fn a_full_disk_fails_the_run() {
    let server = Server::linked_pages(3, 1000);
    let folder = Folder::new();
    std::os::unix::fs::symlink("/dev/full", folder.path("full.jsonl")).unwrap();
    let (code, _, words) = run(&[
        "pages",
        &server.url("/"),
        "--to",
        &folder.text("full.jsonl"),
    ]);
    assert_eq!(code, 1, "{words}");
    assert!(
        words.contains("cannot write") && words.contains("No space left"),
        "{words}"
    );
}

#[test]
fn a_target_that_cannot_be_written_fails_before_anything_is_asked_for() {
    let server = Server::linked_pages(1, 1);
    for target in ["/proc/items.jsonl", "/no/such/folder/items.jsonl"] {
        let (code, _, words) = run(&["pages", &server.url("/"), "--to", target]);
        assert_eq!(code, 1, "{words}");
        assert!(words.contains(target), "{words}");
    }
    let folder = Folder::new();
    std::fs::create_dir(folder.path("folder.parquet")).unwrap();
    let parquet = folder.text("folder.parquet");
    for (target, why) in [
        ("items.xyz", "FILE.jsonl"),
        // It would be gone at the end of the run.
        ("sqlite::memory:#items", "is gone when the run ends"),
        ("sqlite:items.db#_unspool", "is for the state of tables"),
        ("sqlite:items.db#SQLITE_items", "for itself"),
        (&parquet, "is a folder"),
    ] {
        let url = server.url("/");
        let (code, _, words) = run(&["pages", &url, "--to", target, "--overwrite"]);
        assert_eq!(code, 2, "{words}");
        assert!(words.contains(why), "{words}");
        assert!(!words.contains("starts over"), "{words}");
    }
    assert_eq!(server.targets().len(), 0);
}

#[test]
fn a_table_is_in_a_file_whatever_its_name_says() {
    let (server, folder) = (Server::linked_pages(1, 3), Folder::new());
    let mut command = unspool(&["pages", &server.url("/")]);
    command.args(["--to", "sqlite:file:items.db?mode=memory#items"]);
    let output = command.current_dir(folder.0.path()).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words}");
    let rows = read_tables::sqlite(&folder.path("file:items.db?mode=memory"));
    assert_eq!(rows.len(), 3, "{words}");
}

#[test]
fn a_state_is_not_kept_in_a_file_of_its_target() {
    let (server, folder) = (Server::linked_pages(1, 3), Folder::new());
    std::os::unix::fs::symlink("real.jsonl", folder.path("link.jsonl")).unwrap();
    std::fs::write(folder.path("real.jsonl"), "").unwrap();
    for (target, state) in [
        ("items.jsonl", "items.jsonl"),
        ("items.jsonl", "items.jsonl.lock"),
        ("link.jsonl", "real.jsonl"),
        ("items.parquet", "items.parquet"),
        ("items.parquet", "items-00001.parquet"),
        ("items.parquet", "items-00002.parquet.tmp"),
    ] {
        let (to, state) = (folder.text(target), folder.text(state));
        let args = ["pages", &server.url("/"), "--to", &to, "--state", &state];
        let (code, _, words) = run(&args);
        assert_eq!(code, 2, "{target}, {state}: {words}");
        assert!(words.contains("belongs to the target"), "{words}");
        assert!(!words.contains("starts over"), "{words}");
    }
    assert_eq!(folder.names(), ["link.jsonl", "real.jsonl"]);
    assert_eq!(server.targets().len(), 0);
}

/// A library that makes the second sync of files fail whose names have `$FAIL` in them, and no
/// other.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int sync_of(int file) {
    static int calls = 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    const char *name = strrchr(path, '/');
    if (name && strstr(name, getenv("FAIL")) && ++calls == 2) { errno = EIO; return -1; }
    return 0;
}
int fdatasync(int file) { return sync_of(file); }
int fsync(int file) { return sync_of(file); }
"#;

/// The path of that library, which is built in this folder.
fn shim(folder: &Folder) -> String {
    let (library, source) = (folder.text("shim.so"), folder.text("shim.c"));
    std::fs::write(&source, SHIM).unwrap();
    let mut compiler = Command::new("cc");
    let built = compiler.args(["-shared", "-fPIC", "-o", &library, &source]);
    assert!(
        built.status().is_ok_and(|status| status.success()),
        "a C compiler is there for rustc, too"
    );
    library
}

#[test]
fn a_sync_that_fails_ends_the_run_and_is_not_tried_again() {
    let folder = Folder::new();
    let shim = shim(&folder);
    let server = Server::start(|request| {
        linked_page(request, 4, 10).pause(std::time::Duration::from_millis(50))
    });
    let url = server.url("/");
    for (name, synced, words) in [
        ("a.jsonl", "a.jsonl", "cannot make durable"),
        // Of its state.
        ("b.jsonl", "b.state", "b.state"),
        ("c.parquet", "c-0000", "cannot write"),
    ] {
        let (to, state) = (
            folder.text(name),
            folder.text(&format!("{}.state", &name[..1])),
        );
        let args = ["pages", &url, "--to", &to, "--state", &state];
        let args = [&args[..], &["--checkpoint", "1ms"]].concat();
        let output = unspool(&args)
            .env("LD_PRELOAD", &shim)
            .env("FAIL", synced)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{said}");
        assert!(said.contains("Input/output error"), "{said}");
        let (target, state) = (Path::new(&to), Path::new(&state));
        let numbers = |items: Vec<Value>| -> Vec<u64> {
            let number = |item: Value| item["value"].as_u64().or(item.as_u64());
            items
                .into_iter()
                .map(|item| number(item).unwrap())
                .collect()
        };
        let is_parquet = name == "c.parquet";
        let durable = numbers(if is_parquet {
            read_tables::durable_parquet(target, state)
        } else {
            read_back::durable(target, state)
        });
        let count = durable.len() as u64;
        assert!(count < 40 && durable.into_iter().eq(0..count), "{count}");
        let (code, _, said) = run(&args);
        assert_eq!(code, 0, "{said}");
        let all = numbers(if is_parquet {
            read_tables::parquet(target)
        } else {
            read_back::items(target, Whole::Yes)
        });
        assert!(all.into_iter().eq(0..40), "{name}");
    }
}

#[test]
fn a_sync_that_fails_leaves_a_table_that_goes_on() {
    let folder = Folder::new();
    let shim = shim(&folder);
    // Enough for SQLite to take the log into the file.
    let server = Server::start(|request| {
        let reply = Reply::status(200);
        match request.page() {
            3 => reply.body(noise(3)),
            page => reply
                .header("link", format!("</?page={}>; rel=\"next\"", page + 1))
                .body(noise(page)),
        }
    });
    let (url, to) = (
        server.url("/?page=1"),
        format!("sqlite:{}#items", folder.text("a.db")),
    );
    let args = ["pages", &url, "--to", &to, "--checkpoint", "1ms"];
    let output = unspool(&args)
        .env("LD_PRELOAD", &shim)
        .env("FAIL", "a.db")
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{words}");
    let (code, _, words) = run(&args);
    assert_eq!(code, 0, "{words}");
    let all = read_tables::sqlite(&folder.path("a.db"));
    let expected =
        (1..=3).flat_map(|page| serde_json::from_str::<Vec<Value>>(&noise(page)).unwrap());
    assert!(all.iter().map(|row| row["value"].clone()).eq(expected));
}

/// Runs the statements of the docs, and prints what came of them.
const DUCKDB: &str = "import duckdb, json, sys\n\
    answers = []\n\
    for sql in sys.argv[1].splitlines():\n\
    \x20   duckdb.execute(sql.replace('create table', 'create or replace table'))\n\
    \x20   rows = duckdb.sql('select count(*), sum(id::int), min(zip), typeof(any_value(zip)) from posts')\n\
    \x20   answers.append(rows.fetchall()[0])\n\
    print(json.dumps(answers, default=int))";

#[test]
fn duckdb_makes_a_table_of_what_is_written_as_the_docs_say() {
    let python = std::env::var("UNSPOOL_TEST_SERVERS").map(|folder| format!("{folder}/bin/python"));
    let Ok(python) = python else {
        return println!("skipped: `UNSPOOL_TEST_SERVERS` names no folder");
    };
    let server = Server::start(|request| {
        let post = |id| serde_json::json!({"id": id, "zip": "01234", "tags": ["a"]});
        let last = request.page() * 50;
        let posts: Vec<Value> = (last - 49..=last).map(post).collect();
        let reply = Reply::status(200).pause(std::time::Duration::from_millis(20));
        match request.page() {
            4 => reply,
            page => reply.header("link", format!("</?page={}>; rel=\"next\"", page + 1)),
        }
        .body(Value::from(posts).to_string())
    });
    let folder = Folder::new();
    for name in ["posts.parquet", "posts.jsonl.zst", "posts.csv"] {
        let (url, to) = (server.url("/"), folder.text(name));
        let args = [
            "pages",
            &url,
            "--to",
            &to,
            "--resume",
            "--checkpoint",
            "5ms",
        ];
        let (code, _, words) = run(&args);
        assert_eq!(code, 0, "{words}");
    }
    let docs = include_str!("../../../../docs/sinks.md");
    let (_, statements) = docs.split_once("```sql\n").unwrap();
    let (statements, _) = statements.split_once("```").unwrap();
    let statements = statements.replace("'posts", &format!("'{}", folder.text("posts")));
    let output = Command::new(python)
        .args(["-c", DUCKDB, &statements])
        .output();
    let output = output.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let answer = serde_json::json!([200, 201 * 100, "01234", "VARCHAR"]);
    let answers: Value = serde_json::from_slice(&output.stdout).expect(&errors);
    assert_eq!(answers, Value::from(vec![answer; 3]));
}

#[test]
fn an_empty_run_leaves_an_empty_file() {
    let server = Server::start(|_| Reply::json("[]"));
    for extension in FILES {
        let folder = Folder::new();
        let name = format!("items.{extension}");
        let args = [
            "pages",
            &server.url("/"),
            "--to",
            &folder.text(&name),
            "--resume",
        ];
        let (code, _, words) = run(&args);
        assert_eq!(code, 0, "{words}");
        assert_eq!(numbers(&folder.path(&name)), [0; 0], "{extension}");
        assert_eq!(run(&args).0, 0);
    }
}

#[test]
fn standard_output_is_a_target_that_cannot_be_resumed() {
    let server = Server::linked_pages(1, 3);
    let (code, lines, _) = run(&["pages", &server.url("/"), "--to", "-"]);
    assert_eq!((code, lines.len()), (0, 3));
    let (code, _, words) = run(&["pages", &server.url("/"), "--to", "-", "--resume"]);
    assert_eq!(code, 2, "{words}");
    assert!(words.contains("is not resumed"), "{words}");
    let (code, _, words) = run(&["pages", &server.url("/"), "--resume"]);
    assert_eq!(code, 2, "{words}");
}

#[test]
fn a_pipe_is_written_without_a_lock_beside_it() {
    let server = Server::linked_pages(2, 3);
    let folder = Folder::new();
    let path = folder.path("pipe.jsonl");
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    let mut child = unspool(&[
        "pages",
        &server.url("/"),
        "--to",
        &folder.text("pipe.jsonl"),
    ])
    .stderr(Stdio::null())
    .spawn()
    .unwrap();
    let lines = BufReader::new(std::fs::File::open(&path).unwrap()).lines();
    assert_eq!(lines.count(), 6);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(folder.names(), ["pipe.jsonl"]);
}

#[test]
fn what_targets_there_are_is_in_the_help() {
    for command in ["pages", "ask"] {
        let (_, lines, _) = run(&[command, "--help"]);
        let help = lines.join("\n");
        for (syntax, about) in unspool::sinks::formats() {
            assert!(
                help.contains(syntax) && help.contains(about),
                "{syntax} in {help}"
            );
        }
    }
}

mod answers {
    use super::*;

    /// A model that answers with this text, whose first answers are cut.
    fn model(text: &str, cut: usize) -> Server {
        let text = text.to_owned();
        let count = std::sync::atomic::AtomicUsize::new(0);
        Server::start(move |_| {
            let delta = serde_json::json!({"choices": [{"index": 0, "delta": {"content": text}}]});
            let stop = serde_json::json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
            let mut body = format!("data: {delta}\n\n");
            if count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= cut {
                body.push_str(&format!("data: {stop}\n\ndata: [DONE]\n\n"));
            }
            Reply::status(200)
                .header("content-type", "text/event-stream")
                .body(body)
        })
    }

    fn ask(server: &Server, args: &[&str]) -> (i32, Vec<String>, String) {
        let base = server.url("/v1");
        let fixed = [
            "ask",
            "List",
            "--model",
            "m",
            "--provider",
            "openai",
            "--base-url",
            &base,
        ];
        run(&[&fixed, &["--api-key", "k"][..], args].concat())
    }

    #[test]
    fn a_text_goes_into_a_file_as_it_is() {
        let folder = Folder::new();
        let to = folder.text("poem.txt");
        let (code, lines, words) = ask(&model("two\nlines", 0), &["--to", &to]);
        assert_eq!((code, lines.len()), (0, 0), "{words}");
        assert_eq!(std::fs::read_to_string(to).unwrap(), "two\nlines");
        let (code, _, words) = ask(&model("text", 0), &["--to", &folder.text("a.jsonl")]);
        assert_eq!(code, 2, "{words}");
        assert!(words.contains("which is for items"), "{words}");
    }

    #[test]
    fn an_answer_that_was_cut_is_asked_for_again_from_its_start_and_a_whole_one_is_not() {
        let folder = Folder::new();
        let to = folder.text("items.jsonl");
        let args = ["--items", "", "--to", &to, "--resume"];
        let server = model("[1, 2, 3]", 1);
        let (code, _, words) = ask(&server, &args);
        assert_eq!(code, 3, "{words}");
        assert_eq!(numbers(&folder.path("items.jsonl")), [1, 2, 3]);
        let (code, _, words) = ask(&server, &args);
        assert_eq!(code, 0, "{words}");
        assert!(words.contains("it starts over"), "{words}");
        assert_eq!(numbers(&folder.path("items.jsonl")), [1, 2, 3]);
        let (code, _, words) = ask(&server, &args);
        assert_eq!(code, 0, "{words}");
        assert!(words.contains("complete already: 3 items"), "{words}");
        assert_eq!(server.targets().len(), 2);
    }
}
