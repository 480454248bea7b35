//! What a hostile upstream can make a walk cost: the time of a processor grows with the
//! bytes that come, and memory does not grow beyond a few times the limit.
//!
//! Each walk runs in a process of its own, which is this binary again with the address in
//! its environment: it measures itself, and is ended where it takes far too long. The
//! bounds are several times what has been measured without optimisation.
#![cfg(target_os = "linux")]

use std::env;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use unspool::Pointer;
use unspool::pages::PageNumber;

use crate::server::{Reply, Server};

/// Holds the address in the process of a walk.
const ADDRESS: &str = "UNSPOOL_BOUNDS_ADDRESS";

/// Holds a pointer to the items, if the walk has one.
const ITEMS: &str = "UNSPOOL_BOUNDS_ITEMS";

/// Holds how many pages are in flight, numbered from 1.
const IN_FLIGHT: &str = "UNSPOOL_BOUNDS_IN_FLIGHT";

/// The longest time for a walk.
const PATIENCE: Duration = Duration::from_secs(60);

const MIB: usize = 1 << 20;

/// What a walk cost, and what came of it.
#[derive(Debug)]
struct Cost {
    seconds: f64,
    /// Above what the process had before.
    mib: usize,
    items: usize,
    /// The error, or else the account.
    outcome: String,
}

/// A walk in a process of its own.
struct Measured {
    command: Command,
}

impl Measured {
    fn walk(server: &Server) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--exact", "bounds::a_walk_measures_itself", "--nocapture"])
            .env(ADDRESS, server.url("/"))
            .stdout(Stdio::piped());
        Measured { command }
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    #[track_caller]
    fn cost(mut self) -> Cost {
        let mut child = self.command.spawn().unwrap();
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if begun.elapsed() > PATIENCE {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("the walk takes more than {PATIENCE:?}");
            }
            thread::sleep(Duration::from_millis(20));
        }
        let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let line = (output.lines()).find_map(|line| line.split_once("measured: "));
        let (_, line) = line.unwrap_or_else(|| panic!("{output}"));
        let mut fields = line.splitn(4, ' ');
        let mut field = || fields.next().unwrap();
        let cost = Cost {
            seconds: field().parse().unwrap(),
            mib: field().parse().unwrap(),
            items: field().parse().unwrap(),
            outcome: field().to_owned(),
        };
        let test = thread::current().name().unwrap_or_default().to_owned();
        println!("{test}: {:.2} s, {} MiB", cost.seconds, cost.mib);
        cost
    }
}

/// The process of a walk; without an address nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walk_measures_itself() {
    let Ok(address) = env::var(ADDRESS) else {
        return;
    };
    let mut request = unspool::pages(&address).retries(0);
    if let Ok(pages) = env::var(IN_FLIGHT) {
        request = request
            .paginate(PageNumber::new("page"))
            .in_flight(pages.parse().unwrap());
    }
    if let Ok(items) = env::var(ITEMS) {
        request = request.items_at(items.parse::<Pointer>().unwrap());
    }
    let before = memory("VmRSS");
    let mut pages = request.raw().allow_doubts();
    let mut items = 0;
    let mut error = None;
    while let Some(item) = pages.next().await {
        match item {
            Ok(_) => items += 1,
            Err(failed) => error = Some(failed.to_string()),
        }
    }
    let outcome = error.unwrap_or_else(|| format!("{:?}", pages.account()));
    let peak = memory("VmHWM").saturating_sub(before);
    let line = format!("\nmeasured: {} {} {items} {outcome}\n", seconds(), peak >> 10);
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

/// A size in KiB that the system gives for this process.
fn memory(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let size = line.unwrap().trim_matches([':', ' ', '\t']);
    size.trim_end_matches(" kB").trim().parse().unwrap()
}

/// The time that processors have spent on this process: of a hundred ticks a second, in all
/// versions of Linux there are.
fn seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let mut ticks = fields.split(' ').skip(12).take(2);
    let mut next = || ticks.next().unwrap().parse::<f64>().unwrap();
    (next() + next()) / 100.0
}

fn serve(content_type: &'static str, body: String) -> Server {
    Server::start(move |_| {
        Reply::status(200)
            .header("content-type", content_type)
            .body(body.clone())
    })
}

#[track_caller]
fn check_time(body: String, seconds: f64) -> Cost {
    let content_type = if body.starts_with('<') { "application/xml" } else { "application/json" };
    let cost = Measured::walk(&serve(content_type, body)).cost();
    assert!(cost.seconds < seconds, "{cost:?}");
    cost
}

#[track_caller]
fn check_memory(body: String, mib: usize) -> Cost {
    let content_type = if body.starts_with('<') { "application/xml" } else { "application/json" };
    let cost = Measured::walk(&serve(content_type, body)).cost();
    assert!(cost.mib < mib, "{cost:?}");
    cost
}

/// `count` texts of a number, one after the other.
fn many(count: usize, text: impl Fn(usize) -> String) -> String {
    (0..count).map(text).collect()
}

#[test]
fn many_arrays_under_unknown_names_take_linear_time() {
    let arrays = many(200_000, |index| format!("\"k{index}\":[{index}],"));
    let cost = check_time(format!("{{{arrays}\"z\":0}}"), 15.0);
    assert!(cost.outcome.contains("200000 arrays"), "{cost:?}");
    let arrays = many(100_000, |index| format!("\"k{index}\":[{index}],"));
    check_time(format!("{{\"w\":{{{arrays}\"z\":0}}}}"), 15.0);
}

#[test]
fn white_space_before_a_document_takes_linear_time_and_no_memory() {
    let body = format!("{}[1,2]", " \n".repeat(12 * MIB));
    let cost = check_time(body, 10.0);
    assert_eq!(cost.items, 2);
    assert!(cost.mib < 16, "{cost:?}");
    let cost = check_time(format!("{}<feed><entry/></feed>", "\n".repeat(24 * MIB)), 10.0);
    assert_eq!(cost.items, 1);
}

#[test]
fn white_space_between_tokens_takes_linear_time() {
    let space = " ".repeat(MIB);
    let body = format!("{{{space}\"a\":{space}[],{space}\"items\":[{space}1{space},{space}2{space}]}}");
    assert_eq!(check_time(body, 10.0).items, 2);
    let space = "\n".repeat(MIB);
    let body = format!("<feed>{space}{}</feed>", " <entry/>".repeat(50_000));
    assert_eq!(check_time(body, 20.0).items, 50_000);
}

#[test]
fn what_stands_below_a_long_key_takes_linear_time_and_memory() {
    let key = "k".repeat(4 * MIB);
    for members in [
        many(50_000, |index| format!("\"a{index}\":[],")),
        many(50_000, |index| format!("\"error{index}\":\"x\",")),
        many(40, |index| format!("\"a{index}\":[{}0],", "0,".repeat(40 << 10))),
    ] {
        let body = format!("{{\"items\":[1],\"{key}\":{{{members}\"z\":0}}}}");
        let cost = check_time(body, 15.0);
        assert!(cost.mib < 160, "{cost:?}");
        let body = format!("{{\"{key}\":{{{members}\"z\":0}}}}");
        let cost = check_time(body.clone(), 15.0);
        assert!(cost.mib < 160, "{cost:?}");
        let server = serve("application/json", body);
        let cost = Measured::walk(&server).set(ITEMS, "/k/items").cost();
        assert!(cost.seconds < 15.0 && cost.mib < 160, "{cost:?}");
    }
}

#[test]
fn deep_nesting_takes_linear_time() {
    let (open, close) = ("{\"a\":".repeat(1000), "}".repeat(1000));
    let arrays = "[],".repeat(1_000_000);
    let cost = check_time(format!("{open}[{arrays}0]{close}"), 15.0);
    assert_eq!(cost.items, 0);
    let arrays = "\"b\":[],".repeat(500_000);
    check_time(format!("{open}{{{arrays}\"c\":0}}{close}"), 15.0);
    let (open, close) = ("<a>".repeat(120), "</a>".repeat(120));
    check_time(format!("{open}{}{close}", "<b/><c/>".repeat(200_000)), 25.0);
}

#[test]
fn repeated_keys_long_numbers_and_escapes_take_linear_time() {
    let repeated = "\"a\":1,".repeat(1_000_000);
    let cost = check_time(format!("{{\"items\":[1],{repeated}\"b\":2}}"), 15.0);
    assert!(cost.outcome.contains("values"), "{cost:?}");
    let repeated = "\"a\":1,".repeat(200_000);
    let cost = check_time(format!("{{\"items\":[1],{repeated}\"b\":2}}"), 15.0);
    assert!(cost.outcome.contains("RepeatedKey"), "{cost:?}");
    let number = "7".repeat(8 * MIB);
    check_time(format!("{{\"items\":[{number}],\"n\":0.{number}}}"), 15.0);
    let text = "\\n\\u00e9".repeat(MIB);
    check_time(format!("{{\"items\":[\"{text}\"],\"n\":\"{text}\"}}"), 15.0);
}

#[test]
fn attributes_references_and_namespaces_take_linear_time() {
    let attributes = many(300_000, |index| format!(" a{index}=''"));
    let cost = check_time(format!("<feed><entry{attributes}/></feed>"), 15.0);
    assert_eq!(cost.items, 1);
    let cost = check_time(format!("<feed><entry{attributes} a7=''/></feed>"), 15.0);
    assert!(cost.outcome.contains("`a7` is there twice"), "{cost:?}");
    let names = many(300_000, |index| format!(" xmlns:n{index}='u'"));
    check_time(format!("<feed{names}><entry/></feed>"), 15.0);
    let cost = check_time(format!("<feed><entry>{}</entry></feed>", "&lt;".repeat(MIB)), 15.0);
    assert_eq!(cost.items, 1);
    let name = "n".repeat(MIB);
    let cost = check_time(format!("<{name}>{}</{name}>", "<entry/>".repeat(100_000)), 15.0);
    assert!(cost.outcome.contains("1024 bytes"), "{cost:?}");
}

#[test]
fn what_looks_like_tokens_costs_a_budget_of_requests_and_words() {
    for member in ["token", "url", "next"] {
        let members = many(2000, |index| match member {
            "token" => format!("\"next_token{index}\":\"t{index}\","),
            "url" => format!("\"next_cursor_{index}\":\"/?c={index}\","),
            _ => format!("\"o{index}\":{{\"next\":\"t{index}\"}},"),
        });
        let server = Server::start(move |request| match request.target.as_str() {
            "/" => Reply::json(format!("{{{members}\"items\":[1,2,3]}}")),
            _ => Reply::status(404).body(""),
        });
        let cost = Measured::walk(&server).cost();
        let requests = server.targets().len();
        assert!(requests <= 60, "{member}: {requests} requests");
        let words = cost.outcome.len();
        assert!(words < 40_000, "{member}: {words} bytes");
        assert!(cost.seconds < 15.0, "{cost:?}");
    }
}

#[test]
fn short_values_around_the_items_have_a_limit() {
    let members = many(1_300_000, |index| format!("\"{index:x}\":0,"));
    let cost = check_memory(format!("{{\"items\":[1],{members}\"z\":0}}"), 200);
    assert!(cost.outcome.contains("over 524288 values"), "{cost:?}");
    let zeros = "0,".repeat(30_000);
    let arrays = many(250, |_| format!("[{zeros}0],"));
    let cost = check_memory(format!("{{\"items\":[1],\"a\":{{\"b\":[{arrays}0]}}}}"), 80);
    assert_eq!(cost.items, 1);
}

#[test]
fn elements_around_the_items_have_a_limit() {
    let elements = many(1_000_000, |index| format!("<e{index:x}/>"));
    let cost = check_memory(format!("<feed><entry/>{elements}</feed>"), 200);
    assert!(cost.outcome.contains("over 524288 values"), "{cost:?}");
    check_memory(format!("<other>{elements}</other>"), 200);
    let elements = many(700_000, |index| format!("<e{index:x} a=''/>"));
    check_memory(format!("<other>{elements}</other>"), 200);
}

#[test]
fn an_item_of_short_values_takes_little_more_than_its_text() {
    let values = "[],".repeat(5 * MIB);
    let cost = check_memory(format!("[[{values}0]]"), 80);
    assert_eq!(cost.items, 1);
    let cost = check_memory(format!("[{{\"a\":[{values}0]}}]"), 80);
    assert_eq!(cost.items, 1);
    let members = many(MIB, |index| format!("\"{index:x}\":0,"));
    let cost = check_memory(format!("[{{{members}\"z\":0}}]"), 80);
    assert_eq!(cost.items, 1);
}

#[test]
fn an_item_of_short_elements_takes_a_few_times_its_text() {
    for elements in [
        "<a/>".repeat(11 * MIB / 4),
        "<a/><b/>".repeat(11 * MIB / 8),
        many(MIB, |index| format!("<e{index:x}/>")),
    ] {
        let cost = check_memory(format!("<feed><entry>{elements}</entry></feed>"), 150);
        assert_eq!(cost.items, 1);
    }
}

#[test]
fn pages_in_flight_share_a_fixed_number_of_bytes() {
    let large = "x".repeat(8 * MIB);
    let small = "0,".repeat(4 * MIB);
    for (item, most) in [(format!("[\"{large}\"]"), 100), (format!("[{small}0]"), 100)] {
        for in_envelope in [false, true] {
            let item = item.clone();
            let server = Server::start(move |request| {
                let page = request.page();
                if page > 20 {
                    return Reply::json("{\"items\":[]}");
                }
                Reply::json(match in_envelope {
                    false => format!("{{\"items\":[{page},{item}]}}"),
                    true => format!("{{\"o\":{{\"x\":[{item}]}},\"items\":[{page}]}}"),
                })
            });
            let cost = Measured::walk(&server).set(IN_FLIGHT, "64").cost();
            assert!(cost.mib < most, "{in_envelope}: {cost:?}");
            assert_eq!(cost.items, if in_envelope { 20 } else { 40 }, "{cost:?}");
        }
    }
}
