//! Ctrl-C: what came is written, the code says so, nothing hangs.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::server::{Reply, Server, linked_page};
use crate::unspool;

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

fn words(child: &mut Child) -> String {
    let mut words = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut words)
        .unwrap();
    words
}

#[test]
fn an_interrupted_wait_writes_what_came_and_exits_130() {
    let server = Server::start(|request| match request.page() {
        1 => linked_page(request, 2, 3),
        _ => Reply::silence(),
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("items");
    let mut child = unspool(&["pages", &server.url("/")])
        .stdout(std::fs::File::create(&file).unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while server.targets().len() < 2 {
        std::thread::yield_now();
    }
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "0\n1\n2\n");
    let words = words(&mut child);
    assert!(
        words.contains("3 items from 1 page in 2 requests"),
        "{words}"
    );
    assert!(words.contains("interrupted"), "{words}");
}

#[test]
fn a_second_ctrl_c_leaves_at_once_also_where_a_sink_waits_and_the_same_command_goes_on() {
    let is_held = Arc::new(AtomicBool::new(false));
    let holding = Arc::clone(&is_held);
    let server = Server::start(move |request| {
        while !holding.load(Relaxed) {
            std::thread::yield_now();
        }
        linked_page(request, 3, 1000)
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("items.db");
    let other = rusqlite::Connection::open(&file).unwrap();
    other.pragma_update(None, "journal_mode", "wal").unwrap();
    let to = format!("sqlite:{}#items", file.display());
    let url = server.url("/");
    let args = ["pages", &url, "--to", &to, "--checkpoint", "10ms"];
    let mut child = unspool(&args).stderr(Stdio::piped()).spawn().unwrap();
    // From now on the sink waits for somebody who has the whole file.
    while server.targets().is_empty() {
        std::thread::yield_now();
    }
    other.execute_batch("begin immediate").unwrap();
    is_held.store(true, Relaxed);
    while server.targets().len() < 3 {
        std::thread::yield_now();
    }
    interrupt(&child);
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "{}", words(&mut child));
    // Two that come before the first is seen are one.
    let status = loop {
        interrupt(&child);
        std::thread::sleep(Duration::from_millis(20));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
    };
    assert_eq!(status.code(), Some(130));
    other.execute_batch("rollback").unwrap();
    let output = unspool(&args).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words}");
    let sql = "select count(*), count(distinct value) from items";
    let counts = other.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)));
    assert_eq!(counts.unwrap(), (3000, 3000));
}

#[test]
fn a_reader_that_has_stopped_reading_does_not_hold_up_ctrl_c() {
    let server = Server::linked_pages(1_000_000, 1000);
    let mut child = unspool(&["pages", &server.url("/")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::with_capacity(16, child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    // The pipe and the buffers are full once no more requests come.
    let mut requests = 0;
    loop {
        std::thread::park_timeout(std::time::Duration::from_millis(200));
        let now = server.targets().len();
        if now == requests {
            break;
        }
        requests = now;
    }
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(stdout);
}
