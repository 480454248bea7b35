//! Ctrl-C: what came is written, the code says so, nothing hangs.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

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
